#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""scripts/test forgives a flaky test, and never a crash, a sanitizer's report or a second failure."""

import contextlib
import glob
import importlib.machinery
import importlib.util
import io
import os
import tempfile
import time
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# A test that fails the first time, whatever runs it.
FAILS_ONCE = """
import os, unittest

MARK = os.path.join({folder!r}, "failed")

class Planted(unittest.TestCase):
    def test_sound(self):
        pass

    def test_planted(self):
        if os.path.exists(MARK):
            return
        open(MARK, "w").close()
        self.fail({reason!r})
"""
FAILS_ALWAYS = """
import unittest

class Planted(unittest.TestCase):
    def test_planted(self):
        self.fail("always")
"""
# A program of meson's that reports two cases and a failure or a crash of the first.
PROGRAM = """#!/bin/sh
if [ -e {folder}/ran ]; then
    printf '1..2\\nok 1 - first\\nok 2 - second\\n'
    exit 0
fi
: >{folder}/ran
printf '1..2\\nnot ok 1 - first\\n'
{end}
printf 'ok 2 - second\\n'
exit 1
"""


def load_runner(build):
    """scripts/test as a module that writes into the folder BUILD."""
    os.environ["BUILD"] = build
    loader = importlib.machinery.SourceFileLoader("runner", os.path.join(TOP, "scripts/test"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("runner", loader))
    loader.exec_module(module)
    return module


class Runner(unittest.TestCase):
    def setUp(self):
        # The variables of the run that plays this test.
        for name in ("TEST_ORDER", "TEST_UNTIL"):
            os.environ.pop(name, None)
        self.folder = self.enterContext(tempfile.TemporaryDirectory())
        os.makedirs(os.path.join(self.folder, "suite"))
        os.symlink(os.path.join(TOP, "tests/system/run"), os.path.join(self.folder, "suite/run"))
        self.runner = load_runner(os.path.join(self.folder, "build"))
        self.runner.JOBS = 1
        self.runner.WORDS["planted"] = self.runner.test_id

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(path, 0o755)
        return path

    def play(self, action):
        """Runs ACTION as a suite; returns what the run prints, with its end."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            action()
            self.runner.report_end(self.runner.flaky.KernelLog())
        return said.getvalue()

    def play_python(self, text):
        self.write("suite/planted_test.py", text)
        return self.play(lambda: self.runner.run_suite(
            "planted", os.path.join(self.folder, "suite/run"), None, {"BUILD": "build"}))

    def play_program(self, end):
        command = self.write("program", PROGRAM.format(folder=self.folder, end=end))
        test = {"name": "program", "cmd": [command], "workdir": self.folder, "env": {}, "suite": []}
        return self.play(lambda: self.runner.run_meson_tests(self.folder, [test], "unit"))

    def stored(self):
        texts = {}
        for path in glob.glob(os.path.join(self.folder, "build/flaky/*")):
            with open(path, encoding="utf-8") as stream:
                texts[os.path.basename(path)] = stream.read()
        return texts

    def test_flaky_test_passes_and_is_listed_with_both_outputs(self):
        said = self.play_python(FAILS_ONCE.format(folder=self.folder, reason="a moment too late"))
        self.assertEqual("2 passed, 0 failed", said.splitlines()[-1], said)
        self.assertIn("flaky (both outputs are in", said)
        name = "planted_test.Planted.test_planted"
        self.assertIn(f"  planted: {name}", said)
        self.assertRegex(said.split("flaky (both")[1], r"\| .*a moment too late")
        stored = self.stored()
        self.assertEqual(f"planted\t{name}\n", stored.pop("list"))
        self.assertEqual(["failed", "passed"], sorted(path.split(".")[-1] for path in stored))
        self.assertIn("a moment too late",
                      next(text for path, text in stored.items() if path.endswith(".failed")))

    def test_second_run_begins_after_the_time_of_the_run(self):
        now = time.time()
        os.environ["TEST_UNTIL"] = str(now - 100)
        self.addCleanup(os.environ.pop, "TEST_UNTIL")
        late = load_runner(os.path.join(self.folder, "build"))
        late.WORDS["planted"] = late.test_id
        late.UNTIL.set(str(now + 3600))  # the first run begins in time
        self.runner = late

        def action():
            command = [os.path.join(self.folder, "suite/run")]
            self.write("suite/planted_test.py", FAILS_ONCE.format(folder=self.folder, reason="late"))
            count = late.run_counted(command, {"BUILD": "build"}.items())
            late.UNTIL.set(str(now - 200))  # the share of the suite is over
            late.finish("planted", count, late.second_counted_run(command, late.test_id, {}))
        said = self.play(action)
        self.assertEqual("2 passed, 0 failed", said.splitlines()[-1], said)

    def test_test_that_fails_twice_fails_the_run(self):
        said = self.play_python(FAILS_ALWAYS)
        self.assertEqual("0 passed, 1 failed", said.splitlines()[-1], said)
        self.assertIn("failed again", said)
        self.assertEqual({}, self.stored())

    def test_sanitizer_report_is_not_forgiven(self):
        for report in ("ERROR: AddressSanitizer: heap-use-after-free", "x.c:3: runtime error: shift",
                       "WARNING: ThreadSanitizer: data race", "cisternd ended with -11"):
            with self.subTest(report=report):
                self.setUp()
                said = self.play_python(FAILS_ONCE.format(folder=self.folder, reason=report))
                self.assertEqual("1 passed, 1 failed", said.splitlines()[-1], said)
                self.assertNotIn("second run", said)

    def test_leaks_after_a_failed_assertion_and_failures_of_the_checker_are_forgiven(self):
        leaks = ("ERROR: LeakSanitizer: detected memory leaks\n"
                 "SUMMARY: AddressSanitizer: 120 byte(s) leaked in 3 allocation(s).\n")
        use = "ERROR: AddressSanitizer: heap-use-after-free\n"
        for output, crashed in ((f"not ok 4 - x\n{leaks}", False), (f"ok 4 - x\n{leaks}", True),
                                (f"not ok 4 - x\n{use}{leaks}", True),
                                (f"not ok 4 - x\n{leaks}status -6; failed: x\n", False),
                                (f"not ok 4 - x\n{leaks}status -11; failed: x\n", True),
                                ("not ok 4 - x\nstatus -6; failed: x\n", True),
                                ("Tracer caught signal 11: addr=0x5b0 pc=0x7f sp=0x7f\n"
                                 "==1==LeakSanitizer has encountered a fatal error.\n"
                                 "==1==HINT: LeakSanitizer does not work under ptrace\n", False)):
            self.assertEqual(crashed, self.runner.Failure("x", output).crashed(), output)

    def test_flaky_program_passes_with_all_its_cases(self):
        said = self.play_program("true")
        self.assertEqual("2 passed, 0 failed", said.splitlines()[-1], said)
        self.assertIn("  unit: program", said)

    def test_crashed_program_fails_the_run(self):
        said = self.play_program("kill -SEGV $$")
        self.assertEqual("0 passed, 2 failed", said.splitlines()[-1], said)
        self.assertNotIn("second run", said)

    def test_program_that_gives_up_a_wait_gets_a_second_run(self):
        said = self.play_program("echo 'x.c:3: not so after 120 s: done' >&2; kill -ABRT $$")
        self.assertEqual("2 passed, 0 failed", said.splitlines()[-1], said)

    def test_crash_in_the_kernels_log_is_found(self):
        for line, found in (("[1.0] cisternd[7]: segfault at 0 ip 0 sp 0 error 4 in cisternd[1+2]", True),
                            ("[1.0] worker[7]: segfault at 0 ip 0 sp 0 error 4 in cisternd[1+2]", True),
                            ("[1.0] python3[7]: segfault at 0 ip 0 sp 0 in libc.so.6[1+2]", False)):
            self.assertEqual(found, bool(self.runner.flaky.KERNEL.search(line)), line)

    def test_runs_with_other_words_play_tests_in_another_order(self):
        names = [f"test{number}" for number in range(20)]
        self.addCleanup(os.environ.pop, "TEST_ORDER", None)
        self.assertEqual(names, self.runner.until.shuffled(names))
        orders = []
        for word in ("one", "two", "one"):
            os.environ["TEST_ORDER"] = word
            orders.append(self.runner.until.shuffled(names))
            self.assertEqual(names, sorted(orders[-1], key=names.index))
        self.assertEqual(orders[0], orders[2])
        self.assertNotEqual(orders[0], orders[1])

    def test_four_flaky_tests_fail_the_run(self):
        failures = [self.runner.Failure(f"test{number}") for number in range(4)]

        def add():
            count = self.runner.Count()
            count.add(failed=4, failures=failures)
            self.runner.finish("planted", count, lambda failure: (True, ""))
        said = self.play(add)
        self.assertEqual("4 passed, 1 failed", said.splitlines()[-1], said)
        self.assertIn("more than 3 flaky tests", said)

    def test_failed_cases_of_one_machine_are_one_flaky_test(self):
        steps = [self.runner.Failure(f"iscsi: step {number}") for number in range(18)]
        played = []

        def second_run(failure):
            played.extend(self.runner.WORDS["lab"](failure.name))
            return True, ""

        def add():
            count = self.runner.Count()
            count.add(passed=1, failed=19, failures=self.runner.join_by_topic(
                [*steps, self.runner.Failure("zfs: a pool, once started, stays")]))
            self.runner.finish("lab", count, second_run)
        said = self.play(add)
        self.assertEqual("20 passed, 0 failed", said.splitlines()[-1], said)
        self.assertEqual(["iscsi", "zfs/once started"], played)

    def test_tests_of_the_list_run_again(self):
        self.play_python(FAILS_ONCE.format(folder=self.folder, reason="x"))
        self.runner.TOTAL = self.runner.Count()
        self.runner.FLAKY.tests = []
        played = []
        self.runner.SUITES["planted"] = played.append
        said = self.play(lambda: self.runner.run_again(3))
        self.assertEqual(["planted_test.Planted.test_planted"] * 3, played, said)


if __name__ == "__main__":
    unittest.main()
