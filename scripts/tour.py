#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plays the tour of README.md, which so is the only list of its commands: `make demo` shows it, and
tests/system/tour_test.py compares what the commands print with what README.md says.

usage: tour.py README PROGRAM DIR    plays it with DIR in place of /srv, and prints it
"""

import os
import re
import subprocess
import sys

# The examples of the section that need no other files, pools or daemons.
FIRST = ("pool-define-as vm-images", "snap-create copy.qcow2")


def steps(readme):
    """(command line, what it prints) of each step, in order."""
    with open(readme, encoding="utf-8") as stream:
        text = stream.read()
    for block in re.findall(r"(?:^ {4}.*\n)+", text, re.M):
        lines = [line[4:] for line in block.splitlines()]
        if not any(lines[0].startswith(f"# cistern {first}") for first in FIRST):
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
