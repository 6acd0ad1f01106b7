# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stock libvirtd with Cistern's storage module in the place of its storage driver."""

import contextlib
import glob
import os
import shutil
import socket
import threading
import unittest

from . import modular, peers, proxy, space, wire

MODULE = os.path.join(space.BUILD, "libvirt_driver_storage.so")
DRIVERS = "/usr/lib/*/libvirt/connection-driver"
SECRETS = "[secrets]\nserve = no\n"  # of the cisternd that runs beside libvirtd

# Mounts the module over libvirt's storage driver in the namespace of peers.IN_PLACE.
MOUNT = 'mount --bind "$1" "$2"; shift 2; exec "$@"'


def stock_driver(kind):
    """The path of libvirt's driver of that kind; None: it is not installed."""
    return next(iter(glob.glob(f"{DRIVERS}/libvirt_driver_{kind}.so")), None)


def needed():
    """Skips the test that cannot run here."""
    if not peers.Libvirtd.available():
        raise unittest.SkipTest("needs libvirtd and a private mount namespace")
    for kind in ("storage", "qemu"):
        if not stock_driver(kind):
            raise unittest.SkipTest(f"needs libvirt's {kind} driver")
    if not os.path.exists(MODULE):
        raise unittest.SkipTest("this build has no libvirt_driver_storage.so")


class HoldingProxy(proxy.Proxy):
    """
    A proxy in the place of the socket of a cisternd. It withholds packets for good, and keepalive
    goes on, so that the caller has no reason to end.

    call: the procedure whose calls are not passed on. most: bytes after which the data of a stream
    is not passed on.
    """

    PAUSE_S = 1  # between two signs of life; libvirt's keepalive ends after 20 s

    def __init__(self, peer, call=None, most=None):
        self.held_call, self.limit = call, most
        self.calls = 0  # that were withheld
        self.passed = 0  # bytes of streams
        self.released = threading.Event()
        self.local = threading.local()
        super().__init__(peer)
        self.place = peer.sock
        self.target = peer.sock + ".moved"
        self.inode = os.stat(self.sock).st_ino
        os.rename(self.place, self.target)
        os.rename(self.sock, self.place)

    def close(self):
        self.released.set()
        if os.stat(self.place).st_ino == self.inode:
            os.unlink(self.place)
            os.rename(self.target, self.place)
        else:  # of a cisternd that has started meanwhile
            os.unlink(self.target)
        with contextlib.suppress(FileNotFoundError):
            super().close()

    def hang_up(self):
        """Ends each connection."""
        self.released.set()
        for one in self.open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _pass(self, one, other, sent):
        self.local.source = one
        super()._pass(one, other, sent)

    def _packet(self, head, payload, sent):
        proc, kind = head[2], head[3]
        if sent and kind == wire.CALL and proc == self.held_call:
            self.calls += 1
            return b""
        if self.limit is not None and kind == wire.STREAM:
            if self.passed >= self.limit and not sent:
                return b""
            # The data of an upload stays unread.
            while self.passed >= self.limit and not self.released.wait(self.PAUSE_S):
                self.local.source.sendall(wire.packet(wire.PONG, kind=wire.MESSAGE,
                                                      prog=wire.KEEPALIVE))
            self.passed += len(payload)
        return super()._packet(head, payload, sent)


class LibvirtdWithModule(peers.Libvirtd):
    """
    libvirtd whose libvirt directories are those of the root of @beside, a cisternd. preload: a
    library for LD_PRELOAD. conf: more lines of libvirtd.conf. program: the executable.
    config_option: the words before the name of libvirtd.conf; the name follows the last one.
    """

    def __init__(self, beside, name="libvirtd"):  # pylint: disable=super-init-not-called
        self.name = name
        self.root = beside.root
        self.process = None
        self.preload = None
        self.conf = ""
        self.program = "libvirtd"
        self.config_option = ("-f", "")
        self.sock_dir = space.path(name + "-sock")
        os.makedirs(self.sock_dir, exist_ok=True)
        self.sock = os.path.join(self.sock_dir, "libvirt-sock")
        self.sock_ro = os.path.join(self.sock_dir, "libvirt-sock-ro")

    @property
    def uri(self):
        return f"qemu+unix:///system?socket={self.sock}"

    @property
    def uri_ro(self):
        return f"qemu+unix:///system?socket={self.sock_ro}"

    def write_configuration(self):
        path = os.path.join(self.root, "libvirtd.conf")
        with open(path, "w", encoding="utf-8") as conf:
            conf.write(f'unix_sock_dir = "{self.sock_dir}"\nunix_sock_group = "root"\n'
                       'unix_sock_ro_perms = "0777"\nunix_sock_rw_perms = "0777"\n'
                       'auth_unix_ro = "none"\nauth_unix_rw = "none"\n'
                       'log_outputs = "3:stderr"\n' + self.conf)
        qemu = os.path.join(self.root, "etc/libvirt/qemu.conf")
        os.makedirs(os.path.dirname(qemu), exist_ok=True)
        with open(qemu, "w", encoding="utf-8") as conf:
            conf.write(modular.QEMU_CONF)
        return path

    def launch(self):
        """Starts libvirtd; returns once it listens, which is before its drivers are ready."""
        conf = self.write_configuration()
        for leftover in (self.sock, self.sock_ro):
            if os.path.exists(leftover):
                os.unlink(leftover)
        # A copy, because mount --bind would pin the file of the build.
        module = shutil.copy(MODULE, space.path("libvirt_driver_storage.so"))
        preload = ["env", "LD_PRELOAD=" + self.preload] if self.preload else []
        self.spawn(peers.in_place(
            self.root, "sh", "-ec", MOUNT, "sh", module, stock_driver("storage"), *preload,
            self.program, *self.config_option[:-1], self.config_option[-1] + conf, "-p", os.path.join(self.root, "libvirtd.pid")), self.sock)

    def start(self):
        self.launch()
        self.wait_for_drivers()

    def domain_pid(self, domain):
        with open(os.path.join(self.root, "run/libvirt/qemu", domain + ".pid"),
                  encoding="ascii") as stream:
            return int(stream.read())

    end_domains = modular.Modular.end_domains
