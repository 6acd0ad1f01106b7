# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays transcripts: what a user types at the program, and all that it answers.

usage: transcript.py FILE…      CISTERN and CISTERN_FAKE name the programs, SOURCE the tree

A line "# TITLE" begins a case in an empty folder. "$ WORDS" runs the program as a shell would, "$r
WORDS" the program on a root of its own (--root, no daemon), "$f WORDS" the one over the connection
in memory, "$c WORDS" the program as it comes; NAME=VALUE before them and <FILE behind them are a
shell's, too, and HERE is the folder.
"% WORDS" runs a helper below. Behind such a line stands what comes of it, and nothing else may:
"  " begins a line of stdout, "! " one of stderr, "[N]" is an exit status but 0; "|" stands behind a
space at the end of a line, and "\\" behind a line that has no end. What differs from run to run is
replaced (PLACEHOLDERS). With TRANSCRIPT_WRITE=1 the file is written anew; read what has changed
before it is kept.
"""

import fcntl
import itertools
import json
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import unittest

PROGRAMS = {"$": [os.environ["CISTERN_FAKE"]], "$f": [os.environ["CISTERN_FAKE"]],
            "$r": [os.environ["CISTERN"], "--root", "root"], "$c": [os.environ["CISTERN"]]}
SOURCE = os.environ["SOURCE"]
PLACEHOLDERS = (
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "TIME"),
    (r"(\"date_n?sec\"|\"actual_size\"|\"seconds\"|\"(?:parent_)?cid\"):[\d.e-]+", r"\1:N"),
    (r"^(disk size|    cid): .*$", r"\1: N"),
    (r"^Run completed in .*$", "Run completed in N"),
    (r"process \d+ \(.*?\)", "process N"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"\b([Bb]ackup '?)[0-9a-f]{8}\b", r"\1ID"),
    (r"\b(cistern-backup-)[0-9a-f]{8}-[0-9a-f]{8}\b", r"\1ID"),
    (r"\b\d+\.\d+\.\d+\b", "VERSION"),
    (r"cistern > ", "cistern # "),  # for users other than root
    # said by libraries
    (r"(\(storage_\w+_definition\):\d+|the editor '.*?'|cannot run the editor): .*", r"\1: WHY"),
)


# --- helpers -------------------------------------------------------------------------------------


def run(words, **env):
    """WORDS as a shell has them: the last may be <FILE."""
    stdin = b""
    if words[-1].startswith("<"):
        with open(words.pop()[1:], "rb") as stream:
            stdin = stream.read()
    # Nobody's own configuration, but what a case has of it.
    quiet = {} if "XDG_CONFIG_HOME" in env else {"CISTERN_CONFIG": "/dev/null"}
    done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=False,
                          env={**os.environ, "LC_ALL": "C", "TERM": "dumb", "TZ": "UTC", **quiet,
                               **env})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def runs_of(data):
    """[(start, end, byte)] of equal bytes; zeroes are left out."""
    found = []
    for match in re.finditer(rb"(?s)([^\0])\1*", data):
        found.append((match.start(), match.end(), match.group(1)[0]))
    return found


class Helpers:
    """Each returns what it prints."""

    held = []  # descriptors with locks

    def hold(self, path):
        """What QEMU locks of an image that it writes to, until release."""
        stream = open(path, "r+b")
        self.held.append(stream)
        for byte in (100, 101, 103, 201, 203):
            lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0)
            fcntl.fcntl(stream, fcntl.F_OFD_SETLK, lock)
        return ""

    def release(self):
        while self.held:
            self.held.pop().close()
        return ""

    def put(self, path, offset, length, byte):
        """Bytes into a file, which is made when it is missing."""
        with open(path, "r+b" if os.path.exists(path) else "w+b") as stream:
            stream.seek(int(offset, 0))
            stream.write(bytes([int(byte, 0)]) * int(length, 0))
        return ""

    def content(self, *words):
        """What a guest sees of an image: the runs of bytes that are not zero, and its size."""
        status, _, err = run([*PROGRAMS["$"], "-q", "image-convert", "-U", *words, ".content"])
        if status:
            return err
        with open(".content", "rb") as stream:
            data = stream.read()
        os.unlink(".content")
        lines = [f"{start} {end} {byte:#04x}" for start, end, byte in runs_of(data)]
        return "\n".join([*lines, f"{len(data)} bytes"]) + "\n"

    def ls(self, *paths):
        """The files of a folder with mode, and size where it is no image's."""
        lines = []
        for folder in paths or (".",):
            for name in sorted(os.listdir(folder)):
                found = os.lstat(os.path.join(folder, name))
                lines.append(f"{found.st_mode:o} {name}")
        return "".join(line + "\n" for line in lines)

    def size(self, path):
        return f"{os.stat(path).st_size}\n"

    def allocated(self, path):
        """Whether a file takes as much space as it is long, some, or none."""
        found = os.stat(path)
        taken = found.st_blocks * 512
        return ("none" if not taken else "whole" if taken >= found.st_size else "some") + "\n"

    def chmod(self, mode, path):
        os.chmod(path, int(mode, 8))
        return ""

    def mkdir(self, path):
        os.makedirs(path)
        return ""

    def link(self, target, path):
        os.symlink(target, path)
        return ""

    def rm(self, path):
        os.unlink(path)
        return ""

    def fifo(self, path):
        os.mkfifo(path)
        return ""

    def text(self, path, *lines):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write("".join(line + "\n" for line in lines))
        return ""

    def cat(self, path):
        with open(path, encoding="utf-8") as stream:
            return stream.read()

    def seed(self, name, path):
        """An image of the fuzzers' corpus: tests/fuzz/sparse.h has the form."""
        with open(os.path.join(SOURCE, "tests/fuzz/corpus", name), "rb") as stream:
            packed = stream.read()
        at = len(b"CSTSPARS")
        with open(path, "wb") as image:
            while at < len(packed):
                offset, length = struct.unpack_from("<IH", packed, at)
                image.seek(offset)
                image.write(packed[at + 6:at + 6 + length])
                at += 6 + length
        return ""

    def poke(self, path, offset, text):
        """A text into a file; \\xHH in it is a byte."""
        data = re.sub(rb"\\x(..)", lambda m: bytes.fromhex(m.group(1).decode()), text.encode())
        with open(path, "r+b" if os.path.exists(path) else "w+b") as stream:
            stream.seek(int(offset, 0))
            stream.write(data)
        return ""

    def agrees(self, path):
        """Whether image-info tells the space that a file takes."""
        told = json.loads(run([*PROGRAMS["$"], "image-info", "--json", path])[1])["images"][0]
        return f"{told['actual_size'] == os.stat(path).st_blocks * 512}\n"


