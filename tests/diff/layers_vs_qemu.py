#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare commit, rebase, flatten, sparsify and bitmaps with qemu-img. Prints TAP.

usage: layers_vs_qemu.py CISTERN [PATTERN]
"""

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys

from cases import (CISTERN, ENV, KIB, MIB, Failed, call, case, cistern, cistern_json, equal, fill,
                   main, make, qemu_img, qemu_io, qemu_json, refused, run)

CHAIN = "--backing-chain"


def scatter(rand, path, fmt, size, count=6):
    """Writes, zeroes and discards anywhere."""
    commands = []
    for _ in range(count):
        length = rand.randrange(1, 300) * 512
        offset = rand.randrange(0, max(size - length, 1)) // 512 * 512
        kind = rand.choice(("write", "write", "write", "write -z", "write -z -u", "discard"))
        if kind == "write":
            kind += f" -P {rand.randrange(0, 256)}"
        commands.append(f"{kind} {offset} {min(length, size - offset)}")
    qemu_io(path, fmt, *commands)


def options_of(rand):
    compat = rand.choice(("1.1", "1.1", "0.10"))
    cluster = rand.choice((4 * KIB, 64 * KIB, 64 * KIB, 512 * KIB))
    options = f"compat={compat},cluster_size={cluster}"
    if compat == "1.1" and cluster >= 64 * KIB and rand.random() < 0.3:
        options += ",extended_l2=on"
    return options


def overlay(rand, path, backing, fmt, size):
    qemu_img("create", "-q", "-f", "qcow2", "-o", options_of(rand), "-b", backing, "-F", fmt, path,
             size)
    scatter(rand, path, "qcow2", size)


def sized(rand):
    """All sizes around 8 MiB, so that each image may be the longest."""
    return 8 * MIB + rand.choice((-1, 0, 0, 1)) * rand.randrange(1, 2000) * 512


def build(seed, base_fmt):
    """base <- mid <- top, and another one that nothing is based on."""
    rand = random.Random(seed)
    for name in ("base", "other"):
        size = sized(rand)
        fmt = base_fmt if name == "base" else rand.choice(("raw", "qcow2"))
        options = options_of(rand) if fmt == "qcow2" else ""
        make(name, fmt, options, size)
        scatter(rand, name, fmt, size, 10)
        other = fmt
    overlay(rand, "mid", "base", base_fmt, sized(rand))
    overlay(rand, "top", "mid", "qcow2", sized(rand))
    return other


def flat(path, to):
    qemu_img("convert", "-f", "qcow2", "-O", "raw", path, to)


def same(a, a_fmt, b, b_fmt):
    qemu_img("compare", "-q", "-f", a_fmt, "-F", b_fmt, a, b)


def same_size(a, a_fmt, b, b_fmt):
    equal(f"sizes of {a} and {b}", qemu_json("info", "-f", a_fmt, a)["virtual-size"],
          qemu_json("info", "-f", b_fmt, b)["virtual-size"])


def sound(*names):
    for name in names:
        report = qemu_json("check", "-f", "qcow2", name)
        equal(f"errors and leaks of {name}",
              (report.get("corruptions", 0), report.get("leaks", 0)), (0, 0))
        ours = cistern_json("image-check", "-f", "qcow2", name)
        equal(f"our opinion of {name}", (ours["corruptions"], ours["leaks"]), (0, 0))


def digest(path):
    with open(path, "rb") as image:
        return hashlib.sha256(image.read()).hexdigest()


def copies(*names):
    """The same images for QEMU, in a directory of their own."""
    os.mkdir("q")
    for name in names:
        shutil.copy(name, os.path.join("q", name))


SEEDS = [(seed, fmt) for seed in range(8) for fmt in ("raw", "qcow2")]


# --- commit ---------------------------------------------------------------------------------------

@case(*SEEDS)
def commit_does_what_qemu_does(parameter):
    seed, fmt = parameter
    build(seed, fmt)
    copies("base", "mid", "top")
    flat("mid", "before")
    mid_size = qemu_json("info", "mid")["virtual-size"]
    cistern("image-commit", CHAIN, "-f", "qcow2", "mid", "--yes")
    qemu_img("commit", "-q", "-f", "qcow2", "q/mid")
    sound("mid", *(["base"] if fmt == "qcow2" else []))
    same("before", "raw", "mid", "qcow2")
    same("base", fmt, "q/base", fmt)
    same_size("base", fmt, "q/base", fmt)
    same_size("before", "raw", "mid", "qcow2")
    runs = qemu_json("map", "mid")
    if any(run["depth"] == 0 and run["start"] < mid_size and run["data"] for run in runs):
        raise Failed(f"the image was not emptied: {runs}")


@case(*SEEDS)
def commit_further_down(parameter):
    seed, fmt = parameter
    build(seed + 1000, fmt)
    copies("base", "mid", "top")
    flat("top", "before")
    mid, top = digest("mid"), digest("top")
    refused("image-commit", CHAIN, "-f", "qcow2", "-b", "base", "top", status=2, words="--yes")
    cistern("image-commit", CHAIN, "-f", "qcow2", "-b", "base", "top", "--yes")
    run("env", "-C", "q", "qemu-img", "commit", "-q", "-f", "qcow2", "-b", "base", "top")
    same("base", fmt, "q/base", fmt)
    same("before", "raw", "top", "qcow2")
    if qemu_json("info", "-f", fmt, "base")["virtual-size"] <= os.stat("before").st_size:
        same("before", "raw", "base", fmt)
    equal("untouched", (digest("mid"), digest("top")), (mid, top))


@case()
def commit_keeps_on_request():
    build(7, "raw")
    before = digest("top")
    flat("top", "view")
    cistern("image-commit", CHAIN, "-f", "qcow2", "-d", "top", "--dry-run")
    cistern("image-commit", CHAIN, "-f", "qcow2", "-d", "top", "--yes")
    equal("unchanged", digest("top"), before)
    same("view", "raw", "mid", "qcow2")


@case()
def commit_refuses():
    build(8, "raw")
    words = ("image-commit", "-f", "qcow2", "top")
    refused(*words, status=4, words=CHAIN)
    refused(*words, CHAIN, "-b", "other", status=3, words="not among")
    refused("image-commit", "-f", "raw", "base", CHAIN, status=1, words="no backing file")
    qemu_img("snapshot", "-c", "s", "mid")
    refused("image-commit", CHAIN, "-f", "qcow2", "mid", "--yes", status=5, words="snapshots")


@case()
def layers_in_use_are_left_alone():
    """Whoever has the base, or reads it below another image, is not pulled from under."""
    build(9, "qcow2")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "another")
    for user, victim in (("another", "mid"), ("mid", "mid")):
        with subprocess.Popen(["qemu-io", "-f", "qcow2", user], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            process.stdin.write("length\n")
            process.stdin.flush()
            process.stdout.readline()
            pid = f"process {process.pid}"
            refused("image-commit", CHAIN, "-f", "qcow2", victim, status=5, words=pid)
            if user == victim:
                for words in (["image-rebase", "-b", ""], ["image-flatten"]):
                    refused(*words, CHAIN, "-f", "qcow2", victim, status=5, words=pid)
                refused("image-sparsify", "-f", "qcow2", victim, status=5, words=pid)
                refused("image-bitmap", "-f", "qcow2", "--add", victim, "b", status=5, words=pid)
            process.stdin.close()
            process.wait(30)


# --- rebase ---------------------------------------------------------------------------------------

@case(*SEEDS)
def rebase_keeps_the_view(parameter):
    seed, fmt = parameter
    other = build(seed + 2000, fmt)
    copies("base", "mid", "top", "other")
    flat("top", "before")
    for name, name_fmt in (("base", fmt), ("other", other), ("mid", "qcow2")):
        cistern("image-rebase", CHAIN, "-f", "qcow2", "-b", name, "-F", name_fmt, "top")
        qemu_img("rebase", "-q", "-f", "qcow2", "-b", name, "-F", name_fmt, "q/top")
        sound("top")
        same("before", "raw", "top", "qcow2")
        same("q/top", "qcow2", "top", "qcow2")
        info, theirs = qemu_json("info", "top"), qemu_json("info", "q/top")
        for key in ("backing-filename", "backing-filename-format", "virtual-size"):
            equal(key, info[key], theirs[key])
    scatter(random.Random(seed), "top", "qcow2", 7 * MIB)  # QEMU goes on with it
    sound("top")


@case(*SEEDS[::2])
def flatten_keeps_the_view(parameter):
    seed, fmt = parameter
    build(seed + 3000, fmt)
    copies("base", "mid", "top")
    flat("top", "before")
    if seed % 2:
        cistern("image-flatten", CHAIN, "-f", "qcow2", "top")
    else:
        cistern("image-rebase", CHAIN, "-f", "qcow2", "-b", "", "top")
    qemu_img("rebase", "-q", "-f", "qcow2", "-b", "", "q/top")
    for name in ("base", "mid"):
        os.unlink(name)
    sound("top")
    same("before", "raw", "top", "qcow2")
    same_size("before", "raw", "top", "qcow2")
    equal("reference", "backing-filename" in qemu_json("info", "top"), False)
    ours, theirs = (sum(run["length"] for run in qemu_json("map", name) if run["data"])
                    for name in ("top", "q/top"))
    if ours > theirs:
        raise Failed(f"{ours} bytes of data, QEMU has {theirs}")
    cistern("image-flatten", CHAIN, "-f", "qcow2", "top")
    qemu_img("rebase", "-q", "-u", "-b", "x", "-F", "raw", "top")


# --- VMDK: images that remember in what state their parent was --------------------------------------

SPARSE_VMDKS = [(seed, sub) for seed in range(3)
                for sub in ("monolithicSparse", "twoGbMaxExtentSparse")]


def vmdks(seed, sub):
    """base <- top, and another one, by QEMU; what the guest sees of top is in "before"."""
    rand = random.Random(seed)
    for name in ("base", "other"):
        make(name, "vmdk", f"subformat={sub}", "8M")
        scatter(rand, name, "vmdk", 8 * MIB, 10)
    qemu_img("create", "-q", "-f", "vmdk", "-o", f"subformat={sub}", "-b", "base", "-F", "vmdk",
             "top")
    scatter(rand, "top", "vmdk", 8 * MIB)
    qemu_img("convert", "-f", "vmdk", "-O", "raw", "top", "before")


def vmdk_sound(*names):
    for name in names:
        qemu_img("check", "-q", "-f", "vmdk", name)
        ours = cistern_json("image-check", "-f", "vmdk", name)
        equal(f"our opinion of {name}", (ours["corruptions"], ours["leaks"]), (0, 0))


@case(*SPARSE_VMDKS)
def vmdk_commit_does_what_qemu_does(parameter):
    vmdks(*parameter)
    shutil.copytree(".", "q")
    cistern("image-commit", CHAIN, "-f", "vmdk", "top", "--yes")
    run("qemu-img", "commit", "-q", "-f", "vmdk", "q/top")
    vmdk_sound("base", "top")
    same("base", "vmdk", "q/base", "vmdk")
    # here QEMU's own chain is broken: its child does not hear of the parent's new content ID
    same("before", "raw", "top", "vmdk")
    same("before", "raw", "base", "vmdk")
    # and QEMU goes on with ours
    scatter(random.Random(9), "top", "vmdk", 8 * MIB)
    qemu_img("convert", "-f", "vmdk", "-O", "raw", "top", "after")
    cistern("image-commit", CHAIN, "-f", "vmdk", "top", "--yes")
    same("after", "raw", "base", "vmdk")


@case(*SPARSE_VMDKS)
def vmdk_rebase_and_flatten_keep_the_view(parameter):
    vmdks(*parameter)
    cistern("image-rebase", CHAIN, "-f", "vmdk", "-b", "other", "-F", "vmdk", "top")
    equal("backing", qemu_json("info", "-f", "vmdk", "top")["backing-filename"], "other")
    for name in os.listdir("."):
        if name.startswith("base"):
            os.unlink(name)
    vmdk_sound("top")
    same("before", "raw", "top", "vmdk")
    cistern("image-flatten", CHAIN, "-f", "vmdk", "top")
    equal("backing", "backing-filename" in qemu_json("info", "-f", "vmdk", "top"), False)
    vmdk_sound("top")
    same("before", "raw", "top", "vmdk")
    # back upon something, without looking: other has nothing that top has not
    qemu_img("convert", "-f", "vmdk", "-O", "vmdk", "top", "third")
    cistern("image-rebase", "--unsafe", "-f", "vmdk", "-b", "third", "-F", "vmdk", "top")
    same("before", "raw", "top", "vmdk")


@case("monolithicSparse", "twoGbMaxExtentSparse")
def zeroes_upon_a_backing_file_are_entries_where_that_is_wanted(subformat):
    make("base", "vmdk", f"subformat={subformat}", "8M")
    qemu_io("base", "vmdk", "write -P 1 0 8M")
    make("source", "raw", "", "8M")
    qemu_io("source", "raw", "write -P 1 0 8M", "write -P 0 1M 5M", "write -P 2 100k 1k")
    for zeroed in ("on", "off"):
        name = f"top-{zeroed}"
        cistern("image-convert", "-f", "raw", "-O", "vmdk", "-o", f"zeroed_grain={zeroed}", "-B",
                "base", "-F", "vmdk", "source", name)
        vmdk_sound(name)
        same("source", "raw", name, "vmdk")
    kinds = {(run["depth"], run["zero"], run["data"]) for run in qemu_json("map", "top-on")
             if 1 * MIB <= run["start"] < 6 * MIB}
    equal("entries", kinds, {(0, True, False)})
    qemu_io("top-on", "vmdk", "write -P 3 2M 70k")
    qemu_io("source", "raw", "write -P 3 2M 70k")
    same("source", "raw", "top-on", "vmdk")
    size = {name: sum(os.path.getsize(file) for file in os.listdir(".") if file.startswith(name))
            for name in ("top-on", "top-off")}
    if size["top-off"] - size["top-on"] < 4 * MIB:
        raise Failed(f"zeroes with entries take places, too: {size}")


@case()
def zeroes_that_a_rebase_keeps_are_entries():
    """Where the old base has nothing and the new one has data."""
    for name in ("old", "new"):
        make(name, "qcow2", "", "8M")
    qemu_io("old", "qcow2", "write -P 5 1M 64k")
    qemu_io("new", "qcow2", "write -P 1 0 8M")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "old", "-F", "qcow2", "top")
    cistern("image-rebase", CHAIN, "-f", "qcow2", "-b", "new", "-F", "qcow2", "top")
    same("old", "qcow2", "top", "qcow2")
    equal("map", [(run["start"], run["length"], run["zero"], run["data"])
                  for run in qemu_json("map", "top") if run["depth"] == 0],
          [(0, MIB, True, False), (MIB, 64 * KIB, False, True),
           (MIB + 64 * KIB, 7 * MIB - 64 * KIB, True, False)])


@case()
def a_base_to_commit_into_is_seen_from_here():
    os.mkdir("sub")
    make("sub/base", "raw", "", "8M")
    qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", "sub/top")
    for number, base in enumerate(("sub/base", "base", os.path.abspath("sub/base"))):
        qemu_io("sub/top", "qcow2", f"write -P {number + 1} {number}M 1M")
        cistern("image-commit", CHAIN, "-f", "qcow2", "-b", base, "sub/top", "--yes")
        qemu_io("sub/base", "raw", f"read -P {number + 1} {number}M 1M")


@case()
def a_snapshot_has_a_size_of_its_own():
    make("ours", "qcow2", "", "8M")
    qemu_io("ours", "qcow2", "write -P 7 6M 1M")
    cistern("image-snapshot", "-f", "qcow2", "-c", "large", "ours")
    cistern("image-resize", "-f", "qcow2", "ours", "4M", "--shrink", "--yes")
    qemu_img("snapshot", "-c", "small", "ours")
    for name, size in (("large", 8 * MIB), ("small", 4 * MIB), ("large", 8 * MIB)):
        cistern("image-snapshot", "-f", "qcow2", "-a", name, "ours", "--yes")
        equal(name, qemu_json("info", "ours")["virtual-size"], size)
        qemu_img("check", "-q", "-f", "qcow2", "ours")
    qemu_io("ours", "qcow2", "read -P 7 6M 1M")


@case()
def rebase_without_looking():
    build(5, "raw")
    os.rename("mid", "moved")
    before = digest("base")
    cistern("image-rebase", "-f", "qcow2", "-u", "-b", "moved", "-F", "qcow2", "top")
    equal("name", qemu_json("info", "top")["backing-filename"], "moved")
    cistern("image-info", "-f", "qcow2", CHAIN, "top")
    sound("top")
    cistern("image-rebase", "-f", "qcow2", "-u", "-b", "", "top")
    equal("none", "backing-filename" in qemu_json("info", "top"), False)
    equal("base", digest("base"), before)


@case()
def rebase_upon_a_backing_file_for_the_first_time():
    """What read as zeroes must go on doing so."""
    make("base", "raw", "")
    fill("base", "raw")
    for number, options in enumerate(("", "compat=0.10", "extended_l2=on")):
        name = f"top{number}"
        make(name, "qcow2", options)
        qemu_io(name, "qcow2", "write -P 9 3M 1M")
        flat(name, "before")
        cistern("image-rebase", CHAIN, "-f", "qcow2", "-b", "base", "-F", "raw", name)
        sound(name)
        same("before", "raw", name, "qcow2")


@case()
def rebase_refuses():
    build(6, "raw")
    words = ("image-rebase", "-f", "qcow2", "top")
    refused(*words, "-b", "other", status=2, words="--backing-format")
    refused(*words, "-b", "other", "-F", "raw", status=4, words=CHAIN)
    refused(*words, "-b", "nosuch", "-F", "raw", CHAIN, status=3, words="nosuch")
    refused(*words, "-b", "top", "-F", "qcow2", CHAIN, status=1, words="itself")
    refused(*words, "-b", "nbd://h/x", "-F", "raw", CHAIN, status=1, words="--unsafe")
    for fmt in ("qcow2", "qcow"):
        refused("image-create", "-u", "-f", fmt, "-b", "other", "-F", "garbage", "new", "1M",
                status=2, words="garbage")
    refused("image-rebase", "-f", "raw", "-b", "", "base", status=1, words="raw")
    refused("image-flatten", "-f", "qcow2", "top", status=4, words=CHAIN)
    make("v", "vdi", "")
    refused("image-rebase", "-f", "vdi", "-b", "base", "-F", "raw", "v", status=1, words="vdi")
    qemu_img("snapshot", "-c", "s", "top")
    refused(*words, "-b", "base", "-F", "raw", CHAIN, status=5, words="snapshots")


@case()
def cancelled_work_can_be_done_again():
    size = 3 << 30
    make("base", "raw", "", size)
    qemu_io("base", "raw", *(f"write -P {n + 1} {n * 64}M 48M" for n in range(12)))
    for number, words in enumerate((["image-flatten"], ["image-commit", "--yes"])):
        name = f"top{number}"
        qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw", name)
        qemu_io(name, "qcow2", "write -P 99 100M 300M")
        command = [CISTERN, *words, CHAIN, "-f", "qcow2", name]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              env=ENV) as process:
            while process.poll() is None and os.stat(name).st_blocks < (360 << 11) and number == 0:
                pass
            process.send_signal(signal.SIGINT)
            process.wait(60)
        sound(name)
        qemu_io(name, "qcow2", "read -P 99 100M 300M", "read -P 1 0 48M", "read -P 8 448M 48M")
        cistern(*words, CHAIN, "-f", "qcow2", name)
        sound(name)
        qemu_io(name, "qcow2", "read -P 99 100M 300M", "read -P 1 0 48M", "read -P 8 448M 48M")


# --- sparsify -------------------------------------------------------------------------------------

@case("raw", "qcow2", "vdi", "vpc", "vhdx", "vmdk")
def sparsify_gives_space_back(fmt):
    make("a", fmt, "force_size" if fmt == "vpc" else "")
    qemu_io("a", fmt, "write -P 1 0 40M", "write -P 0 8M 16M", "write -P 0 63M 1M")
    qemu_img("convert", "-f", fmt, "-O", "raw", "a", "before")
    used = os.stat("a").st_blocks * 512
    cistern("image-sparsify", "-f", fmt, "a", "--dry-run")
    equal("dry run", os.stat("a").st_blocks * 512, used)
    report = cistern_json("image-sparsify", "-f", fmt, "a")
    equal("given back", report["given-back"], used - os.stat("a").st_blocks * 512)
    if report["given-back"] < 16 * MIB:
        raise Failed(f"only {report} of {used}")
    same("before", "raw", "a", fmt)
    if fmt in ("qcow2", "vdi", "vhdx"):
        qemu_img("check", "-q", "-f", fmt, "a")
    equal("again", cistern_json("image-sparsify", "-f", fmt, "a")["given-back"], 0)


@case(*SEEDS[::2])
def sparsify_hides_what_is_below(parameter):
    seed, fmt = parameter
    build(seed + 4000, fmt)
    if seed % 3 == 0:
        qemu_img("snapshot", "-c", "s", "top")
    scatter(random.Random(seed), "top", "qcow2", 7 * MIB, 12)
    flat("top", "before")
    cistern("image-sparsify", "-f", "qcow2", "top")
    sound("top")
    same("before", "raw", "top", "qcow2")


@case()
def sparsify_makes_holes_of_free_clusters():
    make("a", "qcow2", "")
    qemu_io("a", "qcow2", "write -P 1 0 32M", "write -P 2 40M 1M")
    qemu_img("snapshot", "-c", "s", "a")
    qemu_io("a", "qcow2", "write -P 3 0 32M")
    qemu_img("snapshot", "-d", "s", "a")  # free, and still in the file
    with open("a", "r+b") as image:  # no holes anywhere
        content = image.read()
        image.seek(0)
        image.write(content)
    report = cistern_json("image-sparsify", "-f", "qcow2", "a")
    if report["given-back"] < 30 * MIB:
        raise Failed(str(report))
    sound("a")
    qemu_io("a", "qcow2", "read -P 3 0 32M", "read -P 2 40M 1M")


# --- growing with preallocation -------------------------------------------------------------------

@case()
def sparsify_keeps_away_from_a_data_file_that_nobody_named():
    """What the image does not use of it would become holes, and may be another one's data."""
    make("a", "qcow2", "data_file=d", "1M")
    data = os.urandom(MIB)
    with open("d", "wb") as file:
        file.write(data)
    refused("image-sparsify", "-f", "qcow2", "a", status=4, words="--data-file")
    with open("d", "rb") as file:
        equal("left alone", file.read() == data, True)
    cistern("image-sparsify", "-f", "qcow2", "--data-file", "d", "a")


