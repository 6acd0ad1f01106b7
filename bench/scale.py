# SPDX-License-Identifier: LGPL-2.1-or-later
"""Costs at several sizes, and how they grow: rows for bench/bench.

The figures in "cpu s" and "cpu ms" are processor time of the daemon, and of the client for lists,
because other work on the machine disturbs it less than elapsed time. A row "growth" is the largest
exponent between two sizes. 1 means that the cost of one object does not depend on the number of
objects, 0 means that the whole cost does not.
"""

import fcntl
import functools
import math
import os
import resource
import shutil
import struct
import time

from harness import space, wait

BLOCK = 4096
GROWTH = 1.1      # limit of an exponent
NOISE_S = 0.002   # smaller figures count as this one
PAIRS = 200
F_OFD_SETLK = 37


def processor(pid):
    """Processor seconds of all threads of a process, by its clock."""
    return time.clock_gettime(~pid << 3 | 2)


def children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def exponent(costs):
    """
    The largest exponent between two sizes of {size: cost}. The sizes differ by a factor of 5 at
    least, because noise of 15 % changes the exponent of a doubling by 0.2.
    """
    sizes = sorted(costs)
    pairs = [(small, large) for small in sizes for large in sizes if large >= 5 * small]
    return max(math.log(max(costs[large], NOISE_S) / max(costs[small], NOISE_S)) /
               math.log(large / small) for small, large in pairs or [(sizes[0], sizes[-1])])


def sparse_image(path):
    """Blocks of an empty qcow2 image that are not zero, and its length."""
    with open(path, "rb") as image:
        data = image.read()
    return [(at, data[at:at + BLOCK]) for at in range(0, len(data), BLOCK)
            if data[at:at + BLOCK].strip(b"\0")], len(data)


def raw_pairs(directory, rounds, durable):
    """
    Milliseconds of the system calls alone, for a pair of creation and deletion. The file is synced,
    as by stock. DURABLE: its name and its removal are synced, too.
    """
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    path = os.path.join(directory, "bare")
    started = time.perf_counter()
    for _ in range(rounds):
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(fd, 1 << 20)
        os.fsync(fd)
        os.close(fd)
        if durable:
            os.fsync(folder)
        os.unlink(path)
        if durable:
            os.fsync(folder)
    taken = time.perf_counter() - started
    os.close(folder)
    return taken / rounds * 1000


