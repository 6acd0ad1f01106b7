# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools on a device's file system: made, mounted, used, and what is not the pool's left alone."""

import json
import os
import re
import shutil
import signal
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
TENANT = 12345
OPTIONS = """<pool type='fs' xmlns:fs='http://libvirt.org/schemas/storagepool/fs/1.0'>
<name>m</name><source><device path='%s'/><format type='ext4'/></source>
<target><path>%s</path></target>
<fs:mount_opts><fs:option name='sync'/><fs:option name='noatime'/></fs:mount_opts></pool>"""


def run(*argv):
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def signature(device):
    return subprocess.run(["blkid", "-p", "-o", "value", "-s", "TYPE", device], check=False,
                          stdout=subprocess.PIPE, text=True).stdout.strip()


@unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
class Disks(WithDaemon):
    """Loop devices as disks."""

    def setUp(self):
        super().setUp()
        self.device = self.disk("disk")

    def disk(self, name, size=128 * MIB):
        image = self.file(name)
        os.truncate(image, size)
        device = run("losetup", "-f", "--show", image)
        self.addCleanup(lambda: subprocess.run(["losetup", "-d", device], check=True))
        return device

    def tearDown(self):
        self.virsh("pool-destroy", "m")
        subprocess.run(["umount", "-q", self.at("m")], check=False, stderr=subprocess.DEVNULL)
        super().tearDown()

    def done(self, *words, **options):
        status, out, err = self.cistern("--yes", *words, **options)
        self.assertEqual(0, status, f"{' '.join(words)}: {err}")
        return out

    def refused(self, *words, text, status=5):
        told, out, err = self.cistern("--yes", *words)
        self.assertEqual(status, told, f"{' '.join(words)}: {out}{err}")
        self.assertIn(text, err)

    def define(self, form="ext4", device=None):
        self.ok("pool-define-as", "m", "fs", "--source-dev", device or self.device, "--target",
                self.at("m"), "--source-format", form)

    def make(self, form="ext4"):
        self.define(form)
        self.done("pool-build", "m", "--overwrite")
        self.ok("pool-start", "m")

    def row(self):
        """The options and what follows of the kernel's row; empty when nothing is mounted."""
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            return "".join(line.split(" ", 5)[5] for line in table
                           if f" {self.at('m')} " in line)

    def problem(self):
        return json.loads(self.cistern("--json", "pool-info", "m")[1])["pool"].get("problem")


class Build(Disks):
    """What pool-build makes, and on what."""

    def test_each_file_system_that_its_tool_makes(self):
        with open("/proc/filesystems", encoding="ascii") as known:
            mountable = {line.split()[-1] for line in known}
        for form in ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs"):
            if not shutil.which(f"mkfs.{form}"):
                continue
            with self.subTest(form):
                self.device = self.disk(form, 512 * MIB)
                self.define(form)
                self.done("pool-build", "m", "--overwrite")
                self.assertEqual(form, signature(self.device))
                mounted = "fuseblk" if form == "ntfs" else form
                if mounted in mountable:
                    self.ok("pool-start", "m")
                    self.assertIn(f" - {mounted} ", self.row())
                    self.ok("vol-create-as", "m", "v", "1M", "--format", "qcow2")
                    self.ok("pool-destroy", "m")
                    self.assertEqual("", self.row())
                self.ok("pool-undefine", "m")

    def test_only_pool_build_formats_a_device(self):
        self.define("ext4")
        self.ok("pool-build", "m")
        self.assertEqual("", signature(self.device))
        run("mkfs.xfs", "-q", "-f", "-d", "size=300m", self.disk("other", 512 * MIB))
        run("mkfs.ext4", "-q", self.device)
        self.refused("pool-build", "m", "--no-overwrite", text="already formatted using 'ext4'")
        self.ok("pool-undefine", "m")
        self.define("xfs")
        self.refused("pool-build", "m", "--no-overwrite", text="carries 'ext4'")
        self.assertEqual("ext4", signature(self.device))

    def test_a_partition_table_is_content_too(self):
        subprocess.run(["sfdisk", "-q", "--no-reread", "--no-tell-kernel", self.device], input="label: gpt\n,\n", text=True,
                       check=True)
        self.define()
        self.refused("pool-build", "m", "--no-overwrite", text="carries 'gpt'")
        self.done("pool-build", "m", "--overwrite")
        self.assertEqual("ext4", signature(self.device))

    def test_a_device_in_use_is_refused_with_any_flags(self):
        self.define()
        run("mkfs.ext4", "-q", self.device)
        space.mount(self.at("elsewhere"), self.device)
        self.refused("pool-build", "m", "--overwrite",
                     text=f"is in use: mounted on '{self.at('elsewhere')}'")
        space.unmount(self.at("elsewhere"))
        with open(self.device, "rb"):
            self.refused("pool-build", "m", "--overwrite", text=f"process {os.getpid()} (")
        subprocess.run(["mkswap", "-q", "-f", self.device], check=True, stderr=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL)
        run("swapon", self.device)
        try:
            self.refused("pool-build", "m", "--overwrite", text="swap space")
        finally:
            run("swapoff", self.device)
        self.done("pool-build", "m", "--overwrite")

    def test_an_impossible_file_system_is_refused_before_any_change(self):
        self.define("auto")
        self.refused("pool-build", "m", "--overwrite", text="no file system of type 'auto'",
                     status=1)
        self.assertFalse(os.path.exists(self.at("m")))
        self.ok("pool-undefine", "m")
        self.define("gfs2")
        if not shutil.which("mkfs.gfs2"):
            self.refused("pool-build", "m", "--overwrite", text="install package 'gfs2-utils'",
                         status=1)

    def test_a_dry_run_checks_and_leaves_the_device_unchanged(self):
        self.define()
        self.done("--dry-run", "pool-build", "m", "--overwrite")
        self.assertEqual("", signature(self.device))
        self.assertFalse(os.path.exists(self.at("m")))
        run("mkfs.ext4", "-q", self.device)
        self.refused("--dry-run", "pool-build", "m", "--no-overwrite", text="already formatted")
        self.done("pool-build", "m")
        self.done("--dry-run", "pool-start", "m")
        self.assertEqual("", self.row())


