#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""How scripts/c_functions.py counts the length and the complexity of C functions."""

import os
import sys
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(TOP, "scripts"))

import c_functions  # noqa: E402


def measured(body):
    """(length, complexity) of a function with this body."""
    with tempfile.NamedTemporaryFile("w", suffix=".c") as source:
        source.write("static int measured(int a, int b)\n{\n" + body + "}\n")
        source.flush()
        (name, line, length, complexity), = c_functions.functions(source.name)
    assert (name, line) == ("measured", 1)
    return length, complexity


class Complexity(unittest.TestCase):
    def test_straight_code_is_one(self):
        self.assertEqual(measured("    return a;\n"), (1, 1))

    def test_each_branch_counts(self):
        for statement in ("if (a)\n        b++;", "for (; a;)\n        b++;",
                          "while (a)\n        b++;", "switch (a) {\n    case 1: break;\n    }"):
            self.assertEqual(measured(f"    {statement}\n    return b;\n")[1], 2, statement)

    def test_switch_counts_once_with_any_number_of_cases(self):
        cases = "".join(f"    case {n}: return {n};\n" for n in range(9))
        self.assertEqual(measured("    switch (a) {\n" + cases + "    }\n")[1], 2)

    def test_operators_do_not_count(self):
        self.assertEqual(measured("    return a && b || !a ? a : b;\n")[1], 1)
        self.assertEqual(measured("    if (a && b || !a)\n        b = a ? 1 : 2;\n")[1], 2)

    def test_comments_literals_and_directives_do_not_count(self):
        self.assertEqual(measured('#if A\n    /* if */ puts("while (1)");\n#endif\n')[1], 1)


class Length(unittest.TestCase):
    def test_static_tables_do_not_count(self):
        self.assertEqual(measured("    static const int table[] = {\n        1,\n    };\n"
                                  "    return table[a];\n")[0], 1)


unittest.main()
