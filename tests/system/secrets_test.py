# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secrets as libvirt's modular daemons meet them: virtsecretd's socket, its lock, its system token."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import unittest
import uuid

from harness import peers, space, wire
from harness.cases import WithDaemon

SET_IDENTITY, LOOKUP_BY_UUID, GET_VALUE = 419, 141, 145
AUTH_FAILED, INVALID_SECRET = 45, 65
TOKEN = "0123456789abcdef" * 2
VALUE = b"hunter22"
NOBODY = 65534
STRING = 7

# Holds the lock of the file until its standard input ends.
RIVAL = """
import fcntl, os, sys
os.makedirs(os.path.dirname(sys.argv[1]), 0o700, exist_ok=True)
with open(sys.argv[1], "a") as file:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
    print("held", flush=True)
    sys.stdin.read()
"""


def identity(**fields):
    """Arguments of CONNECT_SET_IDENTITY; '_' stands for the dot of a name."""
    return (wire.u32(len(fields))
            + b"".join(wire.string(name.replace("_", ".")) + wire.u32(STRING) + wire.string(text)
                       for name, text in fields.items()) + wire.u32(0))


class WithSecrets(WithDaemon):
    def setUp(self):
        super().setUp()
        self.run_dir = os.path.join(self.peer.root, "run/libvirt")
        self.sock = os.path.join(self.run_dir, "virtsecretd-sock")
        self.uri = f"secret+unix:///system?socket={self.sock}"
        self.addCleanup(self.forget)

    def forget(self):
        for name in self.virsh("secret-list")[1].split():
            with contextlib.suppress(ValueError):
                self.virsh("secret-undefine", str(uuid.UUID(name)))

    def secret(self, private="no"):
        """A secret with VALUE; returns its uuid."""
        new = str(uuid.uuid4())
        self.ok("secret-define", self.file("secret.xml", f"<secret private='{private}'>"
                                           f"<uuid>{new}</uuid></secret>"))
        self.ok("secret-set-value", new, "--file", self.file("value", VALUE), "--plain")
        return new

    @contextlib.contextmanager
    def rival(self):
        """Another process holds libvirt's lock of the secrets."""
        with subprocess.Popen([sys.executable, "-c", RIVAL, os.path.join(self.run_dir,
                                                                        "secrets/driver.pid")],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as process:
            try:
                yield process.stdout.readline() == "held\n" and process.pid
            finally:
                process.stdin.close()


class Socket(WithSecrets):
    def modular(self, *words):
        return peers.run(["virsh", "-c", self.uri, *words])

    def test_libvirts_clients_find_the_secrets_there(self):
        new = self.secret()
        self.assertIn(new, self.modular("secret-list")[1])
        self.assertEqual("hunter22\n", self.modular("secret-get-value", new, "--plain")[1])
        self.assertEqual(0o700, stat.S_IMODE(os.stat(self.sock).st_mode))
        self.assertEqual(0o777, stat.S_IMODE(os.stat(self.sock + "-ro").st_mode))
        status, out, err = peers.run(["virsh", "-c", self.uri + "-ro", "secret-list"])
        self.assertEqual((0, ""), (status, err))
        self.assertIn(new, out)
        self.assertIn("read only access prevents virSecretUndefine",
                      peers.run(["virsh", "-c", self.uri + "-ro", "secret-undefine", new])[2])

    def test_a_signal_and_a_restart(self):
        new = self.secret()
        with wire.Wire(self.sock) as client:
            client.open("secret:///system")
            self.peer.process.send_signal(signal.SIGHUP)
            client.call(LOOKUP_BY_UUID, uuid.UUID(new).bytes)
            self.assertIn(new, self.modular("secret-list")[1])
        self.peer.process.kill()
        self.peer.restart()
        self.assertIn(new, self.modular("secret-list")[1])
        self.assertEqual(0, self.peer.stop())
        self.assertEqual([], [n for n in os.listdir(self.run_dir) if "sock" in n])
        self.peer.start()

    def test_nobody_else_manages_the_secrets_meanwhile(self):
        with self.rival() as pid:
            self.assertFalse(pid)

    def test_another_program_keeps_them(self):
        known = self.secret()
        self.peer.stop()
        with self.rival() as pid:
            self.peer.start()
            self.assertEqual("hunter22\n", self.ok("secret-get-value", known, "--plain"))
            self.assertFalse(os.path.exists(self.sock))
            holder = f"process {pid} ("
            self.assertIn(holder, self.peer.log())
            for change in (["secret-undefine", known],
                           ["secret-define", self.file("other.xml", "<secret/>")]):
                err = self.fails(*change, text=holder)
                self.assertIn("manages the secrets", err)
            # As virtsecretd makes one.
            new = str(uuid.uuid4())
            path = os.path.join(self.peer.root, "etc/libvirt/secrets", new)
            with open(path + ".xml", "w", encoding="ascii") as stream:
                stream.write(f"<secret><uuid>{new}</uuid></secret>")
            self.fails("secret-get-value", new, text="does not have a value")
            with open(path + ".base64", "w", encoding="ascii") as stream:
                stream.write("bmV3")
            self.assertEqual("new\n", self.ok("secret-get-value", new, "--plain"))
        self.ok("secret-undefine", known)
        self.peer.restart()
        self.assertIn(new, self.modular("secret-list")[1])

    def test_a_socket_where_somebody_answers_is_left_to_him(self):
        self.peer.stop()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(self.sock)
            other.listen()
            self.peer.start()
            self.ok("secret-list")
            self.assertIn(f"'{self.sock}' is not served", self.peer.log())
            with self.rival() as pid:
                self.assertTrue(pid)
        self.peer.stop()
        os.unlink(self.sock)
        self.peer.start()


class NotServed(WithSecrets):
    CONFIG = "[secrets]\nserve = no\n"

    def test_serve_no_leaves_lock_and_sockets_of_secrets_free(self):
        self.assertEqual([], [n for n in os.listdir(self.run_dir) if "virtsecretd" in n])
        with self.rival() as pid:
            self.assertTrue(pid)
            self.ok("secret-list")
            self.assertIn(f"process {pid} (", self.fails(
                "secret-define", self.file("new.xml", "<secret/>"), text="manages the secrets"))
        self.secret()
        with self.rival() as pid:
            self.assertTrue(pid, "the lock is still held after the change")


class Units(unittest.TestCase):
    def test_systemd_accepts_them(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("needs systemd-analyze")
        units = os.path.join(space.TOP, "packaging/systemd")
        place = space.path("units")
        shutil.copytree(units, place)
        for name in os.listdir(place):
            if not name.endswith(".in"):
                continue
            path = os.path.join(place, name)
            with open(path, encoding="utf-8") as stream:
                text = stream.read().replace("@bindir@/cisternd", space.CISTERND)
            with open(path.removesuffix(".in"), "w", encoding="utf-8") as stream:
                stream.write(text.replace("@bindir@/cistern", space.CISTERN))
            os.unlink(path)
        self.assertEqual((0, "", ""), peers.run(
            ["systemd-analyze", "verify", "--man=no",
             *(os.path.join(place, name) for name in sorted(os.listdir(place)))],
            env=[("SYSTEMD_LOG_LEVEL", "warning")]))


class Activated(WithSecrets):
    """Started by systemd, with the sockets that are passed."""

    def start(self, *names):
        """The daemon with sockets at @names that somebody else listens on."""
        self.peer.stop()
        sockets = []
        for name in names:
            path = os.path.join(self.run_dir, name)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(path)
            sockets[-1].listen()
        numbers = [s.fileno() for s in sockets]
        # In the daemon they are 3, 4, …: first out of the way, then there.
        moves = "".join(f"exec {number + 40}<&{number} {number}<&-; " for number in numbers)
        moves += "".join(f"exec {3 + i}<&{number + 40} {number + 40}<&-; "
                         for i, number in enumerate(numbers))
        script = f'{moves} LISTEN_PID=$$ LISTEN_FDS={len(numbers)} exec "$@"'
        with open(space.path("activated.log"), "wb") as log:
            daemon = subprocess.Popen(["bash", "-c", script, "bash", space.CISTERND, "--root",
                                       self.peer.root], env=space.ENV, pass_fds=numbers,
                                      stdin=subprocess.DEVNULL, stderr=log)
        for each in sockets:
            each.close()
        self.addCleanup(self.peer.start)
        self.addCleanup(daemon.wait, 20)
        self.addCleanup(daemon.terminate)

    def define(self):
        return peers.run(["virsh", "-c", self.uri, "secret-define",
                          self.file("new.xml", "<secret/>")])

    def test_the_secrets_socket_is_served(self):
        self.start("virtstoraged-sock", "virtstoraged-sock-ro", "virtsecretd-sock",
                   "virtsecretd-sock-ro")
        self.assertEqual((0, ""), self.define()[::2])
        status, _, err = peers.run(["virsh", "-c", self.uri + "-ro", "secret-define",
                                    self.file("new.xml", "<secret/>")])
        self.assertEqual(1, status)
        self.assertIn("read only access", err)
        with self.rival() as pid:
            self.assertFalse(pid)

    def test_the_secrets_are_managed_once_the_other_has_ended(self):
        self.peer.stop()
        with self.rival() as pid:
            self.start("virtstoraged-sock", "virtsecretd-sock")
            status, _, err = self.define()
            self.assertEqual(1, status)
            self.assertIn(f"process {pid} (", err)
        self.assertEqual((0, ""), self.define()[::2])
        with self.rival() as pid:
            self.assertFalse(pid)

    def test_passed_socket_of_secrets_is_not_served_with_serve_no(self):
        path = os.path.join(self.peer.root, "etc/cistern/cisternd.conf")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write("[secrets]\nserve = no\n")
        self.addCleanup(os.unlink, path)
        self.start("virtstoraged-sock", "virtsecretd-sock")
        self.addCleanup(os.unlink, self.sock)
        self.ok("secret-list")
        with self.rival() as pid:
            self.assertTrue(pid)
        with socket.socket(socket.AF_UNIX) as client, self.assertRaises(ConnectionRefusedError):
            client.connect(self.sock)
        with open(space.path("activated.log"), encoding="utf-8") as log:
            self.assertIn("mask cisternd-secret.socket", log.read())

    def test_secrets_whose_socket_is_not_passed_are_left_alone(self):
        self.start("virtstoraged-sock")
        self.assertEqual(0, self.virsh("secret-define", self.file("new.xml", "<secret/>"))[0])
        self.assertFalse(os.path.exists(self.sock))
        with self.rival() as pid:
            self.assertTrue(pid)
            self.ok("secret-list")


class Private(WithSecrets):
    """libvirt's daemons prove themselves by a token that only root can read."""

    def setUp(self):
        super().setUp()
        self.token = os.path.join(self.run_dir, "common/system.token")
        self.private = uuid.UUID(self.secret(private="yes"))
        self.write_token(TOKEN)

    def write_token(self, text, mode=0o600):
        os.makedirs(os.path.dirname(self.token), exist_ok=True)
        with open(self.token, "w", encoding="ascii") as stream:
            stream.write(text)
        os.chmod(self.token, mode)

    def client(self):
        client = wire.Wire(self.sock)
        self.addCleanup(client.close)
        return client.open("secret:///system")

    def ask(self, client):
        return client.call(GET_VALUE, self.private.bytes + wire.u32(0) + wire.string("")
                           + wire.u32(0)).string()

    def assert_private(self, client):
        with self.assertRaises(wire.RemoteError) as caught:
            self.ask(client)
        self.assertEqual(INVALID_SECRET, caught.exception.code)

    def test_the_value_is_for_who_shows_the_token(self):
        client = self.client()
        self.assert_private(client)
        client.call(SET_IDENTITY, identity(system_token=TOKEN))
        self.assertEqual(VALUE.decode(), self.ask(client))
        self.assert_private(self.client())
        client.call(SET_IDENTITY, identity())
        self.assert_private(client)

    def test_another_token_opens_nothing(self):
        for text in (TOKEN[:-1] + "0", TOKEN[:-1], TOKEN + "0", ""):
            with self.subTest(token=text):
                client = self.client()
                client.call(SET_IDENTITY, identity(system_token=text))
                self.assert_private(client)

    def test_a_file_that_others_could_have_read_proves_nothing(self):
        client = self.client()
        client.call(SET_IDENTITY, identity(system_token=TOKEN))
        for mode in (0o644, 0o640, 0o620, 0o606):
            os.chmod(self.token, mode)
            self.assert_private(client)
        os.chmod(self.token, 0o600)
        self.ask(client)
        if space.IS_ROOT:
            os.chown(self.token, NOBODY, -1)
            self.assert_private(client)
            os.chown(self.token, 0, -1)
        os.rename(self.token, self.token + ".kept")
        self.assert_private(client)
        os.symlink(self.token + ".kept", self.token)
        self.assert_private(client)
        os.unlink(self.token)
        self.write_token("")
        self.assert_private(client)

    def test_only_root_shows_one(self):
        if not space.IS_ROOT:
            self.skipTest("needs root to be somebody else")
        code = ("import sys; sys.path.insert(0, sys.argv[1]); from harness import wire\n"
                "client = wire.Wire(sys.argv[2] + '-ro').open('secret:///system')\n"
                "try: client.call(419, bytes.fromhex(sys.argv[3]))\n"
                "except wire.RemoteError as refused: print(refused.code, refused.text)\n")
        here = os.path.dirname(os.path.abspath(__file__))
        copy = space.path("client")
        shutil.copytree(os.path.join(here, "harness"), os.path.join(copy, "harness"),
                        dirs_exist_ok=True)
        status, out, err = peers.run([sys.executable, "-c", code, copy, self.sock,
                                      identity(system_token=TOKEN).hex()], user=NOBODY)
        self.assertEqual(0, status, err)
        self.assertTrue(out.startswith(f"{AUTH_FAILED} "), out)
        self.assertIn("only root", out)
