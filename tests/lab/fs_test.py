#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of type fs on disks that hang, that fail, and that are in use; each kind of file system."""
# lab: -m 2048 -d 512M -d 512M

import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (WORK, Ours, case, disk, expect, expect_in, long_case, main,  # noqa: E402
                 noticed, out, run)
from services import faults  # noqa: E402

DISK, OTHER = disk(0), disk(1)
daemon = Ours()
sick = faults.Disk("sick", DISK)


def target(name):
    return f"{WORK}/mnt/{name}"


def define(name, device, form):
    """A pool on the device, built and not started."""
    daemon.virsh(f"pool-define-as {name} fs --source-dev {device} --source-format {form}"
                 f" --target {target(name)}", f"pool-build {name} --overwrite")


def forget(name):
    daemon.virsh(f"pool-destroy {name}", f"pool-undefine {name}", check=False)


def mounted(name):
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return [line.split(" - ")[1].split()[0] for line in table if f" {target(name)} " in line]


def carries(device):
    return out("blkid", "-p", "-o", "value", "-s", "TYPE", device, check=False).strip()


def state(name):
    return daemon.virsh(f"pool-info {name}")[0].split("State:")[1].split()[0]


def use(name):
    """Makes and deletes volumes there."""
    daemon.virsh(*(f"vol-create-as {name} u{number} 1M" for number in range(3)),
                 *(f"vol-delete u{number} --pool {name}" for number in range(3)),
                 f"vol-list {name}", f"pool-refresh {name}")


# --- disks that hang, and that fail ----------------------------------------------------------------

@case
def pools_on_two_disks_are_used():
    run("modprobe", "loop")
    daemon.start()
    define("p", sick.path, "ext4")
    define("other", OTHER, "ext4")
    daemon.virsh("pool-start p", "pool-start other", "vol-create-as p v 1M")
    expect(mounted("p") == ["ext4"], mounted("p"))
    use("other")
    expect(state("p") == "running", state("p"))


@case
def a_disk_that_hangs_is_noticed_and_delays_nobody():
    sick.hang()
    try:
        noticed("it is noticed", lambda: state("p") == "inaccessible")
        expect_in("has not answered", daemon.fails("vol-create-as p n 1M"))
        expect_in("has not answered", daemon.cistern("pool-info", "p"))
        use("other")  # while it hangs
    finally:
        sick.mend()
    noticed("its return is noticed", lambda: state("p") == "running")
    daemon.virsh("vol-create-as p n 1M", "vol-delete n --pool p")


@case
def a_disk_that_fails_is_noticed_and_delays_nobody():
    sick.fail()
    try:
        noticed("it is noticed", lambda: state("p") == "inaccessible")
        expect_in("Input/output error", daemon.cistern("pool-info", "p"))
        use("other")
        expect(state("other") == "running", state("other"))
    finally:
        sick.mend()
    noticed("its return is noticed", lambda: state("p") == "running")
    # Whether the file system itself has stood it is its own affair: it is mounted anew.
    daemon.virsh("pool-destroy p", "pool-start p")
    expect_in("v ", daemon.virsh("vol-list p")[0])


# --- devices in use --------------------------------------------------------------------------------

def refused(words):
    """What would make another thing of the device is refused, and leaves everything."""
    expect_in(words, daemon.fails("pool-build p --overwrite"))
    expect_in(words, daemon.fails("pool-build p --no-overwrite"))
    expect(carries(DISK) == "ext4", carries(DISK))


@case
def a_device_that_is_mounted_is_refused_by_the_mounts_name():
    forget("p")
    sick.remove()
    define("p", DISK, "ext4")
    os.makedirs("/mnt/away", exist_ok=True)
    run("mount", DISK, "/mnt/away")
    try:
        refused("mounted on '/mnt/away'")
        expect_in("mounted on '/mnt/away'", daemon.fails("pool-start p"))
    finally:
        run("umount", "/mnt/away")
    run("mount", OTHER, target("p"))
    try:
        expect_in(f"'{OTHER}' is mounted there", daemon.fails("pool-delete p"))
    finally:
        run("umount", target("p"))


@case
def a_device_below_others_is_refused_by_their_names():
    run("dmsetup", "create", "upon", "--table", f"0 8192 linear {DISK} 0")
    try:
        refused("'upon'")
        expect_in("'upon'", daemon.fails("pool-start p"))
    finally:
        run("dmsetup", "remove", "--retry", "upon")
    loop = out("losetup", "-f", "--show", DISK).strip()
    try:
        refused(f"loop device {loop}")
        expect_in(f"loop device {loop}", daemon.fails("pool-start p"))
    finally:
        run("losetup", "-d", loop)
    run("modprobe", "-a", "md_mod", "linear", check=False)
    run("mdadm", "--build", "/dev/md/upon", "--force", "--run", "--level=linear",
        "--raid-devices=1", DISK)
    try:
        refused("'md")
    finally:
        run("mdadm", "--stop", "/dev/md/upon")


@case
def a_device_that_a_process_has_open_is_refused_by_its_name():
    with open(DISK, "rb", buffering=0) as held:
        holder = subprocess.Popen(["sleep", "1000"], stdin=held)
    with holder:
        try:
            refused(f"process {holder.pid} (sleep)")
        finally:
            holder.terminate()


@case
def a_volume_in_use_is_refused_by_its_users_name():
    daemon.virsh("pool-start p", "vol-create-as p v 8M")
    path = os.path.join(target("p"), "v")
    loop = out("losetup", "-f", "--show", path).strip()
    try:
        for command in ("vol-delete v p", "vol-wipe v p", "vol-resize v 1M --pool p --shrink"):
            expect_in(f"loop device {loop}", daemon.fails(command))
        expect_in(f"loop device {loop}", daemon.fails("pool-destroy p"))
    finally:
        run("losetup", "-d", loop)
        forget("p")


# --- kinds of file systems -------------------------------------------------------------------------

def is_a_pool(form, shown=None):
    """Built as told, mounted, used, and there again."""
    forget("p")
    define("p", DISK, form)
    try:
        expect(carries(DISK) == form, carries(DISK))
        expect_in(f"formatted using '{form}'", daemon.fails("pool-build p --no-overwrite"))
        daemon.virsh("pool-start p")
        expect(mounted("p") == [shown or form], mounted("p"))
        daemon.virsh("vol-create-as p v 1M", "vol-clone v w --pool p", "vol-resize v 2M --pool p",
                     "vol-delete w --pool p", "pool-destroy p")
        expect(not mounted("p"), mounted("p"))
        daemon.virsh("pool-start p")
        expect_in("v ", daemon.virsh("vol-list p")[0])
        expect(os.listdir(target("p")).count("v") == 1, os.listdir(target("p")))
    finally:
        forget("p")


@case
def vfat_is_made_by_its_tool_and_used():
    is_a_pool("vfat")


@long_case
def udf_is_made_by_its_tool_and_used():
    """Long, as those below: vfat is made by a tool, too."""
    is_a_pool("udf")


@long_case
def ntfs_is_made_by_its_tool_and_used():
    run("modprobe", "fuse")
    is_a_pool("ntfs", "fuseblk")


@long_case
def gfs2_is_made_by_its_tool_and_used():
    run("modprobe", "gfs2")
    is_a_pool("gfs2")


@long_case
def ocfs2_is_made_by_its_tool_and_used():
    run("modprobe", "-a", "ocfs2", "ocfs2_stackglue")
    is_a_pool("ocfs2")


main()
