#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thin volumes and snapshots of logical pools: content and names."""
# lab: -m 2048 -d 512M -d 512M

import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import changes  # noqa: E402
from kit import (MIB, Ours, case, cst_pool, disk, expect, expect_in, long_case, lvs, main, names,
                 out, pool_xml, read_at, run, wait_until, wipe_disks, write_at)  # noqa: E402

OURS = Ours()
CONFLICT, FAILED = 5, 1  # exit statuses of our client

THIN = pool_xml("thin", [disk(0)], {"thin": "yes", "thin-pool-size": "64M",
                                    "thin-pool-metadata-size": "4M"})
THICK = pool_xml("thick", [disk(1)], {"snapshot-size": "50%"})


def dev(name, pool="thin"):
    return f"/dev/{pool}/{name}"


def snap(verb, volume, *words, pool="thin", status=0):
    """A command of our own client, through the daemon."""
    sure = ["--yes"] if verb in ("delete", "revert") else []
    return OURS.cistern(f"snap-{verb}", volume, *words, "--pool", pool, *sure, status=status)


def snapshots(volume, pool="thin"):
    return json.loads(snap("list", volume, "--json", pool=pool))["snapshots"]


def snapshot_names(volume, pool="thin"):
    return [row["name"] for row in snapshots(volume, pool)]


def thin_pool(pool="thin"):
    return json.loads(OURS.cistern("pool-info", pool, "--json"))["pool"]["thin_pools"][0]


@case
def pools_are_built_and_started():
    wipe_disks(disk(0), disk(1))
    OURS.start()
    for xml, name in ((THIN, "thin"), (THICK, "thick")):
        OURS.virsh(f"pool-define {xml}", f"pool-build {name}", f"pool-start {name}")


@case
def the_options_stay_in_the_definition():
    expect_in("<cistern:option name='thin-pool-size' value='64M'/>",
              OURS.virsh("pool-dumpxml thin --inactive")[0])
    path = os.path.join(OURS.root, "etc/libvirt/storage/thin.xml")
    with open(path, encoding="utf-8") as file:
        expect_in("<cistern:option name='thin' value='yes'/>", file.read())


@case
def a_thin_pool_is_made_on_demand_in_the_size_asked_for():
    OURS.virsh("vol-create-as thin disk 128M")
    rows = {row[0]: row for row in lvs("thin", "lv_name,lv_size,lv_attr,lv_metadata_size,pool_lv")}
    expect(rows["cistern-thin"][1] == str(64 * MIB), rows)
    expect(rows["cistern-thin"][3] == str(4 * MIB), rows)
    expect(rows["disk"][1] == str(128 * MIB) and rows["disk"][4] == "cistern-thin", rows)


@case
def the_thin_pool_is_no_volume_and_its_volumes_tell_their_share():
    write_at(dev("disk"), "one")
    listed, xml, info = OURS.virsh("vol-list thin", "vol-dumpxml disk thin", "vol-info disk thin")
    expect("cistern-thin" not in listed, listed)
    expect_in("<cistern:option name='thin-pool' value='cistern-thin'/>", xml)
    expect_in("<cistern:option name='data-percent' value='0.", xml)
    expect_in("128.00 MiB", info)
    store = thin_pool()
    expect((store["name"], store["size"], store["metadata_size"], store["volumes"])
           == ("cistern-thin", 64 * MIB, 4 * MIB, 1), store)
    expect(0 < store["data_percent"] < 5 and 0 < store["metadata_percent"] < 50, store)
    text = OURS.cistern("pool-info", "thin")
    for label in ("Thin pool:", "Thin data:", "Thin metadata:"):
        expect_in(label, text)


@long_case
def thick_can_be_asked_for_in_a_thin_pool_and_thin_in_a_thick_one():
    """Long: logical_plain_test.c has each kind, by the fake LVM."""
    for pool, answer, kind in (("thin", "no", "-"), ("thick", "yes", "V")):
        xml = os.path.join(os.path.dirname(THIN), "v.xml")
        with open(xml, "w", encoding="utf-8") as file:
            file.write("<volume xmlns:c='urn:cistern:storage:1.0'><name>odd</name>"
                       "<capacity>8388608</capacity><c:options><c:option name='thin' "
                       f"value='{answer}'/></c:options></volume>")
        OURS.virsh(f"vol-create {pool} {xml}")
        rows = dict(lvs(pool, "lv_name,lv_attr"))
        expect(rows["odd"][0] == kind, rows)
        OURS.virsh(f"vol-delete odd {pool}")
    run("lvremove", "-f", "thick/cistern-thin")


