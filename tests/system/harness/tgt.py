# SPDX-License-Identifier: LGPL-2.1-or-later
"""An iSCSI target by tgt on loopback: one server for a run, whose targets tests make and remove."""

import atexit
import os
import shutil
import signal
import subprocess
import unittest

from . import space, wait

MIB = 1 << 20
PORT = 3260
HOSTS = ("127.0.0.1", "127.0.0.2")
INITIATOR = "iqn.2026-01.test:initiator"
# Short, so that what does not answer is noticed within a test.
TIMEOUT_S = 1

POOL = """<pool type='iscsi-direct'><name>{name}</name><source>{hosts}<device path='{target}'/>
<initiator><iqn name='{initiator}'/></initiator>{auth}</source>{options}</pool>"""


class Server:
    """One tgtd, of which there may be several: each with its own number, directory and portals."""

    COUNT = 0

    def __init__(self, hosts=HOSTS, port=PORT):
        self.number = str(Server.COUNT)
        Server.COUNT += 1
        self.dir = space.path(f"tgt{self.number}")
        os.makedirs(self.dir, exist_ok=True)
        self.hosts, self.port = hosts, port
        self.env = dict(space.ENV, TGT_IPC_SOCKET=os.path.join(self.dir, "ipc"))
        self.process = None
        self.targets = {}
        atexit.register(self.kill)
        self.start()

    def start(self):
        portals = ",".join(f"portal={host}:{self.port}" for host in self.hosts)
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.process = subprocess.Popen(
                ["tgtd", "-f", "-C", self.number, "-t", "2", "--iscsi", portals,
                 "--pid-file", os.path.join(self.dir, "pid")],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def answers():
            if self.process.poll() is not None:
                raise AssertionError(f"tgtd ended with status {self.process.returncode}")
            return self.admin("--op", "show", "--mode", "target", check=False) is not None

        wait.until(answers, "tgtd answers")
        for target in self.targets.values():
            target.announce()

    def admin(self, *words, check=True):
        done = subprocess.run(["tgtadm", "-C", self.number, "--lld", "iscsi", *words], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=30, check=False)
        if done.returncode and check:
            raise AssertionError(f"tgtadm {' '.join(words)}: {done.stderr}")
        return None if done.returncode else done.stdout

    def kill(self):
        if self.process:
            self.thaw()
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        if self.process:
            self.process.send_signal(signal.SIGCONT)

    def sessions(self):
        return self.admin("--op", "show", "--mode", "target").count("I_T nexus:")

    def target(self, name, sizes=(64 * MIB,)):
        """A new target with units 1 to len(sizes)."""
        number = max([0, *(int(t.number) for t in self.targets.values())]) + 1
        target = Target(self, str(number), f"iqn.2026-01.test:{name}")
        self.targets[name] = target
        target.announce()
        for size in sizes:
            target.add(size)
        return target

    def clear(self):
        """No targets, no accounts."""
        for target in list(self.targets.values()):
            target.remove()
        for user in {user for target in self.targets.values() for user, *_ in target.accounts}:
            self.admin("--op", "delete", "--mode", "account", "--user", user, check=False)
        self.targets = {}


class Target:
    def __init__(self, server, number, iqn):
        self.server, self.number, self.iqn = server, number, iqn
        self.units, self.accounts = {}, []
        self.made = 0

    def do(self, verb, mode, *words):
        return self.server.admin("--op", verb, "--mode", mode, "--tid", self.number, *words)

    def announce(self):
        """To a server that knows nothing of it, at first or after it was killed."""
        self.do("new", "target", "-T", self.iqn)
        for unit, (path, params, block) in self.units.items():
            self.offer(unit, path, params, block)
        for account in self.accounts:
            self.bind(*account)
        self.do("bind", "target", "-I", "ALL")

    def offer(self, unit, path, params, block):
        words = ["--blocksize", str(block)] if block != 512 else []
        self.do("new", "logicalunit", "--lun", str(unit), "-b", path, *words)
        self.do("update", "logicalunit", "--lun", str(unit), "--params", params)

    def add(self, size, unit=None, block=512, thin=True, path=None, serial=None):
        """A unit, by default the next; the path of its file."""
        self.made += 1
        unit = unit or max([0, *self.units]) + 1
        mode = "ab" if path else "wb"  # of a target of the same number there may be one left
        path = path or os.path.join(self.server.dir, f"{self.number}-{unit}-{self.made}")
        with open(path, mode) as file:
            file.truncate(size)
        serial = serial or f"s{self.number}x{unit}x{self.made}"
        params = f"scsi_id={serial},scsi_sn={serial},thin_provisioning={int(thin)}"
        self.offer(unit, path, params, block)
        self.units[unit] = (path, params, block)
        return path

    def drop(self, unit):
        """A command that is under way has to end first."""
        wait.until(lambda: self.server.admin("--op", "delete", "--mode", "logicalunit", "--tid",
                                             self.number, "--lun", str(unit), check=False)
                   is not None, f"tgt lets unit {unit} go")
        del self.units[unit]

    def path(self, unit):
        return self.units[unit][0]

    def bind(self, user, password, outgoing):
        words = ["--outgoing"] if outgoing else []
        self.server.admin("--op", "new", "--mode", "account", "--user", user, "--password",
                          password)
        self.do("bind", "account", "--user", user, *words)

    def account(self, user, password, outgoing=False):
        self.accounts.append((user, password, outgoing))
        self.bind(user, password, outgoing)

    def unbind(self, user):
        outgoing = any(account[2] for account in self.accounts if account[0] == user)
        self.do("unbind", "account", "--user", user, *(["--outgoing"] if outgoing else []))
        self.server.admin("--op", "delete", "--mode", "account", "--user", user)
        self.accounts = [account for account in self.accounts if account[0] != user]

    def remove(self):
        self.do("delete", "target", "--force")
        for user, *_ in self.accounts:
            self.server.admin("--op", "delete", "--mode", "account", "--user", user, check=False)
        for path, *_ in self.units.values():
            os.unlink(path)
        del self.server.targets[self.iqn.split(":")[1]]

    def url(self, unit, user=None, password=None):
        """As QEMU has it."""
        login = f"{user}%{password}@" if user else ""
        return f"iscsi://{login}{self.server.hosts[0]}:{self.server.port}/{self.iqn}/{unit}"

    def pool_xml(self, name, hosts=None, initiator=INITIATOR, auth="", options=None):
        given = {"timeout": TIMEOUT_S, **dict(options or {})}
        words = "".join(f"<o:option name='{k}' value='{v}'/>" for k, v in given.items()
                        if v is not None)
        block = f"<o:options xmlns:o='urn:cistern:storage:1.0'>{words}</o:options>" if words else ""
        listed = "".join(f"<host name='{host}' port='{self.server.port}'/>"
                         for host in hosts or self.server.hosts[:1])
        return POOL.format(name=name, hosts=listed, target=self.iqn, initiator=initiator,
                           auth=auth, options=block)


_server = []


def server():
    """The run's server; skips the test that asks where it can't run."""
    if not _server:
        if not shutil.which("tgtd"):
            raise unittest.SkipTest("no tgt here")
        _server.append(Server())
    return _server[0]
