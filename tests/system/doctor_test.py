# SPDX-License-Identifier: LGPL-2.1-or-later
"""doctor: each check finds the fault that a test makes, its repair works, and it is silent else."""

import json
import os
import re
import shutil
import subprocess
import unittest

from harness import peers, space
from harness.cases import WithDaemon

MIB = 1 << 20
SECRET = "dddddddd-0000-0000-0000-00000000000d"
NOBODY = 65534
CONFIG = f'user = "+{NOBODY}"\ngroup = "+{NOBODY}"\n'


class Doctor(WithDaemon):
    """Pool "p" with autostart, so that a test begins without findings. Has no tests itself."""

    def setUp(self):
        super().setUp()
        self.ok("pool-autostart", "p")
        self.addCleanup(self.remove_files_of_the_host)

    def remove_files_of_the_host(self):
        for name in ("sys", "etc/libvirt/qemu.conf"):
            path = os.path.join(self.peer.root, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)

    def done(self, *words):
        status, out, err = self.cistern(*words)
        self.assertEqual((0, ""), (status, err), words)
        return out

    def write(self, name, text):
        """A file of the host below the root of the daemon."""
        path = os.path.join(self.peer.root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as stream:
            stream.write(text)
        return path

    def findings(self, *words):
        status, out, err = self.cistern("doctor", *words, "--json")
        found = json.loads(out)["findings"]
        bad = [row for row in found if row["severity"] != "note" and not row["muted_until"]]
        self.assertEqual(7 if bad else 0, status, err)
        return found

    def ids(self, *words):
        return sorted({row["id"] for row in self.findings(*words)})

    def silent(self, check, *words):
        self.assertNotIn(check, self.ids(*words))

    def found(self, check, about=None, severity=None, words=()):
        """The only finding of the check, or the one about an object."""
        rows = [row for row in self.findings(*words)
                if row["id"] == check and about in (None, row["object"])]
        self.assertEqual(1, len(rows), (check, self.findings(*words)))
        if severity:
            self.assertEqual(severity, rows[0]["severity"], rows)
        self.assertEqual(f"docs/doctor.md#{check}", rows[0]["reference"])
        return rows[0]

    def repair(self, finding):
        """Runs the printed command in a shell, as a person does."""
        env = {**space.ENV, "CISTERN_URI": self.peer.uri,
               "PATH": f"{space.BUILD}:{space.ENV['PATH']}"}
        done = subprocess.run(["sh", "-c", finding["repair"]], env=env, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(0, done.returncode, (finding, done.stdout))

    def repaired(self, check, about=None, severity=None, words=()):
        """The check finds the fault, and its repair ends the finding."""
        finding = self.found(check, about, severity, words)
        self.repair(finding)
        self.assertNotIn((check, finding["object"]),
                         [(row["id"], row["object"]) for row in self.findings(*words)])

    def image(self, *words):
        self.assertEqual(0, peers.run(["qemu-img", *words])[0], words)

    def refresh(self, pool="p"):
        self.ok("pool-refresh", pool)

    def tmpfs_pool(self, size, *options):
        where = self.at("small")
        space.tmpfs(where, size)
        self.addCleanup(space.unmount, where)
        self.addCleanup(self.virsh, "pool-destroy small; pool-undefine small")
        self.done("pool-define-as", "small", "dir", "--target", where, *options)
        self.ok("pool-start small; pool-autostart small")
        return where


class Frame(Doctor):
    def test_host_without_faults_has_no_findings(self):
        self.write("etc/libvirt/qemu.conf", CONFIG)
        self.ok("vol-create-as p base 1M --format qcow2; vol-create-as p raw 1M; "
                "vol-create-as p top 1M --format qcow2 --backing-vol base "
                "--backing-vol-format qcow2")
        self.done("snap-create", "p/top", "s")
        self.done("schedule-create", "s", "--every", "daily", "--do", "snapshot", "p")
        self.addCleanup(self.cistern, "schedule-delete", "s", "--yes")
        self.assertEqual([], self.findings())
        self.assertEqual("Errors: 0, warnings: 0, notes: 0, muted: 0\n\n", self.done("doctor"))

    def test_text_has_severity_object_evidence_repair_and_reference(self):
        self.ok("pool-autostart", "p", "--disable")
        self.assertEqual("note: p: the pool is active, and will not be after a restart of the host\n"
                         "    repair: cistern pool-autostart p\n"
                         "    see docs/doctor.md#pool-not-autostarted\n"
                         "Errors: 0, warnings: 0, notes: 1, muted: 0\n\n", self.done("doctor"))

    def test_object_limits_the_findings(self):
        os.makedirs(self.at("q"))
        self.done("pool-define-as", "q", "dir", "--target", self.at("q"))
        self.ok("pool-start q; vol-create-as q v 1000B")
        self.assertEqual([], self.findings("p"))
        for words in ((), ("--all",), ("q",), ("q/v",), ("v", "--pool", "q"), (self.at("q", "v"),)):
            self.found("size-unaligned", "q/v", words=words)
        for words, text in ((("nosuch",), "nosuch"), (("q/nosuch",), "nosuch"),
                            (("/nosuch",), "/nosuch")):
            status, _out, err = self.cistern("doctor", *words)
            self.assertEqual(3, status, err)
            self.assertIn(text, err)

    def test_embedded_command_finds_the_same(self):
        self.peer.stop()
        self.addCleanup(self.peer.start)
        with open(self.at("p", "v"), "wb") as stream:
            stream.truncate(1000)
        status, out, _err = peers.run([space.CISTERN, "--root", self.peer.root, "doctor", "--json"])
        self.assertEqual(7, status)
        self.assertIn("size-unaligned", [row["id"] for row in json.loads(out)["findings"]])

    def test_names_in_repairs_are_quoted_for_the_shell(self):
        name = "a b$(touch x)'\""
        with open(self.at("p", name), "wb") as stream:
            stream.truncate(1000)
        self.refresh()
        self.repaired("size-unaligned", f"p/{name}")

    def test_names_that_look_like_options_are_names(self):
        os.makedirs(self.at("q"))
        self.done("pool-define-as", "--target", self.at("q"), "--", "-q", "dir")
        self.done("pool-start", "--", "-q")
        self.addCleanup(self.cistern, "pool-undefine", "--", "-q")
        self.addCleanup(self.cistern, "pool-destroy", "--", "-q")
        self.repaired("pool-not-autostarted", "-q")
        self.ok("vol-create-as p v 1M --format qcow2")
        self.assertEqual(0, peers.run(["faketime", "2020-01-01 00:00:00", "qemu-img", "snapshot",
                                       "-c", "--children", self.at("p", "v")])[0])
        self.refresh()
        finding = self.found("snapshot-old", "p/v")
        self.assertEqual("cistern snap-delete --yes -- p/v --children", finding["repair"])
        self.repair(finding)
        self.silent("snapshot-old")

    def test_all_volumes_of_many_pages_are_checked(self):
        for number in range(5000):
            with open(self.at("p", f"v{number:04}"), "wb") as stream:
                stream.truncate(1000 if number in (0, 2047, 2048, 4999) else 1024)
        self.refresh()
        self.assertEqual(["p/v0000", "p/v2047", "p/v2048", "p/v4999"],
                         [row["object"] for row in self.findings()
                          if row["id"] == "size-unaligned"])


class Mutes(Doctor):
    def setUp(self):
        super().setUp()
        for mute in json.loads(self.done("doctor", "--mutes", "--json"))["mutes"]:
            self.done("doctor", "--unmute",
                      mute["id"] + (f":{mute['object']}" if mute["object"] else ""))
        for name in ("a", "b"):
            with open(self.at("p", name), "wb") as stream:
                stream.truncate(1000)
        self.refresh()

    def muted(self):
        return [row["object"] for row in self.findings() if row["muted_until"]]

    def test_mute_hides_a_check_or_one_object_of_it(self):
        self.done("doctor", "--mute", "size-unaligned:p/a", "--until", "1d")
        self.assertEqual(["p/a"], self.muted())
        self.done("doctor", "--mute", "size-unaligned", "--until", "1h")
        self.assertEqual(["p/a", "p/b"], self.muted())
        self.assertEqual("Errors: 0, warnings: 0, notes: 0, muted: 2\n\n", self.done("doctor"))
        self.done("doctor", "--unmute", "size-unaligned")
        self.assertEqual(["p/a"], self.muted())
        self.done("doctor", "--unmute", "size-unaligned:p/a")
        self.assertEqual([], self.muted())
        self.assertEqual(3, self.cistern("doctor", "--unmute", "size-unaligned:p/a")[0])

    def test_end_of_a_mute_may_be_a_time(self):
        self.done("doctor", "--mute", "size-unaligned", "--until", "2035-01-01T12:00:00Z")
        (row,) = json.loads(self.done("doctor", "--mutes", "--json"))["mutes"]
        self.assertEqual({"id": "size-unaligned", "object": None, "severity": "warning",
                          "until": "2035-01-01T12:00:00Z"}, row)

    def test_mute_ends_at_its_time(self):
        self.done("doctor", "--mute", "size-unaligned", "--until", "1s")
        self.wait_until(lambda: self.muted() == [], "the mute has ended")

    def test_mute_survives_a_restart_and_a_dry_run_makes_no_mute(self):
        self.done("doctor", "--mute", "size-unaligned", "--until", "1d", "--dry-run")
        self.assertEqual([], self.muted())
        self.done("doctor", "--mute", "size-unaligned", "--until", "1d")
        self.peer.process.kill()
        self.peer.process.wait()
        self.peer.start()
        self.assertEqual(["p/a", "p/b"], self.muted())

    @unittest.skipUnless(space.private_mounts(), "needs root")
    def test_finding_that_gets_worse_is_shown_again(self):
        where = self.tmpfs_pool("10M")
        self.ok("vol-create-as small fill 9300k --format raw --allocation 9300k")
        self.found("pool-nearly-full", "small", "warning")
        self.done("doctor", "--mute", "pool-nearly-full:small", "--until", "1d")
        self.assertIn("small", self.muted())
        with open(os.path.join(where, "more"), "wb") as stream:
            stream.write(b"x" * (900 << 10))
        self.refresh("small")
        self.assertIsNone(self.found("pool-nearly-full", "small", "error")["muted_until"])

    def test_mistakes_are_usage_errors(self):
        for words, text in ((("--mute", "nosuch", "--until", "1d"), "'nosuch'"),
                            (("--mute", "chain-loop"), "--until"),
                            (("--mute", "chain-loop", "--until", "soon"), "--until"),
                            (("--mute", "chain-loop", "--until", "0d"), "--until"),
                            (("--mute", "chain-loop", "--until", "2020-01-01"), "--until"),
                            (("--mute", "chain-loop", "--until", "2999-01-01"), "--until"),
                            (("--until", "1d"), "--until"), (("p", "--all"), "--all"),
                            (("p", "--mutes"), "ID:OBJECT"),
                            (("--mute", "chain-loop", "--unmute", "chain-loop"), "--unmute")):
            status, _out, err = self.cistern("doctor", *words)
            self.assertEqual(2, status, (words, err))
            self.assertIn(text, err)


@unittest.skipUnless(space.IS_ROOT, "needs root, and a user who is not")
class Access(Doctor):
    """The rights of QEMU's user, which is 65534 here."""

    def setUp(self):
        super().setUp()
        self.configure(dynamic=False)
        self.ok("vol-create-as p v 1M")
        os.chmod(self.at("p", "v"), 0o666)

    def configure(self, dynamic):
        self.write("etc/libvirt/qemu.conf", CONFIG + f"dynamic_ownership = {int(dynamic)}\n")

    def as_qemu(self, how, path):
        """Whether QEMU's user can open the path: the kernel's answer."""
        code = f"open({path!r}, {how!r})"
        done = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY),
                               "--clear-groups", "/usr/bin/python3", "-c", code], cwd="/",
                              check=False, stderr=subprocess.DEVNULL)
        return done.returncode == 0

    def test_directory_that_the_user_cannot_search(self):
        self.assertEqual([], self.findings())
        os.chmod(self.at("p"), 0o700)
        self.assertFalse(self.as_qemu("rb", self.at("p", "v")))
        for words in ((), ("p/v",), (self.at("p", "v"),)):
            self.found("path-not-searchable", self.at("p"), "error", words)
        self.repaired("path-not-searchable", self.at("p"))
        self.assertTrue(self.as_qemu("r+b", self.at("p", "v")))

    def test_directory_of_a_linked_disk_is_on_the_way(self):
        os.makedirs(self.at("far"))
        os.rename(self.at("p", "v"), self.at("far", "v"))
        os.symlink(self.at("far", "v"), self.at("p", "v"))
        os.chmod(self.at("far"), 0o700)
        self.repaired("path-not-searchable", self.at("far"), words=(self.at("p", "v"),))

    def test_mode_of_the_class_that_counts_is_repaired(self):
        os.chown(self.at("p"), NOBODY, 0)
        os.chmod(self.at("p"), 0o677)
        self.assertFalse(self.as_qemu("rb", self.at("p", "v")))
        finding = self.found("path-not-searchable")
        self.assertTrue(finding["repair"].startswith("chmod u+x "), finding)
        self.repair(finding)
        self.assertEqual([], [row for row in self.findings() if row["id"] != "directory-open-to-all"])

    def test_disk_that_the_user_cannot_read_or_write(self):
        for mode, check, how in ((0o600, "disk-not-readable", "rb"),
                                 (0o644, "disk-not-writable", "r+b")):
            os.chmod(self.at("p", "v"), 0o666)
            self.silent(check)
            os.chmod(self.at("p", "v"), mode)
            self.assertFalse(self.as_qemu(how, self.at("p", "v")))
            self.repaired(check, "p/v", "error")
            self.assertTrue(self.as_qemu("r+b", self.at("p", "v")))
            subprocess.run(["setfacl", "-b", self.at("p", "v")], check=True)

    def test_access_list_decides_as_the_kernel_does(self):
        path = self.at("p", "v")
        for mode, entries in ((0o600, "u:65534:rw"), (0o660, "u:65534:rw,m::r"),
                              (0o666, "u:65534:-"), (0o606, "g:65534:-"), (0o600, "g:65534:rw"),
                              (0o604, "u:1:rw"), (0o666, "g:65534:rw,m::-"), (0o602, "u:1:rw"),
                              (0o600, "g:65534:rw,m::r"), (0o606, "g:65534:-,g:1:rw")):
            subprocess.run(["setfacl", "-b", path], check=True)
            os.chmod(path, mode)
            subprocess.run(["setfacl", "-m", entries, path], check=True)
            found = set(self.ids()) & {"disk-not-readable", "disk-not-writable"}
            able = self.as_qemu("rb", path), self.as_qemu("r+b", path)
            expected = set() if able[1] else {"disk-not-writable" if able[0] else
                                              "disk-not-readable"}
            self.assertEqual(expected, found, (oct(mode), entries))

    def test_libvirt_that_changes_owners_needs_no_rights_of_files(self):
        os.chmod(self.at("p", "v"), 0o600)
        self.configure(dynamic=True)
        self.assertEqual([], self.findings())

    def test_backing_file_that_the_user_cannot_read(self):
        self.ok("vol-create-as p base 1M --format qcow2; vol-create-as p top 1M --format qcow2 "
                "--backing-vol base --backing-vol-format qcow2")
        for name, mode in (("top", 0o666), ("base", 0o644)):
            os.chmod(self.at("p", name), mode)
        self.assertEqual([], self.findings())
        os.chmod(self.at("p", "base"), 0o600)
        self.found("disk-not-readable", "p/base")
        self.repaired("backing-not-readable", "p/top", "error")
        self.assertEqual([], self.findings())

    def test_disk_with_the_attribute_of_immutable_files(self):
        path = self.at("p", "v")
        for letter in "ia":
            self.silent("disk-immutable")
            if subprocess.run(["chattr", f"+{letter}", path], check=False).returncode != 0:
                self.skipTest("this file system has no such attributes")
            self.addCleanup(subprocess.run, ["chattr", f"-{letter}", path], check=False,
                            stderr=subprocess.DEVNULL)
            self.repaired("disk-immutable", "p/v", "error")

    @unittest.skipUnless(space.private_mounts(), "needs mounts")
    def test_mount_that_is_read_only(self):
        where = self.tmpfs_pool("4M")
        self.ok("vol-create-as small v 1M; vol-create-as small w 1M")
        for name in "vw":
            os.chmod(os.path.join(where, name), 0o666)
        self.silent("mount-read-only")
        subprocess.run(["mount", "-o", "remount,ro", where], check=True)
        self.repaired("mount-read-only", where, "error")

    def test_label_that_selinux_closes(self):
        self.write("sys/fs/selinux/enforce", "1")
        label = b"unconfined_u:object_r:%s:s0\0"
        try:
            os.setxattr(self.at("p"), "security.selinux", label % b"virt_image_t")
        except OSError as error:
            self.skipTest(str(error))
        self.silent("selinux-label")
        os.setxattr(self.at("p"), "security.selinux", label % b"user_home_t")
        self.repaired("selinux-label", self.at("p"), "error")
        os.setxattr(self.at("p"), "security.selinux", label % b"user_home_t")
        self.write("sys/fs/selinux/enforce", "0")
        self.silent("selinux-label")

    def test_process_that_has_the_disk_open_is_named(self):
        self.ok("vol-create-as p q 1M --format qcow2")
        self.silent("disk-in-use", "p/q")
        child = self.background(["qemu-io", "-f", "qcow2", self.at("p", "q")],
                                stdin=subprocess.PIPE)
        self.wait_until(lambda: "disk-in-use" in self.ids("p/q"), "the process is found")
        self.assertIn(str(child.pid), self.found("disk-in-use", "p/q", "note", ("p/q",))["evidence"])

    def test_path_outside_of_pools_is_for_the_user_of_the_daemon(self):
        path = self.file("outside.img", b"x")
        os.chmod(path, 0o600)
        self.repaired("disk-not-readable", path, words=(path,))


