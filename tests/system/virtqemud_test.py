# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real virtqemud on cisternd: domains on its volumes, with secrets that it keeps."""

import os
import shutil
import subprocess
import unittest
import uuid

from harness import cases, luks, modular, peers, space

# Says on the serial port that it runs, writes its own second sector, and says whether it could.
BOOT_SECTOR = r"""
.code16
.globl _start
_start: cli
 xor %ax, %ax
 mov %ax, %ds
 mov %ax, %es
 mov %ax, %ss
 mov $0x7c00, %sp
 cld
 mov $hello, %si
 call say
 mov $0x0301, %ax
 mov $0x0002, %cx
 mov $0x0080, %dx
 mov $0x7c00, %bx
 int $0x13
 mov $written, %si
 jnc 1f
 mov $failed, %si
1: call say
2: sti
 hlt
 jmp 2b
say: mov $0x3f8, %dx
3: lodsb
 test %al, %al
 jz 4f
 out %al, %dx
 jmp 3b
4: ret
hello: .asciz "BOOTED\r\n"
written: .asciz "WRITTEN\r\n"
failed: .asciz "FAILED\r\n"
.org 510
.word 0xaa55
"""

DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='volume' device='disk'><driver name='qemu' type='{form}'/>
<source pool='p' volume='{volume}'>{more}</source><target dev='vda' bus='virtio'/></disk>
<serial type='file'><source path='{serial}'/><target port='0'/></serial>
<memballoon model='none'/></devices></domain>"""

LUKS = "<encryption format='luks'><secret type='passphrase' uuid='{0}'/></encryption>"


class OnCisternd(cases.OnPeer):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        modular.folder()
        cls.peer = peers.CisterndInPlace()
        cls.addClassCleanup(cls.peer.stop)
        cls.peer.fresh()
        cls.qemu = modular.Modular("virtqemud", cls.peer)
        cls.addClassCleanup(cls.qemu.end_domains)
        cls.addClassCleanup(cls.qemu.stop)
        cls.qemu.start()
        cls.secret_uri = f"secret+unix:///system?socket={cls.peer.root}/run/libvirt/virtsecretd-sock"

    def setUp(self):
        self.addCleanup(self.clear)
        os.makedirs(self.at("p"))
        self.storage("pool-define-as", "p", "dir", "--target", self.at("p"))
        self.storage("pool-start", "p")

    def clear(self):
        for name in self.play(self.qemu.uri, "list", "--all", "--name")[1].split():
            self.play(self.qemu.uri, "destroy", name)
            self.play(self.qemu.uri, "undefine", name)
        self.play(self.peer.uri, "pool-destroy", "p")
        self.play(self.peer.uri, "pool-undefine", "p")
        peers.empty(self.peer.dir)
        peers.empty(self.peer.files)

    def file(self, name, content=""):
        path = os.path.join(self.peer.files, name)
        with open(path, "w", encoding="ascii") as stream:
            stream.write(content)
        return path

    def play(self, uri, *words):
        return peers.run(["virsh", "-c", uri, *words])

    def ok(self, uri, *words):
        status, out, err = self.play(uri, *words)
        self.assertEqual(0, status, f"virsh {' '.join(words)}: {err}\n{self.qemu.log()[-2000:]}")
        return out

    def storage(self, *words):
        return self.ok(self.peer.uri, *words)

    def domain(self, *words):
        return self.ok(self.qemu.uri, *words)

    def cistern(self, *words):
        return peers.run([space.CISTERN, "-c", self.peer.uri, *words])

    def boot_disk(self):
        """A raw disk that can be booted."""
        objects, disk = os.path.join(self.peer.files, "boot.o"), os.path.join(self.peer.files, "boot")
        subprocess.run(["as", "--32", "-o", objects, self.file("boot.s", BOOT_SECTOR)], check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o",
                        disk, objects], check=True)
        os.truncate(disk, 4 << 20)
        return disk

    def volume(self):
        """The qcow2 volume "v", made by cisternd from the boot disk."""
        self.storage("vol-create-as", "p", "boot", "4M")
        self.storage("vol-upload", "boot", self.boot_disk(), "--pool", "p")
        xml = self.file("v.xml", "<volume><name>v</name><capacity unit='MiB'>4</capacity>"
                        "<target><format type='qcow2'/></target></volume>")
        self.storage("vol-create-from", "p", xml, "boot", "--inputpool", "p")

    def start(self, name="d", volume="v", form="qcow2", more=""):
        """Defines and starts a domain; returns how messages name its process."""
        serial = os.path.join(self.peer.files, name + ".serial")
        self.domain("define", self.file(name + ".xml", DOMAIN.format(
            name=name, volume=volume, form=form, more=more, serial=serial)))
        self.domain("start", name)
        return f"process {self.qemu.domain_pid(name)} (qemu-system-x86, domain '{name}')"

    def serial(self, name="d"):
        with open(os.path.join(self.peer.files, name + ".serial"), encoding="ascii") as stream:
            return stream.read()

    def opened(self, name="d"):
        """The paths of what the domain's process has open."""
        place = f"/proc/{self.qemu.domain_pid(name)}/fd"
        return [os.readlink(os.path.join(place, number)) for number in os.listdir(place)]

    def content(self):
        with open(self.at("p", "v"), "rb") as stream:
            return stream.read()


