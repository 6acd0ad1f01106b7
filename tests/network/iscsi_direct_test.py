# SPDX-License-Identifier: LGPL-2.1-or-later
"""iscsi-direct pools on a real target (tgt): stock virsh and our command line against cisternd,
QEMU's own initiator and the target's files as oracles."""

import json
import os
import subprocess
import threading
import time

from harness import peers, space, tgt
from harness.onserver import MIB, OnServer, noise

SECRET = """<secret ephemeral='no' private='yes'><uuid>{uuid}</uuid>
<usage type='iscsi'><target>{usage}</target></usage></secret>"""
UUIDS = {"ours": "11111111-2222-3333-4444-555555555551",
         "theirs": "11111111-2222-3333-4444-555555555552"}
AUTH = "<auth type='chap' username='{user}'><secret usage='ours'/></auth>"


class OnTarget(OnServer):
    """One daemon for the class; a target of its own with the pool "i" for each test."""

    POOL = "i"
    SIZES = (64 * MIB, 32 * MIB)

    @classmethod
    def setUpClass(cls):
        cls.server = tgt.server()
        cls.peer = peers.ours()
        cls.peer.fresh()

    @classmethod
    def tearDownClass(cls):
        cls.server.thaw()
        cls.server.clear()
        cls.peer.stop()

    def setUp(self):
        super().setUp()
        self.server.thaw()
        if not self.server.process:
            self.server.start()
        for pool in self.ok("pool-list", "--all", "--name").split():
            if pool != "d":
                self.undefine(pool)
        self.server.clear()
        self.target = self.server.target("t", self.SIZES)
        self.define("i")

    def define(self, name, start=True, target=None, **how):
        self.ok("pool-define", self.file(name + ".xml", (target or self.target).pool_xml(name, **how)))
        if start:
            self.ok("pool-start", name)

    def secret(self, usage, value):
        uri = ["virsh", "-c", self.peer.secret_uri]
        path = self.file("secret", SECRET.format(uuid=UUIDS[usage], usage=usage))
        value = self.file("value", value)
        for words in (["secret-define", path],
                      ["secret-set-value", UUIDS[usage], "--file", value, "--plain"]):
            status, _out, err = peers.run(uri + words)
            self.assertEqual(0, status, err)

    def held(self, unit=1, target=None):
        """What the target's file has."""
        with open((target or self.target).path(unit), "rb") as stream:
            return stream.read()

    def allocated(self, unit=1):
        return os.stat(self.target.path(unit)).st_blocks * 512

    def upload(self, data, unit=1, *words):
        self.ok("vol-upload", f"unit:0:0:{unit}", self.file("payload", data), "--pool", "i", *words)

    def tool(self, *words):
        done = subprocess.run(words, env=space.ENV, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              check=False)
        self.assertEqual(0, done.returncode, done.stdout)
        return done.stdout


