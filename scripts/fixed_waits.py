# SPDX-License-Identifier: LGPL-2.1-or-later
"""No test waits for a fixed time or asserts a duration: the gate "waits" of scripts/lint.

A test waits for a condition: wait.until() in Python, point_await() and AWAIT() in C. So a sleep of
a fixed time, and a clock in an assertion, may stand in no test. Where the pace is the subject (a
client that reads slowly) or a pause between two looks, a comment says why, on the line or on the
line above: `# paced: REASON` or `/* paced: REASON */`. Measurements (bench, soak) are left out.
"""

import re

PYTHON = re.compile(r"\.py$|^tests/(?:\w+/)*(?:run|vm|guest/main)$|^tests/deb/run$")
LEFT_OUT = ("tests/soak/", "bench/")
PACED = re.compile(r"(?:#|/\*|//) ?paced: \S")
COMMENT = {"c": re.compile(r"/\*.*?\*/|//[^\n]*", re.S), "py": re.compile(r"(?<!['\"\w])#[^\n]*")}
# Texts on one line: only commands in them count.
WORDS = re.compile(r"(?<![\w\"'])[fr]{0,2}(\"[^\"\n]*\"|'[^'\n]*')(?![\"'])")
# A clock of C: a duration if it is compared or subtracted. A deadline is only passed on.
CLOCK = r"\bg_get_monotonic_time\s*\("
# (what is found, the complaint), by language.
RULES = {
    "py": (
        (re.compile(r"(?<![\w.])(?:time\.)?sleep\("), "a sleep of a fixed time"),
        (re.compile(r"(?<![\w-])sleep \.?\d"), "a sleep of a fixed time in a command"),
        (re.compile(r"\b(?:assert\w*|expect)\s*\([^\n]*"
                    r"(?:\btimed\(|\bmonotonic\(|\bperf_counter\(|\bseconds\b|\btook\b|\belapsed\b)"),
         "an asserted duration"),
        (re.compile(r"\bwhile\b[^\n]*\b(?:monotonic|perf_counter)\(\)"), "a loop with a limit of its own"),
    ),
    "c": (
        (re.compile(r"\b(?:g_usleep|usleep|nanosleep|sleep)\s*\("), "a sleep of a fixed time"),
        (re.compile(r"\"[^\"\n]*(?<![\w-])sleep \.?\d"), "a sleep of a fixed time in a command"),
        (re.compile(r"\bassert\w*\s*\([^;{}]*(?:\bg_timer_elapsed\s*\("
                    r"|" + CLOCK + r"\)\s*(?:[-<>]|[!=]=)|(?:(?<!-)[<>]=?|[!=]=|-)\s*" + CLOCK + ")"),
         "an asserted duration"),
    ),
}
PLANTED = {
    "py": ("time.sleep(1)", "    sleep(0.5)", 'run("sh", "-c", "sleep 0.3; true")',
           "self.assertLess(time.monotonic() - began, 5)", "expect(took < 3, text)",
           "while time.monotonic() < end:", "self.assertLess(timed(stop), 5)"),
    "c": ("g_usleep(1000);", "sleep(1);", 'run("sleep 1; true");',
          "assert_true(g_get_monotonic_time() - began < 5);",
          "assert_true(end > g_get_monotonic_time());",
          "assert_in_range(now - g_get_monotonic_time(), 0, 5);",
          "assert_in_range(g_timer_elapsed(timer, NULL), 0, 5);"),
}
HARMLESS = {
    "py": ("time.sleep(1)  # paced: a slow reader", "# paced: a pause\ntime.sleep(PAUSE)",
           'popen("sleep", "infinity")', "# time.sleep(1) is not used", "print(f'{took:.1f} s')",
           "self.assertLess(size, 5)", "self.sleeps(1)",
           "self.assertIn('within 3 seconds', text)"),
    "c": ("g_usleep(10); /* paced: a pause between two looks */",
          "/* paced: a slow client */\ng_usleep(10);", "/* sleep (1) */", "assert_true(size < 5);",
          'run("exec sleep infinity");',
          "static void assert_done(void)\n{\n    gint64 left = end - g_get_monotonic_time();",
          "assert_false(job_wait(id, g_get_monotonic_time(), &error));",
          "assert_false(job_wait(side->id, g_get_monotonic_time() + 300, &error));"),
}


def language(path):
    """Of a test; None for other files."""
    if not path.startswith("tests/") or path.startswith(LEFT_OUT):
        return None
    if path.endswith((".c", ".h")):
        return "c"
    return "py" if PYTHON.search(path) else None


def find(text, kind):
    """(line, complaint) of each fixed wait in the source of a test."""
    lines = text.split("\n")
    code = COMMENT[kind].sub(lambda found: "\n" * found.group().count("\n"), text)
    quiet = WORDS.sub("''", code)
    found = set()
    for rule, complaint in RULES[kind]:
        for match in rule.finditer(code if "command" in complaint else quiet):
            number = match.string.count("\n", 0, match.start())
            if not any(PACED.search(line) for line in lines[max(number - 1, 0):number + 1]):
                found.add((number + 1, complaint))
    return sorted(found)


def check_that_it_can_fail():
    """The rules see each planted wait, and none in harmless text."""
    missed = [text for kind, texts in PLANTED.items() for text in texts if not find(text, kind)]
    wrong = [text for kind, texts in HARMLESS.items() for text in texts if find(text, kind)]
    return ([f"scripts/fixed_waits.py: misses {text!r}" for text in missed]
            + [f"scripts/fixed_waits.py: complains about {text!r} without reason" for text in wrong])


def check(paths, read):
    """Complaints; @paths are all of the project's, @read gives the text of one."""
    return check_that_it_can_fail() + [
        f"{path}:{line}: {complaint}; await a condition (tests/system/harness/wait.py, "
        f"tests/unit/points.h, tests/unit/await.h), or say why: paced: REASON"
        for path in paths if language(path)
        for line, complaint in find(read(path), language(path))]


if __name__ == "__main__":
    import subprocess
    import sys

    def read_file(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()

    complaints = check(subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True, text=True,
                                      stdout=subprocess.PIPE).stdout.split(), read_file)
    print("\n".join(complaints))
    sys.exit(bool(complaints))
