#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare the engine's VDI, VHD and VHDX with qemu-img and qemu-io. Prints TAP.

usage: blocks_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import sys

sys.dont_write_bytecode = True
from cases import GIB, MIB, case  # noqa: E402
from engine import (  # noqa: E402
    check_clean, convert_there_and_back, create_both, discard_all, fill, grow_far, main, mirror_of,
    new_pair, preallocate, qemu_create, qemu_info, read_equal, resize_at_random, shrink_back,
    write_both)


# Our options, and QEMU's for the same.
VARIANTS = [
    ("vdi", {}, {}),
    ("vdi", {"subformat": "static"}, {"static": "on"}),
    ("vpc", {"force_size": "off"}, {}),
    ("vpc", {}, {"force_size": "on"}),
    ("vpc", {"subformat": "fixed", "force_size": "off"}, {"subformat": "fixed"}),
    ("vpc", {"subformat": "fixed"}, {"subformat": "fixed", "force_size": "on"}),
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
        # the holes of a VHDX are read byte by byte by QEMU
        create_both(fmt, ours, theirs, size, fmt != "vhdx" or size < 8 * GIB)


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
    size = new_pair(fmt, 9 * MIB + 512, ours)
    for step in range(3):
        write_both(fmt, seed * 10 + step, size)
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
        write_both(fmt, seed * 10 + step, size, 5)


@case(*VARIANTS)
def resized_images_are_sound(entry):
    fmt, ours, _ = entry
    resize_at_random(fmt, ours)


@case(*[v for v in VARIANTS if "subformat" not in v[1]])
def images_grow_far(entry):
    fmt, ours, _ = entry
    grow_far(fmt, ours, 2040 * GIB)
    shrink_back(fmt)


@case(*[(v, mode) for v in VARIANTS for mode in ("metadata", "falloc", "full")])
def preallocated_images_are_sound(entry):
    (fmt, ours, _), mode = entry
    preallocate(fmt, ours, mode)


@case(*VARIANTS)
def converting_there_and_back_keeps_the_bytes(entry):
    fmt, ours, _ = entry
    convert_there_and_back(fmt, ours)


@case(*VARIANTS)
def discarded_data_gives_its_space_back(entry):
    fmt, ours, _ = entry
    discard_all(fmt, ours)


if __name__ == "__main__":
    sys.exit(main())
