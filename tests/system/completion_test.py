# SPDX-License-Identifier: LGPL-2.1-or-later
"""The completions in the shells that they are for: a line is typed and completed, and what stands
there then is looked at."""

import os
import shutil
import subprocess
import tempfile
import unittest

from harness import space

SCRIPTS = os.path.join(space.TOP, "completions")

# What is typed behind "cistern --root DIR ", what the line is then, and what was offered for it. There
# are the volumes one/disk, "one/with space.qcow2", two/disk and "two/a$b:c", and here is a file
# picture.iso.
TYPED = (
    ("pool-inf", "pool-info ", ["pool-info"]),
    ("vol-info --phys", "vol-info --physical ", ["--physical"]),
    ("vol-info wi", r"vol-info with\ space.qcow2 ", ["with space.qcow2"]),
    (r"vol-info with\ s", r"vol-info with\ space.qcow2 ", ["with space.qcow2"]),
    ("vol-info 'with s", "vol-info 'with space.qcow2' ", ["with space.qcow2"]),
    ('vol-info "with s', 'vol-info "with space.qcow2" ', ["with space.qcow2"]),
    (r"vol-info one/with\ s", r"vol-info one/with\ space.qcow2 ", ["one/with space.qcow2"]),
    ("vol-info two/d", "vol-info two/disk ", ["two/disk"]),
    ("vol-info one/", "vol-info one/", ["one/disk", "one/with space.qcow2"]),
    (r"vol-info --pool two a\$", r"vol-info --pool two a\$b:c ", ["a$b:c"]),
    (r"vol-info with\ space.qcow2 --pool o", r"vol-info with\ space.qcow2 --pool one ", ["one"]),
    ("vol-info pic", "vol-info pic", []),
    ("vol-delete ./pic", "vol-delete ./pic", []),
    ("image-info pic", "image-info picture.iso ", ["picture.iso"]),
)

# Completes each line as it would be on the Tab key, and leaves.
ZSHRC = r"""
fpath=($SCRIPTS $fpath)
autoload -Uz compinit
compinit -D -u
unsetopt automenu
zle-line-init() {
    local line
    for line in "${(@f)$(<$ASKED)}"; do
        BUFFER=$line CURSOR=$#line
        zle complete-word
        print -r -- "$BUFFER" >>$ANSWERED
    done
    exit
}
zle -N zle-line-init
"""

# Completes each line that comes in on the Tab key, and writes what it is on Control-T.
BASHRC = r"""
source "$SCRIPTS/cistern.bash"
tell() { printf '%s\n' "$READLINE_LINE" >>"$ANSWERED"; READLINE_LINE=; }
bind -x '"\C-t": tell'
"""


# What is typed behind a quote, and completed, must be this name again in the shell.
EVIL = "e$(touch PWNED)`touch PWNED`'\"x"


class Shells(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        where = tempfile.TemporaryDirectory(prefix="cistern-completion-")
        self.addCleanup(where.cleanup)
        self.where = where.name
        for name in ("one", "two"):
            self.cistern("pool-create-as", name, "dir", "--target", self.at(name), "--build")
        for pool, name in (("one", "disk"), ("one", "with space.qcow2"), ("two", "disk"),
                           ("two", "a$b:c"), ("two", EVIL)):
            self.cistern("vol-create-as", pool, name, "1M")
        os.mkdir(self.at("here"))
        self.write("here/picture.iso", "")
        self.typed = f"cistern --root {self.at('root')} "

    def at(self, *parts):
        return os.path.join(self.where, *parts)

    def write(self, name, text):
        with open(self.at(name), "w", encoding="ascii") as stream:
            stream.write(text)

    def cistern(self, *words):
        subprocess.run([space.CISTERN, "--root", self.at("root"), *words], check=True,
                       stdout=subprocess.DEVNULL)

    def shell(self, *command, keys="", **env):
        """Runs a shell where cistern is found; returns what it prints."""
        if not shutil.which(command[0]):
            self.skipTest(command[0] + " is not installed")
        path = os.path.dirname(space.CISTERN) + ":" + space.ENV["PATH"]
        return subprocess.run(command, text=True, input=keys, stdout=subprocess.PIPE, check=True,
                              timeout=120, cwd=self.at("here"),
                              env={**space.ENV, "PATH": path, "HOME": self.where, **env}).stdout

    def in_terminal(self, command, keys=""):
        """The shell completes all lines as it should."""
        self.shell("script", "-qec", command, "/dev/null", keys=keys, SCRIPTS=SCRIPTS,
                   ASKED=self.at("asked"), ANSWERED=self.at("answered"))
        with open(self.at("answered"), encoding="ascii") as stream:
            answered = stream.read().splitlines()
        self.assertEqual([self.typed + line for _, line, _ in TYPED], answered)

    def test_zsh(self):
        if not shutil.which("zsh"):
            self.skipTest("zsh is not installed")
        self.write(".zshrc", ZSHRC)
        self.write("asked", "".join(self.typed + line + "\n" for line, _, _ in TYPED))
        self.in_terminal("zsh -d -i")

    def test_bash(self):
        self.write("bashrc", BASHRC)
        self.in_terminal(f"bash --noprofile --rcfile {self.at('bashrc')} -i",
                         "".join(self.typed + line + "\t\x14" for line, _, _ in TYPED) + "exit\n")

    def test_bash_executes_no_name(self):
        self.write("bashrc", BASHRC)
        for quote in ('"', "'", ""):
            for leave in ("\x14", "\n"):
                with self.subTest(quote=quote, leave=leave):
                    self.write("answered", "")
                    self.shell("script", "-qec", f"bash --noprofile --rcfile {self.at('bashrc')} -i",
                               "/dev/null", SCRIPTS=SCRIPTS, ANSWERED=self.at("answered"),
                               keys=f"{self.typed}vol-info --pool two {quote}e\t{leave}exit\n")
                    self.assertEqual(["picture.iso"], os.listdir(self.at("here")))
                    with open(self.at("answered"), encoding="ascii") as stream:
                        line = stream.read().strip()
                    if line:
                        self.assertEqual(EVIL, self.shell(
                            "bash", "-c", "set -- " + line + "; printf %s \"${@: -1}\""))

    def test_fish(self):
        script = f"source {SCRIPTS}/cistern.fish; complete -C $argv[1]"
        for line, _, offered in TYPED:
            with self.subTest(line=line):
                out = self.shell("fish", "--no-config", "-c", script, self.typed + line)
                self.assertEqual(offered, [one.split("\t")[0] for one in out.splitlines()])


if __name__ == "__main__":
    unittest.main()
