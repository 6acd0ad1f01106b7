# SPDX-License-Identifier: LGPL-2.1-or-later
"""snap-create of volumes that a running domain has as disks, with a fake libvirt. The state of the
domain (tests/libvirt/live.h) shows whether it was suspended, frozen, resumed and thawed."""

import json
import os
import shutil
import subprocess
import unittest

from domains_test import FakeDomains, WithoutDaemon, edit_live, replace_file
from harness import space

MIB = 1024 * 1024


class Running(FakeDomains):
    """With a daemon. Volumes "raw", "more" and "img" (qcow2) of pool "x", on XFS."""

    VOLUME_FORMAT = "raw"

    def setUp(self):
        if os.geteuid() or not shutil.which("mkfs.xfs"):
            raise unittest.SkipTest("needs root and mkfs.xfs")
        super().setUp()
        self.live = os.path.join(self.fake.dir, "live")
        self.image = self.file("disk")
        os.truncate(self.image, 320 * MIB)
        subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", self.image], check=True)
        space.mount(self.at("x"), "-o", "loop", self.image)
        self.addCleanup(self.leave)
        self.done("pool-define-as", "x", "dir", "--target", self.at("x"))
        self.done("pool-start", "x")
        for name, form in (("raw", "raw"), ("more", "raw"), ("img", "qcow2")):
            self.done("vol-create-as", "x", name, "4M", "--format", form)

    def leave(self):
        self.no_pause()
        self.fake.set()
        self.cistern("pool-destroy", "x")
        self.cistern("pool-undefine", "x")
        space.umount(self.at("x"))

    def domain(self, *volumes, number=1, lines=(), more="", **calls):
        """A domain with these volumes as its disks, running, with two file systems."""
        name, xml = f"web{number}", os.path.join(self.fake.dir, f"xml{number}")
        disks = "".join(f"<disk><source file='{self.at('x', volume)}'/><target dev='vd{i}'/>{more}"
                        "</disk>" for i, volume in enumerate(volumes))
        blocks = ";".join(f"vd{i}:{self.at('x', volume)}" for i, volume in enumerate(volumes))
        replace_file(xml, "<domain><devices><channel><target type='virtio' "
                          "name='org.qemu.guest_agent.0' state='connected'/></channel>"
                          f"{disks}</devices></domain>")
        edit_live(self.live, lambda _: "[live]\nstate=running\nid=7\nfilesystems=2\nfrozen=0\n")
        group = (f"[domain {number}]\nname = {name}\nstate = running\nblocks = {blocks}\n"
                 f"xml = {xml}\nsaved-xml = {xml}\nlive = {self.live}")
        self.fake.set("\n".join([group, *lines]), **calls)
        return group

    def now(self, key):
        """A value of the domain's state."""
        with open(self.live, encoding="utf-8") as stream:
            found = [line.split("=", 1)[1] for line in stream.read().splitlines()
                     if line.startswith(key + "=")]
        return found[0] if found else None

    def wake_agent(self):
        """The agent answers again. The watchdog of an earlier pause has nothing more to undo."""
        edit_live(self.live, lambda text: text.replace("agent=hung", "agent=ok"))
        self.no_pause()

    def stop_agent(self):
        """The agent no longer answers."""
        edit_live(self.live, lambda text: text + "agent=hung\n")

    def no_pause(self):
        """The watchdogs have ended."""
        folder = os.path.join(self.peer.root, "run/cistern/pause")
        self.wait_until(lambda: not os.path.exists(folder) or not os.listdir(folder),
                        "no entry of a pause is left")

    def create(self, volume, name, *words):
        return json.loads(self.done("snap-create", volume, name, "--pool", "x", "--json", *words))

    def kept(self, *words):
        """The command is refused. No snapshot is left, and the domain runs. Returns the message."""
        before = {name: self.listed(name) for name in ("raw", "more", "img")}
        err = self.refused("snap-create", *words, "--pool", "x")
        self.assertEqual(before, {name: self.listed(name) for name in before}, err)
        self.wait_until(lambda: (self.now("state"), self.now("frozen")) == ("running", "0"),
                        "the domain runs and is thawed")
        self.assertEqual([], self.drafts())
        return err

    def listed(self, volume):
        rows = json.loads(self.done("snap-list", volume, "--pool", "x", "--json"))["snapshots"]
        return {row["name"]: row["consistency"] for row in rows}

    def drafts(self):
        return [os.path.join(folder, name) for folder, _, names in os.walk(self.at("x"))
                for name in names if name.startswith(".cistern-")]

    def test_domain_is_frozen_and_suspended_for_all_its_disks(self):
        self.domain("raw", "more", "img")
        made = self.create("raw", "s", "--with", "more,x/img")
        self.assertEqual(("filesystem", True, "web1"),
                         (made["consistency"], made["one_moment"], made["domain"]))
        self.assertEqual("SR", self.now("events"))
        self.assertEqual(("running", "0"), (self.now("state"), self.now("frozen")))
        for volume in ("raw", "more", "img"):
            self.assertEqual({"s": "filesystem"}, self.listed(volume))
        self.assertEqual([], self.drafts())

    def test_snapshot_has_the_content_at_the_time_of_the_pause(self):
        with open(self.at("x", "raw"), "r+b") as disk:
            disk.write(b"before")
        self.domain("raw")
        self.create("raw", "s")
        with open(self.at("x", "raw"), "r+b") as disk:
            disk.write(b"after!")
        self.fake.set()
        self.restart()
        self.done("snap-revert", "raw", "s", "--pool", "x", "--yes")
        with open(self.at("x", "raw"), "rb") as disk:
            self.assertEqual(b"before", disk.read(6))

    def test_copy_of_a_running_qcow2_is_reverted_to_and_loses_newer_inner_snapshots(self):
        self.done("snap-create", "img", "inner", "--pool", "x")
        self.domain("img")
        self.create("img", "outer")
        self.fake.set()
        self.restart()
        self.done("snap-create", "img", "newer", "--pool", "x")
        self.assertEqual({"outer": "filesystem", "inner": None, "newer": None}, self.listed("img"))
        err = self.refused("snap-revert", "img", "outer", "--pool", "x")
        self.assertIn("these snapshots: newer", err)
        self.done("snap-revert", "img", "outer", "--pool", "x", "--yes")
        self.assertEqual({"outer": "filesystem", "inner": None}, self.listed("img"))

    def test_copy_of_a_running_qcow2_is_cloned_as_a_file(self):
        subprocess.run(["qemu-io", "-c", "write -P 7 0 64k", self.at("x", "img")], check=True,
                       stdout=subprocess.DEVNULL)
        self.domain("img")
        self.create("img", "s")
        subprocess.run(["qemu-io", "-c", "write -P 8 0 64k", self.at("x", "img")], check=True,
                       stdout=subprocess.DEVNULL)
        self.done("snap-clone", "img", "s", "copy", "--pool", "x")
        done = subprocess.run(["qemu-io", "-f", "qcow2", "-c", "read -P 7 0 64k",
                               self.at("x", "copy")], check=True, stdout=subprocess.PIPE, text=True)
        self.assertNotIn("verification failed", done.stdout)
        self.assertEqual({}, self.listed("copy"))

    def test_copy_of_a_running_qcow2_is_backed_up(self):
        subprocess.run(["qemu-io", "-c", "write -P 7 0 64k", self.at("x", "img")], check=True,
                       stdout=subprocess.DEVNULL)
        self.domain("img", "raw")
        repository = os.path.join(self.peer.files, "repository")
        self.done("backup-init", repository, "--no-encryption")
        self.done("backup-create", repository, "x/img", "x/raw", "--together")
        self.assertEqual("SR", self.now("events"))
        self.assertEqual([{}, {}], [self.listed("img"), self.listed("raw")])
        self.done("backup-restore", repository, "latest", "--vol", "x/img", "--newname", "again")
        done = subprocess.run(["qemu-io", "-f", "qcow2", "-c", "read -P 7 0 64k",
                               self.at("x", "again")], check=True, stdout=subprocess.PIPE,
                              text=True)
        self.assertNotIn("verification failed", done.stdout)

    def repository(self):
        path = os.path.join(self.peer.files, "repository")
        self.done("backup-init", path, "--no-encryption")
        return path

    def volumes(self, repository, backup="latest"):
        """The consistency and the domain of each volume of the backup."""
        info = json.loads(self.done("backup-info", repository, backup, "--json"))
        return {row["name"]: (row.get("consistency"), row.get("domain"))
                for row in info["volumes"]}

    def test_backup_of_a_machine_has_its_disks_at_one_moment(self):
        self.domain("raw", "img")
        repository = self.repository()
        out = self.done("backup-create", repository, "--machine", "web1")
        self.assertIn("domain web1: consistency filesystem, all disks of one moment", out)
        self.assertEqual("SR", self.now("events"))
        self.assertEqual({"raw": ("filesystem", "web1"), "img": ("filesystem", "web1")},
                         self.volumes(repository))
        self.assertEqual([{}, {}], [self.listed("img"), self.listed("raw")])
        with open(os.path.join(self.fake.dir, "xml1"), encoding="utf-8") as xml:
            self.assertEqual(xml.read().strip(), self.done("backup-info", repository, "latest",
                                                           "--definition", "web1").strip())
        self.assertIn("has no domain 'web2'", self.refused("backup-info", repository, "latest",
                                                           "--definition", "web2"))

    def test_backup_of_all_machines_reports_the_machine_that_it_lacks(self):
        first = self.domain("raw")
        second = self.domain("img", number=2)
        xml = os.path.join(self.fake.dir, "xml3")
        with open(xml, "w", encoding="utf-8") as out:
            out.write("<domain><devices><disk><source file='/nowhere'/><target dev='vda'/></disk>"
                      "</devices></domain>")
        self.fake.set(first, second, f"[domain 3]\nname = web3\nstate = off\nxml = {xml}")
        repository = self.repository()
        status, out, err = self.cistern("backup-create", repository, "--all-machines")
        self.assertEqual(8, status, err)
        self.assertIn("'/nowhere' is no volume of an active pool", err)
        self.assertRegex(err, "backup [0-9a-f]{8} lacks these domains and vols: web3")
        self.assertEqual({"raw": ("filesystem", "web1"), "img": ("filesystem", "web2")},
                         self.volumes(repository))
        self.assertEqual("SRSR", self.now("events"))

    def test_backup_of_a_machine_that_is_off_needs_no_snapshot(self):
        self.done("vol-create-as", "p", "rest", "4M", "--format", "raw")
        xml = os.path.join(self.fake.dir, "xml1")
        self.domain("raw")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(f"<domain><devices><disk><source file='{self.at('p', 'rest')}'/>"
                      f"<target dev='vda'/></disk><disk><source file='{self.at('x', 'raw')}'/>"
                      "<target dev='vdb'/></disk></devices></domain>")
        self.fake.set(f"[domain 1]\nname = web1\nstate = off\nxml = {xml}")
        repository = self.repository()
        out = self.done("backup-create", repository, "--machine", "web1")
        self.assertIn("domain web1: consistency offline, disks not of one moment", out)
        self.assertEqual({"rest": ("offline", "web1"), "raw": ("offline", "web1")},
                         self.volumes(repository))
        self.assertEqual({}, self.listed("raw"))

    def test_backup_of_machines_that_share_a_disk_is_refused(self):
        first = self.domain("raw", "img")
        self.fake.set(first, self.domain("raw", number=2))
        repository = self.repository()
        self.assertIn("share vol 'raw'", self.refused("backup-create", repository, "--machine",
                                                      "web1,web2"))
        self.assertIn("the name of the domain is empty",
                      self.refused("backup-create", repository, "--machine", "web1,"))
        self.assertIsNone(self.now("events"))

    def machine_without_snapshots(self):
        """A running domain whose disk needs a backup job. Returns the file of its document."""
        self.done("vol-create-as", "p", "rest", "4M", "--format", "raw")
        self.domain("raw")
        xml = os.path.join(self.fake.dir, "xml1")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(f"<domain><devices><disk><source file='{self.at('p', 'rest')}'/>"
                      "<target dev='vda'/></disk></devices></domain>")
        document = os.path.join(self.fake.dir, "backup.xml")
        self.fake.set(f"[domain 1]\nname = web1\nstate = running\nxml = {xml}\n"
                      f"blocks = vda:{self.at('p', 'rest')}\nlive = {self.live}\n"
                      f"backup-xml = {document}")
        return document

    def test_running_machine_without_snapshots_gets_a_backup_job_that_ends(self):
        """The job of the fake has no NBD server, so nothing can be read."""
        document = self.machine_without_snapshots()
        repository = self.repository()
        self.assertIn("NBD server", self.refused("backup-create", repository, "--machine", "web1"))
        with open(document, encoding="utf-8") as written:
            self.assertIn("exportname='vda'", written.read())
        self.wait_until(lambda: self.now("backup") is None, "the job has ended")
        self.assertEqual([], json.loads(self.done("backup-list", repository, "--json"))["backups"])

    def test_backup_of_a_running_disk_without_a_snapshot_is_refused(self):
        self.domain("raw")
        repository = self.repository()
        for words in ((), ("--dry-run",)):
            with self.subTest(words=words):
                self.assertIn("domain 'web1' runs with vol 'raw' as disk 'vd0'",
                              self.refused("backup-create", repository, "x/raw", *words))
        self.done("backup-create", repository, "x/raw", "--force-share")
        self.done("backup-create", repository, "x/more")
        self.done("backup-create", repository, "x/raw", "--snapshot")
        self.assertEqual({"raw": ("filesystem", None)}, self.volumes(repository))

    def test_proof_checks_the_consistency_that_a_backup_has_recorded(self):
        """The fake agent reports frozen file systems, also while the journal has changes."""
        disk, blocks = self.at("x", "ext4"), self.file("blocks", b"\0" * 1024)
        self.done("vol-create-as", "x", "ext4", "8M", "--format", "raw")
        subprocess.run(["mkfs.ext4", "-q", "-b", "1024", disk], check=True)
        self.domain("ext4")
        repository = self.repository()
        for journal, result, status in (("", "sound", 0), (f"jo\njw -b 5000 {blocks}\njc\n",
                                                           "damaged", 7)):
            with self.subTest(result=result):
                subprocess.run(["debugfs", "-w", "-f", "-", disk], input=journal, text=True,
                               check=True, capture_output=True)
                self.done("backup-create", repository, "x/ext4", "--snapshot", "--consistency",
                          "filesystem")
                ended, out, err = self.cistern("backup-prove", repository, "latest", "--json",
                                               "--quiet")
                self.assertEqual(status, ended, err)
                self.assertEqual({"file system": "sound", "consistency": result},
                                 {row["check"]: row["result"] for row in json.loads(out)["checks"]
                                  if row["check"] != "content"})
        self.fake.set()
        self.done("backup-create", repository, "x/ext4")
        rows = json.loads(self.done("backup-prove", repository, "latest", "--json",
                                    "--quiet"))["checks"]
        self.assertEqual(["content", "file system"], [row["check"] for row in rows])

    def test_backup_with_a_worse_consistency_than_the_minimum_is_not_made(self):
        self.domain("raw", "img")
        repository = self.repository()
        self.done("backup-create", repository, "--machine", "web1", "--consistency", "filesystem")
        for words in (("--machine", "web1"), ("x/raw", "--snapshot")):
            with self.subTest(words=words):
                self.stop_agent()
                self.assertIn("consistency", self.refused("backup-create", repository, *words,
                                                          "--consistency", "filesystem"))
                self.wake_agent()
        self.fake.set()
        self.restart()
        with open(self.at("x", "more"), "r+b"):
            err = self.refused("backup-create", repository, "x/more", "--consistency", "crash")
            self.assertIn("the consistency of vol 'more' would be unknown instead of crash", err)
        self.assertEqual(1, len(json.loads(self.done("backup-list", repository,
                                                     "--json"))["backups"]))
        self.done("backup-create", repository, "x/more", "--consistency", "offline")
        self.assertEqual({"more": ("offline", None)}, self.volumes(repository))

    def test_dry_run_of_a_backup_of_a_machine_does_not_suspend_it(self):
        self.domain("raw", "img")
        repository = self.repository()
        self.assertIn("Would back up 2 vols", self.done("backup-create", repository, "--machine",
                                                        "web1", "--dry-run"))
        self.assertIsNone(self.now("events"))

    def test_copy_of_an_overlay_keeps_its_backing_file(self):
        self.done("vol-create-as", "x", "top", "4M", "--format", "qcow2", "--backing-vol", "img",
                  "--backing-vol-format", "qcow2")
        self.domain("top")
        self.create("top", "s")
        self.fake.set()
        self.restart()
        for command in ("vol-flatten top", "vol-rebase top --backing-vol img --unsafe",
                        "vol-commit top --yes", "vol-wipe top --yes",
                        "vol-rename img other"):
            with self.subTest(command=command):
                self.assertIn("snapshot 's' of volume 'top', which the pool keeps, needs the "
                              "backing file", self.refused(*command.split(), "--pool", "x"))
        self.done("snap-delete", "top", "s", "--pool", "x", "--yes")
        self.done("vol-flatten", "top", "--pool", "x")

    def test_volume_that_no_process_has_open_is_offline(self):
        self.domain("more")
        made = self.create("raw", "s")
        self.assertEqual("offline", made["consistency"])
        self.assertNotIn("domain", made)
        self.assertIsNone(self.now("events"))
        self.assertEqual({"s": "offline"}, self.listed("raw"))

    def test_hung_agent_lowers_the_consistency(self):
        self.domain("raw")
        self.stop_agent()
        made = self.create("raw", "s")
        self.assertEqual("crash", made["consistency"])
        self.assertIn("agent", made["reason"])
        self.assertEqual("SR", self.now("events"))
        self.wake_agent()
        self.stop_agent()
        self.assertIn("agent", self.kept("raw", "t", "--consistency", "filesystem"))
        self.wake_agent()

    def test_impossible_consistency_is_refused_before_the_pause(self):
        self.domain("raw")
        for level, text in (("offline", "shut it down first"),
                            ("application", "does not report whether applications")):
            with self.subTest(level=level):
                self.assertIn(text, self.kept("raw", "s", "--consistency", level))
        self.assertIsNone(self.now("events"))
        self.fake.set()
        self.restart()
        self.create("raw", "s", "--consistency", "offline")

    def test_domain_that_cannot_be_suspended_is_refused(self):
        for lines, more, text in ((("job = yes",), "", "has a job"),
                                  ((), "<shareable/>", "shareable")):
            with self.subTest(text=text):
                self.domain("img", "raw", lines=lines, more=more)
                err = self.kept("raw", "s", "--with", "img")
                self.assertIn(text, err)
                self.assertIn("web1", err)
                self.assertIn(text, self.kept("raw", "s", "--consistency", "filesystem"))
                made = self.create("raw", "s")
                self.assertEqual("crash", made["consistency"])
                self.assertIn(text, made["reason"])
                self.assertIsNone(self.now("events"))
                self.done("snap-delete", "raw", "s", "--pool", "x", "--yes")

    def test_failed_suspend_leaves_no_snapshot_and_thaws(self):
        for call in ("virDomainSuspend", "virDomainResume"):
            with self.subTest(call=call):
                self.domain("raw", "img", **{call: "fail 1 0 internal error: broken"})
                if call == "virDomainSuspend":
                    self.assertIn("internal error: broken", self.kept("raw", "s", "--with", "img"))
                else:
                    self.refused("snap-create", "raw", "s", "--with", "img", "--pool", "x")
                    self.assertEqual({}, self.listed("raw"))
                    self.domain("raw", "img")

    def test_volumes_of_two_domains(self):
        first = self.domain("img")
        second = self.domain("raw", number=2)
        self.fake.set(first, second)
        self.assertIn("two running domains, 'web1' and 'web2'",
                      self.kept("img", "s", "--with", "raw"))
        second = self.domain("more", number=2)
        self.fake.set(self.domain("raw"), second)
        made = self.create("raw", "s", "--with", "more")
        self.assertEqual(("crash", False), (made["consistency"], made["one_moment"]))
        self.assertIsNone(self.now("events"))

    def test_name_in_use_is_refused_before_the_pause(self):
        self.done("snap-create", "img", "inner", "--pool", "x")
        self.domain("raw", "img")
        self.assertIn("'img' has a snapshot 'inner' already",
                      self.kept("raw", "inner", "--with", "img"))
        self.assertIsNone(self.now("events"))

    def test_dry_run_checks_the_domain_and_does_not_suspend_it(self):
        self.domain("raw", "img", lines=("job = yes",))
        self.assertIn("has a job", self.kept("img", "s", "--dry-run"))
        self.domain("raw", "img")
        self.done("snap-create", "img", "s", "--pool", "x", "--dry-run")
        self.assertIn("Would take snapshot s", self.done("snap-create", "raw", "s", "--pool", "x",
                                                         "--dry-run"))
        self.assertIsNone(self.now("events"))
        self.assertEqual({}, self.listed("raw"))

    def test_snapshot_of_a_machine_has_all_its_disks(self):
        self.domain("raw", "img")
        made = json.loads(self.done("snap-create", "--machine", "web1", "s", "--json"))
        self.assertEqual(("Snapshot s of domain web1 (2 vols) created", True, "web1"),
                         (made["message"], made["one_moment"], made["domain"]))
        self.assertEqual("SR", self.now("events"))
        self.assertEqual([{"s": "filesystem"}, {"s": "filesystem"}, {}],
                         [self.listed(name) for name in ("raw", "img", "more")])
        self.done("snap-create", "t", "--machine", "c7a5fdbd-cdaf-9455-926a-d65c16db1809")
        self.assertIn("t", self.listed("img"))

    def test_snapshot_of_a_machine_with_disks_in_two_pools(self):
        os.mkdir(self.at("x", "second"))
        self.done("pool-define-as", "y", "dir", "--target", self.at("x", "second"))
        self.done("pool-start", "y")
        self.addCleanup(lambda: (self.cistern("pool-destroy", "y"),
                                 self.cistern("pool-undefine", "y")))
        self.done("vol-create-as", "y", "data", "4M", "--format", "raw")
        self.domain("raw", "second/data")
        made = json.loads(self.done("snap-create", "--machine", "web1", "s", "--json"))
        self.assertEqual(("filesystem", True), (made["consistency"], made["one_moment"]))
        self.assertEqual("SR", self.now("events"))
        self.assertEqual({"s": "filesystem"}, self.listed("raw"))
        self.assertIn('"s"', self.done("snap-list", "data", "--pool", "y", "--json"))

    def test_machine_with_a_disk_outside_of_all_pools_is_refused(self):
        outside = self.file("outside")
        with open(outside, "wb"):
            pass
        self.domain("raw")
        with open(os.path.join(self.fake.dir, "xml1"), "r+", encoding="utf-8") as xml:
            text = xml.read()
            xml.seek(0)
            xml.write(text.replace("</devices>", f"<disk><source file='{outside}'/><target "
                                                 "dev='vdz'/></disk></devices>"))
        err = self.kept("--machine", "web1", "s")
        self.assertIn(f"disk 'vdz' of domain 'web1' is not usable: '{outside}' is no volume of an "
                      "active pool", err)
        self.assertIsNone(self.now("events"))

    def test_machine_that_does_not_exist_is_refused(self):
        self.domain("raw")
        self.assertIn("libvirt has no domain 'web'", self.kept("--machine", "web", "s"))
        self.assertIn("mutually exclusive", self.kept("--machine", "web1", "--vol", "raw", "s"))

    def test_image_on_a_file_system_without_shared_extents_is_refused(self):
        self.done("vol-create-as", "p", "img", "4M", "--format", "qcow2")
        xml = os.path.join(self.fake.dir, "xml1")
        self.domain("raw")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(f"<domain><devices><disk><source file='{self.at('p', 'img')}'/>"
                      "<target dev='vda'/></disk></devices></domain>")
        self.fake.set(f"[domain 1]\nname = web1\nstate = running\n"
                      f"blocks = vda:{self.at('p', 'img')}\nxml = {xml}\nlive = {self.live}")
        err = self.refused("snap-create", "img", "s", "--pool", "p")
        self.assertIn("the storage of the pool cannot keep it", err)
        self.assertIn("web1", err)


