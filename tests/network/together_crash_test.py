# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 between the snapshots of several volumes (backup-create --together): the next start leaves
none of them, and the next backup is made.

Needs a build with crash points (-Dcrash_points=true).
"""

import json
import unittest

from backup_test import Repository
from harness import killed, peers, space


class Together(Repository):
    POINTS = ("vol.snapshots.one:1", "vol.snapshots.one:2", "vol.snapshots.done")

    @classmethod
    def setUpClass(cls):
        killed.need_points()
        super().setUpClass()

    def embedded(self, *words, **env):
        return peers.run([space.CISTERN, "--root", self.peer.root, *words], env=env.items())

    def names(self, volume):
        status, out, err = self.embedded("--json", "snap-list", volume, "--pool", "p")
        self.assertEqual(0, status, err)
        return [row["name"] for row in json.loads(out)["snapshots"]]

    def test_all_snapshots_exist_or_no_snapshot(self):
        for name in ("a", "b"):
            self.make(name, "qcow2", "write -P 1 0 1M")
        self.peer.stop()
        words = ("backup-create", self.repo, "p/a", "p/b", "--together", *self.key)
        for point in self.POINTS:
            with self.subTest(point):
                status, out, err = self.embedded(*words, CISTERN_CRASH_AT=point)
                self.assertEqual(-9, status, out + err)
                self.assertEqual([[], []], [self.names("a"), self.names("b")])
                self.assertEqual([], killed.journal(self.peer))
        status, out, err = self.embedded("--json", *words)
        self.assertEqual(0, status, err)
        self.assertFalse(json.loads(out)["one_moment"])
        self.assertEqual([[], []], [self.names("a"), self.names("b")])


if __name__ == "__main__":
    unittest.main()
