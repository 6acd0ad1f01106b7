#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the logical backend: what the next start makes of it (crash.py)."""
# lab: -m 2048 -d 1G

import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from crash import IMAGES, Victim, cistern, killed, pool_of_files, survives  # noqa: E402
from kit import (MIB, Ours, case, cst_pool, disk, expect, long_case, lvs, main, pool_xml,
                 read_at, run, wait_until, wipe_disks, write_at)  # noqa: E402

XML = pool_xml("lab", [disk(0)], {"snapshot-size": "100%"})
OURS = Ours()
THIN = pool_xml("thin", [disk(0)], {"thin": "yes"}, vg="lab")


# LVM takes its time here, so what is only the ground for a kill is made by its own tools.
def thick(name):
    run("lvcreate", "-y", "-L", "8M", "-n", name, "lab")
    write_at(f"/dev/lab/{name}", "first")


def thin(name):
    run("lvcreate", "-y", "-V", "8M", "--thinpool", "cistern-thin", "-n", name, "lab")
    write_at(f"/dev/lab/{name}", "first")


def with_snapshot(make):
    def prepare(name):
        make(name)
        cst_pool(XML, "snap-create", name, "s")
        write_at(f"/dev/lab/{name}", "second")
    return prepare


def thin_clone(name):
    thin(name + "-base")
    run("lvcreate", "-y", "-s", "-kn", "-n", name, f"lab/{name}-base")


def nothing(_name):
    pass


Operation = collections.namedtuple("Operation", "name prepare words")

