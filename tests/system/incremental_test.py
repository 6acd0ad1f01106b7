# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups that read only what has changed, of real images, with QEMU's programs as judges."""

import contextlib
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import threading

from backup_test import MIB, Repository
from harness import cases, peers, space

CISTERN_PROGRAM, CALL = 0x43495354, 0
SNAPSHOT_DELETE, SNAPSHOT_CREATE_SET = 15, 66


class Increments(Repository):
    def setUp(self):
        super().setUp()
        self.make("a", "qcow2")
        self.fill(0, 12)

    def fill(self, offset, mib, name="a"):
        """Content that no two chunks have in common."""
        path = self.file("content", os.urandom(mib * MIB))
        self.io(self.at("p", name), f"write -s {path} {offset} {mib}M", fmt="qcow2")

    def write(self, *commands, name="a"):
        self.io(self.at("p", name), *commands, fmt="qcow2")

    def increment(self, *words, repo=None):
        """What the command tells of each volume."""
        out = self.fine("--json", "backup-create", repo or self.repo, *(words or ("p/a",)),
                        "--incremental", *self.key)
        told = json.loads(out)
        moments = 1 if "--together" in words else 0  # a note of its own
        self.assertEqual(len(told["volumes"]), len(told["notes"]) - moments)
        return told

    def assert_increment(self, **options):
        volume, = self.increment(**options)["volumes"]
        self.assertIsNotNone(volume["base"])
        self.assert_restored(**options)
        return volume

    def assert_whole(self, text, **options):
        told = self.increment(**options)
        self.assertIsNone(told["volumes"][0]["base"])
        self.assertIn(text, told["notes"][0])
        self.assert_restored(**options)

    def assert_restored(self, repo=None, backup="latest", fmt="qcow2", name="a"):
        """The backup holds what the volume does."""
        self.fine("backup-restore", repo or self.repo, backup, name, "--newname", "restored",
                  "--format", "raw", *self.key)
        self.same(self.at("p", name), fmt, self.at("p", "restored"), "raw")
        self.ok("vol-delete", "restored", "--pool", "p")

    def snapshots(self, name="a"):
        rows = json.loads(self.fine("--json", "snap-list", name, "--pool", "p"))["snapshots"]
        return [row["name"] for row in rows]

    def replace(self, path):
        """Another file in the place of the image."""
        shutil.copyfile(path, self.at("p", "a"))
        self.ok("pool-refresh", "p")


class Reading(Increments):
    def test_little_is_read(self):
        """By the daemon, too, which has the volume."""
        def bytes_read():
            with open(f"/proc/{self.peer.process.pid}/io", encoding="ascii") as stream:
                return int(stream.readline().split()[1])

        self.assert_whole("no backup has a snapshot")
        self.write("write -P 3 5M 64k", "discard 7M 1M")
        before = bytes_read()
        volume, = self.increment()["volumes"]
        self.assertLess(bytes_read() - before, 3 * MIB)
        self.assertEqual((64 << 10, 11 * MIB - (64 << 10)), (volume["read"], volume["taken"]))
        self.assert_restored()
        self.assertEqual(1, len(self.snapshots()))
        # What a backup is based on can be seen, and what it is not.
        out = self.fine("backup-info", self.repo, "latest", *self.key)
        self.assertIn(volume["base"][:8], out)
        row = self.listed()[volume["base"]]
        self.assertEqual((12 * MIB, 0), (row["read"], row["taken"]))

    def test_what_cannot_tell_is_read_whole(self):
        self.make("r", "raw", "write -P 7 0 1M")
        self.ok("vol-create-as", "p", "top", "16M", "--format", "qcow2", "--backing-vol", "a",
                "--backing-vol-format", "qcow2")
        for _ in range(2):
            told = self.increment("--pool", "p")
            by_name = dict(zip(("a", "r", "top"), told["notes"]))
            self.assertIn("can't have snapshots", by_name["r"])
            self.assertIn("cannot report changes", by_name["top"])
            self.assertEqual([[], 1], [self.snapshots("top"), len(self.snapshots())])
        self.assertIn("taken from backup", by_name["a"])
        self.assert_restored(name="top")
        # The other volume is backed up, and the summary names the missing one.
        status, _, err = self.cistern("backup-create", self.repo, "a", "r", "--pool", "p",
                                      "--incremental", "--together", *self.key)
        self.assertEqual(8, status, err)
        self.assertIn("'r' can't have snapshots", err)
        self.assertEqual(1, len(self.snapshots()))

    def test_together(self):
        self.make("b", "qcow2", "write -P 1 0 2M")
        self.increment("p/a", "p/b", "--together")
        self.write("write -P 2 1M 64k", name="b")
        told = self.increment("p/a", "p/b", "--together")
        self.assertEqual([0, 64 << 10], [row["read"] for row in told["volumes"]])
        self.assertTrue(self.listed()[told["backup"]]["together"])
        self.assert_restored(name="b")
        # Another set of volumes goes on with it.
        self.assertEqual(0, self.assert_increment()["read"])

    def test_a_dry_run_tells_and_does_nothing(self):
        self.increment()
        self.write("write -P 3 5M 64k")
        before = self.snapshots()
        status, out, _ = self.cistern("backup-create", self.repo, "p/a", "--incremental",
                                      "--dry-run", *self.key)
        self.assertEqual(0, status)
        self.assertIn("vol a: would read 64.00 KiB, changed since backup", out)
        self.assertEqual((before, 1), (self.snapshots(), len(self.listed())))
        self.assert_increment()


