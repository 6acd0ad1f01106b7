# SPDX-License-Identifier: LGPL-2.1-or-later
"""A raw client of libvirt's RPC, for what no well-behaved client would send."""

import fcntl
import socket
import struct
import termios

from . import wait

REMOTE = 0x20008086
KEEPALIVE = 0x6b656570
CALL, REPLY, MESSAGE, STREAM, CALL_WITH_FDS, REPLY_WITH_FDS, STREAM_HOLE = range(7)
OK, ERROR, CONTINUE = range(3)
PING, PONG = 1, 2


def u32(value):
    return struct.pack(">I", value & 0xffffffff)


def u64(value):
    return struct.pack(">Q", value & 0xffffffffffffffff)


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return u32(len(data)) + data + b"\0" * (-len(data) % 4)


def opt_string(text):
    return u32(0) if text is None else u32(1) + string(text)


def pool_arg(name, uuid=b"\0" * 16):
    return string(name) + uuid


def vol_arg(pool, name, key=""):
    return string(pool) + string(name) + string(key)


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def u32(self):
        self.at += 4
        return struct.unpack_from(">I", self.data, self.at - 4)[0]

    def i32(self):
        self.at += 4
        return struct.unpack_from(">i", self.data, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from(">Q", self.data, self.at - 8)[0]

    def bytes(self, length):
        self.at += length
        return self.data[self.at - length:self.at]

    def string(self):
        length = self.u32()
        text = self.bytes(length)
        self.at += -length % 4
        return text.decode(errors="replace")

    def opt_string(self):
        return self.string() if self.u32() else None


class RemoteError(Exception):
    def __init__(self, payload):
        reader = Reader(payload)
        self.code, self.domain = reader.i32(), reader.i32()
        self.text = reader.opt_string()
        super().__init__(f"{self.code}/{self.domain} {self.text}")


class Packet:
    def __init__(self, header, payload):
        (self.prog, self.vers, self.proc, self.type, self.serial,
         self.status) = struct.unpack(">6I", header)
        self.payload = payload

    def reader(self):
        if self.status == ERROR:
            raise RemoteError(self.payload)
        return Reader(self.payload)


class Closed(Exception):
    pass


def packet(proc, payload=b"", serial=0, kind=CALL, status=OK, prog=REMOTE, vers=1):
    return struct.pack(">7I", 28 + len(payload), prog, vers, proc, kind, serial, status) + payload


class Wire:
    """One connection. call() answers pings by itself and keeps packets of other serials."""

    def __init__(self, path, timeout=wait.LIMIT_S):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout)
        self.sock.connect(path)
        self.serial = 0
        self.kept = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def unread(self):
        """Bytes that were sent and that the daemon has not read, with what the kernel adds."""
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]

    def arrived(self):
        """Bytes that the daemon has sent and that were not received yet."""
        return struct.unpack("i", fcntl.ioctl(self.sock, termios.FIONREAD, bytes(4)))[0]

    def wait_read(self):
        """Waits until the daemon has read everything that was sent."""
        wait.until(lambda: self.unread() == 0, "the daemon reads all that was sent",
                   lambda: f"{self.unread()} bytes are unread")

    def exactly(self, count):
        parts = []
        while count:
            try:
                data = self.sock.recv(count)
            except TimeoutError as late:
                raise wait.NeverTrue(
                    f"waited {self.sock.gettimeout():.0f} s for: a packet; {self.serial} calls were "
                    f"sent, kept answers: {[got.serial for got in self.kept]}") from late
            except ConnectionError as gone:
                raise Closed(str(gone)) from gone
            if not data:
                raise Closed("end of file")
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def receive(self):
        length = struct.unpack(">I", self.exactly(4))[0]
        return Packet(self.exactly(24), self.exactly(length - 28))

    def wait_for(self, wanted):
        for index, got in enumerate(self.kept):
            if wanted(got):
                return self.kept.pop(index)
        while True:
            got = self.receive()
            if wanted(got):
                return got
            if got.prog == KEEPALIVE:
                if got.proc == PING:
                    self.send(packet(PONG, kind=MESSAGE, prog=KEEPALIVE))
                continue
            self.kept.append(got)

    def post(self, proc, payload=b"", **options):
        """Sends a call; returns its serial."""
        self.serial += 1
        self.send(packet(proc, payload, self.serial, **options))
        return self.serial

    def answer(self, serial):
        return self.wait_for(lambda p: p.serial == serial and p.type in (REPLY, STREAM,
                                                                          STREAM_HOLE))

    def call(self, proc, payload=b"", **options):
        """The reader of the reply; RemoteError when that is an error."""
        return self.answer(self.post(proc, payload, **options)).reader()

    def open(self, name="storage:///system", flags=0):
        self.call(66)
        self.call(1, opt_string(name) + u32(flags))
        return self

    def pool(self, name):
        """The wire form of a pool found by name."""
        reader = self.call(84, string(name))
        return string(reader.string()) + reader.bytes(16)

    def stream_send(self, proc, serial, data=b"", status=CONTINUE, kind=STREAM):
        self.send(packet(proc, data, serial, kind=kind, status=status))


def alive(path):
    """Raises unless a new client is answered."""
    with Wire(path) as wire:
        wire.open()
        return wire.call(281, u32(0) + u32(0)).u32() == 0
