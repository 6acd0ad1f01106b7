# SPDX-License-Identifier: LGPL-2.1-or-later
"""A server in front of a server, on a socket of its own: it passes packets on, and makes of the one
behind it an older cisternd, one whose content is damaged on the way, or one that hangs up."""

import os
import socket
import struct
import threading

from . import space, wire

CISTERN = 0x43495354
VERSION = 1
CALL_PROGRESS, CALL_CANCEL = 3, 4
CREATE_XML, UPLOAD, DOWNLOAD = 93, 208, 209
VOL_SEND, VOL_RECEIVE, VOL_DIGESTS, VOL_PATCH = 52, 53, 60, 61


def _refusal(head, text):
    """The error that a server answers a call with."""
    _, vers, proc, _, serial, _ = head
    error = (wire.u32(39) + wire.u32(7) + wire.opt_string(text) + wire.u32(2) + 4 * wire.u32(0)
             + 2 * wire.u32(-1) + wire.u32(0))
    return wire.packet(proc, error, serial, wire.REPLY, wire.ERROR, head[0], vers)


class Proxy:
    """
    last: the last of our procedures that the server has; 0: it is libvirt's; None: all
    damage(proc, sent, payload): what passes of a stream's data; sent: by the client
    message(proc, sent, payload): what passes of libvirt's calls and replies
    most: bytes of an upload after which both sides are hung up on
    """

    def __init__(self, peer, last=None, damage=None, message=None, most=None):
        self.target = peer.sock
        self.last = last
        self.damage = damage or (lambda proc, sent, payload: payload)
        self.message = message or (lambda proc, sent, payload: payload)
        self.most = most
        self.seen = set()  # (program, procedure) of calls that were passed on
        self.uploaded = 0
        self.sock = space.path(f"proxy-{id(self)}")
        self.open = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.sock)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self):
        return f"storage+unix:///system?socket={self.sock}"

    def has(self, *procedures):
        """Whether all of these of ours were called; libvirt's are from 100 on."""
        return all((wire.REMOTE if number > 100 else CISTERN, number) in self.seen
                   for number in procedures)

    def close(self):
        for one in [self.listener, *self.open]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
        os.unlink(self.sock)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.target)
            except OSError:
                return
            self.open += [client, server]
            for one, other, sent in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pass, args=(one, other, sent), daemon=True).start()

    def _pass(self, one, other, sent):
        try:
            while True:
                length = struct.unpack(">I", self._exactly(one, 4))[0]
                head = struct.unpack(">6I", self._exactly(one, 24))
                payload = self._exactly(one, length - 28)
                answer = self._call(head) if sent and head[3] == wire.CALL else None
                if answer:
                    one.sendall(answer)
                else:
                    other.sendall(self._packet(head, payload, sent))
        except (OSError, wire.Closed):
            for each in (one, other):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    @staticmethod
    def _exactly(sock, count):
        data = bytearray()
        while len(data) < count:
            more = sock.recv(count - len(data))
            if not more:
                raise wire.Closed("end of file")
            data += more
        return bytes(data)

    def _call(self, head):
        """The answer to a call that the server does not know."""
        program, _, proc = head[:3]
        if program == CISTERN and self.last is not None and proc > self.last:
            return _refusal(head, f"unknown procedure: {proc}" if self.last else
                            f"Cannot find program {CISTERN} version 1")
        self.seen.add((program, proc))
        return None

    def _packet(self, head, payload, sent):
        program, _, proc, kind, serial, status = head
        if kind == wire.STREAM and status == wire.CONTINUE and payload:
            payload = self.damage(proc, sent, payload)
            if sent and proc == UPLOAD:
                self.uploaded += len(payload)
                if self.most is not None and self.uploaded > self.most:
                    raise wire.Closed("hung up")
        if program == wire.REMOTE and kind in (wire.CALL, wire.REPLY):
            payload = self.message(proc, sent, payload)
        if (program, proc, kind, status) == (CISTERN, VERSION, wire.REPLY, wire.OK) and self.last:
            payload = payload[:-4] + wire.u32(self.last)
        return wire.packet(proc, payload, serial, kind, status, program)
