# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-import of another daemon's volumes: what its guest sees, in the format that is wanted here."""

import os
import shutil
import signal
import subprocess

from harness import peers, space
from harness.cases import WithTwoDaemons

MIB = 1 << 20


class From(WithTwoDaemons):
    def setUp(self):
        super().setUp()
        peers.empty(self.far.dir)
        os.makedirs(os.path.join(self.far.dir, "p"))
        self.make_pool_there(os.path.join(self.far.dir, "p"))
        self.far_ok("vol-create-as", "p", "base.qcow2", "32M", "--format", "qcow2")
        self.io("base.qcow2", "write -P 5 1M 3M", "write -P 9 33553408 1k")
        self.far_ok("vol-create-as", "p", "top", "32M", "--format", "qcow2", "--backing-vol", "base.qcow2",
                    "--backing-vol-format", "qcow2")
        self.io("top", "write -P 7 2M 500k")

    def far_ok(self, *words):
        status, out, err = peers.virsh(self.far, *words)
        self.assertEqual(0, status, err)
        return out

    def there(self, name):
        return os.path.join(self.far.dir, "p", name)

    def io(self, name, *commands):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", "-f", "qcow2", *words, self.there(name)])
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("failed", out)

    def take(self, *words, status=0, text="", uri=None):
        ended, out, err = self.cistern("vol-import", "--pool", "p", "--from", uri or self.far.uri, *words)
        self.assertEqual(status, ended, err)
        self.assertIn(text, err)
        return out

    def assert_same(self, name, fmt, far="top"):
        status, out, err = peers.run(["qemu-img", "compare", "-f", fmt, "-F", "qcow2", self.at("p", name),
                                      self.there(far)])
        self.assertEqual(0, status, out + err)

    def entries(self):
        return sorted(os.listdir(self.at("p")))

    def test_an_overlay_is_imported_with_its_base(self):
        self.assertIn("Vol top imported", self.take("p/top", "--format", "qcow2"))
        self.assert_same("top", "qcow2")
        self.assertNotIn("backing", peers.run(["qemu-img", "info", self.at("p", "top")])[1])
        self.assertLess(os.stat(self.at("p", "top")).st_blocks * 512, 6 * MIB)
        self.take("p/top", "other", "--format", "raw")
        self.assert_same("other", "raw")
        self.take("p/top", text="exists already", status=5)

    def test_its_name_is_that_of_the_volume(self):
        self.take("p/base.qcow2")
        self.assertEqual(["base.qcow2"], self.entries())
        self.take("p/base.qcow2", "larger", "--resize", "40M")
        self.assertEqual(40 * MIB, os.stat(self.at("p", "larger")).st_size)
        self.take("p/base.qcow2", "smaller", "--resize", "1M", text="a smaller size would discard content", status=2)

    def test_a_dry_run_creates_no_volume_and_fails_alike(self):
        out = self.take("p/top", "--dry-run")
        self.assertIn("Would import p/top", out)
        self.assertEqual([], self.entries())
        self.take("p/none", "--dry-run", text="none", status=3)

    def test_what_it_is_not(self):
        for words, text, status in ((["top"], "POOL/VOLUME", 2), (["p/"], "POOL/VOLUME", 2),
                                    (["none/top"], "none", 3), (["p/none"], "none", 3),
                                    (["p/top", "--disk", "1"], "disk", 2),
                                    (["p/top", "--checksum", "sha256:00"], "checksum", 2)):
            with self.subTest(words=words):
                self.take(*words, text=text, status=status)
                self.assertEqual([], self.entries())
        self.take("p/top", uri="qemu+unix:///system?socket=/nowhere", status=6)

    def test_a_volume_of_the_same_daemon(self):
        self.take("p/top", "--format", "qcow2")
        self.take("p/top", "again", uri=self.peer.uri)
        self.assert_same("again", "raw")

    def test_libvirts_own_daemon(self):
        """It gives bytes: those of a raw volume are the content, of others an image."""
        stock = peers.Libvirtd("stock")
        if not stock.available():
            self.skipTest("libvirt's daemons are not installed")
        stock.fresh()
        self.addCleanup(stock.stop)
        shutil.copytree(os.path.join(self.far.dir, "p"), os.path.join(stock.dir, "p"))
        peers.virsh(stock, "pool-create-as", "p", "dir", "--target", os.path.join(stock.dir, "p"))
        self.take("p/base.qcow2", "a", "--format", "qcow2", uri=stock.uri, text="shut down")
        self.assert_same("a", "qcow2", "base.qcow2")
        self.take("p/base.qcow2", "asitis", "--source-format", "raw", uri=stock.uri)
        with open(self.at("p", "asitis"), "rb") as taken, open(self.there("base.qcow2"), "rb") as image:
            self.assertEqual(image.read(), taken.read())
        self.assertIn("Would import", self.take("p/base.qcow2", "b", "--dry-run", uri=stock.uri))
        # Nothing that it names is followed, and a server that opens it itself is not told what it is.
        self.take("p/top", uri=stock.uri, text="refers to the backing image", status=4)
        self.take("p/top", "--source-format", "raw", text="--source-format is for images", status=2)
        self.assertEqual(["a", "asitis"], self.entries())

    def interrupted(self, strike):
        """In the middle, by @strike."""
        child = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "vol-import", "--pool", "p", "--from",
                                  self.far.uri, "p/full", "--rate-limit", "4M"], env=space.ENV,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.wait_until(lambda: any(os.stat(self.at("p", name)).st_blocks * 512 > MIB
                                    for name in self.entries()), "1 MiB is written", self.entries)
        self.assertIsNone(child.poll())
        strike(child)
        err = child.communicate(timeout=20)[1]
        self.assertNotEqual(0, child.returncode)
        self.wait_until(lambda: not self.entries(), "nothing is there")
        return err

    def test_interrupted(self):
        self.far_ok("vol-create-as", "p", "full", "32M")
        with open(self.there("full"), "r+b") as out:
            out.write(os.urandom(32 * MIB))
        self.interrupted(lambda child: child.send_signal(signal.SIGINT))
        self.interrupted(lambda child: child.kill())
        self.assertIn("full", self.interrupted(lambda child: self.far.process.kill()))