class Mounts(Disks):
    """What is mounted when, and what is not touched."""

    def test_mount_options_come_from_the_definition(self):
        run("mkfs.ext4", "-q", self.device)
        self.ok("pool-define", self.file("m.xml", OPTIONS % (self.device, self.at("m"))))
        self.ok("pool-build", "m")
        self.ok("pool-start", "m")
        for option in ("nosuid", "nodev", "noexec", "noatime", "sync"):
            self.assertIn(option, re.split(r"[,\s]+", self.row()))

    def test_a_device_mounted_elsewhere_is_named(self):
        self.make()
        self.ok("pool-destroy", "m")
        space.mount(self.at("elsewhere"), self.device)
        self.refused("pool-start", "m", text=f"mounted on '{self.at('elsewhere')}'")
        self.assertEqual("", self.row())
        space.unmount(self.at("elsewhere"))
        self.ok("pool-start", "m")

    def test_something_else_at_the_target_is_named(self):
        self.make()
        self.ok("pool-destroy", "m")
        space.tmpfs(self.at("m"), "4m")
        self.refused("pool-start", "m", text=f"'tmpfs' is mounted on '{self.at('m')}'")
        space.unmount(self.at("m"))
        # A part of the right file system is not all of it.
        space.mount(self.at("whole"), self.device)
        os.mkdir(self.at("whole", "part"))
        run("mount", "--bind", self.at("whole", "part"), self.at("m"))
        self.refused("pool-start", "m", text="is mounted on")
        space.umount(self.at("m"))
        space.unmount(self.at("whole"))

    def test_the_right_mount_is_used(self):
        self.make()
        self.ok("vol-create-as", "m", "v", "1M")
        self.ok("pool-destroy", "m")
        run("mount", self.device, self.at("m"))
        self.ok("pool-start", "m")
        self.assertEqual(1, self.row().count("\n"))
        self.assertIn("v", self.ok("vol-list", "m"))
        self.ok("pool-destroy", "m")
        self.assertEqual("", self.row())

    def test_by_a_link_to_the_device_and_to_the_target(self):
        run("mkfs.ext4", "-q", self.device)
        os.symlink(self.device, self.at("by-name"))
        os.mkdir(self.at("real"))
        os.symlink(self.at("real"), self.at("m"))
        self.define(device=self.at("by-name"))
        self.ok("pool-start", "m")
        self.ok("vol-create-as", "m", "v", "1M")
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            self.assertIn(f" {self.at('real')} ", table.read())
        self.peer.restart()
        self.assertIn("running", self.ok("pool-info", "m"))
        self.ok("pool-destroy", "m")
        self.assertEqual(["real"], [name for name in os.listdir(self.at())
                                    if name == "real" and not os.listdir(self.at(name))])

    def test_a_mount_of_fstab_stays(self):
        self.make()
        self.ok("vol-create-as", "m", "v", "1M")
        if not os.path.exists("/etc/fstab"):
            self.skipTest("there is no /etc/fstab")
        table = self.file("fstab", f"UUID=0000 {self.at('m')} ext4 defaults 0 2\n")
        run("mount", "--bind", table, "/etc/fstab")
        self.addCleanup(run, "umount", "/etc/fstab")
        self.ok("pool-destroy", "m")
        self.assertIn("ext4", self.row())
        self.assertIn("inactive", self.ok("pool-info", "m"))
        self.ok("pool-start", "m")
        self.assertIn("v", self.ok("vol-list", "m"))
        with open(table, "w", encoding="utf-8") as out:
            out.write(f"UUID=0000 {self.at('m')} ext4 defaults,noauto 0 2\n")
        self.ok("pool-destroy", "m")
        self.assertEqual("", self.row())

    def test_the_process_that_keeps_a_mount_busy_is_named(self):
        self.make()
        self.ok("vol-create-as", "m", "v", "1M")
        with subprocess.Popen(["sh", "-c", 'exec sleep infinity <"$1"', "sh", self.at("m", "v")]) as guest:
            try:
                self.wait_until(lambda: os.path.realpath(f"/proc/{guest.pid}/fd/0")
                                == self.at("m", "v"), "the file to be open")
                self.refused("pool-destroy", "m", text=f"is in use: process {guest.pid} (sleep)")
            finally:
                guest.kill()
        loop = run("losetup", "-f", "--show", self.at("m", "v"))
        self.refused("pool-destroy", "m", text=f"loop device {loop}")
        run("losetup", "-d", loop)
        os.mkdir(self.at("m", "below"))
        space.tmpfs(self.at("m", "below"), "1m")
        self.refused("pool-destroy", "m", text=f"mounted on '{self.at('m', 'below')}'")
        space.unmount(self.at("m", "below"))
        self.assertIn("running", self.ok("pool-info", "m"))
        self.ok("pool-destroy", "m")

    def test_mount_is_refused_where_other_users_can_replace_a_directory(self):
        run("mkfs.ext4", "-q", self.device)
        os.makedirs(self.at("home", "m"))
        os.chown(self.at("home"), TENANT, TENANT)
        self.ok("pool-define-as", "m", "fs", "--source-dev", self.device, "--target",
                self.at("home", "m"))
        self.refused("pool-start", "m", text="users other than root can replace the directory",
                     status=4)
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            self.assertNotIn(self.device, table.read())


