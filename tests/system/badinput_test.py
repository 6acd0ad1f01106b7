# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hostile and broken surroundings. Each ends in one clear error, nothing half made, nothing leaked,
and the daemon answers the next call."""

import os
import shutil
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon
from harness.wire import string, u32

VOLUME = "<volume><name>{name}</name><capacity>{capacity}</capacity>{more}</volume>"


def needs_mounts(test):
    return unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")(test)


class Bad(WithDaemon):
    def setUp(self):
        super().setUp()
        self.fds = self.peer.fd_count()

    def tearDown(self):
        self.assert_alive()
        # The writer of the log of events has its database open for a moment.
        self.wait_until(lambda: self.peer.fd_count() <= self.fds + 2,
                        f"at most {self.fds + 2} descriptors", self.peer.fd_count)


class Names(Bad):
    def test_names_no_volume_may_have(self):
        client = self.wire().open()
        pool = client.pool("p")
        for name in ("a/b", "../x", "..", ".", "/abs", "a/../b", "", "n" * 256, "n" * 5000, "a\nb",
                     "a\tb", "\x7fdel", "a\rb"):
            with self.subTest(name=name):
                escaped = name.replace("\n", "&#10;").replace("\t", "&#9;").replace("\r", "&#13;")
                xml = VOLUME.format(name=escaped, capacity=4096, more="")
                self.refused(client, 93, pool + string(xml) + u32(0))
                self.assertEqual([], self.entries("p"))
        self.assertEqual(["p"], sorted(os.listdir(self.peer.dir)))

    def test_nul_inside_strings_on_the_wire(self):
        client = self.wire().open()
        self.refused(client, 84, string(b"p\0evil"))
        self.refused(client, 77, string(b"<pool type='dir'><name>x</name>\0</pool>") + u32(0))
        self.refused(client, 97, string(b"/etc\0/x"))

    def test_text_that_is_not_utf8(self):
        client = self.wire().open()
        self.refused(client, 84, string(b"\xff\xfe"))
        self.refused(client, 93, client.pool("p") + string(
            b"<volume><name>\xff\xfe</name><capacity>1</capacity></volume>") + u32(0))
        self.assertEqual([], self.entries("p"))

    def test_pool_names(self):
        client = self.wire().open()
        for name in ("a/b", "../x", "a&#10;b", ""):
            with self.subTest(name=name):
                xml = f"<pool type='dir'><name>{name}</name><target><path>/x</path></target></pool>"
                self.refused(client, 77, string(xml) + u32(0))
        self.assertEqual("p", self.ok("pool-list", "--all", "--name").strip())

    def test_hostile_names_already_in_the_directory(self):
        for name in (b"line\nbreak", b"bell\x07", b"not-utf8-\xff\xfe", b"esc\x1b[31m", b"ok"):
            with open(os.path.join(self.at("p").encode(), name), "wb"):
                pass
        self.ok("pool-refresh", "p")
        listed = self.ok("vol-list", "p")
        self.assertIn(" ok ", listed)
        for part in ("\x07", "\x1b", "bell"):
            self.assertNotIn(part, listed)


class Documents(Bad):
    def test_entity_bombs_do_not_grow(self):
        levels = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
        bomb = f'<!DOCTYPE pool [<!ENTITY e0 "bang">{levels}]>'
        client = self.wire().open()
        before = self.peer.rss()
        for root, proc, lead in (("pool", 77, b""), ("pool", 76, b""),
                                 ("volume", 93, client.pool("p")), ("secret", 142, b"")):
            xml = bomb + f"<{root} type='dir'><name>&e9;</name><capacity>1</capacity></{root}>"
            with self.subTest(root=root):
                try:
                    client.call(proc, lead + string(xml) + u32(0))
                except Exception as error:
                    self.assertLess(len(str(error)), 10000)
        self.assertLess(self.peer.rss() - before, 32 << 20)

    def test_external_entities_are_not_read(self):
        secret = self.file("secret", "top-secret-content")
        client = self.wire().open()
        for text in (f'<!DOCTYPE pool [<!ENTITY x SYSTEM "file://{secret}">]>'
                     "<pool type='dir'><name>n&x;</name><target><path>/x</path></target></pool>",
                     f'<!DOCTYPE pool SYSTEM "file://{secret}">'
                     "<pool type='dir'><name>n2</name><target><path>/x</path></target></pool>"):
            try:
                client.call(77, string(text) + u32(0))
            except Exception as error:
                self.assertNotIn("top-secret", str(error))
        self.assertNotIn("top-secret", self.ok("pool-list", "--all", "--name"))

    def test_deep_and_long_documents(self):
        client = self.wire().open()
        for text in ("<pool>" * 100000, "<pool type='dir'>" + "<a>" * 5000 + "</a>" * 5000
                     + "</pool>", "<pool " + " ".join(f"a{n}='1'" for n in range(50000)) + "/>",
                     "<pool type='" + "x" * 3000000 + "'/>", "<" * 1000000):
            error = self.refused(client, 77, string(text) + u32(0))
            self.assertLess(len(error.text), 4096)

    def test_sizes_that_do_not_fit(self):
        client = self.wire().open()
        pool = client.pool("p")
        for capacity in ("-1", "18446744073709551616", "9223372036854775808", "1e9", "0x10", "",
                         "99999999999999999999999999", "12abc"):
            with self.subTest(capacity=capacity):
                self.refused(client, 93, pool + string(VOLUME.format(
                    name="v", capacity=capacity, more="")) + u32(0))
        for unit in ("EiB", "ZiB", "furlong", "kb ", "\u0000"[:0] + "Gib/s"):
            xml = f"<volume><name>v</name><capacity unit='{unit}'>999</capacity></volume>"
            with self.subTest(unit=unit):
                self.refused(client, 93, pool + string(xml) + u32(0))
        for form in ("raw", "qcow2"):
            self.refused(client, 93, pool + string(VOLUME.format(
                name="v", capacity="9223372036854775807",
                more=f"<target><format type='{form}'/></target>")) + u32(0))
        self.assertEqual([], self.entries("p"))


class Directories(Bad):
    def test_odd_entries_are_neither_opened_blocking_nor_followed_in_circles(self):
        os.mkfifo(self.at("p", "fifo"))
        os.symlink("loop2", self.at("p", "loop1"))
        os.symlink("loop1", self.at("p", "loop2"))
        os.symlink("nowhere", self.at("p", "dangling"))
        os.symlink("/proc/self/mem", self.at("p", "mem"))
        os.symlink("/dev/zero", self.at("p", "zero"))
        os.symlink("/etc/passwd", self.at("p", "passwd"))
        if space.IS_ROOT:
            os.mknod(self.at("p", "null"), 0o20666, os.makedev(1, 3))
            os.mknod(self.at("p", "tty"), 0o20666, os.makedev(5, 0))
        self.file_in("good", b"x" * 4096)
        self.ok("pool-refresh", "p", timeout=10)
        self.assertIn("good", self.ok("vol-list", "p", "--details"))
        for name in ("fifo", "loop1", "dangling", "null"):
            self.virsh("vol-dumpxml", name, "--pool", "p", timeout=10)
            self.virsh("vol-download", name, "--pool", "p", "/dev/null", timeout=10)

    def file_in(self, name, content):
        with open(self.at("p", name), "wb") as out:
            out.write(content)

    def test_symlinks_are_not_written_or_deleted_through(self):
        victim = self.file("victim", "precious")
        os.symlink(victim, self.at("p", "link"))
        self.fails("vol-create-as", "p", "link", "1M")
        self.virsh("pool-refresh", "p")
        self.virsh("vol-delete", "link", "--pool", "p")
        with open(victim, encoding="utf-8") as stream:
            self.assertEqual("precious", stream.read())

    def test_existing_target_is_never_overwritten(self):
        self.file_in("there", b"keep me")
        for form in ("raw", "qcow2"):
            self.fails("vol-create-as", "p", "there", "1M", "--format", form)
        self.ok("vol-create-as", "p", "src", "1M")
        self.fails("vol-clone", "src", "there", "--pool", "p")
        with open(self.at("p", "there"), "rb") as stream:
            self.assertEqual(b"keep me", stream.read())
        self.assertEqual(["src", "there"], self.entries("p"))

    def test_directory_that_vanishes_under_an_active_pool(self):
        self.ok("vol-create-as", "p", "v", "1M")
        shutil.rmtree(self.at("p"))
        for command in (["vol-create-as", "p", "w", "1M"], ["vol-resize", "v", "2M", "--pool", "p"],
                        ["vol-clone", "v", "x", "--pool", "p"],
                        ["vol-download", "v", "/dev/null", "--pool", "p"],
                        ["vol-wipe", "v", "--pool", "p"]):
            with self.subTest(command=command):
                self.fails(*command)
        self.virsh("pool-refresh", "p")
        self.assertFalse(os.path.exists(self.at("p")))
        os.makedirs(self.at("p"))
        self.virsh("pool-destroy", "p")
        self.ok("pool-start", "p")
        self.ok("vol-create-as", "p", "v", "1M")

    def test_directory_replaced_by_a_file(self):
        os.rmdir(self.at("p"))
        with open(self.at("p"), "w", encoding="utf-8"):
            pass
        self.fails("vol-create-as", "p", "v", "1M")
        self.virsh("pool-refresh", "p")

    @needs_mounts
    def test_a_mount_that_went_away_is_not_shown_as_an_empty_pool(self):
        os.makedirs(self.at("m"))
        space.tmpfs(self.at("m"), "16m")
        self.ok("pool-create-as", "m", "dir", "--target", self.at("m"))
        self.ok("vol-create-as", "m", "v", "1M")
        space.unmount(self.at("m"))
        status, out, err = self.virsh("pool-refresh", "m")
        if status == 0:
            status, out, err = self.virsh("vol-list", "m")
        self.assertNotEqual(0, status, f"an empty pool was shown: {out}{err}")

    def test_broken_images_are_listed_and_described(self):
        self.file_in("empty", b"")
        self.file_in("magic-only", b"QFI\xfb")
        self.file_in("qcow2-cut", b"QFI\xfb\0\0\0\x03" + b"\0" * 20)
        self.file_in("qcow2-huge", b"QFI\xfb\0\0\0\x03" + b"\xff" * 500)
        self.file_in("vhdx", b"vhdxfile" + b"\xff" * 100)
        self.file_in("vmdk", b"KDMV" + b"\xff" * 508)
        self.file_in("vdi", b"\0" * 64 + b"\x7f\x10\xda\xbe" + b"\xff" * 400)
        self.file_in("luks", b"LUKS\xba\xbe" + b"\xff" * 600)
        self.ok("pool-refresh", "p")
        for name in self.entries("p"):
            with self.subTest(name=name):
                self.ok("vol-info", name, "--pool", "p")
                self.ok("vol-dumpxml", name, "--pool", "p")

    def test_backing_names_inside_images_are_never_opened(self):
        fifo = self.at("trap")
        os.mkfifo(fifo)
        self.run_qemu("create", "-q", "-f", "qcow2", self.at("p", "q"), "1M")
        for backing in (fifo, "json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
                        "nbd://127.0.0.1:1/x", "/dev/zero", "q", "fat:rw:/etc", "x" * 1000):
            self.run_qemu("rebase", "-u", "-F", "raw", "-b", backing, self.at("p", "q"))
            with self.subTest(backing=backing):
                self.ok("pool-refresh", "p", timeout=10)
                self.ok("vol-dumpxml", "q", "--pool", "p", timeout=10)

    def run_qemu(self, *words):
        status, _, err = peers.run(["qemu-img", *words])
        self.assertEqual(0, status, err)


class Space(Bad):
    def small(self, name, size="8m"):
        os.makedirs(self.at(name))
        space.tmpfs(self.at(name), size)
        self.addCleanup(self.drop, name)
        self.ok("pool-create-as", name, "dir", "--target", self.at(name))

    def drop(self, name):
        self.virsh("pool-destroy", name)
        space.unmount(self.at(name))
        os.rmdir(self.at(name))

    @needs_mounts
    def test_full_disk(self):
        self.small("s")
        payload = self.file("payload", b"x" * (20 << 20))
        self.fails("vol-create-as", "s", "raw", "64M", text="space")
        self.assertEqual([], self.entries("s"))
        path = self.file("full.xml", VOLUME.format(
            name="full", capacity=1 << 40, more="<target><format type='qcow2'/>"
            "<clusterSize unit='B'>512</clusterSize></target>"))
        self.virsh("vol-create", "s", path, "--prealloc-metadata", timeout=60)
        self.assertEqual([], self.entries("s"))
        self.ok("vol-create-as", "s", "sparse", "64M", "--allocation", "0")
        self.fails("vol-upload", "sparse", payload, "--pool", "s", text="space")
        self.ok("vol-delete", "sparse", "--pool", "s")
        self.ok("vol-create-as", "p", "big", "20M")
        with open(self.at("p", "big"), "r+b") as out:
            out.write(b"y" * (20 << 20))
        big = self.file("big.xml", VOLUME.format(name="copy", capacity=20 << 20, more=""))
        self.fails("vol-create-from", "s", big, "big", "--inputpool", "p", text="space")
        self.assertEqual([], self.entries("s"))
        self.ok("vol-create-as", "s", "grow", "1M")
        self.fails("vol-resize", "grow", "64M", "--pool", "s", "--allocate")
        self.assertIn("1048576", self.ok("vol-info", "grow", "--pool", "s", "--bytes"))
        self.assertEqual(["grow"], self.entries("s"))

    @needs_mounts
    def test_full_disk_of_the_definitions(self):
        etc = os.path.join(self.peer.root, "etc")
        space.mount(etc, "--bind", etc)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", etc], check=True)
            self.fails("pool-define-as", "q", "dir", "--target", self.at("q"))
            self.fails("pool-undefine", "p")
            self.fails("pool-autostart", "p")
        finally:
            space.unmount(etc)
        self.assertEqual("p", self.ok("pool-list", "--all", "--name").strip())
        self.ok("pool-define-as", "q", "dir", "--target", self.at("q"))

    @needs_mounts
    def test_readonly_filesystem(self):
        self.ok("vol-create-as", "p", "v", "1M")
        space.mount(self.at("p"), "--bind", self.at("p"))
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", self.at("p")], check=True)
            for command in (["vol-create-as", "p", "w", "1M"],
                            ["vol-create-as", "p", "w", "1M", "--format", "qcow2"],
                            ["vol-delete", "v", "--pool", "p"],
                            ["vol-clone", "v", "w", "--pool", "p"],
                            ["vol-resize", "v", "2M", "--pool", "p"],
                            ["vol-wipe", "v", "--pool", "p"]):
                with self.subTest(command=command):
                    self.fails(*command)
            self.ok("vol-list", "p", "--details")
        finally:
            space.unmount(self.at("p"))
        self.assertEqual(["v"], self.entries("p"))
        self.ok("vol-resize", "v", "2M", "--pool", "p")
