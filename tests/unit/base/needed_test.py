#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which shared libraries the programs are linked with. Each library delays every start.

usage: needed_test.py PROGRAM…
"""

import glob
import os
import re
import subprocess
import sys
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TABLES = os.path.join(TOP, "src/base/libraries")
# A library that only some commands need does not belong here but into src/base/libraries.
ALLOWED = {"libc", "libm", "libglib-2.0", "libpcre2-8", "libz", "libdeflate", "libzstd", "libuuid"}
# A program works without these: their packages are suggested.
OPTIONAL = {"libnbd0", "libvirt0"}
# Of the loader, the kernel and builds with sanitizers or coverage.
ALWAYS = {"linux-vdso", "ld-linux-x86-64", "ld-linux-aarch64", "libasan", "libubsan", "libtsan",
          "libgcc_s", "libpthread", "libdl", "librt"}
PROGRAMS = sys.argv[1:]


def loaded(program):
    """Names of all libraries that the loader maps before main()."""
    text = subprocess.run(["ldd", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    return {os.path.basename(word).split(".so")[0] for word in re.findall(r"^\s*(\S+)", text, re.M)}


def tables():
    """{name of a table: its package}."""
    found = {}
    for path in glob.glob(os.path.join(TABLES, "*.table")):
        with open(path, encoding="utf-8") as stream:
            package = re.search(r"^package (\S+)$", stream.read(), re.M).group(1)
        found[os.path.basename(path)[:-len(".table")]] = package
    return found


def used_by(program):
    """Names of the tables that @program has."""
    text = subprocess.run(["nm", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    return set(re.findall(r" cst_(\w+)_library$", text, re.M))


def related(field):
    """{package of ours: the packages in its @field, Depends or Suggests}."""
    with open(os.path.join(TOP, "packaging/debian/control"), encoding="utf-8") as stream:
        text = re.sub(r",\n\s+", ", ", stream.read())
    return {name: set(re.findall(r"[a-z0-9.+-]+", words)) for name, words in
            re.findall(rf"^Package: (\S+)$.*?^{field}: (.*?)$", text, re.M | re.S)}


class Needed(unittest.TestCase):
    def test_programs_are_linked_with_allowed_libraries_only(self):
        for program in PROGRAMS:
            libraries = loaded(program)
            if {"libasan", "libtsan"} & libraries:
                self.skipTest("a sanitizer has libraries of its own")
            self.assertEqual(libraries - ALLOWED - ALWAYS, set(), program)

    def test_allowed_libraries_are_linked_with_a_program(self):
        together = set().union(*(loaded(program) for program in PROGRAMS))
        self.assertEqual(ALLOWED - together, set())

    def test_packages_depend_on_the_libraries_that_their_program_loads(self):
        packages, wanted, suggested = tables(), related("Depends"), related("Suggests")
        for program in PROGRAMS:
            name = os.path.basename(program)
            used = used_by(program)
            self.assertTrue(used & set(packages), program)
            for table in used & set(packages):
                if packages[table] in OPTIONAL:
                    self.assertIn(packages[table], suggested[name], f"Suggests of {name}")
                else:
                    self.assertIn(packages[table], wanted[name], f"Depends of {name}")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
