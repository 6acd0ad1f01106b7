# SPDX-License-Identifier: LGPL-2.1-or-later
"""A command without -c finds a stale socket, or a daemon that does not listen yet."""

import os
import signal
import socket
import subprocess
import sys
import unittest

from harness import peers, space, wait
from harness.cases import WithDaemon

# Holds the driver lock as a daemon that does not listen yet.
STARTING = """
import ctypes, fcntl, os, sys
ctypes.CDLL(None).prctl(15, b"cisternd", 0, 0, 0)
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.lockf(lock, fcntl.LOCK_EX, 1)
print("locked", flush=True)
sys.stdin.read()
"""


class Sockets(WithDaemon):
    """A client whose daemon has died, or is about to listen."""

    def default(self, *words):
        return [space.CISTERN, "--root", self.peer.root, *words]

    def test_stale_socket_is_noted_and_command_is_embedded(self):
        self.peer.stop(signal.SIGKILL)
        self.assertTrue(os.path.exists(self.peer.sock))
        status, out, err = peers.run(self.default("pool-list"))
        self.assertEqual(0, status, err)
        self.assertIn("p", out.split())
        self.assertIn(f"note: no daemon answers at '{self.peer.sock}'", err)

    def test_client_waits_for_daemon_that_holds_the_lock_and_does_not_listen_yet(self):
        self.peer.stop(signal.SIGKILL)
        path = os.path.join(self.peer.root, "run/libvirt/storage/driver.pid")
        holder = subprocess.Popen([sys.executable, "-c", STARTING, path], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.reap, holder)
        self.assertEqual("locked\n", holder.stdout.readline())
        client = self.background(self.default("pool-list"))
        self.wait_until(lambda: any("nanosleep" in where
                                    for _name, where in wait.threads(client.pid)),
                        "the client waits", lambda: wait.threads(client.pid))
        os.unlink(self.peer.sock)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(self.peer.sock)
            server.listen()
            server.settimeout(wait.LIMIT_S)
            server.accept()[0].close()
        client.communicate(timeout=wait.LIMIT_S)
        self.assertNotEqual(0, client.returncode)


if __name__ == "__main__":
    unittest.main()
