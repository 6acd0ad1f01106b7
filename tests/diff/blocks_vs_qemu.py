#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare the engine's VDI, VHD and VHDX with qemu-img and qemu-io. Prints TAP.

usage: blocks_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import json
import os
import random
import sys

sys.dont_write_bytecode = True
from image_vs_qemu import (  # noqa: E402
    CASES, GIB, MIB, Failed, agree_on_info, case, compare, cst, cst_info, equal, fill, main,
    options, our_io, qemu_create, qemu_info, qemu_io, read_equal, run)

CASES.clear()  # those of the other program


def cst_check(path, fmt, ok=(0,)):
    return dict(line.split("=") for line in cst("check", fmt, path, ok=ok).splitlines())


def check_clean(path, fmt):
    """By ours, and by QEMU's where there is one."""
    found = cst_check(path, fmt)
    equal("errors and leaks", (found["errors"], found["leaks"]), ("0", "0"))
    if fmt in ("vdi", "vhdx"):
        report = json.loads(run("qemu-img", "check", "-f", fmt, "--output=json", path,
                                ok=range(9)))
        if any(report.get(key) for key in ("corruptions", "leaks", "check-errors")):
            raise Failed(f"qemu-img check: {report}")
        if "allocated-clusters" in report:
            equal("allocated", int(found["allocated"]), report["allocated-clusters"])


def mirror_of(path, fmt):
    run("qemu-img", "convert", "-f", fmt, "-O", "raw", path, "mirror")


# Our options, and QEMU's for the same.
VARIANTS = [
    ("vdi", {}, {}),
    ("vdi", {"subformat": "static"}, {"static": "on"}),
    ("vpc", {}, {}),
    ("vpc", {"force_size": "on"}, {"force_size": "on"}),
    ("vpc", {"subformat": "fixed"}, {"subformat": "fixed"}),
    ("vpc", {"subformat": "fixed", "force_size": "on"}, {"subformat": "fixed", "force_size": "on"}),
    ("vhdx", {}, {}),
    ("vhdx", {"block_size": MIB}, {"block_size": MIB}),
    ("vhdx", {"subformat": "fixed"}, {"subformat": "fixed"}),
]


@case(*VARIANTS)
def created_images_agree(entry):
    fmt, ours, theirs = entry
    for size in (512, 34816, MIB - 512, MIB, MIB + 512, 2 * MIB + 512, 10 * MIB, 5 * GIB + 512,
                 127 * GIB, 128 * GIB + 512):
        if size > GIB and ours.get("subformat") in ("static", "fixed"):
            continue
        cst("create", fmt, "ours", size, *options(ours))
        qemu_create(fmt, "theirs", size, **theirs)
        agree_on_info("ours", fmt)
        agree_on_info("theirs", fmt)
        equal("capacity", qemu_info("ours", fmt)["virtual-size"],
              qemu_info("theirs", fmt)["virtual-size"])
        check_clean("ours", fmt)
        check_clean("theirs", fmt)
        if fmt != "vhdx" or size < 8 * GIB:  # whose holes QEMU reads byte by byte
            compare("ours", fmt, "theirs", fmt)
        os.unlink("ours")
        os.unlink("theirs")


@case(*[(v, seed) for v in VARIANTS for seed in (1, 2)])
def written_by_qemu_reads_equal(entry):
    (fmt, _, theirs), seed = entry
    size = 9 * MIB + 512
    qemu_create(fmt, "image", size, **theirs)
    size = qemu_info("image", fmt)["virtual-size"]
    fill("image", fmt, seed, size)
    read_equal("image", fmt)
    check_clean("image", fmt)


@case(*[(v, seed) for v in VARIANTS for seed in range(3, 7)])
def written_by_us_is_sound_and_equal(entry):
    (fmt, ours, _), seed = entry
    size = 9 * MIB + 512
    cst("create", fmt, "image", size, *options(ours))
    size = int(cst_info("image", fmt)["capacity"])
    qemu_create("raw", "mirror", size)
    for step in range(3):
        our_io("image", "mirror", seed * 10 + step, size, fmt=fmt)
        check_clean("image", fmt)
        compare("mirror", "raw", "image", fmt)
        read_equal("image", fmt)


