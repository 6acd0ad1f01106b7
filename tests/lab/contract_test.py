#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The contract of all backends (tests/contract) on one ground, in a machine of its own.

usage: contract_test.py GROUND [PATTERN]

The kernel's storage takes its time in a machine without KVM, so there only the tests run that
differ most by technology, and a dozen random steps; PATTERN names others, "" all of them.
"""
# lab logical: -m 2048 -d 1G -d 1G
# lab logical-thin: -m 2048 -d 1G -d 1G
# lab nfs: -m 2048
# lab cifs: -m 2048
# lab-long disk-gpt: -m 1536
# lab-long disk-dos: -m 1536
# lab-long iscsi: -m 1536
# lab scsi: -m 1536
# lab-long mpath: -m 1536
# lab zfs: -m 2048 -d 1G

import functools
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (BUILD, MIB, case, disk, expect, long_case, main, run, wipe_disks,  # noqa: E402
                 write_xml)
from services import iscsi, nfs, scsi, smb, zfs  # noqa: E402

CHOSEN = ["tool did", "dead process", "zeroes follow", "its source's content", "content before",
          "renamed has its snapshots", "renamed volume follows", "trash keeps its snapshots",
          "snapshots are moved", "record of a snapshot"]
# What a ground does in a way of its own, besides.
ALSO = {"zfs": ["newer snapshots", "clones is flattened", "clones is kept in the trash"]}
# What is left of these where time counts: for the rest one ground of devices stands for all. What a revert
# of an LV brings back, which takes minutes of LVM here, is in thin_test.py, what LVM's tools do in
# logical_test.py.
SHORT = {"logical": ["zeroes follow", "renamed has its snapshots"],
         "logical-thin": ["snapshots are moved along"],
         "zfs": ["newer snapshots", "clones is flattened", "moved into images"],
         "cifs": ["tool did", "content before"]}
# Whose random steps are left out then: thin volumes play LVM's, NFS those of files, and a fake ZFS's
# (contract-zfs-fake-random).
SHORT_NOT_RANDOM = {"logical", "zfs", "cifs"}

# The verbs that are typed where time counts, each for what the ground does in a way of its own.
VERBS = {"logical": "a raw image is imported", "zfs": "a volume is deleted into the trash",
         "nfs": "a volume is moved in", "scsi": "what is attached is backed up"}


def two_disks():
    wipe_disks(disk(0), disk(1))
    return {"CISTERN_CONTRACT_DISKS": f"{disk(0)} {disk(1)}"}


def loop_devices():
    run("modprobe", "loop", "max_part=15")
    return {}


@functools.cache
def exported_folder():
    nfs.start()
    return {"CISTERN_CONTRACT_NFS": f"{nfs.export('all')} /all"}


@functools.cache
def shared_folder():
    smb.start()
    user = write_xml("user", f"username={smb.USER}\npassword={smb.PASSWORD}\n")
    return {"CISTERN_CONTRACT_CIFS": f"{smb.ROOT} {smb.SHARE}", "CISTERN_CONTRACT_CREDENTIALS": user}


def attached(*places):
    return {"CISTERN_CONTRACT_ATTACHED": " ".join(str(place) for place in places)}


def two_targets():
    if not iscsi.SERVER:
        iscsi.start()
        for name in ("p", "q"):
            target = iscsi.Target(name)
            for number in (1, 2):
                target.add_unit(number, 8 * MIB)
    return attached(*(f"iqn.2026-01.lab:{name}" for name in ("p", "q")))


@functools.cache
def two_hosts():
    return attached(*scsi.attach(count=2, units=2, mib=8))


@functools.cache
def two_maps():
    scsi.attach(count=2, units=2, mib=8, same=True)
    scsi.start_multipath()
    return attached("all", "all")


def partition_for_zfs():
    """ZFS labels whole disks, each time anew, and then waits for udev."""
    zfs.require()
    run("sfdisk", "-q", disk(0), data="label: gpt\n,\n")
    run("udevadm", "settle")
    return {"CISTERN_CONTRACT_DISKS": disk(0) + "1"}


# What makes the storage of a ground, and gives the environment in which the ground finds it.
GROUNDS = {
    "logical": two_disks,
    "logical-thin": two_disks,
    "nfs": exported_folder,
    "cifs": shared_folder,
    "disk-gpt": loop_devices,
    "disk-dos": loop_devices,
    "iscsi": two_targets,
    "scsi": two_hosts,
    "mpath": two_maps,
    "zfs": partition_for_zfs,
}
# Where no volumes can be made little is left to test, and the rest says its name.
FIXED = {"iscsi", "scsi", "mpath"}
GROUND = sys.argv[1]
# The disk grounds have a program of their own, whose registry gives partitions the tests' names.
PROGRAM = os.path.join(BUILD, "tests/contract",
                       "contract-disk" if GROUND.startswith("disk-") else "contract")
TOLD = set()


def tell_lacks(said):
    """What the technology can't, once."""
    for line in said.splitlines():
        if line.startswith(f"# {GROUND} can't ") and line not in TOLD:
            print(line, flush=True)
            TOLD.add(line)


def contract(*chosen, **more):
    env = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP", **GROUNDS[GROUND](), **more)
    env.setdefault("CISTERN_CONTRACT_STEPS", "12")
    bad = []
    for pattern in chosen:
        started = time.monotonic()
        done = subprocess.run([PROGRAM, GROUND, pattern], env=env, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        seconds = time.monotonic() - started
        print(f"# {GROUND} '{pattern}': {done.returncode}, {seconds:.0f} s", flush=True)
        for skipped in re.findall(r"^not ok \d+ # SKIP (.*)", done.stdout, re.M):
            print(f"# can't: {skipped}", flush=True)
        tell_lacks(done.stdout)
        if done.returncode:
            bad += [line for line in done.stdout.splitlines()
                    if not line.startswith("ok ") and "# SKIP" not in line]
            print("# " + "\n# ".join(bad), flush=True)
    expect(not bad, "\n# ".join(bad))


@case
def the_contract_is_kept():
    chosen = [""] if GROUND in FIXED else CHOSEN + ALSO.get(GROUND, [])
    if os.environ.get("LAB_SHORT"):
        chosen = SHORT.get(GROUND, chosen)
    contract(*(sys.argv[2:] or chosen))


def verbs_of_every_day_are_killed_and_interrupted():
    short = os.environ.get("LAB_SHORT")
    contract(f"everyday: {VERBS[GROUND]}" if short else "everyday",
             CISTERN_PROGRAM=os.path.join(BUILD, "cistern"),
             CISTERN_CONTRACT_VERBS=os.environ.get("CISTERN_CONTRACT_VERBS", "1" if short else "4"))


if GROUND in VERBS or not os.environ.get("LAB_SHORT"):
    case(verbs_of_every_day_are_killed_and_interrupted)


@(long_case if GROUND in SHORT_NOT_RANDOM else case)
def random_steps_keep_to_the_model():
    if GROUND not in FIXED:
        contract("random steps")


main()
