#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: virt_install.py URI DIR OTHER

What virt-install and virt-clone do with storage, by their own module: the pool DIR and volumes in it,
disks found by their path, and a pool made for the directory OTHER of a disk. Prints one JSON object of
what was seen; pool and volumes stay for the caller to look at.
"""

import json
import os
import sys

sys.path.insert(0, "/usr/share/virt-manager")

# pylint: disable=wrong-import-position
from virtinst import DeviceDisk, StoragePool, StorageVolume, VirtinstConnection, progress  # noqa: E402

MIB = 1 << 20


class Played:
    def __init__(self, uri, directory):
        self.conn = VirtinstConnection(uri)
        self.conn.open(None, None)
        self.directory = directory
        self.meter = progress.make_meter(quiet=True)

    @property
    def pool(self):
        return self.conn.storagePoolLookupByName("vi")

    def make_pool(self):
        pool = StoragePool(self.conn)
        pool.type = "dir"
        pool.name = "vi"
        pool.target_path = self.directory
        pool.validate()
        made = pool.install(build=True, create=True, autostart=True)
        return [made.isActive(), made.autostart()]

    def make(self, name, form, allocation=0, backing=None):
        vol = StorageVolume(self.conn)
        vol.pool = self.pool
        vol.name = name
        vol.capacity = 64 * MIB
        vol.allocation = allocation
        vol.format = form
        if backing:
            vol.backing_store = os.path.join(self.directory, backing)
        vol.validate()
        return vol.install(meter=self.meter).info()[1]

    def clone(self, source, name):
        vol = StorageVolume(self.conn)
        vol.set_input_vol(self.pool.storageVolLookupByName(source))
        vol.pool = self.pool
        vol.name = name
        return vol.install(meter=self.meter).name()

    def disk(self, path):
        """How a disk at this path is entered into a guest's definition: [type, format, volume?]."""
        disk = DeviceDisk(self.conn)
        disk.set_source_path(path)
        disk.sync_path_props()
        return [disk.type, disk.driver_type, disk.get_vol_object() is not None]

    def new_disk(self, path):
        """virt-install's --disk PATH,size=…: the volume is made when the guest is."""
        disk = DeviceDisk(self.conn)
        made = DeviceDisk.build_vol_install(self.conn, os.path.basename(path), self.pool, 0.0625,
                                            True)
        made.format = "qcow2"
        disk.set_vol_install(made)
        disk.build_storage(self.meter)
        return [disk.get_source_path() == path, disk.get_vol_object() is not None]


def main():
    uri, directory, other = sys.argv[1:]
    played = Played(uri, directory)
    conn = played.conn
    facts = {"storage": conn.support.conn_storage(), "pool": played.make_pool(),
             "free pool name": StoragePool.find_free_name(conn, "vi")}
    facts["capacities"] = [played.make("v." + form, form)
                           for form in ("raw", "qcow2", "vmdk", "vdi")]
    played.make("full.raw", "raw", 64 * MIB)
    played.make("over.qcow2", "qcow2", backing="v.qcow2")
    facts["clone"] = played.clone("v.qcow2", "clone.qcow2")
    facts["free volume name"] = StorageVolume.find_free_name(conn, played.pool, "v", suffix=".raw")
    facts["disk"] = played.disk(os.path.join(directory, "v.qcow2"))
    facts["new disk"] = played.new_disk(os.path.join(directory, "new.qcow2"))
    facts["other disk"] = played.disk(os.path.join(other, "x.qcow2"))
    facts["pools"] = sorted(pool.name() for pool in conn.listAllStoragePools())
    print(json.dumps(facts))


main()
