# SPDX-License-Identifier: LGPL-2.1-or-later
"""Scenarios: one sequence of commands, played on several stages, the outputs laid side by side.

A scenario is a function that takes a Stage `s` and calls

    s("pool-define-as p dir --target {d}/p")      a virsh command; {d} the pools' place, {f} files,
                                                  {r} the root with etc/ and run/
    s.secret("secret-list")                       the same, of the secret group
    s.file("p.xml", text)                         writes {f}/p.xml
    s.sh("ls {d}/p")                              a shell command; its output is compared too

The first stage is stock virsh on stock libvirtd; every other stage has to print the same, byte for
byte after normalisation, with the same exit status, except where `intended.py` says otherwise and
why.
"""

import difflib
import os
import re
import shlex
import unittest

from . import intended, peers, space

UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
# Ceph's own tools print these lines sometimes, if a monitor answers while they close.
MONITOR_NOISE = re.compile(r"^\S+ [0-9a-f]+ -1 monclient: (?:get_auth_request but no auth handler|"
                           r"handle_auth_reply_more no authorizer).*\n", re.MULTILINE)

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


class Stage:
    """Plays commands at one peer through one client and keeps what they said."""

    def __init__(self, title, peer, client):
        self.title = title
        self.peer = peer
        self.client = client
        self.steps = []

    def fill(self, text):
        for token, value in (("{d}", self.peer.dir), ("{f}", self.peer.files),
                             ("{r}", self.peer.root)):
            text = text.replace(token, value)
        return text

    def __call__(self, command, uri=None, **options):
        words = shlex.split(self.fill(command))
        result = peers.run(self.client(uri or self.peer.uri) + words, **options)
        self.steps.append((command, *result))
        return result

    def secret(self, command, **options):
        """A command of the secret group (stock libvirtd has these behind a URI of their own)."""
        return self(command, uri=self.peer.secret_uri, **options)

    def sh(self, command, **options):
        result = peers.run(["sh", "-c", self.fill(command)], cwd=self.peer.dir, **options)
        self.steps.append(("$ " + command, *result))
        return result

    def file(self, name, text):
        with open(os.path.join(self.peer.files, name), "w", encoding="utf-8",
                  errors="surrogateescape") as out:
            out.write(self.fill(text))

    def normal(self):
        """The steps with what may differ between two places taken out."""
        seen = {}

        def known(match):
            return seen.setdefault(match.group(0), f"00000000-0000-0000-0000-{len(seen):012}")

        def clean(text):
            text = re.sub(r"/tmp/virsh\w{6}", "/tmp/virshTMP", text)
            text = text.replace(space.BASE + "/" + self.peer.name, "/SPACE/PEER")
            text = UUID.sub(known, text)
            text = re.sub(r"<(atime|mtime|ctime|btime)>[0-9.]+</", r"<\1>T</", text)
            return MONITOR_NOISE.sub("", text)

        return [(command, status, clean(out), clean(err))
                for command, status, out, err in self.steps]


def virsh_client(uri):
    return ["virsh", "-c", uri]


def cistern_client(uri):
    return [space.CISTERN, "-c", uri]


def difference(where, reference, other):
    """None, or the lines that differ in one step."""
    command, *theirs = reference
    _, *ours = other
    theirs, ours = intended.apply(where, command, theirs, ours)
    if theirs == ours:
        return None
    lines = [f"{command}"]
    for name, left, right in zip(("status", "stdout", "stderr"), theirs, ours):
        if left == right:
            continue
        left, right = str(left).splitlines(), str(right).splitlines()
        lines += [f"  {name}:"] + ["    " + line for line in
                                   list(difflib.unified_diff(left, right, "stock", "ours",
                                                             lineterm="", n=1))[2:42]]
    return "\n".join(lines)


PATIENCE = 2  # how often stock libvirtd may end under one scenario

_reference = {}
_places = {}


def _place(kind):
    if kind not in _places:
        _places[kind] = kind()
    return _places[kind]


class Ended(AssertionError):
    """The daemon has ended under a scenario."""


def play(function, title, place, client):
    place.fresh()
    stage = Stage(title, place, client)
    try:
        function(stage)
        if place.ended():
            raise Ended(place.ended())
    finally:
        place.stop()
    return stage.normal()


def play_stock(function):
    """libvirt's Gluster driver ends its daemon now and then, in glfs_fini()."""
    for _ in range(PATIENCE):
        try:
            return play(function, "stock", _place(peers.Libvirtd), virsh_client)
        except Ended as ended:
            print(f"once more: {ended}")
    return play(function, "stock", _place(peers.Libvirtd), virsh_client)


def reference(function):
    if function not in _reference:
        _reference[function] = play_stock(function)
        if "CST_SHOW" in os.environ:
            show(_reference[function])
    return _reference[function]


def show(steps):
    """For whoever writes scenarios: what stock says."""
    for command, status, out, err in steps:
        print(f"> {command}  [{status}]\n{out}{err}", end="")


def check(case, function, where, place, client):
    wanted = reference(function)
    got = play(function, where, _place(place), client)
    case.assertEqual([w[0] for w in wanted], [g[0] for g in got], "the steps themselves differ")
    complaints = [d for d in (difference(where + ":" + function.__name__, w, g)
                              for w, g in zip(wanted, got)) if d]
    if complaints:
        case.fail(f"{len(complaints)} of {len(wanted)} steps differ from stock\n"
                  + "\n".join(complaints))


class Compared(unittest.TestCase):
    """Base of the classes that play_all() fills, one test for each scenario."""

    WHERE = ""
    PLACE = None
    CLIENT = None

    @classmethod
    def setUpClass(cls):
        if not peers.Libvirtd.available():
            raise unittest.SkipTest("stock libvirtd needs root, a mount namespace and its package")


def play_all(cls):
    """Class decorator: adds test_<scenario> for every scenario known by now."""
    for function in SCENARIOS:
        def test(self, function=function):
            check(self, function, self.WHERE, self.PLACE, type(self).CLIENT)
        setattr(cls, "test_" + function.__name__, test)
    return cls
