# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools on a server that falls silent: nobody waits for it for long, and nobody else at all. The
server is played (harness/fuse.py); tests/lab has real ones."""

import json
import os
import unittest

from harness import cases, fuse, peers, space, wait
from harness.cases import WithDaemon

def can_play():
    return space.private_mounts() and os.access("/dev/fuse", os.R_OK | os.W_OK)


@unittest.skipUnless(can_play(), "needs root, a mount namespace and /dev/fuse")
@cases.long("unit tests pool-mount and service-monitor play storage that hangs")
class Silence(WithDaemon):
    """Pool "n" is the server's directory, pool "p" is one of this machine."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.at("n"))
        self.fresh_server()
        self.ok("pool-define-as", "n", "netfs", "--source-host", "host.example", "--source-path",
                "vol", "--source-format", "glusterfs", "--target", self.at("n"))
        self.ok("pool-start", "n")

    def fresh_server(self):
        self.server = fuse.Server(self.at("n"), "host.example:/vol")
        self.addCleanup(self.server.end)

    def hanging(self):
        """Threads of the daemon that wait for the server's answer."""
        return [name for name, where in wait.threads(self.peer.process.pid)
                if "request_wait_answer" in where or "fuse" in where]

    def is_awaited_by_its_calls_only(self):
        """A call of the silent pool is still under way when those of other pools have ended."""
        self.server.fall_silent()
        hangs = self.background(["virsh", "-c", self.peer.uri, "vol-create-as", "n", "w", "64k"])
        self.wait_until(self.hanging, "a thread waits for the server",
                        lambda: wait.threads(self.peer.process.pid))
        self.ok("vol-create-as", "p", "v", "64k")
        self.virsh("vol-info", self.at("p", "missing"))
        is_first = hangs.poll() is None
        self.server.speak()
        hangs.communicate(timeout=wait.LIMIT_S)
        self.wait_until(lambda: self.problem() is None, "the end of the problem")
        self.ok("vol-delete", "v", "--pool", "p")
        return is_first

    def problem(self):
        _status, out, _err = self.cistern("--json", "pool-info", "n")
        return json.loads(out)["pool"].get("problem")

    def embedded(self, *words):
        return peers.run([space.CISTERN, "-c", f"storage:///embed?root={self.peer.root}", "--yes",
                          *words])

    def test_it_answers_nothing_and_everybody_else_does(self):
        self.assertIsNone(self.problem())
        # More than once where this machine takes as long as the daemon waits for an answer.
        self.wait_until(self.is_awaited_by_its_calls_only, "other calls end before one that hangs")
        self.server.fall_silent()
        status, _out, err = self.virsh("vol-create-as", "n", "v", "64k")
        self.assertEqual(1, status, err)
        self.assertIn("the storage of pool 'n' has not answered for", err)
        self.wait_until(lambda: "has not answered" in (self.problem() or ""), "a problem")
        for words in (("vol-create-as", "n", "v", "64k"), ("pool-refresh", "n")):
            status, _out, err = self.virsh(*words)
            self.assertEqual(1, status, err)
            self.assertIn("has not answered", err)
        self.ok("vol-create-as", "p", "v", "64k")

    def test_it_comes_back(self):
        self.server.fall_silent()
        self.wait_until(lambda: "has not answered" in (self.problem() or ""), "a problem")
        self.server.speak()
        self.wait_until(lambda: self.problem() is None, "the end of the problem")
        self.ok("pool-refresh", "n")

    def test_it_is_stopped(self):
        self.server.fall_silent()
        self.wait_until(lambda: "has not answered" in (self.problem() or ""), "a problem")
        self.ok("pool-destroy", "n")
        self.assertFalse(self.server.is_mounted())
        self.assertIn("inactive", self.ok("pool-info", "n"))

    def test_it_is_stopped_under_calls_that_hang(self):
        self.server.fall_silent()
        status, _out, err = self.virsh("vol-create-as", "n", "v", "64k")
        self.assertEqual(1, status, err)
        self.ok("pool-destroy", "n")
        self.assertFalse(self.server.is_mounted())
        self.server.end()
        self.fresh_server()
        self.ok("pool-start", "n")

    def test_the_daemon_restarts(self):
        self.server.fall_silent()
        self.wait_until(lambda: "has not answered" in (self.problem() or ""), "a problem")
        self.assertEqual(0, self.peer.restart())
        self.assertIn("running", self.ok("pool-info", "n"))
        self.ok("vol-create-as", "p", "v", "64k")
        self.server.speak()
        self.wait_until(lambda: self.virsh("pool-refresh", "n")[0] == 0, "it is back")

    def test_an_embedded_command_ends(self):
        self.peer.stop()
        self.server.fall_silent()
        status, out, err = self.embedded("vol-create-as", "n", "v", "64k")
        self.assertEqual((6, ""), (status, out), err)
        self.assertIn("error: the storage of pool 'n' has not answered for", err)
        status, _out, err = self.embedded("--json", "vol-create-as", "n", "v", "64k")
        self.assertEqual(6, status)
        # There are lines of progress, too.
        told = [json.loads(line).get("error") for line in err.splitlines()]
        self.assertEqual([("unreachable", 6)], [(error["code"], error["exit"])
                                                for error in told if error], err)
        # Another pool needs no answer.
        status, _out, err = self.embedded("vol-create-as", "p", "v", "64k")
        self.assertEqual(0, status, err)


@unittest.skipUnless(can_play(), "needs root, a mount namespace and /dev/fuse")
class Mounted(WithDaemon):
    """What is mounted at a pool's target already."""

    def define(self, path):
        os.makedirs(self.at("n"), exist_ok=True)
        self.ok("pool-define-as", "n", "netfs", "--source-host", "host.example", "--source-path",
                path, "--source-format", "glusterfs", "--target", self.at("n"))

    def mount(self, source):
        server = fuse.Server(self.at("n"), source)
        self.addCleanup(server.end)
        return server

    def test_another_volume_is_refused_by_name(self):
        self.define("vol")
        self.mount("host.example:/other")
        self.fails("pool-start", "n", text="'host.example:/other' is mounted on")

    def test_slashes_make_no_difference(self):
        self.define("/vol")
        server = self.mount("host.example:vol")
        self.ok("pool-start", "n")
        self.ok("pool-destroy", "n")
        self.assertFalse(server.is_mounted())

    def test_what_is_unmounted_behind_our_back_is_missed_and_found_again(self):
        self.define("vol")
        server = self.mount("host.example:/vol")
        self.ok("pool-start", "n")
        space.umount(self.at("n"))
        server.over = True
        self.fails("vol-create-as", "n", "v", "64k", text="is not mounted on")
        self.assertEqual([], os.listdir(self.at("n")))
        # Mounted anew it has another device number, and is the same.
        self.mount("host.example:/vol")
        self.ok("pool-refresh", "n")


if __name__ == "__main__":
    unittest.main()