@cases.long("libvirt is built from source; tests of stock libvirtd have the look-ups")
class Domains(OnCisternd):
    def test_a_volume_boots(self):
        self.volume()
        self.start()
        self.assertIn(self.at("p", "v"), self.opened())
        self.wait_until(lambda: "WRITTEN" in self.serial(), "the guest writes", 60)
        self.assertIn("BOOTED", self.serial())

    def test_what_a_domain_has_is_not_changed(self):
        self.volume()
        data = self.boot_disk()
        self.cistern("snap-create", "v", "before", "--pool", "p")
        holder = self.start()
        self.wait_until(lambda: "WRITTEN" in self.serial(), "the guest writes", 60)
        before = self.content()
        copy = self.file("copy.xml", "<volume><name>c</name><capacity>0</capacity></volume>")
        for command in ("vol-resize v 1M --shrink --pool p", "vol-delete v --pool p",
                        "vol-wipe v --pool p", f"vol-upload v {data} --pool p",
                        "vol-clone v c --pool p", f"vol-download v {copy}.raw --pool p"):
            for client, (status, _, err) in {
                    "virsh": self.play(self.peer.uri, *command.split()),
                    "cistern": self.cistern(*command.split(), *(
                        ["--yes"] if "wipe" in command or "upload" in command else []))}.items():
                with self.subTest(client=client, command=command):
                    self.assertNotEqual(0, status)
                    self.assertIn(holder, err)
        for command in ("snap-create v s", "snap-revert v before --yes", "snap-delete v before --yes",
                        "vol-sparsify v", "vol-check v --repair all"):
            with self.subTest(command=command):
                status, _, err = self.cistern(*command.split(), "--pool", "p")
                self.assertEqual(5, status, err)
                # The storage cannot keep the snapshot, whichever process has the image open.
                self.assertIn("domain 'd' (running" if "create" in command else holder, err)
        self.assertEqual(before, self.content())
        self.storage("vol-info", "v", "--pool", "p")
        self.domain("destroy", "d")
        self.storage("vol-resize", "v", "8M", "--pool", "p")
        self.storage("vol-delete", "boot", "--pool", "p")

    def test_resize_snapshot_and_commit_under_a_running_domain(self):
        self.volume()
        holder = self.start()
        self.storage("vol-resize", "v", "8M", "--pool", "p")
        self.assertIn("8388608", self.domain("domblkinfo", "d", "vda"))
        self.domain("blockresize", "d", "vda", "16M")
        self.wait_until(lambda: "16777216" in self.storage("vol-info", "v", "--pool", "p",
                                                           "--bytes"), "the new size is seen")
        self.domain("snapshot-create-as", "d", "s", "--disk-only", "--no-metadata", "--diskspec",
                    f"vda,file={self.at('p', 'v.s')}")
        self.wait_until(lambda: "v.s" in self.storage("vol-list", "p"), "the overlay is seen")
        for name in ("v", "v.s"):
            status, _, err = self.play(self.peer.uri, "vol-delete", name, "--pool", "p")
            self.assertEqual(1, status)
            self.assertIn(holder, err)
        self.domain("blockcommit", "d", "vda", "--active", "--pivot", "--wait")
        self.assertIn(self.at("p", "v"), self.opened())
        self.assertNotIn(self.at("p", "v.s"), self.opened())
        self.storage("vol-delete", "v.s", "--pool", "p")
        self.domain("destroy", "d")
        status, out, err = self.cistern("vol-check", "v", "--pool", "p")
        self.assertEqual(0, status, out + err)

    def test_cisternd_restarts_underneath(self):
        self.volume()
        holder = self.start()
        self.peer.restart()
        self.assertIn(holder, self.play(self.peer.uri, "vol-delete", "v", "--pool", "p")[2])
        self.assertIn("active", self.domain("pool-list"))
        self.domain("destroy", "d")
        self.domain("start", "d")
        self.assertIn("running", self.domain("domstate", "d"))


