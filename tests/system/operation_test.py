# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/adding-an-operation.md names all places: its code, put into a copy of the sources, builds and
gives a command that works with a daemon and without."""

import os
import re
import shutil
import subprocess
import unittest

from harness import cases, peers, space

GUIDE = os.path.join(space.TOP, "docs", "adding-an-operation.md")
EDIT = re.compile(r"^<!-- (\S+): (after|before|instead of) `([^`]+)` -->\n```c\n(.*?)^```$",
                  re.M | re.S)


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


class Copy:
    """The sources and what is built of them, side by side, so that only what changes is built."""

    def __init__(self):
        self.top = space.path("copy")
        self.build = os.path.join(self.top, os.path.basename(space.BUILD))
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=space.TOP, check=True, text=True,
                                stdout=subprocess.PIPE).stdout
        for name in listed.split("\0"):
            there, here = os.path.join(space.TOP, name), os.path.join(self.top, name)
            if name and os.path.isfile(there):
                os.makedirs(os.path.dirname(here), exist_ok=True)
                shutil.copy2(there, here)
        shutil.copytree(space.BUILD, self.build, symlinks=True,
                        ignore=shutil.ignore_patterns("tests", "lab", "tidy"))

    def edit(self, name, how, anchor, code):
        path = os.path.join(self.top, name)
        text = read(path)
        if text.count(anchor) != 1:
            raise AssertionError(f"{name} has {text.count(anchor)} times: {anchor}")
        new = {"after": f"{anchor}\n{code}".rstrip("\n"), "before": f"{code}{anchor}",
               "instead of": code.rstrip("\n")}[how]
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text.replace(anchor, new))

    def make(self):
        """"": it could be built."""
        done = subprocess.run(["ninja", "-C", self.build, "cistern", "cisternd"], text=True,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout if done.returncode else ""


@cases.long("the guide in docs is built from nothing; contract/guide_test has its sibling")
class Guide(unittest.TestCase):
    def setUp(self):
        self.edits = EDIT.findall(read(GUIDE))

    def cistern(self, line, status=0):
        program = os.path.join(space.path("copy"), os.path.basename(space.BUILD), "cistern")
        code, out, err = peers.run([program, "--root", self.peer.root, line])
        self.assertEqual(status, code, err)
        return out + err

    def test_it_works_with_a_daemon_and_without(self):
        copy = Copy()
        for edit in self.edits:
            copy.edit(*edit)
        self.assertEqual("", copy.make())
        self.peer = peers.Cisternd("guide", program=os.path.join(copy.build, "cisternd"))
        self.addCleanup(self.peer.stop)
        self.cistern(f"pool-create-as p dir --target {self.peer.dir}")
        self.assertIn("has no volumes", self.cistern("pool-largest p", status=3))
        self.cistern("vol-create-as p small 1M; vol-create-as p large 3G --format qcow2")
        self.assertEqual("large 3.00 GiB\n", self.cistern("pool-largest p").strip() + "\n")
        self.assertIn("embed", self.cistern("uri"))
        self.peer.start()
        self.assertEqual("large 3.00 GiB\n", self.cistern("pool-largest p").strip() + "\n")
        self.assertNotIn("embed", self.cistern("uri"))

    def test_the_table_has_the_places(self):
        places = re.findall(r"^\| `(\S+)` \|", read(GUIDE), re.M)
        for name, *_ in self.edits:
            self.assertTrue(any(name.startswith(place) for place in places), name)
        for place in places:
            self.assertTrue(any(name.startswith(place) for name, *_ in self.edits), place)
