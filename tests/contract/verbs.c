/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verbs.h"

/* The verbs of every day on all grounds (verbs.h). */

#define SLOWLY "--rate-limit 64M"

/* --- in --------------------------------------------------------------------------------------- */

#define DELETE_W "vol-delete {w} --pool p"

static const Verb import_raw = {
    .words = "vol-import {in}/image.raw {w} --pool {p}",
    .makes = "vol {w} holds 2",
    .undo = DELETE_W,
    .slow = SLOWLY,
};

static const Verb import_compressed = {
    .words = "vol-import {in}/image.qcow2 {w} --pool {p}",
    .makes = "vol {w} holds 2",
    .undo = DELETE_W,
    .slow = SLOWLY,
};

static const Verb import_from_daemon = {
    .words = "vol-import far/image {w} --from {far} --pool {p}",
    .makes = "vol {w} holds 2",
    .undo = DELETE_W,
    .slow = SLOWLY,
};

static const Verb copy_here = {
    .words = "-c {far} vol-copy image --pool far --to {near} --newpool p --name {w}",
    .makes = "vol {w} holds 2",
    .undo = DELETE_W,
    .slow = SLOWLY,
};

#define MOVE_OUT "vol-move {v} --pool p --newpool d"
#define MOVE_IN  "vol-move {v} --pool d --newpool p"

static const Verb move_in = {
    .words = MOVE_IN,
    .before = MOVE_OUT,
    .makes = "vol {v} holds 1",
    .takes = "d/{v} holds 1",
    .undo = MOVE_OUT,
    .mend = "vol-delete {v} --pool p",
    .slow = SLOWLY,
    .leaves = VERB_BOTH,
};

/* --- out -------------------------------------------------------------------------------------- */

static const Verb export_raw = {
    .words = "vol-export {v} {out}/disk.raw --pool p",
    .makes = "out/disk.raw holds 1",
    .undo = "rm {out}/disk.raw",
    .slow = SLOWLY,
};

static const Verb export_compressed = {
    .words = "vol-export {v} {out}/disk.qcow2 --pool p --compress",
    .makes = "out/disk.qcow2 holds 1",
    .undo = "rm {out}/disk.qcow2",
    .slow = SLOWLY,
};

static const Verb copy_away = {
    .words = "vol-copy {v} --pool p --to {far} --newpool far --name copy",
    .makes = "far/copy holds 1",
    .undo = "-c {far} vol-delete copy --pool far",
    .slow = SLOWLY,
};

static const Verb move_out = {
    .words = MOVE_OUT,
    .makes = "d/{v} holds 1",
    .takes = "vol {v} holds 1",
    .undo = MOVE_IN,
    .slow = SLOWLY,
};

/* --- inside ----------------------------------------------------------------------------------- */

static const Verb rename_it = {
    .words = "vol-rename {v} {w} --pool p",
    .makes = "vol {w} holds 1",
    .takes = "vol {v} holds 1",
    .undo = "vol-rename {w} {v} --pool p",
};

#define DELETE_CLONES "-vol-delete {w} --pool p\n-vol-delete {x} --pool p"

static const Verb clone_many = {
    .words = "vol-clone {v} {many} --pool p --count 2 --first {first}",
    .makes = "vol {w} holds 1\nvol {x} holds 1",
    .undo = DELETE_CLONES,
    .mend = DELETE_CLONES,
    .slow = SLOWLY,
    .leaves = VERB_SOME,
};

static const Verb into_trash = {
    .words = "vol-delete {v} --pool p",
    .makes = "trash {v}",
    .takes = "vol {v} holds 1",
    .undo = "trash-restore {v} --pool p",
    .trash = TRUE,
};

static const Verb out_of_trash = {
    .words = "trash-restore {v} --pool p",
    .before = "vol-delete {v} --pool p",
    .makes = "vol {v} holds 1",
    .undo = "vol-delete {v} --pool p",
    .trash = TRUE,
};

