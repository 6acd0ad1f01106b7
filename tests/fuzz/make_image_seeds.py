#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Write the seeds for the image fuzz targets: small images of every kind that qemu-img makes, kept
as their pieces that are not zero (sparse.h). What qemu-img can't make, cst-img does.

usage: make_image_seeds.py CORPUS_DIRECTORY CST_IMG
"""

import os
import struct
import subprocess
import sys
import tempfile

CORPUS = os.path.abspath(sys.argv[1])
CST_IMG = os.path.abspath(sys.argv[2])
GRAIN = 64
LIMIT = 64 << 10


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def sparse(path):
    """Mark, records of what is not zero, and the size."""
    with open(path, "rb") as stream:
        data = stream.read(8 << 20)
    out = [b"CSTSPARS"]
    at = 0
    while at < len(data):
        end = at
        while end < len(data) and any(data[end:end + GRAIN]) and end - at < 32768:
            end += GRAIN
        if end > at:
            piece = data[at:end].rstrip(b"\0")
            out.append(struct.pack("<IH", at, len(piece)) + piece)
        at = max(end, at + GRAIN)
    out.append(struct.pack("<IH", len(data), 0))
    return b"".join(out)


def keep(target, name, path):
    blob = sparse(path)
    assert len(blob) <= LIMIT, (name, len(blob))
    os.makedirs(os.path.join(CORPUS, target), exist_ok=True)
    with open(os.path.join(CORPUS, target, name), "wb") as stream:
        stream.write(blob)


def create(name, fmt, size, *options):
    joined = ["-o", ",".join(options)] if options else []
    run("qemu-img", "create", "-q", "-f", fmt, *joined, name, size)
    return name


FORMATS = [
    ("raw", "raw", "64k"), ("qcow", "qcow", "10M"), ("qed", "qed", "10M"), ("vdi", "vdi", "10M"),
    ("vdi-static", "vdi", "1M", "static=on"), ("parallels", "parallels", "10M"),
    ("vpc", "vpc", "10M"), ("vpc-fixed", "vpc", "1M", "subformat=fixed"), ("vhdx", "vhdx", "10M"),
    ("vmdk", "vmdk", "10M"), ("vmdk-stream", "vmdk", "10M", "subformat=streamOptimized"),
    ("vmdk-flat", "vmdk", "1M", "subformat=monolithicFlat"),
    ("vmdk-split", "vmdk", "1M", "subformat=twoGbMaxExtentSparse"),
    ("qcow2-v2", "qcow2", "10M", "compat=0.10"),
    ("qcow2-data-file", "qcow2", "1M", "data_file=x.raw"),
]

QCOW2 = [
    ("plain", ()), ("v2", ("compat=0.10",)), ("cluster-512", ("cluster_size=512",)),
    ("cluster-2m", ("cluster_size=2M",)), ("extended", ("extended_l2=on",)),
    ("zstd", ("compression_type=zstd",)), ("refcount-1", ("refcount_bits=1",)),
    ("refcount-64", ("refcount_bits=64", "cluster_size=4k")),
]


def make_qcow2(name, options):
    create("image", "qcow2", "1M", *options)
    keep("qcow2_open", name + "-empty", "image")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 1000 200", "-c", "write -z 64k 64k",
        "-c", "write -P 2 300k 100", "image")
    keep("qcow2_open", name + "-data", "image")
    if name in ("plain", "refcount-64"):
        run("qemu-img", "bitmap", "--add", "-g", "512", "image", "one")
        run("qemu-img", "bitmap", "--add", "image", "two")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 3 1000 200", "image")
        keep("qcow2_open", name + "-bitmaps", "image")
        run("qemu-img", "bitmap", "--remove", "image", "one")
        run("qemu-img", "bitmap", "--remove", "image", "two")
    if "refcount_bits=1" not in options:
        run("qemu-img", "snapshot", "-c", "one", "image")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 3 1000 200", "image")
        keep("qcow2_open", name + "-snapshot", "image")
        run("qemu-img", "convert", "-c", "-f", "qcow2", "-O", "qcow2",
            *(["-o", ",".join(options)] if options else []), "image", "packed")
        keep("qcow2_open", name + "-packed", "packed")


def make_vdi():
    for name, options in (("dynamic", ()), ("static", ("static=on",))):
        create("image", "vdi", "3M", *options)
        keep("vdi_open", name + "-empty", "image")
        run("qemu-io", "-f", "vdi", "-c", "write -P 1 2100k 200", "-c", "write -P 2 300k 100",
            "image")
        keep("vdi_open", name + "-data", "image")


def make_readonly():
    for fmt, options in (("qcow", ()), ("qed", ("cluster_size=8192", "table_size=4")),
                         ("parallels", ("cluster_size=64k",))):
        create("image", fmt, "3M", *options)
        keep("readonly_open", fmt + "-empty", "image")
        run("qemu-io", "-f", fmt, "-c", "write -P 1 2100k 200", "-c", "write -P 2 300k 100",
            "image")
        keep("readonly_open", fmt + "-data", "image")
    create("image", "raw", "1M")
    run("qemu-io", "-f", "raw", "-c", "write -P 1 1000 200", "-c", "write -P 2 300k 100", "image")
    create("packed", "qcow", "1M")
    run("qemu-io", "-f", "qcow", "-c", "write -c -P 1 0 4k", "-c", "write -c -P 2 64k 4k", "packed")
    keep("readonly_open", "qcow-packed", "packed")
    for fmt in ("qcow", "qed"):
        run("qemu-img", "create", "-q", "-f", fmt, "-b", "image", "-F", "raw", "over")
        run("qemu-io", "-f", fmt, "-c", "write -P 3 500k 100", "over")
        keep("readonly_open", fmt + "-overlay", "over")


def make_vpc():
    for name, options in (("dynamic", ()), ("fixed", ("subformat=fixed",))):
        create("image", "vpc", "5M", "force_size=on", *options)
        keep("vpc_open", name + "-empty", "image")
        run("qemu-io", "-f", "vpc", "-c", "write -P 1 2100k 200", "-c", "write -P 2 300k 100",
            "image")
        keep("vpc_open", name + "-data", "image")
    # qemu-img makes no differencing disks: only the type says that this one is
    create("image", "vpc", "5M", "force_size=on")
    with open("image", "r+b") as stream:
        for at in (63, os.path.getsize("image") - 512 + 63):
            stream.seek(at)
            stream.write(b"\4")
    keep("vpc_open", "differencing", "image")


def make_vhdx():
    for name, options in (("dynamic", ()), ("fixed", ("subformat=fixed",))):
        create("image", "vhdx", "2M", "block_size=1M", *options)
        keep("vhdx_open", name + "-empty", "image")
        run("qemu-io", "-f", "vhdx", "-c", "write -P 1 1100k 200", "-c", "write -P 2 300k 100",
            "image")
        keep("vhdx_open", name + "-data", "image")
    # QEMU has emptied its log, but the last entry is still there: headers that name it again make
    # an image to be replayed (the target makes their checksums right)
    with open("image", "r+b") as stream:
        log = stream.read(4 << 20).index(b"loge")
        stream.seek(log + 32)
        guid = stream.read(16)
        for header in (64 << 10, 128 << 10):
            stream.seek(header + 48)
            stream.write(guid)
    keep("vhdx_open", "dirty", "image")
    run(CST_IMG, "create", "vhdx", "parent", str(3 << 20))
    for sector in ("512", "4096"):
        run(CST_IMG, "create", "vhdx", "image", str(3 << 20), "backing_file=parent",
            "backing_fmt=vhdx", "block_size=1048576", "logical_sector_size=" + sector)
        run(CST_IMG, "io", "vhdx", "image", "write", "1000", "200", "1", "zero", "1048576",
            "1048576", "0", "write", "3000000", "100", "2")
        keep("vhdx_open", "differencing-" + sector, "image")


def make_vmdk():
    work = ("-c", "write -P 1 2100k 200", "-c", "write -P 2 300k 100")
    for name, options in (("sparse", ()), ("zeroed", ("zeroed_grain=on",))):
        create("image", "vmdk", "5M", *options)
        keep("vmdk_open", name + "-empty", "image")
        run("qemu-io", "-f", "vmdk", *work, "-c", "write -z 300k 200k", "image")
        keep("vmdk_open", name + "-data", "image")
    create("over", "vmdk", "5M", "backing_file=image", "backing_fmt=vmdk")
    run("qemu-io", "-f", "vmdk", *work, "over")
    keep("vmdk_open", "overlay", "over")
    run("qemu-img", "convert", "-f", "vmdk", "-O", "vmdk", "-o", "subformat=streamOptimized",
        "image", "stream")
    keep("vmdk_open", "stream-front", "stream")
    # ours has the directory at the end
    run(CST_IMG, "convert", "vmdk", "image", "vmdk", "stream", "subformat=streamOptimized")
    keep("vmdk_open", "stream-end", "stream")
    # what ESX servers wrote, by the rules: header, directory in sector 8, a table in 32, data in 24
    with open("made", "wb") as stream:
        stream.write(b"COWD" + struct.pack("<6I", 1, 3, 32768, 8, 8, 1))
        for at, value in ((8 * 512, 32), (32 * 512 + 4, 24), (64 * 512 - 4, 0)):
            stream.seek(at)
            stream.write(struct.pack("<I", value))
        stream.seek(24 * 512)
        stream.write(b"data")
    keep("vmdk_open", "cowd", "made")
    for name, options in (("flat", "monolithicFlat"), ("split", "twoGbMaxExtentSparse")):
        create(name + ".vmdk", "vmdk", "1M", "subformat=" + options)
        run("qemu-io", "-f", "vmdk", "-c", "write -P 2 300k 100", name + ".vmdk")
        extent = name + {"flat": "-flat", "split": "-s001"}[name] + ".vmdk"
        with open(name + ".vmdk", "rb") as stream:
            text = stream.read()
        with open(os.path.join(CORPUS, "vmdk_open", name), "wb") as stream:
            stream.write(text + b"\0" + sparse(extent))


def make_chains():
    """Up to four images behind each other; the target takes a name's last byte for the number."""
    run("qemu-img", "create", "-q", "-f", "raw", "base", "300k")
    run("qemu-io", "-f", "raw", "-c", "write -P 1 1k 500", "base")
    for name, form in (("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vpc", "vpc")):
        below = "base1"
        if form == "qcow2":
            run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-u", "-b",
                "image2", "-F", "raw", below, "300k")
        else:
            create(below, form, "300k")
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", "-u", "-b", below,
            "-F", form, "top", "400k")
        with open(os.path.join(CORPUS, "chain", name), "wb") as stream:
            for image in ("top", below, "base"):
                packed = sparse(image)
                stream.write(struct.pack("<I", len(packed)) + packed)


