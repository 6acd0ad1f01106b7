#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare the image engine with qemu-img and qemu-io. Prints TAP.

usage: image_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import os
import shutil
import sys

sys.dont_write_bytecode = True
from cases import (  # noqa: E402
    GIB, KIB, MIB, Failed, case, equal, qemu_img, qemu_io, qemu_json, run)
from engine import (  # noqa: E402
    CST_POWERCUT, QCOW2_VARIANTS, agree_on_info, check_clean, compare, convert_there_and_back, cst,
    cst_info, discard_all, fill, grow_far, main, mirror_of, new_pair, options, our_io, qemu_check,
    qemu_create, qemu_info, read_equal, resize_at_random, shrink_back, write_both)
from harness import luks  # noqa: E402

# --- looking at what QEMU makes ---------------------------------------------------------------

FOREIGN = [
    ("raw", {}, "raw"), ("qcow", {}, "qcow"), ("qed", {}, "qed"),
    ("qed", {"cluster_size": 8192, "table_size": 4}, "qed"), ("vdi", {}, "vdi"),
    ("vdi", {"static": "on"}, "vdi"), ("parallels", {}, "parallels"),
    ("parallels", {"cluster_size": MIB * 2}, "parallels"),
    ("vpc", {}, "vpc"), ("vpc", {"subformat": "fixed"}, "vpc"), ("vpc", {"force_size": "on"}, "vpc"),
    ("vhdx", {}, "vhdx"), ("vhdx", {"subformat": "fixed"}, "vhdx"),
    ("vhdx", {"block_size": 8 * MIB}, "vhdx"),
] + [("vmdk", {"subformat": sub}, "vmdk") for sub in (
    "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
    "streamOptimized")] + [("vmdk", {"compat6": "on"}, "vmdk")]


@case(*FOREIGN)
def inspect_agrees_with_qemu(entry):
    fmt, table, probed = entry
    for size in (10 * MIB, 5 * GIB + 512) if fmt != "vpc" else (10 * MIB, 5 * GIB):
        if size > GIB and ("fixed" in table.values() or "on" in table.values() or fmt == "vhdx"):
            continue
        qemu_create(fmt, "image", size, **table)
        agree_on_info("image", fmt, probed)
        for name in os.listdir("."):
            os.unlink(name)


@case(("qcow", {}), ("qed", {}), ("vmdk", {}), ("qcow2", {"compat": "0.10"}), ("qcow2", {}))
def inspect_finds_the_backing_file(entry):
    fmt, table = entry
    base = "vmdk" if fmt == "vmdk" else "raw"
    qemu_create(base, "base", 10 * MIB)
    if fmt == "qcow":
        qemu_img("create", "-q", "-f", fmt, "-b", "base", "-F", base, "image")
        equal("backing", cst_info("image")["backing"], "base")
        return
    qemu_create(fmt, "image", 10 * MIB, backing_file="base", backing_fmt=base, **table)
    ours, theirs = cst_info("image"), qemu_info("image", fmt)
    equal("backing", ours["backing"], theirs["backing-filename"])
    equal("backing format", ours["backing_format"], theirs.get("backing-filename-format", ""))


@case("luks", "qcow2")
def inspect_sees_encryption(fmt):
    luks.create("image", MIB, fmt)
    ours = cst_info("image")
    equal("format", ours["format"], fmt)
    equal("encryption", ours["encryption"], "luks")
    equal("capacity", int(ours["capacity"]), MIB)
    equal("problem", ours["problem"], "")


@case()
def inspect_sees_the_data_file():
    qemu_create("qcow2", "image", 10 * MIB, data_file="data.raw", data_file_raw="on")
    equal("data file", cst_info("image")["data_file"], "data.raw")
    agree_on_info("image", "qcow2", "qcow2")


# --- making qcow2 images ----------------------------------------------------------------------

SIZES = (0, 512, 64 * KIB - 512, 64 * KIB, 100 * MIB, 7 * GIB + 1536, 1 << 42)
CREATES = [{}, {"compat": "0.10"}, {"lazy_refcounts": "on"}, {"extended_l2": "on"},
           {"compression_type": "zstd"}] + \
          [{"cluster_size": 1 << bits} for bits in (9, 10, 12, 20, 21)] + \
          [{"refcount_bits": 1 << order} for order in (0, 1, 2, 3, 5, 6)] + \
          [{"cluster_size": 512, "refcount_bits": 64}, {"cluster_size": 512, "compat": "0.10"},
           {"extended_l2": "on", "cluster_size": 16384}]


