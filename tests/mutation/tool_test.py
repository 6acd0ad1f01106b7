#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mutation tester itself: what each operator makes, the list of equivalents, and whole runs
over a project of one small file, in which some mutants are noticed and others are not."""

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
if not shutil.which("bwrap") or not importlib.util.find_spec("clang"):
    print("bubblewrap or libclang is missing: scripts/install-deps.sh mutation")
    sys.exit(77)

import equivalents  # noqa: E402
import mutants  # noqa: E402

PRELUDE = """
typedef int gboolean;
#define TRUE 1
#define FALSE 0
#define READ 1
#define WRITE 2
#define O_CLOEXEC 4
#define EITHER(a, b) ((a) < (b) && (a) > 0)
int flush(int fd);
gboolean data_sync(void);
void touch(int a, int b, const char *c);
void text_free(char *text);
"""

# Function body: what its mutants are, as "operator: the line".
OPERATORS = {
    "void f(int a) { touch(a, a, 0); }": ["drop: void f(int a) { ; }"],
    "void f(char *a) { text_free(a); }": [],
    "int f(int a) { return flush(a); }": ["drop: int f(int a) { return 0; }"],
    "gboolean f(void) { return data_sync(); }": ["drop: gboolean f(void) { return TRUE; }"],
    "int f(int a) { return a < 3; }": ["boundary: int f(int a) { return a <= 3; }"],
    "int f(int a) { return a >= 3; }": ["boundary: int f(int a) { return a > 3; }"],
    "int f(int the_fd) { return the_fd < 0; }": [],
    "int f(int a) { return EITHER(a, 3); }": [],
    "void f(char *a) { if (a) text_free(a); }": ["return: void f(char *a) { return; if (a) text_free(a); }"],
    "int f(int a) { return a ? 2 : 1; }": ["invert: int f(int a) { return !(a) ? 2 : 1; }"],
    "int f(int a) { return a && f(1); }": ["logic: int f(int a) { return a || f(1); }"],
    "void f(int a) { touch(a, 2, 0); }": ["drop: void f(int a) { ; }",
                                          "swap: void f(int a) { touch(2, a, 0); }"],
    "int f(void) { return READ | WRITE; }": ["flag: int f(void) { return READ; }",
                                            "flag: int f(void) { return WRITE; }"],
    "int f(void) { return READ | O_CLOEXEC; }": ["flag: int f(void) { return O_CLOEXEC; }"],
    "gboolean f(void) { return FALSE; }": ["success: gboolean f(void) { return TRUE; }"],
    "int f(void) { return -1; }": ["success: int f(void) { return 0; }"],
    "int f(int a) { a++; a++; return a; }": ["return: int f(int a) { return 0; a++; a++; return a; }",
                                            "return: int f(int a) { a++; return 0; a++; return a; }"],
    "void f(int a) { if (a) a++; }": ["invert: void f(int a) { if (!(a)) a++; }",
                                      "return: void f(int a) { return; if (a) a++; }"],
}

PROJECT = {
    "meson.build": """project('p', 'c')
demo = static_library('demo', 'src/demo/demo.c')
test('demo', executable('demo-test', 'tests/demo_test.c', link_with: demo), suite: 'unit')
test('quick', executable('quick-test', 'tests/quick_test.c', link_with: demo), suite: 'unit')
""",
    "src/demo/demo.c": """int demo_at_most(int a, int b);
int demo_count(int a);
int demo_unused(int a);

int demo_at_most(int a, int b)
{
    return a < b ? a : b;
}

int demo_count(int a)
{
    int n = 0;

    while (n < a)
        n++;
    return n;
}

int demo_unused(int a)
{
    return a > 2;
}
""",
    "tests/demo_test.c": """int demo_count(int a);
int main(void) { return demo_count(3) != 3; }
""",
    "tests/quick_test.c": """int demo_at_most(int a, int b);
int main(void) { return demo_at_most(1, 2) != 1; }
""",
}
PROGRAM = """#include <stdio.h>
#include <stdlib.h>

static void describe(int count)
{
    if (count > 3)
        puts("many");
}

