# SPDX-License-Identifier: LGPL-2.1-or-later
"""What only someone at a terminal meets: completion, secrets, an editor, progress. CISTERN names
the program, which works on a root of its own."""

import json
import os
import re
import subprocess
import tempfile
import unittest

from pseudo_terminal import at_terminal

PROGRAM = os.environ["CISTERN"]
UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


class Terminal(unittest.TestCase):
    def setUp(self):
        self.before = os.getcwd()
        self.where = tempfile.TemporaryDirectory()
        os.chdir(self.where.name)
        self.addCleanup(self.where.cleanup)
        self.addCleanup(os.chdir, self.before)
        os.mkdir("p")
        self.ok("pool-define-as", "p", "dir", "--target", os.path.abspath("p"))
        self.ok("pool-start", "p")

    def ok(self, *words):
        done = subprocess.run([PROGRAM, "--root", "root", "-q", *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=30, text=True)
        self.assertEqual(0, done.returncode, done.stdout)
        return done.stdout

    def at(self, *words, **how):
        how["env"] = {"XDG_CACHE_HOME": os.path.abspath("cache"), **how.get("env", {})}
        return at_terminal(PROGRAM, "--root", "root", *words, **how)

    def test_tab_completes_what_is_typed_since_the_last_semicolon(self):
        for line, answer in (("pool-uu\t p", "-"), ("pool-lis\t --na\t", "p"),
                             ("echo a; pool-lis\t --na\t", "ap"),
                             ("echo a;pool-uu\t p", "-"), ("pool uu\t p", "-"),
                             ("pool-list --type logi\t --all --name", "")):
            with self.subTest(line=line):
                status, seen = self.at("-q", until=["cistern "], typed=[line + "\nquit\n"])
                self.assertEqual(0, status)
                self.assertIn(answer, seen.split("\r\n", 1)[1].split("cistern ")[0])
                self.assertNotIn("error", seen)

    def test_several_candidates_are_listed_and_files_only_where_one_is_meant(self):
        with open("document.xml", "w", encoding="ascii"):
            pass
        for line, wanted, unwanted in (("pool-u\t\t", "pool-undefine", "document"),
                                       ("pool-define do\t", "document.xml", "pool-undefine"),
                                       ("pool-info do\t\t", "pool-info do", "document")):
            with self.subTest(line=line):
                seen = self.at("-q", until=["cistern "], typed=[line + "\x15quit\n"])[1]
                self.assertIn(wanted, seen)
                self.assertNotIn(unwanted, seen)

    def test_a_secret_is_typed_unseen(self):
        with open("s.xml", "w", encoding="ascii") as stream:
            stream.write(f"<secret><uuid>{UUID}</uuid></secret>")
        self.ok("secret-define", "s.xml")
        status, seen = self.at("secret-set-value", UUID, "--interactive", until=["secret:"],
                               typed=["valued\x7f\n"])
        self.assertEqual((0, "Enter new value for secret:\r\nSecret value set\r\n\r\n"),
                         (status, seen))
        self.assertEqual("value", self.ok("secret-get-value", UUID, "--plain").strip())
        status, seen = self.at("secret-set-value", UUID, "--interactive", until=["secret:"],
                               typed=["other\x03"])
        self.assertNotEqual(0, status)
        self.assertNotIn("other", seen)
        self.assertEqual("value", self.ok("secret-get-value", UUID, "--plain").strip())

    def test_what_was_edited_wrongly_can_be_edited_again(self):
        self.ok("pool-destroy", "p")
        edit = {"EDITOR": "sed -i s,name>,nome>,g", "VISUAL": ""}
        question = "Failed. Try again? [y,n]:"
        status, seen = self.at("pool-edit", "p", until=[question] * 3,
                               typed=["Y\n", "y\n", "n\n"], env=edit)
        self.assertEqual(1, status)
        self.assertEqual(3, seen.count(question))
        self.assertEqual(4, seen.count("missing pool source name element"))
        self.assertIn("<name>p</name>", self.ok("pool-dumpxml", "p"))
        seen = self.at("--no-input", "pool-edit", "p", until=[], typed=[], env=edit)[1]
        self.assertNotIn(question, seen)

    def test_what_others_do_to_a_pool_is_seen_while_it_is_edited(self):
        mode = "s,<target>,<target><permissions><mode>{}</mode></permissions>,"
        for does, status, said in (
                ("dd if=/dev/zero of=p/more bs=1M count=8", 0, "edited."),
                ("$CISTERN --root root -q pool-define other.xml", 5, "changed by another user")):
            with self.subTest(does=does):
                with open("other.xml", "w", encoding="ascii") as stream:
                    stream.write(self.ok("pool-dumpxml", "p", "--inactive"))
                subprocess.run(["sed", "-i", mode.format("0750"), "other.xml"], check=True)
                with open("editor", "w", encoding="ascii") as stream:
                    stream.write(f"{does} 2>editor.err\nsed -i '{mode.format('0700')}' $1\n")
                seen = self.at("--no-input", "pool-edit", "p", until=[], typed=[],
                               env={"EDITOR": "sh editor", "VISUAL": ""})
                self.assertEqual(status, seen[0], seen[1])
                self.assertIn(said, seen[1])

    def test_nothing_is_overwritten_unless_one_says_yes(self):
        self.ok("pool-destroy", "p")
        with open("q.xml", "w", encoding="ascii") as stream:
            stream.write(f"<pool type='dir'><name>q</name><target><path>{os.path.abspath('q')}"
                         "</path></target></pool>")
        for words in (["pool-build", "p"], ["pool-start", "p", "--build"],
                      ["pool-create", "q.xml", "--build"],
                      ["pool-create-as", "q", "dir", "--target", os.path.abspath("q"), "--build"]):
            with self.subTest(words=words):
                status, seen = self.at(*words, "--overwrite", until=["[y/N]"], typed=["n\n"])
                self.assertNotEqual(0, status)
                self.assertIn("error: operation aborted: not confirmed\r\n", seen)
                self.assertNotRegex(seen, "built|started|created")
                self.assertEqual("", self.ok("pool-list", "--name").strip())
                self.assertFalse(os.path.exists("q"))

    def test_progress_is_a_bar_as_wide_as_the_terminal_allows(self):
        with open("a", "wb") as stream:
            stream.write(b"x" * (16 << 20))
        status, seen = self.at("image-dd", "if=a", "of=b", "-f", "raw", "-r", "8M", until=[],
                               typed=[], columns=200, env={"TERM": "xterm"})
        self.assertEqual(0, status)
        bars = re.findall(r"\r([^\r]+)\x1b\[K", seen)
        self.assertGreater(len(bars), 0, seen)
        for bar in bars:
            self.assertRegex(bar, r"^Copying \[(?=[#.]{40}\])#*\.*\] .*% ")
        self.assertIn("\r\x1b[KImage a converted to b\r\n", seen)

    def test_quiet_work_shows_no_progress(self):
        with open("a", "wb") as stream:
            stream.write(b"x" * (8 << 20))
        status, seen = self.at("-q", "image-dd", "if=a", "of=b", "-f", "raw", "-r", "8M", until=[],
                               typed=[], env={"TERM": "xterm"})
        self.assertEqual((0, ""), (status, seen))

    def test_progress_of_a_measurement_is_what_was_read(self):
        with open("a", "wb") as stream:
            stream.write(b"x" * (1 << 20))
        status, seen = self.at("--json", "image-bench", "a", "-f", "raw", "-d", "1",
                               "-c", "4000000000", until=['"progress"'], typed=["\x03"])
        self.assertEqual(130, status, seen)
        event = json.loads(re.search(r'{[^}]*"progress"[^}]*}', seen).group())
        self.assertEqual(4096 * 4000000000, event["total"])
        self.assertGreater(event["done"], 0)
        self.assertEqual(0, event["done"] % 4096)
        self.assertGreater(event["rate"], 0)


if __name__ == "__main__":
    unittest.main()
