# SPDX-License-Identifier: LGPL-2.1-or-later
"""A volume that is being created, as others see it, and what is left when its creation ends early."""

import json
import os
import signal
import subprocess

import libvirt

from harness import space, wait
from harness.cases import WithDaemon

MIB = 1 << 20
SIZE = 24 * MIB


class Creating(WithDaemon):
    """A slow clone, and a stock client. A call that waits for the clone never ends (max_wait)."""

    CONFIG = "[limits]\nmax_wait = 86400\n"

    def setUp(self):
        super().setUp()
        with open(self.at("p", "source"), "wb") as out:
            out.write(os.urandom(SIZE))
        self.ok("pool-refresh", "p")
        self.conn = libvirt.open(self.peer.uri)
        self.addCleanup(self.close)
        self.pool = self.conn.storagePoolLookupByName("p")

    def close(self):
        try:
            self.conn.close()
        except libvirt.libvirtError:
            pass  # its daemon was killed

    def clone(self, rate="6M"):
        """Starts cloning to qcow2, which moves each byte; returns the process once it is seen."""
        xml = self.file("clone.xml", f"<volume><name>new</name><capacity>{SIZE}</capacity>"
                        "<target><format type='qcow2'/></target></volume>")
        child = subprocess.Popen([space.CISTERN, "-c", self.peer.uri, "vol-create-from", "p", xml,
                                  "source", "--inputpool", "p", "--rate-limit", rate],
                                 env=space.ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(child.communicate)
        self.addCleanup(child.kill)
        self.wait_until(lambda: "new" in self.pool.listVolumes(), "the clone is listed")
        return child

    def test_it_is_seen_and_grows(self):
        child = self.clone("4M")
        volume = self.pool.storageVolLookupByName("new")
        self.assertEqual(self.at("p", "new"), volume.path())
        self.assertEqual("new", self.conn.storageVolLookupByPath(volume.path()).name())
        self.assertEqual("new", self.conn.storageVolLookupByKey(volume.key()).name())
        self.assertEqual(2, self.pool.numOfVolumes())
        self.assertEqual(["new", "source"], sorted(v.name() for v in self.pool.listAllVolumes()))
        self.assertIn("<format type='qcow2'/>", volume.XMLDesc())
        seen = set()

        def grows():
            self.assertIsNone(child.poll(), f"the clone has ended; seen: {seen}")
            kind, capacity, allocation = volume.info()
            self.assertEqual((libvirt.VIR_STORAGE_VOL_FILE, SIZE), (kind, capacity))
            seen.add(allocation)
            return len(seen) > 4

        self.wait_until(grows, "five sizes of the clone", lambda: seen)
        jobs = json.loads(self.cistern("--json", "job-list")[1])["jobs"]
        self.assertEqual(0, self.cistern("job-rate", str(jobs[0]["id"]), "0")[0])
        self.assertEqual(0, child.wait(wait.LIMIT_S))
        self.assertEqual(2, self.pool.numOfVolumes())
        self.assertGreaterEqual(volume.info()[2], SIZE)

    def listed_allocation(self, name):
        out = self.cistern("--json", "vol-list", "p", "--details")[1]
        listed = json.loads(out)["volumes"]
        return next(v["allocation"] for v in listed if v["name"] == name)

    def test_a_refresh_leaves_it_and_details_show_it(self):
        child = self.clone()
        self.pool.refresh()
        self.assertEqual(["new", "source"], sorted(self.pool.listVolumes()))
        self.assertRegex(self.ok("vol-list", "p", "--details"), r"\bnew +\S+/new +file +24\.00 MiB")
        self.wait_until(lambda: 2 * MIB < self.listed_allocation("new") < SIZE,
                        "a part is allocated", lambda: self.listed_allocation("new"))
        self.assertIsNone(child.poll(), "the clone was too quick for this")
        child.kill()

    def test_nobody_can_use_it_yet(self):
        child = self.clone("64K")
        image = self.file("x", b"x")
        for words in (["vol-delete", "new"], ["vol-wipe", "new"], ["vol-resize", "new", "48M"],
                      ["vol-clone", "new", "other"], ["vol-download", "new", self.file("out")],
                      ["vol-upload", "new", image]):
            with self.subTest(words[0]):
                self.fails(*words, "--pool", "p", text=f"'clone' of process {child.pid}, user")
        with self.assertRaises(libvirt.libvirtError) as caught:
            self.pool.storageVolLookupByName("new").delete()
        self.assertEqual(libvirt.VIR_ERR_OPERATION_INVALID, caught.exception.get_error_code())
        self.assertIsNone(child.poll(), "the clone was too quick for this")

    def test_a_second_one_of_that_name_waits_for_it(self):
        child = self.clone("24M")
        self.fails("vol-create-as", "p", "new", "1M", text="exists already")
        self.assertEqual(0, child.wait(wait.LIMIT_S))

    def test_it_is_gone_when_the_creation_is_cancelled(self):
        child = self.clone()
        child.kill()
        self.wait_until(lambda: self.pool.listVolumes() == ["source"], "the clone is not listed")
        self.assertEqual(1, self.pool.numOfVolumes())
        self.fails("vol-info", "new", "--pool", "p")
        self.wait_until(lambda: self.entries("p") == ["source"], "the draft is removed")

    def test_it_is_gone_after_a_kill(self):
        self.clone()
        self.peer.stop(signal.SIGKILL)
        self.peer.start()
        self.assertEqual(["source"], self.ok("vol-list", "p").split()[3::2])
        self.assertEqual(["source"], self.entries("p"))
