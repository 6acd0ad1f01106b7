#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The automatic extension of thin pools and classic snapshots, by real LVM under a writer. Long: it
writes 9 GiB. tests/unit/service/extend_test.c and tests/unit/pool/logical_grow_test.c are shorter.
"""
# lab-long: -m 2048 -d 12G -d 512M -d 1G

import datetime
import hashlib
import json
import mmap
import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import (BUILD, MIB, Ours, case, disk, expect, expect_in, lvs, main, out, pool_xml, run,
                 wait_until, wipe_disks)  # noqa: E402

OURS = Ours()
NO_SPACE = 1  # exit status of our client

SIZE = 4096  # MiB of the thin pool
FILLED = SIZE * 9 // 10
GUEST = "/dev/guests/disk"
THIN = pool_xml("guests", [disk(0)], {"thin": "yes", "thin-pool-size": f"{SIZE}M",
                                      "thin-pool-metadata-size": "8M"})
THICK = pool_xml("thick", [disk(2)], {"snapshot-size": "256M"})


def growths(pool="guests"):
    """The rows of pool-autoextend, by the word of the space."""
    document = json.loads(OURS.cistern("pool-autoextend", pool, "--json"))["autoextend"]
    return {row["space"]: row for row in document["spaces"]}


def events(kind, pool="guests"):
    rows = json.loads(OURS.cistern("events", "--kind", kind, "--json"))["events"]
    return [row for row in rows if row["object"] == pool]


def is_over(event):
    return event.get("over") is True


class Writer(threading.Thread):
    """Writes MiBs with known content to a device, past the cache, as fast as it takes them."""

    def __init__(self, path, first, count):
        super().__init__()
        self.path, self.first, self.count = path, first, count
        self.error = None
        self.done = 0
        self.times = []  # after each MiB
        self.start()

    @staticmethod
    def content(number):
        return hashlib.sha256(str(number).encode()).digest() * (MIB // 32)

    def run(self):
        buffer = mmap.mmap(-1, MIB)  # aligned
        fd = os.open(self.path, os.O_WRONLY | os.O_DIRECT)
        self.times.append(time.time())
        try:
            for number in range(self.first, self.first + self.count):
                buffer[:] = self.content(number)
                os.pwrite(fd, buffer, number * MIB)
                self.done += 1
                self.times.append(time.time())
            os.fsync(fd)
        except OSError as error:
            self.error = error
        finally:
            os.close(fd)

    def report(self):
        spent = self.times[-1] - self.times[0]
        longest = max((b - a for a, b in zip(self.times, self.times[1:])), default=0)
        print(f"# {self.done} MiB in {spent:.1f} s ({self.done / max(spent, 0.001):.0f} MiB/s), the "
              f"longest MiB {longest:.2f} s", flush=True)


def holds(path, first, count):
    """Whether the device has the content of a writer, read past the cache."""
    buffer = mmap.mmap(-1, MIB)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        for number in range(first, first + count):
            os.preadv(fd, [buffer], number * MIB)
            if buffer[:] != Writer.content(number):
                print(f"# MiB {number} differs", flush=True)
                return False
    finally:
        os.close(fd)
    return True


def processor_times():
    """Seconds of the daemon and of its ended children."""
    with open(f"/proc/{OURS.process.pid}/stat", encoding="ascii") as stat:
        fields = [int(field) for field in stat.read().rsplit(")", 1)[1].split()[11:15]]
    ticks = os.sysconf("SC_CLK_TCK")
    return (fields[0] + fields[1]) / ticks, (fields[2] + fields[3]) / ticks


def print_idle_cost(text):
    before, began = processor_times(), time.monotonic()
    out("sleep", "20")
    spent = time.monotonic() - began
    own, children = (100 * (b - a) / spent for a, b in zip(before, processor_times()))
    print(f"# {text}: {own:.2f} % of a processor, children {children:.2f} %", flush=True)


@case
def pools_are_built_and_a_thin_pool_has_ten_percent_free():
    wipe_disks(disk(0), disk(1), disk(2))
    OURS.start()
    for xml, name in ((THIN, "guests"), (THICK, "thick")):
        OURS.virsh(f"pool-define {xml}", f"pool-build {name}", f"pool-start {name}")
    OURS.virsh("vol-create-as guests disk 11G")
    writer = Writer(GUEST, 0, FILLED)
    writer.join()
    writer.report()
    expect(writer.error is None, writer.error)
    rows = growths()
    expect(88 < rows["data"]["use_percent"] < 91, rows)
    expect(rows["data"]["extended_by"] is None, rows)


@case
def a_writer_at_device_speed_sees_no_error_while_the_group_has_room():
    """The daemon extends the thin pool twice while the writer runs."""
    OURS.cistern("pool-autoextend", "guests", "--threshold", "80", "--step", "50", "--reserve", "64M")
    began = time.time()
    writer = Writer(GUEST, FILLED, SIZE * 3 // 2 - FILLED)
    writer.join()
    writer.report()
    expect(writer.error is None, f"after {writer.done} MiB: {writer.error}")
    expect(wait_until(lambda: len(events("pool-extended")) >= 2), "not extended twice")
    first = datetime.datetime.fromisoformat(events("pool-extended")[0]["time"].replace("Z", "+00:00"))
    # The event follows the extension and a report of LVM, which takes seconds on a busy emulator.
    written = FILLED + sum(at <= first.timestamp() for at in writer.times)
    print(f"# the first event at MiB {written}, {first.timestamp() - began:.1f} s", flush=True)
    for event in events("pool-extended"):
        print(f"# {event['time']}: {event['message']}", flush=True)
    expect(not events("pool-extend-failed"), events("pool-extend-failed"))
    expect(holds(GUEST, 0, SIZE * 3 // 2), "the content differs")


@case
def the_setting_costs_little_while_nobody_writes():
    """Prints the cost; no duration is asserted."""
    print_idle_cost("with the setting")
    OURS.cistern("pool-autoextend", "guests", "--threshold", "off")
    print_idle_cost("without")


@case
def metadata_is_extended_and_no_other_space_if_only_metadata_is_due():
    before = growths()
    used = SIZE * 3 // 2
    OURS.cistern("pool-autoextend", "guests", "--maximum", "16M", "--threshold",
                 str(max(1, int(before["metadata"]["use_percent"]) - 1)))
    expect(wait_until(lambda: growths()["metadata"]["size"] > before["metadata"]["size"]), growths())
    expect(growths()["data"]["size"] == before["data"]["size"] > used * MIB, growths())
    expect_in("metadata of thin pool", json.dumps(events("pool-extended")))
    # The data is above its maximum, which is an alert; the end of the setting ends it.
    OURS.cistern("pool-autoextend", "guests", "--threshold", "off")
    expect(wait_until(lambda: any(is_over(row) for row in events("pool-extend-failed"))), "no end")


@case
def without_room_the_alert_comes_first_and_new_volumes_are_refused():
    size = growths()["data"]["size"] // MIB
    written = SIZE * 3 // 2
    before = len(events("pool-extend-failed"))
    OURS.cistern("pool-autoextend", "guests", "--threshold", "60", "--maximum", f"{size}M")
    expect(wait_until(lambda: len(events("pool-extend-failed")) == before + 1), "no event")
    print(f"# {events('pool-extend-failed')[-1]['message']}", flush=True)
    writer = Writer(GUEST, written, size - written + 64)
    expect_in("accepts no new volumes", OURS.fails("vol-create-as guests more 8M"))
    expect_in("accepts no new volumes", OURS.cistern("snap-create", "disk", "s", "--pool", "guests",
                                                     status=NO_SPACE))
    writer.join()
    writer.report()
    expect(writer.error is not None, "the thin pool did not run full")
    expect(len(events("pool-extend-failed")) == before + 1, events("pool-extend-failed"))
    expect(holds(GUEST, 0, written + writer.done), "old data is lost")


@case
def room_ends_the_alert_and_the_guest_writes_again():
    before = len(events("pool-extended"))
    out("vgextend", "guests", disk(1))
    OURS.cistern("pool-autoextend", "guests", "--maximum", "off")
    expect(wait_until(lambda: len(events("pool-extended")) > before), growths())
    expect(wait_until(lambda: is_over(events("pool-extend-failed")[-1])), growths())
    OURS.virsh("vol-create-as guests more 8M")
    writer = Writer(GUEST, 11 * 1024 - 16, 16)
    writer.join()
    expect(writer.error is None, writer.error)
    expect(holds(GUEST, 11 * 1024 - 16, 16), "the content differs")


@case
def a_classic_snapshot_is_extended_and_keeps_its_content():
    OURS.virsh("vol-create-as thick disk 400M")
    writer = Writer("/dev/thick/disk", 0, 8)
    writer.join()
    OURS.cistern("snap-create", "disk", "s", "--pool", "thick")
    OURS.cistern("pool-autoextend", "thick", "--threshold", "20", "--step", "60")
    writer = Writer("/dev/thick/disk", 8, 350)
    writer.join()
    writer.report()
    expect(writer.error is None, writer.error)
    state = json.loads(OURS.cistern("snap-list", "disk", "--pool", "thick", "--json"))["snapshots"]
    expect(state[0]["state"] == "good", state)
    expect(events("pool-extended", "thick"), "no event")
    for event in events("pool-extended", "thick"):
        print(f"# {event['message']}", flush=True)


@case
def dmeventd_keeps_what_it_monitors():
    with open("/etc/lvm/lvm.conf", "a", encoding="utf-8") as conf:
        conf.write("\nactivation/thin_pool_autoextend_threshold = 99\n"
                   "activation/snapshot_autoextend_threshold = 99\n")
    print("# " + out("lvmconfig", "--type", "full",
                     "activation/thin_pool_autoextend_threshold").strip(), flush=True)
    status, said = run("vgchange", "--monitor", "y", "guests", check=False)
    print(f"# vgchange: {status} {said.strip()}", flush=True)
    expect(growths()["data"]["extended_by"] == "dmeventd", growths())
    found = run(os.path.join(BUILD, "cistern"), "-c", OURS.uri, "doctor", "guests", "--json", check=False)
    expect_in("autoextend-by-dmeventd", found[1])
    out("vgchange", "--monitor", "n", "guests")
    expect(growths()["data"]["extended_by"] == "cisternd", growths())
    OURS.stop()
    print("# " + str(lvs("guests", "lv_name,lv_size,lv_metadata_size,data_percent")), flush=True)


if __name__ == "__main__":
    main()
