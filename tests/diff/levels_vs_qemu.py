#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare what the engine writes of qcow (version 1), QED and Parallels with what qemu-img and qemu-io
make of it. Prints TAP.

usage: levels_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import os
import random
import sys

sys.dont_write_bytecode = True
from cases import GIB, MIB, Failed, case, equal, qemu_img, qemu_io  # noqa: E402
from engine import (  # noqa: E402
    agree_on_info, check_clean, compare, convert_there_and_back, create_both, cst, cst_check, fill,
    grow_far, main, mirror_of, new_pair, options, our_io, preallocate, qemu_check, qemu_create,
    read_equal, resize_at_random, shrink_back, write_both)

VARIANTS = [("qcow", {}), ("qed", {}), ("qed", {"cluster_size": 8192, "table_size": 4}),
            ("qed", {"cluster_size": 131072, "table_size": 16}), ("parallels", {}),
            ("parallels", {"cluster_size": 65536}), ("parallels", {"cluster_size": 32256})]
WITH_BACKING = [v for v in VARIANTS if v[0] != "parallels"]


def check_sound(path, fmt):
    """Where compressed clusters are replaced or a table has moved, clusters are left over."""
    equal("errors", cst_check(path, fmt, ok=(0, 3))["errors"], 0)


@case(*VARIANTS)
def created_images_agree(entry):
    fmt, table = entry
    for size in (512, 34816, MIB - 512, MIB, MIB + 512, 2 * MIB + 512, 10 * MIB, 5 * GIB + 512,
                 127 * GIB):
        create_both(fmt, table, table, size, size < GIB)


@case(*[(v, seed) for v in VARIANTS for seed in range(1, 5)])
def written_by_us_is_sound_and_equal(entry):
    (fmt, table), seed = entry
    size = new_pair(fmt, 9 * MIB + 512, table)
    for step in range(3):
        write_both(fmt, seed * 10 + step, size)
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
        write_both(fmt, seed * 10 + step, size, 5)


@case(*[(v, seed) for v in WITH_BACKING for seed in (1, 2, 3)])
def overlays_are_written_by_both(entry):
    (fmt, table), seed = entry
    size = 6 * MIB
    qemu_create("raw", "base", 3 * MIB + 512 if seed == 1 else 9 * MIB)
    fill("base", "raw", seed, 3 * MIB)
    if seed == 3:
        qemu_img("create", "-q", "-f", fmt, *(["-o", ",".join(options(table))] if table
                                                     else []),
            "-b", "base", "-F", "raw", "image", size)
    else:
        cst("create", fmt, "image", size, "backing_file=base", "backing_fmt=raw", *options(table))
    agree_on_info("image", fmt, fmt)
    mirror_of("image", fmt)
    for step in range(2):
        write_both(fmt, seed * 10 + step, size, 12)
        fill("image", fmt, seed * 20 + step, size, 4)
        mirror_of("image", fmt)
        read_equal("image", fmt)


@case(*VARIANTS)
def resized_images_are_sound(entry):
    fmt, table = entry
    resize_at_random(fmt, table, check_sound)


@case(*VARIANTS)
def images_grow_far(entry):
    fmt, table = entry
    grow_far(fmt, table, 60 * GIB, check_sound)
    shrink_back(fmt)


@case(*[(v, mode) for v in VARIANTS for mode in ("metadata", "falloc", "full")])
def preallocated_images_are_sound(entry):
    (fmt, table), mode = entry
    preallocate(fmt, table, mode)


@case(*VARIANTS)
def converting_there_and_back_keeps_the_bytes(entry):
    fmt, table = entry
    convert_there_and_back(fmt, table)


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
        write_both("qcow", 50 + step, size, 12, check_sound)
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
    found = cst_check("image", "parallels", ok=(2,))
    equal("errors", found["errors"], qemu_check("image", "parallels")["corruptions"])
    equal("leaks", found["leaks"], 3)
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
    if cst_check("b", fmt)["compressed"] < 100:
        raise Failed("nothing was compressed")
    our_io("b", "a", 42, size, 20, fmt=fmt)
    fill("b", fmt, 43, size, 5)
    check_sound("b", fmt)


if __name__ == "__main__":
    sys.exit(main())
