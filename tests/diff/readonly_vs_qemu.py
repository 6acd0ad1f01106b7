#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare the formats that the engine only reads (qcow, qed, parallels) with what qemu-img and
qemu-io make of them. Prints TAP.

usage: readonly_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import os
import random
import sys

sys.dont_write_bytecode = True
from cases import GIB, MIB, case, equal, qemu_img, qemu_io, run  # noqa: E402
from engine import (  # noqa: E402
    agree_on_info, compare, cst, fill, main, qemu_create, qemu_info, read_equal)

VARIANTS = [
    ("qcow", {}), ("qed", {}), ("qed", {"cluster_size": 8192, "table_size": 4}),
    ("qed", {"cluster_size": 131072, "table_size": 16}), ("parallels", {}),
    ("parallels", {"cluster_size": 65536}), ("parallels", {"cluster_size": 2 * MIB}),
]


@case(*[(v, seed) for v in VARIANTS for seed in range(4)])
def written_by_qemu_reads_equal(entry):
    (fmt, table), seed = entry
    size = 9 * MIB + 512
    qemu_create(fmt, "image", size, **table)
    size = qemu_info("image", fmt)["virtual-size"]
    for step in range(2):
        fill("image", fmt, seed * 10 + step, size)
        agree_on_info("image", fmt)
        read_equal("image", fmt)


@case(*VARIANTS)
def empty_and_large_images_read_equal(entry):
    fmt, table = entry
    for size in (512, MIB - 512, MIB, MIB + 512, 5 * GIB):
        qemu_create(fmt, "image", size, **table)
        if size < GIB:
            read_equal("image", fmt)
        else:
            run("qemu-io", "-f", fmt, "-c", f"write -P 3 {size - 4096} 4096", "image")
            cst("convert", fmt, "image", "raw", "ours")
            # not compare: QEMU's own aborts on a qed of clusters as large as this
            qemu_io("ours", "raw", f"read -P 3 {size - 4096} 4096", f"read -P 0 {size - MIB} 64k")
            os.unlink("ours")
        os.unlink("image")


@case("qcow", "qed")
def overlays_read_equal(fmt):
    for short in (False, True):
        qemu_create("raw", "base", 3 * MIB + 512 if short else 9 * MIB)
        fill("base", "raw", 5, 3 * MIB)
        qemu_img("create", "-q", "-f", fmt, "-b", "base", "-F", "raw", "image", str(9 * MIB))
        fill("image", fmt, 6, 9 * MIB)
        read_equal("image", fmt)
        os.unlink("image")


@case()
def compressed_qcow_reads_equal():
    """Cluster by cluster: qemu-img convert -c fails for qcow in QEMU 7.2."""
    qemu_create("qcow", "image", 9 * MIB)
    rand = random.Random(7)
    for _ in range(60):
        at = rand.randrange(9 * MIB // 4096) * 4096
        qemu_io("image", "qcow", f"write -c -P {rand.randrange(1, 256)} {at} 4096")
    fill("image", "qcow", 7, 9 * MIB, 5)
    read_equal("image", "qcow")
    cst("convert", "qcow", "image", "raw", "ours")
    compare("ours", "raw", "image", "qcow")


@case(*[(v, target) for v in VARIANTS[:2] + VARIANTS[4:5] for target in ("qcow2", "vmdk", "vhdx")])
def they_convert(entry):
    (fmt, table), target = entry
    qemu_create(fmt, "image", 9 * MIB, **table)
    fill("image", fmt, 8, 9 * MIB)
    cst("convert", fmt, "image", target, "ours")
    compare("image", fmt, "ours", target)
    equal("capacity", qemu_info("ours", target)["virtual-size"], 9 * MIB)


if __name__ == "__main__":
    sys.exit(main())
