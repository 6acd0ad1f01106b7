# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What libvirt's test kit (make test-tck) checks of storage, script by script, for where no checkout of
it is at hand. CST_SELF_CHECK=1 plays the same on stock libvirtd.
"""

import hashlib
import os
import random
import struct

import libvirt

from harness import peers
from harness.cases import WithDaemon

MIB = 1 << 20
NAME = "kit"
UUIDS = ["11111111-1111-1111-1111-111111111111", "22222222-1111-1111-1111-111111111111"]
BACKING_FORMAT = 0xe2792aca  # qcow2's header extension


def volume(name, form, capacity, more="", allocation=None):
    size = "" if allocation is None else f"<allocation>{allocation}</allocation>"
    return (f"<volume><name>{name}</name><capacity>{capacity}</capacity>{size}"
            f"<target><format type='{form}'/></target>{more}</volume>")


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


class Kit(WithDaemon):
    def setUp(self):
        super().setUp()
        self.conn = libvirt.open(self.peer.uri)
        self.addCleanup(self.conn.close)
        self.pool = self.conn.storagePoolLookupByName("p")

    def xml(self, name=NAME, uuid=None, mode="0755"):
        os.makedirs(self.at(name), exist_ok=True)
        return (f"<pool type='dir'><name>{name}</name>{f'<uuid>{uuid}</uuid>' if uuid else ''}"
                f"<target><path>{self.at(name)}</path>"
                f"<permissions><mode>{mode}</mode></permissions></target></pool>")

    def error(self, code, function, *arguments):
        with self.assertRaises(libvirt.libvirtError) as caught:
            function(*arguments)
        if code is not None:
            self.assertEqual(code, caught.exception.get_error_code(), str(caught.exception))

    def gone(self, name=NAME):
        self.error(libvirt.VIR_ERR_NO_STORAGE_POOL, self.conn.storagePoolLookupByName, name)

    # --- pools ---------------------------------------------------------------------------------

    def test_050_transient(self):
        pool = self.conn.storagePoolCreateXML(self.xml(), 0)
        pool.destroy()
        self.gone()

    def test_060_persistent_065_defined_again(self):
        self.conn.storagePoolDefineXML(self.xml(uuid=UUIDS[0]), 0).undefine()
        self.gone()
        pool = self.conn.storagePoolDefineXML(self.xml(uuid=UUIDS[0], mode="0700"), 0)
        pool.create(0)
        self.assertEqual(libvirt.VIR_STORAGE_POOL_RUNNING, pool.info()[0])
        self.conn.storagePoolDefineXML(self.xml(uuid=UUIDS[0], mode="0777"), 0)
        pool.destroy()
        self.assertEqual(libvirt.VIR_STORAGE_POOL_INACTIVE, pool.info()[0])
        self.assertIn("0777", pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE))
        pool.undefine()
        self.gone()

    def test_061_autostart(self):
        pool = self.conn.storagePoolDefineXML(self.xml(), 0)
        for active in (False, True):
            for on in (1, 0, 1):
                pool.setAutostart(on)
                self.assertEqual(on, pool.autostart())
            if not active:
                pool.create(0)
        pool.destroy()
        self.assertEqual(1, pool.autostart())

    def test_070_a_transient_pool_becomes_persistent(self):
        pool = self.conn.storagePoolCreateXML(self.xml(), 0)
        self.conn.storagePoolDefineXML(pool.XMLDesc(), 0)
        pool.destroy()
        self.conn.storagePoolLookupByName(NAME).undefine()
        self.gone()

    def test_080_081_names_and_uuids_are_unique(self):
        for make in (self.conn.storagePoolDefineXML, self.conn.storagePoolCreateXML):
            pool = make(self.xml(uuid=UUIDS[0]), 0)
            self.error(None, make, self.xml("kit2", UUIDS[0]), 0)
            self.error(None, make, self.xml(uuid=UUIDS[1]), 0)
            other = make(self.xml("kit2", UUIDS[1]), 0)
            for one in (pool, other):
                if make == self.conn.storagePoolCreateXML:
                    one.destroy()
                else:
                    one.undefine()
            self.gone("kit2")

    def test_082_a_name_has_no_uuid_of_before(self):
        for uuid in UUIDS:
            pool = self.conn.storagePoolCreateXML(self.xml(uuid=uuid), 0)
            self.assertEqual(uuid, pool.UUIDString())
            pool.destroy()
            self.gone()

    def test_090_what_an_inactive_pool_refuses(self):
        pool = self.conn.storagePoolDefineXML(self.xml(), 0)
        source = self.pool.createXML(volume("s", "raw", MIB), 0)
        for function, *arguments in ((pool.destroy,), (pool.refresh,), (pool.listVolumes,),
                                     (pool.createXML, "<xml>", 0),
                                     (pool.createXMLFrom, "<xml>", source, 0)):
            self.error(libvirt.VIR_ERR_OPERATION_INVALID, function, *arguments)

    # --- volumes -------------------------------------------------------------------------------

    def test_100_formats(self):
        for form, allocation, sizes in (("raw", 0, (50 * MIB, 50 * MIB)),
                                        ("raw", 50 * MIB, (50 * MIB, 50 * MIB)),
                                        ("qcow2", None, (1, MIB)), ("vmdk", None, (1, MIB)),
                                        ("vpc", None, (1, MIB))):
            made = self.pool.createXML(volume("v", form, 50 * MIB, allocation=allocation), 0)
            found = os.stat(made.path())
            self.assertTrue(sizes[0] <= found.st_size <= sizes[1], (form, found.st_size))
            if form == "raw":
                self.assertEqual(bool(allocation), found.st_blocks >= 50 * MIB // 512)
            made.delete(0)

    def test_120_what_is_told_of_a_volume(self):
        made = self.pool.createXML(volume("v", "raw", 50 * MIB, allocation=0), 0)
        found = self.pool.storageVolLookupByName("v")
        xml = found.XMLDesc()
        self.assertIn(f"<key>{found.key()}</key>", xml)
        self.assertIn(f"<path>{found.path()}</path>", xml)
        kind, capacity, allocation = found.info()
        self.assertEqual(libvirt.VIR_STORAGE_VOL_FILE, kind)
        self.assertIn(f"<capacity unit='bytes'>{capacity}</capacity>", xml)
        self.assertIn(f"<allocation unit='bytes'>{allocation}</allocation>", xml)
        self.assertEqual("p", self.conn.storagePoolLookupByUUID(self.pool.UUID()).name())
        made.delete(0)

    def test_200_clones_to_a_format_and_back(self):
        size = 241 * 4 * 17 * 512  # cylinders of VPC's geometry, which has nothing to round then
        source = self.pool.createXML(volume("source", "raw", size), 0)
        with open(source.path(), "wb") as out:
            out.write(random.Random(3).randbytes(size))
        for form in ("raw", "qcow2", "vmdk", "vpc"):
            with self.subTest(form):
                clone = self.pool.createXMLFrom(volume("clone", form, size), source, 0)
                self.assertGreaterEqual(os.stat(clone.path()).st_size, size)
                back = self.pool.createXMLFrom(volume("back", "raw", size), clone, 0)
                self.assertEqual(digest(source.path()), digest(back.path()))
                clone.delete(0)
                back.delete(0)

    def test_250_255_an_overlay_says_what_its_base_is(self):
        base = self.pool.createXML(volume("base", "raw", MIB, allocation=0), 0)
        for form in ("<format type='raw'/>", ""):
            more = f"<backingStore><path>{base.path()}</path>{form}</backingStore>"
            over = self.pool.createXML(volume("over", "qcow2", MIB, more, 0), 0)
            with open(over.path(), "rb") as stream:
                header = stream.read(65536)
            where, length = struct.unpack_from(">QI", header, 8)
            self.assertEqual(base.path(), header[where:where + length].decode())
            at = struct.unpack_from(">I", header, 100)[0] if header[7] == 3 else 72
            kind, size = struct.unpack_from(">II", header, at)
            self.assertEqual((BACKING_FORMAT, b"raw"), (kind, header[at + 8:at + 8 + size]))
            over.delete(0)

    # --- streams -------------------------------------------------------------------------------

    RANGES = [(0, 0), (0, MIB), (MIB, 0), (MIB, MIB)]

    def content(self, name="v"):
        made = self.pool.createXML(volume(name, "raw", 2 * MIB, allocation=2 * MIB), 0)
        data = bytearray(random.Random(5).randbytes(2 * MIB))
        with open(made.path(), "wb") as out:
            out.write(data)
        return made, data

    def test_400_405_downloads(self):
        made, data = self.content()
        for offset, length in self.RANGES:
            wanted = bytes(data[offset:offset + length if length else None])
            stream = self.conn.newStream()
            made.download(stream, offset, length)
            got = b"".join(iter(lambda s=stream: s.recv(65536), b""))
            stream.finish()
            self.assertEqual(wanted, got)
            parts = []
            stream = self.conn.newStream()
            made.download(stream, offset, length)
            stream.recvAll(lambda _stream, part, _data: parts.append(part) and None, None)
            stream.finish()
            self.assertEqual(wanted, b"".join(parts))

    def test_415_420_uploads(self):
        made, data = self.content()
        for turn, (offset, length) in enumerate(self.RANGES * 2):
            sent = random.Random(turn).randbytes(MIB)
            stream = self.conn.newStream()
            made.upload(stream, offset, length)
            if turn < len(self.RANGES):
                for at in range(0, MIB, 65536):
                    stream.send(sent[at:at + 65536])
            else:
                left = [sent[at:at + 65536] for at in range(0, MIB, 65536)]
                stream.sendAll(lambda _stream, _n, _data, left=left: left.pop(0) if left else b"",
                               None)
            stream.finish()
            data[offset:offset + MIB] = sent
            with open(made.path(), "rb") as stream:
                self.assertEqual(bytes(data), stream.read())

    def test_410_425_without_blocking(self):
        """In a process of its own: its event loop stays for as long as the process."""
        made, data = self.content()
        script = self.file("nonblock.py", NONBLOCK)
        status, out, err = peers.run(["/usr/bin/python3", script, self.peer.uri, made.name()])
        self.assertEqual((0, hashlib.sha256(data).hexdigest()), (status, out.strip()), err)
        self.assertEqual(hashlib.sha256(bytes(data[::-1])).hexdigest(), digest(made.path()))


NONBLOCK = r"""
import hashlib, sys
import libvirt

