# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the Gluster backend: afterwards no orphan, and nothing half done.

Needs a build with crash points (-Dcrash_points=true).
"""

import glob
import os
import re
import unittest

from gluster_test import MIB, OnGluster, noise
from harness import peers, space
from rbd_crash_test import has_crash_points


class Crash(OnGluster):
    """Each operation is killed at each point it passes, in process; then the daemon starts."""

    reached = set()

    @classmethod
    def setUpClass(cls):
        if not has_crash_points():
            raise unittest.SkipTest("this build has no crash points")
        super().setUpClass()
        cls.peer.stop()

    @classmethod
    def tearDownClass(cls):
        if cls.peer.process is None:
            cls.peer.start()
        super().tearDownClass()

    def setUp(self):
        self.lab.clear()

    def run_at(self, words, point=None):
        log = os.path.join(self.peer.files, "points")
        env = {"CISTERN_CRASH_LOG": log}
        if point:
            env["CISTERN_CRASH_AT"] = point
        done = peers.run(words, env=env.items())
        passed = []
        if os.path.exists(log):
            with open(log, encoding="utf-8") as stream:
                passed = [line for line in stream.read().split() if line.startswith("gluster.")]
            os.unlink(log)
        return done, passed

    def cli(self, *words):
        return [space.CISTERN, "--root", self.peer.root, *words]

    def play(self, *words):
        done, _ = self.run_at(self.cli(*words))
        self.assertEqual(0, done[0], done[2])

    def leftovers(self):
        journal = os.path.join(self.peer.root, "var/lib/cistern/journal")
        return ([name for name in self.lab.names() if name.startswith(".cistern")]
                + (os.listdir(journal) if os.path.isdir(journal) else []))

    def settled(self):
        """Starts the daemon and waits until it has seen to what is left."""
        self.peer.start()
        try:
            self.eventually(lambda: not self.leftovers())
        except AssertionError:
            self.fail(f"left: {self.leftovers()}\n{self.peer.log()[-3000:]}")
        finally:
            self.peer.stop()

    def killed_everywhere(self, words, prepare, check):
        prepare()
        done, passed = self.run_at(words)
        self.assertEqual(0, done[0], done[2])
        self.assertTrue(passed, "it passes no crash point")
        check()
        for point in sorted(set(passed)):
            type(self).reached.add(point)
            with self.subTest(point=point):
                self.lab.clear()
                prepare()
                done, _ = self.run_at(words, point)
                self.assertEqual(-9, done[0], done[2])
                self.settled()
                check()

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

    def test_9_every_point_was_reached(self):
        compiled = set()
        for path in glob.glob(os.path.join(space.TOP, "src/pool/gluster/*.c")):
            with open(path, encoding="utf-8") as stream:
                compiled |= set(re.findall(r'CST_CRASH_POINT\("([^"]+)"\)', stream.read()))
        self.assertEqual([], sorted(compiled - self.reached))
