#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare what only qcow2 has with qemu-img and qemu-io: check, repair. Prints TAP.

usage: qcow2_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import json
import random
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
from image_vs_qemu import (  # noqa: E402
    CASES, CST_IMG, MIB, VARIANTS, Failed, case, check_clean, compare, cst, equal, fill, main, options,
    qemu_create, qemu_io, run)

CASES.clear()  # those of the other program

COPIED, ZERO = 1 << 63, 1
OFFSET = 0x00fffffffffffe00


# --- images under the microscope -----------------------------------------------------------------

class Image:
    """The tables of a qcow2 file, to be damaged."""

    def __init__(self, path):
        self.file = open(path, "r+b", buffering=0)
        head = self.at(0, 112)
        (self.bits, self.size) = struct.unpack_from(">IQ", head, 20)
        (self.l1_size, self.l1, self.reftable, self.reftable_clusters, self.snapshots,
         self.snapshot_table) = struct.unpack_from(">IQQIIQ", head, 36)
        self.cluster = 1 << self.bits
        version = struct.unpack_from(">I", head, 4)[0]
        self.order = struct.unpack_from(">I", head, 96)[0] if version > 2 else 4
        extended = version > 2 and struct.unpack_from(">Q", head, 72)[0] & 16
        self.entry = 16 if extended else 8

    def at(self, offset, length):
        self.file.seek(offset)
        return self.file.read(length)

    def put(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)

    def get64(self, offset):
        return struct.unpack(">Q", self.at(offset, 8))[0]

    def put64(self, offset, value):
        self.put(offset, struct.pack(">Q", value & (1 << 64) - 1))

    def l2(self, index=0):
        """Place of the L2 table at @index in use."""
        return self.get64(self.l1 + 8 * index) & OFFSET

    def entries(self, kind=lambda word: word & OFFSET and not word & 1 << 62):
        """Places of the active L2 entries of a kind."""
        places = []
        for index in range(self.l1_size):
            table = self.l2(index)
            for at in range(table, table + self.cluster, self.entry) if table else ():
                if kind(self.get64(at)):
                    places.append(at)
        return places

    def block(self, index=0):
        return self.get64(self.reftable + 8 * index)

    def set_count(self, cluster, change):
        """For counts of 16 bits."""
        per_block = self.cluster // 2
        at = self.block(cluster // per_block) + cluster % per_block * 2
        old = struct.unpack(">H", self.at(at, 2))[0]
        self.put(at, struct.pack(">H", max(old + change, 0)))


def qemu_check(path, *repair):
    report = json.loads(run("qemu-img", "check", "-f", "qcow2", "--output=json", *repair, path,
                            ok=range(9)))
    return report


def cst_check(path, *repair, ok=(0, 2, 3)):
    return {key: int(value) for key, value in
            (line.split("=") for line in cst("check", "qcow2", path, *repair, ok=ok).splitlines())}


FIGURES = {"errors": "corruptions", "leaks": "leaks", "total": "total-clusters",
           "allocated": "allocated-clusters", "fragmented": "fragmented-clusters",
           "compressed": "compressed-clusters", "end": "image-end-offset"}


def checks_agree(path, figures=FIGURES):
    ours, theirs = cst_check(path), qemu_check(path)
    equal("check", {key: ours[key] for key in figures},
          {key: theirs.get(name, 0) for key, name in figures.items()})
    return ours


def filled(path, seed, size=4 * MIB, snapshots=0, count=20, **table):
    qemu_create("qcow2", path, size, **table)
    for number in range(snapshots):
        fill(path, "qcow2", seed + 100 + number, size, count)
        run("qemu-img", "snapshot", "-c", f"s{number}", path)
    fill(path, "qcow2", seed, size, count)


# --- check ---------------------------------------------------------------------------------------

@case(*VARIANTS)
def check_agrees_on_sound_images(table):
    filled("image", 1, snapshots=0 if table.get("refcount_bits") == 1 else 3, **table)
    equal("errors", checks_agree("image")["errors"], 0)


@case(*[v for v in VARIANTS if "refcount_bits" not in v])
def check_agrees_on_compressed_images(table):
    filled("plain", 2)
    run("qemu-img", "convert", "-c", "-O", "qcow2",
        *(["-o", ",".join(options(table))] if table else []), "plain", "image")
    run("qemu-img", "snapshot", "-c", "s", "image")
    fill("image", "qcow2", 3, 4 * MIB, 5)
    checks_agree("image")


@case({}, {"cluster_size": 512})
def check_counts_bitmaps(table):
    filled("image", 4, **table)
    for number in range(3):
        run("qemu-img", "bitmap", "--add", "-g", "4k", "image", f"b{number}")
        fill("image", "qcow2", 5 + number, 4 * MIB, 5)
    equal("found", checks_agree("image")["errors"], 0)


def harm(image, rand, kind):
    places = image.entries()
    at = rand.choice(places)
    word = image.get64(at)
    cluster = (word & OFFSET) >> image.bits
    if kind == "leak":
        image.set_count(cluster, 1)
    elif kind == "low":
        image.set_count(cluster, -1)
    elif kind == "stray":
        image.set_count(rand.randrange(1, 60), rand.choice((-1, 1, 2)))
    elif kind == "flag":
        image.put64(at, word ^ COPIED)
    elif kind == "l1 flag":
        image.put64(image.l1, image.get64(image.l1) ^ COPIED)
    elif kind == "outside":
        image.put64(at, COPIED | 1 << 40)
    elif kind == "shared":
        image.put64(at, image.get64(rand.choice(places)))
    elif kind == "gone":
        image.put64(at, 0)
    elif kind == "unaligned zero":
        image.put64(at, word | ZERO | 512)
    elif kind == "reserved":
        image.put64(at, word | 1 << 57)


KINDS = ("leak", "low", "stray", "flag", "l1 flag", "outside", "shared", "gone", "unaligned zero",
         "reserved")


@case(*[(kind, seed) for kind in KINDS for seed in (1, 2)])
def damage_is_found_as_qemu_finds_it(entry):
    kind, seed = entry
    filled("image", seed, snapshots=seed - 1)
    harm(Image("image"), random.Random(seed), kind)
    if kind == "unaligned zero":  # QEMU counts a cluster behind the end of the file as well
        equal("leaks", checks_agree("image", {"leaks": "leaks"})["leaks"], 0)
        equal("status", cst_check("image")["errors"] > 0, True)
        return
    checks_agree("image", {key: FIGURES[key] for key in ("errors", "leaks")})


@case(*[("leak", seed) for seed in (1, 2)])
def leaks_are_repaired_alone(entry):
    kind, seed = entry
    filled("image", seed, snapshots=seed)
    image, rand = Image("image"), random.Random(seed)
    image.set_count(300, 3)
    harm(image, rand, "low")
    before = cst_check("image")
    repaired = cst_check("image", "leaks")
    equal("leaks", repaired["leaks_fixed"], before["leaks"])
    equal("errors", repaired["errors_fixed"], 0)
    after = checks_agree("image", {key: FIGURES[key] for key in ("errors", "leaks")})
    equal("leaks", after["leaks"], 0)
    if not after["errors"]:
        raise Failed("errors were repaired as well")


@case(*range(1, 9))
def all_damage_is_repaired(seed):
    """The tables are right here, so that the content stays what it is."""
    rand = random.Random(seed)
    filled("image", seed, snapshots=seed % 3)
    run("qemu-img", "convert", "-O", "raw", "image", "content")
    image = Image("image")
    for _ in range(rand.randrange(1, 6)):
        harm(image, rand, rand.choice(("leak", "low", "stray", "flag", "l1 flag")))
    report = cst_check("image", "all", ok=(0,))
    equal("fixed", report["errors"], report["errors_fixed"])
    check_clean("image")
    equal("second check", [cst_check("image")[key] for key in ("errors", "leaks")], [0, 0])
    compare("content", "raw", "image", "qcow2")


REBUILDS = ("no block", "block outside", "block unaligned", "block on the L1 table",
            "reserved bit", "two entries, one block")


def break_refcounts(image, kind):
    table = image.reftable
    if kind == "no block":
        image.put64(table, 0)
    elif kind == "block outside":
        image.put64(table, 1 << 45)
    elif kind == "block unaligned":
        image.put64(table, image.block() + 512)
    elif kind == "block on the L1 table":
        image.put64(table, image.l1)
    elif kind == "reserved bit":
        image.put64(table, image.block() | 4)
    else:
        image.put64(table + 8, image.block())


@case(*[(kind, table) for kind in REBUILDS
        for table in ("", "cluster_size=4096", "cluster_size=4096,refcount_bits=64",
                      "refcount_bits=8")])
def broken_refcounts_are_built_anew(entry):
    kind, text = entry
    table = dict(pair.split("=") for pair in text.split(",")) if text else {}
    filled("image", 6, snapshots=1, **table)
    run("qemu-img", "convert", "-O", "raw", "image", "content")
    break_refcounts(Image("image"), kind)
    if not cst_check("image")["errors"]:
        raise Failed("not found")
    cst_check("image", "all", ok=(0,))
    check_clean("image")
    compare("content", "raw", "image", "qcow2")
    fill("image", "qcow2", 7, 4 * MIB, 10)
    check_clean("image")


@case("all", "leaks")
def an_image_that_was_not_closed_is_repaired(repair):
    qemu_create("qcow2", "image", 4 * MIB, lazy_refcounts="on")
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 5 0 1M", "-c", "flush", "-c", "abort",
                    "image"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if "dirty=1" not in cst("info", "image"):
        raise Failed("not dirty")
    cst("io", "qcow2", "image", "write", 0, 512, 1, ok=(1,))
    if not checks_agree("image", {"errors": "corruptions", "leaks": "leaks"})["errors"]:
        raise Failed("nothing to repair")
    cst_check("image", repair)
    # with leaks alone repaired the counts are still too low
    equal("dirty", "dirty=1" in cst("info", "image"), repair == "leaks")
    if repair == "all":
        check_clean("image")
        cst("io", "qcow2", "image", "write", 2 * MIB, 512, 1)
        qemu_io("image", "qcow2", "read -P 5 0 1M", "read -P 1 2M 512")
        check_clean("image")


@case()
def a_hundred_snapshots_are_checked():
    filled("image", 8, snapshots=100, count=2)
    checks_agree("image")


@case(*range(1, 13))
def random_damage_does_not_upset_the_check(seed):
    """Errors where QEMU finds errors, and after a repair that claims success QEMU finds none."""
    rand = random.Random(seed)
    filled("image", seed, snapshots=2, count=8)
    image = Image("image")
    for _ in range(rand.randrange(1, 4)):
        where = rand.choice((image.l1, image.l2(), image.reftable, image.block(),
                             image.snapshot_table, rand.choice(image.entries())))
        image.put(where + rand.randrange(0, 64), bytes([rand.randrange(256)]))
    theirs = subprocess.run(["qemu-img", "check", "-f", "qcow2", "--output=json", "image"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    shutil.copy("image", "copy")
    ours = subprocess.run([CST_IMG, "check", "qcow2", "image"], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True)
    if theirs.returncode in (1, 2) and ours.returncode == 0:
        raise Failed(f"QEMU finds {theirs.stdout}, we find nothing")
    repaired = subprocess.run([CST_IMG, "check", "qcow2", "copy", "all"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if repaired.returncode == 0:
        check_clean("copy")


if __name__ == "__main__":
    random.seed(1)
    sys.exit(main())
