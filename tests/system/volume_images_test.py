# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes as images, beside qemu-img."""

import json
import os
import subprocess

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20


class Images(WithDaemon):
    """Volumes as images: chains, what is changed below others, who has them open."""

    def setUp(self):
        super().setUp()
        self.make("base")
        self.make("mid", "base")
        self.make("top", "mid")
        for byte, name in enumerate(("base", "mid", "top"), 1):
            self.io(name, f"write -P {byte} {byte}M 1M")
        self.ok("pool-refresh", "p")

    def make(self, name, backing=None):
        more = ["--backing-vol", backing, "--backing-vol-format", "qcow2"] if backing else []
        self.ok("vol-create-as", "p", name, "16M", "--format", "qcow2", *more)

    def io(self, name, *commands):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", "-f", "qcow2", *words, self.at("p", name)])
        self.assertEqual(0, status, err)
        self.assertNotIn("failed", out)

    def holds_all(self, name):
        self.io(name, *(f"read -P {byte} {byte}M 1M" for byte in (1, 2, 3)))

    def backing(self, name):
        _, out, _ = peers.run(["qemu-img", "info", "--output=json", self.at("p", name)])
        return json.loads(out).get("backing-filename")

    def done(self, *words):
        status, _, err = self.cistern(*words)
        self.assertEqual(0, status, err)

    def offline(self, *words):
        return peers.run([space.CISTERN, *words])

    def family(self, name):
        status, out, err = self.cistern("vol-chain", name, "--pool", "p", "--json")
        self.assertEqual(0, status, err)
        return json.loads(out)["chain"]

    def chain(self, name):
        def rows(node, level):
            yield level, node["name"], node["self"]
            for child in node["children"]:
                yield from rows(child, level + 1)
        return list(rows(self.family(name), 0))

    def another_pool(self):
        os.makedirs(self.at("q"))
        self.ok("pool-define-as", "q", "dir", "--target", self.at("q"))
        self.ok("pool-start", "q")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b",
                   self.at("q", "..", "p", "mid"), self.at("q", "far")])
        self.ok("pool-refresh", "q")

    def test_chain(self):
        self.make("other", "mid")
        self.make("side", "base")
        self.another_pool()
        family = [(0, "base"), (1, "mid"), (2, "other"), (2, "top"), (2, "far"), (1, "side")]
        for own in ("base", "mid", "other", "top", "side"):
            self.assertEqual([(level, name, name == own) for level, name in family],
                             self.chain(own))
        _, out, _ = self.cistern("vol-chain", "mid", "--pool", "p")
        self.assertEqual(["base", "- mid *", "- other", "- top", "- far", "- side"],
                         [line.split("  qcow2")[0].strip()[:-1].strip() for line in out.splitlines()[2:-1]])
        self.assertIn("\n     - far     q ", out)

    def test_what_others_need_is_not_deleted(self):
        self.make("other", "mid")
        self.make("side", "base")
        self.another_pool()
        status, _, err = self.cistern("vol-delete", "base", "--pool", "p")
        self.assertEqual(5, status)
        self.assertIn("independent (vol-flatten) first:\n  p/mid\n    p/other\n    p/top\n"
                      "    q/far\n  p/side\n", err)
        for i in range(25):
            self.make(f"over{i:02}", "side")
        _, _, err = self.cistern("vol-delete", "side", "--pool", "p")
        self.assertIn("  p/over19\n  5 more, and volumes based on them\n", err)
        self.assertIn("p/over19", self.fails("vol-delete", "side", "p"))
        self.assertTrue(os.path.exists(self.at("p", "side")))

    def test_flatten(self):
        self.done("vol-flatten", "top", "--pool", "p")
        self.assertIsNone(self.backing("top"))
        self.holds_all("top")
        self.assertEqual([(0, "top", True)], self.chain("top"))
        self.done("vol-check", "top", "--pool", "p")
        self.done("vol-delete", "mid", "--pool", "p")

    def test_check_lists_what_it_counts(self):
        path = self.at("p", "top")
        with open(path, "r+b") as file:
            file.seek(40)  # of the header: where the L1 table is
            l1 = int.from_bytes(file.read(8), "big")
            file.seek(l1)
            l2 = int.from_bytes(file.read(8), "big") & ~(1 << 63)
            file.seek(l2 + 8 * 48)  # 3 MiB, where its data begin
            file.write((1 << 63 | 1 << 40).to_bytes(8, "big"))
        said = {}
        for name, run, words in (
                ("daemon", self.cistern, ["vol-check", "top", "--pool", "p"]),
                ("image", self.offline, ["image-check", "-f", "qcow2", path])):
            status, out, err = run(*words)
            self.assertEqual(7, status, err)
            self.assertIn(f"error: entry 48 of the L2 table at {l2}: its data lie past", out)
            self.assertIn("leak: bytes ", out)
            status, listed, err = run(*words, "--json")
            self.assertEqual(7, status, err)
            said[name] = out, json.loads(listed)["findings"]
        self.assertEqual(said["daemon"], said["image"])

    def test_commit(self):
        self.done("vol-commit", "top", "--pool", "p", "--base", "base", "--yes")
        self.holds_all("base")
        self.holds_all("top")

    def test_commit_under_others_is_refused(self):
        self.make("other", "mid")
        status, _, err = self.cistern("vol-commit", "top", "--pool", "p", "--yes")
        self.assertEqual(5, status)
        self.assertIn("volumes outside this chain are based on volume 'mid'", err)

    def test_what_a_machine_has_open(self):
        sock = self.file("nbd.sock")
        os.unlink(sock)
        nbd = subprocess.Popen(["qemu-nbd", "-f", "qcow2", "-k", sock, self.at("p", "mid")])
        try:
            self.wait_until(lambda: peers.accepts(sock), "qemu-nbd listens", nbd.poll)
            for words in (["vol-flatten", "mid"], ["vol-sparsify", "mid"], ["vol-commit", "top", "--yes"],
                          ["vol-rebase", "mid", "--backing-vol", ""],
                          ["vol-bitmap", "mid", "b0", "--add"],
                          ["vol-check", "mid", "--repair", "all"]):
                status, _, err = self.cistern(*words, "--pool", "p")
                self.assertEqual(5, status, words)
                self.assertIn("in use", err)
        finally:
            nbd.terminate()
            nbd.wait()

    def test_files_outside_of_pools_are_not_opened(self):
        outside = self.file("outside", b"secret" * 1000)
        peers.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", outside, "-F", "raw",
                   self.at("p", "sly"), "1M"])
        self.ok("pool-refresh", "p")
        for words in (["vol-flatten", "sly"], ["vol-commit", "sly", "--yes"],
                      ["vol-convert", "sly", "new", "--format", "raw"],
                      ["vol-compare", "top", "sly"], ["vol-map", "sly"],
                      ["vol-measure", "sly", "-O", "raw"],
                      ["vol-rebase", "sly", "--backing-vol", ""]):
            status, _, err = self.cistern(*words, "--pool", "p")
            self.assertEqual(3, status)
            self.assertIn(f"based on '{outside}', which is no volume of an active pool", err)
        self.assertEqual([(0, outside, False), (1, "sly", True)], self.chain("sly"))

    def test_a_chain_without_an_end_in_sight(self):
        """More than anybody makes: shown as far as it goes, and said so."""
        mould = self.file("mould")
        peers.run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b",
                   self.at("p", "n000"), mould, "1M"])
        with open(mould, "rb") as image:
            data = image.read()
        for i in range(300):
            with open(self.at("p", f"n{i + 1:03}"), "wb") as image:
                image.write(data.replace(self.at("p", "n000").encode(),
                                         self.at("p", f"n{i:03}").encode()))
        self.ok("pool-refresh", "p")
        rows = self.chain("n300")
        self.assertEqual((257, (0, "n044", False), (256, "n300", True)),
                         (len(rows), rows[0], rows[-1]))
        self.assertIn("too deep", self.family("n300")["problem"])
        rows = self.chain("n001")
        self.assertEqual(((0, self.at("p", "n000")), (1, "n001", True)), (rows[0][:2], rows[1]))
        self.assertLess(len(rows), 600)
        self.assertEqual(5, self.cistern("vol-delete", "n001", "--pool", "p")[0])

    def test_a_chain_that_bites_its_tail(self):
        peers.run(["qemu-img", "rebase", "-u", "-b", self.at("p", "top"), "-F", "qcow2",
                   self.at("p", "base")])
        self.ok("pool-refresh", "p")
        for words in (["vol-flatten", "top"], ["vol-commit", "top", "--yes"],
                      ["vol-compare", "top", "top"], ["vol-convert", "top", "new", "--format", "raw"]):
            status, _, err = self.cistern(*words, "--pool", "p")
            self.assertEqual(1, status)
            self.assertIn("is a loop", err)
        self.make("loose", "top")
        self.assertEqual([(0, "top", False), (1, "base", False), (2, "mid", True),
                          (3, "top", False), (1, "loose", False)], self.chain("mid"))
        self.assertEqual([(0, "base", False), (1, "mid", False), (2, "top", False),
                          (3, "base", False), (3, "loose", True)], self.chain("loose"))
        family = self.family("loose")
        self.assertIn("is a loop", family["problem"])
        again = family["children"][0]["children"][0]["children"][0]
        self.assertEqual(("base", []), (again["name"], again["children"]))
        self.assertIn("is a loop", again["problem"])
        self.assertEqual(5, self.cistern("vol-delete", "mid", "--pool", "p")[0])

    # --- copies of another shape --------------------------------------------------------------

    def same(self, first, first_format, second, second_format):
        """qemu-img's word."""
        status, out, err = peers.run(["qemu-img", "compare", "-f", first_format, "-F",
                                      second_format, self.at("p", first), self.at("p", second)])
        self.assertEqual(0, status, out + err)

    def info(self, name):
        _, out, _ = peers.run(["qemu-img", "info", "--output=json", self.at("p", name)])
        return json.loads(out)

    def test_convert(self):
        for image_format in ("raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx", "parallels"):
            name = f"as-{image_format}"
            self.done("vol-convert", "top", name, "--pool", "p", "--format", image_format)
            self.same("top", "qcow2", name, image_format)
            self.assertIsNone(self.backing(name))
            _, out, _ = self.cistern("vol-compare", "top", name, "--pool", "p")
            self.assertIn("Images are identical.", out)

    def test_convert_with_options(self):
        self.done("vol-convert", "top", "small", "--pool", "p", "-O", "qcow2", "-c", "-o",
                  "cluster_size=4k,compression_type=zstd")
        self.same("top", "qcow2", "small", "qcow2")
        info = self.info("small")
        self.assertEqual((4096, "zstd"), (info["cluster-size"],
                                          info["format-specific"]["data"]["compression-type"]))
        self.assertLess(info["actual-size"], 1 * MIB)

    def test_parallels_volumes(self):
        """libvirt's name for the format is that of directories which only a tool makes."""
        self.ok("vol-create-as", "p", "v", "8M", "--format", "parallels")
        self.assertIn("<format type='ploop'/>", self.ok("vol-dumpxml", "v", "--pool", "p"))
        status, _, err = peers.run(["qemu-io", "-f", "parallels", "-c", "write -P 7 1M 1M",
                                    self.at("p", "v")])
        self.assertEqual(0, status, err)
        self.ok("vol-clone", "v", "copy", "--pool", "p")
        self.ok("vol-resize", "v", "20M", "--pool", "p")
        self.assertEqual(20 * MIB, self.info("v")["virtual-size"])
        self.done("vol-check", "v", "--pool", "p")
        for name in ("v", "copy"):
            _, out, _ = peers.run(["qemu-io", "-f", "parallels", "-c", "read -P 7 1M 1M",
                                   self.at("p", name)])
            self.assertNotIn("failed", out)
        self.fails("vol-create-as", "p", "d", "8M", "--format", "ploop", text="the tool 'ploop'")
        self.assertNotIn("d", self.entries("p"))

    def test_convert_refuses(self):
        for words, code, text in (
                (["mid", "--format", "raw"], 5, "storage volume 'mid' exists already"),
                (["new", "--format", "qcow2", "-o", "backing_file=/x"], 1, "no backing file"),
                (["new", "--format", "raw", "-c"], 1, "images of format 'raw' can't be written compressed")):
            status, _, err = self.cistern("vol-convert", "top", *words, "--pool", "p")
            self.assertEqual(code, status, err)
            self.assertIn(text, err)
        self.assertEqual(["base", "mid", "top"], sorted(os.listdir(self.at("p", "."))))

    def test_convert_is_cancelled(self):
        with open(self.at("p", "big"), "wb") as out:
            out.write(os.urandom(24 * MIB))
        self.ok("pool-refresh", "p")
        child = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "vol-convert", "big", "new",
                                  "--pool", "p", "--format", "qcow2", "--rate-limit", "1M"],
                                 stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
                                 env=space.ENV)
        job = self.wait_until(
            lambda: next((j for j in json.loads(self.cistern("--json", "job-list")[1])["jobs"]
                          if (j["operation"], j["volume"]) == ("convert", "new")), None),
            "the conversion is a job", lambda: self.cistern("job-list")[1])
        self.done("job-cancel", str(job["id"]))
        _, err = child.communicate(timeout=20)
        self.assertEqual(10, child.returncode)
        self.assertIn("cancelled", err)
        self.assertEqual(["base", "big", "mid", "top"], sorted(os.listdir(self.at("p", "."))))
        self.assertEqual([], os.listdir(os.path.join(self.peer.root, "var/lib/cistern/journal")))

    # --- another base -------------------------------------------------------------------------

    def rebase(self, name, base, *more):
        return self.cistern("vol-rebase", name, "--pool", "p", "--backing-vol", base,
                            "--backing-vol-format", "qcow2", *more)

    def test_rebase(self):
        self.done("vol-convert", "top", "before", "--pool", "p", "--format", "raw")
        self.make("other")
        self.io("other", "write -P 9 0 4M")
        self.assertEqual(0, self.rebase("top", "other")[0])
        self.assertEqual(self.at("p", "other"), self.backing("top"))
        self.same("top", "qcow2", "before", "raw")
        self.assertEqual(0, self.rebase("top", "base")[0])
        self.same("top", "qcow2", "before", "raw")
        self.done("vol-rebase", "top", "--pool", "p", "--backing-vol", "")
        self.assertIsNone(self.backing("top"))
        self.same("top", "qcow2", "before", "raw")
        self.done("vol-check", "top", "--pool", "p")

    def test_rebase_unsafe(self):
        self.done("vol-clone", "mid", "moved", "--pool", "p")
        self.assertEqual(0, self.rebase("top", "moved", "--unsafe")[0])
        self.assertEqual(self.at("p", "moved"), self.backing("top"))
        self.holds_all("top")

    def test_rebase_refuses(self):
        outside = self.file("outside", b"secret" * 1000)
        for more in ([], ["--unsafe"]):
            status, _, err = self.rebase("base", "top", *more)
            self.assertEqual(2, status)
            self.assertIn("volume 'base' can't be based on 'top', which is based on it", err)
            status, _, err = self.rebase("top", outside, *more)
            self.assertEqual(3, status)
            self.assertIn(outside, err)
        self.assertEqual(self.at("p", "mid"), self.backing("top"))
        self.assertIsNone(self.backing("base"))

    def test_compare(self):
        self.assertEqual(0, self.cistern("vol-compare", "top", "top", "--pool", "p")[0])
        for words in (["top", "base"], ["base", "top"]):
            status, out, err = self.cistern("vol-compare", *words, "--pool", "p", "--json")
            self.assertEqual(7, status, err)
            self.assertEqual(2 * MIB, json.loads(out.splitlines()[0])["offset"])
        self.ok("vol-create-as", "p", "longer", "32M")
        self.ok("vol-create-as", "p", "shorter", "16M")
        self.assertEqual(0, self.cistern("vol-compare", "longer", "shorter", "--pool", "p")[0])
        status, _, err = self.cistern("vol-compare", "longer", "shorter", "--pool", "p", "-s")
        self.assertEqual(7, status, err)

    # --- what is in them ----------------------------------------------------------------------

    def json(self, *words):
        status, out, err = self.cistern("--json", *words)
        self.assertEqual(0, status, err)
        return json.loads(out)

    def test_map(self):
        _, out, _ = peers.run(["qemu-img", "map", "--output=json", self.at("p", "top")])
        keys = ("start", "length", "depth", "present", "zero", "data", "offset")
        theirs = [tuple(row.get(key) for key in keys) for row in json.loads(out)]
        rows = self.json("vol-map", "top", "--pool", "p")["map"]
        self.assertEqual(theirs, [tuple(row.get(key) for key in keys) for row in rows])
        for row in rows:
            if row["present"]:
                self.assertEqual(self.at("p", ("top", "mid", "base")[row["depth"]]),
                                 row["filename"])

    def test_map_of_many_runs(self):
        """More than fit a page: all of them come, once."""
        count = 40000
        with open(self.at("p", "comb"), "wb") as out:
            out.truncate(2 * count * 4096)
            for i in range(count):
                out.seek(2 * i * 4096)
                out.write(b"x")
        self.ok("pool-refresh", "p")
        rows = self.json("vol-map", "comb", "--pool", "p")["map"]
        self.assertEqual(2 * count, len(rows))
        self.assertEqual([4096 * i for i in range(2 * count)], [row["start"] for row in rows])
        self.assertEqual([i % 2 == 0 for i in range(2 * count)], [row["data"] for row in rows])

    def test_measure(self):
        _, out, _ = peers.run(["qemu-img", "measure", "--output=json", "-O", "qcow2",
                               self.at("p", "top")])
        theirs = json.loads(out)
        ours = self.json("vol-measure", "top", "--pool", "p", "-O", "qcow2")
        self.assertEqual((theirs["required"], theirs["fully-allocated"]),
                         (ours["required"], ours["fully_allocated"]))
        _, out, _ = peers.run(["qemu-img", "measure", "--output=json", "-O", "qcow2", "--size",
                               "1G"])
        ours = self.json("vol-measure", "--size", "1G", "-O", "qcow2")
        self.assertEqual(json.loads(out)["required"], ours["required"])

    def bitmaps(self, name):
        found = self.info(name)["format-specific"]["data"].get("bitmaps", [])
        return {row["name"]: (row["granularity"], row["flags"]) for row in found}

    def test_bitmap(self):
        self.done("vol-bitmap", "base", "b0", "--pool", "p", "--add", "-g", "32k")
        self.done("vol-bitmap", "base", "b1", "--pool", "p", "--add", "--disable")
        self.assertEqual({"b0": (32768, ["auto"]), "b1": (65536, [])}, self.bitmaps("base"))
        self.make("other")
        self.done("vol-bitmap", "other", "b2", "--pool", "p", "--add", "--merge", "b0",
                  "--source-vol", "base")
        self.done("vol-bitmap", "base", "b0", "--pool", "p", "--remove")
        self.assertEqual(["b1"], list(self.bitmaps("base")))
        status, _, err = self.cistern("vol-bitmap", "base", "b0", "--pool", "p", "--clear")
        self.assertEqual(3, status, err)
        self.done("vol-check", "base", "--pool", "p")
        self.done("vol-check", "other", "--pool", "p")
