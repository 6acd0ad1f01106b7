#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random sequences of operations, played in turn by the engine and by QEMU. Prints TAP.

usage: sequences_vs_qemu.py CST_PLAY [PATTERN]

An image is made by one of the two; then they take three turns on it. Who has its turn reads first
all that a plain model in memory expects of what the other left, then does some dozen random things.
After each of our turns `qemu-img check` and our own check must find nothing, and count alike. One
process of each side plays a whole batch of images, so a sequence costs some ten milliseconds.

Environment: CISTERN_SEQUENCES is how many sequences each set of options gets (default 20),
CISTERN_SEED where their seeds begin (default 1). A failure names the seed, and
CISTERN_SEQUENCES=1 CISTERN_SEED=… with the name of the set as PATTERN plays it again.
"""

import bisect
import functools
import json
import os
import random
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
from cases import KIB, MIB, PATTERN, Failed, main  # noqa: E402

CST_PLAY = os.path.abspath(sys.argv[1])
COUNT = int(os.environ.get("CISTERN_SEQUENCES") or 20)
SEED = int(os.environ.get("CISTERN_SEED") or 1)
GIB = 1 << 30
BATCH = 40
LONG = MIB  # of longer runs only the ends are read
MAYBE = 256  # added to a byte that was discarded: it, or zero


class Content:
    """What is in an image: runs of one byte. A run lasts until the next one begins."""

    def __init__(self, size):
        self.size, self.starts, self.values = size, [0], [0]

    def copy(self):
        other = Content(self.size)
        other.starts, other.values = self.starts[:], self.values[:]
        return other

    def cut(self, at):
        """The index of the run that begins at this offset."""
        index = bisect.bisect_left(self.starts, at)
        if index == len(self.starts) or self.starts[index] != at:
            self.starts.insert(index, at)
            self.values.insert(index, self.values[index - 1])
        return index

    def change(self, offset, length, function):
        first = self.cut(offset)
        last = self.cut(offset + length)
        self.values[first:last] = [function(value) for value in self.values[first:last]]

    def put(self, offset, length, byte):
        self.change(offset, length, lambda _: byte)

    def resize(self, size):
        last = self.cut(min(size, self.size))
        del self.starts[last:], self.values[last:]
        if size > self.size:
            self.starts.append(self.size)
            self.values.append(0)
        self.size = size

    def runs(self):
        """(offset, length, value), neighbours of one value together."""
        start = 0
        for index, value in enumerate(self.values):
            end = self.starts[index + 1] if index + 1 < len(self.starts) else self.size
            if index + 1 < len(self.values) and self.values[index + 1] == value:
                continue
            if min(end, self.size) > start:
                yield start, min(end, self.size) - start, value
            start = end


class Options:
    """A format with options: ours, QEMU's where they have other names, and what goes with it."""

    def __init__(self, fmt, options="", unit=64 * KIB, qemu=None, backing=None, **traits):
        self.fmt, self.ours, self.unit, self.backing = fmt, options, unit, backing
        self.qemu = options if qemu is None else qemu
        self.traits = traits
        self.name = " ".join(filter(None, (fmt, options, backing and f"upon {backing}")))

    def sizes(self):
        near = [max(self.unit - 512, 512), 3 * self.unit + 512, 2 * MIB + 512, 5 * MIB]
        return near + ([5 * GIB + 512] if self.traits.get("far") else [])


def qcow2(options="", unit=64 * KIB, **traits):
    traits = {"packed": True, "resize": True, "snapshots": True, "far": unit >= 4096, **traits}
    return Options("qcow2", options, unit, **traits)


