# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The kernel's NFS server (v3 with locks, v4), and what a client needs for locks.

An overlay can't be exported, so everything exported lies in a file system in memory at ROOT, which
is the server's own /: what clients call /NAME is ROOT/NAME here, in all versions.
"""

import os

from kit import run, wait_until, write
from services import network

ROOT = "/srv/nfs"
PORT, MOUNTD_PORT = 2049, 20048
OPTIONS = "rw,no_root_squash,insecure,no_subtree_check"
STATE = "/var/lib/nfs"


def serve():
    """Without the pause in which clients of an earlier server could reclaim their locks."""
    run("rpc.nfsd", "-G", "10", "-L", "10", "4")
    for path in ("/proc/fs/nfsd/v4_end_grace", "/proc/fs/lockd/nlm_end_grace"):
        write(path, "Y")


def start():
    run("modprobe", "-a", "nfsd", "nfs", "nfsv3", "nfsv4")
    for folder in ("/run/rpcbind", "/run/sendsigs.omit.d", ROOT, STATE,
                   *(f"{STATE}/{name}" for name in ("sm", "sm.bak", "v4recovery", "rpc_pipefs"))):
        os.makedirs(folder, exist_ok=True)
    for name in ("etab", "rmtab"):
        write(f"{STATE}/{name}", "")
    write("/etc/exports", "")
    write("/etc/nfs.conf", f"[exports]\nrootdir={ROOT}\n")
    run("chown", "_rpc", "/run/rpcbind")
    run("chown", "statd", f"{STATE}/sm", f"{STATE}/sm.bak")
    run("mount", "-t", "tmpfs", "nfs", ROOT)
    run("mount", "-t", "nfsd", "nfsd", "/proc/fs/nfsd")
    run("rpcbind", "-w")
    run("rpc.statd")
    serve()
    run("rpc.mountd", "--port", str(MOUNTD_PORT))


def export(name, options=OPTIONS, client="*"):
    """The folder here that clients now see as /NAME."""
    path = os.path.join(ROOT, name)
    os.makedirs(path, exist_ok=True)
    # A file system in memory has no uuid that handles of files could begin with.
    run("exportfs", "-o", f"{options},fsid={os.stat(path).st_ino}", f"{client}:/{name}")
    return path


def unexport(name, client="*"):
    run("exportfs", "-u", f"{client}:/{name}")


def stop():
    """The server is gone: connections are refused. What was exported still is when it is back."""
    run("rpc.nfsd", "0")


def restart():
    serve()


def freeze():
    """The server is silent."""
    network.silence(PORT, MOUNTD_PORT)


def thaw():
    network.hear()


def is_heard():
    return wait_until(lambda: run("rpcinfo", "-t", "127.0.0.1", "nfs", check=False)[0] == 0)