class Volumes(OnTarget):
    def test_luns_are_listed_with_their_exact_size_and_no_controller(self):
        self.target.add(48 * MIB + 512, unit=7)
        self.ok("pool-refresh", "i")
        self.assertEqual(["unit:0:0:1", "unit:0:0:2", "unit:0:0:7"], self.names())
        xml = self.ok("vol-dumpxml", "unit:0:0:7", "--pool", "i")
        self.assertIn(f"<capacity unit='bytes'>{48 * MIB + 512}</capacity>", xml)
        path = f"ip-127.0.0.1:3260-iscsi-{self.target.iqn}-lun-7"
        self.assertIn(f"<path>{path}</path>", xml)
        self.assertEqual("unit:0:0:7", self.ok("vol-name", path).strip())

    def test_a_lun_with_blocks_of_4096_bytes(self):
        self.target.add(16 * MIB, unit=5, block=4096)
        self.ok("pool-refresh", "i")
        data = noise(5 * MIB + 777)
        self.upload(noise(16 * MIB, 9), 5)
        self.upload(data, 5, "--offset", "12345")
        wanted = bytearray(noise(16 * MIB, 9))
        wanted[12345:12345 + len(data)] = data
        self.assertEqual(bytes(wanted), self.held(5))
        self.assertEqual(bytes(wanted), self.download("unit:0:0:5"))
        part = self.download("unit:0:0:5", words=("--offset", "4097", "--length", "70001"))
        self.assertEqual(bytes(wanted[4097:74098]), part)

    def test_qemu_and_cistern_read_the_data_of_each_other(self):
        self.upload(noise(3 * MIB))
        self.tool("qemu-io", "-f", "raw", "-c", "write -P 0x5a 1M 64k", self.target.url(1))
        wanted = bytearray(noise(3 * MIB))
        wanted[MIB:MIB + 65536] = b"\x5a" * 65536
        self.assertEqual(bytes(wanted), self.download("unit:0:0:1")[:3 * MIB])
        image = self.file("image", bytes(wanted) + bytes(61 * MIB))
        self.tool("qemu-img", "compare", "-f", "raw", "-F", "raw", self.target.url(1), image)

    def test_an_image_is_converted_onto_a_lun_and_a_lun_into_an_image(self):
        self.upload(noise(3 * MIB))
        self.cistern("vol-convert", "unit:0:0:1", "unit:0:0:2", "-O", "qcow2", "--pool", "i")
        self.tool("qemu-img", "check", "-f", "qcow2", self.target.url(2))
        self.tool("qemu-img", "compare", "-f", "qcow2", "-F", "raw", self.target.url(2),
                  self.target.url(1))
        os.makedirs(os.path.join(self.peer.dir, "images"), exist_ok=True)
        self.ok("pool-create-as", "images", "dir", "--target",
                os.path.join(self.peer.dir, "images"))
        self.cistern("vol-convert", "unit:0:0:1", "copy", "-O", "qcow2", "--pool", "i",
                     "--newpool", "images")
        self.cistern("vol-check", "copy", "--pool", "images")
        self.cistern("vol-compare", "copy", "unit:0:0:1", "--pool", "images", "--otherpool", "i")

    def test_a_wipe_writes_zeroes_and_a_trim_releases(self):
        self.upload(noise(64 * MIB))
        self.ok("vol-wipe", "unit:0:0:1", "--pool", "i", "--algorithm", "trim")
        self.assertEqual(bytes(64 * MIB), self.held())
        self.assertLess(self.allocated(), MIB)
        self.upload(noise(64 * MIB))
        self.ok("vol-wipe", "unit:0:0:1", "--pool", "i")
        self.assertEqual(bytes(64 * MIB), self.held())
        self.assertEqual(64 * MIB, self.allocated())

    def test_allocation_is_the_targets(self):
        self.assertEqual(("64.00 MiB", "0.00 B"), self.details()["unit:0:0:1"])
        self.upload(noise(2 * MIB))
        self.assertEqual(("64.00 MiB", "2.00 MiB"), self.details()["unit:0:0:1"])
        self.assertIn(f"<allocation unit='bytes'>{2 * MIB}<", self.ok("pool-dumpxml", "i"))

    def test_luns_come_go_and_grow(self):
        self.target.add(MIB, unit=9)
        self.ok("pool-refresh", "i")
        self.assertIn("unit:0:0:9", self.names())
        self.target.drop(9)
        self.ok("pool-refresh", "i")
        self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names())
        path = self.target.path(2)
        self.target.drop(2)
        self.target.add(40 * MIB, unit=2, path=path, serial="s" + self.target.number + "x2x2")
        self.ok("pool-refresh", "i")
        self.assertEqual("40.00 MiB", self.details()["unit:0:0:2"][0])

    def test_luns_are_not_created_deleted_or_resized(self):
        self.fails("vol-create-as", "i", "new", "1M", text="does not support volume creation")
        self.fails("vol-clone", "unit:0:0:1", "new", "--pool", "i", text="volume creation")
        self.fails("vol-delete", "unit:0:0:1", "--pool", "i", text="not support")
        self.fails("vol-resize", "unit:0:0:1", "80M", "--pool", "i", text="not support")


