# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text that another user, an image, a repository or a server has chosen: names of volumes, backing
files and snapshots, fields of a lock, errors of a remote daemon. Each command that names a volume
prints such text on stdout and stderr without the characters that control a terminal. Names of
domains: domains_test."""

import json
import os
import pty
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

from harness import space, wait

# A title (ESC … BEL), CSI as one character (C1), two direction marks, a line separator.
EVIL = b"\x1b]0;t\x07\xc2\x9b31m\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8"
FORBIDDEN = (b"\x1b", b"\x07", b"\xc2\x9b", b"\xe2\x80\xae", b"\xe2\x81\xa6", b"\xe2\x80\xa8")
ESCAPED = b"\\x1b]0;t\\x07\\xc2\\x9b31m\\xe2\\x80\\xae"
# A pool does not list names with characters that XML cannot represent, so the name has no ESC.
VOLUME = b"v\xc2\x9b31m\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8"
ALONE = VOLUME.replace(b"v", b"w")
VOLUME_ESCAPED = b"v\\xc2\\x9b31m\\xe2\\x80\\xae"
SNAPSHOT = b"s" + EVIL
BACKING = b"/b" + EVIL

# The rest of the command line after the command; commands that change the volume come last.
# {v} is the volume, {s} its snapshot, {at} the directory of the test.
LINES = {
    "vol-info": "{v} --pool p", "vol-key": "{v} --pool p", "vol-path": "{v} --pool p",
    "vol-name": "{at}/p/{v}", "vol-pool": "{at}/p/{v}", "vol-dumpxml": "{v} --pool p --xpath //capacity",
    "vol-chain": "{v} --pool p", "vol-check": "{v} --pool p", "vol-holders": "{v} --pool p",
    "vol-map": "{v} --pool p", "vol-measure": "--vol {v} --pool p --target-format raw",
    "vol-compare": "{v} {v} --pool p", "vol-bitmap": "{v} b --pool p --add",
    "vol-serve": "{v} --pool p --socket {at}/nosuch/s", "vol-download": "{v} {at}/down --pool p",
    "vol-export": "{v} {at}/out --pool p --snapshot {s}", "migrate-check": "{v} --pool p --to qemu+unix:///system?socket=/nosuch",
    "vol-copy": "{v} --pool p --to qemu+unix:///system?socket=/nosuch", "vol-clone": "{v} clone --pool p",
    "vol-convert": "{v} converted --format raw --pool p", "vol-create-from": "p {at}/vol.xml {v} --inputpool p",
    "vol-create-as": "p {v} 1M", "vol-commit": "{v} --pool p",
    "vol-consolidate": "{v} --pool p", "vol-flatten": "{v} --pool p",
    "vol-rebase": "{v} --pool p --backing-vol {v}", "vol-sparsify": "{v} --pool p",
    "vol-rename": "{v} {v} --pool p",
    "vol-protect": "{v} --pool p", "vol-unprotect": "{v} --pool p",
    "vol-tag": "{v} gold --pool p", "vol-note": "{v} text --pool p",
    "snap-list": "{v} --pool p", "snap-info": "{v} {s} --pool p", "snap-create": "{v} new --pool p",
    "snap-clone": "{v} {s} fromsnap --pool p", "snap-rename": "{v} new newer --pool p",
    "snap-revert": "{v} {s} --pool p", "snap-delete": "{v} {s} --pool p",
    "backup-create": "{at}/repo p/{v}", "backup-list": "{at}/repo --vol {v}",
    "backup-restore": "{at}/repo latest --vol {v} --pool p --newname restored",
    "backup-mount": "{at}/repo latest --vol {v} --socket {at}/nosuch/s",
    "backup-prove": "{at}/repo latest --vol {v} --content-only",
    "vol-resize": "{v} 3M --pool p", "vol-wipe": "{v} --pool p",
    "vol-upload": "{v} {at}/data --pool p",
    "vol-trust": "{v} --pool p --format raw", "vol-move": "{v} --newpool q --pool p",
    "vol-delete": "{v} --pool p", "trash-restore": "{v} --pool p", "trash-empty": "{v} --pool p",
}
# Commands whose output has neither name, with the reason.
UNNAMED = {
    "vol-pool": "prints the name of the pool", "vol-dumpxml": "prints the capacity",
    "vol-holders": "prints the holders, of which there are none", "vol-download": "prints nothing",
    "migrate-check": "fails before it reads the volume, because the daemon is missing",
    "trash-empty": "prints the number of volumes",
}


class Foreign(unittest.TestCase):
    """A directory of the test, and the check of the bytes that a command prints."""

    def setUp(self):
        where = tempfile.TemporaryDirectory(prefix="cistern-foreign-")
        self.addCleanup(where.cleanup)
        self.where = where.name

    def at(self, *parts):
        return os.path.join(self.where, *parts)

    def run_in(self, *words, root=True):
        where = ["--root", self.at("root")] if root else []
        return subprocess.run([space.CISTERN, *where, *words], capture_output=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=wait.LIMIT_S, cwd=self.where,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})

    def harmless(self, *words, **options):
        done = self.run_in(*words, **options)
        for text in FORBIDDEN:
            self.assertNotIn(text, done.stdout, words)
            self.assertNotIn(text, done.stderr, words)
        return done


class Commands(Foreign):
    """Embedded, in a root of its own. The pool "p" has the volumes VOLUME, a qcow2 image with the
    snapshot SNAPSHOT and the backing file BACKING, and ALONE, the same without the backing file."""

    def setUp(self):
        super().setUp()
        for name in ("p", "q"):
            self.run_in("pool-define-as", name, "dir", "--target", self.at(name), "--build", "--start")
        self.tool("qemu-img", "create", "-q", "-f", "qcow2", "image", "2M")
        self.tool("qemu-img", "snapshot", "-c", SNAPSHOT, "image")
        shutil.copy(self.at("image"), self.at("p").encode() + b"/" + ALONE)
        self.tool("qemu-img", "rebase", "-q", "-u", "-b", BACKING, "-F", "raw", "-f", "qcow2", "image")
        os.rename(self.at("image"), self.at("p").encode() + b"/" + VOLUME)
        self.run_in("pool-refresh", "p")
        self.run_in("pool-trash", "p", "--days", "1")
        with open(self.at("vol.xml"), "w", encoding="ascii") as out:
            out.write("<volume><name>n</name><capacity>2097152</capacity></volume>")
        with open(self.at("data"), "wb") as out:
            out.truncate(4096)

    def tool(self, *words):
        subprocess.run(words, check=True, cwd=self.where, stdout=subprocess.DEVNULL)

    def having(self, option):
        groups = json.loads(self.run_in("help", "--json").stdout)["groups"]
        return {c["name"] for group in groups for c in group["commands"]
                if any(o["name"] == option for o in c["options"])}

    def words(self, command, volume):
        fields = {b"{v}": volume, b"{s}": SNAPSHOT, b"{at}": self.where.encode()}
        words = LINES[command].encode().split()
        for field, value in fields.items():
            words = [word.replace(field, value) for word in words]
        return [command, *words, *(["--yes"] if command in self.asking else [])]

    def test_each_command_that_names_a_volume_has_a_line(self):
        self.assertEqual(set(), self.having("vol") - set(LINES))

    def test_each_command_prints_names_escaped(self):
        self.asking, dry = self.having("yes"), self.having("dry-run")
        self.run_in("backup-init", self.at("repo"), "--no-encryption")
        for form in ([], ["--json"]):
            for command in dry.intersection(LINES):
                with self.subTest(command=command, form=form):
                    self.harmless(*self.words(command, ALONE), "--dry-run", *form)
        named, backing = set(), set()
        for volume in (VOLUME, ALONE):
            names = (volume[:1] + VOLUME_ESCAPED[1:], b"s" + ESCAPED)
            for command in LINES:
                with self.subTest(command=command, volume=volume):
                    done = self.harmless(*self.words(command, volume))
                    if any(name in done.stdout + done.stderr for name in names):
                        named.add(command)
                    if b"b" + ESCAPED in done.stdout + done.stderr:
                        backing.add(command)
                    if command in ("vol-delete", "trash-empty"):
                        self.assertEqual(0, done.returncode, done.stderr)
            self.assertFalse(os.path.exists(self.at("p").encode() + b"/" + volume))
        self.assertEqual(set(LINES) - set(UNNAMED), named)
        self.assertLessEqual({"vol-info", "vol-chain"}, backing)

    def test_lists_print_names_escaped(self):
        for words in ("vol-list p", "vol-list p --details", "vol-list p -H", "vol-list p --json",
                      "vol-list p --format csv", "snap-list --pool p", "pool-info p",
                      "complete -- vol-info --pool p "):
            self.harmless(*words.split(" "))
        self.assertIn(VOLUME_ESCAPED, self.harmless("vol-list", "p").stdout)

    def test_image_commands_print_names_escaped(self):
        image = self.at("p").encode() + b"/" + VOLUME
        printed = b""
        for words in (["image-info", image], ["image-info", image, "--backing-chain"],
                      ["image-check", image], ["image-map", image, "--backing-chain"],
                      ["image-snapshot", image, "-l"], ["image-info", image, "--json"],
                      ["image-convert", image, self.at("out"), "--backing-chain"],
                      ["image-commit", image, "--backing-chain"]):
            done = self.harmless(*words)
            printed += done.stdout + done.stderr
        for text in (VOLUME_ESCAPED, b"s" + ESCAPED, b"b" + ESCAPED):
            self.assertIn(text, printed)

    def test_document_on_a_terminal_is_escaped(self):
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        subprocess.run([space.CISTERN, "--root", self.at("root"), "vol-dumpxml", VOLUME, "--pool",
                        "p"], stdout=follower, stderr=follower, stdin=subprocess.DEVNULL,
                       check=False, timeout=wait.LIMIT_S, env={**os.environ, "NO_COLOR": "1"})
        os.close(follower)
        shown = b""
        while True:
            try:
                more = os.read(leader, 65536)
            except OSError:  # the end of a terminal
                break
            shown += more
        self.assertIn(b"31m", shown)
        for text in FORBIDDEN:
            self.assertNotIn(text, shown)

    def test_fields_of_a_lock_are_printed_escaped(self):
        self.run_in("backup-init", self.at("repo"), "--no-encryption")
        with open(self.at("repo", "locks", "0" * 32), "wb") as out:
            out.write(b"1\nexclusive\n1\n1\nhost" + EVIL + b" id\n")
        printed = b""
        for words in (["backup-create", "p/" + VOLUME.decode()], ["backup-prune"], ["backup-check"],
                      ["backup-list"], ["backup-unlock"], ["backup-unlock", "--json"]):
            done = self.harmless(words[0], self.at("repo"), *words[1:])
            printed += done.stdout + done.stderr
        self.assertIn(b"host" + ESCAPED, printed)


class Remote(Foreign):
    """A daemon that answers each call with an error of a hostile text."""

    def setUp(self):
        super().setUp()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.at("socket"))
        self.listener.listen(16)
        self.addCleanup(self.listener.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                self.answer(client)

    @staticmethod
    def answer(client):
        """Each call gets a virNetMessageError: code, domain, message, level and no further field."""
        stream = client.makefile("rb")
        text = b"m" + EVIL
        error = (struct.pack(">iiIi", 38, 18, 1, len(text)) + text + bytes(-len(text) % 4)
                 + struct.pack(">i", 2) + struct.pack(">IIIIiiI", 0, 0, 0, 0, 0, 0, 0))
        while True:
            head = stream.read(28)
            if len(head) < 28:
                return
            length, program, version, procedure, _type, serial, _status = struct.unpack(">IIIiiIi", head)
            stream.read(length - 28)
            client.sendall(struct.pack(">IIIiiIi", 28 + len(error), program, version, procedure, 1,
                                       serial, 1) + error)

    def test_error_of_the_daemon_is_printed_escaped(self):
        uri = "qemu+unix:///system?socket=" + self.at("socket")
        for form in ((), ("--json",)):
            done = self.harmless("-c", uri, "vol-list", "p", *form, root=False)
            self.assertNotEqual(0, done.returncode)
            self.assertIn(b"31m", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
