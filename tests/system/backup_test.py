# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups, through the daemon and without one, with QEMU's programs as judges of what is restored."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
TENANT = 65534
SECRET = "aaaaaaaa-0000-0000-0000-0000000000b5"
FORMATS = ("raw", "qcow2", "vdi", "vmdk", "vhdx")


class Repository(WithDaemon):
    def setUp(self):
        super().setUp()
        self.repo = os.path.join(self.peer.files, "repo")
        self.key = ("--key-file", self.key_file("key", b"k" * 32))
        self.fine("backup-init", self.repo, *self.key)

    def key_file(self, name, content, mode=0o600):
        path = self.file(name, content)
        os.chmod(path, mode)
        return path

    def fine(self, *words, embedded=False):
        """The daemon has its root for itself, so a command without it has another one."""
        root = os.path.join(self.peer.files, "root")
        to = ["--embedded", "--root", root] if embedded else ["-c", self.peer.uri]
        status, out, err = peers.run([space.CISTERN, *to, *words])
        self.assertEqual((0, ""), (status, err), words)
        return out

    def backup(self, *words, **options):
        """The id of a new backup."""
        return json.loads(self.fine("--json", "backup-create", self.repo, *words, *self.key,
                                    **options))["backup"]

    def listed(self):
        out = self.fine("--json", "backup-list", self.repo, *self.key)
        return {row["id"]: row for row in json.loads(out)["backups"]}

    def io(self, image, *commands, fmt="raw", options=()):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", *options, "-f", fmt, *words, image])
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("failed", out)

    def make(self, name, fmt, *commands):
        self.ok("vol-create-as", "p", name, "16M", "--format", fmt)
        self.io(self.at("p", name), *commands, fmt=fmt)

    def same(self, one, one_format, two, two_format):
        status, out, err = peers.run(["qemu-img", "compare", "-f", one_format, "-F", two_format,
                                      one, two])
        self.assertEqual(0, status, out + err)


