#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the image-* commands can be asked for, beside qemu-img: targets, sources, changes of
options. qemu-img's opinion of each result counts. Prints TAP.

usage: commands_vs_qemu.py CISTERN [PATTERN]
"""

import os
import shutil
import sys

from cases import (CISTERN, KIB, MIB, Failed, call, case, cistern, equal, fill, main, make, qemu_img,
                   qemu_io, qemu_json, refused)


def same(a, a_format, b, b_format):
    qemu_img("compare", "-f", a_format, "-F", b_format, a, b)


def sound(path, fmt="qcow2"):
    report = qemu_json("check", "-f", fmt, path)
    equal("errors", (report["check-errors"], report.get("corruptions", 0), report.get("leaks", 0)),
          (0, 0, 0))


def taken(path):
    return os.stat(path).st_blocks * 512


def size_of(path, fmt):
    return qemu_json("info", "-f", fmt, path)["virtual-size"]


# --- sizes and lists of options -------------------------------------------------------------------

@case("1.5G", "0x10000", "1.0001k", "0.5M", "1.k", "0x10k", "010k", "8k")
def sizes_are_read_as_qemu_img_reads_them(size):
    cistern("image-create", "-f", "qcow2", "ours", size)
    qemu_img("create", "-q", "-f", "qcow2", "theirs", size)
    equal(size, size_of("ours", "qcow2"), size_of("theirs", "qcow2"))
    cistern("image-resize", "-f", "qcow2", "ours", "+" + size)
    equal("+" + size, size_of("ours", "qcow2"), -(-2 * size_of("theirs", "qcow2") // 512) * 512)


@case("1.5", ".5G", "1e3", "0x", "0x1.8k", "1.5b")
def what_qemu_img_takes_for_no_size_is_none(size):
    equal("theirs", call("qemu-img", "create", "-f", "raw", "x", size).returncode, 1)
    refused("image-create", "-f", "raw", "x", size, status=2, words=size)


@case()
def options_may_be_given_again():
    cistern("image-create", "-f", "qcow2", "-o", "compat=0.10,cluster_size=4k", "-o",
            "cluster_size=0x2000", "a", "1M")
    info = qemu_json("info", "a")
    equal("cluster", info["cluster-size"], 8192)
    equal("compat", info["format-specific"]["data"]["compat"], "0.10")
    if "cluster_size=" not in cistern("image-create", "-f", "qcow2", "-o", "compat=0.10", "-o",
                                      "help"):
        raise Failed("no help")
    refused("image-create", "-f", "qcow2", "-o", "compat=0.10,", "-o", "size=1M", "b", status=2,
            words="empty part")


@case("static=on", "static=off", "subformat=fixed", "subformat=static")
def a_vdi_can_be_static(option):
    cistern("image-create", "-f", "vdi", "-o", option, "ours", "5M")
    make("theirs", "vdi", "static=off" if option == "static=off" else "static=on", "5M")
    sound("ours", "vdi")
    same("ours", "vdi", "theirs", "vdi")
    equal("length", os.stat("ours").st_size > 5 * MIB, option != "static=off")
    with open("ours", "rb") as ours, open("theirs", "rb") as theirs:
        equal("kind", ours.read(80)[76], theirs.read(80)[76])


@case("1M", "5000k", "64M")
def a_vhdx_log_has_the_size_that_is_asked_for(size):
    cistern("image-create", "-f", "vhdx", "-o", f"log_size={size}", "ours", "20M")
    make("theirs", "vhdx", f"log_size={size}", "20M")
    lengths = []
    for name in ("ours", "theirs"):
        with open(name, "rb") as image:
            headers = image.read(192 * KIB)
        lengths.append(int.from_bytes(headers[65536 + 68:65536 + 72], "little"))
    equal("log", lengths[0], lengths[1])
    fill_small("ours", "vhdx")
    sound("ours", "vhdx")
    cistern("image-check", "-f", "vhdx", "ours")
    refused("image-create", "-f", "vhdx", "-o", "log_size=4G", "x", "20M", status=1,
            words="below 4 GiB")


def fill_small(path, fmt):
    qemu_io(path, fmt, "write -P 3 1M 3M", "write -P 4 15M 64k", "read -P 3 1M 3M")


@case()
def a_vmdk_names_its_hardware_and_may_have_zeroed_grains():
    make("base", "vmdk", "")
    qemu_io("base", "vmdk", "write -P 5 0 8M")
    for options in ("hwversion=6", "zeroed_grain=on", "zeroed_grain=on,hwversion=19"):
        cistern("image-create", "-f", "vmdk", "-o", options, "-b", "base", "-F", "vmdk", "ours",
                "--yes")
        qemu_img("create", "-q", "-f", "vmdk", "-o", options, "-b", "base", "-F", "vmdk", "theirs")
        heads = []
        for name in ("ours", "theirs"):
            with open(name, "rb") as image:
                image.seek(4)
                heads.append((image.read(4), bytes([image.read(1)[0] & 4]), [
                    line for line in image.read(8192).split(b"\n") if b"virtualHW" in line]))
        equal("header", heads[0], heads[1])
        qemu_io("ours", "vmdk", "write -z 1M 2M", "read -P 0 1M 2M", "read -P 5 3M 1M")
        sound("ours", "vmdk")
        cistern("image-check", "-f", "vmdk", "ours")
        cistern("image-convert", "--backing-chain", "-f", "vmdk", "-O", "raw", "ours", "flat",
                "--yes")
        same("ours", "vmdk", "flat", "raw")
    refused("image-create", "-f", "vmdk", "-o", "zeroed_grain=on,subformat=monolithicFlat", "x",
            "1M", status=1, words="zeroed grains")
    refused("image-create", "-f", "vmdk", "-o", "hwversion=a", "x", "1M", status=1, words="'a'")


# --- convert --------------------------------------------------------------------------------------

@case("raw", "qcow2", "vdi", "vpc", "vhdx", "vmdk")
def a_copy_goes_into_an_image_that_is_there(fmt):
    make("src", "qcow2", "")
    fill("src", "qcow2")
    make("old", fmt, "", "80M")
    qemu_io("old", fmt, "write -P 99 0 80M")
    there = os.stat("old").st_ino
    cistern("image-convert", "-n", "-f", "qcow2", "-O", fmt, "src", "old", "--yes")
    equal("file", os.stat("old").st_ino, there)
    qemu_io("old", fmt, "read -P 99 64M 8M", "read -P 0 10M 8M")
    qemu_img("convert", "-f", fmt, "-O", "raw", "old", "flat")
    os.truncate("flat", 64 * MIB)
    same("flat", "raw", "src", "qcow2")
    if fmt in ("qcow2", "vdi", "vhdx", "vmdk"):
        sound("old", fmt)


@case()
def what_an_image_that_is_there_must_be():
    make("src", "raw", "", "2M")
    make("small", "qcow2", "", "1M")
    refused("image-convert", "-n", "-f", "raw", "-O", "qcow2", "src", "small", "--yes", status=1,
            words="has room for")
    refused("image-convert", "-n", "-f", "raw", "-O", "qcow2", "src", "none", "--yes", status=3,
            words="No such file")
    refused("image-convert", "-n", "-f", "raw", "-O", "raw", "src", "src", "--yes", status=1,
            words="at the same time")
    make("old", "raw", "", "2M")
    qemu_io("old", "raw", "write -P 7 0 2M")
    refused("image-convert", "-n", "-f", "raw", "-O", "raw", "src", "old", status=2, words="--yes")
    qemu_io("old", "raw", "read -P 7 0 2M")
    for more in (["-o", "compat=1.1"], ["-B", "x", "-F", "raw"]):
        refused("image-convert", "-n", "-f", "raw", "-O", "qcow2", "src", "old", *more, status=2,
                words="mutually exclusive")


@case()
def zeroes_hide_what_the_backing_file_of_the_target_shows():
    make("base", "raw", "")
    qemu_io("base", "raw", "write -P 5 0 64M")
    make("src", "qcow2", "")
    fill("src", "qcow2")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "top")
    cistern("image-convert", "-n", "--backing-chain", "-f", "qcow2", "-O", "qcow2", "src", "top",
            "--yes")
    same("top", "qcow2", "src", "qcow2")
    sound("top")


@case("0", "64k")
def the_shortest_run_of_zeroes_is_chosen(run):
    make("src", "raw", "", "8M")
    # data, with zeroes of 32 KiB every 128 KiB, and a hole at the end
    for at in range(0, 4 * MIB, 128 * KIB):
        qemu_io("src", "raw", f"write -P 1 {at} 96k", f"write -P 0 {at + 96 * KIB} 32k")
    cistern("image-convert", "-f", "raw", "-O", "raw", "src", "usual")
    cistern("image-convert", "-S", run, "-f", "raw", "-O", "raw", "src", "ours")
    qemu_img("convert", "-S", run, "-f", "raw", "-O", "raw", "src", "theirs")
    same("ours", "raw", "src", "raw")
    equal("taken", (taken("ours"), taken("theirs")),
          (8 * MIB, 8 * MIB) if run == "0" else (4 * MIB, 4 * MIB))


@case("0", "4k")
def zeroes_take_compressed_space_where_that_is_asked_for(run):
    make("src", "raw", "", "8M")
    qemu_io("src", "raw", "write -P 3 0 1M")
    allocated = []
    for tool, name in ((cistern, "ours"), (qemu_img, "theirs")):
        command = ["image-convert" if tool is cistern else "convert", "-c", "-S", run]
        tool(*command, "-f", "raw", "-O", "qcow2", "src", name)
        allocated.append(sum(piece["length"] for piece in qemu_json("map", "-f", "qcow2", name)
                             if piece["present"]))
    same("ours", "qcow2", "src", "raw")
    sound("ours")
    equal("allocated", tuple(allocated), (8 * MIB, 8 * MIB) if run == "0" else (MIB, MIB))


@case()
def a_copy_is_raw_where_nothing_else_is_said():
    make("src", "qcow2", "")
    fill("src", "qcow2")
    cistern("image-convert", "-f", "qcow2", "src", "ours")
    qemu_img("convert", "-f", "qcow2", "-O", "raw", "src", "theirs")
    same("ours", "raw", "theirs", "raw")


@case()
def a_sparse_size_is_whole_sectors():
    make("src", "raw", "", "1M")
    refused("image-convert", "-S", "100", "-f", "raw", "-O", "raw", "src", "x", status=2,
            words="multiple of 512")
    refused("image-convert", "-S", "4k", "-C", "-f", "raw", "-O", "raw", "src", "x", status=2,
            words="mutually exclusive")
    cistern("image-convert", "-C", "-f", "raw", "-O", "raw", "src", "x")
    same("src", "raw", "x", "raw")


@case(("qcow2", ""), ("qcow2", "-c"), ("vmdk", ""))
def a_copy_upon_a_backing_file_holds_what_differs(variant):
    fmt, compress = variant
    more = [compress] if compress else []
    make("base", fmt, "")
    qemu_io("base", fmt, "write -P 5 0 32M")
    qemu_img("create", "-q", "-f", fmt, "-b", "base", "-F", fmt, "src")
    qemu_io("src", fmt, "write -P 6 1M 1M", "write -z 4M 1M", "write -P 7 40M 64k",
          "write -P 5 8M 1M")
    for name, options in (("a", ["-B", "base", "-F", fmt]),
                          ("b", ["-o", f"backing_file=base,backing_fmt={fmt}"])):
        if fmt == "vmdk" and name == "b":
            options = ["-B", "base", "-F", fmt]
        cistern("image-convert", *more, "--backing-chain", *options, "-f", fmt, "-O", fmt, "src",
                name)
        same("src", fmt, name, fmt)
        equal("backing", qemu_json("info", "-f", fmt, name)["backing-filename"], "base")
        if os.stat(name).st_size > 4 * MIB:
            raise Failed(f"{name} takes {os.stat(name).st_size} bytes")
        sound(name, fmt)


@case()
def a_copy_upon_another_backing_file_shows_the_same():
    make("base", "qcow2", "")
    fill("base", "qcow2", 20)
    make("other", "qcow2", "", "20M")
    fill_small = ["write -P 9 0 8M", "write -P 22 12M 1M"]
    qemu_io("other", "qcow2", *fill_small)
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "src", "70M")
    qemu_io("src", "qcow2", "write -P 6 1M 1M")
    cistern("image-convert", "--backing-chain", "-B", "other", "-F", "qcow2", "-f", "qcow2", "-O",
            "qcow2", "src", "new")
    same("src", "qcow2", "new", "qcow2")
    sound("new")
    refused("image-convert", "--backing-chain", "-B", "other", "-f", "qcow2", "-O", "qcow2", "src",
            "x", status=2, words="--backing-format")
    refused("image-convert", "--backing-chain", "-B", "none", "-F", "raw", "-f", "qcow2", "-O",
            "qcow2", "src", "x", status=3, words="none")
    equal("nothing is left", os.path.exists("x"), False)


@case("raw", "qcow2", "vhdx")
def several_images_become_one(fmt):
    with open("a", "wb") as a:
        a.write(b"a" * 1000)
    make("b", "raw", "", "3M")
    qemu_io("b", "raw", "write -P 3 1M 1M")
    with open("c", "wb") as c:
        c.write(b"c" * 700000)
    cistern("image-convert", "-f", "raw", "-O", fmt, "a", "b", "c", "ours")
    qemu_img("convert", "-f", "raw", "-O", fmt, "a", "b", "c", "theirs")
    same("ours", fmt, "theirs", fmt)
    cistern("image-convert", "-f", "raw", "-O", fmt, "--source", "a", "--target", "named", "b", "c")
    same("named", fmt, "theirs", fmt)
    refused("image-convert", "-f", "raw", "-O", "qcow2", "-B", "a", "-F", "raw", "b", "c", "x",
            status=2, words="mutually exclusive")


# --- dd and bench ---------------------------------------------------------------------------------

@case("bs=1M count=3", "bs=64k skip=9", "bs=1M skip=3 count=500", "count=7", "count=0", "bs=1.5k")
def a_part_is_copied_as_dd_copies_it(operands):
    words = operands.split()
    make("src", "qcow2", "")
    fill("src", "qcow2")
    qemu_img("convert", "-O", "raw", "src", "flat")
    cistern("image-dd", "-f", "qcow2", *words, "if=src", "of=ours")
    run_dd = call("dd", "if=flat", "of=theirs", *[w.replace("1.5k", "1536") for w in words])
    equal("dd", run_dd.returncode, 0)
    equal("same", call("cmp", "ours", "theirs").returncode, 0)
    if "count=0" in words:
        return
    cistern("image-dd", "-f", "qcow2", "-O", "qcow2", *words, "if=src", "of=image")
    same("image", "qcow2", "ours", "raw")


@case()
def what_dd_can_not_do_is_said():
    make("src", "raw", "", "1M")
    for words, status, said in ((["if=src"], 2, "of="), (["if=src", "of=x", "seek=1"], 2, "seek"),
                                (["if=src", "of=x", "bs=0"], 2, "bs="),
                                (["if=src", "of=x", "count=many"], 2, "number"),
                                (["if=src", "of=x", "skip=4000"], 1, "past the end"),
                                (["if=src", "of=src"], 2, "--yes")):
        refused("image-dd", "-f", "raw", *words, status=status, words=said)
    equal("nothing is made", os.path.exists("x"), False)


@case("raw", "qcow2")
def a_bench_sends_what_it_is_told_to(fmt):
    make("a", fmt, "", "8M")
    refused("image-bench", "-f", fmt, "-w", "a", status=2, words="--yes")
    cistern("image-bench", "-f", fmt, "-w", "--pattern", "7", "-c", "100", "-d", "4", "-s", "4k",
            "-S", "64k", "-o", "1M", "--flush-interval", "10", "a", "--yes")
    # 100 requests from 1 MiB on, at every 64 KiB up to the end; no other bytes
    qemu_io("a", fmt, "read -P 7 1M 4k", f"read -P 0 {MIB + 4 * KIB} 60k", "read -P 7 7M 4k",
          "read -P 0 4096 60k")
    for how in (("--no-drain",), ("-t", "unsafe"), ("-t", "writeback")):
        cistern("image-bench", "-f", fmt, "-w", "--pattern", "8", "-c", "200", "-d", "16", "-s", "4k",
                "--flush-interval", "7", *how, "a", "--yes")
    qemu_io("a", fmt, "read -P 8 0 800k", "read -P 7 1M 4k")
    refused("image-bench", "-f", fmt, "-w", "--no-drain", "--yes", "a", status=2,
            words="--flush-interval")
    refused("image-bench", "-f", fmt, "-t", "none", "a", status=2, words="writeback or unsafe")
    lines = cistern("image-bench", "-f", fmt, "-c", "20", "a").splitlines()
    equal("told", lines[0], "Sending 20 read requests, 4096 bytes each, 64 in parallel")
    if not lines[1].startswith("Run completed in "):
        raise Failed(lines)
    refused("image-bench", "-f", fmt, "-s", "9M", "a", status=1, words="too small")
    refused("image-bench", "-f", fmt, "--pattern", "7", "a", status=2, words="--write")
    refused("image-bench", "-f", fmt, "-d", "0", "a", status=2, words="--depth")


@case()
def a_bench_drains_before_it_flushes():
    """With 8 requests at a time and a flush for every 8th, each flush follows 8 whole writes."""
    make("a", "raw", "", "8M")
    for more, drained in (((), True), (("--no-drain",), False)):
        trace = call("strace", "-f", "-qq", "-e", "trace=pwrite64,fdatasync,fsync", CISTERN,
                     "image-bench", "-f", "raw", "-w", "--yes", "-c", "400", "-d", "8", "-s", "64k",
                     "--flush-interval", "8", *more, "a").stderr
        begun = ended = flushes = 0
        apart = True
        for line in trace.splitlines():
            if "pwrite64(" in line:
                begun += 1
            if "pwrite64" in line and "unfinished" not in line:
                ended += 1
            if "sync(" in line:
                flushes += 1
                apart = apart and begun == ended and begun % 8 == 0
        equal("flushes", flushes >= 50, True)
        if drained:
            equal("alone", apart, True)


# --- what images name -----------------------------------------------------------------------------

@case()
def a_backing_file_can_be_called_a_host_device():
    make("base", "raw", "")
    fill("base", "raw")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "top")
    qemu_io("top", "qcow2", "write -P 8 1M 1M")
    qemu_img("convert", "-O", "raw", "top", "before")
    shutil.copy("base", "other")
    cistern("image-rebase", "--backing-chain", "-f", "qcow2", "-b", "other", "-F", "host_device",
            "top")
    equal("format", qemu_json("info", "top")["backing-filename-format"], "host_device")
    cistern("image-convert", "--backing-chain", "-f", "qcow2", "-O", "raw", "top", "after")
    same("before", "raw", "after", "raw")


@case()
def chains_of_qed_have_any_depth():
    make("0", "qed", "")
    fill("0", "qed")
    for i in range(1, 5):
        qemu_img("create", "-q", "-f", "qed", "-b", str(i - 1), "-F", "qed", str(i))
        qemu_io(str(i), "qed", f"write -P {i} {i}M 1M")
    cistern("image-convert", "--backing-chain", "-f", "qed", "-O", "raw", "4", "flat")
    same("4", "qed", "flat", "raw")
    # what is raw for all that is known stays so
    make("secret", "raw", "")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "secret", "-F", "raw", "evil")
    qemu_img("create", "-q", "-f", "qed", "-b", "evil", "-F", "raw", "top")
    cistern("image-convert", "--backing-chain", "-f", "qed", "-O", "raw", "top", "shown")
    with open("shown", "rb") as shown:
        equal("raw", shown.read(4), b"QFI\xfb")


if __name__ == "__main__":
    if not shutil.which("qemu-io"):
        print("1..0 # SKIP qemu-io is not installed")
        sys.exit(0)
    sys.exit(main())
