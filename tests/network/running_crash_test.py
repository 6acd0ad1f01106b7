# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at each step of a commit and of a move of the disk of a running domain, with a fake
libvirt. The next command asks which image the domain uses, and completes or drops the work.

Needs a build with crash points (-Dcrash_points=true).
"""

import os
import unittest

from domains_test import WithoutDaemon
from harness import killed, peers, space
from running_change_test import RunningDomain

TOP, MIDDLE = ["top", "middle", "base"], ["middle", "base"]


class RunningCrash(WithoutDaemon, RunningDomain):
    reached = set()

    @classmethod
    def setUpClass(cls):
        killed.need_points()
        super().setUpClass()

    def kill_at(self, point, *words):
        self.reached.add(point)
        status, out, err = peers.run([space.CISTERN, "--root", self.peer.root, *words],
                                     env={**dict(self.fake.env),
                                          "CISTERN_CRASH_AT": point}.items())
        self.assertEqual(-9, status, out + err)
        self.wait_until(lambda: not self.now("block-type"), "the keeper has ended the job")
        self.no_job()

    def settle(self):
        for pool in self.cistern("pool-list", "--name")[1].split():
            self.done("pool-refresh", pool)
        self.assertEqual([], self.intents())

    def test_commit_killed_at_each_step(self):
        for point, layers, pattern in (("recorded", TOP, 3), ("ready", TOP, 3),
                                       ("pivoted", MIDDLE, 0), ("referred", MIDDLE, 0),
                                       ("emptied", MIDDLE, 0)):
            with self.subTest(point=point):
                self.qemu_io("top", "write -P 3 128k 64k")
                self.running(live=["block-fate=ready"])
                self.kill_at(f"running.commit.{point}", "vol-commit", "top", "--pool", "p", "--yes")
                self.settle()
                self.assertEqual(layers, self.layers())
                self.shows("top", 1, 2, pattern)
                self.assertEqual(["middle"], self.backing("top"))

    def test_commit_past_a_layer_killed_before_it_is_empty(self):
        self.running(live=["block-fate=ready"])
        self.kill_at("running.commit.referred", "vol-commit", "top", "--base", "base", "--pool", "p",
                     "--yes")
        self.settle()
        self.assertEqual(["base"], self.backing("top"))
        self.shows("top", 1, 0, 0)

    def test_move_killed_at_each_step(self):
        self.done("pool-define-as", "n", "dir", "--target", self.at("n"))
        self.done("pool-build", "n")
        self.done("pool-start", "n")
        # The second intent is written right before the pivot. From then on both volumes may stay.
        for point, pool, stays in (("recorded", "p", [True, False]), ("ready", "p", [True, True]),
                                   ("pivoted", "n", [False, True]), ("deleted", "n", [False, True])):
            with self.subTest(point=point):
                for former in ("p", "n"):
                    if os.path.exists(self.at(former, "v")):
                        os.unlink(self.at(former, "v"))
                self.done("pool-refresh", "p")
                self.done("pool-refresh", "n")
                self.done("vol-create-as", "p", "v", "4M", "--format", "qcow2")
                self.running("v", live=["block-fate=ready"])
                self.kill_at(f"running.move.{point}", "vol-move", "v", "--pool", "p", "--newpool",
                             "n")
                self.settle()
                self.assertEqual(self.at(pool, "v"), self.now("chain"))
                self.assertEqual(stays, [os.path.exists(self.at(name, "v")) for name in ("p", "n")])

    def test_z_each_point_was_reached(self):
        self.assertEqual(killed.compiled_points("running.", "src/service/volume/running/*.c"),
                         self.reached)


if __name__ == "__main__":
    unittest.main()
