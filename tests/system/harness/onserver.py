# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of one daemon on one server's storage share."""

import contextlib
import hashlib
import json
import os
import re
import subprocess
import threading

from . import peers, space
from .cases import Patient

MIB = 1 << 20


def noise(size, seed=1):
    """Bytes that no hole or zero run hides in."""
    block = hashlib.sha256(str(seed).encode()).digest() * 32768
    return (block * (size // len(block) + 1))[:size]


def write_all(stream, data):
    """Writes DATA to a raw stream. One write to a pipe may end early when a signal arrives."""
    view = memoryview(data)
    while view:
        view = view[stream.write(view):]


class OnServer(Patient):
    """One daemon for the class, as self.peer; POOL is the pool that is meant when none is named."""

    maxDiff = None
    POOL = ""

    @classmethod
    def file(cls, name, content):
        path = os.path.join(cls.peer.files, name)
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())
        return path

    @classmethod
    def define(cls, name, start=True, **how):
        """A pool of the document that the subclass's pool_xml() makes."""
        xml = cls.file(name + ".xml", cls.pool_xml(name, **how))
        for words in (["pool-define", xml], *([["pool-start", name]] if start else [])):
            status, _out, err = peers.virsh(cls.peer, *words)
            assert status == 0, err

    def undefine(self, name):
        peers.virsh(self.peer, "pool-destroy", name)
        peers.virsh(self.peer, "pool-undefine", name)

    def ok(self, *words, **options):
        status, out, err = peers.virsh(self.peer, *words, **options)
        self.assertEqual(0, status, f"virsh {' '.join(words)}: {err}")
        return out

    def fails(self, *words, text="", **options):
        status, _out, err = peers.virsh(self.peer, *words, **options)
        self.assertEqual(1, status, f"virsh {' '.join(words)} should have failed")
        self.assertIn(text, err)
        return err

    def cistern(self, *words, status=0, **options):
        done = peers.run([space.CISTERN, "-c", self.peer.uri, *words], **options)
        self.assertEqual(status, done[0], f"cistern {' '.join(words)}: {done[2]}")
        return done[1] if status == 0 else done[2]

    def names(self, pool=None):
        lines = self.ok("vol-list", pool or self.POOL).splitlines()[2:]
        return [line.split()[0] for line in lines if line]

    def details(self, pool=None):
        """{name: (capacity, allocation)} as printed."""
        lines = self.ok("vol-list", pool or self.POOL, "--details").splitlines()[2:]
        rows = [re.split(r"\s{2,}", line.strip()) for line in lines if line]
        return {row[0]: tuple(row[3:]) for row in rows}

    def download(self, name, pool=None, words=()):
        out = os.path.join(self.peer.files, "downloaded")
        self.ok("vol-download", name, out, "--pool", pool or self.POOL, *words)
        with open(out, "rb") as stream:
            return stream.read()

    @contextlib.contextmanager
    def transfer(self, command, name):
        """Stock virsh's vol-upload or vol-download through a FIFO: its process and the FIFO's path."""
        fifo = os.path.join(self.peer.files, "fifo")
        os.mkfifo(fifo)
        try:
            with subprocess.Popen(["virsh", "-c", self.peer.uri, command, name, fifo, "--pool",
                                   self.POOL], env=space.ENV, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True) as process:
                yield process, fifo
        finally:
            os.unlink(fifo)


class Beside(OnServer):
    """With another pool, "d", whose calls have to end while those of POOL hang."""

    def setUp(self):
        super().setUp()
        directory = os.path.join(self.peer.dir, "d")
        os.makedirs(directory, exist_ok=True)
        if "d" not in self.ok("pool-list", "--name").split():
            self.ok("pool-create-as", "d", "dir", "--target", directory)
            self.ok("vol-create-as", "d", "beside", "1M")

    def under_way(self):
        """Numbers of the jobs of other pools than "d"."""
        rows = json.loads(self.cistern("--json", "job-list"))["jobs"]
        return {row["id"] for row in rows if row["pool"] != "d"}

    @contextlib.contextmanager
    def beside(self, hangs=False):
        """
        Pool "d" is listed all the time. HANGS: a call of another pool hangs for seconds meanwhile; it
        was under way when a listing of "d" began, and still is when that listing has ended.
        """
        looks, inside, failures, done = [], [], [], threading.Event()

        def look():
            while not done.is_set() or not looks:
                try:
                    before = self.under_way()
                    looks.append(self.ok("vol-list", "d", "--details"))
                    inside.extend(before & self.under_way())
                except AssertionError as failure:
                    failures.append(failure)
                    break
        watching = threading.Thread(target=look)
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()
        self.assertEqual([], failures)
        self.assertTrue(inside or not hangs,
                        f"none of {len(looks)} listings has ended before a call that hangs")
