# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether another host has the same disk: two daemons over one directory, and over two."""

import json
import os
import subprocess

from harness import peers
from harness.cases import WithTwoDaemons


class Migrating(WithTwoDaemons):
    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "disk", "8M", "--format", "qcow2")
        self.make_pool_there(self.at("p"))

    def check(self, *words, code=0):
        status, out, err = self.cistern("migrate-check", *words, "--to", self.far.uri, "--json")
        self.assertEqual(code, status, err)
        return {row["check"]: row["result"] for row in json.loads(out)["checks"]}

    def failed(self, *words):
        return {name for name, result in self.check(*words, code=7).items() if result != "ok"}

    def test_one_directory(self):
        for words in ((), ("--full",)):
            found = self.check("disk", *words)
            self.assertEqual({"ok"}, set(found.values()))
            self.assertLessEqual({"path", "pool type", "capacity", "format", "mode", "open there"},
                                 set(found))
        # As it is while a machine runs on it here, which both sides see.
        machine = subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("p", "disk")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(machine.communicate)
        self.wait_until(lambda: "qemu-io" in self.cistern("vol-holders", "disk")[1], "it is open")
        self.assertEqual({"open there"}, self.failed("disk"))

    def test_no_such_path(self):
        peers.virsh(self.far, "pool-destroy", "p")
        self.assertEqual({"path"}, self.failed("disk"))
        status, _, err = self.cistern("migrate-check", "disk", "--to", self.far.uri)
        self.assertEqual(7, status)
        self.assertIn("1 checks failed", err)

    def test_another_disk_of_the_same_path(self):
        """As two hosts see it whose directories are not shared: the far one in a mount namespace."""
        self.far.stop()
        other = os.path.join(self.far.files, "other")
        os.makedirs(other, exist_ok=True)
        peers.run(["qemu-img", "create", "-q", "-f", "qcow2", os.path.join(other, "disk"), "16M"])
        os.chmod(os.path.join(other, "disk"), 0o644)
        whole = self.far.prefix
        self.far.prefix = ["unshare", "-m", "sh", "-c",
                           f'mount --bind "{other}" "{self.at("p")}"; exec "$0" "$@"']
        self.addCleanup(setattr, self.far, "prefix", whole)
        self.addCleanup(self.far.stop)
        self.far.start()
        self.make_pool_there(self.at("p"))
        self.assertLessEqual({"capacity", "mode", "first bytes"}, self.failed("disk"))
        self.assertIn("content", self.failed("disk", "--full"))

    def test_what_it_is_based_on_is_missing(self):
        where = os.path.join(self.peer.files, "base")
        os.makedirs(where)
        self.ok("pool-create-as", "b", "dir", "--target", where)
        self.addCleanup(self.virsh, "pool-destroy", "b")
        self.ok("vol-create-as", "b", "base", "8M", "--format", "qcow2")
        self.ok("vol-create-as", "p", "top", "8M", "--format", "qcow2", "--backing-vol",
                os.path.join(where, "base"), "--backing-vol-format", "qcow2")
        self.assertIn("base there", self.failed("top"))

    def test_an_unreachable_host(self):
        status, _, err = self.cistern("migrate-check", "disk", "--to",
                                      "storage+unix:///system?socket=/nowhere")
        self.assertEqual(6, status, err)
