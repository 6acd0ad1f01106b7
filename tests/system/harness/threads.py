# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stops some threads of a daemon, while its other threads go on. Needs root."""

import contextlib
import ctypes
import os

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def named(pid, prefix):
    """Ids of the threads of PID whose names begin with PREFIX."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as stream:
                if stream.read().startswith(prefix):
                    found.append(int(task))
    return found


@contextlib.contextmanager
def stopped(pid, prefix):
    """Meanwhile these threads are stopped. A thread that has ended before is left out."""
    held = []
    try:
        for task in named(pid, prefix):
            if _libc.ptrace(PTRACE_SEIZE, task, None, None) < 0:
                continue
            held.append(task)
            _libc.ptrace(PTRACE_INTERRUPT, task, None, None)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(task, WALL)
        yield held
    finally:
        for task in held:
            _libc.ptrace(PTRACE_DETACH, task, None, None)
