#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logical pools through stock virsh: cisternd beside stock libvirtd, and what only we do."""
# lab: -m 2048 -d 512M -d 512M -d 256M

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import compare  # noqa: E402
from kit import (MIB, WORK, Ours, case, cistern, disk, expect, expect_in, long_case, lvs, main,
                 names, out, pool_xml, read_at, run, wait_until, wipe_disks, write_at)  # noqa: E402

OURS = Ours()
MAIN = pool_xml("lv", [], vg="vglab")

# --- the same commands, to both --------------------------------------------------------------------

# What we answer differs on purpose where a pattern stands.
STEPS = [
    ("pool-define {xml}", None),
    ("pool-build lv", None),
    ("pool-build lv", "volume group 'vglab' exists already"),
    ("pool-build lv --overwrite --no-overwrite", None),
    ("pool-start lv", None),
    ("pool-autostart lv", None),
    ("vol-create-as lv plain 16M", None),
    ("vol-create-as lv odd 10000001", None),
    ("vol-create-as lv sparse 16M --allocation 8M", None),
    ("vol-create-as lv snap 8M --backing-vol plain", None),
    ("vol-list lv --details", None),
    ("vol-dumpxml plain lv", None),
    ("vol-dumpxml sparse lv", None),
    ("vol-dumpxml snap lv", r"(?s)<path>/dev/vglab/plain</path>\n  </backingStore>"),
    ("vol-info odd lv", None),
    ("vol-path plain lv", None),
    ("pool-info lv", None),
    ("pool-list --all", None),
    ("find-storage-pool-sources logical", None),
    ("vol-clone plain copy --pool lv", None),
    ("vol-create-as lv plain 4M", None),
    ("vol-create-as lv big 100G", "insufficient free space"),
    ("vol-delete snap lv", None),
    ("vol-wipe plain lv", None),
    ("vol-wipe sparse lv", None),
    ("vol-upload plain {file} lv", None),
    ("vol-download copy {there} lv", None),
    ("vol-delete copy lv", None),
    ("vol-delete sparse lv", None),
    ("vol-delete copy lv", None),
    ("vol-list lv", None),
    ("pool-refresh lv", None),
    ("pool-dumpxml lv", None),
    ("pool-build lv", None),
    ("pool-delete lv", None),
    ("pool-destroy lv", None),
    ("pool-delete lv", None),
    ("pool-start lv", "cannot find logical volume group name 'vglab'"),
    ("pool-undefine lv", None),
]


def prepare():
    wipe_disks(disk(0), disk(1), disk(2))


def values():
    file = os.path.join(WORK, "bytes")
    with open(file, "wb") as data:
        data.write(os.urandom(MIB))
    return {"xml": pool_xml("lv", [disk(0), disk(1)], vg="vglab"), "file": file,
            "there": file + ".back"}


compare(OURS, STEPS, prepare, values)

# --- ours ------------------------------------------------------------------------------------------

@case
def a_group_that_is_there_is_used_as_it_is():
    wipe_disks(disk(0), disk(1), disk(2))
    run("vgcreate", "-y", "vglab", disk(0), disk(1))
    run("lvcreate", "-y", "-L", "16M", "-n", "old", "vglab")
    write_at("/dev/vglab/old", "kept")
    OURS.start()
    OURS.virsh(f"pool-define {MAIN}", "pool-start lv", "pool-autostart lv")
    expect("old" in OURS.virsh("vol-list lv")[0], "the volume is not listed")
    expect(read_at("/dev/vglab/old") == "kept", "its content changed")


@case
def a_device_that_carries_something_is_not_formatted_unasked():
    run("mkfs.ext4", "-q", disk(2))
    xml = pool_xml("other", [disk(2)])
    OURS.virsh(f"pool-define {xml}")
    expect_in("ext4", OURS.fails("pool-build other"))
    expect_in("ext4", OURS.fails("pool-build other --no-overwrite"))
    expect_in("ext4", out("blkid", disk(2)))


@case
def a_mounted_device_is_not_built_on_whatever_is_asked():
    os.makedirs("/mnt", exist_ok=True)
    run("mount", disk(2), "/mnt")
    expect_in("mounted on '/mnt'", OURS.fails("pool-build other --overwrite"))
    run("umount", "/mnt")
    expect_in("ext4", out("blkid", disk(2)))


@case
def overwrite_builds_on_what_nobody_uses():
    OURS.virsh("pool-build other --overwrite", "pool-start other", "pool-destroy other")
    expect_in("other", out("vgs"))