class Content(Repository):
    def test_there_and_back_in_every_format(self):
        other_pool = os.path.join(self.peer.files, "e")
        os.makedirs(other_pool)
        self.fine("pool-create-as", "e", "dir", "--target", other_pool, embedded=True)
        for i, fmt in enumerate(FORMATS):
            with self.subTest(fmt=fmt):
                other = FORMATS[(i + 1) % len(FORMATS)]
                self.make(f"v-{fmt}", fmt, "write -P 7 1M 3M", "write -P 9 12M 64k")
                backup = self.backup(f"v-{fmt}", "--pool", "p")
                self.fine("backup-restore", self.repo, backup, "--newname", f"r-{fmt}", *self.key)
                self.same(self.at("p", f"v-{fmt}"), fmt, self.at("p", f"r-{fmt}"), fmt)
                # Without a daemon, elsewhere, in another format; and from there.
                self.fine("backup-restore", self.repo, backup, "--newname", f"o-{fmt}", "--pool",
                          "e", "--format", other, *self.key, embedded=True)
                self.same(self.at("p", f"v-{fmt}"), fmt, f"{other_pool}/o-{fmt}", other)
                again = self.backup(f"e/o-{fmt}", embedded=True)
                self.assertEqual(0, self.listed()[again]["stored"])
                self.fine("backup-prove", self.repo, backup, *self.key)
        self.assertFalse([name for name in self.entries("p") if "prove" in name])
        self.fine("backup-check", self.repo, "--read-data", *self.key)

    def test_stored_chunks_are_not_stored_again(self):
        self.make("a", "qcow2", "write -P 1 0 64k")
        with open(self.file("random"), "wb") as stream:
            stream.write(os.urandom(8 * MIB))
        self.io(self.at("p", "a"), f"write -s {self.peer.files}/random 0 8M", fmt="qcow2")
        first = self.backup("a", "--pool", "p")
        second = self.backup("a", "--pool", "p")
        self.io(self.at("p", "a"), "write -P 1 4M 64k", fmt="qcow2")
        third = self.backup("a", "--pool", "p")
        rows = self.listed()
        self.assertGreater(rows[first]["stored"], 8 * MIB)
        self.assertEqual(0, rows[second]["stored"])
        self.assertLess(rows[third]["stored"], MIB)
        # Each holds what was there at its time.
        self.fine("backup-restore", self.repo, first, "--newname", "r1", *self.key)
        self.fine("backup-restore", self.repo, third, "--newname", "r3", *self.key)
        self.same(self.at("p", "a"), "qcow2", self.at("p", "r3"), "qcow2")
        self.io(self.at("p", "r3"), "read -P 1 4M 64k", fmt="qcow2")
        self.assertEqual(1, peers.run(["qemu-img", "compare", self.at("p", "r1"),
                                       self.at("p", "r3")])[0])

    def test_an_overlay_is_whole_without_its_base(self):
        self.make("base", "qcow2", "write -P 1 0 16M")
        self.ok("vol-create-as", "p", "top", "16M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        self.io(self.at("p", "top"), "write -P 2 1M 1M", fmt="qcow2")
        backup = self.backup("top", "--pool", "p")
        for name in ("top", "base"):
            self.ok("vol-delete", name, "--pool", "p")
        self.fine("backup-restore", self.repo, backup, *self.key)
        self.io(self.at("p", "top"), "read -P 1 0 1M", "read -P 2 1M 1M", "read -P 1 2M 14M",
                fmt="qcow2")

    def test_a_pool_together(self):
        self.make("a", "qcow2", "write -P 1 0 1M")
        self.make("b", "qcow2", "write -P 2 0 1M")
        os.makedirs(self.at("p", "dir"))
        self.ok("pool-refresh", "p")
        backup = self.backup("--pool", "p", "--together", "--tag", "x,y")
        row = self.listed()[backup]
        self.assertEqual(("p/a,p/b", True, "x,y"), (row["volumes"], row["together"], row["tags"]))
        # Images keep their snapshots each by itself: no moment is claimed that was none.
        self.assertIs(False, row["one_moment"])
        facts = json.loads(self.fine("backup-info", self.repo, backup, "--json", *self.key))
        self.assertIs(False, facts["one_moment"])
        self.assertGreater(facts["span_us"], 0)
        self.assertRegex(self.fine("backup-info", self.repo, backup, *self.key),
                         r"no: their snapshots were made one after the other, within \d+\.\d{3} s")
        alone = self.backup("a", "--pool", "p", "--together")
        self.assertIs(True, self.listed()[alone]["one_moment"])
        for name in ("a", "b"):
            self.assertNotIn("cistern-backup", self.fine("snap-list", name, "--pool", "p"))
        # What a killed command has left is in nobody's way.
        left = f"cistern-backup-{self.repo_id()}"
        self.fine("snap-create", "a", left, "--pool", "p")
        self.backup("a", "b", "--pool", "p", "--together")
        self.assertNotIn("cistern-backup", self.fine("snap-list", "a", "--pool", "p"))
        # A vol that can't have a snapshot is left out, and no snapshot stays.
        self.make("c", "vdi", "write -P 2 0 1M")
        status, _, err = self.cistern("backup-create", self.repo, "a", "c", "--pool", "p",
                                      "--together", *self.key)
        self.assertEqual(8, status, err)
        self.assertIn("'c'", err)
        self.assertIn("lacks 1 vol: p/c", err)
        self.assertNotIn("cistern-backup", self.fine("snap-list", "a", "--pool", "p"))

    def test_later_writes_are_not_in_the_backup(self):
        self.make("a", "qcow2")
        with open(self.file("random"), "wb") as stream:
            stream.write(os.urandom(12 * MIB))
        self.io(self.at("p", "a"), f"write -s {self.peer.files}/random 0 12M", fmt="qcow2")
        self.make("b", "qcow2", "write -P 1 0 1M")
        with subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "backup-create", self.repo, "a",
                               "b", "--pool", "p", "--together", "--rate-limit", "4M", *self.key],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=space.ENV) as child:
            self.wait_until(lambda: "cistern-backup" in self.fine("snap-list", "b", "--pool", "p"),
                            "b has its snapshot")
            self.io(self.at("p", "b"), "write -P 2 0 1M", fmt="qcow2")
            self.assertIsNone(child.poll(), "that was too late")
            _, err = child.communicate(timeout=60)
        self.assertEqual((0, ""), (child.returncode, err))
        self.fine("backup-restore", self.repo, "latest", "b", "--newname", "c", *self.key)
        self.io(self.at("p", "c"), "read -P 1 0 1M", fmt="qcow2")

    def repo_id(self):
        with open(os.path.join(self.repo, "config"), "rb") as stream:
            return stream.read()[12:16].hex()

    def test_a_volume_with_a_writer_is_refused(self):
        self.make("a", "qcow2", "write -P 1 0 1M")
        with subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("p", "a")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as holder:
            holder.stdin.write("length\n")
            holder.stdin.flush()
            holder.stdout.readline()
            status, _, err = self.cistern("backup-create", self.repo, "a", "--pool", "p", *self.key)
            self.assertEqual(5, status, err)
            self.assertEqual({}, self.listed())
            self.backup("a", "--pool", "p", "-U")
            holder.stdin.close()
        self.assertEqual(1, len(self.listed()))

    def break_tables(self, name):
        """A qcow2 image whose first table of clusters is nowhere."""
        with open(self.at("p", name), "r+b") as stream:
            stream.seek(40)
            stream.seek(int.from_bytes(stream.read(8), "big"))
            stream.write(b"\x80\x7f\xff\xff\xff\xff\x01\xff")

    def test_bad_image_of_pool_does_not_stop_the_other_volumes(self):
        for name in ("a", "b", "c"):
            self.make(name, "qcow2", f"write -P {ord(name)} 0 4M")
        self.break_tables("b")
        for words in ((), ("--incremental",), ("--snapshot",), ("--together",)):
            with self.subTest(words=words):
                status, out, err = self.cistern("backup-create", self.repo, "--pool", "p", *words,
                                                *self.key)
                self.assertEqual(8, status, err)
                self.assertIn("of 2 vols", out)
                self.assertIn("Failed to back up vol b", err)
                self.assertRegex(err, "backup [0-9a-f]{8} lacks 1 vol: p/b")
        self.assertEqual({"p/a,p/c"}, {row["volumes"] for row in self.listed().values()})
        for name in ("a", "c"):
            self.fine("backup-restore", self.repo, "latest", name, "--newname", f"r{name}",
                      *self.key)
            self.same(self.at("p", name), "qcow2", self.at("p", f"r{name}"), "qcow2")
        self.fine("backup-check", self.repo, "--read-data", *self.key)

    def test_volume_without_snapshots_does_not_stop_the_other_volumes(self):
        self.make("a", "qcow2", "write -P 1 0 1M")
        self.make("b", "raw", "write -P 2 0 1M")
        self.make("c", "qcow2", "write -P 3 0 1M")
        for words in (("--snapshot",), ("--together",), ("--together", "--incremental")):
            with self.subTest(words=words):
                status, out, err = self.cistern("backup-create", self.repo, "--pool", "p", *words,
                                                *self.key)
                if "of 3 vols" in out:
                    self.skipTest("the file system shares extents, so that raw files have snapshots")
                self.assertEqual(8, status, err)
                self.assertIn("of 2 vols", out)
                self.assertIn("volume 'b' can't have snapshots", err)
                self.assertRegex(err, "backup [0-9a-f]{8} lacks 1 vol: p/b")
                for name in ("a", "c"):
                    self.assertEqual("--incremental" in words,
                                     "cistern-backup" in self.fine("snap-list", name, "--pool", "p"))
        self.assertEqual({"p/a,p/c"}, {row["volumes"] for row in self.listed().values()})
        # Alone it is a failure, as any other.
        self.assertEqual(1, self.cistern("backup-create", self.repo, "p/b", "--snapshot",
                                         *self.key)[0])

    def test_bad_image_is_named_in_json_and_in_dry_run(self):
        for name in ("a", "b"):
            self.make(name, "qcow2", "write -P 1 0 1M")
        self.break_tables("a")
        status, out, _ = self.cistern("--json", "backup-create", self.repo, "--pool", "p",
                                      *self.key)
        result = json.loads(out)
        self.assertEqual((8, ["p/b"]), (status, [f"{row['pool']}/{row['name']}"
                                                 for row in result["volumes"]]), result)
        self.assertEqual([("p", "a")], [(row["pool"], row["volume"]) for row in result["missing"]])
        self.assertTrue(result["missing"][0]["problem"])
        status, _, err = self.cistern("backup-create", self.repo, "p/a", "p/b", "--snapshot",
                                      "--dry-run", *self.key)
        self.assertEqual(8, status, err)
        self.assertIn("the backup would lack 1 vol: p/a", err)
        # Without any volume there is no backup.
        self.assertEqual(1, self.cistern("backup-create", self.repo, "p/a", *self.key)[0])
        self.assertEqual(1, len(self.listed()))

    def test_into_another_pool_and_names(self):
        os.makedirs(self.at("q"))
        self.ok("pool-create-as", "q", "dir", "--target", self.at("q"))
        self.make("a", "raw", "write -P 1 0 1M")
        backup = self.backup("p/a")
        self.fine("backup-restore", self.repo, backup[:6], "--pool", "q", *self.key)
        self.same(self.at("p", "a"), "raw", self.at("q", "a"), "raw")
        self.assertLess(os.stat(self.at("q", "a")).st_blocks * 512, 16 * MIB)
        for words, code in (((backup, "--pool", "q"), 5), (("ffff",), 3), ((backup, "nosuch"), 3)):
            self.assertEqual(code, self.cistern("backup-restore", self.repo, *words, *self.key)[0])

    def test_restore_all_and_latest_of_a_volume(self):
        os.makedirs(self.at("q"))
        self.ok("pool-create-as", "q", "dir", "--target", self.at("q"))
        for name in ("a", "b"):
            self.make(name, "qcow2", f"write -P {ord(name)} 0 1M")
        both = self.backup("--pool", "p")
        self.backup("p/a")
        # The newest backup lacks b.
        self.fine("backup-restore", self.repo, "latest", "p/b", "--newname", "c", *self.key)
        self.same(self.at("p", "b"), "qcow2", self.at("p", "c"), "qcow2")
        self.assertEqual(3, self.cistern("backup-restore", self.repo, "latest", "x", *self.key)[0])
        out = self.fine("backup-restore", self.repo, both, "--all", "--pool", "q", *self.key)
        self.assertIn("Vol b restored in pool q", out)
        for name in ("a", "b"):
            self.same(self.at("p", name), "qcow2", self.at("q", name), "qcow2")
        # A volume that is there does not stop the others.
        self.ok("vol-delete", "b", "--pool", "q")
        status, _, err = self.cistern("backup-restore", self.repo, "latest", "p", "--all", "--pool",
                                      "q", *self.key)
        self.assertEqual(5, status, err)
        self.assertEqual(["a"], self.entries("q"))
        status, _, err = self.cistern("backup-restore", self.repo, both, "p", "--all", "--pool",
                                      "q", *self.key)
        self.assertEqual(8, status, err)
        self.assertEqual(["a", "b"], self.entries("q"))
        self.assertEqual(3, self.cistern("backup-restore", self.repo, both, "q", "--all",
                                         *self.key)[0])

    def test_served_at_once(self):
        self.make("a", "qcow2", "write -P 7 1M 3M")
        backup = self.backup("a", "--pool", "p")
        where = os.path.join(self.peer.files, "nbd")
        uri = f"nbd+unix:///?socket={where}"
        with subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "backup-mount", self.repo, backup,
                               "--socket", where, *self.key], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=space.ENV) as child:
            def answers():
                with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
                    client.connect(where)
                    return True
                return False
            self.wait_until(answers, "somebody can connect")
            self.io(uri, "read -P 7 1M 3M", "read -P 0 4M 12M", options=["-r"])
            self.same(uri, "raw", self.at("p", "a"), "qcow2")
            self.assertNotEqual(0, peers.run(["qemu-io", "-f", "raw", "-c", "write 0 1M", uri])[0])
            # Whoever reads from it must not lose it.
            self.assertEqual(5, self.cistern("backup-prune", self.repo, *self.key)[0])
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=20)
        self.assertEqual((0, ""), (child.returncode, err))
        self.assertIn("is served no more", out)
        self.fine("backup-prune", self.repo, *self.key)


