# SPDX-License-Identifier: LGPL-2.1-or-later
"""Files of a module call in one direction: no cycle among them, and no call against the order of
their folders.

Who needs whom is read from the objects that the build has made: a file needs another one when it
refers to a function or a table that the other one defines.
"""

import collections
import glob
import os
import re
import subprocess

# Modules that have been put in order; the rest follows.
MODULES = ("base", "model", "blob", "image", "store", "wire", "api", "server", "conn", "daemon",
           "cli")
# Their folders, where these have an order: each may call those before it, none those after it. Files
# at the module's top may call all of them.
FOLDERS = {"cli": ("core", "output", "commands", "shell")}


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


def rank(file, folders):
    """Place of the file's folder in the order; names of objects have "_" for "/"."""
    for place, folder in enumerate(folders):
        if file.startswith(folder + "_"):
            return place
    return len(folders)


def upward(graph, folders):
    """Calls from a folder to one that comes after it."""
    return [f"{file} needs {name} of {other}, which is above it"
            for file in sorted(graph) for other, name in sorted(graph[file].items())
            if rank(file, folders) < rank(other, folders)]


def describe(graph, cycle):
    steps = (f"{a} needs {graph[a][b]} of {b}" for a, b in zip(cycle, cycle[1:]))
    return "a cycle: " + ", ".join(steps)


def objects_of(build, module):
    """{source: symbols} of the module's library; names of objects are paths with "_" for "/"."""
    paths = glob.glob(os.path.join(build, "src", module, "*.a.p", "*.c.o"))
    return {os.path.basename(path).removesuffix(".o"): symbols(path) for path in paths}


def check(build):
    planted = graph_of({"a": ({"f"}, {"g"}), "b": ({"g"}, {"h"}), "c": ({"h"}, {"f", "g"})})
    if cycle_in(planted) != ["a", "b", "c", "a"]:
        return ["a cycle that was planted was not found"]
    planted = graph_of({"low_a": ({"f"}, {"g"}), "high_b": ({"g"}, {"f"})})
    if [call.split()[0] for call in upward(planted, ("low", "high"))] != ["low_a"]:
        return ["a call upward that was planted was not found"]
    complaints = []
    for module in MODULES:
        graph = graph_of(objects_of(build, module))
        cycle = cycle_in(graph)
        if not graph:
            complaints.append(f"src/{module}: no objects: is there a build?")
        elif cycle:
            complaints.append(f"src/{module}: {describe(graph, cycle)}")
        complaints += [f"src/{module}: {call}" for call in upward(graph, FOLDERS.get(module, ()))]
    return complaints