@case(*CREATES)
def created_qcow2_is_sound(table):
    for size in SIZES:
        if table.get("cluster_size", 65536) <= 1024 and size > GIB * 100:
            continue
        cst("create", "qcow2", "ours", size, *options(table))
        check_clean("ours")
        agree_on_info("ours", "qcow2", "qcow2")
        theirs = {k: v for k, v in qemu_info("ours", "qcow2")["format-specific"]["data"].items()}
        equal("refcount bits", table.get("refcount_bits", 16), theirs["refcount-bits"])
        qemu_create("qcow2", "theirs", size, **table)
        expected = qemu_info("theirs", "qcow2")["format-specific"]["data"]
        equal("format-specific", theirs, expected)
        if size <= GIB * 8:
            compare("ours", "qcow2", "theirs", "qcow2")


@case({}, {"compat": "0.10"}, {"extended_l2": "on"})
def created_overlay_shows_its_backing(table):
    qemu_create("raw", "base", 3 * MIB)
    qemu_io("base", "raw", "write -P 7 100k 1M")
    cst("create", "qcow2", "ours", 4 * MIB, "backing_file=base", "backing_fmt=raw", *options(table))
    agree_on_info("ours", "qcow2")
    check_clean("ours")
    qemu_io("ours", "qcow2", "read -P 7 100k 1M", "read -P 0 3M 1M")


@case({"cluster_size": 1000}, {"cluster_size": 256}, {"cluster_size": 4 * MIB},
      {"extended_l2": "on", "cluster_size": 8192}, {"refcount_bits": 3}, {"refcount_bits": 128},
      {"compat": "0.10", "lazy_refcounts": "on"}, {"compat": "0.10", "extended_l2": "on"},
      {"compat": "2"}, {"compression_type": "lz4"}, {"backing_file": "x"},
      {"backing_file": "x" * 1024, "backing_fmt": "raw"})
def bad_options_are_refused(table):
    cst("create", "qcow2", "ours", MIB, *options(table), ok=(1,))


@case((512, 128 * GIB), (65536, 1 << 51))
def the_largest_image_is_made_and_the_next_refused(entry):
    cluster, largest = entry
    cst("create", "qcow2", "ours", largest, f"cluster_size={cluster}")
    check_clean("ours")
    cst("create", "qcow2", "ours", largest + 512, f"cluster_size={cluster}", ok=(1,))


@case("off", "falloc", "full")
def raw_images_are_made(preallocation):
    cst("create", "raw", "ours", 5 * MIB + 100, f"preallocation={preallocation}")
    info = os.stat("ours")
    equal("size", info.st_size, 5 * MIB + 100)
    if preallocation != "off" and info.st_blocks * 512 < 5 * MIB:
        raise Failed("not allocated")


# --- reading what QEMU writes -------------------------------------------------------------------

@case(*QCOW2_VARIANTS)
def written_by_qemu_reads_equal(table):
    size = 5 * MIB + 512
    qemu_create("qcow2", "image", size, **table)
    fill("image", "qcow2", 1, size)
    read_equal("image")


@case(*[v for v in QCOW2_VARIANTS if "refcount_bits" not in v])
def compressed_by_qemu_reads_equal(table):
    size = 5 * MIB + 512
    qemu_create("raw", "plain", size)
    fill("plain", "raw", 2, size)
    extra = ["-o", ",".join(options(table))] if table else []
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", *extra, "plain", "image")
    read_equal("image")
    fill("image", "qcow2", 3, size, 10)
    read_equal("image")


@case({}, {"compat": "0.10"}, {"extended_l2": "on"})
def backing_chains_read_equal(table):
    qemu_create("raw", "a", 3 * MIB)
    fill("a", "raw", 4, 3 * MIB)
    qemu_create("qcow2", "b", 2 * MIB + 512, backing_file="a", backing_fmt="raw")
    fill("b", "qcow2", 5, 2 * MIB, 5)
    qemu_create("qcow2", "c", 4 * MIB, backing_file="b", backing_fmt="qcow2", **table)
    fill("c", "qcow2", 6, 4 * MIB, 5)
    read_equal("b")
    read_equal("c")


@case(*QCOW2_VARIANTS[:7], QCOW2_VARIANTS[8])
def snapshots_survive_our_writes(table):
    size = 4 * MIB
    qemu_create("qcow2", "image", size, **table)
    fill("image", "qcow2", 7, size)
    qemu_img("convert", "-f", "qcow2", "-O", "raw", "image", "then")
    qemu_img("snapshot", "-c", "s1", "image")
    shutil.copy("then", "now")
    our_io("image", "now", 8, size)
    check_clean("image")
    compare("now", "raw", "image", "qcow2")
    qemu_img("convert", "-f", "qcow2", "-O", "raw", "-l", "s1", "image", "still")
    compare("then", "raw", "still", "raw")
    qemu_img("snapshot", "-a", "s1", "image")
    check_clean("image")
    compare("then", "raw", "image", "qcow2")


