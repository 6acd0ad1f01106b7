# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds with meson: the tests they have, which of them cover a line, and copies to mutate."""

import collections
import concurrent.futures
import gzip
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile

import sandbox

# What is compiled often and run briefly is quickest without optimization; and a mutant may well
# leave a variable unused.
OPTIONS = ["-Doptimization=0", "-Ddebug=false", "-Dwerror=false"]
SUITES = {"unit", "fuzz"}
SETUP_SECONDS = 1800
BUILD_SECONDS = 300

# words: the command, to be run in folder with env; targets: what ninja has to build for it.
Test = collections.namedtuple("Test", "name words folder env targets")


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
            if targets and any(s.split(":")[-1] in SUITES for s in test["suite"]):
                tests[test["name"]] = Test(test["name"], test["cmd"],
                                           test["workdir"] or self.directory, test["env"], targets)
        return tests

    def run(self, test, seconds, writable=(), **env):
        return sandbox.run(test.words, test.folder, {**test.env, **env}, seconds,
                           [self.source, self.directory], writable)


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


class Coverage(Build):
    """
    Which tests reach a line, and how long they take. What a test reached is kept with a digest of
    what it runs, so that only tests that were built anew are run again.
    """

    def __init__(self, source, directory):
        super().__init__(source, directory, ["-Db_coverage=true"])
        self.path = os.path.join(directory, "reached.json.gz")
        self.reached = {}  # test: {"digest", "seconds", "status", "lines": {file: [line]}}
        if os.path.exists(self.path):
            with gzip.open(self.path, "rt", encoding="utf-8") as stream:
                self.reached = json.load(stream)

    def save(self):
        with gzip.open(self.path + ".new", "wt", encoding="utf-8") as stream:
            json.dump(self.reached, stream)
        os.replace(self.path + ".new", self.path)

    def digest(self, test):
        total = hashlib.sha256(repr((test.words, sorted(test.env.items()))).encode())
        inputs = [w for w in test.words if os.path.isfile(os.path.join(test.folder, w))]
        for path in [*(os.path.join(self.directory, t) for t in test.targets), *inputs]:
            with open(os.path.join(test.folder, path), "rb") as stream:
                total.update(stream.read())
        return total.hexdigest()

    def refresh(self, prefixes, jobs, longest, say):
        """
        Bring the map up to date, for tests whose names begin with one of @prefixes; afterwards it
        has no others. A test that takes longer than @longest seconds is stopped.
        """
        every = self.tests()
        tests = {name: test for name, test in every.items() if name.startswith(prefixes)}
        built, output = self.ninja(sorted({t for test in tests.values() for t in test.targets}),
                                   jobs=jobs)
        if not built:
            raise SystemExit(output[-4000:])
        for name in set(self.reached) - set(every):
            del self.reached[name]
        stale = [test for name, test in sorted(tests.items())
                 if not self.holds(self.reached.get(name), test, longest)]
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for test, facts in zip(stale, pool.map(lambda t: self.measure(t, longest), stale)):
                self.reached[test.name] = facts
                say(f"coverage: {test.name} {facts['seconds']:.1f} s")
                self.save()
        self.save()
        self.reached = {name: self.reached[name] for name in tests}

    def holds(self, facts, test, longest):
        return facts and facts["digest"] == self.digest(test) and (
            facts["status"] is not None or facts["seconds"] >= longest)

    def measure(self, test, longest):
        """Run one test. Its counters go into a folder of its own, and the notes come beside them."""
        counters = tempfile.mkdtemp(prefix="counters-", dir=self.directory)
        os.chmod(counters, 0o777)  # some tests are other users
        status, seconds = self.run(test, longest, [counters], GCOV_PREFIX=counters)
        lines = self.lines_reached(counters)
        shutil.rmtree(counters)
        return {"digest": self.digest(test), "seconds": seconds, "status": status, "lines": lines}

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
        reached = collections.defaultdict(set)
        for report in output.splitlines():
            for file in json.loads(report)["files"]:
                path = os.path.join(self.directory, file["file"])
                reached[os.path.relpath(path, self.source)] |= {
                    line["line_number"] for line in file["lines"] if line["count"]}
        return {path: sorted(lines) for path, lines in reached.items() if path.startswith("src/")}

    def covering(self, mutant):
        """Names of the tests that reach a line of @mutant."""
        lines = set(range(mutant.first_line, mutant.last_line + 1))
        return [name for name, facts in self.reached.items() if facts["status"] == 0
                and not lines.isdisjoint(facts["lines"].get(mutant.file, ()))]


class Slot(Build):
    """A copy of the sources with a build of its own, in which one mutant at a time is tried."""

    def __init__(self, top, directory):
        self.copy(top, os.path.join(directory, "source"))
        super().__init__(os.path.join(directory, "source"), os.path.join(directory, "build"))
        self.by_name = self.tests()

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

    def build_test(self, name, **env):
        return self.ninja(self.by_name[name].targets, BUILD_SECONDS, **env)

    def write(self, name, text):
        with open(os.path.join(self.source, name), "wb") as stream:
            stream.write(text)


def read(path):
    with open(path, "rb") as stream:
        return stream.read()
