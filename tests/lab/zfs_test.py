#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of type zfs on real ZFS: volumes, snapshots, clones, health, and stock libvirtd beside."""
# lab: -m 2048 -d 512M -d 512M -d 512M -d 512M

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import changes  # noqa: E402
from kit import (MIB, WORK, Ours, case, cst_pool, disk, expect, expect_in, long_case, main, out, read_at, run,
                 wait_until, write_at, write_xml)  # noqa: E402
from services import faults, zfs  # noqa: E402

OURS = Ours()
SECOND = None  # a disk that can fail, once there is ZFS
CONFLICT, FAILED = 5, 1  # exit statuses of our client


def pool(name, source, devices=(), options=None):
    listed = "".join(f"<option name='{key}' value='{value}'/>"
                     for key, value in (options or {}).items())
    block = f"<options xmlns='urn:cistern:storage:1.0'>{listed}</options>" if listed else ""
    paths = "".join(f"<device path='{device}'/>" for device in devices)
    return write_xml(f"{name}.xml", f"<pool type='zfs'><name>{name}</name><source>{paths}"
                                    f"<name>{source}</name></source>{block}</pool>")


def volume(name, capacity, allocation=None, options=None):
    listed = "".join(f"<option name='{key}' value='{value}'/>"
                     for key, value in (options or {}).items())
    block = f"<options xmlns='urn:cistern:storage:1.0'>{listed}</options>" if listed else ""
    asked = "" if allocation is None else f"<allocation>{allocation}</allocation>"
    return write_xml("volume.xml", f"<volume><name>{name}</name><capacity>{capacity}</capacity>"
                                   f"{asked}{block}</volume>")


def dev(name, root="tank"):
    return f"/dev/zvol/{root}/{name}"


def get(dataset, *names):
    """Values of properties, exact."""
    return out("zfs", "get", "-H", "-p", "-o", "value", ",".join(names), dataset).split("\n")[:-1]


def datasets(root="tank", kinds="filesystem,volume,snapshot"):
    return out("zfs", "list", "-H", "-o", "name", "-t", kinds, "-r", root).split("\n")[1:-1]


def snap(verb, name, *words, where="tank", status=0):
    sure = ["--yes"] if verb in ("delete", "revert") else []
    return OURS.cistern(f"snap-{verb}", name, *words, "--pool", where, *sure, status=status)


def snapshot_names(name, where="tank"):
    rows = json.loads(snap("list", name, "--json", where=where))["snapshots"]
    return [row["name"] for row in rows]


def listed(where="tank"):
    text = OURS.virsh(f"vol-list {where}")[0]
    return [line.split()[0] for line in text.splitlines()[2:] if line.strip()]


@case
def a_pool_is_built_on_disks_that_carry_nothing():
    zfs.require()
    global SECOND
    run("wipefs", "-aq", disk(0), disk(1), disk(2), disk(3))
    SECOND = faults.Disk("second", disk(3))
    OURS.start()
    run("mkfs.ext4", "-q", disk(1))
    OURS.virsh(f"pool-define {pool('tank', 'tank', [disk(0), disk(1)])}")
    expect_in("carries 'ext4'", OURS.fails("pool-build tank"))
    expect("tank" not in out("zpool", "list", "-H"), "a pool was made")
    OURS.virsh("pool-build tank --overwrite")
    expect_in("exists already", OURS.fails("pool-build tank --overwrite"))
    OURS.virsh("pool-start tank")
    expect(get("tank", "mountpoint") == ["none"], get("tank", "mountpoint"))


@case
def the_pool_tells_its_sizes():
    info = dict(re.findall(r"^(\w+): +(\d+)", OURS.virsh("pool-info tank --bytes")[0], re.M))
    size, allocated = out("zpool", "list", "-H", "-p", "-o", "size,alloc", "tank").split()
    expect(info["Capacity"] == size, info)
    expect(abs(int(info["Allocation"]) - int(allocated)) < MIB, (info, allocated))
    expect(int(info["Available"]) <= int(get("tank", "available")[0]) + MIB, info)


