#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The gate "documents" of scripts/lint: layout of documents, and names of the map.

usage: documents.py --wrap FILE…     wraps paragraphs and items at 100 columns

- Text wraps at 100 columns. Tables, code and a single long word are exempt.
- ARCHITECTURE.md has at most 2,500 words.
- Each file, function and struct that ARCHITECTURE.md and docs/internals name exists. A row of a
  walk names the file that defines its functions.
"""

import os
import re
import sys
import textwrap

COLUMNS = 100
MAP = "ARCHITECTURE.md"
MAP_WORDS = 2500
FOLDERS = ("src/", "tests/", "scripts/", "docs/", "examples/", "packaging/")

MARK = re.compile(r"^(\s*)([-*+]|\d+\.)\s+")
CODE_SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def is_code(line, in_fence, in_list):
    """Whether @line is part of a code block. Four columns do not indent code inside of a list."""
    return in_fence or line.startswith("```") or (line.startswith("    ") and not in_list)


def lines_with_kind(text):
    """Pairs of a line and its kind: code, table, blank, heading, item or text."""
    in_fence = in_list = False
    for line in text.split("\n"):
        if line.startswith("```"):
            in_fence = not in_fence
            yield line, "code"
        elif is_code(line, in_fence, in_list):
            yield line, "code"
        elif not line.strip():
            yield line, "blank"
        elif line.lstrip().startswith("|") or line.lstrip().startswith("<!--"):
            yield line, "table"
        elif line.startswith("#"):
            in_list = False
            yield line, "heading"
        elif MARK.match(line):
            in_list = True
            yield line, "item"
        else:
            in_list = in_list and line.startswith(" ")
            yield line, "text"


def too_long(text):
    """The numbers of lines that are too long and could be wrapped."""
    for number, (line, kind) in enumerate(lines_with_kind(text), 1):
        if kind in ("text", "item") and len(line) > COLUMNS and " " in line.strip()[:COLUMNS - 4]:
            yield number


def wrap_block(block):
    """Wraps one paragraph or item. Code spans and links keep their spaces."""
    found = MARK.match(block[0])
    first = found.group() if found else re.match(r"\s*", block[0]).group()
    words = " ".join([block[0][len(first):].strip()] + [line.strip() for line in block[1:]])
    held = re.sub(r"`[^`]*`", lambda span: span.group().replace(" ", "\0"), words)
    return textwrap.fill(held, COLUMNS, initial_indent=first, subsequent_indent=" " * len(first),
                         break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def wrap(text):
    """@text with each paragraph and item that has a long line wrapped anew."""
    result, block = [], []

    def finish():
        if any(len(line) > COLUMNS for line in block):
            result.append(wrap_block(block))
        else:
            result.extend(block)
        block.clear()

    for line, kind in lines_with_kind(text):
        if kind == "text":
            block.append(line)
            continue
        finish()
        if kind == "item":
            block.append(line)
        else:
            result.append(line)
    finish()
    return "\n".join(result)


def defined(name, text):
    """Whether @text, C source, defines or declares @name."""
    return re.search(rf"\b{re.escape(name)}\b", text) is not None


def walk_rows(text):
    """(functions, path) of each row of a walk."""
    for line in text.split("\n"):
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 4 or not cells[1].startswith("`") or not cells[2].startswith("`src/"):
            continue
        functions = CODE_SPAN.findall(cells[1])
        path = CODE_SPAN.findall(cells[2])[0]
        if path.endswith(".c") and all(re.fullmatch(r"\w+", name) for name in functions):
            yield functions, path


def name_complaints(path, text, exists, read, sources):
    """Files, functions and links of the document @path that do not exist."""
    for target in LINK.findall(text):
        if not exists(os.path.normpath(os.path.join(os.path.dirname(path), target))):
            yield f"{path}: link to {target}, which does not exist"
    for functions, source in walk_rows(text):
        for name in functions:
            if not exists(source) or not re.search(rf"^(?:[\w *]+\b)?\**{name}\(", read(source), re.M):
                yield f"{path}: {source} does not define {name}()"
    for span in CODE_SPAN.findall(text):
        if re.fullmatch(r"[\w./-]+", span) and span.startswith(FOLDERS) and not exists(span):
            yield f"{path}: {span} does not exist"
        function = re.fullmatch(r"(\w+)\(\)", span)
        if function and not defined(function.group(1), sources):
            yield f"{path}: no source has {function.group(1)}()"
        if re.fullmatch(r"(?:Cst|CST_)\w+", span) and not defined(span, sources):
            yield f"{path}: no source has {span}"


def check_that_it_can_fail():
    """The rules see planted faults, and pass correct text."""
    long = "word " * 30
    faults = []
    if list(too_long(long)) != [1] or list(too_long("| " + long)) or list(too_long("    " + long)):
        faults.append("scripts/documents.py: long lines are not found")
    if list(too_long(wrap(long))) or wrap("- " + long).count("\n  word") != 1:
        faults.append("scripts/documents.py: wrapping leaves long lines")
    wrong = ["`src/nowhere.c`", "`no_such_function()`", "[x](docs/nowhere.md)", "`CstNowhere`",
             "| `gone` | `src/a.c`: text |"]
    known = {"src/a.c": "gboolean here(int x)\n{\n}\n"}
    for text in wrong:
        if not list(name_complaints(MAP, text, known.__contains__, known.get, "here")):
            faults.append(f"scripts/documents.py: misses {text}")
    for text in ["`src/a.c`", "`here()`", "| `here` | `src/a.c` |", "`vol-create`"]:
        if list(name_complaints(MAP, text, known.__contains__, known.get, "here")):
            faults.append(f"scripts/documents.py: complains about {text} without reason")
    return faults


def check(documents, sources, read):
    """Complaints. @documents and @sources are paths of the project, @read returns a file's text."""
    complaints = check_that_it_can_fail()
    complaints += [f"{path}:{number}: over {COLUMNS} columns (scripts/documents.py --wrap)"
                   for path in documents for number in too_long(read(path))]
    words = len(read(MAP).split())
    if words > MAP_WORDS:
        complaints.append(f"{MAP}: {words} words, over {MAP_WORDS}")
    all_sources = "\n".join(read(path) for path in sources)
    for path in documents:
        if path == MAP or path.startswith("docs/internals/"):
            complaints += name_complaints(path, read(path), os.path.exists, read, all_sources)
    return complaints


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "--wrap":
        sys.exit(__doc__)
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as stream:
            before = stream.read()
        after = wrap(before)
        if after != before:
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(after)


if __name__ == "__main__":
    main()
