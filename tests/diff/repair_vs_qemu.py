#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare what image-check finds and repairs in damaged qcow2 images with qemu-img. Prints TAP.

usage: repair_vs_qemu.py CISTERN [PATTERN]
"""

import os
import shutil
import struct
import sys

sys.dont_write_bytecode = True
from cases import (CISTERN, KIB, Failed, call, case, cistern_json, equal, main,  # noqa: E402
                   make, qemu_img, qemu_io, qemu_json)
from qcow2_tables import OFFSET, Image  # noqa: E402

AT_AUTOCLEAR, AT_SNAPSHOTS = 88, 60


def ours(path, *repair):
    return cistern_json("image-check", "-f", "qcow2", *repair, path, ok=range(20))


def theirs(path, *repair):
    return qemu_json("check", "-f", "qcow2", *repair, path, ok=range(9))


def wrong(report):
    return report.get("corruptions", 0), report.get("leaks", 0)


def repaired_alike(path, mode):
    """Both repair copies; each finds nothing in what either has left. The copies' names."""
    for name, repair in (("ours", ours), ("theirs", theirs)):
        shutil.copy(path, name)
        repair(name, "-r", mode)
    for name in ("ours", "theirs"):
        equal(f"qemu-img check of {name}", wrong(theirs(name)), (0, 0))
        equal(f"image-check of {name}", wrong(ours(name)), (0, 0))
    qemu_img("compare", "-q", "-f", "qcow2", "-F", "qcow2", "ours", "theirs")
    return "ours", "theirs"


def snapshots(path):
    found = qemu_json("info", "-f", "qcow2", path).get("snapshots", [])
    return [(s["id"], s["name"], s["vm-state-size"], s["date-sec"]) for s in found]


def snapshots_alike():
    equal("snapshots", snapshots("ours"), snapshots("theirs"))
    for number in range(min(len(snapshots("ours")), 3)):
        for name in ("ours", "theirs"):
            call("qemu-img", "convert", "-f", "qcow2", "-O", "raw", "-l",
                 f"snapshot.id={snapshots(name)[number][0]}", name, name + ".raw")
        with open("ours.raw", "rb") as one, open("theirs.raw", "rb") as other:
            equal("content of a snapshot", one.read() == other.read(), True)


class Table:
    """The entries of a snapshot table: (fixed part, extra data, id, name)."""

    def __init__(self, path):
        self.image = Image(path)
        self.entries, at = [], self.image.snapshot_table
        for _ in range(self.image.snapshots):
            fixed = self.image.at(at, 40)
            ident, name = struct.unpack_from(">HH", fixed, 12)
            extra, = struct.unpack_from(">I", fixed, 36)
            body = self.image.at(at + 40, extra + ident + name)
            self.entries.append((fixed, body[:extra], body[extra:extra + ident],
                                 body[extra + ident:]))
            at += (40 + extra + ident + name + 7) // 8 * 8

    def write(self, place=None):
        """In place, or behind the end of the file."""
        raw = bytearray()
        for fixed, extra, ident, name in self.entries:
            head = bytearray(fixed)
            struct.pack_into(">HH", head, 12, len(ident), len(name))
            struct.pack_into(">I", head, 36, len(extra))
            raw += head + extra + ident + name
            raw += bytes(-len(raw) % 8)
        if place is None:
            place = self.image.snapshot_table
        self.image.put(place, bytes(raw))
        self.image.put(AT_SNAPSHOTS, struct.pack(">IQ", len(self.entries), place))


def with_snapshots(count=3, options=""):
    make("image", "qcow2", options, "4M")
    for number in range(count):
        qemu_io("image", "qcow2", f"write -P {number + 1} {number * 512}k 600k")
        qemu_img("snapshot", "-c", f"s{number}", "image")
    qemu_io("image", "qcow2", "write -P 99 1M 64k")


