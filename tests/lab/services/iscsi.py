# SPDX-License-Identifier: LGPL-2.1-or-later
"""iSCSI targets by tgt on several portals, and what open-iscsi needs as an initiator."""

import os
import signal
import subprocess

from kit import WORK, expect, run, wait_until
from services import network

PORTALS = ("127.0.0.1:3260", "127.0.0.2:3260")
PORT = 3260
INITIATOR = "iqn.2026-01.lab:initiator"
SERVER = None


def tgtadm(*words, check=True):
    return run("tgtadm", "--lld", "iscsi", *words, check=check)


def serve(portals=PORTALS):
    global SERVER
    os.makedirs("/run/tgt", exist_ok=True)
    listed = ",".join(f"portal={portal}" for portal in portals)
    SERVER = subprocess.Popen(["tgtd", "-f", "-t", "1", "--iscsi", listed],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    expect(wait_until(lambda: tgtadm("--op", "show", "--mode", "sys", check=False)[0] == 0),
           "tgtd does not come up")


def start(portals=PORTALS):
    """The server, without targets, and the initiator's daemon."""
    run("modprobe", "-a", "iscsi_tcp", "sd_mod")
    for folder in ("/run/lock/iscsi", "/var/lib/iscsi", "/etc/iscsi"):
        os.makedirs(folder, exist_ok=True)
    with open("/etc/iscsi/initiatorname.iscsi", "w", encoding="ascii") as file:
        file.write(f"InitiatorName={INITIATOR}\n")
    serve(portals)
    run("iscsid")


class Target:
    """One target; its units are files in memory, by number, and survive the server."""

    COUNT = 0

    def __init__(self, name):
        Target.COUNT += 1
        self.number = str(Target.COUNT)
        self.iqn = f"iqn.2026-01.lab:{name}"
        self.units, self.accounts = {}, []
        self.announce()

    def do(self, verb, mode, *words):
        tgtadm("--op", verb, "--mode", mode, "--tid", self.number, *words)

    def announce(self):
        """To a server that knows nothing of it, at first or after it was killed."""
        self.do("new", "target", "-T", self.iqn)
        for number, path in self.units.items():
            self.offer(number, path)
        for account in self.accounts:
            self.bind(*account)
        self.do("bind", "target", "-I", "ALL")

    def offer(self, number, path):
        self.do("new", "logicalunit", "--lun", str(number), "-b", path)

    def add_unit(self, number, size):
        """The path of its file."""
        path = os.path.join(WORK, f"unit-{self.number}-{number}")
        with open(path, "wb") as file:
            file.truncate(size)
        self.offer(number, path)
        self.units[number] = path
        return path

    def remove_unit(self, number):
        self.do("delete", "logicalunit", "--lun", str(number))
        del self.units[number]

    def bind(self, user, password, *direction):
        tgtadm("--op", "new", "--mode", "account", "--user", user, "--password", password,
               check=False)
        self.do("bind", "account", "--user", user, *direction)

    def require_chap(self, user, password):
        """The initiator proves who it is."""
        self.accounts.append((user, password))
        self.bind(user, password)

    def answer_chap(self, user, password):
        """The target proves who it is, if it is asked (mutual CHAP)."""
        self.accounts.append((user, password, "--outgoing"))
        self.bind(user, password, "--outgoing")


def kill():
    """The server is gone: connections end, and new ones are refused."""
    SERVER.send_signal(signal.SIGKILL)
    SERVER.wait()


def restart(*targets, portals=PORTALS):
    serve(portals)
    for target in targets:
        target.announce()


def freeze(address=None):
    """All portals, or that at one address."""
    network.silence(PORT, address=address)


def thaw():
    network.hear()


def iscsiadm(*words, check=True):
    return run("iscsiadm", *words, check=check)
