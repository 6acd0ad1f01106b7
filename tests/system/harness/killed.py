# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at crash points (base/crash.h) of commands that run in process."""

import glob
import json
import os
import re
import subprocess
import unittest

from . import peers, space, wait


def need_points():
    """Skips the test where the build has none (-Dcrash_points=true)."""
    with open(space.CISTERN, "rb") as stream:
        if b"CISTERN_CRASH_AT" not in stream.read():
            raise unittest.SkipTest("this build has no crash points")


def compiled_points(prefixes, *patterns):
    """Names in the sources that PATTERNS, below the project's root, mean."""
    found = set()
    for pattern in patterns:
        for path in glob.glob(os.path.join(space.TOP, pattern)):
            with open(path, encoding="utf-8") as stream:
                found |= set(re.findall(r'CST_CRASH_POINT\("([^"]+)"\)', stream.read()))
    return {name for name in found if name.startswith(prefixes)}


def run_at(peer, prefixes, words, point=None):
    """Runs WORDS, killed at POINT; (status, out, err), and the points that it has passed."""
    log = os.path.join(peer.files, "points")
    env = {"CISTERN_CRASH_LOG": log}
    if point:
        env["CISTERN_CRASH_AT"] = point
    done = peers.run(words, env=env.items())
    passed = []
    if os.path.exists(log):
        with open(log, encoding="utf-8") as stream:
            passed = [line for line in stream.read().split() if line.startswith(prefixes)]
        os.unlink(log)
    return done, passed


def stopped_at(point, words, env=()):
    """
    Starts WORDS and returns the process once it has stopped at POINT, for the caller to end, or to
    have it go on by SIGCONT.
    """
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL,
                               env=dict(space.ENV, CISTERN_CRASH_STOP=point, **dict(env)))
    try:
        seen = wait.until(lambda: os.waitid(os.P_PID, process.pid,
                                            os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT),
                          f"{words} stops at {point}")
    except wait.NeverTrue:
        process.kill()
        process.wait()
        raise
    if seen.si_code != os.CLD_STOPPED:
        raise AssertionError(f"never at {point}: ended with status {process.wait()}")
    return process


def journal(peer):
    """Names of the intents that are left."""
    path = os.path.join(peer.root, "var/lib/cistern/journal")
    return os.listdir(path) if os.path.isdir(path) else []


class KilledEverywhere:
    """
    Beside an OnServer: each operation is killed at each point it passes; then the daemon starts.
    POINTS is how their names begin. Subclasses have clear(), of the storage, and leftovers().
    """

    POINTS = ()
    reached = set()

    @classmethod
    def setUpClass(cls):
        need_points()
        super().setUpClass()
        cls.peer.stop()

    @classmethod
    def tearDownClass(cls):
        if cls.peer.process is None:
            cls.peer.start()
        super().tearDownClass()

    def setUp(self):
        self.clear()

    def run_at(self, words, point=None):
        return run_at(self.peer, self.POINTS, words, point)

    def cli(self, *words):
        return [space.CISTERN, "--root", self.peer.root, *words]

    def play(self, *words):
        done, _ = self.run_at(self.cli(*words))
        self.assertEqual(0, done[0], done[2])

    def settled(self):
        """Starts the daemon and waits until it has seen to what is left."""
        self.peer.start()
        try:
            wait.until(lambda: not self.leftovers(), "nothing is left over",
                       lambda: f"{self.leftovers()}\n{self.peer.log()[-2500:]}")
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
                self.clear()
                prepare()
                done, _ = self.run_at(words, point)
                self.assertEqual(-9, done[0], done[2])
                self.settled()
                check()


class TrashKilled(KilledEverywhere):
    """
    The pool POOL keeps deleted volumes: each is a volume or in the trash, whole and with its
    record, and nowhere else. Subclasses have one_volume(), which makes "a", assert_whole(name), of
    what has that name on the storage, and natives(), all names there.
    """

    DELETE = ()  # further words of vol-delete

    @classmethod
    def pool_xml(cls, name, **how):
        return super().pool_xml(name, **how).replace(
            "</pool>", "<c:trash xmlns:c='urn:cistern:storage:1.0' days='7'/></pool>")

    def said(self, *words):
        done = peers.run(self.cli(*words, "--format", "json"))
        self.assertEqual(0, done[0], done[2])
        return json.loads(done[1])

    def one_deleted(self):
        self.one_volume()
        self.play("vol-delete", "a", "--pool", self.POOL, *self.DELETE)

    def check(self, most=1):
        """Returns whether there is a volume, or one in the trash."""
        volumes = [row["name"] for row in self.said("vol-list", self.POOL)["volumes"]]
        trashed = self.said("trash-list", "--pool", self.POOL,
                            "--columns", "name,hidden")["trash"]
        self.assertEqual(sorted(volumes + [row["hidden"] for row in trashed]), self.natives())
        self.assertEqual([], [row for row in trashed if row["name"] != "a"])
        self.assertLessEqual(len(self.natives()), 1)
        self.assertTrue(not most or self.natives(), "it is gone")
        for name in self.natives():
            self.assert_whole(name)

    def test_1_into_the_trash(self):
        self.killed_everywhere(self.cli("vol-delete", "a", "--pool", self.POOL, *self.DELETE),
                               self.one_volume, self.check)

    def test_2_out_of_it(self):
        self.killed_everywhere(self.cli("trash-restore", "a", "--pool", self.POOL, "--name", "b"),
                               self.one_deleted, self.check)

    def test_3_for_good(self):
        self.killed_everywhere(self.cli("trash-empty", "--pool", self.POOL, "--yes"),
                               self.one_deleted, lambda: self.check(most=0))
