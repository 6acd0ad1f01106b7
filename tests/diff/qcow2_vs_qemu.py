#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare what only qcow2 has with QEMU's tools: check, repair, snapshots, compressed writing,
bitmaps, external data files. Prints TAP.

usage: qcow2_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import json
import random
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
from cases import MIB, Failed, case, equal, qemu_img, qemu_io  # noqa: E402
from engine import (  # noqa: E402
    ENGINE, QCOW2_VARIANTS, check_clean, compare, cst, cst_check, fill, main, options, qemu_check,
    qemu_create, qemu_info, read_equal)
from qcow2_tables import COPIED, ZERO, OFFSET, Image  # noqa: E402


def our_check(path, *repair, ok=(0, 2, 3)):
    return cst_check(path, "qcow2", *repair, ok=ok)


FIGURES = {"errors": "corruptions", "leaks": "leaks", "total": "total-clusters",
           "allocated": "allocated-clusters", "fragmented": "fragmented-clusters",
           "compressed": "compressed-clusters", "end": "image-end-offset"}


def checks_agree(path, figures=FIGURES):
    ours, theirs = our_check(path), qemu_check(path, "qcow2")
    equal("check", {key: ours[key] for key in figures},
          {key: theirs.get(name, 0) for key, name in figures.items()})
    return ours


def filled(path, seed, size=4 * MIB, snapshots=0, count=20, **table):
    qemu_create("qcow2", path, size, **table)
    for number in range(snapshots):
        fill(path, "qcow2", seed + 100 + number, size, count)
        qemu_img("snapshot", "-c", f"s{number}", path)
    fill(path, "qcow2", seed, size, count)


# --- check ---------------------------------------------------------------------------------------

@case(*QCOW2_VARIANTS)
def check_agrees_on_sound_images(table):
    filled("image", 1, snapshots=0 if table.get("refcount_bits") == 1 else 3, **table)
    equal("errors", checks_agree("image")["errors"], 0)


@case(*[v for v in QCOW2_VARIANTS if "refcount_bits" not in v])
def check_agrees_on_compressed_images(table):
    filled("plain", 2)
    qemu_img("convert", "-c", "-O", "qcow2",
        *(["-o", ",".join(options(table))] if table else []), "plain", "image")
    qemu_img("snapshot", "-c", "s", "image")
    fill("image", "qcow2", 3, 4 * MIB, 5)
    checks_agree("image")


@case({}, {"cluster_size": 512})
def check_counts_bitmaps(table):
    filled("image", 4, **table)
    for number in range(3):
        qemu_img("bitmap", "--add", "-g", "4k", "image", f"b{number}")
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
        equal("status", our_check("image")["errors"] > 0, True)
        return
    checks_agree("image", {key: FIGURES[key] for key in ("errors", "leaks")})


@case(1, 2)
def leaks_are_repaired_alone(seed):
    filled("image", seed, snapshots=seed)
    image, rand = Image("image"), random.Random(seed)
    image.set_count(300, 3)
    harm(image, rand, "low")
    before = our_check("image")
    repaired = our_check("image", "leaks")
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
    qemu_img("convert", "-O", "raw", "image", "content")
    image = Image("image")
    for _ in range(rand.randrange(1, 6)):
        harm(image, rand, rand.choice(("leak", "low", "stray", "flag", "l1 flag")))
    report = our_check("image", "all", ok=(0,))
    equal("fixed", report["errors"], report["errors_fixed"])
    check_clean("image")
    equal("second check", [our_check("image")[key] for key in ("errors", "leaks")], [0, 0])
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
    qemu_img("convert", "-O", "raw", "image", "content")
    break_refcounts(Image("image"), kind)
    if not our_check("image")["errors"]:
        raise Failed("not found")
    our_check("image", "all", ok=(0,))
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
    shutil.copy("image", "written")  # whoever opens it for writing repairs it first
    cst("io", "qcow2", "written", "write", 0, 512, 1)
    check_clean("written")
    qemu_io("written", "qcow2", "read -P 1 0 512", "read -P 5 512 1048064")
    if not checks_agree("image", {"errors": "corruptions", "leaks": "leaks"})["errors"]:
        raise Failed("nothing to repair")
    our_check("image", repair)
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
    if theirs.returncode in (1, 2) and ENGINE.call("check", "qcow2", "image")[0] == 0:
        raise Failed(f"QEMU finds {theirs.stdout}, we find nothing")
    if ENGINE.call("check", "qcow2", "copy", "all")[0] == 0:
        check_clean("copy")


