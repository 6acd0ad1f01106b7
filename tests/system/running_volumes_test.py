# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-flatten, vol-commit and vol-move of volumes that a running guest has as its disks, with a stock
libvirtd. The guest is that of running_real_test."""

import json
import os
import signal
import subprocess

import running_job_test as jobs
from harness import cases, space, wait

MIB = 1024 * 1024


@cases.long("running_change_test has the same calls with a fake libvirt")
class RunningVolumes(jobs.JobGuest):
    def setUp(self):
        super().setUp()
        self.entries = os.path.join(self.peer.root, "run/cistern/block-job")

    def overlays(self, *names):
        """Disk a becomes the last of a chain of overlays on "base"."""
        self.make_overlay_of_a()
        for name in names:
            os.rename(self.path("a"), self.path(name))
            self.addCleanup(os.unlink, self.path(name))
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.path(name), "-F",
                            "qcow2", self.path("a")], check=True)
        self.done("pool-refresh", "p")
        for name in ("a", *reversed(names)):
            self.done("vol-trust", name, "--pool", "p")

    def backing(self, name):
        info = subprocess.run(["qemu-img", "info", "-U", self.path(name)], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        return [line.split(": ")[1].split(" (")[0] for line in info.splitlines()
                if line.startswith("backing file:")]

    def start(self, *words):
        """Begins a command. The caller ends it."""
        process = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, *words], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=space.ENV)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def block_job(self):
        return self.domain("blockjob", "web1", "vda")

    def test_flatten_makes_the_disk_of_a_running_guest_independent(self):
        self.overlays("middle")
        self.boot()
        self.assertIn("holds all of its content", self.done("vol-flatten", "a", "--pool", "p"))
        self.assertEqual([], self.backing("a"))
        for words in ((), ("--inactive",)):
            self.assertEqual([self.path("a")], self.sources(*words))
        self.nothing_left()
        self.goes_on()
        self.done("vol-delete", "middle", "--pool", "p", "--yes", "--no-trash")
        with open(self.path("middle"), "w", encoding="ascii"):
            pass
        self.images_are_clean("a")

    def commit_goes_to_the_base(self, *words):
        self.boot()
        self.done("vol-commit", "a", *words, "--pool", "p", "--yes")
        for options in ((), ("--inactive",)):
            self.assertEqual([self.path("base")], self.sources(*options))
        self.nothing_left()
        self.goes_on()
        # The volume has no data, and shows the base.
        self.assertEqual([self.path("base")], self.backing("a"))
        self.assertLess(os.stat(self.path("a")).st_blocks * 512, MIB)
        self.images_are_clean("base")
        subprocess.run(["qemu-img", "compare", "-q", self.path("a"), self.path("base")], check=True)

    def test_commit_returns_the_running_guest_to_the_base(self):
        self.overlays()
        self.commit_goes_to_the_base()

    def test_commit_passes_over_the_images_between(self):
        self.overlays("middle")
        self.commit_goes_to_the_base("--base", "base")

    def boot_with_snapshot(self):
        """Volume "top" becomes an overlay of disk a, in which the guest has written."""
        self.boot()
        self.domain("snapshot-create-as", "web1", "--disk-only", "--no-metadata", "--diskspec",
                    f"vda,file={self.path('top')}", "--diskspec", "vdb,snapshot=no",
                    "--diskspec", "vdc,snapshot=no")
        self.addCleanup(os.unlink, self.path("top"))
        self.done("pool-refresh", "p")
        self.done("vol-trust", "top", "--pool", "p")

    def begin_slowly(self, *words):
        """Returns when the job runs and has its record: jobs of less than 0.2 s have no record."""
        process = self.start(*words, "--rate-limit", "64K")
        wait.until(lambda: "No current block job" not in self.block_job(), "the job runs")
        self.only_job()
        return process

    def only_job(self):
        """Waits until exactly one job is listed, and returns its number."""
        (job,) = wait.until(lambda: json.loads(self.done("job-list", "--json"))["jobs"],
                            "the job is listed",
                            seen=lambda: self.cistern("job-list", "--all")[1])
        return str(job["id"])

    def test_cancelled_work_leaves_the_guest_on_its_volume(self):
        self.boot_with_snapshot()
        for words in (("vol-flatten", "top"), ("vol-commit", "top", "--yes")):
            with self.subTest(words=words):
                process = self.begin_slowly(*words, "--pool", "p")
                process.send_signal(signal.SIGINT)
                self.assertNotEqual(0, process.wait())
                wait.until(lambda: "No current block job" in self.block_job(), "the job has ended")
                self.assertEqual([self.path("top"), self.path("a")], self.sources())
                self.nothing_left()
        self.goes_on()
        self.images_are_clean("top")

    def test_killed_daemon_finishes_the_flatten_after_its_restart(self):
        self.boot_with_snapshot()
        process = self.begin_slowly("vol-flatten", "top", "--pool", "p")
        self.peer.process.send_signal(signal.SIGKILL)
        self.peer.process.wait()
        process.wait()
        wait.until(lambda: "No current block job" in self.block_job(), "the job has ended")
        self.peer.start()
        self.done("job-rate", self.only_job(), "0")
        wait.until(lambda: self.sources() == [self.path("top")], "the volume is independent",
                   seen=lambda: self.cistern("job-list", "--all")[1])
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("top")

    # --- moves ---

    def pool_n(self):
        """Another pool on the file system of the build."""
        folder = os.path.join(self.peer.files, "n")
        self.done("pool-define-as", "n", "dir", "--target", folder)
        self.done("pool-build", "n")
        self.done("pool-start", "n")
        self.addCleanup(self.leave_pool_n)

    def leave_pool_n(self):
        self.cistern("pool-destroy", "n")
        self.cistern("pool-undefine", "n")
        subprocess.run(["rm", "-r", os.path.join(self.peer.files, "n")], check=True)

    def moved_path(self, name):
        return os.path.join(self.peer.files, "n", name)

    def check_moved(self, form):
        """The guest goes on with the moved disk, which is of one point in time with the other one."""
        for words in ((), ("--inactive",)):
            self.assertEqual(self.moved_path("a"), self.sources(*words)[0])
        self.nothing_left()
        self.assertFalse(os.path.exists(self.path("a")))
        self.goes_on()
        self.domain("destroy", "web1")
        copies = []
        for name, path, kind in (("a", self.moved_path("a"), form), ("b", self.path("b"),
                                                                     self.FORMAT)):
            if kind == "qcow2":
                subprocess.run(["qemu-img", "check", "-q", path], check=True)
            copies.append(os.path.join(self.peer.files, f"copy-{name}"))
            subprocess.run(["qemu-img", "convert", "-f", kind, "-O", "raw", path, copies[-1]],
                           check=True)
        self.assertGreater(self.check_block_files("moved", copies), 600)
        with open(self.path("a"), "w", encoding="ascii"):
            pass

    def test_move_of_the_disk_of_a_running_guest(self):
        self.pool_n()
        self.boot()
        self.assertIn("Domain web1 uses it as disk vda",
                      self.done("vol-move", "a", "--pool", "p", "--newpool", "n"))
        self.check_moved("qcow2")

    def move_known(self, pool, *words):
        """libvirt's own storage driver learns of the new volume while the job runs."""
        process = self.begin_slowly("vol-move", *words)
        self.domain("pool-refresh", pool)
        self.done("job-rate", self.only_job(), "0")
        self.assertEqual(0, process.wait(), process.stderr.read())

    def test_moves_are_named_in_the_persistent_definition_if_libvirt_knows_the_volume(self):
        self.pool_n()
        self.boot_with_volumes()
        self.libvirt_pool("n", os.path.join(self.peer.files, "n"))
        before = self.definition()
        for pool, name, form, words in (
                ("n", "a", "raw", ("a", "--pool", "p", "--newpool", "n", "--format", "raw")),
                ("p", "back", "qcow2", ("a", "--pool", "n", "--newpool", "p", "--name", "back",
                                        "--format", "qcow2"))):
            self.move_known(pool, *words)
            self.assertEqual(before.replace("pool='p' volume='a'", f"pool='{pool}' volume='{name}'")
                             .replace("type='qcow2'", f"type='{form}'", 1), self.definition())
        self.nothing_left()
        self.goes_on()
        self.starts_again("pool='p' volume='back'")
        # Without the refresh, a definition with the names of the volume could not start.
        self.done("vol-move", "back", "--pool", "p", "--newpool", "n")
        self.assertEqual([self.moved_path("back")], self.sources("--inactive"))
        self.assertIn("libvirt does not know the volume", self.peer.log())
        self.starts_again(f"file='{self.moved_path('back')}'")
        self.domain("destroy", "web1")
        with open(self.path("a"), "w", encoding="ascii"):
            pass

    def test_move_to_another_format(self):
        self.pool_n()
        self.boot()
        self.done("vol-move", "a", "--pool", "p", "--newpool", "n", "--format", "raw")
        self.check_moved("raw")

    def test_moved_overlay_keeps_its_backing_file(self):
        self.pool_n()
        self.overlays()
        self.boot()
        self.done("vol-move", "a", "--pool", "p", "--newpool", "n")
        self.assertEqual([self.moved_path("a"), self.path("base")], self.sources())
        self.check_moved("qcow2")
