# SPDX-License-Identifier: LGPL-2.1-or-later
"""Volumes given out: as images of every format, to files, devices and stdout, whole or not at all."""

import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import tarfile
import xml.etree.ElementTree

from harness import peers, space, wait
from harness.cases import WithDaemon

MIB = 1 << 20
TENANT = 65534
# How qemu-img calls them, by the ends of names that vol-export knows.
FORMATS = {"raw": "raw", "img": "raw", "qcow2": "qcow2", "qcow": "qcow", "qed": "qed", "vdi": "vdi",
           "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "hdd": "parallels"}
OVF = "{http://schemas.dmtf.org/ovf/envelope/1}"


class Exporting(WithDaemon):
    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "disk", "64M", "--format", "qcow2")
        self.disk = self.at("p", "disk")
        self.io("write -P 5 1M 3M", "write -P 7 40M 100k", "write -P 9 67107840 1k")

    def io(self, *commands, image=None, fmt="qcow2"):
        words = [word for command in commands for word in ("-c", command)]
        status, out, err = peers.run(["qemu-io", "-f", fmt, *words, image or self.disk])
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("failed", out)

    def out(self, name):
        return os.path.join(self.peer.files, name)

    def export(self, *words, **options):
        status, out, err = self.cistern("vol-export", "--pool", "p", *words, **options)
        # On a slow machine a line of progress comes now and then.
        self.assertEqual((0, ""), (status, re.sub(r"^Exporting \[.*\n", "", err, flags=re.M)))
        return out

    def export_fails(self, *words, text, code):
        status, _, err = self.cistern("vol-export", "--pool", "p", *words)
        self.assertEqual(code, status, err)
        self.assertIn(text, err)

    def assert_same(self, image, fmt, with_image=None, with_fmt="qcow2"):
        """As qemu-img reads both; some formats round the size up."""
        status, out, err = peers.run(["qemu-img", "compare", "-f", fmt, "-F", with_fmt, image,
                                      with_image or self.disk])
        self.assertEqual(0, status, out + err)

    def test_every_format(self):
        for end, fmt in FORMATS.items():
            with self.subTest(end=end):
                target = self.out(f"disk.{end}")
                self.export("disk", target)
                self.assert_same(target, fmt)
                self.assertLess(os.stat(target).st_blocks * 512, 8 * MIB)
        self.export("disk", self.out("other.img"), "--format", "vdi")
        self.assert_same(self.out("other.img"), "vdi")

    def test_compressed(self):
        for end in ("qcow2", "vmdk"):
            target = self.out(f"disk.{end}")
            self.export("disk", target, "--compress")
            self.assert_same(target, end)
            self.assertLess(os.stat(target).st_size, MIB)
        self.export("disk", self.out("other.qcow2"), "-o", "cluster_size=2M")
        self.assertIn("cluster_size: 2097152",
                      peers.run(["qemu-img", "info", self.out("other.qcow2")])[1])
        self.export_fails("disk", self.out("disk.raw"), "--compress", text="compressed", code=1)
        self.assertFalse(os.path.lexists(self.out("disk.raw")))

    def test_a_volume_larger_than_the_memory_buffer(self):
        """Through the window of the pipe, on all processors, out of order."""
        self.ok("vol-create-as", "p", "big", "300M", "--format", "raw", "--allocation", "0")
        with open(self.at("p", "big"), "r+b") as stream:
            block = os.urandom(MIB)
            for number in range(0, 300, 3):
                stream.seek(number * MIB + 1234)
                stream.write(block)
        for words in (["big.qcow2"], ["packed.qcow2", "--compress"], ["packed.vmdk", "--compress"]):
            with self.subTest(words=words):
                target = self.out(words[0])
                self.export("big", target, *words[1:])
                self.assert_same(target, target.rsplit(".", 1)[1], self.at("p", "big"), "raw")
                os.unlink(target)

    def test_the_backing_chain_is_exported_too(self):
        self.ok("vol-create-as", "p", "top", "64M", "--format", "qcow2", "--backing-vol", "disk",
                "--backing-vol-format", "qcow2")
        self.io("write -P 1 2M 1M", image=self.at("p", "top"))
        self.export("top", self.out("top.qcow2"))
        self.assert_same(self.out("top.qcow2"), "qcow2", self.at("p", "top"))
        self.assertNotIn("backing", peers.run(["qemu-img", "info", self.out("top.qcow2")])[1])

    def test_snapshots(self):
        self.export("disk", self.out("then.raw"))
        self.assertEqual(0, self.cistern("snap-create", "disk", "then", "--pool", "p")[0])
        self.io("write -P 1 0 64M")
        self.export("disk", self.out("snapshot.vdi"), "--snapshot", "then")
        self.assert_same(self.out("snapshot.vdi"), "vdi", self.out("then.raw"), "raw")
        self.export_fails("disk", self.out("no"), "--snapshot", "nosuch", text="nosuch", code=3)
        self.assertFalse(os.path.lexists(self.out("no")))

    def test_an_ova(self):
        """As others read it: names, sizes, digests, and a disk that has the content."""
        target = self.out("web server.ova")
        self.export("disk", target)
        where = self.out("unpacked")
        with tarfile.open(target) as archive:
            names = archive.getnames()
            archive.extractall(where)
        self.assertEqual(["web server.ovf", "web server-disk1.vmdk", "web server.mf"], names)
        disk = os.path.join(where, names[1])
        self.assert_same(disk, "vmdk")
        self.assertIn("streamOptimized", peers.run(["qemu-img", "info", disk])[1])
        with open(os.path.join(where, names[2]), encoding="utf-8") as stream:
            said = dict(line.strip().split(")= ") for line in stream)
        for name in names[:2]:
            with open(os.path.join(where, name), "rb") as stream:
                self.assertEqual(hashlib.sha256(stream.read()).hexdigest(), said[f"SHA256({name}"])
        root = xml.etree.ElementTree.parse(os.path.join(where, names[0])).getroot()
        file = root.find(f"{OVF}References/{OVF}File")
        self.assertEqual((names[1], str(os.path.getsize(disk))),
                         (file.get(f"{OVF}href"), file.get(f"{OVF}size")))
        self.assertEqual(str(64 * MIB),
                         root.find(f"{OVF}DiskSection/{OVF}Disk").get(f"{OVF}capacity"))
        self.assertEqual("web server", root.find(f"{OVF}VirtualSystem/{OVF}Name").text)

    def test_stdout(self):
        self.export("disk", self.out("disk.raw"))
        argv = [space.CISTERN, "-c", self.peer.uri, "vol-export", "disk", "-", "--pool", "p"]
        with open(self.out("piped"), "wb") as stream:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=space.ENV, check=False)
            stream.write(done.stdout)
        self.assertEqual((0, b""), (done.returncode, done.stderr))
        self.assert_same(self.out("piped"), "raw")
        # A file that stdout is gets holes.
        with open(self.out("sparse"), "wb") as stream:
            subprocess.run(argv, stdout=stream, env=space.ENV, check=True)
        self.assert_same(self.out("sparse"), "raw")
        self.assertLess(os.stat(self.out("sparse")).st_blocks * 512, 8 * MIB)
        with open(self.out("spooled"), "wb") as stream:
            done = subprocess.run([*argv, "--format", "qcow2", "--compress"], stdout=stream,
                                  stderr=subprocess.PIPE, env=space.ENV, check=True, text=True)
        self.assertIn("TMPDIR", done.stderr)
        self.assert_same(self.out("spooled"), "qcow2")

    def test_a_reader_that_goes_away(self):
        argv = [space.CISTERN, "-c", self.peer.uri, "vol-export", "disk", "-", "--pool", "p"]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=space.ENV)
        child.stdout.read(10)
        child.stdout.close()
        with child.stderr:
            said = child.stderr.read()
        self.assertEqual((-signal.SIGPIPE, b""), (child.wait(20), said))
        self.wait_until(lambda: not self.cistern("job-list", "-H")[1], "the daemon is done with it")

    def test_checksums(self):
        self.export("disk", self.out("disk.qcow2"), "--checksum")
        done = peers.run(["sha256sum", "-c", "disk.qcow2.sha256"], cwd=self.peer.files)
        self.assertEqual((0, "disk.qcow2: OK\n"), done[:2])
        self.export("disk", self.out("disk.raw"), "--checksum-file", self.out("sums"))
        self.assertEqual(0, peers.run(["sha256sum", "-c", "sums"], cwd=self.peer.files)[0])
        self.export_fails("disk", "-", "--checksum", text="sha256sum(1)", code=2)

    def test_a_block_device(self):
        backing = self.file("backing", b"x" * (70 * MIB))
        device = peers.run(["losetup", "--show", "-f", backing])[1].strip()
        self.addCleanup(peers.run, ["losetup", "-d", device])
        self.export_fails("disk", device, text="Overwrite", code=2)
        self.export("disk", device, "--yes", "--checksum-file", self.out("sum"))
        with open(device, "rb") as stream:
            content = stream.read(64 * MIB)
            behind = stream.read()
        self.export("disk", self.out("disk.raw"))
        with open(self.out("disk.raw"), "rb") as stream:
            self.assertEqual(stream.read(), content)
        self.assertEqual(b"x" * 6 * MIB, behind)
        with open(self.out("sum"), encoding="utf-8") as stream:
            self.assertEqual(hashlib.sha256(content).hexdigest(), stream.read().split()[0])
        self.export_fails("disk", device, "--yes", "--format", "ova", text="block device", code=1)

    def test_a_disk_that_is_full(self):
        """What was there stays as it was, and nothing is left beside it."""
        where = self.out("small")
        os.mkdir(where)
        peers.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", where])
        self.addCleanup(peers.run, ["umount", where])
        target = os.path.join(where, "disk.qcow2")
        with open(target, "wb") as stream:
            stream.write(b"of yesterday")
        self.export_fails("disk", target, "--yes", text=f"cannot write '{target}': it needs ", code=1)
        self.assertEqual(["disk.qcow2"], os.listdir(where))
        with open(target, "rb") as stream:
            self.assertEqual(b"of yesterday", stream.read())

    def test_interrupted(self):
        self.ok("vol-create-as", "p", "big", "256M", "--format", "raw")
        peers.run(["qemu-io", "-f", "raw", "-c", "write -P 3 0 256M", self.at("p", "big")])
        argv = [space.CISTERN, "-c", self.peer.uri, "vol-export", "big", self.out("big.qcow2"),
                "--pool", "p", "--rate-limit", "256K"]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=space.ENV)
        self.wait_until(lambda: [job for job in json.loads(
            self.cistern("--json", "job-list")[1])["jobs"] if job["done"]],
            "the export has written a part", lambda: self.cistern("job-list")[1])
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=wait.LIMIT_S)  # the whole export takes a quarter of an hour
        self.assertNotEqual(0, child.returncode)
        self.assertEqual([], [name for name in os.listdir(self.peer.files) if "big" in name
                              or name.startswith(".cistern")])
        self.wait_until(lambda: not self.cistern("job-list", "-H")[1], "the daemon is done with it")

    def test_the_daemon_dies(self):
        self.ok("vol-create-as", "p", "big", "256M", "--format", "raw")
        peers.run(["qemu-io", "-f", "raw", "-c", "write -P 3 0 256M", self.at("p", "big")])
        argv = [space.CISTERN, "-c", self.peer.uri, "vol-export", "big", self.out("big.qcow2"),
                "--pool", "p", "--rate-limit", "8M"]
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=space.ENV,
                                 text=True)
        self.wait_until(lambda: self.cistern("job-list", "-H")[1], "it is a job")
        self.peer.process.kill()
        self.peer.process.wait()
        _, err = child.communicate(timeout=20)
        self.assertNotEqual(0, child.returncode)
        self.assertIn("Failed to export vol big", err)
        self.assertFalse(os.path.lexists(self.out("big.qcow2")))
        self.peer.start()

    def test_what_a_machine_writes_to(self):
        machine = subprocess.Popen(["qemu-io", "-f", "qcow2", self.disk], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE)
        self.addCleanup(machine.communicate)
        self.wait_until(lambda: "qemu-io" in self.cistern("vol-holders", "disk", "--pool", "p")[1],
                        "QEMU has it open")
        self.export_fails("disk", self.out("no"), text="qemu-io", code=5)
        self.assertFalse(os.path.lexists(self.out("no")))
        self.export("disk", self.out("anyway"), "--force-share")

    def test_users_without_access_to_the_volume_cannot_read_the_copy(self):
        self.export("disk", self.out("disk.qcow2"))
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.out("disk.qcow2")).st_mode))
        self.assertNotEqual(0, peers.run(["cat", self.out("disk.qcow2")], user=TENANT)[0])

    def test_what_somebody_planted_is_not_written_to(self):
        """A link at the name of the checksum, in a directory that others may write to."""
        where = self.out("shared")
        os.mkdir(where)
        os.chmod(where, 0o1777)
        victim = self.file("victim", b"precious")
        os.symlink(victim, os.path.join(where, "disk.raw.sha256"))
        self.export("disk", os.path.join(where, "disk.raw"), "--checksum", "--yes")
        with open(victim, "rb") as stream:
            self.assertEqual(b"precious", stream.read())

    def test_embedded(self):
        self.peer.stop()
        target = self.out("disk.vhdx")
        status, _, err = peers.run([space.CISTERN, "--embedded", "--root", self.peer.root,
                                    "vol-export", "disk", target, "--pool", "p"], env=space.ENV)
        self.assertEqual((0, ""), (status, err))
        self.assert_same(target, "vhdx")
