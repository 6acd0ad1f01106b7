#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compare the image engine with qemu-img and qemu-io. Prints TAP.

usage: image_vs_qemu.py CST_IMG [PATTERN]
"""

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

CST_IMG = os.path.abspath(sys.argv[1])
PATTERN = sys.argv[2] if len(sys.argv) > 2 else ""
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Failed(Exception):
    pass


def run(*command, ok=(0,), env=None):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", env=env)
    if done.returncode not in ok:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def cst(*args, ok=(0,)):
    return run(CST_IMG, *args, ok=ok)


def cst_info(path, *fmt):
    return dict(line.split("=", 1) for line in cst("info", path, *fmt).splitlines() if "=" in line)


def qemu_info(path, fmt):
    return json.loads(run("qemu-img", "info", "-f", fmt, "-U", "--output=json", path))


def options(table):
    return [f"{key}={value}" for key, value in table.items()]


def qemu_create(fmt, path, size, **table):
    joined = ["-o", ",".join(options(table))] if table else []
    run("qemu-img", "create", "-q", "-f", fmt, *joined, path, size)


def equal(what, ours, theirs):
    if ours != theirs:
        raise Failed(f"{what}: ours {ours!r}, QEMU's {theirs!r}")


def check_clean(path):
    report = json.loads(run("qemu-img", "check", "-f", "qcow2", "--output=json", path, ok=range(9)))
    if any(report.get(key) for key in ("corruptions", "leaks", "check-errors")):
        raise Failed(f"qemu-img check of {path}: {report}")


def compare(path_a, fmt_a, path_b, fmt_b):
    run("qemu-img", "compare", "-q", "-f", fmt_a, "-F", fmt_b, path_a, path_b)


def qemu_io(path, fmt, *commands):
    args = [arg for command in commands for arg in ("-c", command)]
    text = run("qemu-io", "-f", fmt, *args, path)
    if "Pattern verification failed" in text or "failed" in text:
        raise Failed(text)


CASES = []


def case(*parameters):
    """Register a function once per parameter; each is one TAP case with its own directory."""
    def register(function):
        for parameter in parameters or [None]:
            CASES.append((function, parameter))
        return function
    return register


def name_of(function, parameter):
    text = function.__name__
    if parameter is not None:
        text += " " + str(parameter).replace("#", "")
    return text


def agree_on_info(path, fmt, probed=None):
    ours, theirs = cst_info(path, fmt), qemu_info(path, fmt)
    if probed:
        equal("probed format", cst_info(path)["format"], probed)
    equal("corrupt", ours["corrupt"], "0")
    equal("problem", ours["problem"], "")
    equal("capacity", int(ours["capacity"]), theirs["virtual-size"])
    if "cluster-size" in theirs and ours["data_file"] == "":
        equal("cluster size", int(ours["cluster_size"]), theirs["cluster-size"])
    equal("backing", ours["backing"], theirs.get("backing-filename", ""))
    equal("backing format", ours["backing_format"], theirs.get("backing-filename-format", ""))
    data = theirs.get("format-specific", {}).get("data", {})
    if fmt == "qcow2":
        for key, name in (("compat", "compat"), ("compression_type", "compression-type")):
            equal(key, ours[key.replace("_type", "")], data[name])
        equal("lazy refcounts", ours["lazy_refcounts"] == "1", data.get("lazy-refcounts", False))
        equal("extended L2", ours["extended_l2"] == "1", data.get("extended-l2", False))
        equal("snapshots", int(ours["snapshots"]), len(theirs.get("snapshots", [])))
        equal("dirty", ours["dirty"] == "1", theirs.get("dirty-flag", False))
    if fmt == "vmdk":
        equal("subformat", ours["subformat"], data["create-type"])


# --- looking at what QEMU makes ---------------------------------------------------------------

FOREIGN = [
    ("raw", {}, "raw"), ("qcow", {}, "qcow"), ("qed", {}, "qed"),
    ("qed", {"cluster_size": 8192, "table_size": 4}, "qed"), ("vdi", {}, "vdi"),
    ("vdi", {"static": "on"}, "vdi"), ("parallels", {}, "parallels"),
    ("parallels", {"cluster_size": MIB * 2}, "parallels"),
    ("vpc", {}, "vpc"), ("vpc", {"subformat": "fixed"}, "raw"), ("vpc", {"force_size": "on"}, "vpc"),
    ("vhdx", {}, "vhdx"), ("vhdx", {"subformat": "fixed"}, "vhdx"),
    ("vhdx", {"block_size": 8 * MIB}, "vhdx"),
] + [("vmdk", {"subformat": sub}, "vmdk") for sub in (
    "monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
    "streamOptimized")] + [("vmdk", {"compat6": "on"}, "vmdk")]


@case(*FOREIGN)
def inspect_agrees_with_qemu(entry):
    fmt, table, probed = entry
    for size in (10 * MIB, 5 * GIB + 512) if fmt != "vpc" else (10 * MIB, 5 * GIB):
        if size > GIB and ("fixed" in table.values() or "on" in table.values() or fmt == "vhdx"):
            continue
        qemu_create(fmt, "image", size, **table)
        agree_on_info("image", fmt, probed)
        for name in os.listdir("."):
            os.unlink(name)


@case(("qcow", {}), ("qed", {}), ("vmdk", {}), ("qcow2", {"compat": "0.10"}), ("qcow2", {}))
def inspect_finds_the_backing_file(entry):
    fmt, table = entry
    base = "vmdk" if fmt == "vmdk" else "raw"
    qemu_create(base, "base", 10 * MIB)
    if fmt == "qcow":
        run("qemu-img", "create", "-q", "-f", fmt, "-b", "base", "-F", base, "image")
        equal("backing", cst_info("image")["backing"], "base")
        return
    qemu_create(fmt, "image", 10 * MIB, backing_file="base", backing_fmt=base, **table)
    ours, theirs = cst_info("image"), qemu_info("image", fmt)
    equal("backing", ours["backing"], theirs["backing-filename"])
    equal("backing format", ours["backing_format"], theirs.get("backing-filename-format", ""))


@case("luks", "qcow2")
def inspect_sees_encryption(fmt):
    prefix = "encrypt." if fmt == "qcow2" else ""
    table = {prefix + "key-secret": "s"}
    if fmt == "qcow2":
        table["encrypt.format"] = "luks"
    for attempt in range(20):  # its key derivation fails on too coarse a CPU clock
        table[prefix + "iter-time"] = 10 + 20 * attempt
        text = run("qemu-img", "create", "-q", "-f", fmt, "--object", "secret,id=s,data=x",
                   "-o", ",".join(options(table)), "image", MIB, ok=(0, 1))
        if "CPU usage" not in text:
            break
    ours = cst_info("image")
    equal("format", ours["format"], fmt)
    equal("encryption", ours["encryption"], "luks")
    equal("capacity", int(ours["capacity"]), MIB)
    equal("problem", ours["problem"], "")


@case()
def inspect_sees_the_data_file():
    qemu_create("qcow2", "image", 10 * MIB, data_file="data.raw", data_file_raw="on")
    equal("data file", cst_info("image")["data_file"], "data.raw")
    agree_on_info("image", "qcow2", "qcow2")


# --- making qcow2 images ----------------------------------------------------------------------

SIZES = (0, 512, 64 * KIB - 512, 64 * KIB, 100 * MIB, 7 * GIB + 1536, 1 << 42)
CREATES = [{}, {"compat": "0.10"}, {"lazy_refcounts": "on"}, {"extended_l2": "on"},
           {"compression_type": "zstd"}] + \
          [{"cluster_size": 1 << bits} for bits in (9, 10, 12, 20, 21)] + \
          [{"refcount_bits": 1 << order} for order in (0, 1, 2, 3, 5, 6)] + \
          [{"cluster_size": 512, "refcount_bits": 64}, {"cluster_size": 512, "compat": "0.10"},
           {"extended_l2": "on", "cluster_size": 16384}]


@case(*CREATES)
def created_qcow2_is_sound(table):
    for size in SIZES:
        if table.get("cluster_size", 65536) <= 1024 and size > GIB * 100:
            continue
        cst("create", "qcow2", "ours", size, *options(table))
        check_clean("ours")
        agree_on_info("ours", "qcow2", "qcow2")
        theirs = {k: v for k, v in qemu_info("ours", "qcow2")["format-specific"]["data"].items()}
        equal("refcount bits", table.get("refcount_bits", 16), theirs["refcount-bits"])
        qemu_create("qcow2", "theirs", size, **table)
        expected = qemu_info("theirs", "qcow2")["format-specific"]["data"]
        equal("format-specific", theirs, expected)
        if size <= GIB * 8:
            compare("ours", "qcow2", "theirs", "qcow2")


@case({}, {"compat": "0.10"}, {"extended_l2": "on"})
def created_overlay_shows_its_backing(table):
    qemu_create("raw", "base", 3 * MIB)
    qemu_io("base", "raw", "write -P 7 100k 1M")
    cst("create", "qcow2", "ours", 4 * MIB, "backing_file=base", "backing_fmt=raw", *options(table))
    agree_on_info("ours", "qcow2")
    check_clean("ours")
    qemu_io("ours", "qcow2", "read -P 7 100k 1M", "read -P 0 3M 1M")


@case({"cluster_size": 1000}, {"cluster_size": 256}, {"cluster_size": 4 * MIB},
      {"extended_l2": "on", "cluster_size": 8192}, {"refcount_bits": 3}, {"refcount_bits": 128},
      {"compat": "0.10", "lazy_refcounts": "on"}, {"compat": "0.10", "extended_l2": "on"},
      {"compat": "2"}, {"compression_type": "lz4"}, {"backing_file": "x"},
      {"backing_file": "x" * 1024, "backing_fmt": "raw"})
def bad_options_are_refused(table):
    cst("create", "qcow2", "ours", MIB, *options(table), ok=(1,))


@case((512, 128 * GIB), (65536, 1 << 51))
def the_largest_image_is_made_and_the_next_refused(entry):
    cluster, largest = entry
    cst("create", "qcow2", "ours", largest, f"cluster_size={cluster}")
    check_clean("ours")
    cst("create", "qcow2", "ours", largest + 512, f"cluster_size={cluster}", ok=(1,))


@case("off", "falloc", "full")
def raw_images_are_made(preallocation):
    cst("create", "raw", "ours", 5 * MIB + 100, f"preallocation={preallocation}")
    info = os.stat("ours")
    equal("size", info.st_size, 5 * MIB + 512)
    if preallocation != "off" and info.st_blocks * 512 < 5 * MIB:
        raise Failed("not allocated")


def main():
    if not shutil.which("qemu-img") or not shutil.which("qemu-io"):
        print("1..0 # SKIP qemu-img and qemu-io are needed")
        return 77
    wanted = [c for c in CASES if PATTERN in name_of(*c)]
    print(f"1..{len(wanted)}", flush=True)
    failed = 0
    for number, (function, parameter) in enumerate(wanted, 1):
        with tempfile.TemporaryDirectory(prefix="cst-diff-") as directory:
            os.chdir(directory)
            try:
                function() if parameter is None else function(parameter)
                verdict = "ok"
            except Failed as why:
                failed += 1
                verdict = "not ok"
                print("\n".join("# " + line for line in str(why).splitlines()))
            os.chdir("/")
        print(f"{verdict} {number} - {name_of(function, parameter)}", flush=True)
    return 1 if failed else 0


random.seed(1)
sys.exit(main())
