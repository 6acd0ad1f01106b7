# SPDX-License-Identifier: LGPL-2.1-or-later
"""The scratch space of one run: one directory that goes away with everything mounted in it."""

import atexit
import os
import shutil
import subprocess
import tempfile

from . import wait

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
CISTERN = os.path.join(BUILD, "cistern")
CISTERND = os.path.join(BUILD, "cisternd")
IS_ROOT = os.geteuid() == 0

# Output is compared byte by byte: no locale, no user's configuration, no colours.
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
       "LIBVIRT_AUTOSTART": "0", "TERM": "dumb", "CISTERN_CONFIG": "/dev/null"}
for _name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "G_SLICE",
              "CISTERN_CRASH_AT", "CISTERN_CRASH_LOG", "CISTERN_CRASH_STOP",
              "GCOV_PREFIX", "GCOV_ERROR_FILE"):  # the last two: tests/mutation
    if _name in os.environ:
        ENV[_name] = os.environ[_name]

# What a sanitizer's build is linked with, and other users may not be able to reach (scripts/test).
LIBRARIES = os.environ.get("CST_LIBRARIES")

_mounts = []


def _leave(base):
    for where in reversed(_mounts):
        subprocess.run(["umount", "-l", where], stderr=subprocess.DEVNULL)
    shutil.rmtree(base, ignore_errors=True)


def _enter():
    base = tempfile.mkdtemp(prefix="cst-")
    os.chmod(base, 0o755)
    atexit.register(_leave, base)
    os.makedirs(os.path.join(base, "home"))
    ENV["HOME"] = os.path.join(base, "home")
    return base


BASE = _enter()


def path(*parts):
    return os.path.join(BASE, *parts)


def private_mounts():
    """True inside the private mount namespace that `run` enters when it can."""
    return IS_ROOT and os.environ.get("CST_PRIVATE_MOUNTS") == "1"


def mount(where, *arguments, **options):
    """Mounts for the rest of the run (or until unmount); the caller checked private_mounts()."""
    os.makedirs(where, exist_ok=True)
    subprocess.run(["mount", *arguments, where], check=True, **options)
    _mounts.append(where)


def mount_over(where, source):
    """Binds the file @source over the file @where for the rest of the run."""
    subprocess.run(["mount", "--bind", source, where], check=True)
    _mounts.append(where)


def unmount(where):
    subprocess.run(["umount", "-l", where], check=True)
    _mounts.remove(where)


def umount(where):
    """
    As an administrator does it, behind the daemon's back: once more while somebody is in there for a
    moment, as the daemon is when it sees whether the storage answers.
    """
    wait.until(lambda: subprocess.run(["umount", where], check=False).returncode == 0,
               f"'{where}' is unmounted")


def tmpfs(where, size):
    mount(where, "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs")


def as_other_user():
    """
    (cistern, environment) for a test that runs it as somebody else: copies, because the build may be
    where only its owner can look.
    """
    program = shutil.copy(CISTERN, path("cistern-of-user"))
    os.chmod(program, 0o755)
    if not LIBRARIES:
        return program, {}
    shutil.copytree(LIBRARIES, path("libraries"), dirs_exist_ok=True)
    return program, {"LD_LIBRARY_PATH": path("libraries")}
