#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Running guests whose disks are logical, thin or ZFS volumes, with stock libvirtd. A guest is one
boot sector (running/sector.S), because its processor is emulated twice."""
# lab-long: -m 2048 -d 512M -d 512M -d 512M

import json
import os
import re
import signal
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (BUILD, MIB, WORK, Ours, Skipped, Stock, case, disk, expect, expect_in, long_case,
                 main, out, pool_xml, run, wait_until, wipe_disks, write_xml)  # noqa: E402
from services import zfs  # noqa: E402

OURS, STOCK = Ours(), Stock()
CONFLICT, TIMED_OUT = 5, 75  # exit statuses of our client
TRIES = 4
FIRST, SLOTS, SECTOR = 8, 1024, 512  # of running/sector.S
SIZE = 32 * MIB
PAUSE = ("--max-pause", "5s")  # LVM's commands take seconds on an emulated processor

QEMU_CONF = """user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""

DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<on_poweroff>destroy</on_poweroff><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{disks}
<serial type='file'><source path='{log}'/><target port='0'/></serial>
<memballoon model='none'/></devices></domain>"""

DISK = """<disk type='{kind}' device='disk'><driver name='qemu' type='raw' cache='none' io='threads'/>
<source {source}/><target dev='{target}' bus='virtio'/><boot order='{order}'/></disk>"""


def zfs_xml():
    return write_xml("tank.xml", f"<pool type='zfs'><name>tank</name><source><device path='{disk(2)}'/>"
                                 "<name>tank</name></source></pool>")


class Guest:
    """A domain with disks in one pool, named like the pool."""

    def __init__(self, pool, xml, path, disks=("a", "b"), by_volume=False):
        self.pool, self.path, self.disks, self.by_volume = pool, path, disks, by_volume
        self.log = os.path.join(WORK, pool + ".log")
        self.xml = xml

    def device(self, name):
        return f"{self.path}/{name}"

    def disk_xml(self, number, name):
        by_volume = self.by_volume and number == 0
        return DISK.format(kind="volume" if by_volume else "block",
                           source=f"pool='{self.pool}' volume='{name}'" if by_volume
                           else f"dev='{self.device(name)}'",
                           target="vd" + "ab"[number], order=number + 1)

    def boot(self):
        for name in self.disks:
            OURS.virsh(f"vol-create-as {self.pool} {name} {SIZE}")
        run("dd", f"if={WORK}/sector", f"of={self.device('a')}", "conv=notrunc,fsync")
        disks = "".join(self.disk_xml(*pair) for pair in enumerate(self.disks))
        with open(self.log, "w", encoding="ascii"):
            pass
        xml = write_xml(self.pool + "-domain.xml",
                        DOMAIN.format(name=self.pool, disks=disks, log=self.log))
        if self.by_volume:
            STOCK.virsh(f"pool-refresh {self.pool}")
        STOCK.virsh(f"define {xml}", f"start {self.pool}")
        expect(wait_until(lambda: self.newest() > SLOTS // 8), f"it writes nothing: {self.console()}")

    def console(self):
        with open(self.log, encoding="ascii", errors="replace") as log:
            return log.read()

    def lines(self):
        return re.findall(r"^([0-9a-f]{8}) ([0-9a-f]{8})$", self.console(), re.M)

    def newest(self):
        """The newest number that the guest has reported."""
        return int(self.lines()[-1][0], 16) if self.lines() else 0

    def sectors(self):
        """The size of the first disk as the guest sees it."""
        return int(self.lines()[-1][1], 16)

    def goes_on(self):
        """The guest runs, writes, and has seen no error."""
        expect(wait_until(lambda: self.state() == "running"), self.state())
        before = self.newest()
        expect(wait_until(lambda: self.newest() > before + 16), "the guest stands")
        expect("E" not in self.console(), self.console()[-200:])

    def state(self):
        return STOCK.virsh(f"domstate {self.pool}")[0]

    def snapshot(self, name):
        """
        Makes a snapshot of the machine. On a busy host a pause takes more than five seconds here, or
        the prediction says so. Nothing may be left then, and the guest goes on.
        """
        for _ in range(TRIES):
            status, said = run(os.path.join(BUILD, "cistern"), "-c", OURS.uri, "snap-create",
                               "--machine", self.pool, name, "--json", *PAUSE, check=False)
            made = json.loads(said.splitlines()[-1])  # after the lines of the progress
            self.goes_on()
            if status == 0 and made["one_moment"]:
                print(f"# {self.pool}: the guest stood for {made['paused_ms']} ms", flush=True)
                return made
            expect(status in (0, TIMED_OUT), said)
            self.remove(name)
        raise Skipped("this machine is too busy for a pause of five seconds")

    def remove(self, snapshot):
        """Removes the snapshot of all disks. After a failed command there is no snapshot."""
        for name in self.disks:
            if snapshot in self.snapshots(name):
                OURS.cistern("snap-delete", name, snapshot, "--pool", self.pool, "--yes")

    def snapshots(self, name):
        rows = json.loads(OURS.cistern("snap-list", name, "--pool", self.pool, "--json"))
        return {row["name"]: row["consistency"] for row in rows["snapshots"]}

    def check(self, snapshot):
        """The newest number of a snapshot whose disks are of one point in time."""
        newest = [newest_of(content(self.xml, name, snapshot)) for name in self.disks]
        expect(max(newest) - min(newest) <= 1 and newest[0] >= newest[-1], newest)
        return newest[0]


def content(xml, volume, snapshot):
    """The region of a snapshot that the guest writes to."""
    tool = os.path.join(BUILD, "tests/tools/cst-pool")
    done = subprocess.run(["sh", "-c", '"$0" "$1" snap-read "$2" "$3" | head -c "$4"', tool, xml,
                           volume, snapshot, str((FIRST + SLOTS) * SECTOR)], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return done.stdout[FIRST * SECTOR:]


def newest_of(region):
    """The newest number of a region that has the newest SLOTS numbers, and no other one."""
    expect(len(region) == SLOTS * SECTOR, len(region))
    found = []
    for place in range(SLOTS):
        sector = region[place * SECTOR:(place + 1) * SECTOR]
        number = struct.unpack_from("<I", sector)[0]
        expect(sector == struct.pack("<I", number) * (SECTOR // 4), f"sector {place} is torn")
        expect(number == 0 or number % SLOTS == place, f"sector {place} has number {number}")
        found.append(number)
    newest = max(found)
    for place, number in enumerate(found):
        wanted = newest - (newest - place) % SLOTS
        expect(number == max(wanted, 0), f"newest {newest}, but sector {place} has {number}")
    return newest


# The two classic snapshots of a second disk would need more than half of the longest pause here.
THICK = Guest("thick", pool_xml("thick", [disk(0)], {"snapshot-size": "16M"}), "/dev/thick", ("a",),
              by_volume=True)
THIN = Guest("thin", pool_xml("thin", [disk(1)], {"thin": "yes", "thin-pool-size": "256M"}),
             "/dev/thin")
ZFS = Guest("tank", zfs_xml(), "/dev/zvol/tank")


# --- one kind of storage ---------------------------------------------------------------------------

def check_snapshots(guest):
    """Snapshots of the machine while the guest writes."""
    newest = 0
    for name in ("s1", "s2"):
        before = guest.newest()
        made = guest.snapshot(name)
        expect(made["consistency"] == "crash" and made["paused_ms"] > 0, made)
        found = guest.check(name)
        expect(found >= before and found > newest, f"{found}, before {before}, and {newest}")
        newest = found
        for volume in guest.disks:
            expect(guest.snapshots(volume).get(name) == "crash", guest.snapshots(volume))


def check_growth(guest):
    OURS.cistern("vol-resize", "a", str(SIZE + 8 * MIB), "--pool", guest.pool)
    expect(wait_until(lambda: guest.sectors() == (SIZE + 8 * MIB) // SECTOR), guest.sectors())
    guest.goes_on()


def check_holders(guest):
    rows = json.loads(OURS.cistern("vol-holders", "a", "--pool", guest.pool, "--json"))
    expect(any(row.get("domain") == guest.pool and row.get("target") == "vda"
               for row in rows["holders"]), rows)
    for command in (("vol-delete", "a"), ("vol-wipe", "a"), ("vol-rename", "a", "c"),
                    *([("snap-revert", "a", "s1")] if "s1" in guest.snapshots("a") else [])):
        sure = ["--yes"] if command[0] != "vol-rename" else []
        expect_in(f"domain '{guest.pool}'", OURS.cistern(*command, "--pool", guest.pool, *sure,
                                                         status=CONFLICT))


def check_backup(guest):
    """Each disk in a backup of the running machine has one point in time."""
    repo = os.path.join(WORK, "repo-" + guest.pool) + "/"
    before = guest.newest()
    OURS.cistern("backup-init", repo, "--no-encryption")
    OURS.cistern("backup-create", repo, "--machine", guest.pool)
    newest = []
    for name in guest.disks:
        OURS.cistern("backup-restore", repo, "latest", "--vol", f"{guest.pool}/{name}", "--pool",
                     "files", "--newname", f"{guest.pool}-{name}")
        path = os.path.join(WORK, "files", f"{guest.pool}-{name}")
        with open(path, "rb") as restored:
            newest.append(newest_of(restored.read((FIRST + SLOTS) * SECTOR)[FIRST * SECTOR:]))
        OURS.virsh(f"vol-delete {guest.pool}-{name} files")
    expect(min(newest) >= before, f"{newest}, before {before}")
    guest.goes_on()


def check_killed(guest):
    """The guest goes on if cisternd is killed while it stands."""
    for _ in range(TRIES):
        client = subprocess.Popen([os.path.join(BUILD, "cistern"), "-c", OURS.uri, "snap-create",
                                   "--machine", guest.pool, "k", *PAUSE], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        expect(wait_until(lambda: guest.state() == "paused" or client.poll() is not None), "no end")
        if client.poll() is None:
            break
        guest.remove("k")
    else:
        raise Skipped("this machine is too busy for a pause of five seconds")
    OURS.stop(signal.SIGKILL)
    client.wait()
    guest.goes_on()
    OURS.start()
    OURS.virsh(f"pool-refresh {guest.pool}")
    kept = [name for name in guest.disks if "k" in guest.snapshots(name)]
    expect(kept in ([], list(guest.disks)), kept)
    if kept:
        guest.check("k")
    guest.remove("k")
    guest.goes_on()


def check_end(guest, left):
    """Snapshots and volumes are removed, and @left lists no others."""
    for name in ("s1", "s2"):
        guest.remove(name)
    STOCK.virsh(f"destroy {guest.pool}", f"undefine {guest.pool}")
    for volume in guest.disks:
        OURS.virsh(f"vol-delete {volume} {guest.pool}")
    expect(not left(), left())


# --- the cases -------------------------------------------------------------------------------------

def lvs_left(vg):
    return [name for name in out("lvs", "--noheadings", "-o", "lv_name", vg).split()
            if name != "cistern-thin"]


@case
def daemons_pools_and_the_boot_sector_are_made():
    wipe_disks(disk(0), disk(1), disk(2))
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "running/sector.S")
    run("as", "--32", "-o", f"{WORK}/sector.o", source)
    run("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o", f"{WORK}/sector",
        f"{WORK}/sector.o")
    os.makedirs("/etc/libvirt", exist_ok=True)
    with open("/etc/libvirt/qemu.conf", "w", encoding="ascii") as conf:
        conf.write(QEMU_CONF)
    STOCK.start()
    os.makedirs(os.path.join(OURS.root, "etc/cistern"))
    with open(os.path.join(OURS.root, "etc/cistern/cisternd.conf"), "w", encoding="ascii") as conf:
        conf.write("[service]\nhypervisor = qemu:///system\n")
    OURS.start()
    os.makedirs(os.path.join(WORK, "files"))
    OURS.virsh(f"pool-define-as files dir --target {WORK}/files", "pool-start files")
    for guest in (THICK, THIN):
        OURS.virsh(f"pool-define {guest.xml}", f"pool-build {guest.pool}",
                   f"pool-start {guest.pool}")
    # libvirt finds a disk with type='volume' in a pool of its own.
    STOCK.virsh(f"pool-define {THICK.xml}", "pool-start thick")


def set_udev_sync(waits):
    """Whether LVM waits for udev. On an emulated processor a classic snapshot waits for seconds."""
    with open("/etc/lvm/lvm.conf", encoding="utf-8") as conf:
        text = conf.read().split("# udev\n")[0]
    with open("/etc/lvm/lvm.conf", "w", encoding="utf-8") as conf:
        conf.write(f"{text}# udev\nactivation {{\nudev_sync={waits:d}\nudev_rules={waits:d}\n}}\n")


def cases_of(guest, left, needs=lambda: None):
    def boots():
        needs()
        set_udev_sync(guest is not THICK)
        guest.boot()

    boots.__name__ = f"guest_on_{guest.pool}_boots"
    case(boots)
    for function, name, how in (
            (check_growth, "guest_on_{}_sees_its_disk_grow", case),
            (check_snapshots, "snapshots_of_the_machine_on_{}_are_of_one_point_in_time", case),
            (check_holders, "domain_on_{}_is_named_and_changes_are_refused", case),
            (check_backup, "disks_in_a_backup_of_the_machine_on_{}_are_of_one_point_in_time", long_case),
            (check_killed, "guest_on_{}_goes_on_if_the_daemon_is_killed_in_the_pause", case)):
        def play(function=function):
            needs()
            function(guest)
        play.__name__ = name.format(guest.pool)
        how(play)

    def ends():
        needs()
        check_end(guest, left)

    ends.__name__ = f"snapshots_on_{guest.pool}_leave_nothing"
    case(ends)


cases_of(THICK, lambda: lvs_left("thick"))
cases_of(THIN, lambda: lvs_left("thin"))


@case
def a_zfs_pool_is_built():
    zfs.require()
    OURS.virsh(f"pool-define {ZFS.xml}", "pool-build tank", "pool-start tank")


cases_of(ZFS, lambda: out("zfs", "list", "-H", "-o", "name", "-t", "volume,snapshot").split(),
         zfs.require)


@case
def daemons_end():
    for pool in ("thick", "thin"):
        OURS.virsh(f"pool-destroy {pool}", f"pool-delete {pool}")
    OURS.stop()
    STOCK.stop()


main()
