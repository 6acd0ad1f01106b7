# SPDX-License-Identifier: LGPL-2.1-or-later
"""The files of a root and of its pools (operations.py), and whether they are those wanted."""

import json
import os
import re
import subprocess

from . import space
from .operations import WORK, expect
from .peers import run

# Not state: sockets, the locks, and what only tells who runs or ran.
IGNORED = re.compile(r"(far/)?root/run/libvirt/((virtstoraged|virtsecretd)-sock.*|secrets|.*\.pid|.*\.rotating|.*\.promise)$"
                     r"|(far/)?root/var/lib/cistern/(lock$|(jobs|audit)(/|$)|events\.db)"
                     # The database is opened by commands about tags only (Operation.shows).
                     r"|(far/)?root/var/lib/cistern/tags\.db-(wal|shm)$")

# What tells deleted volumes apart that had one name.
TRASH_ID = re.compile(r"(\.cistern-trash-[^/]*-)[0-9a-f]{12}")

# Folders of records. An empty one has the same meaning as a missing one.
RECORDS = re.compile(r"root/var/lib/cistern/(journal|trash(/[^/]+)?)$")


def picture():
    """{name: content} of everything below WORK; None for folders, "-> target" for links."""
    found = {}
    for folder, folders, files in os.walk(WORK):
        for name in folders + files:
            path = os.path.join(folder, name)
            short = os.path.relpath(path, WORK)
            if IGNORED.search(short):
                continue
            short = TRASH_ID.sub(r"\1ID", short)
            if os.path.islink(path):
                found[short] = "-> " + os.readlink(path)
            elif os.path.isfile(path):
                with open(path, "rb") as stream:
                    found[short] = stream.read()
            elif not os.path.isdir(path):
                found[short] = "special"
            elif not RECORDS.search(short) or any(names for _, _, names in os.walk(path)):
                found[short] = None
    return found


def restore(template):
    """The files as in the template, in the same directories: a pool knows its directory again."""
    for folder, folders, files in os.walk(WORK, topdown=False):
        twin = os.path.join(template, os.path.relpath(folder, WORK))
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in folders:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.unlink(path)
            elif not os.path.isdir(os.path.join(twin, name)):
                os.rmdir(path)
    subprocess.run(["cp", "-a", template + "/.", WORK], check=True)


def qcow2_of(path):
    """(size, {name: content} of the snapshots) of a qcow2 image."""
    status, out, err = run(["qemu-img", "info", "--output=json", "-f", "qcow2", path])
    expect(status == 0, err)
    info, found = json.loads(out), {}
    for snapshot in info.get("snapshots", []):
        name, to = snapshot["name"], space.path("snapshot")
        run(["qemu-img", "convert", "-l", f"snapshot.name={name}", "-f", "qcow2", "-O", "raw",
             path, to])
        with open(to, "rb") as stream:
            found[name] = stream.read()
    return info["virtual-size"], found


def backing_of(path):
    return json.loads(run(["qemu-img", "info", "--output=json", path])[1]).get("backing-filename")


def format_of(path):
    return json.loads(run(["qemu-img", "info", "--output=json", path])[1])["format"]


CLEAN = (0, 3, 63)  # what qemu-img check ends with; 3: space that nothing uses, 63: it can't tell


def same_image(path, content, strict=True):
    """
    Whether the image at PATH is clean and has the same data as the image with the bytes CONTENT.
    STRICT: and the same allocation; else the same backing file. Both are compared in copies without
    holes, because the strict comparison sees holes of a file.
    """
    with open(path, "rb") as stream:
        copies = {path + ".found": stream.read(), path + ".wanted": content}
    try:
        for name, data in copies.items():
            with open(name, "wb") as out:
                out.write(data)
        return same_copies(*copies, strict)
    finally:
        for name in copies:
            os.unlink(name)


def same_copies(found, wanted, strict):
    form = format_of(wanted)
    # A VHDX includes the content of its log; qemu-img wants the log to be replayed first.
    replay = ["-r", "all"] if form == "vhdx" else []
    if form != "raw" and run(["qemu-img", "check", "-q", *replay, "-f", form,
                              found])[0] not in CLEAN:
        return False
    if form == "qcow2" and qcow2_of(found) != qcow2_of(wanted):
        return False
    if not strict and backing_of(found) != backing_of(wanted):
        return False
    return run(["qemu-img", "compare", "-q", *["-s"] * strict, "-f", form, "-F", form, found,
                wanted])[0] == 0


# Images outside of pools: of tests/faults and tests/power.
IMAGE_FILES = ("image", "over", "copy")


def is_volume(name):
    return name.startswith(("pool/", "n/")) or name in IMAGE_FILES


def is_private(name):
    """Our own data: its names count, its bytes may differ (counters, times, random numbers)."""
    return name.startswith(("root/var/", "far/root/var/")) or name.endswith(".sealed")


def unlike(operation, found, wanted):
    """None when the files found are those wanted, else the first difference."""
    for name in sorted(set(found) | set(wanted)):
        if name not in found:
            return f"{name} is missing"
        if name not in wanted:
            return f"{name} is left over"
        if found[name] == wanted[name] or is_private(name):
            continue
        if is_volume(name) and operation.content == "any":
            continue
        if is_volume(name) and operation.content in ("images", "guest") and same_image(
                os.path.join(WORK, name), wanted[name], operation.content == "images"):
            continue
        return f"{name} has other content"
    return None


def between(operation, found, before, after):
    """The first file that is neither as before nor as after; None when all are one or other."""
    for name in sorted(set(found) | set(before) | set(after)):
        one = {name: found[name]} if name in found else {}
        if all(unlike(operation, one, {name: those[name]} if name in those else {})
               for those in (before, after)):
            return name
    return None


def check_state(operation, before, after):
    found = picture()
    if operation.partway:
        name = between(operation, found, before, after)
        expect(name is None, f"{name} is neither as before nor as after")
        return unlike(operation, found, after) is not None
    first, second = unlike(operation, found, before), unlike(operation, found, after)
    expect(first is None or second is None,
           f"neither before ({first}) nor after ({second})")
    return first is None