@case
def a_thin_clone_shares_and_is_on_its_own():
    used = thin_pool()["used"]
    OURS.virsh("vol-clone disk clone --pool thin")
    expect(read_at(dev("clone")) == "one", "the clone holds something else")
    expect_in("disk", OURS.cistern("vol-chain", "clone", "--pool", "thin"))
    expect(thin_pool()["used"] <= used + MIB, "the clone was copied")
    write_at(dev("clone"), "two")
    expect(read_at(dev("disk")) == "one", "the original changed with its clone")


@long_case
def the_origin_of_a_thin_clone_may_go():
    """Long: what stays is LVM's own doing."""
    OURS.virsh("vol-clone clone clone2 --pool thin", "vol-delete clone thin")
    expect(read_at(dev("clone2")) == "two", "the clone's clone lost its content")
    OURS.virsh("vol-delete clone2 thin")


@case
def thin_snapshots_hold_what_was_there():
    for text in ("one", "two", "three"):
        write_at(dev("disk"), text)
        snap("create", "disk", f"after {text}")
    write_at(dev("disk"), "four")
    expect(snapshot_names("disk") == [f"after {text}" for text in ("one", "two", "three")],
           snapshot_names("disk"))
    for text in ("one", "two", "three"):
        held = out("sh", "-c", f"{cst_pool_path()} {THIN} snap-read disk 'after {text}' | head -c 9")
        expect(held.startswith(text + "."), held)


def cst_pool_path():
    from kit import BUILD
    return os.path.join(BUILD, "tests/tools/cst-pool")


@case
def snapshots_are_no_volumes():
    expect("cistern" not in OURS.virsh("pool-refresh thin", "vol-list thin")[1], "snapshots listed")


@case
def reverts_go_back_and_forth_and_keep_all_snapshots():
    for text in ("one", "three"):
        snap("revert", "disk", f"after {text}")
        expect(read_at(dev("disk")) == text, f"not {text} but {read_at(dev('disk'))}")
    expect(len(snapshots("disk")) == 3, snapshots("disk"))
    expect(names("thin").count("disk") == 1, names("thin"))


# From here on it is about "third", a clone of its own. With the fake LVM the same is in
# logical_snapshot_test.c and logical_volume_test.c.
@long_case
def a_snapshot_is_cloned_and_the_clone_has_snapshots():
    snap("clone", "disk", "after three", "third")
    expect(read_at(dev("third")) == "three", read_at(dev("third")))
    snap("create", "third", "s")
    write_at(dev("third"), "other")
    snap("revert", "third", "s")
    expect(read_at(dev("third")) == "three", read_at(dev("third")))


@long_case
def what_is_open_or_mounted_is_not_replaced_and_the_holder_is_named():
    with open(dev("third"), "rb") as held:
        holder = subprocess.Popen(["sleep", "1000"], stdin=held)
    try:
        expect_in(f"process {holder.pid} (sleep)", snap("revert", "third", "s", status=CONFLICT))
        # A deletion does not change the content of the volume.
        snap("create", "third", "t")
        snap("delete", "third", "t")
        for sure in ([], ["--dry-run"]):
            expect_in(f"process {holder.pid} (sleep)",
                      OURS.cistern("vol-flatten", "third", "--pool", "thin", *sure,
                                   status=CONFLICT))
    finally:
        holder.kill()
        holder.wait()
    run("mkfs.ext4", "-q", dev("third"))
    os.makedirs("/mnt", exist_ok=True)
    run("mount", dev("third"), "/mnt")
    try:
        expect_in("mounted on '/mnt'", snap("revert", "third", "s", status=CONFLICT))
    finally:
        run("umount", "/mnt")
    snap("revert", "third", "s")
    expect(read_at(dev("third")) == "three", read_at(dev("third")))


@long_case
def what_is_written_to_while_it_is_flattened_stays_what_it_is():
    said = []
    worker = threading.Thread(target=lambda: said.append(OURS.cistern(
        "vol-flatten", "third", "--pool", "thin", "--rate-limit", "16M", status=CONFLICT)))
    worker.start()
    expect(wait_until(lambda: any(row[0].endswith(".part") for row in lvs("thin"))), "no draft")
    write_at(dev("third"), "late")
    worker.join()
    expect(said and "was written to" in said[0], said)
    expect(read_at(dev("third")) == "late", read_at(dev("third")))
    expect(not any(row[0].endswith(".part") for row in lvs("thin")), lvs("thin"))
    write_at(dev("third"), "three")


