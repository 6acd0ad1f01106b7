# SPDX-License-Identifier: LGPL-2.1-or-later
"""SCSI hosts with disks in memory (scsi_debug), and multipath over two hosts with the same disks."""

import glob
import os
import re

from kit import run, wait_until

MULTIPATH = """defaults {
    find_multipaths no
    user_friendly_names yes
    polling_interval 1
    skip_kpartx yes
}
blacklist {
    devnode "^(vd|loop|ram|zd|nbd)"
}
"""


def hosts():
    """Numbers of the hosts that scsi_debug has made."""
    return sorted(int(re.search(r"host(\d+)$", path).group(1))
                  for path in glob.glob("/sys/bus/pseudo/devices/adapter*/host*"))


def start(count=1, units=1, mib=32, same=False):
    """COUNT hosts with UNITS disks each; SAME: each shows the first one's disks, as two paths do."""
    run("modprobe", "scsi_debug", f"add_host={count}", f"max_luns={units}", "num_tgts=1",
        f"dev_size_mb={mib}", f"vpd_use_hostno={0 if same else 1}",
        f"per_host_store={0 if same else 1}")
    run("udevadm", "settle")
    return hosts()


def stop():
    run("modprobe", "-r", "scsi_debug")


def add_host():
    with open("/sys/bus/pseudo/drivers/scsi_debug/add_host", "w", encoding="ascii") as file:
        file.write("1")
    run("udevadm", "settle")


def remove_host():
    """The one that was added last."""
    with open("/sys/bus/pseudo/drivers/scsi_debug/add_host", "w", encoding="ascii") as file:
        file.write("-1")
    run("udevadm", "settle")


def disks(host):
    """Device nodes of a host, in the order of their units."""
    found = glob.glob(f"/sys/class/scsi_device/{host}:*/device/block/*")
    order = sorted(found, key=lambda path: int(path.split("/")[4].split(":")[3]))
    return ["/dev/" + os.path.basename(path) for path in order]


def set_state(device, state):
    """ "offline" as a path that is gone, "running" again."""
    path = f"/sys/class/block/{os.path.basename(device)}/device/state"
    with open(path, "w", encoding="ascii") as file:
        file.write(state + "\n")


def start_multipath():
    """Maps over all disks that two or more paths lead to; the names of the maps."""
    run("modprobe", "-a", "dm_multipath", "dm_round_robin", "sg")
    os.makedirs("/etc/multipath", exist_ok=True)
    with open("/etc/multipath.conf", "w", encoding="ascii") as file:
        file.write(MULTIPATH)
    run("multipathd")
    wait_until(maps)
    run("udevadm", "settle")
    return maps()


def maps():
    return sorted(run("multipath", "-l", "-v", "1", check=False)[1].split())
