# SPDX-License-Identifier: LGPL-2.1-or-later
"""What clients made for stock libvirt rely on, each answer beside stock libvirtd's."""

import os
import re
import subprocess

import libvirt

from harness import peers
from harness.cases import WithDaemon
from harness.wire import RemoteError, Wire, opt_string, u32

EVENT_REGISTER, REFRESH, REFRESH_EVENT = 368, 1, 373
TRANSIENT = "<pool type='dir'><name>t</name><target><path>{}</path></target></pool>"


def outcome(function, *arguments):
    """What a call returned, or libvirt's number of its error."""
    try:
        return function(*arguments)
    except libvirt.libvirtError as error:
        return ("error", error.get_error_code())


class BesideStock(WithDaemon):
    """Asks both servers the same and compares."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stock = peers.Libvirtd("them") if peers.Libvirtd.available() else None
        if cls.stock:
            cls.stock.fresh()

    @classmethod
    def tearDownClass(cls):
        if cls.stock:
            cls.stock.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        if not self.stock:
            self.skipTest("stock libvirtd needs root, a mount namespace and its package")

    def both(self, ask):
        """ask(peer) of stock and of ours."""
        return ask(self.stock), ask(self.peer)

    def wires(self, name, proc, payload=b""):
        """The same call on the wire: the reply's bytes, or (code, text)."""
        def ask(peer):
            with Wire(peer.sock) as client:
                try:
                    return client.open(name).call(proc, payload).data
                except RemoteError as error:
                    return error.code, error.text
        return self.both(ask)


