# SPDX-License-Identifier: LGPL-2.1-or-later
"""The list of mutants that no test can notice, each with its reason; a reviewer reads it.

    src/store/journal.c: write_record
    - the lines as they are
    + the lines as the mutant has them
    why this makes no difference

An entry is found by its texts, so it holds when lines above it come and go, and ends to hold when
its own line changes. Of equal lines in one function the second is "write_record (2)".
"""

import re

ENTRY = re.compile(r"(?P<file>\S+): (?P<function>\w+)(?: \((?P<copy>\d+)\))?\n"
                   r"- (?P<before>.*)\n\+ (?P<after>.*)\n(?P<reason>[^-+\s].*(\n[^-+\s].*)*)")


def read(path):
    """
    {mutants.identity(): reason} of the file at @path. An entry without a reason is refused, and so
    is one that an empty line should part from the next: that would pass for a part of the reason.
    """
    with open(path, encoding="utf-8") as stream:
        text = re.sub(r"^#.*\n", "", stream.read(), flags=re.M)
    entries = {}
    for block in re.split(r"\n\s*\n", text.strip()):
        entry = ENTRY.fullmatch(block.strip())
        if block.strip() and not entry:
            raise ValueError(f"{path}: not an entry: {block.strip()}")
        if entry:
            key = (entry["file"], entry["function"], entry["before"], entry["after"],
                   int(entry["copy"] or 1))
            entries[key] = " ".join(entry["reason"].split())
    return entries


def write_entry(identity):
    """An entry as it would be added, but for the reason."""
    file, function, before, after, copy = identity
    number = f" ({copy})" if copy > 1 else ""
    return f"{file}: {function}{number}\n- {before}\n+ {after}"
