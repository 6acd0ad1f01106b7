# SPDX-License-Identifier: LGPL-2.1-or-later
"""Schedules: definitions, runs, retention, the daemon's clock, and their history."""

import contextlib
import datetime
import json
import os
import signal
import sqlite3
import subprocess
import unittest
import zoneinfo

from harness import peers, space
from harness.cases import WithDaemon, WithTwoDaemons

ZONE = "Europe/Berlin"
# The daemon has the real clock, and must not run these.
HOURLY = "2036..2037-*-* *:00"


class Schedules(WithDaemon):
    def setUp(self):
        super().setUp()
        for schedule in self.rows("schedule-list", "schedules"):
            self.good("schedule-delete", schedule["name"], "--yes")
        self.good("vol-create-as", "p", "a", "1M", "--format", "qcow2")

    def good(self, *words, **options):
        status, out, err = self.cistern(*words, **options)
        self.assertEqual((0, ""), (status, err), words)
        return out

    def bad(self, status, text, *words, **options):
        found, _out, err = self.cistern(*words, **options)
        self.assertEqual(status, found, err)
        self.assertIn(text, err)

    def rows(self, command, key):
        return json.loads(self.good(*command.split(), "--json"))[key]

    def create(self, name="s", every=HOURLY, do="snapshot", on=("p",), options=()):
        self.good("schedule-create", name, "--every", every, "--do", do, *options, *on)

    def snapshots(self, vol="p/a"):
        return [row["name"] for row in self.rows(f"snap-list {vol}", "snapshots")]

    def history(self, name="s"):
        return self.rows(f"schedule-history {name}", "runs")

    def at_time(self, when, *words):
        """The command with its clock at WHEN (local time of ZONE)."""
        env = {**space.ENV, "TZ": ZONE, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return peers.run(["faketime", "-f", f"@{when}", space.CISTERN, "-c", self.peer.uri, *words],
                         env=env)


class Definitions(Schedules):
    def test_schedule_is_listed_changed_paused_and_deleted(self):
        self.create(every="Mon..Fri 02:00", options=("--keep-daily", "7", "--min-free", "1%"))
        (row,) = self.rows("schedule-list", "schedules")
        self.assertEqual(("s", "snapshot", "Mon..Fri 02:00", "pool:p", False, None),
                         tuple(row[key] for key in ("name", "action", "every", "on", "paused",
                                                    "last_run")))
        self.assertIsNotNone(row["next_run"])
        self.good("schedule-edit", "s", "--every", "daily", "--newname", "t", "--unset", "min-free",
                  "p/a")
        info = json.loads(self.good("schedule-info", "t", "--json"))
        self.assertEqual(("daily", "*-*-* 00:00:00", 7, ["volume:p/a"]),
                         tuple(info[key] for key in ("every", "calendar", "keep_daily", "on")))
        self.assertNotIn("options", info)
        self.good("schedule-pause", "t", "--dry-run")
        self.assertFalse(self.rows("schedule-list", "schedules")[0]["paused"])
        self.good("schedule-pause", "t")
        (row,) = self.rows("schedule-list", "schedules")
        self.assertEqual((True, None), (row["paused"], row["next_run"]))
        self.good("schedule-resume", "t")
        self.good("schedule-delete", "t", "--yes")
        self.assertEqual([], self.rows("schedule-list", "schedules"))

    def test_mistakes_are_usage_errors_and_name_the_part(self):
        create = ("schedule-create", "s", "--every", "daily", "--do")
        self.bad(2, "'dayly'", "schedule-create", "s", "--every", "dayly", "--do", "check", "p")
        self.bad(2, "'delete'", *create, "delete", "p")
        self.bad(2, "--repo", *create, "backup", "p")
        self.bad(2, "selects no volumes", *create, "snapshot")
        self.bad(2, "makes no copies", *create, "check", "--keep-last", "1", "p")
        self.create()
        self.bad(5, "exists already", *create, "check", "p")
        self.bad(3, "no schedule 'x'", "schedule-info", "x")
        self.bad(2, "'consistancy'; it takes boot, consistency", "schedule-edit", "s", "--unset",
                 "min-free,consistancy")

    def test_rules_of_retention_can_be_unset(self):
        self.create(options=("--keep-daily", "7", "--keep-weekly", "4", "--keep-min", "2"))
        self.good("schedule-edit", "s", "--unset", "keep-daily,keep-min")
        info = json.loads(self.good("schedule-info", "s", "--json"))
        self.assertEqual((None, 4, None),
                         tuple(info.get(key) for key in ("keep_daily", "keep_weekly", "keep_min")))

    def test_value_of_an_option_is_no_option_of_a_command(self):
        create = ("schedule-create", "s", "--every", "daily", "--do")
        self.bad(2, "repo=--tag", *create, "backup", "--repo=--tag", "p")
        self.bad(2, "does not take 'pool:-p'", *create, "snapshot", "--on=-p")
        for value in ("consistency=bogus", "max-pause=abc", "min-free=x", "size=zzz"):
            self.bad(2, value.split("=")[1], *create, "snapshot", f"--{value}", "p")

    def test_dry_runs_change_no_schedule_and_make_no_snapshot(self):
        self.good("schedule-create", "s", "--every", "daily", "--do", "snapshot", "p", "--dry-run")
        self.assertEqual([], self.rows("schedule-list", "schedules"))
        self.create()
        self.good("schedule-run", "s", "--dry-run")
        self.good("schedule-delete", "s", "--dry-run")
        self.good("schedule-edit", "s", "--newname", "t", "--dry-run")
        self.assertEqual(([], []), (self.snapshots(), self.history()))

    def test_schedules_survive_kill_and_restart(self):
        self.create()
        self.good("schedule-run", "s")
        self.peer.process.send_signal(signal.SIGKILL)
        self.peer.process.wait()
        self.peer.start()
        self.assertEqual(["s"], [row["name"] for row in self.rows("schedule-list", "schedules")])
        self.assertEqual(["done"], [run["result"] for run in self.history()])


@unittest.skipUnless(space.IS_ROOT, "needs root, and a user who isn't")
class OtherUsers(Schedules):
    """A user who may change volumes has the daemon leave no pool. Runs have the daemon's rights."""

    CONFIG = "[access]\ngroup = nogroup\n"

    def as_tenant(self, *words):
        program, env = space.as_other_user()
        return peers.run(["setpriv", "--reuid", "1234", "--regid", "nogroup", "--clear-groups",
                          program, "-c", self.peer.uri, *words], env=env.items())

    def test_other_user_defines_no_schedule_that_leaves_the_pools(self):
        evil = "storage+ssh://h/system?command=/tmp/evil"
        for words in (("copy", "--to", evil), ("backup", "--repo", "/root/repo/")):
            status, _out, err = self.as_tenant("schedule-create", "t", "--every", "daily", "--do",
                                               *words, "p")
            self.assertEqual(4, status, err)
            self.assertIn("only user 0 may define, change or run it", err)
        self.create(do="backup", options=("--repo", "/root/repo/"))
        for words in (("edit", "s", "p/a"), ("run", "s"), ("delete", "s", "--yes")):
            status, _out, err = self.as_tenant("schedule-" + words[0], *words[1:])
            self.assertEqual(4, status, err)
            self.assertIn("only user 0 may define, change or run it", err)
        status, _out, err = self.as_tenant("schedule-create", "u", "--every", "daily", "--do",
                                           "check", "p")
        self.assertEqual((0, ""), (status, err))


class Retention(Schedules):
    def test_only_snapshots_of_the_schedule_are_removed(self):
        self.create(options=("--keep-last", "1"))
        self.good("snap-create", "p/a", "by-hand")
        self.good("snap-create", "p/a", "s-20200101T000000Z")
        for day in ("01", "02", "03"):
            status, _out, err = self.at_time(f"2036-03-{day} 10:00:01", "schedule-run", "s")
            self.assertEqual((0, ""), (status, err))
        self.assertEqual(["by-hand", "s-20200101T000000Z", "s-20360303T090000Z"], self.snapshots())
        self.assertEqual([(1, 0), (1, 1), (1, 1)],
                         [(run["made"], run["removed"]) for run in self.history()[::-1]])

    def test_snapshot_that_replaced_one_of_the_schedule_stays(self):
        self.create(options=("--keep-last", "1"))
        self.at_time("2036-03-01 10:00:01", "schedule-run", "s")
        (name,) = self.snapshots()
        self.good("snap-delete", "p/a", name, "--yes")
        self.wait_until(lambda: self.second_has_changed(), "the next second")
        self.good("snap-create", "p/a", name)
        self.at_time("2036-03-02 10:00:01", "schedule-run", "s")
        self.at_time("2036-03-03 10:00:01", "schedule-run", "s")
        self.assertEqual([name, "s-20360303T090000Z"], self.snapshots())

    def second_has_changed(self):
        """Of the clock, since the first call: a snapshot's time has seconds."""
        now = datetime.datetime.now().second
        self.began = getattr(self, "began", now)
        return now != self.began

    def test_renamed_and_moved_volume_keeps_its_schedule(self):
        self.create(on=("p/a", "p/b"), options=("--keep-last", "1"))
        self.at_time("2036-03-01 10:00:01", "schedule-run", "s")
        self.good("vol-rename", "p/a", "b")
        self.at_time("2036-03-02 10:00:01", "schedule-run", "s")
        self.assertEqual(["s-20360302T090000Z"], self.snapshots("p/b"))

    def test_failed_run_removes_no_snapshot(self):
        self.create(options=("--keep-last", "1"))
        self.at_time("2036-03-01 10:00:01", "schedule-run", "s")
        self.good("schedule-edit", "s", "--min-free", "100%")
        status, _out, err = self.at_time("2036-03-02 10:00:01", "schedule-run", "s")
        self.assertEqual(75, status, err)
        self.assertEqual(["s-20360301T090000Z"], self.snapshots())
        run = self.history()[0]
        self.assertEqual("skipped", run["result"])
        self.assertIn("pool 'p' has", run["message"])

    def test_runs_make_and_remove_the_copies_of_the_simulation(self):
        """Over a change of daylight saving time, and three days without power."""
        self.create(every="2036..2037-*-* 02:30", options=("--keep-last", "2", "--keep-daily", "4",
                                            "--keep-weekly", "2", "--keep-monthly", "2"))
        status, out, err = self.at_time("2036-03-18 12:00:00", "schedule-simulate", "s", "--for",
                                        "40d", "--json")
        self.assertEqual((0, ""), (status, err))
        kept = set()
        for row in json.loads(out)["days"]:
            for time in row["made_at"].split():
                kept.add(f"{row['day']}T{time}")
            status, _out, err = self.at_time(f"{row['day']} 23:00:00", "schedule-run", "--due", "s")
            self.assertEqual((0, ""), (status, err))
            kept -= set((row["removed_copies"] or "").split())
            self.assertEqual(row["kept"], len(kept))
            names = {self.name_of(time) for time in kept}
            self.assertEqual(names, set(self.snapshots()), row["day"])
        self.assertEqual(40, len(self.history()))

    @staticmethod
    def name_of(time):
        """Of the snapshot of a local time."""
        local = datetime.datetime.fromisoformat(time).replace(tzinfo=zoneinfo.ZoneInfo(ZONE))
        return local.astimezone(datetime.timezone.utc).strftime("s-%Y%m%dT%H%M%SZ")

    def test_missed_times_make_one_run(self):
        self.create()
        for _ in range(3):
            self.at_time("2036-03-18 12:10:00", "schedule-run", "--due", "s")
        self.assertEqual(["s-20360318T110000Z"], self.snapshots())
        # The clock is put back.
        self.at_time("2036-03-18 09:10:00", "schedule-run", "--due", "s")
        self.assertEqual(1, len(self.history()))

    def test_run_under_a_wrong_clock_stops_and_removes_no_later_one(self):
        self.create(options=("--keep-last", "1"))
        self.at_time("2037-01-01 12:10:00", "schedule-run", "--due", "s")
        self.at_time("2036-03-18 12:10:00", "schedule-run", "--due", "s")
        self.at_time("2036-03-18 13:10:00", "schedule-run", "--due", "s")
        self.assertEqual(["s-20370101T110000Z", "s-20360318T120000Z"], self.snapshots())


class Runs(Schedules):
    def test_daemon_runs_due_schedules(self):
        self.create(every="*:*:0/2", options=("--keep-last", "3"))
        self.wait_until(lambda: len(self.history()) >= 4, "four runs of the daemon")
        self.good("schedule-pause", "s")
        self.wait_until(lambda: "running" not in {run["result"] for run in self.history()} and
                        not self.rows("job-list", "jobs"), "the last run has ended", self.history)
        self.assertLessEqual(len(self.snapshots()), 4)
        self.assertEqual({"done"}, {run["result"] for run in self.history()})

    def test_second_run_at_a_time_is_refused_and_a_killed_one_is_interrupted(self):
        self.good("backup-init", self.at("repo") + "/", "--no-encryption")
        self.good("vol-create-as", "p", "big", "32M", "--format", "qcow2")
        subprocess.run(["qemu-io", "-c", "write -P 7 0 32M", self.at("p", "big")], check=True,
                       stdout=subprocess.DEVNULL)
        self.create(do="backup", options=("--repo", self.at("repo") + "/", "--rate-limit", "1K"))
        run = self.background([space.CISTERN, "-c", self.peer.uri, "schedule-run", "s"])
        self.wait_until(lambda: [job for job in self.rows("job-list", "jobs")
                                 if job["operation"] == "backup-create"], "the backup is under way")
        self.assertEqual("running", self.history()[0]["result"])
        self.bad(5, "is running as job", "schedule-run", "s")
        run.send_signal(signal.SIGKILL)
        run.wait()
        self.wait_until(lambda: self.history()[0]["result"] == "interrupted",
                        "the killed run is interrupted")
        self.wait_until(lambda: self.rows("job-list", "jobs") == [], "its backup ends with it")
        self.good("schedule-edit", "s", "--unset", "rate-limit")
        self.good("schedule-run", "s")
        self.assertEqual(["done", "interrupted"], [run["result"] for run in self.history()])

    def hold(self, vol):
        """A job that reads the volume and does not end. Returns its process."""
        subprocess.run(["qemu-io", "-c", "write -P 7 0 16M", self.at("p", vol)], check=True,
                       stdout=subprocess.DEVNULL)
        holder = self.background([space.CISTERN, "-c", self.peer.uri, "vol-clone", "--pool", "p", vol,
                                  vol + "-copy", "--rate-limit", "1K"])
        self.wait_until(lambda: [job for job in self.rows("job-list", "jobs")
                                 if job["operation"] == "clone"], "the clone is under way")
        return holder

    def has_recorded_copy(self):
        """Whether a snapshot has its time. An earlier kill would leave it to the next run."""
        with contextlib.closing(sqlite3.connect(
                os.path.join(self.peer.root, "var/lib/cistern/schedules.db"))) as base:
            return base.execute("SELECT 1 FROM copies WHERE created > 0").fetchone()

    def killed_run(self, when):
        """A due run that waits for the volume "z" and is killed."""
        env = {**space.ENV, "TZ": ZONE, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        run = subprocess.Popen(["faketime", "-f", f"@{when}", space.CISTERN, "-c", self.peer.uri,
                                "schedule-run", "--due", "s"], env=env, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(self.reap, run)
        self.wait_until(lambda: self.has_recorded_copy() and
                        self.history()[0]["result"] == "running",
                        "the run has made a snapshot", self.history)
        # faketime waits for the command, and removes its objects in /dev/shm then.
        subprocess.run(["pkill", "-KILL", "-P", str(run.pid)], check=True)
        run.wait()
        self.wait_until(lambda: self.history()[0]["result"] == "interrupted",
                        "the killed run is interrupted", self.history)

    def test_killed_run_is_made_good_once_and_its_snapshots_are_adopted(self):
        self.good("vol-create-as", "p", "z", "16M", "--format", "qcow2")
        self.create(on=("p/a", "p/z"))
        holder = self.hold("z")
        self.killed_run("2036-03-18 12:10:00")
        made = self.rows("snap-list p/a", "snapshots")
        holder.kill()
        self.wait_until(lambda: self.rows("job-list", "jobs") == [], "the clone has ended")
        status, _out, err = self.at_time("2036-03-18 12:11:00", "schedule-run", "--due", "s")
        self.assertEqual((0, ""), (status, err))
        runs = self.history()
        self.assertEqual(["done", "interrupted"], [run["result"] for run in runs])
        self.assertEqual(runs[0]["planned"], runs[1]["planned"])
        self.assertEqual(2, runs[0]["made"])
        self.assertEqual(made, self.rows("snap-list p/a", "snapshots"))
        self.assertEqual(["s-20360318T110000Z"], self.snapshots("p/z"))
        # The daemon has recorded the interruption and its end as events.
        events = [event["over"] for event in self.rows("events --kind run-interrupted", "events")
                  if event["object"] == "s"]
        self.assertEqual([False, True], events[-2:])

    def test_time_is_not_tried_again_after_two_killed_runs(self):
        self.good("vol-create-as", "p", "z", "16M", "--format", "qcow2")
        self.create(on=("p/a", "p/z"))
        holder = self.hold("z")
        self.killed_run("2036-03-18 12:10:00")
        self.killed_run("2036-03-18 12:11:00")
        holder.kill()
        self.wait_until(lambda: self.rows("job-list", "jobs") == [], "the clone has ended")
        self.at_time("2036-03-18 12:12:00", "schedule-run", "--due", "s")
        self.assertEqual(["interrupted", "interrupted"], [run["result"] for run in self.history()])

    def test_failure_of_a_volume_does_not_stop_the_run(self):
        self.good("vol-create-as", "p", "b", "1M", "--format", "qcow2")
        with open(self.at("p", "b"), "r+b") as image:
            image.write(bytes(512))
        self.good("pool-refresh", "p")
        self.create()
        status, _out, err = self.cistern("schedule-run", "s")
        self.assertEqual(8, status, err)
        self.assertEqual(1, len(self.snapshots("p/a")))
        run = self.history()[0]
        self.assertEqual("partly", run["result"])
        self.assertIn("p/b", run["message"])

    def test_selector_without_volumes_is_a_failure(self):
        self.create(on=("p/x*",))
        self.bad(3, "selects no volumes at present", "schedule-run", "s")
        self.assertEqual(["failed"], [run["result"] for run in self.history()])

    def test_timer_starts_due_runs_without_a_daemon(self):
        root = self.at("embedded")
        cistern = [space.CISTERN, "--root", root]
        os.makedirs(self.at("q"))
        for words in (["pool-define-as", "q", "dir", "--target", self.at("q"), "--start"],
                      ["vol-create-as", "q", "a", "1M", "--format", "qcow2"],
                      ["schedule-create", "s", "--every", "*:*:0/1", "--do", "snapshot", "q"]):
            self.assertEqual(0, subprocess.run([*cistern, *words], env=space.ENV,
                                               stdout=subprocess.DEVNULL, check=False).returncode)

        def has_run():
            subprocess.run([*cistern, "schedule-run", "--due"], env=space.ENV, check=True)
            out = subprocess.run([*cistern, "schedule-history", "--json"], env=space.ENV, check=True,
                                 stdout=subprocess.PIPE).stdout
            return [run for run in json.loads(out)["runs"] if run["result"] == "done"]

        self.wait_until(has_run, "a run of the timer's command")


class Actions(Schedules):
    def setUp(self):
        super().setUp()
        self.repo = self.at("repo") + "/"
        self.good("backup-init", self.repo, "--no-encryption")

    def backups(self):
        return [row["id"] for row in self.rows(f"backup-list {self.repo}", "backups")]

    def test_backups_of_the_schedule_are_kept_by_its_rules(self):
        self.good("backup-create", self.repo, "p/a")
        (by_hand,) = self.backups()
        self.create(do="backup", options=("--repo", self.repo, "--keep-last", "2"))
        for day in ("01", "02", "03", "04"):
            status, _out, err = self.at_time(f"2036-03-{day} 10:00:01", "schedule-run", "s")
            self.assertEqual(0, status, err)
        self.assertEqual(3, len(self.backups()))
        self.assertIn(by_hand, self.backups())
        self.assertEqual([1, 1, 0, 0], [run["removed"] for run in self.history()])
        self.create(name="proof", do="prove", on=(), options=("--repo", self.repo))
        self.cistern("schedule-run", "proof")
        self.assertIn(self.history("proof")[0]["result"], ("done", "failed"))

    def test_backup_of_a_killed_run_is_kept_by_the_rules_of_the_schedule(self):
        self.good("vol-create-as", "p", "b", "4M", "--format", "raw")
        with open(self.at("p", "b"), "r+b") as disk:
            disk.write(os.urandom(4 << 20))
        self.good("backup-create", self.repo, "p/a", "--tag", "schedule-s")
        (by_hand,) = self.backups()
        self.create(do="backup", on=("p/b",),
                    options=("--repo", self.repo, "--keep-last", "1", "--rate-limit", "1K"))
        run = self.background([space.CISTERN, "-c", self.peer.uri, "schedule-run", "s"])

        def jobs():
            return [row["id"] for row in self.rows("job-list", "jobs")
                    if row["operation"] == "backup-create"]

        self.wait_until(jobs, "the backup is under way", self.history)
        os.kill(run.pid, signal.SIGSTOP)
        self.good("job-rate", str(jobs()[0]), "0")
        self.wait_until(lambda: len(self.backups()) == 2, "the backup is made", self.history)
        (of_killed,) = set(self.backups()) - {by_hand}
        run.kill()
        run.wait()
        self.wait_until(lambda: self.history()[0]["result"] == "interrupted",
                        "the killed run is interrupted", self.history)
        self.good("schedule-edit", "s", "--rate-limit", "1G")
        status, _out, err = self.at_time("2036-03-01 10:00:01", "schedule-run", "s")
        self.assertEqual((0, ""), (status, err))
        self.assertEqual((2, 1), (self.history()[0]["made"], self.history()[0]["removed"]))
        self.assertEqual(2, len(self.backups()))
        self.assertIn(by_hand, self.backups())
        self.assertNotIn(of_killed, self.backups())

    def test_check_fails_with_the_name_of_the_damaged_image(self):
        self.create(do="check")
        self.good("schedule-run", "s")
        with open(self.at("p", "a"), "r+b") as image:
            image.seek(0x10000)
            image.write(b"\xff" * 64)
        status, _out, err = self.cistern("schedule-run", "s")
        self.assertEqual(1, status, err)
        self.assertIn("p/a", self.history()[0]["message"])

    def test_trash_is_emptied(self):
        self.good("pool-trash", "p", "--days", "7")
        self.good("vol-delete", "p/a", "--yes")
        self.create(do="trash-empty")
        self.good("schedule-run", "s")
        self.assertEqual([], self.rows("trash-list", "trash"))

    def deepen(self, count):
        """Makes the layers p/a, p/l1 … of a chain of COUNT images, and a volume without a chain."""
        below = "a"
        for number in range(1, count):
            self.good("vol-clone", f"p/{below}", f"l{number}", "--linked")
            below = f"l{number}"

    def depths(self):
        document = json.loads(self.good("pool-chains", "p", "--json"))["chains"]
        return {row["volume"]: row["depth"] for row in document["volumes"]}

    def test_deep_chains_are_consolidated(self):
        self.deepen(6)
        self.create(do="consolidate", on=("p",), options=("--keep-layers", "3", "--rate-limit", "1G"))
        status, out, err = self.cistern("schedule-run", "s", "--dry-run")
        self.assertEqual(0, status, out + err)
        self.assertEqual({"l5": 6}, self.depths())
        self.good("schedule-run", "s")
        self.assertEqual({"l5": 3}, self.depths())
        row = self.history()[0]
        self.assertEqual(("done", 1, 3), (row["result"], row["made"], row["removed"]))
        files = self.sizes()
        self.good("schedule-run", "s")
        self.assertEqual(({"l5": 3}, files, 0),
                         (self.depths(), self.sizes(), self.history()[0]["made"]))

    def sizes(self):
        return {name: os.path.getsize(self.at("p", name)) for name in os.listdir(self.at("p"))}

    def test_protected_layer_is_consolidated_once(self):
        self.deepen(6)
        self.good("vol-protect", "p/l4")
        self.create(do="consolidate", on=("p",), options=("--keep-layers", "3"))
        self.assertEqual(8, self.cistern("schedule-run", "s")[0])
        self.assertIn("p/l4", self.history()[0]["message"])
        self.assertEqual({"l5": 3, "l4": 5}, self.depths())
        self.good("schedule-run", "s")
        self.assertEqual({"l5": 3, "l4": 3}, self.depths())
        files = self.sizes()
        self.good("schedule-run", "s")
        self.assertEqual(files, self.sizes())

    def test_depth_of_the_pool_is_the_default(self):
        self.deepen(4)
        self.create(do="consolidate", on=("p",))
        self.good("schedule-run", "s")
        self.assertEqual(({"l3": 4}, 0), (self.depths(), self.history()[0]["made"]))
        self.good("pool-chains", "p", "--warn", "2")
        self.good("schedule-run", "s")
        self.assertEqual(2, self.depths()["l3"])

    def test_volume_in_use_is_skipped(self):
        self.deepen(4)
        self.create(do="consolidate", on=("p",), options=("--keep-layers", "2"))
        with subprocess.Popen(["qemu-io", "-f", "qcow2", self.at("p", "l3")], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            process.stdin.write("length\n")
            process.stdin.flush()
            process.stdout.readline()
            status, _out, err = self.cistern("schedule-run", "s")
            process.stdin.close()
        self.assertEqual(75, status, err)
        self.assertIn("p/l3", self.history()[0]["message"])

    def test_wrong_number_of_layers_is_refused(self):
        status, _out, err = self.cistern("schedule-create", "t", "--every", "daily", "--do",
                                         "consolidate", "p", "--keep-layers", "1")
        self.assertEqual(2, status)
        self.assertIn("--keep-layers", err)

    def test_old_value_of_a_secret_is_a_failure(self):
        uuid = "55806c7d-8e93-456f-829b-607d8c198367"
        path = self.file("secret.xml", f"<secret><uuid>{uuid}</uuid></secret>")
        self.good("secret-define", path)
        self.good("secret-set-value", uuid, "--file", self.file("value", "x"), "--plain")
        self.create(do="rotate-check", on=(), options=("--older-than", "30d"))
        self.good("schedule-run", "s")
        status, _out, err = self.at_time("2036-06-01 10:00:00", "schedule-run", "s")
        self.assertEqual(1, status, err)
        self.assertIn(uuid, self.history()[0]["message"])


class Replication(WithTwoDaemons, Schedules):
    def setUp(self):
        super().setUp()
        os.makedirs(self.at("there"), exist_ok=True)
        self.make_pool_there(self.at("there"))

    def snapshots_there(self):
        out = peers.run([space.CISTERN, "-c", self.far.uri, "snap-list", "p/a", "--json"])[1]
        return [row["name"] for row in json.loads(out)["snapshots"]]

    def test_snapshots_go_along_and_the_rules_apply_there(self):
        self.create(do="copy", options=("--to", self.far.uri, "--keep-last", "2"))
        for day in ("01", "02", "03"):
            subprocess.run(["qemu-io", "-c", f"write -P {int(day)} 0 64k", self.at("p", "a")],
                           check=True, stdout=subprocess.DEVNULL)
            status, _out, err = self.at_time(f"2036-03-{day} 10:00:01", "schedule-run", "s")
            self.assertEqual(0, status, err)
        self.assertEqual(["s-20360302T090000Z", "s-20360303T090000Z"], self.snapshots_there())
        self.assertEqual(["s-20360303T090000Z"], self.snapshots())

    def test_foreign_volume_there_is_not_overwritten(self):
        there = [space.CISTERN, "-c", self.far.uri]
        self.assertEqual(0, peers.run([*there, "vol-create-as", "p", "a", "1M", "--format",
                                       "qcow2"])[0])
        with open(os.path.join(self.at("there"), "a"), "rb") as image:
            before = image.read()
        self.create(do="copy", options=("--to", self.far.uri))
        for _ in range(2):
            status, _out, err = self.cistern("schedule-run", "s")
            self.assertEqual(1, status, err)
            self.assertIn("is no copy of this schedule", err)
        with open(os.path.join(self.at("there"), "a"), "rb") as image:
            self.assertEqual(before, image.read())
        # Failed copies leave no snapshots here.
        self.assertEqual([], self.snapshots())
