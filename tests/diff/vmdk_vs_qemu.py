#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare the engine's VMDK with qemu-img and qemu-io. Prints TAP.

usage: vmdk_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import functools
import glob
import os
import sys

sys.dont_write_bytecode = True
from cases import GIB, KIB, MIB, case, equal, qemu_img, qemu_io, run  # noqa: E402
from engine import (  # noqa: E402
    agree_on_info, compare, convert_there_and_back, cst, cst_check, discard_all, fill, grow_far,
    main, mirror_of, new_pair, options, preallocate, qemu_create, qemu_info, read_equal,
    resize_at_random, shrink_back, write_both)

SPARSE, STREAM = {}, {"subformat": "streamOptimized"}
FLAT = {"subformat": "monolithicFlat"}
SPLIT = {"subformat": "twoGbMaxExtentSparse"}
SPLIT_FLAT = {"subformat": "twoGbMaxExtentFlat"}
SUBFORMATS = [SPARSE, STREAM, FLAT, SPLIT, SPLIT_FLAT]
# QEMU has no option for the grain, but reads any.
OURS = SUBFORMATS + [{"cluster_size": 8 * KIB}, {"cluster_size": MIB, "adapter_type": "lsilogic"},
                     {"subformat": "streamOptimized", "cluster_size": 8 * KIB}]
# A file without a directory's worth of tables is none for QEMU.
SIZES = (512, 64 * KIB - 512, 64 * KIB, 32 * MIB, 32 * MIB + 512, 100 * MIB)


def is_text(path):
    with open(path, "rb") as file:
        return file.read(1) == b"#"


def check_clean(path="image", _fmt="vmdk", may_leak=False):
    """The image, and its extents of their own one by one, which together are the image."""
    qemu_img("check", "-q", "-f", "vmdk", path, ok=(0, 63))
    for name in glob.glob(path + "-s*") + [path] if is_text(path) else [path]:
        found = cst_check(name, "vmdk", ok=(0, 3) if may_leak else (0,))
        equal("errors", found["errors"], 0)
        if not may_leak:
            equal("leaks", found["leaks"], 0)


def remove(path):
    for name in glob.glob(path + "*"):
        os.unlink(name)


@case(*OURS)
def created_images_agree(table):
    for size in SIZES + ((5 * GIB + 512,) if "Flat" not in str(table) else ()):
        cst("create", "vmdk", "image", size, *options(table))
        agree_on_info("image", "vmdk", "vmdk")
        check_clean()
        equal("capacity", qemu_info("image", "vmdk")["virtual-size"], size)
        qemu_io("image", "vmdk", f"read -P 0 0 {min(size, MIB)}",
                f"read -P 0 {max(size - MIB, 0)} {min(size, MIB)}")
        read_equal("image", "vmdk")
        remove("image")


@case(*[(table, seed) for table in SUBFORMATS if table != STREAM for seed in (1, 2)])
def written_by_qemu_reads_equal(entry):
    table, seed = entry
    size = 9 * MIB + 512
    qemu_create("vmdk", "image", size, **table)
    fill("image", "vmdk", seed, size)
    read_equal("image", "vmdk")
    check_clean()


@case(*OURS)
def written_by_us_is_sound_and_equal(table):
    for seed in (3, 4):
        size = new_pair("vmdk", 9 * MIB + 512, table)
        for step in range(3):
            write_both("vmdk", seed * 10 + step, size, check=check_clean)
            read_equal("image", "vmdk")
        remove("image")


@case(*[(table, seed) for table in SUBFORMATS + [{"zeroed_grain": "on"}] if table != STREAM
        for seed in (8, 9)])
def both_write_in_turn(entry):
    """What one leaves is where the other goes on."""
    table, seed = entry
    size = 7 * MIB
    qemu_create("vmdk", "image", size, **table)
    for step in range(3):
        fill("image", "vmdk", seed * 10 + step, size, 5)
        mirror_of("image", "vmdk")
        # QEMU forgets a grain that it marks as zeroes
        write_both("vmdk", seed * 10 + step, size, 5,
                   functools.partial(check_clean, may_leak="zeroed_grain" in table))


@case(*OURS)
def resized_images_are_sound(table):
    resize_at_random("vmdk", table, check_clean)


