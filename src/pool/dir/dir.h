/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/files.h>

#include "beneath.h"

/**
 * Pools that are a directory of files: type dir, and fs and netfs once they are mounted. The
 * backends of fs and netfs (pool/mount) use the volume callbacks of this folder (CST_DIR_VOLUMES).
 * Each entry of the directory is a volume. The first bytes of a file determine the format of its
 * volume.
 *
 * The files, lowest layer first. A file calls only files of earlier lines, and files to its left:
 *
 *     beneath.c                    directories and entries, opened safely
 *     touch.c                      whether the file system of the directory responds
 *     target.c  owner.c  draft.c   the pool's directory; owners; drafts
 *     declare.c                    declarations kept with the content
 *     scan.c                       volume records
 *     shelf.c                      directories of the snapshots
 *     copy.c                       copies that share extents, and records of snapshots
 *     snapshot_draft.c             creation of snapshots
 *     snapshot.c                   the other changes of snapshots, and their list
 *     volume.c  rename.c  build.c  watch.c  state.c   the other callbacks
 *     dir.c                        the backend's table
 *
 * pool/files.h declares the functions and callbacks that the types with a mounted directory share.
 * CstBackend documents the functions that are callbacks of the table.
 */
extern const CstBackend cst_dir_backend;

/* --- touch.c ---------------------------------------------------------------------------------- */

/**
 * Like cst_path_touch(), but fails only with errors of the file system (EIO, ESTALE and similar). A
 * directory that is missing or forbidden has responded. The calls that need it report that error.
 */
gboolean cst_dir_touch(const CstPoolDef *def, GError **error);
/**
 * Returns FALSE if the directory is on a file system of this host, on a local disk or in memory.
 */
gboolean cst_dir_may_hang(const CstPoolDef *def);

/* --- target.c --------------------------------------------------------------------------------- */

/** Syncs the names in the target directory. Concurrent callers share one sync. */
gboolean cst_dir_names_sync(CstPoolState *state, const CstDirHandle *target, GError **error);

gboolean cst_dir_expect(CstPoolState *state, const char *recorded, gboolean starting,
                        GError **error);
char *cst_dir_identity(CstPoolState *state, GError **error);

/* --- owner.c ---------------------------------------------------------------------------------- */

/**
 * Sets the owner and group of @fd to the fields of @perms that are set. @name is used in the error
 * message.
 */
gboolean cst_dir_set_owner(int fd, const char *name, const CstPerms *perms, GError **error);
/**
 * Turns copy-on-write off for @fd, an empty file or a directory. Returns FALSE with errno on
 * failure.
 */
gboolean cst_dir_turn_cow_off(int fd);

/* --- draft.c ---------------------------------------------------------------------------------- */

/**
 * Creates draft @name, a regular file with mode 0600, and locks it. The lock prevents its removal
 * as the draft of a dead process.
 *
 * Returns a descriptor open for reading and writing, or -1 with errno. EAGAIN: another process
 * found the file before it was locked, and removes it.
 */
int cst_dir_create_draft(const CstDirHandle *dir, const char *name);
/**
 * Removes draft @name, a file or an empty directory. A missing draft is success. Returns FALSE with
 * errno on failure.
 */
gboolean cst_dir_remove_draft(const CstDirHandle *dir, const char *name);
/** Returns whether no process creates the draft any more: the draft or the process is gone. */
gboolean cst_dir_draft_is_dead(const CstDirHandle *dir, const char *name);
/** Removes the drafts of dead processes in @dir. */
void cst_dir_drop_dead(const CstDirHandle *dir);

/* --- declare.c -------------------------------------------------------------------------------- */

/**
 * Reads the declaration that is kept with the content of @blob, a file. Returns NULL if the file
 * has no valid declaration.
 */
CstDeclaration *cst_dir_declaration_read(CstBlob *blob);

/* --- scan.c ----------------------------------------------------------------------------------- */

/** Returns the time of birth in nanoseconds, or 0 if the file system does not record it. */
int64_t cst_dir_btime_ns(const struct statx *st);
/**
 * Returns the record of entry @name of @dir. Opens the entry only if @known (may be NULL) no longer
 * matches it. Returns NULL if the entry is no volume or is gone.
 *
 * @state is the pool that lists the entry as a volume, or NULL if no pool lists it.
 */
CstVolume *cst_dir_probe(const CstPoolState *state, const CstDirHandle *dir, const char *name,
                         CstVolume *known);

/* --- shelf.c ---------------------------------------------------------------------------------- */

/** Name of a directory in the target. A snapshot is the file VOLUME/NAME in it. */
#define CST_SNAPSHOT_DIR ".cistern-snapshots"