# --- snapshots -----------------------------------------------------------------------------------

def qemu_snapshots(path):
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", path))
    return [(s["id"], s["name"], s["vm-state-size"]) for s in info.get("snapshots", [])]


def cst_snapshots(path):
    rows = [line.split() for line in cst("snapshot", "qcow2", path, "list").splitlines()]
    return [(row[0], row[1], int(row[3])) for row in rows]


def sound(path):
    check_clean(path)
    found = our_check(path)
    equal("our check", (found["errors"], found["leaks"]), (0, 0))
    equal("snapshots", cst_snapshots(path), qemu_snapshots(path))


def content(path, name, snapshot=None):
    qemu_img("convert", "-f", "qcow2", "-O", "raw",
        *(["-l", f"snapshot.name={snapshot}"] if snapshot else []), path, name)


SNAPPABLE = [v for v in QCOW2_VARIANTS if v.get("refcount_bits") != 1]


@case(*[(table, seed) for seed, table in enumerate(SNAPPABLE)])
def random_work_with_snapshots_stays_sound(entry):
    """Ours and QEMU's tools take turns; the content of every snapshot is remembered."""
    table, seed = entry
    rand, size, kept, number = random.Random(seed), 3 * MIB + 512, [], 0
    qemu_create("qcow2", "image", size, **table)
    for step in range(10):
        what = rand.choice(("create", "create", "revert", "delete")) if kept else "create"
        name, ours = rand.choice(kept) if kept else None, rand.random() < 0.7
        fill("image", "qcow2", seed * 100 + step, size, 4)
        if what == "create":
            name = f"s{number}"
            number += 1
            content("image", name)
            kept.append(name)
        if ours:
            cst("snapshot", "qcow2", "image", what, name)
        else:
            qemu_img("snapshot", {"create": "-c", "revert": "-a", "delete": "-d"}[what], name,
                "image")
        if what == "delete":
            kept.remove(name)
        if what == "revert":
            compare(name, "raw", "image", "qcow2")
        sound("image")
    for name in kept:
        content("image", "was", name)
        compare(name, "raw", "was", "raw")


@case({"compat": "0.10"}, {})
def compressed_clusters_are_in_snapshots_too(table):
    filled("plain", 2)
    qemu_img("convert", "-c", "-O", "qcow2",
        *(["-o", ",".join(options(table))] if table else []), "plain", "image")
    cst("snapshot", "qcow2", "image", "create", "a")
    content("image", "before")
    fill("image", "qcow2", 3, 4 * MIB, 20)
    sound("image")
    cst("snapshot", "qcow2", "image", "create", "b")
    cst("snapshot", "qcow2", "image", "revert", "a")
    sound("image")
    compare("before", "raw", "image", "qcow2")
    cst("snapshot", "qcow2", "image", "delete", "a")
    cst("snapshot", "qcow2", "image", "delete", "b")
    sound("image")
    compare("before", "raw", "image", "qcow2")


