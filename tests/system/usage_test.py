# SPDX-License-Identifier: LGPL-2.1-or-later
"""The history of the use of pools: samples, table, chart, forecast, and a full disk."""

import csv
import datetime
import fcntl
import io
import json
import os
import pty
import shutil
import struct
import subprocess
import termios
import unittest

from harness import peers, space, wait
from harness.cases import WithDaemon

MIB = 1 << 20
DAY = 86400
NAMESPACE = "urn:cistern:storage:1.0"
START = 1798718400  # 2026-12-31 12:00:00 UTC


@unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
class History(unittest.TestCase):
    """A pool on a file system of 100 MiB, which a clock of its own fills day by day."""

    def setUp(self):
        name = self.id().rpartition(".")[2]
        self.root, self.pool = space.path(name, "root"), space.path(name, "pool")
        self.uri = f"storage:///embed?root={self.root}"
        os.makedirs(self.root)
        os.makedirs(self.pool)
        space.tmpfs(self.pool, "100M")
        self.addCleanup(space.unmount, self.pool)
        self.good("pool-define-as", "p", "dir", "--target", self.pool, "--start")
        self.files = 0

    def run_at(self, when, *words, **environment):
        env = {**space.ENV, "TZ": "UTC", "FAKETIME_DONT_FAKE_MONOTONIC": "1", **environment}
        clock = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
        return peers.run(["faketime", "-f", f"@{clock:%Y-%m-%d %H:%M:%S}", space.CISTERN,
                          "-c", self.uri, *words], env=env)

    def good(self, *words, when=START, **environment):
        status, out, err = self.run_at(when, *words, **environment)
        self.assertEqual((0, ""), (status, err), words)
        return out

    def json(self, *words, when=START):
        return json.loads(self.good(*words, "--json", when=when))

    def grow(self, mebibytes):
        self.files += 1
        with open(os.path.join(self.pool, f"file{self.files}"), "wb") as stream:
            stream.write(b"x" * (mebibytes * MIB))

    def record(self, days, mebibytes):
        """Samples once a day; returns the time of the last sample."""
        for day in range(days):
            if day:
                self.grow(mebibytes)
            self.good("pool-usage-sample", when=START + day * DAY)
        return START + (days - 1) * DAY

    def test_table_has_the_sizes_of_each_day(self):
        last = self.record(3, 10)
        rows = self.json("pool-usage", "p", when=last)["usage"]
        self.assertEqual([0, 10, 20], [row["allocation"] // MIB for row in rows])
        self.assertEqual(["2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"],
                         [row["time"] for row in rows])
        self.assertEqual([100, 90, 80], [row["available"] // MIB for row in rows])
        self.assertEqual([100] * 3, [row["capacity"] // MIB for row in rows])
        self.assertEqual([0, 10, 20], [row["provisioned"] // MIB for row in rows])
        self.assertEqual([0.0, 10.0, 20.0], [row["use_percent"] for row in rows])
        text = self.good("pool-usage", "p", when=last)
        self.assertIn("20.00%", text)
        self.assertNotIn("Thin", text)
        table = list(csv.DictReader(io.StringIO(
            self.good("pool-usage", "p", "--format", "csv", when=last))))
        self.assertEqual([str(row["allocation"]) for row in rows],
                         [row["allocation"] for row in table])

    def test_since_and_step_select_the_rows(self):
        last = self.record(3, 10)
        def rows(*words):
            return [row["time"] for row in self.json("pool-usage", "p", *words, when=last)["usage"]]
        self.assertEqual(["2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"],
                         rows("--since", "1d", "--step", "1d"))
        self.assertEqual(["2027-01-02T12:00:00Z"], rows("--since", "12h"))
        self.assertEqual(["2027-01-01T12:00:00Z", "2027-01-02T12:00:00Z"],
                         rows("--since", "1d"))
        for words in (("--since", "3"), ("--since", "-1d"), ("--since", "0d"), ("--step", "2h"),
                      ("--since", "99999999999999999999d")):
            status, _out, err = self.run_at(last, "pool-usage", "p", *words)
            self.assertEqual(2, status, err)
            self.assertIn(words[1], err)
        self.assertEqual(3, self.run_at(last, "pool-usage", "q")[0])

    def test_second_sample_in_five_minutes_is_not_taken(self):
        def count(when):
            return self.json("pool-usage-sample", when=when)["samples"]
        self.assertEqual([1, 0, 1], [count(START), count(START + 200), count(START + 300)])
        self.assertIn("Would record", self.good("pool-usage-sample", "--dry-run",
                                                when=START + 600))
        self.assertEqual(1, count(START + 600))

    def test_inactive_pool_has_no_sample_and_keeps_its_history(self):
        last = self.record(2, 10)
        self.good("pool-destroy", "p")
        self.assertEqual(0, self.json("pool-usage-sample", when=last + DAY)["samples"])
        self.assertEqual(2, len(self.json("pool-usage", "p", when=last + DAY)["usage"]))

    def test_forecast_names_the_day_and_its_interval(self):
        last = self.record(20, 4)
        (row,) = self.json("pool-usage", "p", "--forecast", when=last)["forecast"]
        # 76 of 100 MiB are used, and 4 MiB more each day.
        self.assertEqual(("space", 6, None), (row["space"], row["days_until_full"], row["unknown"]))
        self.assertEqual(4, row["growth"] // MIB)
        self.assertLessEqual(row["earliest"], 6)
        self.assertLessEqual(6, row["latest"])
        self.assertLessEqual(row["latest"] - row["earliest"], 2)
        # A larger file system moves the day with the next sample.
        subprocess.run(["mount", "-o", "remount,size=120M", self.pool], check=True)
        self.good("pool-usage-sample", when=last + 300)
        (row,) = self.json("pool-usage", "p", "--forecast", when=last + 300)["forecast"]
        self.assertIn(row["days_until_full"], (8, 9, 10, 11))

    def test_short_history_gives_the_reason_and_no_day(self):
        last = self.record(5, 4)
        (row,) = self.json("pool-usage", "p", "--forecast", when=last)["forecast"]
        self.assertEqual((None, "the history is too short"),
                         (row["days_until_full"], row["unknown"]))

    def test_list_is_sorted_by_the_days_until_full(self):
        other, third = (space.path(f"list-{name}") for name in ("other", "third"))
        for name, where in (("a", other), ("b", third)):
            os.makedirs(where)
            space.tmpfs(where, "200M")
            self.addCleanup(space.unmount, where)
            self.good("pool-define-as", name, "dir", "--target", where, "--start")
        for day in range(16):
            self.grow(4)
            with open(f"{other}/file{day}", "wb") as stream:
                stream.write(b"x" * (6 * MIB))
            self.good("pool-usage-sample", when=START + day * DAY)
        rows = self.json("pool-list", "--columns", "name,days-until-full", "--sort",
                         "days-until-full", when=START + 15 * DAY)["pools"]
        self.assertEqual([("p", 9), ("a", 18), ("b", None)],
                         [(row["name"], row["days_until_full"]) for row in rows])
        self.assertNotIn("days_until_full", self.json("pool-list", "--details")["pools"][0])

    def test_chart_is_ascii_without_utf8_and_blocks_with_it(self):
        last = self.record(4, 25)
        out = self.good("pool-usage", "p", "--chart", when=last, LC_ALL="C")
        self.assertTrue(out.isascii(), out)
        rows = [line.partition("|")[2] for line in out.splitlines() if "|" in line]
        self.assertEqual(10, len(rows))
        self.assertEqual("####"[1:], rows[-1].strip()[-3:])
        self.assertEqual(["", "", "   ."[:0]], [row.strip("# .") for row in rows[:3]])
        # Zero, 25, 50 and 75 MiB of 100.
        heights = [sum(row[bar:bar + 1] == "#" for row in rows) for bar in range(4)]
        self.assertEqual([0, 2, 5, 7], heights)
        self.assertIn("100.00 MiB", out)
        out = self.good("pool-usage", "p", "--chart", when=last, LC_ALL="C.UTF-8")
        self.assertIn("┤▁███", out)

    def test_chart_fits_the_terminal_and_is_coloured_unless_no_color(self):
        last = self.record(4, 31)
        for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            out = self.on_terminal(last, environment)
            self.assertEqual(coloured, "\x1b[31m" in out, out)
            for line in out.replace("\x1b[31m", "").replace("\x1b[0m", "").splitlines():
                self.assertLessEqual(len(line), 40, line)

    def on_terminal(self, when, environment):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        clock = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
        env = {**os.environ, **space.ENV, "TZ": "UTC", "LC_ALL": "C.UTF-8", "TERM": "xterm",
               "FAKETIME_DONT_FAKE_MONOTONIC": "1", **environment}
        subprocess.run(["faketime", "-f", f"@{clock:%Y-%m-%d %H:%M:%S}", space.CISTERN, "-c",
                        self.uri, "pool-usage", "p", "--chart"], stdout=slave, env=env, check=True)
        os.close(slave)
        out = b""
        try:
            while data := os.read(master, 65536):
                out += data
        except OSError:
            pass  # the terminal was closed
        os.close(master)
        return out.decode()

    def test_full_disk_skips_a_sample_and_keeps_the_history(self):
        self.record(2, 1)
        data = os.path.join(self.root, "var/lib/cistern")
        copy = space.path("usage-copy")
        shutil.copytree(data, copy)
        space.tmpfs(data, "1M")
        self.addCleanup(space.unmount, data)
        shutil.copytree(copy, data, dirs_exist_ok=True)
        try:
            with open(f"{data}/filler", "wb", buffering=0) as stream:
                while stream.write(b"x" * 4096):
                    pass
        except OSError:
            pass  # the disk is full
        status, _out, err = self.run_at(START + 3 * DAY, "pool-usage-sample")
        self.assertEqual(1, status, err)
        self.assertIn("usage.db", err)
        os.remove(f"{data}/filler")
        self.assertEqual(2, len(self.json("pool-usage", "p", when=START + 3 * DAY)["usage"]))
        self.good("pool-usage-sample", when=START + 3 * DAY)
        self.assertEqual(3, len(self.json("pool-usage", "p", when=START + 3 * DAY)["usage"]))

    def test_clock_that_was_ahead_leaves_no_row(self):
        for day in (0, 1, 2, 3, 400):
            self.good("pool-usage-sample", when=START + day * DAY)
        last = START + 4 * DAY
        self.assertEqual(4, len(self.json("pool-usage", "p", when=last)["usage"]))
        self.good("pool-usage-sample", when=last)
        self.assertEqual(5, len(self.json("pool-usage", "p", "--since", "9y",
                                          when=START + 800 * DAY)["usage"]))


    def levels(self, when):
        return {row["space"]: (row["use_percent"], row["level"])
                for row in self.json("pool-thresholds", "p", when=when)["thresholds"]}

    def test_thresholds_are_a_part_of_the_definition_and_give_a_level(self):
        self.assertEqual({"space": (None, None)}, self.levels(START))
        self.good("pool-thresholds", "p", "--warn", "20", "--critical", "30")
        self.assertIn("<cistern:thresholds warn='20' critical='30'/>",
                      self.good("pool-dumpxml", "p", "--inactive"))
        last = self.record(4, 10)
        self.assertEqual({"space": (30.0, "critical")}, self.levels(last))
        self.good("pool-thresholds", "p", "--critical", "31")
        self.assertEqual({"space": (30.0, "warn")}, self.levels(last))
        self.good("pool-thresholds", "p", "--warn", "off")
        self.assertEqual({"space": (30.0, "ok")}, self.levels(last))
        self.assertIn("<cistern:thresholds critical='31'/>",
                      self.good("pool-dumpxml", "p", "--inactive"))
        self.good("pool-thresholds", "p", "--critical", "off")
        self.assertNotIn("cistern", self.good("pool-dumpxml", "p", "--inactive"))

    def test_level_of_a_pool_is_an_event_until_it_falls(self):
        def level_events(when):
            rows = self.json("events", "--object", "p", "--since", "20d", when=when)["events"]
            return [(row["event"], row["over"]) for row in rows
                    if row["event"] in ("pool-warn", "pool-critical")]

        self.good("pool-thresholds", "p", "--warn", "10", "--critical", "30")
        last = self.record(4, 10)
        wanted = [("pool-warn", False), ("pool-warn", True), ("pool-critical", False)]
        self.assertEqual(wanted, level_events(last))
        # The event names the space and its use.
        (row,) = self.json("events", "--kind", "pool-critical", "--since", "20d", when=last)["events"]
        self.assertIn("pool 'p': space is full by 30.00%, threshold critical", row["message"])
        self.good("pool-thresholds", "p", "--warn", "50", "--critical", "off")
        self.good("pool-usage-sample", when=last + DAY)
        self.assertEqual(wanted + [("pool-critical", True)], level_events(last + DAY))
        self.good("pool-usage-sample", when=last + 2 * DAY)
        self.assertEqual(wanted + [("pool-critical", True)], level_events(last + 2 * DAY))

    def test_wrong_thresholds_are_refused_without_a_change(self):
        before = self.good("pool-dumpxml", "p", "--inactive")
        for words in (("--warn", "0"), ("--warn", "101"), ("--critical", "x"), ("--warn", "-1"),
                      ("--warn", "90", "--critical", "80")):
            status, _out, err = self.run_at(START, "pool-thresholds", "p", *words)
            self.assertEqual(2, status, err)
            self.assertIn(words[0], err)
        self.good("pool-thresholds", "p", "--warn", "80", "--dry-run")
        self.assertEqual(before, self.good("pool-dumpxml", "p", "--inactive"))
        os.makedirs(os.path.join(self.pool, "t"))
        self.good("pool-create-as", "t", "dir", "--target", os.path.join(self.pool, "t"))
        status, _out, err = self.run_at(START, "pool-thresholds", "t", "--warn", "80")
        self.assertEqual(5, status, err)
        self.assertIn("has no definition", err)


class OverDaemon(WithDaemon):
    def usage(self, *words):
        status, out, err = self.cistern("pool-usage", "p", "--step", "5m", *words)
        self.assertEqual(0, status, err)
        return out


class FirstSample(OverDaemon):
    """A daemon that has just started: its first sample is ten seconds after the start."""

    def test_daemon_samples_by_itself(self):
        self.ok("vol-create-as", "p", "a", "5M")
        wait.until(lambda: json.loads(self.usage("--json"))["usage"], "a sample of the daemon")
        (row, *_rest) = json.loads(self.usage("--json"))["usage"]
        self.assertGreater(row["capacity"], 0)
        status, out, err = self.cistern("pool-usage", "p", "--forecast")
        self.assertEqual((0, ""), (status, err))
        self.assertIn("the history is too short", out)


@unittest.skipUnless(space.private_mounts(), "needs root and a mount namespace")
class Daemon(OverDaemon):
    def pool_with(self, name, attributes):
        target = self.at(name)
        os.makedirs(target)
        space.tmpfs(target, "10M")
        self.addCleanup(space.unmount, target)
        self.addCleanup(self.cistern, "pool-destroy", name)
        with open(os.path.join(target, "data"), "wb") as stream:
            stream.write(b"x" * (5 * MIB))
        document = self.file(f"{name}.xml", f"<pool type='dir' xmlns:cistern='{NAMESPACE}'>"
                             f"<name>{name}</name><target><path>{target}</path></target>"
                             f"<cistern:thresholds {attributes}/></pool>")
        return self.cistern("pool-create", document)

    def test_daemon_logs_a_pool_above_its_thresholds_once(self):
        for name, attributes in (("low", "warn='50' critical='51'"), ("none", "warn='51'")):
            status, _out, err = self.pool_with(name, attributes)
            self.assertEqual(0, status, err)
        self.cistern("pool-usage-sample")
        wait.until(lambda: "pool 'low': space is full by 50.00%" in self.peer.log(),
                   "a warning about the pool", self.peer.log)
        self.assertIn("threshold warn", self.peer.log())
        self.cistern("pool-usage-sample")
        self.assertEqual(1, self.peer.log().count("pool 'low': space is full"))
        wait.until(lambda: "pool-warn" in self.cistern("events", "--object", "low")[1],
                   "an event about the pool", lambda: self.cistern("events"))
        self.assertNotIn("pool 'none': space is full", self.peer.log())

    def test_wrong_thresholds_in_a_document_are_refused(self):
        for number, attributes in enumerate(("warn='0'", "critical='101'", "warn='1x'",
                                             "warn='50' critical='49'")):
            status, _out, err = self.pool_with(f"bad{number}", attributes)
            self.assertNotEqual(0, status)
            self.assertIn("threshold", err)

    def test_sample_over_a_read_only_connection_is_refused(self):
        status, _out, err = self.cistern("--readonly", "pool-usage-sample")
        self.assertNotEqual(0, status)
        self.assertIn("cisternPoolUsageSample", err)
        self.assertEqual(0, self.cistern("--readonly", "pool-usage", "p")[0])

    def test_daemon_sees_a_file_that_a_guest_has_written(self):
        """The space of a local file system is read for a sample, without a refresh."""
        self.assertEqual(0, self.cistern("pool-usage-sample")[0])
        rows = json.loads(self.usage("--json"))["usage"]
        # The daemon may take a sample of the next five minutes.
        self.assertIn(len(rows), (1, 2))
        self.assertEqual(rows[0]["allocation"] + rows[0]["available"], rows[0]["capacity"])


if __name__ == "__main__":
    unittest.main()