/**
 * The directory of all snapshots, and the directory of one volume's snapshots in it. A missing
 * directory has the descriptor -1.
 */
typedef struct {
    CstDirHandle all;
    CstDirHandle volume;
} CstDirShelf;

#define CST_DIR_SHELF_NONE ((CstDirShelf){CST_DIR_HANDLE_NONE, CST_DIR_HANDLE_NONE})

/** Closes both handles. */
void cst_dir_shelf_clear(CstDirShelf *shelf);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstDirShelf, cst_dir_shelf_clear)
/**
 * Opens the directories of @volume's snapshots. With @make, creates and syncs missing ones;
 * otherwise a missing directory is no error. Creation is retried, because the removal of another
 * volume's last snapshot may also remove the upper directory.
 */
gboolean cst_dir_shelf_open(CstPoolState *state, const CstDirHandle *target, const char *volume,
                            gboolean make, CstDirShelf *ret_shelf, GError **error);
/** Removes the directories of @volume's snapshots if they are empty. */
void cst_dir_shelf_tidy(const CstDirHandle *target, const CstDirHandle *all, const char *volume);

/**
 * Returns whether @volume has a directory of snapshots. Also FALSE if that cannot be determined.
 */
gboolean cst_dir_has_snapshots(const CstDirHandle *target, const char *volume);
/**
 * Gives the snapshots of volume @from to volume @to, and syncs the change. Succeeds without a
 * change if @from has no snapshots. Fails with EXISTS if @to has snapshots.
 */
gboolean cst_dir_move_snapshots(const CstDirHandle *target, const char *from, const char *to,
                                GError **error);
/**
 * Gives the snapshots of @draft to @volume, and syncs the change. Call it right before the rename
 * of the draft to @volume. @fd has the file of the draft open. Fails with EXISTS if @volume has
 * snapshots.
 *
 * Sets *ret_placed if the draft had snapshots. In this case call cst_dir_unmark_snapshots() after
 * the rename.
 */
gboolean cst_dir_place_snapshots(const CstDirHandle *target, const char *draft, int fd,
                                 const char *volume, gboolean *ret_placed, GError **error);
void cst_dir_unmark_snapshots(const CstDirHandle *target, const char *draft, const char *volume);
/**
 * Removes the snapshots of @draft if the draft exists and will not become a volume. Otherwise
 * removes only its mark.
 */
void cst_dir_drop_snapshots_of(const CstDirHandle *target, const char *draft);
/**
 * Removes three kinds of leftovers of dead processes: drafts of snapshots, the snapshots of volume
 * drafts that still exist, and empty directories of snapshots.
 */
void cst_dir_drop_snapshot_drafts(const CstDirHandle *target);

/* --- copy.c ----------------------------------------------------------------------------------- */

/**
 * Makes @to share all extents of @from, a volume's file, without a sync. Bytes of @to after the end
 * of @from stay. UNSUPPORTED if the file system cannot do it.
 */
gboolean cst_dir_copy_share(int from, int to, const char *volume, GError **error);
/**
 * Creates a locked draft in @dir that shares the content of @from. Stores its name in *ret_draft;
 * the caller frees it. Returns the descriptor of the draft, or -1 without a draft.
 */
int cst_dir_copy_to_draft(int from, const CstDirHandle *dir, const char *volume, char **ret_draft,
                          GError **error);
/** Syncs a copy, @fd. */
gboolean cst_dir_copy_sync(int fd, const char *volume, GError **error);
/**
 * Copies labels, the declaration and the other extended attributes, without capabilities and the
 * record of a snapshot.
 */
void cst_dir_copy_attributes(int from, int to);
/** Stores the consistency in @how with the snapshot @fd, if the file system can do it. */
void cst_dir_record_write(int fd, const CstSnapshotCreate *how, const char *volume);
/** Returns the record of snapshot @name; the caller frees it. NULL: it has no record. */
char *cst_dir_record_read(const CstDirHandle *dir, const char *name);

/* --- snapshot_draft.c: callbacks of CstSnapshotBackend ---------------------------------------- */

gboolean cst_dir_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                 const CstSnapshotCreate *how, CstTask *task, GError **error);
gboolean cst_dir_snapshot_draft_begin(CstPoolState *state, const char *volume, const char *name,
                                      CstSnapshotDraft **ret_draft, GError **error);
gboolean cst_dir_snapshot_draft_update(CstPoolState *state, CstSnapshotDraft *draft,
                                       GError **error);
gboolean cst_dir_snapshot_draft_commit(CstPoolState *state, CstSnapshotDraft *draft,
                                       const CstSnapshotCreate *how, GError **error);
void cst_dir_snapshot_draft_end(CstPoolState *state, CstSnapshotDraft *draft);