@case()
def snapshots_of_other_sizes_are_reverted_to():
    filled("image", 4, size=4 * MIB)
    content("image", "four")
    cst("snapshot", "qcow2", "image", "create", "four")
    cst("resize", "qcow2", "image", 600 * MIB)
    cst("io", "qcow2", "image", "write", 599 * MIB, 4096, 7)
    cst("snapshot", "qcow2", "image", "create", "more")
    sound("image")
    cst("resize", "qcow2", "image", MIB)
    sound("image")
    cst("snapshot", "qcow2", "image", "revert", "four")
    sound("image")
    compare("four", "raw", "image", "qcow2")
    cst("snapshot", "qcow2", "image", "revert", "more")
    sound("image")
    qemu_io("image", "qcow2", f"read -P 7 {599 * MIB} 4096")
    cst("snapshot", "qcow2", "image", "delete", "four")
    cst("snapshot", "qcow2", "image", "delete", "more")
    sound("image")


@case()
def the_machines_state_is_kept():
    """State lies behind what the L1 entries of the disk can hold. QEMU's own snapshots with state
    need a running machine, so data written to a larger disk becomes state as the disk shrinks."""
    cst("create", "qcow2", "image", 600 * MIB)
    cst("io", "qcow2", "image", "write", 0, 4 * MIB, 1)
    cst("io", "qcow2", "image", "write", 512 * MIB, 100000, 7)
    Image("image").put64(24, 4 * MIB)
    cst("snapshot", "qcow2", "image", "create", "s")
    image = Image("image")
    image.put(image.snapshot_table + 40, struct.pack(">Q", 100000))  # the 64-bit size
    image.put(image.snapshot_table + 32, struct.pack(">I", 100000))
    cst("io", "qcow2", "image", "write", 0, 4 * MIB, 2)
    cst("snapshot", "qcow2", "image", "create", "t")
    cst("snapshot", "qcow2", "image", "revert", "s")
    cst("snapshot", "qcow2", "image", "delete", "t")
    equal("state", cst_snapshots("image"), [("1", "s", 100000)])
    sound("image")
    Image("image").put64(24, 600 * MIB)
    qemu_io("image", "qcow2", "read -P 1 0 4M", f"read -P 7 {512 * MIB} 100000")


@case()
def bitmaps_survive_snapshots_but_not_a_revert():
    filled("image", 6)
    qemu_img("bitmap", "--add", "image", "b")
    cst("snapshot", "qcow2", "image", "create", "s")
    cst("snapshot", "qcow2", "image", "create", "t")
    cst("snapshot", "qcow2", "image", "delete", "s")
    flags = [b["flags"] for b in bitmaps("image")]
    equal("flags", flags, [["auto"]])
    qemu_img("bitmap", "--add", "--disable", "image", "frozen")
    cst("snapshot", "qcow2", "image", "revert", "nobody", ok=(1,))
    equal("flags", [b["flags"] for b in bitmaps("image")], [["auto"], []])
    cst("snapshot", "qcow2", "image", "revert", "t")
    equal("flags", [b["flags"] for b in bitmaps("image")], [["in-use", "auto"], []])
    checks_agree("image")


@case()
def a_revert_to_another_size_outdates_bitmaps():
    """QEMU refuses; here they stay listed, as what can only be removed."""
    filled("image", 6)
    cst("snapshot", "qcow2", "image", "create", "s")
    size = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", "image"))["virtual-size"]
    cst("resize", "qcow2", "image", size + 600 * MIB)
    for flags in ((), ("--disable",)):
        qemu_img("bitmap", "--add", "-g", "512", *flags, "image", f"b{len(flags)}")
    refused = subprocess.run(["qemu-img", "snapshot", "-a", "s", "image"], stderr=subprocess.DEVNULL)
    equal("QEMU's answer", refused.returncode, 1)
    cst("snapshot", "qcow2", "image", "revert", "s")
    if any("in-use" not in b["flags"] for b in bitmaps("image")):
        raise Failed("a bitmap passes for consistent")
    checks_agree("image")
    for name in ("b0", "b1"):
        qemu_img("bitmap", "--remove", "image", name)
    sound("image")


def bitmaps(path):
    info = json.loads(qemu_img("info", "-f", "qcow2", "--output=json", path))
    return info["format-specific"]["data"].get("bitmaps", [])


