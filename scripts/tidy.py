# SPDX-License-Identifier: LGPL-2.1-or-later
"""clang-tidy over every source of a build: the gate "tidy" of scripts/lint.

run-clang-tidy is not used: it colours what it prints, into a pipe too, and looks at a source once
for each program that is built from it. What a source's look brought is kept with a digest of all
that it depends on, so that only what changed is looked at again, in another checkout too: under
CISTERN_LAB/tidy, or BUILD/tidy.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import tempfile

from harness import until

CONFIG = ".clang-tidy"
# The analyzer's shallow mode follows calls less far. The deep one takes five times as long.
ANALYZER = ["-Xclang", "-analyzer-config", "-Xclang", "mode=shallow"]
# Flags of pch/meson.build.
PRECOMPILED = re.compile(r"--include=cst_pch\.h$|-fpch-deps$|-I(?:\S*/)?pch(?:/|$)")
FINDING = re.compile(r"^(\S+?)(:\d+:\d+: (?:warning|error): .*\[.*\])$", re.M)

# Sources that are harmless at first and then must be complained about, each with where and with the
# check's name: what the analyzer finds, what a check finds in a header, what does not compile.
HARMLESS = "int f(int);\n"
HEADER_USED = '#include "src/bad.h"\n'
KNOWN_BAD = {
    "zero.c": (HARMLESS, "int f(int a) { int none = 0; return a / none; }\n",
               r"zero\.c:1:.*clang-analyzer-core\.DivideZero"),
    "header.c": (HEADER_USED, HEADER_USED, r"bad\.h:3:.*bugprone-suspicious-string-compare"),
    "broken.c": (HARMLESS, "int f(void) { return missing; }\n",
                 r"broken\.c:1:.*clang-diagnostic-error"),
}
BAD_HEADER = """#pragma once
#include <string.h>
static inline int f(const char *a, const char *b) { return strcmp(a, b) == 2; }
"""


class Unit:
    """A source as one set of flags compiles it."""

    def __init__(self, directory, source, flags, depends):
        self.directory = directory
        self.source = source
        self.flags = flags
        self.depends = depends

    def name(self):
        return os.path.relpath(os.path.join(self.directory, self.source))


def compile_flags(entry):
    """
    The flags of a compile command without the compiler and the names of its outputs. The precompiled
    header is left out (pch/meson.build), so that a source has to include each header that it uses.
    """
    words = shlex.split(entry["command"])
    words = words[2:] if words[0].endswith("ccache") else words[1:]
    flags = []
    skip = False
    for word in words:
        if not skip and not PRECOMPILED.match(word) and word not in ("-o", "-MQ", "-MF", "-c", "-MD", entry["file"]):
            flags.append(word)
        skip = word in ("-o", "-MQ", "-MF")
    return flags


def known_depends(build):
    """{object: the files it was made from} as the compiler told ninja."""
    found = {}
    # The ordinary build lacks the tests that only AddressSanitizer's build plays.
    for folder in (build, build + "-asan"):
        if os.path.exists(os.path.join(folder, "build.ninja")):
            found = {**depends_in(folder), **found}
    return found


def depends_in(build):
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found = {}
    for block in text.split("\n\n"):
        head, *files = block.strip().split("\n")
        if "(VALID)" in head:
            found[head.split(":", 1)[0]] = [name.strip() for name in files]
    return found


def units_of(build):
    """Each source of ours once for each set of flags; a program's own folder is no difference."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as stream:
        entries = json.load(stream)
    depends = known_depends(build)
    units = {}
    for entry in entries:
        if not re.match(r"(?:src|tests|bench)/.*\.c$", os.path.relpath(
                os.path.join(entry["directory"], entry["file"]))):
            continue
        flags = compile_flags(entry)
        same = (entry["file"], *(f for f in flags if not re.match(r"-I.*\.p$", f)))
        units.setdefault(same, Unit(entry["directory"], entry["file"], flags,
                                    depends.get(entry["output"])))
    return list(units.values())


