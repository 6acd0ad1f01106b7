#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays the tour of README.md, which is the only list of its commands. `make demo` shows it.
tests/system/tour_test.py compares the output of the commands with README.md, and the output of the
commands in docs/coming-from-libvirt.md with that page.

usage: tour.py README PROGRAM DIR    plays it with DIR in place of /srv, and prints it
"""

import os
import re
import subprocess
import sys

# The examples of README.md that need no other files, pools or daemons begin with these lines.
FIRST = ("# cistern pool-define-as vm-images", "# cistern snap-create copy.qcow2")


def steps(document, first=FIRST):
    """
    Pairs of a command line and its lines of output, in order.

    FIRST: the beginnings of the first lines of the blocks that are played.
    """
    with open(document, encoding="utf-8") as stream:
        text = stream.read()
    for block in re.findall(r"(?:^ {4}.*\n)+", text, re.M):
        lines = [line[4:] for line in block.splitlines()]
        if not lines[0].startswith(first):
            continue
        step = None
        for line in lines:
            if line.startswith("# "):
                if step:
                    yield step
                step = (line[2:], [])
            else:
                step[1].append(line)
        yield step


def play(command, program, directory):
    """The lines that a command prints, with its errors."""
    command = command.replace("/srv/", f"{directory}/")
    environment = {**os.environ, "PATH": f"{os.path.dirname(program)}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", "-c", command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=environment, check=False)
    return done.returncode, [line.rstrip() for line in done.stdout.splitlines() if line.strip()]


def main():
    readme, program, directory = sys.argv[1:]
    for command, _ in steps(readme):
        status, lines = play(command, os.path.abspath(program), directory)
        print(f"\n# {command}", *lines, sep="\n", flush=True)
        if status != 0:
            sys.exit(f"tour: exit status {status}")


if __name__ == "__main__":
    main()