@long_case
def a_flattened_clone_shares_nothing_and_keeps_its_snapshots():
    OURS.cistern("vol-flatten", "third", "--pool", "thin")
    rows = {row[0]: row for row in lvs("thin", "lv_name,origin")}
    expect(rows["third"][1] == "", rows)
    expect(read_at(dev("third")) == "three", read_at(dev("third")))
    expect(len(snapshots("third")) == 1, snapshots("third"))


@long_case
def a_volume_with_snapshots_is_not_deleted_without_a_word():
    expect_in("snapshot", OURS.fails("vol-delete third thin"))
    OURS.virsh("vol-delete third thin --delete-snapshots")
    expect("third" not in names("thin"), names("thin"))


@case
def snapshots_are_renamed_and_deleted():
    snap("rename", "disk", "after one", "first, \"of\" all")
    expect("first, \"of\" all" in snapshot_names("disk"), snapshot_names("disk"))
    expect_in("already", snap("create", "disk", "after two", status=CONFLICT))
    for name in ("first, \"of\" all", "after two", "after three"):
        snap("delete", "disk", name)
    expect(not snapshots("disk"), snapshots("disk"))


# --- what has changed ------------------------------------------------------------------------------

BLOCK = 65536  # of the thin pool


def pool_held():
    """What the kernel has of the thin pool's metadata for a reader; "-": nothing."""
    return out("dmsetup", "status", "thin-cistern--thin-tpool").split()[6]


def nothing_is_left():
    expect(pool_held() == "-", "metadata are reserved")
    tags = dict(lvs("thin", "lv_name,lv_tags"))["cistern-thin"]
    expect("cistern:delta" not in tags, tags)


@case
def what_has_changed_is_told_and_nothing_else():
    OURS.virsh("vol-create-as thin told 16M")
    model = changes.Model(THIN, "told", dev("told"), 16 * MIB, BLOCK, 17)
    changes.random_changes(model, lambda name: cst_pool(THIN, "snap-create", "told", name))
    model.close()
    nothing_is_left()
    # A snapshot that is made anew is another, and a revert keeps it what it is.
    was = changes.told(THIN, "told", "s0")[0]
    cst_pool(THIN, "snap-revert", "told", "s0")
    expect(changes.told(THIN, "told", "s0") == (was, []), "a reverted volume differs")
    cst_pool(THIN, "snap-delete", "told", "s0")
    cst_pool(THIN, "snap-create", "told", "s0")
    expect(changes.told(THIN, "told", "s0")[0] != was, was)
    nothing_is_left()
    OURS.virsh("vol-delete told thin --delete-snapshots")


@long_case
def what_has_changed_can_be_asked_while_others_read_the_metadata():
    """A reservation of another program is waited for, and refused in the end; a dead one's goes. With
    the fake LVM: logical_changed_test.c."""
    OURS.virsh("vol-create-as thin told 8M")
    cst_pool(THIN, "snap-create", "told", "s")
    write_at(dev("told"), "changed")
    run("dmsetup", "message", "thin-cistern--thin-tpool", "0", "reserve_metadata_snap")
    later = threading.Timer(3, run, ("dmsetup", "message", "thin-cistern--thin-tpool", "0",
                                     "release_metadata_snap"))
    later.start()
    expect(changes.told(THIN, "told", "s")[1] == [(0, BLOCK)], "not told")
    later.join()
    for point in ("tagged", "reserved", "released"):
        status, text = cst_pool(THIN, "changed", "told", "s", check=False,
                                env={"CISTERN_CRASH_AT": f"logical.changed.{point}"})
        expect(status == -9, f"{point}: not killed: {status} {text}")
        expect((pool_held() == "-") == (point != "reserved"), f"{point}: {pool_held()}")
        expect(changes.told(THIN, "told", "s")[1] == [(0, BLOCK)], point)
        nothing_is_left()
    cst_pool(THIN, "changed", "told", "s", check=False,
             env={"CISTERN_CRASH_AT": "logical.changed.reserved"})
    cst_pool(THIN, "settle")
    nothing_is_left()
    OURS.virsh("vol-delete told thin --delete-snapshots")


