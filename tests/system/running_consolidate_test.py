# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-consolidate of volumes that a running domain has as its disks, with a fake libvirt
(tests/libvirt/fake_block.c). The fake changes the definitions of the domain, and no image."""

import contextlib
import signal
import subprocess
import time
import unittest

from running_change_test import RunningDomain


class RunningConsolidate(RunningDomain):
    def qemu_is_done(self):
        """The result of the block job: QEMU has merged the layer."""
        subprocess.run(["qemu-img", "rebase", "-b", self.at("p", "base"), "-F", "qcow2", "-f",
                        "qcow2", self.at("p", "top")], check=True)
        chain = ";".join(self.at("p", name) for name in ("top", "base"))
        self.change(chain=chain, config=chain, block_type=None, events="C")

    def begin(self, *words):
        process = self.work("vol-consolidate", "top", "--pool", "p", *words)
        self.job_runs()
        return process

    def test_consolidate_is_a_pull_with_a_base(self):
        self.running()
        process = self.begin()
        self.assertEqual("1", self.now("block-type"))
        self.qemu_is_done()
        out, err = process.communicate()
        self.assertEqual(0, process.returncode, err)
        self.assertIn("p/middle: unused", out)
        self.assertIn("rebase", self.fake.calls())
        self.assertEqual(["base"], self.backing("top"))
        self.shows("top", 1, 2, 3)
        self.done("vol-delete", "middle", "--pool", "p")

    def test_layer_that_the_domain_has_left_is_deleted(self):
        self.running()
        process = self.begin("--delete-layers", "--yes")
        self.qemu_is_done()
        out, err = process.communicate()
        self.assertEqual(0, process.returncode, err)
        self.assertIn("p/middle: deleted", out)
        self.assertNotIn("middle", self.entries_of_pool())

    @contextlib.contextmanager
    def reading(self, name):
        """A process that has an image open for reading."""
        with subprocess.Popen(["qemu-io", "-r", "-U", "-f", "qcow2", self.at("p", name)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            process.stdin.write("length\n")
            process.stdin.flush()
            process.stdout.readline()
            yield
            process.stdin.close()

    def test_layers_that_stay_are_not_waited_for(self):
        self.running()
        process = self.begin()
        with self.reading("middle"):
            begin = time.monotonic()
            self.qemu_is_done()
            _out, err = process.communicate()
            self.assertEqual(0, process.returncode, err)
            self.assertLess(time.monotonic() - begin, 8)  # paced: the wait had a limit of 10 s

    def test_wait_for_the_release_of_a_layer_can_be_cancelled(self):
        self.running()
        process = self.begin("--delete-layers", "--yes")
        with self.reading("middle"):
            begin = time.monotonic()
            self.qemu_is_done()
            self.wait_until(lambda: self.backing("top") == ["base"], "the merge")
            process.send_signal(signal.SIGINT)
            _out, err = process.communicate()
            self.assertLess(time.monotonic() - begin, 8)  # paced: the wait has a limit of 10 s
        self.assertIn("middle", self.entries_of_pool(), err)

    def entries_of_pool(self):
        return self.done("vol-list", "p", "--columns", "name", "--parsable").split()

    def test_result_is_read_from_the_image(self):
        self.running(live=["block-fate=done"])
        self.assertIn("the image still refers to its former backing file",
                      self.refused("vol-consolidate", "top", "--pool", "p"))
        self.assertEqual(["middle"], self.backing("top"))

    def test_dry_run_begins_no_job(self):
        self.running()
        self.assertIn("Would merge p/middle into vol top",
                      self.done("vol-consolidate", "top", "--pool", "p", "--dry-run"))
        self.assertIsNone(self.now("block-type"))
        self.assertEqual(["middle"], self.backing("top"))

    def test_layer_below_the_disk_is_refused(self):
        self.done("vol-create-as", "p", "lowest", "4M", "--format", "qcow2")
        subprocess.run(["qemu-img", "rebase", "-b", self.at("p", "lowest"), "-F", "qcow2", "-f",
                        "qcow2", self.at("p", "base")], check=True)
        self.done("pool-refresh", "p")
        self.running("top", "middle", "base", "lowest")
        self.kept("vol-consolidate", "middle")
        self.assertEqual(["base"], self.backing("middle"))


if __name__ == "__main__":
    unittest.main()
