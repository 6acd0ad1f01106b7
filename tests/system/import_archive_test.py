# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-import of archives with one disk, and of sources that are no disk."""

import ctypes
import io
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib

from harness import peers, space
from import_test import MIB, Importing, read, zstd


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files, mode="w:gz", fmt=tarfile.GNU_FORMAT):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode, format=fmt) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def seven_zipped(files):
    """libarchive writes it: no program of the tests does."""
    library = ctypes.CDLL("libarchive.so.13")
    for name in ("archive_write_new", "archive_entry_new"):
        getattr(library, name).restype = ctypes.c_void_p
    out, used = ctypes.create_string_buffer(16 * MIB), ctypes.c_size_t()
    archive = ctypes.c_void_p(library.archive_write_new())
    library.archive_write_set_format_7zip(archive)
    library.archive_write_set_bytes_in_last_block(archive, 1)
    assert library.archive_write_open_memory(archive, out, ctypes.c_size_t(len(out)), ctypes.byref(used)) == 0
    for name, data in files.items():
        entry = ctypes.c_void_p(library.archive_entry_new())
        library.archive_entry_set_pathname(entry, name.encode())
        library.archive_entry_set_size(entry, ctypes.c_int64(len(data)))
        library.archive_entry_set_filetype(entry, 0o100000)
        assert library.archive_write_header(archive, entry) == 0
        library.archive_write_data(archive, data, ctypes.c_size_t(len(data)))
        library.archive_entry_free(entry)
    assert library.archive_write_close(archive) == 0
    library.archive_write_free(archive)
    return out.raw[:used.value]


