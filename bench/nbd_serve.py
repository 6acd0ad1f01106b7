# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-serve beside qemu-nbd: rows for bench/bench, over a Unix socket, of raw and qcow2.

Both serve the same file, in turns: a round is one of each, and what counts are the medians of the
rounds. What is read is in the page cache. 8 connections are those of nbdcopy, or as many clients
(qemu-img bench uses one each, with 16 requests in flight). The server's processor time is that of
all its threads, which other work on the machine disturbs less than the time that passes.
"""

import functools
import os
import signal
import socket
import statistics
import subprocess
import time

MIB = 1 << 20
CLUSTER = 65536
REQUESTS = 20000
STEP = 1 * MIB + 4096  # a random place to every cache, and the same ones for both
NULL = "null:"
MAPS = 50  # block status lasts milliseconds


class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.place = None

    def register(self):
        for form in "raw", "qcow2":
            for connections in 1, 8:
                text = f"{connections} connection{'s'[:connections - 1]}"
                self.row(f"nbd: read {form}, {text}", form, self.copy_out, connections)
                self.row(f"nbd: write {form}, {text}", form, self.copy_in, connections)
                self.row(f"nbd: reads of 4 KiB, {form}, {text}", form, self.reads, connections)
                self.row(f"nbd: writes of 4 KiB, {form}, {text}", form, self.writes, connections)
        for content, length in (("pieces", "4 KiB"), ("clusters", "64 KiB")):
            name = f"qcow2 of 8,192 times {length}"
            self.row(f"nbd: block status, {MAPS} times, {name}", content, self.status, 1)
            self.bench.row(f"nbd: runs told, {name}", "runs", None, "more")(
                lambda _, content=content: self.pair(content, self.runs))
            # Last: what was read is in the page cache, and data to SEEK_HOLE.
            self.row(f"nbd: read by block status, {name}", content, self.copy_out, 1)

    def row(self, name, content, measure, connections):
        """One of the time that passes, and one of the server's processor time."""
        @functools.cache
        def medians():
            self.image(content)
            rounds = [self.round(content, lambda uri: measure(uri, connections))
                      for _ in range(self.bench.REPEAT)]
            # from [round][server][what] to [what][server]
            return [[statistics.median(one[server][what] for one in rounds)
                     for server in range(2)] for what in range(2)]
        self.bench.row(name, "s", None)(lambda _: medians()[0])
        self.bench.row(name + ", processor", "s", None)(lambda _: medians()[1])

    def pair(self, content, ask):
        return [ask(uri) for _, uri in self.served(*self.image(content))]

    def round(self, content, work):
        """Of each server the seconds that @work took, and its processor took."""
        taken = []
        for server, uri in self.served(*self.image(content)):
            busy, started = self.processor(server), time.perf_counter()
            work(uri)
            taken.append((time.perf_counter() - started, self.processor(server) - busy))
        return taken

    @staticmethod
    def processor(server):
        """Seconds of user and system time, of all threads."""
        with open(f"/proc/{server.pid}/stat", encoding="ascii") as stream:
            fields = stream.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def image(self, content):
        """The path of an image with data everywhere, or in (pieces of) every other cluster, and its
        format."""
        form = "raw" if content == "raw" else "qcow2"
        if not self.place:
            self.place = self.bench.space.path("nbd")
            os.makedirs(self.place)
            self.bench.command(
                self.bench.space.CISTERN, "--root", os.path.join(self.place, "root"),
                "pool-create-as", "p", "dir", "--target", self.place)
        path = os.path.join(self.place, content)
        if os.path.exists(path):
            return path, form
        size = MIB * 1024 if content in ("pieces", "clusters") else self.bench.IMAGE
        if form == "raw":
            self.fill(path, size)
        elif content == "qcow2":
            self.bench.command("qemu-img", "convert", "-f", "raw", "-O", "qcow2",
                               self.image("raw")[0], path)
        else:
            self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", path, str(size))
            with subprocess.Popen(["qemu-io", "-f", "qcow2", path], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, text=True) as writer:
                for at in range(0, size, 2 * CLUSTER):
                    length = 4096 if content == "pieces" else CLUSTER
                    writer.stdin.write(f"write -q {at} {length}\n")
                writer.stdin.close()
        os.sync()
        return path, form

    @staticmethod
    def fill(path, size):
        with open(path, "wb") as out:
            for _ in range(size // MIB):
                out.write(os.urandom(MIB))

    def served(self, image, form):
        """qemu-nbd's process and URI, then ours, each while it is asked for."""
        path = os.path.join(self.place, "socket")
        ours = [self.bench.space.CISTERN, "--root", os.path.join(self.place, "root"), "vol-serve",
                os.path.basename(image), "--pool", "p", "--socket", path]
        self.bench.command(self.bench.space.CISTERN, "--root", os.path.join(self.place, "root"),
                           "pool-refresh", "p")
        for words in (["qemu-nbd", "-t", "-e", "64", "-f", form, "-k", path, image], ours):
            with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env=self.bench.space.ENV) as one:
                try:
                    self.wait(one, path)
                    yield one, f"nbd+unix:///?socket={path}"
                finally:
                    one.send_signal(signal.SIGINT)
                    one.wait()
                    self.bench.fsync(image)  # what one has written is not left to the other's time

    @staticmethod
    def wait(server, path):
        end = time.monotonic() + 20
        while time.monotonic() < end and server.poll() is None:
            with socket.socket(socket.AF_UNIX) as client:
                try:
                    client.connect(path)
                    return
                except OSError:
                    time.sleep(0.02)
        raise RuntimeError(f"{server.args[0]} does not listen")

    def nbdcopy(self, source, target, connections):
        self.bench.command("nbdcopy", f"--connections={connections}", "--requests=16",
                           "--threads=0", source, target)

    def copy_out(self, uri, connections):
        self.nbdcopy(uri, NULL, connections)

    def copy_in(self, uri, connections):
        payload = os.path.join(self.place, "payload")
        if not os.path.exists(payload):
            self.fill(payload, self.bench.IMAGE)
        self.nbdcopy(payload, uri, connections)

    def clients(self, uri, count, *options):
        words = ["qemu-img", "bench", "-f", "raw", "-c", str(REQUESTS // count), "-d", "16", "-s",
                 "4096", "-S", str(STEP), *options, uri]
        running = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(count)]
        if any(client.wait() for client in running):
            raise RuntimeError(f"{' '.join(words)} failed")

    def reads(self, uri, connections):
        self.clients(uri, connections)

    def writes(self, uri, connections):
        self.clients(uri, connections, "-w", "--pattern=7")

    def status(self, uri, _):
        for _ in range(MAPS):
            self.runs(uri)

    @staticmethod
    def runs(uri):
        """How many extents block status tells."""
        return len(subprocess.run(["nbdinfo", "--map", uri], check=True, stdout=subprocess.PIPE,
                                  text=True).stdout.splitlines())
