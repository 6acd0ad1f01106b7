# SPDX-License-Identifier: LGPL-2.1-or-later
"""Block jobs of a running guest by a stock libvirtd, through tests/tools/cst-blockjob. The guest is
that of running_real_test."""

import os
import re
import signal
import subprocess
import unittest.mock

import running_real_test as running
from harness import cases, peers, space, wait

MIB = 1024 * 1024
TOOL = os.path.join(space.BUILD, "tests/tools/cst-blockjob")


class JobGuest(running.Guest):
    """The images of a guest whose disks have block jobs. Has no tests."""

    # QEMU drops the guest's discards while a block job runs.
    CHECK = "check-kept"

    def setUp(self):
        super().setUp()
        self.entries = os.path.join(self.peer.files, "jobs")

    def path(self, name):
        return os.path.join(self.pool, name)

    def make(self, name, *words, size="64M"):
        subprocess.run(["qemu-img", "create", "-q", *words, self.path(name), size], check=True)
        self.addCleanup(lambda: os.path.exists(self.path(name)) and os.unlink(self.path(name)))

    def make_overlay_of_a(self):
        """Disk a becomes an overlay of "base"."""
        os.rename(self.path("a"), self.path("base"))
        self.addCleanup(os.unlink, self.path("base"))
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", self.path("base"), "-F",
                        "qcow2", self.path("a")], check=True)

    def sources(self, *words):
        """The images of disk vda, from the top down."""
        xml = self.domain("dumpxml", *words, "web1")
        disk = next(part for part in xml.split("<disk ") if "dev='vda'" in part)
        self.assertNotIn("<mirror", disk)
        return re.findall(r"<source file='([^']*)'", disk)

    def nothing_left(self):
        wait.until(lambda: not os.path.exists(self.entries) or not os.listdir(self.entries),
                   "no entry of a block job is left", seen=lambda: os.listdir(self.entries))

    def images_are_clean(self, name, form="qcow2"):
        """Ends the guest. Disk a, which is the named image, and disk b are of one point in time."""
        self.domain("destroy", "web1")
        copies = []
        for disk, image in (("a", (name, form)), ("b", ("b", self.FORMAT))):
            if image[1] == "qcow2":
                subprocess.run(["qemu-img", "check", "-q", self.path(image[0])], check=True)
            copies.append(os.path.join(self.peer.files, f"copy-{disk}"))
            subprocess.run(["qemu-img", "convert", "-f", image[1], "-O", "raw", self.path(image[0]),
                            copies[-1]], check=True)
        self.assertGreater(self.check_block_files(name, copies), 600)


    def libvirt_pool(self, name, path):
        """A pool of libvirt's own storage driver."""
        for words in (("pool-define-as", name, "dir", "--target", path), ("pool-start", name)):
            self.domain(*words)
        self.addCleanup(self.domain, "pool-undefine", name)
        self.addCleanup(self.domain, "pool-destroy", name)

    def boot_with_volumes(self):
        """The disks name volumes of libvirt's pool. Its definition shows no path of them."""
        self.libvirt_pool("p", self.pool)
        disk = running.DISK.replace("'file'", "'volume'").replace(
            "file='{path}'", "pool='p' volume='{letter}'")
        with unittest.mock.patch.object(running, "DISK", disk):
            self.boot()

    def definition(self):
        return self.domain("dumpxml", "--inactive", "web1")

    def starts_again(self, source):
        """The domain starts with the image that its persistent definition names."""
        self.domain("destroy", "web1")
        self.domain("start", "web1")
        self.assertIn(f"<source {source} index=", self.domain("dumpxml", "web1"))
        wait.until(lambda: self.newest_block() > 600, "the guest has written 600 blocks",
                   seen=self.console)
        self.goes_on()


