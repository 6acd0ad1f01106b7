# SPDX-License-Identifier: LGPL-2.1-or-later
"""backup-create of volumes that a QEMU without libvirt has open, by the socket of its monitor (--qmp)."""

import json
import os
import subprocess

from domains_test import WithoutDaemon
from qmp_snapshot_test import DISKS, QmpPool


class Backup(QmpPool):
    """A real QEMU, with a daemon."""

    def repository(self):
        path = os.path.join(self.peer.files, "repository")
        self.done("backup-init", path, "--no-encryption")
        return path

    def test_backup_of_a_machine_is_of_one_moment_and_leaves_no_snapshot(self):
        repository = self.repository()
        words = ("backup-create", repository, "x/raw", "x/img", "--qmp", self.socket)
        with self.qemu():
            self.assertIn("Would back up 2 vols", self.done(*words, "--dry-run"))
            self.nothing_is_left()
            self.done(*words)
            self.assertEqual("running", self.ask("query-status")["status"])
        self.nothing_is_left()
        info = json.loads(self.done("backup-info", repository, "latest", "--json"))
        self.assertEqual({"raw": "crash", "img": "crash"},
                         {row["name"]: row["consistency"] for row in info["volumes"]})
        self.assertTrue(info["one_moment"], info)
        for name, form in DISKS.items():
            self.done("backup-restore", repository, "latest", "--vol", f"x/{name}", "--newname",
                      f"{name}2")
            done = subprocess.run(["qemu-io", "-f", form, "-c", "read -P 7 0 1M", "-c",
                                   "read -P 0 1M 3M", self.at("x", f"{name}2")], check=True,
                                  stdout=subprocess.PIPE, text=True)
            self.assertNotIn("verification failed", done.stdout)

    def test_backup_with_other_options_is_refused(self):
        repository = self.repository()
        with self.qemu():
            for words in (("--machine", "web1"), ("--all-machines",), ("--incremental",),
                          ("--force-share",)):
                self.assertIn("exclusive", self.kept("backup-create", repository, "x/raw", "--qmp",
                                                     self.socket, *words))
            self.assertIn("needs the names", self.kept("backup-create", repository, "--pool", "x",
                                                       "--qmp", self.socket))
            err = self.kept("backup-create", repository, "x/raw", "x/img", "--qmp", self.socket,
                            "--consistency", "filesystem")
            self.assertIn("cannot freeze the file systems", err)
        self.assertEqual([], json.loads(self.done("backup-list", repository, "--json"))["backups"])

    def test_backup_of_an_overlay_is_refused(self):
        self.done("vol-create-as", "x", "top", "4M", "--format", "qcow2", "--backing-vol", "img",
                  "--backing-vol-format", "qcow2")
        with self.machine(path=self.at("x", "top"), form="qcow2"):
            err = self.kept("backup-create", self.repository(), "x/top", "--qmp", self.socket)
            self.assertIn("has a backing file", err)


class EmbeddedBackup(WithoutDaemon, Backup):
    """Without a daemon."""
