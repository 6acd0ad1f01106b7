# SPDX-License-Identifier: LGPL-2.1-or-later
"""Copies of a disk of a running domain, with a fake libvirt: its backup job (tests/libvirt/
fake_backup.c) serves the content of one point in time, which differs from that of the volume."""

import functools
import json
import os
import random
import shutil
import signal
import subprocess

from domains_test import FakeDomains, WithoutDaemon, edit_live, replace_file
from harness import peers, space
from held_test import qemu_io

MIB = 1 << 20
SIZE = 4 * MIB
THEN = random.Random(1).randbytes(SIZE)

FREEZE, BEGIN, THAW, ABORT = (f"virDomain{name}"
                              for name in ("FSFreeze", "BackupBegin", "FSThaw", "AbortJob"))
CONNECTED = ("<channel><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>"
             "</channel>")


def each(test):
    """A test for each volume of the verb."""

    @functools.wraps(test)
    def run(self):
        for volume in self.VOLUMES:
            with self.subTest(volume=volume):
                try:
                    test(self, volume)
                finally:
                    if os.path.lexists(self.result(volume)):
                        self.forget_copy(volume)

    return run


class LiveCopies(FakeDomains):
    """Volumes "raw" and "img" (qcow2) of pool "p". Has no tests itself."""

    def setUp(self):
        super().setUp()
        self.live = os.path.join(self.fake.dir, "live")
        self.then = os.path.join(self.fake.dir, "then")
        with open(self.then, "wb") as out:
            out.write(THEN)
        for name, form in (("raw", "raw"), ("img", "qcow2")):
            self.done("vol-create-as", "p", name, "4M", "--format", form)
            self.qemu_io(form, "write -P 9 0 4M", self.at("p", name))
        self.copy = os.path.join(self.peer.files, "copy")

    def qemu_io(self, form, command, path):
        subprocess.run(["qemu-io", "-f", form, "-c", command, path], check=True,
                       stdout=subprocess.DEVNULL)

    def form(self, volume):
        return {"raw": "raw", "img": "qcow2"}[volume]

    def domain(self, volume, form=None, agent=True, more="", lines=(), **calls):
        """Domain "web1" runs with the volume as disk vda, with two file systems."""
        xml = os.path.join(self.fake.dir, "xml1")
        path = self.at("p", volume)
        replace_file(xml, f"<domain><devices>{CONNECTED if agent else ''}"
                          f"<disk><driver name='qemu' type='{form or self.form(volume)}'/>"
                          f"<source file='{path}'/><target dev='vda'/>{more}</disk></devices>"
                          "</domain>")
        edit_live(self.live, lambda _: "[live]\nstate=running\nid=7\nfilesystems=2\nfrozen=0\n")
        self.fake.set("\n".join([f"[domain 1]\nname = web1\nstate = running\nblocks = vda:{path}\n"
                                 f"xml = {xml}\nlive = {self.live}\nbackup-nbd = {self.then}",
                                 *lines]), **calls)
        self.fake.calls()

    def held(self, volume):
        return qemu_io(self.at("p", volume), self.form(volume))

    def now(self, key):
        with open(self.live, encoding="utf-8") as stream:
            found = [line.split("=", 1)[1] for line in stream.read().splitlines()
                     if line.startswith(key + "=")]
        return found[0] if found else None

    def changes(self):
        """The calls that change the domain, in order."""
        return [call for call in self.fake.calls() if call in (FREEZE, BEGIN, THAW, ABORT)]

    def nothing_left(self):
        """No job, no frozen file system, no entry and no scratch file is left."""
        self.wait_until(lambda: (self.now("backup"), self.now("frozen")) == (None, "0"),
                        "the job has ended")
        for folder in ("run/cistern/backup", "run/cistern/pause", "var/lib/cistern-scratch"):
            path = os.path.join(self.peer.root, folder)
            self.wait_until(lambda path=path: not os.path.exists(path) or not os.listdir(path),
                            f"{folder} is empty")

    def content(self, path, form):  # pylint: disable=arguments-differ
        """The guest-visible content of an image."""
        raw = os.path.join(self.fake.dir, "content")
        subprocess.run(["qemu-img", "convert", "-U", "-f", form, "-O", "raw", path, raw],
                       check=True)
        with open(raw, "rb") as stream:
            return stream.read()


