# SPDX-License-Identifier: LGPL-2.1-or-later
"""Gluster pools: rows for bench/bench, on the lab's Gluster (tests/lab/gluster). Stock libvirtd makes no
volumes there, so qemu-img stands beside us for that."""

import atexit
import os
import unittest

from harness import gluster

POOL = """<pool type='gluster'><name>gluster</name><source><host name='{host}'/><dir path='/'/>
<name>gv0</name></source></pool>"""
COUNT = 200


class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.pools = {}
        # Not at the interpreter's end, when the library is gone already.
        atexit.register(self.pools.clear)

    def register(self):
        self.row(f"gluster: refresh {COUNT} files", 30, lambda: (
            self.refresh(self.bench.THEM, 1), self.refresh(self.bench.OURS, 3)))
        self.row(f"gluster: list {COUNT} with details, stock virsh", 1, lambda: (
            self.listing(self.bench.THEM), self.listing(self.bench.OURS)))
        self.row("gluster: create a qcow2 volume, qemu-img", None, lambda: (
            self.qemu_img("create", "-q", "-f", "qcow2", self.url("new"), "10G"), self.create()))
        self.row("gluster: clone 64 MiB, qemu-img convert", None, lambda: (
            self.qemu_img("convert", "-n", "-f", "raw", "-O", "raw", self.url("source"),
                          self.url("copy")), self.clone()))

    def row(self, name, aim, measure):
        def both(_):
            try:
                gluster.lab()
            except unittest.SkipTest as reason:
                raise RuntimeError(str(reason)) from reason
            return measure()
        self.bench.row(name, "s", aim)(both)

    @staticmethod
    def url(name):
        return gluster.lab().url(name)

    def pool(self, place):
        lab = gluster.lab()
        if place not in self.pools:
            conn = place.conn()
            self.pools[place] = (conn, conn.storagePoolCreateXML(POOL.format(host=lab.host), 0))
        return self.pools[place][1]

    def fill(self):
        lab = gluster.lab()
        if not os.path.exists(lab.path("f0")):
            lab.client("\n".join(f"write /f{i} 4096" for i in range(COUNT)))

    def refresh(self, place, repeat):
        self.fill()
        pool = self.pool(place)
        return self.bench.timed(lambda: pool.refresh(0), repeat)

    def listing(self, place):
        self.fill()
        self.pool(place)
        return self.bench.timed(lambda: self.bench.command(
            "virsh", "-c", place.peer.uri, "vol-list", "gluster", "--details"), 3)

    def drop(self, name):
        pool = self.pool(self.bench.OURS)
        pool.refresh(0)
        if name in pool.listVolumes():
            pool.storageVolLookupByName(name).delete(0)

    def source(self):
        """64 MiB of data, of both sides of the row."""
        pool = self.pool(self.bench.OURS)
        pool.refresh(0)
        if "source" not in pool.listVolumes():
            gluster.lab().client(f"write /source {64 << 20}\nwrite /copy {64 << 20}")
            pool.refresh(0)
        return pool

    def qemu_img(self, *words):
        self.source()
        return self.bench.timed(lambda: self.bench.command("qemu-img", *words), 1)

    def create(self):
        pool = self.pool(self.bench.OURS)
        taken = self.bench.timed(lambda: pool.createXML(
            "<volume><name>made</name><capacity unit='G'>10</capacity><target>"
            "<format type='qcow2'/></target></volume>", 0), before=lambda: self.drop("made"))
        self.drop("made")
        return taken

    def clone(self):
        pool = self.source()
        source = pool.storageVolLookupByName("source")
        taken = self.bench.timed(lambda: pool.createXMLFrom(
            "<volume><name>clone</name><capacity unit='M'>64</capacity></volume>", source, 0),
            before=lambda: self.drop("clone"))
        self.drop("clone")
        return taken


