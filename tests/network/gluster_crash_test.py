# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the Gluster backend: afterwards no orphan, and nothing half done.

Needs a build with crash points (-Dcrash_points=true).
"""

import os

from gluster_test import OnGluster
from harness import killed
from harness.onserver import MIB, noise


class Crash(killed.KilledEverywhere, OnGluster):
    POINTS = ("gluster.", "vol.move.")
    reached = set()

    def clear(self):
        self.lab.clear()

    def leftovers(self):
        return ([name for name in self.lab.names() if name.startswith(".cistern")]
                + killed.journal(self.peer))

    def nothing(self):
        pass

    def one_volume(self):
        self.play("vol-create-as", "g", "a", "1M")
        self.play("vol-upload", "a", self.file("payload", noise(MIB)), "--pool", "g")

    def content(self, name):
        with open(self.lab.path(name), "rb") as stream:
            return stream.read()

    def test_1_create(self):
        for form, size in (("raw", MIB), ("qcow2", None)):
            def check(size=size):
                self.assertIn(self.lab.names(), ([], ["a"]))
                if size and self.lab.names():
                    self.assertEqual(bytes(size), self.content("a"))
                if self.lab.names():
                    self.assertEqual(1 + 1, os.stat(self.lab.path("a")).st_nlink)  # .glusterfs's
            self.lab.clear()
            self.killed_everywhere(self.cli("vol-create-as", "g", "a", "1M", "--format", form),
                                   self.nothing, check)

    def test_2_clone(self):
        def check():
            self.assertIn(self.lab.names(), (["a"], ["a", "b"]))
            for name in self.lab.names():
                self.assertEqual(noise(MIB), self.content(name))
        self.killed_everywhere(self.cli("vol-clone", "a", "b", "--pool", "g"), self.one_volume, check)

    def test_3_directory(self):
        self.killed_everywhere(self.cli("vol-create-as", "g", "d", "0", "--format", "dir"),
                               self.nothing, lambda: self.assertIn(self.lab.names(), ([], ["d"])))

    def test_4_delete(self):
        self.killed_everywhere(self.cli("vol-delete", "a", "--pool", "g"), self.one_volume,
                               lambda: self.assertIn(self.lab.names(), ([], ["a"])))

    def test_5_rename(self):
        def check():
            self.assertIn(self.lab.names(), (["a"], ["b"]))
            name = self.lab.names()[0]
            self.assertEqual(noise(MIB), self.content(name))
            self.assertEqual(1 + 1, os.stat(self.lab.path(name)).st_nlink)
        self.killed_everywhere(self.cli("vol-rename", "a", "b", "--pool", "g"), self.one_volume, check)

    def test_6_move(self):
        """To another directory of the volume: the file has both names for a moment, and then one."""
        def directory():
            if not os.path.isdir(self.lab.path("h")):
                self.lab.client("mkdir /h")

        def moves():
            directory()
            self.one_volume()

        def check():
            there = [name for name in ("a", "h/a") if os.path.exists(self.lab.path(name))]
            self.assertEqual(1, len(there), there)
            self.assertEqual(noise(MIB), self.content(there[0]))
            self.assertEqual(1 + 1, os.stat(self.lab.path(there[0])).st_nlink)

        directory()
        self.peer.start()
        self.define("h", directory="/h")
        self.peer.stop()
        try:
            self.killed_everywhere(self.cli("vol-move", "a", "--pool", "g", "--newpool", "h"), moves,
                                   check)
        finally:
            self.peer.start()
            self.undefine("h")
            self.peer.stop()

    def test_9_every_point_was_reached(self):
        compiled = killed.compiled_points(self.POINTS, "src/pool/gluster/*.c")
        self.assertEqual([], sorted(compiled - self.reached))


class Trash(killed.TrashKilled, OnGluster):
    POINTS = ("gluster.", "vol.rename.", "trash.")
    reached = set()

    def clear(self):
        self.lab.clear()

    def leftovers(self):
        return killed.journal(self.peer)

    def natives(self):
        return self.lab.names()

    def one_volume(self):
        self.play("vol-create-as", "g", "a", "1M", "--format", "qcow2")
        self.play("snap-create", "a", "one", "--pool", "g")

    def assert_whole(self, name):
        done = self.qemu_img("info", "-U", self.lab.path(name))
        self.assertRegex(done.stdout, r"\bone\b")
        self.assertEqual(1 + 1, os.stat(self.lab.path(name)).st_nlink)  # .glusterfs's
