# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point that an operation on a pool of type fs passes, the pool's own build
and start too: afterwards it is as before or as after, and nothing is left over.

Needs a build with crash points (-Dcrash_points=true).
"""

import os
import unittest

from fs_test import MIB, Disks, signature
from harness import killed, peers, space


class Crash(Disks):
    """Each operation is killed at each point that it passes, in process."""

    @classmethod
    def setUpClass(cls):
        killed.need_points()
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.device = self.disk("xfs", 512 * MIB)
        self.define("xfs")
        self.peer.stop()

    def embedded(self, *words, **env):
        return peers.run([space.CISTERN, "--root", self.peer.root, "--yes", *words],
                         env=env.items())

    def did(self, *words):
        status, out, err = self.embedded(*words)
        self.assertEqual(0, status, f"{' '.join(words)}: {err}")
        return out

    def passed(self, *words):
        """The points that the command passes undisturbed, as NAME:NUMBER."""
        log = self.file("points")
        status, _out, err = self.embedded(*words, CISTERN_CRASH_LOG=log)
        self.assertEqual(0, status, err)
        with open(log, encoding="utf-8") as stream:
            names = stream.read().split()
        os.unlink(log)
        # Jobs are listed when they last, which is up to the machine.
        return [f"{name}:{names[:at + 1].count(name)}" for at, name in enumerate(names)
                if not name.startswith("job.")]

    def kill(self, point, *words):
        status, out, err = self.embedded(*words, CISTERN_CRASH_AT=point)
        self.assertEqual(-9, status, f"{point}: {out}{err}")

    def test_build(self):
        words = ("pool-build", "m", "--overwrite")
        points = self.passed(*words)
        self.assertIn("fs.build.cleared:1", points)
        for point in points:
            with self.subTest(point):
                self.kill(point, *words)
                self.assertEqual("", signature(self.device))
                self.did("pool-build", "m", "--no-overwrite")
                self.assertEqual("xfs", signature(self.device))

    def test_start(self):
        self.did("pool-build", "m", "--overwrite")
        points = self.passed("pool-start", "m")
        self.assertIn("mount.start.mounted:1", points)
        for point in points:
            with self.subTest(point):
                self.did("pool-destroy", "m")
                self.assertEqual("", self.row())
                self.kill(point, "pool-start", "m")
                self.embedded("pool-start", "m")
                self.assertEqual(1, self.row().count("\n"))
                self.assertIn("running", self.did("pool-info", "m"))

    def test_stop(self):
        self.did("pool-build", "m", "--overwrite")
        self.did("pool-start", "m")
        points = self.passed("pool-destroy", "m")
        for point in points:
            with self.subTest(point):
                self.did("pool-start", "m")
                self.kill(point, "pool-destroy", "m")
                self.embedded("pool-destroy", "m")
                self.assertEqual("", self.row())

    def names(self):
        """All that there is in the file system; a snapshot's directory says nothing when empty."""
        found = []
        for folder, _folders, files in os.walk(self.at("m")):
            found += [os.path.relpath(os.path.join(folder, name), self.at("m")) for name in files]
        return sorted(found)

    CHANGES = (
        (("vol-create-as", "m", "n", "1M"), ("vol-delete", "n", "--pool", "m")),
        (("vol-clone", "v", "c", "--pool", "m"), ("vol-delete", "c", "--pool", "m")),
        (("snap-create", "v", "s", "--pool", "m"), ("snap-delete", "v", "s", "--pool", "m")),
        (("vol-resize", "v", "2M", "--pool", "m"),
         ("vol-resize", "v", "1M", "--pool", "m", "--shrink")),
        (("vol-delete", "w", "--pool", "m"), ("vol-create-as", "m", "w", "1M")),
    )

    def test_volumes(self):
        self.did("pool-build", "m", "--overwrite")
        self.did("pool-start", "m")
        self.did("vol-create-as", "m", "v", "1M")
        self.did("vol-create-as", "m", "w", "1M")
        for change, undo in self.CHANGES:
            before = self.names()
            points = self.passed(*change)
            after = self.names()
            self.did(*undo)
            for point in points:
                with self.subTest(f"{change[0]} {point}"):
                    self.kill(point, *change)
                    self.did("vol-list", "m")
                    self.assertIn(self.names(), (before, after))
                    if self.names() == after != before:
                        self.did(*undo)
                    self.assertEqual(before, self.names())
        space.umount(self.at("m"))


if __name__ == "__main__":
    unittest.main()
