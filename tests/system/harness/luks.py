# SPDX-License-Identifier: LGPL-2.1-or-later
"""Encrypted images as qemu-img makes them."""

import subprocess

# qemu-img times its key derivation by the CPU time of its thread. A kernel that accounts CPU time in
# ticks may count none for a run of some milliseconds, and then qemu-img gives up: on some machines
# in a fifth to a half of all calls, whatever iter-time is asked for.
TOO_COARSE = "Unable to get accurate CPU usage"
ATTEMPTS = 50


def create(path, size, fmt="luks", passphrase="x", **options):
    """
    Make an image of @fmt, "luks" or "qcow2", that opens with @passphrase. Options of LUKS are named
    as qemu-img names them, with "_" for "-". Takes seconds, which are CPU time of qemu-img.
    """
    table = {"key-secret": "s", "iter-time": 10,
             **{name.replace("_", "-"): value for name, value in options.items()}}
    if fmt == "qcow2":
        table = {"encrypt." + name: value for name, value in {"format": "luks", **table}.items()}
    command = ["qemu-img", "create", "-q", "-f", fmt, "--object", f"secret,id=s,data={passphrase}",
               "-o", ",".join(f"{name}={value}" for name, value in table.items()), path, str(size)]
    for _attempt in range(ATTEMPTS):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode == 0:
            return
        if TOO_COARSE not in done.stdout:
            break
    raise ChildProcessError(f"{' '.join(command)}: {done.stdout.strip()}")
