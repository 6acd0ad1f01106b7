#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 at every crash point of the ZFS backend: what the next start makes of it (crash.py)."""
# lab: -m 2048 -d 512M -d 512M

import collections
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from crash import IMAGES, Victim, cistern, killed, pool_of_files, survives  # noqa: E402
from kit import (Ours, case, cst_pool, disk, expect, long_case, main, out, read_at,
                 run, wait_until, write_at, write_xml)  # noqa: E402
from services import zfs  # noqa: E402

OURS = Ours()


def definition(name, source, device=None):
    path = f"<device path='{device}'/>" if device else ""
    return write_xml(f"{name}.xml", f"<pool type='zfs'><name>{name}</name><source>{path}"
                                    f"<name>{source}</name></source></pool>")


XML = definition("z", "tank/z")
# Its blocks can't be shared, so the volume is made empty, and filled.
OTHER_BLOCKS = write_xml("w.xml", "<volume><name>w</name><capacity unit='MiB'>8</capacity>"
                                  "<options xmlns='urn:cistern:storage:1.0'>"
                                  "<option name='volblocksize' value='64K'/></options></volume>")


def dev(name):
    return f"/dev/zvol/tank/z/{name}"


# --- what there is ---------------------------------------------------------------------------------

def content(name):
    """Of a volume whose device udev may be about to link."""
    expect(wait_until(lambda: os.path.exists(dev(name))), f"no device of {name}")
    return read_at(dev(name))


def state():
    """Size, origin and content of each volume, and the snapshots that are shown."""
    volumes, snapshots = {}, []
    text = out("zfs", "list", "-H", "-p", "-r", "-t", "volume,snapshot", "-o",
               "name,volsize,origin,defer_destroy", "tank/z")
    for row in text.splitlines():
        path, size, origin, deferred = row.split("\t")
        name = path.removeprefix("tank/z/")
        if "@" not in name:
            expect(".cistern" not in name, f"left behind: {row}")
            volumes[name] = size, origin.partition("@")[0], content(name)
        elif "@.cistern" in name:
            # ZFS removes it by itself with the clone that hangs on it.
            expect(deferred == "on", f"left behind: {row}")
        else:
            snapshots.append(name)
    return volumes, snapshots


# --- operations ------------------------------------------------------------------------------------

# What is only the ground for a kill is made by ZFS's own tool.
def nothing():
    pass


def volume():
    run("zfs", "create", "-o", "volmode=dev", "-s", "-V", "8M", "tank/z/v")
    expect(wait_until(lambda: os.path.exists(dev("v"))), "no device")
    write_at(dev("v"), "first")


def with_snapshots():
    volume()
    run("zfs", "snapshot", "tank/z/v@s")
    write_at(dev("v"), "second")
    run("zfs", "snapshot", "tank/z/v@newer")


def clone():
    volume()
    run("zfs", "snapshot", "tank/z/v@s")
    run("zfs", "clone", "-o", "volmode=dev", "tank/z/v@s", "tank/z/w")


Operation = collections.namedtuple("Operation", "name prepare words")

OPERATIONS = [
    Operation("create", nothing, ("vol-create-as", "z", "v", "8M")),
    Operation("copy", volume, ("vol-create-from", "z", OTHER_BLOCKS, "v", "--inputpool", "z")),
    Operation("clone", volume, ("vol-clone", "v", "w", "--pool", "z")),
    Operation("resize", volume, ("vol-resize", "v", "16M", "--pool", "z")),
    Operation("snapshot", volume, ("snap-create", "v", "s", "--pool", "z")),
    Operation("revert", with_snapshots, ("snap-revert", "v", "s", "--pool", "z", "--yes")),
    Operation("flatten", clone, ("vol-flatten", "w", "--pool", "z")),
    Operation("delete", volume, ("vol-delete", "v", "--pool", "z")),
]


class Dataset(Victim):
    """The operations are commands of our client, by itself."""

    prefix = "zfs."

    def prepare(self, operation):
        if out("zfs", "list", "-H", "-o", "name", "-r", "tank/z") != "tank/z\n":
            zfs.destroy("-R", "tank/z")
            run("zfs", "create", "-o", "mountpoint=none", "tank/z")
        cistern("pool-destroy", "z", check=False)
        operation.prepare()
        cistern("pool-start", "z")

    def play(self, operation, check, env):
        return cistern(*operation.words, check=check, env=env)

    def recover(self):
        # Where the machine is starved, ZFS may take longer than a pool is waited for.
        expect(wait_until(lambda: cistern("vol-list", "z", check=False)[0] == 0), "no recovery")

    def state(self):
        return state()


@case
def a_dataset_is_there():
    zfs.create_pool("tank", "-m", "none", "-O", "volmode=dev", disk(0))
    run("zfs", "create", "-o", "mountpoint=none", "tank/z")
    cistern("pool-define", XML)


# What the others do, too, is among these; with the fake ZFS: zfs_recovery_test.c.
SHORT = ("clone", "snapshot")

for OPERATION in OPERATIONS:
    survives(Dataset(), OPERATION, case if OPERATION.name in SHORT else long_case)


