# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the comparisons of the image engine with QEMU's tools share. They are called

    NAME_vs_qemu.py CST_IMG CST_POWERCUT [PATTERN]
"""

import glob
import os
import random
import subprocess
import sys

import cases
from cases import MIB, Failed, equal, qemu_img, qemu_io, qemu_json

CST_IMG = os.path.abspath(sys.argv[1])
CST_POWERCUT = os.path.abspath(sys.argv[2])
PATTERN = sys.argv[3] if len(sys.argv) > 3 else ""
QEMU_CHECKS = ("qcow2", "qed", "vdi", "vhdx", "parallels")  # the formats that QEMU has a check of
# Options of qcow2, each of which changes how an image is laid out.
QCOW2_VARIANTS = [{}, {"compat": "0.10"}, {"cluster_size": 512}, {"cluster_size": 4096},
            {"cluster_size": 2 * MIB}, {"extended_l2": "on"},
            {"extended_l2": "on", "cluster_size": 16384}, {"refcount_bits": 1},
            {"refcount_bits": 64, "cluster_size": 512}, {"compression_type": "zstd"}]


class Engine:
    """One cst-img for all commands: a process for each would take most of the time, with sanitizers."""

    def __init__(self):
        self.process = None

    def start(self):
        self.process = subprocess.Popen([CST_IMG, "serve"], stdin=subprocess.PIPE, env=cases.ENV,
                                        stdout=subprocess.PIPE)

    def call(self, *args):
        """(status, out, err) of a command. One that the process dies of is not the next one's matter."""
        if not self.process:
            self.start()
        words = [os.getcwd(), str(len(args)), *map(str, args)]
        self.process.stdin.write(b"".join(os.fsencode(word) + b"\0" for word in words))
        self.process.stdin.flush()
        sizes = self.process.stdout.readline().split()
        if not sizes:
            raise Failed(f"cst-img {' '.join(words[2:])}: ended with status {self.end()}")
        status, out, err = map(int, sizes)
        return status, *(self.process.stdout.read(size).decode(errors="replace")
                         for size in (out, err))

    def end(self):
        """Its exit status, which tells of leaks."""
        process, self.process = self.process, None
        process.stdin.close()
        process.stdout.close()
        return process.wait()


ENGINE = Engine()


def cst(*args, ok=(0,)):
    status, out, err = ENGINE.call(*args)
    if status not in ok:
        raise Failed(f"cst-img {' '.join(map(str, args))}: status {status}\n{out}{err}")
    return out


def nothing_was_leaked_by_all_that():
    if ENGINE.process:
        equal("status of cst-img at its end", ENGINE.end(), 0)


def cst_info(path, *fmt):
    return dict(line.split("=", 1) for line in cst("info", path, *fmt).splitlines() if "=" in line)


def cst_check(path, fmt, *repair, ok=(0,)):
    """The figures of our check."""
    return {key: int(value) for key, value in
            (line.split("=") for line in cst("check", fmt, path, *repair, ok=ok).splitlines())}


def qemu_info(path, fmt):
    return qemu_json("info", "-f", fmt, "-U", path)


def qemu_check(path, fmt, *repair):
    return qemu_json("check", "-f", fmt, *repair, path, ok=range(9))


def options(table):
    return [f"{key}={value}" for key, value in table.items()]


def qemu_create(fmt, path, size, **table):
    qemu_img("create", "-q", "-f", fmt, *(["-o", ",".join(options(table))] if table else []), path,
             size)


def compare(path_a, fmt_a, path_b, fmt_b):
    qemu_img("compare", "-q", "-f", fmt_a, "-F", fmt_b, path_a, path_b)


def mirror_of(path, fmt):
    """What QEMU reads, as the raw file "mirror"."""
    qemu_img("convert", "-f", fmt, "-O", "raw", path, "mirror")


def space_of(path):
    """Bytes that an image takes, in all of its files."""
    return 512 * sum(os.stat(name).st_blocks for name in glob.glob(path + "*"))


def check_clean(path, fmt="qcow2"):
    """By ours, and by QEMU's where there is one."""
    found = cst_check(path, fmt)
    equal("errors and leaks", (found["errors"], found["leaks"]), (0, 0))
    if fmt in QEMU_CHECKS:
        report = qemu_check(path, fmt)
        if fmt == "parallels" and "allocated-clusters" not in report:
            report["leaks"] = 0  # QEMU 7.2 takes all but the table's first cluster for leaks then
        if any(report.get(key) for key in ("corruptions", "leaks", "check-errors")):
            raise Failed(f"qemu-img check of {path}: {report}")
        if "allocated-clusters" in report:
            equal("allocated", found["allocated"], report["allocated-clusters"])


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