int main(int argc, char **argv)
{
    describe(argc > 1 ? atoi(argv[1]) : 0);
    return 0;
}
"""
# Stands for tests/system/run. What fails in a slot and nowhere else may not count there, and what fails
# only when the program is new fails but once.
RUNNER = """#!/usr/bin/python3
import glob, os, signal, subprocess, sys, time

PROGRAM = os.path.join(os.environ["BUILD"], "demo-program")

def says(count, wanted):
    return subprocess.run([PROGRAM, str(count)], stdout=subprocess.PIPE).stdout.decode() == wanted

def fresh():
    young = "slot-" in PROGRAM and time.time() - os.stat(PROGRAM).st_mtime < 2
    time.sleep(2.2 if young else 0)  # paced: the program is old when it runs again
    return young

TESTS = {}
for path in glob.glob(os.path.join(os.path.dirname(__file__), "*_test.py")):
    with open(path) as stream:
        exec(stream.read())
picked = [name for name in TESTS if sys.argv[-1] in name]
if sys.argv[1] == "--list":
    print("\\n".join(TESTS))
else:
    sys.exit(not all(TESTS[name]() for name in picked))
"""
WITH_PROGRAM = {
    "meson.build": """project('p', 'c')
program = executable('demo-program', 'src/demo/main.c')
test('system', find_program('tests/system/run'), suite: 'system', depends: program,
    env: ['BUILD=' + meson.project_build_root()])
""",
    "src/demo/main.c": PROGRAM,
    "tests/system/run": RUNNER,
}
EQUIVALENT = """# A comment.

src/demo/demo.c: demo_at_most
- return a < b ? a : b;
+ return a <= b ? a : b;
Both are the same
where they are equal.
"""


def write(folder, name, text):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


class InFolder(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory(prefix="cst-mutation-")
        self.addCleanup(place.cleanup)
        self.folder = place.name

    def mutants(self, text):
        return mutants.mutants_of(write(self.folder, "a.c", PRELUDE + text + "\n"), "src/a.c", [])


class Operators(InFolder):
    def test_each_operator_makes_its_mutants(self):
        for text, wanted in OPERATORS.items():
            with self.subTest(text):
                found = [f"{m.operator}: {m.after}" for m in self.mutants(text)]
                self.assertEqual(sorted(found), sorted(wanted))

    def test_a_mutant_is_its_edit_and_knows_its_lines(self):
        text = "int f(int a)\n{\n    return a &&\n           f(1);\n}\n"
        (mutant,) = self.mutants(text)
        whole = (PRELUDE + text).encode()
        self.assertEqual(mutants.apply(whole, mutant), whole.replace(b"a &&", b"a ||"))
        lines = (PRELUDE + text).split("\n")
        self.assertEqual(lines[mutant.line - 1], "    return a &&")
        self.assertEqual((mutant.first_line, mutant.last_line), (mutant.line, mutant.line + 1))

    def test_a_loop_without_an_end_is_reached_with_its_body(self):
        text = "int f(int a)\n{\n    for (;;) {\n        if (a++ > 3)\n            return a;\n    }\n}\n"
        (mutant,) = [m for m in self.mutants(text) if m.operator == "return"]
        self.assertEqual((mutant.last_line - mutant.first_line), 3)

    def test_source_that_does_not_compile_is_reported(self):
        with self.assertRaises(ValueError):
            self.mutants("int f(void) { return unknown; }")


class Equivalents(InFolder):
    BODY = "int f(int a) { return a < 3; }\nint g(int a)\n{\n    f(a < 3);\n    f(a < 3);\n    return 1;\n}\n"

    def entries(self, text):
        return equivalents.read(write(self.folder, "list", text))

    def test_an_entry_holds_when_lines_come_and_ends_with_its_line(self):
        first = self.mutants(self.BODY)[0]
        text = equivalents.write_entry(mutants.identity(first)) + "\nbecause\n"
        (key,) = self.entries(text)
        moved = self.mutants("int h;\n\n" + self.BODY)[0]
        self.assertNotEqual(moved.line, first.line)
        self.assertEqual(mutants.identity(moved), key)
        changed = self.mutants(self.BODY.replace("return a < 3", "return a < 4"))
        self.assertNotIn(key, map(mutants.identity, changed))

    def test_of_equal_lines_each_has_its_own_entry(self):
        keys = [mutants.identity(m) for m in self.mutants(self.BODY)]
        self.assertEqual(len(set(keys)), len(keys))
        text = "\n\n".join(equivalents.write_entry(k) + "\nbecause" for k in keys)
        self.assertEqual(set(self.entries(text)), set(keys))

    def test_an_entry_needs_a_reason(self):
        with self.assertRaises(ValueError):
            self.entries("src/a.c: f\n- a\n+ b\n")

    def test_an_entry_must_not_pass_for_the_reason_of_the_one_above(self):
        with self.assertRaises(ValueError):
            self.entries("src/a.c: f\n- a\n+ b\nbecause\nsrc/b.c: g\n- c\n+ d\nbecause\n")


class OfProject(InFolder):
    PROJECT = PROJECT

    def setUp(self):
        super().setUp()
        self.source = os.path.join(self.folder, "source")
        for name, text in self.PROJECT.items():
            write(self.source, name, text)
        subprocess.run(["git", "init", "-q", self.source], check=True)

    def run_tool(self, *words):
        done = subprocess.run([os.path.join(HERE, "mutation"), "--source", self.source, "--build",
                               os.path.join(self.folder, "build"), "--jobs", "1", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertIn("module ", done.stdout)
        return done.returncode, done.stdout

    def row(self, output):
        """The table's row as numbers by column."""
        names = re.search(r"^module +(.*?) +share$", output, re.M).group(1)
        values = re.search(r"^demo +(.*) +\S+%$", output, re.M).group(1).split()
        return dict(zip(re.split(r"  +", names), map(int, values)))

    def records(self):
        with open(os.path.join(self.folder, "build/results.jsonl"), encoding="utf-8") as stream:
            return [json.loads(line) for line in stream]


