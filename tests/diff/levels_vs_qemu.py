#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare what the engine writes of qcow (version 1), QED and Parallels with what qemu-img and qemu-io
make of it. Prints TAP.

usage: levels_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import json
import os
import random
import sys

sys.dont_write_bytecode = True
from image_vs_qemu import (  # noqa: E402
    CASES, GIB, MIB, Failed, agree_on_info, case, compare, cst, equal, fill, main,
    options, our_io, qemu_create, qemu_info, qemu_io, read_equal, run)

CASES.clear()  # those of the other program

VARIANTS = [("qcow", {}), ("qed", {}), ("qed", {"cluster_size": 8192, "table_size": 4}),
            ("qed", {"cluster_size": 131072, "table_size": 16}), ("parallels", {}),
            ("parallels", {"cluster_size": 65536}), ("parallels", {"cluster_size": 32256})]
WITH_BACKING = [v for v in VARIANTS if v[0] != "parallels"]
QEMU_CHECKS = ("qed", "parallels")


def check_clean(path, fmt):
    """By ours, and by QEMU's where there is one."""
    found = dict(line.split("=") for line in cst("check", fmt, path).splitlines())
    equal("errors and leaks", (found["errors"], found["leaks"]), ("0", "0"))
    if fmt in QEMU_CHECKS:
        report = json.loads(run("qemu-img", "check", "-f", fmt, "--output=json", path,
                                ok=range(9)))
        if fmt == "parallels" and "allocated-clusters" not in report:
            report["leaks"] = 0  # QEMU 7.2 takes all but the table's first cluster for leaks then
        if any(report.get(key) for key in ("corruptions", "leaks", "check-errors")):
            raise Failed(f"qemu-img check: {report}")
        if "allocated-clusters" in report:
            equal("allocated", int(found["allocated"]), report["allocated-clusters"])


def check_sound(path, fmt):
    """Where compressed clusters are replaced or a table has moved, clusters are left over."""
    found = dict(line.split("=") for line in cst("check", fmt, path, ok=(0, 3)).splitlines())
    equal("errors", found["errors"], "0")


def mirror_of(path, fmt):
    run("qemu-img", "convert", "-f", fmt, "-O", "raw", path, "mirror")


@case(*VARIANTS)
def created_images_agree(entry):
    fmt, table = entry
    for size in (512, 34816, MIB - 512, MIB, MIB + 512, 2 * MIB + 512, 10 * MIB, 5 * GIB + 512,
                 127 * GIB):
        cst("create", fmt, "ours", size, *options(table))
        qemu_create(fmt, "theirs", size, **table)
        agree_on_info("ours", fmt, fmt)
        agree_on_info("theirs", fmt, fmt)
        equal("capacity", qemu_info("ours", fmt)["virtual-size"], size)
        equal("cluster size", qemu_info("ours", fmt).get("cluster-size"),
              qemu_info("theirs", fmt).get("cluster-size"))
        check_clean("ours", fmt)
        check_clean("theirs", fmt)
        if size < GIB:
            compare("ours", fmt, "theirs", fmt)
        os.unlink("ours")
        os.unlink("theirs")


@case(*[(v, seed) for v in VARIANTS for seed in range(1, 5)])
def written_by_us_is_sound_and_equal(entry):
    (fmt, table), seed = entry
    size = 9 * MIB + 512
    cst("create", fmt, "image", size, *options(table))
    qemu_create("raw", "mirror", size)
    for step in range(3):
        our_io("image", "mirror", seed * 10 + step, size, fmt=fmt)
        check_clean("image", fmt)
        compare("mirror", "raw", "image", fmt)
        read_equal("image", fmt)


@case(*[(v, seed) for v in VARIANTS for seed in (8, 9)])
def both_write_in_turn(entry):
    """What one leaves is where the other goes on."""
    (fmt, table), seed = entry
    size = 7 * MIB
    qemu_create(fmt, "image", size, **table)
    for step in range(3):
        fill("image", fmt, seed * 10 + step, size, 5)
        mirror_of("image", fmt)
        our_io("image", "mirror", seed * 10 + step, size, 5, fmt=fmt)
        check_clean("image", fmt)
        compare("mirror", "raw", "image", fmt)


@case(*[(v, seed) for v in WITH_BACKING for seed in (1, 2, 3)])
def overlays_are_written_by_both(entry):
    (fmt, table), seed = entry
    size = 6 * MIB
    qemu_create("raw", "base", 3 * MIB + 512 if seed == 1 else 9 * MIB)
    fill("base", "raw", seed, 3 * MIB)
    if seed == 3:
        run("qemu-img", "create", "-q", "-f", fmt, *(["-o", ",".join(options(table))] if table
                                                     else []),
            "-b", "base", "-F", "raw", "image", size)
    else:
        cst("create", fmt, "image", size, "backing_file=base", "backing_fmt=raw", *options(table))
    agree_on_info("image", fmt, fmt)
    mirror_of("image", fmt)
    for step in range(2):
        our_io("image", "mirror", seed * 10 + step, size, 12, fmt=fmt)
        check_clean("image", fmt)
        compare("mirror", "raw", "image", fmt)
        fill("image", fmt, seed * 20 + step, size, 4)
        mirror_of("image", fmt)
        read_equal("image", fmt)