@case(*[(mode, base, options) for mode in ("metadata", "falloc", "full")
        for base, options in ((2 << 20, ""), (4 << 20, ""), (8 << 20, ""), (3 << 20, "compat=0.10"),
                              (8 << 20, "compat=0.10"), (8 << 20, "extended_l2=on"),
                              ((4 << 20) - 512, ""))])
def an_overlay_is_grown_with_preallocation(entry):
    """A backing file may be longer than the overlay was: it must not show, nor be hidden before."""
    mode, base, options = entry
    qemu_img("create", "-q", "-f", "raw", "base", str(base))
    qemu_io("base", "raw", f"write -P 5 0 {base}")
    for name in ("a", "b"):
        qemu_img("create", "-q", "-f", "qcow2", "-b", "base", "-F", "raw",
                 *(["-o", options] if options else []), name, str((4 << 20) - 512))
        qemu_io(name, "qcow2", "write -P 9 1M 64k")
    cistern("image-resize", "--backing-chain", "-f", "qcow2", "--preallocation", mode, "a", "9M")
    if options == "compat=0.10":  # QEMU can't hide a longer backing file in such an image
        qemu_img("convert", "-f", "qcow2", "-O", "qcow2", "b", "flat")
        os.rename("flat", "b")
    qemu_img("resize", "-q", "-f", "qcow2", "b", "9M")
    qemu_img("compare", "-q", "-f", "qcow2", "-F", "qcow2", "a", "b")
    qemu_img("check", "-q", "-f", "qcow2", "a")
    placed = sum(run["start"] + run["length"] - max(run["start"], 4 << 20)
                 for run in qemu_json("map", "a") if "offset" in run and run["depth"] == 0
                 and run["start"] + run["length"] > 4 << 20)
    equal("bytes that have their place", placed, 5 << 20)
    if mode != "metadata" and os.stat("a").st_blocks * 512 < 5 << 20:
        raise Failed("not allocated")


