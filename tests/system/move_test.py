# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes moved to another pool: all of them, once, or not at all."""

import json
import os
import signal
import subprocess

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20


class Moving(WithDaemon):
    def setUp(self):
        super().setUp()
        os.makedirs(self.at("q"))
        self.ok("pool-create-as", "q", "dir", "--target", self.at("q"))
        self.ok("vol-create-as", "p", "disk", "32M", "--format", "qcow2")
        self.io(self.at("p", "disk"), "write -P 5 1M 3M", "write -P 7 20M 100k")

    def io(self, image, *commands, fmt="qcow2"):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", "-f", fmt, *words, image])
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("failed", out)

    def move(self, *words):
        status, out, err = self.cistern("vol-move", *words)
        self.assertEqual((0, ""), (status, err))
        return out

    def is_refused(self, *words, text, code=5):
        before = self.names()
        status, _, err = self.cistern("vol-move", *words)
        self.assertEqual(code, status, err)
        self.assertIn(text, err)
        self.assertEqual(before, self.names())

    def names(self):
        return sorted(os.listdir(self.at("p"))), sorted(os.listdir(self.at("q")))

    def test_an_image_with_its_snapshots(self):
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        self.io(self.at("p", "disk"), "write -P 1 0 8M")
        with open(self.at("p", "disk"), "rb") as stream:
            before = stream.read()
        self.move("disk", "--pool", "p", "--newpool", "q")
        self.assertEqual(([], ["disk"]), self.names())
        with open(self.at("q", "disk"), "rb") as stream:
            self.assertEqual(before, stream.read())
        self.assertIn("then", self.cistern("snap-list", "disk", "--pool", "q")[1])
        # QEMU's tools and libvirt's clients find it there.
        self.assertIn("disk", self.ok("vol-list", "q"))
        self.assertNotIn("disk", self.ok("vol-list", "p"))
        self.is_refused("q/disk", "--newpool", "p", "--format", "vdi", text="\n  then")

    def test_other_format_in_the_same_pool(self):
        for words in ((), ("--name", "other"), ("--format", "raw"), ("--name", "disk", "--format",
                                                                     "raw"),
                      ("--name", "other", "--format", "qcow2")):
            self.is_refused("disk", "--pool", "p", "--newpool", "p", *words,
                            text="with --format and --name", code=2)
        self.move("disk", "--pool", "p", "--newpool", "p", "--name", "disk.raw", "--format", "raw")
        self.assertEqual((["disk.raw"], []), self.names())
        self.io(self.at("p", "disk.raw"), "read -P 5 1M 3M", "read -P 7 20M 100k", fmt="raw")

    def elsewhere(self):
        """A pool on a file system of its own."""
        where = os.path.join(self.peer.files, "elsewhere")
        os.makedirs(where)
        peers.run(["mount", "-t", "tmpfs", "none", where])
        self.addCleanup(peers.run, ["umount", where])
        self.ok("pool-create-as", "far", "dir", "--target", where)
        self.addCleanup(self.virsh, "pool-destroy", "far")
        return where

    def test_snapshots_of_a_raw_file_where_extents_are_not_shared(self):
        """A memory file system shares none."""
        self.elsewhere()
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        self.is_refused("p/disk", "--newpool", "far", "--format", "raw",
                        text="(a raw volume there cannot receive snapshots; a volume of format 'qcow2' can)")

    def test_in_one_file_system_it_is_a_rename(self):
        before = os.stat(self.at("p", "disk"))
        self.move("p/disk", "--newpool", "q", "--name", "other")
        after = os.stat(self.at("q", "other"))
        self.assertEqual((before.st_ino, 1), (after.st_ino, after.st_nlink))
        self.assertEqual(([], ["other"]), self.names())

    def test_to_another_file_system(self):
        where = self.elsewhere()
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        with open(self.at("p", "disk"), "rb") as stream:
            before = stream.read()
        self.move("p/disk", "--newpool", "far")
        with open(os.path.join(where, "disk"), "rb") as stream:
            self.assertEqual(before, stream.read())
        self.assertEqual(([], []), self.names())
        self.ok("vol-create-as", "p", "raw", "1M")
        self.move("p/raw", "--newpool", "far")
        self.assertEqual(["disk", "raw"], sorted(os.listdir(where)))

    def test_a_link_is_no_file(self):
        """What a trusted link leads to stays where it is, and the copy is a file of its own."""
        target = self.file("target", b"t" * MIB)
        os.symlink(target, self.at("p", "link"))
        self.ok("pool-refresh", "p")
        status, _, err = self.cistern("vol-move", "p/link", "--newpool", "q")
        if status == 0:
            self.assertFalse(os.path.islink(self.at("q", "link")))
            self.assertNotEqual(os.stat(target).st_ino, os.stat(self.at("q", "link")).st_ino)
        else:
            self.assertEqual((["disk", "link"], []), self.names(), err)
        with open(target, "rb") as stream:
            self.assertEqual(b"t" * MIB, stream.read())

    def test_another_format_and_name(self):
        self.ok("vol-clone", "disk", "same", "--pool", "p")
        self.move("p/disk", "--newpool", "q", "--format", "raw", "--name", "plain")
        self.assertEqual((["same"], ["plain"]), self.names())
        self.assertEqual(0, peers.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2",
                                       self.at("q", "plain"), self.at("p", "same")])[0])

    def test_an_overlay_stays_one(self):
        self.ok("vol-create-as", "p", "top", "32M", "--format", "qcow2", "--backing-vol", "disk",
                "--backing-vol-format", "qcow2")
        self.is_refused("disk", "--newpool", "q", text="p/top")
        self.move("top", "--newpool", "q")
        self.io(self.at("q", "top"), "read -P 5 1M 3M")
        # What it refers to was declared, and still is.
        self.assertEqual(0, self.cistern("vol-clone", "q/top", "copy")[0])
        self.io(self.at("q", "copy"), "read -P 7 20M 100k")

    def test_a_reference_that_is_true_from_one_place_only(self):
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "disk", "-F", "qcow2",
                   self.at("p", "top")], cwd=self.at("p"))
        self.ok("pool-refresh", "p")
        self.cistern("vol-trust", "p/top")
        self.is_refused("top", "--newpool", "q", text="vol-rebase", code=1)

    def test_what_is_in_use(self):
        machine = subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("p", "disk")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(machine.communicate)
        self.wait_until(lambda: "qemu-io" in self.cistern("vol-holders", "p/disk")[1],
                        "QEMU has it open")
        self.is_refused("disk", "--newpool", "q", text="qemu-io")

    def test_nobody_writes_to_it_meanwhile(self):
        """A machine that starts in the middle is refused the disk, not given one that goes away."""
        self.ok("vol-create-as", "p", "big", "64M", "--format", "raw")
        peers.run(["qemu-io", "-f", "raw", "-c", "write -P 3 0 64M", self.at("p", "big")])
        child = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "vol-move", "p/big",
                                  "--newpool", "q", "--format", "qcow2", "--rate-limit", "8M"],
                                 env=space.ENV,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.wait_until(lambda: [job for job in json.loads(
            self.cistern("--json", "job-list")[1])["jobs"]
            if job["operation"] == "move" and job["done"]], "the move has copied a part",
            lambda: self.cistern("job-list")[1])
        status, _, err = peers.run(["qemu-io", "-f", "raw", "-c", "write 0 1M",
                                    self.at("p", "big")])
        self.assertNotEqual(0, status)
        self.assertIn("lock", err)
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)
        self.assertNotEqual(0, child.returncode)
        self.wait_until(lambda: not self.cistern("job-list", "-H")[1], "the daemon is done with it")
        self.assertEqual((["big", "disk"], []), self.names())
        self.move("p/big", "--newpool", "q")
        self.assertEqual((["disk"], ["big"]), self.names())

    def test_names_that_are_taken(self):
        self.ok("vol-create-as", "q", "disk", "1M")
        self.is_refused("p/disk", "--newpool", "q", text="exists already")
        self.is_refused("p/disk", "--newpool", "p", text="vol-rename", code=2)
        self.cistern("vol-protect", "p/disk")
        self.is_refused("p/disk", "--newpool", "q", "--name", "other", text="protected")

    def test_no_space(self):
        where = os.path.join(self.peer.files, "small")
        os.makedirs(where)
        peers.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", where])
        self.addCleanup(peers.run, ["umount", where])
        self.ok("pool-create-as", "small", "dir", "--target", where)
        self.addCleanup(self.virsh, "pool-destroy", "small")
        self.is_refused("p/disk", "--newpool", "small", text="it needs", code=1)
        self.assertEqual([], os.listdir(where))

    def test_what_was_declared_is_no_more_than_before(self):
        """A raw volume whose content claims to be an overlay stays raw, linked or copied."""
        self.elsewhere()
        secret = self.file("secret", b"s" * 4096)
        evil = os.path.join(self.peer.files, "evil")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", evil, "1M"])
        self.ok("vol-create-as", "p", "raw", "1M")
        self.ok("vol-upload", "raw", evil, "--pool", "p")
        self.move("p/raw", "--newpool", "q")
        self.ok("pool-refresh", "q")
        self.assertNotIn(secret, self.ok("vol-dumpxml", "raw", "--pool", "q"))
        self.move("q/raw", "--newpool", "far")
        self.ok("pool-refresh", "far")
        self.assertNotIn(secret, self.ok("vol-dumpxml", "raw", "--pool", "far"))

    def test_detached(self):
        status, _, err = self.cistern("vol-move", "p/disk", "--newpool", "q", "--detach")
        self.assertEqual((0, ""), (status, err))
        self.wait_until(lambda: self.names() == ([], ["disk"]), "it is there")

    def test_dry_run(self):
        before = self.names()
        self.assertIn("Would move vol p/disk to pool q",
                      self.move("p/disk", "--newpool", "q", "--dry-run"))
        self.assertEqual(before, self.names())
        self.is_refused("p/disk", "--newpool", "q", "--dry-run", "--format", "nothing",
                        text="nothing", code=1)