@case
def another_group_is_not_built_over():
    xml = pool_xml("third", [disk(2)])
    OURS.virsh("pool-undefine other", f"pool-define {xml}")
    expect_in("belongs to volume group 'other'", OURS.fails("pool-build third --overwrite"))
    OURS.virsh("pool-undefine third")
    run("vgremove", "-f", "other")
    wipe_disks_of_third()


@long_case
def striped_and_mirrored_volumes_tell_where_they_lie():
    run("lvcreate", "-y", "-i", "2", "-L", "16M", "-n", "striped", "vglab")
    run("lvcreate", "-y", "-m", "1", "-L", "16M", "-n", "mirrored", "vglab")
    OURS.virsh("pool-refresh lv")
    for name, size in (("striped", 8 * MIB), ("mirrored", 16 * MIB)):
        xml = OURS.virsh(f"vol-dumpxml {name} lv")[0]
        for number in (0, 1):
            found = re.search(rf"<device path='{disk(number)}'>\s*<extent start='(\d+)' end='(\d+)'",
                              xml)
            expect(found, f"{name} has nothing on disk {number}: {xml}")
            expect(int(found.group(2)) - int(found.group(1)) == size, xml)
    OURS.virsh("vol-delete striped lv", "vol-delete mirrored lv")


@case
def what_lvm_s_own_tools_do_is_seen():
    run("lvcreate", "-y", "-L", "8M", "-n", "native", "vglab")
    expect(wait_until(lambda: "native" in OURS.virsh("vol-list lv")[0]), "not seen by itself")
    run("lvrename", "vglab", "native", "renamed")
    expect(wait_until(lambda: "renamed" in OURS.virsh("vol-list lv")[0]), "rename not seen")
    run("lvextend", "-L", "16M", "vglab/renamed")
    expect_in("16.00 MiB", OURS.virsh("pool-refresh lv", "vol-info renamed lv")[1])
    run("lvremove", "-f", "vglab/renamed")
    expect_in("not found", OURS.fails("vol-info renamed lv"))


@case
def content_goes_in_and_comes_out():
    file = os.path.join(WORK, "content")
    with open(file, "wb") as data:
        data.write(os.urandom(3 * MIB + 512))
    OURS.virsh("vol-create-as lv disk 8M", f"vol-upload disk {file} lv",
               f"vol-download disk {file}.back lv --length {3 * MIB + 512}",
               "vol-clone disk copy --pool lv",
               f"vol-download copy {file}.copy lv --length {3 * MIB + 512}")
    for other in (".back", ".copy"):
        run("cmp", file, file + other)
    OURS.virsh("vol-wipe disk lv")
    run("cmp", "-n", str(8 * MIB), "/dev/vglab/disk", "/dev/zero")
    OURS.virsh("vol-delete copy lv")


@case
def a_copy_whose_size_is_no_number_of_extents_ends_with_zeroes():
    size = 3 * MIB + 512
    near = os.path.join(WORK, "near")
    file = os.path.join(WORK, "odd")

    def here(*words, status=0):
        return cistern("--root", near, *words, status=status)

    def bring(*words, status=0):
        with open(file, "wb") as data:
            data.write(os.urandom(size))
        here("vol-upload", "odd", file)
        return here("vol-copy", "odd", "--to", OURS.uri, "--newpool", "lv", *words, status=status)

    # LVM leaves on a device what lay there before.
    OURS.virsh("vol-create-as lv before 8M")
    run("dd", "if=/dev/urandom", "of=/dev/vglab/before", "bs=1M", "count=8", "oflag=direct")
    OURS.virsh("vol-delete before lv")
    here("pool-create-as", "near", "dir", "--target", os.path.join(near, "images"), "--build")
    here("vol-create-as", "near", "odd", str(size))
    for words in [], ["--update", "--yes"]:
        bring(*words)
        run("cmp", "-n", str(size), file, "/dev/vglab/odd")
        run("cmp", "-n", str(4 * MIB - size), "-i", f"{size}:0", "/dev/vglab/odd", "/dev/zero")
    write_at("/dev/vglab/odd", "another's", 4 * MIB - 4096)
    expect_in("no copy of this vol", bring("--update", "--yes", status=7))
    expect(read_at("/dev/vglab/odd", 4 * MIB - 4096) == "another's", "it was written over")
    OURS.virsh("vol-delete odd lv")
    here("pool-destroy", "near")


@case
def volumes_grow_and_shrink():
    write_at("/dev/vglab/disk", "begin")
    OURS.virsh("vol-resize disk 16M lv")
    expect(lvs("vglab", "lv_name,lv_size")[0] == ["disk", str(16 * MIB)], lvs("vglab"))
    expect_in("shrink", OURS.fails("vol-resize disk 8M lv"))
    OURS.virsh("vol-resize disk 8M lv --shrink")
    expect(lvs("vglab", "lv_name,lv_size")[0] == ["disk", str(8 * MIB)], lvs("vglab"))
    expect(read_at("/dev/vglab/disk") == "begin", "its content changed")


