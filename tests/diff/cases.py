# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the comparisons with QEMU's tools share: running both, images, TAP."""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from spelling import as_qemu_spells

# Whoever imports this finds the harness of the system tests as well.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../system"))

CISTERN = os.path.abspath(sys.argv[1])
PATTERN = sys.argv[2] if len(sys.argv) > 2 else ""
# Both sides flush after each run; on a memory file system that costs nothing.
SCRATCH = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
ENV = {**os.environ, "LC_ALL": "C"}


class Failed(Exception):
    pass


def call(*command):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, errors="replace", env=ENV,
                          check=False)


def run(*command, ok=(0,)):
    done = call(*command)
    if done.returncode not in ok:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                     f"{done.stdout}{done.stderr}")
    return done.stdout


def cistern(*args, ok=(0,)):
    return run(CISTERN, *args, ok=ok)


def cistern_json(*args, ok=(0,)):
    return as_qemu_spells(json.loads(cistern(*args, "--json", ok=ok)))


def refused(*args, status, words):
    """The command fails in the way it should, and says why."""
    done = call(CISTERN, *args)
    # Where the words of the command line are at fault it is 2; tests/system/terminal_test.py looks
    # which is which.
    if (status, done.returncode) != (1, 2):
        equal(f"status of {args}", done.returncode, status)
    if words not in done.stderr:
        raise Failed(f"{args}: {done.stderr!r} does not say {words!r}")


def qemu_img(*args, ok=(0,)):
    return run("qemu-img", *args, ok=ok)


def qemu_json(*args, ok=(0,)):
    return json.loads(qemu_img(*args, "--output=json", ok=ok))


def equal(what, ours, theirs):
    if ours != theirs:
        raise Failed(f"{what}: ours {ours!r}, expected {theirs!r}")


def qemu_io(path, fmt, *commands):
    args = [arg for command in commands for arg in ("-c", command)]
    text = run("qemu-io", "-f", fmt, *args, path)
    if "failed" in text:
        raise Failed(text)


CASES = []


def case(*parameters):
    """Register a function once per parameter; each is one TAP case with its own directory."""
    def register(function):
        for parameter in parameters or [None]:
            CASES.append((function, parameter))
        return function
    return register


def make(path, fmt, options, size="64M"):
    qemu_img("create", "-q", "-f", fmt, *(["-o", options] if options else []), path, size)


def fill(path, fmt, seed=1):
    """Data at the start, in the middle of a cluster, zeroes written out, and at the end."""
    qemu_io(path, fmt, f"write -P {seed} 0 200k", f"write -P {seed + 1} 3M 1536k",
            "write -z 4M 64k", f"write -P {seed + 2} 20000k 4k", "write -P 0 30M 1M",
            f"write -P {seed + 3} 65535k 1k")


def registered(pattern=PATTERN):
    """The registered cases that the pattern names, as main() takes them."""
    for function, parameter in CASES:
        if pattern not in f"{function.__name__} {parameter}":
            continue
        name = function.__name__.replace("_", " ")
        if parameter is None:
            yield name, function
            continue
        text = " ".join(map(str, parameter)) if isinstance(parameter, tuple) else str(parameter)
        yield f"{name} ({text.replace('#', '')})", functools.partial(function, parameter)


def main(cases=None, scratch=SCRATCH):
    """Runs the cases, (name, function) each, in a directory of its own below scratch; None: the
    registered ones. What ran long says so."""
    if not shutil.which("qemu-img"):
        print("1..0 # SKIP qemu-img is not installed")
        return 0
    chosen = list(registered() if cases is None else cases)
    bad = 0
    print(f"1..{len(chosen)}", flush=True)
    for number, (name, function) in enumerate(chosen, 1):
        where = tempfile.mkdtemp(prefix="images-", dir=scratch)
        os.chdir(where)
        started = time.monotonic()
        try:
            function()
            seconds = time.monotonic() - started
            print(f"ok {number} - {name}" + (f" ({seconds:.1f} s)" if seconds > 1 else ""))
        except (Failed, OSError, ValueError, KeyError, IndexError, TypeError) as why:
            bad += 1
            print(f"not ok {number} - {name}")
            for line in f"{type(why).__name__}: {why}".splitlines():
                print(f"# {line}")
        finally:
            os.chdir("/")
            shutil.rmtree(where)
        sys.stdout.flush()
    return 1 if bad else 0