class Verb(LiveCopies):
    """The tests of all verbs. A subclass has the verb."""

    VOLUMES = ("raw", "img")
    FORMAT = None  # of the copy; None: that of the volume
    DRAFTS = True  # a target has its name when it is complete
    WARNS = True  # of a process of no domain that writes to a raw volume

    def words(self, volume):
        raise NotImplementedError

    def result(self, volume):
        """The path of the copy."""
        raise NotImplementedError

    def command(self, volume, *words):
        return self.cistern(*self.words(volume), *words)

    def made(self, volume, *words):
        """Makes the copy. Returns stdout and stderr."""
        with self.held(volume):
            status, out, err = self.command(volume, *words)
        self.assertEqual(0, status, err)
        self.nothing_left()
        return out, err

    def copy_content(self, volume):
        return self.content(self.result(volume), self.FORMAT or self.form(volume))

    def forget_copy(self, volume):
        os.unlink(self.result(volume))

    def not_made(self, volume, *words, held=True):
        """The command fails, and leaves no target. Returns its status and stderr."""
        with self.held(volume):
            status, out, err = self.command(volume, *words)
        self.assertNotEqual(0, status, out)
        self.assertFalse(os.path.lexists(self.result(volume)))
        self.nothing_left()
        return status, err

    @each
    def test_copy_has_the_content_at_the_begin_of_the_job(self, volume):
        self.domain(volume)
        out, err = self.made(volume)
        self.assertEqual("", err)
        self.assertIn("Consistency: filesystem\n", out)
        self.assertEqual([FREEZE, BEGIN, THAW, ABORT], self.changes())
        self.assertTrue(self.copy_content(volume) == THEN)

    @each
    def test_json_has_the_level(self, volume):
        self.domain(volume)
        made = json.loads(self.made(volume, "--json")[0])
        self.assertEqual(("filesystem", "web1", "vda"),
                         (made["consistency"], made["domain"], made["disk"]))
        self.assertGreaterEqual(made["frozen_ms"], 0)
        self.assertNotIn("reason", made)

    @each
    def test_domain_without_an_agent_has_the_level_crash(self, volume):
        self.domain(volume, agent=False)
        out, err = self.made(volume)
        self.assertEqual("", err)
        self.assertIn("Consistency: crash (the domain has no channel for a guest agent)\n", out)
        self.assertTrue(self.copy_content(volume) == THEN)
        self.forget_copy(volume)
        out, _ = self.made(volume, "--consistency", "crash")
        self.assertIn("Consistency: crash (", out)

    @each
    def test_level_that_is_not_reached_leaves_no_target(self, volume):
        self.domain(volume, agent=False)
        status, err = self.not_made(volume, "--consistency", "filesystem")
        self.assertEqual(5, status)
        self.assertIn("the consistency was 'crash', not 'filesystem': the domain has no channel "
                      "for a guest agent", err)

    @each
    def test_job_of_the_domain_is_a_reason(self, volume):
        self.domain(volume, lines=("job = yes",))
        if volume == "raw":
            _, err = self.made(volume)
            self.assertRegex(err, "^warning: vol 'raw' is open for writing: process [0-9]+ "
                             r"\(qemu-io\); the copy may be inconsistent, because libvirt "
                             "cannot keep the content for it: disk 'vda' of domain 'web1': .*"
                             "job")
            self.assertTrue(self.copy_content(volume) == bytes([9]) * SIZE)
            self.forget_copy(volume)
        else:
            status, err = self.not_made(volume)
            self.assertEqual(5, status)
            self.assertRegex(err, r"volume 'img' is open for writing in process [0-9]+ "
                             r"\(qemu-io\): a copy would mix content(.|\n)*; libvirt cannot "
                             "keep the content for the copy: disk 'vda' of domain 'web1': .*"
                             "job")
        self.assertNotIn(BEGIN, self.changes())
        _, err = self.not_made(volume, "--consistency", "crash")
        self.assertRegex(err, f"a copy of vol '(p/)?{volume}' would have consistency 'unknown',"
                         " not 'crash': disk 'vda' of domain 'web1': .*job")

    @each
    def test_disk_that_libvirt_cannot_keep_is_a_reason(self, volume):
        for case, text in (({"more": "<shareable/>"}, "shareable"),
                           ({"form": "vmdk"}, "uses the volume in format 'vmdk'"),
                           ({"more": "<encryption format='luks'/>"}, "decrypts the disk"),
                           ({BEGIN: "fail 1 0 no room for you"}, "no room for you"),
                           ({"virConnectOpen": "fail 1 0 polkit"}, "polkit")):
            with self.subTest(case=case):
                self.domain(volume, **case)
                if volume == "raw":
                    _, err = self.made(volume)
                    self.assertTrue(self.copy_content(volume) == bytes([9]) * SIZE)
                    self.forget_copy(volume)
                else:
                    _, err = self.not_made(volume)
                self.assertRegex(err, f"(?s){text}")

    @each
    def test_volume_of_no_domain_is_as_without_libvirt(self, volume):
        self.fake.set()
        with self.held(volume):
            status, _, err = self.command(volume)
        if volume == "raw":
            self.assertEqual(0, status, err)
            self.assertRegex(err, r"the copy may be inconsistent\n$" if self.WARNS else "^$")
        else:
            self.assertEqual(5, status)
            self.assertIn("stop the writer first, or say --force-share", err)
            self.assertNotIn("libvirt cannot", err)

    @each
    def test_forced_copy_begins_no_job(self, volume):
        self.domain(volume)
        out, err = self.made(volume, "--force-share")
        self.assertNotIn("Consistency", out + err)
        self.assertEqual([], self.fake.calls())
        self.assertTrue(self.copy_content(volume) == bytes([9]) * SIZE)

    @each
    def test_volume_at_rest_asks_libvirt_only_for_a_level(self, volume):
        self.domain(volume)
        status, out, err = self.command(volume)
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("Consistency", out)
        self.assertEqual([], self.fake.calls())
        self.forget_copy(volume)
        status, _, err = self.command(volume, "--consistency", "offline")
        self.assertIn("domain 'web1' runs with it as a disk", err)
        self.fake.set()
        status, _, err = self.command(volume, "--consistency", "offline")
        self.assertEqual((0, ""), (status, err))

    @each
    def test_dry_run_begins_no_job(self, volume):
        self.domain(volume)
        with self.held(volume):
            status, out, err = self.command(volume, "--dry-run")
        self.assertEqual((0, ""), (status, err))
        self.assertIn("Would ", out)
        self.assertFalse(os.path.lexists(self.result(volume)))
        self.assertEqual([], self.changes())

    def started(self, volume, *words):
        """A slow copy."""
        argv = [*self.argv(), *self.words(volume), "--rate-limit", "512k", *words]
        client = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  env={**space.ENV, **dict(self.fake.env)})
        self.addCleanup(client.wait)
        return client

    def begun(self, volume):
        """A slow copy that has read a part of the content."""
        client = self.started(volume)
        self.wait_until(lambda: self.bytes_read() > MIB or client.poll() is not None,
                        "the content is read")
        self.assertIsNone(client.poll())
        return client

    def bytes_read(self):
        """The bytes that the server of the content has read."""
        try:
            with open(f"/proc/{self.now('server')}/io", encoding="ascii") as stream:
                return int(stream.readline().split()[1])
        except FileNotFoundError:
            return 0

    def argv(self):
        return [space.CISTERN, "-c", self.peer.uri]

    @each
    def test_copy_that_ends_early_leaves_no_job_and_no_target(self, volume):
        for number in (signal.SIGKILL, signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                self.domain(volume)
                with self.held(volume):
                    client = self.begun(volume)
                    client.send_signal(number)
                    client.communicate()
                    self.assertNotEqual(0, client.returncode)
                    self.nothing_left()
                if number != signal.SIGKILL or self.DRAFTS:
                    self.assert_no_target(volume)
                elif os.path.lexists(self.result(volume)):
                    self.forget_copy(volume)

    @each
    def test_cancel_while_the_job_begins_is_not_lost(self, volume):
        self.domain(volume)
        with self.held(volume):
            client = self.started(volume)
            self.wait_until(lambda: self.now("server"), "the job begins")
            client.send_signal(signal.SIGTERM)
            client.communicate()
            self.assertNotEqual(0, client.returncode)
            self.nothing_left()
        self.assert_no_target(volume)

    def assert_no_target(self, volume):
        self.wait_until(lambda: not os.path.lexists(self.result(volume)), "no target is left")

    @each
    def test_job_that_ends_early_fails_the_copy(self, volume):
        self.domain(volume)
        with self.held(volume):
            client = self.begun(volume)
            self.end_domain()
            _, err = client.communicate()
        self.assertNotEqual(0, client.returncode)
        self.assertIn("domain", err)
        self.assert_no_target(volume)

    def end_domain(self):
        """The domain ends, with its QEMU."""
        os.kill(int(self.now("server")), signal.SIGKILL)
        edit_live(self.live,
                  lambda text: text.replace("state=running", "state=off") + "events=E\n")


class Export(Verb):
    """vol-export, with a daemon."""

    FORMAT = "qcow2"

    def words(self, volume):
        return ["vol-export", volume, self.result(volume), "--pool", "p"]

    def result(self, volume):
        return self.copy + ".qcow2"

    @each
    def test_stdout_has_the_content_and_stderr_the_level(self, volume):
        self.domain(volume)
        with self.held(volume):
            done = subprocess.run([*self.argv(), "vol-export", volume, "-", "--pool", "p"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True,
                                  env={**space.ENV, **dict(self.fake.env)})
        self.assertTrue(done.stdout == THEN)
        self.assertEqual(b"Consistency: filesystem\n", done.stderr)
        self.nothing_left()


class EmbeddedExport(WithoutDaemon, Export):
    """Without a daemon."""


class Download(Verb):
    """vol-download of a raw volume, with a daemon."""

    VOLUMES, FORMAT, DRAFTS = ("raw",), "raw", False

    def words(self, volume):
        return ["vol-download", volume, self.copy, "--pool", "p"]

    def result(self, volume):
        return self.copy

    def test_part_of_the_content(self):
        self.domain("raw")
        self.made("raw", "--offset", "1000", "--length", "2000000")
        with open(self.copy, "rb") as stream:
            self.assertTrue(stream.read() == THEN[1000:2001000])

    def test_existing_file_is_kept_if_the_level_is_not_reached(self):
        self.domain("raw", agent=False)
        with open(self.copy, "wb") as out:
            out.write(b"kept")
        with self.held("raw"):
            status, _, err = self.command("raw", "--consistency", "filesystem", "--yes")
        self.assertEqual(5, status, err)
        with open(self.copy, "rb") as stream:
            self.assertEqual(b"kept", stream.read())

    def test_image_is_refused_and_the_next_step_is_an_export(self):
        self.domain("img")
        status, err = self.not_made("img")
        self.assertEqual(5, status)
        self.assertIn("a copy would mix content", err)
        self.assertIn("disk 'vda' of domain 'web1': a download has the stored bytes of the image, "
                      "and libvirt has only its content; vol-export makes an image of it", err)
        self.assertEqual([], self.changes())

    def test_stdout_has_the_content_and_stderr_the_level(self):
        self.domain("raw")
        with self.held("raw"):
            done = subprocess.run([*self.argv(), "vol-download", "raw", "-", "--pool", "p"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True,
                                  env={**space.ENV, **dict(self.fake.env)})
        self.assertTrue(done.stdout == THEN)
        self.assertEqual(b"Consistency: filesystem\n", done.stderr)


class EmbeddedDownload(WithoutDaemon, Download):
    """Without a daemon."""


class Clone(Verb):
    """vol-clone, with a daemon."""

    def words(self, volume):
        return ["vol-clone", volume, "copy", "--pool", "p"]

    def result(self, volume):
        return self.at("p", "copy")

    def forget_copy(self, volume):
        self.done("vol-delete", "copy", "--pool", "p", "--yes", "--no-trash")

    def test_clone_has_the_format_of_the_volume_and_no_backing_file(self):
        base = self.at("p", "base")
        os.rename(self.at("p", "img"), base)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2",
                        self.at("p", "img")], check=True)
        self.done("pool-refresh", "p")
        self.domain("img")
        self.made("img")
        info = json.loads(subprocess.run(["qemu-img", "info", "--output=json", self.result("img")],
                                         stdout=subprocess.PIPE, check=True).stdout)
        self.assertEqual(("qcow2", None), (info["format"], info.get("backing-filename")))
        subprocess.run(["qemu-img", "check", "-q", self.result("img")], check=True)
        self.assertTrue(self.copy_content("img") == THEN)

    def test_many_clones_have_one_point_in_time(self):
        for json_option in ((), ("--json",)):
            self.domain("img")
            with self.held("img"):
                out = self.done("vol-clone", "img", "many%d", "--pool", "p", "--count", "2",
                                *json_option)
            self.assertEqual([FREEZE, BEGIN, THAW, ABORT], self.changes())
            self.nothing_left()
            if json_option:
                made = json.loads(out)
                self.assertEqual(("filesystem", 2), (made["consistency"], len(made["volumes"])))
            else:
                self.assertIn("Consistency: filesystem\n", out)
            for name in ("many1", "many2"):
                self.assertTrue(self.content(self.at("p", name), "qcow2") == THEN)
                self.done("vol-delete", name, "--pool", "p", "--yes", "--no-trash")

    def test_clone_that_shares_content_begins_no_job(self):
        self.domain("img")
        _, err = self.not_made("img", "--linked")
        self.assertNotIn("libvirt cannot keep", err)
        _, err = self.not_made("img", "--reflink")
        self.assertIn("a reflink copy shares the stored bytes", err)
        self.assertEqual([], self.changes())

    def test_stock_client_is_refused_as_before(self):
        self.domain("img")
        with self.held("img"):
            status, _, err = self.virsh("vol-clone", "img", "copy", "--pool", "p")
        self.assertNotEqual(0, status)
        self.assertIn("a copy would mix content", err)
        self.assertNotIn(BEGIN, self.changes())


class EmbeddedClone(WithoutDaemon, Clone):
    """Without a daemon."""

    test_stock_client_is_refused_as_before = None


class Convert(Verb):
    """vol-convert to the other format, with a daemon."""

    def words(self, volume):
        return ["vol-convert", volume, "copy", "--pool", "p", "--format", self.other(volume)]

    def other(self, volume):
        return {"raw": "qcow2", "img": "raw"}[volume]

    def result(self, volume):
        return self.at("p", "copy")

    def copy_content(self, volume):
        return self.content(self.result(volume), self.other(volume))

    def forget_copy(self, volume):
        self.done("vol-delete", "copy", "--pool", "p", "--yes", "--no-trash")

    def test_options_of_the_format_hold_for_a_live_copy(self):
        self.domain("img")
        with self.held("img"):
            self.done("vol-convert", "img", "copy", "--pool", "p", "--format", "qcow2",
                      "--compress", "--options", "cluster_size=4k")
        self.nothing_left()
        info = json.loads(subprocess.run(["qemu-img", "info", "--output=json", self.result("img")],
                                         stdout=subprocess.PIPE, check=True).stdout)
        self.assertEqual(4096, info["cluster-size"])
        self.assertTrue(self.content(self.result("img"), "qcow2") == THEN)


class EmbeddedConvert(WithoutDaemon, Convert):
    """Without a daemon."""


class Copy(Verb):
    """vol-copy to another daemon, with a daemon."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.far = peers.Cisternd(name="far")
        cls.far.fresh()

    @classmethod
    def tearDownClass(cls):
        cls.far.stop()
        super().tearDownClass()

    def setUp(self):
        super().setUp()
        self.there = os.path.join(self.far.dir, "p")
        shutil.rmtree(self.there, ignore_errors=True)
        os.makedirs(self.there)
        for words in (("pool-define-as", "p", "dir", "--target", self.there), ("pool-start", "p")):
            self.assertEqual(0, peers.run([space.CISTERN, "-c", self.far.uri, *words])[0])
        self.addCleanup(self.leave_far)

    def leave_far(self):
        for words in ("pool-destroy", "pool-undefine"):
            peers.run([space.CISTERN, "-c", self.far.uri, words, "p"])

    def words(self, volume):
        return ["vol-copy", volume, "--pool", "p", "--to", self.far.uri]

    def result(self, volume):
        return os.path.join(self.there, volume)

    def forget_copy(self, volume):
        done = peers.run([space.CISTERN, "-c", self.far.uri, "vol-delete", volume, "--pool", "p",
                          "--yes", "--no-trash"])
        self.assertEqual(0, done[0], done)

    def started(self, volume, *words):
        """A slow copy from the beginning."""
        peers.run([space.CISTERN, "-c", self.far.uri, "vol-delete", volume + ".partial", "--pool",
                   "p", "--yes", "--no-trash"])
        return super().started(volume, *words)

    @each
    def test_interrupted_copy_goes_on_with_the_content_of_a_new_job(self, volume):
        self.domain(volume)
        with self.held(volume):
            client = self.begun(volume)
            self.wait_until(lambda: os.path.exists(self.result(volume) + ".partial"), "it is made")
            client.send_signal(signal.SIGKILL)
            client.communicate()
        self.nothing_left()
        self.domain(volume)
        self.made(volume)
        self.assertFalse(os.path.exists(self.result(volume) + ".partial"))
        self.assertTrue(self.copy_content(volume) == THEN)

    @each
    def test_copy_is_updated(self, volume):
        self.assertEqual(0, self.command(volume)[0])
        self.domain(volume)
        out, _ = self.made(volume, "--update", "--yes")
        self.assertIn("Consistency: filesystem\n", out)
        self.assertTrue(self.copy_content(volume) == THEN)


class EmbeddedCopy(WithoutDaemon, Copy):
    """Without a daemon here."""


del Verb
