# SPDX-License-Identifier: LGPL-2.1-or-later
"""Limits of the space that a pool promises, for cistern and for stock virsh."""

import json
import os
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
QUOTA = "and its quota is 4.00 MiB"


class Limits(WithDaemon):
    """A directory pool "p" of a daemon."""

    def good(self, *words):
        status, out, err = self.cistern(*words)
        self.assertEqual((0, ""), (status, err), words)
        return out

    def limits(self, pool="p"):
        return json.loads(self.good("pool-limits", pool, "--json"))["limits"]

    def refused(self, *words, text=QUOTA):
        """Neither client may do it, nor does a dry run. Nothing changes."""
        before = sorted(os.listdir(self.at("p"))), self.limits()
        for more in ((), ("--dry-run",)):
            status, _out, err = self.cistern(*words, *more)
            self.assertEqual(1, status, words)
            self.assertIn(text, err)
        self.fails(*words, text=text)
        self.assertEqual(before, (sorted(os.listdir(self.at("p"))), self.limits()))

    def create(self, name, size, *more):
        return ("vol-create-as", "p", name, size, "--format", "qcow2", *more)

    def test_limits_are_shown_with_the_promise(self):
        self.assertEqual(
            {"overcommit": None, "quota": None, "max_volumes": None, "promised": 0, "left": None,
             "volumes": 0, "volumes_left": None, "capacity": self.limits()["capacity"]},
            self.limits())
        self.good(*self.create("a", "1M"))
        self.good("pool-limits", "p", "--quota", "4M", "--volumes", "3")
        shown = self.limits()
        self.assertEqual((4 * MIB, MIB, 3 * MIB, 1, 2, 3),
                         (shown["quota"], shown["promised"], shown["left"], shown["volumes"],
                          shown["volumes_left"], shown["max_volumes"]))
        self.good("pool-limits", "p", "--overcommit", "0.001")
        shown = self.limits()
        self.assertEqual("0.001", shown["overcommit"])
        self.assertEqual(max(0, min(4 * MIB, shown["capacity"] // 1000) - MIB),
                         shown["left"])
        self.good("pool-limits", "p", "--overcommit", "off", "--quota", "off", "--volumes", "off")
        self.assertNotIn("limits", self.ok("pool-dumpxml", "p", "--inactive"))

    def test_wrong_limits_are_refused(self):
        for words in (("--overcommit", "0"), ("--overcommit", "1001"), ("--quota", "0"),
                      ("--quota", "x"), ("--volumes", "0"), ("--volumes", "1.5")):
            status, _out, err = self.cistern("pool-limits", "p", *words)
            self.assertEqual(2, status, words)
            self.assertIn(words[0], err)

    def test_limits_survive_a_restart_and_an_edit_by_virsh(self):
        self.good("pool-limits", "p", "--quota", "4M")
        self.good(*self.create("a", "3M"))
        definition = self.file("p.xml", self.ok("pool-dumpxml", "p", "--inactive"))
        self.ok("pool-define", definition)
        self.peer.stop()
        self.peer.start()
        self.refused(*self.create("b", "2M"))

    def test_new_volumes_above_the_quota_are_refused(self):
        self.good("pool-limits", "p", "--quota", "4M")
        self.ok(*self.create("a", "3M"))
        self.refused(*self.create("b", "2M"))
        self.refused("vol-clone", "a", "b", "--pool", "p")
        self.refused("vol-resize", "a", "5M", "--pool", "p")
        self.ok("vol-resize", "a", "4M", "--pool", "p")
        self.ok("vol-resize", "a", "1M", "--pool", "p", "--shrink")
        self.ok(*self.create("b", "3M"))
        self.ok("vol-delete", "a", "--pool", "p")
        self.assertEqual(3 * MIB, self.limits()["promised"])

    def test_number_of_volumes_is_limited(self):
        self.good("pool-limits", "p", "--volumes", "1")
        self.ok(*self.create("a", "1M"))
        self.refused(*self.create("b", "1M"), text="its limit is 1; delete volumes")

    def test_factor_of_the_capacity_is_a_limit(self):
        self.good("pool-limits", "p", "--overcommit", "1")
        capacity = self.limits()["capacity"]
        self.ok(*self.create("a", str(capacity // 4 * 3)))
        self.refused(*self.create("b", str(capacity // 2)), text="(1 times its capacity)")
        self.good("pool-limits", "p", "--overcommit", "1.5")
        self.ok(*self.create("b", str(capacity // 2)))

    def test_snapshots_count(self):
        self.good("pool-limits", "p", "--quota", "4M")
        self.good(*self.create("a", "3M"))
        status, _out, err = self.cistern("snap-create", "a", "one", "--pool", "p")
        self.assertEqual(1, status)
        self.assertIn(QUOTA, err)
        self.good("vol-resize", "a", "2M", "--pool", "p", "--shrink")
        self.good("snap-create", "a", "one", "--pool", "p")
        self.assertEqual(4 * MIB, self.limits()["promised"])

    def test_import_and_upload_are_limited(self):
        self.good("pool-limits", "p", "--quota", "4M")
        data = self.file("data", b"x" * (5 * MIB))
        status, _out, err = self.cistern("vol-import", data, "a", "--pool", "p", "--source-format",
                                         "raw")
        self.assertEqual(1, status)
        self.assertIn(QUOTA, err)
        self.good("vol-create-as", "p", "b", "1M", "--allocation", "0")
        self.fails("vol-upload", "b", data, "--pool", "p", text=QUOTA)
        self.assertLessEqual(self.limits()["promised"], 4 * MIB)

    def test_volume_of_the_trash_counts_when_it_is_restored(self):
        self.good("pool-trash", "p", "--days", "7")
        self.good("pool-limits", "p", "--quota", "4M")
        self.good(*self.create("a", "3M"))
        self.good("vol-delete", "a", "--pool", "p")
        self.assertEqual(0, self.limits()["promised"])
        self.good(*self.create("b", "2M"))
        status, _out, err = self.cistern("trash-restore", "a", "--pool", "p")
        self.assertEqual(1, status)
        self.assertIn(QUOTA, err)
        self.good("vol-delete", "b", "--pool", "p", "--no-trash")
        self.good("trash-restore", "a", "--pool", "p")

    def test_parallel_creations_do_not_exceed_the_quota(self):
        self.good("pool-limits", "p", "--quota", "4M")
        children = [self.background([space.CISTERN, "-c", self.peer.uri,
                                     *self.create(f"v{i}", "1M")]) for i in range(8)]
        self.assertEqual([0] * 4 + [1] * 4, sorted(child.wait() for child in children))
        self.assertEqual(4 * MIB, self.limits()["promised"])

    def test_inactive_pool_has_limits_and_no_promise(self):
        self.good("pool-limits", "p", "--quota", "4M")
        self.ok("pool-destroy", "p")
        shown = self.limits()
        self.assertEqual((4 * MIB, None), (shown["quota"], shown["promised"]))

    def test_transient_pool_has_no_limits(self):
        os.mkdir(self.at("t"))
        self.ok("pool-create-as", "t", "dir", "--target", self.at("t"))
        status, _out, err = self.cistern("pool-limits", "t", "--quota", "1G")
        self.assertEqual(5, status)
        self.assertIn("has no definition to keep the setting", err)


class Embedded(unittest.TestCase):
    """Without a daemon, on the root of the test."""

    def test_directory_with_a_sticky_bit_can_have_limits(self):
        root, pool = space.path(self.id(), "root"), space.path(self.id(), "pool")
        uri = f"storage:///embed?root={root}"
        os.makedirs(pool)
        os.chmod(pool, 0o1777)

        def run(*words):
            return peers.run([space.CISTERN, "-c", uri, *words])

        self.assertEqual(0, run("pool-define-as", "p", "dir", "--target", pool, "--start")[0])
        self.assertEqual(0, run("vol-create-as", "p", "a", "1M")[0])
        self.assertEqual(0, run("pool-limits", "p", "--quota", "1M")[0])
        status, _out, err = run("vol-create-as", "p", "b", "1M")
        self.assertEqual(1, status)
        self.assertIn("pool-limits p --quota SIZE", err)

    def test_parallel_processes_do_not_exceed_the_quota(self):
        root, pool = space.path(self.id(), "root"), space.path(self.id(), "pool")
        command = [space.CISTERN, "-c", f"storage:///embed?root={root}"]
        os.makedirs(pool)
        self.assertEqual(0, peers.run([*command, "pool-define-as", "p", "dir", "--target", pool,
                                       "--start"])[0])
        self.assertEqual(0, peers.run([*command, "pool-limits", "p", "--quota", "4M"])[0])
        children = [subprocess.Popen([*command, "vol-create-as", "p", f"v{i}", "1M"],
                                     env=space.ENV, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL) for i in range(8)]
        self.assertEqual([0] * 4 + [1] * 4, sorted(child.wait() for child in children))
        self.assertEqual(4, len(os.listdir(pool)))
        self.assertEqual([], os.listdir(f"{root}/run/cistern/promise"))


if __name__ == "__main__":
    unittest.main()
