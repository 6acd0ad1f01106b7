#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The mutation tester itself: what each operator makes, the list of equivalents, and whole runs
over a project of one small file, in which some mutants are noticed and others are not."""

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
    def test_each_operator_makes_what_it_says(self):
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

    def test_what_does_not_compile_is_said(self):
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


class Runs(InFolder):
    def setUp(self):
        super().setUp()
        self.source = os.path.join(self.folder, "source")
        for name, text in PROJECT.items():
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

    def test_survivors_are_told_and_a_run_goes_on_where_it_was(self):
        status, output = self.run_tool("--seconds", "0")
        self.assertEqual(self.row(output)["not run"], self.row(output)["drawn"])
        status, output = self.run_tool()
        # demo_at_most: "<=" survives, not the condition inverted. demo_count: both, and an early
        # return. demo_unused: nobody calls it.
        self.assertEqual(self.row(output), {"drawn": 6, "killed": 4, "survived": 1, "uncovered": 1,
                                            "equivalent": 0, "invalid": 0, "not run": 0})
        self.assertEqual(status, 1)
        self.assertIn("survived: src/demo/demo.c:7 (boundary)\n" + EQUIVALENT.split("\n\n")[1]
                      .split("\nBoth")[0], output)
        with open(os.path.join(self.folder, "build/results.jsonl"), encoding="utf-8") as stream:
            records = [json.loads(line) for line in stream]
        self.assertEqual({r["test"] for r in records if r["status"] == "killed"}, {"demo", "quick"})
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
        self.assertEqual(self.row(output), {"drawn": 6, "killed": 5, "survived": 0, "uncovered": 0,
                                            "equivalent": 1, "invalid": 0, "not run": 0})
        self.assertEqual(status, 0)
        write(self.source, "tests/mutation/equivalent", EQUIVALENT.replace("a < b", "a < c"))
        status, output = self.run_tool()
        self.assertIn("no longer a mutant", output)
        self.assertEqual(status, 1)

    def test_a_mutant_reaches_nothing_outside(self):
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
        self.assertGreaterEqual(self.row(output)["killed"], 2)
        self.assertTrue(os.path.exists(outside))
        self.assertFalse(os.path.exists("/tmp/cst-mutation-seen"))

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


class RealScript(unittest.TestCase):
    def test_it_lists_what_a_pattern_picks(self):
        script = os.path.join(os.path.dirname(HERE), "system/run")
        done = subprocess.run([script, "--list", "user_test.Demo."], stdout=subprocess.PIPE,
                              text=True, check=True)
        self.assertEqual(done.stdout, "user_test.Demo.test_demo_goes_through\n")


if __name__ == "__main__":
    unittest.main()