@cases.long("hypervisor-block has the same calls with a fake libvirt")
class RunningJob(JobGuest):
    def begin(self, *words, image="a"):
        uuid = self.domain("domuuid", "web1").strip()
        process = subprocess.Popen(
            [TOOL, self.uri, uuid, self.entries, self.path(image), *words], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=space.ENV)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def says(self, process, expected):
        line = process.stdout.readline().strip()
        self.assertEqual(expected, line, line or process.stderr.read())

    def tell(self, process, word, expected):
        process.stdin.write(word + "\n")
        process.stdin.flush()
        self.says(process, expected)

    def test_copy_with_a_pivot_moves_the_disk_of_a_running_guest(self):
        self.boot()
        self.make("moved", "-f", "raw")
        job = self.begin("copy", self.path("moved"), "raw", "0")
        self.says(job, "begun")
        self.says(job, "waited")
        self.tell(job, "pivot", "pivoted live 1 persistent 1")
        self.tell(job, "end", "pivoted")
        for words in ((), ("--inactive",)):
            self.assertEqual([self.path("moved")], self.sources(*words)[:1])
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("moved", "raw")

    def test_copy_that_is_ended_leaves_the_disk(self):
        self.boot()
        self.make("moved", "-f", "qcow2")
        job = self.begin("copy", self.path("moved"), "qcow2", "0")
        self.says(job, "begun")
        self.says(job, "waited")
        self.tell(job, "end", "not pivoted")
        self.assertEqual([self.path("a")], self.sources())
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("a")

    def test_pull_removes_the_backing_file(self):
        self.make_overlay_of_a()
        self.boot()
        self.assertEqual([self.path("a"), self.path("base")], self.sources())
        job = self.begin("pull", "0")
        self.says(job, "begun")
        self.says(job, "waited")
        self.tell(job, "end", "not pivoted")
        self.assertEqual([self.path("a")], self.sources())
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("a")

    def test_commit_with_a_pivot_returns_to_the_base(self):
        self.make_overlay_of_a()
        self.boot()
        job = self.begin("commit", "0")
        self.says(job, "begun")
        self.says(job, "waited")
        self.tell(job, "pivot", "pivoted live 1 persistent 1")
        self.tell(job, "end", "pivoted")
        for words in ((), ("--inactive",)):
            self.assertEqual([self.path("base")], self.sources(*words))
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("base")

    def begin_slowly(self):
        self.make("moved", "-f", "qcow2")
        job = self.begin("copy", self.path("moved"), "qcow2", "200000")
        self.says(job, "begun")
        return job

    def keeper(self):
        """The process of the keeper, whose descriptor 3 is the directory of the entries."""
        found = subprocess.run(["pgrep", "-f", "--", "--hypervisor-block-job begin"],
                               stdout=subprocess.PIPE, text=True, check=True).stdout
        mine = [int(pid) for pid in found.split() if os.path.exists(f"/proc/{pid}/fd/3") and
                os.path.samefile(f"/proc/{pid}/fd/3", self.entries)]
        self.assertEqual(1, len(mine))
        return mine[0]

    def test_job_goes_on_after_a_restart_of_libvirtd(self):
        self.boot()
        job = self.begin_slowly()
        self.libvirt.stop()
        self.libvirt.start()
        self.domain("blockjob", "web1", "vda", "--bandwidth", "0")
        self.says(job, "waited")
        self.tell(job, "rate 1000000000", "rate set")
        self.tell(job, "pivot", "pivoted live 1 persistent 1")
        self.tell(job, "end", "pivoted")
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("moved")

    def test_overlay_of_another_program_on_the_copy_is_a_pivot(self):
        self.boot()
        self.make("moved", "-f", "qcow2")
        job = self.begin("copy", self.path("moved"), "qcow2", "0")
        self.says(job, "begun")
        self.says(job, "waited")
        keeper = self.keeper()
        os.kill(keeper, signal.SIGSTOP)
        self.addCleanup(os.unlink, self.path("overlay"))
        self.domain("blockjob", "web1", "vda", "--pivot")
        self.domain("snapshot-create-as", "web1", "--disk-only", "--no-metadata", "--diskspec",
                    f"vda,file={self.path('overlay')}", "--diskspec", "vdb,snapshot=no",
                    "--diskspec", "vdc,snapshot=no")
        self.assertEqual([self.path("overlay"), self.path("moved")], self.sources())
        self.assertEqual(self.path("overlay"), self.sources("--inactive")[0])
        os.kill(keeper, signal.SIGCONT)
        self.tell(job, "pivot", "pivoted live 1 persistent 1")
        self.tell(job, "end", "pivoted")
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("overlay")

    def test_persistent_definition_with_another_source_is_reported(self):
        """libvirt compares it with the source of the running disk, and keeps it then."""
        self.boot()
        xml = self.domain("dumpxml", "--inactive", "web1")
        file = os.path.join(self.peer.files, "other.xml")
        with open(file, "w", encoding="utf-8") as out:
            out.write(xml.replace("<disk type='file'", "<disk type='volume'", 1).replace(
                f"<source file='{self.path('a')}'/>", "<source pool='p' volume='a'/>"))
        self.domain("define", file)
        self.make("moved", "-f", "qcow2")
        job = self.begin("copy", self.path("moved"), "qcow2", "0")
        self.says(job, "begun")
        self.says(job, "waited")
        self.tell(job, "pivot", "pivoted live 1 persistent 0")
        self.tell(job, "end", "pivoted")
        self.assertEqual([self.path("moved")], self.sources()[:1])
        self.assertIn("<source pool='p' volume='a'/>", self.domain("dumpxml", "--inactive", "web1"))
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("moved")

    def test_copy_with_a_pivot_of_a_disk_that_names_a_volume(self):
        self.boot_with_volumes()
        self.make("moved", "-f", "qcow2")
        job = self.begin("copy", self.path("moved"), "qcow2", "0")
        self.says(job, "begun")
        self.says(job, "waited")
        self.tell(job, "pivot", "pivoted live 1 persistent 1")
        self.tell(job, "end", "pivoted")
        for words in ((), ("--inactive",)):
            self.assertEqual([self.path("moved")], self.sources(*words)[:1])
        self.nothing_left()
        self.goes_on()
        self.images_are_clean("moved")

    def test_copies_of_a_volume_are_named_in_the_persistent_definition(self):
        self.boot_with_volumes()
        before = self.definition()
        for old, new, form in (("a", "first", "qcow2"), ("first", "second", "raw")):
            self.make(new, "-f", form)
            self.domain("pool-refresh", "p")
            job = self.begin("copy", self.path(new), form, "0", old, new, image=old)
            self.says(job, "begun")
            self.says(job, "waited")
            self.tell(job, "pivot", "pivoted live 1 persistent 1 named")
            self.tell(job, "end", "pivoted")
            self.nothing_left()
            self.assertEqual([self.path(new)], self.sources())
            # All other settings stay.
            self.assertEqual(before.replace("volume='a'", f"volume='{new}'").replace(
                "type='qcow2'", f"type='{form}'", 1), self.definition())
        self.goes_on()
        self.starts_again("pool='p' volume='second'")
        self.images_are_clean("second", "raw")

    def test_killed_processes_leave_no_job(self):
        self.boot()
        for victim in ("caller", "keeper"):
            with self.subTest(victim=victim):
                job = self.begin_slowly()
                if victim == "caller":
                    job.kill()
                else:
                    os.kill(self.keeper(), signal.SIGKILL)
                    self.assertIn("killed", job.communicate()[1])
                self.nothing_left()
                self.assertEqual([self.path("a")], self.sources())
                os.unlink(self.path("moved"))
                self.goes_on()
        self.images_are_clean("a")

    def test_full_destination_fails_the_job_and_the_guest_goes_on(self):
        small = os.path.join(self.peer.files, "small")
        os.makedirs(small, exist_ok=True)
        space.mount(small, "-t", "tmpfs", "-o", "size=3m", "none")
        self.addCleanup(space.unmount, small)
        destination = os.path.join(small, "moved")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", destination, "64M"], check=True)
        self.boot()
        job = self.begin("copy", destination, "qcow2", "0")
        self.says(job, "begun")
        self.assertIn("the block job failed", job.communicate()[1])
        self.nothing_left()
        self.assertEqual([self.path("a")], self.sources())
        self.goes_on()
        self.images_are_clean("a")

    def test_second_job_is_refused_at_once(self):
        self.boot()
        first = self.begin_slowly()
        self.assertIn("another process has a block job", self.begin("pull", "0").communicate()[1])
        first.kill()
        self.nothing_left()
        status, _, err = peers.run(["virsh", "-c", self.uri, "blockcopy", "web1", "vda", "--dest",
                                    self.path("moved"), "--reuse-external", "--transient-job",
                                    "--bytes", "--bandwidth", "100000"])
        self.assertEqual(0, status, err)
        self.assertIn("block job", self.begin("pull", "0").communicate()[1])
        self.domain("blockjob", "web1", "vda", "--abort")
        self.goes_on()
