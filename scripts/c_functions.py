#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Length and complexity of every C function: the tail first.

usage: c_functions.py [FILE…]   (default: every .c file that git knows)

The layout that clang-format enforces makes functions easy to find: a body opens with "{" alone in
the first column and closes with "}" there. Length counts the body's lines, without the lines of a
static table inside it. Complexity is the number of branches of control flow plus one: each if, for,
while and switch counts once. The operators &&, || and ?: do not count, as a condition that is split
into helpers to hide them is no simpler to read.
"""

import re
import subprocess
import sys

MAX_LENGTH = 60
MAX_COMPLEXITY = 15
MAX_FILE = 600

BRANCH = re.compile(r"\b(?:if|for|while|switch)\b")
TABLE_START = re.compile(r"^\s+(?:static const|const static|static)\b.*=\s*\{\s*$")
NAME = re.compile(r"([A-Za-z_]\w*)\s*\(")


def blank(text):
    """Comments and literals replaced by spaces, so that what is left is only code."""
    def spaces(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text,
                  flags=re.S)


def name_before(lines, index):
    """The function's name: the last line in the first column that holds a parameter list."""
    while index > 0:
        index -= 1
        if lines[index] and not lines[index][0].isspace() and NAME.search(lines[index]):
            return NAME.search(lines[index]).group(1), index
    return "?", 0


def body_length(body):
    length, table_indent = 0, None
    for line in body:
        if table_indent is None and TABLE_START.match(line):
            table_indent = len(line) - len(line.lstrip())
        elif table_indent is None:
            length += 1
        elif line.strip().startswith("}") and len(line) - len(line.lstrip()) == table_indent:
            table_indent = None
    return length


def functions(path):
    """Yields (name, line, length, complexity)."""
    with open(path, encoding="utf-8") as stream:
        lines = blank(stream.read()).split("\n")
    start = None
    for index, line in enumerate(lines):
        if line == "{":
            start = index
        elif line.startswith("}") and start is not None:
            name, at = name_before(lines, start)
            body = lines[start + 1:index]
            code = "\n".join(l for l in body if not l.lstrip().startswith("#"))
            yield name, at + 1, body_length(body), 1 + len(BRANCH.findall(code))
            start = None


def c_files():
    names = subprocess.run(["git", "ls-files", "*.c"], check=True, stdout=subprocess.PIPE,
                           text=True).stdout.split()
    return names


def measure(paths):
    return [(path, *row) for path in paths for row in functions(path)]


def main():
    rows = measure(sys.argv[1:] or c_files())
    for title, column in (("longest", 3), ("most complex", 4)):
        print(f"{title}:")
        for row in sorted(rows, key=lambda r: -r[column])[:15]:
            print(f"{row[column]:6}  {row[0]}:{row[2]}  {row[1]}")


if __name__ == "__main__":
    main()
