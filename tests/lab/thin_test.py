#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Thin volumes and snapshots of logical pools: content, fullness, names."""
# lab: -m 2048 -d 512M -d 512M

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (MIB, Ours, case, cst_pool, disk, expect, expect_in, lvs, main, names, out,
                 pool_xml, read_at, run, wipe_disks, write_at)  # noqa: E402

OURS = Ours()
THIN = pool_xml("thin", [disk(0)], {"thin": "yes", "thin-pool-size": "64M",
                                    "thin-pool-metadata-size": "4M"})
THICK = pool_xml("thick", [disk(1)], {"snapshot-size": "50%"})


def dev(name, pool="thin"):
    return f"/dev/{pool}/{name}"


def snapshots(xml, volume):
    """Rows of snap-list: name, capacity, allocation, limit, problem."""
    rows = cst_pool(xml, "snap-list", volume)[1].splitlines()
    return [row.split(" ", 4) for row in rows]


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
    words = cst_pool(THIN, "thin")[1].split()
    expect(words[0] == "cistern-thin" and words[1] == str(64 * MIB) and int(words[2]) > 0, words)
    expect(words[3] == str(4 * MIB) and int(words[4]) > 0 and words[5] == "1", words)


@case
def thick_can_be_asked_for_in_a_thin_pool_and_thin_in_a_thick_one():
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
    used = int(cst_pool(THIN, "thin")[1].split()[2])
    OURS.virsh("vol-clone disk clone --pool thin")
    expect(read_at(dev("clone")) == "one", "the clone holds something else")
    expect(int(cst_pool(THIN, "thin")[1].split()[2]) <= used + MIB, "the clone was copied")
    write_at(dev("clone"), "two")
    expect(read_at(dev("disk")) == "one", "the original changed with its clone")


@case
def the_origin_of_a_thin_clone_may_go():
    OURS.virsh("vol-clone clone clone2 --pool thin", "vol-delete clone thin")
    expect(read_at(dev("clone2")) == "two", "the clone's clone lost its content")
    OURS.virsh("vol-delete clone2 thin")


@case
def thin_snapshots_hold_what_was_there():
    for text in ("one", "two", "three"):
        write_at(dev("disk"), text)
        cst_pool(THIN, "snap-create", "disk", f"after {text}")
    write_at(dev("disk"), "four")
    rows = [row[0] for row in snapshots(THIN, "disk")]
    expect(len(snapshots(THIN, "disk")) == 3, rows)
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
        cst_pool(THIN, "snap-revert", "disk", f"after {text}")
        expect(read_at(dev("disk")) == text, f"not {text} but {read_at(dev('disk'))}")
        expect(len(snapshots(THIN, "disk")) == 3, snapshots(THIN, "disk"))
    expect(names("thin").count("disk") == 1, names("thin"))


@case
def a_snapshot_is_cloned_and_the_clone_has_snapshots():
    cst_pool(THIN, "snap-clone", "disk", "after three", "third")
    expect(read_at(dev("third")) == "three", read_at(dev("third")))
    cst_pool(THIN, "snap-create", "third", "s")
    write_at(dev("third"), "other")
    cst_pool(THIN, "snap-revert", "third", "s")
    expect(read_at(dev("third")) == "three", read_at(dev("third")))


@case
def a_flattened_clone_shares_nothing_and_keeps_its_snapshots():
    cst_pool(THIN, "flatten", "third")
    rows = {row[0]: row for row in lvs("thin", "lv_name,origin")}
    expect(rows["third"][1] == "", rows)
    expect(read_at(dev("third")) == "three", read_at(dev("third")))
    expect(len(snapshots(THIN, "third")) == 1, snapshots(THIN, "third"))


@case
def a_volume_with_snapshots_is_not_deleted_without_a_word():
    expect_in("snapshot", OURS.fails("vol-delete third thin"))
    OURS.virsh("vol-delete third thin --delete-snapshots")
    expect("third" not in names("thin"), names("thin"))