@case()
def names_and_ids_are_as_they_should_be():
    filled("image", 7)
    for name in ("a", "b", "2", "c"):
        cst("snapshot", "qcow2", "image", "create", name)
    cst("snapshot", "qcow2", "image", "create", "a", ok=(1,))
    cst("snapshot", "qcow2", "image", "create", "", ok=(1,))
    cst("snapshot", "qcow2", "image", "create", "x" * 256, ok=(1,))
    cst("snapshot", "qcow2", "image", "delete", "nobody", ok=(1,))
    cst("snapshot", "qcow2", "image", "revert", "nobody", ok=(1,))
    cst("snapshot", "qcow2", "image", "delete", "2")  # by name first
    equal("left", [s[:2] for s in cst_snapshots("image")], [("1", "a"), ("2", "b"), ("4", "c")])
    cst("snapshot", "qcow2", "image", "delete", "2")  # then by id
    cst("snapshot", "qcow2", "image", "create", "d")
    equal("left", [s[:2] for s in cst_snapshots("image")], [("1", "a"), ("4", "c"), ("5", "d")])
    sound("image")


@case()
def one_bit_counts_have_no_room_for_snapshots():
    filled("image", 8, refcount_bits=1)
    cst("snapshot", "qcow2", "image", "create", "a", ok=(1,))
    equal("snapshots", cst_snapshots("image"), [])
    check_clean("image")


@case()
def snapshots_come_and_go_in_the_same_space():
    filled("image", 9)
    for number in range(3):
        cst("snapshot", "qcow2", "image", "create", "s")
        cst("snapshot", "qcow2", "image", "delete", "s")
    before = Image("image").file.seek(0, 2)
    for number in range(10):
        cst("snapshot", "qcow2", "image", "create", "s")
        cst("snapshot", "qcow2", "image", "delete", "s")
    equal("length", Image("image").file.seek(0, 2), before)
    sound("image")


# --- compressed writing --------------------------------------------------------------------------

PACKABLE = QCOW2_VARIANTS + [{"compression_type": "zstd", "cluster_size": 2 * MIB},
                       {"compression_type": "zstd", "extended_l2": "on"}, {"refcount_bits": 8}]


@case(*PACKABLE)
def compressed_by_us_is_sound_and_equal(table):
    size = 5 * MIB + 512
    qemu_create("raw", "plain", size)
    fill("plain", "raw", 30, size, 60)
    noise = random.Random(31).randbytes(MIB + 700)  # can't be compressed
    with open("plain", "r+b") as file:
        file.seek(2 * MIB + 100)
        file.write(noise)
    cst("pack", "raw", "plain", "qcow2", "image", *options(table))
    sound("image")
    compare("plain", "raw", "image", "qcow2")
    if not our_check("image")["compressed"]:
        raise Failed("nothing is compressed")
    checks_agree("image")
    fill("image", "qcow2", 32, size, 10)
    check_clean("image")
    cst("snapshot", "qcow2", "image", "create", "s") if table.get("refcount_bits") != 1 else None
    sound("image")


@case({}, {"compression_type": "zstd"})
def compressed_images_are_as_small_as_qemus(table):
    rand = random.Random(40)
    words = [rand.randbytes(rand.randrange(2, 12)) for _ in range(4000)]
    with open("plain", "wb") as file:
        file.write(b"".join(rand.choice(words) for _ in range(1100000))[:6 * MIB])
    cst("pack", "raw", "plain", "qcow2", "ours", *options(table))
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2",
        *(["-o", ",".join(options(table))] if table else []), "plain", "theirs")
    ours, theirs = (Image(name).file.seek(0, 2) for name in ("ours", "theirs"))
    if ours > theirs * 1.02 + 65536:
        raise Failed(f"{ours} bytes, QEMU's are {theirs}")
    compare("plain", "raw", "ours", "qcow2")


# --- bitmaps -------------------------------------------------------------------------------------

