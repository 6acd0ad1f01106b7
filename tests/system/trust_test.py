# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an image names is followed only where the administrator stands behind it: docs/security-model.md."""

import contextlib
import json
import os
import re
import shutil
import sqlite3

from harness import peers, space
from harness.cases import WithDaemon

SECRET = b"the other tenant's content; "


def qemu(*words):
    status, out, err = peers.run(list(words))
    assert status == 0, f"{' '.join(words)}: {out}{err}"
    return out


class Ground(WithDaemon):
    """A victim's volume in pool "v", and images that name it, in pool "p"."""

    def setUp(self):
        super().setUp()
        self.pool("v")
        self.victim = self.at("v", "victim")
        self.write(self.victim, (SECRET * 40000)[:1 << 20])
        self.ok("pool-refresh", "v")

    def pool(self, name, mode=0o711, owner=0):
        os.makedirs(self.at(name), exist_ok=True)
        os.chmod(self.at(name), mode)
        os.chown(self.at(name), owner, owner)
        self.ok("pool-define-as", name, "dir", "--target", self.at(name))
        self.ok("pool-start", name)

    @staticmethod
    def write(path, content):
        with open(path, "wb") as stream:
            stream.write(content)

    @staticmethod
    def read(path):
        with open(path, "rb") as stream:
            return stream.read()

    def overlay(self, path, base=None, form="raw"):
        """An overlay of the victim's volume, made by another tool."""
        qemu("qemu-img", "create", "-q", "-f", "qcow2", "-b", base or self.victim, "-F", form, path,
             "1M")
        return path

    def with_data_file(self, path, name):
        """A qcow2 image whose guest's bytes are in the file that it calls @name."""
        there = os.path.join(os.path.dirname(path), name)
        kept = self.read(there) if os.path.exists(there) else None
        qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o",
             f"data_file={there},data_file_raw=on", path, "1M")
        qemu("qemu-img", "amend", "-f", "qcow2", "-o", f"data_file={name}", path)
        if kept is not None:
            self.write(there, kept)
        return path

    def listed(self, volume, pool="p"):
        xml = self.ok("vol-dumpxml", volume, "--pool", pool)
        return re.search("<format type='(.*?)'", xml).group(1)

    def problems(self, volume, pool="p"):
        status, out, err = self.cistern("vol-info", volume, "--pool", pool, "--json")
        self.assertEqual(0, status, err)
        return json.loads(out)["volume"]["problems"]

    def copy(self, volume, pool="p", verb="vol-convert"):
        """One way of getting at what the volume's image shows; whether it gave the secret."""
        if verb == "vol-convert":
            words = ["vol-convert", volume, "copy", "--pool", pool, "--format", "raw"]
            status, _, err = self.cistern(*words)
        else:
            xml = self.file("copy.xml", "<volume><name>copy</name><capacity>1048576</capacity>"
                            "<target><format type='raw'/></target></volume>")
            status, _, err = self.virsh("vol-create-from", pool, xml, volume, "--inputpool", pool)
        if status:
            self.assertFalse(os.path.exists(self.at(pool, "copy")), "something was left half made")
            self.assertIn(volume, err)
            return False
        content = self.read(self.at(pool, "copy"))
        self.ok("vol-delete", "copy", "--pool", pool)
        return content.startswith(SECRET)

    def assert_not_followed(self, volume, pool="p"):
        for verb in ("vol-convert", "vol-create-from"):
            self.assertFalse(self.copy(volume, pool, verb), verb)
        self.assertTrue(any("is not declared" in text for text in self.problems(volume, pool)))

    def assert_followed(self, volume, pool="p"):
        for verb in ("vol-convert", "vol-create-from"):
            self.assertTrue(self.copy(volume, pool, verb), verb)
        self.assertEqual([], self.problems(volume, pool))

    def upload(self, volume, path, *more, status=0):
        got, out, err = self.cistern("vol-upload", volume, path, "--pool", "p", "--yes", *more)
        self.assertEqual(status, got, out + err)
        return err


