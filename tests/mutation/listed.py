# SPDX-License-Identifier: LGPL-2.1-or-later
"""System tests: scripts that start the programs which are built, in meson's suite "system".

Such a script prints the names of its tests ("module.Class.test") with --list, and runs those whose
names contain its argument. One class is one test here, so that what it starts is started once; the
methods of one that takes long, or fails, are tests of their own.
"""

import os
import subprocess

SUITE = "system"


def tests_of(runner):
    """{name: Test}: the classes that the script of @runner lists, and their methods as parts of them."""
    names = subprocess.run([*runner.words, "--list"], env=dict(os.environ, **runner.env), check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split()
    tests = {}
    for name in names:
        folder = name.rpartition(".")[0]
        for wanted, whole in ((folder + ".", None), (name, f"{runner.name}/{folder}")):
            test = runner._replace(name=f"{runner.name}/{wanted.rstrip('.')}", kind="system",
                                   words=[*runner.words, wanted], part_of=whole)
            tests[test.name] = test
    return tests


def sources(test):
    """The files that decide what @test does: its module, and all beside it that are not tests."""
    folder = os.path.dirname(test.words[-2])
    module = test.words[-1].split(".")[0] + ".py"
    for place, _, names in os.walk(folder):
        for name in names:
            if name == module or not name.endswith(("_test.py", ".pyc")):
                yield os.path.join(place, name)