@case
def a_volume_that_is_moved_is_in_one_of_both_pools():
    """By a rename: killed at any moment, it is in the one or in the other, whole."""
    run("zfs", "create", "-o", "mountpoint=none", "tank/y")
    cistern("pool-define", definition("y", "tank/y"))
    cistern("pool-start", "y")
    for point, moved in (("recorded", False), ("renamed", True), ("settled", True)):
        Dataset().prepare(Operation("move", with_snapshots, ()))
        guid = out("zfs", "get", "-H", "-o", "value", "guid", "tank/z/v")
        shots = out("zfs", "list", "-H", "-t", "snapshot", "-o", "name", "-r", "tank/z/v").split()
        killed(f"vol.move.rename.{point}", "vol-move", "v", "--pool", "z", "--newpool", "y")
        names = [name for name in out("zfs", "list", "-H", "-t", "volume", "-o", "name").split()
                 if name in ("tank/z/v", "tank/y/v")]
        expect(names == ["tank/y/v" if moved else "tank/z/v"], names)
        expect(out("zfs", "get", "-H", "-o", "value", "guid", names[0]) == guid, "a copy")
        for pool, here in (("z", not moved), ("y", moved)):
            rows = cistern("vol-list", pool)[1]
            expect((" v " in rows) == here, f"{point} {pool}: {rows}")
        now = out("zfs", "list", "-H", "-t", "snapshot", "-o", "name", "-r", names[0]).split()
        expect([name.partition("@")[2] for name in now] == [name.partition("@")[2] for name in shots], now)
        if moved:
            zfs.destroy("-r", "tank/y/v")
            cistern("pool-refresh", "y")


@case
def what_has_the_name_of_a_moved_volume_by_then_stays():
    """Where it is the volume that was moved, it goes."""
    pool_of_files()
    for another in (True, False):
        Dataset().prepare(Operation("move", volume, ()))
        killed("vol.move.copied", "vol-move", "v", "--pool", "z", "--newpool", "images")
        if another:
            zfs.destroy("tank/z/v")
            volume()
        before = state() if another else {}
        rows = cistern("vol-list", "z")[1]
        expect(("v" in rows.split()) == another, rows)
        expect(not another or state() == before, f"{state()}, not {before}")
        os.unlink(f"{IMAGES}/v")


@case
def what_is_moved_in_with_its_snapshots_is_whole_or_not_there():
    """A draft with snapshots is dropped with them; an original with some goes with them."""
    pool_of_files()
    there = ("--pool", "z", "--newpool", "images", "--format", "qcow2")
    back = ("--pool", "images", "--newpool", "z")
    for point, words in (("vol.history.snapshot:2", back), ("vol.create.filled", back),
                         ("vol.history.removed", there)):
        Dataset().prepare(Operation("move", with_snapshots, ()))
        before = state()
        if words == back:
            cistern("vol-move", "v", *there)
        killed(point, "vol-move", "v", *words)
        cistern("pool-destroy", "z")
        cistern("pool-start", "z")
        left = out("zfs", "list", "-H", "-o", "name", "-t", "all", "-r", "tank/z").split()
        expect(left == ["tank/z"], f"{point}: {left}")
        cistern("vol-move", "v", *back)
        expect(state() == before, f"{point}: {state()}, not {before}")


@case
def a_snapshot_that_was_being_read_is_left_alone():
    """It is read by way of a hidden clone."""
    Dataset().prepare(Operation("read", with_snapshots, ()))
    before = state()
    status, text = cst_pool(XML, "snap-read", "v", "s", check=False,
                            env={"CISTERN_CRASH_AT": "zfs.view.made"})
    expect(status == -9, f"not killed: {status} {text}")
    expect("/.cistern" in out("zfs", "list", "-H", "-o", "name", "-r", "tank/z"), "no clone")
    cistern("pool-destroy", "z")
    cistern("pool-start", "z")
    expect(state() == before, (state(), before))


@long_case
def what_was_asked_of_a_volume_leaves_no_snapshot():
    """What has changed is told up to a hidden snapshot. It goes as that of a clone does."""
    Dataset().prepare(Operation("changed", with_snapshots, ()))
    before = state()
    for point in ("snapshot", "told"):
        status, text = cst_pool(XML, "changed", "v", "s", check=False,
                                env={"CISTERN_CRASH_AT": f"zfs.changed.{point}"})
        expect(status == -9, f"not killed: {status} {text}")
        expect("@.cistern" in out("zfs", "list", "-H", "-t", "snapshot", "-o", "name"), "none")
        cistern("pool-destroy", "z")
        cistern("pool-start", "z")
        expect(state() == before, (state(), before))


@long_case
def a_build_that_was_killed_is_done_again():
    """Long: diskcrash_test.py has the same of a disk's."""
    cistern("pool-define", definition("new", "new", disk(1)))
    status, text = cistern("pool-build", "new", "--overwrite", check=False,
                           env={"CISTERN_CRASH_AT": "zfs.build.cleared"})
    expect(status == -9, f"not killed: {status} {text}")
    cistern("pool-build", "new")
    cistern("pool-start", "new")
    expect(out("zfs", "list", "-H", "-o", "name", "-r", "new") == "new\n", "more than a pool")


@long_case
def a_daemon_killed_while_cloning_leaves_nothing():
    """Long: "clone" above has the same points, of a client that does it by itself."""
    Dataset().prepare(Operation("clone", volume, ()))
    OURS.start()
    OURS.virsh(f"pool-define {XML}", "pool-start z")
    OURS.stop()
    before = state()
    for point in ("zfs.clone.snapshot", "zfs.clone.cloned", "zfs.clone.made"):
        os.environ["CISTERN_CRASH_AT"] = point
        OURS.start()
        del os.environ["CISTERN_CRASH_AT"]
        OURS.virsh("vol-clone v made --pool z", check=False)
        expect(wait_until(lambda: OURS.process.poll() is not None), f"{point}: not killed")
        OURS.start()
        expect("made" not in OURS.virsh("vol-list z")[0], f"{point}: there is a volume")
        expect(state() == before, f"{point}: {state()}, not {before}")
        OURS.stop()


main()