class Trust(Ground):
    def test_what_an_upload_names_is_not_followed(self):
        evil = self.overlay(self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "evil", "1M", "--format", "qcow2")
        self.ok("vol-upload", "evil", evil, "--pool", "p")
        self.assert_not_followed("evil")
        xml = self.ok("vol-dumpxml", "evil", "--pool", "p")
        self.assertNotIn("<backingStore>", xml)
        self.assertIn(f"name='undeclared-backing' value='{self.victim}'", xml)
        status, out, err = self.cistern("vol-check", "evil", "--pool", "p")
        self.assertEqual(7, status, out + err)
        # Neither a refresh, nor a restart, nor another name makes it the administrator's word.
        self.ok("pool-refresh", "p")
        self.assert_not_followed("evil")
        self.peer.restart()
        self.assert_not_followed("evil")
        os.rename(self.at("p", "evil"), self.at("p", "renamed"))
        self.ok("pool-refresh", "p")
        self.assert_not_followed("renamed")
        os.removexattr(self.at("p", "renamed"), "user.cistern.format")
        self.ok("pool-refresh", "p")
        self.assert_not_followed("renamed")

    def test_the_attribute_alone_restricts_too(self):
        evil = self.overlay(self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "evil", "1M", "--format", "qcow2")
        self.ok("vol-upload", "evil", evil, "--pool", "p")
        self.peer.stop()
        os.unlink(os.path.join(self.peer.root, "var/lib/cistern/declarations.db"))
        self.peer.start()
        self.assert_not_followed("evil")

    def test_copies_of_what_was_uploaded_declare_no_more(self):
        evil = self.overlay(self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "evil", "1M", "--format", "qcow2")
        self.ok("vol-upload", "evil", evil, "--pool", "p")
        status, _, _ = self.virsh("vol-clone", "evil", "clone", "--pool", "p")
        if status == 0:
            self.assert_not_followed("clone")
        qemu("qemu-img", "create", "-q", "-f", "qcow2", self.file("plain.qcow2"), "1M")
        self.ok("vol-upload", "evil", self.peer.files + "/plain.qcow2", "--pool", "p")
        self.ok("vol-clone", "evil", "clone", "--pool", "p")
        self.overlay(self.file("again.qcow2"))
        self.ok("vol-upload", "clone", self.peer.files + "/again.qcow2", "--pool", "p")
        self.assert_not_followed("clone")

    def test_content_does_not_change_the_format(self):
        self.write(self.at("p", "data.raw"), SECRET * 100)
        self.ok("pool-refresh", "p")
        image = self.with_data_file(self.at("p", "x.qcow2"), "data.raw")
        shutil.move(image, self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "evil", "1M", "--format", "raw")
        self.ok("vol-upload", "evil", self.peer.files + "/evil.qcow2", "--pool", "p")
        for _ in range(2):
            self.assertEqual("raw", self.listed("evil"))
            self.assertTrue(any("looks like qcow2" in text for text in self.problems("evil")))
            self.virsh("vol-resize", "evil", "4K", "--pool", "p", "--shrink")
            self.cistern("vol-flatten", "evil", "--pool", "p")
            self.assertEqual(SECRET * 100, self.read(self.at("p", "data.raw")))
            self.peer.restart()

    def test_a_data_file_that_was_uploaded_is_not_written(self):
        self.write(self.at("p", "data.raw"), SECRET * 1000)
        before = self.read(self.at("p", "data.raw"))
        self.ok("pool-refresh", "p")
        shutil.move(self.with_data_file(self.at("p", "x.qcow2"), "data.raw"),
                    self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "evil", "1M", "--format", "qcow2")
        self.ok("vol-upload", "evil", self.peer.files + "/evil.qcow2", "--pool", "p")
        self.fails("vol-resize", "evil", "4K", "--pool", "p", "--shrink")
        for command in ("vol-flatten evil --pool p", "snap-create evil s --pool p",
                        "vol-sparsify evil --pool p", "vol-check evil --pool p --repair all",
                        "vol-convert evil copy --pool p --format raw"):
            self.cistern(*command.split())
        self.assertEqual(before, self.read(self.at("p", "data.raw")))

    def test_a_guest_cannot_turn_its_raw_disk_into_an_image(self):
        for name, made in (("ours", True), ("theirs", False)):
            with self.subTest(name=name):
                if made:
                    self.ok("vol-create-as", "p", name, "1M", "--format", "raw")
                else:
                    self.write(self.at("p", name), b"\1" * (1 << 20))
                    self.ok("pool-refresh", "p")
                self.assertEqual("raw", self.listed(name))
                evil = self.read(self.overlay(self.file("evil.qcow2")))
                with open(self.at("p", name), "r+b") as disk:
                    disk.write(evil)
                self.ok("pool-refresh", "p")
                self.assertEqual("raw", self.listed(name))
                if made:
                    os.removexattr(self.at("p", name), "user.cistern.format")
                self.peer.restart()
                self.ok("pool-refresh", "p")
                self.assertEqual("raw", self.listed(name))

    # --- declaring

    def test_an_uploader_can_say_what_it_is(self):
        overlay = self.overlay(self.file("good.qcow2"))
        self.ok("vol-create-as", "p", "vol", "1M", "--format", "raw")
        self.upload("vol", overlay, "--format", "qcow2", "--backing-vol", self.victim)
        self.assertEqual("qcow2", self.listed("vol"))
        self.assert_followed("vol")
        self.peer.restart()
        self.assert_followed("vol")
        # What it said is all that is followed.
        self.write(self.at("v", "second"), SECRET * 100)
        self.ok("pool-refresh", "v")
        other = self.overlay(self.file("other.qcow2"), self.at("v", "second"))
        self.upload("vol", other, "--format", "qcow2", "--backing-vol", self.victim, status=7)
        self.assert_not_followed("vol")

    def test_a_copy_of_its_own_content_may_come_back(self):
        """Restoring what was downloaded needs no new word on what it is based on."""
        self.ok("vol-create-as", "p", "vol", "1M", "--format", "qcow2", "--backing-vol",
                self.victim, "--backing-vol-format", "raw")
        saved = self.file("saved")
        self.ok("vol-download", "vol", saved, "--pool", "p")
        self.ok("vol-upload", "vol", saved, "--pool", "p")
        self.assert_followed("vol")

    def test_the_administrators_word(self):
        evil = self.overlay(self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "vol", "1M", "--format", "qcow2")
        self.ok("vol-upload", "vol", evil, "--pool", "p")
        self.assertEqual(0, self.cistern("vol-trust", "vol", "--pool", "p")[0])
        self.assert_followed("vol")
        self.assertEqual(0, self.cistern("vol-trust", "vol", "--pool", "p", "--revoke")[0])
        self.assert_not_followed("vol")

    def test_rebase_names_what_it_is_based_on(self):
        evil = self.overlay(self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "vol", "1M", "--format", "qcow2")
        self.ok("vol-upload", "vol", evil, "--pool", "p")
        status, out, err = self.cistern("vol-rebase", "vol", "--pool", "p", "--unsafe",
                                        "--backing-vol", self.victim)
        self.assertEqual(0, status, out + err)
        self.assert_followed("vol")

    # --- what other tools made

    def test_what_root_made_where_only_root_writes_is_followed(self):
        self.overlay(self.at("p", "vol"))
        self.ok("pool-refresh", "p")
        self.assert_followed("vol")

    def test_where_others_can_write_nothing_is_followed_that_we_did_not_make(self):
        for mode, owner in ((0o777, 0), (0o775, 0), (0o755, 65534)):
            with self.subTest(mode=oct(mode), owner=owner):
                self.pool("s", mode, owner)
                self.overlay(self.at("s", "vol"))
                self.ok("pool-refresh", "s")
                self.assert_not_followed("vol", "s")
                self.ok("vol-create-as", "s", "mine", "1M", "--format", "qcow2", "--backing-vol",
                        self.victim, "--backing-vol-format", "raw")
                self.assert_followed("mine", "s")
                # Its owner names another file meanwhile.
                self.write(self.at("v", "second"), SECRET * 100)
                self.ok("pool-refresh", "v")
                qemu("qemu-img", "rebase", "-u", "-f", "qcow2", "-b", self.at("v", "second"), "-F",
                     "raw", self.at("s", "mine"))
                self.assert_not_followed("mine", "s")
                # A place that becomes root's does not make root's what was there.
                os.chmod(self.at("s"), 0o700)
                os.chown(self.at("s"), 0, 0)
                self.ok("pool-refresh", "s")
                self.assert_not_followed("vol", "s")
                self.virsh("pool-destroy", "s")
                self.virsh("pool-undefine", "s")
                peers.empty(self.at("s"))

    def test_outside_of_pools_only_what_is_declared(self):
        outside = self.file("outside", (SECRET * 40000)[:1 << 20])
        self.overlay(self.at("p", "vol"), outside)
        self.ok("pool-refresh", "p")
        self.assertFalse(self.copy("vol"))
        self.assertEqual(0, self.cistern("pool-trust", "p", "--follow", "anywhere")[0])
        self.assert_followed("vol")
        self.assertEqual("anywhere\n", self.cistern("pool-trust", "p")[1].rstrip("\n") + "\n")
        self.assertEqual(0, self.cistern("pool-trust", "p", "--follow", "pools")[0])
        self.assertFalse(self.copy("vol"))
        self.assertEqual(0, self.cistern("vol-trust", "vol", "--pool", "p")[0])
        self.assert_followed("vol")

    def test_declared_link_of_another_user_is_followed(self):
        outside = self.file("outside", (SECRET * 40000)[:1 << 20])
        os.symlink(outside, self.at("link"))
        os.chown(self.at("link"), 65534, 65534, follow_symlinks=False)
        self.overlay(self.at("p", "vol"), self.at("link"))
        self.ok("pool-refresh", "p")
        self.assertFalse(self.copy("vol"))
        self.assertEqual(0, self.cistern("vol-trust", "vol", "--pool", "p")[0])
        self.assert_followed("vol")

    def test_a_pool_that_follows_nothing_undeclared(self):
        self.overlay(self.at("p", "vol"))
        self.ok("pool-refresh", "p")
        self.assertEqual(0, self.cistern("pool-trust", "p", "--follow", "none")[0])
        self.assertFalse(self.copy("vol"))
        self.assertEqual(0, self.cistern("vol-trust", "vol", "--pool", "p")[0])
        self.assert_followed("vol")

    # --- what hangs on a volume

    def test_an_upload_that_names_a_volume_does_not_hold_it(self):
        evil = self.overlay(self.file("evil.qcow2"))
        self.ok("vol-create-as", "p", "evil", "1M", "--format", "qcow2")
        self.ok("vol-upload", "evil", evil, "--pool", "p")
        self.ok("vol-delete", "victim", "--pool", "v")

    def test_a_data_file_is_part_of_its_volume(self):
        self.with_data_file(self.at("p", "vol"), "data.raw")
        self.ok("pool-refresh", "p")
        self.assertEqual([], self.problems("vol"))
        err = self.fails("vol-delete", "data.raw", "--pool", "p")
        self.assertIn("p/vol", err)
        self.fails("vol-wipe", "data.raw", "--pool", "p")
        self.ok("vol-resize", "vol", "2M", "--pool", "p")
        self.assertEqual(2 << 20, os.stat(self.at("p", "data.raw")).st_size)
        # Two volumes with one data file would write into each other: a clone has its own bytes.
        self.ok("vol-clone", "vol", "clone", "--pool", "p")
        info = json.loads(qemu("qemu-img", "info", "--output=json", self.at("p", "clone")))
        self.assertNotIn("data-file", info["format-specific"]["data"])


