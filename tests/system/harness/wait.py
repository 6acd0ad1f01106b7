# SPDX-License-Identifier: LGPL-2.1-or-later
"""The one way in which tests wait: for a condition, with one limit, and with a report at its end.

A test that waits says which condition it awaits. The limit is generous, because only a failure
reaches it. To show that an event does not happen, a test awaits a later event that must follow it.
"""

import os
import time

LIMIT_S = 120
PAUSE_S = 0.02
MOST_SHOWN = 3000


class NeverTrue(AssertionError):
    """The awaited condition did not become true within the limit."""


def until(condition, what, seen=None):
    """
    Waits until condition() is true and returns its value.

    WHAT: the awaited state, as words. SEEN(): what was there instead, for the report; the last value
    of condition() without it. Raises NeverTrue after LIMIT_S; an exception of condition() ends the
    wait at once.
    """
    began = time.monotonic()
    while True:
        found = condition()
        if found:
            return found
        waited = time.monotonic() - began
        if waited > LIMIT_S:
            instead = str(seen() if seen else repr(found))[-MOST_SHOWN:]
            raise NeverTrue(f"waited {waited:.0f} s for: {what}; instead: {instead}")
        time.sleep(PAUSE_S)  # paced: the pause between two looks


def process_state(pid):
    """One letter of proc_pid_stat(5); "X" when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def sockets(pid):
    """How many sockets process PID has open."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")
        except OSError:
            continue  # it was closed meanwhile
    return count


def threads(pid):
    """[(name, wchan)] of each thread of process PID: the function of the kernel in which it waits."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as stream:
                name = stream.read().strip()
            with open(f"/proc/{pid}/task/{task}/wchan", encoding="utf-8") as stream:
                found.append((name, stream.read()))
        except OSError:
            continue  # it has ended meanwhile
    return found


def until_delivered(pid, signum):
    """
    Waits until process PID has no pending signal SIGNUM: its handler has begun, or it has ended. A
    process that has ended and was not waited for yet keeps its pending signals.
    """
    def is_pending():
        if process_state(pid) in "XZ":
            return False
        try:
            with open(f"/proc/{pid}/status", encoding="utf-8") as stream:
                masks = [line.split()[1] for line in stream if line.startswith(("SigPnd", "ShdPnd"))]
        except OSError:
            return False
        return any(int(mask, 16) >> (signum - 1) & 1 for mask in masks)
    until(lambda: not is_pending(), f"signal {signum} is delivered to process {pid}")
