# SPDX-License-Identifier: LGPL-2.1-or-later
"""Inside the lab's machine: the same calls of one client to stock libvirtd and to cisternd.

Prints one JSON object: the name of each row to the seconds of [libvirtd, cisternd].
"""

import json
import os
import sys
import time

import libvirt

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "tests/lab"))

from kit import Ours, Stock, disk, out, wipe_disks  # noqa: E402

COUNT = 100
REPEAT = 3
POOL = "<pool type='logical'><name>lv</name><source><name>vgbench</name></source></pool>"
VOLUME = "<volume><name>{}</name><capacity unit='M'>16</capacity></volume>"


def make_group():
    wipe_disks(disk(0))
    out("vgcreate", "-q", "vgbench", disk(0))
    # One process for all of them: each costs a second here.
    out("lvm", data="".join(f"lvcreate -qq -y -l 1 -n v{number:03} vgbench\n"
                            for number in range(COUNT)))


def timed(work, after=lambda: None):
    """The median."""
    taken = []
    for _ in range(REPEAT):
        started = time.monotonic()
        work()
        taken.append(time.monotonic() - started)
        after()
    return sorted(taken)[REPEAT // 2]


def details(pool):
    for volume in pool.listAllVolumes(0):
        volume.info()
        volume.path()


def measure(peer):
    peer.start()
    conn = libvirt.open(peer.uri)
    pool = conn.storagePoolCreateXML(POOL, 0)

    def create():
        pool.createXML(VOLUME.format("new"), 0)

    def drop():
        pool.storageVolLookupByName("new").delete(0)
    rows = {f"refresh {COUNT} volumes": timed(lambda: pool.refresh(0)),
            f"list {COUNT} with details": timed(lambda: details(pool)),
            "create a volume": timed(create, drop)}
    create()
    rows["delete a volume"] = timed(drop, create)
    drop()
    source = pool.createXML(VOLUME.format("source"), 0)
    rows["clone 16 MiB"] = timed(lambda: pool.createXMLFrom(VOLUME.format("new"), source, 0), drop)
    source.delete(0)
    pool.destroy()
    conn.close()
    peer.stop()
    return rows


def main():
    make_group()
    them, ours = measure(Stock()), measure(Ours())
    print(json.dumps({name: [them[name], ours[name]] for name in them}))


main()