@cases.long("libvirt is built from source; tests of stock libvirtd have the look-ups")
class Secrets(OnCisternd):
    def secret(self, private):
        """A secret with the passphrase of encrypted(); returns its uuid."""
        new = str(uuid.uuid4())
        self.addCleanup(self.play, self.secret_uri, "secret-undefine", new)
        self.ok(self.secret_uri, "secret-define", self.file(
            "secret.xml", f"<secret private='{private}'><uuid>{new}</uuid></secret>"))
        self.ok(self.secret_uri, "secret-set-value", new, "--file",
                self.file("passphrase", "hunter22"), "--plain")
        return new

    def encrypted(self):
        luks.create(self.at("p", "enc"), "2M", passphrase="hunter22")
        self.storage("pool-refresh", "p")

    def test_an_encrypted_volume_is_opened_with_a_secret(self):
        self.encrypted()
        for private in ("no", "yes"):
            with self.subTest(private=private):
                new = self.secret(private)
                self.assertIn(new, self.domain("secret-list"))
                holder = self.start("e", "enc", "raw", LUKS.format(new))
                self.assertIn(holder,
                              self.play(self.peer.uri, "vol-delete", "enc", "--pool", "p")[2])
                self.domain("destroy", "e")
                self.domain("undefine", "e")
                for uri in (self.secret_uri, self.qemu.uri):
                    status, out, err = self.play(uri, "secret-get-value", new, "--plain")
                    self.assertEqual((1, "") if private == "yes" else (0, "hunter22"),
                                     (status, out.strip()), err)

    def test_without_the_secret_it_is_not(self):
        self.encrypted()
        serial = os.path.join(self.peer.files, "serial")
        self.domain("define", self.file("e.xml", DOMAIN.format(
            name="e", volume="enc", form="raw", serial=serial, more=LUKS.format(uuid.uuid4()))))
        status, _, err = self.play(self.qemu.uri, "start", "e")
        self.assertEqual(1, status)
        self.assertIn("Secret not found", err)

    def test_virtsecretd_and_cisternd_never_manage_them_together(self):
        other = modular.Modular("virtsecretd", self.peer)
        self.addCleanup(other.stop)
        known = self.secret("no")
        with self.assertRaises(peers.PeerError) as refused:
            other.start()
        self.assertIn("Failed to acquire pid file", str(refused.exception))
        self.peer.stop()
        other.start()
        self.peer.start()
        own = f"secret+unix:///system?socket={self.peer.sock}"
        holder = f"process {other.process.pid} (virtsecretd)"
        new = str(uuid.uuid4())
        self.ok(other.uri, "secret-define",
                self.file("new.xml", f"<secret><uuid>{new}</uuid></secret>"))
        self.ok(other.uri, "secret-set-value", new, "--base64", "bmV3")
        self.assertEqual("new\n", self.ok(own, "secret-get-value", new, "--plain"))
        self.assertIn(known, self.ok(other.uri, "secret-list"))
        status, _, err = self.play(own, "secret-undefine", new)
        self.assertEqual(1, status)
        self.assertIn(holder, err)
        other.stop()
        self.ok(own, "secret-undefine", new)
        self.peer.restart()
        self.assertIn(known, self.ok(self.secret_uri, "secret-list"))


