# SPDX-License-Identifier: LGPL-2.1-or-later
"""A network file system whose server is here: an empty directory that answers, or falls silent."""

import ctypes
import os
import select
import struct
import threading

ENOENT, ENOSYS = 2, 38
LOOKUP, FORGET, GETATTR, STATFS, INIT, OPENDIR, READDIR = 1, 2, 3, 17, 26, 27, 28
RELEASEDIR, ACCESS, INTERRUPT, BATCH_FORGET = 29, 34, 36, 42
PARALLEL_DIROPS = 1 << 18  # a listing without an answer does not hold up look-ups
UNANSWERED = (FORGET, INTERRUPT, BATCH_FORGET)
ROOT_MODE = 0o40755

_libc = ctypes.CDLL(None, use_errno=True)


def _attributes():
    """The root directory's, which change at once when they are asked for again."""
    return struct.pack("<QIIQQQQQQIIIIIIIIII", 0, 0, 0, 1, 4096, 8, 0, 0, 0, 0, 0, 0, ROOT_MODE, 2,
                       0, 0, 0, 4096, 0)


class Server:
    """What is mounted at WHERE as SOURCE ("host:/vol"), of type fuse.glusterfs."""

    ANSWERS = {
        INIT: struct.pack("<IIIIHHIIHHI7I", 7, 31, 65536, PARALLEL_DIROPS, 12, 9, 65536, 1, 0, 0, 0, *[0] * 7),
        STATFS: struct.pack("<QQQQQIIII6I", 1 << 20, 1 << 19, 1 << 19, 100, 50, 4096, 255, 4096, 0,
                            *[0] * 6),
        OPENDIR: struct.pack("<QII", 1, 0, 0), READDIR: b"", RELEASEDIR: b"", ACCESS: b"",
    }

    def __init__(self, where, source):
        self.where, self.source = where, source
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if _libc.mount(source.encode(), where.encode(), b"fuse.glusterfs", 0, options.encode()):
            os.close(self.device)
            raise OSError(ctypes.get_errno(), "mount")
        self.hears = threading.Event()
        self.hears.set()
        self.held = set()  # operations that get no answer
        self.unanswered = []
        self.lock = threading.Lock()
        self.over = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _receive(self, request):
        operation = struct.unpack_from("<IIQ", request)[1]
        with self.lock:
            if operation in self.held:
                self.unanswered.append(request)
                return
        self._answer(request)

    def _answer(self, request):
        _length, operation, unique = struct.unpack_from("<IIQ", request)
        if operation in UNANSWERED:
            return
        error, data = 0, self.ANSWERS.get(operation, b"")
        if operation == GETATTR:
            data = _attributes()
        elif operation == LOOKUP:
            error = -ENOENT
        elif operation not in self.ANSWERS:
            error = -ENOSYS
        os.write(self.device, struct.pack("<IiQ", 16 + len(data), error, unique) + data)

    def _serve(self):
        while not self.over:
            self.hears.wait()
            if not select.select([self.device], [], [], 0.1)[0] or not self.hears.is_set():
                continue
            try:
                self._receive(os.read(self.device, 1 << 18))
            except BlockingIOError:
                pass
            except OSError:  # it is no longer mounted
                break

    def fall_silent(self):
        self.hears.clear()

    def speak(self):
        self.hears.set()

    def hold(self, *operations):
        """
        From now on these operations (all without one) are received and get no answer, so that not
        even SIGKILL ends a thread that waits for one.
        """
        with self.lock:
            self.held = set(operations or [*self.ANSWERS, LOOKUP, GETATTR])

    def pass_on(self):
        """Answers the requests that wait. Later ones are still held."""
        with self.lock:
            requests, self.unanswered = self.unanswered, []
        for request in requests:
            self._answer(request)

    def release(self):
        with self.lock:
            self.held = set()
            requests, self.unanswered = self.unanswered, []
        for request in requests:
            self._answer(request)

    def is_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as table:
            return any(f" {self.where} " in line for line in table)

    def end(self):
        """Also a second time."""
        if self.device < 0:
            return
        self.over = True
        self.hears.set()
        self.release()
        self.thread.join()
        os.close(self.device)
        self.device = -1
        _libc.umount2(self.where.encode(), 2)