class Cloning(OnTarget):
    def test_a_clone_onto_an_empty_lun(self):
        self.target.add(64 * MIB, unit=3)
        self.upload(noise(5 * MIB))
        self.ok("vol-clone", "unit:0:0:1", "unit:0:0:3", "--pool", "i")
        self.assertEqual(self.held(1), self.held(3))
        self.assertLess(self.allocated(3), 6 * MIB)

    def test_a_lun_that_holds_something_is_overwritten_on_demand_only(self):
        self.upload(noise(32 * MIB, 2), 2)
        self.upload(noise(MIB))
        self.target.add(64 * MIB, unit=3, thin=False)
        with open(self.target.path(3), "r+b") as stream:
            stream.seek(64 * MIB - 1)
            stream.write(b"x")
        self.ok("pool-refresh", "i")
        for _again in range(2):
            self.fails("vol-clone", "unit:0:0:1", "unit:0:0:3", "--pool", "i",
                       text="holds something")
        self.assertEqual(bytes(64 * MIB - 1) + b"x", self.held(3))
        # What is behind the copied content is nobody's any more.
        self.cistern("vol-clone", "unit:0:0:2", "unit:0:0:3", "--pool", "i", "--overwrite")
        self.assertEqual(noise(32 * MIB, 2) + bytes(32 * MIB), self.held(3))

    def test_a_lun_that_is_too_small(self):
        err = self.fails("vol-clone", "unit:0:0:1", "unit:0:0:2", "--pool", "i")
        self.assertIn(f"has {32 * MIB} bytes, and {64 * MIB} are needed", err)
        self.assertEqual(bytes(32 * MIB), self.held(2))

    def test_a_dry_run_refuses_the_same_and_changes_no_byte(self):
        self.upload(noise(MIB))
        self.target.add(64 * MIB, unit=3)
        self.cistern("vol-clone", "unit:0:0:1", "unit:0:0:3", "--pool", "i", "--dry-run")
        self.assertEqual(bytes(64 * MIB), self.held(3))
        self.cistern("vol-clone", "unit:0:0:3", "unit:0:0:1", "--pool", "i", "--dry-run", status=5)


