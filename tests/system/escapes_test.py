# SPDX-License-Identifier: LGPL-2.1-or-later
"""Text from elsewhere: names that an owner of a pool's directory chose reach a terminal, a
spreadsheet and a document of root's. Whatever the commands print has no control characters."""

import csv
import io
import json
import os
import subprocess
import tempfile
import unittest

from harness import space

# A title, CSI as one character, a direction mark, a line of its own, and bytes that are no UTF-8.
NAMES = (b"c1\xc2\x9b31m", b"bidi\xe2\x80\xaegpj", b"line\nerror: forged", b"sep\xe2\x80\xa8x",
         b"latin\xe9\xff")
FORBIDDEN = (b"\x1b", b"\xc2\x9b", b"\xe2\x80\xae", b"\xe2\x80\xa8", b"\xe9\xff", b"\nerror: forged")


class Escapes(unittest.TestCase):
    """Embedded, in a root of its own, with the pool "p"."""

    def setUp(self):
        where = tempfile.TemporaryDirectory(prefix="cistern-escapes-")
        self.addCleanup(where.cleanup)
        self.where = where.name
        self.run_in("pool-create-as", "p", "dir", "--target", self.at("p"), "--build")

    def at(self, *parts):
        return os.path.join(self.where, *parts)

    def run_in(self, *words, status=0):
        done = subprocess.run([space.CISTERN, "--root", self.at("root"), *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              check=False, cwd=self.where,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})
        self.assertEqual(status, done.returncode, (words, done.stderr))
        return done.stdout, done.stderr

    def plant(self):
        for name in NAMES:
            with open(os.path.join(self.at("p").encode(), name), "wb") as out:
                out.truncate(1 << 20)
        self.run_in("pool-refresh", "p")

    def harmless(self, *words, status=0):
        out, err = self.run_in(*words, status=status)
        # A quoted cell of CSV may have lines.
        for text in FORBIDDEN[:-1] if "csv" in words else FORBIDDEN:
            self.assertNotIn(text, out + err, words)
        return out

    def test_existing_names_are_printed_escaped_and_can_be_deleted(self):
        self.plant()
        self.assertIn(b"c1\\xc2\\x9b31m", self.harmless("vol-list", "p"))
        for command in ("vol-list p -H", "vol-list p --json", "vol-list p --format csv",
                        "complete -- vol-info --pool p "):
            self.harmless(*command.split(" "))
        for name in NAMES:
            for command in ("vol-info", "vol-path", "vol-key", "vol-name"):
                self.harmless(command, self.at("p").encode() + b"/" + name)
            self.harmless("snap-revert", name, "none", "--pool", "p", "--yes", status=3)
            self.harmless("vol-delete", name, "--pool", "p", "--yes")
        self.assertEqual([], os.listdir(self.at("p")))

    def test_arguments_in_errors_are_escaped(self):
        for name in NAMES:
            self.harmless("vol-info", name, "--pool", "p", status=3)
            self.harmless("pool-info", name, status=3)

    def test_new_names_with_marks_are_refused(self):
        self.run_in("vol-create-as", "p", "v", "1M", "--format", "qcow2")
        for name in NAMES[:4]:
            for command in (["vol-create-as", "p", name, "1M"], ["snap-create", "p/v", name],
                            ["vol-rename", "p/v", name], ["vol-clone", "p/v", name],
                            ["pool-define-as", name, "dir", "--target", self.at("q")]):
                done = subprocess.run([space.CISTERN, "--root", self.at("root"), *command],
                                      capture_output=True, timeout=60, check=False)
                self.assertNotEqual(0, done.returncode, command)
        self.assertEqual(["v"], os.listdir(self.at("p")))

    def test_csv_cells_that_begin_a_formula_are_text(self):
        for name in ("=1+1", "+x", "-y", "@z", "\uff1d1", "a;b"):
            self.run_in("vol-create-as", "--pool", "p", "--name=" + name, "--capacity", "1M")
        out, _ = self.run_in("vol-list", "p", "--format", "csv", "--columns", "name,capacity")
        rows = list(csv.reader(io.StringIO(out.decode())))[1:]
        self.assertEqual([["'+x", "1048576"], ["'-y", "1048576"], ["'=1+1", "1048576"],
                          ["'@z", "1048576"], ["'\uff1d1", "1048576"], ["a;b", "1048576"]],
                         sorted(rows))
        # A spreadsheet may separate cells at a semicolon.
        self.assertIn(b'"a;b",1048576', out)

    def test_names_in_documents_are_nothing_but_names(self):
        evil = "x<y>&'\"</name><target><permissions><mode>0666</mode></permissions></target>"
        for command in (["vol-create-as", "p", "R&D", "1M", "--print-xml"],
                        ["pool-define-as", "R&D", "dir", "--target", "/a&b<c>", "--print-xml"]):
            self.assertIn(b"<name>R&amp;D</name>", self.run_in(*command)[0])
        out, _ = self.run_in("vol-create-as", "p", evil, "1M", "--print-xml")
        self.assertNotIn(b"<permissions>", out)
        self.run_in("vol-create-as", "p", "R&D", "1M")
        listed = json.loads(self.run_in("vol-list", "p", "--json")[0])["volumes"]
        self.assertEqual(["R&D"], [one["name"] for one in listed])


if __name__ == "__main__":
    unittest.main()
