# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains of a stock libvirtd that use volumes of cisternd. The guests are QEMU under TCG without a
system: their disks are open, and that is enough here."""

import json
import os
import re
import unittest

from attached_test import attached, can_attach, tool
from harness import cases, modular, peers, space

MIB = 1024 * 1024

DOMAIN = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='{kind}' device='disk'><driver name='qemu' type='{form}'/><source {source}='{path}'/>
<target dev='vda' bus='virtio'/></disk>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<memballoon model='none'/></devices></domain>"""


@cases.long("domains_test has the same answers of libvirt from a fake")
class RealDomains(cases.Patient):
    @classmethod
    def setUpClass(cls):
        if not peers.Libvirtd.available() or not os.path.exists("/usr/bin/qemu-system-x86_64"):
            raise unittest.SkipTest("needs libvirtd, QEMU and a mount namespace of its own")
        cls.libvirt = peers.Libvirtd()
        cls.addClassCleanup(cls.libvirt.stop)
        cls.libvirt.wipe()
        conf = os.path.join(cls.libvirt.root, "etc/libvirt/qemu.conf")
        os.makedirs(os.path.dirname(conf), exist_ok=True)
        with open(conf, "w", encoding="ascii") as out:
            out.write(modular.QEMU_CONF)
        cls.uri = f"qemu+unix:///system?socket={cls.libvirt.sock}"
        cls.peer = peers.Cisternd(config=f"[service]\nhypervisor = {cls.uri}\n")
        cls.addClassCleanup(cls.peer.stop)
        cls.peer.fresh()
        cls.libvirt.start()

    def setUp(self):
        self.addCleanup(self.clear)
        self.path = os.path.join(self.peer.dir, "p", "v")
        os.makedirs(os.path.dirname(self.path))
        self.done("pool-define-as", "p", "dir", "--target", os.path.dirname(self.path))
        self.done("pool-start", "p")
        self.done("vol-create-as", "p", "v", "8M", "--format", "qcow2")

    def clear(self):
        peers.run(["virsh", "-c", self.uri, "destroy", "web1"])
        peers.run(["virsh", "-c", self.uri, "undefine", "web1", "--managed-save"])
        self.cistern("pool-destroy", "p")
        self.cistern("pool-undefine", "p")
        peers.empty(self.peer.dir)
        peers.empty(self.peer.files)

    def cistern(self, *words):
        return peers.run([space.CISTERN, "-c", self.peer.uri, *words])

    def done(self, *words):
        status, out, err = self.cistern(*words)
        self.assertEqual((0, ""), (status, err), " ".join(words))
        return out

    def domain(self, *words):
        status, out, err = peers.run(["virsh", "-c", self.uri, *words])
        self.assertEqual(0, status, f"virsh {' '.join(words)}: {err}\n{self.libvirt.log()[-2000:]}")
        return out

    def start(self, path, form="qcow2", kind="file", source="file"):
        xml = os.path.join(self.peer.files, "web1.xml")
        with open(xml, "w", encoding="utf-8") as out:
            out.write(DOMAIN.format(name="web1", path=path, form=form, kind=kind,
                                    source=source))
        self.domain("define", xml)
        self.domain("start", "web1")

    def row(self, volume):
        """The row of the domain in vol-holders: access, state, target, agent."""
        rows = [line.split("\t") for line in
                self.done("vol-holders", volume, "--pool", "p", "-H").splitlines()]
        found = [row for row in rows if row[3:4] == ["web1"]]
        self.assertEqual(1, len(found), rows)
        return found[0][1], *found[0][4:]

    def test_domain_is_found_through_a_link_in_each_state(self):
        link = os.path.join(self.peer.files, "link")
        os.symlink(self.path, link)
        self.start(link)
        self.assertEqual(("may write", "running", "vda", "disconnected"), self.row("v"))
        status, _, err = self.cistern("vol-wipe", "v", "--pool", "p")
        self.assertNotEqual(0, status)
        self.assertIn("domain 'web1' (running, guest agent: disconnected) has it as disk 'vda'", err)
        self.domain("suspend", "web1")
        self.assertEqual("paused", self.row("v")[1])
        self.domain("destroy", "web1")
        self.assertEqual("", self.done("vol-holders", "v", "--pool", "p", "-H"))
        self.done("vol-wipe", "v", "--pool", "p")

    def test_base_of_a_disk_is_found_below_it(self):
        self.done("vol-create-as", "p", "top", "8M", "--format", "qcow2", "--backing-vol", "v",
                  "--backing-vol-format", "qcow2")
        self.start(os.path.join(self.peer.dir, "p", "top"))
        self.assertEqual(("reads", "running", "vda", "disconnected"), self.row("v"))
        self.assertEqual("may write", self.row("top")[0])

    def test_managed_save_forbids_changes_until_it_is_removed(self):
        self.done("snap-create", "v", "s", "--pool", "p")
        self.start(self.path)
        self.domain("managedsave", "web1")
        self.assertEqual(("may write", "saved", "vda", "-"), self.row("v"))
        with open(self.path, "rb") as volume:
            before = volume.read()
        for command in ("vol-wipe v", "snap-revert v s --yes", "vol-resize v 16M", "vol-delete v"):
            with self.subTest(command=command):
                status, _, err = self.cistern(*command.split(), "--pool", "p")
                self.assertNotEqual(0, status)
                self.assertIn("domain 'web1' has a managed save", err)
        with open(self.path, "rb") as volume:
            self.assertEqual(before, volume.read())
        self.domain("managedsave-remove", "web1")
        self.done("snap-revert", "v", "s", "--yes", "--pool", "p")

    def guest_size(self):
        """Bytes of the disk that QEMU gives the guest."""
        answer = self.domain("qemu-monitor-command", "web1", '{"execute": "query-block"}')
        sizes = [row["inserted"]["image"]["virtual-size"] for row in json.loads(answer)["return"]
                 if row.get("qdev", "").endswith("/virtio-backend")]
        self.assertEqual(1, len(sizes), answer)
        return sizes[0]

    def holder(self):
        """The process that has the volume open."""
        rows = [line.split("\t")[0] for line in
                self.done("vol-holders", "v", "--pool", "p", "-H").splitlines()]
        return [row for row in rows if row.startswith("process ")]

    def capacity(self):
        info = self.done("--json", "vol-info", "v", "--pool", "p")
        return int(re.search(r'"capacity":\s*(\d+)', info).group(1))

    def test_disk_of_a_running_domain_grows_with_its_volume(self):
        for form in ("qcow2", "raw"):
            with self.subTest(format=form):
                self.done("vol-delete", "v", "--pool", "p")
                self.done("vol-create-as", "p", "v", "8M", "--format", form)
                self.start(self.path, form)
                process = self.holder()
                self.assertEqual(1, len(process))
                self.done("vol-resize", "v", "16M", "--pool", "p")
                self.assertEqual((16 * MIB, 16 * MIB), (self.guest_size(), self.capacity()))
                self.domain("suspend", "web1")
                self.done("vol-resize", "v", "+4M", "--pool", "p")
                self.assertEqual((20 * MIB, 20 * MIB), (self.guest_size(), self.capacity()))
                status, _, err = self.cistern("vol-resize", "v", "10M", "--pool", "p", "--shrink",
                                              "--yes")
                self.assertNotEqual(0, status)
                self.assertIn("domain 'web1' (paused, guest agent: disconnected) has it", err)
                self.assertEqual((20 * MIB, 20 * MIB), (self.guest_size(), self.capacity()))
                self.assertEqual(process, self.holder())
                self.domain("destroy", "web1")
                self.domain("undefine", "web1")
                if form == "qcow2":
                    self.done("vol-check", "v", "--pool", "p")

    @unittest.skipUnless(can_attach(), "needs loop devices")
    def test_partition_grows_before_the_disk_of_its_domain(self):
        backing = os.path.join(self.peer.files, "backing")
        with open(backing, "wb") as out:
            out.truncate(64 * MIB)
        with attached(backing, "--partscan") as loop:
            name = os.path.basename(loop) + "p1"
            self.done("pool-define-as", "d", "disk", "--source-dev", loop, "--target", "/dev",
                      "--source-format", "gpt")
            self.addCleanup(self.cistern, "pool-undefine", "d")
            self.done("pool-build", "d")
            self.done("pool-start", "d")
            try:
                self.done("vol-create-as", "d", name, "8M")
                self.grow_partition(loop, name)
            finally:
                self.domain("destroy", "web1")
                self.done("pool-destroy", "d")

    def grow_partition(self, loop, name):
        self.start(f"/dev/{name}", "raw", kind="block", source="dev")
        self.done("vol-resize", name, "16M", "--pool", "d")
        self.assertEqual(16 * MIB, self.guest_size())
        self.done("vol-resize", name, "16M", "--pool", "d")
        # As after a kill of cisternd between the growth of the partition and that of the disk.
        tool("parted", "--script", loop, "resizepart", "1", f"{25 * MIB - 1}B")
        tool("partx", "--update", loop)
        self.done("pool-refresh", "d")
        self.assertEqual(16 * MIB, self.guest_size())
        self.done("vol-resize", name, "24M", "--pool", "d")
        self.assertEqual(24 * MIB, self.guest_size())

    def test_disk_with_a_block_job_does_not_grow(self):
        self.start(self.path)
        copy = os.path.join(self.peer.files, "copy")
        self.domain("blockcopy", "web1", "vda", copy, "--transient-job")
        status, _, err = self.cistern("vol-resize", "v", "16M", "--pool", "p")
        self.assertNotEqual(0, status)
        self.assertIn("virsh blockjob 'web1' 'vda' --abort", err)
        self.assertEqual(8 * MIB, self.guest_size())
        self.domain("blockjob", "web1", "vda", "--abort")
        self.done("vol-resize", "v", "16M", "--pool", "p")
        self.assertEqual(16 * MIB, self.guest_size())

    def test_stopped_libvirtd_has_no_domains(self):
        self.libvirt.stop()
        try:
            self.assertEqual("", self.done("vol-holders", "v", "--pool", "p", "-H"))
            self.done("vol-wipe", "v", "--pool", "p")
        finally:
            self.libvirt.start()