class Tidy:
    def __init__(self, cache):
        self.cache = cache
        self.files = {}
        os.makedirs(cache, exist_ok=True)
        with open(CONFIG, encoding="utf-8") as stream:
            rules = "".join(line for line in stream if not line.startswith("#"))
        version = subprocess.run(["clang-tidy", "--version"], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        with open(__file__, encoding="utf-8") as stream:
            self.method = rules + version + stream.read()

    def file_digest(self, path):
        if path not in self.files:
            with open(path, "rb") as stream:
                self.files[path] = hashlib.sha256(stream.read()).hexdigest()
        return self.files[path]

    def digest(self, unit):
        """Stands for all that a look at the unit depends on; None when that is not known."""
        if not unit.depends:
            return None
        try:
            parts = [self.file_digest(os.path.join(unit.directory, path))
                     for path in sorted(set(unit.depends))]
        except OSError:
            return None
        return hashlib.sha256("\n".join([self.method, *unit.flags, *parts]).encode()).hexdigest()

    def look(self, unit):
        """Runs clang-tidy; returns the findings."""
        command = ["clang-tidy", "-quiet", "--use-color=0",
                   "--config-file=" + os.path.abspath(CONFIG), unit.source, "--", *unit.flags,
                   "-Wno-error", "-Wno-unknown-warning-option", *ANALYZER]
        done = subprocess.run(command, cwd=unit.directory, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        found = {os.path.relpath(os.path.join(unit.directory, path)) + rest
                 for path, rest in FINDING.findall(done.stdout)}
        if done.returncode and not found:
            found = {f"{unit.name()}: clang-tidy ended with status {done.returncode}: "
                     + done.stdout[-2000:]}
        return sorted(found)

    def findings(self, unit):
        """The findings in a unit, from the last look if nothing has changed since."""
        label = hashlib.sha256("\n".join([unit.source, *unit.flags]).encode()).hexdigest()[:32]
        kept = os.path.join(self.cache, label)
        digest = self.digest(unit)
        try:
            with open(kept, encoding="utf-8") as stream:
                last = json.load(stream)
            if digest and last["digest"] == digest:
                return last["findings"]
        except (OSError, ValueError):
            pass
        until.check()
        found = self.look(unit)
        write(kept + ".new", json.dumps({"source": unit.name(), "digest": digest,
                                         "findings": found}))
        os.replace(kept + ".new", kept)
        return found


def write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)


def prove():
    """
    Looks at harmless sources that turn bad: from then on each must be complained about, by
    clang-tidy first and then from what is kept.
    """
    complaints = []
    with tempfile.TemporaryDirectory() as place:
        kept = os.path.join(place, "kept")
        header = os.path.join(place, "src", "bad.h")
        os.mkdir(os.path.dirname(header))
        for name, (harmless, bad, wanted) in KNOWN_BAD.items():
            unit = Unit(place, name, ["-std=gnu11"], [name, "src/bad.h"])
            write(header, HARMLESS)
            write(os.path.join(place, name), harmless)
            if Tidy(kept).findings(unit):
                complaints.append(f"the gate complains about the harmless {name}")
            write(header, BAD_HEADER)
            write(os.path.join(place, name), bad)
            for source in "clang-tidy", "what is kept":
                found = Tidy(kept).findings(unit)
                if not any(re.search(wanted, finding) for finding in found):
                    complaints.append(f"the gate is deaf: {source} tells {found} of {name}")
    return complaints


def check(build, jobs):
    complaints = prove()
    tidy = Tidy(os.path.join(os.environ.get("CISTERN_LAB") or build, "tidy"))
    units = units_of(build)
    if not units:
        complaints.append("nothing was looked at: is there a build?")
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(tidy.findings, units):
            complaints += found
    return list(dict.fromkeys(complaints))
