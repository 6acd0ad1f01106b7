#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The NBD server, before real clients (libnbd's tools, QEMU's) and ones that keep no rules."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../system"))

from harness import wait  # noqa: E402

try:
    import nbd
except ImportError:
    nbd = None

CST_NBD = os.environ["CST_NBD"]
MIB = 1 << 20
KIB = 1 << 10
STRIPE = 10001

INIT, OPTION, REPLY = 0x4e42444d41474943, 0x49484156454f5054, 0x3e889045565a9
REQUEST, SIMPLE, STRUCTURED = 0x25609513, 0x67446698, 0x668e33ef
EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED_REPLY, LIST_META, SET_META = \
    1, 2, 3, 5, 6, 7, 8, 9, 10
ACK, SERVER, REP_INFO, META = 1, 2, 3, 4
UNSUP, INVALID, TLS_REQD, UNKNOWN = 0x80000001, 0x80000003, 0x80000005, 0x80000006
READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS = range(8)
FUA, NO_HOLE, DF, REQ_ONE, FAST = 1, 2, 4, 8, 16


# AddressSanitizer keeps freed memory back, up to this, which a measurement must not count.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": ":".join(filter(None, (
    os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=8")))}


def run(*words, **options):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=60,
                          **options).stdout


class Server:
    """cst-nbd on a file of @content (bytes, or a size) in @folder."""

    def __init__(self, folder, content, *options, port=False, stderr=None):
        self.path = os.path.join(folder, "disk")
        self.socket = os.path.join(folder, "socket")
        with open(self.path, "wb") as stream:
            if isinstance(content, int):
                stream.truncate(content)
            else:
                stream.write(content)
        self.process = subprocess.Popen(
            [CST_NBD, "PORT" if port else self.socket, self.path, *options],
            stdout=subprocess.PIPE, stderr=stderr, text=True, env=ENVIRONMENT)
        self.port = int(self.process.stdout.readline().split()[1])
        self.uri = f"nbd://127.0.0.1:{self.port}" if port else f"nbd+unix:///?socket={self.socket}"

    def memory(self, field):
        """VmRSS or VmHWM, in MiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(re.search(field + r":\s+(\d+)", status.read()).group(1)) // 1024

    def stop(self):
        """It ends well."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(wait.LIMIT_S) == 0
        self.process.stdout.close()

    def content(self):
        with open(self.path, "rb") as stream:
            return stream.read()