@long_case
def a_copy_of_what_has_changed_reads_little():
    """Long: the client asks the same of any pool that tells what has changed (tests/system/copy_test.py)."""
    OURS.virsh("vol-create-as thin told 32M")
    run("dd", "if=/dev/urandom", f"of={dev('told')}", "bs=1M", "count=32", "oflag=direct")
    changes.copy_reads_little(OURS, "thin", "told", dev("told"), 20 * MIB)
    OURS.virsh("vol-delete told thin")


@case
def a_pool_full_of_data_says_so():
    """And fails; what others notice of it is full_test.py's."""
    status, said = run("dd", "if=/dev/zero", f"of={dev('disk')}", "bs=1M", "count=96", "oflag=direct",
                       check=False)
    expect(status == 1 and ("No space" in said or "Input/output" in said), said)
    expect_in("no space left for data", OURS.fails("vol-create-as thin more 8M"))
    expect(thin_pool()["data_percent"] > 95, thin_pool())
    told = "the data of thin pool 'cistern-thin' is full by"
    expect(wait_until(lambda: told in OURS.logged()), OURS.logged())


# --- classic ---------------------------------------------------------------------------------------

@case
def classic_snapshots_have_the_room_asked_for():
    OURS.virsh("vol-create-as thick disk 32M")
    write_at(dev("disk", "thick"), "one")
    snap("create", "disk", "s1", pool="thick")
    snap("create", "disk", "s2", "--size", "8M", pool="thick")
    expect_in("of thin volumes only", cst_pool(THICK, "changed", "disk", "s1", check=False)[1])
    rows = snapshots("disk", "thick")
    expect([row["limit"] for row in rows] == [16 * MIB, 8 * MIB], rows)
    expect(rows[0]["capacity"] == 32 * MIB and rows[0]["state"] == "good", rows)


@case
def a_classic_revert_gives_back_what_was_there_and_keeps_the_snapshot():
    write_at(dev("disk", "thick"), "two")
    snap("revert", "disk", "s1", pool="thick")
    expect(read_at(dev("disk", "thick")) == "one", read_at(dev("disk", "thick")))
    write_at(dev("disk", "thick"), "three")
    snap("revert", "disk", "s1", pool="thick")
    expect(read_at(dev("disk", "thick")) == "one", read_at(dev("disk", "thick")))
    expect(len(snapshots("disk", "thick")) == 2, snapshots("disk", "thick"))


@case
def a_classic_snapshot_that_runs_out_of_room_is_told():
    snap("create", "disk", "tiny", "--size", "4M", pool="thick")
    run("dd", "if=/dev/urandom", f"of={dev('disk', 'thick')}", "bs=1M", "count=10", "oflag=direct")
    row = [row for row in snapshots("disk", "thick") if row["name"] == "tiny"][0]
    expect(row["state"] == "lost" and row["used_percent"] == 100, row)
    expect_in("overwritten", row["problem"])
    expect_in("lost", snap("info", "disk", "tiny", pool="thick"))
    told = "snapshot 'tiny' of volume 'disk' ran out"
    expect(wait_until(lambda: told in OURS.logged()), OURS.logged())
    expect_in("lost", snap("revert", "disk", "tiny", pool="thick", status=FAILED))
    snap("delete", "disk", "tiny", pool="thick")


@long_case
def a_copy_of_a_classic_snapshot_and_a_flattened_overlay_hold_the_content():
    """Long: the thin ones above, and logical_volume_test.c, have a flattened clone."""
    for name in ("s1", "s2"):
        snap("delete", "disk", name, pool="thick")
    write_at(dev("disk", "thick"), "base")
    OURS.virsh("vol-create-as thick over 32M --backing-vol disk")
    write_at(dev("over", "thick"), "over")
    expect_in("over", OURS.cistern("vol-chain", "disk", "--pool", "thick"))
    OURS.cistern("vol-flatten", "over", "--pool", "thick")
    OURS.virsh("vol-delete disk thick")
    expect(read_at(dev("over", "thick")) == "over", read_at(dev("over", "thick")))
    OURS.virsh("vol-delete over thick")


@case
def pools_go_away():
    OURS.virsh("pool-destroy thin", "pool-delete thin", "pool-destroy thick", "pool-delete thick")
    expect("thin" not in out("vgs"), out("vgs"))
    OURS.stop()


main()
