#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare image-amend with qemu-img amend. Prints TAP.

usage: amend_vs_qemu.py CISTERN [PATTERN]
"""

import os
import shutil
import sys

from cases import (CISTERN, MIB, Failed, call, case, cistern, cistern_json, equal, main, make,
                   qemu_img, qemu_io, qemu_json, refused)

# --- what becomes of the same image ---------------------------------------------------------------

CREATED = ("", "compat=0.10,cluster_size=4096", "refcount_bits=64,lazy_refcounts=on",
           "compression_type=zstd", "extended_l2=on")
AMENDED = ("compat=0.10", "compat=1.1", "compat=v3,refcount_bits=1", "refcount_bits=64",
           "compat=0.10,refcount_bits=16,lazy_refcounts=off", "lazy_refcounts=on",
           "compat=1.1,lazy_refcounts=on,size=17M", "compat=0.10,size=20M", "size=16842752")
REFUSED = ("refcount_bits=3", "refcount_bits=0", "compat=0.9", "compat=0.10,lazy_refcounts=on",
           "compat=0.10,refcount_bits=8", "data_file=x", "data_file_raw=on", "cluster_size=65536",
           "preallocation=full", "encrypt.state=active", "no_such_option=1",
           "backing_file=other,backing_fmt=raw")


def write_all_kinds(path):
    """Data, compressed clusters, zeroes with and without a place of their own."""
    qemu_io(path, "qcow2", "write -P 1 0 3M", "write -P 2 5M 1536k", "write -c -P 3 8M 2M",
          "write -z 1M 512k", "write -z -u 2M 512k", "write -z 12M 1M", "discard 5M 256k")


def alone(options):
    make("ours", "qcow2", options, "16M")


def based(options):
    """On a base that shows through, and behind whose end nothing does."""
    if not os.path.exists("base"):
        make("base", "raw", "", "13M")
        qemu_io("base", "raw", "write -P 99 0 13M")
    qemu_img("create", "-q", "-f", "qcow2", *(["-o", options] if options else []), "-b", "base",
             "-F", "raw", "ours", "16M")


def same_content(ours, theirs, snapshots=()):
    qemu_img("compare", "-q", "-f", "qcow2", "-F", "qcow2", ours, theirs)
    for name in snapshots:
        for path in (ours, theirs):
            qemu_img("convert", "-q", "-f", "qcow2", "-l", f"snapshot.name={name}", "-O", "raw",
                     path, f"{path}.{name}")
        qemu_img("compare", "-q", "-f", "raw", "-F", "raw", f"{ours}.{name}", f"{theirs}.{name}")


def sound(path):
    qemu_img("check", "-q", "-f", "qcow2", path)
    equal("check", cistern_json("image-check", "-f", "qcow2", path)["check-errors"], 0)


def details(path):
    info = qemu_json("info", "-f", "qcow2", path)
    return [info.get(key) for key in ("format-specific", "virtual-size", "cluster-size",
                                      "backing-filename", "backing-filename-format",
                                      "dirty-flag")]


def amend_both(options, snapshots=()):
    """"ours" and its copy "theirs"; TRUE: both could."""
    shutil.copy("ours", "theirs")
    before = details("ours")
    theirs = call("qemu-img", "amend", "-q", "-f", "qcow2", "-o", options, "theirs")
    ours = call(CISTERN, "image-amend", "--backing-chain", "-f", "qcow2", "-o", options, "ours")
    equal(f"{options}: {ours.stderr}{theirs.stderr}: success", ours.returncode == 0,
          theirs.returncode == 0)
    sound("ours")
    if theirs.returncode:
        equal("what a refusal leaves", details("ours"), before)
        return False
    equal("info", details("ours"), details("theirs"))
    same_content("ours", "theirs", snapshots)
    qemu_io("ours", "qcow2", "write -P 77 700k 1M", "write -z 6M 1M")
    sound("ours")
    return True


@case(*CREATED)
def options_change_as_with_qemu(created):
    for options in AMENDED:
        for start in (alone, based):
            start(created)
            write_all_kinds("ours")
            amend_both(options)


@case("", "compat=0.10")
def what_qemu_refuses_is_refused(created):
    for start in (alone, based):
        start(created)
        for options in REFUSED:
            equal(options, amend_both(options), False)


@case("", "compat=0.10")
def snapshots_are_kept(created):
    """An L2 table that several snapshots share has zeroes that are expanded for all of them."""
    for options in AMENDED:
        for start in (alone, based):
            start(created)
            write_all_kinds("ours")
            for name, command in (("one", "write -P 5 9M 1M"), ("two", "write -z 10M 1M"),
                                  ("three", "write -P 6 1M 128k")):
                qemu_img("snapshot", "-c", name, "ours")
                qemu_io("ours", "qcow2", command)
            if amend_both(options, ("one", "two", "three")):
                qemu_img("snapshot", "-a", "two", "ours")
                qemu_img("snapshot", "-d", "one", "ours")
                sound("ours")


@case()
def snapshots_of_another_size_stay_in_version_3():
    make("ours", "qcow2", "", "16M")
    qemu_img("snapshot", "-c", "small", "ours")
    qemu_img("resize", "-q", "-f", "qcow2", "ours", "18M")
    equal("compat=0.10", amend_both("compat=0.10"), False)
    refused("image-amend", "-f", "qcow2", "-o", "compat=0.10", "ours", status=1, words="'small'")


@case()
def the_header_is_that_of_qemu():
    for options in ("", "compat=0.10", "refcount_bits=8"):
        make("theirs", "qcow2", options)
        cistern("image-create", "--yes", "-f", "qcow2", *(["-o", options] if options else []),
                "ours", "64M")
        heads = []
        for path in ("ours", "theirs"):
            with open(path, "rb") as file:
                heads.append(file.read(1024)[68:])
        equal("header", *heads)


@case()
def amended_headers_name_their_features():
    make("ours", "qcow2", "compat=0.10")
    cistern("image-amend", "-f", "qcow2", "-o", "compat=1.1", "ours")
    with open("ours", "rb") as file:
        if b"extended L2 entries" not in file.read(1024):
            raise Failed("no names after an upgrade")
    cistern("image-amend", "-f", "qcow2", "-o", "compat=0.10", "ours")
    with open("ours", "rb") as file:
        equal("magic, version, length of extensions", file.read(80)[72:], bytes(8))


# --- data files -----------------------------------------------------------------------------------

@case()
def a_data_file_gets_another_name():
    make("ours", "qcow2", "data_file=data,data_file_raw=on", "1M")
    qemu_io("ours", "qcow2", "write -P 3 0 1M")
    for options, name, raw in (("data_file_raw=off", "data", False),
                               ("data_file=a/very/long/name/of/a/data/file", None, False)):
        cistern("image-amend", "--backing-chain", "-f", "qcow2", "-o", options, "ours")
        told = qemu_json("info", "-f", "qcow2", "ours")["format-specific"]["data"]
        equal("name", told["data-file"], name or options.split("=")[1])
        equal("raw", told["data-file-raw"], raw)
    os.makedirs("a/very/long/name/of/a/data")
    os.rename("data", "a/very/long/name/of/a/data/file")
    sound("ours")
    qemu_io("ours", "qcow2", "read -P 3 0 1M")


@case("data_file_raw=on", "compat=0.10", "backing_file=x")
def a_data_file_stands_in_the_way(options):
    make("ours", "qcow2", "data_file=data", "1M")
    before = details("ours")
    theirs = call("qemu-img", "amend", "-f", "qcow2", "-o", options, "ours")
    equal("status of qemu-img", theirs.returncode, 1)
    refused("image-amend", "--backing-chain", "-f", "qcow2", "-o", options, "ours", status=1,
            words="data" if "backing" not in options else "rebase")
    equal("details", details("ours"), before)


# --- what is ours -----------------------------------------------------------------------------------

@case()
def bitmaps_are_not_lost():
    make("ours", "qcow2", "", "16M")
    qemu_img("bitmap", "--add", "ours", "b")
    refused("image-amend", "-f", "qcow2", "-o", "compat=0.10", "ours", status=1, words="bitmaps")
    cistern("image-amend", "-f", "qcow2", "-o", "lazy_refcounts=on,refcount_bits=32", "-o",
            "size=20M", "ours")
    bitmaps = qemu_json("info", "-f", "qcow2", "ours")["format-specific"]["data"]["bitmaps"]
    equal("bitmaps", [b["name"] for b in bitmaps], ["b"])
    equal("flags", bitmaps[0]["flags"], ["auto"])
    sound("ours")


@case()
def shrinking_is_asked_for():
    make("ours", "qcow2", "", "16M")
    words = ("image-amend", "-f", "qcow2", "-o", "size=1M", "ours")
    refused(*words, status=2, words="--shrink")
    cistern(*words, "--shrink", "--yes")
    equal("size", qemu_json("info", "-f", "qcow2", "ours")["virtual-size"], MIB)


@case()
def what_can_be_amended_is_told():
    make("ours", "qcow2", "")
    told = cistern("image-amend", "-f", "qcow2", "-o", "help", "ours")
    theirs = qemu_img("amend", "-f", "qcow2", "-o", "help")
    names = {line.split("=")[0].strip() for line in theirs.splitlines()[1:]}
    equal("names", {line.split("=")[0].strip() for line in told.splitlines()[1:] if line.strip()},
          {name for name in names if not name.startswith("encrypt.")})
    equal("result", cistern_json("image-amend", "-f", "qcow2", "-o", "compat=0.10", "ours")["image"],
          "ours")
    make("v", "vdi", "")
    refused("image-amend", "-f", "vdi", "-o", "size=1G", "v", status=1, words="vdi")


sys.exit(main())
