# SPDX-License-Identifier: LGPL-2.1-or-later
"""backup-restore --machine with a fake libvirt (tests/libvirt/fake.c), with a daemon and without."""

import json
import os
import random
import subprocess
from xml.etree import ElementTree

from domains_test import FakeDomains, WithoutDaemon
from harness import peers, space

UUID = "c7a5fdbd-cdaf-9455-926a-d65c16db1809"

RANDOM = random.Random(1).randbytes(256 * 1024)

DOMAIN = """<domain type='kvm'><name>web</name><uuid>{uuid}</uuid><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
<source file='{web}'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='{data}'/><target dev='vdb' bus='virtio'/></disk>
<disk type='file' device='cdrom'><source file='/iso'/><target dev='sda'/><readonly/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='default'/></interface>
</devices></domain>"""


class RestoreMachine(FakeDomains):
    """Domain "web" with the disks "web.qcow2" and "data" of pool "p", in a backup."""

    def setUp(self):
        super().setUp()
        self.done("vol-create-as", "p", "web.qcow2", "4M", "--format", "qcow2")
        self.done("vol-create-as", "p", "data", "1M", "--format", "raw")
        self.random = self.file("random", RANDOM)
        self.qemu_io("qcow2", f"write -s {self.random} 0 {len(RANDOM)}", "web.qcow2")
        self.xml = os.path.join(self.fake.dir, "web.xml")
        self.defined = os.path.join(self.fake.dir, "defined")
        with open(self.xml, "w", encoding="utf-8") as out:
            out.write(DOMAIN.format(uuid=UUID, web=self.at("p", "web.qcow2"),
                                    data=self.at("p", "data")))
        self.group = f"[domain 1]\nname = web\nstate = off\nxml = {self.xml}"
        self.fake.set(self.group)
        self.repository = os.path.join(self.peer.files, "repository")
        self.done("backup-init", self.repository, "--no-encryption")
        self.done("backup-create", self.repository, "--machine", "web")
        self.fake.set(defined=self.defined)
        self.fake.calls()

    def root_command(self, *words):
        """A command with --root, which reads the setting of this root."""
        return peers.run([space.CISTERN, "--root", self.peer.root, *words], env=self.fake.env)

    def restore(self, *words, backup="latest", machine="web"):
        return self.root_command("backup-restore", self.repository, backup, "--machine", machine,
                                 *words)

    def restored(self, *words, **options):
        status, out, err = self.restore(*words, **options)
        self.assertEqual(0, status, err)
        return out, err

    def not_restored(self, text, *words, **options):
        """The command is refused with @text, and changes nothing. Returns its status."""
        before = self.volumes()
        status, out, err = self.restore(*words, **options)
        self.assertNotEqual(0, status, out)
        self.assertRegex(err, text)
        self.assertEqual(before, self.volumes())
        self.assertFalse(os.path.exists(self.defined))
        return status

    def volumes(self):
        rows = json.loads(self.done("vol-list", "p", "--json"))["volumes"]
        return {row["name"] for row in rows}

    def qemu_io(self, form, command, name):
        done = subprocess.run(["qemu-io", "-f", form, "-c", command, self.at("p", name)],
                              check=True, stdout=subprocess.PIPE, text=True)
        self.assertNotIn("verification failed", done.stdout)

    def disks(self, document):
        """{target: (type, path, driver)} of a definition."""
        root = ElementTree.fromstring(document)
        found = {}
        for disk in root.iter("disk"):
            source, driver = disk.find("source"), disk.find("driver")
            found[disk.find("target").get("dev")] = (
                disk.get("type"), source.get("file"), driver.get("type") if driver is not None
                else None)
        return found

    def start_pool(self, name):
        """A pool of files below the directory of the test."""
        self.done("pool-define-as", name, "dir", "--target", self.at(name))
        self.done("pool-build", name)
        self.done("pool-start", name)
        self.addCleanup(lambda: (self.cistern("pool-destroy", name),
                                 self.cistern("pool-undefine", name)))

    def defined_document(self):
        with open(self.defined, encoding="utf-8") as stream:
            return stream.read()

    # --- without --define ---

    def test_definition_of_a_new_domain_is_printed_with_its_new_volumes(self):
        out, err = self.restored("--newname", "web2")
        self.assertEqual({"v", "web.qcow2", "data", "web2-vda.qcow2", "web2-vdb"}, self.volumes())
        self.assertEqual({"vda": ("file", self.at("p", "web2-vda.qcow2"), "qcow2"),
                          "vdb": ("file", self.at("p", "web2-vdb"), "raw"),
                          "sda": ("file", "/iso", None)}, self.disks(out))
        root = ElementTree.fromstring(out)
        self.assertEqual("web2", root.find("name").text)
        self.assertEqual([None, None], [root.find("uuid"), root.find("devices/interface/mac")])
        self.assertIn("Vol web2-vda.qcow2 restored in pool p", err)
        self.assertIn("virsh define", err)
        raw = os.path.join(self.peer.files, "raw")
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw",
                        self.at("p", "web2-vda.qcow2"), raw], check=True)
        with open(raw, "rb") as stream:
            self.assertEqual(RANDOM, stream.read(len(RANDOM)))
        self.assertEqual([], self.fake.calls())

    def test_same_domain_in_another_pool_keeps_its_identity(self):
        self.start_pool("other")
        out, err = self.restored("--pool", "other", "--format", "raw", machine=UUID)
        self.assertNotIn("warning", err)
        self.assertEqual(("file", self.at("other", "web.qcow2"), "raw"), self.disks(out)["vda"])
        root = ElementTree.fromstring(out)
        self.assertEqual(("web", UUID, "52:54:00:00:00:01"),
                         (root.find("name").text, root.find("uuid").text,
                          root.find("devices/interface/mac").get("address")))

    def test_existing_domain_that_the_definition_would_replace_is_named(self):
        self.start_pool("other")
        self.fake.set(self.group)
        _, err = self.restored("--pool", "other")
        self.assertIn("virsh define would replace the definition of the existing domain 'web'", err)

    def test_json_has_the_volumes_and_the_definition(self):
        out, _ = self.restored("--newname", "web2", "--json")
        made = json.loads(out)
        self.assertEqual(("web2", False), (made["domain"], made["defined"]))
        self.assertEqual([("p", "web2-vda.qcow2", "vda", self.at("p", "web2-vda.qcow2"), True),
                          ("p", "web2-vdb", "vdb", self.at("p", "web2-vdb"), True)],
                         [(row["pool"], row["volume"], row["target"], row["path"], row["done"])
                          for row in made["volumes"]])
        self.assertEqual("web2-vda.qcow2",
                         os.path.basename(self.disks(made["definition"])["vda"][1]))

    # --- refusals before the first volume ---

    def test_existing_volume_is_refused_before_the_first_volume(self):
        self.done("vol-create-as", "p", "web2-vdb", "1M")
        self.not_restored("pool 'p' has vol 'web2-vdb' already.*--newname", "--newname", "web2")
        self.not_restored("pool 'p' has vol 'web.qcow2' already")

    def test_names_and_words_are_checked_first(self):
        self.not_restored("cannot be the name of a domain", "--newname", "p/web2")
        self.not_restored("has no domain 'db'|no backup.*domain 'db'", machine="db")
        self.not_restored("mutually exclusive", "--all")
        self.not_restored("mutually exclusive", "--newname", "web2", "--detach")
        self.not_restored("--pool|pool 'nowhere'|nowhere", "--pool", "nowhere")
        status, _, err = self.root_command("backup-restore", self.repository, "latest", "--vol",
                                           "p/data", "--newname", "d", "--define")
        self.assertNotEqual(0, status)
        self.assertIn("--define needs --machine", err)

    def test_format_that_the_pool_does_not_have_is_refused_before_the_first_volume(self):
        self.not_restored("Failed to restore vol web2-vda.qcow2", "--newname", "web2", "--format",
                          "nonsense")

    def test_disk_that_does_not_fit_is_refused_before_the_first_volume(self):
        """The first disk would fit."""
        with open(self.at("p", "data"), "r+b") as disk:
            disk.write(random.Random(2).randbytes(1 << 20))
        self.fake.set(self.group)
        self.done("backup-create", self.repository, "--machine", "web")
        small = self.at("small")
        os.mkdir(small)
        space.mount(small, "-t", "tmpfs", "-o", "size=900k", "none")
        self.addCleanup(space.umount, small)
        self.start_pool("small")
        self.not_restored("Failed to restore vol data in pool small", "--pool", "small")
        self.assertEqual([], os.listdir(small))

    def test_disks_that_fit_one_by_one_and_not_together_are_refused_before_the_first_volume(self):
        """So is --all of a backup, also if two pools share the file system."""
        with open(self.at("p", "data"), "r+b") as disk:
            disk.write(random.Random(2).randbytes(900 << 10))
        self.fake.set(self.group)
        self.done("backup-create", self.repository, "--machine", "web")
        small = self.at("small")
        os.mkdir(small)
        space.mount(small, "-t", "tmpfs", "-o", "size=1M", "none")
        self.addCleanup(space.umount, small)
        self.start_pool("small")
        self.not_restored("cannot restore 2 volumes to the file system of pool 'small'",
                          "--pool", "small")
        self.assertEqual([], os.listdir(small))
        status, _, err = self.root_command("backup-restore", self.repository, "latest", "--all",
                                           "--pool", "small")
        self.assertNotEqual(0, status)
        self.assertIn("cannot restore 2 volumes to the file system of pool 'small'", err)
        self.assertEqual([], os.listdir(small))
        # The volume that exists already needs no space.
        self.done("backup-restore", self.repository, "latest", "p/data", "--pool", "small")
        self.assertEqual(["data"], os.listdir(small))
        with open(os.path.join(small, "data"), "wb"):
            pass
        status, _, err = self.root_command("backup-restore", self.repository, "latest", "--all",
                                           "--pool", "small")
        self.assertNotIn("cannot restore 2 volumes", err)
        self.assertEqual(8, status, err)
        self.assertEqual(["data", "web.qcow2"], sorted(os.listdir(small)))

    def test_parts_that_a_backup_cannot_restore_are_named(self):
        with open(self.xml, encoding="utf-8") as stream:
            document = stream.read()
        with open(self.xml, "w", encoding="utf-8") as out:
            out.write(document.replace("</devices>", "<graphics type='vnc' listen='0.0.0.0'/></devices>"
                                       "<q:commandline xmlns:q='http://libvirt.org/schemas/domain/"
                                       "qemu/1.0'><q:arg value='-s'/></q:commandline>"))
        self.fake.set(self.group)
        self.done("backup-create", self.repository, "--machine", "web")
        _, err = self.restored("--newname", "web2")
        self.assertIn("warning: the display of the domain listens on '0.0.0.0'", err)
        self.assertIn("warning: the definition has <qemu:commandline>", err)

    def test_latest_is_the_newest_backup_with_the_machine(self):
        self.done("backup-create", self.repository, "p/v")
        out, _ = self.restored("--newname", "web2")
        self.assertIn("<name>web2</name>", out)
        newest = json.loads(self.done("backup-list", self.repository, "--json"))["backups"][-1]
        self.not_restored(f"backup '{newest['short_id']}' has no domain 'web'", "--newname", "web3",
                          backup=newest["id"])

    def test_two_disks_with_one_name_in_one_pool_are_refused(self):
        self.start_pool("other")
        self.done("vol-create-as", "other", "data", "1M", "--format", "raw")
        with open(self.xml, "w", encoding="utf-8") as out:
            out.write(DOMAIN.format(uuid=UUID, web=self.at("other", "data"),
                                    data=self.at("p", "data")))
        self.fake.set(self.group)
        self.done("backup-create", self.repository, "--machine", "web")
        self.start_pool("third")
        self.not_restored("disks 'vda' and 'vdb' would both be vol 'data' of pool 'third'",
                          "--pool", "third")
        self.restored("--pool", "third", "--newname", "web2")

    def test_dry_run_checks_and_makes_no_change(self):
        before = self.volumes()
        out, _ = self.restored("--newname", "web2", "--define", "--dry-run")
        self.assertRegex(out, "Would restore vol web2-vda.qcow2 in pool p as disk vda\n"
                              "Would restore vol web2-vdb in pool p as disk vdb\n"
                              "Would define domain web2")
        self.assertEqual(before, self.volumes())
        self.assertFalse(os.path.exists(self.defined))
        self.assertIn("virDomainLookupByName", self.fake.calls())
        self.not_restored("has vol 'web.qcow2' already", "--dry-run")

    # --- a volume that fails ---

    def damage(self):
        """Damages data of the larger disk, which a check of the space does not read."""
        packs = [os.path.join(folder, name) for folder, _, names in os.walk(self.repository)
                 for name in names if os.path.basename(folder) == "packs"]
        largest = max(packs, key=os.path.getsize)
        self.assertGreater(os.path.getsize(largest), len(RANDOM))
        with open(largest, "r+b") as pack:
            pack.seek(len(RANDOM) // 2)
            data = pack.read(64)
            pack.seek(len(RANDOM) // 2)
            pack.write(bytes(byte ^ 0xff for byte in data))

    def test_failed_volume_leaves_the_restored_ones_and_defines_no_domain(self):
        self.damage()
        status, out, err = self.restore("--newname", "web2", "--define")
        self.assertEqual(8, status, err)
        self.assertIn("Failed to restore vol web2-vda.qcow2", err)
        self.assertRegex(err, "1 of 2 vols failed; these vols are restored and stay, delete "
                              "them before the next attempt: p/web2-vdb")
        self.assertIn("Vol web2-vdb restored in pool p", err)
        self.assertEqual("", out)
        self.assertFalse(os.path.exists(self.defined))
        self.assertEqual({"v", "web.qcow2", "data", "web2-vdb"}, self.volumes())
        self.done("vol-delete", "web2-vdb", "--pool", "p", "--yes")
        status, out, _ = self.restore("--newname", "web2", "--json")
        self.assertEqual(8, status)
        self.assertEqual([False, True], [row["done"] for row in json.loads(out)["volumes"]])
        self.assertNotIn("definition", json.loads(out))

    # --- with --define ---

    def test_libvirt_gets_the_definition_of_the_new_domain(self):
        out, err = self.restored("--newname", "web2", "--define")
        self.assertIn("Vol web2-vda.qcow2 restored in pool p\nVol web2-vdb restored in pool p\n",
                      err)
        self.assertEqual("Domain web2 defined\n", out)
        self.assertEqual(("file", self.at("p", "web2-vda.qcow2"), "qcow2"),
                         self.disks(self.defined_document())["vda"])
        calls = self.fake.calls()
        self.assertEqual(2, calls.count("virConnectOpen"))
        self.assertIn("virDomainDefineXMLFlags", calls)
        self.assertTrue(self.defined_document().startswith("<domain type=\"kvm\">"))

    def test_json_of_a_defined_domain_is_one_document(self):
        out, _ = self.restored("--newname", "web2", "--define", "--json")
        made = json.loads(out)
        self.assertEqual(("web2", True, [True, True]),
                         (made["domain"], made["defined"],
                          [row["done"] for row in made["volumes"]]))
        self.assertEqual(self.defined_document(), made["definition"])

    def test_existing_domain_is_refused_before_the_first_volume(self):
        self.fake.set(self.group, defined=self.defined)
        self.done("vol-delete", "web.qcow2", "--pool", "p", "--yes", "--no-trash")
        self.done("vol-delete", "data", "--pool", "p", "--yes", "--no-trash")
        self.not_restored("has domain 'web' already(.|\n)*--newname(.|\n)*virsh undefine",
                          "--define")
        self.not_restored("has domain 'web' already", "--define", "--dry-run")
        self.fake.set(self.group.replace("= web\n", "= renamed\n"), defined=self.defined)
        self.not_restored("has domain 'renamed' already", "--define")
        self.restored("--define", "--newname", "web2")
        self.assertIn("<name>web2</name>", self.defined_document())

    def test_libvirt_that_fails_is_reported_before_the_first_volume(self):
        self.fake.set(virConnectOpen="fail 1 0 no polkit agent")
        self.not_restored("no polkit agent(.|\n)*leave out --define", "--newname", "web2",
                          "--define")

    def test_definition_that_libvirt_refuses_is_printed(self):
        self.fake.set(virDomainDefineXMLFlags="fail 1 0 XML error: broken")
        status, out, err = self.restore("--newname", "web2", "--define")
        self.assertNotEqual(0, status)
        self.assertIn("XML error: broken", err)
        self.assertIn("stay: p/web2-vda.qcow2, p/web2-vdb", err)
        self.assertEqual(self.at("p", "web2-vda.qcow2"), self.disks(out)["vda"][1])

    def test_host_without_libvirt_is_refused_before_the_first_volume(self):
        before = self.volumes()
        env = dict(self.fake.env)
        del env["FAKE_LIBVIRT"]
        words = ("latest", "--machine", "web", "--newname", "web2", "--define")
        status, _, err = peers.run([space.CISTERN, "--root", self.peer.root, "backup-restore",
                                    self.repository, *words], env=env.items())
        self.assertNotEqual(0, status)
        self.assertIn("libvirt does not run on this host", err)
        self.assertEqual(before, self.volumes())


class EmbeddedRestoreMachine(WithoutDaemon, RestoreMachine):
    """Without a daemon."""
