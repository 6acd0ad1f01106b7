# SPDX-License-Identifier: LGPL-2.1-or-later
"""
kill -9 at every crash point that an operation of a backend passes; needs a build with
-Dcrash_points=true.

Each operation is played once to see which points those are; then once for each of them, with a kill
there and a recovery after it. What there is then is what was there before, or what the operation
makes, and nothing more.
"""

import collections
import os

from kit import BUILD, WORK, case, expect, run

POINTS = os.path.join(WORK, "points")
ROOT = os.path.join(WORK, "crash-root")
IMAGES = os.path.join(WORK, "images")


def cistern(*words, check=True, env=None):
    """The command line, in process."""
    return run(os.path.join(BUILD, "cistern"), "--root", ROOT, *words, check=check, env=env)


def pool_of_files():
    """Sees to an active pool "images", of the files in IMAGES, and that there are none."""
    if os.path.exists(IMAGES):
        for name in os.listdir(IMAGES):
            os.unlink(os.path.join(IMAGES, name))
        cistern("pool-refresh", "images")
        return
    os.makedirs(IMAGES)
    cistern("pool-define-as", "images", "dir", "--target", IMAGES)
    cistern("pool-start", "images")


def killed(point, *words):
    """The same, killed at that crash point."""
    status, text = cistern(*words, check=False, env={"CISTERN_CRASH_AT": point})
    expect(status == -9, f"{point}: not killed: {status} {text}")


class Victim:
    """How operations are played on one backend; an operation is whatever has a name."""

    prefix = ""  # of the backend's own crash points; those of the core are tests/crash's

    def prepare(self, operation):
        """Makes the operation's ground, whatever was there."""
        raise NotImplementedError

    def play(self, operation, check, env):
        """Status and output of a program that does it."""
        raise NotImplementedError

    def recover(self):
        """What the next program does first."""
        raise NotImplementedError

    def state(self):
        """All that matters, to be compared; fails when something is left behind."""
        raise NotImplementedError

    def accepts(self, _operation, now, before, after):
        return now in (before, after)


def passages(prefix):
    """The crash points in the log, as "POINT:N" for the Nth time."""
    seen, found = collections.Counter(), []
    with open(POINTS, encoding="utf-8") as log:
        for point in log.read().split():
            seen[point] += 1
            if point.startswith(prefix):
                found.append(f"{point}:{seen[point]}")
    return found


def undisturbed(victim, operation):
    """The state before, the one after, and what was passed on the way."""
    victim.prepare(operation)
    before = victim.state()
    open(POINTS, "w", encoding="utf-8").close()
    victim.play(operation, True, {"CISTERN_CRASH_LOG": POINTS})
    after = victim.state()
    expect(before != after, "nothing happened")
    found = passages(victim.prefix)
    expect(found, "no crash point is passed; is this a build with crash points?")
    return before, after, found


def kill_at(victim, operation, passage):
    status, text = victim.play(operation, False, {"CISTERN_CRASH_AT": passage})
    expect(status == -9, f"{passage}: not killed: {status} {text}")
    victim.recover()
    return victim.state()


def survives(victim, operation, register=case):
    """A case, or a long one: the operation survives being killed."""
    def check():
        before, after, found = undisturbed(victim, operation)
        now = after
        for passage in found:
            if now != before:
                victim.prepare(operation)
            now = kill_at(victim, operation, passage)
            expect(victim.accepts(operation, now, before, after),
                   f"{passage}: {now}, neither {before} nor {after}")
    check.__name__ = f"{operation.name} survives a kill at each of its points"
    register(check)