# --- bitmaps --------------------------------------------------------------------------------------

def bitmaps(path):
    data = qemu_json("info", path)["format-specific"]["data"]
    return sorted((b["name"], b["granularity"], sorted(b["flags"])) for b in data.get("bitmaps", []))


@case()
def bitmaps_are_those_of_qemu():
    make("a", "qcow2", "")
    make("b", "qcow2", "")
    for step in (["--add", "-g", "128k", "one"], ["--add", "--disable", "two"], ["--add", "three"],
                 ["--clear", "one"], ["--disable", "one"], ["--enable", "two"],
                 ["--merge", "one", "three"], ["--remove", "two"]):
        cistern("image-bitmap", "-f", "qcow2", *step[:-1], "a", step[-1])
        qemu_img("bitmap", "-f", "qcow2", *step[:-1], "b", step[-1])
        equal(f"after {step}", bitmaps("a"), bitmaps("b"))
        ours = cistern_json("image-info", "-f", "qcow2", "a")["images"][0]
        equal("our list", sorted((b["name"], b["granularity"], sorted(b["flags"]))
                                 for b in ours["format-specific"]["data"]["bitmaps"]), bitmaps("a"))
        sound("a")
    text = cistern("image-info", "-f", "qcow2", "a")
    if "three" not in text:
        raise Failed(text)