class Keeping(Repository):
    def test_a_secret_is_on_no_command_line(self):
        self.virsh("secret-undefine", SECRET)
        self.ok("secret-define", self.file("secret.xml", "<secret ephemeral='no' private='no'>"
                                           f"<uuid>{SECRET}</uuid></secret>"))
        self.addCleanup(self.virsh, "secret-undefine", SECRET)
        self.ok("secret-set-value", SECRET, "b2xk")
        repo = os.path.join(self.peer.files, "sealed")
        self.fine("backup-init", repo, "--secret", SECRET)
        self.make("a", "raw", "write -P 1 0 1M")
        self.fine("backup-create", repo, "p/a", "--secret", SECRET)
        self.assertIn("p/a", self.fine("backup-list", repo, "--secret", SECRET))
        # The value itself protects the key, wherever it comes from.
        self.assertIn("p/a", self.fine("backup-list", repo, "--key-file", self.key_file("old", b"old")))
        self.ok("secret-set-value", SECRET, "bmV3")
        for key in (("--secret", SECRET), ("--key-file", self.key_file("new", b"new")), ()):
            status, _, err = self.cistern("backup-list", repo, *key)
            self.assertNotEqual(0, status)
            self.assertIn("encrypted", err)

    def test_private_secret_is_a_key_without_a_daemon_only(self):
        text = self.file("private.xml", "<secret ephemeral='no' private='yes'>"
                         f"<uuid>{SECRET}</uuid></secret>")
        repo = os.path.join(self.peer.files, "private")
        self.make("a", "raw", "write -P 1 0 1M")
        source = os.path.join(self.peer.files, "source")
        os.makedirs(source)
        self.fine("pool-create-as", "e", "dir", "--target", source, embedded=True)
        self.fine("vol-create-as", "e", "v", "1M", embedded=True)
        self.fine("secret-define", text, embedded=True)
        self.fine("secret-set-value", SECRET, "--file", self.key_file("old", b"old"), "--plain",
                  embedded=True)
        self.fine("backup-init", repo, "--secret", SECRET, embedded=True)
        self.fine("backup-create", repo, "e/v", "--secret", SECRET, embedded=True)
        self.assertIn("e/v", self.fine("backup-list", repo, "--secret", SECRET, embedded=True))
        self.assertIn("e/v", self.fine("backup-list", repo, "--key-file",
                                       os.path.join(self.peer.files, "old")))
        # The value is for use, and not to be shown.
        root = os.path.join(self.peer.files, "root")
        status, out, err = peers.run([space.CISTERN, "--embedded", "--root", root,
                                      "secret-get-value", SECRET])
        self.assertNotEqual(0, status)
        self.assertIn("secret is private", err)
        self.assertNotIn("b2xk", out)
        # A daemon gives it to no client.
        self.virsh("secret-undefine", SECRET)
        self.ok("secret-define", text)
        self.addCleanup(self.virsh, "secret-undefine", SECRET)
        self.ok("secret-set-value", SECRET, "b2xk")
        status, _, err = self.cistern("backup-list", repo, "--secret", SECRET)
        self.assertNotEqual(0, status)
        self.assertIn("secret is private", err)
        self.assertIn("a daemon gives the value of a private secret to no client", err)

    def test_key_file_that_other_users_may_read_is_refused(self):
        for mode in (0o640, 0o604, 0o620, 0o644):
            with self.subTest(mode=oct(mode)):
                key = self.key_file("open", b"k" * 32, mode)
                for words in (("backup-list", self.repo), ("backup-init", self.repo + "2")):
                    status, _, err = self.cistern(*words, "--key-file", key)
                    self.assertEqual(4, status, err)
                    self.assertIn("other users may know the key", err)
        self.assertFalse(os.path.exists(self.repo + "2"))
        os.chown(self.key_file("theirs", b"k" * 32), TENANT, TENANT)
        self.assertEqual(4, self.cistern("backup-list", self.repo, "--key-file",
                                         os.path.join(self.peer.files, "theirs"))[0])
        # A pipe of the shell is no file of others.
        status, _, err = peers.run(["bash", "-c", f"'{space.CISTERN}' -c '{self.peer.uri}' "
                                    f"backup-list '{self.repo}' --key-file <(cat '{self.key[1]}')"])
        self.assertEqual((0, ""), (status, err))

    def test_a_hidden_directory_of_a_pool(self):
        self.make("a", "raw", "write -P 1 0 1M")
        self.fine("backup-init", "p", "--no-encryption")
        self.fine("backup-create", "p", "p/a")
        self.ok("pool-refresh", "p")
        rows = json.loads(self.fine("--json", "vol-list", "p"))["volumes"]
        self.assertEqual(["a"], [row["name"] for row in rows])
        self.fine("backup-restore", "p", "latest", "--newname", "b")
        self.same(self.at("p", "a"), "raw", self.at("p", "b"), "raw")
        self.assertEqual(3, self.cistern("backup-list", "nosuch")[0])

    def test_forget_and_prune(self):
        self.make("a", "raw")
        ids = []
        for i in range(1, 5):
            with open(self.at("p", "a"), "r+b") as stream:
                stream.write(os.urandom(4 * MIB))
            ids.append(self.backup("p/a", *(("--tag", "gold") if i == 1 else ())))
        status, out, _ = self.cistern("backup-forget", self.repo, "--keep-last", "2", "--keep-tag",
                                      "gold", "--dry-run", *self.key)
        self.assertEqual(0, status)
        self.assertIn("Would forget 1 backup", out)
        self.assertEqual(4, len(self.listed()))
        self.fine("backup-forget", self.repo, "--keep-last", "2", "--keep-tag", "gold", "--yes",
                  *self.key)
        self.assertEqual({ids[0], ids[2], ids[3]}, set(self.listed()))
        self.fine("backup-forget", self.repo, ids[0][:8], "--yes", *self.key)
        before = self.size()
        self.fine("backup-prune", self.repo, *self.key)
        self.assertLess(self.size(), before - 7 * MIB)
        self.fine("backup-prove", self.repo, ids[3], *self.key)
        for words in ((), ("--keep-last", "1", ids[2])):
            self.assertEqual(2, self.cistern("backup-forget", self.repo, *words, "--yes",
                                             *self.key)[0])

    def size(self):
        return sum(os.stat(os.path.join(top, name)).st_size
                   for top, _, names in os.walk(self.repo) for name in names)

    def test_a_flipped_bit_is_found(self):
        self.make("a", "raw")
        with open(self.at("p", "a"), "r+b") as stream:
            stream.write(os.urandom(MIB))
        self.backup("p/a")
        packs = os.path.join(self.repo, "packs")
        path = os.path.join(packs, os.listdir(packs)[0])
        with open(path, "r+b") as stream:
            stream.seek(5000)
            byte = stream.read(1)[0]
            stream.seek(5000)
            stream.write(bytes([byte ^ 1]))
        self.fine("backup-check", self.repo, *self.key)
        status, out, err = self.cistern("backup-check", self.repo, "--read-data", *self.key)
        self.assertEqual(7, status)
        self.assertIn(path, out)
        self.assertIn("cannot be restored", out)
        status, _, err = self.cistern("backup-restore", self.repo, "latest", "--newname", "b",
                                      *self.key)
        self.assertEqual(1, status)
        self.assertIn(path, err)
        self.assertEqual(["a"], self.entries("p"))

    def test_repair_drops_damage_and_the_next_backup_heals(self):
        self.make("a", "raw")
        with open(self.at("p", "a"), "r+b") as stream:
            stream.write(os.urandom(MIB))
        backup = self.backup("p/a")
        packs = os.path.join(self.repo, "packs")
        with open(os.path.join(packs, os.listdir(packs)[0]), "r+b") as stream:
            stream.seek(5000)
            stream.write(b"damage")
        out = self.fine("backup-repair", self.repo, "--dry-run", *self.key)
        self.assertIn(f"Would repair repository {self.repo}\n", out)
        for words in (("--dry-run",), ()):
            report = json.loads(self.fine("--json", "backup-repair", self.repo, *words, *self.key))
            self.assertEqual(f"Would repair repository {self.repo}" if words else None,
                             report.get("plan"))
            self.assertEqual((1, 1, 0), (report["chunks"], report["packs"], report["manifests"]))
            self.assertEqual([(backup, "p/a", 65536)],
                             [(row["backup"], row["volume"], row["lost"])
                              for row in report["losses"]])
        self.assertEqual(7, self.cistern("backup-check", self.repo, "--read-data", *self.key)[0])
        self.backup("p/a")
        self.assertIn("Would change no file",
                      self.fine("backup-repair", self.repo, "--dry-run", *self.key))
        self.fine("backup-check", self.repo, "--read-data", *self.key)
        self.fine("backup-restore", self.repo, backup, "--newname", "b", *self.key)
        self.same(self.at("p", "a"), "raw", self.at("p", "b"), "raw")

    def test_a_killed_backup_is_not_listed(self):
        self.make("a", "raw")
        with open(self.at("p", "a"), "r+b") as stream:
            stream.write(os.urandom(16 * MIB))
        with subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "backup-create", self.repo,
                               "p/a", "--rate-limit", "4M", *self.key], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=space.ENV) as child:
            self.wait_until(lambda: os.listdir(os.path.join(self.repo, "drafts")) or
                            os.listdir(os.path.join(self.repo, "packs")), "something is stored")
            child.kill()
        self.assertEqual({}, self.listed())
        self.fine("backup-prune", self.repo, *self.key)
        self.assertLess(self.size(), 4096)
        self.backup("p/a")
        self.fine("backup-prove", self.repo, "latest", *self.key)

    def test_a_full_disk_leaves_earlier_backups_intact(self):
        small = os.path.join(self.peer.files, "small")
        os.makedirs(small)
        status, _, err = peers.run(["mount", "-t", "tmpfs", "-o", "size=8M", "none", small])
        if status != 0:
            self.skipTest(f"no tmpfs: {err}")
        self.addCleanup(peers.run, ["umount", small])
        repo = os.path.join(small, "repo")
        self.fine("backup-init", repo, *self.key)
        self.make("a", "raw")
        with open(self.at("p", "a"), "r+b") as stream:
            stream.write(os.urandom(4 * MIB))
        self.fine("backup-create", repo, "p/a", *self.key)
        with open(self.at("p", "a"), "r+b") as stream:
            stream.write(os.urandom(16 * MIB))
        status, _, err = self.cistern("backup-create", repo, "p/a", *self.key)
        self.assertNotEqual(0, status)
        self.assertIn("No space left", err)
        self.assertEqual(1, len(json.loads(self.fine("--json", "backup-list", repo,
                                                     *self.key))["backups"]))
        self.fine("backup-prove", repo, "latest", *self.key)
        self.fine("backup-prune", repo, *self.key)
        self.fine("backup-check", repo, "--read-data", *self.key)

    def test_a_repository_that_can_only_be_read(self):
        self.make("a", "raw", "write -P 1 0 1M")
        self.backup("p/a")
        for words in (("mount", "--bind", self.repo, self.repo),
                      ("mount", "-o", "remount,ro,bind", self.repo)):
            status, _, err = peers.run(list(words))
            if status != 0:
                self.skipTest(err)
            self.addCleanup(peers.run, ["umount", self.repo])
        self.assertEqual(1, len(self.listed()))
        self.fine("backup-check", self.repo, "--read-data", *self.key)
        self.fine("backup-prove", self.repo, "latest", *self.key)
        for words in (("create", "p/a"), ("forget", "latest", "--yes"), ("prune",)):
            status, _, err = self.cistern(f"backup-{words[0]}", self.repo, *words[1:], *self.key)
            self.assertEqual(4, status, err)
        self.assertEqual(1, len(self.listed()))

    def test_other_users_repositories(self):
        os.chown(self.repo, TENANT, TENANT)
        status, _, err = self.cistern("backup-list", self.repo, *self.key)
        self.assertEqual(4, status, err)
        self.assertIn("--shared", err)
        self.assertEqual(0, self.cistern("backup-list", self.repo, "--shared", *self.key)[0])


