# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes copied and moved to another daemon: proven there, gone on with after an interruption."""

import glob
import os
import random
import signal
import subprocess
import unittest

from harness import peers, space, wait
from harness.cases import WithTwoDaemons

MIB = 1 << 20


class Copying(WithTwoDaemons):
    def setUp(self):
        super().setUp()
        peers.empty(self.far.dir)
        for path in self.cached():
            os.unlink(path)
        os.makedirs(os.path.join(self.far.dir, "p"))
        self.make_pool_there(os.path.join(self.far.dir, "p"))
        self.ok("vol-create-as", "p", "disk", "64M", "--format", "qcow2")
        self.io("write -P 5 1M 3M", "write -P 7 40M 5000k", "write -P 9 67107840 1k")

    def io(self, *commands, image=None, fmt="qcow2"):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", "-f", fmt, *words, image or self.at("p", "disk")])
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("failed", out)

    def there(self, name):
        return os.path.join(self.far.dir, "p", name)

    def copy(self, *words, **options):
        status, out, err = self.cistern("vol-copy", "--pool", "p", "--to", self.far.uri, *words,
                                        **options)
        self.assertEqual(0, status, err)
        return out, err

    def copy_fails(self, *words, text, code):
        status, _, err = self.cistern("vol-copy", "--pool", "p", "--to", self.far.uri, *words)
        self.assertEqual(code, status, err)
        self.assertIn(text, err)

    def begin(self, *words):
        argv = [space.CISTERN, "-c", self.peer.uri, "vol-copy", "--pool", "p", "--to", self.far.uri,
                *words]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=space.ENV,
                                text=True)

    def assert_same(self, name="disk", fmt="qcow2", with_name="disk", with_fmt="qcow2"):
        status, out, err = peers.run(["qemu-img", "compare", "-f", fmt, "-F", with_fmt,
                                      self.there(name), self.at("p", with_name)])
        self.assertEqual(0, status, out + err)

    def names(self):
        return sorted(os.listdir(os.path.join(self.far.dir, "p")))

    def test_a_copy(self):
        self.copy("disk")
        self.assertEqual(["disk"], self.names())
        self.assert_same()
        self.assertLess(os.stat(self.there("disk")).st_blocks * 512, 12 * MIB)
        self.assertIn("disk", peers.virsh(self.far, "vol-list", "p")[1])
        self.copy("disk", "--name", "other", "--format", "raw")
        self.assert_same("other", "raw")
        self.copy_fails("disk", text="exists already", code=5)

    def test_the_backing_chain_is_copied_too(self):
        self.ok("vol-create-as", "p", "top", "64M", "--format", "qcow2", "--backing-vol", "disk",
                "--backing-vol-format", "qcow2")
        self.io("write -P 1 2M 1M", image=self.at("p", "top"))
        self.copy("top")
        self.assert_same("top", with_name="top")
        self.assertNotIn("backing", peers.run(["qemu-img", "info", self.there("top")])[1])

    def test_other_pools(self):
        """The format is the pool's, where the original's is not."""
        where = os.path.join(self.far.files, "q")
        os.makedirs(where)
        self.assertEqual(0, peers.virsh(self.far, "pool-create-as", "q", "dir", "--target", where)[0])
        self.copy("disk", "--newpool", "q")
        self.assertTrue(os.path.exists(os.path.join(where, "disk")))
        self.copy_fails("disk", "--newpool", "none", text="'none'", code=3)
        peers.virsh(self.far, "pool-destroy", "q")

    def test_snapshots(self):
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        self.ok("vol-clone", "disk", "saved", "--pool", "p")
        self.io("write -P 1 0 8M")
        self.copy("disk", "--snapshot", "then")
        self.assert_same(with_name="saved")

    def test_a_move(self):
        self.ok("vol-clone", "disk", "saved", "--pool", "p")
        out, _ = self.copy("disk", "--move")
        self.assertIn("moved", out)
        self.assert_same(with_name="saved")
        self.assertNotIn(" disk ", self.ok("vol-list", "p"))

    def test_a_volume_that_cannot_be_deleted_is_not_moved(self):
        """And not a byte is sent."""
        self.cistern("vol-protect", "disk", "--pool", "p")
        self.copy_fails("disk", "--move", text="protected", code=5)
        self.cistern("vol-unprotect", "disk", "--pool", "p")
        self.cistern("snap-create", "disk", "then", "--pool", "p")
        self.copy_fails("disk", "--move", text="'then'", code=5)
        self.cistern("snap-delete", "disk", "then", "--pool", "p", "--yes")
        self.ok("vol-create-as", "p", "top", "64M", "--format", "qcow2", "--backing-vol", "disk",
                "--backing-vol-format", "qcow2")
        self.copy_fails("disk", "--move", text="p/top", code=5)
        self.assertEqual([], self.names())

    def test_brought_up_to_date(self):
        """Only what differs is sent: the copy is not written to elsewhere."""
        self.copy("disk")
        self.io("write -P 3 20M 2M", "write -z 41M 1M")
        before = os.stat(self.there("disk")).st_blocks
        self.copy("disk", "--update", "--yes")
        self.assert_same()
        self.assertLess(os.stat(self.there("disk")).st_blocks - before, 12 * MIB // 512)
        self.copy_fails("disk", "--update", text="--yes", code=2)
        self.copy_fails("disk", "--update", "--yes", "--name", "none", text="no vol 'none'", code=3)
        self.ok("vol-create-as", "p", "larger", "65M", "--format", "qcow2")
        self.copy_fails("larger", "--update", "--yes", "--name", "disk", text="no copy", code=2)

    def test_since_a_snapshot(self):
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        self.copy("disk", "--snapshot", "then")
        self.io("write -P 3 20M 2M")
        self.copy("disk", "--since", "then", "--yes")
        self.assert_same()
        # What somebody has changed there is not lost.
        self.io("write -P 8 63M 64k", image=self.there("disk"))
        self.copy_fails("disk", "--since", "then", "--yes", text="differs from snapshot", code=7)
        self.io("read -P 8 63M 64k", image=self.there("disk"))

    def bytes_read(self):
        """By the near daemon, of files and sockets."""
        with open(f"/proc/{self.peer.process.pid}/io", encoding="ascii") as stream:
            return int(stream.readline().split()[1])

    def fill(self, name="disk", mib=40):
        """Content that no two chunks have in common."""
        content = os.path.join(self.far.files, "content")
        with open(content, "wb") as stream:
            stream.write(os.urandom(mib * MIB))
        self.io(f"write -s {content} 0 {mib}M", image=self.at("p", name))
        os.unlink(content)

    def since(self, *words):
        """What the near daemon has read for it, and what the command says."""
        before = self.bytes_read()
        _, err = self.copy("disk", "--since", *words, "--yes")
        return self.bytes_read() - before, err

    def snapshot(self, *words):
        status, _, err = self.cistern(*words, "--pool", "p")
        self.assertEqual(0, status, err)

    def cached(self):
        return glob.glob(os.path.join(space.ENV["HOME"], ".cache/cistern/digests/*"))

    def test_since_a_snapshot_little_is_read(self):
        """What has changed, and the snapshot only if no copy has read it before."""
        self.fill()
        self.snapshot("snap-create", "disk", "then")
        self.copy("disk", "--snapshot", "then")
        self.io("write -P 3 20M 64k", "write -z 33M 64k", "write -P 4 50M 1M")
        read, err = self.since("then")
        self.assert_same()
        self.assertLess(read, 8 * MIB)
        self.assertIn("3.00 MiB of 64.00 MiB are read", err)
        # From one snapshot to the next, and again.
        self.snapshot("snap-create", "disk", "next")
        self.copy("disk", "--update", "--snapshot", "next", "--yes")
        self.io("write -P 7 5M 64k")
        self.snapshot("snap-create", "disk", "third")
        read, _ = self.since("next", "--snapshot", "third")
        self.assertLess(read, 8 * MIB)
        self.io("write -P 8 63M 1M")
        read, _ = self.since("third")
        self.assert_same()
        self.assertLess(read, 8 * MIB)
        # What the cache does not have is read once; so is what it has wrongly.
        self.copy("disk", "--update", "--snapshot", "third", "--yes")
        path, = self.cached()
        self.assertEqual(0o600, os.stat(path).st_mode & 0o777)
        with open(path, "r+b") as stream:
            stream.seek(-5, os.SEEK_END)
            stream.write(b"wrong")
        read, _ = self.since("third")
        self.assert_same()
        self.assertTrue(38 * MIB < read < 60 * MIB, read)

    def test_changes_at_the_target_are_found_with_few_reads(self):
        self.fill()
        self.snapshot("snap-create", "disk", "then")
        self.copy("disk", "--snapshot", "then")
        self.io("write -P 3 20M 64k")
        self.io("write -P 8 10M 1", image=self.there("disk"))
        self.copy_fails("disk", "--since", "then", "--yes", text="at byte 10485760", code=7)
        self.io("read -P 8 10M 1", image=self.there("disk"))

    def test_what_is_written_meanwhile_is_no_copy(self):
        """Where nothing had changed before, so that nobody reads it."""
        self.fill()
        self.snapshot("snap-create", "disk", "then")
        self.copy("disk", "--snapshot", "then")
        self.io("write -P 3 20M 12M")
        for attempt in range(5):
            child = self.begin("disk", "--since", "then", "--yes", "--rate-limit", "2M")
            self.wait_for_line(child.stderr, "The storage reports")
            self.io(f"write -P 9 {5 + attempt}M 64k")
            _, err = child.communicate(timeout=60)
            self.assertEqual(5, child.returncode, err)
            # Where the writer was met, that was said.
            if "is open for writing" not in err:
                break
        self.assertRegex(err, "changed during the (operation|copy)|has written to")
        self.copy("disk", "--update", "--yes")
        self.assert_same()

    def wait_for_line(self, stream, text):
        lines = []
        while not lines or text not in lines[-1]:
            lines.append(stream.readline())
            self.assertNotEqual("", lines[-1], lines)

    def test_a_snapshot_made_anew_is_another(self):
        """What changed between the two is in neither, so the copy must not pass for the later."""
        self.fill()
        self.snapshot("snap-create", "disk", "then")
        self.copy("disk", "--snapshot", "then")
        self.io("write -P 1 20M 64k")
        self.snapshot("snap-delete", "disk", "then", "--yes")
        self.snapshot("snap-create", "disk", "then")
        self.io("write -P 2 30M 64k")
        self.copy_fails("disk", "--since", "then", "--yes", text="at byte 20971520", code=7)
        self.copy("disk", "--update", "--yes")
        self.assert_same()

    def test_since_a_snapshot_without_a_list_of_changes(self):
        """A base of the image is not the snapshot's: all of it is read, each time."""
        self.fill()
        self.ok("vol-create-as", "p", "top", "64M", "--format", "qcow2", "--backing-vol", "disk",
                "--backing-vol-format", "qcow2")
        self.snapshot("snap-create", "top", "then")
        self.copy("top", "--snapshot", "then")
        self.io("write -P 3 20M 64k", image=self.at("p", "top"))
        before = self.bytes_read()
        self.copy("top", "--since", "then", "--yes")
        self.assert_same("top", with_name="top")
        self.assertGreater(self.bytes_read() - before, 38 * MIB)
        self.assertEqual([], self.cached())

    def wait_for_bytes(self, child, name="disk.partial", count=4 * MIB):
        path = self.there(name)
        self.wait_until(lambda: child.poll() is not None
                        or (os.path.exists(path) and os.stat(path).st_blocks * 512 > count),
                        "some of it is there")
        self.assertIsNone(child.poll(), child.poll() is not None and child.stderr.read())

    def make_big(self):
        self.ok("vol-create-as", "p", "big", "128M", "--format", "raw", "--allocation", "0")
        with open(self.at("p", "big"), "r+b") as stream:
            stream.write(os.urandom(40 * MIB))
            stream.seek(100 * MIB)
            stream.write(os.urandom(MIB))

    def test_interrupted_at_random_and_gone_on_with(self):
        self.make_big()
        chance = random.Random(15)
        for signum, at_server in ((signal.SIGINT, False), (signal.SIGKILL, False),
                                  (signal.SIGKILL, True)):
            child = self.begin("big", "--rate-limit", "20M")
            self.wait_for_bytes(child, "big.partial", chance.randrange(1, 12) * MIB)
            if at_server:
                self.far.process.kill()
                self.far.process.wait()
            else:
                child.send_signal(signum)
            child.communicate(timeout=30)
            self.assertNotEqual(0, child.returncode)
            if at_server:
                self.far.start()
                peers.virsh(self.far, "pool-start", "p")
            self.wait_until(lambda: not peers.run([space.CISTERN, "-c", self.far.uri, "job-list",
                                                   "-H"])[1], "the far side is done with it")
            self.assertEqual(["big.partial"], self.names())
        _, err = self.copy("big")
        self.assertIn("Going on with 'big.partial'", err)
        self.assertEqual(["big"], self.names())
        self.assert_same("big", "raw", "big", "raw")

    def test_what_is_damaged_on_the_way_is_found(self):
        """Bytes that are changed behind the far daemon's back, before it is asked for digests."""
        self.make_big()
        child = self.begin("big", "--rate-limit", "20M", "--move")
        self.wait_for_bytes(child, "big.partial", 8 * MIB)
        with open(self.there("big.partial"), "r+b") as stream:
            stream.seek(MIB)
            stream.write(b"flipped")
        _, err = child.communicate(timeout=60)
        self.assertEqual(7, child.returncode, err)
        self.assertIn("differs from vol big at byte 1048576", err)
        self.assertIn("big", self.ok("vol-list", "p"))
        self.assertEqual(["big.partial"], self.names())
        self.copy("big", "--move")
        self.assertNotIn("big", self.ok("vol-list", "p"))

    def test_no_space(self):
        where = os.path.join(self.far.files, "small")
        os.makedirs(where, exist_ok=True)
        peers.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", where])
        self.addCleanup(peers.run, ["umount", where])
        peers.virsh(self.far, "pool-create-as", "small", "dir", "--target", where)
        self.addCleanup(peers.virsh, self.far, "pool-destroy", "small")
        self.copy_fails("disk", "--newpool", "small", text="bytes left", code=1)
        self.assertEqual([], os.listdir(where))

    def test_dry_run(self):
        out, _ = self.copy("disk", "--dry-run")
        self.assertIn("Would copy vol disk", out)
        self.copy_fails("disk", "--dry-run", "--newpool", "none", text="'none'", code=3)
        self.assertEqual([], self.names())

    def test_the_far_side_is_frozen(self):
        """The command can be ended all the same, and the near daemon is nobody's prisoner."""
        self.make_big()
        child = self.begin("big", "--rate-limit", "20M")
        self.wait_for_bytes(child, "big.partial", 2 * MIB)
        self.far.process.send_signal(signal.SIGSTOP)
        try:
            self.ok("vol-info", "disk", "--pool", "p")
            for _ in range(2):
                child.send_signal(signal.SIGINT)
                wait.until_delivered(child.pid, signal.SIGINT)
            child.communicate(timeout=wait.LIMIT_S)
        finally:
            self.far.process.send_signal(signal.SIGCONT)
        self.assertNotEqual(0, child.returncode)


@unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
class ToPartitions(WithTwoDaemons):
    """Names are places there: a copy has its own from the beginning."""

    def setUp(self):
        super().setUp()
        image = self.file("partitioned")
        os.truncate(image, 64 * MIB)
        self.device = peers.run(["losetup", "-P", "-f", "--show", image])[1].strip()
        self.addCleanup(peers.run, ["losetup", "-d", self.device])
        far = ["virsh", "-c", self.far.uri]
        for words in (["pool-define-as", "d", "disk", "--source-dev", self.device,
                       "--source-format", "gpt", "--target", "/dev"],
                      ["pool-build", "d", "--overwrite"], ["pool-start", "d"]):
            status, _, err = peers.run([*far, *words])
            self.assertEqual(0, status, err)
        self.addCleanup(peers.run, [*far, "pool-destroy", "d"])

    def copy(self, *words, code=0):
        status, out, err = self.cistern("vol-copy", *words, "--pool", "p", "--to", self.far.uri,
                                        "--newpool", "d")
        self.assertEqual(code, status, out + err)
        return err

    def test_each_in_its_place(self):
        """The second is no whole number of sectors: what lies behind it reads as zeroes."""
        contents = [os.urandom(3 * MIB) + bytes(5 * MIB), os.urandom(9 * MIB + 513)]
        for number, content in enumerate(contents, 1):
            with open(self.at("p", f"v{number}"), "wb") as out:
                out.write(content)
            self.ok("pool-refresh", "p")
            place = f"{self.device}p{number}"
            self.assertIn("expected", self.copy(f"v{number}", code=2))
            self.copy(f"v{number}", "--move", "--name", os.path.basename(place))
            with open(place, "rb") as partition:
                self.assertEqual(content + bytes(-len(content) % 512), partition.read())
        self.assertEqual([], self.entries("p"))
        self.ok("vol-create-as", "p", "v1", "8M", "--format", "raw")
        place = os.path.basename(self.device) + "p1"
        self.assertIn("exists already", self.copy("v1", "--name", place, code=5))
        self.copy("v1", "--name", place, "--update", "--yes")
        with open(self.device + "p1", "rb") as partition:
            self.assertEqual(bytes(8 * MIB), partition.read())