@case(*[(v, seed) for v in VARIANTS for seed in (8, 9)])
def both_write_in_turn(entry):
    """What one leaves is where the other goes on."""
    (fmt, _, theirs), seed = entry
    qemu_create(fmt, "image", 7 * MIB, **theirs)
    size = qemu_info("image", fmt)["virtual-size"]
    for step in range(3):
        fill("image", fmt, seed * 10 + step, size, 5)
        mirror_of("image", fmt)
        our_io("image", "mirror", seed * 10 + step, size, 5, fmt=fmt)
        check_clean("image", fmt)
        compare("mirror", "raw", "image", fmt)


@case(*VARIANTS)
def resized_images_are_sound(entry):
    fmt, ours, _ = entry
    rand = random.Random(21)
    size = 4 * MIB
    cst("create", fmt, "image", size, *options(ours))
    size = int(cst_info("image", fmt)["capacity"])
    qemu_create("raw", "mirror", size)
    for step in range(8):
        our_io("image", "mirror", 30 + step, size, 8, fmt=fmt)
        size = rand.choice((512, size + 512, size * 2, size // 3 // 512 * 512 + 512, 9 * MIB + 1536,
                            13 * MIB))
        cst("resize", fmt, "image", size)
        os.truncate("mirror", size)
        check_clean("image", fmt)
        compare("mirror", "raw", "image", fmt)
        equal("capacity", qemu_info("image", fmt)["virtual-size"], size)


@case(*[v for v in VARIANTS if "subformat" not in v[1]])
def images_grow_far(entry):
    fmt, ours, _ = entry
    size = 2040 * GIB
    cst("create", fmt, "image", 4 * MIB, *options(ours))
    cst("io", fmt, "image", "write", 0, 4 * MIB, 9)
    cst("resize", fmt, "image", size)
    check_clean("image", fmt)
    cst("io", fmt, "image", "write", size - 4096, 4096, 8)
    check_clean("image", fmt)
    qemu_io("image", fmt, "read -P 9 0 4M", "read -P 0 4M 1M", f"read -P 8 {size - 4096} 4096")
    cst("resize", fmt, "image", 5 * MIB)
    check_clean("image", fmt)
    qemu_io("image", fmt, "read -P 9 0 4M", "read -P 0 4M 1M")


@case(*[(v, mode) for v in VARIANTS for mode in ("metadata", "falloc", "full")])
def preallocated_images_are_sound(entry):
    (fmt, ours, _), mode = entry
    size = 3 * MIB + 512
    cst("create", fmt, "image", size, "preallocation=" + mode, *options(ours))
    size = int(cst_info("image", fmt)["capacity"])
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
    fmt, ours, _ = entry
    size = 20 * MIB + 512
    qemu_create("raw", "a", size)
    fill("a", "raw", 40, size, 60)
    cst("convert", "raw", "a", fmt, "b", *options(ours))
    check_clean("b", fmt)
    size = int(cst_info("b", fmt)["capacity"])
    os.truncate("a", size)
    compare("a", "raw", "b", fmt)
    cst("convert", fmt, "b", "qcow2", "c")
    compare("a", "raw", "c", "qcow2")
    if os.stat("b").st_blocks > os.stat("a").st_blocks * 2 + 16384:
        raise Failed("zeroes were written")


@case(*VARIANTS)
def discarded_data_gives_its_space_back(entry):
    fmt, ours, _ = entry
    cst("create", fmt, "image", 16 * MIB, *options(ours))
    cst("io", fmt, "image", "write", 0, 16 * MIB, 1)
    before = os.stat("image").st_blocks
    cst("io", fmt, "image", "discard", 0, 16 * MIB, 0)
    check_clean("image", fmt)
    if os.stat("image").st_blocks * 4 > before:
        raise Failed("the space did not come back")
    qemu_io("image", fmt, "read -P 0 0 16M")


if __name__ == "__main__":
    random.seed(1)
    sys.exit(main())
