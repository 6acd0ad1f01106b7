#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the header or the source of a library that is loaded on first use (base/library.h).

usage: library_table.py header|source TABLE

A table (src/base/libraries) has a line for the library's file, one for its package, one for each of
its headers, and then one for each function and variable that the program uses.
"""

import os
import re
import sys

HEADER = """\
/* Made by scripts/library_table.py. */
#pragma once

#include <base/library.h>

{includes}
typedef struct {{
{members}}} Cst{type};

extern CstLibrary cst_{name}_library;

static inline const Cst{type} *cst_{name}(void)
{{
    return cst_library_table(&cst_{name}_library);
}}

{macros}"""

SOURCE = """\
/* Made by scripts/library_table.py. */
#include <base/library.h>

static const char *const names[] = {{{names}NULL}};
static void *found[{count}];

extern CstLibrary cst_{name}_library;
CstLibrary cst_{name}_library = {{.file = "{library}", .package = "{package}",
                                 .names = names, .found = found}};
"""


def read(path):
    """(file of the library, package, lines that include its headers, names) of a table."""
    with open(path, encoding="utf-8") as stream:
        text = re.sub("#(?!include).*", "", stream.read())
    words = dict(re.findall(r"^(library|package) (\S+)$", text, re.M))
    includes = re.findall("^#include <.*>$", text, re.M)
    return words["library"], words["package"], includes, re.findall(r"^(\w+)$", text, re.M)


def main():
    kind, path = sys.argv[1:]
    name = os.path.splitext(os.path.basename(path))[0]
    library, package, includes, names = read(path)
    if kind == "header":
        print(HEADER.format(
            name=name, type=name.title().replace("_", ""), includes="".join(f"{line}\n" for line in includes),
            members="".join(f"    __typeof__({one}) *{one};\n" for one in names),
            macros="".join(f"#define {one} (*cst_{name}()->{one})\n" for one in names)), end="")
    else:
        print(SOURCE.format(
            name=name, library=library, package=package, count=len(names),
            names="".join(f'"{one}", ' for one in names)), end="")


main()