class Identity(Increments):
    """A snapshot, a volume, a repository or a daemon that is not the one it was."""

    def setUp(self):
        super().setUp()
        self.increment()
        self.name, = self.snapshots()
        self.was = os.path.join(self.peer.files, "was")
        shutil.copyfile(self.at("p", "a"), self.was)
        self.write("write -P 3 5M 64k")

    def test_a_snapshot_made_anew(self):
        self.fine("snap-delete", "a", self.name, "--pool", "p", "--yes")
        self.fine("snap-create", "a", self.name, "--pool", "p")
        self.write("write -P 4 7M 64k")
        self.assert_whole("another one than that of the backup before")
        self.assert_increment()

    def test_a_snapshot_that_took_the_name(self):
        self.fine("snap-delete", "a", self.name, "--pool", "p", "--yes")
        self.fine("snap-create", "a", "x", "--pool", "p")
        self.fine("snap-rename", "a", "x", self.name, "--pool", "p")
        self.assert_whole("another one than that of the backup before")

    def test_a_snapshot_that_is_gone(self):
        self.fine("snap-delete", "a", self.name, "--pool", "p", "--yes")
        self.assert_whole("no backup has a snapshot")

    def test_a_volume_made_anew_by_other_tools(self):
        """With a snapshot of the same name, and of the same number in its table."""
        self.ok("vol-delete", "a", "--pool", "p")
        self.make("a", "qcow2", "write -P 9 1M 3M")
        self.assertEqual(0, peers.run(["qemu-img", "snapshot", "-c", self.name,
                                       self.at("p", "a")])[0])
        self.write("write -P 8 2M 64k")
        self.assert_whole("another one than that of the backup before")

    def test_an_earlier_file(self):
        """It holds the very snapshot, and something else above it."""
        self.increment()
        self.replace(self.was)
        self.write("write -P 6 9M 64k")
        self.assert_increment()

    def test_a_snapshot_that_was_reverted_to(self):
        self.fine("snap-revert", "a", self.name, "--pool", "p", "--yes")
        self.assertEqual(0, self.assert_increment()["read"])

    def test_another_size(self):
        for size in ("20480100K", "9M", "9500K", "16M"):
            self.ok("vol-resize", "a", size, "--pool", "p", "--shrink")
            self.assert_increment()

    def test_another_repository(self):
        other = os.path.join(self.peer.files, "other")
        self.fine("backup-init", other, *self.key)
        self.assert_whole("no backup has a snapshot", repo=other)
        self.write("write -P 4 7M 64k")
        for repo in (self.repo, other):
            self.assert_increment(repo=repo)
        self.assertEqual(2, len(self.snapshots()))

    def test_another_daemon(self):
        """With the same names and paths, and another image."""
        self.ok("pool-destroy", "p")
        self.ok("pool-undefine", "p")
        self.make_elsewhere()
        out = json.loads(self.fine("--json", "backup-create", self.repo, "p/a", "--incremental",
                                   *self.key, embedded=True))
        self.assertIn("no backup has a snapshot", out["notes"][0])
        self.fine("backup-restore", self.repo, "latest", "--newname", "b", *self.key,
                  embedded=True)
        self.same(self.at("p", "a"), "qcow2", self.at("p", "b"), "qcow2")

    def make_elsewhere(self):
        os.unlink(self.at("p", "a"))
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", self.at("p", "a"), "16M"])
        self.write("write -P 5 1M 1M")
        self.fine("pool-create-as", "p", "dir", "--target", self.at("p"), embedded=True)

    def test_an_image_with_another_base(self):
        """What it does not hold itself has not changed in its tables."""
        for name, pattern in (("one", 1), ("two", 2)):
            self.make(name, "qcow2", f"write -P {pattern} 0 16M")
            self.fine("vol-rebase", "a", "--pool", "p", "--backing-vol", name, "--unsafe")
            self.assert_whole("cannot report changes")


