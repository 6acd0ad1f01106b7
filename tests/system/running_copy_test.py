# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clones and exports of the disks of a running guest by a backup job of a stock libvirtd. The guest is
that of running_real_test."""

import json
import os
import subprocess

import running_real_test as running
from harness import cases, peers, wait


@cases.long("live_copy_test has the same calls with a fake libvirt")
class RunningCopies(running.Guest):
    # QEMU drops the guest's discards while a backup job runs.
    CHECK = "check-kept"

    def snapshots(self, name):
        return {}

    def raw_content(self, path):
        """The guest-visible content of an image without errors, as a raw file."""
        done = subprocess.run(["qemu-img", "check", "-f", "qcow2", path], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(0, done.returncode, done.stdout)
        raw = os.path.join(self.peer.files, "raw")
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        return raw

    def copied(self, words, path):
        """Makes a copy. Returns its content as a raw file."""
        status, out, err = self.cistern(*words, "--pool", "p", "--consistency", "filesystem",
                                        "--json")
        self.assertEqual(0, status, err)
        made = json.loads(out)
        self.assertEqual(("filesystem", "web1", f"vd{words[1]}"),
                         (made["consistency"], made["domain"], made["disk"]))
        return self.raw_content(path)

    def job(self):
        """The description of the domain's job. libvirt has an error at its begin and end."""
        status, out, err = peers.run(["virsh", "-c", self.uri, "domjobinfo", "web1"])
        return out if status == 0 else err

    def test_copies_of_disks_that_the_guest_writes_to_are_of_one_point_in_time(self):
        self.boot()
        newest = 0
        target = os.path.join(self.peer.files, "export.qcow2")
        for name in running.DISKS:
            for words, path in ((("vol-clone", name, "clone"), os.path.join(self.pool, "clone")),
                                (("vol-export", name, target), target)):
                with self.subTest(words=words):
                    copy = self.copied(words, path)
                    if name == "c":
                        self.check_file_system(name, copy, clean=True)
                        continue
                    found = self.check_block_files(name, [copy])
                    self.assertGreater(found, newest)
                    newest = found
                    self.goes_on()
            self.done("vol-delete", "clone", "--pool", "p", "--yes", "--no-trash")
            os.unlink(target)
        wait.until(lambda: "None" in self.job(), "the job has ended", seen=self.job)
        self.goes_on()