libvirt.virEventRegisterDefaultImpl()
conn = libvirt.open(sys.argv[1])
volume = conn.storagePoolLookupByName("p").storageVolLookupByName(sys.argv[2])
ENDED = libvirt.VIR_STREAM_EVENT_ERROR | libvirt.VIR_STREAM_EVENT_HANGUP


def play(start, wanted, step):
    stream = conn.newStream(libvirt.VIR_STREAM_NONBLOCK)
    start(stream, 0, 0)
    left = [True]

    def event(_stream, events, _opaque):
        if events & ENDED or not step(stream):
            left[0] = False
            stream.eventRemoveCallback()
    stream.eventAddCallback(wanted, event, None)
    while left[0]:
        libvirt.virEventRunDefaultImpl()
    stream.finish()


data = bytearray()


def receive(stream):
    part = stream.recv(65536)
    if part == -2:
        return True
    data.extend(part)
    return len(part) > 0


play(volume.download, libvirt.VIR_STREAM_EVENT_READABLE, receive)
print(hashlib.sha256(data).hexdigest())
rest = bytes(data[::-1])


def send(stream):
    global rest
    count = stream.send(rest[:65536])
    if count > 0:
        rest = rest[count:]
    return len(rest) > 0


play(volume.upload, libvirt.VIR_STREAM_EVENT_WRITABLE, send)
"""


class KitLikeLibvirt(Kit):
    CONFIG = '[service]\ncompatibility = "libvirt"\n'
