# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel's storage beside stock libvirtd: rows for bench/bench, in the lab's machine."""

import json
import os
import subprocess

from harness import space

HERE = os.path.dirname(os.path.abspath(__file__))

VOLUMES = ("refresh {} volumes", "list {} with details", "create a volume", "delete a volume",
           "clone 16 MiB")
# Both sides wait for the same tools, which an emulated processor makes slow: ratios, not seconds.
# Its clock counts instructions (-i), so that they hold however busy this machine is.
# (kind of kernel_guest.py, its rows, how many volumes are there, what of the machine it needs)
KINDS = (
    ("logical", VOLUMES, 100, ["-d", "1G"]),
    ("zfs", VOLUMES, 100, ["-d", "1G"]),
    ("disk", VOLUMES, 60, ["-d", "2G"]),
    ("netfs", ["start a pool"], 0, []),
)
FEW = 10


class Kind:
    """All rows of a kind come from one run of a machine."""

    def __init__(self, kind, count, options):
        self.command = [os.path.join(space.TOP, "tests/lab/vm"), "run", "-i", "-m", "1024", *options,
                        "-t", "1800", "--", "env", f"BUILD={space.BUILD}", "/usr/bin/python3",
                        os.path.join(HERE, "kernel_guest.py"), kind, str(count)]
        self.taken = None

    def measure(self, name):
        if self.taken is None:
            done = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  stdin=subprocess.DEVNULL, text=True, check=False)
            # What failed fails in every row of its kind.
            self.taken = (json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else
                          f"status {done.returncode}: {done.stdout}{done.stderr}".strip())
        if isinstance(self.taken, str):
            raise RuntimeError(self.taken)
        return self.taken[name]


def register(bench):
    for kind, names, count, options in KINDS:
        count = min(count, FEW) if bench.QUICK else count
        run = Kind(kind, count, options)
        for name in (name.format(count) for name in names):
            bench.row(f"{kind}: {name}", "s", 1)(lambda _, run=run, name=name: run.measure(name))
