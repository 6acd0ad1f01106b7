# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logical pools beside stock libvirtd: rows for bench/bench, in the lab's machine (tests/lab/vm)."""

import json
import os
import subprocess

from harness import space

HERE = os.path.dirname(os.path.abspath(__file__))

# Both sides wait for the same LVM, which an emulated processor makes slow: ratios, not seconds.
ROWS = ("refresh 100 volumes", "list 100 with details", "create a volume", "delete a volume",
        "clone 16 MiB")


class Rows:
    def __init__(self, bench):
        self.bench = bench
        self.taken = None

    def register(self):
        for name in ROWS:
            self.bench.row(f"logical: {name}", "s", 1)(lambda _, name=name: self.measure()[name])

    def measure(self):
        """All rows come from one run of the machine."""
        if self.taken is None:
            done = subprocess.run(
                [os.path.join(space.TOP, "tests/lab/vm"), "run", "-m", "1024", "-d", "1G", "-t",
                 "900", "--", "env", f"BUILD={space.BUILD}", "/usr/bin/python3",
                 os.path.join(HERE, "logical_guest.py")],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            lines = done.stdout.strip().splitlines() or ["the machine said nothing"]
            if done.returncode:
                raise RuntimeError(lines[-1])
            self.taken = json.loads(lines[-1])
        return self.taken
