#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the disk backend: what the next program makes of it (crash.py).

The table, the kernel's partitions and the contents are then those from before, or those that the
operation makes.
"""
# lab: -m 1024 -d 256M

import collections
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from crash import Victim, cistern, killed, pool_of_files, survives  # noqa: E402
from kit import (case, disk, expect, long_case, main, out, read_at, run,  # noqa: E402
                 write_at, write_xml)

DISK = disk(0)
NAME = os.path.basename(DISK) + ("p" if DISK[-1].isdigit() else "")
EXTENDED = "f"


def node(number):
    return f"/dev/{NAME}{number}"


def settle():
    if os.path.exists("/run/udev/control"):
        run("udevadm", "settle")


Operation = collections.namedtuple("Operation", "name label words")

# As sfdisk takes it; the second one of dos holds the last three.
TABLES = {
    "gpt": "label: gpt\n" + "size=16M\n" * 3,
    "dos": "label: dos\nsize=8M\nsize=100M,type=f\n" + "size=8M\n" * 5,
}

OPERATIONS = [
    Operation("create", "gpt", ("vol-create-as", "d", "{}4", "8M")),
    Operation("clone", "gpt", ("vol-clone", "{}2", "{}4", "--pool", "d")),
    Operation("grow", "gpt", ("vol-resize", "{}3", "32M", "--pool", "d")),
    Operation("shrink", "gpt", ("vol-resize", "{}1", "8M", "--shrink", "--pool", "d")),
    Operation("delete", "gpt", ("vol-delete", "{}2", "--pool", "d")),
    Operation("create logical", "dos", ("vol-create-as", "d", "{}8", "8M")),
    Operation("grow logical", "dos", ("vol-resize", "{}7", "16M", "--pool", "d")),
    Operation("delete logical", "dos", ("vol-delete", "{}5", "--pool", "d")),
]


def prepare(label):
    """What is only the ground for a kill is made by sfdisk, which is quick."""
    cistern("pool-destroy", "d", check=False)
    run("partx", "-d", DISK, check=False)
    run("wipefs", "-aqf", DISK)
    run("sfdisk", "-q", "--no-reread", "--no-tell-kernel", DISK, data=TABLES[label])
    settle()
    run("partx", "-u", DISK)
    settle()
    for number, (_, _, mark) in table().items():
        if mark != EXTENDED:
            write_at(node(number), f"volume {number}")
    cistern("pool-start", "d")


def table():
    """What sfdisk reads: number, start and size of each partition, in sectors."""
    rows = re.findall(rf"^{node('')}(\d+) : start= *(\d+), size= *(\d+), type=(\w+)",
                      out("sfdisk", "-d", DISK), re.M)
    return {int(number): (int(start), int(size), mark) for number, start, size, mark in rows}


def kernel():
    base = f"/sys/block/{os.path.basename(DISK)}"
    found = {}
    for name in os.listdir(base):
        if name.startswith(NAME):
            with open(f"{base}/{name}/start", encoding="ascii") as start:
                with open(f"{base}/{name}/size", encoding="ascii") as size:
                    found[int(name[len(NAME):])] = (int(start.read()), int(size.read()))
    return found


def state():
    """The table and the contents; the kernel has what the table does."""
    rows, shown = table(), kernel()
    left = [name for name in os.listdir("/dev") if name.startswith(".cistern")]
    expect(not left, f"left in /dev: {left}")
    expect(sorted(rows) == sorted(shown), f"{rows}, but the kernel has {shown}")
    for number, (start, size, mark) in rows.items():
        expect(shown[number][0] == start, f"start of {number}: {shown[number]}, not {start}")
        expect(mark == EXTENDED or shown[number][1] == size,
               f"size of {number}: {shown[number]}, not {size}")
    return rows, {number: read_at(node(number)) for number, row in rows.items()
                  if row[2] != EXTENDED}


class Disk(Victim):
    """The operations are commands of our client, by itself."""

    prefix = "disk."

    def prepare(self, operation):
        prepare(operation.label)

    def play(self, operation, check, env):
        return cistern(*(word.format(NAME) for word in operation.words), check=check, env=env)

    def recover(self):
        cistern("vol-list", "d")

    def state(self):
        return state()


@case
def the_pool_is_defined():
    cistern("pool-define", write_xml(
        "d.xml", f"<pool type='disk'><name>d</name><source><device path='{DISK}'/></source>"
                 "<target><path>/dev</path></target></pool>"))


# What the others do, too, is shown by one of each table.
SHORT = ("create", "delete logical")

for OPERATION in OPERATIONS:
    survives(Disk(), OPERATION, case if OPERATION.name in SHORT else long_case)


@case
def a_build_that_was_killed_is_done_again():
    prepare("gpt")
    cistern("pool-destroy", "d")
    status, text = cistern("pool-build", "d", "--overwrite", check=False,
                           env={"CISTERN_CRASH_AT": "disk.build.cleared"})
    expect(status == -9, f"not killed: {status} {text}")
    cistern("pool-build", "d")
    cistern("pool-start", "d")
    expect(table() == {}, "an empty table")


@case
def what_has_the_number_of_a_moved_partition_by_then_stays():
    """Logical partitions move up when one before them goes."""
    prepare("dos")
    pool_of_files()
    killed("vol.move.copied", "vol-move", f"{NAME}5", "--pool", "d", "--newpool", "images")
    run("sfdisk", "-q", "--no-reread", "--no-tell-kernel", "--delete", DISK, "5")
    settle()  # udev has the partitions open after a change of the table
    run("partx", "-d", DISK)
    run("partx", "-u", DISK)
    settle()
    before = state()
    cistern("vol-list", "d")
    expect(state() == before, f"{state()}, not {before}")


main()
