# SPDX-License-Identifier: LGPL-2.1-or-later
"""A target that lies: it speaks as much iSCSI as a login and a few commands take (RFC 7143)."""

import socket
import struct
import threading

LOGIN, COMMAND, LOGOUT, TEXT, NOP = 0x03, 0x01, 0x06, 0x04, 0x00
LOGIN_ANSWER, ANSWER, DATA, LOGOUT_ANSWER, TEXT_ANSWER, NOP_ANSWER = (0x23, 0x21, 0x25, 0x26, 0x24,
                                                                      0x20)
INQUIRY, CAPACITY16, LUNS, READ16, WRITE16 = 0x12, 0x9e, 0xa0, 0x88, 0x8a

KEYS = (b"HeaderDigest=None\0DataDigest=None\0MaxConnections=1\0InitialR2T=Yes\0"
        b"ImmediateData=Yes\0MaxRecvDataSegmentLength=262144\0MaxBurstLength=262144\0"
        b"FirstBurstLength=262144\0DefaultTime2Wait=2\0DefaultTime2Retain=0\0"
        b"MaxOutstandingR2T=1\0ErrorRecoveryLevel=0\0DataPDUInOrder=Yes\0"
        b"DataSequenceInOrder=Yes\0")


PIECE = 65536


def sense(key, asc, ascq=0):
    """Fixed format, as the data of an answer."""
    block = bytes([0x70, 0, key, 0, 0, 0, 0, 10, 0, 0, 0, 0, asc, ascq, 0, 0, 0, 0])
    return struct.pack(">H", len(block)) + block


def luns(*numbers):
    listed = b"".join(struct.pack(">HHI", number, 0, 0) for number in numbers)
    return struct.pack(">II", len(listed), 0) + listed


class Hostile:
    """
    Answers commands by what `answers` has for their opcode (INQUIRY's pages: (INQUIRY, page)):
    bytes, or (status, bytes), or a function of the command descriptor that gives one of these, or
    None: silence; a ConnectionError that it raises ends the connection. What it has nothing for is
    an unknown command.
    """

    def __init__(self, answers, login=True):
        self.answers, self.login = answers, login
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.open = []
        self.seen = []
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        for sock in [self.sock, *self.open]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()

    def accept(self):
        while True:
            try:
                connection = self.sock.accept()[0]
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.serve, args=[connection], daemon=True).start()

    def serve(self, connection):
        stream = connection.makefile("rb")
        try:
            while header := stream.read(48):
                length = int.from_bytes(header[5:8], "big")
                stream.read(length + -length % 4)
                reply = self.reply(header)
                if reply:
                    connection.sendall(reply)
        except OSError:
            pass
        stream.close()
        connection.close()

    def pdu(self, header, opcode, flags, data=b"", word=b"\0\0", tail=b""):
        """With window and numbers that always fit."""
        number = struct.unpack(">I", header[24:28])[0]
        status = struct.unpack(">I", header[28:32])[0]
        made = bytes([opcode, flags]) + word + bytes([0]) + len(data).to_bytes(3, "big")
        made += bytes(8) + header[16:20] + b"\xff" * 4
        # What is sent at once (a login) takes no number.
        made += struct.pack(">III", status, number + (not header[0] & 0x40), number + 64)
        return (made + tail).ljust(48, b"\0") + data + bytes(-len(data) % 4)

    def reply(self, header):
        opcode = header[0] & 0x3f
        if opcode == LOGIN:
            return self.reply_login(header)
        if opcode == COMMAND:
            return self.reply_command(header)
        if opcode == NOP:
            return self.pdu(header, NOP_ANSWER, 0x80)
        return self.pdu(header, LOGOUT_ANSWER, 0x80) if opcode == LOGOUT else None

    def reply_login(self, header):
        if not self.login:
            return None
        stage = header[1] >> 2 & 3
        made = self.pdu(header, LOGIN_ANSWER, 0x80 | stage << 2 | (1 if stage == 0 else 3),
                        KEYS if stage else b"TargetPortalGroupTag=1\0")
        return made[:8] + header[8:14] + b"\0\1" + made[16:]

    def reply_command(self, header):
        cdb = header[32:48]
        self.seen.append(cdb[0])
        key = (INQUIRY, cdb[2]) if cdb[0] == INQUIRY and cdb[1] & 1 else cdb[0]
        answer = self.answers.get(key, (2, sense(5, 0x20)))
        if callable(answer):
            answer = answer(cdb)
        if answer is None:
            return None
        status, data = answer if isinstance(answer, tuple) else (0, answer)
        if status or not data:
            return self.pdu(header, ANSWER, 0x80, data, bytes([0, status]))
        wanted = int.from_bytes(header[20:24], "big")
        short = struct.pack(">I", max(wanted - len(data), 0))
        data, made = data[:wanted], b""
        for at in range(0, len(data), PIECE):
            last = at + PIECE >= len(data)
            flags = (0x81 | (2 if any(short) else 0)) if last else 0
            made += self.pdu(header, DATA, flags, data[at:at + PIECE], b"\0\0",
                             struct.pack(">II", at // PIECE, at) + (short if last else b""))
        return made