def bitmaps_agree(path):
    theirs = [(b["name"], b["granularity"], "auto" in b["flags"], "in-use" in b["flags"])
              for b in bitmaps(path)]
    ours = [(name, int(granularity), enabled == "1", inconsistent == "1")
            for name, granularity, enabled, inconsistent in
            (line.rsplit(" ", 3) for line in cst("bitmap", "qcow2", path, "list").splitlines())]
    equal("bitmaps", ours, theirs)
    return ours


def bitmap_sound(path):
    found = bitmaps_agree(path)
    check_clean(path)
    checks_agree(path)
    return found


BITMAPPED = [{}, {"cluster_size": 4096}, {"cluster_size": 2 * MIB}, {"extended_l2": "on"}]


@case(*BITMAPPED)
def bitmaps_are_managed_in_turns_with_qemu(table):
    size = 40 * MIB + 512
    cst("create", "qcow2", "image", size, *options(table))
    fill("image", "qcow2", 50, size, 5)
    cst("bitmap", "qcow2", "image", "add", "ours", 4096)
    equal("added", bitmap_sound("image"), [("ours", 4096, True, False)])
    qemu_img("bitmap", "--add", "-g", "512", "image", "theirs")
    fill("image", "qcow2", 51, size, 10)  # QEMU tracks its own writes in both
    cst("bitmap", "qcow2", "image", "add", "third")
    cst("bitmap", "qcow2", "image", "disable", "theirs")
    bitmap_sound("image")
    was = Image("image").bitmaps()
    if not any(was["ours"][0]) or not any(was["theirs"][0]):
        raise Failed("QEMU has not tracked its writes")
    cst("bitmap", "qcow2", "image", "clear", "ours")
    equal("cleared", any(Image("image").bitmaps()["ours"][0]), False)
    equal("the other", Image("image").bitmaps()["theirs"], was["theirs"])
    bitmap_sound("image")
    cst("bitmap", "qcow2", "image", "enable", "theirs")
    cst("bitmap", "qcow2", "image", "remove", "ours")
    cst("bitmap", "qcow2", "image", "remove", "ours", ok=(1,))
    cst("bitmap", "qcow2", "image", "add", "theirs", ok=(1,))
    equal("left", [b[0] for b in bitmap_sound("image")], ["theirs", "third"])
    cst("bitmap", "qcow2", "image", "remove", "theirs")
    qemu_img("bitmap", "--remove", "image", "third")
    equal("left", bitmap_sound("image"), [])
    cst("bitmap", "qcow2", "image", "add", "again")
    cst("bitmap", "qcow2", "image", "remove", "again")
    equal("left", bitmap_sound("image"), [])
    qemu_io("image", "qcow2", "write -P 1 0 64k")
    check_clean("image")


@case(*[(a, b) for a in (512, 4096, 65536, MIB) for b in (512, 65536, 2 * MIB)])
def merging_gives_the_bits_that_qemu_gives(entry):
    size = 70 * MIB + 512
    qemu_create("qcow2", "image", size, cluster_size=4096)
    for seed, (name, granularity) in enumerate(zip("ab", entry)):
        qemu_img("bitmap", "--add", "-g", str(granularity), "image", name)
        fill("image", "qcow2", 60 + seed, size, 15)
        qemu_img("bitmap", "--disable", "image", name)
    shutil.copy("image", "theirs")
    qemu_img("bitmap", "--merge", "b", "theirs", "a")
    cst("bitmap", "qcow2", "image", "merge", "a", "b")
    equal("merged", Image("image").bitmaps(), Image("theirs").bitmaps())
    bitmap_sound("image")
    cst("bitmap", "qcow2", "image", "merge", "b", "a", "theirs")  # from another image
    cst("bitmap", "qcow2", "image", "merge", "a", "nobody", ok=(1,))
    bitmap_sound("image")


