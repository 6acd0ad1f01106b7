# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom: the table of ARCHITECTURE.md, tried out with the compiler.

For each module a one-line file is compiled with the flags the build uses for that module: with a
public header of an allowed module it must compile, with one of a forbidden module it must not.
"""

import concurrent.futures
import glob
import json
import os
import re
import shlex
import subprocess

# What each module's own code may include besides itself, glibc and GLib.
MAY_INCLUDE = {
    "base": set(),
    "model": {"base"},
    "schedule": {"base"},
    "notify": {"model", "base"},
    "hypervisor": {"model", "base"},
    "blob": {"base"},
    "backup": {"schedule", "blob", "base"},
    "guest": {"blob", "base"},
    "nbd": {"blob", "base"},
    "image": {"blob", "base"},
    "import": {"image", "blob", "model", "base"},
    "pool": {"image", "blob", "model", "base"},
    "store": {"schedule", "model", "base"},
    "service": {"pool", "nbd", "image", "blob", "hypervisor", "store", "notify", "schedule", "model", "base"},
    "wire": {"base"},
    "api": {"wire", "service", "store", "notify", "schedule", "model", "base"},
    "server": {"api", "wire", "service", "store", "notify", "schedule", "model", "base"},
    "conn": {"api", "wire", "service", "store", "notify", "schedule", "model", "base"},
    "daemon": {"server", "wire", "service", "hypervisor", "store", "notify", "schedule", "model", "base"},
    "cli": {"conn", "store", "schedule", "model", "base"},
    # inside libvirt's daemon, whose process has no code of Cistern but this module
    "libvirtd": set(),
    # the commands over image files and those that carry volumes in and out, and those over backups:
    # libraries of their own
    "cli-image": {"cli", "conn", "import", "image", "blob", "store", "schedule", "model", "base"},
    "cli-backup": {"cli", "conn", "backup", "guest", "nbd", "blob", "store", "schedule", "model", "base"},
}

# Modules whose sub-folders have an order: whom each may include and call. What lies in the module's
# own folder ("") puts the others together, and may use them all. Read by cycles.py, too.
FOLDERS = {
    "service": {
        "core": set(),
        "dependency": {"core"},
        "volume": {"dependency", "core"},
        "snapshot": {"volume", "dependency", "core"},
        "pool": {"dependency", "core"},
        "secret": {"core"},
        "schedule": {"core"},
        "event": {"core"},
        "recovery": {"pool", "snapshot", "volume", "core"},
        "doctor": {"secret", "pool", "snapshot", "volume", "dependency", "core"},
    },
    "cli": {
        "core": set(),
        "output": {"core"},
        "commands": {"output", "core"},
        "qemu_img": {"commands", "output", "core"},
        "shell": {"commands", "output", "core"},
    },
}


CLI_LIBRARIES = {"image": "cli-image", "transfer": "cli-image", "qemu_img": "cli-image",
                 "backup": "cli-backup"}
CLI_OWN = re.compile("/cli/(?:commands/)?(image|transfer|backup|qemu_img)/")


def may_use(rows, folder, other):
    """A file of @folder may include and call one of @other; what is inside of either goes with it."""
    folder, other = folder.split("/")[0], other.split("/")[0]
    return folder in ("", other) or (other in rows and other in rows.get(folder, ()))


def public_headers(module):
    pattern = f"src/{module}/include/{module}/**/*.h"
    return [h.split("/include/", 1)[1] for h in sorted(glob.glob(pattern, recursive=True))]


def module_flags(build):
    """{module: (directory, compiler and -I/-D/-f flags)} from one C file of each module."""
    flags = {}
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as stream:
        commands = json.load(stream)
    for entry in commands:
        found = re.search(r"(?:^|/)src/(\w+)/[^ ]*\.c$", entry["file"])
        if not found:
            continue
        own = CLI_OWN.search(entry["file"])
        module = CLI_LIBRARIES[own.group(1)] if own else found.group(1)
        if module in flags:
            continue
        words = shlex.split(entry["command"])
        keep = [w for w in words[1:] if re.match(r"-[IDU]|-std=|-isystem", w)]
        compiler = words[1] if words[0].endswith("ccache") else words[0]
        flags[module] = (entry["directory"], [compiler] + keep)
    return flags


def compiles(directory, command, header):
    done = subprocess.run(command + ["-fsyntax-only", "-x", "c", "-"], cwd=directory, text=True,
                          input=f"#include <{header}>\n", stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE)
    return done.returncode == 0, done.stderr


def check_pair(module, where, header, allowed):
    ok, stderr = compiles(*where, header)
    if ok and not allowed:
        return f"src/{module} can include <{header}>, which its row forbids"
    if not ok and allowed:
        return f"<{header}> does not compile on its own in src/{module}: {stderr.strip()[:400]}"
    return None


def check_compiled(build):
    """Returns (number of headers tried, complaints)."""
    jobs = []
    for module, where in sorted(module_flags(build).items()):
        for other in MAY_INCLUDE:
            allowed = other == module or other in MAY_INCLUDE.get(module, set())
            # Only what is used must be reachable; what is forbidden must never be.
            if allowed and other != module:
                continue
            jobs += [(module, where, header, allowed) for header in public_headers(other)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        complaints = [c for c in pool.map(lambda job: check_pair(*job), jobs) if c]
    return len(jobs), complaints


def may_include_privately(path, name, exists=os.path.exists):
    """
    Whether @path may say #include "@name". Allowed are headers of its folder and of folders below,
    and generated headers. A module whose folders have an order adds headers of lower folders. Other
    modules add headers of their own folder and of the same folder, with its sub-folders.
    """
    here = os.path.dirname(path)
    top = "/".join(path.split("/")[:2])
    rows = FOLDERS.get(os.path.basename(top))
    if name.startswith(".."):
        return False
    if exists(os.path.join(here, name)):
        return True
    if exists(os.path.join(top, name)):
        folder = os.path.dirname(os.path.relpath(path, top))
        if rows:
            return may_use(rows, folder, os.path.dirname(name))
        return "/" not in name or folder.split("/")[0] == name.split("/")[0]
    return "/" not in name


def check_private(paths):
    """Quoted includes go one way, and never to a neighbouring folder."""
    files = {"src/service/core/a.h", "src/service/volume/b.h", "src/service/c.h",
             "src/image/x/d/e.h", "src/image/x/f.h"}
    allowed = [("src/service/volume/b.c", "core/a.h"), ("src/service/d.c", "volume/b.h"),
               ("src/image/x/g/h.c", "x/d/e.h"), ("src/image/x/d/h.c", "x/f.h")]
    refused = [("src/service/core/a.c", "volume/b.h"), ("src/service/core/a.c", "c.h"),
               ("src/service/core/a.c", "../volume/b.h"), ("src/image/y/h.c", "x/f.h")]
    for path, name in allowed + refused:
        if may_include_privately(path, name, files.__contains__) != ((path, name) in allowed):
            return [f'{path}: "{name}", which was planted, was judged wrongly']
    complaints = []
    for path in paths:
        if not path.startswith("src/"):
            continue
        with open(path, encoding="utf-8") as stream:
            for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', stream.read(), re.M):
                if not may_include_privately(path, name):
                    complaints.append(f'{path}: includes "{name}", another folder\'s private header')
    return complaints