class PutBack(Repository):
    """A repository whose directory is exchanged for an earlier copy of it."""

    def setUp(self):
        super().setUp()
        self.make("a", "raw", "write -P 1 0 1M")
        self.first = self.backup("p/a")
        self.copy = os.path.join(self.peer.files, "copy")
        shutil.copytree(self.repo, self.copy)
        self.io(self.at("p", "a"), "write -P 2 0 1M")
        self.second = self.backup("p/a")

    def put_back(self):
        shutil.rmtree(self.repo)
        shutil.copytree(self.copy, self.repo)

    def state_file(self):
        with open(os.path.join(self.repo, "config"), "rb") as stream:
            name = stream.read()[12:28].hex()
        return os.path.join(space.ENV["HOME"], ".local/state/cistern/backups", name)

    def test_backup_to_it_is_refused_until_it_is_accepted(self):
        self.put_back()
        for words in (("p/a",), ("p/a", "--dry-run"), ("--pool", "p", "--incremental")):
            status, _, err = self.cistern("backup-create", self.repo, *words, *self.key)
            self.assertEqual(5, status, err)
            self.assertIn(f"has seen backup '{self.second[:8]}', which is missing", err)
            self.assertIn("--accept-rollback", err)
        self.assertEqual([self.first], os.listdir(os.path.join(self.repo, "backups")))
        out = self.fine("--json", "backup-create", self.repo, "p/a", "--accept-rollback",
                        *self.key)
        self.assertEqual({self.first, json.loads(out)["backup"]}, set(self.listed()))
        self.backup("p/a")

    def test_readers_warn_and_check_fails(self):
        self.put_back()
        missing = f"has seen backup '{self.second[:8]}', which is missing"
        for words in (("backup-list", self.repo), ("backup-info", self.repo, "latest"),
                      ("backup-restore", self.repo, "latest", "--newname", "b"),
                      ("backup-prove", self.repo, "latest", "--content-only")):
            status, out, err = self.cistern(*words, *self.key)
            self.assertEqual(0, status, out + err)
            self.assertIn("warning: ", err)
            self.assertIn(missing, err)
        self.io(self.at("p", "b"), "read -P 1 0 1M")
        status, out, err = self.cistern("backup-check", self.repo, *self.key)
        self.assertEqual(7, status, out + err)
        self.assertIn(missing, out)

    def test_forgetting_the_newest_backup_is_no_rollback(self):
        self.fine("backup-forget", self.repo, self.second, "--yes", *self.key)
        self.assertEqual({self.first}, set(self.listed()))
        self.fine("backup-check", self.repo, *self.key)
        self.fine("backup-forget", self.repo, self.first, "--yes", *self.key)
        self.assertFalse(os.path.exists(self.state_file()))
        self.backup("p/a")

    def test_repair_that_drops_the_newest_manifest_is_no_rollback(self):
        with open(os.path.join(self.repo, "backups", self.second), "r+b") as stream:
            stream.seek(60)
            stream.write(b"damage")
        self.fine("backup-repair", self.repo, *self.key)
        self.fine("backup-check", self.repo, *self.key)
        self.backup("p/a")

    def test_dry_runs_write_no_state(self):
        before = open(self.state_file(), "rb").read()
        os.remove(self.state_file())
        self.fine("backup-create", self.repo, "p/a", "--dry-run", *self.key)
        self.assertFalse(os.path.exists(self.state_file()))
        self.listed()
        self.assertEqual(before, open(self.state_file(), "rb").read())
        self.assertEqual(0o600, os.stat(self.state_file()).st_mode & 0o7777)

    def test_file_that_cannot_be_read_is_named(self):
        with open(self.state_file(), "w", encoding="ascii") as stream:
            stream.write("rubbish\n")
        status, _, err = self.cistern("backup-create", self.repo, "p/a", *self.key)
        self.assertNotEqual(0, status)
        self.assertIn(self.state_file(), err)
        os.remove(self.state_file())
        self.backup("p/a")

    def test_number_of_remembered_repositories_is_bounded(self):
        directory = os.path.dirname(self.state_file())
        for i in range(300):
            path = os.path.join(directory, f"{i:032x}")
            with open(path, "w", encoding="ascii") as stream:
                stream.write("rubbish\n")
            os.utime(path, (i, i))
        os.remove(self.state_file())
        self.listed()
        self.assertTrue(os.path.exists(self.state_file()))
        self.assertEqual(256, len(os.listdir(directory)))
        self.assertFalse(os.path.exists(os.path.join(directory, f"{0:032x}")))
        for i in range(300):
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(directory, f"{i:032x}"))
