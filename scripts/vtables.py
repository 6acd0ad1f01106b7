# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who calls through the vtables: the gate "vtables" of scripts/lint.

Backends, blobs and formats are called by their checked dispatchers alone, which look at what the
callee can, hold it to its contract, and trace the call. Whoever else calls a slot goes past all of
that, so in no other source may "ops->SLOT(", "backend->SLOT(" or "format->SLOT(" stand.
"""

import dataclasses
import re

NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"' + r"|'(?:\\.|[^'\\\n])*'", re.S)
# Structs whose member "ops" is a table of their own: of a VMDK's extent, of a format of blocks.
OTHERS = ("extent", "blocks")


@dataclasses.dataclass
class Table:
    """A vtable: who may call through it, and how its callers get at it."""
    headers: tuple
    structs: tuple  # declared there
    folders: tuple  # of sources that see the headers
    holders: tuple  # members and variables that point to one of the structs
    dispatchers: tuple
    pending: tuple = ()  # sources that are still to use the dispatcher: to be emptied

    def slots(self, read):
        """Names of the callbacks in the structs."""
        text = re.sub(r"/\*.*?\*/", "", "".join(map(read, self.headers)), flags=re.S)
        found = set()
        for name in self.structs:
            body = (re.search(r"^struct %s \{\n(.*?)^\};" % name, text, re.M | re.S)
                    or re.search(r"^typedef struct \{\n((?:(?!^\}).*\n)*)^\} %s;" % name, text,
                                 re.M))
            found |= set(re.findall(r"^    [^\n()]*\(\*(\w+)\)\(", body.group(1), re.M))
        return sorted(found)

    def calls(self, text, slots):
        """(line, slot) of each call through the table in C source."""
        code = NO_CODE.sub(lambda found: "\n" * found.group().count("\n") or " ", text)
        others = "".join(r"(?<!\b%s->)" % name for name in OTHERS)
        call = re.compile(others + r"\b(?:%s)\)?->(%s)\s*\("
                          % ("|".join(self.holders), "|".join(slots)))
        return [(code.count("\n", 0, m.start()) + 1, m.group(1)) for m in call.finditer(code)]


TABLES = (
    Table(("src/pool/include/pool/backend.h", "src/pool/include/pool/snapshots.h"),
          ("CstBackend", "CstSnapshotBackend"),
          ("src/pool/", "src/service/", "src/api/", "src/server/", "src/daemon/", "src/conn/"),
          ("backend", "snapshots", "ops"),
          # the last one for the close of a state that nobody holds any more
          ("src/pool/login.c", "src/pool/pool.c", "src/pool/relations.c", "src/pool/snapshot.c",
           "src/pool/backend.c")),
    Table(("src/blob/include/blob/blob.h",), ("CstBlobOps",), ("src/",), ("ops",),
          ("src/blob/blob.c",)),
    Table(("src/image/format.h",), ("CstImageFormat", "CstSnapshotOps", "CstBitmapOps"),
          ("src/image/",), ("format", "ops", "snapshots", "bitmaps"),
          # registry.c asks each format whether a head is its own; guest.c is called by blob.c,
          # which checks and traces it
          ("src/image/image.c", "src/image/snapshot.c", "src/image/bitmap.c",
           "src/image/amend.c", "src/image/backing.c", "src/image/registry.c",
           "src/image/guest.c", "src/image/dispatch.h")),
)


def check_that_it_can_fail(table, slots):
    """The rule sees a call of each slot where one is planted, and none where there is none."""
    missed = [f"{holder}->{slot}" for slot in slots for holder in table.holders
              if [(2, slot)] != table.calls(f"\nx = (thing->{holder}->{slot} (thing));", slots)]
    slot, holder = slots[0], table.holders[0]
    harmless = (f'/* {holder}->{slot}(x) */ "{holder}->{slot}(y)"; {slot}(z); s->{slot}(z);'
                f"if (t->{holder}->{slot}) blocks->{holder}->{slot}(b);")
    return ([f"scripts/vtables.py: misses {call}()" for call in missed]
            + [f"scripts/vtables.py: complains about {name} without reason"
               for _line, name in table.calls(harmless, slots)])


def check_table(table, files, read):
    slots = table.slots(read)
    complaints = check_that_it_can_fail(table, slots)
    for path in (path for path in files if path.startswith(table.folders)):
        found = table.calls(read(path), slots)
        if path in table.pending and not found:
            complaints.append(f"{path} calls no slot any more: take it off the list")
        if path not in table.dispatchers + table.pending:
            complaints += [f"{path}:{line}: calls the slot {slot}; use its dispatcher"
                           for line, slot in found]
    absent = set(table.dispatchers + table.pending) - set(files)
    return complaints + [f"{path} is not there" for path in sorted(absent)]


def check(files, read):
    """Complaints; @files are all of the project's, @read gives the text of one."""
    return [complaint for table in TABLES for complaint in check_table(table, files, read)]
