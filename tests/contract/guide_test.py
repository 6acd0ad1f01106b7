#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/backend.md stays true: its code compiles or stands in the sources, no member is left out.

usage: guide_test.py SOURCE_DIR COMPILER [ARGUMENT…]     the output is TAP
"""

import os
import re
import subprocess
import sys

TOP, COMPILER = sys.argv[1], sys.argv[2:]
GUIDE = os.path.join(TOP, "docs", "backend.md")
HEADERS = [os.path.join(TOP, "src/pool/include/pool", name)
           for name in ("backend.h", "snapshots.h")]
PRELUDE = "#include <pool/backend.h>\n#include <base/error.h>\n#include <base/i18n.h>\n"


def read(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def snippets(text):
    """(line, source file or None, code) of each C block; a comment before it names the file."""
    for block in re.finditer(r"(?:^<!-- (\S+) -->\n)?^```c\n(.*?)^```$", text, re.M | re.S):
        yield text.count("\n", 0, block.start()) + 1, block.group(1), block.group(2)


def compile_error(code):
    done = subprocess.run([*COMPILER, "-fsyntax-only", "-Wall", "-Werror", "-x", "c", "-"],
                          input=PRELUDE + code, text=True, stderr=subprocess.PIPE)
    return done.stderr if done.returncode else None


def check_snippet(path, code):
    if path is None:
        return compile_error(code)
    return None if code in read(os.path.join(TOP, path)) else f"not found in {path}"


def members(header, name):
    """Names in "struct NAME { … };" and "typedef struct { … } NAME;"."""
    header = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    body = (re.search(r"^struct %s \{\n(.*?)^\};" % name, header, re.M | re.S)
            or re.search(r"^typedef struct \{\n((?:(?!^\}).*\n)*)^\} %s;" % name, header, re.M))
    found = re.findall(r"\(\*(\w+)\)\(", body.group(1))
    found = [word for word in found if word != "changed"]
    return found + re.findall(r"^    [\w ]+?[ *](\w+);$", body.group(1), re.M)


def cases():
    text, header = read(GUIDE), "".join(read(path) for path in HEADERS)
    for line, path, code in snippets(text):
        yield f"the code at line {line}", check_snippet(path, code)
    for name in ("CstBackend", "CstSnapshotBackend"):
        missing = [word for word in members(header, name)
                   if word != "type" and f"`{word}`" not in text]
        yield f"every member of {name}", f"not mentioned: {missing}" if missing else None


def main():
    results = list(cases())
    print(f"1..{len(results)}")
    for number, (name, problem) in enumerate(results, 1):
        print(f"{'not ok' if problem else 'ok'} {number} - {name}")
        if problem:
            print("# " + problem.replace("\n", "\n# "))
    sys.exit(any(problem for _, problem in results))


main()
