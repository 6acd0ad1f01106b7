# SPDX-License-Identifier: LGPL-2.1-or-later
"""Failed tests get a second run by themselves; the ones that pass then are flaky.

A flaky test counts as passed and is listed at the end of the run. At most MOST of them leave the run
green. A crash, a sanitizer's report and a data race stay failures without a second run.

BUILD/flaky has the list ("list": suite, tab, test) and both outputs of each test. `make test-again`
(scripts/test again) runs the tests of the list 50 times each beside a load.
"""

import os
import re
import shutil
import subprocess

MOST = 3
# More failures than these in one suite have one cause, and no second run shows it.
SECOND_RUNS = 8
REASON_LINES = 12
CRASH = re.compile(
    r"(?:Address|Leak|Thread|Memory|UndefinedBehavior)Sanitizer|runtime error: "
    r"|exception: (?:Segmentation|Aborted|Illegal|Bus|Floating)|Segmentation fault"
    r"|core dumped|stack smashing|a sanitizer's report|free\(\): |malloc\(\): |munmap_chunk"
    r"|(?:status|with|!=|returned) -(?:4|6|7|8|11)\b")
# A failed assertion leaves the function, so that the memory of the test is not freed.
LEFT = re.compile(r"^(?:not ok |\[  FAILED  \])", re.M)
LEAKS = re.compile(r"ERROR: LeakSanitizer: detected memory leaks"
                   r"|SUMMARY: AddressSanitizer: \d+ byte\(s\) leaked")
# LeakSanitizer reads the stacks of all threads, and fails itself when one of them ends meanwhile.
TRACER = re.compile(r"LeakSanitizer has encountered a fatal error|LeakSanitizer does not work under")
# A test ends itself by SIGABRT when a wait is over (tests/unit/await.h, points.c): no crash.
GAVE_UP = re.compile(r"not so after \d+ s: |test point '")
KERNEL = re.compile(r"cistern\S*(?:\[\d+\])?: segfault at |trap .* in cistern| in cisternd?\[")


class Failure:
    """One failed test: its NAME in the suite LABEL, how many CASES of it failed, and its OUTPUT."""

    def __init__(self, name, output="", cases=1):
        self.label = None
        self.name = name
        self.output = output
        self.cases = cases
        self.again = ""  # the output of the second run

    def __str__(self):
        return f"{self.label}: {self.name}"

    def crashed(self):
        output = TRACER.sub("", self.output)
        forgiven_leaks = LEFT.search(output) and LEAKS.search(output)
        if forgiven_leaks:
            output = LEAKS.sub("", output)
        # The options of the sanitizer end a test with leaks by SIGABRT, too.
        if forgiven_leaks or GAVE_UP.search(output):
            output = output.replace("status -6", "")
        return CRASH.search(output) is not None

    def reason(self):
        """The end of the output of the failed run, where most tests say how they failed."""
        lines = [line for line in self.output[-8000:].splitlines() if line.strip()]
        return lines[-REASON_LINES:]


class Flaky:
    """The flaky tests of a run."""

    def __init__(self, folder):
        self.folder = folder
        self.tests = []
        self.off = False  # no second runs

    def judge(self, failures, second_run, say):
        """
        Runs each of FAILURES once more; returns the ones that stay failures.

        SECOND_RUN(failure): (whether it has passed, its output); (None, reason) where a test cannot
        run by itself.
        """
        left = []
        if self.off:
            return failures
        for failure in failures:
            if failure.crashed() or len(failures) > SECOND_RUNS:
                left.append(failure)
                continue
            say(f"  second run of {failure}")
            passed, failure.again = second_run(failure)
            if passed and not CRASH.search(failure.again):
                say(f"  flaky {failure}: the second run passed")
                self.tests.append(failure)
            else:
                say(f"  FAIL  {failure}: failed again\n{failure.again[-8000:]}")
                left.append(failure)
        return left

    def write(self):
        """Writes the list and the outputs; an earlier list is kept when this run has none."""
        if not self.tests:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        with open(os.path.join(self.folder, "list"), "w", encoding="utf-8") as stream:
            for test in self.tests:
                stream.write(f"{test.label}\t{test.name}\n")
        for test in self.tests:
            name = re.sub(r"[^\w.-]+", "-", str(test))[:120]
            for part, text in (("failed", test.output), ("passed", test.again)):
                with open(os.path.join(self.folder, f"{name}.{part}"), "w",
                          encoding="utf-8") as stream:
                    stream.write(text)

    def too_many(self):
        return len(self.tests) > MOST


def read_list(folder):
    """[(suite, test)] of the last run that had flaky tests."""
    try:
        with open(os.path.join(folder, "list"), encoding="utf-8") as stream:
            return [tuple(line.rstrip("\n").split("\t", 1)) for line in stream]
    except FileNotFoundError:
        return []


class KernelLog:
    """
    Crashes of the product in the kernel's log: a daemon may crash after its test has stopped
    watching it. Without the right to read the log none are found.
    """

    def __init__(self):
        self.before = set(self.lines())

    @staticmethod
    def lines():
        done = subprocess.run(["dmesg"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              errors="replace", check=False)
        return [line for line in done.stdout.splitlines() if KERNEL.search(line)]

    def crashes(self):
        return [line for line in self.lines() if line not in self.before]
