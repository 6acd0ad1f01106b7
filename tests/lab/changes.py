# SPDX-License-Identifier: LGPL-2.1-or-later
"""
What a backend tells has changed, held against a model: random writes and discards of a device, and
snapshots of it. Every block that differs must be named, and nothing but what was touched.
"""

import fcntl
import os
import random
import re
import struct

from kit import WORK, cst_pool, expect, run, write_at

PAGE = 4096
BLKDISCARD = 0x1277


def told(xml, volume, since, until=None, most=16384):
    """The identity of the snapshot, and ranges as (offset, end)."""
    lines = cst_pool(xml, "changed", volume, since, until or "-", str(most))[1].splitlines()
    ranges = []
    for line in lines[1:]:
        offset, length = map(int, line.split())
        expect(length > 0 and (not ranges or offset >= ranges[-1][1]), f"ranges: {lines}")
        ranges.append((offset, offset + length))
    return lines[0].split(" ", 1)[1], ranges


class Model:
    """A device of SIZE bytes, which its storage keeps in units of UNIT bytes."""

    def __init__(self, xml, volume, path, size, unit, seed):
        self.xml, self.volume, self.size, self.unit = xml, volume, size, unit
        self.random = random.Random(seed)
        # Not synced: what is in memory only has changed, too.
        self.device = os.open(path, os.O_RDWR)
        self.pages = [0] * (size // PAGE)
        self.touched = set()  # units, since the last snapshot
        self.snapshots = []  # name, pages, units touched before it since the one before
        self.tag = 0

    def close(self):
        os.close(self.device)

    def fill(self):
        """All of it, so that there is an end that holds something."""
        for page in range(len(self.pages)):
            self.write(page)

    def write(self, page):
        self.tag += 1
        os.pwrite(self.device, struct.pack("<Q", self.tag) + self.random.randbytes(504) +
                  bytes(PAGE - 512), page * PAGE)
        self.pages[page] = self.tag
        self.touched.add(page * PAGE // self.unit)

    def discard(self, unit):
        fcntl.ioctl(self.device, BLKDISCARD, struct.pack("<QQ", unit * self.unit, self.unit))
        per = self.unit // PAGE
        self.pages[unit * per:(unit + 1) * per] = [0] * per
        self.touched.add(unit)

    def change(self, steps):
        units = self.size // self.unit
        for _ in range(steps):
            if self.random.random() < 0.2:
                self.discard(self.random.randrange(units - 1))
            else:
                first = self.random.randrange(len(self.pages))
                for page in range(first, min(first + self.random.randint(1, 6), len(self.pages))):
                    self.write(page)

    def snapshot(self, name, make):
        os.fsync(self.device)
        make(name)
        self.snapshots.append((name, list(self.pages), self.touched))
        self.touched = set()

    def check(self, since, until=None, most=16384):
        """Indexes of snapshots; UNTIL None: now. Returns how many bytes were named."""
        name, then, _ = self.snapshots[since]
        pages = self.pages if until is None else self.snapshots[until][1]
        last = len(self.snapshots) if until is None else until + 1
        touched = set().union(*(row[2] for row in self.snapshots[since + 1:last]))
        touched |= self.touched if until is None else set()
        _, ranges = told(self.xml, self.volume, name,
                         None if until is None else self.snapshots[until][0], most)
        named = {page for begin, end in ranges for page in range(begin // PAGE, -(-end // PAGE))}
        missing = [page for page, tag in enumerate(pages) if tag != then[page] and page not in named]
        expect(not missing, f"since {name}: not named: {missing[:10]}, {len(missing)} pages")
        units = {page * PAGE // self.unit for page in named}
        expect(units <= touched, f"since {name}: named for nothing: {sorted(units - touched)[:10]}")
        return sum(end - begin for begin, end in ranges)


def random_changes(model, take, rounds=2):
    """Rounds of changes and snapshots; TAKE gets a snapshot's name."""
    model.fill()
    model.snapshot("s0", take)
    for number in range(1, rounds + 1):
        model.change(12)
        model.check(number - 1)
        model.snapshot(f"s{number}", take)
    model.check(0, rounds, most=8)
    model.change(3)
    model.check(0)
    expect(model.check(rounds) < model.size // 4, "too much is named")


def copy_reads_little(ours, pool, volume, path, offset):
    """vol-copy --since of a volume of 32 MiB, of which a little at OFFSET is written to after a copy
    of its snapshot; the copy goes to a pool of files of the same daemon."""
    there = os.path.join(WORK, "copies")
    os.makedirs(there, exist_ok=True)
    if "copies" not in ours.virsh("pool-list --all --name")[0].split():
        ours.virsh(f"pool-create-as copies dir --target {there}")
    words = ("vol-copy", volume, "--pool", pool, "--to", ours.uri, "--newpool", "copies")
    ours.cistern("snap-create", volume, "then", "--pool", pool)
    ours.cistern(*words, "--snapshot", "then")
    write_at(path, "later", offset)
    said = ours.cistern(*words, "--since", "then", "--yes")
    read = re.search(r"([0-9.]+) MiB of 32.00 MiB are read", said)
    expect(read and float(read[1]) <= 2, said)
    run("cmp", path, os.path.join(there, volume))
    ours.cistern("snap-delete", volume, "then", "--pool", pool, "--yes")
    ours.virsh(f"vol-delete {volume} copies")
