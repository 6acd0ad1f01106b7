# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the RBD backend: afterwards no orphan, and nothing half done.

Needs a build with crash points (-Dcrash_points=true). A process that died still "has its images
open" until the OSD's watch time-out, so what it left goes when that is over.
"""

from harness import killed
from harness.onserver import MIB, noise
from rbd_snapshot_test import snap_command
from rbd_test import OnCeph


class Crash(killed.KilledEverywhere, OnCeph):
    POINTS = ("rbd.",)
    reached = set()

    def clear(self):
        self.ceph.clear()

    def snap(self, verb, *names):
        return self.cli(*snap_command(verb, *names))

    def leftovers(self):
        return ([n for n in self.ceph.notes() if "cistern" in n]
                + [i for i in self.ceph.images() if ".part" in i or "trash:" in i]
                + self.orphans() + killed.journal(self.peer))

    def orphans(self):
        """Helper snapshots that no clone needs."""
        found = []
        for image in self.ceph.images():
            if ("@.cistern-" in image
                    and not self.ceph.rbd("children", "--all", image, check=False).strip()):
                found.append(image)
        return found

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
        self.play("vol-create-as", "r", "a", "1M")
        self.play("vol-upload", "a", self.file("payload", noise(MIB)), "--pool", "r")

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

    def test_5_rename(self):
        def check():
            self.assertIn(self.ceph.images(), (["a"], ["b"]))
            self.assertEqual(noise(MIB), self.content(self.ceph.images()[0]))
        self.killed_everywhere(self.cli("vol-rename", "a", "b", "--pool", "r"), self.one_volume,
                               check)

    def two_states(self):
        self.one_volume()
        self.play(*snap_command("create", "a", "one"))
        self.play("vol-upload", "a", self.file("payload", noise(MIB, 2)), "--pool", "r")

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
            self.play("vol-clone", "a", "b", "--pool", "r")
        self.killed_everywhere(self.snap("flatten", "b"), prepare,
                               lambda: self.assertEqual(noise(MIB), self.content("b")))

    def test_9_every_point_was_reached(self):
        compiled = killed.compiled_points(self.POINTS, "src/pool/rbd/*.c")
        self.assertEqual([], sorted(compiled - self.reached))


class Moved(killed.KilledEverywhere, OnCeph):
    """A volume and its snapshot are in one of two Ceph pools or, whole, in both."""

    POINTS = ("vol.history.", "vol.move.")
    reached = set()

    def clear(self):
        self.ceph.clear()
        self.ceph.clear("other")

    def leftovers(self):
        return killed.journal(self.peer) + [
            image for pool in ("libvirt", "other") for image in self.ceph.images(pool)
            if ".part" in image or "trash:" in image]

    def two_states(self):
        self.play("vol-create-as", "r", "a", "1M")
        self.play("vol-upload", "a", self.file("payload", noise(MIB)), "--pool", "r")
        self.play(*snap_command("create", "a", "one"))
        self.play("vol-upload", "a", self.file("payload", noise(MIB, 2)), "--pool", "r")

    def check(self):
        places = {pool: self.ceph.images(pool) for pool in ("libvirt", "other")}
        places = {pool: images for pool, images in places.items() if images}
        self.assertTrue(places)
        for pool, images in places.items():
            self.assertEqual(["a", "a@one"], images, pool)
            self.assertEqual(noise(MIB, 2), self.content("a", pool=pool))
            self.assertEqual(noise(MIB), self.content("a@one", pool=pool))

    def test_a_move(self):
        self.killed_everywhere(self.cli("vol-move", "a", "--pool", "r", "--newpool", "o"),
                               self.two_states, self.check)
        self.assertLessEqual({"vol.history.snapshot", "vol.history.removed", "vol.move.copied",
                              "vol.move.deleted"}, self.reached)

    def test_a_what_has_the_name_by_then_stays(self):
        """Original or copy are another image by the time that the move is completed."""
        for pool in ("libvirt", "other"):
            with self.subTest(replaced=pool):
                self.clear()
                self.play("vol-create-as", "r", "a", "1M")
                done, _ = self.run_at(self.cli("vol-move", "a", "--pool", "r", "--newpool", "o"),
                                      "vol.move.recorded")
                self.assertEqual(-9, done[0], done[2])
                self.ceph.rbd("remove", "--no-progress", f"{pool}/a")
                self.ceph.rbd("create", "--size", "1M", f"{pool}/a")
                self.settled()
                for name in ("libvirt", "other"):
                    self.assertEqual(["a"], self.ceph.images(name), name)

    def test_b_what_was_not_copied_stays(self):
        """Somebody takes a snapshot of the original while it is about to be deleted."""
        self.two_states()
        done, _ = self.run_at(self.cli("vol-move", "a", "--pool", "r", "--newpool", "o"),
                              "vol.move.aside")
        self.assertEqual(-9, done[0], done[2])
        aside = self.ceph.images()[0]
        self.assertTrue(aside.startswith(".cistern-trash-"), aside)
        self.ceph.rbd("snap", "create", "--no-progress", aside + "@new")
        self.settled()
        self.assertEqual(["a", "a@one", "a@new"], self.ceph.images())
        self.assertEqual(["a", "a@one"], self.ceph.images("other"))


class Trash(killed.TrashKilled, OnCeph):
    POINTS = ("rbd.", "vol.rename.", "trash.")
    DELETE = ("--delete-snapshots",)
    reached = set()

    def clear(self):
        self.ceph.clear()

    def leftovers(self):
        return killed.journal(self.peer)

    def natives(self):
        return sorted(name for name in self.ceph.images() if "@" not in name)

    def one_volume(self):
        self.play("vol-create-as", "r", "a", "1M")
        self.play("vol-upload", "a", self.file("payload", noise(MIB)), "--pool", "r")
        self.play(*snap_command("create", "a", "one"))

    def assert_whole(self, name):
        self.assertEqual(noise(MIB), self.content(name))
