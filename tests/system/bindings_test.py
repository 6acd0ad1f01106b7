# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's bindings for Python, Perl and Ruby, and virt-install's storage classes, each in a program of
its own (clients/): what it saw, and what qemu-img and the files say about what it did."""

import json
import os
import unittest

from harness import peers
from harness.cases import WithDaemon

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
VIRTINST = "/usr/share/virt-manager/virtinst"
MIB = 1 << 20
NO_POOL, NO_VOLUME, EXISTS = 49, 50, 90
STORAGE = 18
CREATED = {"v.raw": "raw", "v.qcow2": "qcow2", "v.vmdk": "vmdk", "v.vdi": "vdi", "v.vpc": "vpc"}


def missing(argv):
    """The client that @argv asks after is not there."""
    return peers.run(argv)[0] != 0


class Bindings(WithDaemon):
    def play(self, *argv, timeout=60):
        """The facts that a client printed."""
        status, out, err = peers.run(argv, timeout=timeout)
        self.assertEqual((0, ""), (status, err))
        return json.loads(out)

    def image(self, *parts):
        """(format, virtual size) as qemu-img has them."""
        status, out, err = peers.run(["qemu-img", "info", "--output=json", self.at(*parts)])
        self.assertEqual(0, status, err)
        told = json.loads(out)
        return told["format"], told["virtual-size"]

    def same_content(self, one, other):
        status, out, err = peers.run(["qemu-img", "compare", "-f", "raw", "-F", "qcow2", one, other])
        self.assertEqual(0, status, out + err)

    def sparse_source(self):
        path = self.file("source")
        with open(path, "wb") as out:
            out.truncate(8 * MIB)
            out.seek(MIB)
            out.write(os.urandom(300000))
        return path

    def test_python(self):
        source = self.sparse_source()
        facts = self.play("python3", os.path.join(CLIENTS, "python.py"), self.peer.uri,
                          self.at("py"), source)
        events = facts.pop("events")
        holes = facts.pop("holes")
        self.assertEqual({
            "autostart": 1, "volumes": dict.fromkeys(CREATED, 8 * MIB),
            "sparse download": True,
            "download by events": True, "copy": 16 * MIB,
            "codes": [[NO_VOLUME, STORAGE], [EXISTS, STORAGE], [NO_POOL, STORAGE]]}, facts)
        # Defined, created, started, stopped, undefined; scans tell of themselves in between.
        self.assertEqual(["py 0", "py 4", "py 2", "py 3", "py 1"],
                         [e for e in events if "refreshed" not in e])
        self.assertIn("py refreshed", events)
        self.assertGreater(holes, 7 * MIB)
        with open(self.at("py", "v.raw"), "rb") as got, open(source, "rb") as wanted:
            self.assertEqual(wanted.read(), got.read())
        self.assertLess(os.stat(self.at("py", "v.raw")).st_blocks * 512, MIB)
        for name, form in CREATED.items():
            self.assertEqual(form, self.image("py", name)[0])
        self.assertEqual(("qcow2", 16 * MIB), self.image("py", "copy.qcow2"))
        peers.run(["qemu-img", "resize", "-q", "--shrink", self.at("py", "copy.qcow2"), str(8 * MIB)])
        self.same_content(source, self.at("py", "copy.qcow2"))

    def filled(self, name, word):
        """What clients of the smaller bindings leave: a raw volume of @word and its clone in qcow2."""
        with open(self.at(name, "r.raw"), "rb") as stream:
            self.assertEqual(word * (MIB // 4), stream.read())
        self.assertEqual(("qcow2", 20 * MIB), self.image(name, "a.qcow2"))
        self.assertEqual(("qcow2", MIB), self.image(name, "c.qcow2"))
        self.same_content(self.at(name, "r.raw"), self.at(name, "c.qcow2"))

    @unittest.skipIf(missing(["perl", "-MSys::Virt", "-e", "1"]), "no Sys::Virt here")
    def test_perl(self):
        facts = self.play("perl", os.path.join(CLIENTS, "perl.pl"), self.peer.uri, self.at("pl"))
        self.assertEqual({
            "pools": ["p", "pl"], "state": [2, 1, 3], "volumes": ["a.qcow2", "c.qcow2", "r.raw"],
            "all volumes": ["a.qcow2", "c.qcow2", "r.raw"], "capacity": 20 * MIB, "same": True,
            "codes": [[NO_VOLUME, STORAGE], [EXISTS, STORAGE], [NO_POOL, STORAGE]]}, facts)
        self.filled("pl", b"perl")

    @unittest.skipIf(missing(["ruby", "-e", "require 'libvirt'"]), "no ruby-libvirt here")
    def test_ruby(self):
        facts = self.play("ruby", os.path.join(CLIENTS, "ruby.rb"), self.peer.uri, self.at("rb"))
        self.assertEqual({
            "pools": ["p", "rb"], "state": [True, True, True, 2],
            "volumes": ["a.qcow2", "c.qcow2", "r.raw", "w.raw"],
            "all volumes": 4, "capacity": 20 * MIB,
            "same": True, "by path": "a.qcow2", "by key": "a.qcow2",
            "codes": [NO_VOLUME, EXISTS, NO_POOL], "after delete": 3}, facts)
        self.filled("rb", b"ruby")
        self.assertFalse(os.path.exists(self.at("rb", "w.raw")))

    @unittest.skipUnless(os.path.isdir(VIRTINST), "no virtinst here")
    def test_virt_install(self):
        other = self.at("other")
        os.mkdir(other)
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", os.path.join(other, "x.qcow2"), "1M"])
        facts = self.play("python3", os.path.join(CLIENTS, "virt_install.py"),
                          self.peer.uri.replace("storage+unix", "qemu+unix"), self.at("vi"), other)
        self.assertEqual({
            "storage": True, "pool": [1, 1], "free pool name": "vi-1", "capacities": [64 * MIB] * 4,
            "clone": "clone.qcow2", "free volume name": "v-1.raw", "disk": ["file", "qcow2", True],
            "new disk": [True, True], "other disk": ["file", "qcow2", True],
            "pools": ["other", "p", "vi"]}, facts)
        for name in ("raw", "qcow2", "vmdk", "vdi"):
            self.assertEqual((name, 64 * MIB), self.image("vi", "v." + name))
        self.assertEqual(64 * MIB, os.stat(self.at("vi", "full.raw")).st_blocks * 512)
        for name in ("clone", "new"):
            self.assertEqual(("qcow2", 64 * MIB), self.image("vi", name + ".qcow2"))
        self.assertIn(f"backing file: {self.at('vi', 'v.qcow2')}",
                      peers.run(["qemu-img", "info", self.at("vi", "over.qcow2")])[1])
