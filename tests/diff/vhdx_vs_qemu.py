#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The VHDX log against QEMU's: what one leaves behind, the other replays. Prints TAP.

What VHDX has in common with other formats of blocks is in blocks_vs_qemu.py.

usage: vhdx_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import os
import shutil
import struct
import sys

sys.dont_write_bytecode = True
from cases import GIB, MIB, Failed, case, equal, qemu_img, qemu_io, run  # noqa: E402
from engine import (  # noqa: E402
    CST_POWERCUT, agree_on_info, compare, cst, cst_check, cst_info, fill, main, options, our_io,
    qemu_create)


def replay_by_qemu(path):
    qemu_img("check", "-q", "-r", "all", "-f", "vhdx", path)
    equal("dirty after QEMU's replay", cst_info(path, "vhdx")["dirty"], "0")


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def make_dirty(path):
    """QEMU empties its log after every entry, but what was in it stays there: the header is made to
    point to the last entry again, and what that had changed (one sector of the table) is undone."""
    with open(path, "r+b") as stream:
        data = bytearray(stream.read(4 * MIB))
        heads = [at for at in (64 << 10, 128 << 10) if data[at:at + 4] == b"head"]
        head = max(heads, key=lambda at: struct.unpack_from("<Q", data, at + 8))
        length, start = struct.unpack_from("<IQ", data, head + 68)
        entries = [at for at in range(start, start + length, 4096) if data[at:at + 4] == b"loge"]
        entry = max(entries, key=lambda at: struct.unpack_from("<Q", data, at + 16))
        data[head + 48:head + 64] = data[entry + 32:entry + 48]
        data[head + 4:head + 8] = bytes(4)
        struct.pack_into("<I", data, head + 4, crc32c(data[head:head + 4096]))
        stream.seek(head)
        stream.write(data[head:head + 4096])
        equal("descriptor", bytes(data[entry + 64:entry + 68]), b"desc")
        stream.seek(struct.unpack_from("<Q", data, entry + 64 + 16)[0])
        stream.write(bytes(4096))
    equal("dirty", cst_info(path, "vhdx")["dirty"], "1")


@case(*range(1, 7))
def what_qemu_leaves_in_its_log_reads_equal(seed):
    size = 20 * MIB + 512
    qemu_create("vhdx", "image", size, block_size=MIB)
    fill("image", "vhdx", seed, size, 10)
    make_dirty("image")
    with open("image", "rb") as stream:
        before = stream.read()
    cst("convert", "vhdx", "image", "raw", "ours.raw")
    with open("image", "rb") as stream:
        if stream.read() != before:
            raise Failed("reading changed the image")
    shutil.copy("image", "replayed")
    replay_by_qemu("replayed")
    compare("ours.raw", "raw", "replayed", "vhdx")
    # and by us, onto the file
    shutil.copy("ours.raw", "mirror")
    our_io("image", "mirror", seed, size, 5, fmt="vhdx")
    equal("dirty", cst_info("image", "vhdx")["dirty"], "0")
    compare("mirror", "raw", "image", "vhdx")


@case({}, {"block_size": MIB}, {"subformat": "fixed"})
def what_a_power_cut_leaves_of_ours_qemu_replays(table):
    seeds, size, dirty = 12, 3 * MIB + 512, 0
    cst("create", "vhdx", "image", size, *options(table))
    run(CST_POWERCUT, "image", "left", 5, seeds, "vhdx")
    for number in range(seeds):
        left = f"left.{number}"
        dirty += cst_info(left, "vhdx")["dirty"] == "1"
        cst("convert", "vhdx", left, "raw", "ours.raw")
        replay_by_qemu(left)
        compare("ours.raw", "raw", left, "vhdx")
        equal("errors", cst_check(left, "vhdx", ok=(0, 3))["errors"], 0)
        os.unlink(left)
        os.unlink("ours.raw")
    if "subformat" not in table and dirty == 0:
        raise Failed("no image had anything in its log")


@case()
def block_sizes_are_chosen_as_qemu_does():
    for size in (MIB, GIB, GIB + 512, 100 * GIB, 100 * GIB + 512, 1 << 40, 1 << 45, (1 << 45) + 512,
                 1 << 46):
        cst("create", "vhdx", "ours", size)
        agree_on_info("ours", "vhdx", "vhdx")
        qemu_create("vhdx", "theirs", size, block_state_zero="off")
        equal(f"block size of {size}", cst_info("ours")["cluster_size"],
              cst_info("theirs")["cluster_size"])
        cst("io", "vhdx", "ours", "write", size - 4096, 4096, 7)
        qemu_io("ours", "vhdx", f"read -P 7 {size - 4096} 4096", "read -P 0 0 64k")
        os.unlink("ours")
        os.unlink("theirs")


@case(*[MIB << shift for shift in range(9)])
def every_block_size_is_written_and_read_by_both(block):
    size = 3 * block + 512
    cst("create", "vhdx", "image", size, f"block_size={block}")
    edge = 2 * block - 4096
    cst("io", "vhdx", "image", "write", edge, 8192, 1, "write", size - 512, 512, 2)
    agree_on_info("image", "vhdx", "vhdx")
    qemu_io("image", "vhdx", f"read -P 1 {edge} 8192", f"read -P 2 {size - 512} 512",
            f"read -P 0 0 {min(block, 4 * MIB)}", f"write -P 3 {block} 4096")
    cst("convert", "vhdx", "image", "raw", "ours.raw")
    compare("ours.raw", "raw", "image", "vhdx")


if __name__ == "__main__":
    sys.exit(main())
