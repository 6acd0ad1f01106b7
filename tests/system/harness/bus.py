# SPDX-License-Identifier: LGPL-2.1-or-later
"""A system bus of our own with libvirt-dbus on it, which serves the daemon that runs in @peer's place.

libvirt-dbus knows qemu:///system only by its path below /run, so it runs in the mount namespace of a
daemon that was started in place (peers.CisterndInPlace, peers.Libvirtd).
"""

import atexit
import os
import shutil
import subprocess

from . import peers, space, wait

LIBVIRT_DBUS = "/usr/sbin/libvirt-dbus"
CONF = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>{address}</listen>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/>
<allow send_type="signal"/><allow receive_sender="*"/><allow send_destination="*"/></policy>
</busconfig>
"""


def missing():
    """What is not installed; "" when all is there."""
    return ", ".join(name for name in ("dbus-daemon", LIBVIRT_DBUS, "nsenter")
                     if not shutil.which(name, path=space.ENV["PATH"]))


def inside(peer, *argv):
    """The command in the mount namespace of a daemon that runs in place."""
    return ["nsenter", "-t", str(peer.process.pid), "-m", *argv]


def stand_in_for_hypervisor(peer):
    """Makes qemu:///system reach this daemon, whose storage a hypervisor's daemon would pass on."""
    path = os.path.join(peer.root, "run/libvirt/libvirt-sock")
    if not os.path.lexists(path):
        os.symlink(peer.sock, path)


class Bus:
    def __init__(self, peer):
        self.peer = peer
        self.processes = []
        socket = space.path("system-bus")
        self.address = f"unix:path={socket}"
        self.log = space.path("system-bus.log")
        self.env = dict(space.ENV, DBUS_SYSTEM_BUS_ADDRESS=self.address)
        conf = space.path("system-bus.conf")
        with open(conf, "w", encoding="utf-8") as stream:
            stream.write(CONF.format(address=self.address))
        atexit.register(self.stop)
        stand_in_for_hypervisor(peer)
        self.spawn("dbus-daemon", "--nofork", "--nopidfile", f"--config-file={conf}")
        peers.wait_for_socket(socket, self.processes[0], self.log)
        self.spawn(*inside(peer, LIBVIRT_DBUS, "--system"))
        self.wait_for_name("org.libvirt")

    def spawn(self, *argv):
        with open(self.log, "ab") as stream:
            self.processes.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stream,
                                                   stderr=stream, env=self.env))

    def wait_for_name(self, name):
        argv = ["gdbus", "call", "--address", self.address, "-d", "org.freedesktop.DBus", "-o", "/",
                "-m", "org.freedesktop.DBus.GetNameOwner", name]

        def text():
            with open(self.log, encoding="utf-8", errors="replace") as stream:
                return stream.read()[-2000:]

        def is_owned():
            if self.processes[-1].poll() is not None:
                raise peers.PeerError(f"no {name} on the bus: {text()}")
            return subprocess.run(argv, env=self.env, stdout=subprocess.DEVNULL, check=False,
                                  stderr=subprocess.DEVNULL).returncode == 0

        wait.until(is_owned, f"{name} on the bus", text)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait()
        self.processes = []
