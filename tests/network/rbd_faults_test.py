# SPDX-License-Identifier: LGPL-2.1-or-later
"""What fails on the way to an RBD pool: a clear error with its own code within the deadline, other
pools as quick as ever meanwhile, and all well again, without a restart, when the cluster is."""

import contextlib
import threading

from harness import ceph, peers
from harness.onserver import MIB, Beside, noise, write_all
from rbd_test import OnCeph

# Exit statuses of our command line.
FAILED, DENIED, UNREACHABLE = 1, 4, 6


class Faults(Beside, OnCeph):
    """With deadlines of a few seconds, so that a test sees them."""

    def late(self, *words):
        """It fails as something that did not answer."""
        self.assertIn("did not answer", self.cistern(*words, status=UNREACHABLE))

    def back(self):
        self.wait_until(lambda: "running" in self.ok("pool-info", "r"), "the pool runs again")

    def test_a_frozen_osd_delays_only_its_own_volumes(self):
        self.put("a", noise(4 * MIB))
        with self.beside(hangs=True):
            self.ceph.freeze()
            self.late("vol-info", "a", "--pool", "r")
            self.late("pool-refresh", "r")
            self.late("vol-create-as", "r", "b", "1M")
            # Not vanished, only not answering.
            self.assertEqual(["a"], self.names())
            self.assertIn("inaccessible", self.ok("pool-info", "r"))
        self.ceph.thaw()
        self.back()
        self.ok("vol-create-as", "r", "c", "1M")
        self.wait_until(lambda: sorted(i for i in self.ceph.images() if i != "b") == ["a", "c"],
                        "only the images a and c are there")

    def test_an_osd_that_freezes_in_mid_refresh(self):
        for name in ("a", "b", "c"):
            self.ok("vol-create-as", "r", name, "4M")
        ended = []

        def refresh():
            while not ended or ended[-1][0] == 0:
                status, _out, err = peers.virsh(self.peer, "pool-refresh", "r")
                ended.append((status, err))
        with self.beside():
            refreshing = threading.Thread(target=refresh)
            refreshing.start()
            self.wait_until(lambda: len(ended) > 3, "four refreshes have ended")
            self.ceph.freeze()
            refreshing.join()
            self.assertIn("did not answer", ended[-1][1])
            self.assertEqual(["a", "b", "c"], self.names())
        self.ceph.thaw()
        self.back()
        self.ok("pool-refresh", "r")
        self.assertEqual(["a", "b", "c"], self.names())

    def test_a_write_into_a_frozen_osd_fails_and_works_again_later(self):
        self.put("a", noise(MIB), 16 * MIB)
        payload = self.file("large", noise(16 * MIB, 5))
        with self.beside(hangs=True):
            self.ceph.freeze()
            self.late("vol-upload", "a", payload, "--pool", "r")
        self.ceph.thaw()
        self.wait_until(lambda: peers.virsh(self.peer, "vol-upload", "a", payload, "--pool",
                                            "r")[0] == 0, "the volume can be uploaded")
        self.assertEqual(noise(16 * MIB, 5), self.content("a"))

    def test_an_osd_that_freezes_in_mid_write(self):
        """The first half is on its way to the cluster before the OSD freezes, the rest after."""
        self.ok("vol-create-as", "r", "a", "64M")
        payload = noise(64 * MIB, 6)
        with self.beside(), self.transfer("vol-upload", "a") as (uploading, fifo):
            with open(fifo, "wb", buffering=0) as stream, contextlib.suppress(BrokenPipeError):
                write_all(stream, payload[:32 * MIB])
                self.wait_until(lambda: "rbd_data." in self.ceph.run("rados", "-p", "libvirt",
                                                                    "ls"),
                                "data objects are written")
                self.ceph.freeze()
                write_all(stream, payload[32 * MIB:])
            err = uploading.communicate(timeout=300)[1]
        self.assertEqual(1, uploading.returncode)
        self.assertIn("did not answer", err)
        self.ceph.thaw()
        large = self.file("large", payload)
        self.wait_until(lambda: peers.virsh(self.peer, "vol-upload", "a", large, "--pool",
                                            "r")[0] == 0, "the volume can be uploaded")
        self.assertEqual(payload, self.content("a"))

    def test_a_monitor_that_stops(self):
        """Those that have a connection need it for the numbers of the cluster alone."""
        self.put("a", noise(MIB))
        with self.beside():
            self.ceph.freeze("mon.a")
            self.define("m", start=False)
            self.assertIn("cannot reach the Ceph monitors",
                          self.cistern("pool-start", "m", status=UNREACHABLE))
            self.ok("vol-info", "a", "--pool", "r")
            self.ok("vol-upload", "a", self.file("payload", noise(MIB, 2)), "--pool", "r")
            self.assertEqual(noise(MIB, 2), self.download("a"))
            self.late("pool-refresh", "r")
            self.assertEqual(["a"], self.names())
        self.ceph.thaw()
        self.back()
        self.ok("pool-start", "m")
        self.assertEqual(["a"], self.names("m"))
        self.undefine("m")

    def test_a_wrong_key_until_it_is_the_right_one(self):
        other = "22222222-2222-3333-4444-555555555555"
        xml = self.file("s.xml", ceph.SECRET.replace(ceph.UUID, other)
                        .replace("libvirt secret", "wrong"))

        def secret(*words):
            self.assertEqual(0, peers.run(["virsh", "-c", self.peer.secret_uri, *words])[0])
        secret("secret-define", xml)
        secret("secret-set-value", other, "AQDcJgBrGlshNBAAHyvHYaTn5qEiiGsuk0tN3A==")
        self.define("w", start=False, auth=ceph.AUTH.replace(ceph.UUID, other))
        with self.beside():
            self.assertIn("refused user 'libvirt'",
                          self.cistern("pool-start", "w", status=DENIED))
        secret("secret-set-value", other, self.ceph.key)
        self.ok("pool-start", "w")
        self.undefine("w")

    def test_the_daemon_starts_while_the_cluster_is_dead_and_finds_it_later(self):
        self.put("a", noise(MIB))
        self.ceph.freeze()
        self.peer.stop()
        self.peer.start()
        self.assertRegex(self.ok("pool-list"), r" r +active")
        self.assertEqual(0, peers.virsh(self.peer, "vol-list", "d")[0])
        self.ceph.thaw()
        self.wait_until(lambda: "running" in self.ok("pool-info", "r")
                        and self.names() == ["a"], "the pool runs, with its volume")

    def test_a_full_ceph_pool_is_no_space_and_not_a_wait(self):
        self.put("a", noise(MIB), 16 * MIB)
        self.ceph.run("ceph", "osd", "pool", "set-quota", "libvirt", "max_bytes", "1000000")
        try:
            self.wait_until(lambda: "POOL_FULL" in self.ceph.run("ceph", "health", "detail"),
                            "the quota is noticed")
            payload = self.file("large", noise(16 * MIB, 7))
            with self.beside():
                self.assertIn("quota exceeded", self.cistern(
                    "vol-upload", "a", payload, "--pool", "r", status=FAILED))
        finally:
            self.ceph.run("ceph", "osd", "pool", "set-quota", "libvirt", "max_bytes", "0")
        self.wait_until(lambda: peers.virsh(self.peer, "vol-upload", "a", payload, "--pool",
                                            "r")[0] == 0, "the volume can be uploaded")

    def test_the_lab_that_hangs_fails_one_test_and_not_the_next(self):
        self.ok("vol-create-as", "r", "a", "1M")
        self.ceph.freeze()
        with self.assertRaisesRegex(AssertionError, "(?s)timed out.*osd.0: T"):
            self.ceph.clear(limit=2)
        self.assertEqual([], self.ceph.images())
        self.back()
        self.ok("pool-refresh", "r")
        self.put("b", noise(MIB))
        self.assertEqual(["b"], self.names())
