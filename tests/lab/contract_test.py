#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The contract of all backends (tests/contract) on volume groups, thick and thin."""
# lab: -m 2048 -d 1G -d 1G

import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from kit import BUILD, case, disk, expect, main, wipe_disks  # noqa: E402

# LVM takes its time in a machine without KVM: the tests that differ most by technology, or those
# that are named. "" names all of them.
CHOSEN = ["tool did", "dead process", "its source's content", "content before"]
PROGRAM = os.path.join(BUILD, "tests/contract/contract")


def contract(ground, chosen):
    env = dict(os.environ, CISTERN_CONTRACT_DISKS=f"{disk(0)} {disk(1)}",
               CMOCKA_MESSAGE_OUTPUT="TAP")
    env.setdefault("CISTERN_CONTRACT_STEPS", "12")
    wipe_disks(disk(0), disk(1))
    bad = []
    for pattern in sys.argv[1:] or chosen:
        started = time.monotonic()
        done = subprocess.run([PROGRAM, ground, pattern], env=env, text=True, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        seconds = time.monotonic() - started
        print(f"# {ground} '{pattern}': {done.returncode}, {seconds:.0f} s", flush=True)
        if done.returncode:
            bad += [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
            print("# " + "\n# ".join(bad), flush=True)
    expect(not bad, "\n# ".join(bad))


@case
def thick_volumes_keep_the_contract():
    contract("logical", CHOSEN)


@case
def thin_volumes_keep_the_contract():
    contract("logical-thin", CHOSEN)


@case
def random_steps_on_thick_volumes_keep_to_the_model():
    contract("logical", ["random steps"])


@case
def random_steps_on_thin_volumes_keep_to_the_model():
    contract("logical-thin", ["random steps"])


main()