class Backing(Ground):
    """What an overlay says of the format of its base, and bases that are not there."""

    def base(self, name="base.qcow2"):
        self.ok("vol-create-as", "p", name, "1M", "--format", "qcow2")
        return self.at("p", name)

    def test_no_format_means_the_bases_own(self):
        self.base()
        self.ok("vol-create-as", "p", "over", "1M", "--format", "qcow2", "--backing-vol",
                "base.qcow2")
        info = json.loads(qemu("qemu-img", "info", "--output=json", self.at("p", "over")))
        self.assertEqual("qcow2", info["backing-filename-format"])

    def test_the_xml_of_who_does_not_say_shows_what_the_base_is_declared(self):
        base, outside = self.base(), self.file("outside")
        qemu("qemu-img", "create", "-f", "qcow2", outside, "1M")
        self.ok("vol-create-as", "p", "rawdisk", "1M", "--format", "raw")
        with open(base, "rb") as image, open(self.at("p", "rawdisk"), "r+b") as disk:
            disk.write(image.read(65536))  # a guest that makes its raw disk look like an image
        for name, below in (("known", base), ("guest", self.at("p", "rawdisk")), ("far", outside)):
            qemu("qemu-img", "create", "-u", "-f", "qcow", "-b", below, "-F", "qcow2",
                 self.at("p", name), "1M")
        self.ok("pool-refresh", "p")
        for name, shown in (("known", "qcow2"), ("guest", "raw"), ("far", "raw")):
            below = self.ok("vol-dumpxml", name, "--pool", "p").partition("<backingStore>")[2]
            self.assertIn(f"<format type='{shown}'/>", below, name)

    def test_another_format_than_the_bases_own_is_refused(self):
        self.base()
        for verb in (("vol-create-as", "p", "over", "1M", "--format", "qcow2", "--backing-vol",
                      "base.qcow2", "--backing-vol-format", "raw"),):
            self.fails(*verb)
            self.assertFalse(os.path.exists(self.at("p", "over")))
        self.ok("vol-create-as", "p", "over", "1M", "--format", "qcow2")
        before = self.read(self.at("p", "over"))
        for more in ((), ("--unsafe",)):
            status, out, err = self.cistern("vol-rebase", "over", "--pool", "p", "--backing-vol",
                                            "base.qcow2", "--backing-vol-format", "raw", *more)
            self.assertNotEqual(0, status, out + err)
        self.assertEqual(before, self.read(self.at("p", "over")))

    def test_an_overlay_that_calls_its_base_wrongly_is_reported_and_not_read(self):
        self.overlay(self.at("p", "over"), self.base(), "raw")
        self.ok("pool-refresh", "p")
        self.assertTrue(any("is raw, but that is qcow2" in text for text in self.problems("over")))
        self.assertFalse(self.copy("over"))
        self.assertEqual(7, self.cistern("vol-check", "over", "--pool", "p")[0])
        self.assertIn("qcow2", self.cistern("vol-chain", "over", "--pool", "p")[1])
        self.assertIn("'over'", self.cistern("vol-list", "p", "--details")[2])

    def test_a_base_that_is_missing_is_reported(self):
        base = self.base()
        self.overlay(self.at("p", "over"), base, "qcow2")
        os.unlink(base)
        self.ok("pool-refresh", "p")
        self.assertTrue(any("does not exist" in text for text in self.problems("over")))
        self.assertEqual(7, self.cistern("vol-check", "over", "--pool", "p")[0])
        self.assertIn("not there", self.cistern("vol-chain", "over", "--pool", "p")[1])
        self.assertIn("'over'", self.cistern("vol-list", "p", "--details")[2])


