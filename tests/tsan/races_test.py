#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows that ThreadSanitizer, as the suite uses it, can fail and does not cry wolf.

usage: races_test.py PROGRAM DAEMON      PROGRAM is races.c; the results are TAP

Each case of the program runs several times with the suite's own options, suppressions and reader of
reports. It has a log of its own, so that planted races do not count as reports of the suite. DAEMON
links only libraries of GLib that were built with ThreadSanitizer.
"""

import os
import re
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "system"))

from harness import reports  # noqa: E402

RUNS = 5
RACE = "WARNING: ThreadSanitizer: data race"
ORDER = "WARNING: ThreadSanitizer: lock-order-inversion"
# What must be reported, and the exit status; None: nothing.
CASES = {
    "unprotected": (RACE, 66),
    "unprotected-and-killed": (RACE, -9),
    "two-orders": (ORDER, 66),
    "mutex": (None, 0),
    "rwlock": (None, 0),
    "cond": (None, 0),
    "async-queue": (None, 0),
    "thread-pool": (None, 0),
    "reference-count": (None, 0),
    "once": (None, 0),
    "main-context": (None, 0),
}


def play(program, case):
    """(exit status, everything that was reported) of one run."""
    with tempfile.TemporaryDirectory(prefix="cst-tsan-") as directory:
        log = os.path.join(directory, "report")
        options = os.environ.get("TSAN_OPTIONS", "")
        env = dict(os.environ, TSAN_OPTIONS=f"{options}:log_path={log}:exitcode=66")
        done = subprocess.run([program, case], env=env, timeout=60, check=False,
                              stdin=subprocess.DEVNULL)
        return done.returncode, reports.take(log)


def verdict(program, case):
    """What is wrong with a case, or None."""
    wanted, status = CASES[case]
    for _ in range(RUNS):
        ended, text = play(program, case)
        if ended != status or (wanted not in text if wanted else text):
            return f"ended with {ended}, expected {status} and {wanted or 'no report'}; got:\n{text}"
    return None


def glib_verdict(daemon):
    """The daemon links GLib alone; libraries that come with it have to be from the same place."""
    listed = subprocess.run(["ldd", daemon], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = dict(re.findall(r"lib(glib|gobject|gio|gmodule|gthread)-2\.0\.so\S* => (\S+)/", listed))
    if "glib" not in found or len(set(found.values())) > 1:
        return f"not all are from one place: {found}"
    if found["glib"].startswith(("/lib/", "/usr/lib/")):
        return f"GLib is the system's, which ThreadSanitizer does not see into: {found}"
    return None


def main():
    cases = [*CASES, "glib's libraries"]
    print(f"1..{len(cases)}")
    failed = False
    for number, case in enumerate(cases, 1):
        wrong = verdict(sys.argv[1], case) if case in CASES else glib_verdict(sys.argv[2])
        failed |= bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {case}", flush=True)
        for line in (wrong or "").splitlines():
            print(f"# {line}")
    sys.exit(1 if failed else 0)


main()
