# SPDX-License-Identifier: LGPL-2.1-or-later
"""How volumes are named: each command that takes one takes POOL/VOL as well, and a name that only
one pool has without --pool. What it answers is what it answers to --pool POOL VOL. And that each
list says the same in each of its forms.

usage: names_test.py; CISTERN names the program
"""

import csv
import json
import os
import subprocess
import tempfile
import unittest

try:
    import yaml
except ImportError:
    yaml = None

# What each command takes besides the volume; M stands for a file that is not there. Commands that
# are not here take nothing else.
WORDS = {
    "vol-bitmap": ["b", "--add"],
    "vol-clone": ["--newname", "n"],
    "vol-compare": ["other"],
    "vol-commit": ["--yes"],
    "vol-convert": ["n", "--format", "raw"],
    "migrate-check": None,  # takes a daemon to ask
    "vol-copy": None,  # takes a daemon to copy to
    "vol-create-from": None,  # its volume is not the second word
    "vol-download": ["M"],
    "vol-export": ["M", "--format", "raw"],
    "vol-measure": ["--target-format", "qcow2"],
    "vol-move": ["--newpool", "q"],
    "vol-rename": ["n"],
    "vol-rebase": ["--backing-vol", "other", "--backing-vol-format", "qcow2"],
    "vol-resize": ["2M"],
    "vol-serve": ["--socket", "M", "--read-only"],
    "trash-empty": None,  # what is in the trash is no volume
    "trash-restore": None,
    "vol-trust": ["--format", "qcow2"],
    "vol-upload": ["/dev/null"],
    "snap-clone": ["s", "n"],
    "snap-create": ["t"],
    "snap-delete": ["s", "--yes"],
    "snap-info": ["s"],
    "snap-rename": ["s", "u"],
    "snap-revert": ["s", "--yes"],
}
# Of these, the words that suffice to have the volume looked up.
UNSPECIFIC = {
    "vol-copy": ["--to", "storage:///embed?root=/nonexistent"],
    "migrate-check": ["--to", "storage:///embed?root=/nonexistent"],
}
NO_POOL = {"vol-name", "vol-pool"}  # they take a volume of any pool, and no --pool