@case
def snapshots_are_renamed_and_deleted():
    cst_pool(THIN, "snap-rename", "disk", "after one", "first, \"of\" all")
    expect_in("first, \"of\" all", cst_pool(THIN, "snap-list", "disk")[1])
    expect_in("already", cst_pool(THIN, "snap-create", "disk", "after two", check=False)[1])
    for name in ("first, \"of\" all", "after two", "after three"):
        cst_pool(THIN, "snap-delete", "disk", name)
    expect(not snapshots(THIN, "disk"), snapshots(THIN, "disk"))


# --- classic ---------------------------------------------------------------------------------------

@case
def classic_snapshots_have_the_room_asked_for():
    OURS.virsh("vol-create-as thick disk 32M")
    write_at(dev("disk", "thick"), "one")
    cst_pool(THICK, "snap-create", "disk", "s1")
    cst_pool(THICK, "snap-create", "disk", "s2", str(8 * MIB))
    rows = snapshots(THICK, "disk")
    expect([row[3] for row in rows] == [str(16 * MIB), str(8 * MIB)], rows)
    expect(rows[0][1] == str(32 * MIB) and rows[0][4] == "-", rows)


@case
def a_classic_revert_gives_back_what_was_there_and_keeps_the_snapshot():
    write_at(dev("disk", "thick"), "two")
    cst_pool(THICK, "snap-revert", "disk", "s1")
    expect(read_at(dev("disk", "thick")) == "one", read_at(dev("disk", "thick")))
    write_at(dev("disk", "thick"), "three")
    cst_pool(THICK, "snap-revert", "disk", "s1")
    expect(read_at(dev("disk", "thick")) == "one", read_at(dev("disk", "thick")))
    expect(len(snapshots(THICK, "disk")) == 2, snapshots(THICK, "disk"))


@case
def a_classic_snapshot_that_runs_out_of_room_is_told():
    cst_pool(THICK, "snap-create", "disk", "tiny", str(4 * MIB))
    run("dd", "if=/dev/urandom", f"of={dev('disk', 'thick')}", "bs=1M", "count=10", "oflag=direct")
    row = [row for row in snapshots(THICK, "disk") if row[0] == "tiny"][0]
    expect_in("overwritten", row[4])
    expect_in("lost", cst_pool(THICK, "snap-revert", "disk", "tiny", check=False)[1])
    cst_pool(THICK, "snap-delete", "disk", "tiny")


@case
def a_copy_of_a_classic_snapshot_and_a_flattened_overlay_hold_the_content():
    for name in ("s1", "s2"):
        cst_pool(THICK, "snap-delete", "disk", name)
    write_at(dev("disk", "thick"), "base")
    OURS.virsh("vol-create-as thick over 32M --backing-vol disk")
    write_at(dev("over", "thick"), "over")
    expect_in("over", cst_pool(THICK, "children", "disk")[1])
    cst_pool(THICK, "flatten", "over")
    OURS.virsh("pool-refresh thick", "vol-delete disk thick")
    expect(read_at(dev("over", "thick")) == "over", read_at(dev("over", "thick")))
    OURS.virsh("vol-delete over thick")


# --- full ------------------------------------------------------------------------------------------

@case
def a_full_thin_pool_says_no_space_and_recovers():
    OURS.virsh("vol-create-as thin big 128M")
    bytes_file = os.path.join(os.path.dirname(THIN), "bytes")
    run("dd", "if=/dev/urandom", f"of={bytes_file}", "bs=1M", "count=80")
    expect_in("no space left for data", OURS.fails(f"vol-upload big {bytes_file} thin"))
    expect_in("running", OURS.virsh("pool-info thin")[0])
    run("lvextend", "-L", "+64M", "thin/cistern-thin")
    OURS.virsh(f"vol-upload big {bytes_file} thin",
               f"vol-download big {bytes_file}.back thin --length {80 * MIB}")
    run("cmp", bytes_file, bytes_file + ".back")
    OURS.virsh("vol-delete big thin")


@case
def pools_go_away():
    OURS.virsh("pool-destroy thin", "pool-delete thin", "pool-destroy thick", "pool-delete thick")
    expect("thin" not in out("vgs"), out("vgs"))
    OURS.stop()


main()
