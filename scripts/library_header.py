#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the header of libcistern-image out of the headers that the library itself is built with.

usage: library_header.py header PREFACE HEADER…      the text of <cistern/image.h>
       library_header.py exports PREFACE HEADER…     a linker version script for what it declares

One text serves both sides, so the two cannot drift apart. Every function must have a comment
directly above it; what has none fails the build.
"""

import re
import sys

INCLUDE = re.compile(r"^#include <([^>]+)>\n", re.M)
# What follows such a line in a header stays inside.
INSIDE = re.compile(r"^/\* --- not in the library", re.M)
OURS = re.compile(r"(?:base|blob|image)/")
RULE = "/* " + "=" * 94 + " */"


def read(path):
    with open(path, encoding="utf-8") as stream:
        return INSIDE.split(stream.read())[0]


def body_of(text):
    text = re.sub(r"\A/\* SPDX[^\n]*\n", "", text)
    return INCLUDE.sub("", text.replace("#pragma once\n", "")).strip() + "\n"


def system_includes(texts):
    found = {name for text in texts for name in INCLUDE.findall(text) if not OURS.match(name)}
    return sorted(found)


def statements(text):
    """The top-level declarations with what stands before them: (comment right above or "", code)."""
    text = re.sub(r"^#[^\n]*(?:\\\n[^\n]*)*$", ";", text, flags=re.M)
    text = re.sub(r"^G_DEFINE_AUTO\w+\([^)]*\)$", ";", text, flags=re.M)
    start = depth = at = 0
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if text[at - 1] == ";" and depth == 0:
            chunk = text[start:at - 1].strip()
            comments = re.match(r"(?s)\A(?:\s*/\*.*?\*/)*\s*", chunk).group()
            yield re.search(r"(?s)(/\*\*(?:(?!/\*).)*\*/\n)?\Z", comments).group(), \
                chunk[len(comments):]
            start = at


def functions(text):
    """(name, is documented) for each function that the text declares, in its order."""
    for comment, code in statements(text):
        code = re.sub(r"(?s)/\*.*?\*/", "", code).strip()
        name = re.match(r"[\w\s*]*?\b(cst_\w+)\s*\(", code)
        if name and not code.startswith("typedef"):
            yield name.group(1), bool(comment)


def check(path, text):
    bare = [name for name, documented in functions(text) if not documented]
    if bare:
        sys.exit(f"{path}: no comment directly above {', '.join(bare)}; the header of "
                 "libcistern-image documents every call")


def header(preface, texts):
    lines = [preface.rstrip(), "#pragma once", ""]
    lines += [f"#include <{name}>" for name in system_includes(texts.values())]
    lines += ["", "G_BEGIN_DECLS"]
    for text in texts.values():
        lines += ["", RULE, "", body_of(text).rstrip()]
    return "\n".join(lines + ["", "G_END_DECLS", ""])


def exports(texts):
    names = [name for text in texts.values() for name, _ in functions(text)]
    return "{\nglobal:\n" + "".join(f"    {name};\n" for name in names) + "local:\n    *;\n};\n"


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in ("header", "exports"):
        sys.exit(__doc__)
    texts = {path: read(path) for path in sys.argv[3:]}
    for path, text in texts.items():
        check(path, text)
    print(header(read(sys.argv[2]), texts) if sys.argv[1] == "header" else exports(texts), end="")


if __name__ == "__main__":
    main()