class Runs(OfProject):
    def test_survivors_are_told_and_a_run_goes_on_where_it_was(self):
        status, output = self.run_tool("--seconds", "0")
        self.assertEqual(self.row(output)["not run"], self.row(output)["drawn"])
        status, output = self.run_tool()
        # demo_at_most: "<=" survives, not the condition inverted. demo_count: both, and an early
        # return. demo_unused: nobody calls it.
        self.assertEqual(self.row(output), {"drawn": 6, "by unit": 4, "sanitized": 0, "by system": 0, "survived": 1,
                                            "uncovered": 1, "equivalent": 0, "invalid": 0,
                                            "not run": 0})
        self.assertEqual(status, 1)
        self.assertIn("survived: src/demo/demo.c:7 (boundary)\n" + EQUIVALENT.split("\n\n")[1]
                      .split("\nBoth")[0], output)
        self.assertEqual({r["test"] for r in self.records() if r["status"] == "killed"},
                         {"demo", "quick"})
        self.assertIn(" 0 to try", self.run_tool()[1])
        self.mend()

    def mend(self):
        """What is listed is not judged; a new test has survivors tried again, and no others."""
        write(self.source, "tests/mutation/equivalent", EQUIVALENT)
        write(self.source, "tests/demo_test.c", """int demo_count(int a); int demo_unused(int a);
int main(void) { return demo_count(3) != 3 || demo_unused(2) || !demo_unused(3); }
""")
        status, output = self.run_tool()
        self.assertIn(" 2 to try", output)
        self.assertEqual(self.row(output), {"drawn": 6, "by unit": 5, "sanitized": 0, "by system": 0, "survived": 0,
                                            "uncovered": 0, "equivalent": 1, "invalid": 0,
                                            "not run": 0})
        self.assertEqual(status, 0)
        write(self.source, "tests/mutation/equivalent", EQUIVALENT.replace("a < b", "a < c"))
        status, output = self.run_tool()
        self.assertIn("no longer a mutant", output)
        self.assertEqual(status, 1)

    def test_a_mutant_changes_no_file_outside_of_its_folder(self):
        """One that hangs is ended; what it deletes and writes is its own."""
        outside = write(self.folder, "outside", "kept")
        write(self.source, "src/demo/demo.c", f"""#include <stdio.h>
#include <unistd.h>
int demo_count(int a);
int demo_count(int a)
{{
    if (a < 3) {{
        unlink("{outside}");
        fclose(fopen("/tmp/cst-mutation-seen", "w"));
        for (;;)
            ;
    }}
    return a;
}}
""")
        write(self.source, "tests/quick_test.c", "int main(void) { return 0; }\n")
        write(self.source, "tests/demo_test.c", PROJECT["tests/demo_test.c"].replace("!= 3", "< 0"))
        _status, output = self.run_tool("--seed", "2")
        self.assertGreaterEqual(self.row(output)["by unit"], 2)
        self.assertTrue(os.path.exists(outside))
        self.assertFalse(os.path.exists("/tmp/cst-mutation-seen"))

    def test_a_leak_and_a_read_too_far_are_seen_by_sanitizers(self):
        write(self.source, "src/demo/demo.c", """#include <stdlib.h>
int demo_count(int a);
void demo_drop(int *numbers);
void demo_drop(int *numbers)
{
    free(numbers);
}
int demo_count(int a)
{
    int *numbers = calloc((size_t)a, sizeof(int));
    int sum = a;
    for (int i = 0; i < a; i++)
        sum += numbers[i] * (a + 1);
    demo_drop(numbers);
    return sum;
}
""")
        write(self.source, "tests/quick_test.c", "int main(void) { return 0; }\n")
        output = self.run_tool("--stage", "unit")[1]
        self.assertIn("survived src/demo/demo.c:12 boundary", output)
        self.assertIn("survived src/demo/demo.c:14 drop", output)
        output = self.run_tool("--stage", "sanitized")[1]
        self.assertIn("killed   src/demo/demo.c:12 boundary demo", output)
        self.assertIn("killed   src/demo/demo.c:14 drop demo", output)
        self.assertEqual(self.row(output)["sanitized"], 2)

    def test_only_lines_that_were_changed_are_drawn(self):
        def git(*words):
            subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], check=True,
                           cwd=self.source, stdout=subprocess.DEVNULL)
        git("add", ".")
        git("commit", "-q", "-m", "m")
        path = "src/demo/demo.c"
        write(self.source, path, PROJECT[path].replace("a > 2", "a > 3"))
        output = self.run_tool("--since", "HEAD", "--seconds", "0")[1]
        self.assertEqual(self.row(output)["drawn"], 1)


