# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds with meson: the tests they have, which of them cover a line, and copies to mutate."""

import collections
import concurrent.futures
import contextlib
import gzip
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time

import listed
import sandbox

# What is compiled often and run briefly is quickest without optimization; and a mutant may well
# leave a variable unused.
OPTIONS = ["-Doptimization=0", "-Ddebug=false", "-Dwerror=false"]
SANITIZED = ["-Db_sanitize=address,undefined"]
SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=1:detect_leaks=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1",
    "G_SLICE": "always-malloc",
}
SUITES = {"unit", "fuzz"}
SETUP_SECONDS = 1800
BUILD_SECONDS = 300
# What system tests reach is found out anew when the programs have changed, but not more often.
SYSTEM_MAP_SECONDS = 24 * 3600
# The map takes seconds to write when it knows every test; a run that ends early may lose as much.
SAVE_SECONDS = 30
# Who can't write its counters complains to nobody: tests look at what a program prints.
GCOV_ENV = {"GCOV_ERROR_FILE": "/dev/null"}

# words: the command, to be run in folder with env; targets: what ninja has to build for it; kind:
# "unit" or "system"; part_of: the name of a test that this one is a part of.
Test = collections.namedtuple("Test", "name words folder env targets kind part_of")


def meson_json(directory, what):
    return json.loads(subprocess.run(["meson", "introspect", what, directory], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout)


def tracked(top):
    """Every file of the work tree that git knows or would add."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           cwd=top, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [n for n in names.split("\0") if n and os.path.isfile(os.path.join(top, n))]


class Build:
    """A build directory of the sources at @source."""

    def __init__(self, source, directory, options=()):
        self.source = source
        self.directory = directory
        self.sanitized = options == SANITIZED
        if not os.path.exists(os.path.join(directory, "build.ninja")):
            subprocess.run(["meson", "setup", directory, source, *OPTIONS, *options], check=True,
                           stdout=subprocess.DEVNULL, timeout=SETUP_SECONDS)
        # Tests that have come since are known from now on.
        configured, output = self.ninja(["build.ninja"])
        if not configured:
            raise SystemExit(output[-4000:])

    def ninja(self, targets, seconds=SETUP_SECONDS, jobs=1, **env):
        """Whether @targets could be built, and what was printed."""
        try:
            done = subprocess.run(["ninja", "-C", self.directory, "-j", str(jobs), *targets],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  errors="replace", timeout=seconds, env=dict(os.environ, **env))
        except subprocess.TimeoutExpired:
            return False, f"not built within {seconds} s"
        return done.returncode == 0, done.stdout

    def tests(self):
        """{name: Test} of those that run something that is built."""
        files = {t["id"]: [os.path.relpath(f, self.directory) for f in t["filename"]]
                 for t in meson_json(self.directory, "--targets")}
        tests = {}
        for test in meson_json(self.directory, "--tests"):
            targets = [f for target in test["depends"] for f in files.get(target, ())]
            suites = {s.split(":")[-1] for s in test["suite"]}
            known = Test(test["name"], test["cmd"], test["workdir"] or self.directory, test["env"],
                         targets, "unit", None)
            if targets and listed.SUITE in suites:
                tests.update(listed.tests_of(known))
            elif targets and suites & SUITES:
                tests[known.name] = known
        return tests

    def run(self, test, seconds, writable=(), **env):
        if self.sanitized:
            env = {**env, **SANITIZER_ENV}
        return sandbox.run(test.words, test.folder, {**test.env, **env}, seconds,
                           [self.source, self.directory], writable, limits=not self.sanitized)


def compile_flags(directory):
    """
    {absolute path of a source: the words with which libclang reads it as the compiler does}, without
    the sources of libraries that only tests are linked with (build_by_default: false).
    """
    with open(os.path.join(directory, "compile_commands.json"), encoding="utf-8") as stream:
        commands = json.load(stream)
    for_tests = {path for target in meson_json(directory, "--targets")
                 if not target["build_by_default"]
                 for group in target["target_sources"] for path in group["sources"]}
    flags = {}
    for entry in commands:
        words = [w for w in shlex.split(entry["command"]) if re.match(r"-(?:[IDU]|std=|isystem)", w)]
        path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
        if path not in for_tests:
            flags[path] = [f"-working-directory={entry['directory']}", *words]
    return flags


def digest_of(paths):
    """A digest of the files' contents."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(read(path))
    return total.hexdigest()[:16]


class Coverage(Build):
    """
    Which tests reach a line, and how long they take. What a test reached is kept with a digest of
    what it runs, so that only tests that were built anew are run again. Nearly every change of the
    sources makes the programs new that system tests start, so what these reached holds for a day;
    in a file that has changed meanwhile it is known by function only.
    """

    def __init__(self, source, directory):
        super().__init__(source, directory, ["-Db_coverage=true"])
        self.path = os.path.join(directory, "reached.json.gz")
        # test: {"digest", "programs", "when", "seconds", "status", "lines": {file: [line]},
        # "functions": {file: [name]}, "files": {file: digest}}
        self.reached = {}
        self.kinds = {}  # of each test in reached
        self.in_parts = set()  # tests whose parts are used instead of them
        self.digests = {}
        if os.path.exists(self.path):
            with gzip.open(self.path, "rt", encoding="utf-8") as stream:
                self.reached = json.load(stream)

    def source_digest(self, name):
        if name not in self.digests:
            self.digests[name] = digest_of([os.path.join(self.source, name)])
        return self.digests[name]

    def save(self):
        with gzip.open(self.path + ".new", "wt", encoding="utf-8") as stream:
            json.dump(self.reached, stream)
        os.replace(self.path + ".new", self.path)

    def programs(self, test):
        """A digest of what is built for the test."""
        return digest_of(os.path.join(self.directory, target) for target in test.targets)

    def digest(self, test):
        """A digest of the test itself: its command and what that reads."""
        inputs = {w for w in test.words if os.path.isfile(os.path.join(test.folder, w))}
        if test.kind == "system":
            inputs |= set(listed.sources(test))
        total = hashlib.sha256(repr((test.words, sorted(test.env.items()))).encode())
        total.update(digest_of(os.path.join(test.folder, path) for path in inputs).encode())
        return total.hexdigest()

    def refresh(self, wanted, jobs, longest, say):
        """
        Bring the map up to date, for the tests that @wanted says; afterwards it has no others. A
        unit test that takes longer than @longest seconds is stopped; a class of system tests that
        takes longer than half of that, or fails, gives way to its methods.
        """
        every = self.tests()
        tests = {name: test for name, test in every.items() if wanted(test)}
        built, output = self.ninja(sorted({t for test in tests.values() for t in test.targets}),
                                   jobs=jobs)
        if not built:
            raise SystemExit(output[-4000:])
        for name in set(self.reached) - set(every):
            del self.reached[name]
        wholes = {name: test for name, test in tests.items() if not test.part_of}
        self.measure_all(wholes, jobs, longest, say)
        parts = {name: test for name, test in tests.items() if test.part_of and (
            test.part_of not in wholes or self.reached[test.part_of]["status"] != 0)}
        self.measure_all(parts, jobs, longest, say)
        self.in_parts = {test.part_of for test in parts.values()}
        self.kinds = {name: tests[name].kind for name in (*wholes, *parts)}
        self.reached = {name: self.reached[name] for name in self.kinds}

    def measure_all(self, tests, jobs, longest, say):
        """Run those of @tests whose entries don't hold any more."""
        def limit(test):
            return longest if test.kind == "unit" or test.part_of else longest / 2
        stale = [test for name, test in sorted(tests.items())
                 if not self.holds(self.reached.get(name), test, limit(test))]
        saved = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for test, facts in zip(stale, pool.map(lambda t: self.measure(t, limit(t)), stale)):
                self.reached[test.name] = facts
                say(f"coverage: {test.name} {facts['seconds']:.1f} s")
                if time.monotonic() > saved + SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def holds(self, facts, test, limit):
        if not facts or facts["status"] is None and facts["seconds"] < limit:
            return False
        return facts["digest"] == self.digest(test) and (
            test.kind == "system" and time.time() < facts["when"] + SYSTEM_MAP_SECONDS
            or facts["programs"] == self.programs(test))

    def measure(self, test, limit):
        """Run one test. Its counters go into a folder of its own, and the notes come beside them."""
        counters = tempfile.mkdtemp(prefix="counters-", dir=self.directory)
        os.chmod(counters, 0o777)  # some tests are other users
        status, seconds = self.run(test, limit, [counters], GCOV_PREFIX=counters, **GCOV_ENV)
        lines, functions = self.lines_reached(counters)
        shutil.rmtree(counters)
        return {"digest": self.digest(test), "programs": self.programs(test), "when": time.time(),
                "seconds": seconds, "status": status, "lines": lines, "functions": functions,
                "files": {name: self.source_digest(name) for name in lines}}

    def lines_reached(self, counters):
        data = [os.path.join(folder, name) for folder, _, names in os.walk(counters)
                for name in names if name.endswith(".gcda")]
        for path in data:
            notes = path.removesuffix("gcda") + "gcno"
            if not os.path.exists(notes):
                os.symlink("/" + os.path.relpath(notes, counters), notes)
        output = subprocess.run(["gcov", "--json-format", "--stdout", *data], check=False,
                                cwd=self.directory, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout if data else b""
        lines, functions = collections.defaultdict(set), collections.defaultdict(set)
        for report in output.splitlines():
            for file in json.loads(report)["files"]:
                path = os.path.relpath(os.path.join(self.directory, file["file"]), self.source)
                reached = [line for line in file["lines"] if line["count"]]
                if path.startswith("src/"):
                    lines[path] |= {line["line_number"] for line in reached}
                    functions[path] |= {line.get("function_name") for line in reached}
        return ({path: sorted(numbers) for path, numbers in lines.items()},
                {path: sorted(filter(None, names)) for path, names in functions.items()})

    def covering(self, mutant, kind):
        """Names of the tests of @kind, unit or system, that reach a line of @mutant."""
        return [name for name, facts in self.reached.items() if facts["status"] == 0
                and self.kinds[name] == kind and self.reaches(facts, mutant)]

    def reaches(self, facts, mutant):
        if facts["files"].get(mutant.file) != self.source_digest(mutant.file):
            return mutant.function in facts["functions"].get(mutant.file, ())
        return not set(range(mutant.first_line, mutant.last_line + 1)).isdisjoint(
            facts["lines"].get(mutant.file, ()))


class TrialBuild(Build):
    """One of the builds of a slot."""

    def __init__(self, source, directory, options=()):
        super().__init__(source, directory, options)
        self.by_name = self.tests()

    def build_tests(self, names, seconds=SETUP_SECONDS, jobs=1, **env):
        targets = {t for name in names if name in self.by_name for t in self.by_name[name].targets}
        return self.ninja(sorted(targets), seconds, jobs, **env)


class Slot:
    """A copy of the sources with builds of its own, in which one mutant at a time is tried."""

    def __init__(self, top, directory, stages):
        self.source = os.path.join(directory, "source")
        self.copy(top, self.source)
        plain = TrialBuild(self.source, os.path.join(directory, "build"))
        self.builds = {stage: plain for stage in stages}
        if "sanitized" in stages:
            self.builds["sanitized"] = TrialBuild(
                self.source, os.path.join(directory, "build-sanitized"), SANITIZED)

    @staticmethod
    def copy(top, source):
        """Make @source what the work tree at @top is; a file that is equal keeps its time."""
        wanted = set(tracked(top))
        for folder, _, names in os.walk(source):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.relpath(path, source) not in wanted:
                    os.unlink(path)
        for name in wanted:
            there, here = os.path.join(top, name), os.path.join(source, name)
            if not os.path.exists(here) or read(here) != read(there):
                os.makedirs(os.path.dirname(here), exist_ok=True)
                shutil.copy(there, here)

    @contextlib.contextmanager
    def holding(self, name, text):
        """As long as this is entered, the copy's file @name holds @text."""
        path = os.path.join(self.source, name)
        before = read(path)
        write(path, text)
        try:
            yield
        finally:
            write(path, before)


def read(path):
    with open(path, "rb") as stream:
        return stream.read()


def write(path, content):
    with open(path, "wb") as stream:
        stream.write(content)
