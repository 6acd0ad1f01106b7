# SPDX-License-Identifier: LGPL-2.1-or-later
"""What power cuts are played of beyond the operations of tests/crash, and the defects planted."""

import re

from harness.operations import OVERLAY, Operation

# A root without anything in it: all directories are made on the way.
EMPTY = ["!rm -r {p}/../root/etc {p}/../root/var {p}/../root/run"]


def formats():
    """Images of all formats that volumes are made in but raw and qcow2, and what changes them."""
    for name in ("qcow", "qed", "vdi", "vmdk", "vpc", "vhdx"):
        made = [f"vol-create-as p image 1M --format {name}"]
        yield Operation("create-" + name, f"vol-create-as p new 1M --format {name}")
        yield Operation("convert-to-" + name, f"vol-convert cow new --pool p --format {name}")
        yield Operation("resize-" + name, "vol-resize image 8M --pool p", made, content="images")


MORE_OPERATIONS = [
    Operation("first-define", "pool-define {f}/pool.xml", EMPTY),
    Operation("first-secret", "secret-define {f}/secret.xml", EMPTY),
    Operation("create-dir", "vol-create-as p new 0 --format dir"),
    Operation("delete-overlay", "vol-delete over --pool p", OVERLAY),
    Operation("vol-trust", "vol-trust over --pool p",
              OVERLAY + ["vol-trust over --pool p --revoke"], shows="vol-info over --pool p"),
    Operation("vol-trust-revoke", "vol-trust over --pool p --revoke",
              OVERLAY + ["vol-trust over --pool p"], shows="vol-info over --pool p"),
    Operation("vol-trust-format", "vol-trust cow --pool p --format raw",
              shows="vol-dumpxml cow --pool p"),
    # What was uploaded is not trusted, and its content says that it is an overlay.
    Operation("upload-untrusted", "vol-upload image {p}/over --pool p",
              OVERLAY + ["vol-create-as p image 1M --format qcow2"], content="any",
              shows="vol-info image --pool p"),
    Operation("pool-trust", "pool-trust p --follow none", shows="pool-trust p"),
    Operation("image-create", "image-create {p}/new 1M --format qcow2"),
    Operation("image-convert", "image-convert {p}/cow {p}/raw --target-format raw --yes"),
    Operation("image-resize", "image-resize {p}/cow 3G", content="images"),
    *formats(),
]
# Played with the daemon as well, which does not close its database after each call, has threads
# for what goes on besides, and joins syncs of directories.
BY_DAEMON = ["create-qcow2", "clone-raw", "delete-raw", "resize-qcow2", "upload", "define",
             "autostart", "secret-set-again", "secret-rekey", "snap-create-qcow2", "vol-trust-revoke",
             "vol-trust-format", "pool-trust", "upload-untrusted", "secret-rotate", "rename-base"]

# What leaves an intent or the file of a job: the power fails again while that is settled.
TWICE = ["create-raw", "create-qcow2", "create-overlay", "clone-raw", "clone-qcow2",
         "create-from-raw", "create-from-qcow2", "convert", "wipe-slow", "snap-create",
         "snap-create-again", "snap-revert", "snap-delete", "snap-delete-last", "snap-rename",
         "snap-clone", "delete-with-snapshots", "rename", "rename-with-snapshots", "rename-base",
         "trash", "trash-restore", "secret-rotate", "secret-rotate-sealed"]

# Many at once: NAME is each volume's.
CROWD = Operation("create-many", "vol-create-as p NAME 1M --format qcow2")


