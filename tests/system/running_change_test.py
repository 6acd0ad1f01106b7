# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-flatten and vol-commit of volumes that a running domain has as its disks, with a fake libvirt
(tests/libvirt/fake_block.c). The fake changes the definitions of the domain, and no image."""

import contextlib
import json
import os
import subprocess

from domains_test import FakeDomains, WithoutDaemon, edit_live
from harness import space
from held_test import qemu_nbd

MIB = 1024 * 1024


class RunningDomain(FakeDomains):
    """Volume "top" is an overlay of "middle", which is one of "base". Has no tests."""

    def setUp(self):
        super().setUp()
        with contextlib.suppress(FileNotFoundError):  # without a daemon
            self.log_begin = len(self.peer.log())
        self.live = os.path.join(self.fake.dir, "live")
        self.done("vol-create-as", "p", "base", "4M", "--format", "qcow2")
        below = "base"
        for name in ("middle", "top"):
            self.done("vol-create-as", "p", name, "4M", "--format", "qcow2", "--backing-vol",
                      self.at("p", below), "--backing-vol-format", "qcow2")
            below = name
        for number, name in enumerate(("base", "middle", "top")):
            self.qemu_io(name, f"write -P {number + 1} {number * 64}k 64k")
        self.addCleanup(self.no_job)

    def logged(self):
        """The log of the daemons of this test."""
        return self.peer.log()[self.log_begin:]

    def qemu_io(self, name, command, *words):
        subprocess.run(["qemu-io", "-f", "qcow2", *words, "-c", command, self.at("p", name)],
                       check=True, stdout=subprocess.DEVNULL)

    def no_job(self):
        self.wait_until(lambda: not os.path.exists(self.entries()) or not os.listdir(self.entries()),
                        "no entry of a block job is left")

    def entries(self):
        return os.path.join(self.peer.root, "run/cistern/block-job")

    # --- the domain ---

    def running(self, *names, lines=(), live=(), state="running", more="", **calls):
        """Domain web1 with these layers of disk vda."""
        paths = [self.at("p", name) for name in names or ("top", "middle", "base")]
        chain = ";".join(paths)
        edit_live(self.live, lambda _: "\n".join(["[live]", "state=running", "id=7",
                                                  f"chain={chain}", f"config={chain}",
                                                  *live]) + "\n")
        self.group = [line if not line.startswith("blocks") else "blocks = chain" for line in
                      self.fake.domain(paths[0], state=state, more=more).split("\n")]
        self.group += [f"live = {self.live}", f"capacity = {4 * MIB}"]
        self.fake.set("\n".join([*self.group, *lines]), **calls)

    def now(self, key):
        with open(self.live, encoding="utf-8") as stream:
            found = [line.split("=", 1)[1] for line in stream.read().splitlines()
                     if line.startswith(key + "=")]
        return found[0] if found else None

    def change(self, **values):
        """Sets values of the domain's state; None removes one."""
        def edit(text):
            state = dict(line.split("=", 1) for line in text.splitlines()[1:] if line)
            state.update({key.replace("_", "-"): value for key, value in values.items()})
            return "\n".join(["[live]", *(f"{key}={value}" for key, value in state.items()
                                          if value is not None)]) + "\n"

        edit_live(self.live, edit)

    def layers(self, key="chain"):
        return [os.path.basename(path) for path in self.now(key).split(";")]

    def work(self, *words):
        """Begins a command. The caller awaits it."""
        process = subprocess.Popen([space.CISTERN, *self.place(), *words], text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=dict(space.ENV, **dict(self.fake.env)))
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def place(self):
        return "-c", self.peer.uri

    def job_runs(self):
        self.wait_until(lambda: self.now("block-type"), "the block job runs")

    # --- the images ---

    def shows(self, name, *patterns):
        """The volume has these patterns in its first ranges of 64 KiB."""
        for number, pattern in enumerate(patterns):
            self.qemu_io(name, f"read -P {pattern} {number * 64}k 64k", "-r")

    def backing(self, name):
        out = subprocess.run(["qemu-img", "info", self.at("p", name)], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        return [os.path.basename(line.split(": ")[1].split(" (")[0]) for line in out.splitlines()
                if line.startswith("backing file:")]

    def kept(self, *words):
        """The command is refused, and begins no job. Returns the message."""
        self.fake.calls()
        err = self.refused(*words, "--pool", "p")
        self.assertEqual([], [call for call in self.fake.calls() if "BlockCommit" in call or
                              "BlockRebase" in call or "BlockCopy" in call], err)
        self.assertEqual([], self.intents())
        return err

    def intents(self):
        folder = os.path.join(self.peer.root, "var/lib/cistern/journal")
        return os.listdir(folder) if os.path.isdir(folder) else []


class RunningChange(RunningDomain):
    """With a daemon."""

    def test_flatten_is_a_pull_of_all_backing_files(self):
        self.running()
        process = self.work("vol-flatten", "top", "--pool", "p")
        self.job_runs()
        # QEMU writes to the image of the running domain.
        subprocess.run(["qemu-img", "rebase", "-b", "", "-f", "qcow2", self.at("p", "top")],
                       check=True)
        self.change(chain=self.at("p", "top"), config=self.at("p", "top"), block_type=None,
                    events="C")
        self.assertEqual(0, process.wait(), process.stderr.read())
        self.assertIn("rebase", self.fake.calls())
        self.shows("top", 1, 2, 3)
        self.done("vol-delete", "middle", "--pool", "p")

    def test_flatten_reads_the_result_from_the_image(self):
        self.running(live=["block-fate=done"])
        self.assertIn("the image still refers to its backing file",
                      self.refused("vol-flatten", "top", "--pool", "p"))

    def test_flatten_of_an_independent_volume_begins_no_job(self):
        self.running("v")
        self.done("vol-flatten", "v", "--pool", "p")
        self.assertNotIn("rebase", self.fake.calls())

    def test_commit_empties_the_volume_after_the_pivot(self):
        self.running(live=["block-fate=ready"])
        self.done("vol-commit", "top", "--pool", "p", "--yes")
        self.assertEqual((["middle", "base"], ["middle", "base"]),
                         (self.layers(), self.layers("config")))
        # The fake has copied no data, so the volume shows that of its base.
        self.shows("top", 1, 2, 0)
        self.assertEqual(["middle"], self.backing("top"))
        self.assertEqual([], self.intents())

    def test_commit_to_a_base_further_down_changes_the_reference(self):
        self.running(live=["block-fate=ready"])
        self.done("vol-commit", "top", "--base", "base", "--pool", "p", "--yes")
        self.assertEqual(["base"], self.layers())
        self.shows("top", 1, 0, 0)
        self.assertEqual(["base"], self.backing("top"))
        self.done("vol-delete", "middle", "--pool", "p")

    def test_definition_that_still_names_the_committed_volume_is_reported(self):
        paths = [self.at("p", name) for name in ("top", "middle", "base")]
        for config, lines, right in ((";".join(paths), [], False), ("p/top", [], False),
                                     ("p/other", [], False), ("p/middle", [], True),
                                     (";".join(paths), ["transient = yes"], True)):
            with self.subTest(config=config, lines=lines):
                self.running(live=["block-fate=ready", "keeps-config=yes"], lines=lines)
                self.change(config=config)
                words = ("vol-commit", "top", "--pool", "p", "--yes")
                if right:
                    self.done(*words)
                else:
                    self.assertIn("may still name volume 'top', which was emptied, as disk 'vda'; "
                                  "correct it (virsh edit 'web1')", self.refused(*words))
                self.shows("top", 1, 2, 0)
                self.assertEqual([], self.intents())

    def test_unfit_disks_are_refused_with_the_next_step(self):
        for words in (("vol-flatten", "top"), ("vol-commit", "top", "--yes")):
            for line, more, text in (("job = yes", "", "the domain has a job"),
                                     ("", "<driver type='raw'/>", "in another format"),
                                     ("capacity = 8388608", "", "is larger than volume 'top'"),
                                     ("block-job = vda", "", "block job"),
                                     ("", "<shareable/>", "the disk is shareable"),
                                     ("", "<readonly/>", "the disk is read-only")):
                with self.subTest(words=words, text=text):
                    self.running(lines=[line])
                    if more:
                        self.change(chain=None, config=None)
                        self.fake.set(self.fake.domain(self.at("p", "top"), more=more))
                    err = self.kept(*words)
                    self.assertIn(text, err)
                    self.assertIn("web1", err)

    def test_backing_file_of_a_running_disk_is_refused(self):
        self.running()
        for words in (("vol-flatten", "middle"), ("vol-commit", "middle", "--yes")):
            self.assertIn("name the volume on top", self.kept(*words))

    def test_commit_refuses_a_base_that_another_program_uses(self):
        self.running()
        with qemu_nbd(self.at("p", "middle"), "qcow2") as pid:
            err = self.kept("vol-commit", "top", "--yes")
        self.assertIn(f"process {pid}", err)
        self.shows("top", 1, 2, 3)

    def test_commit_refuses_a_base_of_a_further_domain(self):
        self.running()
        xml = os.path.join(self.fake.dir, "two")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(f"<domain><devices><disk><source file='{self.at('p', 'middle')}'/>"
                      "<target dev='vdb'/></disk></devices></domain>")
        self.fake.set("\n".join(self.group),
                      f"[domain 2]\nname = web2\nstate = running\n"
                      f"blocks = vdb:{self.at('p', 'middle')}\nxml = {xml}")
        self.assertIn("domain 'web2' has it for disk 'vdb'", self.kept("vol-commit", "top", "--yes"))

    def test_commit_refuses_further_overlays_snapshots_and_keep(self):
        self.running()
        self.assertIn("leave out --keep", self.kept("vol-commit", "top", "--keep", "--yes"))
        self.done("vol-create-as", "p", "more", "4M", "--format", "qcow2", "--backing-vol",
                  self.at("p", "middle"), "--backing-vol-format", "qcow2")
        self.assertIn("outside this chain", self.kept("vol-commit", "top", "--yes"))
        self.done("vol-delete", "more", "--pool", "p")
        subprocess.run(["qemu-img", "snapshot", "-c", "s", self.at("p", "top")], check=True)
        self.assertIn("snapshot", self.kept("vol-commit", "top", "--yes"))

    def test_dry_run_begins_no_job(self):
        self.running()
        for words in (("vol-flatten", "top"), ("vol-commit", "top", "--yes")):
            self.done(*words, "--dry-run", "--pool", "p")
            self.assertNotIn("virDomainBlockCommit", self.fake.calls())
        self.assertEqual(["top", "middle", "base"], self.layers())

    def test_failed_and_refused_jobs_leave_the_volume(self):
        for words in (("vol-flatten", "top"), ("vol-commit", "top", "--yes")):
            for live, calls in ((["block-fate=failed"], {}),
                                ([], {"virDomainBlockCommit": "fail 1 0 internal error: broken",
                                      "virDomainBlockRebase": "fail 1 0 internal error: broken"})):
                with self.subTest(words=words, live=live):
                    self.running(live=live, **calls)
                    err = self.refused(*words, "--pool", "p")
                    self.assertIn("web1", err)
                    self.shows("top", 1, 2, 3)
                    self.wait_until(lambda: not self.now("block-type"), "no job is left")
                    self.no_job()

    def test_pivot_that_libvirt_refuses_keeps_the_guest_on_its_volume(self):
        self.running(live=["block-fate=ready"],
                     **{"virDomainBlockJobAbort PIVOT": "fail 55 0 cannot pivot"})
        err = self.refused("vol-commit", "top", "--pool", "p", "--yes")
        self.assertIn("cannot pivot", err)
        self.shows("top", 1, 2, 3)
        self.assertEqual([], self.intents())
        self.assertEqual(["top", "middle", "base"], self.layers())


class KilledCommit(RunningDomain):
    """The daemon is killed while libvirt switches the domain."""

    def pivot_and_kill(self):
        self.go = os.path.join(self.fake.dir, "go")
        self.running(live=["block-fate=ready"],
                     **{"virDomainBlockJobAbort PIVOT": f"wait {self.go}"})
        process = self.work("vol-commit", "top", "--pool", "p", "--yes")
        self.wait_until(lambda: "PIVOT" in self.fake.calls(), "libvirt is asked to pivot")
        self.peer.process.kill()
        self.peer.process.wait()
        process.wait()
        self.assertEqual(1, len(self.intents()))

    def settle(self):
        with open(self.go, "w", encoding="utf-8"):
            pass
        self.no_job()

    def test_next_daemon_empties_the_volume_that_the_guest_has_left(self):
        self.pivot_and_kill()
        self.settle()
        self.assertEqual(["middle", "base"], self.layers())
        self.shows("top", 1, 2, 3)
        self.peer.start()
        self.wait_until(lambda: not self.intents(), "the commit is complete", seen=self.logged)
        self.shows("top", 1, 2, 0)

    def test_domain_that_was_shut_off_decides_as_well(self):
        self.pivot_and_kill()
        self.settle()
        self.fake.set("\n".join(self.group).replace("state = running", "state = off"))
        self.peer.start()
        self.wait_until(lambda: not self.intents(), "the commit is complete", seen=self.logged)
        self.shows("top", 1, 2, 0)

    def test_volume_of_a_job_without_a_pivot_keeps_its_data(self):
        self.running()
        process = self.work("vol-commit", "top", "--pool", "p", "--yes")
        self.job_runs()
        self.peer.process.kill()
        self.peer.process.wait()
        process.wait()
        self.wait_until(lambda: not self.now("block-type"), "the keeper ends the job")
        self.no_job()
        self.peer.start()
        self.wait_until(lambda: not self.intents(), "the commit is dropped", seen=self.logged)
        self.shows("top", 1, 2, 3)

    def test_volume_with_a_recorded_commit_is_kept_apart_until_libvirt_has_answered(self):
        self.pivot_and_kill()
        self.settle()
        chain = self.now("chain")
        # The image of the disk is in no pool at first.
        self.change(chain="/nowhere/image", config="/nowhere/image")
        self.peer.start()
        self.wait_until(lambda: "'/nowhere/image' is no volume" in self.logged(),
                        "libvirt is asked", seen=self.logged)
        self.assertIn("may have old data", self.refused("vol-rename", "top", "other", "--pool", "p"))
        self.done("vol-create-as", "p", "child", "4M", "--format", "qcow2", "--backing-vol",
                  self.at("p", "top"), "--backing-vol-format", "qcow2")
        for words in (("top",), ("child", "--base", "middle")):
            with self.subTest(words=words):
                self.assertIn("volume 'top' may have old data",
                              self.refused("vol-commit", *words, "--pool", "p", "--yes"))
        self.shows("middle", 1, 2, 0)
        self.done("vol-delete", "child", "--pool", "p")
        # The daemon asks again by itself.
        self.change(chain=chain, config=chain)
        self.wait_until(lambda: not self.intents(), "the commit is complete", seen=self.logged)
        self.shows("top", 1, 2, 0)

    def test_volume_stays_undecided_if_its_domain_names_it_after_the_pivot_began(self):
        """A power cut may lose the new definition, although the guest has written to the base."""
        self.pivot_and_kill()
        self.settle()
        self.running()
        self.peer.start()
        self.wait_until(lambda: "it is not known whether volume 'top'" in self.logged(),
                        "the commit is undecided", seen=self.logged)
        self.shows("top", 1, 2, 3)
        self.assertIn("may have old data", self.refused("vol-commit", "top", "--pool", "p", "--yes"))
        self.assertEqual(1, len(self.intents()))
        # A domain that is shut off has the base.
        xml = os.path.join(self.fake.dir, "two")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(f"<domain><devices><disk><source file='{self.at('p', 'middle')}'/>"
                      "<target dev='vdb'/></disk></devices></domain>")
        self.fake.set(f"[domain 2]\nname = web2\nstate = off\nxml = {xml}")
        self.restart()
        self.wait_until(lambda: self.logged().count("it is not known whether volume 'top'") == 2,
                        "the commit is undecided", seen=self.logged)
        self.assertEqual(1, len(self.intents()))
        self.done("vol-delete", "top", "--pool", "p")
        self.restart()
        self.wait_until(lambda: not self.intents(), "the record has ended", seen=self.logged)

    def test_commit_of_an_undefined_domain_ends_if_its_images_are_not_in_use(self):
        self.pivot_and_kill()
        self.settle()
        self.fake.set()
        with qemu_nbd(self.at("p", "middle"), "qcow2"):
            self.peer.start()
            self.wait_until(lambda: "it is not known whether volume 'top'" in self.logged(),
                            "the commit is undecided", seen=self.logged)
        self.assertEqual(1, len(self.intents()))
        self.restart()
        self.wait_until(lambda: not self.intents(), "the record has ended", seen=self.logged)
        self.assertIn("is not defined any more", self.logged())
        self.shows("top", 1, 2, 3)

    def test_resumed_commit_of_an_undefined_domain_writes_no_old_data_to_the_base(self):
        self.pivot_and_kill()
        self.settle()
        self.fake.set()
        self.peer.start()
        self.wait_until(lambda: not self.intents() and not self.done("job-list", "-H").strip(),
                        "the job and the record have ended", seen=self.logged)
        self.shows("top", 1, 2, 3)
        self.shows("middle", 1, 2, 0)


class RunningMove(RunningDomain):
    """With a daemon. Pool "n" gets the volume."""

    def setUp(self):
        super().setUp()
        self.done("pool-define-as", "n", "dir", "--target", self.at("n"))
        self.done("pool-build", "n")
        self.done("pool-start", "n")
        self.addCleanup(self.leave)

    def leave(self):
        self.cistern("pool-destroy", "n")
        self.cistern("pool-undefine", "n")

    def names(self, pool):
        return [row["name"] for row in
                json.loads(self.done("vol-list", pool, "--json"))["volumes"]]

    def move(self, *words):
        return self.done("vol-move", "v", "--pool", "p", "--newpool", "n", *words)

    def stays(self, *words):
        """The move is refused or fails. The volume stays, and no other one. Returns the message."""
        err = self.refused("vol-move", *(words or ("v",)), "--pool", "p", "--newpool", "n")
        self.assertEqual("", " ".join(self.names("n")), err)
        self.assertIn("v", self.names("p"))
        self.assertEqual([], self.intents(), err)
        self.assertEqual([self.at("p", (words or ("v",))[0])], self.now("chain").split(";")[:1])
        return err

    def document(self):
        path = os.path.join(self.fake.dir, "copy-xml")
        with open(path, encoding="utf-8") as stream:
            return stream.read()

    def test_move_switches_the_domain_and_deletes_the_volume(self):
        self.running("v", live=["block-fate=ready"],
                     lines=[f"copy-xml = {os.path.join(self.fake.dir, 'copy-xml')}"])
        out = self.move("--format", "raw")
        self.assertIn("Domain web1 uses it as disk vda", out)
        for key in ("chain", "config"):
            self.assertEqual(self.at("n", "v"), self.now(key))
        self.assertIn("type='raw'", self.document())
        self.assertEqual(["v"], self.names("n"))
        self.assertNotIn("v", self.names("p"))
        self.assertEqual(4 * MIB, os.stat(self.at("n", "v")).st_size)
        self.assertEqual([], self.intents())

    def test_overlay_keeps_its_backing_file(self):
        self.running(live=["block-fate=ready"])
        self.done("vol-move", "top", "--pool", "p", "--newpool", "n", "--name", "moved")
        self.assertIn("0x7", self.fake.calls())  # SHALLOW, REUSE_EXT, TRANSIENT_JOB
        out = subprocess.run(["qemu-img", "info", self.at("n", "moved")], check=True, text=True,
                             stdout=subprocess.PIPE).stdout
        self.assertIn(f"backing file: {self.at('p', 'middle')}", out)
        self.assertIn("moved", self.done("vol-chain", "base", "--pool", "p"))

    def test_other_format_in_the_same_pool(self):
        self.running("v", live=["block-fate=ready"])
        self.done("vol-move", "v", "--pool", "p", "--newpool", "p", "--name", "v.raw", "--format",
                  "raw")
        self.assertEqual(self.at("p", "v.raw"), self.now("chain"))
        self.assertNotIn("v", self.names("p"))

    def test_transient_domain_moves_only_with_yes(self):
        self.running("v", live=["block-fate=ready"], lines=["transient = yes"])
        self.assertIn("say --yes", self.stays())
        self.move("--yes")
        self.assertEqual(self.at("n", "v"), self.now("chain"))

    def test_volumes_with_snapshots_or_overlays_stay(self):
        self.running("v", live=["block-fate=ready"])
        subprocess.run(["qemu-img", "snapshot", "-c", "s", self.path], check=True)
        self.assertIn("has 1 snapshots", self.stays())
        self.running("middle", "base", live=["block-fate=ready"])
        self.assertIn("top", self.stays("middle"))

    def test_encrypted_volumes_stay(self):
        key = self.file("key", b"secret")
        self.done("vol-delete", "v", "--pool", "p")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "--object",
                        f"secret,id=s,file={key}", "-o", "encrypt.format=luks,encrypt.key-secret=s",
                        self.path, "4M"], check=True)
        self.done("pool-refresh", "p")
        self.running("v", live=["block-fate=ready"])
        self.assertIn("it is encrypted", self.stays())

    def test_pool_that_other_users_can_write_to_gets_no_disk(self):
        os.chmod(self.at("n"), 0o777)
        self.running("v", live=["block-fate=ready"])
        self.assertIn("other users can write to its directory", self.stays())
        self.assertNotIn("virDomainBlockCopy", self.fake.calls())

    def test_copy_that_another_program_replaces_is_not_used(self):
        self.running("v")
        process = self.work("vol-move", "v", "--pool", "p", "--newpool", "n")
        self.job_runs()
        with open(self.at("n", "other"), "wb") as out:
            out.write(b"other")
        os.rename(self.at("n", "other"), self.at("n", "v"))
        self.change(block_ready="yes", events="Y")
        self.assertNotEqual(0, process.wait())
        self.assertIn("another program has replaced volume 'v'", process.stderr.read())
        self.assertEqual(self.at("p", "v"), self.now("chain"))
        with open(self.at("n", "v"), "rb") as stream:
            self.assertEqual(b"other", stream.read())

    def test_failed_jobs_leave_the_volume_and_no_copy(self):
        for live, calls, text in (
                (["block-fate=failed"], {}, "the block job failed"),
                ([], {"virDomainBlockCopy": "fail 1 0 internal error: broken"}, "broken"),
                (["block-fate=ready"], {"virDomainBlockJobAbort PIVOT": "fail 55 0 cannot pivot"},
                 "cannot pivot")):
            with self.subTest(text=text):
                self.running("v", live=live, **calls)
                self.assertIn(text, self.stays())
                self.no_job()

    def test_definition_that_still_names_the_volume_is_reported(self):
        self.running("v", live=["block-fate=ready", "keeps-config=yes"])
        with self.refreshed("p", "n"):
            err = self.refused("vol-move", "v", "--pool", "p", "--newpool", "n")
        self.assertIn("correct it (virsh edit", err)
        self.assertEqual(["v"], self.names("n"))

    @contextlib.contextmanager
    def refreshed(self, *pools):
        """A client gets the event "refresh" of these pools. The pools "begin" and "end" are fences."""
        events = os.path.join(self.fake.dir, "events")
        for name in ("begin", "end"):
            os.makedirs(self.at(name))
            self.done("pool-create-as", name, "dir", "--target", self.at(name))
            self.addCleanup(self.cistern, "pool-destroy", name)

        def reported():
            with open(events, encoding="utf-8") as stream:
                return {line.split()[-1] for line in stream.read().splitlines()}

        def fence(name):
            self.done("pool-refresh", name)
            return name in reported()

        with open(events, "w", encoding="utf-8") as out, subprocess.Popen(
                ["stdbuf", "-oL", "virsh", "-c", self.peer.uri, "pool-event", "--event", "refresh",
                 "--loop"], stdin=subprocess.DEVNULL, stdout=out, env=space.ENV) as virsh:
            self.addCleanup(virsh.kill)
            self.wait_until(lambda: fence("begin"), "the client has registered", seen=reported)
            yield
            self.wait_until(lambda: fence("end"), "the client has all events", seen=reported)
            virsh.terminate()
        self.assertLessEqual(set(pools), reported())

    def test_move_to_a_pool_that_cannot_create_volumes_is_refused(self):
        self.done("pool-create-as", "m", "mpath", "--target", "/dev/mapper")
        self.addCleanup(self.cistern, "pool-destroy", "m")
        self.running("v", live=["block-fate=ready"])
        for words in ((), ("--overwrite",)):
            err = self.kept("vol-move", "v", "--newpool", "m", "--name", "lun", *words)
            self.assertIn("cannot create volumes", err)

    def running_volume(self, pools=("p", "n"), **calls):
        """Both definitions of domain web1 name volume v by type='volume'. libvirt knows the pools."""
        self.running("v", live=["block-fate=ready"])
        self.change(chain="p/v", config="p/v")
        self.fake.set("\n".join([*self.fake.domain(self.at("p", "v")).split("\n"),
                                 f"live = {self.live}", f"capacity = {4 * MIB}"]),
                      *self.libvirt_pools(*pools), **calls)

    def libvirt_pools(self, *names):
        return [f"[pool {name}]\ndirectory = {self.at(name, '')}" for name in names]

    def test_definition_of_a_volume_names_the_new_one(self):
        self.running_volume()
        self.move("--format", "raw")
        self.assertEqual((self.at("n", "v"), "n/v"), (self.now("chain"), self.now("config")))
        self.assertEqual([], self.intents())

    def test_second_move_before_a_restart_of_the_domain_is_named_as_well(self):
        self.running("v", live=["block-fate=ready"], lines=self.libvirt_pools("p", "n"))
        self.change(config="p/v")
        self.move()
        self.assertEqual((self.at("n", "v"), "n/v"), (self.now("chain"), self.now("config")))
        self.done("vol-move", "v", "--pool", "n", "--newpool", "p", "--name", "w")
        self.assertEqual((self.at("p", "w"), "p/w"), (self.now("chain"), self.now("config")))

    def path_is_reported(self, reason):
        self.move()
        for key in ("chain", "config"):
            self.assertEqual(self.at("n", "v"), self.now(key))
        self.wait_until(lambda: f"{reason}; see the source of the disk there (virsh edit" in
                        self.logged(), "the log has a warning", seen=self.logged)
        self.assertEqual([], self.intents())

    def test_definition_that_libvirt_does_not_change_is_reported_in_the_log(self):
        self.running_volume(virDomainUpdateDeviceFlags="fail 1 0 internal error: broken")
        self.path_is_reported("internal error: broken")

    def test_definition_keeps_the_path_of_a_volume_that_libvirt_does_not_know(self):
        self.running_volume(pools=("p",))
        self.path_is_reported("Storage pool not found")
        self.assertNotIn("virDomainUpdateDeviceFlags", self.fake.calls())

    def test_dry_run_creates_no_volume(self):
        self.running("v", live=["block-fate=ready"])
        self.move("--dry-run")
        self.assertEqual("", " ".join(self.names("n")))
        self.assertNotIn("virDomainBlockCopy", self.fake.calls())
        self.assertEqual([], self.intents())

    def test_dry_run_is_refused_as_the_move(self):
        for lines, text in ((["transient = yes"], "say --yes"), (["job = yes"], "has a job")):
            with self.subTest(text=text):
                self.running("v", live=["block-fate=ready"], lines=lines)
                for words in ((), ("--dry-run",)):
                    err = self.kept("vol-move", "v", "--newpool", "n", *words)
                    self.assertIn(text, err)
        self.running("v", live=["block-fate=ready"], lines=["transient = yes"])
        self.move("--dry-run", "--yes")
        self.no_job()
        self.assertEqual(self.at("p", "v"), self.now("chain"))

    def test_dry_run_finds_a_pool_that_is_too_small(self):
        where = self.at("small")
        space.tmpfs(where, "1M")
        self.addCleanup(space.unmount, where)
        self.done("pool-create-as", "small", "dir", "--target", where)
        self.addCleanup(self.cistern, "pool-destroy", "small")
        self.qemu_io("v", "write -P 1 0 3M")
        self.done("pool-refresh", "p")
        self.running("v", live=["block-fate=ready"])
        for words in ((), ("--dry-run",)):
            self.assertIn("the pool has 1.00 MiB available", self.kept("vol-move", "v", "--newpool", "small", *words))

    def json(self, *words):
        told = json.loads(self.done(*words, "--json"))
        return told["domain"], told["disk"]

    def test_json_has_the_domain_and_its_disk(self):
        self.running(live=["block-fate=ready"])
        self.assertEqual(("web1", "vda"),
                         self.json("vol-commit", "top", "--pool", "p", "--yes"))
        self.running("v", live=["block-fate=ready"])
        self.assertEqual(("web1", "vda"), self.json("vol-flatten", "v", "--pool", "p"))
        self.assertEqual(("web1", "vda"),
                         self.json("vol-move", "v", "--pool", "p", "--newpool", "n"))
        self.fake.set()
        self.assertNotIn("domain", json.loads(self.done("vol-flatten", "top", "--pool", "p",
                                                        "--json")))

    # --- kills ---

    def kill_in_pivot(self):
        self.go = os.path.join(self.fake.dir, "go")
        self.running("v", live=["block-fate=ready"],
                     **{"virDomainBlockJobAbort PIVOT": f"wait {self.go}"})
        process = self.work("vol-move", "v", "--pool", "p", "--newpool", "n")
        self.wait_until(lambda: "PIVOT" in self.fake.calls(), "libvirt is asked to pivot")
        self.peer.process.kill()
        self.peer.process.wait()
        process.wait()
        self.assertEqual(1, len(self.intents()))

    def settle(self):
        with open(self.go, "w", encoding="utf-8"):
            pass
        self.no_job()
        self.peer.start()
        self.wait_until(lambda: not self.intents(), "the move is settled", seen=self.logged)

    def volumes(self):
        """Where volume v is, as the lists and the directories have it."""
        listed = ["v" in self.names(pool) for pool in ("p", "n")]
        self.assertEqual([os.path.exists(self.at(pool, "v")) for pool in ("p", "n")], listed)
        return listed

    def test_next_daemon_deletes_the_volume_that_the_guest_has_left(self):
        self.kill_in_pivot()
        self.settle()
        self.assertEqual(self.at("n", "v"), self.now("chain"))
        self.assertEqual([False, True], self.volumes())
        self.assertNotIn("persistent definition", self.logged())

    def next_daemon_reports_the_definition(self, config):
        self.kill_in_pivot()
        self.change(keeps_config="yes", config=config)
        self.settle()
        self.assertEqual([False, True], self.volumes())
        self.assertIn("persistent definition names volume 'v' of pool 'p', which was deleted, as "
                      "disk 'vda'; correct it (virsh edit", self.logged())

    def test_next_daemon_reports_a_definition_that_has_the_path_of_the_deleted_volume(self):
        self.next_daemon_reports_the_definition(self.at("p", "v"))

    def test_next_daemon_reports_a_definition_that_names_the_deleted_volume(self):
        self.next_daemon_reports_the_definition("p/v")

    def test_both_volumes_stay_if_the_pivot_is_not_certain(self):
        self.kill_in_pivot()
        self.change(block_type=None, block_copy=None, block_ready=None)
        self.settle()
        self.assertEqual([True, True], self.volumes())
        self.assertIn("both stay", self.logged())

    def test_next_daemon_deletes_the_incomplete_copy(self):
        self.running("v")
        process = self.work("vol-move", "v", "--pool", "p", "--newpool", "n")
        self.job_runs()
        self.peer.process.kill()
        self.peer.process.wait()
        process.wait()
        self.wait_until(lambda: not self.now("block-type"), "the keeper ends the job")
        self.no_job()
        self.peer.start()
        self.wait_until(lambda: not self.intents(), "the move is settled", seen=self.logged)
        self.assertEqual([True, False], self.volumes())


class EmbeddedChange(WithoutDaemon, RunningChange):
    """Without a daemon."""

    def place(self):
        return "--root", self.peer.root
