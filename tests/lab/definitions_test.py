#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Definitions of pools of every type come back from cisternd as from stock libvirtd."""
# lab: -m 1024

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import normal  # noqa: E402
from kit import TOP, Ours, Stock, case, expect, main  # noqa: E402

GOLDEN = os.path.join(TOP, "tests/golden/pool")
# Of Debian's libvirtd, which has no backends for them; ours keeps definitions without one.
REFUSED = ("sheepdog", "vstorage")
# Large ids, which libvirt writes as negative numbers and can't read back then.
NEGATIVE = ("<group>-2</group>", "<group>4294967294</group>")
# Words of documents that only ours takes for what they mean.
OURS_ONLY = ("urn:cistern:storage:1.0",)


def read(name):
    with open(os.path.join(GOLDEN, name), encoding="utf-8") as file:
        return file.read()


def documents():
    """Names of what is to be defined, each with what it comes back as by our own parser."""
    names = sorted(name for name in os.listdir(GOLDEN) if not name.endswith(".out.xml"))
    for name in names:
        shown = name.replace(".xml", ".out.xml")
        if not any(word in read(name) for word in OURS_ONLY):
            yield name, read(shown if os.path.exists(os.path.join(GOLDEN, shown)) else name)


ANSWERS = {}


def name_of(document):
    """The pool's, as it comes back."""
    return document.split("<name>", 1)[1].split("</name>", 1)[0]


@case
def both_daemons_define_and_show_every_document():
    for peer in (Stock(), Ours()):
        peer.start()
        answers = ANSWERS[peer.name] = {}
        commands = [(name, name_of(shown)) for name, shown in documents()]
        said = peer.virsh(*(f"{command}" for name, pool in commands for command in (
            f"pool-define {GOLDEN}/{name}", f"pool-dumpxml --inactive '{pool}'",
            f"pool-undefine '{pool}'")), check=False)
        peer.stop()
        expect(len(said) == 3 * len(commands), "virsh gave up")
        for number, (name, _) in enumerate(commands):
            answers[name] = [normal(text).replace(*NEGATIVE)
                             for text in said[3 * number:3 * number + 3]]


@case
def they_come_back_as_libvirt_writes_them():
    different = []
    for name, (defined, shown, undefined) in ANSWERS["cisternd"].items():
        stock = ANSWERS["libvirtd"][name]
        if not name.startswith(REFUSED) and stock != [defined, shown, undefined]:
            different.append(f"{name}: libvirtd: {stock}\n# cisternd: "
                             f"{[defined, shown, undefined]}")
    expect(not different, "\n# ".join(different))
    expect(len(ANSWERS["cisternd"]) > 60, "documents are missing")


@case
def types_without_a_backend_are_kept_as_they_are():
    for name, shown in documents():
        if name.startswith(REFUSED):
            expect("missing backend" in ANSWERS["libvirtd"][name][0], ANSWERS["libvirtd"][name])
            expect(ANSWERS["cisternd"][name][1].strip() == normal(shown).strip(),
                   ANSWERS["cisternd"][name])


main()
