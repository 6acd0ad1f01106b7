# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gluster servers that die, freeze or are full: a clear error with its own code within the deadline, other
pools as quick as ever meanwhile, and all well again, without a restart, when they are back."""

import contextlib
import os
import signal
import subprocess
import threading

from gluster_test import OnGluster
from harness import gluster, peers, space
from harness.onserver import MIB, Beside, noise, write_all

# Exit statuses of our command line.
FAILED, UNREACHABLE = 1, 6


class Faults(Beside, OnGluster):
    def setUp(self):
        for which in ("glusterd", "brick"):
            self.lab.signal(which, signal.SIGCONT)
        super().setUp()

    def late(self, *words):
        """It fails as something that did not answer."""
        self.cistern(*words, status=UNREACHABLE)

    def back(self):
        self.wait_until(lambda: "running" in self.ok("pool-info", "g")
                        and peers.virsh(self.peer, "pool-refresh", "g")[0] == 0,
                        "the pool is refreshed again")

    def test_a_frozen_brick(self):
        self.ok("vol-create-as", "g", "a", "1M")
        with self.beside(hangs=True):
            self.lab.freeze()
            self.late("pool-refresh", "g")
            self.late("vol-create-as", "g", "b", "1M")
            self.late("vol-wipe", "a", "--pool", "g", "--yes")
            # Not vanished, only not answering.
            self.assertEqual(["a"], self.names())
            self.assertIn("inaccessible", self.ok("pool-info", "g"))
        self.lab.thaw()
        self.back()
        self.ok("vol-create-as", "g", "c", "1M")
        self.wait_until(lambda: [n for n in self.lab.names() if n != "b"] == ["a", "c"],
                        "only the volumes a and c are there")

    def refresh_halfway(self, strike, restore, text):
        """Refreshes without end until @strike ends one: clear, and nothing vanishes."""
        for name in ("a", "b", "c"):
            self.ok("vol-create-as", "g", name, "1M", "--format", "qcow2")
        ended = []

        def refresh():
            while not ended or ended[-1][0] == 0:
                status, _out, err = peers.run([space.CISTERN, "-c", self.peer.uri, "pool-refresh",
                                               "g"])
                ended.append((status, err))
        with self.beside():
            refreshing = threading.Thread(target=refresh)
            refreshing.start()
            self.wait_until(lambda: len(ended) > 3, "four refreshes have ended")
            strike()
            refreshing.join()
            self.assertEqual(UNREACHABLE, ended[-1][0], ended[-1][1])
            self.assertIn(text, ended[-1][1])
            self.assertEqual(["a", "b", "c"], self.names())
        restore()
        self.back()
        self.assertEqual(["a", "b", "c"], self.names())

    def freeze_both(self):
        self.lab.freeze("glusterd")
        self.lab.freeze()

    def kill_both(self):
        self.lab.kill("glusterd")
        self.lab.kill()

    def revive_both(self):
        self.lab.revive("glusterd")
        self.lab.revive()

    def test_a_brick_that_freezes_in_mid_refresh(self):
        self.refresh_halfway(self.lab.freeze, self.lab.thaw, "answer")

    def test_glusterd_and_its_brick_freeze_in_mid_refresh(self):
        self.refresh_halfway(self.freeze_both, self.lab.thaw, "answer")

    def test_glusterd_and_its_brick_are_killed_in_mid_refresh(self):
        self.refresh_halfway(self.kill_both, self.revive_both, "answer")

    def upload_halfway(self, strike):
        """Uploads 64 MiB, and strikes after the first half; returns what virsh said."""
        self.ok("vol-create-as", "g", "a", "64M")
        payload = noise(64 * MIB, 3)
        with self.transfer("vol-upload", "a") as (uploading, fifo):
            with open(fifo, "wb", buffering=0) as stream, contextlib.suppress(BrokenPipeError):
                write_all(stream, payload[:32 * MIB])
                self.wait_until(lambda: os.stat(self.lab.path("a")).st_blocks * 512 > 4 * MIB,
                                "4 MiB are on the brick")
                strike()
                write_all(stream, payload[32 * MIB:])
            err = uploading.communicate(timeout=300)[1]
        self.assertEqual(1, uploading.returncode)
        return payload, err

    def recovered(self, payload):
        large = self.file("large", payload)
        self.wait_until(lambda: peers.virsh(self.peer, "vol-upload", "a", large, "--pool",
                                            "g")[0] == 0, "the volume can be uploaded")
        with open(self.lab.path("a"), "rb") as stream:
            self.assertEqual(payload, stream.read())

    def write_halfway(self, strike, restore, text):
        with self.beside():
            payload, err = self.upload_halfway(strike)
        self.assertIn(text, err)
        restore()
        self.recovered(payload)

    def test_a_brick_that_freezes_in_mid_write(self):
        self.write_halfway(self.lab.freeze, self.lab.thaw, "answer")

    def test_a_brick_that_is_killed_in_mid_write(self):
        self.write_halfway(self.lab.kill, self.lab.revive, "do not answer")

    def test_glusterd_and_its_brick_freeze_in_mid_write(self):
        self.write_halfway(self.freeze_both, self.lab.thaw, "answer")

    def test_glusterd_and_its_brick_are_killed_in_mid_write(self):
        self.write_halfway(self.kill_both, self.revive_both, "do not answer")

    def test_a_killed_brick(self):
        self.ok("vol-create-as", "g", "a", "1M")
        with self.beside():
            self.lab.kill()
            self.late("pool-refresh", "g")
            self.late("vol-create-as", "g", "b", "1M")
            self.assertEqual(["a"], self.names())
        self.lab.revive()
        self.back()
        self.ok("vol-create-as", "g", "b", "1M")

    def test_glusterd_away(self):
        """Those that have a connection do without it; a new one is not made, and says so in time."""
        self.ok("vol-create-as", "g", "a", "1M")
        self.lab.client("mkdir /h")
        self.define("h", start=False, directory="/h", options={"timeout": gluster.TIMEOUT_S + 1})
        self.addCleanup(self.undefine, "h")
        for strike, restore in ((self.lab.freeze, self.lab.thaw),
                                (self.lab.kill, lambda: self.lab.revive("glusterd"))):
            with self.beside():
                strike("glusterd")
                self.ok("pool-refresh", "g")
                self.ok("vol-create-as", "g", "b", "1M")
                self.ok("vol-delete", "b", "g")
                self.late("pool-start", "h")
            if restore == self.lab.thaw:
                self.lab.signal("glusterd", signal.SIGCONT)
            else:
                restore()
            self.wait_until(lambda: peers.virsh(self.peer, "pool-start", "h")[0] == 0,
                            "the pool starts again")
            self.assertEqual([], self.names("h"))
            self.ok("pool-destroy", "h")

    def test_the_daemon_starts_and_stops_while_servers_are_frozen(self):
        self.ok("vol-create-as", "g", "a", "1M")
        self.lab.freeze("glusterd")
        self.lab.freeze()
        self.assertEqual(0, self.peer.stop())
        self.peer.start()
        self.assertRegex(self.ok("pool-list"), r" g +active")
        self.assertEqual(0, peers.virsh(self.peer, "vol-list", "d")[0])
        self.lab.thaw()
        self.wait_until(lambda: "running" in self.ok("pool-info", "g") and self.names() == ["a"],
                        "the pool runs, with its volume")

    def test_a_full_volume_is_no_space(self):
        small = os.path.join(self.lab.dir, "small")
        os.makedirs(small)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", small], check=False)
        image = os.path.join(small, "image")
        self.lab.tool("volume", "stop", "full", check=False)
        brick = os.path.join(self.lab.dir, "fullbrick")
        os.makedirs(brick)
        with open(image, "wb") as stream:
            stream.truncate(20 * MIB)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        if subprocess.run(["mount", "-o", "loop", image, brick], check=False).returncode:
            self.skipTest("no loop devices here")
        self.addCleanup(subprocess.run, ["umount", "-l", brick], check=False)
        self.lab.add_volume("full", os.path.join(brick, "b"))
        self.addCleanup(self.lab.tool, "volume", "stop", "full", "force", check=False)
        self.define("f", volume="full")
        self.addCleanup(self.undefine, "f")
        self.ok("vol-create-as", "f", "a", "64M", "--allocation", "0")
        payload = self.file("large", noise(32 * MIB))
        err = self.cistern("vol-upload", "a", payload, "--pool", "f", status=FAILED)
        self.assertIn("No space left", err)
        self.fails("vol-create-as", "f", "b", "64M", text="No space left")
        self.assertEqual(["a"], self.names("f"))
