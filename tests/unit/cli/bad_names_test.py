# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each option of each command that takes a name, with a name that no object has. An object that does
not exist ends with status 3, a bad name of a new object with 2. CISTERN names the program."""

import json
import os
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["CISTERN"]
UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
CHECKER_FAILED = "LeakSanitizer has encountered a fatal error"
CHECKER_EXIT = 97  # no exit status of a command
# The sanitizer itself exits with this status.
ENVIRONMENT = {**os.environ, "LC_ALL": "C", "ASAN_OPTIONS": ":".join(filter(None, (
    os.environ.get("ASAN_OPTIONS"), f"abort_on_error=0:exitcode={CHECKER_EXIT}")))}
MISSING, USAGE = 3, 2
BAD = {"empty": "''", "dot": ".", "dots": "..", "slash": "/", "path": "nosuch/b",
       "control": "'a\x1bb'", "long": "n" * 300, "unknown": "nosuch"}
UNKNOWN = {"empty": USAGE}  # of the names of existing objects; any other one is MISSING

# Options with the name of an existing object.
EXISTING = {"pool", "newpool", "inputpool", "otherpool", "source-pool", "vol", "other", "source-vol",
            "base", "snapshot", "since", "secret", "backup", "backing-vol", "name"}
# Options with the name of a new object: in all commands, and in these.
NEW = {"newname", "newvol"}
NEW_IN = {"vol-create-as": "name", "pool-create-as": "name", "pool-define-as": "name",
          "snap-create": "name", "vol-move": "name", "vol-clone": "name", "trash-restore": "name",
          "vol-copy": "name"}
# What makes the rest of a command line good.
GOOD = {"pool": "p", "vol": "a", "other": "base", "secret": UUID, "capacity": "1M", "type": "dir",
        "target-format": "qcow2", "format": "qcow2", "source": "image", "name": "one", "size": "1M",
        "newpool": "q", "backup": "latest", "repo": "./repo", "bitmap": "new", "file": "x.xml",
        "backing-vol-format": "raw", "days": "7", "follow": "pools", "target": "x.raw",
        "newname": "new", "newvol": "new"}
MORE = {"vol-bitmap": "--merge b --source-vol base", "vol-clone": "--newname x", "vol-commit": "--yes",
        "vol-create-from": "--inputpool p", "vol-measure": "--vol a", "pool-event": "--event lifecycle",
        "secret-event": "--event lifecycle", "vol-upload": "--file image", "vol-serve": "--socket ./s",
        "backup-mount": "--socket ./s", "backup-forget": "--yes", "snap-revert": "--yes",
        "snap-delete": "--yes", "vol-create-as": "--format qcow2", "trash-empty": "--yes",
        "pool-define-as": "--target /tmp/x", "pool-create-as": "--target /tmp/x",
        "vol-rebase": "--backing-vol base --backing-vol-format raw"}
# Another connection, and what an editor or a running job is needed for.
ELSEWHERE = {"connect", "vol-copy", "migrate-check", "secret-rotate", "pool-edit"}
# A filter for which there need not be an object, a path, and a repository's secret.
NO_NAME = {("vol-list", "pool"), ("backup-list", "pool"), ("backup-list", "vol")}
# With --pool, the mark of a volume that is gone is removed.
NO_NAME |= {("vol-unprotect", "vol")}
# --since of the history of use is a time.
NO_NAME |= {("pool-usage", "since")}


EMPTY_MEANS_NONE = {("vol-rebase", "backing-vol"), ("secret-seal", "secret"), ("secret-unseal", "secret")}


def run(lines):
    """What becomes of each line: the error's object, or None."""
    text = "".join(f"{line}\nno-such-command\n" for line in lines)
    done = subprocess.run([PROGRAM, "--root", "root", "--json"], input=text, text=True, timeout=300,
                          capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
    results, error = [], None
    for line in done.stderr.splitlines():
        found = json.loads(line).get("error") if line.startswith("{") else None
        if found and found["message"].startswith("unknown command: 'no-such-command'"):
            results.append(error)
            error = None
        elif found:
            error = found
    assert len(results) == len(lines), done.stderr
    return results


def one(*words):
    done = subprocess.run([PROGRAM, "--root", "root", *words], capture_output=True, text=True,
                          timeout=60, check=False, env=ENVIRONMENT)
    # LeakSanitizer fails itself if a thread ends while the process ends. The command is done then, and
    # its own exit status is lost.
    only_checker = (done.returncode == CHECKER_EXIT and CHECKER_FAILED in done.stderr
                    and not any(line.startswith("error:") for line in done.stderr.splitlines()))
    assert done.returncode == 0 or only_checker, (words, done.returncode, done.stderr)
    return done.stdout


def commands():
    for group in json.loads(one("help", "--json"))["groups"]:
        for command in group["commands"]:
            if command["name"].split("-")[0] in ("pool", "vol", "snap", "trash", "backup", "secret",
                                                 "migrate"):
                yield command


def is_new(command, option):
    return option in NEW or NEW_IN.get(command) == option


def takes_name(command, option):
    name = command["name"]
    return (option["kind"] in ("string", "words") and name not in ELSEWHERE
            and (name, option["name"]) not in NO_NAME
            and (option["name"] in EXISTING or is_new(name, option["name"]))
            and not (name.startswith("backup-") and option["name"] == "secret"))


def line_for(command, option, value):
    """@command with the @option's value bad and all the rest good."""
    more = MORE.get(command["name"], "").split()
    words = [command["name"]]
    vol = {"vol-rebase": "plain", "trash-restore": "gone",
           "backup-restore": "base"}.get(command["name"], "a")
    for other in command["options"]:
        name = other["name"]
        given = f"--{name}" in more
        if other is option:
            words.append(f"--{name} {value}")
            if given:
                at = more.index(f"--{name}")
                del more[at:at + 2]
        elif other["required"] and not given:
            words.append(f"--{name} {vol if name == 'vol' else GOOD.get(name, 'x')}")
        elif name == "vol" and not given and command["name"] != "vol-measure":
            words.append(f"--vol {vol}")
    if command["name"] == "vol-clone" and option["name"] in ("newname", "name"):
        more = []
    if command["name"].startswith(("vol-", "snap-")) and not any(
            word.startswith("--pool ") for word in words):
        if any(other["name"] == "pool" for other in command["options"]):
            words.append("--pool p")
    if command["mutates"]:
        words.append("--dry-run")
    return " ".join(words + more)


class BadNames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory()
        os.chdir(cls.home.name)
        for pool in "pq":
            os.mkdir(pool)
            one("pool-define-as", pool, "dir", "--target", os.path.abspath(pool), "--start")
        one("pool-trash", "p", "--days", "7")
        for words in ("base 1M", "a 1M --format qcow2 --backing-vol base --backing-vol-format raw",
                      "gone 1M", "plain 1M --format qcow2"):
            one("vol-create-as", "p", *words.split())
        one("snap-create", "p/a", "one")
        one("vol-delete", "p/gone")
        one("backup-init", "./repo", "--no-encryption")
        one("backup-create", "./repo", "p/base")
        for name in ("x.raw", "image"):
            with open(name, "wb") as out:
                out.truncate(1 << 20)
        with open("x.xml", "w", encoding="utf-8") as out:
            out.write("<volume><name>n</name><capacity>1024</capacity></volume>")

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.home.cleanup()

    def check(self, command, option):
        lines = [line_for(command, option, bad) for bad in BAD.values()]
        before = sorted(os.listdir("p"))
        for name, line, error in zip(BAD, lines, run(lines)):
            with self.subTest(line):
                if is_new(command["name"], option["name"]):
                    if name == "unknown":
                        continue
                    expected = USAGE
                else:
                    expected = UNKNOWN.get(name, MISSING)
                if name == "empty" and (command["name"], option["name"]) in EMPTY_MEANS_NONE:
                    continue
                self.assertIsNotNone(error, "no error")
                self.assertEqual(expected, error["exit"], error)
        self.assertEqual(before, sorted(os.listdir("p")))

    def test_each_option_with_a_name_has_one_exit_status(self):
        found = 0
        for command in commands():
            for option in command["options"]:
                if takes_name(command, option):
                    self.check(command, option)
                    found += 1
        self.assertGreater(found, 100)

    def test_names_in_documents_have_the_exit_status_of_a_mistake(self):
        documents = {"vol-create p": "<volume><name>{}</name><capacity>1</capacity></volume>",
                     "pool-define": "<pool type='dir'><name>{}</name><target><path>/x</path></target>"
                                    "</pool>"}
        lines = []
        for command, document in documents.items():
            for i, name in enumerate((".", "..", "/", "a/b", "a&#27;b", "n" * 300)):
                if command == "pool-define" and name in (".", "..", "n" * 300):
                    continue  # as libvirt does, the server takes these
                path = f"{command.split()[0]}-{i}.xml"
                with open(path, "w", encoding="utf-8") as out:
                    out.write(document.format(name))
                lines.append(f"{command} {path}")
        for line, error in zip(lines, run(lines)):
            with self.subTest(line):
                self.assertIsNotNone(error)
                self.assertIn(error["exit"], (USAGE,) if not line.endswith("-4.xml") else (1, USAGE))

    def test_name_with_control_character_is_refused_and_not_shortened(self):
        lines = ["vol-create-as p 'a\x1bb' 1M", "vol-clone a 'a\x1bb' --pool p",
                 "pool-define-as 'a\x1bb' dir --target /x", "vol-import image 'a\x1bb' --pool p",
                 "backup-restore ./repo latest --newname 'a\x1bb' --pool p",
                 "vol-convert a 'a\x1bb' --pool p --format raw", "vol-rename a 'a\x1bb' --pool p"]
        for line, error in zip(lines, run(lines)):
            with self.subTest(line):
                self.assertIsNotNone(error)
                self.assertEqual(USAGE, error["exit"], error)
        self.assertNotIn("ab", os.listdir("p"))
        self.assertNotIn("ab", one("pool-list", "--all", "--name").split())


if __name__ == "__main__":
    unittest.main()
