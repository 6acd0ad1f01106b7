#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs a command under the limits that a unit's [Service] section sets, without a service manager.

usage: confined.py UNIT COMMAND [ARGUMENT]…

What it applies: CapabilityBoundingSet=, NoNewPrivileges=, UMask=, LimitCORE=, RestrictNamespaces=,
RestrictAddressFamilies= and SystemCallFilter= (the sets are expanded by systemd-analyze). It is
stricter than the unit in one way: a system call, a namespace or a family of addresses that is not on
the list ends the process instead of failing, so that nothing is missing unnoticed. REFUSED has the
calls whose refusal is expected and harmless; they fail with the error that the unit says.
"""

import ctypes
import errno
import os
import re
import resource
import socket
import subprocess
import sys

# GLib gives a thread pool's new threads the scheduling of the first, and accepts EPERM; LVM asks for a
# higher priority while devices are suspended, and goes on without.
REFUSED = ("sched_setattr", "setpriority")
# The flags of clone(2).
NAMESPACES = {"mnt": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
              "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}
CAPABILITIES = "/usr/include/linux/capability.h"
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24


def settings(unit):
    """Key to the list of values in [Service]; continued lines are not used in our units."""
    found, section = {}, None
    with open(unit, encoding="utf-8") as stream:
        for line in stream:
            line = line.strip()
            if line.startswith("["):
                section = line
            elif section == "[Service]" and line and not line.startswith("#"):
                key, _, value = line.partition("=")
                found.setdefault(key, []).append(value)
    return found


def expand(names):
    """System calls of @names, in which "@set" stands for a set of systemd's."""
    calls, sets = set(), [name for name in names if name.startswith("@")]
    calls.update(name for name in names if not name.startswith("@"))
    while sets:
        text = subprocess.run(["systemd-analyze", "syscall-filter", sets.pop()], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        for word in re.findall(r"^ +([@\w-]+)$", text, re.M):
            if word.startswith("@"):
                sets.append(word)
            else:
                calls.add(word)
    return calls


def allowed_calls(values):
    calls = set()
    for value in values:
        if value.startswith("~"):
            calls -= expand(value[1:].split())
        else:
            calls |= expand(value.split())
    return calls


def forbidden_namespaces(values):
    words = " ".join(values).split()
    if words in (["yes"], ["no"]):
        return sum(NAMESPACES.values()) if words == ["yes"] else 0
    return sum(flag for name, flag in NAMESPACES.items() if name not in words)


def filter_calls(unit):
    import seccomp  # pylint: disable=import-outside-toplevel,import-error

    calls = allowed_calls(unit["SystemCallFilter"]) | {"execve", "exit", "exit_group"}
    families = " ".join(unit["RestrictAddressFamilies"]).split()
    program = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
    forbidden = forbidden_namespaces(unit["RestrictNamespaces"])
    # As systemd does: a filter cannot read the flags of clone3(), and glibc can do without it.
    program.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for name in sorted({"clone", "unshare"} & calls):
        program.add_rule(seccomp.ALLOW, name,
                         seccomp.Arg(0, seccomp.MASKED_EQ, forbidden, 0))
    for name in sorted(calls - {"socket", "clone", "clone3", "unshare", "setns"}):
        try:
            program.add_rule(seccomp.ALLOW, name)
        except (RuntimeError, OSError):
            pass  # of another architecture, or newer than libseccomp
    for family in families:
        program.add_rule(seccomp.ALLOW, "socket",
                         seccomp.Arg(0, seccomp.EQ, getattr(socket, family)))
    for name in set(REFUSED) - calls:
        program.add_rule(seccomp.ERRNO(getattr(errno, unit["SystemCallErrorNumber"][0])), name)
    program.load()  # sets no_new_privs


def drop_capabilities(values):
    """All that are not listed; who executes a program as root then gets only those."""
    kept = set(" ".join(values).split())
    libc = ctypes.CDLL(None, use_errno=True)
    with open(CAPABILITIES, encoding="utf-8") as stream:
        numbers = dict(re.findall(r"^#define (CAP_[A-Z_]+)\s+(\d+)$", stream.read(), re.M))
    unknown = kept - set(numbers)
    if unknown:
        sys.exit(f"confined.py: unknown capabilities: {unknown}")
    for name, number in numbers.items():
        if name not in kept and libc.prctl(PR_CAPBSET_READ, int(number), 0, 0, 0) == 1 and \
                libc.prctl(PR_CAPBSET_DROP, int(number), 0, 0, 0) != 0:
            sys.exit(f"confined.py: cannot drop {name}")


def main():
    unit = settings(sys.argv[1])
    os.umask(int(unit["UMask"][0], 8))
    resource.setrlimit(resource.RLIMIT_CORE, (int(unit["LimitCORE"][0]),) * 2)
    drop_capabilities(unit["CapabilityBoundingSet"])
    filter_calls(unit)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
