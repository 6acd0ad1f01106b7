# SPDX-License-Identifier: LGPL-2.1-or-later
"""The end of a run: no test begins after TEST_UNTIL, in seconds since the epoch (empty: no end).

A test that has not begun by then is skipped with a reason, so a run on a slow machine ends with a
count. TEST_ORDER, any word, shuffles the tests. If a run has too little time for all tests, runs
with other words play other tests.
"""

import hashlib
import os
import time


class Over(Exception):
    """It is."""


REASON = "the time of this run was over"


def over(when=None):
    """WHEN: in place of TEST_UNTIL."""
    return time.time() > float(when or os.environ.get("TEST_UNTIL") or "inf")


def check():
    """Raises Over when it is."""
    if over():
        raise Over(REASON)


def shuffled(tests, name=str):
    """
    Returns the TESTS in the order that TEST_ORDER selects, or in theirs without it. NAME(test): the
    name of a test, which is all that the order depends on.
    """
    order = os.environ.get("TEST_ORDER")
    if not order:
        return list(tests)
    return sorted(tests, key=lambda test: hashlib.sha1(f"{order} {name(test)}".encode()).digest())
