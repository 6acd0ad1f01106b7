# SPDX-License-Identifier: LGPL-2.1-or-later
"""Command lines and options that the documents name: the program's own parser accepts each line, and
each option exists. PARSE names the program that parses lines (parse_lines.c), CISTERN_FAKE the
command line over a connection in memory, SOURCE the tree."""

import glob
import json
import os
import re
import subprocess
import unittest

SOURCE = os.environ["SOURCE"]
PAGES = ["README.md", *sorted(glob.glob("docs/*.md", root_dir=SOURCE)),
         *sorted(glob.glob("docs/man/*.scd*", root_dir=SOURCE))]

OPTION = r"--([a-z][a-z0-9-]*)"
# Code that begins like a command line, and a line that needs a pool in client.conf.
LABELS = {"cistern backup 1 data", "cistern backup 1 lists", "cistern backup 1 files",
          "cistern vol-create-as web 10G"}
# Options of other programs that a page names alone.
FOREIGN = {"docs/man/cistern-qemu-img.1.scd": {"image-opts", "object"},
           "docs/secrets.md": {"with-key"}, "docs/testing.md": {"longest"}}


def text_of(page):
    with open(os.path.join(SOURCE, page), encoding="utf-8") as stream:
        return stream.read()


def ours():
    """The options of each command by its name."""
    out = subprocess.run([os.environ["CISTERN_FAKE"], "help", "--json"], check=True, text=True,
                         stdout=subprocess.PIPE, timeout=60,
                         env={**os.environ, "CISTERN_CONFIG": ""}).stdout
    return {command["name"]: {option["name"] for option in command["options"]}
            for group in json.loads(out)["groups"] for command in group["commands"]}


def global_options():
    out = subprocess.run([os.environ["CISTERN_FAKE"], "--help"], check=True, text=True,
                         stdout=subprocess.PIPE, timeout=60,
                         env={**os.environ, "CISTERN_CONFIG": "", "LC_ALL": "C"}).stdout
    return set(re.findall(OPTION, out))


def code_of(page):
    """Code in the text of a page, with the marks of its format taken away."""
    text = text_of(page)
    if page.endswith(".md"):
        return re.findall(r"`([^`\n]+)`", text)
    # scdoc: *bold* and _underlined_.
    return [re.sub(r"[*_\\]", "", code) for code in re.findall(r"\*([^*\n]+\*(?: _\w+_)*)", text)]


def command_lines(page):
    """Lines of examples, to the first word of the shell, and lines in the text that are whole."""
    lines = re.findall(r"^(?: {4}|\t)?(?:# |\$ )?(cistern .*)$", text_of(page), re.M)
    lines += [code for code in code_of(page) if re.match(r"cistern (-\S+ (\S+ )?)*\S+ ", code)]
    for line in lines:
        line = re.split(r"\s+# |[;|>&](?= |$)| <(?= )", line)[0].strip()
        # An ellipsis instead of words, a pattern for several commands, the title of a page.
        if line in LABELS or "…" in line.split() or "*" in line or line.startswith("cistern - "):
            continue
        yield line


class Documents(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.commands = ours()
        cls.globals = global_options()
        cls.all_options = cls.globals.union(*cls.commands.values())

    def test_parser_refuses_unknown_commands_and_options(self):
        self.assertNotEqual("fine", self.parse(["cistern vol-lst"])[0])
        self.assertNotEqual("fine", self.parse(["cistern vol-list --nosuch"])[0])
        self.assertNotEqual("fine", self.parse(["cistern --nosuch vol-list"])[0])
        self.assertNotEqual("fine", self.parse(["cistern vol-clone"])[0])
        self.assertEqual(["fine"], self.parse(["cistern --root /x vol-list 'a b' --details"]))

    def parse(self, lines):
        out = subprocess.run([os.environ["PARSE"]], input="".join(f"{line}\n" for line in lines),
                             check=True, text=True, stdout=subprocess.PIPE, timeout=60,
                             env={**os.environ, "LC_ALL": "C"}).stdout
        return out.splitlines()

    def test_each_command_line_is_parsed(self):
        count = 0
        for page in PAGES:
            lines = list(command_lines(page))
            count += len(lines)
            for line, answer in zip(lines, self.parse(lines), strict=True):
                with self.subTest(page=page, line=line):
                    self.assertEqual("fine", answer)
        self.assertGreater(count, 80)

    def test_each_option_of_a_command_exists(self):
        """`vol-copy --since`, `cistern vol-copy … --since`."""
        count = 0
        for page in PAGES:
            for code in code_of(page):
                words = code.removeprefix("cistern ").split()
                if not words or words[0] not in self.commands:
                    continue
                known = self.commands[words[0]] | self.globals
                for option in re.findall(r"(?<!\S)" + OPTION, code):
                    count += 1
                    with self.subTest(page=page, code=code):
                        self.assertIn(option, known)
        self.assertGreater(count, 40)

    def test_each_option_that_is_named_alone_exists(self):
        daemon = set(re.findall(r"\*" + OPTION, text_of("docs/man/cisternd.8.scd")))
        for page in PAGES:
            known = self.all_options | daemon | FOREIGN.get(page, set())
            for code in code_of(page):
                match = re.match(OPTION, code)
                # `--keep-…` stands for several.
                if match and not any(option == match[1] or match[1].endswith("-")
                                     and option.startswith(match[1]) for option in known):
                    self.fail(f"{page} names an option that no command has: {code}")


if __name__ == "__main__":
    unittest.main()