class SystemTests(OfProject):
    """
    describe() is noticed by a test that starts the program, but for what it does with just three,
    and so is main(), which no test calls without an argument.
    """

    PROJECT = WITH_PROGRAM
    GOOD = 'lambda: says(9, "many\\n") and says(1, "")'
    ALL_BUT_TWO = {"drawn": 7, "by unit": 0, "sanitized": 0, "by system": 5, "survived": 2, "uncovered": 0,
                   "equivalent": 0, "invalid": 0, "not run": 0}

    def setUp(self):
        super().setUp()
        os.chmod(os.path.join(self.source, "tests/system/run"), 0o755)

    def set_tests(self, module, **tests):
        """@tests of a module: "Class__test", and what passes."""
        write(self.source, f"tests/system/{module}.py", "".join(
            f"TESTS['{module}.{name.replace('__', '.')}'] = {code}\n"
            for name, code in tests.items()))

    def noticed_by(self):
        return {r["test"] for r in self.records() if r["status"] == "killed"}

    def test_system_tests_notice_mutants_that_unit_tests_miss(self):
        self.set_tests("a_test", Prints__test_both=self.GOOD)
        output = self.run_tool("--stage", "unit")[1]
        self.assertEqual(self.row(output)["uncovered"], 7)
        self.assertNotIn("coverage: ", output)
        self.assertEqual(self.row(self.run_tool("--seconds", "0")[1])["not run"], 7)
        output = self.run_tool()[1]
        self.assertIn(" 7 to try", output)
        self.assertEqual(self.row(output), self.ALL_BUT_TWO)
        self.assertIn("survived: src/demo/main.c:6 (boundary)", output)
        self.assertEqual(self.noticed_by(), {"system/a_test.Prints"})
        self.assertIn(" 0 to try", self.run_tool("--stage", "system")[1])

    def test_coverage_of_system_tests_is_measured_once_a_day(self):
        """Until then lines may have moved, and only those of the changed function count."""
        self.set_tests("a_test", Prints__test_both=self.GOOD)
        write(self.source, "src/demo/main.c", "int unused(int a);\nint unused(int a)\n{\n"
              "    return a > 2;\n}\n" + PROGRAM)
        self.assertIn("coverage: system/a_test.Prints ", self.run_tool("--seconds", "0")[1])
        write(self.source, "src/demo/main.c", "int unused(int a);\nint unused(int a)\n{\n"
              "    return a > 3;\n}\n" + "\n" * 20 + PROGRAM)
        output = self.run_tool()[1]
        self.assertNotIn("coverage: ", output)
        self.assertEqual(self.row(output), {**self.ALL_BUT_TWO, "drawn": 8, "uncovered": 1})
        self.let_a_day_pass()
        self.assertIn("coverage: system/a_test.Prints ", self.run_tool("--seconds", "0")[1])
        self.set_tests("b_test", New__test_it=self.GOOD)
        output = self.run_tool("--seconds", "0")[1]
        self.assertIn("coverage: system/b_test.New ", output)
        self.assertNotIn("coverage: system/a_test.Prints ", output)
        self.set_tests("a_test", Prints__test_both=f"{self.GOOD} and True")
        self.assertIn("coverage: system/a_test.Prints ", self.run_tool("--seconds", "0")[1])

    def let_a_day_pass(self):
        path = os.path.join(self.folder, "build/coverage/reached.json.gz")
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            reached = json.load(stream)
        for facts in reached.values():
            facts["when"] -= 24 * 3600
        with gzip.open(path, "wt", encoding="utf-8") as stream:
            json.dump(reached, stream)

    def test_the_methods_of_a_class_that_fails_or_takes_long_count_alone(self):
        self.set_tests("a_test", Fails__test_bad="lambda: False", Fails__test_good=self.GOOD,
                       Hangs__test_it="lambda: signal.pause()")
        self.set_tests("b_test", # paced: it takes longer than the tool allows
                       Lasts__test_long="lambda: time.sleep(1.5) or True",
                       Lasts__test_short='lambda: says(4, "many\\n")')
        output = self.run_tool("--longest", "2")[1]
        for line in ("in parts: system/a_test.Fails ", "not used: system/a_test.Fails.test_bad ",
                     "in parts: system/a_test.Hangs ", "not used: system/a_test.Hangs.test_it ",
                     "in parts: system/b_test.Lasts "):
            self.assertIn(line, output)
        self.assertEqual(self.row(output), self.ALL_BUT_TWO)
        self.assertLessEqual(self.noticed_by(),
                             {"system/a_test.Fails.test_good", "system/b_test.Lasts.test_short"})

    def test_a_failure_that_has_another_cause_does_not_count(self):
        self.set_tests("a_test", Elsewhere__test_it='lambda: (says(9, ""), "slot-" not in PROGRAM)[1]')
        output = self.run_tool("--count", "2")[1]
        self.assertEqual(self.row(output)["survived"], 2)
        self.assertEqual(output.count("not used: system/a_test.Elsewhere fails on the"), 1)

    def test_a_failure_that_does_not_come_again_does_not_count(self):
        self.set_tests("a_test", Chance__test_it='lambda: (says(9, ""), not fresh())[1]')
        output = self.run_tool("--count", "1")[1]
        self.assertEqual(self.row(output)["survived"], 1)
        self.assertNotIn("not used", output)


class RealScript(unittest.TestCase):
    def test_runner_lists_the_tests_of_a_pattern(self):
        script = os.path.join(os.path.dirname(HERE), "system/run")
        done = subprocess.run([script, "--list", "user_test.Demo."], stdout=subprocess.PIPE,
                              text=True, check=True)
        self.assertEqual(done.stdout, "user_test.Demo.test_demo_goes_through\n")


if __name__ == "__main__":
    unittest.main()
