# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-import: images from elsewhere, by QEMU and by attackers, become volumes whole or not at all."""

import bz2
import contextlib
import fcntl
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import signal
import struct
import subprocess
import termios
import threading
import time
import unittest
import zlib

from harness import peers, space, wait
from harness.cases import WithDaemon

MIB = 1 << 20
TENANT = 65534
RESCUE = "/usr/lib/grub-rescue"


def zstd(data, *words):
    return subprocess.run(["zstd", "-q", "-c", *words], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


COMPRESSIONS = {"gz": gzip.compress, "xz": lzma.compress, "zst": zstd, "bz2": bz2.compress}
# What qemu-img makes: format, and options of the image.
FORMATS = [("raw", ()), ("qcow2", ()), ("qcow2", ("-o", "compat=0.10")), ("qcow", ()), ("qed", ()),
           ("vdi", ()), ("vmdk", ()), ("vmdk", ("-o", "subformat=streamOptimized")), ("vpc", ()),
           ("vhdx", ()), ("parallels", ()), ("qcow2", ("-c",)),
           ("qcow2", ("-c", "-o", "compression_type=zstd"))]


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


def digest(data, kind="sha256"):
    return f"{kind}:{hashlib.new(kind, data).hexdigest()}"


class Importing(WithDaemon):
    def setUp(self):
        super().setUp()
        self.spool = os.path.join(self.peer.files, "spool")
        os.makedirs(self.spool)

    def content(self):
        """A disk of 6 MiB: data, zeroes, data at its end."""
        return os.urandom(MIB) + bytes(4 * MIB) + b"text " * (MIB // 5) + bytes(MIB % 5)

    def image(self, name, content, fmt, *options):
        """An image that qemu-img made of @content."""
        raw = self.file(name + ".raw", content)
        path = os.path.join(self.peer.files, name)
        status, _, err = peers.run(["qemu-img", "convert", "-f", "raw", "-O", fmt, *options, raw, path])
        self.assertEqual(0, status, err)
        os.unlink(raw)
        return path

    def run_import(self, *words, stdin=b"", pool="p"):
        done = subprocess.run([space.CISTERN, "-c", self.peer.uri, "vol-import", "--pool", pool,
                               "--spool-dir", self.spool, *words], input=stdin, env=space.ENV,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    def start(self, *words, **options):
        return self.background([space.CISTERN, "-c", self.peer.uri, "vol-import", "--pool", "p",
                                "--spool-dir", self.spool, *words], **options)

    def made(self, *words, note=None, **options):
        """It is imported; returns the name of the volume."""
        status, out, err = self.run_import(*words, **options)
        err = re.sub(r"Importing .*\n", "", err)  # progress, of what takes long
        self.assertEqual(0, status, err)
        self.assertEqual(f"note: {note}\n" if note else "", err)
        self.assertRegex(out, r"(?s)^Vol \S+ imported from .+\n\n$")
        self.assertEqual([], self.left())
        return out.split()[1]

    def refused(self, *words, text, code=None, **options):
        """It fails with @text; nothing is there that was not there before."""
        before = self.entries("p"), self.ok("vol-list", "p")
        status, out, err = self.run_import(*words, **options)
        self.assertNotEqual(0, status, out)
        self.assertEqual("", out.strip())
        self.assertIn(text, err)
        if code is not None:
            self.assertEqual(code, status, err)
        self.assertEqual(before, (self.entries("p"), self.ok("vol-list", "p")))
        self.assertEqual([], self.left())
        return err

    def assert_content(self, name, content, fmt="raw"):
        raw = self.file("expected", content)
        status, out, err = peers.run(["qemu-img", "compare", "-f", fmt, "-F", "raw",
                                      self.at("p", name), raw])
        self.assertEqual((0, "Images are identical.\n"), (status, out), err)

    def gpg(self, home, *words, stdin=b""):
        done = subprocess.run(["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback",
                               "--passphrase", "", *words], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def signers(self, text):
        """Keyrings of two people, and @text as each of them signs it: beside it, and in it."""
        keys, signed, cleared = [], [], []
        for name in ("ours", "theirs"):
            home = os.path.join("/tmp", f"cst-gpg-{os.getpid()}-{name}")  # short: gpg-agent's socket
            os.makedirs(home, mode=0o700)
            self.addCleanup(shutil.rmtree, home, ignore_errors=True)
            self.addCleanup(subprocess.run, ["gpgconf", "--homedir", home, "--kill", "all"], check=False)
            self.gpg(home, "--quick-generate-key", name, "ed25519", "sign", "never")
            keys.append(self.file(name + ".gpg", self.gpg(home, "--export")))
            signed.append(self.gpg(home, "--detach-sign", stdin=text))
            cleared.append(self.gpg(home, "--clear-sign", stdin=text))
        return keys, signed, cleared

    def left(self):
        """Files of spools and downloads."""
        return [file for _, _, files in os.walk(self.spool) for file in files]

    def spooled_bytes(self, pid):
        """In files without a name that process PID has open in the spool's directory."""
        total = 0
        for fd in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{fd}").startswith(self.spool):
                    total += os.stat(f"/proc/{pid}/fd/{fd}").st_size
        return total

    def spooled(self, name):
        return f"'{name}' is spooled in {self.spool}"

    def downloaded(self, name):
        return f"'{name}' is downloaded to {self.spool}/cistern-{os.geteuid()}"


class Formats(Importing):
    def test_every_format_and_compression(self):
        """What QEMU made of a content is imported as that content, packed or not."""
        content = self.content()
        for number, (fmt, options) in enumerate(FORMATS):
            with self.subTest(fmt=fmt, options=options):
                path = self.image(f"i{number}", content, fmt, *options)
                name = self.made(path)
                self.assertEqual(f"i{number}", name)
                self.assert_prefix(name, content)
                for ending, pack in COMPRESSIONS.items():
                    packed = self.file(f"i{number}-{ending}.img.{ending}", pack(read(path)))
                    name = self.made(packed, note=self.spooled(packed))
                    self.assertEqual(f"i{number}-{ending}", name)
                    self.assert_prefix(name, content)
                self.ok("pool-refresh", "p")

    def assert_prefix(self, name, content):
        """Some formats round a size up: to cylinders, to what they map at a time."""
        found = read(self.at("p", name))
        self.assertEqual(content, found[:len(content)])
        self.assertEqual(b"", found[len(content):].strip(b"\0"))
        self.assertLess(len(found), len(content) + 2 * MIB)
        os.unlink(self.at("p", name))

    def test_every_format_of_the_volume(self):
        content = self.content()
        path = self.image("disk", content, "qcow2")
        for fmt in ("raw", "qcow2", "qcow", "qed", "vdi", "vmdk", "vhdx"):
            name = self.made(path, f"to-{fmt}", "--format", fmt)
            self.assert_content(name, content, fmt)
        self.assertEqual("qcow2", json.loads(self.cistern(
            "vol-list", "p", "--columns", "name,format", "--filter", "name=to-qcow2",
            "--json")[1])["volumes"][0]["format"])
        self.refused(path, "x", "--format", "nothing", text="nothing")

    def test_zeroes_take_no_space(self):
        """In the volume, in the spool, nor on the way; unless they are asked for."""
        content = bytes(200 * MIB) + b"end" + bytes(MIB - 3)
        path = self.file("big.img", b"")
        with open(path, "r+b") as stream:
            stream.truncate(len(content))
            stream.seek(200 * MIB)
            stream.write(b"end")
        self.assertEqual("big", self.made(path))
        self.assertEqual("packed", self.made(self.file("z.gz", gzip.compress(content)), "packed",
                                             note=self.spooled(self.peer.files + "/z.gz")))
        for name in ("big", "packed"):
            self.assertEqual(content, read(self.at("p", name)))
            self.assertLess(os.stat(self.at("p", name)).st_blocks * 512, MIB)
        self.made(path, "full", "--preallocation", "falloc")
        self.assertGreater(os.stat(self.at("p", "full")).st_blocks * 512, 200 * MIB)

    def test_real_images(self):
        """Debian's own, as files that are not disks of whole megabytes."""
        if not os.path.isdir(RESCUE):
            self.skipTest("grub-rescue-pc is not installed")
        for file in sorted(os.listdir(RESCUE)):
            content = read(os.path.join(RESCUE, file))
            name = self.made(os.path.join(RESCUE, file), "--format", "qcow2",
                             "--checksum", digest(content))
            self.assertEqual(file.replace(".img", ""), name)
            size = -len(content) % 512
            self.assert_content(name, content + bytes(size), "qcow2")
            packed = self.file(file + ".xz", lzma.compress(content))
            self.made(packed, name + "-raw", note=self.spooled(packed))
            self.assertEqual(content, read(self.at("p", name + "-raw")))

    def test_odd_sizes(self):
        for size in (1, 511, 513, MIB + 1):
            content = os.urandom(size)
            name = self.made(self.file("odd.bin", content), f"odd{size}", "--source-format", "raw")
            self.assertEqual(content, read(self.at("p", name)))

    def test_snapshots_are_left_out_and_said(self):
        path = self.image("disk", self.content(), "qcow2")
        peers.run(["qemu-img", "snapshot", "-c", "one", path])
        name = self.made(path, "--format", "qcow2", note=f"'{path}' has 1 snapshots, which are left out")
        self.assertNotIn("one", peers.run(["qemu-img", "snapshot", "-l", self.at("p", name)])[1])

    def test_the_format_may_be_forced(self):
        """A raw disk whose guest has written the header of an image stays what it is."""
        path = self.image("disk", self.content(), "qcow2")
        content = read(path)
        self.made(path, "raw", "--source-format", "raw")
        self.assertEqual(content, read(self.at("p", "raw")))
        self.refused(path, "x", "--source-format", "vdi", text="(vdi) is damaged")
        self.refused(path, "x", "--source-format", "nothing", text="nothing")

    def test_sizes(self):
        content = self.content()
        path = self.image("disk", content, "vmdk")
        self.made(path, "grown", "--resize", "40M")
        self.assertEqual(content + bytes(34 * MIB), read(self.at("p", "grown")))
        self.made(path, "same", "--resize", "6M", "--format", "qcow2")
        self.assert_content("same", content, "qcow2")
        self.refused(path, "x", "--resize", "5M", text="has 6.00 MiB, and a smaller size would discard content")
        self.refused(path, "x", "--resize", "many", text="many", code=2)

    def test_another_pool(self):
        content = self.content()
        path = self.image("disk", content, "qcow2")
        os.makedirs(self.at("q"))
        self.ok("pool-create-as", "q", "dir", "--target", self.at("q"))
        self.assertEqual(0, self.cistern("vol-import", path, "--pool", "q")[0])
        self.assertEqual(content, read(self.at("q", "disk")))
        self.refused(path, pool="nosuch", text="nosuch")


class Sources(Importing):
    def test_standard_input(self):
        """By a pipe, packed or not, and from a file that a shell has opened."""
        content = self.content()
        image = read(self.image("disk", content, "vmdk", "-o", "subformat=streamOptimized"))
        for name, given in (("a", image), ("b", gzip.compress(image)), ("c", content)):
            self.made("-", name, stdin=given, note=self.spooled("(standard input)"))
            self.assertEqual(content, read(self.at("p", name)))
        self.assertEqual("disk", self.made("-", stdin=content, note=self.spooled("(standard input)")))
        self.refused("-", "x", stdin=b"", text="is empty")
        with open(self.file("given", content), "rb") as stream:
            status = subprocess.run([space.CISTERN, "-c", self.peer.uri, "vol-import", "-", "whole",
                                     "--pool", "p"], stdin=stream, env=space.ENV, check=False,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((0, b""), (status.returncode, status.stderr))
            stream.seek(MIB)
            status = subprocess.run([space.CISTERN, "-c", self.peer.uri, "vol-import", "-", "rest",
                                     "--pool", "p", "--spool-dir", self.spool], stdin=stream,
                                    env=space.ENV, check=False, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
            self.assertEqual(0, status.returncode, status.stderr)
        self.assertEqual(content, read(self.at("p", "whole")))
        self.assertEqual(content[MIB:], read(self.at("p", "rest")))

    def test_several_members_and_padding(self):
        """As pigz, `cat a.gz b.gz`, pzstd and tapes make them."""
        one, two = os.urandom(MIB), b"2" * MIB
        for ending, pack in COMPRESSIONS.items():
            packed = self.file(f"m.{ending}", pack(one) + pack(b"") + pack(two) + bytes(512))
            self.made(packed, "m-" + ending, note=self.spooled(packed))
            self.assertEqual(one + two, read(self.at("p", "m-" + ending)))

    def test_packed_several_times(self):
        content = os.urandom(MIB)
        packed = zstd(gzip.compress(lzma.compress(content)))
        path = self.file("three.zst", packed)
        self.made(path, note=self.spooled(path))
        self.assertEqual(content, read(self.at("p", "three")))
        self.refused(self.file("four", bz2.compress(packed)), text="is compressed over 3 times")

    def test_names(self):
        content = bytes(4096)
        for file, name in (("Fedora-Cloud 38.qcow2", "Fedora-Cloud_38"), ("..hidden.img", "hidden"),
                           ("-rf.raw", "rf"), ("a;b$(c).vmdk", "a_b__c_"), ("é.img", "__"),
                           ("x" * 150 + ".img", "x" * 100), ("\n\x1b[31m.img", "31m")):
            self.assertEqual(name.lstrip("_") or "disk", self.made(self.file(file, content)).lstrip("_"),
                             file)
        self.refused(self.file("a.raw", content), "b/c", text="b/c")
        self.made(self.file("same.raw", content))
        self.refused(self.file("same.img.gz", gzip.compress(content)), text="'same' exists already")

    def test_what_is_no_file(self):
        self.refused("/nonexistent/x", text="cannot read '/nonexistent/x'", code=3)
        self.refused(self.peer.files, "x", text=self.peer.files)
        self.refused(self.file("empty", b""), text="is empty")

    def test_a_device(self):
        """Of any size, and of others' when it has to have a checksum: it is spooled then."""
        path = self.file("device", self.content())
        status, out, err = peers.run(["losetup", "--show", "-f", "-r", path])
        if status:
            self.skipTest(err)
        device = out.strip()
        self.addCleanup(peers.run, ["losetup", "-d", device])
        self.made(device, "a")
        self.made(device, "b", "--checksum", digest(read(path)), note=self.spooled(device))
        for name in ("a", "b"):
            self.assertEqual(read(path), read(self.at("p", name)))


class Checks(Importing):
    def test_checksums(self):
        """Of the bytes as they come, whichever way; a wrong one leaves nothing."""
        image = read(self.image("disk", self.content(), "qcow2"))
        for kind in ("sha256", "sha384", "sha512"):
            for name, data in (("plain", image), ("packed", gzip.compress(image))):
                path = self.file(f"{name}-{kind}", data)
                note = self.spooled(path) if name == "packed" else None
                self.made(path, "--checksum", digest(data, kind), note=note)
                self.made("-", f"in-{name}-{kind}", "--checksum", digest(data, kind).upper(), stdin=data,
                          note=self.spooled("(standard input)"))
                wrong = digest(data + b"x", kind)
                for words, stdin in (((path, "x"), None), (("-", "x"), data)):
                    self.refused(*words, "--checksum", wrong, stdin=stdin, code=7,
                                 text=f"has the {kind} checksum {digest(data, kind)[7:]}, "
                                      f"and not {wrong[7:]}")
        path = self.file("x.raw", image)
        for text in ("sha256:", "sha256:" + "0" * 63, "sha256:" + "g" * 64, "md5:" + "0" * 32,
                     "0" * 64, "sha256"):
            self.refused(path, "x", "--checksum", text, text="checksum", code=2)

    def test_lists_of_checksums(self):
        """Found by the name of the file, in either form; nothing is taken that is not in there."""
        content = os.urandom(100000)
        path = self.file("disk.raw", content)
        right, wrong = digest(content)[7:], digest(b"")[7:]
        for number, text in enumerate((f"{right}  disk.raw\n{wrong}  other.raw\n",
                                       f"# text\nSHA256 (disk.raw) = {right}\n")):
            self.made(path, f"v{number}", "--checksum-file", self.file("SUMS", text))
        for number, form in enumerate(("{}", "{}\r\n", "{} *./images/disk.raw\r\n",
                                       "SHA256 (images/disk.raw) = {}\n",
                                       "SHA256(disk.raw)= {}\n", "SHA2-256(./disk.raw)= {}\n")):
            for case in (str.lower, str.upper):
                sums = self.file("SUMS", form.format(case(wrong)))
                self.refused(path, "x", "--checksum-file", sums, text=f"and not {wrong}", code=7)
                sums = self.file("SUMS", form.format(case(right)))
                self.made(path, f"form{number}{case.__name__}", "--checksum-file", sums)
        for text, why, code in ((f"{wrong}  disk.raw\n", f"and not {wrong}", 7),
                                (f"{right}  other.raw\n", "has no SHA-2 checksum of 'disk.raw'", 3),
                                (f"{right}\n{wrong}  other.raw\n", "has no SHA-2 checksum", 3),
                                (f"{right}  disk.raw\n{wrong}  ./b/disk.raw\n", "two different", 7),
                                (f"{right}  disk.raw\n{wrong}  disk.raw\n", "two different", 7)):
            self.refused(path, "x", "--checksum-file", self.file("SUMS", text), text=why, code=code)
        self.refused(path, "x", "--checksum-file", "/nonexistent", text="/nonexistent", code=3)
        self.refused(path, "x", "--checksum-file", self.file("SUMS", "x" * (MIB + 1)), text="SUMS")
        self.refused("-", "x", "--checksum-file", self.file("SUMS", ""), code=2, text="has no name")
        self.refused(path, "x", "--checksum-file", "s", "--checksum", "s", code=2, text="exclusive")
        self.refused(path, "x", "--keyring", "k", code=2, text="give --checksum-file")

    def test_signed_lists(self):
        """By a key of the keyring and by no other, in the list or beside it; what was signed counts."""
        content = os.urandom(100000)
        path = self.file("disk.raw", content)
        text = f"{digest(content)[7:]}  disk.raw\n".encode()
        keys, signed, cleared = self.signers(text)
        sums = self.file("SUMS", text)
        words = ["--checksum-file", sums, "--keyring", keys[0]]
        self.refused(path, "x", *words, text="is not signed: there is no signature", code=7)
        self.file("SUMS.gpg", signed[1])
        self.refused(path, "x", *words, text="is not signed by a key of", code=7)
        for ending in (".gpg", ".sign", ".asc", ".sig"):
            self.file("SUMS" + ending, signed[0])
            self.made(path, "v" + ending[1:], *words)
            self.file("SUMS", text + b"\n")
            self.refused(path, "x", *words, text="is not signed by a key of", code=7)
            self.file("SUMS", text)
            os.unlink(sums + ending)
        self.file("SUMS", cleared[1])
        self.refused(path, "x", *words, text="is not signed by a key of", code=7)
        self.file("SUMS", cleared[0])
        self.made(path, "cleared", *words)
        # What stands beside what was signed was not.
        other = self.file("other.raw", b"other" * 1000)
        line = f"{digest(read(other))[7:]}  other.raw\n".encode()
        for forged in (line + cleared[0], cleared[0] + line, cleared[0].replace(text, line + text)):
            self.file("SUMS", forged)
            self.refused(other, "x", *words, text="", code=None)
        self.file("SUMS", cleared[0])
        self.refused(path, "x", "--checksum-file", sums, "--keyring", "/nonexistent", code=3,
                     text="cannot read the keyring")

    def test_what_others_can_change_is_verified_in_a_copy(self):
        """Who may write to the file could change it between the checksum and the import."""
        content = self.content()
        path = self.file("theirs.raw", content)
        os.chown(path, TENANT, TENANT)
        self.made(path, "a", "--checksum", digest(content), note=self.spooled(path))
        os.chown(path, 0, 0)
        self.made(path, "b", "--checksum", digest(content))
        os.chmod(path, 0o664)
        self.made(path, "c", "--checksum", digest(content), note=self.spooled(path))
        for name in "abc":
            self.assertEqual(content, read(self.at("p", name)))

    def test_a_file_that_changes_meanwhile(self):
        path = self.file("live.raw", os.urandom(8 * MIB))
        child = self.start(path, "--rate-limit", "2M")
        self.wait_until(self.drafts, "the volume is being made")
        with open(path, "r+b") as stream:
            stream.seek(100)
            stream.write(b"changed")
        err = child.communicate(timeout=30)[1]
        self.assertEqual(7, child.returncode, err)
        self.assertIn("has changed while it was read", err)
        self.assertEqual([], self.entries("p"))

    def drafts(self):
        return [name for name in self.entries("p") if name.startswith(".cistern-")]

    def test_references_are_refused_and_not_followed(self):
        """The pipe that they name would block whoever opens it, and gets no reader."""
        pipe = os.path.join(self.peer.files, "pipe")
        os.mkfifo(pipe)
        secret = self.file("secret", b"the victim's" + bytes(MIB))
        made = []
        for number, target in enumerate((secret, pipe, "../secret", "json:{\"driver\":\"nbd\"}")):
            path = os.path.join(self.peer.files, f"b{number}")
            peers.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"])
            peers.run(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", target, path])
            made.append((path, "refers to the backing image"))
        path = os.path.join(self.peer.files, "data.qcow2")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o",
                   f"data_file={self.peer.files}/data,data_file_raw=on", path, "8M"])
        made.append((path, "refers to the data file"))
        path = os.path.join(self.peer.files, "flat.vmdk")
        with open(path, "w", encoding="ascii") as out:
            out.write("# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
                      f"createType=\"monolithicFlat\"\n\nRW 2048 FLAT \"{secret}\" 0\n")
        made.append((path, "refers to"))
        before = os.stat(secret).st_atime_ns
        for path, text in made:
            with self.subTest(path=path):
                self.refused(path, "x", text=text, code=4)
                self.refused(self.file("packed.gz", gzip.compress(read(path))), "x", text=text, code=4)
                self.refused("-", "x", stdin=read(path), text=text, code=4)
        self.assertEqual((before, b"the victim's"), (os.stat(secret).st_atime_ns, read(secret)[:12]))

    def test_names_in_images_are_shown_and_not_obeyed(self):
        path = os.path.join(self.peer.files, "evil")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "8M"])
        peers.run(["qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b",
                   "/x\x1b[2J\nerror: fine", path])
        self.assertIn("'/x\\x1b[2J\\x0aerror: fine'", self.refused(path, "x", text="refers to"))

    def test_encrypted_images(self):
        path = self.file("luks", bytes(MIB))
        key = self.file("key", b"key")
        status, _, err = peers.run(["cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations",
                                    "1000", "--key-file", key, path])
        self.assertEqual(0, status, err)
        image = bytearray(read(self.image("disk", self.content(), "qcow2")))
        image[32:36] = b"\0\0\0\1"
        for fmt, content in (("luks", read(path)), ("qcow2", bytes(image))):
            path = self.file("encrypted", content)
            self.refused(path, "x", text=f"({fmt}) is encrypted")
            self.made(path, "as-it-is-" + fmt, "--source-format", "raw")
            self.assertEqual(content, read(self.at("p", "as-it-is-" + fmt)))

    def test_damage(self):
        """Of what packs it, and of the image."""
        content = os.urandom(3 * MIB)
        for ending, pack in COMPRESSIONS.items():
            packed = bytearray(pack(content))
            path = self.file("cut", bytes(packed[:-2000]))
            self.refused(path, "x", text="ends in the middle of its", code=1)
            path = self.file("cut", bytes(packed[:30]))
            self.refused(path, "x", text="ends in the middle of its", code=1)
            if ending != "zst":  # whose frames have a checksum only when that is asked for
                packed[len(packed) // 2] ^= 1
                self.refused(self.file("flipped", bytes(packed)), "x", text="is damaged", code=1)
            self.refused(self.file("behind", pack(content) + b"something else"), "x", text="'", code=1)
        checked = bytearray(zstd(content, "--check"))
        checked[len(checked) // 2] ^= 1
        self.refused(self.file("flipped", bytes(checked)), "x", text="is damaged", code=1)
        image = bytearray(read(self.image("disk", content, "qcow2")))
        image[4:8] = b"\0\0\0\x63"
        self.refused(self.file("qcow2", bytes(image)), "x", text="is damaged")

    def test_an_image_that_was_cut_off(self):
        """As of a download that ended early: what is missing would read as zeroes."""
        for fmt, options in FORMATS[1:]:
            with self.subTest(fmt=fmt, options=options):
                image = read(self.image("disk", self.content(), fmt, *options))
                # The last block may end early: it has 2 MiB at most.
                small = fmt.startswith("q") or fmt == "vmdk"
                for size in (len(image) - (70000 if small else 2 * MIB), 70000):
                    self.refused(self.file("cut." + fmt, image[:size]), "x", "--source-format", fmt,
                                 text="'", code=1)

    @staticmethod
    def qcow2_bomb():
        """384 KiB with 2 GiB of content: all entries of its L2 table refer to one compressed cluster."""
        bits, tables, entries = 16, 4, 1 << 13
        cluster = 1 << bits
        packer = zlib.compressobj(9, wbits=-12)
        data = packer.compress(bytes(cluster)) + packer.flush()
        header = struct.pack(">4sIQIIQIIQQIIQQQQII", b"QFI\xfb", 3, 0, 0, bits,
                             tables * entries * cluster, 0, tables, 3 * cluster, cluster, 1, 0, 0,
                             0, 0, 0, 4, 104)
        counts = struct.pack(">6H", 1, 1, 1, 1, tables, tables * entries)
        sectors = len(data) // 512
        entry = 1 << 62 | sectors << 62 - (bits - 8) | 5 * cluster
        parts = (header, struct.pack(">Q", 2 * cluster), counts,
                 struct.pack(">Q", 4 * cluster) * tables, struct.pack(">Q", entry) * entries, data)
        return b"".join(part.ljust(cluster, b"\0") for part in parts)

    def test_image_that_expands_beyond_the_bound_is_refused(self):
        """A small image with much content, as it is and packed again; --max-size allows it."""
        bomb = self.qcow2_bomb()
        for name, content in (("bomb.qcow2", bomb), ("bomb.qcow2.gz", gzip.compress(bomb))):
            err = self.refused(self.file(name, content), "x", code=1,
                               text="unpacks to over 1000 times its size")
            self.assertIn("--max-size allows that", err)
        self.made(self.file("bomb.qcow2", bomb), "wanted", "--max-size", "2G")

    def test_bombs(self):
        """Small things that would fill a disk: refused before they have."""
        gzipped = self.file("bomb.gz", self.zeroes(1025))
        err = self.refused(gzipped, "x", text="unpacks to over 1000 times its size", code=1)
        self.assertIn("--max-size allows that", err)
        twice = self.file("bomb2.gz", gzip.compress(self.zeroes(1025)))
        self.refused(twice, "x", text="unpacks to over 1000 times its size")
        # Each of two compressions within bounds, and together far beyond.
        members = self.file("bomb3.gz", gzip.compress(gzip.compress(bytes(32 * MIB), 1) * 33))
        self.refused(members, "x", text="unpacks to over 1000 times its size")
        self.refused(gzipped, "x", "--max-size", "1G", text="is larger than 1.00 GiB")
        self.made(gzipped, "meant", "--max-size", "2G", note=self.spooled(gzipped))
        self.assertEqual(1025 * MIB, os.stat(self.at("p", "meant")).st_size)
        path = os.path.join(self.peer.files, "huge")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "17T"])
        self.refused(path, "x", "--format", "qcow2", text="is larger than 16.00 TiB")
        self.made(path, "wide", "--format", "qcow2", "--max-size", "17T")
        self.refused("-", "x", "--max-size", "1M", stdin=bytes(MIB + 1), text="is larger than 1.00 MiB")
        self.made("-", "just", "--max-size", "1M", stdin=bytes(MIB), note=self.spooled("(standard input)"))

    @staticmethod
    def zeroes(mebibytes):
        pack = zlib.compressobj(9, zlib.DEFLATED, 31)
        return b"".join(pack.compress(bytes(MIB)) for _ in range(mebibytes)) + pack.flush()

    def test_memory_is_bounded(self):
        """A frame that asks for a window of 2 GiB gets none."""
        frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, (31 - 10) << 3]) + b"\x01\x00\x00"
        self.refused(self.file("window.zst", frame), "x", text="'")

    def test_nested_compressions_share_one_budget_of_memory(self):
        """Windows of 128 MiB: two of them are the budget, and a third one is refused."""
        def frame(log, data):
            head = b"\x28\xb5\x2f\xfd" + bytes([0, (log - 10) << 3])
            return head + struct.pack("<I", len(data) << 3 | 1)[:3] + data

        content = os.urandom(4096)
        largest = self.file("largest.zst", frame(28, content))
        self.made(largest, "largest", note=self.spooled(largest))
        two = self.file("two.zst", frame(27, frame(27, content)))
        self.made(two, "two", note=self.spooled(two))
        for data in (frame(27, frame(27, frame(27, content))), frame(28, frame(27, content)),
                     frame(27, frame(28, content)),
                     frame(10, b"") + frame(28, frame(10, b"") + frame(28, content))):
            self.refused(self.file("nested.zst", data), "x", code=1, text="needs too much memory")

    @unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
    def test_a_spool_without_space(self):
        os.makedirs(self.at("small"))
        space.tmpfs(self.at("small"), "70m")
        self.addCleanup(space.unmount, self.at("small"))
        packed = self.file("x.gz", gzip.compress(os.urandom(80 * MIB), 1))
        status, _, err = self.cistern("vol-import", packed, "--pool", "p", "--spool-dir", self.at("small"))
        self.assertEqual(1, status, err)
        self.assertIn("too little to spool in; say where with --spool-dir", err)
        self.assertEqual([], self.entries("p") + os.listdir(self.at("small")))
        self.spool = self.at("nosuch")
        status, _, err = self.run_import(packed)
        self.assertEqual(3, status, err)
        self.assertIn("say where with --spool-dir", err)

    def test_the_pool_is_full(self):
        path = os.path.join(self.peer.files, "wide")
        with open(path, "wb") as out:
            out.truncate(1 << 40)
        self.refused(path, "x", "--preallocation", "falloc", text="")

    # --- how it ends -------------------------------------------------------------------------

    def test_interrupted(self):
        """While it is spooled and while it is sent; by whom ever: nothing is left."""
        packed = self.file("x.gz", gzip.compress(os.urandom(8 * MIB), 1))
        plain = self.file("x.raw", os.urandom(8 * MIB))
        for source in (packed, plain):
            for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
                with self.subTest(source=source, how=how):
                    child = self.start(source, "x", "--rate-limit", "1M")
                    if source == plain:
                        self.wait_until(self.drafts, "the volume is being made")
                    else:
                        self.wait_until(lambda pid=child.pid: self.spooled_bytes(pid),
                                        "a part is spooled")
                    self.assertIsNone(child.poll())
                    child.send_signal(how)
                    child.communicate(timeout=10)
                    self.assertIn(child.returncode, (code, 1, 130))
                    self.wait_until(lambda: not self.entries("p"), "nothing is there")
                    self.assertEqual([], self.left())
        self.made(plain, "x")

    def test_the_daemon_is_killed(self):
        child = self.start(self.file("x.raw", os.urandom(8 * MIB)), "--rate-limit", "1M")
        self.wait_until(self.drafts, "the volume is being made")
        self.peer.restart(signal.SIGKILL)
        child.communicate(timeout=20)
        self.assertNotEqual(0, child.returncode)
        self.assertEqual([], self.entries("p"))

    def test_a_pipe_that_is_silent(self):
        """Its writer may take its time; the user may not want to wait."""
        ours, theirs = os.pipe()
        with open(theirs, "wb", buffering=0) as writer:
            child = self.start("-", "x", stdin=ours)
            os.close(ours)
            writer.write(b"x" * 1000)
            self.wait_until(lambda: self.unread(theirs) == 0, "it has read what there is",
                            lambda: f"{self.unread(theirs)} bytes are unread")
            self.assertIsNone(child.poll())
            child.send_signal(signal.SIGINT)
            child.communicate(timeout=5)
        self.assertNotEqual(0, child.returncode)
        self.assertEqual([], self.entries("p"))

    @staticmethod
    def unread(pipe):
        """Bytes in a pipe."""
        return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]

    def test_a_slow_pipe(self):
        content = os.urandom(100000)
        ours, theirs = os.pipe()
        child = self.start("-", "slow", stdin=ours)
        os.close(ours)

        def write():
            with open(theirs, "wb", buffering=0) as writer:
                for at in range(0, len(content), 7001):
                    writer.write(content[at:at + 7001])
                    time.sleep(0.01)  # paced: a writer that is slower than its reader
        thread = threading.Thread(target=write)
        thread.start()
        child.communicate(timeout=30)
        thread.join()
        self.assertEqual(0, child.returncode)
        self.assertEqual(content, read(self.at("p", "slow")))

    def test_it_is_a_job_with_progress(self):
        child = self.start(self.file("x.raw", os.urandom(6 * MIB)), "--rate-limit", "256K", "--json")
        job = self.wait_until(lambda: [row for row in json.loads(self.cistern("--json", "job-list")[1])["jobs"]
                                       if row["total"]], "a job that knows how much it is")[0]
        self.assertEqual(("import", "p", "x", 6 * MIB),
                         (job["operation"], job["pool"], job["volume"], job["total"]))
        for line in child.stderr:
            if '"event":"progress"' in line:
                break
        else:
            self.fail("no progress is reported")
        self.assertEqual(0, self.cistern("job-cancel", str(job["id"]))[0])
        child.communicate(timeout=wait.LIMIT_S)
        self.assertNotEqual(0, child.returncode)
        self.assertEqual([], self.entries("p"))

    def test_a_dry_run_looks_at_everything(self):
        """It says what is in it, and finds what the real one would."""
        image = read(self.image("disk", self.content(), "qcow2"))
        packed = self.file("disk.xz", lzma.compress(image))
        before = self.entries("p")
        status, out, err = self.run_import(packed, "--dry-run", "--checksum", digest(read(packed)))
        self.assertEqual((0, f"Would import {packed} (qcow2, 6.00 MiB) as vol disk into pool p\n\n"),
                         (status, out), err)
        self.assertEqual((before, []), (self.entries("p"), os.listdir(self.spool)))
        self.refused(packed, "--dry-run", "--checksum", digest(b""), code=7, text="and not")
        self.refused(packed, "--dry-run", "--resize", "1M", text="a smaller size would discard content")
        self.refused(packed, "--dry-run", "--format", "nothing", text="nothing")
        self.made(packed, note=self.spooled(packed))
        self.refused(packed, "--dry-run", text="'disk' exists already")

    def test_quiet_and_json(self):
        packed = self.file("disk.gz", gzip.compress(bytes(4096)))
        self.assertEqual((0, "", ""), self.run_import(packed, "a", "--quiet"))
        status, out, err = self.run_import(packed, "b", "--json")
        self.assertEqual((0, ""), (status, err))
        self.assertEqual("b", json.loads(out)["volume"])

    def test_without_a_daemon(self):
        root = os.path.join(self.peer.files, "root")
        pool = os.path.join(self.peer.files, "pool")
        os.makedirs(root)
        os.makedirs(pool)
        to = [space.CISTERN, "--embedded", "--root", root]
        content = self.content()
        packed = self.file("disk.zst", zstd(read(self.image("disk", content, "vdi"))))
        self.assertEqual(0, peers.run([*to, "pool-create-as", "p", "dir", "--target", pool])[0])
        status, _, err = peers.run([*to, "vol-import", packed, "--pool", "p", "--format", "qcow2"])
        self.assertEqual(0, status, err)
        self.assertEqual(0, peers.run(["qemu-img", "compare", "-f", "qcow2", "-F", "raw",
                                       os.path.join(pool, "disk"), self.file("raw", content)])[0])
        plain = self.file("x.raw", os.urandom(8 * MIB))
        child = subprocess.Popen([*to, "vol-import", plain, "--pool", "p", "--rate-limit", "1M"],
                                 env=space.ENV, stdout=subprocess.DEVNULL)
        self.wait_until(lambda: len(os.listdir(pool)) > 1, "the volume is being made")
        child.kill()
        child.wait()
        self.assertEqual(0, peers.run([*to, "pool-refresh", "p"])[0])
        self.assertEqual(["disk"], os.listdir(pool))
        shutil.rmtree(root)

    def test_who_may(self):
        path = self.file("x.raw", bytes(4096))
        status, _, err = peers.run([space.CISTERN, "-c", self.peer.uri, "-r", "vol-import", path,
                                    "--pool", "p"])
        self.assertNotEqual(0, status)
        self.assertIn("read", err)
        self.assertEqual([], self.entries("p"))
