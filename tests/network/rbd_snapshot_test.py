# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots of RBD volumes: what each of them gives back, what depends on them, and who may go."""

import json
import os
import random

from harness import peers, space
from harness.onserver import MIB, noise
from rbd_test import OnCeph


def snap_command(verb, *names):
    """The words of the command line for one of the steps below."""
    command = "vol-flatten" if verb == "flatten" else "snap-" + verb
    sure = ["--yes"] if verb in ("revert", "delete") else []
    return [command, *names, "--pool", "r", *sure]


class Snapshots(OnCeph):
    """Through the use cases in process: the pool is active in the embedded root of the class."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.peer.stop()  # its root is ours now, with its pools active

    @classmethod
    def tearDownClass(cls):
        cls.peer.start()
        super().tearDownClass()

    def setUp(self):
        self.ceph.clear()

    def cli(self, *words, status=0):
        done = peers.run([space.CISTERN, "--root", self.peer.root, *words])
        self.assertEqual(status, done[0], f"cistern {' '.join(words)}: {done[2]}")
        return done[1] + done[2]

    def snap(self, verb, *names, fails=None):
        status, out, err = peers.run([space.CISTERN, "--root", self.peer.root,
                                      *snap_command(verb, *names)])
        if fails:
            self.assertNotEqual(0, status, f"{verb} {names} should have failed")
            self.assertIn(fails, err)
            return err
        self.assertEqual(0, status, f"{verb} {names}: {err}")
        return [line.split()[0] for line in out.splitlines()[2:] if line.strip()]

    def make(self, name, data, size):
        self.cli("vol-create-as", "r", name, str(size))
        self.write(name, 0, data)

    def write(self, name, offset, data):
        self.cli("vol-upload", name, self.file("payload", data), "--pool", "r", "--offset",
                 str(offset), "--length", str(len(data)))

    def test_each_snapshot_restores_its_content(self):
        first, second, third = (noise(3 * MIB, n) for n in (1, 2, 3))
        self.make("a", first, 3 * MIB)
        self.snap("create", "a", "one")
        self.write("a", 0, second)
        self.snap("create", "a", "two")
        self.write("a", 0, third)
        self.assertEqual(["one", "two"], self.snap("list", "a"))
        self.assertIn("one", self.ceph.rbd("snap", "ls", "a"))
        for name, data in (("one", first), ("two", second), ("one", first)):
            self.snap("revert", "a", name)
            self.assertEqual(data, self.content("a"))
            self.assertEqual(data, self.content("a@" + name))
        self.snap("delete", "a", "one")
        self.snap("rename", "a", "two", "deux")
        self.assertEqual(["deux"], self.snap("list", "a"))
        self.snap("revert", "a", "deux")
        self.assertEqual(second, self.content("a"))
        self.assertEqual([], [n for n in self.ceph.notes() if "cistern" in n])

    def test_mistakes_are_named(self):
        self.make("a", noise(MIB), MIB)
        self.snap("create", "a", "one")
        self.snap("create", "a", "one", fails="has a snapshot 'one' already")
        self.snap("create", "a", "x@y", fails="could not address it")
        self.snap("create", "a", ".cistern-x", fails="which is reserved")
        self.snap("create", "b", "one", fails="no storage vol with matching")
        for verb in ("revert", "delete"):
            self.snap(verb, "a", "two", fails="has no snapshot 'two'")
        self.snap("rename", "a", "two", "three", fails="has no snapshot 'two'")
        self.snap("create", "a", "two")
        self.snap("rename", "a", "two", "one", fails="has a snapshot 'one' already")

    def back_up(self, repo):
        """What the command tells of an increment, if it is one; it holds what the image does."""
        # A slow command tells its progress as well, on stderr.
        status, out, err = peers.run([space.CISTERN, "--root", self.peer.root, "--json",
                                      "backup-create", repo, "r/a", "--incremental"])
        self.assertEqual(0, status, err)
        volume, = json.loads(out)["volumes"]
        self.cli("backup-restore", repo, "latest", "--pool", "r", "--newname", "restored")
        self.assertEqual(self.content("a"), self.content("restored"))
        self.cli("vol-delete", "restored", "--pool", "r")
        self.assertEqual(1, len([n for n in self.snap("list", "a") if "cistern-backup" in n]))
        return volume

    def test_backups_read_only_changed_data(self):
        repo = os.path.join(self.peer.files, "repo")
        self.cli("backup-init", repo, "--no-encryption")
        chance = random.Random(17)
        self.make("a", noise(20 * MIB, 1), 20 * MIB)
        self.assertIsNone(self.back_up(repo)["base"])
        self.snap("create", "a", "mine")
        for step in range(4):
            for _ in range(3):
                self.write("a", chance.randrange(15 * MIB), noise(chance.randrange(1, 70000), step))
            volume = self.back_up(repo)
            self.assertIsNotNone(volume["base"])
            self.assertLess(volume["read"], 2 * MIB)
        self.snap("revert", "a", "mine")
        self.assertIsNotNone(self.back_up(repo)["base"])
        for size in (13 * MIB + 512, 24 * MIB):
            self.cli("vol-resize", "a", f"{size}b", "--pool", "r", "--shrink")
            self.assertIsNotNone(self.back_up(repo)["base"])
        # Another snapshot of the name, and another image.
        name, = [n for n in self.snap("list", "a") if "cistern-backup" in n]
        self.write("a", 0, noise(MIB, 8))
        self.snap("delete", "a", name)
        self.snap("create", "a", name)
        self.assertIsNone(self.back_up(repo)["base"])
        for name in self.snap("list", "a"):
            self.snap("delete", "a", name)
        self.cli("vol-delete", "a", "--pool", "r")
        self.make("a", noise(8 * MIB, 9), 8 * MIB)
        self.snap("create", "a", name)
        self.assertIsNone(self.back_up(repo)["base"])

    def clones(self):
        data = noise(2 * MIB)
        self.make("a", data, 2 * MIB)
        self.snap("create", "a", "one")
        self.write("a", 0, noise(2 * MIB, 9))
        self.snap("clone", "a", "one", "b")
        self.assertEqual(data, self.content("b"))
        self.snap("delete", "a", "one", fails="r/b")
        self.cli("vol-delete", "a", "--pool", "r", status=5)
        self.snap("flatten", "b")
        self.assertEqual(data, self.content("b"))
        self.assertNotIn("parent:", self.ceph.rbd("info", "b"))
        self.snap("delete", "a", "one")
        self.assertEqual({"a", "b"}, set(self.ceph.images()))

    def test_a_clone_of_a_snapshot_keeps_it(self):
        self.clones()

    def test_a_clone_of_version_2_keeps_its_snapshot_too(self):
        self.ceph.run("ceph", "osd", "set-require-min-compat-client", "mimic")
        try:
            self.clones()
        finally:
            self.ceph.run("ceph", "osd", "set-require-min-compat-client", "luminous",
                          "--yes-i-really-mean-it")

    def test_a_volume_without_a_base_cannot_be_flattened(self):
        self.make("a", noise(MIB), MIB)
        self.snap("flatten", "a", fails="shares content with no other")

    def test_helpers_of_clones_are_not_shown(self):
        self.make("a", noise(MIB), MIB)
        self.cli("vol-clone", "a", "b", "--pool", "r")
        self.assertEqual([], self.snap("list", "a"))
        self.cli("vol-delete", "b", "--pool", "r")
        self.assertEqual(["a"], self.ceph.images())

    def test_random_steps_against_a_model(self):
        """Writes, snapshots, reverts, clones, flattening and deleting, checked with the rbd tool."""
        seed = int(os.environ.get("CST_SEED", random.randrange(1 << 30)))
        steps = int(os.environ.get("CST_STEPS", 30))
        rand = random.Random(seed)
        size = 1 * MIB
        volumes, snapshots, parents, made = {}, {}, {}, 0

        def step():
            nonlocal made
            what = rand.choice(("write", "write", "snap", "snap", "revert", "clone", "flatten",
                                "drop", "delete"))
            if not volumes or (what == "clone" and len(volumes) < 5 and not snapshots):
                made += 1
                volumes[f"v{made}"] = bytearray(noise(size, made))
                self.make(f"v{made}", bytes(volumes[f"v{made}"]), size)
                return f"made v{made}"
            name = rand.choice(sorted(volumes))
            mine = sorted(s for v, s in snapshots if v == name)
            if what == "write":
                data = noise(rand.randrange(1, 64) * 1024, rand.random())
                offset = rand.randrange(0, size - len(data))
                self.write(name, offset, data)
                volumes[name][offset:offset + len(data)] = data
            elif what == "snap":
                made += 1
                self.snap("create", name, f"s{made}")
                snapshots[name, f"s{made}"] = bytes(volumes[name])
            elif what == "revert" and mine:
                snap = rand.choice(mine)
                self.snap("revert", name, snap)
                volumes[name] = bytearray(snapshots[name, snap])
            elif what == "clone" and mine and len(volumes) < 5:
                snap = rand.choice(mine)
                made += 1
                self.snap("clone", name, snap, f"v{made}")
                volumes[f"v{made}"] = bytearray(snapshots[name, snap])
                parents[f"v{made}"] = (name, snap)
            elif what == "flatten" and name in parents:
                self.snap("flatten", name)
                del parents[name]
            elif what == "drop" and mine:
                snap = rand.choice(mine)
                if (name, snap) in parents.values():
                    self.snap("delete", name, snap, fails="has clones")
                else:
                    self.snap("delete", name, snap)
                    del snapshots[name, snap]
            elif what == "delete" and not mine and name not in (p for p, _ in parents.values()):
                self.cli("vol-delete", name, "--pool", "r")
                del volumes[name]
                parents.pop(name, None)
            else:
                return "nothing"
            return f"{what} {name}"

        log = []
        for number in range(steps):
            log.append(step())
            if number % 5 == 4:
                where = f"seed {seed}: {log}"
                self.assertEqual(sorted(volumes), sorted(self.ceph.rbd("ls").split()), where)
                for name, data in volumes.items():
                    self.assertEqual(bytes(data), self.content(name), where)
                for (name, snap), data in snapshots.items():
                    self.assertEqual(data, self.content(f"{name}@{snap}"), where)