# --- writing -----------------------------------------------------------------------------------

@case(*QCOW2_VARIANTS)
def written_by_us_is_sound_and_equal(table):
    size = new_pair("qcow2", 6 * MIB + 512, table)
    for seed in (11, 12, 13):
        write_both("qcow2", seed, size)
        read_equal("image")


@case(*QCOW2_VARIANTS)
def our_writes_to_qemus_image_are_sound(table):
    size = 5 * MIB
    qemu_create("qcow2", "image", size, **table)
    fill("image", "qcow2", 14, size)
    mirror_of("image", "qcow2")
    write_both("qcow2", 15, size)


@case({}, {"compression_type": "zstd"}, {"cluster_size": 2 * MIB}, {"extended_l2": "on"})
def compressed_clusters_are_replaced(table):
    size = 4 * MIB
    qemu_create("raw", "mirror", size)
    fill("mirror", "raw", 16, size)
    extra = ["-o", ",".join(options(table))] if table else []
    qemu_img("convert", "-c", "-f", "raw", "-O", "qcow2", *extra, "mirror", "image")
    write_both("qcow2", 17, size)


@case({}, {"compat": "0.10"}, {"extended_l2": "on"}, {"cluster_size": 512})
def overlays_are_written_over_their_backing(table):
    qemu_create("raw", "base", 3 * MIB)
    fill("base", "raw", 18, 3 * MIB)
    shutil.copy("base", "mirror")
    os.truncate("mirror", 4 * MIB)
    cst("create", "qcow2", "image", 4 * MIB, "backing_file=base", "backing_fmt=raw",
        *options(table))
    write_both("qcow2", 19, 4 * MIB)


@case({}, {"compat": "0.10"}, {"extended_l2": "on"})
def discarded_data_is_gone_and_its_space_is_back(table):
    discard_all("qcow2", table)
    # and is used again
    length = os.stat("image").st_size
    cst("io", "qcow2", "image", "write", 0, 16 * MIB, 2)
    check_clean("image")
    if os.stat("image").st_size > length + 2 * 65536:
        raise Failed("the space was not used again")


@case(*[dict(v, preallocation=mode) for mode in ("metadata", "falloc", "full")
        for v in ({}, {"compat": "0.10"}, {"cluster_size": 512}, {"extended_l2": "on"})])
def preallocated_images_are_sound(table):
    size = 3 * MIB + 512
    cst("create", "qcow2", "ours", size, *options(table))
    check_clean("ours")
    qemu_create("qcow2", "theirs", size, **table)
    compare("ours", "qcow2", "theirs", "qcow2")
    ours, theirs = (qemu_json("map", "-f", "qcow2", name) for name in ("ours", "theirs"))
    data = [sum(e["length"] for e in entries if "offset" in e) for entries in (ours, theirs)]
    equal("mapped bytes", *data)
    if table["preallocation"] != "metadata" and os.stat("ours").st_blocks * 512 < size:
        raise Failed("not allocated")
    our_io("ours", "theirs.raw", 20, size) if cst("create", "raw", "theirs.raw", size) else None
    check_clean("ours")


@case({}, {"extended_l2": "on"}, {"cluster_size": 512})
def the_file_grows_past_its_refcount_table(table):
    """512-byte clusters and 64-bit counts: a table cluster covers 2 MiB only."""
    table = dict(table, refcount_bits=64)
    cst("create", "qcow2", "image", 40 * MIB, *options(table))
    cst("io", "qcow2", "image", "write", 0, 40 * MIB, 5)
    check_clean("image")
    qemu_io("image", "qcow2", "read -P 5 0 40M")


# --- power cuts ----------------------------------------------------------------------------------

@case(*QCOW2_VARIANTS[:6], {"cluster_size": 512, "refcount_bits": 64}, {"snapshot": "yes"},
      {"compressed": "yes"})
def a_power_cut_leaks_at_worst(table):
    table, seeds, size = dict(table), 25, 2 * MIB
    snapshot, compressed = table.pop("snapshot", None), table.pop("compressed", None)
    qemu_create("qcow2", "image", size, **table)
    fill("image", "qcow2", 60, size, 15)
    if compressed:
        qemu_img("convert", "-c", "-f", "qcow2", "-O", "qcow2", "image", "packed")
        os.rename("packed", "image")
    if snapshot:
        qemu_img("snapshot", "-c", "s", "image")
    run(CST_POWERCUT, "image", "left", 1, seeds)
    for number in range(seeds):
        report = qemu_check(f"left.{number}", "qcow2")
        if report.get("corruptions") or report.get("check-errors"):
            raise Failed(f"seed {number}: {report}")


# --- size --------------------------------------------------------------------------------------

