# SPDX-License-Identifier: LGPL-2.1-or-later
"""RBD pools beside stock libvirtd: rows for bench/bench, on the lab's Ceph (tests/lab/ceph)."""

import atexit
import base64
import json
import unittest

import libvirt

from harness import ceph

POOL = """<pool type='rbd'><name>rbd-{source}</name><source><host name='{host}' port='{port}'/>
<name>{source}</name>{auth}</source></pool>"""

# Images are made in two Ceph pools: the small one keeps the rows of 200 images apart.
PLACES = {200: "other", 1000: "libvirt"}


class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.made = set()
        self.pools = {}
        # Not at the interpreter's end, when the library is gone already.
        atexit.register(self.pools.clear)

    def register(self):
        for count in PLACES:
            self.row(f"rbd: refresh {count} images", 12 if count == 1000 else None,
                     lambda place, count=count: self.refresh(place, count))
        self.row("rbd: list 1000 with details, stock virsh", 1, self.listing)
        self.row("rbd: create an image", None, self.create)
        # Both make a clone that shares. Stock leaves the snapshot on the source and takes it again
        # (and fails when the source has changed since); ours goes with the clone.
        self.row("rbd: clone 64 MiB, with the snapshot for it", None, self.clone)
        self.row("rbd: clone 64 MiB, stock on the snapshot it has", None, self.clone_again)

    def row(self, name, aim, measure):
        def both(_):
            try:
                ceph.lab()
            except unittest.SkipTest as reason:
                raise RuntimeError(str(reason)) from reason
            return measure(self.bench.THEM), measure(self.bench.OURS)
        self.bench.row(name, "s", aim)(both)

    def fill(self, count):
        """Half of the images have something in them."""
        lab = ceph.lab()
        if count not in self.made:
            pool = self.pool(self.bench.OURS, count)
            for number in range(count):
                pool.createXML(f"<volume><name>v{number:04}</name>"
                               "<capacity unit='G'>10</capacity></volume>", 0)
            lab.run("rbd", "-p", PLACES[count], "bench", "--io-type", "write", "--io-size", "4M",
                    "--io-total", "64M", "v0000")
            self.made.add(count)

    def pool(self, place, count):
        lab = ceph.lab()
        if (place, count) not in self.pools:
            secrets = libvirt.open(place.peer.secret_uri)
            secrets.secretDefineXML(ceph.SECRET).setValue(base64.b64decode(lab.key))
            conn = place.conn()
            self.pools[place, count] = (conn, conn.storagePoolCreateXML(POOL.format(
                source=PLACES[count], host=lab.host, port=lab.port, auth=ceph.AUTH), 0))
        pool = self.pools[place, count][1]
        return pool

    def refresh(self, place, count):
        self.fill(count)
        pool = self.pool(place, count)
        pool.refresh(0)
        return self.bench.timed(lambda: pool.refresh(0), 3)

    def listing(self, place):
        self.fill(1000)
        self.pool(place, 1000)
        return self.bench.timed(lambda: self.bench.command(
            "virsh", "-c", place.peer.uri, "vol-list", "rbd-libvirt", "--details"), 3)

    def create(self, place):
        pool = self.pool(place, 200)

        def once():
            pool.createXML("<volume><name>new</name><capacity unit='G'>10</capacity></volume>", 0)

        def drop():
            if "new" in pool.listVolumes():
                pool.storageVolLookupByName("new").delete(0)
        taken = self.bench.timed(once, before=drop)
        drop()
        return taken

    def clone(self, place):
        return self.timed_clone(place, self.forget_snapshots)

    def clone_again(self, place):
        return self.timed_clone(place, lambda: None)

    @staticmethod
    def forget_snapshots():
        """As if nobody had ever cloned it."""
        lab = ceph.lab()
        for snap in json.loads(lab.rbd("snap", "ls", "--format", "json", "v0000", pool="other")):
            lab.rbd("snap", "unprotect", f"v0000@{snap['name']}", pool="other")
            lab.rbd("snap", "rm", "--no-progress", f"v0000@{snap['name']}", pool="other")

    def timed_clone(self, place, prepare):
        self.fill(200)
        pool = self.pool(place, 200)
        if place is self.bench.THEM:
            pool.refresh(0)
        source = pool.storageVolLookupByName("v0000")

        def once():
            pool.createXMLFrom("<volume><name>copy</name><capacity>0</capacity></volume>", source,
                               0)

        def drop():
            if "copy" in pool.listVolumes():
                pool.storageVolLookupByName("copy").delete(0)
            prepare()
        taken = self.bench.timed(once, before=drop)
        drop()
        return taken