@case(*VARIANTS)
def resized_images_are_sound(entry):
    fmt, table = entry
    rand = random.Random(21)
    size = 4 * MIB
    cst("create", fmt, "image", size, *options(table))
    qemu_create("raw", "mirror", size)
    for step in range(8):
        our_io("image", "mirror", 30 + step, size, 8, fmt=fmt)
        size = rand.choice((512, size + 512, size * 2, size // 3 // 512 * 512 + 512, 9 * MIB + 1536,
                            13 * MIB))
        cst("resize", fmt, "image", size)
        os.truncate("mirror", size)
        compare("mirror", "raw", "image", fmt)
        equal("capacity", qemu_info("image", fmt)["virtual-size"], size)
        check_sound("image", fmt)


@case(*VARIANTS)
def images_grow_far(entry):
    fmt, table = entry
    size = 60 * GIB
    cst("create", fmt, "image", 4 * MIB, *options(table))
    cst("io", fmt, "image", "write", 0, 4 * MIB, 9)
    cst("resize", fmt, "image", size)
    cst("io", fmt, "image", "write", size - 4096, 4096, 8)
    check_sound("image", fmt)
    qemu_io("image", fmt, "read -P 9 0 4M", "read -P 0 4M 1M", f"read -P 8 {size - 4096} 4096")
    cst("resize", fmt, "image", 5 * MIB)
    check_clean("image", fmt)
    qemu_io("image", fmt, "read -P 9 0 4M", "read -P 0 4M 1M")


@case(*[(v, mode) for v in VARIANTS for mode in ("metadata", "falloc", "full")])
def preallocated_images_are_sound(entry):
    (fmt, table), mode = entry
    size = 3 * MIB + 512
    cst("create", fmt, "image", size, "preallocation=" + mode, *options(table))
    check_clean("image", fmt)
    qemu_io("image", fmt, f"read -P 0 0 {size}")
    if mode != "metadata" and os.stat("image").st_blocks * 512 < size:
        raise Failed("not allocated")
    qemu_create("raw", "mirror", size)
    our_io("image", "mirror", 20, size, fmt=fmt)
    check_clean("image", fmt)
    compare("mirror", "raw", "image", fmt)


@case(*VARIANTS)
def converting_there_and_back_keeps_the_bytes(entry):
    fmt, table = entry
    size = 20 * MIB + 512
    qemu_create("raw", "a", size)
    fill("a", "raw", 40, size, 60)
    cst("convert", "raw", "a", fmt, "b", *options(table))
    check_clean("b", fmt)
    compare("a", "raw", "b", fmt)
    cst("convert", fmt, "b", "qcow2", "c")
    compare("a", "raw", "c", "qcow2")


@case()
def compressed_clusters_of_qcow_are_written_over():
    """Cluster by cluster: qemu-img convert -c fails for qcow in QEMU 7.2."""
    size = 9 * MIB
    qemu_create("qcow", "image", size)
    rand = random.Random(7)
    for _ in range(60):
        at = rand.randrange(size // 4096) * 4096
        qemu_io("image", "qcow", f"write -c -P {rand.randrange(1, 256)} {at} 4096")
    for step in range(3):
        mirror_of("image", "qcow")
        our_io("image", "mirror", 50 + step, size, 12, fmt="qcow")
        check_sound("image", "qcow")
        compare("mirror", "raw", "image", "qcow")
        fill("image", "qcow", 60 + step, size, 5)


@case({}, {"cluster_size": 65536})
def parallels_images_are_checked_as_qemu_does(table):
    qemu_create("parallels", "image", 9 * MIB, **table)
    fill("image", "parallels", 5, 9 * MIB)
    check_clean("image", "parallels")
    with open("image", "r+b") as stream:
        stream.truncate(os.stat("image").st_size + 3 * table.get("cluster_size", MIB))
        stream.seek(64 + 8)
        stream.write(b"\xff\xff\0\0")  # a cluster far behind the end
        stream.seek(44)
        stream.write((0x746f6e59).to_bytes(4, "little"))  # not closed
    theirs = json.loads(run("qemu-img", "check", "-f", "parallels", "--output=json", "image",
                            ok=range(9)))
    found = dict(line.split("=") for line in cst("check", "parallels", "image",
                                                 ok=(2,)).splitlines())
    equal("errors", int(found["errors"]), theirs["corruptions"])
    equal("leaks", int(found["leaks"]), 3)
    cst("check", "parallels", "image", "all", ok=range(9))
    check_clean("image", "parallels")
    qemu_io("image", "parallels", "write -P 1 0 1M", "read -P 1 0 1M")


@case(("qcow", {}))
def compressed_by_us_reads_equal(entry):
    fmt, table = entry
    size = 9 * MIB + 512
    qemu_create("raw", "a", size)
    fill("a", "raw", 41, size)
    cst("pack", "raw", "a", fmt, "b", *options(table))
    check_clean("b", fmt)
    compare("a", "raw", "b", fmt)
    found = dict(line.split("=") for line in cst("check", fmt, "b").splitlines())
    if int(found["compressed"]) < 100:
        raise Failed("nothing was compressed")
    our_io("b", "a", 42, size, 20, fmt=fmt)
    fill("b", fmt, 43, size, 5)
    check_sound("b", fmt)


if __name__ == "__main__":
    random.seed(1)
    sys.exit(main())
