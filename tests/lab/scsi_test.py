#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of SCSI hosts, and of multipath maps: cisternd beside stock libvirtd, on scsi_debug."""
# lab: -m 1536

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import compare  # noqa: E402
from kit import (MIB, WORK, Ours, case, expect, expect_in, long_case, main, out, read_at, run,
                 wait_until, write_at, write_xml)  # noqa: E402
from services import scsi  # noqa: E402

OURS = Ours()


def definition(name, adapter, target="/dev/disk/by-id"):
    return write_xml(f"{name}.xml", f"<pool type='scsi'><name>{name}</name><source>{adapter}"
                                    f"</source><target><path>{target}</path></target></pool>")


def by_number(host):
    return f"<adapter type='scsi_host' name='host{host}'/>"


def any_link(stock, ours):
    """Several of udev's names lead to one disk, and either daemon takes another."""
    both_links = [re.sub(r"[ -]{2,}", " ", re.sub(r"/dev/disk/by-id/\S+?(?=<|\s|$)", "LINK", text))
                  for text in (stock[1], ours[1])]
    return [0, both_links[0], ""], [0, both_links[1], ""]


# --- the same commands, to both --------------------------------------------------------------------

SCSI_STEPS = [
    ("pool-define {xml}", None),
    ("pool-build s", None),
    ("pool-start s", None),
    ("pool-info s", None),
    ("pool-dumpxml s", None),
    ("vol-list s --details", any_link),
    ("vol-dumpxml unit:0:0:0 s", any_link),
    ("vol-dumpxml unit:0:0:1 s", any_link),
    ("vol-key unit:0:0:1 s", None),
    ("vol-name {node}", None),
    ("vol-upload unit:0:0:0 {file} s", None),
    ("vol-download unit:0:0:0 {there} s", None),
    ("vol-wipe unit:0:0:1 s", None),
    ("vol-create-as s new 1M", "does not support volume creation"),
    ("vol-delete unit:0:0:1 s", "does not support vol deletion"),
    ("vol-resize unit:0:0:1 64M --pool s", None),
    ("find-storage-pool-sources scsi", None),
    ("pool-refresh s", None),
    ("pool-delete s", None),
    ("pool-destroy s", None),
    ("pool-delete s", "does not support pool deletion"),
    ("pool-undefine s", None),
    ("pool-define {none}", None),
    ("pool-start none", "there is no SCSI host 'host99'"),
    ("pool-define {fc}", None),
    ("pool-start fc", "this machine does not have one"),
]

MPATH_STEPS = [
    ("pool-define-as m mpath --target /dev/mapper", None),
    ("pool-start m", None),
    ("vol-list m --details", None),
    ("vol-dumpxml {map} m", r"<cistern:option name='paths' value='sd. active, sd. active'/>"),
    ("vol-info {map} m", None),
    ("vol-key {map} m", None),
    ("vol-path {map} m", None),
    ("vol-name {path}", None),
    ("vol-upload {map} {file} m", None),
    ("vol-wipe {map} m", None),
    ("vol-create-as m new 1M", "does not support volume creation"),
    ("vol-delete {map} m", "does not support vol deletion"),
    ("find-storage-pool-sources mpath", None),
    ("pool-info m", None),
    ("pool-dumpxml m", None),
    ("pool-delete m", None),
    ("pool-destroy m", None),
    ("pool-undefine m", None),
]

HOSTS = []
MAPS = []


def file_to_upload():
    file = os.path.join(WORK, "bytes")
    with open(file, "wb") as data:
        data.write(os.urandom(MIB))
    return {"file": file, "there": file + ".back"}


def make_disks():
    if not HOSTS:
        HOSTS.extend(scsi.start(units=2, mib=16))
        run("sfdisk", "-q", scsi.disks(HOSTS[0])[1], data="label: gpt\n,4M\n")


def disks():
    fc = "<adapter type='fc_host' wwnn='20000000c9831b4b' wwpn='10000000c9831b4b'/>"
    return dict(file_to_upload(), xml=definition("s", by_number(HOSTS[0])),
                none=definition("none", by_number(99)), fc=definition("fc", fc),
                node=scsi.disks(HOSTS[0])[1])


compare(OURS, SCSI_STEPS, make_disks, disks)


def drop_hosts():
    """Once udev has looked at the disks for the last time."""
    expect(wait_until(lambda: run("modprobe", "-r", "scsi_debug", check=False)[0] == 0),
           "scsi_debug is in use")


def make_maps():
    """Two hosts show the same two disks."""
    if not MAPS:
        drop_hosts()
        HOSTS[:] = scsi.start(count=2, units=2, mib=16, same=True)
        MAPS.extend(scsi.start_multipath())


def map_name():
    return os.path.basename(os.path.realpath(f"/dev/mapper/{MAPS[1]}"))


def maps():
    return dict(file_to_upload(), map=map_name(), path=f"/dev/mapper/{MAPS[1]}")


compare(OURS, MPATH_STEPS, make_maps, maps)

# --- ours: multipath -------------------------------------------------------------------------------


def paths():
    return re.search(r"name='paths' value='(.*?)'", OURS.virsh(f"vol-dumpxml {map_name()} m")[0])