# --- playing -------------------------------------------------------------------------------------


def answer(line):
    """What comes of a line, as it stands in a transcript."""
    sign, _, rest = line.partition(" ")
    words = shlex.split(rest.replace("HERE", os.getcwd()))
    if sign == "%":
        status, out, err = 0, getattr(Helpers(), words[0])(*words[1:]), ""
    else:
        settings = list(itertools.takewhile(re.compile("[A-Z_]+=").match, words))
        env = dict(setting.split("=", 1) for setting in settings)
        status, out, err = run([*PROGRAMS[sign], *words[len(settings):]], **env)
    lines = []
    for text, mark in ((out, "  "), (err, "! ")):
        text = text.replace(os.getcwd(), "HERE")
        for pattern, name in PLACEHOLDERS:
            text = re.sub(pattern, name, text, flags=re.M)
        for part in text.splitlines(keepends=True):
            end = "\\" if not part.endswith("\n") else "|" if part[-2:] in ("\n", " \n") else ""
            lines.append(mark + part.rstrip("\n") + end)
    return [*lines, *([f"[{status}]"] if status else [])]


def is_step(line):
    return re.match(r"(\$[cfr]?|%) ", line) is not None


def read_cases(path):
    """[(title, [lines])]"""
    with open(path, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith("# ")]
    return [(lines[at][2:], lines[at + 1:end])
            for at, end in zip(starts, [*starts[1:], len(lines)])]


def play(lines):
    """The lines of a case with the answers that came."""
    played = []
    for line in lines:
        if is_step(line):
            played += [line, *answer(line)]
        elif not line:
            played.append(line)
    return played


def play_in_folder(lines):
    before = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="cli-", dir="/tmp") as where:
        os.chdir(where)
        try:
            os.umask(0o022)
            return play(lines)
        finally:
            Helpers().release()
            os.chdir(before)


def write_anew(path):
    text = []
    for title, lines in read_cases(path):
        text += ["# " + title, *play_in_folder(lines)]
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("\n".join(text) + "\n")


def test_of(title, lines):
    def test(self):
        self.assertEqual("\n".join(lines), "\n".join(play_in_folder(lines)))
    test.__doc__ = title
    return test


class Transcript(unittest.TestCase):
    maxDiff = None


def main():
    paths = [os.path.abspath(path) for path in sys.argv[1:]]
    if os.environ.get("TRANSCRIPT_WRITE"):
        for path in paths:
            write_anew(path)
        return
    for path in paths:
        for number, (title, lines) in enumerate(read_cases(path)):
            setattr(Transcript, f"test_{os.path.basename(path)}_{number:02}", test_of(title, lines))
    unittest.main(argv=sys.argv[:1])


main()
