# SPDX-License-Identifier: LGPL-2.1-or-later
"""ZFS in the kernel, pools on disks, and vdevs that fail."""

import os

from kit import Skipped, expect, run, wait_until


def require():
    """The module is there; without it, the case that asks is skipped."""
    if os.path.exists("/etc/no-zfs"):
        with open("/etc/no-zfs", encoding="utf-8") as file:
            raise Skipped(file.read().strip())
    run("modprobe", "zfs")
    expect(wait_until(lambda: os.path.exists("/dev/zfs")), "there is no /dev/zfs")


def create_pool(name, *words):
    """Pool NAME on disks (or "mirror", disks…)."""
    require()
    run("zpool", "create", "-f", name, *words)


def when_idle(*command):
    """udev may be looking at a volume, which it does after each writing; ZFS calls it busy then."""
    def done():
        status, text = run(*command, check=False)
        expect(status == 0 or "is busy" in text, text)
        return status == 0
    expect(wait_until(done), f"{command[-1]} stays in use")


def destroy_pool(name):
    """Whether there is one or not."""
    if run("zpool", "list", name, check=False)[0] == 0:
        when_idle("zpool", "destroy", "-f", name)


def destroy(*words):
    """A volume."""
    when_idle("zfs", "destroy", *words)


def fail(pool, device):
    """As if the device had too many errors: the vdev is FAULTED."""
    run("zpool", "offline", "-f", pool, device)


def mend(pool, device):
    run("zpool", "clear", pool, device)


def kernel_state(pool):
    """The kernel's word, whatever the pool's devices do."""
    with open(f"/proc/spl/kstat/zfs/{pool}/state", encoding="ascii") as file:
        return file.read().strip()