@case
def a_path_that_fails_is_shown_without_a_refresh():
    OURS.start()
    OURS.virsh("pool-define-as m mpath --target /dev/mapper", "pool-start m")
    disk = scsi.disks(HOSTS[1])[1]
    scsi.set_state(disk, "offline")
    name = os.path.basename(disk)
    expect(wait_until(lambda: f"{name} failed (offline)" in paths().group(1)), paths().group(1))
    expect(wait_until(lambda: "degraded" in OURS.cistern("pool-info", "m")), "not degraded")
    expect_in(f"{name} failed (offline)", OURS.cistern("pool-list", "--details"))
    OURS.virsh(f"vol-download {map_name()} {WORK}/back m")
    scsi.set_state(disk, "running")
    expect(wait_until(lambda: f"{name} active" in paths().group(1)), paths().group(1))
    expect_in("4 of 4 paths work", OURS.cistern("pool-info", "m"))


@long_case
def a_map_without_paths_has_a_problem_and_keeps_nobody_waiting():
    """Long: mpath_test.c has what the kernel says of such a map."""
    disks = [scsi.disks(host)[1] for host in HOSTS]
    for disk in disks:
        scsi.set_state(disk, "offline")
    expect(wait_until(lambda: "no path to the multipath map works"
                      in OURS.cistern("vol-info", "--pool", "m", map_name())),
           OURS.cistern("vol-info", "--pool", "m", map_name()))
    OURS.virsh("pool-refresh m")
    for disk in disks:
        scsi.set_state(disk, "running")
    expect(wait_until(lambda: "failed" not in paths().group(1)), paths().group(1))


@case
def a_disk_below_a_map_is_held_by_it():
    OURS.virsh("pool-undefine s", check=False)
    OURS.virsh(f"pool-define {definition('s', by_number(HOSTS[0]))}", "pool-start s")
    expect_in("mpath", OURS.fails("vol-wipe unit:0:0:1 s"))
    OURS.virsh("pool-destroy s", "pool-destroy m", "pool-undefine m")
    run("multipathd", "shutdown", check=False)
    expect(wait_until(lambda: run("multipath", "-F", check=False)[0] == 0), "maps stay")
    OURS.virsh("pool-start s")


# --- ours: SCSI ------------------------------------------------------------------------------------

@long_case
def the_ways_in_which_a_disk_is_in_use_are_named():
    """Long: fs_test.py has the same of its devices, device_test.c every way."""
    device = scsi.disks(HOSTS[0])[1]
    run("mkfs.ext4", "-q", device)
    os.makedirs("/mnt", exist_ok=True)
    run("mount", device, "/mnt")
    expect_in("mounted on '/mnt'", OURS.fails("vol-wipe unit:0:0:1 s"))
    expect_in("does not support vol deletion", OURS.fails("vol-delete unit:0:0:1 s"))
    run("umount", "/mnt")
    run("dmsetup", "create", "upon", "--table", f"0 8192 linear {device} 0")
    expect_in("upon", OURS.fails("vol-wipe unit:0:0:1 s"))
    run("dmsetup", "remove", "upon")
    holder = subprocess.Popen(["sleep", "60"], stdin=open(device, "rb"))
    expect_in("sleep", OURS.fails("vol-wipe unit:0:0:1 s"))
    holder.kill()
    holder.wait()
    expect_in("ext4", out("blkid", device))
    OURS.virsh("vol-wipe unit:0:0:1 s")
    expect(run("blkid", "-p", device, check=False)[0] != 0, "it carries something still")


@case
def a_disk_that_goes_and_comes_is_seen_without_a_refresh():
    device = scsi.disks(HOSTS[0])[1]
    with open(f"/sys/block/{os.path.basename(device)}/device/delete", "w",
              encoding="ascii") as delete:
        delete.write("1")
    expect(wait_until(lambda: "unit:0:0:1" not in OURS.virsh("vol-list s")[0]), "still listed")
    OURS.virsh("pool-refresh s")
    expect_in("unit:0:0:1", OURS.virsh("vol-list s")[0])


@long_case
def a_disk_that_is_offline_has_a_problem():
    """Long: the unit test scsi_test.c has it, and a case above a path that is offline."""
    device = scsi.disks(HOSTS[0])[1]
    scsi.set_state(device, "offline")
    OURS.virsh("pool-refresh s")
    expect_in("state 'offline'", OURS.cistern("vol-info", "--pool", "s", "unit:0:0:1"))
    scsi.set_state(device, "running")
    OURS.virsh("pool-refresh s")
    expect("roblem" not in OURS.cistern("vol-info", "--pool", "s", "unit:0:0:1"), "it stays")


@case
def the_path_leads_to_the_disk():
    write_at(scsi.disks(HOSTS[0])[0], "by its node")
    path = OURS.virsh("vol-path unit:0:0:0 s")[0]
    expect(path.startswith("/dev/disk/by-id/") and read_at(path) == "by its node", path)


@case
def another_host_of_the_number_is_not_shown():
    OURS.stop(how=9)
    drop_hosts()
    OURS.start()
    expect_in("there is no SCSI host", OURS.fails("pool-refresh s"))
    OURS.virsh("pool-destroy s")
    OURS.stop()


main()
