# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's modular daemons, virtqemud and virtsecretd, beside a cisternd that serves their sockets."""

import contextlib
import os
import signal
import subprocess
import unittest

from . import peers, space

BUILDER = os.path.join(space.TOP, "scripts/libvirt-daemons")

CONF = 'auth_unix_ro = "none"\nauth_unix_rw = "none"\nlog_outputs = "3:stderr"\n'
# What needs more than a mount namespace is off.
QEMU_CONF = """user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""

_folder = []


def folder():
    """Where the daemons are, built when they are not; skips the test that asks where they can't be."""
    if not space.private_mounts():
        raise unittest.SkipTest("libvirt's daemons need root and a mount namespace of their own")
    if not _folder:
        cache = os.environ.get("CISTERN_LAB") or os.path.join(space.BUILD, "lab")
        done = subprocess.run([BUILDER, cache], text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if done.returncode not in (0, 77):
            raise RuntimeError(done.stderr)
        _folder.append((done.stdout.strip(), done.stderr.strip()))
    path, reason = _folder[0]
    if not path:
        raise unittest.SkipTest(reason)
    return path


class Modular(peers.Peer):
    """One of them, in a mount namespace whose libvirt directories are those of @beside's root."""

    def __init__(self, name, beside):  # pylint: disable=super-init-not-called
        self.name = name
        self.root = beside.root
        self.process = None
        self.sock = os.path.join(self.root, "run/libvirt", name + "-sock")

    @property
    def uri(self):
        return f"{self.name[4:-1]}+unix:///system?socket={self.sock}"

    def start(self):
        for name, text in ((self.name + ".conf", CONF), ("qemu.conf", QEMU_CONF)):
            path = os.path.join(self.root, "etc/libvirt", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as conf:
                conf.write(text)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.sock)
        self.spawn(peers.in_place(self.root, os.path.join(folder(), self.name), "-t", "0"),
                   self.sock)
        self.wait_for_drivers()

    def domain_pid(self, domain):
        with open(os.path.join(self.root, "run/libvirt/qemu", domain + ".pid"),
                  encoding="ascii") as stream:
            return int(stream.read())

    def end_domains(self):
        """Whatever a test that failed has left running."""
        place = os.path.join(self.root, "run/libvirt/qemu")
        for name in os.listdir(place) if os.path.isdir(place) else ():
            if name.endswith(".pid"):
                with contextlib.suppress(OSError, ValueError):
                    os.kill(self.domain_pid(name[:-len(".pid")]), signal.SIGKILL)
