# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt-dbus, on a bus of its own, as Cockpit uses it."""

import json
import os
import unittest

from harness import bus, peers, space

HERE = os.path.dirname(os.path.abspath(__file__))


def in_place():
    return (peers.Libvirtd if "CST_SELF_CHECK" in os.environ else peers.CisterndInPlace)("dbus")


class LibvirtDbus(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if bus.missing() or not space.private_mounts():
            raise unittest.SkipTest(f"needs root, a mount namespace and {bus.missing() or 'more'}")
        cls.peer = in_place()
        cls.peer.fresh()
        cls.bus = bus.Bus(cls.peer)

    @classmethod
    def tearDownClass(cls):
        cls.bus.stop()
        cls.peer.stop()

    def test_a_life_of_a_pool(self):
        directory = os.path.join(self.peer.dir, "db")
        status, out, err = peers.run(["python3", os.path.join(HERE, "clients/dbus.py"),
                                      self.bus.address, directory])
        self.assertEqual((0, ""), (status, err))
        facts = json.loads(out)
        # Defined, created, started, stopped, undefined.
        self.assertEqual([[0, 0], [4, 0], [2, 0], [3, 0], [1, 0]], facts.pop("events"))
        self.assertEqual({
            "found": True, "by name": True, "properties": ["db", True, True, False], "state": 2,
            "looked up": True, "capacity": 64 << 20, "key is path": True, "listed": 2, "left": 1,
            "error": ["org.libvirt.Error", "Storage volume not found: no storage vol with "
                                           "matching name 'none'"],
            "refreshed": True, "secrets": []}, facts)
        self.assertEqual(["copy.qcow2"], os.listdir(directory))
        status, out, _ = peers.run(["qemu-img", "info", "--output=json",
                                    os.path.join(directory, "copy.qcow2")])
        told = json.loads(out)
        self.assertEqual(("qcow2", 64 << 20), (told["format"], told["virtual-size"]))
