# SPDX-License-Identifier: LGPL-2.1-or-later
"""
One Gluster server with one volume of one brick, for mounts by FUSE.

Gluster refuses the loopback's addresses, so the server has an interface of its own.
"""

import os

from kit import expect, run, wait_until

HOST, VOLUME = "192.168.77.1", "gv"
INTERFACE, BRICKS = "gluster0", "/srv/brick"


def gluster(*words, check=True):
    return run("gluster", "--mode=script", *words, check=check)


def start():
    run("modprobe", "-a", "fuse", "dummy", "ext4", "loop")
    for folder in (BRICKS, "/run/gluster", "/var/log/glusterfs", "/var/lib/glusterd"):
        os.makedirs(folder, exist_ok=True)
    run("truncate", "-s", "256M", "/tmp/brick")
    run("mkfs.ext4", "-q", "/tmp/brick")
    run("mount", "-o", "loop", "/tmp/brick", BRICKS)
    run("ip", "link", "add", INTERFACE, "type", "dummy")
    run("ip", "addr", "add", f"{HOST}/24", "dev", INTERFACE)
    run("ip", "link", "set", INTERFACE, "up")
    serve()
    add_volume(VOLUME)


def serve():
    run("glusterd")
    expect(wait_until(lambda: gluster("pool", "list", check=False)[0] == 0),
           "glusterd does not come up")


def add_volume(name):
    brick = os.path.join(BRICKS, name)
    os.makedirs(brick, exist_ok=True)
    gluster("volume", "create", name, f"{HOST}:{brick}", "force")
    gluster("volume", "start", name)


def stop(name=VOLUME):
    """The volume's brick is gone; who has it mounted gets errors."""
    gluster("volume", "stop", name, "force")


def restart(name=VOLUME):
    gluster("volume", "start", name)
