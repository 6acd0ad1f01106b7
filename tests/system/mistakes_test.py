# SPDX-License-Identifier: LGPL-2.1-or-later
"""Typical mistakes. Each ends with its exit status, and with an error that names the object, the
reason and the next step, in the message or in the hint."""

import json
import os
import re
import subprocess
import tempfile
import unittest

from harness import space, wait

USAGE, MISSING, DENIED, CONFLICT, FAILED = 2, 3, 4, 5, 1

# Exit status, words, and patterns of the error with its hint. The pool "p" has the volumes "disk"
# (qcow2, with the snapshot "s1") and "raw"; "idle" is a pool that is not active. {at} is the folder.
MISTAKES = [
    # words that are missing, in another order, or of another command
    (USAGE, "vol-create-as disk2 1G", "requires <capacity>", "cistern help vol-create-as"),
    (MISSING, "vol-create-as nope disk2 1G", "'nope'", "pool-list --all"),
    (MISSING, "vol-create-as disk2 p 1G", "'disk2'", "'p' is a pool.*help vol-create-as"),
    (USAGE, "vol-create-as p disk2", "requires <capacity>", "help vol-create-as"),
    (USAGE, "vol-create p disk2 1G", "unexpected data '1G'", "help vol-create"),
    (MISSING, "vol-create p disk2.xml", "'disk2.xml'", "No such file"),
    (USAGE, "vol-delete", "requires <vol>", "help vol-delete"),
    (MISSING, "vol-delete disk5", "'disk5'", "did you mean 'disk'"),
    (MISSING, "vol-delete p disk", "'disk'", "the second word is the pool"),
    (MISSING, "vol-delete {at}/p/none", "{at}/p/none", "vol-list POOL"),
    (MISSING, "vol-delete disk --pool nope", "'nope'", "pool-list --all"),
    (MISSING, "vol-delete disk -f", "'-f'", "the second word is the pool"),
    (MISSING, "vol-info p", "'p'", "'p' is a pool; `cistern vol-list p`"),
    (MISSING, "vol-info p/", "'p/'", "'p' is a pool; `cistern vol-list p`"),
    (USAGE, "vol-info disk --pool=", "'pool'.*empty", "help vol-info"),
    (MISSING, "vol-list nope", "'nope'", "pool-list --all"),
    (USAGE, "vol-list p q", "unexpected data 'q'", "help vol-list"),
    (USAGE, "vol-clone disk", "requires <newname>", "help vol-clone"),
    (MISSING, "vol-clone p disk disk2", "'disk2'", "failed to get pool"),
    (USAGE, "vol-move disk", "requires --newpool", "help vol-move"),
    (USAGE, "vol-convert disk disk3 raw", "requires --format", "help vol-convert"),
    (USAGE, "vol-rename disk", "requires <newname>", "help vol-rename"),
    (USAGE, "vol-upload disk", "requires <file>", "help vol-upload"),
    (MISSING, "vol-upload nofile disk --pool p", "'nofile'", "vol-list POOL"),
    (MISSING, "vol-upload disk nofile --pool p", "cannot read nofile", "No such file"),
    (USAGE, "vol-import {at}/img new", "requires --pool", "help vol-import"),
    (USAGE, "vol-export disk", "requires <target>", "help vol-export"),
    (MISSING, "vol-import nofile new --pool p", "'nofile'", "No such file"),
    (USAGE, "snap-create disk", "requires <name>", "help snap-create"),
    (USAGE, "snap-revert disk", "requires <name>", "help snap-revert"),
    (USAGE, "snap-list", "requires <vol>", "help snap-list"),
    (MISSING, "snap-revert disk nosuch", "'nosuch'", "volume 'disk'"),
    (MISSING, "snap-delete disk nosuch", "'nosuch'", "volume 'disk'"),
    (MISSING, "snap-rename disk nosuch x", "'nosuch'", "'disk' has no snapshot"),
    (USAGE, "pool-start", "requires <pool>", "help pool-start"),
    (USAGE, "pool-create-as x", "requires <type>", "help pool-create-as"),
    (USAGE, "backup-init", "requires <repo>", "help backup-init"),
    (USAGE, "job-wait", "requires <job>", "help job-wait"),
    (USAGE, "image-convert {at}/img", "requires <target>", "help image-convert"),
    (USAGE, "image-create {at}/foo.qcow2 1G", "requires --format", "help image-create"),
    # sizes
    (USAGE, "vol-create-as p disk2 qcow2", "Malformed size qcow2", "a size is a number with a unit"),
    (USAGE, "vol-create-as p disk2 qcow2 1G", "Malformed size qcow2", "a size is a number"),
    (USAGE, "vol-create-as p disk2 1G qcow2", "Malformed size qcow2", "a size is a number"),
    (USAGE, "vol-create-as p disk2 1 G", "Malformed size G", "in one word"),
    (USAGE, "vol-create-as p disk2 10GBs", "Malformed size 10GBs", "unknown suffix 'GBs'"),
    (USAGE, "vol-create-as p disk2 1G -f qcow2", "Malformed size -f", "two dashes, as --format"),
    (USAGE, "vol-resize disk 20X", "Malformed size 20X", "unknown suffix 'X'"),
    (USAGE, "vol-resize disk 5M", "smaller", "\\+5M adds"),
    (USAGE, "image-create {at}/foo.qcow2 -f qcow2 1GG", "'1GG'", "help image-create"),
    # formats and types
    (USAGE, "vol-create-as p disk2 1G --format qcow3", "qcow3", "unknown|help"),
    (USAGE, "vol-convert disk disk3 --format foo", "'foo'", "unknown image format"),
    (USAGE, "pool-create-as x directory --target {at}/x", "'directory'", "pool-capabilities"),
    (USAGE, "image-convert {at}/img {at}/out -O foo", "'foo'", "unknown image format"),
    # options and commands of other tools
    (USAGE, "vol-create-as p disk2 --size 1G", "--size", "help vol-create-as"),
    (USAGE, "vol-list --all", "--all", "help vol-list"),
    (USAGE, "pool-list --inactiv", "--inactiv", "did you mean --inactive"),
    (USAGE, "pool-ls", "'pool-ls'", "did you mean 'pool-list'"),
    (USAGE, "snapshot-create disk s2", "'snapshot-create'", "did you mean 'snap-create'"),
    (USAGE, "snapshot disk s2", "'snapshot'", "did you mean 'snap-create'"),
    (USAGE, "create p disk2 1G", "'create'", "did you mean 'vol-create-as'"),
    (USAGE, "info disk", "'info'", "did you mean 'vol-info'"),
    (USAGE, "delete disk", "'delete'", "did you mean 'vol-delete'"),
    (USAGE, "resize disk 20G", "'resize'", "did you mean 'vol-resize'"),
    (USAGE, "lvcreate -L 1G p", "'lvcreate'", "did you mean 'vol-create-as'"),
    (USAGE, "lvs", "'lvs'", "did you mean 'vol-list'"),
    (USAGE, "vgs", "'vgs'", "did you mean 'pool-list'"),
    (USAGE, "zfs list", "'zfs'", "did you mean 'vol-list'"),
    (USAGE, "qemu-img info img", "'qemu-img'", "did you mean 'image-info'"),
    (USAGE, "convert -f raw -O qcow2 a b", "'convert'", "did you mean 'image-convert'"),
    # states
    (CONFLICT, "vol-delete disk --pool idle", "'idle' is not active", "pool-start idle"),
    (CONFLICT, "vol-info idle/x", "'idle' is not active", "pool-start idle"),
    (CONFLICT, "vol-list idle", "'idle' is not active", "pool-start idle"),
    (CONFLICT, "vol-create-as idle x 1G", "'idle' is not active", "pool-start idle"),
    (CONFLICT, "vol-import {at}/img new --pool idle", "'idle' is not active", "pool-start idle"),
    (CONFLICT, "vol-move disk --newpool idle", "'idle' is not active", "pool-start idle"),
    (CONFLICT, "pool-refresh idle", "'idle' is not active", "pool-start idle"),
    (CONFLICT, "pool-delete p", "'p' is still active", "pool-destroy p"),
    (CONFLICT, "pool-undefine p", "'p' is still active", "pool-destroy p"),
    (CONFLICT, "pool-start p", "'p' is already active", "."),
    (CONFLICT, "vol-rename disk raw", "'raw'", "exists"),
    (CONFLICT, "vol-create-as p disk 1G", "'disk'", "exists"),
    (CONFLICT, "snap-create disk s1", "'s1'", "exists|already"),
    # others
    (MISSING, "secret-get-value nope", "'nope'", "secret-list"),
    (MISSING, "image-info {at}/nofile", "nofile", "No such file"),
    (MISSING, "job-cancel 99", "99", "an hour after"),
    (USAGE, "job-cancel x", "'x'", "job-list"),
    (MISSING, "vol-download disk {at}/none/x --pool p", "none/x", "No such file"),
    (MISSING, "backup-list nope", "'nope'", "pool-list"),
]


