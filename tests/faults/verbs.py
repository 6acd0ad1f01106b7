# SPDX-License-Identifier: LGPL-2.1-or-later
"""
The changing verbs of the command line, each with the operations that tests/faults plays.

The operations of tests/crash come from tests/system/harness/operations.py. The ones here are of
verbs that tests/crash does not play. ELSEWHERE has a reason for each verb without an operation.
"""

import os

from harness import space
from harness.operations import DEFINED, EMBED, OPERATIONS, OVERLAY, TAGGED, TAGS, WORK, Operation

# Records and caches of the user, which are restored with the other files.
USER = os.path.join(WORK, "user")
# Another host, whose root is a directory of its own.
FAR = "storage:///embed?root={w}/far/root"
FAR_POOL = ["!mkdir -p {w}/far/pool",
            f"-c {FAR} pool-define-as far dir --target {{w}}/far/pool", f"-c {FAR} pool-start far"]
REPO = ["backup-init {w}/repo --no-encryption", "backup-create {w}/repo p/raw",
        "vol-upload raw {f}/payload --pool p", "backup-create {w}/repo p/raw"]
# Each pack is damaged.
DAMAGED_REPO = [*REPO, "!sh -c 'for f in {w}/repo/packs/*; do printf damage | "
                "dd of=$f bs=1 seek=200 conv=notrunc; done'"]
# A process that held the lock was killed.
LOCKED_REPO = [*REPO, f"!sh -c '{space.CISTERN} -c {EMBED} backup-prove {{w}}/repo latest "
               "--content-only --pool p --rate-limit 1k & until ls {w}/repo/locks | grep -q .; "
               "do kill -0 $! || exit 1; done; kill -9 $!; wait; true'"]
# The cluster after the last one is counted.
LEAK = ("!python3 -c \"import os; f = open('{image}', 'r+b'); n = os.fstat(f.fileno()).st_size; "
        "f.seek(0x20000 + 2 * -(-n // 65536)); f.write(b'\\0\\1')\"")
IMAGES = ["image-convert {p}/cow {w}/image -f qcow2 -O qcow2"]
OVER_IMAGE = IMAGES + ["image-create {w}/over --format qcow2 -b {w}/image -F qcow2"]
SCHEDULE = ["schedule-create nightly --every daily --do snapshot --keep-last 2 p"]
SHOT_IMAGE = IMAGES + ["image-snapshot {w}/image -f qcow2 --create s"]
# The database has times and a random UUID: the output is compared.
MUTE = "doctor --mute chain-loop --until 2035-01-01T00:00:00Z"
MUTES = "doctor --mutes --json"
SCHEDULES = "schedule-list --columns name,action,every,paused --parsable"

