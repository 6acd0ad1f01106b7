# SPDX-License-Identifier: LGPL-2.1-or-later
"""doctor: the checks of secrets, machines, orphans, schedules, clocks and storage that hangs."""

import datetime
import json
import os
import time
import unittest
import uuid

from doctor_test import Doctor
from domains_test import FakeDomains
from hang_test import WithServer, can_play
from harness import peers, space

DAY_S = 86400


class Secrets(Doctor):
    CONFIG = "[secrets]\nsecret_max_age = 30\n"

    def setUp(self):
        super().setUp()
        self.done("secret-unseal", "--all")
        self.uuid = str(uuid.uuid4())
        self.dir = os.path.join(self.peer.root, "etc/libvirt/secrets")
        self.addCleanup(self.virsh, "secret-undefine", self.uuid)
        self.ok("vol-create-as", "p", "v", "1M")
        self.ok("secret-define", self.file(
            "secret.xml", f"<secret><uuid>{self.uuid}</uuid><usage type='volume'>"
            f"<volume>{self.at('p', 'v')}</volume></usage></secret>"))
        self.about = f"secret {self.uuid}"

    def set_value(self):
        self.ok("secret-set-value", self.uuid, "aHVudGVyMjI=")

    def stored(self):
        return os.path.join(self.dir, self.uuid + ".base64")

    def test_secret_that_a_volume_needs_has_no_value(self):
        self.found("secret-without-value", self.about, "error")
        self.set_value()
        self.silent("secret-without-value")

    def test_value_that_is_stored_in_plain_text(self):
        self.silent("secret-unsealed")
        self.set_value()
        self.repaired("secret-unsealed", self.about, "note")
        self.done("secret-unseal", "--all")

    def test_value_that_is_old(self):
        self.set_value()
        self.silent("secret-old")
        os.utime(self.stored(), (1500000000, 1500000000))
        self.found("secret-old", self.about, "warning")
        self.set_value()
        self.silent("secret-old")

    def test_file_readable_by_all_users(self):
        self.set_value()
        self.silent("secret-exposed")
        os.chmod(self.stored(), 0o644)
        self.repaired("secret-exposed", self.stored(), "error")

    def test_value_that_cannot_be_read(self):
        self.set_value()
        self.done("secret-seal", self.uuid)
        self.silent("secret-unreadable")
        sealed = os.path.join(self.dir, self.uuid + ".sealed")
        with open(sealed, "r+b") as stream:
            stream.truncate(20)
        self.found("secret-unreadable", self.about, "error")
        os.unlink(sealed)

    def test_value_is_in_no_finding(self):
        self.set_value()
        text = json.dumps(self.findings())
        for canary in ("hunter22", "aHVudGVyMjI="):
            self.assertNotIn(canary, text)


class Machines(FakeDomains, Doctor):
    """With the fake libvirt."""

    VOLUME_FORMAT = "raw"

    def test_machine_without_its_disk(self):
        self.fake.set(self.fake.domain(self.path))
        self.silent("domain-disk-missing")
        self.fake.set(self.fake.domain(self.path + "-gone"))
        self.found("domain-disk-missing", "machine web1", "warning")

    def test_libvirt_that_fails(self):
        self.fake.set(self.fake.domain(self.path))
        self.silent("libvirt-not-answering")
        self.fake.set(virConnectListAllDomains="fail 1 0 internal error: broken")
        self.found("libvirt-not-answering", "host", "warning")
        self.restart()

    def grow_old(self, name="v"):
        then = time.time() - 40 * DAY_S
        os.utime(self.at("p", name), (then, then))
        self.refresh()

    def orphans(self):
        return [row["object"] for row in self.findings() if row["id"] == "volume-orphaned"]

    def test_orphan_is_a_volume_without_references(self):
        self.ok("vol-create-as", "p", "other", "1M")
        self.grow_old()
        self.assertEqual([], self.orphans(), "without machines nothing is known")
        self.fake.set(self.fake.domain(self.at("p", "other")))
        self.assertEqual(["p/v"], self.orphans())
        self.assertIsNone(self.found("volume-orphaned", "p/v", "note")["repair"])

    def test_volume_with_a_reference_is_no_orphan(self):
        self.ok("vol-create-as", "p", "other", "1M")
        self.fake.set(self.fake.domain(self.at("p", "other")))
        self.grow_old()
        self.assertEqual(["p/v"], self.orphans())
        self.done("vol-protect", "p/v")
        self.assertEqual([], self.orphans())
        self.done("vol-unprotect", "p/v")
        self.done("vol-tag", "p/v", "nightly")
        for words in (("snapshot", "p/v"), ("snapshot", "p/*"), ("backup", "--repo", "/r", "p"),
                      ("backup", "--repo", "/r", "tag:nightly")):
            self.done("schedule-create", "s", "--every", "daily", "--do", *words)
            self.assertEqual([], self.orphans(), words)
            self.done("schedule-delete", "s", "--yes")
        self.fake.set(self.fake.domain(self.path))
        self.assertNotIn("p/v", self.orphans())
        self.fake.set(self.fake.domain(self.at("p", "other")))
        self.image("create", "-q", "-f", "qcow2", "-b", self.path, "-F", "raw",
                   self.at("p", "top"))
        self.refresh()
        self.assertEqual([], self.orphans())
        os.unlink(self.at("p", "top"))
        self.refresh()
        self.assertEqual(["p/v"], self.orphans())
        os.utime(self.path)
        self.refresh()
        self.assertEqual([], self.orphans(), "it was written")

    def test_no_orphan_is_named_while_libvirt_does_not_answer(self):
        self.ok("vol-create-as", "p", "other", "1M")
        self.grow_old()
        self.fake.set(virConnectListAllDomains="fail 1 0 internal error: broken")
        self.assertEqual([], self.orphans())
        self.restart()


