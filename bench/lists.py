# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon's processor time for lists of many volumes, and how it grows with their number.

An exponent of 1 means that the cost of a volume does not depend on the number of volumes.
"""

import math
import os

from harness import space

BLOCK = 4096


def fill_sparse(directory, source, count):
    """Copies of an empty qcow2 image, without the blocks that are zeroes."""
    os.makedirs(directory)
    with open(source, "rb") as image:
        data = image.read()
    blocks = [(at, data[at:at + BLOCK]) for at in range(0, len(data), BLOCK)
              if data[at:at + BLOCK].strip(b"\0")]
    for number in range(count):
        out = os.open(os.path.join(directory, f"v{number:06}.qcow2"),
                      os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        for at, block in blocks:
            os.pwrite(out, block, at)
        os.truncate(out, len(data))
        os.close(out)


class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.seconds = {}
        self.trashed = bench.COUNT // 10

    def register(self):
        row, count = self.bench.row, self.bench.COUNT
        for volumes in (count, 10 * count):
            row(f"vol-list --columns all, {volumes} volumes, processor", "s", None)(
                lambda _, volumes=volumes: (None, self.all_columns(volumes)))
        row("vol-list --columns all, growth with the volumes", "exp", None)(
            lambda _: (None, self.exponent(self.all_columns(count),
                                           self.all_columns(10 * count), 10)))

        row(f"pool-info of a pool with {self.trashed} volumes in the trash, processor", "s", None)(
            lambda _: (None, self.trash_totals()))

    @staticmethod
    def exponent(small, large, factor):
        return math.log(max(large, 0.01) / max(small, 0.01), factor)

    @staticmethod
    def processor(peer):
        with open(f"/proc/{peer.process.pid}/stat", encoding="ascii") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def spent(self, *words):
        """Processor seconds of the daemon for a command of ours."""
        peer = self.bench.OURS.peer
        before = self.processor(peer)
        self.bench.command(space.CISTERN, "-c", peer.uri, *words)
        return self.processor(peer) - before

    def all_columns(self, volumes):
        if volumes not in self.seconds:
            place, name = self.bench.OURS, f"columns{volumes}"
            source, directory = space.path("columns.qcow2"), os.path.join(place.dir, name)
            self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", source, "10G")
            fill_sparse(directory, source, volumes)
            _conn, pool = place.pool(name, directory)
            self.bench.command(space.CISTERN, "-c", place.peer.uri, "vol-list", name, "--details")
            self.seconds[volumes] = min(self.spent("vol-list", name, "--columns", "all")
                                        for _ in range(3))
            pool.destroy()
        return self.seconds[volumes]

    def trash_totals(self):
        """The second call: the first one examines each volume."""
        place, name = self.bench.OURS, "trashed"
        directory, own = os.path.join(place.dir, name), [space.CISTERN, "-c", place.peer.uri]
        source, command = space.path("trashed.qcow2"), self.bench.command
        command("qemu-img", "create", "-q", "-f", "qcow2", source, "10G")
        fill_sparse(directory, source, self.trashed)
        command(*own, "pool-define-as", name, "dir", "--target", directory, "--trash", "7")
        command(*own, "pool-start", name)
        for first in range(0, self.trashed, 500):
            volumes = [f"v{number:06}.qcow2"
                       for number in range(first, min(first + 500, self.trashed))]
            further = [word for volume in volumes[1:] for word in ("--further", volume)]
            command(*own, "vol-delete", "--pool", name, "--yes", volumes[0], *further)
        command(*own, "pool-info", name)
        return min(self.spent("pool-info", name) for _ in range(3))
