# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 in a copy onto a LUN that is there. Its former content is gone from the first byte on, so
what has to hold is: nothing of it is taken for a finished copy, no other LUN is touched, the next
daemon starts, and the copy can be made again.

Needs a build with crash points (-Dcrash_points=true).
"""

from harness import killed, space
from harness.onserver import MIB, noise
from iscsi_direct_test import OnTarget

POINTS = ("fill.begun", "fill.filled", "fill.synced")


class Crash(OnTarget):
    SIZES = (8 * MIB, 8 * MIB, 8 * MIB)

    @classmethod
    def setUpClass(cls):
        killed.need_points()
        super().setUpClass()

    def copy(self, *words, point=None):
        """In process; the points that it has passed."""
        return killed.run_at(self.peer, ("fill.",), [
            space.CISTERN, "--root", self.peer.root, "vol-clone", "unit:0:0:1", "unit:0:0:2",
            "--pool", "i", *words], point)

    def test_killed_at_each_point(self):
        old, new, other = noise(8 * MIB, 1), noise(8 * MIB, 2), noise(8 * MIB, 3)
        for point in POINTS:
            with self.subTest(point=point):
                for unit, data in ((1, new), (2, old), (3, other)):
                    self.upload(data, unit)
                self.peer.stop()
                done, passed = self.copy("--overwrite", point=point)
                self.assertNotEqual(0, done[0])
                self.assertEqual(point, passed[-1])
                self.assertEqual(old if point == "fill.begun" else new, self.held(2))
                self.assertEqual((new, other), (self.held(1), self.held(3)))
                self.peer.start()
                self.wait_until(lambda: len(self.names()) == 3, "three units are listed")
                self.fails("vol-clone", "unit:0:0:1", "unit:0:0:2", "--pool", "i",
                           text="holds something")
                self.cistern("vol-clone", "unit:0:0:1", "unit:0:0:2", "--pool", "i", "--overwrite")
                self.assertEqual(new, self.held(2))

    def test_every_point_is_reached(self):
        self.upload(noise(8 * MIB))
        self.peer.stop()
        done, passed = self.copy("--overwrite")
        self.assertEqual(0, done[0], done[2])
        self.assertEqual(list(POINTS), passed)
        self.peer.start()
