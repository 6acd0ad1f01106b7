#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the logical backend: what the next start makes of it.

Needs a build with -Dcrash_points=true. Each operation is played once to see which points it passes;
then once for each of them, on a volume of its own, with a kill there and a start after it. What is
there then is what was there before, or what the operation makes, and no LV more.
"""
# lab: -m 2048 -d 1G

import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (MIB, WORK, Failed, Ours, case, cst_pool, disk, expect, lvs, main, pool_xml,
                 read_at, run, wait_until, wipe_disks, write_at)  # noqa: E402

XML = pool_xml("lab", [disk(0)], {"thin-pool-size": "256M", "snapshot-size": "100%"})
POINTS = os.path.join(WORK, "points")
OURS = Ours()


def thick(name):
    cst_pool(XML, "create", name, str(8 * MIB), "thick")
    write_at(f"/dev/lab/{name}", "first")


def thin(name):
    cst_pool(XML, "create", name, str(8 * MIB), "thin")
    write_at(f"/dev/lab/{name}", "first")


def with_snapshot(make):
    def prepare(name):
        make(name)
        cst_pool(XML, "snap-create", name, "s")
        write_at(f"/dev/lab/{name}", "second")
    return prepare


def thin_clone(name):
    thin(name + "-base")
    cst_pool(XML, "clone", name + "-base", name)
    run("lvremove", "-f", f"lab/{name}-gone", check=False)


def nothing(_name):
    pass


Operation = collections.namedtuple("Operation", "name prepare words")

OPERATIONS = [
    Operation("create thick", nothing, ("create", "{}", str(8 * MIB), "thick")),
    Operation("create thin", nothing, ("create", "{}", str(8 * MIB), "thin")),
    Operation("clone", thin, ("clone", "{}", "{}-new")),
    Operation("resize", thick, ("resize", "{}", str(16 * MIB))),
    Operation("snapshot thick", thick, ("snap-create", "{}", "s")),
    Operation("snapshot thin", thin, ("snap-create", "{}", "s")),
    Operation("revert thick", with_snapshot(thick), ("snap-revert", "{}", "s")),
    Operation("revert thin", with_snapshot(thin), ("snap-revert", "{}", "s")),
    Operation("flatten", thin_clone, ("flatten", "{}")),
    Operation("delete", thick, ("delete", "{}")),
]


def state(name):
    """What there is of @name's: sizes, contents and snapshots."""
    found = {}
    for row in lvs("lab", "lv_name,lv_size,origin"):
        if row[0].startswith(".cistern") and not row[0].endswith(".snap"):
            raise Failed(f"left behind: {row[0]}")
        if row[0] == name or row[0].startswith(name + "-"):
            found[row[0]] = (row[1], bool(row[2]), read_at(f"/dev/lab/{row[0]}"))
    if name in found:
        found["snapshots"] = sorted(line.split()[0] for line in
                                    cst_pool(XML, "snap-list", name)[1].splitlines())
    return found


def remove(name):
    for row in lvs("lab"):
        if row[0] == name or row[0].startswith(name + "-") or row[0].startswith(".cistern"):
            run("lvremove", "-f", f"lab/{row[0]}", check=False)


def words(operation, name):
    return [word.format(name) for word in operation.words]


def play(operation, name):
    """Undisturbed: (state before, state after, passages of crash points)."""
    operation.prepare(name)
    before = state(name)
    open(POINTS, "w", encoding="utf-8").close()
    cst_pool(XML, *words(operation, name), env={"CISTERN_CRASH_LOG": POINTS})
    after = state(name)
    remove(name)
    seen = collections.Counter()
    passages = []
    with open(POINTS, encoding="utf-8") as log:
        for point in log.read().split():
            seen[point] += 1
            passages.append(f"{point}:{seen[point]}")
    return before, after, passages


def acceptable(operation, before, after, now):
    if now in (before, after):
        return True
    # LVM consumes the snapshot that it merges; the volume has its content by then.
    return operation.name == "revert thick" and now == {**after, "snapshots": []}


def kill_at(operation, name, passage, before, after):
    operation.prepare(name)
    try:
        status, text = cst_pool(XML, *words(operation, name), check=False,
                                env={"CISTERN_CRASH_AT": passage})
        expect(status == -9, f"{passage}: not killed: {status} {text}")
        cst_pool(XML, "settle")
        now = {key.replace(name, "v"): value for key, value in state(name).items()}
        expect(acceptable(operation, before, after, now),
               f"{passage}: {now}, neither {before} nor {after}")
    finally:
        remove(name)


def survives(operation):
    def check():
        before, after, passages = play(operation, "v")
        expect(passages, "no crash point is passed; is this a build with crash points?")
        for number, passage in enumerate(passages):
            kill_at(operation, f"v{number}", passage, before, after)
    check.__name__ = f"{operation.name} survives a kill at each of its points"
    return check


@case
def the_group_is_made():
    wipe_disks(disk(0))
    run("vgcreate", "-y", "lab", disk(0))


for OPERATION in OPERATIONS:
    case(survives(OPERATION))


@case
def a_daemon_killed_while_creating_leaves_no_lv():
    run("lvcreate", "-y", "-L", "8M", "-n", "source", "lab")
    OURS.start()
    OURS.virsh(f"pool-define {XML}", "pool-start lab")
    OURS.stop()
    for point in ("vol.create.reserved", "vol.create.filled", "logical.commit.renamed"):
        os.environ["CISTERN_CRASH_AT"] = point
        OURS.start()
        del os.environ["CISTERN_CRASH_AT"]
        OURS.virsh("vol-clone source made --pool lab", check=False)
        expect(wait_until(lambda: OURS.process.poll() is not None), f"{point}: not killed")
        OURS.start()
        listed = OURS.virsh("pool-refresh lab", "vol-list lab")[1]
        expect(("made" in listed) == (point == "logical.commit.renamed"), f"{point}: {listed}")
        left = [row[0] for row in lvs("lab") if row[0].startswith(".cistern")]
        expect(not left, f"{point}: {left}")
        OURS.stop()


main()