class Forgotten(Ground):
    """Records of files that other tools have deleted go; none of a file that may still be there."""

    OLD = 1  # a time of which no file has been seen since

    def database(self, statement, *values):
        path = os.path.join(self.peer.root, "var/lib/cistern/declarations.db")
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            return db.execute(statement, values).fetchall()

    def records(self, pool="p"):
        return {name for name, in self.database("SELECT name FROM declarations WHERE dir = ?",
                                                self.at(pool))}

    def raw(self, *names, pool="p"):
        for name in names:
            self.ok("vol-create-as", pool, name, "1M", "--format", "raw")

    def scanned(self, pool="p"):
        """A look through the records comes with the first scan of a daemon, and then once an hour."""
        self.peer.restart()
        for name in self.virsh("pool-list", "--name")[1].split():
            self.virsh("pool-refresh", name)
        self.ok("pool-refresh", pool)

    def passed(self):
        """Whatever has been missed has been for long."""
        self.database("UPDATE declarations SET missing = ? WHERE missing > 0", self.OLD)

    def swept(self, pool="p"):
        for _ in range(2):
            self.scanned(pool)
            self.passed()
        self.scanned(pool)
        return self.records(pool)

    def test_only_what_is_gone(self):
        self.raw("gone", "kept", "renamed", "replaced")
        os.unlink(self.at("p", "gone"))
        os.rename(self.at("p", "renamed"), self.at("p", "another"))
        os.unlink(self.at("p", "replaced"))
        self.write(self.at("p", "replaced"), b"x" * 4096)
        self.scanned()
        self.assertIn("gone", self.records(), "it may be away for a while only")
        left = self.swept()
        self.assertNotIn("gone", left)
        self.assertLessEqual({"kept", "renamed", "replaced"}, left)

    def test_not_what_is_in_another_pool(self):
        self.pool("q")
        self.raw("moved")
        os.rename(self.at("p", "moved"), self.at("q", "elsewhere"))
        self.ok("pool-refresh", "q")
        self.assertIn("moved", self.swept())

    def test_not_while_a_pool_is_not_active(self):
        self.pool("q")
        self.raw("moved")
        self.raw("there", pool="q")
        os.rename(self.at("p", "moved"), self.at("q", "elsewhere"))
        self.ok("pool-destroy", "q")
        self.assertIn("moved", self.swept())
        self.assertIn("there", self.records("q"))

    def test_not_what_is_on_a_mount_that_is_missing(self):
        if not space.private_mounts():
            self.skipTest("needs a mount namespace of its own")
        os.makedirs(self.at("m"))
        space.tmpfs(self.at("m"), "16m")
        self.pool("m")
        self.raw("there", pool="m")
        space.unmount(self.at("m"))
        for _ in range(2):
            self.virsh("pool-refresh", "m")
            self.ok("pool-refresh", "p")
            self.peer.restart()
            self.passed()
        self.assertEqual({"there"}, self.records("m"))
