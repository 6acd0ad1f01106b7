#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""List the test points of the sources with the tests that act at them, and find what is missing.

usage: test_points.py [--list]   without --list: print the complaints of `make lint`, check "points"

A test point (src/base/include/base/test_point.h) is a place at which a unit test acts. Complaints:

  - a CST_TEST_POINT whose name no test passes to a point_… function (tests/unit/points.h);
  - a name that a test uses and that no source has;
  - in GATED, a function without a point that waits on a condition, takes a lock again that it has
    released, or is a rollback or the charge of a budget by its name (UNDOES).

Crash points (CST_CRASH_POINT) count as points of a function. tests/crash reaches each of them, so no
unit test has to.
"""

import collections
import re
import subprocess
import sys

import c_functions

GATED = ("base", "blob", "nbd", "backup", "import", "pool", "store", "service", "server", "conn")
POINT = re.compile(r'\bCST_(TEST|CRASH)_POINT\(\s*"([^"]+)"')
USE = re.compile(r'\bpoint_(?:run|run_always|watch|hold|release|await|passed)\(\s*"([^"]+)"')
WAIT = re.compile(r"\bg_cond_wait(?:_until)?\(")
LOCKING = re.compile(r"\b(\w*?)_?(un)?lock\(([^()]*)\)")
UNDOES = re.compile(r"(?:^|_)(?:undo|roll_back|take_back|taken_back|give_back|put_back|abandon"
                    r"|charge)(?:_|$)")


def locked_again(body):
    """The lock that BODY releases and then takes again, or None."""
    released = set()
    for kind, unlock, lock in LOCKING.findall(body):
        if unlock:
            released.add((kind, lock))
        elif (kind, lock) in released:
            return lock
    return None


def needs_point(name, body):
    """Why the function NAME has to have a point, or None."""
    if WAIT.search(body):
        return "waits on a condition"
    lock = locked_again(body)
    if lock:
        return f"releases '{lock}' and takes it again"
    if UNDOES.search(name):
        return "is a rollback or a charge by its name"
    return None


def bodies(text):
    """Yields (name, line, body as written) of each function; comments and literals are blanked only
    for finding the functions."""
    lines, plain = text.split("\n"), c_functions.blank(text).split("\n")
    start = None
    for index, line in enumerate(plain):
        if line == "{":
            start = index
        elif line.startswith("}") and start is not None:
            name, at = c_functions.name_before(plain, start)
            yield (name, at + 1, "\n".join(plain[start + 1:index]),
                   "\n".join(lines[start + 1:index]))
            start = None


def is_gated(path):
    return path.endswith(".c") and path.startswith(tuple(f"src/{name}/" for name in GATED))


def without_point(path, text):
    """Complaints about the functions of one file."""
    for name, line, code, written in bodies(text):
        why = needs_point(name, code)
        if why and not POINT.search(written):
            yield f"{path}:{line}: {name} {why}, and has no CST_TEST_POINT"


def collect(paths, read):
    """({test point: [place]}, {crash points}, {name: {tests that use it}})"""
    points, crash, uses = collections.defaultdict(list), set(), collections.defaultdict(set)
    for path in paths:
        text = read(path)
        if path.startswith("src/"):
            for found in POINT.finditer(text):
                if found[1] == "CRASH":
                    crash.add(found[2])
                elif not path.endswith("test_point.h"):
                    points[found[2]].append(f"{path}:{text.count(chr(10), 0, found.start()) + 1}")
        elif path.startswith("tests/") and not path.startswith("tests/unit/points."):
            for name in USE.findall(text):
                uses[name].add(path)
    return points, crash, uses


def check(paths, read):
    # A gate that can't fail shows nothing: it has to see each kind of fault here.
    bad = 'void a(void)\n{\n    g_cond_wait(&c, &l);\n}\n\nvoid b_undo(void)\n{\n}\n\n' \
        'void c(void)\n{\n    g_mutex_unlock(&l);\n    g_mutex_lock(&l);\n}\n'
    if len(list(without_point("src/store/planted.c", bad))) != 3:
        return ["the check does not find the functions that it has to find"]
    points, crash, uses = collect(paths, read)
    complaints = [f"{places[0]}: no test acts at the test point \"{name}\""
                  for name, places in sorted(points.items()) if name not in uses]
    complaints += [f"{places[1]}: the test point \"{name}\" is also at {places[0]}"
                   for name, places in sorted(points.items()) if len(places) > 1]
    complaints += [f"{sorted(tests)[0]}: no source has the test point \"{name}\""
                   for name, tests in sorted(uses.items()) if name not in points and name not in crash]
    for path in filter(is_gated, paths):
        complaints += without_point(path, read(path))
    return complaints


def main():
    paths = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c",
                            "*.h"], check=True, stdout=subprocess.PIPE, text=True).stdout.split()

    def read(path):
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    if sys.argv[1:] == ["--list"]:
        points, _, uses = collect(paths, read)
        for name, places in sorted(points.items()):
            print(f"{name}\t{places[0]}\t{' '.join(sorted(uses[name])) or '-'}")
        return
    complaints = check(paths, read)
    print("\n".join(complaints))
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