def main():
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name, fmt, size, *options in FORMATS:
            keep("image_inspect", name, create(name, fmt, size, *options))
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "raw", "-F", "raw", "overlay")
        keep("image_inspect", "qcow2-overlay", "overlay")
        run("qemu-img", "create", "-q", "-f", "qed", "-b", "raw", "-F", "raw", "qed-overlay")
        keep("image_inspect", "qed-overlay", "qed-overlay")
        for name, head in (("luks", b"LUKS\xba\xbe\0\1"), ("luks2", b"LUKS\xba\xbe\0\2"),
                           ("cow", b"OOOM\0\0\0\2"), ("cloop", b"#!/bin/sh\n#V2.0 Format\n"),
                           ("bochs", b"Bochs Virtual HD Image".ljust(32, b"\0") +
                            b"Redolog".ljust(16, b"\0") + b"Growing".ljust(16, b"\0") +
                            b"\0\0\2\0\0\2\0\0\1\0\0\0\0\0\0\0\0\2\0\0")):
            with open("made", "wb") as stream:
                stream.write(head.ljust(2048, b"\0"))
            keep("image_inspect", name, "made")
        with open("made", "wb") as stream:
            stream.write(b"koly".ljust(0x1ec, b"\0") + struct.pack(">Q", 9) + bytes(12))
        keep("image_inspect", "dmg", "made")
        with open("made", "wb") as stream:
            stream.write(bytes(32768) + b"\1CD001\1" + bytes(100))
        keep("image_inspect", "iso", "made")
        for name, options in QCOW2:
            make_qcow2(name, options)
        make_readonly()
        make_vdi()
        make_vmdk()
        make_vpc()
        make_vhdx()
        make_chains()


main()
