# SPDX-License-Identifier: LGPL-2.1-or-later
"""The tables of a qcow2 file, for tests that look at them or damage them."""

import struct

COPIED, ZERO = 1 << 63, 1
OFFSET = 0x00fffffffffffe00


class Image:
    """The tables of a qcow2 file, to be damaged."""

    def __init__(self, path):
        self.file = open(path, "r+b", buffering=0)
        head = self.at(0, 112)
        (self.bits, self.size) = struct.unpack_from(">IQ", head, 20)
        (self.l1_size, self.l1, self.reftable, self.reftable_clusters, self.snapshots,
         self.snapshot_table) = struct.unpack_from(">IQQIIQ", head, 36)
        self.cluster = 1 << self.bits
        version = struct.unpack_from(">I", head, 4)[0]
        self.order = struct.unpack_from(">I", head, 96)[0] if version > 2 else 4
        extended = version > 2 and struct.unpack_from(">Q", head, 72)[0] & 16
        self.entry = 16 if extended else 8

    def at(self, offset, length):
        self.file.seek(offset)
        return self.file.read(length)

    def put(self, offset, data):
        self.file.seek(offset)
        self.file.write(data)

    def get64(self, offset):
        return struct.unpack(">Q", self.at(offset, 8))[0]

    def put64(self, offset, value):
        self.put(offset, struct.pack(">Q", value & (1 << 64) - 1))

    def l2(self, index=0):
        """Place of the L2 table at @index in use."""
        return self.get64(self.l1 + 8 * index) & OFFSET

    def entries(self, kind=lambda word: word & OFFSET and not word & 1 << 62):
        """Places of the active L2 entries of a kind."""
        places = []
        for index in range(self.l1_size):
            table = self.l2(index)
            for at in range(table, table + self.cluster, self.entry) if table else ():
                if kind(self.get64(at)):
                    places.append(at)
        return places

    def block(self, index=0):
        return self.get64(self.reftable + 8 * index)

    def bitmaps(self):
        """{name: (bits of the whole image as bytes, granularity)}"""
        at, found = struct.unpack(">I", self.at(100, 4))[0], {}
        while True:
            kind, length = struct.unpack(">II", self.at(at, 8))
            if kind == 0:
                return found
            if kind == 0x23852875:
                break
            at += 8 + (length + 7) // 8 * 8
        count, _, _, entry = struct.unpack(">IIQQ", self.at(at + 8, 24))
        for _ in range(count):
            table, entries, _, _, shift, name_len, extra = struct.unpack(">QIIBBHI",
                                                                         self.at(entry, 24))
            name = self.at(entry + 24 + extra, name_len).decode()
            bits = b""
            for index in range(entries):
                word = self.get64(table + 8 * index)
                bits += self.at(word, self.cluster) if word & OFFSET else \
                    bytes([255 * (word & 1)]) * self.cluster
            found[name] = (bits[:-(-(-(-self.size >> shift)) // 8)], 1 << shift)
            entry += (24 + extra + name_len + 7) // 8 * 8
        return found

    def set_count(self, cluster, change):
        """For counts of 16 bits."""
        per_block = self.cluster // 2
        at = self.block(cluster // per_block) + cluster % per_block * 2
        old = struct.unpack(">H", self.at(at, 2))[0]
        self.put(at, struct.pack(">H", max(old + change, 0)))
