# SPDX-License-Identifier: LGPL-2.1-or-later
"""A volume that the kernel uses as a device (losetup, mount, swapon): nothing destroys it."""

import contextlib
import os
import struct
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20


def tool(*words):
    return subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=space.ENV, check=True).stdout.strip()


def can_attach():
    """A loop device is to be had here."""
    path = space.path("probe.img")
    with open(path, "wb") as stream:
        stream.truncate(MIB)
    try:
        tool("losetup", "-d", tool("losetup", "-f", "--show", path))
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        os.unlink(path)
    return True


@contextlib.contextmanager
def attached(path, *options):
    device = tool("losetup", *options, "-f", "--show", path)
    try:
        yield device
    finally:
        tool("losetup", "-d", device)


@contextlib.contextmanager
def mounted(device, where, *options):
    os.makedirs(where, exist_ok=True)
    tool("mount", *options, device, where)
    try:
        yield
    finally:
        tool("umount", where)


@unittest.skipUnless(space.private_mounts() and can_attach(), "needs loop devices")
class Attached(WithDaemon):
    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "4M")
        self.path = self.at("p", "v")
        with open(self.path, "r+b") as stream:
            stream.write(b"precious" * 1000)
        self.data = self.file("data", b"x" * 4096)

    def content(self, path=None):
        with open(path or self.path, "rb") as stream:
            return stream.read()

    def refused(self, words, name="v"):
        """Whatever destroys the volume's content says @words and leaves it."""
        path = self.at("p", name)
        before = self.content(path)
        for command in (f"vol-delete {name} --pool p", f"vol-wipe {name} --pool p",
                        f"vol-upload {name} {self.data} --pool p",
                        f"vol-resize {name} 1M --pool p --shrink"):
            with self.subTest(command=command):
                self.assertIn(words, self.fails(*command.split()))
                status, _, err = self.cistern(*command.split())
                self.assertEqual(5, status, err)
                self.assertIn(words, err)
                self.assertEqual(before, self.content(path))

    def test_a_loop_device(self):
        with attached(self.path) as device:
            self.refused(f"loop device {device}")
            self.ok("vol-resize", "v", "8M", "--pool", "p")
        self.ok("vol-wipe", "v", "--pool", "p")
        self.ok("vol-delete", "v", "--pool", "p")

    def test_the_file_counts_and_not_its_name(self):
        """Attached under another name, renamed since: it is the same file. A file that took the
        name over is another one."""
        other = self.at("elsewhere")
        os.link(self.path, other)
        with attached(other) as device:
            os.unlink(other)
            with open(other, "wb") as stream:
                stream.truncate(MIB)
            self.refused(f"loop device {device}")
            self.ok("vol-create-as", "p", "w", "4M")
            self.ok("vol-delete", "w", "--pool", "p")

    def test_the_stacked_device_is_named(self):
        tool("mkfs.ext4", "-q", self.path)
        self.ok("pool-refresh", "p")
        with attached(self.path) as device:
            with mounted(device, self.at("mnt")):
                self.refused(f"loop device {device} (mounted on '{self.at('mnt')}')")

    def test_a_btrfs_upon_it_is_named(self):
        """Its mounts show a number that is no device's."""
        with open(self.path, "r+b") as stream:
            stream.truncate(128 * MIB)
        tool("mkfs.btrfs", "-q", self.path)
        self.ok("pool-refresh", "p")
        with attached(self.path) as device:
            with mounted(device, self.at("mnt")):
                self.refused(f"loop device {device} (mounted on '{self.at('mnt')}')")

    def test_only_a_writer_keeps_a_volume_from_being_a_base(self):
        clone = "vol-clone v copy --pool p --linked".split()
        with attached(self.path) as device:
            status, _, err = self.cistern(*clone)
            self.assertEqual(5, status, err)
            self.assertIn(f"open for writing: loop device {device}", err)
        with attached(self.path, "-r") as device:
            out = self.cistern("vol-holders", "v", "--pool", "p", "-H")[1]
            self.assertEqual(f"loop device {device}\treads\t-\n", out)
            self.refused(f"loop device {device}")
            self.assertEqual((0, ""), self.cistern(*clone)[::2])
            self.ok("vol-delete", "copy", "--pool", "p")

    def test_a_partition_of_it_is_named(self):
        # A partition table of IBM's: one Linux partition from sector 2048 to the end.
        with open(self.path, "r+b") as stream:
            stream.seek(446)
            stream.write(struct.pack("<B3sB3sII", 0, b"", 0x83, b"", 2048, 4 * MIB // 512 - 2048))
            stream.seek(510)
            stream.write(b"\x55\xaa")
        device = tool("losetup", "-f", "--show", "-P", self.path)
        try:
            if not os.path.exists(f"/sys/block/{os.path.basename(device)}/"
                                  f"{os.path.basename(device)}p1"):
                self.skipTest("no partitions on loop devices here")
            node = self.at("part")
            with open(f"/sys/class/block/{os.path.basename(device)}p1/dev",
                      encoding="ascii") as stream:
                major, minor = stream.read().split(":")
            os.mknod(node, 0o60600, os.makedev(int(major), int(minor)))
            tool("mkfs.ext4", "-q", node)
            with mounted(node, self.at("mnt")):
                self.refused(f"loop device {device} (mounted on '{self.at('mnt')}')")
        finally:
            tool("losetup", "-d", device)

    def test_swap_space(self):
        """On a file system that can hold some, which a tmpfs can't."""
        with open(self.at("disk"), "wb") as stream:
            stream.truncate(64 * MIB)
        tool("mkfs.ext4", "-q", self.at("disk"))
        with mounted(self.at("disk"), self.at("q"), "-o", "loop"):
            self.ok("pool-define-as", "q", "dir", "--target", self.at("q"))
            self.ok("pool-start", "q")
            self.ok("vol-create-as", "q", "swap", "1M", "--allocation", "1M")
            path = self.at("q", "swap")
            with open(path, "r+b") as stream:
                stream.write(b"\0" * MIB)
            tool("mkswap", path)
            os.sync()
            try:
                tool("swapon", "-p", "0", path)
            except subprocess.CalledProcessError as why:
                self.skipTest(f"no swap here: {why.stderr}")
            try:
                for command in ("vol-delete swap --pool q", "vol-wipe swap --pool q"):
                    self.assertIn("swap space", self.fails(*command.split()))
            finally:
                tool("swapoff", path)
            self.ok("vol-delete", "swap", "--pool", "q")
            self.ok("pool-destroy", "q")

    def test_without_a_daemon(self):
        with attached(self.path) as device:
            self.peer.stop()
            try:
                status, _, err = peers.run([space.CISTERN, "-c",
                                            f"storage:///embed?root={self.peer.root}",
                                            "vol-delete", "v", "--pool", "p"])
            finally:
                self.peer.start()
            self.assertEqual(5, status, err)
            self.assertIn(f"loop device {device}", err)
        self.assertTrue(os.path.exists(self.path))