class Space(Doctor):
    @unittest.skipUnless(space.private_mounts(), "needs mounts")
    def test_full_pool_with_trash_is_emptied(self):
        self.tmpfs_pool("10M", "--trash", "7")
        for check in ("pool-nearly-full", "trash-large"):
            self.silent(check)
        self.ok("vol-create-as small fill 9300k --format raw --allocation 9300k; "
                "vol-delete fill --pool small")
        self.refresh("small")
        self.found("trash-large", "small", "note")
        self.repaired("pool-nearly-full", "small", "warning")
        self.silent("trash-large")

    @unittest.skipUnless(space.private_mounts(), "needs mounts")
    def test_full_pool_without_trash_has_no_repair(self):
        self.tmpfs_pool("10M")
        self.ok("vol-create-as small fill 9300k --format raw --allocation 9300k")
        self.assertIsNone(self.found("pool-nearly-full", "small", "warning")["repair"])

    @unittest.skipUnless(space.private_mounts(), "needs mounts")
    def test_promises_beyond_the_space(self):
        self.tmpfs_pool("10M")
        self.ok("vol-create-as small a 5M --allocation 0")
        self.silent("pool-over-promised")
        self.ok("vol-create-as small b 50M --allocation 0")
        self.found("pool-over-promised", "small", "note")
        self.ok("vol-create-as small fill 8300k --format raw --allocation 8300k")
        self.found("pool-over-promised", "small", "warning")

    @unittest.skipUnless(space.private_mounts(), "needs mounts")
    def test_inodes_that_run_out(self):
        where = self.tmpfs_pool("10M,nr_inodes=200")
        self.silent("inodes-nearly-used")
        names = [os.path.join(where, f".{number}") for number in range(193)]
        for name in names:
            with open(name, "wb"):
                pass
        self.found("inodes-nearly-used", "small", "warning")
        for name in names:
            os.unlink(name)
        self.silent("inodes-nearly-used")

    def test_device_that_accepts_no_discards(self):
        device = os.stat(self.at("p")).st_dev
        queue = f"sys/dev/block/{os.major(device)}:{os.minor(device)}/queue"
        self.write(f"{queue}/rotational", "0\n")
        self.write(f"{queue}/discard_max_bytes", "4096\n")
        self.silent("discard-unsupported")
        self.write(f"{queue}/discard_max_bytes", "0\n")
        self.found("discard-unsupported", "p", "note")
        self.write(f"{queue}/rotational", "1\n")
        self.silent("discard-unsupported")


