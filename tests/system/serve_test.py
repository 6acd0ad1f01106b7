# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes by NBD: every format, through chains, of snapshots, to QEMU's and libnbd's programs."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
TENANT = 65534
FORMATS = ("raw", "qcow2", "qcow", "qed", "vdi", "vmdk", "vpc", "vhdx", "parallels")


class Serving(WithDaemon):
    CONFIG = "[limits]\nmax_wait = 86400\n"

    def setUp(self):
        super().setUp()
        self.socket = os.path.join(self.peer.files, "nbd")
        self.uri = f"nbd+unix:///?socket={self.socket}"

    def serve(self, vol, *words, embedded=False, where=None):
        """The command, once somebody can connect."""
        where = where or ("--socket", self.socket)
        to = ["--embedded", "--root", self.peer.root] if embedded else ["-c", self.peer.uri]
        child = subprocess.Popen([space.CISTERN, *to, "vol-serve", vol, "--pool", "p", *where, *words],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env=space.ENV)
        self.addCleanup(self.reap, child)
        address = where[1]
        family = socket.AF_UNIX if where[0] == "--socket" else socket.AF_INET
        if family == socket.AF_INET:
            address = (address.split(":")[0], int(address.split(":")[1]))

        def answers():
            self.assertIsNone(child.poll(), child.poll() is not None and child.stderr.read())
            with socket.socket(family) as client, contextlib.suppress(OSError):
                client.connect(address)
                return True
            return False
        self.wait_until(answers, "somebody can connect")
        return child

    def test_serving_is_printed_once_clients_can_connect(self):
        self.ok("vol-create-as", "p", "disk", "1M")
        child = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "vol-serve", "disk", "--pool",
                                  "p", "--socket", self.socket], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, env=space.ENV)
        self.addCleanup(self.reap, child)
        self.assertEqual(f"Serving vol disk at {self.uri}\n", child.stdout.readline())
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.socket)
        self.end(child)

    @staticmethod
    def reap(child):
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        child.communicate(timeout=20)

    def end(self, child):
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        self.assertEqual((0, ""), (child.returncode, err))
        self.assertIn("is served no more", out)
        self.assertFalse(os.path.lexists(self.socket))

    def io(self, image, *commands, fmt="raw", options=()):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", *options, "-f", fmt, *words, image])
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("failed", out)

    def fails_at_once(self, *words, text, code=5):
        """It fails although max_wait is longer than any test."""
        status, _, err = self.cistern(*words)
        self.assertEqual(code, status, err)
        self.assertIn(text, err)

    def test_every_format_there_and_back(self):
        """QEMU writes by NBD what it then finds in the file, and the other way round."""
        for fmt in FORMATS:
            with self.subTest(fmt=fmt):
                name = f"disk-{fmt}"
                self.assertEqual(0, self.cistern("vol-create-as", "p", name, "8M", "--format",
                                                 "raw" if fmt == "raw" else fmt)[0])
                child = self.serve(name)
                self.io(self.uri, "write -P 7 1M 1M", "write -P 9 5M 64k", "read -P 0 0 1M")
                self.end(child)
                self.io(self.at("p", name), "read -P 7 1M 1M", "read -P 9 5M 64k", fmt=fmt)
                child = self.serve(name, "--read-only")
                self.io(self.uri, "read -P 7 1M 1M", "read -P 9 5M 64k", options=["-r"])
                copy = os.path.join(self.peer.files, "copy")
                self.assertEqual(0, peers.run(["nbdcopy", self.uri, copy])[0])
                self.end(child)
                self.assertEqual(0, peers.run(["qemu-img", "compare", "-f", fmt, "-F", "raw",
                                               self.at("p", name), copy])[0])
                os.unlink(copy)

    def test_an_overlay_is_served_with_what_it_is_based_on(self):
        self.ok("vol-create-as", "p", "base", "8M", "--format", "qcow2")
        self.io(self.at("p", "base"), "write -P 1 0 8M", fmt="qcow2")
        self.ok("vol-create-as", "p", "top", "8M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        child = self.serve("top")
        self.io(self.uri, "read -P 1 0 8M", "write -P 2 1M 1M")
        self.fails_at_once("vol-serve", "base", "--pool", "p", "--socket", self.socket + "2",
                           text="is held by 'serve'")
        self.end(child)
        self.fails_at_once("vol-serve", "base", "--pool", "p", "--socket", self.socket + "2",
                           text="p/top")
        self.io(self.at("p", "top"), "read -P 1 0 1M", "read -P 2 1M 1M", fmt="qcow2")

    def test_snapshots(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        self.io(self.at("p", "disk"), "write -P 1 0 8M", fmt="qcow2")
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        self.io(self.at("p", "disk"), "write -P 2 0 8M", fmt="qcow2")
        child = self.serve("disk", "--snapshot", "then")
        self.io(self.uri, "read -P 1 0 8M", options=["-r"])
        status, out, _ = peers.run(["nbdinfo", "--json", self.uri])
        self.assertEqual(0, status)
        self.assertTrue(json.loads(out)["exports"][0]["is_read_only"])
        self.end(child)
        self.fails_at_once("vol-serve", "disk", "--pool", "p", "--snapshot", "nosuch", "--socket",
                           self.socket, text="nosuch", code=3)

    def contexts(self):
        status, out, err = peers.run(["nbdinfo", "--json", self.uri])
        self.assertEqual(0, status, err)
        return json.loads(out)["exports"][0]["contexts"]

    def dirty(self, uri, bitmap):
        """(offset, length, type) of what libnbd is told."""
        status, out, err = peers.run(["nbdinfo", f"--map=qemu:dirty-bitmap:{bitmap}", "--json", uri])
        self.assertEqual(0, status, err)
        return [(run["offset"], run["length"], run["type"]) for run in json.loads(out)]

    def dirty_by_qemu(self, bitmap):
        """The same by qemu-nbd, which shows an enabled one only where it could be written to."""
        path = self.socket + "-qemu"
        server = subprocess.Popen(["qemu-nbd", "-t", "-f", "qcow2", "-B", bitmap, "-k", path,
                                   self.at("p", "disk")])
        try:
            self.wait_until(lambda: os.path.exists(path), "qemu-nbd listens")
            return self.dirty(f"nbd+unix:///?socket={path}", bitmap)
        finally:
            server.terminate()
            server.wait()

    def flags(self):
        out = peers.run(["qemu-img", "info", "--output=json", self.at("p", "disk")])[1]
        return {bitmap["name"]: sorted(bitmap["flags"]) for bitmap in
                json.loads(out)["format-specific"]["data"]["bitmaps"]}

    def test_dirty_bitmaps(self):
        """As qemu-nbd shows them; of what is written to only those that stay as they are."""
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        for words in (("fine", "--granularity", "512"), ("coarse",), ("old", "--disable"), ("none",)):
            status, _, err = self.cistern("vol-bitmap", "disk", words[0], "--pool", "p", "--add",
                                          *words[1:])
            self.assertEqual(0, status, err)
        self.io(self.at("p", "disk"), "write 1M 64k", "write 3000k 512", "write 3001k 512",
                "write 7M 1M", fmt="qcow2")
        self.cistern("vol-bitmap", "disk", "none", "--pool", "p", "--clear")
        self.cistern("vol-bitmap", "disk", "old", "--pool", "p", "--merge", "coarse")
        expected = {name: self.dirty_by_qemu(name) for name in ("fine", "coarse", "old", "none")}
        self.assertGreater(len(expected["fine"]), len(expected["coarse"]))
        self.assertEqual(expected["coarse"], expected["old"])
        child = self.serve("disk", "--read-only")
        self.assertEqual({"base:allocation", *(f"qemu:dirty-bitmap:{name}" for name in expected)},
                         set(self.contexts()))
        self.assertEqual(expected, {name: self.dirty(self.uri, name) for name in expected})
        status, out, err = peers.run([
            "qemu-img", "map", "--output=json", "--image-opts",
            f"driver=nbd,server.type=unix,server.path={self.socket},"
            "x-dirty-bitmap=qemu:dirty-bitmap:fine"])
        self.assertEqual(0, status, err)
        self.assertEqual([(run[0], run[1]) for run in expected["fine"] if run[2]],
                         [(run["start"], run["length"]) for run in json.loads(out)
                          if not run["data"]])
        self.end(child)
        child = self.serve("disk")
        self.assertEqual({"base:allocation", "qemu:dirty-bitmap:old"}, set(self.contexts()))
        self.io(self.uri, "write -P 7 5M 64k")
        self.assertEqual(expected["old"], self.dirty(self.uri, "old"))
        self.end(child)
        self.assertEqual({"fine": ["auto", "in-use"], "coarse": ["auto", "in-use"], "old": [],
                          "none": ["auto", "in-use"]}, self.flags())
        child = self.serve("disk", "--read-only")
        self.assertEqual({"base:allocation", "qemu:dirty-bitmap:old"}, set(self.contexts()))
        self.end(child)

    def test_what_is_written_to_is_nobody_elses(self):
        """QEMU and our own calls are told at once; who is meant is named."""
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        child = self.serve("disk")
        status, _, err = peers.run(["qemu-io", "-f", "qcow2", "-c", "read 0 1M",
                                    self.at("p", "disk")])
        self.assertNotEqual(0, status)
        self.assertIn("lock", err)
        for words in (("vol-resize", "disk", "16M"), ("vol-delete", "disk", "--yes"),
                      ("vol-clone", "disk", "copy"), ("snap-create", "disk", "one")):
            self.fails_at_once(*words, "--pool", "p", text="is held by 'serve'")
        self.wait_until(lambda: self.cistern("job-list", "-H")[1], "the job is listed")
        out = self.cistern("vol-holders", "disk", "--pool", "p", "-H")[1]
        self.assertRegex(out, r"^job \d+ \(serve\) of process \d+, user 0\t-\t\d+\n$")
        self.fails_at_once("pool-destroy", "p", text="serve")
        self.end(child)
        self.ok("vol-resize", "disk", "16M", "--pool", "p")

    def test_holders_and_refusals_name_the_export_at_once(self):
        for words in ((), ("--read-only",)):
            name = f"disk{len(words)}"
            self.ok("vol-create-as", "p", name, "1M")
            child = self.serve(name, *words)
            self.assert_holder(name, "-c", self.peer.uri)
            self.assert_refused(name, "-c", self.peer.uri)
            self.end(child)

    def test_holders_and_refusals_name_the_export_without_a_daemon(self):
        self.ok("vol-create-as", "p", "disk0", "1M")
        self.ok("vol-create-as", "p", "disk1", "1M")
        self.peer.stop()
        for name, words in (("disk0", ()), ("disk1", ("--read-only",))):
            child = self.serve(name, *words, embedded=True)
            self.assert_holder(name, "--embedded", "--root", self.peer.root)
            if not words:
                self.assert_refused(name, "--embedded", "--root", self.peer.root)
            self.end(child)

    def assert_holder(self, name, *where):
        status, out, err = peers.run([space.CISTERN, *where, "vol-holders", name, "--pool", "p", "--json"])
        self.assertEqual(0, status, err)
        self.assertIn("(serve)", str(json.loads(out)["holders"]))

    def assert_refused(self, name, *where):
        status, _, err = peers.run([space.CISTERN, *where, "vol-resize", name, "2M", "--pool", "p"])
        self.assertEqual(5, status, err)
        self.assertRegex(err, "held by 'serve'|process [0-9]+")

    def test_readers_share(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        child = self.serve("disk", "--read-only")
        other = self.serve("disk", "--read-only", where=("--socket", self.socket + "2"))
        self.ok("vol-clone", "disk", "copy", "--pool", "p")
        other.send_signal(signal.SIGTERM)
        other.communicate(timeout=20)
        self.end(child)

    def test_what_is_read_is_not_changed_meanwhile(self):
        """Not by our calls; what is deleted is served to the end."""
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        self.io(self.at("p", "disk"), "write -P 7 0 8M", fmt="qcow2")
        child = self.serve("disk", "--read-only")
        for words in (("vol-resize", "disk", "16M"), ("vol-wipe", "disk", "--yes"),
                      ("vol-upload", "disk", self.file("new", bytes(4096)))):
            self.fails_at_once(*words, "--pool", "p", text="is held by 'serve'")
        self.ok("vol-delete", "disk", "--pool", "p")
        self.assertFalse(os.path.exists(self.at("p", "disk")))
        self.io(self.uri, "read -P 7 0 8M", options=["-r"])
        self.end(child)

    def test_a_raw_file_that_is_cut_short_is_no_end_of_the_server(self):
        """What is gone reads as zeroes, as by QEMU, and is a hole; writes bring it back."""
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "raw")
        self.io(self.at("p", "disk"), "write -P 7 0 8M")
        child = self.serve("disk")
        os.truncate(self.at("p", "disk"), 1 << 20)
        self.io(self.uri, "read -P 7 0 1M", "read -P 0 1M 7M", "write -P 8 7M 1M",
                "read -P 8 7M 1M")
        status, out, err = peers.run(["nbdinfo", "--map", "--json", self.uri])
        self.assertEqual(0, status, err)
        self.assertEqual([(run["length"], run["type"]) for run in json.loads(out)],
                         [(MIB, 0), (6 * MIB, 3), (MIB, 0)])
        self.end(child)

    def map(self):
        """[offset, length, is zero] of each run of block status."""
        status, out, err = peers.run(["nbdinfo", "--map", "--json", self.uri])
        self.assertEqual((0, ""), (status, err))
        return [[run["offset"], run["length"], bool(run["type"] & 2)] for run in json.loads(out)]

    def test_the_map_of_an_image_shows_the_writes_of_clients(self):
        self.ok("vol-create-as", "p", "disk", "1M", "--format", "qcow2")
        self.serve("disk")
        empty, written = [[0, MIB, True]], [[0, 65536, False], [65536, MIB - 65536, True]]
        for _ in range(2):
            self.assertEqual(empty, self.map())
            self.assertEqual(empty, self.map())
            self.io(self.uri, "write 0 64k")
            self.assertEqual(written, self.map())
            self.assertEqual(written, self.map())
            self.io(self.uri, "write -z -u 0 64k")

    def test_the_map_of_a_raw_volume_shows_writes_of_other_programs(self):
        self.ok("vol-create-as", "p", "disk", "1M", "--allocation", "0")
        self.serve("disk", "--read-only")
        self.assertEqual([[0, MIB, True]], self.map())
        with open(self.at("p", "disk"), "r+b") as disk:
            disk.write(b"x" * 65536)
        self.assertEqual([[0, 65536, False], [65536, MIB - 65536, True]], self.map())

    def test_a_machines_disk_is_read_only_when_told(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        machine = subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("p", "disk")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(machine.communicate)
        self.wait_until(lambda: "qemu-io" in self.cistern("vol-holders", "disk", "--pool", "p")[1],
                        "QEMU has it open")
        for words in ((), ("--read-only",)):
            self.fails_at_once("vol-serve", "disk", "--pool", "p", "--socket", self.socket, *words,
                               text="qemu-io")
        self.end(self.serve("disk", "--read-only", "--force-share"))

    def test_detached(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "raw")
        status, out, err = self.cistern("vol-serve", "disk", "--pool", "p", "--socket", self.socket,
                                        "--detach")
        self.assertEqual((0, ""), (status, err))
        number = out.split()[-1]
        self.io(self.uri, "write -P 3 0 1M")
        self.assertEqual(0, self.cistern("job-cancel", number)[0])
        self.wait_until(lambda: not os.path.lexists(self.socket), "the socket is gone")
        self.io(self.at("p", "disk"), "read -P 3 0 1M")

    def test_embedded(self):
        """Without a daemon; beside it, another command goes on."""
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        self.peer.stop()
        child = self.serve("disk", embedded=True)
        self.io(self.uri, "write -P 4 0 1M")
        out = peers.run([space.CISTERN, "--root", self.peer.root, "vol-list", "p"])[1]
        self.assertIn("disk", out)
        self.end(child)
        self.io(self.at("p", "disk"), "read -P 4 0 1M", fmt="qcow2")

    def test_what_was_flushed_survives_the_daemon(self):
        """kill -9 in the middle: the image is sound, and holds what a client had flushed."""
        self.ok("vol-create-as", "p", "disk", "64M", "--format", "qcow2")
        self.serve("disk")
        self.io(self.uri, "write -P 5 0 4M", "flush", "write -P 6 8M 4M")
        self.peer.process.kill()
        self.peer.process.wait()
        self.io(self.at("p", "disk"), "read -P 5 0 4M", fmt="qcow2")
        self.assertIn(peers.run(["qemu-img", "check", "-q", "-f", "qcow2", self.at("p", "disk")])[0],
                      (0, 3))
        # The socket that is left is replaced.
        self.assertTrue(os.path.lexists(self.socket))
        self.peer.start()
        self.end(self.serve("disk"))

    def test_tcp(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "raw")
        child = self.serve("disk", where=("--listen", "127.0.0.1:11809"))
        self.io("nbd://127.0.0.1:11809", "write -P 8 0 1M")
        child.send_signal(signal.SIGINT)
        self.assertIn("served no more", child.communicate(timeout=20)[0])
        for address in ("0.0.0.0:11809", "192.0.2.1:11809"):
            status, _, err = self.cistern("vol-serve", "disk", "--pool", "p", "--listen", address)
            self.assertEqual(4, status)
            self.assertIn("can be reached from elsewhere", err)

    def test_tls(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        keys = os.path.join(self.peer.files, "keys.psk")
        peers.run(["psktool", "-u", "alice", "-p", keys])
        child = self.serve("disk", "--tls-psk", keys, where=("--listen", "127.0.0.1:11810"))
        uri = f"nbds://alice@127.0.0.1:11810/?tls-psk-file={keys}"
        self.assertEqual((0, "8388608\n"), peers.run(["nbdinfo", "--size", uri])[:2])
        self.assertNotEqual(0, peers.run(["nbdinfo", "--size", "nbd://127.0.0.1:11810"])[0])
        child.send_signal(signal.SIGINT)
        self.assertIn("served no more", child.communicate(timeout=20)[0])
        self.fails_at_once("vol-serve", "disk", "--pool", "p", "--listen", "127.0.0.1:11810",
                           "--tls-psk", keys + "x", text="cannot read the keys", code=3)

    def test_the_socket_is_its_callers(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "raw")
        child = self.serve("disk")
        found = os.stat(self.socket)
        self.assertEqual((0, 0o600), (found.st_uid, stat.S_IMODE(found.st_mode)))
        os.chmod(self.peer.files, 0o755)
        status, _, err = peers.run(["nbdinfo", "--size", self.uri], user=TENANT)
        self.assertNotEqual(0, status)
        self.assertIn("Permission denied", err)
        self.end(child)

    def test_dry_run(self):
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        status, out, err = self.cistern("vol-serve", "disk", "--pool", "p", "--socket", self.socket,
                                        "--dry-run")
        self.assertEqual((0, ""), (status, err))
        self.assertIn(f"Would serve vol disk at {self.uri}", out)
        self.assertFalse(os.path.lexists(self.socket))
        child = self.serve("disk")
        self.fails_at_once("vol-serve", "disk", "--pool", "p", "--socket", self.socket + "2",
                           "--dry-run", text="is held by 'serve'")
        self.end(child)

    def test_a_raw_volume_does_not_become_what_a_client_writes(self):
        """A qcow2 header that names another file is content, and is followed by nobody."""
        secret = self.file("secret", b"s" * 4096)
        evil = os.path.join(self.peer.files, "evil")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", evil, "8M"])
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "raw")
        child = self.serve("disk")
        self.assertEqual(0, peers.run(["nbdcopy", evil, self.uri])[0])
        self.end(child)
        self.ok("pool-refresh", "p")
        self.assertNotIn(secret, self.ok("vol-dumpxml", "disk", "--pool", "p"))
        copy = os.path.join(self.peer.files, "copy")
        self.ok("vol-download", "disk", copy, "--pool", "p")
        status, _, _ = self.cistern("vol-convert", "disk", "copy", "--pool", "p", "--format", "raw")
        if status == 0:
            with open(self.at("p", "copy"), "rb") as stream:
                self.assertNotIn(b"ssss", stream.read())


@unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
class OtherUser(WithDaemon):
    """A user who may change volumes has the daemon read no key."""

    CONFIG = "[access]\ngroup = nogroup\n"

    def test_other_user_names_no_keys(self):
        self.ok("vol-create-as", "p", "a", "1M")
        keys = self.file("keys.psk", "web:00112233445566778899aabbccddeeff\n")
        os.chmod(keys, 0o600)
        program, env = space.as_other_user()
        words = ["-c", self.peer.uri, "vol-serve", "a", "--pool", "p", "--listen",
                 "127.0.0.1:10809"]
        for option in ("--tls-psk", "--tls-certificates"):
            status, _out, err = peers.run(
                ["setpriv", "--reuid", str(TENANT), "--regid", "nogroup", "--clear-groups", program,
                 *words, option, keys], env=env.items())
            self.assertEqual(4, status, err)
            self.assertIn("can name keys for TLS", err)