class Raw:
    """A client byte by byte."""

    def __init__(self, path, flags=3, host="127.0.0.1"):
        """@path: of a Unix socket, or the port at 127.0.0.1, to which @host connects."""
        tcp = isinstance(path, int)
        self.socket = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.socket.settimeout(wait.LIMIT_S)
        if tcp:
            self.socket.bind((host, 0))
        self.socket.connect(("127.0.0.1", path) if tcp else path)
        self.greeting = self.take(18)
        if flags is not None:
            self.socket.sendall(struct.pack(">I", flags))

    def take(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def is_closed(self):
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def option(self, number, data=b""):
        """The replies, as (type, data), up to an acknowledgement or an error."""
        self.socket.sendall(struct.pack(">QII", OPTION, number, len(data)) + data)
        replies = []
        while not replies or (replies[-1][0] != ACK and not replies[-1][0] >> 31):
            magic, option, kind, count = struct.unpack(">QIII", self.take(20))
            assert magic == REPLY and option == number
            replies.append((kind, self.take(count)))
        return replies

    def go(self, structured=True, contexts=(b"base:allocation",), name=b""):
        if structured:
            assert self.option(STRUCTURED_REPLY) == [(ACK, b"")]
            self.option(SET_META, string(name) + struct.pack(">I", len(contexts)) +
                        b"".join(map(string, contexts)))
        replies = self.option(GO, string(name) + b"\0\0")
        assert replies[-1][0] == ACK, replies
        return self

    def ask(self, kind, offset=0, count=0, flags=0, data=b"", handle=7):
        self.socket.sendall(struct.pack(">IHHQQI", REQUEST, flags, kind, handle, offset, count) +
                            data)

    def simple(self, handle=7):
        magic, error, got = struct.unpack(">IIQ", self.take(16))
        assert magic == SIMPLE and got == handle, (magic, got)
        return error

    def chunks(self, handle=7):
        """(type, data) of the chunks of a reply."""
        found = []
        done = False
        while not done:
            magic, flags, kind, got, count = struct.unpack(">IHHQI", self.take(20))
            assert magic == STRUCTURED and got == handle
            done = flags & 1
            found.append((kind, self.take(count)))
        return found

    def status(self, offset, count, flags=0):
        self.ask(STATUS, offset, count, flags)
        (kind, data), = self.chunks()
        assert kind == 5, data
        assert data[:4] == struct.pack(">I", 1)
        return [struct.unpack_from(">II", data, at) for at in range(4, len(data), 8)]

    def close(self):
        self.socket.close()


def string(data):
    return struct.pack(">I", len(data)) + data


def drips(client, data):
    """Sends @data, a byte every half second; whether it is not heard to the end."""
    client.socket.settimeout(0.5)
    for byte in data:
        try:
            client.socket.sendall(bytes([byte]))
            if client.socket.recv(1) == b"":
                return True
        except TimeoutError:
            pass
        except ConnectionError:
            return True
    return False


class Served(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cst-nbd-")
        self.addCleanup(shutil.rmtree, self.folder)

    def serve(self, content=MIB, *options, **how):
        server = Server(self.folder, content, *options, **how)
        self.addCleanup(lambda: server.process.poll() is None and server.stop())
        return server

    def serve_image(self, path, mode="rw"):
        """An image of qcow2 that is made already; where it is served."""
        where = os.path.join(self.folder, "image-socket")
        process = subprocess.Popen([CST_NBD, where, path, mode, "qcow2"], stdout=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        process.stdout.readline()
        return where

    def raw(self, server, **how):
        client = Raw(server if isinstance(server, (str, int)) else server.socket, **how)
        self.addCleanup(client.close)
        return client


class Negotiation(Served):
    def test_greeting(self):
        client = self.raw(self.serve())
        self.assertEqual(struct.unpack(">QQH", client.greeting), (INIT, OPTION, 3))

    def test_export_name_with_and_without_padding(self):
        server = self.serve(3 * MIB)
        for flags, count in ((3, 10), (1, 134)):
            client = self.raw(server, flags=flags)
            client.socket.sendall(struct.pack(">QII", OPTION, EXPORT_NAME, 4) + b"disk")
            answer = client.take(count)
            self.assertEqual(struct.unpack(">QH", answer[:10]), (3 * MIB, 0x096d))
            self.assertEqual(answer[10:], bytes(count - 10))
            client.ask(READ, 0, 512)
            self.assertEqual(client.simple(), 0)
            self.assertEqual(client.take(512), bytes(512))
        client = self.raw(server)
        client.socket.sendall(struct.pack(">QII", OPTION, EXPORT_NAME, 3) + b"dis")
        self.assertTrue(client.is_closed())

    def test_list_info_and_go(self):
        client = self.raw(self.serve(MIB, "ro"))
        self.assertEqual(client.option(LIST), [(SERVER, string(b"disk")), (ACK, b"")])
        self.assertEqual(client.option(LIST, b"x")[-1][0], INVALID)
        both = struct.pack(">HHHH", 3, 1, 2, 99)
        export = (REP_INFO, struct.pack(">HQH", 0, MIB, 0x0107))
        sizes = (REP_INFO, struct.pack(">HIII", 3, 1, 65536, 32 * MIB))
        self.assertEqual(client.option(INFO, string(b"disk") + both),
                         [export, sizes, (REP_INFO, b"\0\1disk"), (REP_INFO, b"\0\2a disk"),
                          (ACK, b"")])
        self.assertEqual(client.option(INFO, string(b"") + b"\0\0"), [export, sizes, (ACK, b"")])
        self.assertEqual(client.option(INFO, string(b"other") + b"\0\0")[-1][0], UNKNOWN)
        self.assertEqual(client.option(GO, string(b"other") + b"\0\0")[-1][0], UNKNOWN)
        for odd in (b"", string(b"disk"), string(b"disk") + b"\0\1", b"\0\0\0\xff",
                    string(b"disk") + b"\0\0\0"):
            self.assertEqual(client.option(GO, odd)[-1][0], INVALID, odd)
        self.assertEqual(client.option(STARTTLS)[-1][0], UNSUP)
        self.assertEqual(client.option(77, b"abc")[-1][0], UNSUP)
        self.assertEqual(client.option(ABORT), [(ACK, b"")])
        self.assertTrue(client.is_closed())

    def test_contexts(self):
        client = self.raw(self.serve())
        name, context = string(b"disk"), b"base:allocation"

        def meta(number, *queries):
            return client.option(number, name + struct.pack(">I", len(queries)) +
                                 b"".join(map(string, queries)))
        self.assertEqual(meta(SET_META, context)[-1][0], INVALID)
        self.assertEqual(client.option(STRUCTURED_REPLY, b"x")[-1][0], INVALID)
        self.assertEqual(client.option(STRUCTURED_REPLY), [(ACK, b"")])
        found = (META, struct.pack(">I", 0) + context)
        for queries in ((), (b"base:",), (context,), (b"other:x", context)):
            self.assertEqual(meta(LIST_META, *queries), [found, (ACK, b"")])
        self.assertEqual(meta(LIST_META, b"qemu:"), [(ACK, b"")])
        self.assertEqual(meta(SET_META, context), [(META, struct.pack(">I", 1) + context),
                                                   (ACK, b"")])
        for data in (b"", name, name + b"\0\0\0\2" + string(context), name + b"\0\0\0\0x",
                     name + b"\xff\xff\xff\xff"):
            self.assertEqual(client.option(SET_META, data)[-1][0], INVALID, data)
        self.assertEqual(client.option(LIST_META, string(b"x") + bytes(4))[-1][0], UNKNOWN)
        # What was chosen is chosen no more once a choice has failed.
        client.go(structured=False)
        client.ask(STATUS, 0, 512)
        self.assertEqual(client.chunks()[0][1][:4], struct.pack(">I", 22))


class Requests(Served):
    def test_reads_with_and_without_chunks(self):
        content = bytearray(random.Random(1).randbytes(256 * KIB) + bytes(512 * KIB) +
                            random.Random(2).randbytes(256 * KIB))
        server = self.serve(bytes(content))
        run("fallocate", "-d", server.path)
        plain = self.raw(server).go(structured=False)
        for offset, count in ((0, 1), (0, MIB), (255 * KIB, 514 * KIB), (MIB - 1, 1), (5, 0)):
            plain.ask(READ, offset, count)
            self.assertEqual(plain.simple(), 0)
            self.assertEqual(plain.take(count), content[offset:offset + count])
        client = self.raw(server).go()
        client.ask(READ, 0, MIB)
        self.assertEqual([(kind, struct.unpack_from(">Q", data)[0]) for kind, data in
                          client.chunks()], [(1, 0), (2, 256 * KIB), (1, 768 * KIB)])
        client.ask(READ, 0, MIB, DF)
        self.assertEqual(client.chunks(), [(1, bytes(8) + content)])
        client.ask(READ, 5, 0)
        self.assertEqual(client.chunks(), [(0, b"")])

    def test_small_holes_are_data(self):
        server = self.serve(b"x" * (64 * KIB))
        run("fallocate", "-p", "-o", "8192", "-l", "4096", server.path)
        client = self.raw(server).go()
        client.ask(READ, 8192 + 4096 - 512, 1024)
        self.assertEqual(client.chunks(), [(1, struct.pack(">Q", 11776) + bytes(512) + b"x" * 512)])

    def test_writes_zeroes_and_trims(self):
        server = self.serve(b"x" * MIB)
        client = self.raw(server).go()
        client.ask(WRITE, 5, 3, data=b"abc")
        self.assertEqual(client.simple(), 0)
        client.ask(WRITE, MIB - 1, 1, FUA, b"z")
        self.assertEqual(client.simple(), 0)
        client.ask(ZEROES, 64 * KIB, 64 * KIB)
        self.assertEqual(client.simple(), 0)
        client.ask(ZEROES, 256 * KIB, 64 * KIB, NO_HOLE)
        self.assertEqual(client.simple(), 0)
        client.ask(TRIM, 512 * KIB, 128 * KIB)
        self.assertEqual(client.simple(), 0)
        client.ask(FLUSH)
        self.assertEqual(client.simple(), 0)
        self.assertEqual([(count, state & 2) for count, state in client.status(0, MIB)],
                         [(64 * KIB, 0), (64 * KIB, 2), (128 * KIB, 0), (64 * KIB, 2),
                          (192 * KIB, 0), (128 * KIB, 2), (384 * KIB, 0)])
        self.assertEqual(client.status(64 * KIB, 64 * KIB), [(64 * KIB, 3)])
        content = server.content()
        self.assertEqual(content[:8], b"xxxxxabc")
        self.assertEqual(content[-1:], b"z")
        self.assertEqual(content[64 * KIB:128 * KIB], bytes(64 * KIB))
        self.assertEqual(content[256 * KIB:320 * KIB], bytes(64 * KIB))
        self.assertEqual(content[128 * KIB:256 * KIB], b"x" * (128 * KIB))

    def test_block_status(self):
        server = self.serve(64 * MIB)
        with open(server.path, "r+b") as stream:
            for at in range(0, 64, 2):
                stream.seek(at * MIB)
                stream.write(b"x" * MIB)
        client = self.raw(server).go()
        self.assertEqual(client.status(0, 64 * MIB), [(MIB, 0), (MIB, 3)] * 32)
        self.assertEqual(client.status(MIB // 2, 2 * MIB), [(MIB // 2, 0), (MIB, 3), (MIB // 2, 0)])
        self.assertEqual(client.status(0, 64 * MIB, REQ_ONE), [(MIB, 0)])
        self.assertEqual(client.status(MIB, 64 * KIB, REQ_ONE), [(64 * KIB, 3)])
        client.ask(STATUS, 0, 0)
        self.assertEqual(client.chunks()[0][1][:4], struct.pack(">I", 22))

    def test_a_block_status_looks_up_so_much_and_no_more(self):
        """Also where all that it finds is one run; what is behind it is asked for again."""
        packed = os.path.join(self.folder, "packed")
        content = os.path.join(self.folder, "content")
        with open(content, "wb") as stream:
            stream.write(b"x" * (40 * MIB))
        run("qemu-img", "convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-o",
            "cluster_size=512", content, packed)
        client = self.raw(self.serve_image(packed, "ro")).go()
        self.assertEqual(client.status(0, 40 * MIB), [(65536 * 512, 0)])
        self.assertEqual(client.status(65536 * 512, 8 * MIB), [(8 * MIB, 0)])

    def test_readable_data_before_an_error_are_sent(self):
        """Data, a hole, and a compressed cluster that is none; the connection goes on."""
        image = os.path.join(self.folder, "image")
        run("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", image)
        size = os.stat(image).st_size
        run("qemu-io", "-f", "qcow2", "-c", "write -c -P 2 256k 64k", image)
        with open(image, "r+b") as stream:
            stream.seek(size)
            stream.write(b"\xff" * (os.stat(image).st_size - size))
        client = self.raw(self.serve_image(image, "ro")).go()
        for _ in range(2):
            client.ask(READ, 0, 512 * KIB)
            data, hole, error = client.chunks()
            self.assertEqual(data, (1, bytes(8) + b"\1" * (64 * KIB)))
            self.assertEqual(hole, (2, struct.pack(">QI", 64 * KIB, 192 * KIB)))
            self.assertEqual((error[0], error[1][:4]), (0x8001, struct.pack(">I", 5)))
        client.ask(READ, 0, 512 * KIB, DF)
        self.assertEqual([kind for kind, _ in client.chunks()], [0x8001])
        client.ask(READ, 0, 4)
        self.assertEqual(client.chunks(), [(1, bytes(8) + b"\1" * 4)])

    def bitmapped(self):
        """A client of an image with the bitmaps a and b, of which a has 3M..4M and 5M..5M+64K."""
        server = self.serve(1)
        server.stop()
        run("qemu-img", "create", "-q", "-f", "qcow2", server.path, "8M")
        for name in "ab":
            run("qemu-img", "bitmap", "--add", "-f", "qcow2", server.path, name)
        run("qemu-img", "bitmap", "--disable", "-f", "qcow2", server.path, "b")
        run("qemu-io", "-f", "qcow2", "-c", "write 3M 1M", "-c", "write 5M 4k", server.path)
        return self.raw(self.serve_image(server.path, "ro"))

    def test_dirty_bitmaps_are_contexts(self):
        client = self.bitmapped()
        base, a, b = b"base:allocation", b"qemu:dirty-bitmap:a", b"qemu:dirty-bitmap:b"

        def meta(number, *queries):
            found = client.option(number, string(b"") + struct.pack(">I", len(queries)) +
                                  b"".join(map(string, queries)))
            self.assertEqual(found.pop(), (ACK, b""))
            return [(struct.unpack(">I", data[:4])[0], data[4:]) for _, data in found]
        client.option(STRUCTURED_REPLY)
        for queries, names in (((), (base, a, b)), ((b"qemu:",), (a, b)), ((base, b), (base, b)),
                               ((b"qemu:dirty-bitmap:", b"base:"), (base, a, b)),
                               ((b"qemu:dirty-bitmap:x", b"qemu:allocation-depth"), ()),
                               ((b"qemu:dirty", b"qemu:dirty-bitmap:a:", b""), ())):
            self.assertEqual(meta(LIST_META, *queries), [(0, name) for name in names])
        self.assertEqual(meta(SET_META, b"qemu:", b"qemu:dirty-bitmap:", b"base:"), [])
        self.assertEqual(meta(SET_META, a, a), [(2, a)])
        self.assertEqual(meta(SET_META, b, base, a), [(1, base), (2, a), (3, b)])

    def test_the_state_of_dirty_bitmaps(self):
        client = self.bitmapped().go(contexts=(b"qemu:dirty-bitmap:b", b"base:allocation",
                                               b"qemu:dirty-bitmap:a"))

        def status(offset, count, flags=0):
            client.ask(STATUS, offset, count, flags)
            found = {}
            for kind, data in client.chunks():
                self.assertEqual(kind, 5)
                found[struct.unpack(">I", data[:4])[0]] = [
                    struct.unpack_from(">II", data, at) for at in range(4, len(data), 8)]
            return found
        whole = status(0, 8 * MIB)
        self.assertEqual(whole[2], [(3 * MIB, 0), (MIB, 1), (MIB, 0), (64 * KIB, 1),
                                    (3 * MIB - 64 * KIB, 0)])
        self.assertEqual(whole[3], [(8 * MIB, 0)])
        self.assertEqual(whole[1][:2], [(3 * MIB, 3), (MIB, 0)])
        self.assertEqual(status(3 * MIB + 512, 2 * MIB)[2], [(MIB - 512, 1), (MIB, 0), (512, 1)])
        self.assertEqual(status(3 * MIB + 512, 2 * MIB, REQ_ONE)[2], [(MIB - 512, 1)])
        self.assertEqual(status(4 * MIB - 1, 1), {1: [(1, 0)], 2: [(1, 1)], 3: [(1, 0)]})
        self.assertEqual(status(4 * MIB, 1)[2], [(1, 0)])
        self.assertEqual(status(8 * MIB - 1, 1)[2], [(1, 0)])

    def test_what_is_refused_and_goes_on(self):
        client = self.raw(self.serve(MIB)).go()
        for kind, offset, count, flags, number in (
                (READ, MIB, 1, 0, 22), (READ, MIB - 1, 2, 0, 22), (READ, 1 << 63, 1, 0, 22),
                (READ, (1 << 64) - 1, 2, 0, 22), (READ, 0, 1, REQ_ONE, 22)):
            client.ask(kind, offset, count, flags)
            (chunk, data), = client.chunks()
            self.assertEqual((chunk, data[:4]), (0x8001, struct.pack(">I", number)))
        for kind, offset, count, flags, data, number in (
                (WRITE, MIB - 1, 2, 0, b"ab", 28), (WRITE, 0, 1, FAST, b"a", 22),
                (TRIM, 0, MIB + 1, 0, b"", 28), (ZEROES, MIB, 1, 0, b"", 28),
                (CACHE, 0, 1, 0, b"", 22), (99, 0, 1, 0, b"", 22), (FLUSH, 0, 0, DF, b"", 22)):
            client.ask(kind, offset, count, flags, data)
            self.assertEqual(client.simple(), number, (kind, offset, count))
        client.ask(READ, 0, 1)
        self.assertEqual(client.chunks(), [(1, bytes(9))])

    def test_a_read_that_is_too_long(self):
        client = self.raw(self.serve(64 * MIB)).go()
        client.ask(READ, 0, 32 * MIB + 1)
        self.assertEqual(client.chunks()[0][1][:4], struct.pack(">I", 22))

    def test_a_read_only_export_is_not_changed(self):
        server = self.serve(b"x" * MIB, "ro")
        client = self.raw(server).go()
        for kind, data in ((WRITE, b"abcd"), (ZEROES, b""), (TRIM, b"")):
            client.ask(kind, 0, 4, 0, data)
            self.assertEqual(client.simple(), 1)
        client.ask(FLUSH)
        self.assertEqual(client.simple(), 0)
        self.assertEqual(server.content(), b"x" * MIB)

    def test_replies_come_as_they_are_done(self):
        """Many requests at once: each is answered once, with its own bytes."""
        content = random.Random(3).randbytes(4 * MIB)
        client = self.raw(self.serve(content)).go(structured=False)
        picks = random.Random(4)
        wanted = {handle: (picks.randrange(3 * MIB), picks.randrange(1, 64 * KIB))
                  for handle in range(300)}

        def ask():
            for handle, (offset, count) in asked:
                client.ask(READ, offset, count, handle=handle)
        asked = list(wanted.items())
        asker = threading.Thread(target=ask)
        asker.start()
        for _ in range(300):
            magic, error, handle = struct.unpack(">IIQ", client.take(16))
            self.assertEqual((magic, error), (SIMPLE, 0))
            offset, count = wanted.pop(handle)
            self.assertEqual(client.take(count), content[offset:offset + count])
        asker.join()


@unittest.skipUnless(nbd and shutil.which("nbdinfo"), "libnbd is not installed")
class Clients(Served):
    def test_nbdinfo(self):
        server = self.serve(5 * MIB + 3, "ro")
        info = json.loads(run("nbdinfo", "--json", server.uri))["exports"][0]
        self.assertEqual((info["export-size"], info["is_read_only"], info["can_multi_conn"]),
                         (5 * MIB + 3, True, True))
        self.assertEqual(info["contexts"], ["base:allocation"])
        self.assertIn("disk", run("nbdinfo", "--list", server.uri))
        mapped = json.loads(run("nbdinfo", "--map", "--json", server.uri))
        self.assertEqual([(run_["length"], run_["type"]) for run_ in mapped], [(5 * MIB + 3, 3)])

    def test_nbdcopy_there_and_back(self):
        there = os.path.join(self.folder, "there")
        back = os.path.join(self.folder, "back")
        content = random.Random(5).randbytes(3 * MIB) + bytes(20 * MIB) + b"end" * 1000
        with open(there, "wb") as stream:
            stream.write(content)
        server = self.serve(len(content))
        run("nbdcopy", there, server.uri)
        self.assertEqual(server.content(), content)
        self.assertLess(os.stat(server.path).st_blocks * 512, 10 * MIB)
        run("nbdcopy", server.uri, back)
        with open(back, "rb") as stream:
            self.assertEqual(stream.read(), content)

    def test_qemu(self):
        server = self.serve(16 * MIB)
        image = f"--image-opts driver=nbd,server.type=unix,server.path={server.socket}".split()
        out = run("qemu-io", "-c", "write -P 7 1M 2M", "-c", "write -z -u 2M 64k", "-c",
                  "discard 8M 1M", "-c", "read -P 7 1M 1M", "-c", "read -P 0 2M 64k", "-c",
                  "write -P 9 -f 15M 1M", "-c", "flush", *image)
        self.assertNotIn("failed", out)
        mapped = json.loads(run("qemu-img", "map", "--output", "json", *image))
        self.assertEqual([(m["start"], m["length"], m["zero"]) for m in mapped],
                         [(0, MIB, True), (MIB, MIB, False), (2 * MIB, 64 * KIB, True),
                          (2 * MIB + 64 * KIB, MIB - 64 * KIB, False),
                          (3 * MIB, 12 * MIB, True), (15 * MIB, MIB, False)])
        copy = os.path.join(self.folder, "copy.qcow2")
        run("qemu-img", "convert", "-O", "qcow2", server.uri, copy)
        server.stop()
        run("qemu-img", "compare", "-f", "raw", "-F", "qcow2", server.path, copy)

    def test_an_image_is_served_as_its_guest_sees_it(self):
        base = self.serve(1)
        base.stop()
        run("qemu-img", "create", "-q", "-f", "qcow2", base.path, "64M")
        process = subprocess.Popen([CST_NBD, base.socket, base.path, "rw", "qcow2"],
                                   stdout=subprocess.PIPE, text=True)
        process.stdout.readline()
        run("qemu-io", "-f", "raw", "-c", "write -P 3 10M 1M", base.uri)
        self.assertEqual(run("nbdinfo", "--size", base.uri).strip(), str(64 * MIB))
        process.terminate()
        self.assertEqual(process.wait(20), 0)
        process.stdout.close()
        run("qemu-io", "-f", "qcow2", "-c", "read -P 3 10M 1M", base.path)
        run("qemu-img", "check", "-q", base.path)

    def work(self, uri, number, model):
        """Reads and changes every fourth stripe, which is no multiple of anything."""
        picks = random.Random(number)
        client = nbd.NBD()
        client.add_meta_context("base:allocation")
        client.connect_uri(uri)
        for _ in range(300):
            begin = (picks.randrange(len(model) // STRIPE // 4) * 4 + number) * STRIPE
            offset = begin + picks.randrange(STRIPE)
            count = picks.randrange(1, begin + STRIPE - offset + 1)
            action = picks.randrange(4)
            if action == 0:
                model[offset:offset + count] = bytes(count)
                client.zero(count, offset)
            elif action == 1:
                self.assertEqual(bytes(client.pread(count, offset)),
                                 bytes(model[offset:offset + count]))
            else:
                data = picks.randbytes(count)
                model[offset:offset + count] = data
                client.pwrite(data, offset)
        client.shutdown()

    def several_connections(self, uri, size):
        """What must be there at the end, by a model in memory; each connection reads it, too."""
        model = bytearray(size)
        failed = []

        def work(number):
            try:
                self.work(uri, number, model)
            except Exception as error:  # pylint: disable=broad-except
                failed.append(error)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failed, [])
        client = nbd.NBD()
        client.connect_uri(uri)
        self.assertTrue(client.can_multi_conn())
        client.flush()
        self.assertEqual(bytes(client.pread(size, 0)), bytes(model))
        client.shutdown()
        return model

    def test_random_work_by_several_connections(self):
        server = self.serve(STRIPE * 400)
        model = self.several_connections(server.uri, STRIPE * 400)
        self.assertEqual(server.content(), model)

    def test_random_work_by_several_connections_on_an_image(self):
        """Neighbours share clusters, which one of them has to make; a flush by one is for all."""
        image, content = (os.path.join(self.folder, name) for name in ("image", "content"))
        size = STRIPE * 400 // 512 * 512
        run("qemu-img", "create", "-q", "-f", "qcow2", image, str(size))
        model = self.several_connections(f"nbd+unix:///?socket={self.serve_image(image)}",
                                         size)
        run("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", image, content)
        with open(content, "rb") as stream:
            self.assertEqual(stream.read(), model)


class Sockets(Served):
    def test_only_our_user_gets_in(self):
        server = self.serve()
        self.assertEqual(stat.S_IMODE(os.stat(server.socket).st_mode), 0o600)
        server.stop()
        self.assertFalse(os.path.lexists(server.socket))

    def test_only_a_dead_socket_is_replaced(self):
        server = self.serve()
        refused = subprocess.run([CST_NBD, server.socket, server.path], stderr=subprocess.PIPE,
                                 text=True, check=False, timeout=20)
        self.assertIn("another program already listens", refused.stderr)
        server.process.kill()
        server.process.wait()
        server.process.stdout.close()
        self.assertTrue(os.path.lexists(server.socket))
        again = Server(self.folder, MIB)
        again.stop()
        for make in (lambda path: open(path, "w", encoding="ascii").close(), os.mkdir,
                     lambda path: os.symlink("/nowhere", path)):
            make(server.socket)
            refused = subprocess.run([CST_NBD, server.socket, server.path], stderr=subprocess.PIPE,
                                     text=True, check=False, timeout=20)
            self.assertIn("is no socket", refused.stderr)
            run("rm", "-rf", server.socket)

    def test_anothers_socket_is_not_removed(self):
        server = self.serve()
        os.unlink(server.socket)
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(server.socket)
            server.stop()
            self.assertTrue(os.path.lexists(server.socket))

    def test_tcp(self):
        server = self.serve(MIB, port=True)
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            self.assertEqual(client.recv(8), struct.pack(">Q", INIT))
            # The timer that finds out about a host that has died: "02" in its field.
            with open("/proc/net/tcp", encoding="ascii") as stream:
                timers = [fields[5][:2] for fields in map(str.split, stream)
                          if fields[1].endswith(f":{server.port:04X}") and fields[3] == "01"]
            self.assertEqual(timers, ["02"])


@unittest.skipUnless(nbd and shutil.which("psktool"), "gnutls-bin is not installed")
class Tls(Served):
    """With TLS demanded; libnbd's and QEMU's clients."""

    def keys(self, *names):
        path = os.path.join(self.folder, "keys.psk")
        for name in names:
            run("psktool", "-u", name, "-p", path, stderr=subprocess.DEVNULL)
        return path

    def copied(self, server, **tls):
        """What a client reads; @tls: attributes of libnbd's handle."""
        client = nbd.NBD()
        client.set_tls(nbd.TLS_REQUIRE)
        for name, value in tls.items():
            getattr(client, "set_" + name)(value)
        client.connect_unix(server.socket)
        data = client.pread(MIB, 0)
        client.shutdown()
        return data

    def test_keys(self):
        content = random.Random(7).randbytes(MIB)
        keys = self.keys("alice", "bob")
        server = self.serve(content, "rw", "raw", keys)
        for name in ("alice", "bob"):
            self.assertEqual(self.copied(server, tls_psk_file=keys, tls_username=name), content)
        with open(keys, encoding="ascii") as stream:
            alice = stream.readline().split(":")[1]
        wrong = os.path.join(self.folder, "wrong.psk")
        with open(wrong, "w", encoding="ascii") as stream:
            stream.write(f"alice:{alice[:10]}{'0' * 20}{alice[30:]}")
        for psk, name in ((wrong, "alice"), (keys, "carol")):
            with self.assertRaises(nbd.Error):
                self.copied(server, tls_psk_file=psk, tls_username=name)
        out = run("qemu-img", "info", "--output", "json", "--object",
                  f"tls-creds-psk,id=t,dir={self.folder},username=bob,endpoint=client",
                  "--image-opts", f"driver=nbd,server.type=unix,server.path={server.socket},"
                  "tls-creds=t")
        self.assertEqual(json.loads(out)["virtual-size"], MIB)

    def test_nothing_is_told_in_the_clear(self):
        server = self.serve(MIB, "rw", "raw", self.keys("alice"))
        client = self.raw(server)
        for option, data in ((LIST, b""), (INFO, string(b"") + b"\0\0"),
                             (GO, string(b"") + b"\0\0"), (STRUCTURED_REPLY, b""),
                             (LIST_META, string(b"") + bytes(4)), (77, b"")):
            self.assertEqual(client.option(option, data)[-1][0], TLS_REQD, option)
        self.assertEqual(client.option(STARTTLS, b"x")[-1][0], INVALID)
        client.socket.sendall(struct.pack(">QII", OPTION, EXPORT_NAME, 0))
        self.assertTrue(client.is_closed())
        client = self.raw(server)
        self.assertEqual(client.option(STARTTLS), [(ACK, b"")])
        client.socket.sendall(b"no handshake at all, but what one might try " * 100)
        with contextlib.suppress(ConnectionError):
            while client.socket.recv(1000):
                pass

    def test_a_handshake_has_to_end(self):
        """A client that sends a record of TLS byte by byte is sent away all the same."""
        client = self.raw(self.serve(MIB, "rw", "raw", self.keys("alice")))
        self.assertEqual(client.option(STARTTLS), [(ACK, b"")])
        self.assertTrue(drips(client, b"\x16\x03\x01\x02\x00" + bytes(55)))

    def certificates(self):
        """An authority with a server's and a client's certificate, and another one with the same."""
        def make(folder, name, issuer, *lines):
            key, cert, template = (os.path.join(folder, f"{name}-{kind}") for kind in
                                   ("key.pem", "cert.pem", "template"))
            with open(template, "w", encoding="ascii") as stream:
                stream.write("\n".join((f"cn = {name}", "expiration_days = 10", *lines)) + "\n")
            run("certtool", "--generate-privkey", "--key-type", "ecdsa", "--outfile", key,
                stderr=subprocess.DEVNULL)
            signed = ["--generate-self-signed"] if not issuer else [
                "--generate-certificate", "--load-ca-certificate", f"{issuer}-cert.pem",
                "--load-ca-privkey", f"{issuer}-key.pem"]
            run("certtool", *signed, "--load-privkey", key, "--template", template, "--outfile",
                cert, stderr=subprocess.DEVNULL)
        folders = []
        for name in ("ours", "others"):
            folder = os.path.join(self.folder, name)
            os.mkdir(folder)
            make(folder, "ca", None, "ca", "cert_signing_key")
            for who in ("server", "client"):
                make(folder, who, os.path.join(folder, "ca"), f"tls_www_{who}", "signing_key",
                     "dns_name = localhost", "ip_address = 127.0.0.1")
            folders.append(folder)
        return folders

    def test_certificates(self):
        ours, others = self.certificates()
        server = self.serve(MIB, "rw", "raw", ours, port=True)

        def size(folder):
            return run("nbdinfo", "--size",
                       f"nbds://localhost:{server.port}/?tls-certificates={folder}",
                       stderr=subprocess.DEVNULL).strip()
        self.assertEqual(size(ours), str(MIB))
        # Of a client that trusts our server, but whose certificate is another authority's.
        shutil.copy(os.path.join(ours, "ca-cert.pem"), os.path.join(others, "ca-cert.pem"))
        with self.assertRaises(subprocess.CalledProcessError):
            size(others)
        # A client without one.
        for name in ("client-cert.pem", "client-key.pem"):
            os.unlink(os.path.join(others, name))
        with self.assertRaises(subprocess.CalledProcessError):
            size(others)
        self.assertEqual(size(ours), str(MIB))

    def test_silent_connections_do_not_keep_a_verified_client_out(self):
        """TLS begins on as many connections as there are places, and ends on one of them."""
        ours, _ = self.certificates()
        server = self.serve(MIB, "rw", "raw", ours, port=True)
        for number in range(5):
            for _ in range(64):
                client = self.raw(server.port)
                self.assertEqual(client.option(STARTTLS), [(ACK, b"")])
            self.assertEqual(run("nbdinfo", "--size", f"nbds://localhost:{server.port}/"
                                 f"?tls-certificates={ours}", stderr=subprocess.DEVNULL).strip(),
                             str(MIB), number)

    def test_certificate_of_a_server_is_refused_as_a_client(self):
        ours, _ = self.certificates()
        with open(os.path.join(self.folder, "log"), "w+", encoding="utf-8") as log:
            server = self.serve(MIB, "rw", "raw", ours, port=True, stderr=log)
            stolen = os.path.join(self.folder, "stolen")
            os.mkdir(stolen)
            shutil.copy(os.path.join(ours, "ca-cert.pem"), stolen)
            for kind in ("cert", "key"):
                shutil.copy(os.path.join(ours, f"server-{kind}.pem"),
                            os.path.join(stolen, f"client-{kind}.pem"))
            with self.assertRaises(subprocess.CalledProcessError):
                run("nbdinfo", "--size",
                    f"nbds://localhost:{server.port}/?tls-certificates={stolen}",
                    stderr=subprocess.DEVNULL)
            server.stop()
            log.seek(0)
            self.assertIn("Key usage violation", log.read())

    def test_key_files_that_other_users_may_read_are_refused(self):
        disk = os.path.join(self.folder, "disk")
        with open(disk, "wb") as stream:
            stream.truncate(MIB)
        ours, _ = self.certificates()
        for tls, path in ((self.keys("alice"), os.path.join(self.folder, "keys.psk")),
                          (ours, os.path.join(ours, "server-key.pem"))):
            for mode in (0o644, 0o640, 0o602):
                os.chmod(path, mode)
                refused = subprocess.run(
                    [CST_NBD, os.path.join(self.folder, "s"), disk, "rw", "raw", tls],
                    stderr=subprocess.PIPE, text=True, check=False, timeout=20)
                self.assertEqual(refused.returncode, 1)
                self.assertIn(f"cannot use '{path}'", refused.stderr)
                self.assertIn(f"mode is {mode:04o}", refused.stderr)

    def test_key_file_is_checked_again_for_each_client(self):
        keys = self.keys("alice")
        server = self.serve(MIB, "rw", "raw", keys)
        self.assertEqual(self.copied(server, tls_psk_file=keys, tls_username="alice"), bytes(MIB))
        os.chmod(keys, 0o644)
        with self.assertRaises(nbd.Error):
            self.copied(server, tls_psk_file=keys, tls_username="alice")

    def test_what_can_not_be_used_is_said(self):
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)
        disk = os.path.join(self.folder, "disk")
        with open(disk, "wb") as stream:
            stream.truncate(MIB)
        for tls, words in ((empty, "cannot use the certificates"),
                           (disk + "x", "cannot read the keys")):
            refused = subprocess.run(
                [CST_NBD, os.path.join(self.folder, "s"), disk, "rw", "raw", tls],
                stderr=subprocess.PIPE, text=True, check=False, timeout=20)
            self.assertIn(words, refused.stderr)


class Hostile(Served):
    def assert_serves(self, server):
        client = self.raw(server).go()
        client.ask(READ, 0, 4)
        self.assertEqual(client.chunks(), [(1, bytes(12))])

    def assert_serves_soon(self, server):
        """Who hears that it is sent away may come back before its place is free."""
        def serves():
            with contextlib.suppress(EOFError, ConnectionError):
                self.assert_serves(server)
                return True
            return False
        wait.until(serves, "the server has a place for a client again")

    def test_broken_rules_end_the_connection(self):
        server = self.serve()
        for flags in (0, 2, 7, 0xffffffff):
            self.assertTrue(self.raw(server, flags=flags).is_closed(), flags)
        for data in (struct.pack(">QII", OPTION + 1, LIST, 0),
                     struct.pack(">QII", OPTION, LIST, 65537),
                     struct.pack(">QII", OPTION, LIST, 0xffffffff)):
            client = self.raw(server)
            client.socket.sendall(data)
            self.assertTrue(client.is_closed())
        for data in (struct.pack(">IHHQQI", REQUEST + 1, 0, READ, 1, 0, 1),
                     struct.pack(">IHHQQI", REQUEST, 0, WRITE, 1, 0, 32 * MIB + 1),
                     struct.pack(">IHHQQI", REQUEST, 0, DISC, 1, 0, 0)):
            client = self.raw(server).go()
            client.socket.sendall(data)
            self.assertTrue(client.is_closed())
        self.assert_serves(server)

    def test_options_without_end(self):
        server = self.serve()
        client = self.raw(server)
        with self.assertRaises((EOFError, ConnectionError)):
            for _ in range(1001):
                client.option(LIST)
        self.assert_serves(server)

    def test_a_client_that_reads_no_reply_delays_no_client(self):
        server = self.serve(64 * MIB)
        idle = self.raw(server).go(structured=False)
        idle.socket.setblocking(False)
        refused = 0
        # The server reads no more once it has served another client and there is still no room.
        while refused < 20:
            try:
                idle.ask(READ, 0, MIB)
                refused = 0
            except BlockingIOError:
                self.assert_serves(server)
                refused += 1
        self.assertLess(server.memory("VmHWM"), 160)
        self.assert_serves(server)
        server.stop()

    def test_a_silent_or_slow_client_is_disconnected(self):
        server = self.serve()
        silent = [self.raw(server, flags=None) for _ in range(63)]
        dripping = self.raw(server)
        # Each byte comes in time; all of them would take half a minute.
        self.assertTrue(drips(dripping, struct.pack(">QII", OPTION, LIST, 60) + bytes(44)))
        for client in silent:
            self.assertTrue(client.is_closed())
        self.assert_serves_soon(server)

    def test_unread_replies_of_60_clients_share_one_budget(self):
        """The clients of an attacker ask for 64 MiB each; a short read does not wait for them."""
        server = self.serve(64 * MIB)
        for _ in range(60):
            client = self.raw(server).go(structured=False)
            client.ask(READ, 0, 32 * MIB)
            client.ask(READ, 0, 32 * MIB)
        wait.until(lambda: server.memory("VmRSS") > 190, "the shared bytes are used up",
                   lambda: server.memory("VmRSS"))
        client = self.raw(server).go()
        for _ in range(50):
            client.ask(READ, 0, MIB, flags=DF)
            self.assertEqual(client.chunks(), [(1, bytes(8 + MIB))])
        self.assertLess(server.memory("VmHWM"), 400)

    def test_memory_of_writes_that_never_come_is_given_back(self):
        """Clients announce 32 MiB and leave; a client that reads as much is still served."""
        server = self.serve(32 * MIB)
        for _ in range(8):
            client = self.raw(server).go()
            client.ask(WRITE, 0, 32 * MIB, data=b"x")
            client.close()
        client = self.raw(server).go(structured=False)
        client.ask(READ, 0, 32 * MIB)
        self.assertEqual(client.simple(), 0)
        client.take(32 * MIB)

    def test_unproven_connections_of_a_host_keep_no_client_out(self):
        """An attacker's connections negotiate no more; each client of another host gets in."""
        server = self.serve(MIB, port=True)
        for _ in range(26):
            for _ in range(8):
                self.raw(server.port, flags=None, host="127.0.0.2")
            client = self.raw(server.port, host="127.0.0.3").go()
            client.ask(READ, 0, 4)
            self.assertEqual(client.chunks(), [(1, bytes(12))])
            client.close()

    def test_clients_of_a_host_leave_places_for_another_host(self):
        server = self.serve(MIB, port=True)
        for _ in range(48):
            self.raw(server.port, host="127.0.0.2").go()
        with self.assertRaises((EOFError, ConnectionError)):
            self.raw(server.port, host="127.0.0.2").go()
        client = self.raw(server.port, host="127.0.0.3").go()
        client.ask(READ, 0, 4)
        self.assertEqual(client.chunks(), [(1, bytes(12))])

    def test_thousands_of_connections(self):
        """More than there may be are refused, which is logged with a count; none stays open."""
        with open(os.path.join(self.folder, "log"), "w+", encoding="utf-8") as log:
            server = self.serve(MIB, stderr=log)
            clients = [self.raw(server).go() for _ in range(64)]
            for _ in range(2000):
                with socket.socket(socket.AF_UNIX) as refused, contextlib.suppress(OSError):
                    refused.settimeout(20)
                    refused.connect(server.socket)
                    self.assertEqual(refused.recv(1), b"")
            clients[0].ask(READ, 0, 4)
            self.assertEqual(clients[0].chunks(), [(1, bytes(12))])
            for client in clients:
                client.close()
            self.assert_serves_soon(server)

            def refused_by_log():
                log.seek(0)
                return [int(count) for count in re.findall(r"(\d+) connections are", log.read())]
            wait.until(lambda: sum(refused_by_log()) >= 2000, "2000 refusals in the log",
                       refused_by_log)
            self.assertLess(len(refused_by_log()), 200)
        directory = f"/proc/{server.process.pid}/fd"
        wait.until(lambda: len(os.listdir(directory)) <= 12, "at most 12 descriptors",
                   lambda: os.listdir(directory))

    def test_garbage(self):
        server = self.serve()
        picks = random.Random(6)
        for number in range(60):
            client = self.raw(server)
            if number % 2:
                client.go()
            with contextlib.suppress(OSError):
                client.socket.sendall(picks.randbytes(picks.randrange(1, 3000)))
                client.socket.shutdown(socket.SHUT_WR)
                while client.socket.recv(65536):
                    pass
        self.assert_serves(server)


if __name__ == "__main__":
    unittest.main()
