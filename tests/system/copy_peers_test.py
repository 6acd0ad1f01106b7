# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-copy to and from libvirt's own daemon and older cisternds: what they lack is done without."""

import os
import shlex
import signal
import subprocess
import unittest

from harness import peers, proxy, space, wait
from harness.cases import WithTwoDaemons

MIB = 1 << 20


class Copies:
    """What the cases here share: a near pool "p", a far one, and copies between them."""

    def fill(self, path, fmt, *commands):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", "-f", fmt, *words, path])
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("failed", out)

    def make_disk(self, name="disk", fmt="raw", *more):
        self.ok("vol-create-as", "p", name, "64M", "--allocation", "0", "--format", fmt, *more)
        self.fill(self.at("p", name), fmt, "write -P 5 1M 3M", "write -P 7 40M 5000k",
                  "write -P 9 67107840 1k")

    def make_big(self):
        """Takes some seconds by 20 MiB/s."""
        self.ok("vol-create-as", "p", "big", "64M", "--allocation", "0")
        with open(self.at("p", "big"), "r+b") as stream:
            stream.write(os.urandom(60 * MIB))

    def there(self, *names):
        return os.path.join(self.far.dir, "p", *names)

    def names(self):
        return sorted(os.listdir(self.there()))

    def argv(self, *words, to=None, near=None):
        return [space.CISTERN, "-c", near or self.peer.uri, "vol-copy", "--pool", "p", "--to",
                to or self.far.uri, *words]

    def copy(self, *words, code=0, text="", to=None, near=None, **options):
        status, out, err = peers.run(self.argv(*words, to=to, near=near), **options)
        self.assertEqual(code, status, out + err)
        self.assertIn(text, err)
        return out, err

    def begin(self, *words, to=None):
        return subprocess.Popen(self.argv(*words, to=to), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=space.ENV, text=True)

    def assert_same(self, name="disk", fmt="raw", with_path=None, with_fmt="raw"):
        status, out, err = peers.run(["qemu-img", "compare", "-f", fmt, "-F", with_fmt,
                                      self.there(name), with_path or self.at("p", "disk")])
        self.assertEqual(0, status, out + err)

    def through(self, peer, **how):
        between = proxy.Proxy(peer, **how)
        self.addCleanup(between.close)
        return between


@unittest.skipUnless(peers.Libvirtd.available(), "needs stock libvirtd")
class WithStock(Copies, WithTwoDaemons):
    """The far side is stock libvirtd."""

    @staticmethod
    def another():
        return peers.Libvirtd("stock")

    def setUp(self):
        super().setUp()
        for name in self.far_ok("pool-list", "--all", "--name").split():
            peers.virsh(self.far, "pool-destroy", name)
            peers.virsh(self.far, "pool-undefine", name)
        peers.empty(self.far.dir)
        os.makedirs(self.there())
        self.far_ok("pool-define-as", "p", "dir", "--target", self.there())
        self.far_ok("pool-start", "p")

    def far_ok(self, *words):
        status, out, err = peers.virsh(self.far, *words)
        self.assertEqual(0, status, err)
        return out