class Identity(Disks):
    """Only the file system that the pool was started with is read or written."""

    def setUp(self):
        super().setUp()
        self.make()
        self.ok("vol-create-as", "m", "v", "64k")

    def test_another_one_is_refused_until_it_is_accepted(self):
        self.ok("pool-destroy", "m")
        run("mkfs.ext4", "-q", "-F", self.device)
        self.refused("pool-start", "m", text="another file system is mounted")
        self.assertEqual("", self.row())
        self.done("pool-build", "m")
        self.ok("pool-start", "m")

    def test_a_missing_device_is_said_to_be_missing(self):
        self.ok("pool-destroy", "m")
        self.ok("pool-undefine", "m")
        self.define(device=self.at("none"))
        self.refused("pool-start", "m", text="cannot find device", status=3)

    def test_unmounted_and_mounted_again_by_another_program(self):
        space.umount(self.at("m"))
        self.wait_until(self.problem, "a problem")
        for words in (("vol-create-as", "m", "n", "64k"), ("vol-delete", "v", "--pool", "m"),
                      ("vol-wipe", "v", "--pool", "m")):
            self.assertNotEqual(0, self.cistern("--yes", *words)[0], words)
        self.assertEqual([], os.listdir(self.at("m")))
        run("mount", self.device, self.at("m"))
        self.wait_until(lambda: not self.problem(), "the end of the problem")
        self.ok("vol-create-as", "m", "n", "64k")

    def test_another_file_system_mounted_by_another_program(self):
        other = self.disk("other")
        run("mkfs.ext4", "-q", other)
        space.umount(self.at("m"))
        run("mount", other, self.at("m"))
        self.wait_until(self.problem, "a problem")
        self.refused("vol-create-as", "m", "n", "64k", text="is not mounted on")
        self.assertEqual(["lost+found"], os.listdir(self.at("m")))
        space.umount(self.at("m"))

    def test_the_daemon_is_killed_and_starts_again(self):
        self.peer.restart(signal.SIGKILL)
        self.assertIn("running", self.ok("pool-info", "m"))
        self.assertIn("v", self.ok("vol-list", "m"))
        self.ok("vol-create-as", "m", "n", "64k")

    def test_a_btrfs_has_another_number_each_time(self):
        self.ok("pool-destroy", "m")
        self.ok("pool-undefine", "m")
        self.device = self.disk("btrfs", 512 * MIB)
        self.make("btrfs")
        space.umount(self.at("m"))
        space.tmpfs(self.at("x"), "1m")  # takes the number
        run("mount", self.device, self.at("m"))
        self.wait_until(lambda: not self.problem(), "the end of the problem")
        self.ok("vol-create-as", "m", "v", "64k")
        space.unmount(self.at("x"))
        self.ok("pool-destroy", "m")


class Embedded(Disks):
    """Without a daemon."""

    def test_a_life(self):
        self.peer.stop()

        def did(*words):
            status, out, err = peers.run([space.CISTERN, "-c",
                                          f"storage:///embed?root={self.peer.root}", "--yes",
                                          *words])
            self.assertEqual(0, status, f"{' '.join(words)}: {err}")
            return out
        did("pool-define-as", "m", "fs", "--source-dev", self.device, "--target", self.at("m"),
            "--source-format", "ext4")
        did("pool-build", "m", "--no-overwrite")
        did("pool-start", "m")
        did("vol-create-as", "m", "v", "64k")
        self.assertIn("v", did("vol-list", "m"))
        did("pool-destroy", "m")
        self.assertEqual("", self.row())


if __name__ == "__main__":
    unittest.main()
