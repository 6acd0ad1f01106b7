# SPDX-License-Identifier: LGPL-2.1-or-later
"""Inside the lab's machine: the same calls of one client to stock libvirtd and to cisternd.

usage: kernel_guest.py KIND COUNT

COUNT is how many volumes are there. Prints one JSON object: the name of each row to the seconds of
[libvirtd, cisternd]; null: it refuses.
"""

import json
import os
import sys
import time

import libvirt

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "tests/lab"))

from kit import Ours, Stock, disk, out, run, wipe_disks  # noqa: E402
from services import nfs, zfs  # noqa: E402

REPEAT = 3
MIB = 1 << 20


def timed(work, after=lambda: None, repeat=REPEAT):
    """The median; None: it is refused."""
    taken = []
    for _ in range(repeat):
        started = time.monotonic()
        try:
            work()
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
                raise
            return None
        taken.append(time.monotonic() - started)
        after()
    return sorted(taken)[repeat // 2]


def details(pool):
    for volume in pool.listAllVolumes(0):
        volume.info()
        volume.path()


class Volumes:
    """A pool of many volumes."""

    repeat = REPEAT  # how often is timed what may take long

    def __init__(self, count):
        self.count = count

    @staticmethod
    def name(number):
        """Of one of those that come and go."""
        return f"new{number}"

    def rows(self, conn):
        return volume_rows(self, conn)


class Logical(Volumes):
    pool = "<pool type='logical'><name>p</name><source><name>vgbench</name></source></pool>"

    def make(self):
        wipe_disks(disk(0))
        out("vgcreate", "-q", "vgbench", disk(0))
        # One process for all of them: each costs a second here.
        out("lvm", data="".join(f"lvcreate -qq -y -l 1 -n v{number:03} vgbench\n"
                                for number in range(self.count)))


class Zfs(Volumes):
    pool = "<pool type='zfs'><name>p</name><source><name>tank</name></source></pool>"

    def make(self):
        zfs.create_pool("tank", disk(0))
        for number in range(self.count):
            out("zfs", "create", "-s", "-V", "4M", f"tank/v{number:03}")


class Disk(Volumes):
    def __init__(self, count):
        super().__init__(count)
        self.pool = (f"<pool type='disk'><name>p</name><source><device path='{disk(0)}'/>"
                     "<format type='gpt'/></source><target><path>/dev</path></target></pool>")

    def name(self, number):
        """A partition has the name that its number gives it."""
        return f"{os.path.basename(disk(0))}{self.count + number}"

    # With libvirtd, udev has to look at all partitions, twice, with a refresh and with each change.
    repeat = 1

    def make(self):
        self.mask_zfs()
        out("sfdisk", "-q", disk(0),
            data="label: gpt\n" + "size=8MiB\n" * self.count)
        run("udevadm", "settle")

    @staticmethod
    def mask_zfs():
        """Its rule runs a script for each partition: four times what the rest takes, on hosts that
        have ZFS."""
        os.makedirs("/etc/udev/rules.d", exist_ok=True)
        os.symlink("/dev/null", "/etc/udev/rules.d/69-vdev.rules")
        run("udevadm", "control", "--reload")


class Netfs:
    """An NFS pool with little in it: what counts is the mount."""

    def __init__(self, _count):
        pass

    pool = ("<pool type='netfs'><name>p</name><source><host name='127.0.0.1'/><dir path='/one'/>"
            "<format type='nfs'/></source><target><path>/mnt/p</path></target></pool>")

    def make(self):
        nfs.start()
        nfs.export("one")
        os.makedirs("/mnt/p", exist_ok=True)

    def rows(self, conn):
        pool = conn.storagePoolDefineXML(self.pool, 0)
        seconds = timed(lambda: pool.create(0), pool.destroy)
        pool.undefine()
        return {"start a pool": seconds}


KINDS = {"logical": Logical, "zfs": Zfs, "disk": Disk, "netfs": Netfs}


def volume_rows(kind, conn):
    """Rows of a pool with COUNT volumes, and one or two more at a time."""
    pool = conn.storagePoolCreateXML(kind.pool, 0)
    more = []

    def document():
        return (f"<volume><name>{kind.name(len(more) + 1)}</name>"
                f"<capacity unit='bytes'>{16 * MIB}</capacity></volume>")

    def create():
        more.append(pool.createXML(document(), 0))

    def clone():
        more.append(pool.createXMLFrom(document(), more[0], 0))

    def drop():
        more.pop().delete(0)
    rows = {f"refresh {kind.count} volumes": timed(lambda: pool.refresh(0), repeat=kind.repeat),
            f"list {kind.count} with details": timed(lambda: details(pool)),
            "create a volume": timed(create, drop, kind.repeat)}
    create()
    rows["delete a volume"] = timed(drop, create, kind.repeat)
    rows["clone 16 MiB"] = timed(clone, drop, kind.repeat)
    drop()
    pool.destroy()
    return rows


def measure(kind, peer):
    peer.start()
    conn = libvirt.open(peer.uri)
    rows = kind.rows(conn)
    conn.close()
    peer.stop()
    return rows


def main():
    kind = KINDS[sys.argv[1]](int(sys.argv[2]))
    kind.make()
    them, ours = measure(kind, Stock()), measure(kind, Ours())
    print(json.dumps({name: [them[name], ours[name]] for name in them}))


libvirt.registerErrorHandler(lambda *_: None, None)
main()