class Plant:
    """A defect in the record of an operation: change() gives the records of a program that has it.

    Takes out the syncs of what has @path in its path; or, with @late, moves them behind the next
    rename; or, with @first, keeps the first one only."""

    def __init__(self, name, operation, path, late=False, first=False):
        self.name, self.operation, self.path = name, operation, path
        self.late, self.first = late, first

    def is_meant(self, record, path):
        return record.verb in ("sync", "datasync") and re.search(self.path, path)

    def change(self, records, paths):
        kept, late, spared = [], [], not self.first
        for record, path in zip(records, paths):
            if self.is_meant(record, path):
                if spared:
                    late.append(record)
                    continue
                spared = True
            kept.append(record)
            if self.late and record.verb == "rename":
                kept += late
                late.clear()
        if len(kept) == len(records) and not self.late:
            raise ValueError(f"plant {self.name}: no sync of {self.path} in {paths}")
        return kept


PLANTS = [
    Plant("definition-content", "define", r"storage/n\.xml\."),
    Plant("definition-name", "define", r"etc/libvirt/storage$"),
    Plant("definition-renamed-first", "redefine", r"storage/n\.xml\.", late=True),
    Plant("definition-removal", "undefine", r"etc/libvirt/storage$"),
    Plant("first-directory", "first-define", r"^root/etc$"),
    Plant("autostart-link", "autostart", r"autostart$"),
    Plant("autostart-link-removal", "autostart-off", r"autostart$"),
    Plant("protection", "protect", r"protected/[-0-9a-f]+$"),
    Plant("protection-removal", "unprotect", r"protected/[-0-9a-f]+$"),
    Plant("secret-content", "secret-define", r"secrets/.*\.xml\."),
    Plant("secret-value-content", "secret-set-again", r"secrets/.*\.base64\."),
    Plant("secret-value-renamed-first", "secret-set-again", r"secrets/.*\.base64\.", late=True),
    Plant("secret-value-name", "secret-set", r"etc/libvirt/secrets$"),
    Plant("secret-removal", "secret-undefine", r"etc/libvirt/secrets$"),
    Plant("sealed-content", "secret-seal", r"secrets/.*\.sealed\."),
    Plant("sealed-renamed-first", "secret-set-sealed", r"secrets/.*\.sealed\.", late=True),
    Plant("sealed-name", "secret-seal", r"etc/libvirt/secrets$"),
    Plant("unsealed-content", "secret-unseal", r"secrets/.*\.base64\."),
    Plant("unsealed-name", "secret-unseal", r"etc/libvirt/secrets$"),
    Plant("key-content", "secret-seal", r"secret-keys/1\.key\."),
    Plant("key-name", "secret-seal", r"secret-keys$"),
    Plant("key-directory", "secret-seal", r"var/lib/cistern$"),
    Plant("rekeyed-content", "secret-rekey", r"secrets/.*\.sealed\."),
    Plant("rekeyed-name", "secret-rekey", r"etc/libvirt/secrets$"),
    Plant("new-key-content", "secret-rekey", r"secret-keys/2\.key\."),
    Plant("new-key-name", "secret-rekey", r"secret-keys$"),
    Plant("rotated-content", "secret-rotate", r"secrets/.*\.next-base64\."),
    Plant("rotated-renamed-first", "secret-rotate", r"secrets/.*\.next-base64\.", late=True),
    # The name of the new value, or the switch: where one of the two was synced, what is left is settled.
    Plant("rotated-names", "secret-rotate", r"etc/libvirt/secrets$"),
    Plant("rotated-sealed-content", "secret-rotate-sealed", r"secrets/.*\.next\."),
    Plant("rotated-sealed-names", "secret-rotate-sealed", r"etc/libvirt/secrets$"),
    Plant("pool-directory", "build", r"^$"),
    Plant("pool-directory-removal", "pool-delete", r"^$"),
    Plant("volume-content", "clone-raw", r"^pool/.*\.part$"),
    Plant("volume-name", "create-qcow2", r"^pool$"),
    Plant("volume-renamed-first", "create-from-raw", r"^pool/.*\.part$", late=True),
    Plant("volume-removal", "delete-raw", r"^pool$"),
    Plant("uploaded-content", "upload", r"^pool/raw$"),
    Plant("resized-image", "resize-qcow2", r"^pool/cow$"),
    Plant("snapshot-content", "snap-create", r"\.cistern-snapshots/raw/.*\.part$"),
    Plant("snapshot-name", "snap-create", r"\.cistern-snapshots/raw$"),
    Plant("snapshot-directory", "snap-create", r"\.cistern-snapshots$"),
    Plant("snapshots-directory", "snap-create", r"^pool$"),
    Plant("snapshot-rename", "snap-rename", r"\.cistern-snapshots/raw$"),
    Plant("snapshot-removal", "snap-delete", r"\.cistern-snapshots/raw$"),
    Plant("reverted-content", "snap-revert", r"^pool/.*\.part$"),
    Plant("reverted-renamed-first", "snap-revert", r"^pool/.*\.part$", late=True),
    Plant("snapshot-inside", "snap-create-qcow2", r"^pool/cow$"),
    Plant("renamed", "rename", r"^pool$"),
    Plant("renamed-protection", "rename", r"protected/[-0-9a-f]+$"),
    Plant("renamed-snapshots", "rename-with-snapshots", r"\.cistern-snapshots$"),
    Plant("trashed", "trash", r"^n$"),
    Plant("trashed-record", "trash", r"trash/[-0-9a-f]+$"),
    Plant("restored", "trash-restore", r"^n$"),
    Plant("rename-recorded", "rename-base", r"journal"),
    Plant("second-name", "rename-base", r"^pool$"),
    Plant("relinked", "rename-base", r"^pool/(over|above)$"),
    Plant("declaration", "vol-trust-revoke", r"declarations\.db"),
    Plant("policy", "pool-trust", r"declarations\.db"),
    Plant("tag", "tag", r"tags\.db"),
    Plant("job-number", "wipe-slow", r"jobs/next$"),
    Plant("image-content", "image-convert", r"^pool/\.cistern-\w*/"),
    Plant("image-renamed-first", "image-convert", r"^pool/\.cistern-\w*/", late=True),
    Plant("image-name", "image-create", r"^pool$"),
    Plant("image-part", "image-dd-qcow2", r"^pool/\.cistern-\w*/"),
    *[Plant(f"committed-{form}", f"image-commit-{form}", r"^pool/two$")
      for form in ("qcow2", "qcow", "qed", "vmdk", "vpc", "vhdx")],
    *[Plant(f"flattened-{form}", f"image-flatten-{form}", r"^pool/over$")
      for form in ("qcow2", "qcow", "qed", "vmdk", "vpc", "vhdx")],
    Plant("rebased", "image-rebase-qcow2", r"^pool/over$"),
    Plant("rebased-unsafe", "image-rebase-unsafe-qcow2", r"^pool/over$"),
    Plant("amended", "image-amend-refcounts", r"^pool/cow$"),
    Plant("grown-image", "image-resize-parallels", r"^pool/image$"),
    Plant("snapshot-reverted", "image-snapshot-revert", r"^pool/cow$"),
    Plant("snapshot-deleted", "image-snapshot-delete", r"^pool/cow$"),
    Plant("bitmaps", "image-bitmap-merge", r"^pool/cow$"),
    Plant("repaired-qcow2", "image-check-qcow2", r"^pool/cow$"),
    *[Plant(f"repaired-{form}", f"image-check-{form}", r"^pool/image$")
      for form in ("qed", "vdi", "vmdk", "vhdx", "parallels")],
    Plant("job-end", "resumed-after-end", r"jobs/\d+\.job$"),
    Plant("resumed-base", "resumed-commit", r"^pool/cow$"),
    Plant("resumed-image", "resumed-flatten", r"^pool/over$"),
]

CROWD_PLANTS = [
    # Who joined a sync would be answered when an earlier one was over.
    Plant("joined-sync", "create-many", r"^pool$", first=True),
]
