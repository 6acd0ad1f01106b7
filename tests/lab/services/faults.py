# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that can begin to fail, or to hang: device-mapper over a real one."""

from kit import out, run


class Disk:
    """/dev/mapper/NAME is DEVICE, or a part of it, until it fails or hangs."""

    def __init__(self, name, device):
        self.name, self.device = name, device
        self.path = f"/dev/mapper/{name}"
        sectors = out("blockdev", "--getsz", device).strip()
        self.sound, self.broken = f"0 {sectors} linear {device} 0", f"0 {sectors} error"
        run("modprobe", "dm_mod")
        run("dmsetup", "create", name, "--table", self.sound)
        run("udevadm", "settle")

    def load(self, table):
        # What is under way may be stuck in the disk that hangs: it is not waited for.
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)
        run("dmsetup", "load", self.name, "--table", table)
        # udev may be waiting itself, for what reads the disk that hung.
        run("dmsetup", "--noudevsync", "resume", self.name)

    def fail(self):
        """Every read and every write is an I/O error."""
        self.load(self.broken)

    def hang(self):
        """Reads and writes wait until mend() or fail()."""
        run("dmsetup", "suspend", "--noflush", "--nolockfs", self.name)

    def mend(self):
        self.load(self.sound)

    def remove(self):
        run("dmsetup", "remove", "--force", self.name)