def random_io(rand, size, count=40):
    """qemu-io commands: writes and zeroes of all sizes, aligned or not."""
    commands = []
    for _ in range(count):
        length = rand.choice((512, 4096, 65536, 65536 * 3, rand.randrange(1, 400) * 512))
        offset = rand.randrange(0, size // 512) * 512
        if rand.random() < 0.4:
            offset = offset // 65536 * 65536
        length = min(length, size - offset)
        kind = rand.choice(("write -P %d" % rand.randrange(1, 255),) * 3 + ("write -z", "write -zu",
                                                                              "discard"))
        commands.append(f"{kind} {offset} {length}")
    return commands


def fill(path, fmt, seed, size, count=40):
    qemu_io(path, fmt, *random_io(random.Random(seed), size, count))


def read_equal(path, fmt="qcow2"):
    """Our reading of an image against QEMU's, byte by byte, and our extents' zeroes as well."""
    cst("convert", fmt, path, "raw", "ours.raw")
    compare("ours.raw", "raw", path, fmt)
    os.unlink("ours.raw")


def our_io(path, mirror, seed, size, count=40, fmt="qcow2"):
    """The same random work on our image and, by QEMU, on a raw mirror."""
    rand = random.Random(seed)
    ours, theirs = [], []
    for _ in range(count):
        offset, length = rand.randrange(size), rand.choice((1, 100, 512, 4096, 65536, 200000))
        if rand.random() < 0.5:
            offset, length = offset // 65536 * 65536, max(length // 65536, 1) * 65536
        length = min(length, size - offset)
        verb = rand.choice(("write", "write", "write", "zero", "unmap"))
        byte = rand.randrange(1, 255)
        ours += [verb, offset, length, byte]
        theirs.append(f"write -P {byte if verb == 'write' else 0} {offset} {length}")
    cst("io", fmt, path, *ours)
    qemu_io(mirror, "raw", *theirs)


# --- what each format that is written goes through ------------------------------------------------
# "image" is the image, and "mirror" a raw file that has to hold the same.

def new_pair(fmt, size, table):
    """An empty image of ours and its mirror; returns the size that it has come to."""
    cst("create", fmt, "image", size, *options(table))
    size = int(cst_info("image", fmt)["capacity"])
    qemu_create("raw", "mirror", size)
    return size


def same(fmt, check=check_clean):
    check("image", fmt)
    compare("mirror", "raw", "image", fmt)


def write_both(fmt, seed, size, count=40, check=check_clean):
    """Our random writes leave a sound image that holds the same as the mirror."""
    our_io("image", "mirror", seed, size, count, fmt)
    same(fmt, check)


def create_both(fmt, ours, theirs, size, compared=True):
    """Images made by both with the same options are alike."""
    cst("create", fmt, "ours", size, *options(ours))
    qemu_create(fmt, "theirs", size, **theirs)
    for name in ("ours", "theirs"):
        agree_on_info(name, fmt)
        check_clean(name, fmt)
    infos = [qemu_info(name, fmt) for name in ("ours", "theirs")]
    for key in ("virtual-size", "cluster-size"):
        equal(key, *[info.get(key) for info in infos])
    if compared:
        compare("ours", fmt, "theirs", fmt)
    os.unlink("ours")
    os.unlink("theirs")


def resize_at_random(fmt, table, check=check_clean):
    rand = random.Random(21)
    size = new_pair(fmt, 4 * MIB, table)
    for step in range(8):
        our_io("image", "mirror", 30 + step, size, 8, fmt)
        size = rand.choice((512, size + 512, size * 2, size // 3 // 512 * 512 + 512, 65536 * 9,
                            9 * MIB + 1536, 13 * MIB, 70 * MIB))
        cst("resize", fmt, "image", size)
        os.truncate("mirror", size)
        same(fmt, check)
        equal("capacity", qemu_info("image", fmt)["virtual-size"], size)


def grow_far(fmt, table, size, check=check_clean):
    cst("create", fmt, "image", 4 * MIB, *options(table))
    cst("io", fmt, "image", "write", 0, 4 * MIB, 9)
    cst("resize", fmt, "image", size)
    check("image", fmt)
    cst("io", fmt, "image", "write", size - 4096, 4096, 8)
    check("image", fmt)
    qemu_io("image", fmt, "read -P 9 0 4M", "read -P 0 4M 1M", f"read -P 8 {size - 4096} 4096")


def shrink_back(fmt, check=check_clean):
    """What grow_far() has left."""
    cst("resize", fmt, "image", 5 * MIB)
    check("image", fmt)
    qemu_io("image", fmt, "read -P 9 0 4M", "read -P 0 4M 1M")


def preallocate(fmt, table, mode, check=check_clean):
    size = new_pair(fmt, 3 * MIB + 512, {"preallocation": mode, **table})
    same(fmt, check)
    if mode != "metadata" and space_of("image") < size:
        raise Failed("not allocated")
    write_both(fmt, 20, size, check=check)


def convert_there_and_back(fmt, table, check=check_clean):
    size = 20 * MIB + 512
    qemu_create("raw", "mirror", size)
    fill("mirror", "raw", 40, size, 60)
    cst("convert", "raw", "mirror", fmt, "image", *options(table))
    os.truncate("mirror", int(cst_info("image", fmt)["capacity"]))
    same(fmt, check)
    cst("convert", fmt, "image", "qcow2", "back")
    check_clean("back")
    compare("mirror", "raw", "back", "qcow2")
    if space_of("image") > space_of("mirror") * 2 + 8 * MIB:
        raise Failed("zeroes were written")


def discard_all(fmt, table, check=check_clean):
    cst("create", fmt, "image", 16 * MIB, *options(table))
    cst("io", fmt, "image", "write", 0, 16 * MIB, 1)
    before = space_of("image")
    cst("io", fmt, "image", "discard", 0, 16 * MIB, 0)
    check("image", fmt)
    if space_of("image") * 2 > before:
        raise Failed("the space did not come back")
    qemu_io("image", fmt, "read -P 0 0 16M")


def main():
    """Runs the registered cases that PATTERN names."""
    return cases.main([*cases.registered(PATTERN),
                       ("nothing was leaked by all that", nothing_was_leaked_by_all_that)])