@case()
def bitmaps_merge_from_another_image():
    """QEMU tracks what is written; the bits arrive where they are merged to."""
    for name in ("a", "b"):
        make(name, "qcow2", "")
    qemu_img("bitmap", "--add", "-g", "64k", "a", "src")
    qemu_io("a", "qcow2", "write -P 1 1M 128k", "write -P 1 63M 64k")
    cistern("image-bitmap", "-f", "qcow2", "--add", "--merge", "src", "-b", "a", "-F", "qcow2",
            "-g", "64k", "b", "dst")
    qemu_img("bitmap", "--add", "-g", "64k", "--merge", "src", "-b", "a", "-F", "qcow2", "b", "qd")
    sound("a", "b")
    exported = [bits("b", name) for name in ("dst", "qd")]
    equal("bits", exported[0], exported[1])
    if len(exported[0]) < 2:
        raise Failed(f"no dirty bits: {exported}")


def bits(path, name):
    """Dirty runs, as QEMU shows them to NBD clients."""
    socket = os.path.abspath(f"nbd-{name}")
    with subprocess.Popen(["qemu-nbd", "-r", "-t", "-f", "qcow2", "-B", name, "-k", socket, path]) as server:
        try:
            while not os.path.exists(socket):
                if server.poll() is not None:
                    raise Failed("qemu-nbd ended")
            options = ("driver=nbd,server.type=unix,server.path=" + socket
                       + f",x-dirty-bitmap=qemu:dirty-bitmap:{name}")
            runs = qemu_json("map", "--image-opts", options)
        finally:
            server.terminate()
            server.wait(30)
    return [(run["start"], run["length"]) for run in runs if not run["data"]]


