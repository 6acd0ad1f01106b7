# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The same virsh commands against stock libvirtd and against cisternd, in one machine, one after the
other; each pair of answers is a case.

Steps are pairs of a command and what is different on purpose: None is nothing; a pattern is what
ours must say, whatever stock libvirtd does; a function takes what is meant to differ out of both
answers, as those of the system tests' table do (`masked`, `both` of harness/intended.py).
"""

import os
import re
import sys

from kit import TOP, Stock, case, expect

sys.path.insert(0, os.path.join(TOP, "tests/system"))

from harness.intended import both, masked  # noqa: E402

__all__ = ["both", "compare", "masked", "normal"]


def normal(text):
    """Without what can't be the same twice."""
    text = re.sub(r"<uuid>.*?</uuid>|UUID:.*", "UUID", text)
    text = re.sub(r"<(key|atime|mtime|ctime)>.*?</\1>", r"<\1/>", text)
    text = re.sub(r"\s*<timestamps>.*?</timestamps>", "", text, flags=re.S)
    return text


def judge(change, stock, ours):
    stock, ours = normal(stock), normal(ours)
    if isinstance(change, str):
        expect(re.search(change, ours), f"'{change}' is not in: {ours}")
        return
    if change:
        stock, ours = (side[1] for side in change([0, stock, ""], [0, ours, ""]))
    expect(stock == ours, f"libvirtd: {stock}\n# cisternd: {ours}")


def compare(daemon, steps, prepare, fill=lambda: {}):
    """
    Registers the cases. PREPARE makes storage new before each daemon plays; FILL gives what stands
    for the words in braces, once it is prepared.
    """
    answers = {}

    @case
    def both_daemons_play_the_same_steps():
        for peer in (Stock(), daemon):
            prepare()
            peer.start()
            values = fill()
            answers[peer.name] = peer.virsh(*(command.format(**values) for command, _ in steps),
                                            check=False)
            peer.stop()
            expect(len(answers[peer.name]) == len(steps), "virsh gave up")

    def step(number, command, change):
        def is_answered():
            judge(change, *(answers[name][number] for name in (Stock.name, daemon.name)))
        is_answered.__name__ = f"{number} {command} is answered as it should"
        case(is_answered)

    for number, (command, change) in enumerate(steps):
        step(number, command, change)