@case
def volumes_are_reserved_or_sparse_as_asked():
    OURS.virsh("vol-create-as tank thick 32M", "vol-create-as tank sparse 1G --allocation 0",
               "vol-create-as tank half 64M --allocation 16M")
    expect(int(get("tank/thick", "refreservation")[0]) >= 32 * MIB, get("tank/thick", "all"))
    expect(get("tank/sparse", "volsize", "refreservation") == [str(1024 * MIB), "0"], "sparse")
    expect(get("tank/half", "refreservation") == [str(16 * MIB)], "half")
    expect(get("tank/thick", "volmode") == ["dev"], "volmode")
    expect(listed() == ["half", "sparse", "thick"], listed())
    expect(os.stat(dev("thick")).st_mode & 0o777 == 0o600, oct(os.stat(dev("thick")).st_mode))
    for command in ("vol-create-as tank thick 1M", "vol-create-as tank a@b 1M",
                    "vol-create-as tank .cistern-x 1M"):
        OURS.fails(command)
    expect_in("out of space", OURS.fails("vol-create-as tank much 100G"))
    expect(sorted(datasets()) == ["tank/half", "tank/sparse", "tank/thick"], datasets())


@case
def the_host_shows_no_partitions_of_a_guest():
    """Whether volumes inherit volmode=dev, or are to be given it while udev has them open."""
    expect(get("tank", "volmode") == ["dev"], "a pool that we have built")
    for name, twin in (("guest", "twin"), ("other", "other-twin")):
        OURS.virsh(f"vol-create-as tank {name} 32M --allocation 0")
        run("sfdisk", "-q", dev(name), data="label: gpt\nsize=8M\n")
        run("udevadm", "settle")
        OURS.virsh(f"vol-clone {name} {twin} --pool tank")
        run("udevadm", "settle")
        for made in (name, twin):
            expect_in("gpt", out("blkid", "-p", dev(made)))
            node = os.path.basename(os.path.realpath(dev(made)))
            expect(not os.path.exists(f"/sys/block/{node}/{node}p1"), f"{made} has partitions")
            expect(os.stat(dev(made)).st_mode & 0o777 == 0o600, f"{made}: udev's mode")
        OURS.virsh(f"vol-delete {twin} --pool tank", f"vol-delete {name} --pool tank")
        run("zfs", "inherit", "volmode", "tank")
    run("zfs", "set", "volmode=dev", "tank")


@case
def properties_are_the_volumes_own_or_the_pools():
    run("zfs", "create", "-o", "mountpoint=none", "tank/vm")
    OURS.virsh(f"pool-define {pool('vm', 'tank/vm', (), {'volblocksize': '32K', 'compression': 'lz4'})}",
               "pool-start vm", "vol-create-as vm common 8M",
               f"vol-create vm {volume('own', 8 * MIB, None, {'volblocksize': '64K'})}")
    expect(get("tank/vm/common", "volblocksize", "compression") == ["32768", "lz4"], "common")
    expect(get("tank/vm/own", "volblocksize", "compression") == ["65536", "lz4"], "own")
    expect_in("<cistern:option name='volblocksize' value='64K'/>",
              OURS.virsh("vol-dumpxml own vm")[0])
    expect_in("can't be given the ZFS property 'volsize'",
              OURS.fails(f"vol-create vm {volume('bad', MIB, None, {'volsize': '64K'})}"))
    OURS.fails(f"vol-create vm {volume('bad', MIB, None, {'nonsense': '64K'})}")
    expect(datasets("tank/vm") == ["tank/vm/common", "tank/vm/own"], datasets("tank/vm"))


@long_case
def nested_datasets_keep_equal_names_apart():
    """Long: zfs_volume_test.c has such names, by the fake ZFS."""
    run("zfs", "create", "-o", "mountpoint=none", "tank/vm/web")
    OURS.virsh("vol-create-as vm web/own 4M")
    expect(listed("vm") == ["common", "own", "web/own"], listed("vm"))
    expect(get("tank/vm/web/own", "volsize") == [str(4 * MIB)], "size")
    path = OURS.virsh("vol-path web/own --pool vm")[0]
    expect(path == "/dev/zvol/tank/vm/web/own", path)
    # The pool of the whole of "tank" has it, too.
    expect(OURS.virsh(f"vol-name {path}")[0] in ("web/own", "vm/web/own"), "name")
    expect_in("tank/vm/none", OURS.fails("vol-create-as vm none/disk 4M"))
    OURS.virsh("vol-delete web/own --pool vm")
    expect(listed("vm") == ["common", "own"], listed("vm"))