@case
def a_mounted_volume_is_neither_deleted_nor_wiped_nor_shrunk():
    run("mkfs.ext4", "-q", "/dev/vglab/disk")
    run("mount", "/dev/vglab/disk", "/mnt")
    for command in ("vol-delete disk lv", "vol-wipe disk lv", "vol-resize disk 4M lv --shrink"):
        expect_in("mounted on '/mnt'", OURS.fails(command))
    expect_in("mounted on '/mnt'", OURS.fails("pool-destroy lv"))
    run("umount", "/mnt")


@case
def an_open_volume_names_the_process():
    holder = subprocess.Popen(["sleep", "1000"], stdin=open("/dev/vglab/disk", "rb"))
    try:
        expect_in(f"process {holder.pid} (sleep)", OURS.fails("vol-delete disk lv"))
    finally:
        holder.kill()
        holder.wait()


@case
def what_lies_on_a_volume_is_named():
    size = int(lvs("vglab", "lv_name,lv_size")[0][1]) // 512
    run("dmsetup", "create", "labtop", data=f"0 {size} linear /dev/vglab/disk 0\n")
    try:
        expect_in("labtop", OURS.fails("vol-delete disk lv"))
    finally:
        run("dmsetup", "remove", "--retry", "labtop")
    OURS.virsh("vol-delete disk lv")


@case
def a_full_group_says_so_and_leaves_nothing():
    expect_in("insufficient free space", OURS.fails("vol-create-as lv huge 10G"))
    expect(names("vglab") == ["old"], names("vglab"))


@case
def an_active_pool_survives_a_restart_of_the_daemon():
    OURS.stop()
    OURS.start()
    expect_in("active", OURS.virsh("pool-list --all")[0])
    expect_in("old", OURS.virsh("vol-list lv")[0])


@case
def an_active_pool_without_volumes_survives_it_too():
    OURS.virsh("vol-delete old lv")
    OURS.stop()
    OURS.start()
    expect_in("running", OURS.virsh("pool-info lv")[0])
    OURS.virsh("vol-create-as lv old 8M")


@case
def an_autostarted_pool_comes_up_by_itself():
    OURS.virsh("pool-destroy lv")
    expect(not os.path.exists("/dev/vglab/old"), "its volumes are still active")
    OURS.stop()
    run("rm", "-rf", os.path.join(OURS.root, "run"))
    OURS.start()
    expect(wait_until(lambda: "running" in OURS.virsh("pool-info lv")[0]), "it stays down")
    expect(os.path.exists("/dev/vglab/old"), "its volumes are not active")


@case
def a_broken_device_is_an_error_and_not_an_empty_list():
    """device-mapper's error target in place of the disk under a group."""
    wipe_disks_of_third()
    run("dmsetup", "create", "labdisk", data=table(f"linear {disk(2)} 2048"))
    xml = pool_xml("broken", ["/dev/mapper/labdisk"])
    OURS.virsh(f"pool-define {xml}", "pool-build broken", "pool-start broken",
               "vol-create-as broken b 8M")
    load("error")
    text = OURS.virsh("pool-refresh broken", check=False)[0]
    expect_in("error:", text)
    expect_in("inaccessible", OURS.virsh("pool-info broken", check=False)[0])
    expect_in("old", OURS.virsh("vol-list lv")[0])
    load(f"linear {disk(2)} 2048")
    OURS.virsh("pool-refresh broken")
    expect_in("/dev/broken/b", OURS.virsh("vol-list broken")[0])
    OURS.virsh("vol-delete b broken", "pool-destroy broken", "pool-delete broken")
    run("dmsetup", "remove", "--retry", "labdisk")


def wipe_disks_of_third():
    run("pvremove", "-ff", "-y", disk(2), check=False)
    run("wipefs", "-aq", disk(2))


def table(target):
    """All of the disk but its first MiB: LVM must not find the same on the disk itself."""
    return f"0 {int(out('blockdev', '--getsz', disk(2))) - 2048} {target}\n"


def load(target):
    run("dmsetup", "suspend", "--noflush", "--nolockfs", "labdisk")
    run("dmsetup", "load", "labdisk", data=table(target))
    run("dmsetup", "resume", "labdisk")


@case
def the_daemon_stops():
    OURS.virsh("vol-delete old lv", "pool-destroy lv")
    OURS.stop()
    expect(OURS.process.returncode == 0, OURS.process.returncode)


main()
