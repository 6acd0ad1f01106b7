# SPDX-License-Identifier: LGPL-2.1-or-later
"""The image engine beside qemu-img: rows for bench/bench, on ext4 and on XFS with reflinks.

Both sides end with the result on the disk: ours always does, qemu-img with -t writeback. What is
read is in the page cache. Files are removed after each run, and written out before the next one
is timed.
"""

import os
import random
import subprocess
import time

FORMATS = ("raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx")
MIB = 1 << 20


class Ground:
    """A file system in a loop file, with the sources that rows need."""

    def __init__(self, name, bench):
        self.name, self.bench, self.where = name, bench, None

    def path(self, name):
        if not self.where:
            image = self.bench.space.path(f"{self.name}.img")
            # Written through once: ext4 walks on with every large file, and where a sparse file
            # (or a thin disk below it) is met for the first time, a write takes four times as long.
            self.bench.command("dd", "if=/dev/zero", f"of={image}", "bs=1M", "conv=fsync",
                               f"count={(self.bench.IMAGE * 16 + (2 << 30)) // MIB}")
            options = (["-K", "-m", "reflink=1"] if self.name == "xfs"
                       else ["-E", "nodiscard,lazy_itable_init=0"])
            self.bench.command(f"mkfs.{self.name}", "-q", *options, image)
            self.where = self.bench.space.path(f"ground-{self.name}")
            self.bench.space.mount(self.where, "-o", "loop", image)
        return os.path.join(self.where, name)

    def source(self, content, form):
        """An image of the given content and format."""
        path = self.path(f"{content}.{form}")
        if os.path.exists(path):
            return path
        if form == "raw":
            WRITERS[content](path, self.bench.IMAGE)
        else:
            self.bench.command("qemu-img", "convert", "-f", "raw", "-O", form,
                               self.source(content, "raw"), path)
        self.settle()
        return path

    def settle(self):
        subprocess.run(["sync", "-f", self.where], check=True)

    def drop(self, *names):
        for name in names:
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))
        self.settle()


