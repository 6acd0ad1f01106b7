# SPDX-License-Identifier: LGPL-2.1-or-later
"""What differs by format or pool type is asked of it: the gate "names" of scripts/lint.

A comparison of a format's name, or of a pool's type, outside its folder is a place that the next
format or type would have to know of. Traits stand in the tables (CstImageFormat, CstPoolTypeInfo).
"""

import re

NO_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
COMPARE = r"\b(?:strcmp|strcasecmp|strncmp|g_strcmp0|g_str_equal|g_ascii_strcasecmp)\s*\("
# A format's folder in src/image; ops and levels serve all formats.
FORMAT_FOLDER = re.compile(r"src/image/(?!ops/|levels/|include/)\w+/")
TYPE_FOLDER = re.compile(r"src/pool/(?!include/)\w+/")


def format_names(files, read):
    """Names of the image formats, from their rows in the code."""
    rows = (re.search(r"^const CstImageFormat \w+ = \{(.*?)^\};", read(path), re.M | re.S)
            for path in files if FORMAT_FOLDER.match(path) and path.endswith(".c"))
    return sorted(re.search(r'\.name = "(\w+)"', row.group(1)).group(1) for row in rows if row)


def comparisons(text, names):
    """(line, what) of each comparison of a format's name or a pool's type in C source."""
    code = NO_COMMENT.sub(lambda found: "\n" * found.group().count("\n"), text)
    name = re.compile(COMPARE + r'[^;{}]*?"(%s)"' % "|".join(names))
    type_ = re.compile(r"(?:[!=]=\s*|\bcase\s+)(CST_POOL_(?!STATE|TYPE|LAST)[A-Z]+)\b(?=[^_])")
    pool_types = {"DIR", "FS", "NETFS", "LOGICAL", "DISK", "ISCSI", "SCSI", "MPATH", "RBD",
                  "SHEEPDOG", "GLUSTER", "ZFS", "VSTORAGE"}
    found = [(m.start(), f'the format "{m.group(1)}"') for m in name.finditer(code)]
    found += [(m.start(), f"the pool type {m.group(1)}") for m in type_.finditer(code)
              if m.group(1).removeprefix("CST_POOL_") in pool_types]
    return [(code.count("\n", 0, start) + 1, what) for start, what in sorted(found)]


def check_that_it_can_fail(names):
    planted = "\nif (x && strcmp(a,\n  \"raw\") == 0) {}\nif (type == CST_POOL_RBD) {}"
    if [line for line, _ in comparisons(planted, names)] != [2, 4]:
        return ["scripts/format_names.py: misses a comparison that was planted"]
    harmless = '/* strcmp(a, "raw") */ find("raw"); strcmp(a, "rawhide"); x = CST_POOL_RBD;'
    return [f"scripts/format_names.py: complains about {what} without reason"
            for _, what in comparisons(harmless, names)]


def check(files, read):
    """Complaints; @files are all of the project's, @read gives the text of one."""
    names = format_names(files, read)
    complaints = check_that_it_can_fail(names)
    for path in files:
        if not path.startswith("src/") or FORMAT_FOLDER.match(path) or TYPE_FOLDER.match(path):
            continue
        complaints += [f"{path}:{line}: compares {what} outside its folder: ask it for a trait"
                       for line, what in comparisons(read(path), names)]
    return complaints
