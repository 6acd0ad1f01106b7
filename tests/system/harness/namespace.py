# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mount namespace of the run's own, so that what tests mount goes away with them."""

import os
import subprocess
import sys


def enter(script):
    """Starts @script again in one, where that can be had; CST_PRIVATE_MOUNTS then says so."""
    if os.geteuid() != 0 or "CST_PRIVATE_MOUNTS" in os.environ:
        return
    able = subprocess.run(["unshare", "-m", "--propagation", "private", "mount", "-t", "tmpfs",
                           "tmpfs", "/mnt"], stderr=subprocess.DEVNULL).returncode == 0
    os.environ["CST_PRIVATE_MOUNTS"] = "1" if able else "0"
    if able:
        # Shared again inside, so that libvirtd's namespace below sees what tests mount later.
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", "sh", "-c",
                              'mount --make-rshared / && exec "$@"', "sh", sys.executable,
                              os.path.abspath(script), *sys.argv[1:]])
