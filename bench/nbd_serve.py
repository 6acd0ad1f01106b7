# SPDX-License-Identifier: LGPL-2.1-or-later
"""vol-serve beside qemu-nbd: rows for bench/bench, over a Unix socket, of raw and qcow2.

Both serve the same file, one after the other; what is read is in the page cache. 8 connections are
those of nbdcopy, or as many clients (qemu-img bench uses one each).
"""

import os
import signal
import socket
import subprocess
import time

MIB = 1 << 20
REQUESTS = 20000
STEP = 1 * MIB + 4096  # a random place to every cache, and the same ones for both
NULL = "null:"


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
        self.row("nbd: block status, qcow2 of 8,192 fragments", "fragmented", self.status, 1)

    def row(self, name, content, measure, connections):
        def both(_):
            image, form = self.image(content)
            return [self.bench.timed(lambda: measure(uri, connections), 3)
                    for uri in self.served(image, form)]
        self.bench.row(name, "s", None)(both)

    def image(self, content):
        """The path of an image with data everywhere, or in every other cluster, and its format."""
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
        size = MIB * 1024 if content == "fragmented" else self.bench.IMAGE
        if form == "raw":
            self.fill(path, size)
        elif content == "qcow2":
            self.bench.command("qemu-img", "convert", "-f", "raw", "-O", "qcow2",
                               self.image("raw")[0], path)
        else:
            self.bench.command("qemu-img", "create", "-q", "-f", "qcow2", path, str(size))
            with subprocess.Popen(["qemu-io", "-f", "qcow2", path], stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, text=True) as writer:
                for at in range(0, size, 2 * 65536):
                    writer.stdin.write(f"write -q {at} 4k\n")
                writer.stdin.close()
        os.sync()
        return path, form

    @staticmethod
    def fill(path, size):
        with open(path, "wb") as out:
            for _ in range(size // MIB):
                out.write(os.urandom(MIB))

    def served(self, image, form):
        """The URIs of qemu-nbd and of ours, each while it is asked for."""
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
                    yield f"nbd+unix:///?socket={path}"
                finally:
                    one.send_signal(signal.SIGINT)
                    one.wait()

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
        self.clients(uri, connections, "-w")

    def status(self, uri, _):
        self.bench.command("nbdinfo", "--map", uri)
