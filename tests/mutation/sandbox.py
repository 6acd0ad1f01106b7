# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where tests of mutants run: they are root, and a mutant may delete, write or kill anything.

bubblewrap gives each run namespaces of its own. The whole file system is read-only, /tmp, /run and
/var/tmp are small file systems in memory, /dev has no disks, there is no network but loopback, and
whatever was started ends with the run.
"""

import os
import subprocess
import time

TMP_BYTES = 2 << 30
ADDRESS_SPACE_BYTES = 8 << 30
# Root by name only: what would reach the machine itself is taken away.
CAPABILITIES = ["CAP_SYS_BOOT", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_MKNOD"]


def command(words, visible, writable=(), limits=True):
    """
    @words wrapped up; @visible folders are seen even below /tmp, @writable can be written to.
    @limits: of the address space, of which AddressSanitizer takes terabytes.
    """
    wrapped = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for place in ("/tmp", "/var/tmp", "/run"):
        wrapped += ["--size", str(TMP_BYTES), "--tmpfs", place]
    wrapped += ["--chmod", "1777", "/tmp", "--chmod", "1777", "/var/tmp"]
    for folder in visible:
        wrapped += ["--ro-bind", folder, folder]
    for folder in writable:
        wrapped += ["--bind", folder, folder]
    wrapped += ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts",
                "--die-with-parent", "--new-session", "--cap-add", "ALL"]
    for capability in CAPABILITIES:
        wrapped += ["--cap-drop", capability]
    address_space = [f"--as={ADDRESS_SPACE_BYTES}"] if limits else []
    return [*wrapped, "prlimit", *address_space, "--core=0", "--", *words]


# What malloc() gives is not zero by chance, so that reading too far shows.
ENVIRONMENT = {"TMPDIR": "/tmp", "MALLOC_PERTURB_": "165"}


def run(words, folder, env, seconds, visible, writable=(), limits=True):
    """(the exit status, or None when time was up; how many seconds it took)."""
    started = time.monotonic()
    process = subprocess.Popen(command(words, visible, writable, limits), cwd=folder,
                               env=dict(os.environ, **ENVIRONMENT, **env), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        status = process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        status = None
    return status, time.monotonic() - started