class Mistakes(unittest.TestCase):
    """Embedded, in a root of its own."""

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory(prefix="cistern-mistakes-")
        cls.addClassCleanup(cls.home.cleanup)
        os.mkdir(cls.at("q"))
        for words in (["pool-define-as", "p", "dir", "--target", cls.at("p"), "--build", "--start"],
                      ["pool-define-as", "idle", "dir", "--target", cls.at("q")],
                      ["vol-create-as", "p", "disk", "10M", "--format", "qcow2"],
                      ["vol-create-as", "p", "raw", "10M"], ["snap-create", "p/disk", "s1"]):
            done = cls.run_in(*words)
            assert done.returncode == 0, (words, done.stderr)
        with open(cls.at("img"), "wb") as out:
            out.truncate(1 << 20)

    @classmethod
    def at(cls, *parts):
        return os.path.join(cls.home.name, *parts)

    @classmethod
    def run_in(cls, *words):
        return subprocess.run([space.CISTERN, "--root", cls.at("root"), *words],
                              capture_output=True, text=True, check=False, timeout=wait.LIMIT_S,
                              stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"})

    def test_each_mistake_names_the_object_the_reason_and_the_next_step(self):
        for status, line, *patterns in MISTAKES:
            with self.subTest(line):
                before = self.picture()
                done = self.run_in(*line.format(at=self.home.name).split(), "--json")
                self.assertEqual(status, done.returncode, done.stderr)
                error = json.loads(done.stderr.splitlines()[-1])["error"]
                text = "\n".join(error.get(key) or "" for key in ("context", "message", "hint"))
                for pattern in patterns:
                    self.assertRegex(text, re.compile(pattern.replace("{at}", self.home.name)))
                self.assertEqual(before, self.picture())

    def picture(self):
        return sorted((name, os.stat(self.at("p", name)).st_mtime_ns)
                      for name in os.listdir(self.at("p")))

    def test_size_without_unit_is_noted(self):
        done = self.run_in("vol-create-as", "p", "small", "30")
        self.assertEqual("note: the size 30 is in bytes; write 30G for 30 GiB\n", done.stderr)
        self.assertEqual("Vol small created\n\n", done.stdout)
        for words in (["--json"], ["--quiet"]):
            self.run_in("vol-delete", "small", "--pool", "p")
            self.assertEqual("", self.run_in("vol-create-as", "p", "small", "30", *words).stderr)
        for size in ("10000", "1k", "0"):
            self.run_in("vol-delete", "small", "--pool", "p")
            self.assertEqual("", self.run_in("vol-create-as", "p", "small", size).stderr)
        self.run_in("vol-delete", "small", "--pool", "p")

    def test_results_have_the_size_and_the_time(self):
        lines = ("vol-create-as p new 2M", "vol-clone raw new --pool p",
                 "vol-convert raw new --pool p --format qcow2", "vol-import {at}/img new --pool p",
                 "vol-export raw {at}/out.qcow2 --pool p")
        for line, size in zip(lines, (2, 10, 10, 1, 10)):
            with self.subTest(line):
                done = self.run_in(*line.format(at=self.home.name).split(), "--json")
                self.assertEqual(0, done.returncode, done.stderr)
                result = json.loads(done.stdout.splitlines()[-1])
                self.assertEqual(size << 20, result["bytes"])
                self.assertGreater(result["seconds"], 0)
                self.run_in("vol-delete", "new", "--pool", "p")


if __name__ == "__main__":
    unittest.main()
