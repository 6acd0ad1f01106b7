# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands that change a volume are refused while a running domain has it, and the message names the
domain, the disk and the next step. The domains are those of a fake libvirt."""

import json
import os
import subprocess

from domains_test import FakeDomains, WithoutDaemon, edit_live
from held_test import qemu_system

MIB = 1024 * 1024
BUSY, INVALID = 5, 2  # exit statuses
DRIVER = "<driver type='qcow2'/>"

# Commands that are refused while a running domain has volume "v" as its disk. "v" is an overlay of
# "base" and has the snapshot "s" inside of its image. {data} is a file.
REFUSED = {
    "snap-revert": "snap-revert v s --yes",
    "vol-bitmap": "vol-bitmap v b --add",
    "vol-check": "vol-check v --repair all",
    "vol-copy": "vol-copy source --to {uri} --newpool p --name v --update --yes",
    "vol-delete": "vol-delete v --delete-snapshots",
    "vol-rebase": "vol-rebase v --backing-vol other --backing-vol-format qcow2 --unsafe",
    "vol-rename": "vol-rename v new",
    "vol-resize": "vol-resize v 1M --shrink --yes",
    "vol-serve": "vol-serve v --socket {socket}",
    "vol-sparsify": "vol-sparsify v",
    "vol-upload": "vol-upload v {data}",
    "vol-wipe": "vol-wipe v",
    "snap-delete": "snap-delete v s --yes",
}
# The same for its backing file.
REFUSED_BELOW = ("vol-check base --repair all", "vol-wipe base", "vol-upload base {data}",
                 "vol-delete base", "vol-rename base new", "vol-sparsify base",
                 "vol-bitmap base b --add", "vol-serve base --socket {socket}",
                 "vol-resize base 1M --shrink --yes")
# Commands that libvirt executes for a running domain. They are refused because of its jobs and its
# disks.
JOBS = {
    "vol-commit": "vol-commit v --yes",
    "vol-flatten": "vol-flatten v",
    "vol-move": "vol-move v --newpool q",
}
# Needs a third layer, and a volume without snapshots.
CHAIN_JOBS = {"vol-consolidate": "vol-consolidate v"}
# Further ones, each with its own next step.
COPIES = {
    "snap-create v new": "stop the writer first",
    "vol-clone v new": "--force-share",
    "vol-export v {socket}": "--force-share",
    "backup-create {repository} p/v": "--machine",
}
# The state, a line of the domain, XML of the disk, and the next step.
UNFIT = (("running", "job = yes", "", "virsh domjobabort 'web1'"),
         ("running", "block-job = vda", "", "virsh blockjob 'web1' 'vda' --abort"),
         ("running", "", "<shareable/>", "virsh shutdown 'web1'"),
         ("ioerror", "", "", "virsh domblkerror 'web1'"))
# Commands that work while a domain runs, or that change no content of an existing volume.
PERMITTED = {
    "snap-clone", "snap-create", "snap-rename", "trash-empty", "trash-restore", "vol-clone",
    "vol-convert", "vol-create", "vol-create-as", "vol-create-from", "vol-export", "vol-import",
    "vol-download", "vol-note", "vol-protect", "vol-tag", "vol-trust", "vol-unprotect",
}


class Refused(FakeDomains):
    """With a daemon."""

    def setUp(self):
        super().setUp()
        self.done("vol-delete", "v", "--pool", "p")
        for name, below in (("base", None), ("other", None), ("source", None), ("v", "base")):
            backing = ("--backing-vol", self.at("p", below),
                       "--backing-vol-format", "qcow2") if below else ()
            self.done("vol-create-as", "p", name, "4M", "--format", "qcow2", *backing)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", self.at("p", "source")],
                       check=True, stdout=subprocess.DEVNULL)
        self.done("snap-create", "v", "s", "--pool", "p")
        os.makedirs(self.at("q"))
        self.done("pool-create-as", "q", "dir", "--target", self.at("q"))
        self.words = {"data": self.file("data", b"x" * 4096), "uri": self.peer.uri,
                      "socket": self.at("socket"), "repository": self.at("repository")}
        self.done("backup-init", self.at("repository"), "--no-encryption")

    def domain(self, *lines, state="running", more=""):
        """Domain web1 with disk vda. @more is XML in the disk."""
        live = os.path.join(self.fake.dir, "live")
        edit_live(live, lambda _: f"[live]\nstate={state}\nid=7\n")
        self.fake.set("\n".join([self.fake.domain(self.path, state=state, more=DRIVER + more),
                                 f"live = {live}", f"capacity = {4 * MIB}", *lines]))

    def pools(self):
        """The content of all volumes."""
        found = {}
        for pool in ("p", "q"):
            for name in self.entries(pool):
                if os.path.isfile(self.at(pool, name)):
                    with open(self.at(pool, name), "rb") as stream:
                        found[pool, name] = stream.read()
        return found

    def check(self, command, *texts, status=BUSY):
        before = self.pools()
        words = command.format(**self.words).split()
        got, _, err = self.cistern(*words, "--pool", "p")
        with self.subTest(command=command):
            self.assertEqual(status, got, err)
            for text in texts:
                self.assertIn(text, err)
            self.assertEqual(before, self.pools())

    def test_table_has_each_command_that_changes_volumes(self):
        _, out, _ = self.cistern("--json", "help")
        changing = {command["name"] for group in json.loads(out)["groups"]
                    for command in group["commands"] if command.get("mutates")}
        self.assertEqual({name for name in changing if name.split("-")[0] in
                          ("vol", "snap", "trash")},
                         (set(REFUSED) | set(JOBS) | set(CHAIN_JOBS) | PERMITTED) & changing)

    def test_volume_of_a_running_domain_is_refused(self):
        for state, way in (("running", "virsh shutdown 'web1'"), ("paused", "virsh destroy 'web1'"),
                           ("saved", "virsh managedsave-remove 'web1'")):
            self.fake.set(self.fake.domain(self.path, state=state))
            for command in REFUSED.values():
                self.check(command, "domain 'web1'", "disk 'vda'", way)

    def test_process_of_a_running_domain_is_named(self):
        self.fake.set(self.fake.domain(self.path))
        with qemu_system(self.path, "qcow2") as pid:
            for command in REFUSED.values():
                self.check(command, f"process {pid}", "domain 'web1'", "disk 'vda'",
                           "virsh shutdown 'web1'")

    def test_backing_file_of_a_running_domain_is_refused(self):
        layers = f"<backingStore><source file='{self.at('p', 'base')}'/></backingStore>"
        group = self.fake.domain(self.path, more=layers)
        self.fake.set(group.replace("blocks = ", f"blocks = vda[2]:{self.at('p', 'base')};"))
        for command in REFUSED_BELOW:
            self.check(command, "domain 'web1'", "disk 'vda'", "virsh shutdown 'web1'")

    def test_unfit_domain_or_disk_is_refused(self):
        self.done("snap-delete", "v", "s", "--pool", "p", "--yes")
        with qemu_system(self.path, "qcow2"):
            for state, line, more, way in UNFIT:
                self.domain(line, state=state, more=more)
                for command in (*JOBS.values(), "vol-resize v 8M"):
                    self.check(command, "'web1'", "'vda'", way)
                for command, own in COPIES.items():
                    self.check(command, "'web1'", "'vda'", own)

    def test_consolidation_of_an_unfit_disk_is_refused(self):
        self.done("snap-delete", "v", "s", "--pool", "p", "--yes")
        self.done("vol-rebase", "base", "--pool", "p", "--backing-vol", self.at("p", "other"),
                  "--backing-vol-format", "qcow2")
        for state, line, more, way in UNFIT:
            self.domain(line, state=state, more=more)
            self.check(CHAIN_JOBS["vol-consolidate"], "'web1'", "'vda'", way)

    def test_move_of_a_transient_domain_is_refused_without_yes(self):
        self.domain("transient = yes")
        self.check(JOBS["vol-move"], "'web1'", "'vda'", "snap-delete")
        self.fake.set()
        self.done("snap-delete", "v", "s", "--pool", "p", "--yes")
        self.domain("transient = yes")
        self.check(JOBS["vol-move"], "'web1'", "--yes", status=INVALID)


class RefusedEmbedded(WithoutDaemon, Refused):
    """Without a daemon."""
