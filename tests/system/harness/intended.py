# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where we mean to differ from libvirt 9.0, and why. Nothing else may.

An entry is (reason, where, command, change): `where` is searched in "mode:scenario", `command` in
the command; `change` takes both sides as [status, stdout, stderr] and returns them with the
intended difference taken out. It may also check that ours is what we mean.
"""

import re


def masked(pattern, replacement):
    """Both sides with a part of their texts replaced."""
    expression = re.compile(pattern, re.M)

    def change(theirs, ours):
        def mask(side):
            return [side[0], *(expression.sub(replacement, text) for text in side[1:])]
        return mask(theirs), mask(ours)
    return change


def ours_is(status, stdout=None, stderr=None):
    """Ours must be this (texts: patterns that must be found); theirs may be anything."""
    def change(theirs, ours):
        fine = ours[0] == status
        fine = fine and (stdout is None or re.search(stdout, ours[1], re.M))
        fine = fine and (stderr is None or re.search(stderr, ours[2], re.M))
        return (ours, ours) if fine else (theirs, ours)
    return change


INTENDED = [
]


def apply(where, command, theirs, ours):
    for _reason, place, pattern, change in INTENDED:
        if re.search(place, where) and re.search(pattern, command):
            theirs, ours = change(theirs, ours)
    return list(theirs), list(ours)