@case(SPARSE, STREAM, SPLIT)
def images_grow_far(table):
    grow_far("vmdk", table, 7 * GIB if table == SPLIT else 3 << 40, check_clean)
    if table == SPLIT:
        equal("extents", len(glob.glob("image-s*")), 4)
    else:
        shrink_back("vmdk", check_clean)


@case(*[(table, mode) for table in (SPARSE, FLAT, SPLIT, SPLIT_FLAT)
        for mode in ("metadata", "falloc", "full")])
def preallocated_images_are_sound(entry):
    table, mode = entry
    preallocate("vmdk", table, mode, check_clean)


@case(*OURS)
def converting_there_and_back_keeps_the_bytes(table):
    convert_there_and_back("vmdk", table, check_clean)


@case(1, 2)
def streams_made_by_qemu_read_and_go_on(seed):
    """QEMU leaves the directory in front; our changes put it at the end."""
    size = 5 * MIB + 512
    qemu_create("raw", "mirror", size)
    fill("mirror", "raw", seed, size)
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized",
        "mirror", "image")
    agree_on_info("image", "vmdk", "vmdk")
    check_clean()
    read_equal("image", "vmdk")
    write_both("vmdk", 10 + seed, size, 10, check_clean)


def markers(path):
    """What a consumer sees that reads the stream once, front to back."""
    with open(path, "rb") as file:
        data = file.read()
    number = lambda at, length: int.from_bytes(data[at:at + length], "little")  # noqa: E731
    at = number(64, 8) * 512
    while True:
        value, size, kind = number(at, 8), number(at + 8, 4), number(at + 12, 4)
        if size:
            yield "grain", value
            at += (12 + size + 511) // 512 * 512
        else:
            yield {0: "end", 1: "table", 2: "directory", 3: "footer"}[kind], value
            at += 512 * (1 + value)
            if kind == 0:
                equal("end of the stream", at, len(data))
                return


@case()
def a_converted_stream_is_in_order():
    size = 80 * MIB
    qemu_create("raw", "a", size)
    qemu_io("a", "raw", "write -P 1 0 40M", "write -P 2 50M 20M")
    cst("convert", "raw", "a", "vmdk", "image", "subformat=streamOptimized")
    seen = list(markers("image"))
    grains = [value for kind, value in seen if kind == "grain"]
    equal("grains", grains, [at // 512 for at in range(0, 70 * MIB, 64 * KIB)
                             if not 40 * MIB <= at < 50 * MIB])
    # 80 MiB are three tables of 32 MiB
    equal("the rest", [kind for kind, _ in seen if kind != "grain"],
          ["table"] * 3 + ["directory", "footer", "end"])


@case(SPARSE, SPLIT)
def overlays_agree(table):
    size = 5 * MIB + 512
    qemu_create("vmdk", "base", size)
    fill("base", "vmdk", 1, size)
    cst("create", "vmdk", "image", size, "backing_file=base", "backing_fmt=vmdk", *options(table))
    agree_on_info("image", "vmdk", "vmdk")
    mirror_of("image", "vmdk")
    compare("mirror", "raw", "base", "vmdk")
    for step in range(3):
        write_both("vmdk", 10 + step, size, 6, check_clean)
        read_equal("image", "vmdk")


@case(1, 2)
def overlays_made_by_qemu_read_equal(seed):
    size = 5 * MIB + 512
    qemu_create("vmdk", "base", size)
    fill("base", "vmdk", seed, size)
    qemu_create("vmdk", "image", size, backing_file="base", backing_fmt="vmdk",
                zeroed_grain="on" if seed == 1 else "off")
    fill("image", "vmdk", 10 + seed, size, 8)
    read_equal("image", "vmdk")
    check_clean()


@case()
def a_changed_parent_is_refused_by_both():
    qemu_create("vmdk", "base", MIB)
    cst("create", "vmdk", "image", MIB, "backing_file=base", "backing_fmt=vmdk")
    cst("map", "vmdk", "image")
    cst("io", "vmdk", "base", "write", 0, 512, 1)
    cst("map", "vmdk", "image", ok=(1,))
    run("qemu-io", "-f", "vmdk", "-c", "read 0 512", "image", ok=(1,))


@case(*SUBFORMATS)
def discarded_data_gives_its_space_back(table):
    discard_all("vmdk", table, check_clean)


if __name__ == "__main__":
    sys.exit(main())