@case
def content_goes_up_and_down_and_is_wiped():
    source = os.path.join(os.path.dirname(OURS.log), "content")
    with open(source, "wb") as file:
        file.write(os.urandom(4 * MIB))
    OURS.virsh("vol-create-as tank data 8M", f"vol-upload data {source} --pool tank",
               f"vol-download data {source}.back --pool tank --length {4 * MIB}")
    expect(run("cmp", source, f"{source}.back", check=False)[0] == 0, "other content")
    OURS.virsh("vol-wipe data --pool tank")
    with open(dev("data"), "rb") as file:
        expect(not any(file.read(MIB)), "not wiped")


@case
def a_volume_grows_and_shrinks():
    OURS.virsh("vol-resize data 20M --pool tank")
    expect(get("tank/data", "volsize") == [str(20 * MIB)], "grown")
    expect(int(get("tank/data", "refreservation")[0]) >= 20 * MIB, "not reserved")
    OURS.virsh("vol-resize data 10M --pool tank --shrink")
    expect(get("tank/data", "volsize") == [str(10 * MIB)], "shrunk")
    OURS.virsh(f"vol-resize data {10 * MIB + 1} --pool tank")
    block = int(get("tank/data", "volblocksize")[0])
    expect(get("tank/data", "volsize") == [str(10 * MIB + block)], get("tank/data", "volsize"))


@case
def who_has_a_volume_open_is_named():
    with open(dev("data"), "rb"):
        for command in ("vol-delete data --pool tank", "vol-wipe data --pool tank",
                        "vol-resize data 4M --pool tank --shrink"):
            expect_in(f"process {os.getpid()}", OURS.fails(command))
    run("mkfs.ext4", "-q", dev("data"))
    os.makedirs("/mnt/data", exist_ok=True)
    run("mount", dev("data"), "/mnt/data")
    expect_in("mounted on '/mnt/data'", OURS.fails("vol-delete data --pool tank"))
    run("umount", "/mnt/data")


@case
def clones_hang_on_their_source_and_are_shown():
    write_at(dev("data"), "one")
    OURS.virsh("vol-clone data copy --pool tank")
    expect(read_at(dev("copy")) == "one", read_at(dev("copy")))
    write_at(dev("copy"), "two")
    expect(read_at(dev("data")) == "one", "the source changed")
    expect(re.match(r"tank/data@\.cistern-", get("tank/copy", "origin")[0]), get("tank/copy", "origin"))
    expect_in("<path>/dev/zvol/tank/data</path>", OURS.virsh("vol-dumpxml copy tank")[0])
    expect_in("copy", OURS.fails("vol-delete data --pool tank"))
    expect(snapshot_names("data") == [], "a hidden snapshot is shown")
    OURS.virsh("vol-delete copy --pool tank")
    expect(datasets("tank/data") == [], datasets("tank/data"))


@long_case
def a_flattened_clone_is_on_its_own():
    OURS.virsh("vol-clone data flat --pool tank")
    OURS.cistern("vol-flatten", "flat", "--pool", "tank")
    expect(get("tank/flat", "origin") == ["-"], get("tank/flat", "origin"))
    expect(read_at(dev("flat")) == "one", "other content")
    expect(datasets("tank/data") == [], datasets("tank/data"))
    OURS.virsh("vol-delete flat --pool tank")
    expect([name for name in datasets() if "cistern" in name] == [], datasets())


@case
def snapshots_are_taken_listed_renamed_and_removed():
    snap("create", "data", "s1")
    write_at(dev("data"), "later")
    run("zfs", "snapshot", "tank/data@by-others")
    expect(snapshot_names("data") == ["s1", "by-others"], snapshot_names("data"))
    snap("rename", "data", "by-others", "s2")
    snap("create", "data", "s2", status=CONFLICT)
    snap("delete", "data", "s2")
    expect(datasets("tank/data") == ["tank/data@s1"], datasets("tank/data"))
    expect_in("s1", OURS.fails("vol-delete data --pool tank"))


@case
def a_volume_is_made_of_a_snapshot():
    snap("clone", "data", "s1", "old")
    expect(read_at(dev("old")) == "one", read_at(dev("old")))
    expect_in("old", snap("delete", "data", "s1", status=CONFLICT))
    OURS.virsh("vol-delete old --pool tank")


@case
def a_revert_goes_back_to_the_newest_and_says_what_else_it_would_remove():
    snap("revert", "data", "s1")
    expect(read_at(dev("data")) == "one", read_at(dev("data")))
    for name in ("s2", "s3"):
        write_at(dev("data"), name)
        snap("create", "data", name)
    text = OURS.cistern("snap-revert", "data", "s1", "--pool", "tank", "--no-input", status=2)
    expect("s2" in text and "s3" in text, text)
    expect(snapshot_names("data") == ["s1", "s2", "s3"], "something was removed")
    snap("revert", "data", "s1")
    expect(snapshot_names("data") == ["s1"], snapshot_names("data"))
    expect(read_at(dev("data")) == "one", read_at(dev("data")))
    snap("delete", "data", "s1")