@case(*range(1, 9))
def bitmaps_follow_a_new_size_as_in_qemu(seed):
    """Dirty before, and after each of some resizes: the same bits, wherever tables grow or end."""
    rand = random.Random(seed)
    grain, cluster = rand.choice((512, 4096, 65536)), rand.choice((512, 4096, 65536))
    sizes = [rand.randrange(1, 20000) * 512 for _ in range(4)]
    if seed % 2:
        sizes[1] *= 40
    qemu_img("create", "-q", "-f", "qcow2", "-o", f"cluster_size={cluster}", "a", sizes[0])
    for name, options in (("on", ()), ("off", ("--disable",))):
        qemu_img("bitmap", "--add", "-g", grain, "a", name)
        scatter(rand, "a", "qcow2", sizes[0])
        qemu_img("bitmap", *options or ("--enable",), "a", name)
    shutil.copy("a", "b")
    for size in sizes[1:]:
        cistern("image-resize", "-f", "qcow2", "--shrink", "--yes", "a", size)
        qemu_img("resize", "-q", "-f", "qcow2", "--shrink", "b", size)
        equal("bitmaps", bitmaps("a"), bitmaps("b"))
        for name in ("on", "off"):
            equal(f"bits of '{name}' at {size}", bits("a", name), bits("b", name))
        sound("a")
        same("a", "qcow2", "b", "qcow2")


