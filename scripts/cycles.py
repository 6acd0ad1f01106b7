# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files of a module call in one direction: no cycle among them, and none against the order of folders.

Who needs whom is read from the objects that the build has made: a file needs another one when it
refers to a function or a table that the other one defines. layers.py has the order of folders.
"""

import collections
import glob
import os
import re
import subprocess

import layers

# All but schemas and tools.
MODULES = ("base", "model", "blob", "image", "import", "pool", "store", "service", "wire", "api",
           "server", "conn", "daemon", "cli", "libvirtd")


def symbols(path):
    """(defined, needed) names of an object."""
    defined, needed = set(), set()
    text = subprocess.run(["nm", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    for kind, name in re.findall(r"([A-Za-z]) (\S+)$", text, re.M):
        if kind == "U":
            needed.add(name)
        elif kind.isupper():
            defined.add(name)
    return defined, needed


def graph_of(objects):
    """{file: {file that it needs: a name that it needs of it}} of {file: (defined, needed)}."""
    home = {name: file for file, (defined, _) in objects.items() for name in defined}
    return {file: {home[name]: name for name in sorted(needed)
                   if name in home and home[name] != file}
            for file, (_, needed) in objects.items()}


def cycle_in(graph):
    """Files that lead from one back to itself; None: there are none."""
    state, way = collections.defaultdict(int), []  # 0: not seen, 1: on the way, 2: done

    def visit(file):
        state[file] = 1
        way.append(file)
        for other in sorted(graph[file]):
            if state[other] == 1:
                return [*way[way.index(other):], other]
            found = visit(other) if state[other] == 0 else None
            if found:
                return found
        way.pop()
        state[file] = 2
        return None

    for file in sorted(graph):
        found = visit(file) if state[file] == 0 else None
        if found:
            return found
    return None


def describe(graph, cycle):
    steps = (f"{a} needs {graph[a][b]} of {b}" for a, b in zip(cycle, cycle[1:]))
    return "a cycle: " + ", ".join(steps)


def upward_calls(graph, rows):
    """Calls from a folder into one that its row does not name."""
    return [f"{file} needs {name} of {other}, above it or beside"
            for file, needs in sorted(graph.items()) for other, name in sorted(needs.items())
            if not layers.may_use(rows, os.path.dirname(file), os.path.dirname(other))]


def objects_of(build, module):
    """
    {source: symbols} of the module's library. An object is called by its source's path, with "_"
    for "/"; one whose source is gone was left by an earlier build.
    """
    top = os.path.join("src", module)
    sources = [os.path.relpath(path, top)
               for path in glob.glob(os.path.join(top, "**", "*.c"), recursive=True)]
    names = {source.replace("/", "_"): source for source in sources}
    found = {}
    for path in glob.glob(os.path.join(build, top, "*.a.p", "*.c.o")):
        name = os.path.basename(path).removesuffix(".o")
        if name in names or name.startswith("meson-generated_"):
            found[names.get(name, name)] = symbols(path)
    return found


def check_planted():
    planted = graph_of({"a": ({"f"}, {"g"}), "b": ({"g"}, {"h"}), "c": ({"h"}, {"f", "g"})})
    if cycle_in(planted) != ["a", "b", "c", "a"]:
        return ["a cycle that was planted was not found"]
    planted = graph_of({"low/a.c": ({"f"}, {"g"}), "high/b.c": ({"g"}, {"f"}), "c.c": (set(), {"g"})})
    if upward_calls(planted, {"low": set(), "high": {"low"}}) != [
            "low/a.c needs g of high/b.c, above it or beside"]:
        return ["a call against the order of folders that was planted was not found"]
    return []


def check(build):
    complaints = check_planted()
    for module, rows in layers.FOLDERS.items():
        complaints += [f"src/{module}: {text}"
                       for text in upward_calls(graph_of(objects_of(build, module)), rows)]
    for module in MODULES:
        graph = graph_of(objects_of(build, module))
        cycle = cycle_in(graph)
        if not graph:
            complaints.append(f"src/{module}: no objects: is there a build?")
        elif cycle:
            complaints.append(f"src/{module}: {describe(graph, cycle)}")
    return complaints
