# SPDX-License-Identifier: LGPL-2.1-or-later
"""What tests of one daemon on one server's storage share."""

import contextlib
import hashlib
import os
import re
import statistics
import subprocess
import threading
import time

from . import peers, space
from .cases import Patient

MIB = 1 << 20


def noise(size, seed=1):
    """Bytes that no hole or zero run hides in."""
    block = hashlib.sha256(str(seed).encode()).digest() * 32768
    return (block * (size // len(block) + 1))[:size]


def timed(function):
    started = time.monotonic()
    function()
    return time.monotonic() - started


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
    """With another pool, "d", which has to stay as quick as it is; PATIENCE_S: of the other one."""

    PATIENCE_S = 0

    def setUp(self):
        super().setUp()
        directory = os.path.join(self.peer.dir, "d")
        os.makedirs(directory, exist_ok=True)
        if "d" not in self.ok("pool-list", "--name").split():
            self.ok("pool-create-as", "d", "dir", "--target", directory)
            self.ok("vol-create-as", "d", "beside", "1M")

    def look_beside(self):
        return timed(lambda: self.ok("vol-list", "d", "--details"))

    @contextlib.contextmanager
    def beside(self):
        """Another pool is listed all the time and takes as long as when all is well."""
        quiet = [self.look_beside() for _ in range(7)]
        meanwhile, done = [], threading.Event()

        def look():
            while not done.is_set():
                meanwhile.append(self.look_beside())
        watching = threading.Thread(target=look)
        watching.start()
        try:
            yield
        finally:
            done.set()
            watching.join()
        before, now, worst = (statistics.median(quiet), statistics.median(meanwhile),
                              max(meanwhile))
        print(f"        another pool: {before * 1000:.0f} ms, meanwhile {now * 1000:.0f} ms, "
              f"at worst {worst * 1000:.0f} ms in {len(meanwhile)} looks", flush=True)
        # Half a second for what else the machine does; who waits for a server does so for seconds.
        self.assertLess(now, 3 * before + 0.5)
        # Whoever waits for the other pool waits at least as long.
        self.assertLess(worst, max(self.PATIENCE_S, 10 * before))
