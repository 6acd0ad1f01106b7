# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the RBD backend: afterwards no orphan, and nothing half done.

Needs a build with crash points (-Dcrash_points=true). A process that died still "has its images
open" until the OSD's watch time-out, so what it left goes when that is over.
"""

import glob
import os
import re
import unittest

from harness import peers, space
from harness.onserver import MIB, noise
from rbd_snapshot_test import snap_command
from rbd_test import OnCeph


def compiled_points():
    found = set()
    for path in glob.glob(os.path.join(space.TOP, "src/pool/rbd/*.c")):
        with open(path, encoding="utf-8") as stream:
            found |= set(re.findall(r'CST_CRASH_POINT\("([^"]+)"\)', stream.read()))
    return found


def has_crash_points():
    with open(space.CISTERN, "rb") as stream:
        return b"CISTERN_CRASH_AT" in stream.read()


class Crash(OnCeph):
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
        self.ceph.clear()

    def run_at(self, words, point=None):
        log = os.path.join(self.peer.files, "points")
        env = {"CISTERN_CRASH_LOG": log}
        if point:
            env["CISTERN_CRASH_AT"] = point
        done = peers.run(words, env=env.items())
        passed = []
        if os.path.exists(log):
            with open(log, encoding="utf-8") as stream:
                passed = [line for line in stream.read().split() if line.startswith("rbd.")]
            os.unlink(log)
        return done, passed

    def cli(self, *words):
        return [space.CISTERN, "--root", self.peer.root, *words]

    def play(self, *words):
        done, _ = self.run_at(list(words))
        self.assertEqual(0, done[0], done[2])

    def snap(self, verb, *names):
        return self.cli(*snap_command(verb, *names))

    def settled(self):
        """Starts the daemon and waits until it has seen to what is left."""
        self.peer.start()
        try:
            self.eventually(lambda: not self.leftovers())
        except AssertionError:
            self.fail(f"left: {self.leftovers()}\n{self.peer.log()[-3000:]}")
        finally:
            self.peer.stop()

    def leftovers(self):
        journal = os.path.join(self.peer.root, "var/lib/cistern/journal")
        return ([n for n in self.ceph.notes() if "cistern" in n]
                + [i for i in self.ceph.images() if ".part" in i or "trash:" in i]
                + self.orphans() + (os.listdir(journal) if os.path.isdir(journal) else []))

    def orphans(self):
        """Helper snapshots that no clone needs."""
        found = []
        for image in self.ceph.images():
            if ("@.cistern-" in image
                    and not self.ceph.rbd("children", "--all", image, check=False).strip()):
                found.append(image)
        return found

    def killed_everywhere(self, words, prepare, check):
        prepare()
        done, passed = self.run_at(words)
        self.assertEqual(0, done[0], done[2])
        self.assertTrue(passed, "it passes no crash point")
        check()
        for point in sorted(set(passed)):
            type(self).reached.add(point)
            with self.subTest(point=point):
                self.ceph.clear()
                prepare()
                done, _ = self.run_at(words, point)
                self.assertEqual(-9, done[0], done[2])
                self.settled()
                check()

    def test_1_create(self):
        self.killed_everywhere(
            self.cli("vol-create-as", "r", "a", "4M"), lambda: None,
            lambda: self.assertIn(self.ceph.images(), ([], ["a"])))

    def clone(self):
        def check():
            self.assertIn({i for i in self.ceph.images() if "@" not in i}, ({"a"}, {"a", "b"}))
            self.assertEqual(noise(MIB), self.content("a"))
            if "b" in self.ceph.images():
                self.assertEqual(noise(MIB), self.content("b"))
        self.killed_everywhere(self.cli("vol-clone", "a", "b", "--pool", "r"), self.one_volume,
                               check)

    def one_volume(self):
        self.play(*self.cli("vol-create-as", "r", "a", "1M"))
        self.play(*self.cli("vol-upload", "a", self.file("payload", noise(MIB)), "--pool", "r"))

    def test_2_clone(self):
        self.clone()

    def test_3_clone_of_version_2(self):
        self.ceph.run("ceph", "osd", "set-require-min-compat-client", "mimic")
        try:
            self.clone()
        finally:
            self.ceph.clear()
            self.ceph.run("ceph", "osd", "set-require-min-compat-client", "luminous",
                          "--yes-i-really-mean-it")

    def test_4_resize(self):
        def check():
            self.assertRegex(self.ceph.rbd("info", "a"), "size [12] MiB")
            self.assertEqual(noise(MIB), self.content("a")[:MIB])
        self.killed_everywhere(self.cli("vol-resize", "a", "2M", "--pool", "r"), self.one_volume,
                               check)

    def test_5_delete(self):
        self.killed_everywhere(
            self.cli("vol-delete", "a", "--pool", "r"), self.one_volume,
            lambda: self.assertIn(self.ceph.images(), ([], ["a"])))

    def two_states(self):
        self.one_volume()
        self.play(*self.snap("create", "a", "one"))
        self.play(*self.cli("vol-upload", "a", self.file("payload", noise(MIB, 2)), "--pool", "r"))

    def test_6_snapshots(self):
        self.killed_everywhere(self.snap("create", "a", "one"), self.one_volume,
                               lambda: self.assertEqual(noise(MIB), self.content("a")))
        self.ceph.clear()
        self.killed_everywhere(self.snap("delete", "a", "one"), self.two_states,
                               lambda: self.assertEqual(noise(MIB, 2), self.content("a")))

    def test_7_revert_is_whole_or_finished(self):
        def check():
            self.assertIn(self.content("a"), (noise(MIB), noise(MIB, 2)))
            self.assertEqual(noise(MIB), self.content("a@one"))
        self.killed_everywhere(self.snap("revert", "a", "one"), self.two_states, check)

    def test_8_flatten(self):
        def prepare():
            self.one_volume()
            self.play(*self.cli("vol-clone", "a", "b", "--pool", "r"))
        self.killed_everywhere(self.snap("flatten", "b"), prepare,
                               lambda: self.assertEqual(noise(MIB), self.content("b")))

    def test_9_every_point_was_reached(self):
        self.assertEqual([], sorted(compiled_points() - self.reached))