class Pools(Doctor):
    def test_pool_that_was_not_started(self):
        self.silent("pool-not-started")
        self.ok("pool-destroy", "p")
        self.repaired("pool-not-started", "p", "warning")
        self.ok("pool-destroy p; pool-autostart p --disable")
        self.silent("pool-not-started")

    def test_pool_that_cannot_be_started_is_an_error(self):
        self.ok("pool-destroy", "p")
        self.peer.stop()
        os.rmdir(self.at("p"))
        self.peer.start()
        self.wait_until(lambda: ("pool-not-started", "error") in
                        [(row["id"], row["severity"]) for row in self.findings()],
                        "the start has failed", self.findings)
        os.mkdir(self.at("p"))
        self.wait_until(lambda: "pool-not-started" not in self.ids(), "a retry has started it")

    def test_pool_without_autostart(self):
        self.silent("pool-not-autostarted")
        self.ok("pool-autostart", "p", "--disable")
        self.repaired("pool-not-autostarted", "p", "note")

    def test_pool_without_its_directory(self):
        self.silent("pool-inaccessible")
        os.rename(self.at("p"), self.at("away"))
        self.wait_until(lambda: "pool-inaccessible" in self.ids(), "the problem is found")
        finding = self.found("pool-inaccessible", "p", "error")
        os.rename(self.at("away"), self.at("p"))
        self.repair(finding)
        self.silent("pool-inaccessible")

    def redefined(self, mode):
        xml = re.sub("<mode>0[0-7]+</mode>", f"<mode>{mode}</mode>",
                     self.ok("pool-dumpxml", "p", "--inactive"))
        return xml if "<mode>" in xml else xml.replace(
            "</target>", f"<permissions><mode>{mode}</mode></permissions></target>")

    def test_definition_that_waits_for_a_start(self):
        self.silent("definition-pending")
        # The same definition again, and thresholds, need no start.
        uuid = self.ok("pool-uuid", "p").strip()
        self.ok("pool-define", self.file("p.xml", f"<pool type='dir'><name>p</name><uuid>{uuid}</uuid>"
                                         f"<target><path>{self.at('p')}</path></target></pool>"))
        self.assertEqual(0, self.cistern("pool-thresholds", "p", "--warn", "99")[0])
        self.silent("definition-pending")
        self.ok("pool-define", self.file("p.xml", self.redefined("0750")))
        self.repaired("definition-pending", "p", "warning")

    def test_definition_that_was_edited(self):
        path = os.path.join(self.peer.root, "etc/libvirt/storage/p.xml")
        self.silent("definition-changed")
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text.replace("</target>",
                                      "<permissions><mode>0750</mode></permissions></target>"))
        self.repaired("definition-changed", "p", "warning")

    def test_definition_readable_by_all_users(self):
        self.silent("definition-exposed")
        os.chmod(os.path.join(self.peer.root, "etc/libvirt/storage/p.xml"), 0o644)
        self.repaired("definition-exposed", "p", "warning")

    def test_link_without_a_definition(self):
        link = os.path.join(self.peer.root, "etc/libvirt/storage/autostart/gone.xml")
        self.silent("autostart-link-broken")
        os.symlink("../gone.xml", link)
        self.repaired("autostart-link-broken", link, "warning")

    def test_directory_in_which_all_users_write(self):
        self.silent("directory-open-to-all")
        os.chmod(self.at("p"), 0o1777)
        self.silent("directory-open-to-all")
        os.chmod(self.at("p"), 0o777)
        self.repaired("directory-open-to-all", "p", "warning")

    def test_multipath_device_with_one_path(self):
        self.write("sys/block/dm-0/dm/uuid", "mpath-3600a0b800\n")
        self.write("sys/block/dm-0/dm/name", "mpatha\n")
        for disk in ("sda", "sdb"):
            self.write(f"sys/block/dm-0/slaves/{disk}", "")
        self.silent("multipath-one-path")
        os.unlink(os.path.join(self.peer.root, "sys/block/dm-0/slaves/sdb"))
        self.found("multipath-one-path", "mpatha", "warning")
        self.write("sys/block/dm-0/dm/uuid", "LVM-abc\n")
        self.silent("multipath-one-path")