class Ends(Increments):
    def test_forgotten_bases(self):
        self.increment()
        self.write("write -P 3 5M 64k")
        self.assert_increment()
        first = min(self.listed().values(), key=lambda row: row["time"])["id"]
        self.fine("backup-forget", self.repo, first, "--yes", *self.key)
        self.fine("backup-prune", self.repo, *self.key)
        self.fine("backup-check", self.repo, "--read-data", *self.key)
        self.fine("backup-prove", self.repo, "latest", *self.key)
        self.assert_restored()
        self.fine("backup-forget", self.repo, "latest", "--yes", *self.key)
        self.assertEqual([], self.snapshots())
        self.assert_whole("no backup has a snapshot")

    def test_a_volume_that_is_gone_is_forgotten(self):
        self.increment()
        self.ok("vol-delete", "a", "--pool", "p")
        self.fine("backup-forget", self.repo, "latest", "--yes", *self.key)

    @cases.long("Reading and Identity have the single steps")
    def test_random_steps(self):
        """Against a raw image that gets the same bytes."""
        chance = random.Random(17)
        oracle = self.file("oracle")
        status, _, err = peers.run(["qemu-img", "convert", "-O", "raw", self.at("p", "a"), oracle])
        self.assertEqual(0, status, err)
        kept, saved, increments = [], {}, 0
        for step in range(160):
            what = chance.choice(("write", "write", "write", "discard", "resize", "snapshot",
                                  "revert", "backup", "backup", "backup", "forget", "prune"))
            size = os.stat(oracle).st_size
            if what == "write":
                at, length = chance.randrange(size // 512 - 300) * 512, chance.randrange(1, 300)
                command = f"write -P {chance.randrange(256)} {at} {length * 512}"
                self.write(command)
                self.io(oracle, command)
            elif what == "discard":
                command = f"{chance.randrange(size >> 16) << 16} 64k"
                self.write(f"discard {command}")
                self.io(oracle, f"write -z {command}")
            elif what == "resize":
                size = chance.randrange(6 * 2048, 24 * 2048) * 512
                self.ok("vol-resize", "a", f"{size}b", "--pool", "p", "--shrink")
                os.truncate(oracle, size)
            elif what == "snapshot":
                saved[f"s{step}"] = self.file(f"saved{step}")
                shutil.copyfile(oracle, saved[f"s{step}"])
                self.fine("snap-create", "a", f"s{step}", "--pool", "p")
            elif what == "revert" and saved:
                name = chance.choice(sorted(saved))
                self.fine("snap-revert", "a", name, "--pool", "p", "--yes")
                shutil.copyfile(saved[name], oracle)
            elif what == "backup":
                told = self.increment()
                increments += told["volumes"][0]["base"] is not None
                kept.append((told["backup"], self.file(f"kept{step}")))
                shutil.copyfile(oracle, kept[-1][1])
                self.assert_holds(*kept[-1])
            elif what == "forget" and len(kept) > 3:
                backup, path = kept.pop(chance.randrange(len(kept)))
                self.fine("backup-forget", self.repo, backup, "--yes", *self.key)
                os.unlink(path)
            elif what == "prune":
                self.fine("backup-prune", self.repo, *self.key)
            self.assertLessEqual(len(self.snapshots()) - len(saved), 1)
        for backup, path in kept:
            self.assert_holds(backup, path)
        self.fine("backup-check", self.repo, "--read-data", *self.key)
        self.assertGreater(increments, 20)
        status, out, err = peers.run(["qemu-img", "check", self.at("p", "a")])
        self.assertEqual(0, status, out + err)

    def assert_holds(self, backup, path):
        self.fine("backup-restore", self.repo, backup, "--newname", "restored", "--format", "raw",
                  *self.key)
        self.same(path, "raw", self.at("p", "restored"), "raw")
        self.ok("vol-delete", "restored", "--pool", "p")


class Tap:
    """Passes on what a client and the daemon say, and kills the client at one of its calls: before
    the daemon has it, or (AFTER) when it has."""

    def __init__(self, path, daemon, at, after):
        self.daemon, self.at, self.after = daemon, at, after
        self.child = None
        self.calls = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return
            daemon = socket.socket(socket.AF_UNIX)
            daemon.connect(self.daemon)
            threading.Thread(target=self.back, args=(daemon, client), daemon=True).start()
            threading.Thread(target=self.forth, args=(client, daemon), daemon=True).start()

    @staticmethod
    def back(daemon, client):
        try:
            while data := daemon.recv(1 << 16):
                client.sendall(data)
        except OSError:
            pass
        client.close()

    def forth(self, client, daemon):
        try:
            with client.makefile("rb") as stream:
                while head := stream.read(4):
                    packet = head + stream.read(struct.unpack(">I", head)[0] - 4)
                    program, _, procedure, kind = struct.unpack(">4I", packet[4:20])
                    if (program, kind) == (CISTERN_PROGRAM, CALL):
                        self.calls.append(procedure)
                        if len(self.calls) == self.at:
                            self.kill(packet, daemon)
                            return
                    daemon.sendall(packet)
        except OSError:
            pass
        finally:
            # close() alone ends no connection that back() reads from.
            with contextlib.suppress(OSError):
                daemon.shutdown(socket.SHUT_RDWR)
            daemon.close()

    def kill(self, packet, daemon):
        if self.after:
            daemon.sendall(packet)
        self.child.kill()

    def close(self):
        self.server.close()


class Killed(Increments):
    def play(self, at, after):
        """A backup that is killed at call AT; the calls that it made, and its status."""
        path = os.path.join(self.peer.files, f"tap{at}{after}")
        tap = Tap(path, self.peer.uri.split("socket=")[1], at, after)
        with subprocess.Popen([space.CISTERN, "-c", f"storage+unix:///system?socket={path}",
                               "backup-create", self.repo, "p/a", "--incremental", *self.key],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=space.ENV,
                              text=True) as child:
            tap.child = child
            _, err = child.communicate(timeout=60)
        tap.close()
        self.assertTrue(child.returncode in (0, -9), err)
        self.wait_until(lambda: not self.fine("job-list", "-H"), "the daemon is done with it")
        return tap.calls, child.returncode

    @cases.long("unit test backup-storm kills at each call")
    def test_at_every_call(self):
        """Whatever was done, the next backup is an increment of something that is there, and one
        snapshot stays."""
        self.increment()
        at, killed, seen = 1, 0, set()
        while True:
            for after in (False, True):
                self.write(f"write -P {at} {at % 150 * 64 + 32 * after}k 4k")
                calls, status = self.play(at, after)
                killed += status != 0
                if status == 0:
                    break
                seen.add(calls[-1])
                self.assertIn(len(self.snapshots()), (1, 2))
                volume = self.assert_increment()
                self.assertLessEqual(volume["read"], MIB)
                self.assertEqual(1, len(self.snapshots()), (at, after))
            if status == 0:
                break
            at += 1
        self.assertGreater(killed, 10)
        self.assertLessEqual({SNAPSHOT_CREATE_SET, SNAPSHOT_DELETE}, seen)
        self.fine("backup-check", self.repo, "--read-data", *self.key)