def write_slowly(path, length):
    """Until nobody reads any more, in pieces between which a target has time for something else."""
    piece = noise(MIB // 16)
    with open(path, "wb", buffering=0) as stream:
        try:
            for _ in range(length // len(piece)):
                stream.write(piece)
                time.sleep(0.002)  # paced: the target has time for other requests
        except BrokenPipeError:
            pass


class Identity(OnTarget):
    SIZES = (64 * MIB, 256 * MIB)

    def replace(self, unit=2):
        """Another unit of the same size behind the same number, whose file is empty."""
        self.target.drop(unit)
        self.target.add(self.SIZES[unit - 1], unit=unit)

    def test_another_unit_with_the_same_number_is_not_written_to(self):
        self.replace()
        payload = self.file("payload", noise(MIB))
        self.fails("vol-upload", "unit:0:0:2", payload, "--pool", "i", text="another unit")
        self.fails("vol-wipe", "unit:0:0:2", "--pool", "i", text="another unit")
        self.assertEqual(0, self.allocated(2))
        self.ok("pool-refresh", "i")
        self.fails("vol-upload", "unit:0:0:2", payload, "--pool", "i", text="another unit")
        # The next life of the daemon remembers.
        self.peer.restart()
        self.wait_until(lambda: "unit:0:0:1" in self.names(), "the unit is listed again")
        self.fails("vol-upload", "unit:0:0:2", payload, "--pool", "i", text="another unit")
        self.assertEqual(0, self.allocated(2))
        self.ok("pool-destroy", "i")
        self.ok("pool-start", "i")
        self.upload(noise(MIB), 2)
        self.assertEqual(noise(MIB), self.held(2)[:MIB])

    def test_a_number_that_was_seen_free_may_be_anybodys(self):
        self.target.drop(2)
        self.ok("pool-refresh", "i")
        self.target.add(32 * MIB, unit=2)
        self.ok("pool-refresh", "i")
        self.upload(noise(MIB), 2)

    def test_a_unit_that_is_replaced_under_a_running_upload(self):
        # The target takes the unit away between two writes, whose distance differs.
        for _again in range(6):
            self.replace_under_an_upload()
            self.ok("pool-destroy", "i")
            self.ok("pool-start", "i")

    def replace_under_an_upload(self):
        with self.transfer("vol-upload", "unit:0:0:2") as (uploading, fifo):
            writer = threading.Thread(target=write_slowly, args=(fifo, self.SIZES[1]), daemon=True)
            writer.start()
            self.wait_until(lambda: self.allocated(2) > MIB, "1 MiB is in the unit")
            self.replace()
            err = uploading.communicate(timeout=120)[1]
            writer.join()
        self.assertEqual(1, uploading.returncode)
        # The latter is what the target says between the two.
        self.assertRegex(err, "not the unit any more|has no such LUN")
        self.assertEqual(0, self.allocated(2))


class Images(OnTarget):
    """LUNs that hold images: what is declared counts, and what QEMU sees is right."""

    def setUp(self):
        super().setUp()
        self.images = os.path.join(self.peer.dir, "images")
        if "images" not in self.ok("pool-list", "--all", "--name").split():
            os.makedirs(self.images, exist_ok=True)
            self.ok("pool-create-as", "images", "dir", "--target", self.images)

    def theirs(self, unit=2, *commands):
        """A qcow2 image that QEMU has made on a LUN; nobody has declared it."""
        self.tool("qemu-img", "create", "-q", "-f", "qcow2", self.target.url(unit), "8M")
        self.qemu_io(unit, "write -P 7 1M 64k", *commands)

    def qemu_io(self, unit, *commands):
        words = [word for command in commands for word in ("-c", command)]
        out = self.tool("qemu-io", "-f", "qcow2", *words, self.target.url(unit))
        self.assertNotIn("verification failed", out)

    def lun(self, command, *words, unit=2, **how):
        return self.cistern(command, f"unit:0:0:{unit}", *words, "--pool", "i", **how)

    def runs(self, unit=2):
        """Offset and length of what our map says holds data."""
        rows = json.loads(self.lun("vol-map", "--json", unit=unit))["map"]
        return [(row["start"], row["length"]) for row in rows if row["data"]]

    def differs(self, one, other=1):
        self.assertIn("differ", self.lun("vol-compare", f"unit:0:0:{other}", unit=one, status=7))

    def test_an_image_of_qemus_is_one_once_it_is_declared(self):
        self.theirs()
        self.tool("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", self.target.url(2),
                  self.target.url(1))
        self.assertIn("'raw' can't be checked", self.lun("vol-check", status=1))
        self.differs(2)
        self.lun("vol-trust", "--format", "qcow2")
        self.assertIn("allocated clusters: 1\n", self.lun("vol-check"))
        self.lun("vol-compare", "unit:0:0:1")
        told = json.loads(self.tool("qemu-img", "map", "-f", "qcow2", "--output=json",
                                    self.target.url(2)))
        self.assertEqual([(row["start"], row["length"]) for row in told if row["data"]],
                         self.runs())
        self.assertEqual(json.loads(self.tool("qemu-img", "measure", "-f", "qcow2", "-O", "qcow2",
                                              "--output=json", self.target.url(2)))["required"],
                         json.loads(self.lun("vol-measure", "-O", "qcow2", "--json"))["required"])
        # The LUN itself, and what is stored on it, stay what they are to everybody.
        self.assertEqual("32.00 MiB", self.details()["unit:0:0:2"][0])
        self.assertEqual(self.held(2), self.download("unit:0:0:2"))

    def test_an_image_on_a_lun_is_converted_into_other_pools(self):
        self.theirs()
        self.lun("vol-trust", "--format", "qcow2")
        for name, form, words in (("a", "vdi", ("vol-convert", "unit:0:0:2", "a", "-O", "vdi",
                                                "--newpool", "images")),
                                  ("b", "qcow2", None)):
            if words:
                self.cistern(*words, "--pool", "i")
            else: # as stock clients do
                xml = self.file("b.xml", "<volume><name>b</name><capacity>0</capacity><target>"
                                "<format type='raw'/></target></volume>")
                self.ok("vol-create-from", "images", xml, "unit:0:0:2", "--inputpool", "i")
                form = "raw"
            path = os.path.join(self.images, name)
            self.addCleanup(peers.virsh, self.peer, "vol-delete", name, "images")
            self.tool("qemu-img", "compare", "-f", form, "-F", "qcow2", path, self.target.url(2))
            self.assertIn('"virtual-size": 8388608,', self.tool(
                "qemu-img", "info", "-f", form, "--output=json", path))

    def test_qemu_opens_every_format_that_is_converted_onto_a_lun(self):
        self.upload(noise(3 * MIB))
        for form in ("qcow2", "vdi", "vhdx", "parallels"):
            with self.subTest(form):
                self.target.add(80 * MIB, unit=4)
                self.ok("pool-refresh", "i")
                self.lun("vol-convert", "unit:0:0:4", "-O", form, "--overwrite", unit=1)
                self.lun("vol-check", unit=4)
                self.lun("vol-compare", "unit:0:0:1", unit=4)
                self.tool("qemu-img", "compare", "-f", form, "-F", "raw", self.target.url(4),
                          self.target.url(1))
                out = self.tool("qemu-io", "-r", "-f", form, "-c", "read -P 0 8M 1M",
                                self.target.url(4))
                self.assertNotIn("verification failed", out)
                self.target.drop(4)
                self.ok("pool-refresh", "i")

    def test_content_alone_is_no_image(self):
        """A guest writes into its raw disk what looks like an image."""
        self.theirs(1)
        self.assertEqual("64.00 MiB", self.details()["unit:0:0:1"][0])
        self.cistern("vol-convert", "unit:0:0:1", "c", "-O", "raw", "--pool", "i", "--newpool",
                     "images")
        self.addCleanup(peers.virsh, self.peer, "vol-delete", "c", "images")
        with open(os.path.join(self.images, "c"), "rb") as stream:
            self.assertEqual(self.held(), stream.read())
        self.assertIn("--format", self.lun("vol-trust", unit=1, status=2))
        self.assertIn("no vdi image", self.lun("vol-trust", "--format", "vdi", unit=1, status=2))
        self.lun("vol-trust", "--format", "raw", unit=1)
        self.assertIn("'raw' can't be checked", self.lun("vol-check", unit=1, status=1))

    def test_an_image_that_is_converted_onto_a_lun_is_declared(self):
        self.upload(noise(3 * MIB))
        self.target.add(64 * MIB, unit=3)
        self.ok("pool-refresh", "i")
        self.lun("vol-convert", "unit:0:0:2", "-O", "qcow2", unit=1)
        self.lun("vol-check")
        self.lun("vol-compare", "unit:0:0:1")
        # A copy of the bytes is what its source is.
        self.lun("vol-clone", "unit:0:0:3")
        self.lun("vol-check", unit=3)
        self.tool("qemu-img", "check", "-f", "qcow2", self.target.url(3))
        self.lun("vol-compare", "unit:0:0:1", unit=3)
        # What is put in its place is not what was declared of it.
        self.lun("vol-convert", "unit:0:0:3", "-O", "raw", "--overwrite", unit=1)
        self.lun("vol-compare", "unit:0:0:1", unit=3)
        self.assertIn("'raw' can't be checked", self.lun("vol-check", unit=3, status=1))

    def test_a_declaration_outlives_the_daemon_and_not_the_unit(self):
        self.theirs()
        self.lun("vol-trust", "--format", "qcow2")
        self.peer.restart()
        self.lun("vol-check")
        data = self.held(2)
        self.target.drop(2)
        self.target.add(32 * MIB, unit=2)
        with open(self.target.path(2), "r+b") as stream:
            stream.write(data)
        self.ok("pool-destroy", "i")
        self.ok("pool-start", "i")
        self.tool("qemu-img", "check", "-f", "qcow2", self.target.url(2))
        self.assertIn("'raw' can't be checked", self.lun("vol-check", status=1))
        self.lun("vol-trust", "--format", "qcow2")
        self.lun("vol-check")
        self.lun("vol-trust", "--revoke")
        self.assertIn("'raw' can't be checked", self.lun("vol-check", status=1))

    def test_references_of_an_image_on_a_lun_are_not_followed(self):
        victim = self.file("victim", noise(8 * MIB))
        for words in (("-b", victim, "-F", "raw"), ("-o", f"data_file={self.file('data', b'')}")):
            with self.subTest(words[0]):
                self.tool("qemu-img", "create", "-q", "-f", "qcow2", *words, self.target.url(2),
                          "8M")
                self.lun("vol-trust", "--format", "qcow2")
                for command in (("vol-map",), ("vol-compare", "unit:0:0:1"),
                                ("vol-convert", "d", "-O", "raw", "--newpool", "images")):
                    self.assertIn("not followed", self.lun(*command, status=4))
        self.assertNotIn("d", self.names("images"))
        self.theirs()
        self.lun("vol-trust", "--format", "qcow2")
        self.ok("vol-create-as", "images", "base", "8M", "--format", "qcow2")
        self.addCleanup(peers.virsh, self.peer, "vol-delete", "base", "images")
        before = self.held(2)
        for words in ((), ("--unsafe",)):
            self.assertIn("is no file", self.lun("vol-rebase", "--backing-vol",
                                                 os.path.join(self.images, "base"), *words,
                                                 status=1))
        self.assertEqual(before, self.held(2))

    def test_damage_on_a_lun_is_found_and_repaired(self):
        self.theirs()
        self.lun("vol-trust", "--format", "qcow2")
        with open(self.target.path(2), "r+b") as stream:
            head = stream.read(104)
            stream.seek(int.from_bytes(head[48:56], "big"))
            block = int.from_bytes(stream.read(8), "big")
            # A cluster that nothing uses has a reference.
            stream.seek(block + 2 * 100)
            stream.write(b"\0\1")
        self.lun("vol-check", status=7)
        self.lun("vol-check", "--repair", "leaks")
        self.tool("qemu-img", "check", "-f", "qcow2", self.target.url(2))
        self.qemu_io(2, "read -P 7 1M 64k")


class Chap(OnTarget):
    def test_one_way(self):
        self.target.account("me", "onewaysecret1")
        self.define("wrong", start=False)
        self.fails("pool-start", "wrong", text="does not let this initiator in")
        self.secret("ours", "badbadbadbad1")
        self.define("c", start=False, auth=AUTH.format(user="me"))
        self.fails("pool-start", "c", text="does not let this initiator in")
        self.cistern("pool-start", "c", status=4)
        self.secret("ours", "onewaysecret1")
        self.ok("pool-start", "c")
        self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names("c"))

    def test_target_that_admits_without_chap_is_refused(self):
        self.secret("ours", "onewaysecret1")
        self.define("c", start=False, auth=AUTH.format(user="me"))
        self.fails("pool-start", "c", text="it admits initiators without CHAP")
        self.cistern("pool-start", "c", status=4)
        self.target.account("me", "onewaysecret1")
        self.ok("pool-start", "c")
        self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names("c"))

    def test_mutual(self):
        self.target.account("me", "onewaysecret1")
        self.target.account("them", "otherwaysecret", outgoing=True)
        self.secret("ours", "onewaysecret1")
        self.secret("theirs", "notthesecret1")
        options = {"mutual-username": "them", "mutual-secret": "theirs"}
        self.define("c", start=False, auth=AUTH.format(user="me"), options=options)
        self.fails("pool-start", "c", text="does not prove")
        self.cistern("pool-start", "c", status=4)
        self.secret("theirs", "otherwaysecret")
        self.ok("pool-start", "c")
        self.assertEqual(["unit:0:0:1", "unit:0:0:2"], self.names("c"))

    def test_no_secret_is_left_anywhere(self):
        self.target.account("me", "plantedsecret77")
        self.secret("ours", "plantedsecret77")
        # What keeps the secrets has it: that is another matter.
        self.peer.restart()
        self.define("c", start=False, auth=AUTH.format(user="me"))
        before = memory(self.peer.process.pid).count(b"plantedsecret77")
        self.ok("pool-start", "c")
        self.ok("pool-refresh", "c")
        self.assertLessEqual(memory(self.peer.process.pid).count(b"plantedsecret77"), before)
        self.assertNotIn("plantedsecret77", self.peer.log())


def memory(pid):
    """All that a process can write to."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, \
         open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, mode = line.split()[:2]
            begin, end = (int(part, 16) for part in span.split("-"))
            if "rw" in mode and "[v" not in line:
                mem.seek(begin)
                try:
                    found.append(mem.read(end - begin))
                except OSError:
                    pass
    return b"".join(found)


class Discovery(OnTarget):
    def test_targets_are_found_as_libvirt_shows_them(self):
        self.server.target("u", (MIB,))
        out = self.ok("find-storage-pool-sources-as", "iscsi-direct", "127.0.0.1", "3260",
                      tgt.INITIATOR)
        for name in ("t", "u"):
            self.assertIn(f"<device path='iqn.2026-01.test:{name}'/>", out)
        self.assertIn("<host name='127.0.0.1' port='3260'/>", out)
        self.fails("find-storage-pool-sources-as", "iscsi-direct", "127.0.0.1", text="initiator")
        self.assertEqual(1, self.server.sessions())