class EmbeddedRunning(WithoutDaemon, Running):
    """Without a daemon."""

    def configure_scratch(self, path):
        self.addCleanup(self.peer.configure, self.peer.config)
        self.peer.configure(f"{self.peer.config}backup_scratch = {path}\n")

    def test_scratch_files_are_in_the_directory_of_the_setting(self):
        document = self.machine_without_snapshots()
        place = os.path.join(self.peer.root, "my scratch")
        self.addCleanup(shutil.rmtree, place, True)
        # A session that an end of the host has left.
        left = os.path.join(place, "cistern-backup-0123456789abcdef")
        os.makedirs(left)
        self.configure_scratch(place)
        self.refused("backup-create", self.repository(), "--machine", "web1")
        with open(document, encoding="utf-8") as written:
            self.assertRegex(written.read(), f"<scratch file='{place}/cistern-backup-[0-9a-f]+/")
        self.wait_until(lambda: not os.listdir(place), "no file is left")

    def test_scratch_directory_that_another_user_can_exchange_is_refused(self):
        document = self.machine_without_snapshots()
        parent = os.path.join(self.peer.root, "theirs")
        os.mkdir(parent)
        self.addCleanup(shutil.rmtree, parent, True)
        os.chown(parent, 1000, 1000)
        self.configure_scratch(os.path.join(parent, "scratch"))
        err = self.refused("backup-create", self.repository(), "--machine", "web1")
        self.assertIn(f"another user can exchange the scratch directory '{parent}/scratch'", err)
        self.assertEqual([], os.listdir(parent))
        self.assertFalse(os.path.exists(document))