def end_of(path):
    return -(-os.path.getsize(path) // (64 * KIB)) * 64 * KIB


@case("cluster_size=64k", "cluster_size=4k", "extended_l2=on")
def a_repair_of_leaks_sets_the_flags_that_a_failed_deletion_left(options):
    with_snapshots(1, options)
    with open("conf", "w", encoding="ascii") as conf:
        conf.write('[inject-error]\nevent = "cluster_free"\nerrno = "5"\n')
    call("qemu-img", "snapshot", "-d", "s0", "blkdebug:conf:image")
    before = theirs("image")
    if not before.get("leaks"):
        raise Failed(f"the deletion left nothing: {before}")
    repaired_alike("image", "leaks")


@case("leaks", "all")
def a_repair_clears_unknown_autoclear_bits(mode):
    with_snapshots(1)
    image = Image("image")
    image.put64(AT_AUTOCLEAR, 1 << 40)
    image.set_count(end_of("image") // image.cluster - 1, 1)
    for name in repaired_alike("image", mode):
        equal(f"autoclear bits of {name}", Image(name).get64(AT_AUTOCLEAR), 0)


@case()
def a_check_alone_leaves_unknown_autoclear_bits():
    with_snapshots(1)
    Image("image").put64(AT_AUTOCLEAR, 1 << 40)
    ours("image")
    equal("autoclear bits", Image("image").get64(AT_AUTOCLEAR), 1 << 40)


@case(0, 8, 15)
def snapshots_without_the_extra_data_of_version_3_are_errors(length):
    with_snapshots()
    table = Table("image")
    for number in (0, 2):
        fixed, extra, ident, name = table.entries[number]
        table.entries[number] = (fixed, extra[:length], ident, name)
    table.write()
    equal("errors", wrong(ours("image")), wrong(theirs("image")))
    equal("errors", wrong(ours("image")), (2, 0))
    repaired_alike("image", "all")
    snapshots_alike()
    equal("extra data", [len(e[1]) >= 16 for e in Table("ours").entries], [True] * 3)


@case(1025, 5000, 100000)
def too_much_extra_data_is_cut(length):
    """With 100,000 bytes the table reaches into clusters that others use, or nobody."""
    with_snapshots()
    table = Table("image")
    fixed, extra, ident, name = table.entries[2]
    table.entries[2] = (fixed, extra.ljust(length, b"x"), ident, name)
    table.write(end_of("image"))
    if wrong(ours("image"))[0] == 0:
        raise Failed("not found")
    repaired_alike("image", "all")
    snapshots_alike()
    equal("extra data", len(Table("ours").entries[2][1]), 1024)


@case()
def snapshots_beyond_their_limit_are_taken_out():
    with_snapshots()
    table = Table("image")
    table.entries += [(bytes(40), bytes(16), b"%d" % number, b"")
                      for number in range(3, 65536 + 5)]
    table.write(end_of("image"))
    if wrong(ours("image"))[0] < 5:
        raise Failed("not found")
    repaired_alike("image", "all")
    equal("snapshots", Image("ours").snapshots, 65536)
    equal("the first", Table("ours").entries[:3], Table("theirs").entries[:3])


@case()
def a_snapshot_table_of_more_than_64_mib_is_cut():
    with_snapshots()
    table = Table("image")
    table.entries += [(bytes(40), bytes(1024), b"%d" % number + b"x" * 65000, b"n" * 65535)
                      for number in range(3, 520)]
    table.write(end_of("image"))
    if wrong(ours("image"))[0] == 0:
        raise Failed("not found")
    repaired_alike("image", "all")
    equal("snapshots", Image("ours").snapshots, Image("theirs").snapshots)
    if Image("ours").snapshots < 400:
        raise Failed("too few are left")


@case()
def a_repair_nobody_asked_for_takes_no_snapshot_out():
    """Writing to an image that was not closed cleanly repairs its refcounts, and no more."""
    with_snapshots(1, "lazy_refcounts=on")
    table = Table("image")
    table.entries += [(bytes(40), bytes(1024), b"%d" % number + b"x" * 65000, b"n" * 65535)
                      for number in range(1, 520)]
    table.write(end_of("image"))
    Image("image").put64(72, 1)
    call(CISTERN, "image-resize", "-f", "qcow2", "image", "8M")
    equal("snapshots", Image("image").snapshots, 520)


@case(0, 0xffffffff << 32, 0xf << 32)
def unaligned_places_without_data_are_dropped(bitmap):
    """An entry whose subclusters are all unallocated or zero reads nothing from its place."""
    make("image", "qcow2", "extended_l2=on", "4M")
    qemu_io("image", "qcow2", "write -P 1 0 256k", "write -P 2 1M 64k")
    image = Image("image")
    at = image.entries()[1]
    image.put64(at, (image.get64(at) & ~OFFSET) | ((image.get64(at) & OFFSET) + 0x2000))
    image.put64(at + 8, bitmap)
    for report in (ours("image"), theirs("image")):
        if wrong(report)[0] == 0:
            raise Failed("not found")
    repaired_alike("image", "all")


@case()
def unaligned_places_with_data_are_left_alone():
    make("image", "qcow2", "extended_l2=on", "4M")
    qemu_io("image", "qcow2", "write -P 1 0 256k")
    image = Image("image")
    at = image.entries()[1]
    wanted = (image.get64(at) & ~OFFSET) | ((image.get64(at) & OFFSET) + 0x2000)
    image.put64(at, wanted)
    del image  # closes the file: a repair refuses one that a process has open for writing
    equal("not repaired", wrong(ours("image", "-r", "all"))[0] > 0, True)
    equal("place", Image("image").get64(at) & OFFSET, wanted & OFFSET)


if __name__ == "__main__":
    sys.exit(main())
