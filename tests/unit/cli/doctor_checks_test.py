# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each check of the command doctor has a section in docs/doctor.md, code that reports it, and tests
that name it. SOURCE is the tree."""

import glob
import os
import re
import unittest

SOURCE = os.environ["SOURCE"]
CODE = ["src/service/doctor/*.c", "src/cli/commands/doctor/*.c"]
TESTS = ["tests/system/doctor*_test.py", "tests/unit/service/doctor_test.c"]


def text_of(*patterns):
    paths = [path for pattern in patterns for path in glob.glob(pattern, root_dir=SOURCE)]
    texts = []
    for path in paths:
        with open(os.path.join(SOURCE, path), encoding="utf-8") as stream:
            texts.append(stream.read())
    return "\n".join(texts)


class Checks(unittest.TestCase):
    def setUp(self):
        self.ids = re.findall(r'^ {4}\{"([a-z-]+)", CST_SEVERITY_', text_of("src/model/doctor.c"), re.M)

    def test_table_is_sorted_and_has_the_promised_number(self):
        self.assertEqual(sorted(set(self.ids)), self.ids)
        self.assertGreaterEqual(len(self.ids), 40)

    def test_each_check_has_a_section_and_each_section_a_check(self):
        sections = re.findall(r"^### (.*)$", text_of("docs/doctor.md"), re.M)
        self.assertEqual(self.ids, sorted(sections))

    def test_each_check_is_reported_by_code_and_named_by_tests(self):
        code, tests = text_of(*CODE), text_of(*TESTS)
        for check in self.ids:
            self.assertIn(f'"{check}"', code)
            self.assertIn(f'"{check}"', tests)


if __name__ == "__main__":
    unittest.main()