class Schedules(Doctor):
    ahead = 0  # days

    def setUp(self):
        super().setUp()
        self.ok("vol-create-as", "p", "v", "1M", "--format", "qcow2")
        for row in json.loads(self.done("schedule-list", "--json"))["schedules"]:
            self.done("schedule-delete", row["name"], "--yes")

    def create(self, *words, every="daily", do="snapshot"):
        self.done("schedule-create", "s", "--every", every, "--do", do, *words)

    def cistern(self, *words, **options):
        """The command with a clock that is some days ahead."""
        if not self.ahead:
            return super().cistern(*words, **options)
        when = (datetime.datetime.now(datetime.timezone.utc) +
                datetime.timedelta(days=self.ahead))
        env = {**space.ENV, "TZ": "UTC", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return peers.run(["faketime", "-f", f"@{when:%Y-%m-%d %H:%M:%S}", space.CISTERN, "-c",
                          self.peer.uri, *words], env=env)

    def test_clock_of_another_host(self):
        self.silent("clock-apart")
        self.ahead = 1
        found = self.found("clock-apart", severity="warning")
        self.assertIn(" 8639", found["evidence"].replace("86400", "86399"))

    def test_run_that_is_late(self):
        self.create("p")
        self.silent("schedule-late")
        self.ahead = 2
        finding = self.found("schedule-late", "s", "warning")
        self.assertEqual("cistern schedule-run s", finding["repair"])
        self.done(*finding["repair"].split()[1:])
        self.silent("schedule-late")

    def test_run_that_failed(self):
        self.create("--min-free", "100%", "p")
        self.silent("schedule-failed")
        self.assertNotEqual(0, self.cistern("schedule-run", "s")[0])
        finding = self.found("schedule-failed", "s", "warning")
        self.assertIn("skipped", finding["evidence"])
        self.done("schedule-edit", "s", "--min-free", "1%")
        self.repair(finding)
        self.silent("schedule-failed")

    def test_schedule_that_is_paused(self):
        self.create("p")
        self.silent("schedule-paused")
        self.done("schedule-pause", "s")
        self.repaired("schedule-paused", "s", "note")

    def test_schedule_without_volumes(self):
        self.create("p", "p/v*")
        self.silent("schedule-matches-nothing")
        self.create_other("q")
        self.found("schedule-matches-nothing", "t", "warning")
        self.done("schedule-delete", "t", "--yes")
        self.create_other("p/nosuch*")
        self.found("schedule-matches-nothing", "t", "warning")
        self.done("schedule-delete", "t", "--yes")
        self.create_other("tag:nosuch")
        self.found("schedule-matches-nothing", "t", "warning")
        self.done("vol-tag", "p/v", "nosuch")
        self.silent("schedule-matches-nothing")
        self.done("schedule-delete", "t", "--yes")

    def create_other(self, selector):
        self.done("schedule-create", "t", "--every", "*-02-29 03:00", "--do", "check", selector)

    def test_backups_that_are_old_or_unproven(self):
        repo = self.at("repo")
        self.done("backup-init", repo, "--no-encryption")
        self.create("--repo", repo, "p", do="backup")
        self.ahead = 1  # one run is missing
        self.silent("backup-too-old")
        self.ahead = 4
        finding = self.found("backup-too-old", "s", "warning")
        self.assertIn("has made no backup", finding["evidence"])
        self.done(*finding["repair"].split()[1:])
        self.silent("backup-too-old")
        self.ahead = 9
        self.assertIn("newest backup", self.found("backup-too-old", "s", "warning")["evidence"])
        self.ahead = 0
        self.repaired("backup-unproven", "s", "warning")
        rows = json.loads(self.done("schedule-list", "--json"))["schedules"]
        self.assertEqual(["s", "s-prove"], [row["name"] for row in rows])
        self.done("schedule-pause", "s-prove")
        self.found("backup-unproven", "s", "warning")


@unittest.skipUnless(can_play(), "needs root, a mount namespace and /dev/fuse")
class Hanging(WithServer, Doctor):
    """Pool "n" is on storage that can fall silent."""

    CONFIG = "[limits]\nmax_wait = 20\n"

    def test_pool_that_does_not_answer_is_a_finding_and_delays_no_other_check(self):
        self.silent("pool-not-answering")
        with open(self.at("p", "odd"), "wb") as stream:
            stream.truncate(1000)
        self.refresh()
        self.server.fall_silent()
        self.wait_until(lambda: "pool-not-answering" in self.ids(), "the finding")
        self.assertEqual({"pool-not-answering", "size-unaligned"},
                         set(self.ids()) - {"pool-not-autostarted", "pool-inaccessible"})
        self.found("pool-not-answering", "n", "error")
        self.server.speak()
        self.until_usable()
        self.silent("pool-not-answering")


if __name__ == "__main__":
    unittest.main()
