#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A thin pool that runs full, of data and then of metadata, and another pool beside it. That it says so is
in thin_test.py as well; how long others wait takes many looks, and a machine with both processors.
"""
# lab-long: -c 2 -m 1536 -d 512M -d 512M

import fcntl
import json
import os
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (Ours, WORK, case, disk, expect, expect_in, main, names, out, pool_xml,
                 read_at, run, wait_until, wipe_disks, write_at)  # noqa: E402

OURS = Ours()
FAILED = 1  # exit status of our client
MAPPED = "thin-cistern--thin-tpool"  # device-mapper's name of the thin pool
BYTES = os.path.join(WORK, "bytes")
DM_TARGET_MSG, DM_HEAD = 0xC138FD0E, 312  # <linux/dm-ioctl.h>
LOOKS = 5
FILLER = 1 << 20  # the first of the thin devices that are LVM's not

THIN = pool_xml("thin", [disk(0)], {"thin": "yes", "thin-pool-size": "48M",
                                    "thin-pool-metadata-size": "2M"})
OTHER = pool_xml("other", [disk(1)])


def look():
    """The other pool is used."""
    OURS.virsh("pool-refresh other")


def upload(volume):
    return subprocess.Popen(["virsh", "-c", OURS.uri, f"vol-upload {volume} {BYTES} thin"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def beside(process, most=99):
    """The other pool is used until PROCESS ends, or so many times."""
    for _ in range(most):
        look()
        if process.poll() is not None:
            break


def thin_pool():
    return json.loads(OURS.cistern("pool-info", "thin", "--json"))["pool"]["thin_pools"][0]


def more_room_for_data():
    run("lvextend", "-L", "192M", "thin/cistern-thin", check=False)


def check_content(volume):
    OURS.virsh(f"vol-download {volume} {BYTES}.back thin --length {os.path.getsize(BYTES)}")
    run("cmp", BYTES, BYTES + ".back")


@case
def pools_are_built_and_started():
    wipe_disks(disk(0), disk(1))
    OURS.start()
    for xml, name in ((THIN, "thin"), (OTHER, "other")):
        OURS.virsh(f"pool-define {xml}", f"pool-build {name}", f"pool-start {name}")
    OURS.virsh("vol-create-as thin disk 64M", "vol-create-as thin keep 32M",
               "vol-create-as other there 8M")
    write_at("/dev/thin/keep", "kept")
    run("dd", "if=/dev/urandom", f"of={BYTES}", "bs=1M", "count=64")
    look()


@case
def a_pool_full_of_data_says_so_and_keeps_no_other_waiting():
    process = upload("disk")
    beside(process)
    expect_in("no space left for data", process.stdout.read())
    look()
    expect_in("no space left for data", OURS.fails("vol-create-as thin more 8M"))
    expect_in("running", OURS.virsh("pool-info thin")[0])
    told = "the data of thin pool 'cistern-thin' is full by"
    expect(wait_until(lambda: told in OURS.logged()), OURS.logged())
    expect(thin_pool()["data_percent"] > 95, thin_pool())


@case
def a_pool_that_holds_its_writes_keeps_no_other_waiting_and_goes_on_with_more_room():
    with open("/sys/module/dm_thin_pool/parameters/no_space_timeout", "w", encoding="ascii") as file:
        file.write("0")  # for as long as it takes
    run("lvchange", "--errorwhenfull", "n", "thin/cistern-thin")
    process = upload("disk")
    expect(wait_until(lambda: thin_pool()["data_percent"] >= 99.9), thin_pool())
    beside(process, LOOKS)
    waited = process.poll() is None
    more_room_for_data()
    text = process.communicate()[0]
    expect(waited and "error" not in text, f"the upload did not wait for room: {text}")
    check_content("disk")
    run("lvchange", "--errorwhenfull", "y", "thin/cistern-thin")


# --- metadata --------------------------------------------------------------------------------------

def tell_pool(words):
    """dmsetup message, without a process for each."""
    data = struct.pack("<Q", 0) + words.encode() + b"\0"
    head = struct.pack("<5I", 4, 0, 0, DM_HEAD + len(data), DM_HEAD).ljust(48, b"\0")
    with open("/dev/mapper/control", "r+b", buffering=0) as control:
        fcntl.ioctl(control, DM_TARGET_MSG,
                    bytearray((head + MAPPED.encode()).ljust(DM_HEAD, b"\0") + data))


def metadata():
    """Blocks of metadata that are used, and that there are; and the pool's mode."""
    words = out("dmsetup", "status", MAPPED).split()
    used, total = words[4].split("/")
    return int(used), int(total), words[7]


def fill_metadata():
    """Thin devices that nobody uses take a block each, until there is none and the pool says so."""
    number = FILLER
    while True:
        used, total, mode = metadata()
        if mode == "ro":
            return
        try:
            for number in range(number, number + max(1, total - used - 20)):
                tell_pool(f"create_thin {number}")
        except OSError:
            pass  # the pool's mode tells why
        number += 1


FULL = "no space left for metadata"


@case
def a_pool_full_of_metadata_says_so_and_keeps_no_other_waiting():
    more_room_for_data()
    OURS.virsh("vol-create-as thin second 64M")
    fill_metadata()
    process = upload("second")
    beside(process)
    text = process.stdout.read()
    expect_in(FULL, text)
    expect_in("lvextend --poolmetadatasize", text)
    expect(metadata()[2] == "ro", metadata())
    look()


@case
def what_needs_metadata_is_refused_and_the_rest_goes_on():
    for command in ("vol-create-as thin more 8M", "vol-wipe second thin"):
        expect_in(FULL, OURS.fails(command))
    for command in (("snap-create", "disk", "s"), ("vol-clone", "disk", "copy")):
        expect_in(FULL, OURS.cistern(*command, "--pool", "thin", status=FAILED))
    expect(read_at("/dev/thin/keep") == "kept", read_at("/dev/thin/keep"))
    listed = OURS.virsh("pool-refresh thin", "vol-list thin")[1]
    expect([name in listed for name in ("disk", "keep", "second", "more", "copy")]
           == [True, True, True, False, False], listed)
    expect(names("thin") == ["cistern-thin", "disk", "keep", "second"], names("thin"))
    expect(thin_pool()["metadata_percent"] > 99, thin_pool())
    told = "the metadata of thin pool 'cistern-thin' is full by"
    expect(wait_until(lambda: told in OURS.logged()), OURS.logged())


@case
def what_is_deleted_is_noted_when_there_is_room_for_it():
    OURS.virsh("vol-delete keep thin")
    # The note comes before any other change.
    expect_in(FULL, OURS.fails("vol-resize second 80M thin"))
    expect(names("thin") == ["cistern-thin", "disk", "second"], names("thin"))


@case
def more_room_for_metadata_is_all_it_takes():
    run("lvextend", "--poolmetadatasize", "+4M", "thin/cistern-thin")
    OURS.virsh(f"vol-upload second {BYTES} thin", "vol-create-as thin more 8M",
               "vol-resize second 80M thin")
    check_content("second")
    OURS.cistern("snap-create", "disk", "s", "--pool", "thin")
    expect(thin_pool()["metadata_percent"] < 60, thin_pool())


@case
def pools_go_away():
    OURS.virsh("pool-destroy thin", "pool-delete thin", "pool-destroy other", "pool-delete other")
    expect("thin" not in out("vgs"), out("vgs"))
    OURS.stop()


main()