OPERATIONS = [
    Operation("create thick", nothing, ("create", "{}", str(8 * MIB), "thick")),
    Operation("make thick", nothing, ("make", "{}", str(8 * MIB), "thick")),
    Operation("make thin", nothing, ("make", "{}", str(8 * MIB), "thin")),
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
    """What there is of @name's: sizes, contents and snapshots; no other volume is there."""
    found, snapshots = {}, []
    for row in lvs("lab", "lv_name,lv_size,origin,lv_tags"):
        if row[0].startswith(".cistern"):
            snapshots += [tag for tag in row[3].split(",") if tag.startswith("cistern:snap=")]
            expect(row[0].endswith(".snap") and snapshots, f"left behind: {row}")
        elif row[0] == name or row[0].startswith(name + "-"):
            found[row[0]] = (row[1], bool(row[2]), read_at(f"/dev/lab/{row[0]}"))
    if name in found:
        found["snapshots"] = sorted(snapshots)
    return found


def remove(name):
    rows = [row[0] for row in lvs("lab")]
    here = [row for row in rows if row.startswith((name + "-", ".cistern")) or row == name]
    if here:
        # A classic snapshot goes with its origin: one that is gone already is no failure.
        run("lvremove", "-f", *(f"lab/{row}" for row in here), check=False)


class Group(Victim):
    """The operations are calls of the backend, without the core; each is about the volume "v"."""

    def prepare(self, operation):
        remove("v")
        operation.prepare("v")

    def play(self, operation, check, env):
        return cst_pool(XML, *(word.format("v") for word in operation.words), check=check, env=env)

    def recover(self):
        cst_pool(XML, "settle")

    def state(self):
        return state("v")

    def accepts(self, operation, now, before, after):
        # LVM consumes the snapshot that it merges; the volume has its content by then.
        return (super().accepts(operation, now, before, after) or
                operation.name == "revert thick" and now == {**after, "snapshots": []})


@case
def the_group_is_made():
    wipe_disks(disk(0))
    run("vgcreate", "-y", "lab", disk(0))
    run("lvcreate", "-y", "--type", "thin-pool", "-L", "128M", "-n", "cistern-thin", "lab")


# The others pass through the same code with another kind of volume, or in fewer steps; a thick volume
# is made by the daemon below.
SHORT = ("clone", "delete")

for OPERATION in OPERATIONS:
    survives(Group(), OPERATION, case if OPERATION.name in SHORT else long_case)


# The backend's points; points of the core are tests/crash's. A creation that is killed at the last
# point is completed, so this point comes last.
CREATION = ["logical.reserve.created", "logical.commit.synced"]
if not os.environ.get("LAB_SHORT"):
    CREATION += ["journal.begun", "vol.create.reserved", "vol.create.filled", "vol.create.named"]
CREATION += ["vol.create.committed"]


@case
def a_daemon_killed_while_creating_leaves_no_lv():
    remove("v")
    run("lvcreate", "-y", "-L", "4M", "-n", "source", "lab")
    OURS.start()
    OURS.virsh(f"pool-define {XML}", "pool-start lab")
    OURS.stop()
    # The draft has the volume's name; the end of its intent makes it the volume.
    for point in CREATION:
        os.environ["CISTERN_CRASH_AT"] = point
        OURS.start()
        del os.environ["CISTERN_CRASH_AT"]
        OURS.virsh("vol-clone source made --pool lab", check=False)
        expect(wait_until(lambda: OURS.process.poll() is not None), f"{point}: not killed")
        tags = {row[0]: row[1] for row in lvs("lab", "lv_name,lv_tags")}
        expect(("made" in tags) == (point != "journal.begun"), f"{point}: {tags}")
        expect("made" not in tags or tags["made"].startswith("cistern:intent="), f"{point}: {tags}")
        OURS.start()
        listed = OURS.virsh("pool-refresh lab", "vol-list lab")[1]
        expect(("made" in listed) == (point == "vol.create.committed"), f"{point}: {listed}")
        left = [row[0] for row in lvs("lab") if row[0] not in ("source", "cistern-thin")]
        expect(left == (["made"] if "made" in listed else []), f"{point}: {left}")
        expect(not os.listdir(f"{OURS.root}/var/lib/cistern/journal"), f"{point}: an intent stays")
        OURS.stop()


def pools_to_move_between():
    first = not os.path.exists(IMAGES)
    pool_of_files()
    if first:
        cistern("pool-define", THIN)
        cistern("pool-start", "thin")


@case
def what_is_moved_in_with_its_snapshots_is_whole_or_not_there():
    """The snapshots of a draft are LVs of their own, which are dropped with it, killed or not."""
    remove("v")
    pools_to_move_between()
    run("qemu-img", "create", "-q", "-f", "qcow2", f"{IMAGES}/v", "8M")
    for name in ("one", "two"):
        run("qemu-img", "snapshot", "-c", name, f"{IMAGES}/v")
    move = ("vol-move", "v", "--pool", "images", "--newpool", "thin")
    for point in ("vol.history.snapshot:2", "vol.create.filled"):
        killed(point, *move)
        left = [row[0] for row in lvs("lab") if row[0].startswith((".cistern", "v"))]
        expect(len(left) > 1, f"{point}: {left}")
        # Dropping them is killed as well.
        killed("logical.abandon.bare", "vol-list", "thin")
        expect(cistern("vol-list", "thin")[1].count(" v ") == 0, "it is listed")
        left = [row[0] for row in lvs("lab") if row[0].startswith((".cistern", "v"))]
        expect(left == [], f"{point}: {left}")
    cistern(*move)
    expect(state("v")["snapshots"] == ["cistern:snap=one", "cistern:snap=two"], state("v"))
    expect(not os.path.exists(f"{IMAGES}/v"), "the image is still there")


@case
def what_has_the_name_of_a_moved_volume_by_then_stays():
    remove("v")
    pools_to_move_between()
    thin("v")
    killed("vol.move.copied", "vol-move", "v", "--pool", "thin", "--newpool", "images")
    run("lvremove", "-y", "lab/v")
    thick("v")
    cistern("vol-list", "thin")
    expect(state("v"), "the LV that was made meanwhile is gone")
    run("lvremove", "-y", "lab/v")
    os.unlink(f"{IMAGES}/v")
    # The very volume goes.
    thin("v")
    killed("vol.move.copied", "vol-move", "v", "--pool", "thin", "--newpool", "images")
    cistern("vol-list", "thin")
    expect(not state("v"), state("v"))
    expect(os.path.exists(f"{IMAGES}/v"), "the copy is gone")


main()
