# SPDX-License-Identifier: LGPL-2.1-or-later
"""A copy that cannot fit is refused before its first byte; one that fits because it is sparse is made."""

import gzip
import os
import subprocess
import tarfile
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20


@unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
class Room(WithDaemon):
    """Pool "small" lies on an ext4 file system of 24 MiB, and "q" has a volume of 32 MiB of data."""

    def setUp(self):
        super().setUp()
        disk = os.path.join(self.peer.files, "disk.ext4")
        self.small = os.path.join(self.peer.files, "small")
        os.makedirs(self.small)
        with open(disk, "wb") as out:
            out.truncate(24 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", disk], check=True)
        space.mount(self.small, "-o", "loop", disk)
        self.addCleanup(space.unmount, self.small)
        os.rmdir(os.path.join(self.small, "lost+found"))
        self.ok("pool-create-as", "small", "dir", "--target", self.small)
        self.addCleanup(self.virsh, "pool-destroy", "small")
        self.data = self.file("data.raw", os.urandom(32 * MIB))
        self.assertEqual(0, self.cistern("vol-import", self.data, "data", "--pool", "p")[0])

    def file(self, name, content):
        path = os.path.join(self.peer.files, name)
        with open(path, "wb") as out:
            out.write(content)
        return path

    def sparse(self, name, allocated):
        """64 MiB with one of data; ALLOCATED: of zeroes that take space in the source."""
        path = os.path.join(self.peer.files, name)
        with open(path, "wb") as out:
            out.write(os.urandom(MIB))
            if allocated:
                for _ in range(63):
                    out.write(bytes(MIB))
            out.truncate(64 * MIB)
        return path

    def is_refused(self, *words, text):
        status, names = os.stat(self.small), os.listdir(self.small)
        for dry in ((), ("--dry-run",)):
            with self.subTest(words=words, dry=dry):
                code, out, err = self.cistern(*words, *dry)
                self.assertEqual(1, code, out + err)
                self.assertRegex(err, text)
                self.assertEqual(names, os.listdir(self.small))
                # Neither a draft nor another file has come and gone.
                self.assertEqual(status.st_mtime_ns, os.stat(self.small).st_mtime_ns)
        self.assertEqual([], self.journal())

    def journal(self):
        path = os.path.join(self.peer.root, "var/lib/cistern/journal")
        return [name for name in os.listdir(path) if not name.startswith(".")]

    def into_pool(self, *words, name="x", needed=r"32\.00 MiB"):
        self.is_refused(*words, text=rf"cannot make volume '{name}' in pool 'small': it needs {needed} "
                                     r"and the pool has \d+\.\d\d MiB available; free space in the pool")

    def into_file(self, *words):
        self.is_refused(*words, text=rf"cannot write '{self.small}/x\S*': it needs 32\.\d\d MiB and its "
                                     r"file system has \d+\.\d\d MiB available; free space there")

    def test_import_is_refused(self):
        self.into_pool("vol-import", self.data, "x", "--pool", "small")
        self.into_pool("vol-import", self.file("z.raw.gz", gzip.compress(self.content(), 1)), "x",
                       "--pool", "small", "--format", "qcow2")

    def content(self):
        with open(self.data, "rb") as stream:
            return stream.read()

    def test_import_of_stdin_is_refused(self):
        with open(self.data, "rb") as stdin:
            argv = [space.CISTERN, "-c", self.peer.uri, "vol-import", "-", "x", "--pool", "small"]
            done = subprocess.run(argv, stdin=stdin, env=space.ENV, text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(1, done.returncode)
        self.assertIn("it needs 32.00 MiB", done.stderr)
        self.assertEqual([], os.listdir(self.small))

    def test_import_of_package_is_refused_for_all_its_disks(self):
        """Each disk fits alone."""
        for name in ("a", "b"):
            self.assertEqual(0, self.cistern("vol-import", self.file(name, os.urandom(16 * MIB)), name,
                                             "--pool", "p")[0])
            self.assertEqual(0, self.cistern("vol-export", name, f"{self.peer.files}/{name}.vmdk",
                                             "--pool", "p", "--format", "vmdk", "-o",
                                             "subformat=streamOptimized")[0])
        disks = "".join(f'<Disk ovf:diskId="{n}" ovf:fileRef="{n}" ovf:capacity="{16 * MIB}"/>'
                        for n in "ab")
        files = "".join(f'<File ovf:id="{n}" ovf:href="{n}.vmdk"/>' for n in "ab")
        ovf = self.file("m.ovf", (
            '<?xml version="1.0"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" '
            'xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">'
            f"<References>{files}</References><DiskSection><Info/>{disks}</DiskSection>"
            "</Envelope>").encode())
        ova = os.path.join(self.peer.files, "m.ova")
        with tarfile.open(ova, "w") as tar:
            for path in (ovf, f"{self.peer.files}/a.vmdk", f"{self.peer.files}/b.vmdk"):
                tar.add(path, os.path.basename(path))
        self.into_pool("vol-import", ova, "x", "--pool", "small", needed=r"32\.\d\d MiB")

    def test_copies_of_volumes_are_refused(self):
        source = ("data", "--pool", "p")
        for form in ("raw", "qcow2"):
            document = self.file("x.xml", (
                "<volume><name>x</name><capacity>0</capacity><allocation>0</allocation>"
                f"<target><format type='{form}'/></target></volume>").encode())
            self.into_pool("vol-create-from", "small", document, "data", "--inputpool", "p")
        self.into_pool("vol-convert", *source, "x", "--newpool", "small", "--format", "vdi")
        self.into_pool("vol-move", *source, "--newpool", "small", name="data")
        self.assertEqual(self.content(), self.stored("p", "data"))

    def test_clone_is_refused(self):
        path = self.file("half.raw", os.urandom(16 * MIB))
        self.assertEqual(0, self.cistern("vol-import", path, "half", "--pool", "small")[0])
        self.into_pool("vol-clone", "half", "--pool", "small", "x", needed=r"16\.00 MiB")

    def stored(self, pool, name):
        with open(self.at(pool, name), "rb") as stream:
            return stream.read()

    def test_preallocated_copy_of_sparse_volume_is_refused(self):
        self.ok("vol-create-as", "p", "empty", "32M", "--allocation", "0")
        self.into_pool("vol-convert", "empty", "--pool", "p", "x", "--newpool", "small", "--format",
                       "raw", "-o", "preallocation=falloc")
        self.into_pool("vol-import", self.sparse("s.raw", False), "x", "--pool", "small",
                       "--preallocation", "falloc", needed=r"64\.00 MiB")

    def test_restore_is_refused(self):
        repo = os.path.join(self.peer.files, "repo")
        for words in (("backup-init", repo, "--no-encryption"), ("backup-create", repo, "p/data")):
            code, _, err = self.cistern(*words)
            self.assertEqual(0, code, err)
        self.into_pool("backup-restore", repo, "latest", "p/data", "--newname", "x",
                       "--pool", "small")

    def test_files_outside_of_pools_are_refused(self):
        target = os.path.join(self.small, "x")
        self.into_file("vol-export", "data", target, "--pool", "p")
        self.into_file("vol-export", "data", target + ".qcow2", "--pool", "p")
        self.into_file("vol-download", "data", target, "--pool", "p")
        self.into_file("vol-download", "data", target, "--pool", "p", "--sparse")
        self.into_file("image-convert", "-f", "raw", "-O", "qcow2", self.data, target)
        self.into_file("image-dd", "-f", "raw", f"if={self.data}", f"of={target}")

    def test_download_of_a_part_or_of_a_sparse_volume_fits(self):
        target = os.path.join(self.small, "x")
        self.ok("vol-create-as", "p", "holes", "64M", "--allocation", "0")
        for words in (["data", target, "--offset", str(16 * MIB)], ["data", target, "--length", "4096"],
                      ["holes", target, "--sparse"]):
            code, out, err = self.cistern("vol-download", *words, "--pool", "p")
            self.assertEqual(0, code, out + err)
            os.unlink(target)

    def test_sparse_download_of_an_empty_part_fits(self):
        path = self.sparse("s.raw", False)
        with open(path, "ab") as out:
            out.write(os.urandom(32 * MIB))
        self.assertEqual(0, self.cistern("vol-import", path, "s", "--pool", "p")[0])
        target = os.path.join(self.small, "x")
        code, out, err = self.cistern("vol-download", "s", target, "--pool", "p", "--sparse",
                                      "--length", str(64 * MIB))
        self.assertEqual(0, code, out + err)
        self.assertEqual(64 * MIB, os.path.getsize(target))

    def test_whole_image_of_sparse_source_is_refused(self):
        self.is_refused("image-convert", "-f", "raw", "-S", "0", self.sparse("s.raw", False),
                        os.path.join(self.small, "x"), text=r"it needs 64\.00 MiB")

    def test_sparse_source_of_large_capacity_fits(self):
        for allocated in (False, True):
            path = self.sparse("s.raw", allocated)
            self.assertEqual(0, self.cistern("vol-import", path, "s", "--pool", "p")[0])
            target = os.path.join(self.small, "x")
            document = self.file("x.xml", b"<volume><name>x</name><capacity>0</capacity>"
                                          b"<allocation>0</allocation></volume>")
            for words in (("vol-import", path, "x", "--pool", "small"),
                          ("vol-create-from", "small", document, "s", "--inputpool", "p"),
                          ("vol-convert", "s", "x", "--pool", "p", "--newpool", "small", "--format",
                           "qcow2"),
                          ("vol-export", "s", target, "--pool", "p"),
                          ("image-convert", "-f", "raw", "-O", "qcow2", path, target),
                          ("image-dd", "-f", "raw", f"if={path}", f"of={target}")):
                with self.subTest(words=words, allocated=allocated):
                    code, _, err = self.cistern(*words)
                    self.assertEqual(0, code, err)
                    self.assertEqual(["x"], os.listdir(self.small))
                    compared = peers.run(["qemu-img", "compare", path, target])
                    self.assertEqual(0, compared[0], compared)
                    os.unlink(target)
                    self.ok("pool-refresh", "small")
            self.ok("vol-delete", "s", "--pool", "p")

    def test_compressed_image_that_can_not_fit_is_refused(self):
        """Deflate shrinks nothing to less than a thousandth."""
        tiny = os.path.join(self.peer.files, "tiny")
        os.makedirs(tiny)
        space.tmpfs(tiny, "64k")
        self.addCleanup(space.unmount, tiny)
        path, target = self.file("x.raw", b"x" * (128 * MIB)), os.path.join(tiny, "x")
        self.assertEqual(0, self.cistern("vol-import", path, "x", "--pool", "p",
                                         "--source-format", "raw")[0])
        for words in (("vol-export", "x", target + ".qcow2", "--pool", "p", "--compress"),
                      ("vol-export", "x", target + ".ova", "--pool", "p"),
                      ("image-convert", "-f", "raw", "-O", "qcow2", "--compress", path, target)):
            for dry in ((), ("--dry-run",)):
                with self.subTest(words=words, dry=dry):
                    code, out, err = self.cistern(*words, *dry)
                    self.assertEqual(1, code, out + err)
                    self.assertRegex(err, r"it needs 127\.\d\d KiB and its file system has 64\.00 KiB")
                    self.assertEqual([], os.listdir(tiny))

    def test_compressed_image_fits_where_its_content_does_not(self):
        path = self.file("text.raw", b"the same line again\n" * (32 * MIB // 20))
        code, _, err = self.cistern("image-convert", "-f", "raw", "-O", "qcow2", "--compress", path,
                                    os.path.join(self.small, "x"))
        self.assertEqual(0, code, err)
