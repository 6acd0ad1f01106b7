# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cockpit's page of storage pools, in a browser, through libvirt-dbus and Cockpit's own server."""

import json
import os
import socket
import subprocess
import unittest

import browser
from harness import bus, peers, space

COCKPIT_WS = "/usr/lib/cockpit/cockpit-ws"
PAGE = "http://127.0.0.1:{}/cockpit/@localhost/machines/index.html#/storages"
TARGET = "#storage-pool-dialog-target-group input"
VOLUME_DIALOG = "#create-volume-dialog-modal "
MIB = 1 << 20


def missing():
    absent = [browser.missing(), bus.missing()]
    absent += [path for path in (COCKPIT_WS, "/usr/bin/cockpit-bridge", "/usr/share/cockpit/machines")
               if not os.path.exists(path)]
    return ", ".join(filter(None, absent))


class Cockpit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if missing() or not space.private_mounts():
            raise unittest.SkipTest(f"needs root, a mount namespace and {missing() or 'more'}")
        cls.peer = (peers.Libvirtd if "CST_SELF_CHECK" in os.environ
                    else peers.CisterndInPlace)("cockpit")
        cls.peer.fresh()
        cls.bus = bus.Bus(cls.peer)
        cls.port, cls.server = cls.serve()
        cls.browser = browser.Browser()

    @classmethod
    def serve(cls):
        """Cockpit's server, where the daemon is; one session without a password, on loopback only."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        run = space.path("cockpit-run")
        os.makedirs(run, mode=0o700)
        with open(space.path("cockpit.log"), "ab") as log:
            server = subprocess.Popen(
                bus.inside(cls.peer, "sh", "-c", 'mkdir -p /run/cockpit; exec "$@"', "sh", COCKPIT_WS,
                           "--no-tls", "-a", "127.0.0.1", "-p", str(port),
                           "--local-session=/usr/bin/cockpit-bridge"),
                env=dict(cls.bus.env, XDG_RUNTIME_DIR=run), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        return port, server

    @classmethod
    def tearDownClass(cls):
        cls.browser.stop()
        cls.server.terminate()
        cls.server.wait()
        cls.bus.stop()
        cls.peer.stop()

    def virsh(self, *words):
        status, out, err = peers.virsh(self.peer, *words)
        self.assertEqual(0, status, err)
        return out

    def at(self, *parts):
        return os.path.join(self.peer.dir, *parts)

    def until_there(self, element):
        self.browser.until(lambda: self.browser.js(
            f"document.getElementById({json.dumps(element)}) !== null"), element)

    def is_past_hardware(self):
        """Without KVM the page begins with a remark, whose button does nothing until all is loaded."""
        self.browser.click_if_there("#ignore-hw-virtualization-disabled-btn")
        return "No storage pool is defined on this host" in self.browser.text()

    def make_pool(self):
        page = self.browser
        os.mkdir(self.at("made"))
        page.click("#create-storage-pool")
        page.write("#storage-pool-dialog-name", "made")
        page.click(TARGET)
        page.write(TARGET, self.peer.dir + "/")
        page.click("#storage-pool-dialog-target-group li button", self.at("made") + "/")
        page.picture("cockpit-new-pool")
        page.click("#create-storage-pool-dialog button", "Create")
        page.click("#activate-pool-made-system")
        self.until_there("deactivate-pool-made-system")
        self.assertRegex(self.virsh("pool-list"), r"made +active +yes")

    def make_volume(self):
        page = self.browser
        page.click("[id^=expand-toggle]")
        page.click("[id^=pf-tab-1-]")
        page.click("#made-system-create-volume-button")
        page.write("#create-volume-dialog-name", "disk")
        page.choose("#create-volume-dialog-unit", "MiB")
        page.write("#create-volume-dialog-size", "64")
        page.picture("cockpit-new-volume")
        page.click(VOLUME_DIALOG + "button", "Create")
        self.until_there("pool-made-system-volume-disk-name")
        page.picture("cockpit-volumes")
        told = json.loads(peers.run(["qemu-img", "info", "--output=json", self.at("made", "disk")])[1])
        self.assertEqual(("qcow2", 64 * MIB), (told["format"], told["virtual-size"]))

    def test_pools_and_volumes(self):
        page = self.browser
        page.open(PAGE.format(self.port))
        page.until(self.is_past_hardware, "the page", 60)
        page.picture("cockpit-empty")
        self.assertNotIn("Failed to fetch", page.text())
        self.make_pool()
        self.make_volume()
        # What others do is shown because it has happened, without a reload.
        self.virsh("vol-create-as", "made", "other", "1M")
        self.virsh("pool-refresh", "made")
        page.sees("other")
        self.virsh("vol-delete", "other", "--pool", "made")
        page.click("input[name=checkrow0]")
        page.click("#storage-volumes-delete")
        page.sees("No storage volumes defined for this storage pool")
        self.assertEqual([], os.listdir(self.at("made")))
        page.click("#deactivate-pool-made-system")
        self.until_there("activate-pool-made-system")
        page.click("#pool-made-system-action-kebab button")
        page.click("#delete-pool-made-system, #pool-made-system-action-kebab li *", "Delete")
        page.click("[role=dialog] button", "Delete")
        page.sees("No storage pool is defined on this host")
        self.assertNotIn("made", self.virsh("pool-list", "--all"))
        page.picture("cockpit-end")
