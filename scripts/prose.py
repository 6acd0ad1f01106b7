#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The gate "prose" of scripts/lint: vague words in sentences, and names of static functions.

usage: prose.py [--worst N]     prints all counts, and the N sentences with the most vague words

A vague word is a pronoun in the place of a noun. Each area has a limit of vague words in 1,000
words: comments of each module, messages, documents, names of tests and comments of tests. Two more
limits are shares of the static functions in src: names of one word, and names that another file
uses for a static function, too.
"""

import collections
import re
import subprocess
import sys

import c_functions
import documents

VAGUE = re.compile(r"\b(?:what|whatever|who|whose|whom|whoever|nobody|somebody|none|nothing|others|"
                   r"those|behind|beside|meanwhile)\b", re.I)
WORD = re.compile(r"[A-Za-z][A-Za-z']+")
OPENING = re.compile(r"[\s*/]*(?:What|Whoever|Whatever|Whose|Who|Those|One|Nothing|Nobody)\b")
COMMENT = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*(.*?)\*/|//([^\n]*)', re.S)
MESSAGE = re.compile(r'\bN?_\(\s*((?:"(?:\\.|[^"\\])*"|\s|[A-Z]\w+)+)\)')
LITERAL = re.compile(r'"((?:\\.|[^"\\])*)"')
TEST_NAME = re.compile(r"def (test_\w+)|^(?:static )?void\s+(\w+)\(void \*\*", re.M)
STATIC = re.compile(r"^static\b[^;={}]*?\b(\w+)\s*\([^;{]*\)\s*\{", re.M)

# Vague words in 1,000, and comments of src that open with a pronoun.
COMMENTS, MESSAGES, DOCUMENTS, TEST_NAMES, TEST_COMMENTS, OPENINGS = 5, 3, 5, 8, 8, 20
# Per cent of the static functions.
ONE_WORD, SHARED = 1, 6


class Count:
    """Words, vague words and openings of one area."""

    def __init__(self, limit):
        self.limit = limit
        self.words = self.vague = self.openings = 0
        self.worst = []

    def add(self, path, line, text):
        words, vague = len(WORD.findall(text)), len(VAGUE.findall(text))
        self.words += words
        self.vague += vague
        opens = bool(OPENING.match(text))
        self.openings += opens
        if vague or opens:
            self.worst.append((vague + opens, f"{path}:{line}", " ".join(text.split())))

    def share(self):
        return 1000 * self.vague / max(self.words, 1)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def comments(text):
    """Pairs of the line and the text of each comment, without licences."""
    for found in COMMENT.finditer(text):
        body = found[1] if found[1] is not None else found[2]
        if body is not None and not re.search(r"SPDX|Copyright|License", body):
            yield line_of(text, found.start()), body


def messages(text):
    for found in MESSAGE.finditer(text):
        yield line_of(text, found.start()), "".join(LITERAL.findall(found[1]))


def test_names(text):
    for found in TEST_NAME.finditer(text):
        yield line_of(text, found.start()), (found[1] or found[2]).replace("_", " ")


def paragraphs(text):
    """Pairs of the first line and the text of each paragraph, item and row, without code."""
    start, part = 0, []
    for number, (line, kind) in enumerate(documents.lines_with_kind(text), 1):
        if kind == "code":
            continue
        if kind in ("blank", "table", "item"):
            if part:
                yield start, " ".join(part)
            start, part = number, [line] if line.strip() else []
        else:
            start = start if part else number
            part.append(line)
    if part:
        yield start, " ".join(part)


def without_code_spans(pairs):
    return ((line, re.sub(r"`[^`]*`", " ", text)) for line, text in pairs)


def measure(paths, read):
    """A dict from the name of an area to its Count, and a dict from a static name to its files."""
    counts = {}
    statics = collections.defaultdict(set)

    def add(area, limit, path, pairs):
        count = counts.setdefault(area, Count(limit))
        for line, text in pairs:
            count.add(path, line, text)

    for path in paths:
        text = read(path)
        is_c = path.endswith((".c", ".h", ".x"))
        if path.startswith("src/") and is_c:
            add("comments of " + "/".join(path.split("/")[:2]), COMMENTS, path, comments(text))
            add("messages", MESSAGES, path, messages(text))
            for name in STATIC.findall(c_functions.blank(text)):
                statics[name].add(path)
        elif path.endswith(".md"):
            add("documents", DOCUMENTS, path, without_code_spans(paragraphs(text)))
        elif path.startswith("tests/") and (is_c or path.endswith(".py")):
            add("names of tests", TEST_NAMES, path, test_names(text))
            if is_c:
                add("comments of tests", TEST_COMMENTS, path, comments(text))
    return counts, statics


def shares(statics):
    """Per cent of the static functions: names of one word, names of several files."""
    total = max(sum(map(len, statics.values())), 1)
    one_word = sum(len(files) for name, files in statics.items() if "_" not in name)
    shared = sum(len(files) for files in statics.values() if len(files) > 1)
    return 100 * one_word / total, 100 * shared / total


def complaints(counts, statics):
    """One line for each limit that is exceeded."""
    for area, count in sorted(counts.items()):
        if count.share() > count.limit:
            yield f"{area}: {count.share():.1f} vague words in 1,000, over {count.limit}"
            yield from ("    " + ": ".join(row[1:])[:160] for row in sorted(count.worst)[-5:])
    openings = sum(count.openings for area, count in counts.items() if area.startswith("comments of src"))
    if openings > OPENINGS:
        yield f"{openings} comments of src open with a pronoun, over {OPENINGS}"
    one_word, shared = shares(statics)
    if one_word > ONE_WORD:
        yield f"{one_word:.1f} % of the static functions have a name of one word, over {ONE_WORD}"
    if shared > SHARED:
        yield f"{shared:.1f} % of the static functions share their name, over {SHARED}"


def self_test():
    """Planted text exceeds each limit, and plain text exceeds no limit."""
    plain = {"src/a/a.c": "/* Reads the header. */\nstatic int header_read(void)\n{\n}\n",
             "docs/a.md": "The pool has a volume.\n",
             "tests/a.c": "/* Reads. */\nstatic void header_is_read(void **state)\n"}
    planted = {"src/a/a.c": '/* What nobody reads. */\nstatic int take(void)\n{\n    _("nothing");\n}\n',
               "src/a/b.c": "/* None. */\nstatic int take(void)\n{\n}\n",
               "docs/a.md": "What others do.\n",
               "tests/a.c": "/* Those. */\nstatic void what_others_read(void **state)\n"}
    planted["src/b/c.c"] = "/* Who reads. */\n" * (OPENINGS + 1)
    found = list(complaints(*measure(list(plain), plain.get)))
    if found:
        return [f"the gate complains about plain text: {found}"]
    found = "\n".join(complaints(*measure(list(planted), planted.get)))
    return [f"the gate does not notice {wanted}" for wanted in
            ("comments of src/a:", "messages:", "documents:", "names of tests:", "comments of tests:",
             "open with a pronoun", "name of one word", "share their name") if wanted not in found]


def check(paths, read):
    return self_test() or list(complaints(*measure(paths, read)))


def main():
    worst = int(sys.argv[2]) if sys.argv[1:2] == ["--worst"] else 0
    paths = subprocess.run(["git", "ls-files", "*.c", "*.h", "*.x", "*.py", "*.md"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split()

    def read(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    counts, statics = measure(paths, read)
    for area, count in sorted(counts.items()):
        print(f"{area:28} {count.words:7} words, {count.share():5.1f} vague in 1,000,"
              f" {count.openings} openings")
    print("static functions: %.1f %% of one word, %.1f %% shared" % shares(statics))
    rows = sorted((row for count in counts.values() for row in count.worst), reverse=True)
    for _, place, text in rows[:worst]:
        print(f"  {place}: {text[:160]}")


if __name__ == "__main__":
    main()