@case(*QCOW2_VARIANTS)
def resized_images_are_sound(table):
    resize_at_random("qcow2", table)


@case(({}, 1 << 45), ({"cluster_size": 512}, 16 * GIB), ({"compat": "0.10"}, 1 << 40))
def images_grow_far(entry):
    table, size = entry
    grow_far("qcow2", table, size)
    shrink_back("qcow2")


@case("metadata", "falloc", "full")
def grown_space_is_preallocated(mode):
    for table in ({}, {"extended_l2": "on"}):
        cst("create", "qcow2", "image", MIB, *options(table))
        cst("resize", "qcow2", "image", 5 * MIB, mode)
        check_clean("image")
        qemu_io("image", "qcow2", "read -P 0 0 5M")
        mapped = qemu_json("map", "-f", "qcow2", "image")
        equal("mapped bytes", sum(e["length"] for e in mapped if "offset" in e), 4 * MIB)
        os.unlink("image")


@case({}, {"compat": "0.10"}, {"extended_l2": "on"})
def a_longer_backing_image_does_not_show_in_grown_space(table):
    qemu_create("raw", "base", 4 * MIB)
    qemu_io("base", "raw", "write -P 1 0 4M")
    cst("create", "qcow2", "image", MIB + 512, "backing_file=base", "backing_fmt=raw",
        *options(table))
    cst("resize", "qcow2", "image", 5 * MIB)
    check_clean("image")
    qemu_io("image", "qcow2", f"read -P 1 0 {MIB + 512}",
            f"read -P 0 {MIB + 512} {4 * MIB - 512}")


@case()
def snapshots_limit_resizing():
    for compat, status in (("0.10", 1), ("1.1", 0)):
        qemu_create("qcow2", "image", MIB, compat=compat)
        qemu_io("image", "qcow2", "write -P 1 0 1M")
        qemu_img("snapshot", "-c", "s", "image")
        cst("resize", "qcow2", "image", 3 * MIB, ok=(status,))
        cst("resize", "qcow2", "image", 65536, ok=(status,))
        check_clean("image")
        os.rename("image", "old-" + compat)
    qemu_img("snapshot", "-a", "s", "old-1.1")
    check_clean("old-1.1")
    qemu_io("old-1.1", "qcow2", "read -P 1 0 1M")


@case()
def bitmaps_are_invalidated_by_writes_but_not_by_resizing():
    qemu_create("qcow2", "image", MIB)
    qemu_img("bitmap", "--add", "image", "b")
    cst("resize", "qcow2", "image", 2 * MIB)
    check_clean("image")
    bitmaps = qemu_info("image", "qcow2")["format-specific"]["data"].get("bitmaps", [])
    if [b["flags"] for b in bitmaps] != [["auto"]]:
        raise Failed(f"resizing changed {bitmaps}")
    cst("io", "qcow2", "image", "write", 0, 4096, 1)
    bitmaps = qemu_info("image", "qcow2")["format-specific"]["data"].get("bitmaps", [])
    if any("in-use" not in b["flags"] for b in bitmaps):
        raise Failed(f"a bitmap passes for consistent: {bitmaps}")


# --- converting ----------------------------------------------------------------------------------

@case(*QCOW2_VARIANTS)
def converting_there_and_back_keeps_the_bytes(table):
    convert_there_and_back("qcow2", table)


@case()
def sparse_images_convert_at_once():
    cst("create", "qcow2", "a", 1 << 42)
    cst("io", "qcow2", "a", "write", 1 << 41, 4096, 1)
    cst("convert", "qcow2", "a", "raw", "b")
    cst("convert", "raw", "b", "qcow2", "c")
    check_clean("c")
    qemu_io("c", "qcow2", f"read -P 1 {1 << 41} 4096", f"read -P 0 {1 << 40} 64k")


@case(*QCOW2_VARIANTS)
def extents_know_every_zero_that_qemu_knows(table):
    """Ours may know more: holes of the file inside of clusters. That those are zero shows in what
    is read, because a conversion skips them."""
    size = 5 * MIB + 512
    qemu_create("qcow2", "image", size, **table)
    fill("image", "qcow2", 50, size)
    zero = bytearray(size // 512)
    for line in cst("map", "qcow2", "image").splitlines():
        offset, length, flags = map(int, line.split())
        for i in range(offset // 512, (offset + length) // 512):
            zero[i] = bool(flags & 2)
    for entry in qemu_json("map", "-f", "qcow2", "image"):
        for i in range(entry["start"] // 512, (entry["start"] + entry["length"]) // 512):
            if entry["zero"] and not zero[i]:
                raise Failed(f"at {i * 512}: ours zero={zero[i]}, QEMU's {entry}")
    read_equal("image")


if __name__ == "__main__":
    sys.exit(main())
