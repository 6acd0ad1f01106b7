# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backing chains of a pool: their limits, for cistern and for stock virsh, and layers that are
merged."""

import contextlib
import json
import os
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20


class Chains(WithDaemon):
    """A directory pool "p" of a daemon."""

    def good(self, *words):
        status, out, err = self.cistern(*words)
        self.assertEqual((0, ""), (status, err), words)
        return out

    def run_ok(self, *words):
        status, out, err = peers.run(words)
        self.assertEqual(0, status, (words, err))
        return out

    def overlay(self, name, base, size="1M"):
        return ("vol-create-as", "p", name, size, "--format", "qcow2", "--backing-vol", base,
                "--backing-vol-format", "qcow2")

    def chain(self, count, name="v"):
        """The volumes NAME0 … of a chain."""
        self.good("vol-create-as", "p", f"{name}0", "1M", "--format", "qcow2")
        for number in range(1, count):
            self.good(*self.overlay(f"{name}{number}", f"{name}{number - 1}"))

    def chains(self, pool="p"):
        return json.loads(self.good("pool-chains", pool, "--json"))["chains"]

    def depths(self):
        return {row["volume"]: row["depth"] for row in self.chains()["volumes"]}


class Limits(Chains):
    def refused(self, *words, virsh=True):
        """Neither client may do it, nor does a dry run. Nothing changes."""
        before = sorted(os.listdir(self.at("p"))), self.chains()
        for more in ((), ("--dry-run",)):
            status, _out, err = self.cistern(*words, *more)
            self.assertEqual(1, status, words)
            self.assertIn("and the limit of pool 'p' is 3; merge layers", err)
            self.assertIn("(pool-chains p --refuse N)", err)
        if virsh:
            self.fails(*words, text="and the limit of pool 'p' is 3")
        self.assertEqual(before, (sorted(os.listdir(self.at("p"))), self.chains()))

    def test_overlays_above_the_limit_are_refused(self):
        self.chain(3)
        self.good("pool-chains", "p", "--refuse", "3")
        self.refused(*self.overlay("v3", "v2"))
        self.refused("vol-clone", "v2", "w", "--pool", "p", "--linked", virsh=False)
        self.ok(*self.overlay("w", "v1"))
        self.good("pool-chains", "p", "--refuse", "off")
        self.ok(*self.overlay("v3", "v2"))

    def test_rebase_above_the_limit_is_refused(self):
        self.chain(3)
        self.good("vol-create-as", "p", "single", "1M", "--format", "qcow2")
        self.good("pool-chains", "p", "--refuse", "3")
        self.refused("vol-rebase", "single", "--pool", "p", "-b", "v2", "-F", "qcow2", virsh=False)

    def test_chains_are_shown_with_their_layers(self):
        self.assertEqual({"warn": None, "refuse": None, "not_shown": 0, "volumes": []},
                         self.chains())
        self.chain(3)
        self.good("pool-chains", "p", "--warn", "3", "--refuse", "4")
        self.assertEqual(
            {"warn": 3, "refuse": 4, "not_shown": 0,
             "volumes": [{"volume": "v2", "depth": 3, "state": "deep", "loop": False,
                          "layers": ["p/v2", "p/v1", "p/v0"]}]}, self.chains())
        self.good(*self.overlay("v3", "v2"))
        out = self.good("pool-chains", "p")
        self.assertRegex(out, r"Warn: +3\nRefuse: +4\n")
        self.assertRegex(out, r" v3 +4 +full +p/v2, p/v1, p/v0\n")

    def test_wrong_limits_are_refused(self):
        for words in (("--warn", "1"), ("--refuse", "257"), ("--refuse", "x"),
                      ("--warn", "9", "--refuse", "8")):
            status, _out, err = self.cistern("pool-chains", "p", *words)
            self.assertEqual(2, status, words)
            self.assertIn(words[0], err)

    def test_message_names_the_setting_that_is_kept(self):
        self.good("pool-chains", "p", "--warn", "8")
        status, _out, err = self.cistern("pool-chains", "p", "--refuse", "4")
        self.assertEqual(2, status)
        self.assertIn("--warn 8 must not be above --refuse 4; set both options", err)

    def test_limits_survive_a_restart_and_an_edit_by_virsh(self):
        self.chain(3)
        self.good("pool-chains", "p", "--refuse", "3")
        definition = self.file("p.xml", self.ok("pool-dumpxml", "p", "--inactive"))
        self.ok("pool-define", definition)
        self.peer.stop()
        self.peer.start()
        self.refused(*self.overlay("v3", "v2"))

    def test_inactive_pool_has_limits_and_no_chains(self):
        self.good("pool-chains", "p", "--refuse", "3")
        self.ok("pool-destroy", "p")
        self.assertEqual((3, []), (self.chains()["refuse"], self.chains()["volumes"]))

    def test_deep_chain_is_an_event_and_a_finding(self):
        self.good("pool-chains", "p", "--warn", "3")
        self.chain(3, name="deep")
        events = self.wait_until(
            lambda: [row for row in json.loads(self.good("events", "--json"))["events"]
                     if row["event"] == "chain-deep" and row["object"].startswith("p/deep")],
            "an event")
        self.assertEqual(["p/deep2"], [row["object"] for row in events])
        findings = json.loads(self.cistern("doctor", "--json")[1])["findings"]
        self.assertEqual(["p/deep2"], [row["object"] for row in findings
                                    if row["id"] == "chain-too-deep"])


class Consolidate(Chains):
    def layer(self, number, size, *options):
        """An image with its own size, cluster size and data."""
        path = self.at("p", f"l{number}")
        below = ("-b", self.at("p", f"l{number - 1}"), "-F", "qcow2") if number else ()
        self.run_ok("qemu-img", "create", "-q", "-f", "qcow2", *options, *below, path, str(size))
        for step in range(3):
            at = (number * 137 + step * 811) * 4096 % (size - 300 * 1024)
            self.run_ok("qemu-io", "-f", "qcow2", "-c", f"write -P {number + 1} {at} {100 + number}k",
                        path)
        self.run_ok("qemu-io", "-f", "qcow2", "-c", f"write -z {number * 65536} 70k", path)

    def deep_chain(self, count):
        sizes = (4, 6, 5, 8, 3, 7)
        options = ("cluster_size=4k", "cluster_size=64k", "cluster_size=2M", "compat=0.10",
                   "extended_l2=on,cluster_size=16k", "lazy_refcounts=on")
        for number in range(count):
            self.layer(number, sizes[number % 6] * MIB, "-o", options[number % 6])
        self.ok("pool-refresh", "p")

    def raw_copy(self, name):
        path = self.at(f"{name}.raw")
        self.run_ok("qemu-img", "convert", "-O", "raw", self.at("p", name), path)
        return path

    def same(self, name, copy):
        self.run_ok("qemu-img", "compare", "-f", "qcow2", "-F", "raw", self.at("p", name), copy)
        self.run_ok("qemu-img", "check", "-q", "-f", "qcow2", self.at("p", name))

    def test_content_of_a_chain_of_twenty_stays(self):
        self.deep_chain(20)
        copies = {name: self.raw_copy(name) for name in ("l19", "l12", "l5")}
        self.good("vol-consolidate", "l19", "--pool", "p", "--base", "l7")
        self.same("l19", copies["l19"])
        self.assertEqual(9, self.depths()["l19"])
        self.good("vol-consolidate", "l12", "--pool", "p", "--keep", "4")
        self.same("l12", copies["l12"])
        self.good("vol-consolidate", "p/l19")
        for name, copy in copies.items():
            self.same(name, copy)
        self.assertEqual(2, self.depths()["l19"])
        out = self.run_ok("qemu-img", "info", "--backing-chain", "--output=json",
                          self.at("p", "l19"))
        self.assertEqual([self.at("p", "l19"), self.at("p", "l0")],
                         [row["filename"] for row in json.loads(out)])

    def test_result_names_the_layers_and_their_state(self):
        self.chain(5)
        self.good(*self.overlay("other", "v2"))
        out = self.good("vol-consolidate", "v4", "--pool", "p", "--dry-run")
        self.assertIn("Would merge p/v3, p/v2, p/v1 into vol v4, copy at most", out)
        self.assertIn("and keep p/v0 below it", out)
        result = json.loads(self.good("vol-consolidate", "v4", "--pool", "p", "--json"))
        self.assertEqual([("p/v3", "unused"), ("p/v2", "used"), ("p/v1", "used")],
                         [(row["layer"], row["state"]) for row in result["layers"]])
        self.assertEqual(("p/v0", 2), (result["base"], result["depth"]))
        self.assertIn("stays as it is", self.good("vol-consolidate", "v4", "--pool", "p"))

    def test_unused_layers_are_deleted_into_the_trash(self):
        self.good("pool-trash", "p", "--days", "7")
        self.chain(4)
        status, _out, err = self.cistern("vol-consolidate", "v3", "--pool", "p", "--delete-layers",
                                         "--no-input")
        self.assertNotEqual(0, status, err)
        self.assertIn("p/v2, p/v1", err)
        out = self.good("vol-consolidate", "v3", "--pool", "p", "--delete-layers", "--dry-run")
        self.assertIn("Would delete the layers p/v2, p/v1", out)
        out = self.good("vol-consolidate", "v3", "--pool", "p", "--delete-layers", "--yes")
        self.assertIn("p/v2: deleted", out)
        self.assertEqual({"v1", "v2"}, set(self.good("trash-list", "--pool", "p", "--columns",
                                                     "name", "--parsable").split()))
        self.assertEqual({"v3": 2}, self.depths())

    def test_layer_that_cannot_be_deleted_is_a_partial_failure(self):
        self.chain(4)
        self.good("vol-protect", "v2", "--pool", "p")
        status, out, err = self.cistern("vol-consolidate", "v3", "--pool", "p", "--delete-layers",
                                        "--yes")
        self.assertEqual(8, status)
        self.assertIn("'p/v2' was not deleted", err)
        self.assertIn("p/v1: unused", out)
        self.assertEqual(2, self.depths()["v3"])

    def test_volume_in_use_is_refused(self):
        self.chain(4)
        with self.holding(self.at("p", "v3")):
            status, _out, err = self.cistern("vol-consolidate", "v3", "--pool", "p")
        self.assertEqual(5, status)
        self.assertIn("qemu-io", err)
        self.assertEqual({"v3": 4}, self.depths())

    @contextlib.contextmanager
    def holding(self, path):
        with subprocess.Popen(["qemu-io", "-f", "qcow2", path], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            process.stdin.write("length\n")
            process.stdin.flush()
            process.stdout.readline()
            yield
            process.stdin.close()

    def small_pool(self, size):
        """A pool on a file system of SIZE MiB with a volume "top" over p/middle, which has 12 MiB."""
        os.makedirs(self.at("small"))
        self.run_ok("mount", "-t", "tmpfs", "-o", f"size={size}M", "none", self.at("small"))
        self.addCleanup(peers.run, ["umount", "-l", self.at("small")])
        self.good("pool-create-as", "small", "dir", "--target", self.at("small"))
        self.good("vol-create-as", "p", "base", "16M", "--format", "qcow2")
        self.good(*self.overlay("middle", "base", "16M"))
        self.run_ok("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 12M", self.at("p", "middle"))
        self.good("vol-create-as", "small", "top", "16M", "--format", "qcow2", "--backing-vol",
                  self.at("p", "middle"), "--backing-vol-format", "qcow2")

    @unittest.skipUnless(space.private_mounts(), "needs private mounts")
    def test_full_disk_leaves_the_chain_as_it_was(self):
        self.small_pool(8)
        status, _out, err = self.cistern("vol-consolidate", "small/top")
        self.assertEqual(1, status)
        self.assertIn("No space left", err)
        self.assertEqual(3, self.chains("small")["volumes"][0]["depth"])
        self.run_ok("qemu-img", "check", "-q", "-f", "qcow2", self.at("small", "top"))
        self.run_ok("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", self.at("small", "top"),
                    self.at("p", "middle"))

    @unittest.skipUnless(space.private_mounts(), "needs private mounts")
    def test_layers_that_equal_the_base_need_no_room(self):
        self.small_pool(8)
        self.run_ok("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 12M", self.at("p", "base"))
        self.good("vol-consolidate", "small/top")
        self.assertEqual(2, self.chains("small")["volumes"][0]["depth"])


if __name__ == "__main__":
    unittest.main()
