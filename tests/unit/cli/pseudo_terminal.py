# SPDX-License-Identifier: LGPL-2.1-or-later
"""A program at a terminal, and someone who types."""

import fcntl
import os
import pty
import select
import struct
import termios


def at_terminal(*words, typed, until, columns=80, env=None):
    """Exit status, and what the program shows, where @typed is typed after @until was seen."""
    pid, master = pty.fork()
    if pid == 0:
        os.environ.update({"LC_ALL": "C", "TERM": "dumb", **(env or {})})
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execv(words[0], words)
    seen = b""
    steps = list(zip(until, typed))
    try:
        while True:
            if not select.select([master], [], [], 20)[0]:
                raise AssertionError(f"nothing more after {seen!r}")
            data = os.read(master, 4096)
            if not data:
                break
            seen += data
            if steps and steps[0][0].encode() in seen[seen.rfind(b"\0") + 1:]:
                os.write(master, steps.pop(0)[1].encode())
                seen += b"\0"
    except OSError:
        pass
    os.close(master)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.replace(b"\0", b"").decode()