class Archives(Importing):
    def test_one_disk_is_unpacked(self):
        content = self.content()
        disk = read(self.image("box.qcow2", content, "qcow2"))
        files = {"./metadata.json": b"{}", "./box.qcow2": disk, "../README": b"x"}
        for name, data in (("a.zip", zipped(files)), ("b.7z", seven_zipped(files)),
                           ("c.box", tarred(files)), ("d.tar.xz", tarred(files, "w:xz")),
                           ("e.zip", zipped({"only": disk})), ("f.zip", zipped({"x.raw.xz": lzma.compress(content)}))):
            with self.subTest(name):
                status, _, err = self.run_import(self.file(name, data))
                self.assertEqual(0, status, err)
                self.assertIn("is an archive; its disk '", err)
                self.assert_content(name[0], content)
        self.assertEqual([], self.left())

    def test_archive_by_a_pipe(self):
        content = self.content()
        status, _, err = self.run_import("-", "piped", stdin=zipped({"d.raw": content}))
        self.assertEqual(0, status, err)
        self.assert_content("piped", content)

    def test_archive_without_exactly_one_disk_is_refused_with_its_list(self):
        for name, files in (("two", {"a.raw": bytes(512), "b\x1b[2J.vmdk": bytes(512)}),
                            ("none", {"a.txt": b"a", "b.txt": b"b"})):
            for data in (zipped(files), seven_zipped(files), tarred(files)):
                err = self.refused(self.file(name, data), text="import each disk by itself (files: 'a.", code=1)
                self.assertNotIn("\x1b", err)

    def test_damaged_and_encrypted_archives_are_refused(self):
        whole = zipped({"a.raw": os.urandom(MIB)})
        self.refused(self.file("cut.zip", whole[:len(whole) // 2]), text="cannot read the archive '")
        wrong = bytearray(whole)
        wrong[MIB // 2] ^= 0xff
        self.refused(self.file("wrong.zip", bytes(wrong)), text="'")
        locked = bytearray(whole)
        locked[6] |= 1
        central = whole.rindex(b"PK\x01\x02")
        locked[central + 8] |= 1
        self.refused(self.file("locked.zip", bytes(locked)), text="is encrypted")

    def test_archive_that_expands_too_much_is_refused(self):
        path = self.file("bomb.zip", zipped({"a.raw": bytes(8 * MIB)}))
        self.refused(path, "--max-size", "4M", text="is larger than 4.00 MiB")

    def test_raw_takes_the_archive_itself(self):
        data = zipped({"a.raw": bytes(512)})
        self.made(self.file("a.zip", data), "asis", "--source-format", "raw")
        self.assertEqual(data, read(self.at("p", "asis"))[:len(data)])


class WithCommands(Importing):
    def cistern(self, *words):
        return peers.run([space.CISTERN, "-c", self.peer.uri, *words])

    def cistern_ok(self, *words):
        status, out, err = self.cistern(*words)
        self.assertEqual(0, status, err)
        return out


class FixedVhd(WithCommands):
    def test_fixed_vhd_is_recognised_by_its_footer(self):
        content = self.content()
        path = self.image("disk.vhd", content, "vpc", "-o", "subformat=fixed,force_size")
        data = read(path)
        self.made(path, "vhd")
        self.assertEqual(content, read(self.at("p", "vhd")))
        self.assertIn("file format: vpc", self.cistern_ok("image-info", path))
        self.made(path, "asis", "--source-format", "raw")
        self.assertEqual(data, read(self.at("p", "asis")))
        # A footer with a wrong checksum, and one of another size, are bytes of a raw disk.
        wrong = bytearray(data)
        wrong[-1] ^= 1
        for name, other in (("sum", bytes(wrong)), ("size", data[:MIB] + data)):
            self.made(self.file(name, other), name)
            self.assertEqual(other, read(self.at("p", name)))


class Sectors(WithCommands):
    def test_disk_of_4096_byte_sectors_is_refused_unless_the_user_drops_them(self):
        content = self.content()
        raw, path = self.file("d.raw", content), os.path.join(self.peer.files, "d.vhdx")
        self.cistern_ok("image-convert", "-f", "raw", "-O", "vhdx", "-o", "logical_sector_size=4096", raw, path)
        self.assertIn("sector size: 4096", self.cistern_ok("image-info", path))
        self.refused(path, "x", text="its sectors have 4096 bytes", code=1)
        self.made(path, "dropped", "--drop-sector-size",
                  note=f"the sectors of '{path}' have 4096 bytes, which the volume does not record; its guest needs "
                       "<blockio logical_block_size='4096'/> in the <disk> element")
        self.assert_content("dropped", content)

    def test_volume_of_4096_byte_sectors_shows_and_keeps_them(self):
        raw = self.file("d.raw", self.content())
        self.cistern_ok("image-convert", "-f", "raw", "-O", "vhdx", "-o", "logical_sector_size=4096", raw, self.at("p", "v.vhdx"))
        self.ok("pool-refresh", "p")
        self.assertIn("Sector size:    4096", self.cistern_ok("vol-info", "v.vhdx", "p"))
        out = os.path.join(self.peer.files, "out")
        for words in (("vol-export", "v.vhdx", "--pool", "p", out + ".qcow2"),
                      ("vol-convert", "v.vhdx", "new", "--pool", "p", "-O", "qcow2"),
                      ("image-convert", self.at("p", "v.vhdx"), out + ".raw")):
            status, _, err = self.cistern(*words)
            self.assertEqual(1, status, err)
            self.assertIn("sectors have 4096 bytes", err)
            self.assertFalse(os.path.exists(words[-1]))
            self.cistern_ok(*words, "--drop-sector-size")
        self.cistern_ok("vol-export", "v.vhdx", "--pool", "p", out + ".vhdx")
        self.assertIn("sector size: 4096", self.cistern_ok("image-info", out + ".vhdx"))

    def test_part_join_and_overlay_of_4096_byte_sectors(self):
        image, out = self.at("p", "v.vhdx"), os.path.join(self.peer.files, "out")
        self.cistern_ok("image-create", "-f", "vhdx", "-o", "logical_sector_size=4096", image, "8M")
        self.ok("pool-refresh", "p")
        for words in (("image-dd", f"if={image}", f"of={out}"),
                      ("image-convert", image, image, out)):
            status, _, err = self.cistern(*words)
            self.assertEqual(1, status, err)
            self.assertIn("sectors have 4096 bytes", err)
            self.assertFalse(os.path.exists(out))
            _, _, err = self.cistern(*words, "--drop-sector-size")
            self.assertIn("the sectors of '%s' have 4096 bytes" % image, err)
            os.unlink(out)
            self.cistern_ok(*words, "-O", "vhdx", "--yes")
            self.assertIn("sector size: 4096", self.cistern_ok("image-info", out))
            os.unlink(out)
        repo = os.path.join(self.peer.files, "repo")
        self.cistern_ok("backup-init", repo, "--no-encryption")
        for words, name in ((("image-create", "-f", "qcow2", "-b", image, "-F", "vhdx", out), image),
                            (("vol-create-as", "p", "over", "8M", "--format", "qcow2", "--backing-vol", "v.vhdx",
                              "--backing-vol-format", "vhdx"), "v.vhdx"),
                            (("backup-create", repo, "p/v.vhdx"), "v.vhdx")):
            status, _, err = self.cistern(*words)
            self.assertEqual(0, status, err)
            self.assertIn(f"the sectors of '{name}' have 4096 bytes, which the new image does not record", err)


CPIO = b"\xc7\x71".ljust(20, b"\0") + struct.pack("<HI", 5, 0) + b"name\0"
SWAPPED_CPIO = b"\x71\xc7".ljust(20, b"\0") + struct.pack(">HI", 5, 0) + b"name\0"


class NoDisks(Importing):
    def test_source_that_is_no_disk_is_refused_by_name(self):
        content = self.content()
        lz4 = subprocess.run(["lz4", "-q", "-c"], input=content, stdout=subprocess.PIPE, check=True).stdout
        dmg = bytes(4096) + b"koly" + bytes(508)
        cloop = b"#!/bin/sh\n#V2.0 Format\n".ljust(128, b"\0") + (512).to_bytes(4, "big") + bytes(4 + 64)
        bochs = (b"Bochs Virtual HD Image".ljust(32, b"\0") + b"Redolog".ljust(16, b"\0") +
                 b"Growing".ljust(16, b"\0") + struct.pack("<II", 0x20000, 512) +
                 struct.pack("<IIIIQ", 64, 512, 65536, 0, MIB)).ljust(512, b"\0") + bytes(MIB)
        for name, data, kind in (
                ("a.img", lz4, "lz4"), ("b.img", lzma.compress(content, lzma.FORMAT_ALONE), "lzma"),
                ("c.qcow2", b"<!DOCTYPE html>\n<html></html>", "an HTML page"),
                ("d.vmdk", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
                ("e.raw", b"words " * MIB, "text"), ("f.raw", "größe".encode() * MIB, "text"),
                ("g.raw", "words".encode("utf-16"), "text"), ("h.dmg", dmg, "dmg"), ("i.img", cloop, "cloop"),
                ("j.vmdk", b"\xbe\xba\xfe\xca" + bytes(508), "seSparse"),
                ("k.raw", b"w", "text"), ("l.img", bochs, "bochs"),
                ("m.qcow2", b"<html><body>Gr\xf6\xdfe: 0</body></html>" * 200, "an HTML page"),
                ("n.raw", b"<html><head><title>Not found, or moved to another place</title>" * 80 +
                 b"\0", "an HTML page"),
                ("o.raw", b'{"error": "' + b"x" * 100 + b'\0"}' + b" " * 4000, "text"),
                ("p.img", b"%PDF-1.4\n" + bytes(5000), "PDF"),
                ("q.img", b"\x7fELF\2\1" + bytes(5000), "ELF"),
                ("r.img", b"\x89PNG\r\n\x1a\n" + bytes(5000), "PNG"),
                ("s.img", b"!<arch>\ndebian-binary" + bytes(5000), "deb or ar"),
                ("t.img", b"\xed\xab\xee\xdb" + bytes(5000), "RPM"),
                ("u.img", b"LRZI" + bytes(5000), "lrzip"),
                *((f"cpio{number}.img", magic + bytes(5000), "cpio")
                  for number, magic in enumerate((b"070701", b"070702", b"070707", CPIO, SWAPPED_CPIO))),
                *((f"{code}.raw", "words".encode(code), "text")
                  for code in ("utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")),
                ("long.raw", "words\r\n".encode("utf-16-le") * 10000, "text"),
                ("bad.img", bochs[:64] + bytes(448) + bytes(MIB), "bochs"),
                ("bad2.img", cloop[:128] + (3).to_bytes(4, "big") + os.urandom(MIB), "cloop"),
                ("v.img", b"partclone-image" + bytes(5000), "partclone")):
            with self.subTest(name):
                path = self.file(name, data)
                self.refused(path, text=f"is no disk image: its content is {kind};")
                self.made(path, "asis", "--source-format", "raw")
                self.ok("vol-delete", "asis", "p")

    def test_disk_that_begins_with_a_word_is_a_disk(self):
        self.made(self.file("a.raw", b"words" + bytes(MIB)))
        self.made(self.file("b.raw", b"words " * 20 + bytes(64) + b"words " * 100000))
        self.made(self.file("w.raw", "words".encode("utf-16-le") + bytes(MIB)))
        self.made(self.file("c.raw", b"\xc7\x71" + bytes(MIB)))
        for number, byte in enumerate((b"\xff", b"\xf6", b"\xa5")):
            self.made(self.file(f"erased{number}.raw", byte * MIB))


def number(value):
    return b"\xff" + value.to_bytes(8, "little")


def seven_zip_of_lzma2(content, dictionary, bits):
    """An archive of one disk, whose decoder is to have the dictionary that @bits stands for."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": dictionary}]
    packed = lzma.compress(content, lzma.FORMAT_RAW, filters=filters)
    name = "d.raw\0".encode("utf-16-le")
    header = (b"\x01\x04\x06" + number(0) + b"\x01\x09" + number(len(packed)) + b"\0" +
              b"\x07\x0b\x01\0\x01\x21\x21\x01" + bytes([bits]) + b"\x0c" + number(len(content)) + b"\0" +
              b"\x08\0\0\x05\x01\x11" + number(len(name) + 1) + b"\0" + name + b"\0\0")
    start = (len(packed).to_bytes(8, "little") + len(header).to_bytes(8, "little") +
             zlib.crc32(header).to_bytes(4, "little"))
    return b"7z\xbc\xaf\x27\x1c\0\4" + zlib.crc32(start).to_bytes(4, "little") + start + packed + header


class Memory(Importing):
    def peak(self, path):
        """Imports @path in a child; returns its status, its errors and its VmHWM in MiB."""
        # A small process starts it, because a child's ru_maxrss includes its parent's memory before the exec.
        launcher = ("import os, subprocess, sys\n"
                    "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
                    "_, status, usage = os.wait4(child.pid, 0)\n"
                    "print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)")
        _, out, err = peers.run([sys.executable, "-c", launcher, space.CISTERN, "-c", self.peer.uri, "vol-import",
                                 "--pool", "p", "--spool-dir", self.spool, path])
        status, peak = out.split()
        return int(status), err, int(peak) >> 10

    def test_dictionary_of_7z_is_bounded_before_it_is_allocated(self):
        content = self.content()
        path = self.file("small.7z", seven_zip_of_lzma2(content, 1 << 20, 18))
        self.made(path, note=f"'{path}' is an archive; its disk 'd.raw' is imported\nnote: '{path}' is spooled in {self.spool}")
        self.assert_content("small", content)
        path = self.file("large.7z", seven_zip_of_lzma2(bytes(416 * MIB), 1 << 20, 33))  # 384 MiB
        status, err, peak = self.peak(path)
        self.assertEqual(1, status)
        self.assertIn("needs too much memory to be unpacked", err)
        self.assertLess(peak, 128)

    def test_nested_layers_have_one_budget(self):
        """zstd in zstd in a 7z archive: each has a permitted dictionary, and their sum is too large."""
        inner = self.frame(27) + zstd(bytes(160 * MIB), "--long=27")
        outer = zstd(inner, "--long=27", "--no-check")
        path = self.file("d.7z", seven_zip_of_lzma2(outer, 1 << 20, 30))  # 128 MiB
        status, err, peak = self.peak(path)
        self.assertEqual(1, status, err)
        self.assertIn("needs too much memory to be unpacked", err)
        self.assertLess(peak, 272 + 128)

    def test_zip_with_an_unbounded_method_is_refused(self):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
            archive.writestr("d.raw", self.content())
        self.refused(self.file("d.zip", stream.getvalue()), text="has no bound on memory; unpack it", code=1)

    def frame(self, window):
        """A frame of zstd that asks for a window of 2^@window bytes."""
        return (b"\x28\xb5\x2f\xfd\0" + bytes([(window - 10) << 3]) + (4096 << 3 | 1).to_bytes(3, "little") +
                bytes(4096))

    def test_window_of_zstd_is_bounded(self):
        path = self.file("a.raw.zst", self.frame(28))
        self.made(path, note=f"'{path}' is spooled in {self.spool}")
        self.refused(self.file("b.raw.zst", self.frame(29)), text="needs too much memory to be unpacked")