def write_dense(path, size):
    block = random.Random(1).randbytes(MIB)
    with open(path, "wb") as out:
        for number in range(size // MIB):
            out.write(number.to_bytes(8, "little") + block[8:])


def write_half(path, size):
    block = random.Random(2).randbytes(MIB)
    with open(path, "wb") as out:
        for number in range(0, size // MIB, 2):
            out.seek(number * MIB)
            out.write(number.to_bytes(8, "little") + block[8:])
        out.truncate(size)


def write_words(path, size):
    """What compresses to about a third: words of different frequency."""
    chance = random.Random(3)
    words = [chance.randbytes(chance.randint(2, 12)) for _ in range(4000)]
    block = b"".join(words[int(4000 * chance.random() ** 3)] for _ in range(MIB // 4))[:MIB]
    with open(path, "wb") as out:
        for number in range(size // MIB):
            turn = number * 4099 % MIB
            out.write(block[turn:] + block[:turn])


WRITERS = {"dense": write_dense, "half": write_half, "words": write_words}


# A child begins with the size of who started it, so a small process stands between.
STARTER = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss, status)
"""


def peak_memory(*words):
    """The largest resident size of a command, in MiB; at least the 9 MiB of a bare interpreter."""
    out = subprocess.run(["/usr/bin/python3", "-I", "-S", "-c", STARTER, *words], check=True,
                         stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, text=True).stdout
    size, status = out.split("\n")[-2].split()
    if status != "0":
        raise RuntimeError(f"{' '.join(words)}: status {status}")
    return int(size) / 1024


class Rows:
    """@bench: what bench/bench offers (row, timed, command, space, QUICK, IMAGE, REPEAT)."""

    def __init__(self, bench):
        self.bench = bench
        self.ours = bench.space.CISTERN

    def pair(self, ground, theirs, ours, before=lambda: None, scale=1.0, repeat=None):
        """Both in turns, so that a machine that changes its pace does so for both."""
        taken = ([], [])
        for _ in range(repeat or self.bench.REPEAT):
            for side, words in enumerate((theirs, ours)):
                before()
                started = time.perf_counter()
                self.bench.command(*words)
                taken[side].append(time.perf_counter() - started)
        before()
        ground.settle()
        return tuple(sorted(side)[len(side) // 2] * scale for side in taken)

    def start(self, ground, verb):
        """A small image: what counts is the time until main()."""
        path = ground.path("small.qcow2")
        if not os.path.exists(path):
            self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", path, "64M")
        return self.pair(ground, ("qemu-img", verb, "-f", "qcow2", path),
                         (self.ours, f"image-{verb}", "-f", "qcow2", path), scale=1000,
                         repeat=200)

    def convert(self, ground, content, source, target, options=(), cache="writeback"):
        form = ground.source(content, source)
        out = ground.path("out")
        return self.pair(ground,
                         ("qemu-img", "convert", "-t", cache, *options, "-f", source, "-O",
                          target, form, out),
                         (self.ours, "image-convert", "-t", cache,
                          *[o for o in options if o != "-o" and "=" not in o],
                          "-f", source, "-O", target, form, out),
                         lambda: ground.drop("out"),
                         repeat=3 if "raw" in (source, target) else 1)

    def create(self, ground):
        count = 20 if self.bench.QUICK else 100

        def many(*words):
            started = time.perf_counter()
            for number in range(count):
                self.bench.command(*words, ground.path(f"new{number}"), "10G")
            taken = (time.perf_counter() - started) / count * 1000
            ground.drop(*(f"new{number}" for number in range(count)))
            return taken
        return (many("qemu-img", "create", "-q", "-f", "qcow2"),
                many(self.ours, "image-create", "-f", "qcow2"))

    def info(self, ground):
        names = [ground.path(f"info{number}") for number in range(1000)]
        self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", names[0], "10G")
        with open(names[0], "rb") as first:
            content = first.read()
        for name in names[1:]:
            with open(name, "wb") as out:
                out.write(content)
        started = time.perf_counter()
        for name in names:
            self.bench.command("qemu-img", "info", "--output=json", "-f", "qcow2", name)
        theirs = time.perf_counter() - started
        ours = self.bench.timed(lambda: self.bench.command(
            self.ours, "image-info", "--json", "-f", "qcow2", *names))
        ground.drop(*(f"info{number}" for number in range(1000)))
        return theirs * 1000, ours * 1000

    def check(self, ground, snapshots):
        path = ground.path(f"check{snapshots}")
        if not os.path.exists(path):
            self.bench.command("cp", ground.source("half", "qcow2"), path)
            for number in range(snapshots):
                self.bench.command("qemu-img", "snapshot", "-c", f"s{number}", path)
                self.bench.command("qemu-io", "-f", "qcow2", "-c",
                                   f"write -q {number % (self.bench.IMAGE // MIB)}M 64k", path)
            ground.settle()
        return self.pair(ground, ("qemu-img", "check", "-q", "-f", "qcow2", path),
                         (self.ours, "image-check", "-f", "qcow2", path), scale=1000)

    def compare(self, ground):
        words = ("-f", "raw", "-F", "qcow2", ground.source("half", "raw"),
                 ground.source("half", "qcow2"))
        return self.pair(ground, ("qemu-img", "compare", "-q", *words),
                         (self.ours, "image-compare", *words))

    def map(self, ground, output):
        """Every other cluster is there."""
        path = ground.path("map.qcow2")
        if not os.path.exists(path):
            self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", path, "1G")
            for start in range(0, 1024, 64):
                self.bench.command("qemu-io", "-f", "qcow2", *[
                    word for at in range(start, start + 64) for part in range(0, 1024, 128)
                    for word in ("-c", f"write -q {at * 1024 + part}k 64k")], path)
            ground.settle()
        return self.pair(ground, ("qemu-img", "map", f"--output={output}", "-f", "qcow2", path),
                         (self.ours, "image-map", *(("--json",) if output == "json" else ()), "-f",
                          "qcow2", path), scale=1000)

    def overlay(self, ground):
        """An empty base and an image on it with half of its data."""
        base, top = ground.path("base.qcow2"), ground.path("top.qcow2")
        size = str(self.bench.IMAGE)
        ground.drop("base.qcow2", "top.qcow2", "other.qcow2")
        self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", base, size)
        self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2",
                           top)
        self.bench.command("qemu-io", "-f", "qcow2", "-c",
                           f"write -q -P 5 0 {self.bench.IMAGE // 2}", top)
        self.bench.command("cp", base, ground.path("other.qcow2"))
        self.bench.command("qemu-io", "-f", "qcow2", "-c",
                           f"write -q -P 6 {self.bench.IMAGE // 2} {self.bench.IMAGE // 4}",
                           ground.path("other.qcow2"))
        ground.settle()
        return top

    def commit(self, ground):
        top = self.overlay(ground)
        return self.pair(ground, ("qemu-img", "commit", "-q", "-t", "writeback", "-f", "qcow2",
                                  top),
                         (self.ours, "image-commit", "--yes", "--backing-chain", "-f", "qcow2", top),
                         lambda: self.overlay(ground))

    def rebase(self, ground):
        top = self.overlay(ground)
        words = ("-b", ground.path("other.qcow2"), "-F", "qcow2", top)
        return self.pair(ground, ("qemu-img", "rebase", "-t", "writeback", "-f", "qcow2", *words),
                         (self.ours, "image-rebase", "--backing-chain", "-f", "qcow2", *words),
                         lambda: self.overlay(ground))

    def memory(self, ground):
        """2 TiB with a few bytes every GiB."""
        source, out = ground.path("sparse"), ground.path("out")
        if not os.path.exists(source):
            with open(source, "wb") as image:
                image.truncate(2 << 40)
                for number in range(0, 2048):
                    image.seek(number << 30)
                    image.write(b"x" * 4096)
        results = []
        for words in (("qemu-img", "convert"), (self.ours, "image-convert")):
            ground.drop("out")
            results.append(peak_memory(*words, "-f", "raw", "-O", "qcow2", source, out))
        ground.drop("out")
        return tuple(results)

    def register(self):
        size = f"{self.bench.IMAGE // MIB} MiB"
        for ground in (Ground("ext4", self.bench), Ground("xfs", self.bench)):
            on = f"on {ground.name}"

            def add(name, unit, aim, work, ground=ground, on=on):
                self.bench.row(f"{name}, {on}", unit, aim)(lambda _: work(ground))

            for verb in ("info", "check", "map"):
                add(f"start of image-{verb}", "ms", 1, lambda g, v=verb: self.start(g, v))
            add("image create qcow2", "ms", 1, self.create)
            add("image info of 1,000 in one process", "ms", 72, self.info)
            for content in ("dense", "half"):
                for source, target in directions(self.bench.QUICK):
                    add(f"convert {source} to {target}, {size} {content}", "s", 1,
                        lambda g, c=content, s=source, t=target: self.convert(g, c, s, t))
            for source in ("vmdk", "vpc"):
                add(f"convert {source} to qcow2 unsynced, {size} dense", "s", 1,
                    lambda g, s=source: self.convert(g, "dense", s, "qcow2", cache="unsafe"))
            add(f"convert -c to qcow2, {size}", "s", 1.5,
                lambda g: self.convert(g, "words", "raw", "qcow2", ("-c",)))
            add(f"convert to vmdk streamOptimized, {size}", "s", 1.5,
                lambda g: self.convert(g, "words", "raw", "vmdk",
                                       ("-c", "-o", "subformat=streamOptimized")))
            add(f"check qcow2, {size}", "ms", None, lambda g: self.check(g, 0))
            add(f"check qcow2, {size}, 100 snapshots", "ms", 2, lambda g: self.check(g, 100))
            add(f"compare raw with qcow2, {size} half", "s", 1, self.compare)
            for output in ("json", "human"):
                add(f"map qcow2 of 8,192 pieces, {output}", "ms", 1,
                    lambda g, o=output: self.map(g, o))
            add(f"commit, {size}", "s", 1, self.commit)
            add(f"rebase, {size}", "s", 1, self.rebase)
            add("memory of converting 2 TiB sparse", "MiB", None, self.memory)


def directions(quick):
    """Every format into every other; in short runs those from and to raw alone."""
    return [(source, target) for source in FORMATS for target in FORMATS
            if source != target and (not quick or "raw" in (source, target))]