class ToStock(WithStock):
    def test_raw_with_its_holes(self):
        self.make_disk()
        self.copy("disk")
        self.assertEqual(["disk"], self.names())
        self.assert_same()
        self.assertLess(os.stat(self.there("disk")).st_blocks * 512, 12 * MIB)
        self.assertIn("64.00 MiB", self.far_ok("vol-info", "disk", "--pool", "p"))

    def test_the_image_stands_alone(self):
        """What it is based on is in it, and libvirt knows it for what it is."""
        self.make_disk("base", "qcow2")
        self.ok("vol-create-as", "p", "disk", "64M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        self.fill(self.at("p", "disk"), "qcow2", "write -P 1 2M 1M")
        self.copy("disk")
        self.assert_same("disk", "qcow2", with_fmt="qcow2")
        self.assertEqual(0, peers.run(["qemu-img", "check", self.there("disk")])[0])
        self.assertNotIn("backing", peers.run(["qemu-img", "info", self.there("disk")])[1])
        self.assertIn("<format type='qcow2'/>", self.far_ok("vol-dumpxml", "disk", "--pool", "p"))
        self.assertIn("64.00 MiB", self.far_ok("vol-info", "disk", "--pool", "p"))
        self.copy("disk", "--name", "other", "--format", "raw")
        self.assert_same("other", "raw", with_fmt="qcow2")

    def test_formats(self):
        self.make_disk()
        self.copy("disk", "--format", "vmdk")
        self.assert_same("disk", "vmdk")
        self.copy("disk", "--name", "odd", "--format", "ext4", code=1, text="no format 'ext4'")
        self.copy("disk", "--name", "odd", "--format", "cloop", code=1, text="does not create")
        # An empty image may be shorter than what the server has made of the volume.
        self.ok("vol-create-as", "p", "empty", "8M", "--format", "qcow2")
        self.copy("empty")
        self.assert_same("empty", "qcow2", self.at("p", "empty"), "qcow2")
        self.assertEqual(["disk", "empty"], self.names())

    def test_a_snapshot(self):
        self.make_disk("disk", "qcow2")
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        self.ok("vol-clone", "disk", "saved", "--pool", "p")
        self.fill(self.at("p", "disk"), "qcow2", "write -P 1 0 8M")
        self.copy("disk", "--snapshot", "then")
        self.assert_same("disk", "qcow2", self.at("p", "saved"), "qcow2")

    def test_a_move(self):
        self.make_disk()
        self.ok("vol-clone", "disk", "saved", "--pool", "p")
        self.copy("disk", "--move")
        self.assert_same(with_path=self.at("p", "saved"))
        self.assertEqual(["saved"], self.entries("p"))

    def test_what_is_there_stays(self):
        self.make_disk()
        self.far_ok("vol-create-as", "p", "disk", "1M")
        with open(self.there("disk"), "r+b") as stream:
            stream.write(b"theirs")
        _, err = self.copy("disk", code=5, text="exists already")
        self.assertIn("vol-delete 'disk' --pool 'p'", err)
        # Also what libvirt does not list, and what appears in the last moment.
        with open(self.there("unseen"), "wb") as stream:
            stream.write(b"theirs")
        self.copy("disk", "--name", "unseen", code=5, text="already exists")
        for name in ("disk", "unseen"):
            with open(self.there(name), "rb") as stream:
                self.assertEqual(b"theirs", stream.read(6))

    def test_what_it_can_not(self):
        self.make_disk()
        self.copy("disk", "--update", "--yes", code=1, text="needs a cisternd of this version there")
        self.copy("disk", "--since", "then", "--yes", code=1, text="needs a cisternd")
        self.copy("disk", "--newpool", "none", code=3, text="'none'")
        out, _ = self.copy("disk", "--dry-run")
        self.assertIn("Would copy vol disk", out)
        self.far_ok("pool-destroy", "p")
        self.copy("disk", code=5, text="not active")
        self.assertEqual([], self.names())

    def test_whether_it_has_the_same_disk(self):
        """migrate-check compares what libvirt tells."""
        self.make_disk()
        self.far_ok("pool-destroy", "p")
        self.far_ok("pool-create-as", "shared", "dir", "--target", self.at("p"))
        words = ["migrate-check", "disk", "--pool", "p", "--to", self.far.uri]
        status, out, err = self.cistern(*words)
        self.assertEqual(0, status, out + err)
        self.assertRegex(out, "first bytes +.* ok")
        self.assertIn("does not report who has the vol open", err)
        status, _, err = self.cistern(*words, "--full")
        self.assertEqual(1, status)
        self.assertIn("needs a cisternd", err)

    def small_pool(self):
        where = os.path.join(self.far.dir, "small")
        space.tmpfs(where, "8M")
        self.addCleanup(space.unmount, where)
        self.far_ok("pool-create-as", "small", "dir", "--target", where)
        self.addCleanup(peers.virsh, self.far, "pool-destroy", "small")
        return where

    def test_no_space(self):
        """Told before the first byte, or found on the way."""
        where = self.small_pool()
        self.make_disk("base", "qcow2")
        self.fill(self.at("p", "base"), "qcow2", "write -P 3 10M 20M")
        self.copy("base", "--newpool", "small", code=1, text="bytes left")
        self.ok("vol-create-as", "p", "disk", "64M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        for fmt in ("raw", "qcow2"):
            _, err = self.copy("disk", "--newpool", "small", "--format", fmt, code=1, text="space")
            self.assertIn("no partial copy is left", err)
            self.assertEqual([], os.listdir(where))

    def test_no_space_for_the_image_here(self):
        where = space.path("narrow")
        space.tmpfs(where, "70M")
        self.addCleanup(space.unmount, where)
        self.make_disk("disk", "qcow2")
        self.fill(self.at("p", "disk"), "qcow2", "write -P 3 10M 20M")
        self.copy("disk", code=1, text="--format raw needs no temporary file", env={"TMPDIR": where})
        self.copy("disk", "--format", "raw", env={"TMPDIR": where})
        self.assert_same("disk", with_fmt="qcow2")

    def test_what_is_damaged_on_the_way_is_found(self):
        """Then nothing of it stays there, and --move deletes nothing."""
        def once(wanted):
            def damage(proc, sent, payload):
                if (proc, sent) == wanted and b"\5" * 64 in payload:
                    payload = payload.replace(b"\5" * 64, b"\5" * 63 + b"\4", 1)
                return payload
            return damage

        for fmt in ("raw", "qcow2"):
            for wanted in ((proxy.UPLOAD, True), (proxy.DOWNLOAD, False)):
                with self.subTest(fmt=fmt, wanted=wanted):
                    self.clear_near()
                    self.make_disk("disk", fmt)
                    between = self.through(self.far, damage=once(wanted))
                    _, err = self.copy("disk", "--move", to=between.uri, code=7, text="differs")
                    self.assertIn("no partial copy is left", err)
                    self.assertEqual([], self.names())
                    self.assertEqual(["disk"], self.entries("p"))

    def clear_near(self):
        if self.entries("p"):
            self.ok("vol-delete", "disk", "--pool", "p")

    def test_what_is_cut_short_is_found(self):
        """A server that says it has taken all and has dropped the end."""
        self.make_disk()
        between = self.through(self.far, damage=lambda proc, sent, payload: payload if sent else
                               payload[:len(payload) // 2])
        self.copy("disk", "--move", to=between.uri, code=7, text="bytes that were sent")
        self.assertEqual(["disk"], self.entries("p"))

    def make_end(self):
        """Only its last bytes are not zero."""
        self.ok("vol-create-as", "p", "disk", "64M", "--allocation", "0")
        self.fill(self.at("p", "disk"), "raw", "write -P 9 67104768 4k")

    def test_a_volume_that_became_larger(self):
        """As LVM rounds it up: what is behind the content is zeroes."""
        def enlarge(proc, sent, payload):
            return payload.replace(b">67108864<", b">68157440<") if sent else payload

        self.make_end()
        self.copy("disk", to=self.through(self.far, message=enlarge).uri)
        self.assertEqual(65 * MIB, os.stat(self.there("disk")).st_size)
        self.assert_same()

    def test_extra_bytes_after_the_data_are_found(self):
        self.make_end()
        for more, code in ((b"\0" * 512, 0), (b"\0" * 511 + b"1", 7)):
            between = self.through(self.far, damage=lambda proc, sent, payload, more=more:
                                   payload if sent else payload + more)
            self.copy("disk", to=between.uri, code=code)
            self.assertEqual([] if code else ["disk"], self.names())
            peers.virsh(self.far, "vol-delete", "disk", "--pool", "p")

    def wait_for_bytes(self, child, count=4 * MIB):
        path = self.there("big")
        self.wait_until(lambda: child.poll() is not None
                        or (os.path.exists(path) and os.stat(path).st_blocks * 512 > count),
                        "some of it is there", 40)
        self.assertIsNone(child.poll(), child.poll() is not None and child.stderr.read())

    def test_interrupted(self):
        self.make_big()
        child = self.begin("big", "--move", "--rate-limit", "10M")
        self.wait_for_bytes(child)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=40)
        self.assertNotEqual(0, child.returncode)
        self.assertIn("starts from the beginning", err)
        self.assertEqual([], self.names())
        self.assertEqual(["big"], self.entries("p"))
        self.assertNotIn("big", self.far_ok("vol-list", "p"))

    def test_interrupted_while_it_is_made(self):
        """Between two things that can be cancelled."""
        child = None
        made = []

        def strike(proc, sent, payload):
            if proc == proxy.CREATE_XML and not sent:
                made.extend(self.names())
                child.send_signal(signal.SIGINT)
                wait.until_delivered(child.pid, signal.SIGINT)
            return payload

        self.make_disk()
        child = self.begin("disk", to=self.through(self.far, message=strike).uri)
        _, err = child.communicate(timeout=40)
        self.assertEqual(["disk"], made)
        self.assertNotEqual(0, child.returncode)
        self.assertIn("starts from the beginning", err)
        self.assertEqual([], self.names())

    def test_killed(self):
        """A part is left, which the next run does not touch but names."""
        self.make_big()
        child = self.begin("big", "--rate-limit", "10M")
        self.wait_for_bytes(child)
        child.kill()
        child.communicate(timeout=40)
        _, err = self.copy("big", code=5, text="exists already")
        hint = [line for line in err.splitlines() if "vol-delete" in line][0]
        words = shlex.split(hint[hint.index("cistern -c"):])
        self.assertEqual("cistern", words[0])
        status, _, err = peers.run([space.CISTERN, *words[1:], "--yes"])
        self.assertEqual(0, status, err)
        self.copy("big")
        self.assert_same("big", with_path=self.at("p", "big"))

    def test_the_far_daemon_ends(self):
        self.make_big()
        child = self.begin("big", "--move", "--rate-limit", "10M")
        self.wait_for_bytes(child)
        self.far.process.kill()
        self.far.process.wait()
        _, err = child.communicate(timeout=60)
        self.assertNotEqual(0, child.returncode)
        self.assertIn("vol-delete 'big' --pool 'p'", err)
        self.assertEqual(["big"], self.entries("p"))

    def test_the_line_breaks(self):
        self.make_big()
        between = self.through(self.far, most=8 * MIB)
        self.copy("big", "--move", to=between.uri, code=6, text="vol-delete 'big' --pool 'p'")
        self.assertEqual(["big"], self.names())
        self.assertEqual(["big"], self.entries("p"))


class FromStock(WithStock):
    """The near side is stock libvirtd, and the far one ours."""

    def setUp(self):
        super().setUp()
        self.far_ok("vol-create-as", "p", "disk", "64M", "--allocation", "0")
        self.far_ok("vol-create-as", "p", "image", "64M", "--format", "qcow2")
        for name, fmt in (("disk", "raw"), ("image", "qcow2")):
            self.fill(self.there(name), fmt, "write -P 5 1M 3M", "write -P 9 67107840 1k")
        self.far_ok("pool-refresh", "p")

    def take(self, *words, **options):
        return self.copy(*words, near=self.far.uri, to=self.peer.uri, **options)

    def assert_taken(self, name, fmt, source, source_fmt):
        status, out, err = peers.run(["qemu-img", "compare", "-f", fmt, "-F", source_fmt,
                                      self.at("p", name), self.there(source)])
        self.assertEqual(0, status, out + err)

    def test_raw(self):
        _, err = self.take("disk")
        self.assertIn("has to be shut down", err)
        self.assert_taken("disk", "raw", "disk", "raw")
        self.assertLess(os.stat(self.at("p", "disk")).st_blocks * 512, 12 * MIB)
        self.fill(self.there("disk"), "raw", "write -P 8 9M 64k", "write -z 1M 1M")
        self.take("disk", "--update", "--yes")
        self.assert_taken("disk", "raw", "disk", "raw")

    def test_an_image(self):
        self.take("image")
        self.assert_taken("image", "qcow2", "image", "qcow2")
        self.take("image", "--name", "flat", "--format", "raw")
        self.assert_taken("flat", "raw", "image", "qcow2")
        # To libvirt again.
        os.makedirs(self.there("q"))
        self.far_ok("pool-create-as", "q", "dir", "--target", self.there("q"))
        self.copy("image", "--newpool", "q", near=self.far.uri)
        self.assert_same("q/image", "qcow2", self.there("image"), "qcow2")

    def test_an_image_that_refers_to_others(self):
        self.far_ok("vol-create-as", "p", "top", "64M", "--format", "qcow2", "--backing-vol",
                    "image", "--backing-vol-format", "qcow2")
        self.take("top", code=4, text="refers to the backing image")
        self.assertEqual([], self.entries("p"))

    def test_what_grows_meanwhile(self):
        """Or a server that sends more than it has said: not even a spool takes that."""
        for name, text in (("disk", "changed its size"), ("image", "has grown")):
            between = self.through(self.far, damage=lambda proc, sent, payload:
                                   payload if sent else 2 * payload)
            self.copy(name, near=between.uri, to=self.peer.uri, code=5, text=text)
            self.assertNotIn(name, self.entries("p"))

    def test_no_space_for_the_image_here(self):
        where = space.path("narrow")
        space.tmpfs(where, "65M")
        self.addCleanup(space.unmount, where)
        self.take("image", code=1, text="the image takes", env={"TMPDIR": where})
        self.assertEqual([], self.entries("p"))

    def test_what_needs_a_cisternd(self):
        for words in (["--move"], ["--snapshot", "s"], ["--since", "s", "--yes"]):
            with self.subTest(words=words):
                self.take("disk", *words, code=1, text="needs a cisternd")
        self.assertEqual([], self.entries("p"))
        self.assertTrue(os.path.exists(self.there("disk")))


class WithOlder(Copies, WithTwoDaemons):
    """A cisternd that has only the first of our procedures."""

    def setUp(self):
        super().setUp()
        peers.empty(self.far.dir)
        os.makedirs(self.there())
        self.make_pool_there(self.there())

    def test_as_the_target(self):
        self.make_disk("disk", "qcow2")
        for last, used, unused in (
                (proxy.VOL_DIGESTS, (proxy.VOL_RECEIVE, proxy.VOL_DIGESTS), (proxy.DOWNLOAD,)),
                (proxy.VOL_RECEIVE, (proxy.VOL_RECEIVE, proxy.VOL_SEND), (proxy.UPLOAD,)),
                (proxy.VOL_SEND, (proxy.UPLOAD, proxy.DOWNLOAD), (proxy.VOL_RECEIVE,)),
                (0, (proxy.UPLOAD, proxy.DOWNLOAD), ())):
            with self.subTest(last=last):
                between = self.through(self.far, last=last)
                self.copy("disk", to=between.uri)
                self.assertTrue(between.has(*used), between.seen)
                for number in unused:
                    self.assertFalse(between.has(number), number)
                self.assertEqual(["disk"], self.names())
                self.assert_same("disk", "qcow2", with_fmt="qcow2")
                self.copy("disk", "--update", "--yes", to=between.uri, code=1, text="older cisternd")
                peers.virsh(self.far, "vol-delete", "disk", "--pool", "p")

    def test_what_is_damaged_on_the_way_is_found(self):
        self.make_disk("disk", "qcow2")
        between = self.through(
            self.far, last=proxy.VOL_RECEIVE, damage=lambda proc, sent, payload:
            payload.replace(b"\5\5", b"\4\5", 1) if proc == proxy.VOL_RECEIVE else payload)
        self.copy("disk", "--move", to=between.uri, code=7, text="differs")
        self.assertEqual([], self.names())
        self.assertEqual(["disk"], self.entries("p"))

    def test_as_the_source(self):
        self.make_disk("disk", "qcow2")
        for last, used in ((proxy.VOL_SEND, proxy.VOL_SEND), (proxy.VOL_SEND - 1, proxy.DOWNLOAD)):
            between = self.through(self.peer, last=last)
            self.copy("disk", "--name", f"by{last}", near=between.uri)
            self.assertTrue(between.has(used), between.seen)
            self.assert_same(f"by{last}", "qcow2", with_fmt="qcow2")
            self.fill(self.at("p", "disk"), "qcow2", f"write -P 2 {last}k 64k")
            self.copy("disk", "--name", f"by{last}", "--update", "--yes", near=between.uri)
            self.assert_same(f"by{last}", "qcow2", with_fmt="qcow2")
