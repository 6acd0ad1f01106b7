# SPDX-License-Identifier: LGPL-2.1-or-later
"""Snapshots and backups of the disks of a running guest (running_real_test) whose QEMU is started
without libvirt, by the socket of its monitor (--qmp)."""

import json
import os
import signal
import socket
import subprocess
import unittest

from harness import cases, peers, space, wait
from running_real_test import DISKS, Guest, guest_folder


@cases.long("qmp_snapshot_test has the same calls with a QEMU without a guest")
class QmpQcow2(Guest):
    @classmethod
    def setUpClass(cls):
        if os.geteuid() or not os.path.exists("/usr/bin/qemu-system-x86_64"):
            raise unittest.SkipTest("needs root and QEMU")
        cls.guest = guest_folder()
        cls.peer = peers.Cisternd(config="[service]\nhypervisor = none\n")
        cls.addClassCleanup(cls.peer.stop)
        cls.peer.fresh()
        cls.pool = os.path.join(cls.peer.dir, "p")
        cls.make_pool()
        cls.log = os.path.join(cls.peer.files, "guest.log")
        cls.sockets = [os.path.join(cls.peer.files, name) for name in ("monitor", "second")]

    def boot(self, words="noagent", form_of_c=None):
        disks = [word for name in DISKS for word in (
            "-drive", f"if=virtio,format={self.FORMAT},cache={self.CACHE},discard=unmap,"
                      f"file={os.path.join(self.pool, name)}")]
        with open(self.log, "w", encoding="ascii"):
            pass
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc,accel=tcg", "-m", "192", "-nodefaults",
             "-display", "none", "-kernel", os.path.join(self.guest, "vmlinuz"),
             "-initrd", os.path.join(self.guest, "initrd.gz"), "-append",
             "console=ttyS0 quiet panic=1 tsc=unstable clocksource=hpet " + words,
             "-serial", f"file:{self.log}", *disks,
             *(word for path in self.sockets for word in ("-qmp", f"unix:{path},server=on,wait=off"))],
            stdin=subprocess.DEVNULL)
        wait.until(lambda: self.newest_block() > 600, "the guest has written 600 blocks",
                   seen=self.console)

    def clear(self):
        self.qemu.kill()
        self.qemu.wait()
        for path in self.sockets:
            os.unlink(path)
        for name in DISKS:
            for snapshot in self.snapshots(name):
                self.done("snap-delete", name, snapshot, "--pool", "p", "--yes")
            os.unlink(os.path.join(self.pool, name))

    def status(self):
        """By the second monitor, because the first one may serve Cistern."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(self.sockets[1])
            with client.makefile("rw") as lines:
                for name in ("qmp_capabilities", "query-status"):
                    lines.write(json.dumps({"execute": name}) + "\n")
                lines.flush()
                replies = [json.loads(lines.readline()) for _ in range(3)]
                while "return" not in replies[-1]:
                    replies.append(json.loads(lines.readline()))
        return replies[-1]["return"]["status"]

    def goes_on(self):
        blocks, files = self.newest_block(), self.console().count("WRITER file")
        wait.until(lambda: self.newest_block() > blocks and
                   self.console().count("WRITER file") > files, "the guest writes",
                   seen=self.console)
        self.assertNotIn("WRITER ERROR", self.console())

    def words(self, snapshot):
        return ("snap-create", "a", snapshot, "--pool", "p", "--with", "b,c", "--max-pause", "5s",
                "--qmp", self.sockets[0], "--json")

    def test_snapshots_are_of_one_point_in_time(self):
        self.boot()
        newest = 0
        for number in range(5):
            with self.subTest(number=number):
                before = self.newest_block()
                made = json.loads(self.done(*self.words(f"s{number}")))
                self.assertEqual(("crash", True), (made["consistency"], made["one_moment"]), made)
                newest = self.check_newer_blocks(f"s{number}", before, newest)
                self.check_files(f"s{number}", clean=False)
                self.goes_on()

    def test_backup_is_of_one_point_in_time(self):
        self.boot()
        repository = os.path.join(self.peer.files, "repository")
        self.done("backup-init", repository, "--no-encryption")
        before = self.newest_block()
        self.done("backup-create", repository, *(f"p/{name}" for name in DISKS), "--qmp",
                  self.sockets[0])
        self.goes_on()
        copies = []
        for name in DISKS:
            self.assertEqual({}, self.snapshots(name))
            self.done("backup-restore", repository, "latest", "--vol", f"p/{name}", "--newname",
                      f"{name}2", "--format", "raw")
            copies.append(os.path.join(self.pool, f"{name}2"))
            self.addCleanup(os.unlink, copies[-1])
        self.assertGreaterEqual(self.check_block_files("backup", copies[:2]), before)
        self.check_file_system("backup", copies[2], clean=False)

    def test_daemon_that_is_killed_during_a_snapshot_leaves_the_guest_running(self):
        self.boot()
        for number in range(3):
            with self.subTest(number=number):
                client = subprocess.Popen([space.CISTERN, "-c", self.peer.uri,
                                           *self.words(f"k{number}")], stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL, env=space.ENV)
                self.addCleanup(client.wait)
                wait.until(lambda c=client: self.status() == "paused" or c.poll() is not None,
                           "the guest is stopped")
                self.peer.process.send_signal(signal.SIGKILL)
                self.peer.process.wait()
                client.wait()
                wait.until(lambda: self.status() == "running", "the guest runs")
                self.peer.start()
                self.goes_on()
                kept = [name for name in DISKS if f"k{number}" in self.snapshots(name)]
                self.assertIn(kept, ([], list(DISKS)))
                if kept:
                    self.check_blocks(f"k{number}")


class QmpRaw(QmpQcow2):
    FORMAT, CACHE = "raw", "writeback"
    is_long = True