@case({}, {"snapshot": "revert"})
def our_writes_outdate_enabled_bitmaps_only(how):
    filled("image", 70)
    cst("snapshot", "qcow2", "image", "create", "s")
    cst("bitmap", "qcow2", "image", "add", "on")
    cst("bitmap", "qcow2", "image", "add", "off")
    cst("bitmap", "qcow2", "image", "disable", "off")
    if how:
        cst("snapshot", "qcow2", "image", "revert", "s")
    else:
        cst("io", "qcow2", "image", "write", 0, 512, 1)
    equal("bitmaps", bitmap_sound("image"),
          [("on", 65536, True, True), ("off", 65536, False, False)])
    for verb in ("clear", "enable", "disable"):
        cst("bitmap", "qcow2", "image", verb, "on", ok=(1,))
    cst("bitmap", "qcow2", "image", "merge", "off", "on", ok=(1,))
    cst("bitmap", "qcow2", "image", "remove", "on")
    bitmap_sound("image")


@case()
def a_bitmap_makes_room_in_the_header():
    """QEMU's header ends at 512 and the backing file's name follows at once."""
    qemu_create("raw", "base" + "x" * 200, 4 * MIB)
    qemu_io("base" + "x" * 200, "raw", "write -P 1 0 4M")
    qemu_create("qcow2", "image", 4 * MIB, backing_file="base" + "x" * 200, backing_fmt="raw")
    cst("bitmap", "qcow2", "image", "add", "a")
    cst("bitmap", "qcow2", "image", "add", "b" * 1023)
    bitmap_sound("image")
    qemu_io("image", "qcow2", "read -P 1 0 4M", "write -P 2 0 64k")
    equal("backing", qemu_info("image", "qcow2")["backing-filename"], "base" + "x" * 200)
    bitmap_sound("image")
    # A header of one cluster: of 512 bytes, all but 168 are the name's once the features have none.
    qemu_create("raw", "base", 4 * MIB)
    for steps, full in ((170, False), (171, True)):
        qemu_create("qcow2", "tiny", 4 * MIB, cluster_size=512, backing_file="./" * steps + "base",
                    backing_fmt="raw")
        cst("bitmap", "qcow2", "tiny", "add", "a", ok=(1 if full else 0,))
        equal("bitmaps", len(bitmaps("tiny")), 0 if full else 1)
        equal("backing", qemu_info("tiny", "qcow2")["backing-filename"], "./" * steps + "base")
        check_clean("tiny")


@case()
def bitmaps_that_can_not_be_are_refused():
    qemu_create("qcow2", "image", 4 * MIB)
    for name, granularity in (("", 0), ("x" * 1024, 0), ("a", 256), ("a", 1000), ("a", 1 << 32)):
        cst("bitmap", "qcow2", "image", "add", name, granularity, ok=(1,))
    qemu_create("qcow2", "old", 4 * MIB, compat="0.10")
    cst("bitmap", "qcow2", "old", "add", "a", ok=(1,))
    for path in ("image", "old"):
        equal("bitmaps", bitmaps(path), [])
        check_clean(path)


# --- external data files -------------------------------------------------------------------------

@case({}, {"data_file_raw": "on"}, {"extended_l2": "on"}, {"cluster_size": 512})
def external_data_files_are_read(table):
    size = 3 * MIB + 512
    qemu_create("qcow2", "image", size, data_file="data", **table)
    fill("image", "qcow2", 80, size)
    qemu_io("image", "qcow2", "write -P 9 0 4k")  # at place 0 of the file
    read_equal("image")
    checks_agree("image")
    equal("damage", our_check("image")["errors"], 0)
    cst("io", "qcow2", "image", "write", 0, 512, 1)
    qemu_io("image", "qcow2", "read -P 1 0 512", "read -P 9 512 3584")
    read_equal("image")
    cst("snapshot", "qcow2", "image", "create", "s", ok=(1,))
    checks_agree("image")


if __name__ == "__main__":
    sys.exit(main())