/* --- backups ---------------------------------------------------------------------------------- */

#define NEW_REPOSITORY "backup-init {repo} --no-encryption"
#define BACKUP         "backup-create {repo} {v} --pool p"

static const Verb backup = {
    .words = BACKUP,
    .before = NEW_REPOSITORY,
    .makes = "backup is there",
    .undo = "rm {repo}\n" NEW_REPOSITORY,
    .slow = SLOWLY,
};

static const Verb restore = {
    .words = "backup-restore {repo} latest --newname {w} --pool p",
    .before = NEW_REPOSITORY "\n" BACKUP,
    .makes = "vol {w} holds 1",
    .undo = DELETE_W,
    .slow = SLOWLY,
};

/* --- the tests -------------------------------------------------------------------------------- */

#define PLAYED(verb)                     \
    static void verb##_works(Site *site) \
    {                                    \
        verb_play(site, &verb);          \
    }
#define REFUSED(verb)                     \
    static void verb##_is_not(Site *site) \
    {                                     \
        verb_refused(site, &verb);        \
    }

PLAYED(import_raw)
PLAYED(import_compressed)
PLAYED(import_from_daemon)
PLAYED(copy_here)
PLAYED(move_in)
PLAYED(export_raw)
PLAYED(export_compressed)
PLAYED(copy_away)
PLAYED(move_out)
PLAYED(rename_it)
PLAYED(clone_many)
PLAYED(into_trash)
PLAYED(out_of_trash)
PLAYED(backup)
PLAYED(restore)
REFUSED(rename_it)
REFUSED(import_raw)
REFUSED(import_from_daemon)
REFUSED(move_out)
REFUSED(clone_many)
REFUSED(restore)

const ContractTest verb_tests[] = {
    {"everyday: a raw image is imported", import_raw_works, 0, NULL},
    {"everyday: a compressed image is imported", import_compressed_works, 0, NULL},
    {"everyday: a daemon's volume is imported", import_from_daemon_works, 0, NULL},
    {"everyday: a daemon's volume is copied here", copy_here_works, 0, NULL},
    {"everyday: a volume is moved in", move_in_works, 0, NULL},
    {"everyday: a volume is exported", export_raw_works, 0, NULL},
    {"everyday: a volume is exported compressed", export_compressed_works, 0, NULL},
    {"everyday: a volume is copied to a daemon", copy_away_works, 0, NULL},
    {"everyday: a volume is moved out", move_out_works, 0, NULL},
    {"everyday: a volume is renamed", rename_it_works, GROUND_RENAMES, rename_it_is_not},
    {"everyday: a volume is cloned twice", clone_many_works, 0, NULL},
    {"everyday: a volume is deleted into the trash", into_trash_works, GROUND_TRASH, NULL},
    {"everyday: a volume is restored from the trash", out_of_trash_works, GROUND_TRASH, NULL},
    {"everyday: a volume is backed up", backup_works, 0, NULL},
    {"everyday: a backup is restored", restore_works, 0, NULL},
    {"everyday: what is attached is exported", export_raw_works, GROUND_FIXED, NULL},
    {"everyday: what is attached is copied to a daemon", copy_away_works, GROUND_FIXED, NULL},
    {"everyday: what is attached is backed up", backup_works, GROUND_FIXED, NULL},
    {"everyday: nothing is imported beside what is attached", import_raw_is_not, GROUND_FIXED,
     NULL},
    {"everyday: nothing is copied beside what is attached", import_from_daemon_is_not, GROUND_FIXED,
     NULL},
    {"everyday: what is attached is not moved", move_out_is_not, GROUND_FIXED, NULL},
    {"everyday: what is attached is not renamed", rename_it_is_not, GROUND_FIXED, NULL},
    {"everyday: what is attached is not cloned beside it", clone_many_is_not, GROUND_FIXED, NULL},
    {"everyday: nothing is restored beside what is attached", restore_is_not, GROUND_FIXED, NULL},
    {0},
};
