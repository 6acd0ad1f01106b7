# SPDX-License-Identifier: LGPL-2.1-or-later
"""iscsi-direct pools beside stock libvirtd: rows for bench/bench, on a tgt of the lab."""

import atexit
import os
import unittest

import libvirt

from harness import space, tgt

LUNS = 8
SIZE = 64 * tgt.MIB


class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.target = None
        self.pools = {}
        # Not at the interpreter's end, when the library is gone already.
        atexit.register(self.pools.clear)

    def register(self):
        self.row(f"iscsi-direct: refresh {LUNS} LUNs", self.refresh)
        self.row(f"iscsi-direct: list {LUNS} with details, stock virsh", self.listing)
        self.row("iscsi-direct: wipe 64 MiB", self.wipe)
        self.row("iscsi-direct: upload 64 MiB, stock virsh", self.upload)
        self.row("iscsi-direct: copy 64 MiB from LUN to LUN", self.clone)

    def row(self, name, measure):
        def both(_):
            try:
                tgt.server()
            except unittest.SkipTest as reason:
                raise RuntimeError(str(reason)) from reason
            return measure(self.bench.THEM), measure(self.bench.OURS)
        self.bench.row(name, "s", None)(both)

    def pool(self, place):
        if not self.target:
            self.target = tgt.server().target("bench", [SIZE] * LUNS)
        if place not in self.pools:
            conn = place.conn()
            xml = self.target.pool_xml("san", options={"timeout": None})
            self.pools[place] = (conn, conn.storagePoolCreateXML(xml, 0))
        return self.pools[place][1]

    def refresh(self, place):
        pool = self.pool(place)
        return self.bench.timed(lambda: pool.refresh(0))

    def listing(self, place):
        self.pool(place)
        return self.bench.timed(lambda: self.bench.command(
            "virsh", "-c", place.peer.uri, "vol-list", "san", "--details"))

    def wipe(self, place):
        volume = self.pool(place).storageVolLookupByName("unit:0:0:1")
        return self.bench.timed(lambda: volume.wipe(0), 3)

    def upload(self, place):
        self.pool(place)
        payload = space.path("san-payload")
        if not os.path.exists(payload):
            with open(payload, "wb") as out:
                out.write(os.urandom(SIZE))
        try:
            return self.bench.timed(lambda: self.bench.command(
                "virsh", "-c", place.peer.uri, "vol-upload", "unit:0:0:2", payload, "--pool",
                "san"), 3)
        except Exception:  # pylint: disable=broad-except
            return None  # stock can't

    def clone(self, place):
        """Of what was uploaded; the other LUN is emptied in between."""
        pool = self.pool(place)
        source = pool.storageVolLookupByName("unit:0:0:2")
        other = pool.storageVolLookupByName("unit:0:0:3")
        xml = "<volume><name>unit:0:0:3</name><capacity>0</capacity></volume>"
        try:
            return self.bench.timed(lambda: pool.createXMLFrom(xml, source, 0), 3,
                                    before=lambda: other.wipePattern(9, 0))
        except libvirt.libvirtError:
            return None  # stock can't