class Answers(BesideStock):
    """What the server answers whatever it is set to."""

    def test_a_transient_pool_has_no_autostart(self):
        def ask(peer):
            conn = libvirt.open(peer.uri)
            path = os.path.join(peer.dir, "transient")
            os.makedirs(path)
            pool = conn.storagePoolCreateXML(TRANSIENT.format(path), 0)
            said = [outcome(pool.setAutostart, on) for on in (1, 0)] + [pool.autostart()]
            pool.destroy()
            conn.close()
            return said
        theirs, ours = self.both(ask)
        self.assertEqual(theirs, ours)
        self.assertEqual([("error", libvirt.VIR_ERR_INTERNAL_ERROR)] * 2 + [0], ours)

    def test_the_qemu_alias_is_a_current_qemu(self):
        """Stock says what the installed QEMU is, for which it runs every emulator it finds."""
        said = peers.run(["qemu-img", "--version"])[1]
        major, minor = re.search(r"version (\d+)\.(\d+)", said).groups()
        with Wire(self.peer.sock) as client:
            ours = client.open("qemu:///system").call(4).u64()
        self.assertEqual((int(major), int(minor)), (ours // 1000000, ours // 1000 % 1000))

    def test_processors_of_a_guest(self):
        for kind in (None, "qemu", "KVM", "kvm", "xen", ""):
            with self.subTest(kind=kind):
                self.assertEqual(*self.wires("qemu:///system", 5, opt_string(kind)))
        self.assertEqual(*self.wires("storage:///system", 5, opt_string(None)))

    def test_interfaces_that_are_defined(self):
        """The host's interfaces are not ours to list, but asking is no error (stock: of QEMU)."""
        theirs, ours = self.wires("qemu:///system", 137)
        self.assertEqual(len(theirs), len(ours))
        self.assertEqual(u32(0), ours)
        self.assertEqual(u32(0), self.wires("qemu:///system", 138, u32(10))[1])


class LikeLibvirt(BesideStock):
    """With compatibility = "libvirt", what clients see is what stock shows them."""

    CONFIG = '[service]\ncompatibility = "libvirt"\n'

    def setUp(self):
        super().setUp()
        for name in peers.virsh(self.stock, "pool-list", "--all", "--name")[1].split():
            peers.virsh(self.stock, "pool-destroy", name)
            peers.virsh(self.stock, "pool-undefine", name)
        peers.empty(self.stock.dir)
        os.makedirs(os.path.join(self.stock.dir, "p"))
        peers.virsh(self.stock, "pool-define-as", "p", "dir", "--target",
                    os.path.join(self.stock.dir, "p"))
        peers.virsh(self.stock, "pool-start", "p")

    def same(self, *commands, wanted):
        """Exit statuses of virsh commands, or what shell commands ("$ …") printed, on both."""
        def ask(peer):
            said = []
            for command in commands:
                words = [word.replace("{p}", os.path.join(peer.dir, "p"))
                         for word in command.split()]
                if words[0] == "$":
                    said.append(peers.run(["sh", "-c", " ".join(words[1:])])[1].strip())
                else:
                    said.append(peers.virsh(peer, *words)[0])
            return said
        theirs, ours = self.both(ask)
        self.assertEqual(theirs, ours)
        self.assertEqual(wanted, ours)

    def test_a_base_can_be_deleted(self):
        self.same("vol-create-as p base 1M",
                  "vol-create-as p over 1M --format qcow2 --backing-vol base "
                  "--backing-vol-format raw",
                  "vol-delete base --pool p", "$ ls {p}", wanted=[0, 0, 0, "over"])

    def test_files_are_seen_after_a_refresh(self):
        self.same("vol-create-as p known 1M",
                  "$ truncate -s 7M {p}/found; ls {p} | wc -l", "vol-info found --pool p",
                  "vol-info {p}/found", "vol-list p --details", "vol-info found --pool p",
                  "vol-delete found --pool p",
                  "pool-refresh p", "vol-info found --pool p", "vol-delete found --pool p",
                  wanted=[0, "2", 1, 1, 0, 1, 1, 0, 0, 0])

    def test_nobody_is_told_of_files_that_appear(self):
        self.ok("vol-create-as", "p", "known", "1M")
        watcher = self.wire().open()
        watcher.call(EVENT_REGISTER, u32(REFRESH) + u32(0))
        with open(self.at("p", "found"), "wb") as out:
            out.write(b"content")
        self.assertEqual(1, self.virsh("vol-info", "found", "--pool", "p")[0])
        # The next event is that of another pool, which is refreshed afterwards.
        os.makedirs(self.at("other"))
        self.ok("pool-define-as", "other", "dir", "--target", self.at("other"))
        self.ok("pool-start", "other")
        self.ok("pool-refresh", "other")
        event = watcher.wait_for(lambda got: got.proc == REFRESH_EVENT)
        self.assertIn(b"other", event.payload)

    def test_a_refresh_that_fails_stops_the_pool(self):
        self.same("$ rmdir {p}", "pool-refresh p", "$ true", wanted=["", 1, ""])
        for peer in (self.stock, self.peer):
            self.assertIn("inactive", peers.virsh(peer, "pool-list", "--all")[1])

    def test_what_is_allocated_is_not_cut_off(self):
        self.same("vol-create-as p full 4M", "vol-resize full 1M --pool p --shrink",
                  "$ stat -c %s {p}/full", wanted=[0, 1, "4194304"])

    def test_a_pool_whose_directory_is_there_is_active_after_a_restart(self):
        self.same("pool-destroy p", wanted=[0])
        for peer in (self.stock, self.peer):
            peer.restart()
            self.wait_until(lambda: "inactive" not in peers.virsh(peer, "pool-list", "--all")[1],
                            f"the pool of '{peer.name}' is active")

    @staticmethod
    def is_locked(inode):
        with open("/proc/locks", encoding="utf-8") as locks:
            return any(f":{inode} " in line for line in locks)

    def test_what_is_safe_stays_so(self):
        """docs/security-model.md holds whatever the setting is."""
        self.ok("vol-create-as", "p", "base", "1M")
        self.ok("vol-create-as", "p", "over", "1M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "raw")
        self.fails("vol-wipe", "base", "--pool", "p", text="content of other volumes")
        self.ok("vol-create-as", "p", "up", "1M", "--format", "qcow2")
        image = self.file("image")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.at("p", "base"), "-F",
                   "raw", image, "1M"])
        self.ok("vol-upload", "up", image, "--pool", "p")
        self.assertNotIn("<backingStore>", self.ok("vol-dumpxml", "up", "--pool", "p"))
        held = subprocess.Popen(["qemu-io", "-f", "raw", self.at("p", "base")],
                                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            inode = os.stat(self.at("p", "base")).st_ino
            # A resize of this test would keep qemu-io from its locks, and it tries only once.
            self.wait_until(lambda: self.is_locked(inode), "qemu-io has the base open")
            self.assertNotEqual(0, self.virsh("vol-resize", "base", "2M", "--pool", "p")[0])
            self.assertEqual(1 << 20, os.path.getsize(self.at("p", "base")))
            self.fails("vol-delete", "base", "--pool", "p", text="in use")
        finally:
            held.communicate(b"quit\n")
        os.chmod(self.at("p"), 0o777)
        os.symlink("/etc/hostname", self.at("p", "link"))
        self.ok("pool-refresh", "p")
        self.fails("vol-download", "link", self.file("out"), "--pool", "p", text="symbolic link")


class Default(WithDaemon):
    """And without the setting it is not."""

    def test_what_the_setting_turns_off(self):
        self.ok("vol-create-as", "p", "base", "1M")
        self.ok("vol-create-as", "p", "over", "1M", "--format", "qcow2", "--backing-vol", "base",
                "--backing-vol-format", "raw")
        self.fails("vol-delete", "base", "--pool", "p", text="is the base of")
        os.truncate(os.open(self.at("p", "found"), os.O_CREAT | os.O_WRONLY), 7 << 20)
        self.ok("vol-info", "found", "--pool", "p")
        self.ok("pool-destroy", "p")
        self.peer.restart()
        self.assertIn("inactive", self.ok("pool-list", "--all"))
