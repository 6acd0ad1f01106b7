# SPDX-License-Identifier: LGPL-2.1-or-later
"""Directory pools on a file system that stops answering (harness/fuse.py): other pools, clients,
stops and starts of the daemon go on without it, and the pool is usable once the server answers."""

import contextlib
import json
import os
import signal
import unittest

from harness import fuse, peers, space, wait
from harness.cases import WithDaemon

REASON = "the storage of pool 'n' "
CLIENTS = 8


def can_play():
    return space.private_mounts() and os.access("/dev/fuse", os.R_OK | os.W_OK)


class WithServer(WithDaemon):
    """Pool "n" is a directory whose server can fall silent, pool "p" one of this machine."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.at("n"))
        self.server = fuse.Server(self.at("n"), "host.example:/vol")
        self.addCleanup(self.server.end)
        self.ok("pool-define-as", "n", "dir", "--target", self.at("n"))
        self.ok("pool-start", "n")
        self.ok("vol-create-as", "p", "v", "64k")

    def problem(self, pool="n"):
        _status, out, _err = self.cistern("--json", "pool-info", pool)
        return json.loads(out)["pool"].get("problem")

    def until_usable(self):
        self.wait_until(lambda: self.problem() is None, "the end of the problem", self.problem)
        self.ok("pool-refresh", "n")

    @staticmethod
    def waiting_threads(pid):
        return [name for name, where in wait.threads(pid)
                if "fuse" in where or "request_wait_answer" in where]

    def hanging_call(self):
        """A call for pool "n" that is inside the file system."""
        child = self.background(["stdbuf", "-oL", "virsh", "-c", self.peer.uri,
                                 "uri; pool-refresh n"])
        # A client that the daemon leaves during the opening has no keepalive, and waits for ever.
        self.assertIn("storage", child.stdout.readline())
        pid = self.peer.process.pid
        self.wait_until(lambda: any("prober" not in name for name in self.waiting_threads(pid)),
                        "a call waits for the server", lambda: wait.threads(pid))
        return child

    def leave(self, signum):
        """Signals the daemon, which keeps a thread in the kernel, and awaits its end but for that."""
        old = self.peer.process
        self.addCleanup(old.wait)
        self.addCleanup(self.server.release)
        old.send_signal(signum)
        self.wait_until(lambda: wait.process_state(old.pid) in "ZX", "the daemon has ended",
                        lambda: wait.threads(old.pid))
        self.peer.process = None
        return old


@unittest.skipUnless(can_play(), "needs root, a mount namespace and /dev/fuse")
class Calls(WithServer):
    CONFIG = "[limits]\nmax_wait = 2\n"

    def test_call_on_hanging_dir_pool_fails_while_other_pools_answer(self):
        self.server.fall_silent()
        call = self.hanging_call()
        answered = 0
        while call.poll() is None:
            self.ok("vol-info", "v", "--pool", "p")
            answered += 1
        _out, err = call.communicate()
        self.assertEqual(1, call.returncode)
        self.assertIn(REASON + "has not answered for", err)
        self.assertIn("check its server or device", err)
        self.assertGreater(answered, 0)
        self.wait_until(lambda: "has not answered" in (self.problem() or ""), "a problem")
        self.server.speak()
        self.until_usable()

    def test_many_clients_of_unscanned_pool_get_an_error(self):
        self.server.hold(fuse.READDIR)
        self.leave(signal.SIGTERM)
        self.peer.start()
        self.server.fall_silent()
        clients = [self.background(["virsh", "-c", self.peer.uri, "vol-list", "n"])
                   for _ in range(CLIENTS)]
        for client in clients:
            _out, err = client.communicate(timeout=wait.LIMIT_S)
            self.assertEqual(1, client.returncode, err)
            self.assertIn("pool 'n'", err)
        self.server.speak()

    def test_max_wait_ends_call_on_one_file_that_hangs(self):
        self.server.hold(fuse.LOOKUP)
        err = self.fails("vol-create-as", "n", "x", "64k")
        self.assertIn("a call has been blocked for", err)
        self.assertIn("the storage of pool 'n', which otherwise answers", err)
        self.assertIsNone(self.problem())
        self.server.release()
        err = self.fails("vol-create-as", "n", "x", "64k")
        self.assertNotIn("blocked", err)


@unittest.skipUnless(can_play(), "needs root, a mount namespace and /dev/fuse")
class Restarts(WithServer):
    def socket_inode(self):
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self.peer.sock).st_ino
        return None

    def restart_hanging(self, signum):
        call = self.hanging_call()
        # The kernel drops a request of a killed thread that the server has not received.
        self.wait_until(lambda: self.server.unanswered, "the server has the request")
        old = self.leave(signum)
        before = self.socket_inode()
        self.peer.start()
        # A daemon that was killed keeps its socket, where nothing accepts a connection.
        self.wait_until(lambda: self.socket_inode() not in (None, before), "a new socket",
                        self.peer.log)
        self.assertTrue(self.waiting_threads(old.pid), "no thread of the first daemon is left")
        self.assertIn("inaccessible", self.ok("pool-info", "n"))
        self.ok("vol-info", "v", "--pool", "p")
        self.wait_until(lambda: REASON in (self.problem() or ""), "a problem", self.problem)
        self.assertEqual(1, self.virsh("pool-refresh", "n")[0])
        _out, err = call.communicate(timeout=wait.LIMIT_S)
        self.assertEqual(1, call.returncode, err)
        self.server.release()
        self.until_usable()

    def test_terminated_daemon_restarts_while_pool_hangs(self):
        self.server.hold()
        self.restart_hanging(signal.SIGTERM)

    def test_killed_daemon_restarts_while_pool_hangs(self):
        self.server.hold()
        self.restart_hanging(signal.SIGKILL)

    def test_daemon_restarts_while_only_opendir_hangs(self):
        self.server.hold(fuse.OPENDIR)
        self.restart_hanging(signal.SIGTERM)


@unittest.skipUnless(can_play(), "needs root, a mount namespace and /dev/fuse")
class Embedded(WithServer):
    def setUp(self):
        super().setUp()
        self.peer.stop()

    def command(self, *words):
        return [space.CISTERN, "-c", f"storage:///embed?root={self.peer.root}", "--yes", *words]

    def test_embedded_command_for_another_pool_succeeds(self):
        self.server.hold()
        status, out, err = peers.run(self.command("vol-list", "p"))
        self.assertEqual(0, status, err)
        self.assertIn("v", out)

    def test_embedded_command_for_hanging_pool_fails(self):
        self.server.fall_silent()
        status, _out, err = peers.run(self.command("vol-create-as", "n", "w", "64k"))
        self.assertEqual(6, status, err)
        self.assertIn(REASON + "has not answered for", err)

    def test_first_signal_ends_embedded_command(self):
        self.server.fall_silent()
        for signum in (signal.SIGTERM, signal.SIGINT):
            child = self.background(self.command("vol-create-as", "n", "w", "64k"))
            self.wait_until(lambda pid=child.pid: self.waiting_threads(pid),
                            "the command waits for the server")
            child.send_signal(signum)
            _out, err = child.communicate(timeout=wait.LIMIT_S)
            self.assertIn(child.returncode, (6, 128 + signum), err)


if __name__ == "__main__":
    unittest.main()
