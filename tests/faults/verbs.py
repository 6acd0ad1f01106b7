# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The changing verbs of the command line, each with the operations that tests/faults plays.

The operations of tests/crash come from tests/system/harness/operations.py. The ones here are of
verbs that tests/crash does not play. ELSEWHERE has a reason for each verb without an operation.
"""

import os

from harness.operations import OPERATIONS, OVERLAY, WORK, Operation

# Records and caches of the user, which are restored with the other files.
USER = os.path.join(WORK, "user")
REPO = ["backup-init {w}/repo --no-encryption", "backup-create {w}/repo p/raw",
        "vol-upload raw {f}/payload --pool p", "backup-create {w}/repo p/raw"]
IMAGES = ["image-convert {p}/cow {w}/image -f qcow2 -O qcow2"]
OVER_IMAGE = IMAGES + ["image-create {w}/over --format qcow2 -b {w}/image -F qcow2"]
SHOT_IMAGE = IMAGES + ["image-snapshot {w}/image -f qcow2 --create s"]

MORE = [
    Operation("define-as", "pool-define-as n dir --target {w}/n"),
    Operation("create-pool-as", "pool-create-as n dir --target {w}/n --build", partway=True),
    Operation("pool-trash", "pool-trash p --days 7"),
    Operation("pool-trust", "pool-trust p --follow none"),
    Operation("create-document", "vol-create p {f}/toraw.xml"),
    Operation("trust", "vol-trust over --pool p", OVERLAY),
    Operation("bitmap", "vol-bitmap cow b --pool p --add", content="images"),
    Operation("check-repair", "vol-check cow --pool p --repair all", content="images"),
    Operation("import", "vol-import {f}/payload new --pool p --source-format raw"),
    Operation("download", "vol-download raw {w}/copy --pool p", content="any"),
    Operation("export", "vol-export cow {w}/copy --pool p --format raw"),
    Operation("backup-init", "backup-init {w}/repo --no-encryption", content="any", partway=True),
    Operation("backup-create", "backup-create {w}/repo p/raw", REPO, content="repository"),
    Operation("backup-restore", "backup-restore {w}/repo latest --newname new", REPO,
              content="repository"),
    Operation("backup-prove", "backup-prove {w}/repo latest --content-only --pool p", REPO,
              content="repository"),
    Operation("backup-forget", "backup-forget {w}/repo latest --yes", REPO, content="repository"),
    Operation("backup-prune", "backup-prune {w}/repo",
              REPO + ["backup-forget {w}/repo latest --yes"], content="repository"),
    Operation("backup-repair", "backup-repair {w}/repo", REPO, content="repository"),
    Operation("backup-unlock", "backup-unlock {w}/repo", REPO, content="repository"),
    Operation("image-create", "image-create {w}/image 1M --format qcow2", content="images"),
    Operation("image-convert", "image-convert {p}/cow {w}/image -f qcow2 -O raw", content="images"),
    Operation("image-dd", "image-dd -f qcow2 -O raw if={p}/cow of={w}/image", content="images"),
    Operation("image-bench", "image-bench {w}/image -f qcow2 -w -c 4 -s 512 --yes", IMAGES,
              content="any"),
    Operation("image-check", "image-check {w}/image -f qcow2 --repair all", IMAGES,
              content="images"),
    Operation("image-amend", "image-amend {w}/image -f qcow2 -o lazy_refcounts=on", IMAGES,
              content="images"),
    Operation("image-resize", "image-resize {w}/image +1M -f qcow2", IMAGES, content="images"),
    Operation("image-snapshot", "image-snapshot {w}/image -f qcow2 --apply s --yes", SHOT_IMAGE,
              content="images"),
    Operation("image-commit", "image-commit {w}/over -f qcow2 --backing-chain --yes", OVER_IMAGE,
              content="any"),
    Operation("image-rebase", "image-rebase {w}/over -f qcow2 -b {p}/cow -F qcow2 --backing-chain",
              OVER_IMAGE, content="images"),
    Operation("image-flatten", "image-flatten {w}/over -f qcow2 --backing-chain", OVER_IMAGE,
              content="images"),
    Operation("image-sparsify", "image-sparsify {w}/image -f qcow2", IMAGES, content="images"),
    Operation("image-bitmap", "image-bitmap {w}/image b -f qcow2 --add", IMAGES, content="images"),
]

# Operations of tests/crash that this suite plays, one of a kind.
CRASH = ("create-raw", "create-qcow2", "create-overlay", "clone-qcow2", "create-from-raw",
         "resize-raw-allocate", "resize-qcow2", "delete-raw", "upload", "wipe", "flatten", "commit",
         "rebase", "convert", "move-raw", "move-converted", "sparsify", "snap-create-qcow2",
         "snap-revert-qcow2", "snap-delete-qcow2", "snap-rename-qcow2", "snap-clone-qcow2",
         "rename", "rename-base", "trash", "trash-restore", "trash-empty", "define", "undefine",
         "autostart", "protect", "unprotect", "build", "start", "create-transient", "destroy",
         "pool-delete", "secret-define", "secret-set", "secret-undefine", "secret-seal",
         "secret-unseal")

PLAYED = [one for one in OPERATIONS if one.name in CRASH] + MORE

# Verbs without an operation here, and the reason.
ELSEWHERE = {
    "pool-edit": "defines what an editor has written: pool-define",
    "secret-rotate": "needs a server: tests/network",
    "vol-copy": "needs a second host: tests/system/copy_test.py",
    "vol-serve": "lasts until it is ended: tests/unit/nbd",
    "job-cancel": "needs a job of a daemon: tests/system/jobs_test.py",
    "job-rate": "needs a job of a daemon: tests/system/jobs_test.py",
}

# Operations that make a pool "n" whose UUID is random.
RANDOM_UUIDS = {"define-as", "create-pool-as"}

# By operation: variables of the environment.
ENVIRONMENTS = {}

# By operation and kind of call: a failure that leaves what the suite refuses, and the reason.
EXEMPT = {}


def verb_of(operation):
    return operation.command.split()[0]