@case()
def inconsistent_bitmaps_stay_so_when_resized():
    make("a", "qcow2", "")
    qemu_img("bitmap", "--add", "-g", "512", "a", "b")
    cistern("image-resize", "-f", "qcow2", "a", "+1G")  # its table grows
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 9 0 64k", "-c", "abort", "a"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    equal("flags", [flags for _, _, flags in bitmaps("a")], [["auto", "in-use"]])
    cistern("image-check", "-f", "qcow2", "-r", "all", "a", ok=(0, 3))
    cistern("image-resize", "-f", "qcow2", "a", "+1G")
    cistern("image-resize", "-f", "qcow2", "--shrink", "--yes", "a", "1M")
    equal("flags", [flags for _, _, flags in bitmaps("a")], [["auto", "in-use"]])
    sound("a")
    cistern("image-resize", "-f", "qcow2", "--shrink", "--yes", "a", "0")  # nothing to be dirty
    equal("bitmaps", bitmaps("a"), [])
    sound("a")


@case()
def bitmap_refuses():
    make("a", "qcow2", "")
    make("r", "raw", "")
    words = ("image-bitmap", "-f", "qcow2")
    refused(*words, "a", "b", status=2, words="--add")
    refused(*words, "--enable", "-g", "64k", "a", "b", status=2, words="--granularity")
    refused(*words, "--clear", "-b", "a", "a", "b", status=2, words="--source-file")
    refused(*words, "--clear", "a", "b", status=3, words="b")
    refused(*words, "--add", "-g", "100", "a", "b", status=1, words="power of two")
    cistern(*words, "--add", "a", "b", "--dry-run")
    equal("dry run", bitmaps("a"), [])
    cistern(*words, "--add", "a", "b")
    refused(*words, "--add", "a", "b", status=5, words="b")
    refused("image-bitmap", "-f", "raw", "--add", "r", "b", status=1, words="no bitmaps")
    equal("status", call(CISTERN, "image-bitmap", "--add", "a").returncode, 2)


@case()
def bitmaps_survive_what_changes_nothing():
    build(11, "raw")
    qemu_img("bitmap", "--add", "top", "kept")
    cistern("image-rebase", CHAIN, "-f", "qcow2", "-b", "base", "-F", "raw", "top")
    cistern("image-flatten", CHAIN, "-f", "qcow2", "top")
    cistern("image-sparsify", "-f", "qcow2", "top")
    equal("bitmaps", bitmaps("top"), [("kept", 65536, ["auto"])])
    sound("top")


if __name__ == "__main__":
    sys.exit(main())
