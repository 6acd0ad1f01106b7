# SPDX-License-Identifier: LGPL-2.1-or-later
"""A volume that others are based on: nothing changes what they read through it."""

import os

from harness import peers
from harness.cases import WithDaemon

MIB = 1 << 20

# Every command that changes what a volume reads as, once for each verb that the service has. The
# command acts on "base"; {data} is a file that differs from it.
CHANGES = (
    "vol-wipe base --pool p",
    "vol-upload base {data} --pool p",
    "vol-upload base {data} --pool p --offset 3145728",
    "vol-resize base 2M --pool p --shrink",
    "vol-resize base 1M --pool p --shrink --delta",
    "vol-delete base --pool p",
)
OWN_CHANGES = ("snap-revert base old --pool p --yes",
               "vol-commit side --pool p --yes")
# Commands that change the volume's file and not what is read through it.
KEEPS = ("vol-resize base 8M --pool p",
         "vol-check base --pool p --repair all",
         "vol-sparsify base --pool p",
         "snap-create base new --pool p",
         "snap-delete base new --pool p --yes")


class Shown(WithDaemon):
    def make(self, form):
        """base (4 MiB, qcow2 ones with a snapshot "old"), on it top and side."""
        self.ok("vol-create-as", "p", "base", "4M", "--format", form)
        self.io(form, "base", "write -P 7 0 4M")
        if form == "qcow2":
            self.done("snap-create", "base", "old", "--pool", "p")
        self.io(form, "base", "write -P 8 1M 2M")
        for name in ("top", "side"):
            self.ok("vol-create-as", "p", name, "4M", "--format", "qcow2", "--backing-vol", "base",
                    "--backing-vol-format", form)
        self.io("qcow2", "side", "write -P 9 0 64k")
        self.ok("pool-refresh", "p")

    def io(self, form, name, command):
        status, out, err = peers.run(["qemu-io", "-f", form, "-c", command, self.at("p", name)])
        self.assertEqual((0, False), (status, "failed" in out), out + err)

    def done(self, *words):
        status, _, err = self.cistern(*words)
        self.assertEqual(0, status, f"{' '.join(words)}: {err}")

    def content(self):
        with open(self.at("p", "base"), "rb") as stream:
            return stream.read()

    def reads_the_same(self):
        for command in ("read -P 7 0 1M", "read -P 8 1M 2M", "read -P 7 3M 1M"):
            self.io("qcow2", "top", command)

    def refused(self, what, status, err):
        self.assertNotEqual(0, status, f"{what} went through")
        self.assertIn("p/top", err, what)

    def test_nothing_changes_what_others_show(self):
        data = self.file("data", b"x" * MIB)
        for form in ("raw", "qcow2"):
            self.make(form)
            before = self.content()
            for command in CHANGES:
                words = command.format(data=data).split()
                with self.subTest(form=form, client="virsh", command=command):
                    status, _, err = self.virsh(*words)
                    self.refused(command, status, err)
            for command in CHANGES + OWN_CHANGES:
                words = command.format(data=data).split()
                with self.subTest(form=form, client="cistern", command=command):
                    status, _, err = self.cistern(*words)
                    if "snap-" in command and form == "raw":
                        continue
                    self.assertEqual(5, status, err)
                    if not command.startswith("vol-commit"):
                        self.refused(command, status, err)
            self.assertEqual(before, self.content())
            self.reads_the_same()
            for name in ("top", "side"):
                self.ok("vol-delete", name, "--pool", "p")
            self.ok("vol-delete", "base", "--pool", "p")

    def test_what_changes_the_file_alone_goes_on(self):
        self.make("qcow2")
        for command in KEEPS:
            self.done(*command.split())
        self.reads_the_same()

    def test_alone_again_it_can_be_changed(self):
        data = self.file("data", b"x" * MIB)
        self.make("raw")
        for name in ("top", "side"):
            self.done("vol-flatten", name, "--pool", "p")
        self.ok("vol-upload", "base", data, "--pool", "p")
        self.ok("vol-resize", "base", "1M", "--pool", "p", "--shrink")
        self.ok("vol-wipe", "base", "--pool", "p")
        self.reads_the_same()

    def test_an_overlay_in_another_pool_counts(self):
        os.makedirs(self.at("q"))
        self.ok("pool-define-as", "q", "dir", "--target", self.at("q"))
        self.ok("pool-start", "q")
        self.make("raw")
        for name in ("top", "side"):
            self.ok("vol-delete", name, "--pool", "p")
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
                   self.at("p", "base"), self.at("q", "far")])
        self.ok("pool-refresh", "q")
        data = self.file("data", b"x" * MIB)
        before = self.content()
        for words in (["vol-upload", "base", data], ["vol-resize", "base", "1M", "--shrink"]):
            self.assertIn("q/far", self.fails(*words, "--pool", "p"))
        self.assertEqual(before, self.content())