class Case(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        for pool in "pq":
            os.mkdir(self.file(pool + "-files"))
            self.good("pool-create-as", pool, "dir", "--target", self.file(pool + "-files"))
        self.good("vol-create-as", "p", "base", "1M", "--format", "qcow2")
        self.good("vol-create-as", "p", "v", "1M", "--format", "qcow2", "--backing-vol", "base",
                  "--backing-vol-format", "qcow2")
        self.good("vol-create-as", "p", "other", "1M", "--format", "qcow2")
        self.good("vol-create-as", "q", "far", "1M", "--format", "qcow2")
        self.good("vol-create-as", "p", "kept", "1M", "--format", "qcow2")
        self.good("snap-create", "p/kept", "s")

    def file(self, name):
        return os.path.join(self.home.name, name)

    def cistern(self, *words, stdin="", config="/dev/null"):
        done = subprocess.run(
            [os.environ["CISTERN"], "--root", self.file("root"), *words], text=True, timeout=60,
            capture_output=True, check=False, input=stdin,
            env={**os.environ, "LC_ALL": "C", "CISTERN_CONFIG": config})
        return done.returncode, done.stdout, done.stderr

    def good(self, *words, **how):
        status, out, err = self.cistern(*words, **how)
        self.assertEqual(0, status, (words, err))
        return out


class Names(Case):
    def takers(self):
        """The commands that have an option "vol"."""
        groups = json.loads(self.good("help", "--json"))["groups"]
        for command in (c for group in groups for c in group["commands"]):
            whole = json.loads(self.good("help", command["name"], "--json"))["command"]
            if any(option["name"] == "vol" for option in whole["options"]):
                yield whole

    def words(self, command, words=None):
        words = [self.file("missing") if word == "M" else word
                 for word in words or WORDS.get(command["name"], [])]
        return words + (["--dry-run"] if command["mutates"] else [])

    def test_each_command_takes_them(self):
        found = 0
        for command in self.takers():
            name = command["name"]
            vol = "kept" if name.startswith("snap-") else "v"
            # The first word of backups' commands is their repository.
            if WORDS.get(name, []) is None or name.startswith("backup-"):
                continue
            rest = self.words(command)
            with self.subTest(name):
                status, out, err = self.cistern(name, "p/" + vol, *rest)
                lone = self.cistern(name, vol, *rest)
                self.assertEqual((0, ""), (status, err))
                self.assertEqual(lone, (0, out.replace("vol p/", "vol "), ""))
                if name not in NO_POOL:
                    self.assertEqual(lone, self.cistern(name, vol, "--pool", "p", *rest))
                wrong = self.cistern(name, "q/" + vol, *rest)
                self.assertEqual(3, wrong[0], wrong)
            found += 1
        self.assertGreater(found, 30)

    def test_each_command_reports_an_inactive_pool(self):
        self.good("pool-define-as", "off", "dir", "--target", self.file("off-files"))
        inactive = (5, "error: pool 'off' is not active\n")
        found = 0
        for command in self.takers():
            name = command["name"]
            with self.subTest(name):
                words = UNSPECIFIC.get(name) or WORDS.get(name, [])
                if words is None or name.startswith("backup-"):
                    continue
                rest = self.words(command, words)
                self.assertEqual(inactive, self.cistern(name, "off/v", *rest)[::2])
                if name not in NO_POOL:
                    self.assertEqual(inactive, self.cistern(name, "v", "--pool", "off", *rest)[::2])
                    self.assertEqual(inactive, self.cistern(name, "off/v", "--pool", "p", *rest)[::2])
                found += 1
        self.assertGreater(found, 30)

    def test_an_inactive_pool_is_reported_for_another_volume_and_the_configured_pool(self):
        self.good("pool-define-as", "off", "dir", "--target", self.file("off-files"))
        inactive = (5, "error: pool 'off' is not active\n")
        with open(self.file("conf"), "w", encoding="ascii") as stream:
            stream.write("[defaults]\npool = off\n")
        for words in (["vol-compare", "p/base", "off/v"],
                      ["vol-create-as", "p", "n", "1M", "--format", "qcow2", "--backing-vol", "off/v",
                       "--backing-vol-format", "qcow2"],
                      ["vol-create-as", "off", "n", "1M"]):
            with self.subTest(words[0]):
                status, _, err = self.cistern(*words)
                self.assertEqual(5, status, err)
                self.assertIn("pool 'off' is not active\n", err)
        self.assertEqual(inactive, self.cistern("vol-info", "gone", config=self.file("conf"))[::2])
        self.good("vol-info", "base", config=self.file("conf"))
        status, _, err = self.cistern("vol-info", self.file("off-files/v"))
        self.assertEqual(3, status, err)
        self.assertIn("hint: pool 'off' at '" + self.file("off-files") + "' is not active; "
                      "`cistern pool-start off` starts it\n", err)

    def test_completion_prints_no_message_of_an_inactive_pool(self):
        self.good("pool-define-as", "off", "dir", "--target", self.file("off-files"))
        for words in (["snap-info", "off/v", ""], ["snap-info", "v", "--pool", "off", ""]):
            self.assertEqual("", self.cistern("complete", "--", *words)[2])

    def test_so_do_options_that_name_another_one(self):
        with open(self.file("n.xml"), "w", encoding="ascii") as xml:
            xml.write("<volume><name>n</name><capacity>1048576</capacity></volume>")
        self.good("vol-bitmap", "q/far", "b", "--add")
        backing = ["--backing-vol", "FAR", "--backing-vol-format", "qcow2"]
        for words in (
                ["vol-compare", "p/base", "FAR"],
                ["vol-create-from", "p", self.file("n.xml"), "FAR"],
                ["vol-create-as", "p", "n", "1M", "--format", "qcow2", *backing],
                ["vol-rebase", "p/v", *backing],
                ["vol-bitmap", "p/v", "c", "--add", "--merge", "b", "--source-vol", "FAR"]):
            dry = [] if words[0] == "vol-compare" else ["--dry-run"]
            for name in "q/far", self.file("q-files/far"):
                for more in [[]] if words[1] == "p" else ([], ["--pool", "p"]):
                    line = [name if word == "FAR" else word for word in words] + more + dry
                    with self.subTest(" ".join(line)):
                        self.good(*line)
                        status, _, err = self.cistern(*[
                            word if word != name else "p/far" for word in line])
                        self.assertEqual(3, status, err)

    def test_a_base_to_commit_to(self):
        self.good("vol-create-as", "p", "top", "1M", "--format", "qcow2", "--backing-vol", "v",
                  "--backing-vol-format", "qcow2")
        for base in "p/base", "base", self.file("p-files/base"):
            self.assertIn("Would commit",
                          self.good("vol-commit", "top", "--base", base, "--dry-run"))
        for base in "q/far", "p/kept", "p/nosuch", "q/base":
            status, _, err = self.cistern("vol-commit", "top", "--base", base, "--dry-run")
            self.assertEqual(3, status, err)
        self.good("vol-commit", "p/top", "--base", "p/base", "--yes")

    def test_a_name_that_two_pools_have(self):
        self.good("vol-create-as", "q", "v", "1M", "--format", "qcow2")
        status, _, err = self.cistern("vol-info", "v")
        self.assertEqual(2, status)
        self.assertIn("write p/v or q/v", err)
        self.assertIn("q-files", self.good("vol-path", "q/v"))
        self.good("pool-destroy", "q")
        self.assertIn("p-files", self.good("vol-path", "v"))


class Forms(Case):
    def test_each_list_in_each_form(self):
        self.good("secret-define", "/dev/stdin", stdin="<secret><usage type='ceph'>"
                  "<name>it</name></usage></secret>")
        self.good("vol-create-as", "p", "raw", "2M")
        with open(self.file("data"), "wb") as data:
            data.write(os.urandom(2 << 20))
        self.good("vol-upload", "p/raw", self.file("data"), "--rate-limit", "1M")
        for words, key, columns in ((["vol-list"], "volumes", "pool,name,capacity"),
                                    (["pool-list", "--all"], "pools", "name,state,autostart"),
                                    (["snap-list", "p/kept"], "snapshots", "name,capacity"),
                                    (["job-list", "--all"], "jobs", "id,operation,volume"),
                                    (["secret-list"], "secrets", "uuid,usage")):
            words = [*words, "--columns", columns, "--format"]
            keys = columns.split(",")
            with self.subTest(words[0]):
                rows = json.loads(self.good(*words, "json"))[key]
                self.assertGreater(len(rows), 0)
                self.assertEqual([keys] * len(rows), [list(row) for row in rows])
                texts = [["yes" if value is True else "no" if value is False else str(value)
                          for value in row.values()] for row in rows]
                self.assertEqual([keys, *texts],
                                 list(csv.reader(self.good(*words, "csv").splitlines())))
                lines = self.good(*words, "yaml").splitlines()
                self.assertEqual(1 + len(rows) * len(keys), sum(": " in line for line in lines))
                if yaml:
                    self.assertEqual(rows, yaml.safe_load("\n".join(lines))[key])
                table = self.good(*words, "table")
                for row in texts:
                    self.assertIn(row[keys.index("name") if "name" in keys else 0], table)
                self.assertEqual(2, self.cistern(*words, "xml")[0])


if __name__ == "__main__":
    unittest.main()