SETS = [
    Options("raw", resize=True, far=True, unit=4096),
    qcow2(), qcow2("compat=0.10"), qcow2("cluster_size=512", 512),
    qcow2("cluster_size=4096", 4096), qcow2("cluster_size=2097152", 2 * MIB),
    qcow2("extended_l2=on"), qcow2("extended_l2=on,cluster_size=16384", 16 * KIB),
    qcow2("lazy_refcounts=on"), qcow2("compression_type=zstd"),
    qcow2("refcount_bits=1", snapshots=False), qcow2("refcount_bits=2", snapshots=False),
    qcow2("refcount_bits=4", snapshots=False),
] + [qcow2(f"refcount_bits={1 << order}") for order in (3, 5, 6)] + [
    qcow2("refcount_bits=64,cluster_size=512", 512),
    qcow2("data_file=image.data", packed=False, snapshots=False),
    qcow2("data_file=image.data,data_file_raw=on", packed=False, snapshots=False),
    qcow2(backing="qcow2"), qcow2(backing="raw"), qcow2("extended_l2=on", backing="qcow2"),
    qcow2("compat=0.10", backing="qcow2", resize=False), qcow2("cluster_size=512", 512, backing="raw"),
    Options("vdi", unit=MIB, far=True),
    Options("vdi", "subformat=static", unit=MIB, qemu="static=on"),
    Options("vmdk", far=True), Options("vmdk", "subformat=monolithicFlat"),
    Options("vmdk", "subformat=twoGbMaxExtentSparse", far=True),
    Options("vmdk", "subformat=twoGbMaxExtentFlat", far=True),
    Options("vmdk", "subformat=streamOptimized", ours_only=True),
    Options("vmdk", "cluster_size=8192", 8 * KIB, ours_only=True), Options("vmdk", backing="vmdk"),
    Options("vpc", "force_size=off", unit=2 * MIB, qemu="", far=True),
    Options("vpc", unit=2 * MIB, qemu="force_size=on", far=True),
    Options("vpc", "subformat=fixed,force_size=off", unit=2 * MIB, qemu="subformat=fixed"),
    Options("vhdx", "block_size=1048576", unit=MIB, far=True), Options("vhdx", unit=8 * MIB),
    Options("vhdx", "subformat=fixed", unit=8 * MIB),
]


def run(*command, text="", ok=(0,), where=None):
    done = subprocess.run([str(c) for c in command], input=text, stdout=subprocess.PIPE, cwd=where,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    if ok and done.returncode not in ok:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}")
    return done.stdout


def copy_sparse(source, target):
    with open(source, "rb") as reader, open(target, "wb") as writer:
        end, at = os.fstat(reader.fileno()).st_size, 0
        os.ftruncate(writer.fileno(), end)
        while at < end:
            try:
                at = os.lseek(reader.fileno(), at, os.SEEK_DATA)
            except OSError:  # nothing but a hole
                return
            after = os.lseek(reader.fileno(), at, os.SEEK_HOLE)
            os.pwrite(writer.fileno(), os.pread(reader.fileno(), after - at, at), at)
            at = after


# --- what is played -------------------------------------------------------------------------------

