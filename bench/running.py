# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots and backups of a running guest beside virsh and virtnbdbackup: rows for bench/bench.

The guest is that of tests/system/running_real_test.py. It writes to three disks all the time, and
reports its slowest write.
"""

import os
import random
import re
import shutil
import subprocess
import time

import running_backup_test
import running_real_test
from harness import peers, space, wait

MIB = 1 << 20
SNAPSHOTS = "running guest: snapshot of 3 disks"
BACKUPS = "running guest: backup of 3 disks"
STEPS = ("full", "changes")


class Guest:
    """A test class of a running guest in use: its guest runs within the block."""

    def __init__(self, base, size):
        class Bench(base):
            SIZE = size

            def runTest(self):
                pass

            def make_disk(self, name, path):
                super().make_disk(name, path)
                if name != "c":
                    self.fill(path)

            def fill(self, path):
                """Half of the disk has data that does not compress."""
                chance = random.Random(17)
                with open(path, "r+b") as disk:
                    for at in range(0, size, 2 * MIB):
                        disk.seek(at)
                        disk.write(chance.randbytes(MIB))
        self.cls, self.test = Bench, Bench()

    def __enter__(self):
        self.cls.setUpClass()
        self.test.setUp()
        self.test.boot()
        return self.test

    def __exit__(self, *_):
        self.test.doCleanups()
        self.cls.doClassCleanups()


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          stdin=subprocess.DEVNULL, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{words}: {done.stdout[-500:]}")


def slowest_write(guest, action):
    """Milliseconds of the slowest write of the guest during ACTION."""
    before = len(guest.console())
    action()
    wait.until(lambda: guest.console()[before:].count("WRITER block") >= 3, "the guest writes")
    found = re.findall(r"WRITER block .* slowest (\d+) us", guest.console()[before:])
    return max(int(number) for number in found) / 1000


# --- snapshots -------------------------------------------------------------------------------------

def snapshot_by_virsh(guest, number):
    """An external snapshot, and the merge of its overlays, which is not measured."""
    slowest = slowest_write(guest, lambda: guest.domain(
        "snapshot-create-as", "web1", f"v{number}", "--disk-only", "--quiesce", "--atomic"))
    for disk in running_real_test.DISKS:
        guest.domain("blockcommit", "web1", f"vd{disk}", "--active", "--pivot")
    guest.domain("snapshot-delete", "web1", f"v{number}", "--metadata")
    for name in os.listdir(guest.pool):
        if name.endswith(f".v{number}"):
            os.unlink(os.path.join(guest.pool, name))
    return slowest


def snapshot_by_us(guest, number):
    slowest = slowest_write(guest, lambda: guest.done(
        "snap-create", "a", f"s{number}", "--pool", "p", "--with", "b,c", "--consistency",
        "filesystem", "--max-pause", "5s", "--quiet"))
    for disk in running_real_test.DISKS:
        guest.done("snap-delete", disk, f"s{number}", "--pool", "p", "--yes")
    return slowest


def snapshots(bench):
    with Guest(running_real_test.RunningQcow2, 64 * MIB) as guest:
        pairs = [(snapshot_by_virsh(guest, number), snapshot_by_us(guest, number))
                 for number in range(bench.REPEAT)]
    return {SNAPSHOTS: [bench.statistics.median(side) for side in zip(*pairs)]}


# --- backups ---------------------------------------------------------------------------------------

def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began


def virtnbdbackup(guest, level, target):
    """Its URI names no socket, so the guest's libvirtd is at the usual place in its namespace."""
    script = 'mkdir -p /run/libvirt && mount --bind "$1" /run/libvirt && shift && exec "$@"'
    run("unshare", "-m", "sh", "-c", script, "sh", os.path.dirname(guest.libvirt.sock),
        "virtnbdbackup", "-U", "qemu:///system", "-d", "web1", "-l", level, "-o", target)


def backups(bench):
    if not shutil.which("virtnbdbackup"):
        raise RuntimeError("virtnbdbackup is not installed")
    result = {}
    with Guest(running_backup_test.BackupQcow2, bench.IMAGE // 2) as guest:
        target = os.path.join(guest.peer.files, "virtnbdbackup")
        for step, level in zip(STEPS, ("full", "inc")):
            result[f"{BACKUPS}, {step}"] = [
                timed(lambda level=level: virtnbdbackup(guest, level, target))]
        for name in guest.checkpoints():
            guest.domain("checkpoint-delete", "web1", name)
        words = [space.CISTERN, "-c", guest.peer.uri, "backup-create", guest.repository,
                 "--machine", "web1", "--incremental", "--quiet"]
        for step in STEPS:
            result[f"{BACKUPS}, {step}"].append(timed(lambda: run(*words)))
    return result


# --- rows ------------------------------------------------------------------------------------------

class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.taken = {}

    def register(self):
        self.row(SNAPSHOTS, "slowest write, ms", snapshots)
        for step in STEPS:
            self.row(f"{BACKUPS}, {step}", "s", backups)

    def row(self, name, unit, measure):
        self.bench.row(name, unit, 1)(lambda _: self.measured(measure)[name])

    def measured(self, measure):
        """All rows of a function come from one guest."""
        if measure not in self.taken:
            if not peers.Libvirtd.available():
                raise RuntimeError("libvirtd is not installed")
            self.taken[measure] = measure(self.bench)
        return self.taken[measure]
