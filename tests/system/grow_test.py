# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-resize of a volume that a running domain has as a disk, with a fake libvirt
(tests/libvirt/fake.c): BlockResize truncates the file, also to a smaller size, as libvirt 9.0 does."""

import os
import shlex

from domains_test import FakeDomains, WithoutDaemon

MIB = 1024 * 1024


class Grow(FakeDomains):
    """With a daemon."""

    VOLUME_FORMAT = "raw"

    def running(self, *lines, more="", state="running", **calls):
        group = self.fake.domain(self.path, state=state, more=more)
        self.fake.set("\n".join([group, f"disk = {self.path}", *lines]), **calls)

    def size(self):
        return os.stat(self.path).st_size

    def resize(self, *words):
        return self.done("vol-resize", "v", *words, "--pool", "p")

    def resizes(self):
        """The requests that libvirt got since the last time."""
        calls = self.fake.calls()
        return [tuple(calls[i + 1:i + 4]) for i, call in enumerate(calls) if call == "resize"]

    def kept(self, *words):
        """The command is refused, and the domain got no request. Returns the message."""
        before = self.size()
        err = self.refused("vol-resize", "v", *words, "--pool", "p")
        self.assertEqual(before, self.size(), words)
        self.assertEqual([], self.resizes(), words)
        return err

    def test_volume_and_disk_of_a_running_domain_grow(self):
        for state in ("running", "paused"):
            for words, wanted in ((("8M",), 8), (("+1M",), 9), (("1M", "--delta"), 10)):
                with self.subTest(state=state, words=words):
                    self.running(state=state)
                    self.resize(*words)
                    self.assertEqual(wanted * MIB, self.size())
                    self.assertEqual([("vda", str(wanted * MIB), "0x1")], self.resizes())
            self.assertIn("10.00 MiB", self.done("vol-info", "v", "--pool", "p"))
            os.truncate(self.path, 4 * MIB)
            self.done("pool-refresh", "p")

    def test_size_is_a_whole_number_of_sectors(self):
        self.running()
        self.resize("4194305")
        self.assertEqual(4 * MIB + 512, self.size())

    def test_smaller_size_is_refused(self):
        self.running()
        self.assertIn("can't shrink capacity", self.kept("3M"))
        for words in (("3M", "--shrink", "--yes"), ("1M", "--delta", "--shrink", "--yes")):
            self.assertIn("domain 'web1' (running, guest agent: connected) has it as disk 'vda'",
                          self.kept(*words))

    def test_guest_with_a_larger_disk_does_not_shrink(self):
        """The record of the volume is old, or the domain has a larger disk for another reason."""
        self.running("capacity = 16777216")
        self.assertIn("the guest's disk is larger than that", self.kept("8M"))

    def test_unfit_disks_are_refused_with_the_next_step(self):
        cases = (("job = yes", "", "running", "virsh domjobabort 'web1'"),
                 ("block-job = vda", "", "running", "virsh blockjob 'web1' 'vda' --abort"),
                 ("", "<shareable/>", "running", "the disk is shareable"),
                 ("", "<readonly/>", "running", "the disk is read-only"),
                 ("", "<driver type='qcow2'/>", "running", "in another format"),
                 ("", "", "ioerror", "virsh domblkerror 'web1'"),
                 ("", "", "crashed", "the domain is ending"),
                 ("", "", "saved", "virsh managedsave-remove 'web1'"))
        for line, more, state, text in cases:
            with self.subTest(text=text):
                self.running(line, more=more, state=state)
                err = self.kept("8M")
                self.assertIn(text, err)
                self.assertIn("web1", err)

    def test_backing_file_is_refused(self):
        self.ok("vol-create-as", "p", "top", "4M")
        group = self.fake.domain(self.at("p", "top"), more=(
            f"<backingStore><source file='{self.path}'/></backingStore>"))
        self.fake.set(group.replace("blocks = ", f"blocks = vda:{self.path};"))
        self.assertIn("the volume is a backing file of the disk", self.kept("8M"))

    def test_volume_of_two_domains_is_refused(self):
        group = self.fake.domain(self.path)
        xml = os.path.join(self.fake.dir, "two")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(f"<domain><devices><disk><source file='{self.path}'/><target dev='vdb'/>"
                      "</disk></devices></domain>")
        self.fake.set(group, f"[domain 2]\nname = web2\nstate = running\nblocks = vdb:{self.path}\n"
                      f"xml = {xml}")
        self.assertIn("which is 2 disks of running domains, such as 'web1' and 'web2'",
                      self.kept("8M"))

    def test_disk_of_another_pool_with_the_same_name_is_no_refusal(self):
        elsewhere = self.file("elsewhere", b"x" * 512)
        xml = os.path.join(self.fake.dir, "named")
        with open(xml, "w", encoding="utf-8") as out:
            out.write("<domain><devices><disk type='volume'><source pool='p' volume='v'/>"
                      "<target dev='vda'/><shareable/></disk><disk/></devices></domain>")
        # The record lacks a disk, so the document is read.
        named = [f"[domain {i}]\nname = web{i}\nstate = running\nblocks = vda:{elsewhere};vdb\n"
                 f"xml = {xml}" for i in (1, 2)]
        self.fake.set(*named)
        self.assertIn("\tweb1\t", self.done("vol-holders", "v", "--pool", "p", "-H"))
        self.resize("8M")
        self.assertEqual(8 * MIB, self.size())
        self.assertEqual([], self.resizes())

    def test_allocate_is_refused_for_a_running_domain(self):
        self.running()
        self.assertIn("leave out --allocate", self.kept("8M", "--allocate"))

    def test_dry_run_makes_the_checks_and_leaves_the_size(self):
        self.running("job = yes")
        self.assertIn("the domain has a job", self.kept("8M", "--dry-run"))
        self.running()
        self.assertIn("Would change size", self.resize("8M", "--dry-run"))
        self.assertEqual(4 * MIB, self.size())
        self.assertEqual([], self.resizes())

    def test_size_that_libvirt_did_not_change_is_reported(self):
        self.running("keeps-size = yes")
        self.assertIn("libvirt claims to have grown the disk of volume 'v', but it has 4194304",
                      self.refused("vol-resize", "v", "8M", "--pool", "p"))
        group = self.fake.domain(self.path)
        self.fake.set(group + "\ncapacity = 4194304")  # BlockResize changes this number only
        self.assertIn("libvirt claims to have grown volume 'v' to 8388608 bytes, but it has 4194304",
                      self.refused("vol-resize", "v", "8M", "--pool", "p"))

    def test_error_of_libvirt_is_reported(self):
        for call, text in (("virConnectOpen", "cannot grow volume 'v' of a running domain; "),
                           ("virDomainGetJobInfo", "cannot grow volume 'v' of a running domain; "),
                           ("virDomainBlockResize", "cannot grow the disk of the domain; ")):
            with self.subTest(call=call):
                self.running(**{call: "fail 1 0 internal error: broken"})
                err = self.kept("8M")
                self.assertIn(text, err)
                self.assertIn("internal error: broken", err)

    def hang(self, how, *words):
        """The error of a growth that hangs in BlockResize. On a busy machine a question before it
        may not be answered in time; it is repeated then."""
        self.running(**{how: "hang"})
        errors = []

        def reached():
            errors.append(self.refused("vol-resize", "v", *words, "--pool", "p"))
            return "virDomainBlockResize" in self.fake.calls()
        self.wait_until(reached, "a call of virDomainBlockResize")
        return errors[-1]

    def test_growth_that_hangs_is_finished_by_the_command_of_the_error(self):
        for how in ("virDomainBlockResize", "after virDomainBlockResize"):
            for word, wanted in (("+4M", 4 * MIB), ("+1", 512)):
                with self.subTest(how=how, word=word):
                    wanted += self.size()
                    err = self.hang(how, word)
                    command = f"vol-resize 'v' {wanted}B --pool 'p'"
                    self.assertIn("it is not known whether the disk of the domain has grown; run "
                                  f"{command}: ", err)
                    self.restart()
                    self.running()
                    self.done(*shlex.split(command))
                    self.assertEqual(wanted, self.size())

    def test_present_size_is_sent_to_a_smaller_disk_only(self):
        self.running()
        self.resize("4M")
        self.assertEqual([], self.resizes())
        self.running("capacity = 1048576")
        self.resize("4M")
        self.assertEqual([("vda", str(4 * MIB), "0x1")], self.resizes())
        self.running("capacity = 1048576", "job = yes")
        self.resize("4M")
        self.assertEqual([], self.resizes())

    def test_read_only_connection_cannot_grow(self):
        self.running()
        status, _, err = self.cistern("--readonly", "vol-resize", "v", "8M", "--pool", "p")
        self.assertNotEqual(0, status)
        self.assertIn("read only", err)
        self.assertEqual([], self.fake.calls())

    def test_domain_that_is_off_leaves_the_growth_to_this_program(self):
        self.running(state="off")
        self.resize("8M")
        self.assertEqual(8 * MIB, self.size())
        self.assertEqual([], self.resizes())


class EmbeddedGrow(WithoutDaemon, Grow):
    """Without a daemon."""