MORE = [
    Operation("define-as", "pool-define-as n dir --target {w}/n"),
    Operation("create-pool-as", "pool-create-as n dir --target {w}/n --build", partway=True),
    Operation("pool-trash", "pool-trash p --days 7"),
    Operation("pool-limits", "pool-limits p --overcommit 1.5 --quota 1T"),
    Operation("create-limited", "vol-create-as p new 1M", ["pool-limits p --quota 1T"]),
    Operation("pool-chains", "pool-chains p --warn 8 --refuse 16"),
    Operation("create-in-chain", "vol-create-as p new 1M --format qcow2 --backing-vol cow "
              "--backing-vol-format qcow2", ["pool-chains p --warn 2 --refuse 2"],
              content="images"),
    Operation("pool-thresholds", "pool-thresholds p --warn 80"),
    Operation("pool-autoextend", "pool-autoextend g --threshold 80 --step 10",
              ["pool-define-as g logical --source-name vg --target /dev/vg"]),
    Operation("pool-edit", "pool-edit n", DEFINED),
    Operation("pool-trust", "pool-trust p --follow none"),
    Operation("create-document", "vol-create p {f}/toraw.xml"),
    Operation("trust", "vol-trust over --pool p", OVERLAY),
    Operation("bitmap", "vol-bitmap cow b --pool p --add", content="images"),
    Operation("check-repair", "vol-check cow --pool p --repair all",
              [LEAK.replace("{image}", "{p}/cow")], content="images"),
    Operation("vol-copy", f"vol-copy raw --pool p --to {FAR} --newpool far", FAR_POOL,
              shows=f"-c {FAR} vol-list far --columns name --filter name=raw"),
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
    Operation("backup-repair", "backup-repair {w}/repo", DAMAGED_REPO, content="repository"),
    Operation("backup-unlock", "backup-unlock {w}/repo", LOCKED_REPO, content="repository"),
    Operation("image-create", "image-create {w}/image 1M --format qcow2", content="images"),
    Operation("image-convert", "image-convert {p}/cow {w}/image -f qcow2 -O raw", content="images"),
    Operation("image-dd", "image-dd -f qcow2 -O raw if={p}/cow of={w}/image", content="images"),
    Operation("image-bench", "image-bench {w}/image -f qcow2 -w -c 4 -s 512 --yes", IMAGES,
              content="any"),
    Operation("image-check", "image-check {w}/image -f qcow2 --repair all",
              [*IMAGES, LEAK.replace("{image}", "{w}/image")],
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
    Operation("schedule-create-first", SCHEDULE[0], shows=SCHEDULES),
    Operation("schedule-create", "schedule-create weekly --every weekly --do check p", SCHEDULE,
              shows=SCHEDULES),
    Operation("schedule-edit", "schedule-edit nightly --every 02:00", SCHEDULE, shows=SCHEDULES),
    Operation("schedule-pause", "schedule-pause nightly", SCHEDULE, shows=SCHEDULES),
    Operation("schedule-resume", "schedule-resume nightly",
              [*SCHEDULE, "schedule-pause nightly"], shows=SCHEDULES),
    Operation("schedule-delete", "schedule-delete nightly --yes", SCHEDULE, shows=SCHEDULES),
    Operation("tag-first", TAGGED[0], shows=TAGS),
    Operation("note", "vol-note cow text --pool p", TAGGED, shows=TAGS),
    Operation("doctor-first", "doctor --mute chain-loop --until 2035-01-01T00:00:00Z", shows=MUTES),
    Operation("doctor", "doctor --mute chain-loop:p/v --until 2035-01-01T00:00:00Z", [MUTE], shows=MUTES),
    Operation("doctor-unmute", "doctor --unmute chain-loop", [MUTE], shows=MUTES),
    Operation("image-bitmap", "image-bitmap {w}/image b -f qcow2 --add", IMAGES, content="images"),
]

# Operations of tests/crash that this suite plays, one of a kind.
CRASH = ("create-raw", "create-qcow2", "create-overlay", "clone-qcow2", "create-from-raw",
         "resize-raw-allocate", "resize-qcow2", "delete-raw", "upload", "wipe", "flatten", "commit",
         "consolidate", "consolidate-delete", "rebase", "convert", "move-raw", "move-converted",
         "sparsify", "snap-create-qcow2",
         "snap-revert-qcow2", "snap-delete-qcow2", "snap-rename-qcow2", "snap-clone-qcow2",
         "rename", "rename-base", "trash", "trash-restore", "trash-empty", "define", "undefine",
         "autostart", "protect", "unprotect", "build", "start", "create-transient", "destroy",
         "pool-delete", "secret-define", "secret-set", "secret-undefine", "secret-seal",
         "snap-create", "snap-revert", "snap-delete", "snap-rename", "snap-clone",
         "move-with-snapshots", "delete-with-snapshots", "trash-with-snapshots",
         "tag", "rename-tagged", "move-tagged", "snap-rename-tagged",
         "secret-unseal", "secret-rotate", "secret-rotate-sealed", "wipe-slow")

PLAYED = [one for one in OPERATIONS if one.name in CRASH] + MORE

# Verbs without an operation here, and the reason.
ELSEWHERE = {
    "vol-serve": "lasts until it is ended: tests/unit/nbd",
    "job-cancel": "needs a job of a daemon: tests/unit/store/job_steps_test.c",
    "job-rate": "needs a job of a daemon: tests/unit/store/job_steps_test.c",
    "pool-usage-sample": "its history has the time: tests/unit/store/usage_test.c",
    "schedule-run": "names its snapshots by the time: tests/system/schedules_test.py",
}

# Operations that make a pool "n" whose UUID is random.
RANDOM_UUIDS = {"define-as", "create-pool-as"}

# Operations that keep the guest's content at every moment, and copy clusters into the image first.
SAME_GUEST = {"rebase", "flatten", "image-rebase", "image-flatten"}

# By operation: files that a failure leaves, with which a repetition continues.
RESUMED = {"vol-copy": ["far/pool/raw.partial"]}

# By operation: variables of the environment.
ENVIRONMENTS = {"pool-edit": {"VISUAL": "sed -i s,/work/n<,/work/m<,"}}

# By operation and kind of call: a failure that leaves what the suite refuses, and the reason.
JOURNAL = "SQLite deletes the journal of a new database, and the reason of its failure with it"
EXEMPT = {(name, kind): JOURNAL for name in ("schedule-create-first", "tag-first", "doctor-first")
          for kind in ("sync", "write")}


def verb_of(operation):
    return operation.command.split()[0]
