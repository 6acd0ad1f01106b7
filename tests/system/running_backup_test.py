# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups of a running guest by a backup job of a stock libvirtd. The file system of the pool cannot
share extents, so no snapshot of its files is possible. The guest is that of running_real_test."""

import json
import os
import signal
import subprocess

import running_real_test as running
from harness import cases, peers, space, wait

MIB = 1024 * 1024
DISKS = running.DISKS


@cases.long("hypervisor-backup has the same calls with a fake libvirt")
class BackupQcow2(running.Guest):
    # QEMU drops the guest's discards while a backup job runs.
    CHECK = "check-kept"

    @classmethod
    def make_pool(cls):
        """A directory on ext4."""
        image = os.path.join(cls.peer.files, "ext4")
        with open(image, "wb") as out:
            out.truncate(2048 * MIB)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        space.mount(cls.pool, "-o", "loop", image)
        cls.addClassCleanup(space.unmount, cls.pool)
        for words in (("pool-define-as", "p", "dir", "--target", cls.pool), ("pool-start", "p")):
            peers.run([space.CISTERN, "-c", cls.peer.uri, *words])

    def setUp(self):
        super().setUp()
        self.repository = os.path.join(self.peer.files, f"repository-{self.id()}")
        self.scratch = os.path.join(self.peer.root, "var/lib/cistern-scratch")
        self.done("backup-init", self.repository, "--no-encryption")

    def snapshots(self, name):
        return {}

    def back_up(self, *words):
        status, out, err = self.cistern("backup-create", self.repository, "--machine", "web1",
                                        "--json", *words)
        self.assertEqual(0, status, err)
        return json.loads(out)

    def restored(self, name):
        """The content of a volume in the newest backup, as a raw file."""
        copy = os.path.join(self.pool, "restored")
        self.done("backup-restore", self.repository, "latest", name, "--newname", "p/restored",
                  "--format", "raw")
        kept = os.path.join(self.peer.files, f"copy-{name}")
        os.replace(copy, kept) if os.stat(copy).st_dev == os.stat(self.peer.files).st_dev else \
            subprocess.run(["cp", "--sparse=always", copy, kept], check=True)
        self.done("vol-delete", "restored", "--pool", "p", "--yes", "--no-trash")
        return kept

    def job(self):
        """The description of the domain's job. libvirt has an error at its begin and end."""
        status, out, err = peers.run(["virsh", "-c", self.uri, "domjobinfo", "web1"])
        return out if status == 0 else err

    def nothing_left(self):
        """No job, no scratch file, no socket and no process of a backup is left."""
        wait.until(lambda: "None" in self.job(), "the job has ended", seen=self.job)
        folder = os.path.join(self.peer.root, "run/cistern/backup")
        wait.until(lambda: not os.path.exists(folder) or not os.listdir(folder),
                   "no entry of a backup is left", seen=lambda: os.listdir(folder))
        wait.until(lambda: not os.path.exists(self.scratch) or not os.listdir(self.scratch),
                   "no scratch file is left", seen=lambda: os.listdir(self.scratch))

    def test_backups_with_an_agent_are_consistent_file_systems(self):
        self.boot()
        newest = 0
        for number in range(3):
            with self.subTest(number=number):
                before = self.newest_block()
                made = self.back_up()
                self.assertEqual({"filesystem"}, {row["consistency"] for row in made["volumes"]},
                                 made)
                self.assertEqual(["domain web1: consistency filesystem, all disks of one moment"],
                                 made["notes"])
                found = self.check_block_files(number, [self.restored(name) for name in "ab"])
                self.assertGreaterEqual(found, before)
                self.assertGreater(found, newest)
                newest = found
                self.check_file_system(number, self.restored("c"), clean=True)
                self.goes_on()
                self.nothing_left()

    def checkpoints(self):
        return self.domain("checkpoint-list", "web1", "--name").split()

    def compare_paused(self, number):
        """Of the paused guest, an increment has the content of each disk."""
        for name in DISKS:
            now = os.path.join(self.peer.files, "now")
            subprocess.run(["qemu-img", "convert", "-U", "-f", self.FORMAT, "-O", "raw",
                            os.path.join(self.pool, name), now], check=True)
            done = subprocess.run(["cmp", now, self.restored(name)], text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(0, done.returncode, f"{number} {name}: {done.stdout}")

    def assert_read_whole(self, made, reason):
        for name in DISKS:
            self.assertTrue(any(f"vol {name}: read whole" in note and reason in note
                                for note in made["notes"]), (reason, made["notes"]))

    def test_increments_have_the_content_of_each_disk(self):
        self.boot()
        made = self.back_up("--incremental")
        if self.FORMAT == "raw":
            self.assert_read_whole(made, "libvirt does not record its changes")
            self.assertEqual([], self.checkpoints())
            return
        self.assert_read_whole(made, "no backup has a checkpoint of the volume")
        base, = self.checkpoints()
        for number in range(3):
            with self.subTest(number=number):
                before = self.checkpoints()
                if number == 2:
                    self.domain("resume", "web1")
                blocks = self.newest_block()
                wait.until(lambda b=blocks: self.newest_block() > b + 50, "the guest writes")
                if number == 1:
                    self.domain("suspend", "web1")
                made = self.back_up("--incremental")
                self.assertEqual(3, sum(" taken from backup " in note for note in made["notes"]),
                                 made["notes"])
                if number == 1:
                    self.compare_paused(number)
                else:
                    self.check_block_files(number, [self.restored(name) for name in "ab"])
                    self.check_file_system(number, self.restored("c"), clean=True)
                    self.goes_on()
                self.nothing_left()
                # The base of this backup stays until the next one.
                new, = set(self.checkpoints()) - set(before)
                self.assertEqual({base, new}, set(self.checkpoints()))
                base = new

    def test_increment_after_an_orderly_end_has_all_changes(self):
        if self.FORMAT == "raw":
            self.skipTest("QEMU records no changes of raw disks")
        self.boot()
        self.back_up("--incremental")
        self.domain("destroy", "web1")
        self.domain("start", "web1", "--paused")
        made = self.back_up("--incremental")
        self.assertEqual(3, sum(" taken from backup " in note for note in made["notes"]),
                         made["notes"])
        self.compare_paused("started again")

    def test_changes_that_qemu_has_lost_are_read_whole(self):
        if self.FORMAT == "raw":
            self.skipTest("QEMU records no changes of raw disks")
        self.boot()
        self.back_up("--incremental")
        # QEMU writes the record to the images, and the next one loads it.
        self.domain("destroy", "web1")
        self.domain("start", "web1")
        with open(os.path.join(self.libvirt.root, "run/libvirt/qemu/web1.pid"),
                  encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)
        wait.until(lambda: self.domain("domstate", "web1").strip() == "shut off", "QEMU has ended")
        self.domain("start", "web1", "--paused")
        self.assert_read_whole(self.back_up("--incremental"),
                               "QEMU has no record of the changes of disk")
        self.compare_paused("killed")
        made = self.back_up("--incremental")
        self.assertEqual(3, sum(" taken from backup " in note for note in made["notes"]),
                         made["notes"])
        self.compare_paused("after the loss")
        kept = set(self.checkpoints())
        self.domain("destroy", "web1")
        for name in DISKS:
            self.assertEqual(kept, self.bitmaps(name))

    def bitmaps(self, name):
        """The names of the bitmaps in an image."""
        out = subprocess.run(["qemu-img", "info", "--output=json", os.path.join(self.pool, name)],
                             stdout=subprocess.PIPE, check=True).stdout
        data = json.loads(out)["format-specific"]["data"]
        return {bitmap["name"] for bitmap in data.get("bitmaps", [])}

    def test_overlay_of_another_base_is_read_whole(self):
        if self.FORMAT == "raw":
            self.skipTest("QEMU records no changes of raw disks")
        base = os.path.join(self.pool, "base")
        other = os.path.join(self.pool, "other")
        for path in (base, other):
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
            self.addCleanup(os.unlink, path)
        subprocess.run(["qemu-io", "-c", "write -P 7 60M 1M", other], check=True,
                       stdout=subprocess.DEVNULL)
        overlay = os.path.join(self.pool, "a")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2",
                        overlay], check=True)
        self.done("pool-refresh", "p")
        self.boot()
        self.back_up("--incremental")
        made = self.back_up("--incremental")
        self.assertEqual(3, sum(" taken from backup " in note for note in made["notes"]),
                         made["notes"])
        self.domain("destroy", "web1")
        subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-b", other, "-F", "qcow2",
                        overlay], check=True)
        self.done("pool-refresh", "p")
        self.domain("start", "web1", "--paused")
        made = self.back_up("--incremental")
        self.assertTrue(any("vol a: read whole" in note and "its image is another one" in note
                            for note in made["notes"]), made["notes"])
        self.compare_paused("rebased")

    def test_disk_that_was_cut_and_grown_again_is_read_whole(self):
        if self.FORMAT == "raw":
            self.skipTest("QEMU records no changes of raw disks")
        self.boot()
        self.back_up("--incremental")
        self.domain("destroy", "web1")
        for size in ("32M", "48M"):
            subprocess.run(["qemu-img", "resize", "-q", "--shrink",
                            os.path.join(self.pool, "a"), size], check=True)
        self.done("pool-refresh", "p")
        self.domain("start", "web1", "--paused")
        made = self.back_up("--incremental")
        self.assertTrue(any("vol a: read whole" in note and "size of the volume has changed" in note
                            for note in made["notes"]), made["notes"])
        self.compare_paused("resized")

    def test_checkpoint_that_is_deleted_is_read_whole(self):
        if self.FORMAT == "raw":
            self.skipTest("QEMU records no changes of raw disks")
        self.boot()
        self.back_up("--incremental")
        for name in self.checkpoints():
            self.domain("checkpoint-delete", "web1", name)
        self.assert_read_whole(self.back_up("--incremental"), "libvirt has no checkpoint")

    def test_image_that_was_replaced_is_read_whole(self):
        if self.FORMAT == "raw":
            self.skipTest("QEMU records no changes of raw disks")
        self.boot()
        self.back_up("--incremental")
        self.domain("destroy", "web1")
        a, b = (os.path.join(self.pool, name) for name in "ab")
        os.rename(a, a + ".old")
        os.rename(b, a)
        os.rename(a + ".old", b)
        self.done("pool-refresh", "p")
        self.domain("start", "web1", "--paused")
        made = self.back_up("--incremental")
        for name in "ab":
            self.assertTrue(any(f"vol {name}: read whole" in note and "its image is another one"
                                in note for note in made["notes"]), made["notes"])
        self.assertTrue(any("vol c: " in note and " taken from backup " in note
                            for note in made["notes"]), made["notes"])
        self.compare_paused("replaced")

    def test_backups_without_an_agent_are_of_one_point_in_time(self):
        self.boot("noagent")
        for number in range(2):
            with self.subTest(number=number):
                made = self.back_up()
                self.assertEqual({"crash"}, {row["consistency"] for row in made["volumes"]}, made)
                self.check_block_files(number, [self.restored(name) for name in "ab"])
                self.check_file_system(number, self.restored("c"), clean=False)
                self.goes_on()
                self.nothing_left()

    def test_backup_of_an_overlay_has_the_data_of_its_base(self):
        base = os.path.join(self.pool, "base")
        os.rename(os.path.join(self.pool, "c"), base)
        self.addCleanup(os.unlink, base)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", self.FORMAT,
                        os.path.join(self.pool, "c")], check=True)
        self.done("pool-refresh", "p")
        self.boot(form_of_c="qcow2")
        self.back_up()
        self.check_file_system("overlay", self.restored("c"), clean=True)
        self.nothing_left()
        self.goes_on()

    def begun(self):
        """A backup that reads slowly, in the background, whose job runs."""
        client = subprocess.Popen(
            [space.CISTERN, "-c", self.peer.uri, "backup-create", self.repository, "--machine",
             "web1", "--rate-limit", "2M"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=space.ENV)
        self.addCleanup(client.wait)
        wait.until(lambda: "Unbounded" in self.job() or client.poll() is not None, "the job runs",
                   seen=self.job)
        self.assertIsNone(client.poll())
        return client

    def test_killed_processes_leave_no_job(self):
        self.boot()
        for victim in ("client", "daemon", "keeper"):
            with self.subTest(victim=victim):
                client = self.begun()
                if victim == "keeper":
                    found = subprocess.run(["pgrep", "-f", "--", "--hypervisor-backup"],
                                           stdout=subprocess.PIPE, text=True, check=True).stdout
                    # A test of another build may have such processes, too.
                    for pid in found.split():
                        if os.readlink(f"/proc/{pid}/exe").startswith(space.BUILD):
                            os.kill(int(pid), signal.SIGKILL)
                else:
                    process = client if victim == "client" else self.peer.process
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                client.wait()
                if victim == "daemon":
                    self.peer.start()
                self.nothing_left()
                self.goes_on()
                self.assertEqual([], json.loads(self.done("backup-list", self.repository,
                                                          "--json"))["backups"])
        self.back_up()

    def test_backup_goes_on_after_a_restart_of_libvirtd(self):
        self.boot()
        client = self.begun()
        self.libvirt.stop()
        self.libvirt.start()
        out, _ = client.communicate()
        self.assertEqual(0, client.returncode, out)
        self.nothing_left()
        self.goes_on()
        self.check_block_files("restart", [self.restored(name) for name in "ab"])

    def test_job_that_another_program_ends_fails_the_backup(self):
        self.boot()
        client = self.begun()
        self.domain("domjobabort", "web1")
        out, _ = client.communicate()
        self.assertNotEqual(0, client.returncode)
        self.assertRegex(out, "another program")
        self.nothing_left()
        self.goes_on()

    def test_full_scratch_space_fails_the_backup_and_the_guest_goes_on(self):
        os.makedirs(self.scratch, exist_ok=True)
        space.mount(self.scratch, "-t", "tmpfs", "-o", "size=272m,mode=0711", "none")
        self.addCleanup(space.unmount, self.scratch)
        self.boot()
        client = self.begun()
        out, _ = client.communicate()
        self.assertNotEqual(0, client.returncode)
        self.assertRegex(out, "scratch space")
        self.nothing_left()
        self.goes_on()

    def test_second_backup_of_a_domain_is_refused(self):
        self.boot()
        client = self.begun()
        status, _, err = self.cistern("backup-create", self.repository, "--machine", "web1")
        self.assertNotEqual(0, status)
        # The first backup pauses the guest for a moment at the beginning of its job.
        self.assertRegex(err, "web1.*(backup|job|another process pauses it)")
        client.send_signal(signal.SIGTERM)
        client.wait()
        self.nothing_left()


class BackupRaw(BackupQcow2):
    FORMAT, CACHE = "raw", "writeback"
    is_long = True
