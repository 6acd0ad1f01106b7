# SPDX-License-Identifier: LGPL-2.1-or-later
"""An image whose header was destroyed keeps its format: it does not become a raw disk."""

import json
import os
import random

from harness import peers, space
from trust_test import Ground, qemu

# The options make the smallest file that holds the data, and leave the header in the first sector.
FORMATS = ("qcow2", "qcow", "qed", "vmdk", "vdi", "vpc", "vhdx", "parallels")
SECTOR = 512
SIZE = 4 << 20
WAY_OUT = "vol-trust {} --format raw"


def damages():
    """By name, the bytes that overwrite the start of an image."""
    mbr = bytearray(SECTOR)
    mbr[446:462] = bytes([0x80, 0, 2, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") * 2
    mbr[510:] = b"\x55\xaa"
    return {"zeroes": bytes(SECTOR), "random": random.Random(1).randbytes(65536), "mbr": bytes(mbr)}


def overwrite(path, content, offset=0):
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(content)


class Headers(Ground):
    """With a daemon; the subclass below repeats the tests without one."""

    def setUp(self):
        super().setUp()
        self.pool("q")
        self.disk = self.file("disk.raw", random.Random(2).randbytes(1 << 20) * 3 + bytes(1 << 20))

    def run_cistern(self, *words):
        return self.cistern(*words)

    def restart(self):
        self.peer.restart()

    def succeeds(self, *words):
        status, out, err = self.run_cistern(*words)
        self.assertEqual(0, status, f"{' '.join(words)}: {out}{err}")
        return out

    def image(self, name, form):
        """Made by another tool, and seen once."""
        qemu("qemu-img", "convert", "-O", form, self.disk, self.at("p", name))
        self.succeeds("pool-refresh", "p")
        self.assertEqual((form, []), self.shown(name))
        return self.at("p", name)

    def shown(self, name, pool="p"):
        """The format, and the problems of vol-info, the first of which vol-list has too."""
        info = json.loads(self.succeeds("vol-info", name, "--pool", pool, "--json"))["volume"]
        rows = self.succeeds("vol-list", pool, "--columns", "name,format,problem", "-H")
        row = next(line.split("\t") for line in rows.splitlines() if line.split("\t")[0] == name)
        self.assertEqual(info["problems"][:1] or ["-"], row[2:])
        return row[1], info["problems"]

    def assert_lost(self, name, form, pool="p"):
        shown, problems = self.shown(name, pool)
        self.assertEqual((form, 1), (shown, len(problems)), problems)
        self.assertIn(f"it is a {form} image, but its header is gone", problems[0])
        self.assertIn(WAY_OUT.format(name), problems[0])

    def assert_refused(self, name, *words):
        before = self.read(self.at("p", name))
        files = {pool: self.entries(pool) for pool in "pq"}
        status, out, err = self.run_cistern(*words)
        self.assertEqual(1, status, f"{' '.join(words)}: {out}{err}")
        self.assertIn(WAY_OUT.format(name), err)
        self.assertEqual(before, self.read(self.at("p", name)), words)
        self.assertEqual(files, {pool: self.entries(pool) for pool in "pq"}, words)

    def assert_nothing_is_made_of(self, name):
        out, at = os.path.join(self.peer.files, "out"), ("--pool", "p")
        for words in (("vol-export", name, out, *at, "--format", "raw"),
                      ("vol-clone", name, "copy", *at),
                      ("vol-clone", name, "copy", *at, "--reflink"),
                      ("vol-clone", name, "copy", *at, "--linked"),
                      ("vol-convert", name, "copy", *at, "--format", "raw"),
                      ("vol-move", name, "--newpool", "q", *at),
                      ("vol-resize", name, "64M", *at),
                      ("vol-serve", name, *at, "--socket", out),
                      ("vol-create-as", "p", "copy", "64M", "--format", "qcow2", "--backing-vol",
                       name)):
            self.assert_refused(name, *words)
            self.assertFalse(os.path.exists(out), words)

    def assert_content(self, name, pool="p"):
        out = os.path.join(self.peer.files, "out")
        self.succeeds("vol-export", name, out, "--pool", pool, "--format", "raw", "--yes")
        self.assertEqual(self.read(self.disk), self.read(out)[:SIZE])
        os.unlink(out)

    def test_image_of_each_format_with_each_damage_keeps_its_format(self):
        for form in FORMATS:
            path = self.image(form, form)
            intact = self.read(path)
            for kind, content in damages().items():
                with self.subTest(format=form, damage=kind):
                    overwrite(path, content)
                    self.assert_lost(form, form)
                    self.succeeds("pool-refresh", "p")
                    self.assert_lost(form, form)
                    overwrite(path, intact[:len(content)])
                    self.assertEqual((form, []), self.shown(form))
            with self.subTest(format=form):
                self.assert_content(form)

    def test_image_without_its_header_is_refused_until_it_is_restored(self):
        for form in FORMATS:
            with self.subTest(format=form):
                path = self.image(form, form)
                header = self.read(path)[:SECTOR]
                overwrite(path, bytes(SECTOR))
                self.assert_nothing_is_made_of(form)
                overwrite(path, header)
                self.assert_content(form)

    def test_restart_rename_and_another_pool_keep_the_format(self):
        path = self.image("v", "qcow2")
        header = self.read(path)[:SECTOR]
        overwrite(path, bytes(SECTOR))
        self.restart()
        self.assert_lost("v", "qcow2")
        os.rename(path, self.at("p", "renamed"))
        self.assert_lost("renamed", "qcow2")
        os.rename(self.at("p", "renamed"), self.at("q", "moved"))
        self.succeeds("pool-refresh", "q")
        self.assert_lost("moved", "qcow2", "q")
        overwrite(self.at("q", "moved"), header)
        self.assert_content("moved", "q")

    def test_image_that_was_created_here_is_known_before_any_scan(self):
        for words in (("vol-create-as", "p", "made", "4M", "--format", "qcow2"),
                      ("vol-clone", "made", "copy", "--pool", "p"),
                      ("vol-import", self.disk, "in", "--pool", "p", "--format", "qcow2")):
            self.succeeds(*words)
        for name in ("made", "copy", "in"):
            overwrite(self.at("p", name), bytes(SECTOR))
            self.assert_lost(name, "qcow2")

    def test_raw_can_be_declared_and_stays(self):
        path = self.image("v", "qcow2")
        header = self.read(path)[:SECTOR]
        overwrite(path, bytes(SECTOR))
        self.assert_lost("v", "qcow2")
        self.succeeds("vol-trust", "v", "--pool", "p", "--format", "raw")
        self.assertEqual(("raw", []), self.shown("v"))
        self.succeeds("vol-resize", "v", "64M", "--pool", "p")
        overwrite(path, header)
        self.assertEqual("raw", self.listed("v"))

    def listed(self, volume, pool="p"):
        rows = self.succeeds("vol-list", pool, "--columns", "name,format", "-H").splitlines()
        return dict(line.split("\t") for line in rows)[volume]

    def test_another_image_in_its_place_has_its_own_format(self):
        for in_place in (True, False):
            with self.subTest(in_place=in_place):
                path = self.image("v", "qcow2")
                qemu("qemu-img", "convert", "-O", "vmdk", self.disk, self.file("other"))
                if not in_place:
                    os.unlink(path)
                self.write(path, self.read(self.file_at("other")))
                self.assertEqual(("vmdk", []), self.shown("v"))
                overwrite(path, bytes(SECTOR))
                self.assert_lost("v", "vmdk")
                os.unlink(path)

    def file_at(self, name):
        return os.path.join(self.peer.files, name)

    def test_new_raw_file_of_the_same_name_is_raw(self):
        for mode in (0o711, 0o777):  # where others can write, records are found by name as well
            with self.subTest(mode=oct(mode)):
                os.chmod(self.at("p"), mode)
                path = self.image(f"new{mode}", "qcow2")
                os.unlink(path)
                self.write(path, b"a guest's bytes" * 5000)
                for _ in range(2):
                    self.assertEqual(("raw", []), self.shown(f"new{mode}"))
                    self.succeeds("pool-refresh", "p")
                os.unlink(path)

    def test_first_reference_in_a_file_stays_undeclared(self):
        """A record of the format alone must not stand in the way of the restriction."""
        os.chmod(self.at("p"), 0o777)
        path = self.image("named", "qcow2")
        self.overlay(self.file_at("evil"))
        self.write(path, self.read(self.file_at("evil")))
        self.succeeds("pool-refresh", "p")
        os.chmod(self.at("p"), 0o700)
        self.succeeds("pool-refresh", "p")
        shown, problems = self.shown("named")
        self.assertEqual("qcow2", shown)
        self.assertIn("is not declared", "".join(problems))

    def test_attribute_that_restricts_is_honoured_with_a_record_of_the_format(self):
        self.overlay(self.file_at("evil"))
        path = self.image("v", "qcow2")
        os.setxattr(path, "user.cistern.format", b"qcow2 restricted")
        self.write(path, self.read(self.file_at("evil")))
        self.succeeds("pool-refresh", "p")
        self.assertIn("is not declared", "".join(self.shown("v")[1]))


class EmbeddedHeaders(Headers):
    def setUp(self):
        super().setUp()
        self.peer.stop()

    def run_cistern(self, *words):
        return peers.run([space.CISTERN, "--embedded", "--root", self.peer.root, *words],
                         env=space.ENV)

    def restart(self):
        """Each command is a process of its own."""