class Sequence:
    """One image, what is in it, and what has been done to it."""

    def __init__(self, options, seed, where, templates):
        self.options, self.seed = options, seed
        self.rand = random.Random(f"{options.name} {seed}")
        self.path = os.path.join(where, "image")
        self.ours_first = seed % 2 == 0 or "ours_only" in options.traits
        self.with_snapshots = options.traits.get("snapshots") and self.rand.random() < 0.4
        self.saved, self.wrong, self.log, self.before = {}, [], [], None
        self.stale = False  # the last cluster has a rest with something in it
        self.opened, self.found = 0, {}  # by us in this turn; by our check
        self.touched = set()  # clusters that were written to
        template = self.rand.choice(templates)
        self.content = template.content.copy()
        self.made_by_us = self.ours_first
        if not self.made_by_us:
            shutil.copytree(template.where, where, copy_function=copy_sparse)
        else:
            os.mkdir(where)
            self.creation = template.creation(self.path)

    def turn_is_ours(self, turn):
        return "ours_only" in self.options.traits or (turn % 2 == 0) == self.ours_first

    def some_range(self):
        """Mostly around boundaries, where things go wrong."""
        rand, unit, size = self.rand, self.options.unit, self.content.size
        offset = rand.randrange(size)
        if rand.random() < 0.6:
            offset = offset // unit * unit + rand.choice((0, 0, 0, -512, 512, -1, 1, 4096, unit // 2))
        elif rand.random() < 0.5:
            offset = offset // 512 * 512
        offset = min(max(offset, 0), size - 1)
        length = rand.choice((1, 100, 512, 4096, unit // 2, unit, unit, 2 * unit, 3 * unit + 512,
                              rand.randrange(1, 400) * 512))
        return offset, min(length, size - offset)

    def packed_range(self):
        unit, size = self.options.unit, self.content.size
        offset = self.rand.randrange(size) // unit * unit
        return offset, min(unit * self.rand.randrange(1, 4), size - offset)

    def clusters(self, offset, length):
        return set(range(offset // self.options.unit, (offset + length - 1) // self.options.unit + 1))

    def some_command(self, ours):
        rand, content, traits = self.rand, self.content, self.options.traits
        offset, length = self.some_range()
        verbs = ["write"] * 5 + ["zero", "zero", "unmap", "unmap", "discard", "discard", "flush"]
        if traits.get("packed") and (ours or all("-c" in line for line in self.log)):
            # QEMU goes on behind what it compressed last, even where that is freed and given away
            verbs += ["packed"] * (2 if ours else 12)
        verbs += ["truncate"] if traits.get("resize") and not self.with_snapshots else []
        verbs += ["snapshot"] if self.with_snapshots and ours else []
        verb = rand.choice(verbs)
        byte = rand.randrange(1, 256)
        if verb == "packed":
            offset, length = self.packed_range()
            if not ours and self.clusters(offset, length) & self.touched:
                verb = "write"  # for QEMU compresses only into what has no place yet
        if verb in ("write", "zero", "unmap", "discard", "packed"):
            self.touched |= self.clusters(offset, length)
        if verb in ("write", "packed"):
            content.put(offset, length, byte)
            return f"write {'-c ' if verb == 'packed' else ''}-P {byte} {offset} {length}"
        if verb in ("zero", "unmap"):
            content.put(offset, length, 0)
            return f"write {'-z' if verb == 'zero' else '-zu'} {offset} {length}"
        if verb == "discard":
            content.change(offset, length, lambda value: value if value % MAYBE == 0 else
                           value % MAYBE + MAYBE)
            return f"discard {offset} {length}"
        if verb == "truncate":
            return self.some_size(ours)
        return "flush" if verb == "flush" else self.some_snapshot()

    def backing_hides_badly(self):
        """QEMU can't make part of a compressed cluster zero where there are subclusters."""
        return self.options.backing and "extended_l2" in self.options.name

    def some_size(self, ours):
        """QEMU leaves the rest of a cluster as it is when the image shrinks and when it grows, so
        that what was cut off comes back; we see to it when we make the image grow."""
        rand, content, unit = self.rand, self.content, self.options.unit
        size = rand.choice((content.size + rand.randrange(1, 600) * 512,
                            max(content.size - rand.randrange(1, 600) * 512, 512)))
        if not ours and size < content.size:
            size = max(size // unit * unit, unit)
        cannot = self.backing_hides_badly() and size > content.size
        if not ours and (self.stale or cannot):
            return "flush"
        if size > content.size:  # a longer backing file is hidden
            self.touched |= self.clusters(content.size, size - content.size)
        if size < content.size:
            self.stale = size % unit > 0
        elif (size - 1) // unit > (content.size - 1) // unit:
            self.stale = False  # the cluster is full now
        content.resize(size)
        return f"truncate {size}"

    def some_snapshot(self):
        verb = self.rand.choice(("create", "create", "revert", "delete"))
        if not self.saved or verb == "create":
            name = f"s{self.rand.randrange(1 << 30)}"
            self.saved[name] = self.content.copy()
            return f"snapshot create {name}"
        name = self.rand.choice(sorted(self.saved))
        if verb == "revert":
            self.content = self.saved[name].copy()
        else:
            del self.saved[name]
        return f"snapshot {verb} {name}"

    def commands(self, ours):
        """What whoever has its turn does; the content is then what it will be."""
        self.log = []
        for _ in range(self.rand.randrange(4, 20)):
            self.log.append(self.some_command(ours))
        return self.log

    def reads(self, ours):
        """Commands that read everything and compare; what was discarded, only we can tell."""
        for offset, length, value in self.content.runs():
            if value >= MAYBE:
                if ours:
                    yield f"runs {offset} {length}"
                continue
            if length > LONG and value == 0:
                yield f"read -P 0 {offset} 65536"
                offset, length = offset + length - 65536, 65536
            yield f"read -P {value} {offset} {length}"

    def settle(self, offset, length, byte):
        """Our player has told what a discarded range holds."""
        def one(value):
            if value >= MAYBE and byte not in (0, value - MAYBE):
                self.wrong.append(f"discarded {value - MAYBE} became {byte} at {offset}")
            return byte
        (self.before if self.opened == 1 else self.content).change(offset, length, one)


class Template:
    """An empty image made by QEMU, that sequences begin with a copy of."""

    def __init__(self, options, size, where, below):
        self.options, self.where = options, where
        os.mkdir(where)
        words = [options.qemu] if options.qemu else []
        if below:
            words.append(f"backing_file=../../base,backing_fmt={options.backing}")
            size = below.size if options.fmt == "vmdk" else size
        if "ours_only" not in options.traits:
            text = ",".join(words)
            run("qemu-img", "create", "-q", "-f", options.fmt, *(["-o", text] if text else []),
                "image", size, where=where)
            info = run("qemu-img", "info", "-f", options.fmt, "--output=json", "image",
                       where=where)
            size = json.loads(info)["virtual-size"]
        self.size = size
        self.content = Content(size)
        for offset, length, value in below.runs() if below else ():
            if offset < size:
                self.content.put(offset, min(length, size - offset), value)

    def creation(self, path):
        words = self.options.ours.split(",") if self.options.ours else []
        if self.options.backing:
            words += ["backing_file=../../base", f"backing_fmt={self.options.backing}"]
        return " ".join(("create", self.options.fmt, path, str(self.size), *words))


# --- playing --------------------------------------------------------------------------------------

def play_ours(batch, last):
    lines = []
    for one in batch:
        fmt = one.options.fmt
        one.before = one.content.copy()
        if one.made_by_us and not os.path.exists(one.path):
            lines.append(one.creation)
        lines += [f"open {fmt} {one.path}", *one.reads(True)]
        lines += [] if last else one.commands(True)
        lines += ["close", f"open {fmt} {one.path}"]  # what is read now has been on the disk
        lines += [f"runs {offset} {length}" for offset, length, value in one.content.runs()
                  if value >= MAYBE]
        lines.append("close")
        if fmt != "raw":
            lines.append(f"check {fmt} {one.path}")
    by_path = {one.path: one for one in batch}
    for one in batch:
        one.opened, one.found = 0, {}
    for line in run(CST_PLAY, text="\n".join(lines) + "\n", ok=(0, 1)).splitlines():
        words = line.split()
        if words[0] == "==":
            one = by_path[words[1]]
            one.opened += 1
        elif words[0] == "run":
            one.settle(*map(int, words[1:]))
        elif "=" in line and not line.startswith("error:"):
            key, value = line.split("=")
            one.found[key] = int(value)
        else:
            one.wrong.append(f"ours: {line}")
    for one in batch:
        harm = [one.found.get("errors"), "leaky" not in one.options.traits and one.found.get("leaks")]
        if any(harm):
            one.wrong.append(f"our check: {one.found}")


def by_options(one):
    """As QEMU opens it; it looks for a data file not beside the image but where it was started."""
    text = f"driver={one.options.fmt},discard=unmap"
    if "data_file" in one.options.name:
        text += f",data-file.driver=file,data-file.filename={one.path}.data"
    return text


QUIET = re.compile(r"^(write|read|discard)\b")
MARK = re.compile(r"^[\d.]+ (bytes|[KMGT]iB)$")


def play_qemu(batch, last):
    lines = []
    for one in batch:
        lines += [f"open -o {by_options(one)} {one.path}", "length"]
        lines += [QUIET.sub(r"\1 -q", line) for line in (
            *one.reads(False), *([] if last else one.commands(False)))]
        lines.append("close")
    text = run("qemu-io", text="\n".join(lines) + "\n", ok=(0, 1)).replace("qemu-io> ", "")
    index = -1
    for line in filter(None, text.splitlines()):
        if MARK.match(line):
            index += 1
        else:
            batch[max(index, 0)].wrong.append(f"qemu-io: {line}")
    if index != len(batch) - 1:
        raise Failed(f"qemu-io opened {index + 1} of {len(batch)} images\n{text}")


FIGURES = {"total": "total-clusters", "allocated": "allocated-clusters",
           "fragmented": "fragmented-clusters", "compressed": "compressed-clusters",
           "end": "image-end-offset"}


def check_by_qemu(one):
    fmt = one.options.fmt
    if fmt in ("raw", "vpc"):  # which it has no check for
        return
    done = subprocess.run(["qemu-img", "check", "--output=json", "--image-opts",
                           f"{by_options(one)},file.filename={one.path}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode == 63:  # flat
        return
    try:
        report = json.loads(done.stdout[done.stdout.index("{"):])
    except ValueError:
        report = {"check-errors": done.stdout}
    if done.returncode or any(report.get(k) for k in ("corruptions", "leaks", "check-errors")):
        one.wrong.append(f"qemu-img check: {report}")
    # QEMU takes the zeroed first cluster of a data file, which lies at 0, for one without a place.
    figures = FIGURES if fmt == "qcow2" and "data_file" not in one.options.name else {}
    for ours, theirs in figures.items():
        if report.get(theirs, 0) != one.found.get(ours):
            one.wrong.append(f"{ours}: ours {one.found.get(ours)}, QEMU's {report.get(theirs)}")


def play_turn(batch, turn, last):
    ours = [one for one in batch if one.turn_is_ours(turn) and not (last and one.turn_is_ours(0)
                                                                   and one.turn_is_ours(1))]
    theirs = [one for one in batch if one not in ours]
    if theirs:
        play_qemu(theirs, last)
    if ours:
        play_ours(ours, last)
    for one in ours:
        check_by_qemu(one)


def make_base(options, rand):
    """What overlays are based on, and its content."""
    if not options.backing:
        return None
    content = Content(2 * MIB + 4096)
    run("qemu-img", "create", "-q", "-f", options.backing, "base", content.size)
    lines = [f"open -o driver={options.backing} base"]
    for _ in range(30):
        offset, length, byte = rand.randrange(4000) * 512, rand.randrange(1, 200) * 512, \
            rand.randrange(1, 256)
        length = min(length, content.size - offset)
        content.put(offset, length, byte)
        lines.append(f"write -q -P {byte} {offset} {length}")
    text = run("qemu-io", text="\n".join(lines) + "\n").replace("qemu-io> ", "").strip()
    if text:
        raise Failed(text)
    return content


def play_batch(options, seeds, templates):
    batch = []
    os.mkdir("batch")
    for seed in seeds:
        batch.append(Sequence(options, seed, os.path.join("batch", str(seed)), templates))
    for turn in range(4):
        play_turn(batch, turn, turn == 3)
        for one in batch:
            if one.wrong:
                raise Failed(f"seed {one.seed}, turn {turn}\n" + "\n".join([
                    *one.wrong[:10], "it was:", *one.log]))
    shutil.rmtree("batch")


def play_set(options):
    below = make_base(options, random.Random(options.name))
    os.mkdir("templates")
    templates = [Template(options, size, os.path.join("templates", str(size)), below)
                 for size in (options.sizes() if not below or options.fmt != "vmdk" else [0])]
    for first in range(SEED, SEED + COUNT, BATCH):
        play_batch(options, range(first, min(first + BATCH, SEED + COUNT)), templates)


def chosen_sets():
    return [(f"{COUNT} sequences of {options.name}", functools.partial(play_set, options))
            for options in SETS if re.search(PATTERN, options.name)]


if __name__ == "__main__":
    sys.exit(main(chosen_sets()))
