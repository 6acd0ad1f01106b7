# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of volumes: taken, shown, gone back to, cloned, renamed, deleted; by our command line
against the daemon, with qemu-img's eye on the content."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20


class Snapshots(WithDaemon):
    def done(self, *words):
        status, out, err = self.cistern(*words)
        self.assertEqual(0, status, f"{' '.join(words)}: {err}")
        return out

    def refuses(self, status, text, *words):
        got, _out, err = self.cistern(*words)
        self.assertEqual(status, got, err)
        self.assertIn(text, err)

    def names(self, volume, pool="p"):
        out = self.done("--json", "snap-list", volume, "--pool", pool)
        return [snapshot["name"] for snapshot in json.loads(out)["snapshots"]]

    def create(self, name, form, pool="p"):
        self.ok("vol-create-as", pool, name, "4M", "--format", form)

    def write(self, path, form, pattern):
        words = ["qemu-io", "-f", form, "-c", f"write -P {pattern} 64k 1M", path]
        self.assertEqual(0, peers.run(words)[0])

    def guest(self, path, form):
        """What the guest sees, as qemu-img reads it."""
        raw = self.file("guest.raw")
        self.assertEqual(0, peers.run(["qemu-img", "convert", "-f", form, "-O", "raw", path,
                                       raw])[0])
        with open(raw, "rb") as data:
            return hashlib.sha256(data.read()).hexdigest()

    def story(self, form, pool="p"):
        """Every snapshot and clone gives back exactly what was there when it was taken."""
        path = self.at(pool, "v")
        seen = {}
        self.create("v", form, pool)
        for pattern, name in ((1, "one"), (2, "two"), (3, "three")):
            self.write(path, form, pattern)
            self.done("snap-create", "v", name, "--pool", pool)
            seen[name] = self.guest(path, form)
        self.assertEqual(["one", "two", "three"], self.names("v", pool))
        self.write(path, form, 4)
        for name in ("two", "one", "three"):
            self.done("--yes", "snap-revert", "v", name, "--pool", pool)
            self.assertEqual(seen[name], self.guest(path, form), name)
            self.done("snap-clone", "v", name, "copy", "--pool", pool)
            self.assertEqual(seen[name], self.guest(self.at(pool, "copy"), form), name)
            self.ok("vol-delete", "copy", "--pool", pool)
        self.done("snap-rename", "v", "two", "second", "--pool", pool)
        self.done("--yes", "snap-delete", "v", "one", "--pool", pool)
        self.assertEqual({"second", "three"}, set(self.names("v", pool)))
        self.done("--yes", "snap-revert", "v", "second", "--pool", pool)
        self.assertEqual(seen["two"], self.guest(path, form))

    def test_qcow2_keeps_its_own(self):
        self.story("qcow2")
        self.assertEqual(0, peers.run(["qemu-img", "check", self.at("p", "v")])[0])
        listed = peers.run(["qemu-img", "snapshot", "-l", self.at("p", "v")])[1]
        self.assertIn("second", listed)

    def test_what_is_shown(self):
        self.create("v", "qcow2")
        self.done("snap-create", "v", "s", "--pool", "p")
        info = json.loads(self.done("--json", "snap-info", "v", "s", "--pool", "p"))["snapshot"]
        self.assertEqual(("s", 4 * MIB, "qcow2"), (info["name"], info["capacity"],
                                                   info["kept_by"]))
        self.assertRegex(info["created"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertIn("4.00 MiB", self.done("snap-list", "v", "--pool", "p"))
        self.assertIn("Would revert", self.done("snap-revert", "v", "s", "--pool", "p",
                                                "--dry-run"))

    def test_what_can_not_be_is_refused_by_name(self):
        self.create("v", "qcow2")
        self.done("snap-create", "v", "s", "--pool", "p")
        self.refuses(5, "has a snapshot 's' already", "snap-create", "v", "s", "--pool", "p")
        self.refuses(3, "no snapshot 'x'", "--yes", "snap-revert", "v", "x", "--pool", "p")
        self.refuses(3, "no snapshot 'x'", "snap-info", "v", "x", "--pool", "p")
        self.refuses(3, "no snapshot 'x'", "snap-clone", "v", "x", "w", "--pool", "p")
        self.refuses(2, "--yes", "--no-input", "snap-delete", "v", "s", "--pool", "p")
        self.assertEqual(["s"], self.names("v"))

    def test_a_file_system_without_reflinks_is_refused_with_the_alternative(self):
        with self.mounted("mkfs.ext4", "-q") as pool:
            self.create("v", "raw", pool)
            self.refuses(1, "qcow2", "snap-create", "v", "s", "--pool", pool)
            self.assertEqual([], self.names("v", pool))
            self.assertEqual(["lost+found", "v"], sorted(os.listdir(self.at(pool))))

    @contextlib.contextmanager
    def mounted(self, *mkfs):
        """A pool on a file system of its own."""
        if os.geteuid() or not shutil.which(mkfs[0]):
            raise unittest.SkipTest(f"needs root and {mkfs[0]}")
        image = self.file("disk")
        os.truncate(image, 320 * MIB)
        subprocess.run([*mkfs, image], check=True, stdout=subprocess.DEVNULL)
        os.makedirs(self.at("q"))
        subprocess.run(["mount", "-o", "loop", image, self.at("q")], check=True)
        try:
            self.ok("pool-define-as", "q", "dir", "--target", self.at("q"))
            self.ok("pool-start", "q")
            yield "q"
        finally:
            self.virsh("pool-destroy", "q")
            self.virsh("pool-undefine", "q")
            subprocess.run(["umount", self.at("q")], check=True)

    def test_any_format_where_files_share_extents(self):
        self.on_shared_extents("mkfs.xfs", "-q", "-m", "reflink=1")

    def test_the_same_on_btrfs(self):
        self.on_shared_extents("mkfs.btrfs", "-q")

    def on_shared_extents(self, *mkfs):
        with self.mounted(*mkfs) as pool:
            for form in ("raw", "vdi", "vmdk"):
                with self.subTest(form=form):
                    self.story(form, pool)
                    self.assertEqual(["v"], [line.split()[0] for line in self.ok(
                        "vol-list", pool).splitlines()[2:] if line.strip()])
                    self.fails("vol-delete", "v", "--pool", pool, text="has 2 snapshots")
                    self.ok("vol-delete", "v", "--pool", pool, "--delete-snapshots")
                    self.assertEqual([], os.listdir(self.at(pool)))

    def test_a_volume_in_use_is_neither_reverted_nor_loses_snapshots(self):
        self.create("v", "qcow2")
        self.done("snap-create", "v", "s", "--pool", "p")
        with subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("p", "v")], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            holder.stdin.write("length\n")
            holder.stdin.flush()
            holder.stdout.readline()
            for command in ("snap-revert", "snap-delete"):
                self.refuses(5, str(holder.pid), "--yes", command, "v", "s", "--pool", "p")
            holder.kill()
        self.done("--yes", "snap-revert", "v", "s", "--pool", "p")

    def test_odd_names(self):
        """A name is kept as it was given, or refused; never taken for a path, nor for an option."""
        odd = ["a b", " lead", "-x", "--pool", ".hidden", "a@b", "\u00fc\u2192\u540d", "n" * 255]
        with self.mounted("mkfs.xfs", "-q", "-m", "reflink=1") as pool:
            for form in ("raw", "qcow2"):
                self.create(form, form, pool)
                for name in odd:
                    self.done("snap-create", form, "--name", name, "--pool", pool)
                self.assertEqual(odd, self.names(form, pool))
                for name, text in (("a/b", "cannot contain '/'"), ("..", "cannot be '..'"),
                                   (".", "cannot be '.'"), ("n" * 256, "longer than 255"),
                                   ("a\nb", "control character")):
                    self.refuses(2, text, "snap-create", form, "--name", name, "--pool", pool)
                    self.refuses(2, text, "snap-rename", form, "a b", "--newname", name, "--pool", pool)
                    self.assertNotEqual(0, self.cistern("--yes", "snap-delete", form, "--name", name,
                                                        "--pool", pool)[0])
                if form == "raw":
                    self.refuses(2, "reserved", "snap-create", form, ".cistern-x", "--pool", pool)
                    self.refuses(2, "reserved", "snap-rename", form, "a b", "--newname",
                                 ".cistern-x.part", "--pool", pool)
                self.refuses(2, "cannot contain '/'", "snap-clone", form, "a b", "../evil", "--pool",
                             pool)
                self.refuses(5, "exists already", "snap-clone", form, "a b", form, "--pool", pool)
                for name in odd:
                    self.done("--yes", "snap-revert", form, "--name", name, "--pool", pool)
                    self.done("--yes", "snap-delete", form, "--name", name, "--pool", pool)
                self.assertEqual([], self.names(form, pool))
                self.ok("vol-delete", form, "--pool", pool)
            self.assertEqual([], os.listdir(self.at(pool)))

    def test_they_live_through_other_changes(self):
        with self.mounted("mkfs.xfs", "-q", "-m", "reflink=1") as pool:
            for form in ("raw", "qcow2"):
                path, seen = self.at(pool, form), {}
                self.create(form, form, pool)
                for size, name in ((8, "one"), (16, "two")):
                    self.write(path, form, size)
                    self.done("snap-create", form, name, "--pool", pool)
                    seen[name] = self.guest(path, form)
                    self.ok("vol-resize", form, f"{size}M", "--pool", pool)
                self.ok("vol-resize", form, "2M", "--shrink", "--pool", pool)
                self.ok("vol-clone", form, "copy", "--pool", pool)
                self.assertEqual([], self.names("copy", pool))
                self.ok("vol-delete", "copy", "--pool", pool)
                self.done("vol-sparsify", form, "--pool", pool)
                self.ok("pool-refresh", pool)
                self.peer.restart()
                self.assertEqual(["one", "two"], self.names(form, pool))
                for name, size in (("two", "8.00 MiB"), ("one", "4.00 MiB")):
                    self.done("--yes", "snap-revert", form, name, "--pool", pool)
                    self.assertEqual(seen[name], self.guest(path, form))
                    self.assertIn(size, self.ok("vol-info", form, "--pool", pool))

    def test_what_others_show_is_not_changed_below_them(self):
        with self.mounted("mkfs.xfs", "-q", "-m", "reflink=1") as pool:
            for form in ("raw", "qcow2"):
                path = self.at(pool, form)
                self.create(form, form, pool)
                self.done("snap-create", form, "s", "--pool", pool)
                self.write(path, form, 5)
                self.ok("vol-create-as", pool, "over", "4M", "--format", "qcow2", "--backing-vol", form,
                        "--backing-vol-format", form)
                seen = self.guest(self.at(pool, "over"), "qcow2")
                for words in (["snap-revert", form, "s"], ["vol-wipe", form]):
                    self.refuses(5, "q/over", "--yes", *words, "--pool", pool)
                self.assertEqual(seen, self.guest(self.at(pool, "over"), "qcow2"))
                self.done("vol-flatten", "over", "--pool", pool)
                self.done("--yes", "snap-revert", form, "s", "--pool", pool)
                self.assertEqual(seen, self.guest(self.at(pool, "over"), "qcow2"))
                self.ok("vol-delete", "over", "--pool", pool)

    def test_a_volume_that_becomes_another_image(self):
        """What the pool kept of it stays in reach: the image keeps only what is taken from now on."""
        image = self.file("image")
        self.assertEqual(0, peers.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "4M"])[0])
        with self.mounted("mkfs.xfs", "-q", "-m", "reflink=1") as pool:
            self.create("v", "raw", pool)
            self.write(self.at(pool, "v"), "raw", 7)
            raw = self.guest(self.at(pool, "v"), "raw")
            for name in ("old", "other"):
                self.done("snap-create", "v", name, "--pool", pool)
            self.done("--yes", "vol-upload", "v", image, "--pool", pool, "--format", "qcow2")
            self.done("snap-create", "v", "inside", "--pool", pool)
            self.assertEqual(["old", "other", "inside"], self.names("v", pool))
            for words in (["snap-create", "v", "old"], ["snap-rename", "v", "inside", "old"],
                          ["snap-rename", "v", "old", "inside"]):
                self.refuses(5, "already", *words, "--pool", pool)
            self.refuses(1, "before volume 'v' became qcow2", "snap-clone", "v", "old", "w", "--pool",
                         pool)
            self.done("snap-clone", "v", "inside", "w", "--pool", pool)
            self.done("--yes", "snap-delete", "v", "other", "--pool", pool)
            self.fails("vol-delete", "v", "--pool", pool, text="has 1 snapshots")
            self.done("--yes", "snap-revert", "v", "old", "--pool", pool)
            self.assertEqual(raw, self.guest(self.at(pool, "v"), "raw"))
            self.assertEqual(["old"], self.names("v", pool))

    def test_clones_are_jobs(self):
        """With progress and a rate; cancelled, nothing of it is left."""
        self.create("v", "qcow2")
        self.assertEqual(0, peers.run(["qemu-io", "-f", "qcow2", "-c", "write -P 3 0 4M",
                                       self.at("p", "v")])[0])
        self.done("snap-create", "v", "s", "--pool", "p")
        number = self.done("snap-clone", "v", "s", "copy", "--pool", "p", "--rate-limit", "64k",
                           "--detach").strip()
        job = json.loads(self.done("--json", "job-info", number))["job"]
        self.assertEqual(("running", "clone", "copy", 65536),
                         (job["state"], job["operation"], job["volume"], job["rate_limit"]))
        self.done("job-cancel", number)
        status, _, err = self.cistern("job-wait", number)
        self.assertEqual(10, status)
        self.assertIn("cancelled", err)
        self.assertEqual(["v"], self.entries("p"))
        self.done("--yes", "snap-revert", "v", "s", "--pool", "p")

    def test_embedded_is_the_same(self):
        root = os.path.join(self.peer.files, "root")
        images = os.path.join(self.peer.files, "images")
        os.makedirs(images)

        def embedded(*words):
            status, out, err = peers.run([space.CISTERN, "--root", root, *words])
            self.assertEqual(0, status, err)
            return out
        embedded("pool-define-as", "e", "dir", "--target", images)
        embedded("pool-start", "e")
        embedded("vol-create-as", "e", "v", "1M", "--format", "qcow2")
        embedded("snap-create", "v", "s", "--pool", "e")
        self.assertIn("qcow2", embedded("snap-list", "v", "--pool", "e"))
        embedded("snap-clone", "v", "s", "w", "--pool", "e")
        embedded("--yes", "snap-delete", "v", "s", "--pool", "e")
