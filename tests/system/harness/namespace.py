# SPDX-License-Identifier: LGPL-2.1-or-later
"""
A mount namespace of the run's own, so that what tests mount goes away with them, and for tests over a
network one of the network as well: servers have their usual ports there, and nobody else's.
"""

import os
import subprocess
import sys


def enter(script, network=False):
    """
    Starts @script again in them, where they can be had; CST_PRIVATE_MOUNTS, CST_PRIVATE_NETWORK then
    say so.
    """
    if os.geteuid() != 0 or "CST_PRIVATE_MOUNTS" in os.environ:
        return
    able = subprocess.run(["unshare", "-m", "--propagation", "private", "mount", "-t", "tmpfs",
                           "tmpfs", "/mnt"], stderr=subprocess.DEVNULL).returncode == 0
    alone = able and network and subprocess.run(
        ["unshare", "-n", "ip", "link", "set", "lo", "up"], stderr=subprocess.DEVNULL,
        check=False).returncode == 0
    os.environ["CST_PRIVATE_MOUNTS"] = "1" if able else "0"
    os.environ["CST_PRIVATE_NETWORK"] = "1" if alone else "0"
    if able:
        # Shared again inside, so that libvirtd's namespace below sees what tests mount later.
        os.execvp("unshare", ["unshare", "-m", *(["-n"] if alone else []), "--propagation", "private",
                              "sh", "-c", 'mount --make-rshared / && ' +
                              ("ip link set lo up && " if alone else "") + 'exec "$@"', "sh",
                              sys.executable, os.path.abspath(script), *sys.argv[1:]])
