# SPDX-License-Identifier: LGPL-2.1-or-later
"""qemu-img's opinion of every image that we create, clone, convert or resize."""

import json
import os

from harness import peers
from harness.cases import WithDaemon

QCOW2 = ("<volume><name>{name}</name><capacity>{capacity}</capacity>{more}<target>"
         "<format type='qcow2'/>{target}</target></volume>")


class Images(WithDaemon):
    def qemu(self, *words, status=0):
        got, out, err = peers.run([words[0], *words[1:]])
        self.assertEqual(status, got, f"{' '.join(words)}: {out}{err}")
        return out

    def info(self, name, *options):
        return json.loads(self.qemu("qemu-img", "info", "--output=json", *options,
                                    self.at("p", name)))

    def clean(self, name, leaks=0):
        report = json.loads(self.qemu("qemu-img", "check", "--output=json", "-f", "qcow2",
                                      self.at("p", name)))
        self.assertEqual((0, 0, leaks), (report["check-errors"], report.get("corruptions", 0),
                                         report.get("leaks", 0)))
        return report

    def write(self, name, form, *commands):
        words = [part for command in commands for part in ("-c", command)]
        out = self.qemu("qemu-io", "-f", form, *words, self.at("p", name))
        self.assertNotIn("rror", out)
        self.assertNotIn("failed", out)

    def create(self, name, capacity, more="", target=""):
        path = self.file(name + ".xml", QCOW2.format(name=name, capacity=capacity, more=more,
                                                     target=target))
        self.ok("vol-create", "p", path)

    def test_every_size_is_clean_and_writable(self):
        for size in (512, 4096, 65536, 65537, 1 << 20, (1 << 20) + 512, 1 << 29, (1 << 29) + 1,
                     1 << 33, 1 << 40, 8 << 40, 50 << 40):
            name = f"s{size}"
            with self.subTest(size=size):
                self.create(name, size)
                rounded = self.info(name)["virtual-size"]
                self.assertIn(rounded, (-(-size // 512) * 512, -(-size // 1024) * 1024))
                self.clean(name)
                self.write(name, "qcow2", "write -P 1 0 512",
                           f"write -P 2 {rounded - 512} 512", "flush",
                           "read -P 1 0 512" if rounded > 512 else "read 0 512",
                           f"read -P 2 {rounded - 512} 512")
                self.clean(name)

    def test_every_option(self):
        options = {
            "v2": ("<compat>0.10</compat>", {"compat": "0.10"}),
            "v3": ("<compat>1.1</compat>", {"compat": "1.1"}),
            "lazy": ("<compat>1.1</compat><features><lazy_refcounts/></features>",
                     {"compat": "1.1", "lazy-refcounts": True}),
            "xl2": ("<compat>1.1</compat><features><extended_l2/></features>"
                    "<clusterSize unit='KiB'>128</clusterSize>", {"extended-l2": True}),
        }
        for kib in (1, 4, 64, 512, 2048):
            options[f"c{kib}"] = (f"<clusterSize unit='KiB'>{kib}</clusterSize>", {})
        for name, (target, wanted) in options.items():
            with self.subTest(name=name):
                self.create(name, 100 << 20, target=target)
                info = self.info(name)
                data = info["format-specific"]["data"]
                self.assertEqual(wanted, {k: data.get(k) for k in wanted})
                if name.startswith("c"):
                    self.assertEqual(int(name[1:]) << 10, info["cluster-size"])
                self.write(name, "qcow2", "write -P 3 1M 3M", "read -P 3 1M 3M", "read -P 0 5M 1M")
                self.clean(name)

    def test_impossible_cluster_sizes_are_refused(self):
        for size in ("3", "256", "4194304", "0", "-1"):
            with self.subTest(size=size):
                path = self.file("c.xml", QCOW2.format(
                    name="c", capacity=1 << 20, more="",
                    target=f"<clusterSize unit='B'>{size}</clusterSize>"))
                status, _, _ = self.virsh("vol-create", "p", path)
                if status == 0:
                    self.clean("c")
                    self.ok("vol-delete", "c", "--pool", "p")
        self.assertEqual([], self.entries("p"))

    def test_preallocated(self):
        for name, words in (("meta", ["--prealloc-metadata"]), ("full", ["--allocation", "64M"])):
            with self.subTest(name=name):
                self.ok("vol-create-as", "p", name, "64M", "--format", "qcow2", *words)
                self.clean(name)
                before = os.stat(self.at("p", name)).st_size
                self.write(name, "qcow2", "write -P 5 10M 20M", "read -P 5 10M 20M")
                self.clean(name)
                if name == "meta":
                    self.assertLessEqual(os.stat(self.at("p", name)).st_size - before, 1 << 20)

    def test_backing_chains(self):
        self.ok("vol-create-as", "p", "base", "32M", "--format", "qcow2")
        self.write("base", "qcow2", "write -P 6 0 1M")
        self.ok("vol-create-as", "p", "mid", "32M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        self.ok("vol-create-as", "p", "top", "64M", "--format", "qcow2", "--backing-vol", "mid",
                "--backing-vol-format", "qcow2")
        chain = json.loads(self.qemu("qemu-img", "info", "--output=json", "--backing-chain",
                                     self.at("p", "top")))
        self.assertEqual(["qcow2"] * 3, [link["format"] for link in chain])
        self.assertEqual(["qcow2", "qcow2", None],
                         [link.get("backing-filename-format") for link in chain])
        self.write("top", "qcow2", "read -P 6 0 1M", "write -P 7 512k 1M", "read -P 6 0 512k",
                   "read -P 7 512k 1M", "read -P 0 33M 1M")
        for name in ("base", "mid", "top"):
            self.clean(name)

    def test_clone_and_convert_keep_the_content(self):
        self.ok("vol-create-as", "p", "raw", "24M", "--allocation", "0")
        self.write("raw", "raw", "write -P 1 0 64k", "write -P 2 5M 3M", "write -P 3 23M 1M")
        self.ok("vol-create-as", "p", "cow", "24M", "--format", "qcow2")
        self.write("cow", "qcow2", "write -P 1 0 64k", "write -P 2 5M 3M", "write -P 3 23M 1M")
        to_raw = self.file("r.xml", "<volume><name>raw3</name><capacity>25165824</capacity>"
                           "<target><format type='raw'/></target></volume>")
        self.ok("vol-clone", "raw", "raw2", "--pool", "p")
        self.ok("vol-clone", "cow", "cow2", "--pool", "p")
        self.ok("vol-create-from", "p", to_raw, "cow", "--inputpool", "p")
        path = self.file("q.xml", QCOW2.format(name="cow3", capacity=24 << 20, more="", target=""))
        self.ok("vol-create-from", "p", path, "raw", "--inputpool", "p")
        for name in ("raw2", "raw3", "cow", "cow2", "cow3"):
            with self.subTest(name=name):
                form = "raw" if name.startswith("raw") else "qcow2"
                self.qemu("qemu-img", "compare", "-f", "raw", "-F", form, self.at("p", "raw"),
                          self.at("p", name))
                if form == "qcow2":
                    self.clean(name)
        for name in ("raw2", "raw3", "cow3"):
            self.assertLess(os.stat(self.at("p", name)).st_blocks * 512, 12 << 20,
                            f"{name} lost its holes")

    def test_clone_of_an_overlay(self):
        self.ok("vol-create-as", "p", "base", "8M", "--format", "qcow2")
        self.write("base", "qcow2", "write -P 6 0 1M")
        self.ok("vol-create-as", "p", "top", "8M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        self.write("top", "qcow2", "write -P 7 1M 1M")
        self.ok("vol-clone", "top", "copy", "--pool", "p")
        self.qemu("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", self.at("p", "top"),
                  self.at("p", "copy"))
        self.clean("copy")

    def test_resize_up_and_down(self):
        for start, steps in ((1 << 20, (2 << 20, 1 << 30, 1 << 40, 5 << 40)),
                             (1 << 29, ((1 << 29) + 512, 1 << 34))):
            name = f"r{start}"
            self.ok("vol-create-as", "p", name, f"{start}b", "--format", "qcow2")
            self.write(name, "qcow2", "write -P 4 0 1M")
            for size in steps:
                with self.subTest(size=size):
                    self.ok("vol-resize", name, f"{size}b", "--pool", "p")
                    self.assertEqual(size, self.info(name)["virtual-size"])
                    self.clean(name)
                    self.write(name, "qcow2", "read -P 4 0 1M", f"read -P 0 {size - 512} 512",
                               f"write -P 9 {size - 512} 512")
                    self.clean(name)

    def test_resize_of_a_version_2_image_and_of_an_overlay(self):
        self.create("v2", 1 << 20, target="<compat>0.10</compat>")
        self.ok("vol-resize", "v2", "1G", "--pool", "p")
        self.clean("v2")
        self.create("base", 4 << 20)
        self.write("base", "qcow2", "write -P 6 0 4M")
        self.ok("vol-create-as", "p", "top", "2M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        self.ok("vol-resize", "top", "4M", "--pool", "p")
        self.clean("top")
        self.write("top", "qcow2", "read -P 6 0 2M", "read -P 0 2M 2M")

    def test_an_image_of_several_files_is_a_volume(self):
        """A VMDK with its extents beside it, as other hypervisors hand them out."""
        for sub in ("monolithicFlat", "twoGbMaxExtentSparse"):
            with self.subTest(subformat=sub):
                self.qemu("qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={sub}",
                          self.at("p", "disk.vmdk"), "8M")
                self.write("disk.vmdk", "vmdk", "write -P 7 1M 2M")
                self.ok("pool-refresh", "p")
                path = self.file("to.xml", QCOW2.format(name="copy", capacity=8 << 20, more="",
                                                        target=""))
                self.ok("vol-create-from", "p", path, "disk.vmdk", "--inputpool", "p")
                self.clean("copy")
                self.qemu("qemu-img", "compare", "-f", "vmdk", "-F", "qcow2",
                          self.at("p", "disk.vmdk"), self.at("p", "copy"))
                names = sorted(os.listdir(self.at("p")))
                parts = [name for name in names if name.startswith("disk-")]
                for name in parts:
                    self.assertIn("p/disk.vmdk", self.fails("vol-delete", name, "--pool", "p"))
                for name in sorted(names, key=parts.__contains__):
                    self.ok("vol-delete", name, "--pool", "p")
