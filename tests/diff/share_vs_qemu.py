#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Convert images on a file system that shares extents, and let QEMU look at what became of them.

usage: share_vs_qemu.py CISTERN [PATTERN]

Prints TAP. Needs root for an XFS file system in a loop file; else all of it is skipped.
"""

import hashlib
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from cases import KIB, MIB, SCRATCH, Failed, case, cistern, main, run  # noqa: E402

SIZE = 96 * MIB


def convert(*args):
    cistern("image-convert", *args)


def private_mounts():
    """Mounts go with this process."""
    if os.geteuid() or not shutil.which("mkfs.xfs") or not shutil.which("qemu-img"):
        print("1..0 # SKIP needs root, mkfs.xfs and qemu-img")
        sys.exit(0)
    if "CST_PRIVATE_MOUNTS" not in os.environ:
        os.environ["CST_PRIVATE_MOUNTS"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable,
                              os.path.abspath(__file__), *sys.argv[1:]])


def make_xfs(where):
    with open(f"{where}/image", "wb") as out:
        out.truncate(1200 * MIB)
    run("mkfs.xfs", "-q", "-m", "reflink=1", f"{where}/image")
    os.mkdir(f"{where}/xfs")
    if subprocess.run(["mount", "-o", "loop", f"{where}/image", f"{where}/xfs"],
                      stderr=subprocess.DEVNULL, check=False).returncode:
        print("1..0 # SKIP no loop device can be mounted")
        sys.exit(0)


def used():
    """Bytes taken in the file system, everything written out."""
    run("sync", "-f", ".")
    status = os.statvfs(".")
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def digest(name):
    with open(name, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def make_raw(name, size=SIZE, seed=1):
    """Random data in runs of pages, some of which fill no cluster, and holes."""
    chance = random.Random(seed)
    with open(name, "wb") as out:
        out.truncate(size)
        at = 0
        while at < size:
            n = min(size - at, chance.choice((4, 64, 256, 1024, 4096)) * KIB)
            if chance.random() < 0.6:
                out.seek(at)
                out.write(chance.randbytes(n))
            at += n
    run("sync", "-f", ".")


def same(a, a_format, b, b_format):
    run("qemu-img", "compare", "-q", "-f", a_format, "-F", b_format, a, b)


def moved(before, most):
    """At most so much has been written, tables included."""
    taken = used() - before
    if taken > most:
        raise Failed(f"{taken} bytes of new space, {most} would do")


def write_over(name, form):
    run("qemu-io", "-f", form, "-c", "write -q -P 90 0 3M", "-c", "write -q -P 91 40M 20M", name)


@case("", "cluster_size=4k", "cluster_size=2M", "extended_l2=on", "compat=0.10",
      "preallocation=metadata")
def raw_to_qcow2_and_back(options):
    make_raw("a")
    before, source = used(), digest("a")
    convert("-f", "raw", "-O", "qcow2", *(["-o", options] if options else []), "a", "b")
    run("qemu-img", "check", "-q", "b")
    same("a", "raw", "b", "qcow2")
    if options != "cluster_size=2M":  # pages around runs that fill no cluster are copied
        moved(before, SIZE // 2)
    before = used()
    convert("-f", "qcow2", "-O", "raw", "b", "c")
    moved(before, 2 * MIB)
    same("a", "raw", "c", "raw")
    write_over("b", "qcow2")
    write_over("c", "raw")
    run("qemu-img", "check", "-q", "b")
    if digest("a") != source:
        raise Failed("the source has changed with its copy")
    write_over("a", "raw")
    same("a", "raw", "c", "raw")


@case()
def dense_data_moves_not_at_all():
    with open("a", "wb") as out:
        out.write(os.urandom(SIZE))
    before = used()
    convert("-f", "raw", "-O", "qcow2", "a", "b")
    convert("-f", "qcow2", "-O", "raw", "b", "c")
    convert("-f", "qcow2", "-O", "qcow2", "-o", "cluster_size=128k", "b", "d")
    moved(before, 2 * MIB)
    same("a", "raw", "b", "qcow2")
    same("a", "raw", "c", "raw")
    same("a", "raw", "d", "qcow2")


@case()
def what_was_just_written_is_there():
    """Nothing of the source has reached the disk when its extents are shared."""
    make_raw("a")
    write_over("a", "raw")
    convert("-f", "raw", "-O", "qcow2", "a", "b")
    run("xfs_io", "-c", "fsync", "b")
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as out:
        out.write("1")
    same("a", "raw", "b", "qcow2")


@case(SIZE + 512, SIZE - 4096 + 1024, 700, 4096)
def odd_sizes(size):
    make_raw("a", size)
    convert("-f", "raw", "-O", "qcow2", "a", "b")
    run("qemu-img", "check", "-q", "b")
    same("a", "raw", "b", "qcow2")
    convert("-f", "qcow2", "-O", "raw", "b", "c")
    same("a", "raw", "c", "raw")


@case("vdi", "vmdk", "vpc", "vhdx")
def from_other_formats(form):
    make_raw("a")
    convert("-f", "raw", "-O", form, "a", "b")
    before = used()
    convert("-f", form, "-O", "qcow2", "b", "c")
    run("qemu-img", "check", "-q", "c")
    same("b", form, "c", "qcow2")
    if form != "vpc":  # a VHD's blocks lie behind bitmaps of one sector
        moved(before, SIZE // 4)
    convert("-f", form, "-O", "raw", "b", "d")
    same("b", form, "d", "raw")


@case()
def a_chain_and_its_snapshots():
    make_raw("base")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "top")
    run("qemu-io", "-f", "qcow2", "-c", "write -q -P 7 10M 20M", "top")
    run("qemu-img", "snapshot", "-c", "s", "top")
    run("qemu-io", "-f", "qcow2", "-c", "write -q -P 8 25M 10M", "-c", "write -q -z 50M 1M", "top")
    before = used()
    convert("--backing-chain", "-f", "qcow2", "-O", "qcow2", "top", "b")
    moved(before, SIZE // 4)
    run("qemu-img", "check", "-q", "b")
    same("top", "qcow2", "b", "qcow2")


@case()
def compressed_data_is_unpacked():
    make_raw("a")
    run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "a", "b")
    convert("-f", "qcow2", "-O", "raw", "b", "c")
    same("a", "raw", "c", "raw")


def run_all():
    private_mounts()
    where = tempfile.mkdtemp(prefix="share-", dir=SCRATCH)
    try:
        make_xfs(where)
        status = main(scratch=f"{where}/xfs")
        run("umount", f"{where}/xfs")
    finally:
        shutil.rmtree(where, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(run_all())