@contextlib.contextmanager
def meanwhile(*line):
    """Somebody has zfs do LINE between the daemon's look and its next change by a program."""
    folder, planned = os.path.join(WORK, "between"), os.path.join(WORK, "planned")
    real = shutil.which("zfs")
    os.makedirs(folder, exist_ok=True)
    wrapper = os.path.join(folder, "zfs")
    with open(wrapper, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n[ \"$1\" = program ] && mv {planned} {planned}.done 2>/dev/null && "
                   f"{{ sh -e {planned}.done </dev/null || exit 99; }}\nexec {real} \"$@\"\n")
    os.chmod(wrapper, 0o755)
    path = os.environ["PATH"]
    OURS.stop()
    os.environ["PATH"] = f"{folder}:{path}"
    OURS.start()
    os.environ["PATH"] = path
    with open(planned, "w", encoding="utf-8") as file:
        file.write("\n".join(f"{real} {words}" for words in line) + "\n")
    yield
    expect(not os.path.exists(planned), "no program was run")
    OURS.stop()
    OURS.start()


def told_zfs(name, size, block, options):
    run("zfs", "create", "-o", "volmode=dev", *options, "-b", str(block), "-s", "-V", str(size),
        f"tank/{name}")
    expect(wait_until(lambda: os.path.exists(dev(name))), "no device")
    return changes.Model(os.path.join(WORK, "tank.xml"), name, dev(name), size, block, 17)


def hidden():
    return [name for name in datasets() if ".cistern" in name]


@case
def what_has_changed_is_told_and_nothing_else():
    model = told_zfs("told", 16 * MIB, 16384, ("-o", "compression=lz4"))
    changes.random_changes(model, lambda name: run("zfs", "snapshot", f"tank/told@{name}"))
    model.close()
    expect(not hidden(), hidden())
    was = changes.told(model.xml, "told", "s0")[0]
    expect(was == get("tank/told@s0", "guid")[0], was)
    status, text = cst_pool(model.xml, "changed", "told", "s2", "s0", check=False)
    expect(status == 1 and "is newer than" in text, text)
    # What a volume was taken back to is what it holds.
    run("zfs", "rollback", "-r", "tank/told@s0")
    expect(changes.told(model.xml, "told", "s0") == (was, []), "a reverted volume differs")
    run("zfs", "destroy", "tank/told@s0")
    run("zfs", "snapshot", "tank/told@s0")
    expect(changes.told(model.xml, "told", "s0")[0] != was, was)
    run("zfs", "set", f"volsize={24 * MIB}", "tank/told")
    expect(changes.told(model.xml, "told", "s0")[1][-1][1] == 24 * MIB, "growth is not told")
    zfs.destroy("-r", "tank/told")


@long_case
def what_has_changed_of_an_encrypted_volume_is_told_without_its_key():
    """Long: zfs_changed_test.c has that it is asked for as it is stored."""
    key = write_xml("told.key", "0123456789abcdef0123456789abcdef")
    model = told_zfs("told", 4 * MIB, 65536, ("-o", "encryption=on", "-o", "keyformat=raw",
                                              "-o", f"keylocation=file://{key}"))
    model.fill()
    model.snapshot("s0", lambda name: run("zfs", "snapshot", f"tank/told@{name}"))
    model.change(3)
    model.check(0)
    model.close()
    run("zfs", "snapshot", "tank/told@s1")
    known = changes.told(model.xml, "told", "s0", "s1")
    zfs.when_idle("zfs", "unload-key", "tank/told")
    expect(changes.told(model.xml, "told", "s0", "s1") == known, "with the key, and without")
    expect(changes.told(model.xml, "told", "s0") == known, "now, and until the last snapshot")
    zfs.destroy("-r", "tank/told")


@long_case
def a_copy_of_what_has_changed_reads_little():
    """Long: the client asks the same of any pool that tells what has changed (tests/system/copy_test.py)."""
    OURS.virsh("vol-create-as tank told 32M")
    run("dd", "if=/dev/urandom", f"of={dev('told')}", "bs=1M", "count=32", "oflag=direct")
    changes.copy_reads_little(OURS, "tank", "told", dev("told"), 20 * MIB)
    expect(not hidden(), hidden())
    OURS.virsh("vol-delete told tank")


@case
def a_snapshot_that_somebody_takes_during_a_revert_survives():
    OURS.virsh("vol-create-as tank race 8M")
    for name in ("s1", "s2"):
        write_at(dev("race"), name)
        snap("create", "race", name)
    write_at(dev("race"), "late")
    with meanwhile("snapshot tank/race@mine"):
        expect_in("tank/race@mine", snap("revert", "race", "s1", status=CONFLICT))
    expect(snapshot_names("race") == ["s1", "s2", "mine"], snapshot_names("race"))
    expect(read_at(dev("race")) == "late", read_at(dev("race")))
    with meanwhile("destroy tank/race@s2", "snapshot tank/race@s2"):
        expect_in("tank/race@s2", snap("revert", "race", "s1", status=CONFLICT))
    run("zfs", "bookmark", "tank/race@mine", "tank/race#sent")
    expect_in("tank/race#sent", snap("revert", "race", "s1", status=CONFLICT))
    run("zfs", "destroy", "tank/race#sent")
    run("zfs", "hold", "keep", "tank/race@s2")
    expect_in("kept by a hold", snap("revert", "race", "s1", status=CONFLICT))
    run("zfs", "release", "keep", "tank/race@s2")
    expect(snapshot_names("race") == ["s1", "mine", "s2"], snapshot_names("race"))
    run("zfs", "bookmark", "tank/race@s1", "tank/race#old")
    OURS.virsh("vol-resize race 16M --pool tank")
    snap("revert", "race", "s1")
    expect(snapshot_names("race") == ["s1"], snapshot_names("race"))
    expect(read_at(dev("race")) == "s1", read_at(dev("race")))
    expect(get("tank/race", "volsize") == [str(8 * MIB)], get("tank/race", "volsize"))
    expect(out("blockdev", "--getsize64", dev("race")) == f"{8 * MIB}\n", "size of the device")
    snap("delete", "race", "s1")


@long_case
def what_somebody_changes_during_a_deletion_keeps_the_volume():
    """Long: a program of ZFS's as the one above; zfs_snapshot_test.c, zfs_volume_test.c."""
    OURS.virsh("vol-info race tank")
    with meanwhile("snapshot tank/race@mine"):
        expect_in("mine", OURS.fails("vol-delete race --pool tank"))
    run("zfs", "destroy", "tank/race@mine")
    with meanwhile("destroy tank/race", "create -V 4M tank/race"):
        OURS.virsh("vol-info race tank")
        expect_in("another dataset", OURS.fails("vol-delete race --pool tank"))
    expect(get("tank/race", "volsize") == [str(4 * MIB)], "another volume was removed")
    OURS.virsh("vol-delete race --pool tank")
    expect("tank/race" not in datasets(), datasets())


@case
def what_others_make_and_remove_is_seen():
    run("zfs", "create", "-V", "8M", "tank/native")
    expect(wait_until(lambda: "native" in listed()), listed())
    run("zfs", "set", "volsize=16M", "tank/native")
    expect(wait_until(lambda: "16.00 MiB" in OURS.virsh("vol-info native tank")[0]), "size")
    run("zfs", "rename", "tank/native", "tank/other")
    expect(wait_until(lambda: "other" in listed() and "native" not in listed()), listed())
    zfs.destroy("tank/other")
    expect(wait_until(lambda: "other" not in listed()), listed())


def info(name):
    return json.loads(OURS.cistern("pool-info", name, "--json"))["pool"]


@case
def an_encrypted_datasets_key_comes_from_a_secret():
    secret = write_xml("secret.xml", "<secret private='yes'><usage type='volume'><volume>/tank/safe"
                                     "</volume></usage></secret>")
    uuid = re.search(r"Secret (\S+) created", OURS.virsh(f"secret-define {secret}")[0])[1]
    with open(os.path.join(os.path.dirname(OURS.log), "key"), "w", encoding="utf-8") as file:
        file.write("open sesame")
    OURS.virsh(f"secret-set-value {uuid} --file {file.name} --plain",
               f"pool-define {pool('safe', 'tank/safe', (), {'key-secret': uuid})}",
               "pool-build safe", "pool-start safe", "vol-create-as safe disk 8M")
    expect(get("tank/safe/disk", "encryptionroot", "keystatus") == ["tank/safe", "available"],
           get("tank/safe/disk", "encryptionroot", "keystatus"))
    OURS.virsh("pool-destroy safe")
    # The fewest rounds that ZFS takes: each key that is loaded costs an emulated processor seconds.
    run("zfs", "change-key", "-o", "keyformat=passphrase", "-o", "pbkdf2iters=100000", "tank/safe",
        data="open sesame\n")
    run("zfs", "unload-key", "tank/safe")
    OURS.virsh("pool-start safe")
    expect(wait_until(lambda: os.path.exists(dev("disk", "tank/safe"))), "no device")
    expect("sesame" not in OURS.logged(), "the key is in the log")
    OURS.virsh("vol-delete disk --pool safe", "pool-destroy safe", "pool-delete safe")
    expect("tank/safe" not in datasets(), datasets())


@case
def a_pool_with_content_is_not_deleted():
    OURS.virsh("pool-destroy tank")
    expect_in("would be removed with all that it holds", OURS.fails("pool-delete tank"))
    OURS.virsh("pool-start tank")


@case
def a_faulted_device_shows_in_the_pools_state_and_health():
    run("zpool", "create", "-f", "-m", "none", "pair", "mirror", disk(2), "/dev/mapper/second")
    OURS.virsh(f"pool-define {pool('pair', 'pair')}", "pool-start pair")
    expect(info("pair")["health"] == [{"state": "ONLINE", "level": "good"}], info("pair"))
    zfs.fail("pair", disk(2))
    expect(wait_until(lambda: "degraded" in OURS.virsh("pool-info pair")[0]), "state")
    said = info("pair")
    expect(said["health"] == [{"state": "DEGRADED", "level": "degraded"}], said)
    expect(any("FAULTED, external device fault" in note["note"] for note in said["health_notes"]),
           said)
    expect_in("FAULTED, external", OURS.cistern("pool-list", "--details"))
    zfs.mend("pair", disk(2))
    expect(wait_until(lambda: "running" in OURS.virsh("pool-info pair")[0]), "not back")
    run("zpool", "scrub", "-w", "pair")
    expect_in("scrub repaired", OURS.cistern("pool-info", "pair"))
    OURS.virsh("pool-destroy pair")
    zfs.destroy_pool("pair")


@case
def a_pool_that_lost_its_devices_says_so_and_comes_back():
    run("zpool", "create", "-f", "-m", "none", "lost", "/dev/mapper/second")
    OURS.virsh(f"pool-define {pool('lost', 'lost')}", "pool-start lost",
               "vol-create-as lost disk 8M")
    SECOND.fail()
    writer = subprocess.Popen(["dd", "if=/dev/zero", f"of={dev('disk', 'lost')}", "bs=1M", "count=2",
                               "oflag=direct"], stderr=subprocess.DEVNULL)
    expect(wait_until(lambda: zfs.kernel_state("lost") == "SUSPENDED"), "ZFS goes on")
    began = time.monotonic()
    expect(wait_until(lambda: "inaccessible" in OURS.virsh("pool-info lost")[0]), "no word")
    print(f"# noticed after {time.monotonic() - began:.1f} s", flush=True)
    said = OURS.fails("vol-create-as lost other 8M")  # by ZFS, or by us, who no longer ask it
    expect("currently suspended" in said or "has not answered" in said, said)
    began = time.monotonic()
    OURS.virsh("vol-list tank")
    print(f"# another pool answered in {time.monotonic() - began:.1f} s", flush=True)
    SECOND.mend()
    run("zpool", "clear", "lost")
    expect(wait_until(lambda: "running" in OURS.virsh("pool-info lost")[0]), "not back")
    writer.wait()
    OURS.virsh("vol-create-as lost other 8M", "pool-destroy lost")
    zfs.destroy_pool("lost")


@long_case
def another_pool_of_the_name_is_refused():
    """Long: zfs_pool_test.c."""
    run("zpool", "create", "-f", "-m", "none", "same", "/dev/mapper/second")
    OURS.virsh(f"pool-define {pool('same', 'same')}", "pool-start same")
    zfs.destroy_pool("same")
    run("zpool", "create", "-f", "-m", "none", "same", "/dev/mapper/second")
    expect_in("is not the one that the pool was started with", OURS.fails("pool-refresh same"))
    OURS.virsh("pool-destroy same", "pool-start same", "pool-refresh same", "pool-destroy same")
    zfs.when_idle("zpool", "export", "same")
    expect_in("zpool import same", OURS.fails("pool-start same"))


main()
