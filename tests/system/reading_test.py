# SPDX-License-Identifier: LGPL-2.1-or-later
"""The first scan of a started pool, on a file system that holds it (harness/fuse.py)."""

import os
import signal
import unittest

from harness import fuse, space, wait
from harness.cases import WithDaemon


def can_play():
    return space.private_mounts() and os.access("/dev/fuse", os.R_OK | os.W_OK)


@unittest.skipUnless(can_play(), "needs root, a mount namespace and /dev/fuse")
class FirstScan(WithDaemon):
    """Pool "n" is a directory whose listing is held, pool "p" one of this machine."""

    CONFIG = "[limits]\nmax_wait = 1\n"

    def setUp(self):
        super().setUp()
        os.makedirs(self.at("n"))
        self.server = fuse.Server(self.at("n"), "host.example:/vol")
        self.addCleanup(self.server.end)
        self.ok("pool-define-as", "n", "dir", "--target", self.at("n"))
        self.ok("vol-create-as", "p", "base", "64k")
        self.server.hold(fuse.READDIR)

    def is_running(self):
        return "running" in self.ok("pool-info", "n")

    def start_held(self):
        """
        Starts pool "n" in the background, until the server holds the first scan. The search for
        drafts lists the directory before.
        """
        self.background(["virsh", "-c", self.peer.uri, "pool-start", "n"])
        self.wait_until(lambda: self.server.unanswered, "the start lists the directory")
        self.assertFalse(self.is_running())
        self.server.pass_on()
        self.wait_until(lambda: self.server.unanswered and self.is_running(), "the scan is held")

    def test_pool_is_active_and_finds_names_while_it_is_read(self):
        self.start_held()
        self.assertIn("n", self.virsh("pool-list", "--name")[1])
        err = self.fails("vol-info", "none", "--pool", "n")
        self.assertIn("no storage vol with matching path 'none'", err)
        err = self.fails("vol-list", "n")
        self.assertIn("is still being refreshed", err)
        self.server.release()
        self.wait_until(lambda: self.virsh("vol-list", "n")[0] == 0, "the list")

    def test_base_is_kept_until_the_other_pool_is_read(self):
        self.start_held()
        err = self.fails("vol-delete", "base", "--pool", "p")
        self.assertIn("cannot search storage pool 'n'", err)
        _status, _out, err = self.cistern("vol-rename", "base", "other", "--pool", "p")
        self.assertIn("cannot search storage pool 'n'", err)
        self.server.release()
        self.wait_until(lambda: self.virsh("vol-list", "n")[0] == 0, "the list")
        self.ok("vol-delete", "base", "--pool", "p")

    def test_killed_daemon_adopts_the_pool_and_reads_it(self):
        self.start_held()
        old = self.peer.process
        self.addCleanup(old.wait)
        old.send_signal(signal.SIGKILL)
        self.server.release()
        self.wait_until(lambda: wait.process_state(old.pid) in "ZX", "the end of the daemon")
        self.peer.process = None
        self.peer.start()
        self.wait_until(lambda: self.virsh("vol-list", "n")[0] == 0, "the list")
        self.assertTrue(self.is_running())
        self.ok("vol-delete", "base", "--pool", "p")