class Images(Doctor):
    def test_backing_file_that_is_in_the_trash(self):
        self.done("pool-create-as", "kept", "dir", "--target", self.at("kept"), "--trash", "7",
                  "--build")
        self.ok("vol-create-as kept base 1M --format qcow2")
        self.ok("vol-delete base --pool kept")
        self.image("create", "-q", "-u", "-f", "qcow2", "-b", self.at("kept", "base"), "-F",
                   "qcow2", self.at("kept", "top"), "1M")
        self.refresh("kept")
        self.repaired("backing-missing", "kept/top", "error")

    def test_backing_file_that_does_not_exist(self):
        self.ok("vol-create-as p base 1M --format qcow2; vol-create-as p top 1M --format qcow2 "
                "--backing-vol base --backing-vol-format qcow2")
        self.silent("backing-missing")
        os.rename(self.at("p", "base"), self.at("away"))
        self.refresh()
        self.assertIsNone(self.found("backing-missing", "p/top", "error")["repair"])
        os.rename(self.at("away"), self.at("p", "base"))
        self.refresh()
        self.silent("backing-missing")

    def test_backing_file_of_another_format(self):
        self.ok("vol-create-as p base 1M --format qcow2")
        for form, check in (("qcow2", self.silent), ("raw", self.found)):
            self.image("create", "-q", "-u", "-f", "qcow2", "-b", self.at("p", "base"), "-F", form,
                       self.at("p", "top"), "1M")
            self.refresh()
            check("backing-format-differs")

    @unittest.skipUnless(space.IS_ROOT, "needs root")
    def test_references_that_are_not_declared(self):
        self.ok("vol-create-as p base 1M --format qcow2")
        os.chmod(self.at("p"), 0o1777)
        self.image("create", "-q", "-f", "qcow2", "-b", self.at("p", "base"), "-F", "qcow2",
                   self.at("p", "top"))
        self.refresh()
        self.found("backing-undeclared", "p/top", "warning")
        self.done("vol-trust", "p/top")
        self.silent("backing-undeclared")

    @unittest.skipUnless(space.IS_ROOT, "needs root")
    def test_data_file_that_is_not_declared(self):
        os.chmod(self.at("p"), 0o1777)
        self.image("create", "-q", "-f", "qcow2", "-o", f"data_file={self.at('p', 'data')}",
                   self.at("p", "split"), "1M")
        self.refresh()
        self.found("data-file-undeclared", "p/split", "warning")
        self.done("vol-trust", "p/split")
        self.silent("data-file-undeclared")

    def chain(self, count):
        self.ok("vol-create-as p i0 1M --format qcow2")
        for number in range(1, count + 1):
            self.ok(f"vol-create-as p i{number} 1M --format qcow2 --backing-vol i{number - 1} "
                    "--backing-vol-format qcow2")

    def test_chain_that_is_too_deep(self):
        self.chain(6)
        self.silent("chain-too-deep")
        self.ok("vol-create-as p top 1M --format qcow2 --backing-vol i6 --backing-vol-format qcow2")
        self.repaired("chain-too-deep", "p/top", "warning")

    def test_chain_that_leads_back_to_itself(self):
        self.silent("chain-loop")
        for name, base in (("a", "b"), ("b", "a")):
            self.image("create", "-q", "-u", "-f", "qcow2", "-b", self.at("p", base), "-F", "qcow2",
                       self.at("p", name), "1M")
        self.refresh()
        self.assertEqual(["p/a", "p/b"], [row["object"] for row in self.findings()
                                          if row["id"] == "chain-loop"])

    def overwrite(self, name, offset, data):
        with open(self.at("p", name), "r+b") as stream:
            stream.seek(offset)
            stream.write(data)
        self.refresh()

    def test_image_without_its_header(self):
        self.ok("vol-create-as p v 1M --format qcow2")
        self.silent("image-header-lost")
        self.overwrite("v", 0, bytes(4096))
        self.found("image-header-lost", "p/v", "error")

    def test_image_that_cannot_be_used(self):
        self.ok("vol-create-as p v 1M --format qcow2")
        self.silent("image-unusable")
        self.overwrite("v", 72, b"\x10" + bytes(7))
        self.found("image-unusable", "p/v", "error")

    def test_image_that_is_marked_as_corrupt(self):
        self.ok("vol-create-as p v 1M --format qcow2")
        self.overwrite("v", 72, bytes(7) + b"\x02")
        self.found("image-unusable", "p/v", "error")
        self.done("vol-check", "p/v", "--repair", "all")
        self.silent("image-unusable")

    def test_content_that_looks_like_an_image(self):
        self.ok("vol-create-as p v 1M --format raw; vol-create-as p q 1M --format qcow2")
        self.silent("content-differs")
        with open(self.at("p", "q"), "rb") as stream:
            self.overwrite("v", 0, stream.read())
        self.assertIsNone(self.found("content-differs", "p/v", "note")["repair"])

    def test_size_that_is_no_multiple_of_a_sector(self):
        with open(self.at("p", "v"), "wb") as stream:
            stream.truncate(1024)
        self.refresh()
        self.silent("size-unaligned")
        os.truncate(self.at("p", "v"), 1000)
        self.refresh()
        self.repaired("size-unaligned", "p/v", "warning")

    def test_size_that_is_no_multiple_of_the_sectors_of_the_device(self):
        device = os.stat(self.at("p")).st_dev
        queue = f"sys/dev/block/{os.major(device)}:{os.minor(device)}/queue"
        with open(self.at("p", "v"), "wb") as stream:
            stream.truncate(5 * 512)
        self.refresh()
        self.write(f"{queue}/logical_block_size", "512\n")
        self.silent("sector-size")
        self.write(f"{queue}/logical_block_size", "4096\n")
        self.repaired("sector-size", "p/v", "warning")

    def test_snapshot_that_is_old(self):
        self.ok("vol-create-as p v 1M --format qcow2")
        self.done("snap-create", "p/v", "new")
        self.silent("snapshot-old")
        for name, year in (("old", 2021), ("oldest", 2020)):
            self.assertEqual(0, peers.run(["faketime", f"{year}-01-01 00:00:00", "qemu-img",
                                           "snapshot", "-c", name, self.at("p", "v")])[0])
        self.refresh()
        for name in ("oldest", "old"):
            finding = self.found("snapshot-old", "p/v", "note")
            self.assertIn(f"'{name}'", finding["evidence"])
            self.repair(finding)
        self.silent("snapshot-old")

    def test_image_with_many_snapshots(self):
        self.ok("vol-create-as p v 1M --format qcow2")
        for number in range(64):
            self.image("snapshot", "-c", f"s{number}", self.at("p", "v"))
        self.refresh()
        self.silent("snapshots-many")
        self.image("snapshot", "-c", "last", self.at("p", "v"))
        self.refresh()
        self.found("snapshots-many", "p/v", "note")


if __name__ == "__main__":
    unittest.main()