class Rows:
    """@bench: what bench/bench offers (row, command, space, QUICK, OURS, THEM)."""

    def __init__(self, bench):
        self.bench = bench
        tenth = 10 if bench.QUICK else 1
        self.volumes = [10000 // tenth, 100000 // tenth]
        if "BENCH_MILLION" in os.environ:
            self.volumes.append(1000000)
        self.pools = [500, 1000] if bench.QUICK else [500, 1000, 2500, 5000]
        self.trash = [1000 // tenth, 10000 // tenth, 100000 // tenth]
        self.overlays = [100, 1000] if bench.QUICK else [1000, 10000]

    # --- registration ---------------------------------------------------------------------------

    def register(self):
        self.bench.row("create and delete a raw volume", "ms", None)(lambda _: self.raw())
        for name, key, unit, limits in VOLUME_COSTS:
            self.series(f"{name}, %s volumes", unit, self.volumes, limits,
                        lambda size, key=key: self.with_volumes(size)[key])
        self.bench.row(f"memory held, {self.volumes[1]:,} volumes, each", "B", None,
                       limit=300)(lambda _: (None, self.with_volumes(self.volumes[1])["memory"]))
        self.series("start of %s pools", "cpu s", self.pools, {}, self.start_pools)
        for name, key, growth in (("trash-list", "list", GROWTH), ("pool-info", "info", 0.2)):
            self.series(f"{name}, %s volumes in the trash", "cpu s", self.trash, {},
                        lambda size, key=key: self.with_trash(size)[key], growth)
        self.series("vol-rename of the base of %s overlays", "cpu s", self.overlays, {},
                    self.rename_base)
        self.bench.row("job-list, 1,000 running jobs", "cpu s", None,
                       limit=0.05)(lambda _: (None, self.list_jobs(1000)))
        self.bench.row(f"{self.volumes[1]:,} files that appear at once", "s", None, limit=5)(
            lambda _: (None, self.storm(self.volumes[1])))

    def series(self, name, unit, sizes, limits, measure, growth=GROWTH):
        """A row for each size, then the exponent. LIMITS: {size: limit of the figure}."""
        costs = functools.cache(measure)
        for size in sizes:
            self.bench.row(name % f"{size:,}", unit, None,
                           limit=limits.get(size, math.inf))(
                lambda _, size=size: (None, costs(size)))
        self.bench.row(name % "more" + ", growth", "exp", None, limit=growth)(
            lambda _: (None, exponent({size: costs(size) for size in sizes})))

    # --- measuring ------------------------------------------------------------------------------

    @property
    def pid(self):
        return self.bench.OURS.peer.process.pid

    def cistern(self, *words):
        self.bench.command(space.CISTERN, "-c", self.bench.OURS.peer.uri, *words)

    def spent(self, *words, client=False):
        """Processor seconds of a command in the daemon. CLIENT: and in the command itself."""
        daemon, command = self.spent_apart(*words)
        return daemon + (command if client else 0)

    def spent_apart(self, *words):
        daemon, command = processor(self.pid), children()
        self.cistern(*words)
        return processor(self.pid) - daemon, children() - command

    def resident(self):
        return self.bench.memory(self.bench.OURS.peer, "Rss")

    def directory(self, name):
        path = os.path.join(self.bench.OURS.dir, name)
        os.makedirs(path)
        return path

    def fill(self, path, count, backing=()):
        """Sparse copies of an empty qcow2 image of 10 GiB. BACKING: the options of its base."""
        source = space.path("scale.qcow2")
        self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", *backing, source, "10G")
        blocks, length = sparse_image(source)
        for number in range(count):
            out = os.open(os.path.join(path, f"v{number:07}.qcow2"),
                          os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            for at, block in blocks:
                os.pwrite(out, block, at)
            os.truncate(out, length)
            os.close(out)
        os.unlink(source)

    # --- rows -----------------------------------------------------------------------------------

    def raw(self):
        """
        The aim is the ratio of the bare system calls, because stock syncs neither the name of the
        volume nor its removal.
        """
        rounds, repeat = (50 if self.bench.QUICK else 200), self.bench.REPEAT
        xml = ("<volume><name>v</name><capacity>1048576</capacity><allocation>0</allocation>"
               "</volume>")
        pools = [place.pool("pairs") for place in (self.bench.THEM, self.bench.OURS)]
        bare = os.path.join(self.bench.OURS.dir, "pairs")
        taken = ([], [], [], [])
        for _ in range(repeat):
            for side, (_conn, pool) in enumerate(pools):
                started = time.perf_counter()
                for _ in range(rounds):
                    pool.createXML(xml, 0).delete(0)
                taken[side].append((time.perf_counter() - started) / rounds * 1000)
            taken[2].append(raw_pairs(bare, rounds, False))
            taken[3].append(raw_pairs(bare, rounds, True))
        them, ours, fast, durable = (sorted(one)[repeat // 2] for one in taken)
        print(f"  bare system calls: {fast:.3g} ms with one sync, {durable:.3g} ms with three",
              flush=True)
        return them, ours, fast / durable

    @functools.cache
    def with_volumes(self, size):
        """The costs of a pool of SIZE volumes."""
        name = f"volumes{size}"
        path = self.directory(name)
        conn, pool = self.bench.OURS.pool(name, path)
        pool.refresh(0)
        pool.destroy()
        held = self.resident()
        self.fill(path, size)
        before = processor(self.pid)
        conn, pool = self.bench.OURS.pool(name, path)
        costs = {"first": processor(self.pid) - before}
        costs["memory"] = (self.resident() - held) / size
        repeat = 1 if size > 100000 else 3
        for key, words in LISTS.items():
            costs[key] = min(self.spent("vol-list", name, *words, client=True)
                             for _ in range(repeat))
        costs["client"] = min(self.spent_apart("vol-list", name)[1] for _ in range(repeat))
        costs["pair"] = self.pairs(pool) * 1000
        pool.destroy()
        conn.close()
        shutil.rmtree(path)
        return costs

    def pairs(self, pool):
        xml = ("<volume><name>pair</name><capacity>1048576</capacity><target>"
               "<format type='qcow2'/></target></volume>")
        before = processor(self.pid)
        for _ in range(PAIRS):
            pool.createXML(xml, 0).delete(0)
        return (processor(self.pid) - before) / PAIRS

    def start_pools(self, count):
        conn = self.bench.OURS.conn()
        path = self.directory(f"pools{count}")
        pools = []
        for number in range(count):
            os.mkdir(os.path.join(path, str(number)))
            pools.append(conn.storagePoolDefineXML(
                f"<pool type='dir'><name>many{number}</name><target><path>{path}/{number}</path>"
                "</target></pool>", 0))
        before = processor(self.pid)
        for pool in pools:
            pool.create(0)
        taken = processor(self.pid) - before
        for pool in pools:
            pool.destroy()
            pool.undefine()
        conn.close()
        shutil.rmtree(path)
        return taken

    @functools.cache
    def with_trash(self, size):
        """The costs of a pool with SIZE deleted volumes, whose files and records are made here."""
        name = f"trash{size}"
        path = self.directory(name)
        self.cistern("pool-define-as", name, "dir", "--target", path, "--trash", "7")
        self.cistern("pool-start", name)
        conn = self.bench.OURS.conn()
        pool = conn.storagePoolLookupByName(name)
        records = os.path.join(self.bench.OURS.peer.root, "var/lib/cistern/trash",
                               pool.UUIDString())
        os.makedirs(records, mode=0o700, exist_ok=True)
        for number in range(size):
            hidden = f".cistern-trash-v{number}-{number:012x}"
            with open(os.path.join(path, hidden), "wb"):
                pass
            with open(os.path.join(records, "=" + hidden), "w", encoding="ascii") as out:
                out.write(f"[trash]\nname=v{number}\ndeleted={number + 1}\nuntil={1 << 33}\n"
                          "uid=0\n")
        self.cistern("pool-info", name)
        costs = {"list": min(self.spent("trash-list", "--pool", name, client=True)
                             for _ in range(2)),
                 "info": min(self.spent("pool-info", name) for _ in range(5))}
        pool.destroy()
        pool.undefine()
        conn.close()
        shutil.rmtree(path)
        shutil.rmtree(records)
        return costs

    def rename_base(self, count):
        name = f"overlays{count}"
        path = self.directory(name)
        base = os.path.join(path, "base")
        self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", base, "10G")
        self.fill(path, count, ("-b", base, "-F", "qcow2"))
        conn, pool = self.bench.OURS.pool(name, path)
        taken = self.spent("vol-rename", "base", "renamed", "--pool", name)
        pool.destroy()
        conn.close()
        shutil.rmtree(path)
        return taken

    def list_jobs(self, count):
        """One job is real. The other files are copies of its file, which this process locks."""
        name = "jobs"
        conn, pool = self.bench.OURS.pool(name, self.directory(name))
        pool.createXML("<volume><name>v</name><capacity unit='GiB'>1</capacity></volume>", 0)
        self.cistern("vol-wipe", "v", "--pool", name, "--yes", "--algorithm", "random",
                     "--rate-limit", "1M", "--detach")
        jobs = os.path.join(self.bench.OURS.peer.root, "var/lib/cistern/jobs")

        def real():
            return os.path.isdir(jobs) and [one for one in os.listdir(jobs)
                                            if one.endswith(".job")]
        wait.until(real, "the file of a job")
        number = int(real()[0].split(".")[0])
        with open(os.path.join(jobs, real()[0]), "rb") as stream:
            record = stream.read()
        held = []
        for other in range(1, count):
            path = os.path.join(jobs, f"{number + other}.job")
            held.append(open(path, "wb", buffering=0))
            held[-1].write(record)
            # struct flock: type, whence, start, length, pid
            fcntl.fcntl(held[-1], F_OFD_SETLK, struct.pack(
                "hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        taken = min(self.spent("job-list", client=True) for _ in range(5))
        for one in held:
            os.unlink(one.name)
            one.close()
        self.cistern("job-cancel", str(number))
        conn.close()
        return taken

    def storm(self, count):
        """Elapsed seconds from the last link of a file to the complete list."""
        name, aside = "storm", self.directory("aside")
        for number in range(count):
            with open(os.path.join(aside, f"f{number}"), "wb"):
                pass
        path = self.directory(name)
        conn, pool = self.bench.OURS.pool(name, path)
        for number in range(count):
            os.rename(os.path.join(aside, f"f{number}"), os.path.join(path, f"f{number}"))
        started = time.perf_counter()
        wait.until(lambda: pool.numOfVolumes() == count, "each file is listed")
        taken = time.perf_counter() - started
        pool.destroy()
        conn.close()
        shutil.rmtree(path)
        return taken


LISTS = {
    "details": ("--details",),
    "filter": ("--filter", "capacity > 1GiB", "--sort", "-capacity"),
    "all": ("--columns", "all"),
}
MILLION = 1000000
# Row, key of the costs, unit, limits by size.
VOLUME_COSTS = (
    ("first look", "first", "cpu s", {MILLION: 30}),
    ("vol-list, client alone", "client", "cpu s", {10000: 0.04}),
    ("vol-list --details", "details", "cpu s", {MILLION: 8}),
    ("vol-list --filter --sort", "filter", "cpu s", {MILLION: 8}),
    ("vol-list --columns all", "all", "cpu s", {10000: 0.2}),
    ("create and delete qcow2 among", "pair", "cpu ms", {}),
)
