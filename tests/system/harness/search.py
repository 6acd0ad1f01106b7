# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A search for the bytes of values wherever they must not be: in files and their names, in /proc, in
memory, among what programs are started with, and in all that they write or send.
"""

import base64
import contextlib
import os
import re
import stat
import threading
import time
import urllib.parse

from . import space, wait


def forms(value):
    """All that a value could look like."""
    encoded = base64.b64encode(value)
    return {"raw": value, "base64": encoded.rstrip(b"="), "hex": value.hex().encode(),
            "HEX": value.hex().upper().encode(), "url": urllib.parse.quote(value, safe="").encode(),
            "base64url": base64.urlsafe_b64encode(value).rstrip(b"=")}


class Search:
    """Looks for values in all their forms; found: what was found where."""

    def __init__(self, values):
        self.wanted = []
        self.found = []
        for name, value in values.items():
            self.add(name, value)

    def add(self, name, value):
        """One more, which was not known before."""
        self.wanted += [(name, form, data) for form, data in forms(value).items()]

    def hits(self, data):
        """(name, form) of what is in it."""
        return [(name, form) for name, form, wanted in self.wanted if wanted in data]

    def bytes(self, data, where):
        self.found += [f"{name} ({form}) in {where}" for name, form in self.hits(data)]

    def trace(self, trace, kind):
        """
        What programs were started with is found; of what they have written and sent returns
        {(name, kind(target))}, which the test has to know: some of it has to be there.
        """
        sent = set()
        for pid, call, target, data in trace.records():
            if call.startswith("exec"):
                self.bytes(data, f"what process {pid} executed {target} with")
            else:
                sent |= {(name, kind(target)) for name, _form in self.hits(data)}
        return sent

    def file(self, path):
        with contextlib.suppress(OSError):
            with open(path, "rb") as stream:
                self.bytes(stream.read(), path)

    def below(self, root):
        for folder, _, files in os.walk(root):
            for name in files:
                path = os.path.join(folder, name)
                if stat.S_ISREG(os.lstat(path).st_mode):
                    self.file(path)
                self.bytes(path.encode(errors="surrogateescape"), "a path")

    def process(self, pid):
        for name in ("cmdline", "environ", "maps", "mountinfo", "status", "comm", "limits",
                     "stack", "wchan", "mounts"):
            self.file(f"/proc/{pid}/{name}")
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{pid}/fd"):
                self.bytes(os.readlink(f"/proc/{pid}/fd/{name}").encode(), f"a name in fd of {pid}")

    def memory(self, pid, all_of_it=False):
        """What a debugger with root's rights would save: the pages that are dumped."""
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/smaps", encoding="utf-8") as stream:
                areas = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+)[^\n]*\n"
                                   r"(?:[A-Z]\w+:[^\n]*\n)*?VmFlags:([^\n]*)", stream.read(), re.M)
            with open(f"/proc/{pid}/mem", "rb") as memory:
                for low, high, mode, flags in areas:
                    size = int(high, 16) - int(low, 16)
                    if "r" in mode and size < 1 << 32 and (all_of_it or " dd" not in flags):
                        with contextlib.suppress(OSError, ValueError, OverflowError):
                            memory.seek(int(low, 16))
                            self.bytes(memory.read(size), f"memory of {pid} at {low}")


def children(pid):
    """All that descend from a process."""
    parents = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{int(entry)}/stat", encoding="utf-8", errors="replace") as stream:
                parents[int(entry)] = int(stream.read().rpartition(")")[2].split()[1])
    found, last = set(), {pid}
    while last:
        last = {child for child, parent in parents.items() if parent in last} - found
        found |= last
    return found


class Watch(threading.Thread):
    """
    Looks at a process and its children all the time. A file with the number of each process that it
    has looked at is in seen_at().
    """

    @staticmethod
    def seen_at():
        os.makedirs(space.path("watched"), exist_ok=True)
        return space.path("watched")

    def __init__(self, search, pid):
        super().__init__(daemon=True)
        self.search, self.pid, self.ending = search, pid, threading.Event()

    def run(self):
        while not self.ending.is_set():
            for pid in {self.pid} | children(self.pid):
                self.search.process(pid)
                with open(os.path.join(self.seen_at(), str(pid)), "wb"):
                    pass
            time.sleep(0.002)  # paced: leaves the processor to the watched process

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join()


class Trace:
    """
    Of a program and all that descends from it: what was executed, with its arguments and its
    environment, and what was written and sent where. Nobody is too quick for it.
    """

    CALLS = ("execve", "execveat", "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto",
             "sendmsg", "sendmmsg")
    LINE = re.compile(r"(\d+) +(\w+)\((?:\d+<(.*?)>(?:\(deleted\))?[,)])?")
    TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')

    def __init__(self, name):
        self.path = space.path(name + ".trace")

    @property
    def prefix(self):
        """Words before the program's; its process is the one that they start, and not strace's."""
        return ["strace", "-D", "-f", "-A", "-q", "--seccomp-bpf", "-v", "-yy", "-xx", "-s",
                str(1 << 20), "-e", "trace=" + ",".join(self.CALLS), "-e", "signal=none", "-o",
                self.path]

    def ended(self, pid):
        """Waits until the process is over and all of it written down."""
        wait.until(lambda: re.search(rf"^{pid} +\+\+\+ ", self.text(), re.M),
                   f"strace sees process {pid} end", self.text)

    def executed(self):
        """The programs."""
        return {target for _pid, call, target, _data in self.records() if call.startswith("exec")}

    def text(self):
        with open(self.path, encoding="ascii") as stream:
            return stream.read()

    @staticmethod
    def plain(text):
        """Of a text in which some or all is hexadecimal."""
        return re.sub(r"(?:\\x[0-9a-f]{2})+",
                      lambda found: bytes.fromhex(found.group().replace("\\x", "")).decode(
                          errors="backslashreplace"), text)

    def records(self):
        """(pid, call, the program or where it was written, all bytes)."""
        for line in self.text().splitlines():
            begin = self.LINE.match(line)
            if not begin or begin.group(2) not in self.CALLS:
                continue
            texts = [bytes.fromhex(text.replace("\\x", "")) for text in self.TEXT.findall(line)]
            if begin.group(2).startswith("exec"):
                target = texts[0].decode(errors="replace")
            else:
                target = self.plain(begin.group(3) or "?")
            yield int(begin.group(1)), begin.group(2), target, b"\0".join(texts)
