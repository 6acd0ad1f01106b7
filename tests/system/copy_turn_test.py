# SPDX-License-Identifier: LGPL-2.1-or-later
"""The limit of jobs that copy into one pool ([limits] copies)."""

import json
import os

from harness.cases import WithDaemon

SIZE = 4 << 20
WAITING = 20


class Turns(WithDaemon):
    CONFIG = "[limits]\ncopies = 1\n"

    def setUp(self):
        super().setUp()
        with open(self.at("p", "big"), "wb") as stream:
            stream.write(os.urandom(SIZE))
        self.ok("pool-refresh", "p")

    def convert(self, name, *words):
        """A conversion that nobody waits for. Returns its number."""
        status, out, err = self.cistern("vol-convert", "big", name, "--pool", "p", "--format",
                                        "qcow2", "--detach", *words)
        self.assertEqual(0, status, err)
        return out.strip()

    def state(self, number):
        _status, out, _err = self.cistern("--json", "job-info", number)
        return json.loads(out)["job"]["state"]

    def test_second_conversion_waits_and_is_cancelled_or_runs(self):
        first = self.convert("one", "--rate-limit", "1k")
        self.wait_until(lambda: self.state(first) == "running", "the first copies")
        cancelled, second = self.convert("two"), self.convert("three")
        for number in (cancelled, second):
            self.wait_until(lambda number=number: self.state(number) == "waiting", "it waits")
        self.assertEqual(0, self.cistern("job-cancel", cancelled)[0])
        self.wait_until(lambda: self.state(cancelled) == "cancelled", "it is cancelled")
        self.assertEqual("waiting", self.state(second))
        self.assertEqual(0, self.cistern("job-rate", first, "0")[0])
        for number in (first, second):
            self.assertEqual(0, self.cistern("job-wait", number)[0])
        names = self.ok("vol-list", "p")
        self.assertIn("three", names)
        self.assertNotIn("two", names)

    def test_conversions_that_wait_have_no_copying_threads(self):
        first = self.convert("one", "--rate-limit", "1k")
        self.wait_until(lambda: self.state(first) == "running", "the first copies")
        before = len(os.listdir(f"/proc/{self.peer.process.pid}/task"))
        numbers = [self.convert(f"w{i}") for i in range(WAITING)]
        for number in numbers:
            self.wait_until(lambda number=number: self.state(number) == "waiting", "it waits")
        threads = len(os.listdir(f"/proc/{self.peer.process.pid}/task"))
        self.assertLessEqual(threads, before + WAITING + WAITING // 2)
        self.assertEqual(0, self.cistern("job-rate", first, "0")[0])
        for number in numbers:
            self.assertEqual(0, self.cistern("job-wait", number)[0])
