# SPDX-License-Identifier: LGPL-2.1-or-later
"""Backups of one image beside qemu-img with zstd, restic and borg: rows for bench/bench."""

import os
import random
import shutil
import subprocess
import time

from harness import space

MIB = 1 << 20
WORDS = b"the quick brown fox jumps over the lazy dog, and sleeps "
STEPS = ("first", "second, 1 % changed", "restore")


def run(*words, cwd=None, shell=False, **env):
    done = subprocess.run(words[0] if shell else words, cwd=cwd, shell=shell, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env={**os.environ, **env})
    if done.returncode != 0:
        raise RuntimeError(f"{words}: {done.stdout.decode(errors='replace')[-500:]}")


class Ours:
    """With a key, without a daemon."""

    FORMAT = "raw"
    OPTIONS = ()

    def __init__(self, top, image):
        self.root, self.repo = os.path.join(top, "root"), os.path.join(top, "repo")
        self.key = os.path.join(top, "key")
        os.makedirs(top)
        with open(self.key, "wb") as stream:
            stream.write(os.urandom(32))
        self.cistern("pool-create-as", "p", "dir", "--target", os.path.dirname(image))
        self.cistern("backup-init", self.repo, "--key-file", self.key)
        self.volume = "p/" + os.path.basename(image)

    def cistern(self, *words):
        run(space.CISTERN, "--embedded", "--root", self.root, "-q", *words)

    def backup(self):
        self.cistern("backup-create", self.repo, self.volume, "--key-file", self.key, *self.OPTIONS)

    def restore(self):
        self.cistern("backup-restore", self.repo, "latest", "--newname", "restored", "--key-file",
                     self.key)


class OursOfQcow2(Ours):
    FORMAT = "qcow2"


class Increments(OursOfQcow2):
    """Of an image that can tell what has changed."""

    OPTIONS = ("--incremental",)


class Stream:
    """A whole stream each time, with neither encryption nor anything that was there before."""

    FORMAT = "raw"

    def __init__(self, top, image):
        self.top, self.image, self.count = top, image, 0
        os.makedirs(top)

    def backup(self):
        self.count += 1
        run(f"qemu-img dd -f raw -O raw bs=1M if='{self.image}' of='{self.top}/stream' && "
            f"zstd -q -3 -T0 '{self.top}/stream' -o '{self.top}/{self.count}.zst' && "
            f"sync '{self.top}/{self.count}.zst' && rm '{self.top}/stream'", shell=True)

    def restore(self):
        run(f"zstd -q -d --sparse '{self.top}/{self.count}.zst' -o '{self.top}/restored' && "
            f"sync '{self.top}/restored'", shell=True)


class Restic:
    FORMAT = "raw"

    def __init__(self, top, image):
        self.top, self.image = top, image
        self.env = {"RESTIC_REPOSITORY": os.path.join(top, "repo"), "RESTIC_PASSWORD": "secret",
                    "XDG_CACHE_HOME": os.path.join(top, "cache")}
        os.makedirs(top)
        run("restic", "init", **self.env)

    def backup(self):
        run("restic", "backup", self.image, **self.env)

    def restore(self):
        run("restic", "restore", "latest", "--target", os.path.join(self.top, "out"), **self.env)


class ResticOfQcow2(Restic):
    FORMAT = "qcow2"


class Borg:
    FORMAT = "raw"

    def __init__(self, top, image):
        self.top, self.image, self.count = top, image, 0
        self.env = {"BORG_REPO": os.path.join(top, "repo"), "BORG_PASSPHRASE": "secret",
                    "BORG_BASE_DIR": top}
        os.makedirs(os.path.join(top, "out"))
        run("borg", "init", "--encryption=repokey-blake2", **self.env)

    def backup(self):
        self.count += 1
        run("borg", "create", "--compression", "zstd,3", f"::{self.count}", self.image, **self.env)

    def restore(self):
        run("borg", "extract", "--sparse", f"::{self.count}", cwd=os.path.join(self.top, "out"),
            **self.env)


def size(top):
    return sum(os.lstat(os.path.join(where, name)).st_blocks * 512
               for where, _, names in os.walk(top) for name in names)


class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.top = None
        self.results = {}

    def register(self):
        for name, tool, program in (("qemu-img and zstd", Stream, "zstd"),
                                    ("restic", Restic, "restic"), ("borg", Borg, "borg")):
            for step in STEPS:
                self.row(f"backup {self.bench.IMAGE >> 20} MiB, {step}, against {name}", tool, Ours,
                         step, program)
        for name, tool, program in (("reading it whole", OursOfQcow2, space.CISTERN),
                                    ("restic", ResticOfQcow2, "restic")):
            self.row(f"backup {self.bench.IMAGE >> 20} MiB of qcow2, {STEPS[1]}, --incremental, "
                     f"against {name}", tool, Increments, STEPS[1], program)

    def row(self, name, tool, ours, step, program):
        def both(_):
            if not shutil.which(program):
                raise RuntimeError(f"{program} is not installed")
            return self.measured(tool)[step], self.measured(ours)[step]
        self.bench.row(name, "s", None)(both)

    def measured(self, tool):
        if tool not in self.results:
            self.results[tool] = self.measure(tool)
        return self.results[tool]

    def measure(self, tool):
        """Seconds of each step, with a new image and a new repository."""
        top = space.path("disk-backup-" + tool.__name__)
        os.makedirs(os.path.join(top, "images"))
        image = os.path.join(top, "images", "image")
        self.make(image, tool.FORMAT)
        made = tool(os.path.join(top, "tool"), image)
        taken = {}
        for step in STEPS:
            if step == STEPS[1]:
                self.change(image, tool.FORMAT)
            os.sync()
            began = time.monotonic()
            if step == STEPS[2]:
                made.restore()
            else:
                made.backup()
            taken[step] = time.monotonic() - began
            print(f"  {tool.__name__}: {step}: {taken[step]:.2f} s, "
                  f"{size(os.path.join(top, 'tool')) >> 20} MiB")
        shutil.rmtree(top)
        return taken

    def make(self, path, fmt):
        """A third does not compress, a third does, and a third is holes; in stretches of 4 MiB."""
        chance = random.Random(15)
        text = WORDS * (4 * MIB // len(WORDS) + 1)
        with open(path, "wb") as stream:
            for i in range(self.bench.IMAGE // (4 * MIB)):
                if i % 3 == 0:
                    stream.seek(4 * MIB, os.SEEK_CUR)
                elif i % 3 == 1:
                    stream.write(chance.randbytes(4 * MIB))
                else:
                    shift = chance.randrange(len(WORDS))
                    stream.write(b"%08d" % i + text[shift:4 * MIB + shift - 8])
            stream.truncate(self.bench.IMAGE)
        if fmt != "raw":
            run("qemu-img", "convert", "-f", "raw", "-O", fmt, path, path + ".new")
            os.rename(path + ".new", path)

    def change(self, path, fmt):
        chance = random.Random(16)
        piece = path + ".piece"
        for _ in range(self.bench.IMAGE // 100 // (64 << 10)):
            at = chance.randrange(self.bench.IMAGE // 4096 - 16) * 4096
            with open(piece, "wb") as stream:
                stream.write(chance.randbytes(64 << 10))
            run("qemu-io", "-f", fmt, "-c", f"write -s {piece} {at} 64k", path)
        os.unlink(piece)
