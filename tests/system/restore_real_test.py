# SPDX-License-Identifier: LGPL-2.1-or-later
"""backup-restore --machine --define with a stock libvirtd. The guest is that of running_real_test."""

import os
import re
import subprocess
from xml.etree import ElementTree

import running_real_test as running
from harness import cases, peers, space, wait


@cases.long("restore_machine_test has the same commands with a fake libvirt")
class RestoreRealMachine(running.Guest):
    def setUp(self):
        super().setUp()
        self.repository = os.path.join(self.peer.files, "repository")
        self.done("backup-init", self.repository, "--no-encryption")

    def clear(self):
        peers.run(["virsh", "-c", self.uri, "destroy", "web2"])
        peers.run(["virsh", "-c", self.uri, "undefine", "web2"])
        super().clear()

    def restore(self, *words):
        """The setting of this root names the connection to libvirt."""
        return peers.run([space.CISTERN, "--root", self.peer.root, "backup-restore",
                          self.repository, "latest", "--machine", "web1", *words])

    def raw_volume(self, name):
        copy = os.path.join(self.peer.files, f"copy-{name}")
        subprocess.run(["qemu-img", "convert", "-f", self.FORMAT, "-O", "raw",
                        os.path.join(self.pool, f"web2-vd{name}"), copy], check=True)
        return copy

    def test_restored_domain_boots_with_the_content_of_the_backup(self):
        self.boot()
        before = self.newest_block()
        self.done("backup-create", self.repository, "--machine", "web1")
        status, _, err = self.restore("--define")
        self.assertNotEqual(0, status)
        self.assertRegex(err, "has vol 'a' already")
        status, _, err = self.restore("--newname", "web1", "--define")
        self.assertNotEqual(0, status)
        self.assertRegex(err, "has domain 'web1' already")

        status, out, err = self.restore("--newname", "web2", "--define")
        self.assertEqual(0, status, err)
        self.assertEqual([f"Vol web2-vd{name} restored in pool p" for name in "abc"],
                         err.splitlines())
        self.assertIn("Domain web2 defined", out)
        found = self.check_block_files("restored", [self.raw_volume(name) for name in "ab"])
        self.assertGreaterEqual(found, before)
        self.check_file_system("restored", self.raw_volume("c"), clean=True)

        self.assert_new_identity()
        self.domain("destroy", "web1")
        with open(self.log, "w", encoding="ascii"):
            pass
        self.domain("start", "web2")
        wait.until(lambda: self.newest_block() > 0 and "WRITER file" in self.console(),
                   "the restored guest writes to its disks", seen=self.console)
        self.assertNotIn("WRITER ERROR", self.console())
        self.assertEqual("running", self.domain("domstate", "web2").strip())
        self.assertIn(os.path.join(self.pool, "web2-vda"), self.domain("domblklist", "web2"))
        wait.until(lambda: re.search("guest_agent.0' state='connected'",
                                     self.domain("dumpxml", "web2")), "the agent is connected")

    def assert_new_identity(self):
        """The old domain is unchanged, and the new one has a UUID of its own."""
        old, new = (ElementTree.fromstring(self.domain("dumpxml", "--inactive", name))
                    for name in ("web1", "web2"))
        self.assertNotEqual(old.find("uuid").text, new.find("uuid").text)
        self.assertEqual({os.path.join(self.pool, name) for name in "abc"},
                         {source.get("file") for source in old.iterfind("devices/disk/source")})
        self.assertEqual({os.path.join(self.pool, f"web2-vd{name}") for name in "abc"},
                         {source.get("file") for source in new.iterfind("devices/disk/source")})
