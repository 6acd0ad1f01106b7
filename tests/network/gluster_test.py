# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gluster pools on a real server: stock virsh and our command line against cisternd, QEMU as the oracle."""

import concurrent.futures
import os
import subprocess

from harness import gluster, peers, space, wait
from harness.onserver import MIB, OnServer, noise


class OnGluster(OnServer):
    """One daemon for the class with the pool "g" on the volume's root, empty before each test."""

    POOL = "g"
    EVENTUALLY_S = 60

    @classmethod
    def setUpClass(cls):
        cls.lab = gluster.lab()
        cls.peer = peers.ours()
        cls.peer.fresh()
        cls.define("g")

    @classmethod
    def tearDownClass(cls):
        cls.lab.thaw()
        cls.peer.stop()

    def setUp(self):
        self.lab.thaw()
        self.lab.clear()
        self.wait_until(lambda: peers.virsh(self.peer, "pool-refresh", "g")[0] == 0,
                        "the pool is refreshed")

    @classmethod
    def pool_xml(cls, name, **how):
        return cls.lab.pool_xml(name, **how)

    def qemu_img(self, *words, check=True):
        """Its library prints what it does, to stderr."""
        return subprocess.run(["qemu-img", *words], check=check, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)

    def qemu_io(self, name, *commands, form="qcow2"):
        words = [word for command in commands for word in ("-c", command)]
        done = subprocess.run(["qemu-io", "-f", form, *words, self.lab.url(name)], text=True,
                              check=False, timeout=120, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertNotIn("verification failed", done.stdout)
        return done.stdout


class Volumes(OnGluster):
    def test_qemu_reads_and_writes_created_images(self):
        """All at once: the library takes QEMU ten seconds to end."""
        forms = ("raw", "qcow2", "qed", "vdi", "vmdk", "vpc", "qcow", "vhdx", "parallels")
        for form in forms:
            self.ok("vol-create-as", "g", f"v.{form}", "8M", "--format",
                    form)
        with concurrent.futures.ThreadPoolExecutor(len(forms)) as threads:
            done = {form: threads.submit(self.qemu_io, f"v.{form}", "write -P 7 1M 64k",
                                         "read -P 7 1M 64k", "read -P 0 2M 1M", form=form)
                    for form in forms}
        for form in forms:
            with self.subTest(form):
                done[form].result()
                self.assertEqual(0, os.path.getsize(self.lab.path(f"v.{form}")) % 512)
                if form != "raw":
                    self.cistern("vol-check", f"v.{form}", "--pool", "g")

    def test_qemu_reads_an_image_after_each_change(self):
        """Sizes that are no multiple of a sector are read by nobody over libgfapi."""
        self.ok("vol-create-as", "g", "a", "8M", "--format", "qcow2")
        self.qemu_io("a", "write -P 7 1M 64k")
        self.ok("vol-resize", "a", "16M", "--pool", "g")
        self.assertEqual(0, os.path.getsize(self.lab.path("a")) % 512)
        self.qemu_io("a", "read -P 7 1M 64k", "write -P 8 15M 64k")
        self.assertEqual("network", self.ok("vol-info", "a", "--pool", "g").split()[3])
        self.cistern("snap-create", "a", "s", "--pool", "g")
        self.qemu_io("a", "read -P 8 15M 64k", "write -P 9 1M 64k")
        self.cistern("snap-revert", "a", "s", "--pool", "g", "--yes")
        self.qemu_io("a", "read -P 7 1M 64k", "read -P 8 15M 64k")
        self.assertIn("s", self.qemu_img("snapshot", "-l", self.lab.url("a")).stdout)

    def test_overlays_in_the_volume_follow_their_base(self):
        self.ok("vol-create-as", "g", "base", "8M", "--format", "qcow2")
        self.qemu_io("base", "write -P 7 1M 64k")
        self.ok("vol-create-as", "g", "over", "8M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "qcow2")
        self.qemu_io("over", "read -P 7 1M 64k", "write -P 8 2M 64k")
        self.assertIn(f"<path>{self.lab.url('base')}</path>", self.ok("vol-dumpxml", "over", "g"))
        self.fails("vol-delete", "base", "g", text="over")
        # One that another client made, relative to itself.
        self.qemu_img("create", "-f", "qcow2", "-F", "qcow2", "-b", self.lab.url("base"),
                      self.lab.url("theirs"))
        self.ok("pool-refresh", "g")
        self.assertIn("theirs", self.cistern("vol-chain", "base", "--pool", "g"))
        self.cistern("vol-flatten", "over", "--pool", "g")
        self.qemu_io("over", "read -P 7 1M 64k", "read -P 8 2M 64k")
        self.assertNotIn("backingStore", self.ok("vol-dumpxml", "over", "g"))

    def test_upload_download_wipe_and_clone(self):
        payload = noise(5 * MIB)
        self.ok("vol-create-as", "g", "a", "8M")
        self.ok("vol-upload", "a", self.file("in", payload), "--pool", "g", "--offset", "4096")
        out = os.path.join(self.peer.files, "out")
        self.ok("vol-download", "a", out, "--pool", "g", "--offset", "4096", "--length",
                str(len(payload)))
        with open(out, "rb") as stream:
            self.assertEqual(payload, stream.read())
        with open(self.lab.path("a"), "rb") as stream:
            stream.seek(4096)
            self.assertEqual(payload, stream.read(len(payload)))
        self.ok("vol-clone", "a", "b", "g")
        with open(self.lab.path("a"), "rb") as one, open(self.lab.path("b"), "rb") as two:
            self.assertEqual(one.read(), two.read())
        # What is a hole stays one, by blocks.
        self.assertLess(os.stat(self.lab.path("b")).st_blocks * 512, 7 * MIB)
        self.ok("vol-wipe", "a", "g")
        with open(self.lab.path("a"), "rb") as stream:
            self.assertEqual(bytes(8 * MIB), stream.read())
        with open(self.lab.path("b"), "rb") as stream:
            stream.seek(4096)
            self.assertEqual(payload, stream.read(len(payload)))

    def test_images_are_converted_compared_mapped_and_measured(self):
        self.ok("vol-create-as", "g", "a", "8M", "--format", "qcow2")
        self.qemu_io("a", "write -P 7 1M 64k")
        self.cistern("vol-convert", "a", "b", "--pool", "g", "--format", "vdi")
        self.qemu_io("b", "read -P 7 1M 64k", "read -P 0 2M 1M", form="vdi")
        self.cistern("vol-compare", "a", "b", "--pool", "g")
        self.assertIn("data", self.cistern("vol-map", "a", "--pool", "g"))
        # Into a pool of another type, and back.
        directory = os.path.join(self.peer.dir, "d")
        os.makedirs(directory, exist_ok=True)
        self.ok("pool-create-as", "d", "dir", "--target", directory)
        self.addCleanup(peers.virsh, self.peer, "pool-destroy", "d")
        self.ok("vol-create-from", "d", self.file("v.xml", "<volume><name>c</name><capacity>8388608"
                "</capacity><target><format type='raw'/></target></volume>"), "a", "--inputpool",
                        "g")
        with open(os.path.join(directory, "c"), "rb") as stream:
            stream.seek(MIB)
            self.assertEqual(b"\x07" * 65536, stream.read(65536))

    def test_a_directory_below_the_root_is_a_pool_of_its_own(self):
        self.lab.client("mkdir /sub\nmkdir /sub/dir")
        self.define("s", directory="/sub/dir")
        self.addCleanup(self.undefine, "s")
        self.ok("vol-create-as", "s", "a b", "1M")
        self.assertTrue(os.path.exists(self.lab.path("sub/dir/a b")))
        self.assertEqual(f"{self.lab.url('a%20b', 'sub/dir/')}\n\n",
                         self.ok("vol-path", "a b", "--pool", "s"))
        self.assertEqual("a b\n\n", self.ok("vol-name", self.lab.url("a%20b", "sub/dir/")))
        self.ok("vol-delete", self.lab.url("a%20b", "sub/dir/"))
        self.assertEqual([], self.names("s"))

    def test_a_pool_over_the_socket(self):
        self.define("u", host=self.lab.socket)
        self.addCleanup(self.undefine, "u")
        self.ok("vol-create-as", "u", "a", "1M", "--format", "qcow2")
        path = self.ok("vol-path", "a", "--pool", "u").strip()
        self.assertEqual(f"gluster+unix:///gv0/a?socket={self.lab.socket}", path)
        self.assertEqual(0, self.qemu_img("info", path).returncode)

    def test_two_hundred_files(self):
        for i in range(200):
            with open(self.lab.path(f"f{i}"), "wb") as stream:
                stream.write(b"x" * 1000)
        self.ok("pool-refresh", "g")
        self.assertEqual(200, len(self.names()))

    def test_daemon_and_commands_end_without_waiting_for_libgfapi(self):
        self.ok("pool-destroy", "g")
        threads = [name for name, _where in wait.threads(self.peer.process.pid)]
        self.assertTrue([name for name in threads if name.startswith("glfs")], threads)
        self.ok("pool-start", "g")
        self.assertEqual(0, self.peer.stop())
        self.peer.start()
        root = os.path.join(self.peer.dir, "embedded")
        xml = self.file("e.xml", self.lab.pool_xml("e"))

        def embedded(*words):
            done = peers.run([space.CISTERN, "--root", root, *words])
            self.assertEqual(0, done[0], done[2])
        os.makedirs(root, exist_ok=True)
        embedded("pool-define", xml)
        embedded("pool-start", "e")
        embedded("vol-create-as", "e", "a", "1M", "--format", "qcow2")
        self.assertEqual(["a"], self.lab.names())
        embedded("pool-destroy", "e")

    def test_another_client_of_the_same_volume_is_in_the_way(self):
        """A lock by which QEMU on a mount of the volume, or we on another host, have it open."""
        self.ok("vol-create-as", "g", "a", "1M")
        fifo = os.path.join(self.peer.files, "fifo")
        os.mkfifo(fifo)
        self.addCleanup(os.unlink, fifo)
        root = os.path.join(self.peer.dir, "other")
        os.makedirs(root, exist_ok=True)
        command = [space.CISTERN, "--root", root]
        for words in (["pool-define", self.file("o.xml", self.lab.pool_xml("o"))],
                      ["pool-start", "o"]):
            self.assertEqual(0, peers.run([*command, *words])[0])
        with subprocess.Popen([*command, "vol-upload", "a", fifo, "--pool", "o"], env=space.ENV,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as uploading:
            with open(fifo, "wb", buffering=0) as stream:
                stream.write(b"x" * MIB)
                self.wait_until(lambda: peers.virsh(self.peer, "vol-delete", "a", "g")[2].count(
                    "another client of the Gluster volume"), "the lock of the other client is seen")
            uploading.communicate(timeout=60)
        self.ok("vol-delete", "a", "g")
