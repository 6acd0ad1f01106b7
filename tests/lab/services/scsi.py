# SPDX-License-Identifier: LGPL-2.1-or-later
"""
SCSI hosts with disks in memory, and multipath over two hosts with the same disks.

Hosts of scsi_debug come and go, but all units of one (with same=True: of all) show the same bytes.
Those of LIO's loopback target (attach) hold what is theirs.
"""

import glob
import os
import re

from kit import run, wait_until, write

LIO = "/sys/kernel/config/target"

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


def unit(name, mib):
    """A unit of LIO's: the directory that describes it. By its serial, paths to it are found."""
    folder = f"{LIO}/core/fileio_0/{name}"
    os.makedirs(folder)
    with open(f"/run/{name}", "w", encoding="ascii") as file:
        file.truncate(mib << 20)
    write(f"{folder}/control", f"fd_dev_name=/run/{name},fd_dev_size={mib << 20}")
    write(f"{folder}/enable", "1")
    write(f"{folder}/wwn/vpd_unit_serial", name)
    return folder


def attach(count, units, mib, same=False):
    """
    Numbers of COUNT hosts with UNITS disks each (two at most), of which each has its own content;
    SAME: each host shows the first one's disks, as two paths do.
    """
    run("modprobe", "-a", "target_core_mod", "target_core_file", "tcm_loop")
    if not os.path.isdir(LIO):
        run("mount", "-t", "configfs", "none", "/sys/kernel/config")
    before = set(glob.glob("/sys/bus/tcm_loop_bus/devices/*/host*"))
    shown = []
    for host in range(count):
        if not (same and shown):
            shown = [unit(f"{host}{number}", mib) for number in range(units)]
        for number, folder in enumerate(shown):
            # A host finds again what is unit 0 of a target, and nothing else; it sees two targets.
            port = f"{LIO}/loopback/naa.600140500000000{host}/tpgt_{number}"
            os.makedirs(port)
            write(f"{port}/nexus", f"naa.60014051111111{host}{number}")
            os.mkdir(f"{port}/lun/lun_0")
            os.symlink(folder, f"{port}/lun/lun_0/storage")
    made = set(glob.glob("/sys/bus/tcm_loop_bus/devices/*/host*")) - before
    numbers = sorted(int(re.search(r"host(\d+)$", path).group(1)) for path in made)
    wait_until(lambda: all(len(disks(number)) == units for number in numbers))
    run("udevadm", "settle")
    return numbers


def add_host():
    write("/sys/bus/pseudo/drivers/scsi_debug/add_host", "1")
    run("udevadm", "settle")


def remove_host():
    """The one that was added last."""
    write("/sys/bus/pseudo/drivers/scsi_debug/add_host", "-1")
    run("udevadm", "settle")


def disks(host):
    """Device nodes of a host, in the order of their targets and units."""
    found = glob.glob(f"/sys/class/scsi_device/{host}:*/device/block/*")
    order = sorted(found, key=lambda path: [int(part) for part in path.split("/")[4].split(":")])
    return ["/dev/" + os.path.basename(path) for path in order]


def set_state(device, state):
    """ "offline" as a path that is gone, "running" again."""
    write(f"/sys/class/block/{os.path.basename(device)}/device/state", state + "\n")


def start_multipath():
    """Maps over all disks that two or more paths lead to; the names of the maps."""
    run("modprobe", "-a", "dm_multipath", "dm_round_robin", "sg")
    os.makedirs("/etc/multipath", exist_ok=True)
    write("/etc/multipath.conf", MULTIPATH)
    run("multipathd")
    wait_until(maps)
    run("udevadm", "settle")
    return maps()


def maps():
    return sorted(run("multipath", "-l", "-v", "1", check=False)[1].split())
