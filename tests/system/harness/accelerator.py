# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether KVM runs guests here. /dev/kvm can be opened on machines where it does not."""

import functools
import os
import subprocess

from . import space

KVM = "/dev/kvm"
FIRMWARE = "/usr/share/ovmf/OVMF.fd"
# The firmware switches through all modes of the processor before it prints this.
SIGN = "BdsDxe"
LIMIT_S = 60


@functools.cache
def kvm_runs_guests():
    """
    Starts a guest as backup-prove does (src/guest/boot.c), with KVM alone: an accelerator is trusted
    when the firmware of that guest reports on the serial console. A guest that hangs, QEMU's
    "internal-error" and a processor that KVM refuses all count as no KVM.
    """
    if not os.access(KVM, os.R_OK | os.W_OK) or not os.path.exists(FIRMWARE):
        return False
    command = ["timeout", "-k", "5", str(LIMIT_S), "qemu-system-x86_64", "-nodefaults",
               "-no-user-config", "-display", "none", "-nic", "none", "-machine", "q35", "-accel", "kvm",
               "-cpu", "max", "-m", "256M", "-bios", FIRMWARE, "-serial", "stdio"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, errors="replace") as guest:
        found = any(SIGN in line for line in guest.stdout)
        guest.terminate()
    return found


def hide_broken_kvm():
    """
    Covers /dev/kvm in this run's mount namespace when KVM runs no guests, so that QEMU chooses its
    own emulation, as it does on a machine without KVM. Returns whether /dev/kvm was covered; the
    caller then calls space.unmount(KVM).
    """
    if kvm_runs_guests() or not os.path.exists(KVM) or not space.private_mounts():
        return False
    cover = space.path("no-kvm")
    with open(cover, "w", encoding="utf-8"):
        os.chmod(cover, 0)
    space.mount_over(KVM, cover)
    return True
