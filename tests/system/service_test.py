# SPDX-License-Identifier: LGPL-2.1-or-later
"""cisternd as a service: SIGHUP, and taking over from libvirt's daemons (--check-takeover)."""

import os
import signal

from harness import peers, space
from harness.cases import WithDaemon

WANTS = "etc/systemd/system/sockets.target.wants"
DRIVER = "usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_storage.so"


class Service(WithDaemon):
    mark = 0  # what the log had before

    def said(self):
        return self.peer.log()[self.mark:]

    def settings(self, text):
        self.mark = len(self.peer.log())
        self.put("etc/cistern/cisternd.conf", text)

    def put(self, path, text=""):
        path = os.path.join(self.peer.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)

    def wait_for(self, words):
        self.wait_until(lambda: words in self.said(), f"the log has '{words}'", self.said)

    def check(self, status):
        got, out, err = peers.run([space.CISTERND, "--root", self.peer.root, "--check-takeover"])
        self.assertEqual(status, got, out + err)
        return out

    def before(self):
        """Every file below the root, to see that looking changes nothing."""
        return sorted((path, tuple(names)) for path, _, names in os.walk(self.peer.root))


class Reload(Service):
    def test_what_needs_a_restart_is_said(self):
        self.settings("[limits]\nworkers = 7\n[log]\nlevel = warning\n")
        self.peer.restart()
        self.settings("[limits]\nworkers = 9\nmax_wait = 5\n[log]\nlevel = info\n")
        self.peer.process.send_signal(signal.SIGHUP)
        self.wait_for("these changes need a restart: workers, max_wait\n")
        self.wait_for("cisternd.conf again\n")  # said at level info, which has just been read
        self.assert_alive()

    def test_nothing_is_said_of_what_is_in_force(self):
        self.settings("[limits]\nworkers = 7\n[log]\nlevel = warning\n")
        self.peer.restart()
        self.settings("[limits]\nworkers = 7\n[log]\nlevel = info\n")
        self.peer.process.send_signal(signal.SIGHUP)
        self.wait_for("cisternd.conf again\n")
        self.assert_alive()
        self.assertNotIn("restart", self.said())

    def test_a_file_with_a_mistake_changes_nothing(self):
        self.settings("[log]\nlevel = warning\n")
        self.peer.restart()
        self.settings("[log]\nlevel = loud\n")
        self.peer.process.send_signal(signal.SIGHUP)
        self.wait_for("the configuration is not read again")
        self.assert_alive()


class Takeover(Service):
    def test_a_daemon_that_runs_is_named(self):
        said = self.check(5)
        self.assertIn(f"problem process {self.peer.process.pid} (cisternd) manages the storage",
                      said)
        self.assertIn(f"problem process {self.peer.process.pid} (cisternd) listens at", said)

    def test_nothing_in_the_way(self):
        self.peer.stop()
        before = self.before()
        said = self.check(0)
        self.assertIn("ok      1 of 1 pool definitions", said)
        self.assertNotIn("problem ", said)
        self.assertEqual(before, self.before())

    def test_definitions_that_would_be_missing(self):
        self.peer.stop()
        self.put("etc/libvirt/storage/broken.xml", "<pool type='dir'>")
        self.put("etc/libvirt/storage/other.xml", "<pool type='dir'><name>x</name>"
                 "<target><path>/srv/x</path></target></pool>")
        self.put("etc/libvirt/storage/m.xml", "<pool type='sheepdog'><name>m</name><source>"
                 "<host name='h'/><name>v</name></source></pool>")
        said = self.check(5)
        self.assertRegex(said, "problem '.*/broken.xml' would not be loaded")
        self.assertRegex(said, "problem '.*/other.xml' would not be loaded: .*'x'")
        self.assertIn("ok      1 of 4 pool definitions", said)

    def test_units_that_would_fight(self):
        self.peer.stop()
        wants = os.path.join(self.peer.root, WANTS)
        os.makedirs(wants)
        for unit in ("libvirtd.socket", "virtstoraged-ro.socket"):
            os.symlink(f"/lib/systemd/system/{unit}", os.path.join(wants, unit))
        self.put(DRIVER)
        said = self.check(5)
        self.assertIn("problem libvirtd.socket is enabled: libvirtd would be started", said)
        self.assertIn("problem virtstoraged-ro.socket is enabled", said)
        # Without its storage driver libvirtd runs guests beside us.
        os.unlink(os.path.join(self.peer.root, DRIVER))
        os.unlink(os.path.join(wants, "virtstoraged-ro.socket"))
        self.assertIn("note    libvirtd.socket is enabled", self.check(0))

    def test_stock_libvirtd_is_named(self):
        if not peers.Libvirtd.available():
            self.skipTest("needs libvirtd and a private mount namespace")
        self.peer.stop()
        stock = peers.Libvirtd("ours")
        stock.start()
        self.addCleanup(stock.stop)
        peers.virsh(stock, "pool-list")  # answered once its drivers are there
        self.assertIn(f"problem process {stock.process.pid} (libvirtd) manages the storage",
                      self.check(5))
