# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every option of every command with a value that is no value: said, and nothing is done. CISTERN
names the program."""

import json
import os
import re
import subprocess
import tempfile
import unittest

PROGRAM = os.environ["CISTERN"]
UUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"
# What makes the other options of a command good; any other is named x.
GOOD = {"pool": "p", "vol": "a", "other": "a", "snapshot": "one", "name": "one", "secret": UUID,
        "capacity": "1M", "type": "dir", "target-format": "qcow2", "format": "qcow2",
        "source": "image", "a": "image", "b": "image", "operand": "if=image", "options": "size=1M",
        "size": "1M", "job": "1", "every": "daily", "do": "check", "on": "p"}
# What it takes beside the required options to get as far as the one in question.
MORE = {"secret-event": "--event lifecycle", "pool-event": "--event lifecycle",
        "vol-bitmap": "--add --merge x --source-vol a",
        "image-bitmap": "--add --merge x --source-file image",
        "backup-prove": "--boot", "vol-clone": "--newname x", "snap-create": "--vol a",
        "vol-commit": "--yes", "vol-measure": "--vol a", "image-create": "--file x --size 1M",
        "image-measure": "--file image", "image-rebase": "--backing-format raw",
        "image-dd": "of=x", "vol-create-as": "--format raw"}
# Empty texts that mean something, and options that nothing asks for here.
FINE = re.compile("vol-create-as allocation|(image|vol)-rebase backing(-vol)?|"
                  ".* (merge|data-file|more)|"
                  "vol-import keyring|(vol-(commit|compare|copy|measure|move|rebase)|image-commit) rate-limit|"
                  "image-(info file|dd operand)|secret-(un)?seal secret|"
                  "(vol|image)-measure size|job-wait timeout|"
                  "echo string|connect name").fullmatch


def run(*words, stdin=""):
    done = subprocess.run([PROGRAM, "--root", "root", "-q", *words], input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    return done.returncode, done.stdout, done.stderr


def words_for(command, bad):
    """@command, all of it good but the option @bad."""
    more = MORE.get(command["name"], "").split()
    words = []
    for option in command["options"]:
        name = option["name"]
        if option is bad:
            words.append(f"--{name}=''")
            if f"--{name}" in more:
                at = more.index(f"--{name}")
                del more[at:at + 2]
        elif option["required"] and f"--{name}" not in more:
            good = "image" if command["name"].startswith("image-") else "x.xml"
            words.append(f"--{name}={good if name == 'file' else GOOD.get(name, 'x')}")
    return " ".join([command["name"], *words, *more])


def commands():
    groups = json.loads(run("help", "--json")[1])["groups"]
    return [command for group in groups for command in group["commands"]]


class Values(unittest.TestCase):
    def setUp(self):
        self.before = os.getcwd()
        self.where = tempfile.TemporaryDirectory()
        os.chdir(self.where.name)
        os.mkdir("p")
        with open("x.xml", "w", encoding="ascii") as stream:
            stream.write(f"<secret><uuid>{UUID}</uuid></secret>")
        for words in (f"pool-create-as p dir --target {self.where.name}/p", "secret-define x.xml",
                      "vol-create-as p a 1M --format qcow2", "snap-create a one",
                      "image-create -f qcow2 image 1M"):
            self.assertEqual((0, ""), run(*words.split())[::2])

    def tearDown(self):
        os.chdir(self.before)
        self.where.cleanup()

    def test_an_empty_one_is_said(self):
        rows = [(option["name"], words_for(command, option) + dry)
                for command in commands() for option in command["options"]
                for dry in ["", " --dry-run"][:1 + command["mutates"]]
                if option["kind"] != "switch" and option["name"] not in ("root", "connect")
                and not FINE(f"{command['name']} {option['name']}")]
        script = "".join(f"echo --err ={at}=\n{line}\n" for at, (_, line) in enumerate(rows))
        _, out, err = run(stdin=script)
        said = re.split(r"error: =\d+=\n", err)[1:]
        self.assertEqual(len(rows), len(said))
        self.assertGreater(len(rows), 250)
        for (option, line), err in zip(rows, said):
            with self.subTest(line=line):
                self.assertRegex(err, rf"^(error: .*\n)?error: (Failed to get option '{option}': "
                                 rf"Option argument is empty|Numeric value '' for <{option}> "
                                 r"option is malformed or out of range)\n$")
        # Of a shell that is not typed at, its commands are the only output.
        self.assertEqual([], [line for line in out.splitlines()
                              if not line.startswith("cistern # ")])
        self.assertEqual(["image", "p", "root", "x.xml"], sorted(os.listdir(".")))


if __name__ == "__main__":
    unittest.main()
