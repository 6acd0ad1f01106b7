# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients in Go, Ruby's fog and PHP, each in a program of its own (clients/): what it saw, and what
qemu-img and the files say about what it did."""

import json
import os

from harness import peers, space
from harness.cases import WithDaemon

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
GO_SOURCES = "/usr/share/gocode"
MIB = 1 << 20


class Languages(WithDaemon):
    def need(self, what, *argv):
        if peers.run(argv)[0] != 0:
            self.skipTest(f"no {what} here")

    def play(self, *argv, timeout=60, **options):
        """The facts that a client printed."""
        status, out, err = peers.run(argv, timeout=timeout, **options)
        self.assertEqual((0, ""), (status, err))
        return json.loads(out)

    def image(self, *parts):
        """(format, virtual size, backing file) as qemu-img has them."""
        status, out, err = peers.run(["qemu-img", "info", "--output=json", self.at(*parts)])
        self.assertEqual(0, status, err)
        told = json.loads(out)
        return told["format"], told["virtual-size"], told.get("backing-filename")

    def test_golang(self):
        """digitalocean/go-libvirt: the protocol written anew, no line of libvirt's."""
        package = os.path.join(GO_SOURCES, "src/github.com/digitalocean/go-libvirt")
        if not os.path.isdir(package):
            self.skipTest(f"no {package}")
        self.need("Go", "go", "version")
        program = space.path("golang")
        env = {"GOPATH": GO_SOURCES, "GO111MODULE": "off", "GOFLAGS": "", "GOTOOLCHAIN": "local",
               "GOCACHE": space.path("gocache"), "CGO_ENABLED": "0"}
        status, out, err = peers.run(["go", "build", "-o", program, "."], env=env.items(), timeout=300,
                                     cwd=os.path.join(CLIENTS, "golang"))
        self.assertEqual(0, status, out + err)
        facts = self.play(program, self.peer.sock, "storage:///system", self.at("go"))
        self.assertEqual({"same": True, "capacity": 16 * MIB, "volumes": 2, "missing volume": 50,
                          "missing pool": 49}, facts)
        with open(self.at("go", "a"), "rb") as stream:
            self.assertEqual(b"go! " * (MIB // 4), stream.read())
        self.assertEqual(("qcow2", 16 * MIB, None), self.image("go", "b"))
        self.assertEqual(["a", "b"], self.entries("go"))

    def test_fog(self):
        """fog-libvirt, as vagrant-libvirt uses it."""
        self.need("fog-libvirt", "ruby", "-e", "require 'libvirt'; require 'fog/libvirt'")
        box = self.file("box")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", box, "64M"])
        peers.run(["qemu-io", "-c", "write -P 7 1M 64k", box])
        facts = self.play("ruby", "-W0", os.path.join(CLIENTS, "fog.rb"),
                          self.peer.uri.replace("storage+unix", "qemu+unix"), self.at("fog"), box)
        self.assertEqual({"pool": ["running", True, True],
                          "volumes": ["box.img", "copy.img", "disk.img"], "servers": 0,
                          "networks": 0}, facts)
        with open(box, "rb") as wanted, open(self.at("fog", "box.img"), "rb") as got:
            self.assertEqual(wanted.read(), got.read()[:os.path.getsize(box)])
        self.assertEqual(("qcow2", 64 * MIB, self.at("fog", "box.img")),
                         self.image("fog", "disk.img"))
        for name in ("copy.img", "disk.img"):
            status, out, err = peers.run(["qemu-img", "compare", box, self.at("fog", name)])
            self.assertEqual(0, status, out + err)

    def test_php(self):
        # Debian's package does not enable it.
        php = ["php", "-d", "extension=libvirt-php.so"]
        self.need("libvirt-php", *php, "-r", "exit(function_exists('libvirt_connect') ? 0 : 1);")
        facts = self.play(*php, os.path.join(CLIENTS, "storage.php"), self.peer.uri, self.at("php"))
        self.assertEqual({"pools": ["p", "php"], "state": [2, 1, True], "capacity": str(20 * MIB),
                          "path": self.at("php", "a.qcow2"), "volumes": ["a.qcow2", "b.qcow2"],
                          "missing": False}, facts)
        self.assertEqual(("qcow2", 20 * MIB, None), self.image("php", "a.qcow2"))
        self.assertEqual(("qcow2", 10 * MIB, None), self.image("php", "b.qcow2"))
        self.assertEqual(["a.qcow2", "b.qcow2"], self.entries("php"))
