#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A pool on an NFS server, beside stock libvirtd."""
# lab-long: -m 2048

import functools
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from comparison import compare  # noqa: E402
from kit import MIB, WORK, Ours, main, run  # noqa: E402
from services import nfs  # noqa: E402

HOST = "127.0.0.1"
TARGET = os.path.join(WORK, "mnt")
DEFINE = f"pool-define-as {{}} netfs --source-host {HOST} --source-path {{}} --target {TARGET}"

STEPS = [
    (f"find-storage-pool-sources-as netfs {HOST}", None),
    (DEFINE.format("n", "/one"), None),
    ("pool-dumpxml n", None),
    ("pool-start n", "No such file|does not exist"),
    ("pool-build n --overwrite", None),
    ("pool-build n", None),
    ("pool-start n", None),
    ("pool-start n", None),
    ("pool-list --all", None),
    ("vol-create-as n v 1M", None),
    ("vol-create-as n q 1M --format qcow2", None),
    ("vol-create-as n v 1M", None),
    ("vol-clone v w --pool n", None),
    ("vol-resize w 2M --pool n", None),
    ("vol-upload v {file} n", None),
    ("vol-download v {there} n", None),
    ("vol-info v n", None),
    ("vol-path v n", None),
    ("vol-pool {target}/v", None),
    ("vol-list n", None),
    ("vol-delete w n", None),
    ("vol-delete w n", None),
    ("pool-refresh n", None),
    ("pool-delete n", None),
    ("pool-destroy n", None),
    ("pool-start n", None),
    ("vol-list n", None),
    ("pool-destroy n", None),
    ("pool-delete n", None),
    ("pool-undefine n", None),
    (DEFINE.format("m", "/none"), None),
    ("pool-build m", None),
    ("pool-start m", "denied|No such file"),
    ("pool-undefine m", None),
]


@functools.cache
def server():
    nfs.start()


def prepare():
    """An export without anything in it, mounted nowhere."""
    server()
    run("umount", "-q", TARGET, check=False)
    shutil.rmtree(TARGET, ignore_errors=True)
    shutil.rmtree(os.path.join(nfs.ROOT, "one"), ignore_errors=True)
    nfs.export("one")


def values():
    file = os.path.join(WORK, "bytes")
    with open(file, "wb") as data:
        data.write(os.urandom(MIB))
    return {"file": file, "there": file + ".back", "target": TARGET}


compare(Ours(), STEPS, prepare, values)
main()
