# SPDX-License-Identifier: LGPL-2.1-or-later
"""virt-manager on a screen of its own: its storage page, driven as a person would."""

import json
import os
import shutil
import unittest

import desktop
from harness import peers
from harness.cases import WithDaemon

VIRT_MANAGER = "/usr/bin/virt-manager"
GIB = 1 << 30


class VirtManager(WithDaemon):
    @classmethod
    def setUpClass(cls):
        missing = desktop.missing()
        if missing or not shutil.which(VIRT_MANAGER):
            raise unittest.SkipTest(f"needs {missing or 'virt-manager'}")
        super().setUpClass()
        cls.screen = desktop.Desktop()

    @classmethod
    def tearDownClass(cls):
        cls.screen.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        # It makes one of this name where the machine's own guests live, if there is none.
        os.mkdir(self.at("default"))
        self.ok("pool-define-as", "default", "dir", "--target", self.at("default"))
        self.ok("pool-start", "default")
        self.program = self.screen.spawn(
            "/usr/bin/python3", VIRT_MANAGER, "--no-fork", "--show-host-summary", "--connect",
            self.peer.uri.replace("storage+unix", "qemu+unix"))
        self.addCleanup(self.end)
        self.screen.find("page tab", "Storage")
        self.screen.tab("Storage")

    def end(self):
        self.screen.picture("virt-manager-end-of-" + self._testMethodName)
        self.program.terminate()
        self.program.wait()
        self.screen.processes.remove(self.program)

    def eventually(self, check, what):
        self.wait_until(check, what, self.screen.dump)

    def make_pool(self, name):
        screen = self.screen
        screen.click("push button", "pool-add")
        window = screen.find("frame", "Add a New Storage Pool")
        target, title = screen.all("text", None, window)
        screen.write(title, name)
        screen.write(target, self.at(name))
        screen.picture("virt-manager-new-pool")
        screen.click("push button", "Finish", window)
        screen.gone("frame", "Add a New Storage Pool")
        screen.select("pool-list", name)
        self.eventually(lambda: screen.text(screen.find("text", "pool-name")) == name, "selected")

    def make_volume(self, name, form, gigabytes):
        screen = self.screen
        screen.click("push button", "vol-new")
        window = screen.find("frame", "Add a Storage Volume")
        box = screen.find("combo box", None, window)
        screen.write(screen.find("text", None, box), form)
        screen.find("spin button", None, window).set_current_value(gigabytes)
        title = [widget for widget in screen.all("text", None, window)
                 if widget.get_parent().get_role_name() != "combo box"][0]
        screen.write(title, name)
        screen.picture("virt-manager-new-volume-" + form)
        screen.click("push button", "Finish", window)
        screen.gone("frame", "Add a Storage Volume")

    def shows(self, *names):
        """The list has these volumes and no others."""
        def same():
            return self.volumes() == sorted(names)
        self.eventually(same, f"volumes {names}")

    def volumes(self):
        """Cells come by rows of four columns, the last of which is empty."""
        rows = self.screen.rows("vol-list")
        return sorted(rows[::3])

    def image(self, path):
        told = json.loads(peers.run(["qemu-img", "info", "--output=json", path])[1])
        return told["format"], told["virtual-size"]

    def delete(self, name):
        self.screen.select("vol-list", name)
        self.screen.press("push button", "vol-delete")
        self.screen.press("push button", "Yes", self.screen.find("alert", "vmm dialog"))

    def test_pools_and_volumes(self):
        screen = self.screen
        self.make_pool("made")
        self.assertRegex(self.ok("pool-list"), r"made +active +yes")
        self.assertIn(self.at("made"), self.ok("pool-dumpxml", "made"))
        self.make_volume("disk", "qcow2", 1)
        self.shows("disk.qcow2")
        self.assertEqual(("qcow2", GIB), self.image(self.at("made", "disk.qcow2")))
        self.make_volume("plain", "raw", 0.25)
        self.shows("disk.qcow2", "plain.img")
        self.assertEqual(GIB // 4, os.stat(self.at("made", "plain.img")).st_size)
        screen.picture("virt-manager-volumes")
        self.delete("disk.qcow2")
        self.shows("plain.img")
        self.assertEqual(["plain.img"], self.entries("made"))
        self.delete("plain.img")
        self.shows()
        screen.press("push button", "pool-stop")
        self.eventually(lambda: "made" not in self.ok("pool-list"), "stopped")
        screen.press("push button", "pool-delete")
        screen.press("push button", "Yes", screen.find("alert", "vmm dialog"))
        self.eventually(lambda: "made" not in self.ok("pool-list", "--all"), "undefined")

    def test_what_others_do_and_what_is_refused(self):
        screen = self.screen
        screen.select("pool-list", "p")
        self.ok("vol-create-as", "p", "base", "1M")
        self.ok("vol-create-as", "p", "over", "1M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "raw")
        screen.click("push button", "vol-refresh")
        self.shows("base", "over")
        if "CST_SELF_CHECK" in os.environ:
            return
        self.delete("base")
        self.eventually(lambda: "the base of other volumes" in screen.dump(), "the refusal")
        screen.picture("virt-manager-refused")
        self.assertEqual(["base", "over"], self.entries("p"))
