#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pools of type zfs: the same commands to stock libvirtd and to cisternd."""
# lab-long: -m 2048 -d 512M

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import compare  # noqa: E402
from kit import MIB, WORK, Ours, disk, main, run  # noqa: E402
from services import zfs  # noqa: E402

OURS = Ours()


def sizes(stock, ours):
    """What is allocated, and available, is counted otherwise (docs/compatibility.md); libvirt shows
    16 MiB as the capacity of a sparse volume of 32."""
    return [[side[0], re.sub(r"(Capacity|Allocation|Available): .*"
                             r"|\s*<(capacity|allocation|available)\b.*", r"\1", side[1]), side[2]]
            for side in (stock, ours)]


def document(stock, ours):
    """Ours has owner and mode besides, what is physical, and ZFS's properties."""
    text = re.sub(r"\s*<permissions>.*</permissions>|\s*<physical .*?</physical>"
                  r"|\s*<cistern:options>.*</cistern:options>| xmlns:cistern='[^']*'", "", ours[1],
                  flags=re.S)
    return sizes(stock, [ours[0], text, ours[2]])


def rows(stock, ours):
    """Rows of vol-list --details without the sizes."""
    def cut(text):
        return "\n".join(" ".join(line.split()[:3]) for line in text.splitlines()
                         if not line.startswith("--"))
    return [0, cut(stock[1]), ""], [0, cut(ours[1]), ""]


STEPS = [
    ("pool-define-as z zfs --source-name tank --source-dev {disk}", None),
    ("pool-build z", None),
    ("pool-build z", r"exists already"),
    ("pool-start z", None),
    ("pool-info z", sizes),
    ("pool-dumpxml z", sizes),
    ("vol-create-as z v 16M", None),
    ("vol-create-as z v 16M", None),
    ("vol-create-as z sparse 32M --allocation 0", None),
    ("vol-list z --details", rows),
    ("vol-dumpxml v z", document),
    ("vol-dumpxml sparse z", document),
    ("vol-info sparse z", sizes),
    ("vol-path v z", None),
    ("vol-name /dev/zvol/tank/v", None),
    ("vol-upload v {file} z", None),
    ("vol-download v {there} z --length 1M", None),
    # udev has it open for a moment yet, which libvirt does not wait for.
    ("vol-delete v z", r"Vol v deleted"),
    ("vol-delete v z", r"no storage vol with matching"),
    ("pool-refresh z", None),
    ("vol-list z", None),
    ("vol-create-as z big 100G", r"out of space"),
    ("pool-define-as d zfs --source-name tank/none", None),
    ("pool-start d", r"tank/none"),
    ("pool-delete z", None),
    ("pool-destroy z", None),
    ("pool-delete z", r"would be removed with all that it holds"),
    ("pool-undefine z", None),
]


def prepare():
    zfs.require()
    zfs.destroy_pool("tank")
    run("wipefs", "-aq", disk(0))


def values():
    file = os.path.join(WORK, "bytes")
    with open(file, "wb") as data:
        data.write(os.urandom(MIB))
    return {"disk": disk(0), "file": file, "there": file + ".back"}


compare(OURS, STEPS, prepare, values)
main()