@unittest.skipUnless(shutil.which("virt-install"), "virt-install is not installed")
@cases.long("libvirt is built from source; tests of stock libvirtd have the look-ups")
class VirtInstall(OnCisternd):
    NEW_DISK = "pool=p,size=0.0625,format=qcow2"

    def install(self, *words):
        """The outcome of making the domain "d", which boots from the volume "v"."""
        serial = os.path.join(self.peer.files, "d.serial")
        return peers.run(
            ["virt-install", "--connect", self.qemu.uri, "--name", "d", "--memory", "64",
             "--virt-type", "qemu", "--osinfo", "generic", "--import", "--noautoconsole",
             "--graphics", "none", "--network", "none", "--serial", f"file,path={serial}",
             "--disk", "vol=p/v", *words], timeout=120)

    def installed(self, *words):
        status, out, err = self.install(*words)
        self.assertEqual(0, status, f"{out}{err}\n{self.qemu.log()[-2000:]}")
        return out

    def state(self):
        return (self.content(), sorted(os.listdir(self.at("p"))), self.storage("vol-list", "p"),
                self.domain("list", "--all", "--name").split())

    def test_a_domain_gets_a_new_volume_and_boots(self):
        self.volume()
        self.installed("--disk", self.NEW_DISK)
        self.assertIn("running", self.domain("domstate", "d"))
        self.assertLessEqual({self.at("p", "v"), self.at("p", "d.qcow2")}, set(self.opened()))
        self.wait_until(lambda: "WRITTEN" in self.serial(), "the guest writes", 60)
        made = self.storage("vol-dumpxml", "d.qcow2", "--pool", "p")
        self.assertIn("<capacity unit='bytes'>67108864</capacity>", made)
        self.assertIn("<format type='qcow2'/>", made)
        status, _, err = self.play(self.peer.uri, "vol-delete", "d.qcow2", "--pool", "p")
        self.assertEqual(1, status)
        self.assertIn("domain 'd'", err)
        self.domain("destroy", "d")
        self.domain("undefine", "d", "--storage", self.at("p", "d.qcow2"))
        self.assertNotIn("d.qcow2", self.storage("vol-list", "p"))

    def test_an_overlay_is_made_on_a_volume(self):
        self.volume()
        self.installed("--disk", f"{self.NEW_DISK},backing_store={self.at('p', 'boot')},"
                                 "backing_format=raw")
        self.assertIn(f"<path>{self.at('p', 'boot')}</path>",
                      self.storage("vol-dumpxml", "d.qcow2", "--pool", "p"))
        self.assertIn(self.at("p", "boot"), self.opened())

    def test_a_dry_run_leaves_nothing_behind(self):
        self.volume()
        before = self.state()
        self.installed("--dry-run", "--disk", self.NEW_DISK)
        self.assertEqual(before, self.state())
        xml = self.installed("--dry-run", "--print-xml", "--disk", self.NEW_DISK)
        self.assertIn(self.at("p", "d.qcow2"), xml)
        self.assertEqual(before, self.state())

    def test_an_installation_that_fails_takes_its_volume_along(self):
        """QEMU refuses to have one file as a disk and below another."""
        self.volume()
        before = self.state()
        status, out, err = self.install(
            "--disk", f"{self.NEW_DISK},backing_store={self.at('p', 'v')},backing_format=qcow2")
        self.assertEqual(1, status, out)
        self.assertIn("lock", err)
        self.assertIn("Removing disk 'd.qcow2'", out)
        self.assertEqual(before, self.state())
