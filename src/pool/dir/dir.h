/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/files.h>

#include "beneath.h"

/**
 * Pools that are a directory of files: type dir, and the part of fs and netfs above the mount,
 * whose backends (pool/mount) have the volumes from here (CST_DIR_VOLUMES). Volumes are the
 * directory's entries; their format is what their first bytes say.
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     beneath.c                    directories and entries, safely opened
 *     touch.c                      whether its file system answers
 *     target.c  owner.c  draft.c   the pool's directory; owners; what is being made
 *     declare.c                    declarations kept with the content
 *     scan.c                       records of the volumes
 *     shelf.c                      where their snapshots are
 *     snapshot.c                   snapshots
 *     volume.c  rename.c  build.c  watch.c  state.c   the other callbacks
 *     dir.c                        the table
 *
 * What pools that mount their directory share of it is in pool/files.h, the callbacks too.
 * Functions that are a callback of the table do what CstBackend says of it.
 */
extern const CstBackend cst_dir_backend;

/* --- touch.c ---------------------------------------------------------------------------------- */

/**
 * As cst_path_touch(), but fails only with errors of the file system (EIO, ESTALE and the like). A
 * directory that is missing or forbidden has answered, and the calls that need it report that.
 */
gboolean cst_dir_touch(const CstPoolDef *def, GError **error);
/** FALSE for a directory on a file system that this host keeps on a disk or in memory. */
gboolean cst_dir_may_hang(const CstPoolDef *def);

/* --- target.c --------------------------------------------------------------------------------- */

/** Makes the names in the target durable, with one sync for all who wait for it. */
gboolean cst_dir_names_sync(CstPoolState *state, const CstDirHandle *target, GError **error);

gboolean cst_dir_expect(CstPoolState *state, const char *recorded, gboolean starting,
                        GError **error);
char *cst_dir_identity(CstPoolState *state, GError **error);

/* --- owner.c ---------------------------------------------------------------------------------- */

/** Gives @fd the owner and group of @perms, as far as they are given; @name is for the message. */
gboolean cst_dir_set_owner(int fd, const char *name, const CstPerms *perms, GError **error);
/** Has writes to @fd, an empty file or a directory, overwrite in place; FALSE and errno. */
gboolean cst_dir_turn_cow_off(int fd);

/* --- draft.c ---------------------------------------------------------------------------------- */

/**
 * Makes draft @name, a regular file with mode 0600, and locks it for its maker, so that nobody else
 * takes it for a dead one's; open for reading and writing. -1 and errno: EAGAIN when another
 * process found it before it was locked and removes it.
 */
int cst_dir_create_draft(const CstDirHandle *dir, const char *name);
/**
 * Removes draft @name, a file or an empty directory; one that is gone is success. FALSE and errno.
 */
gboolean cst_dir_remove_draft(const CstDirHandle *dir, const char *name);
/** Whether nobody makes the draft any more: it is gone, or its maker is. */
gboolean cst_dir_draft_is_dead(const CstDirHandle *dir, const char *name);
/** Removes the drafts in @dir whose makers are gone. */
void cst_dir_drop_dead(const CstDirHandle *dir);

/* --- declare.c -------------------------------------------------------------------------------- */

/** Reads what is kept with the content of @blob, a file; NULL: nothing, or nothing of ours. */
CstDeclaration *cst_dir_declaration_read(CstBlob *blob);

/* --- scan.c ----------------------------------------------------------------------------------- */

/** 0 where the file system does not keep the time of birth. */
int64_t cst_dir_btime_ns(const struct statx *st);
/**
 * Makes the record of entry @name of @dir, opening it where @known (NULL: nothing) does not fit
 * any more; NULL when it is no volume, or gone. @state: the pool that lists it as a volume; NULL:
 * none does.
 */
CstVolume *cst_dir_probe(const CstPoolState *state, const CstDirHandle *dir, const char *name,
                         CstVolume *known);

/* --- shelf.c ---------------------------------------------------------------------------------- */

/** In the target directory: VOLUME/NAME below it is a snapshot. */
#define CST_SNAPSHOT_DIR ".cistern-snapshots"

/** The directory of all snapshots and, in it, a volume's; fd -1: there is none. */
typedef struct {
    CstDirHandle all;
    CstDirHandle volume;
} CstDirShelf;

#define CST_DIR_SHELF_NONE ((CstDirShelf){CST_DIR_HANDLE_NONE, CST_DIR_HANDLE_NONE})

/** Closes both. */
void cst_dir_shelf_clear(CstDirShelf *shelf);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstDirShelf, cst_dir_shelf_clear)
/**
 * Opens the directories of @volume's snapshots. @make: makes them, durably; otherwise missing ones
 * are no error. Making is retried, as another volume's last snapshot may take the upper directory
 * with it.
 */
gboolean cst_dir_shelf_open(CstPoolState *state, const CstDirHandle *target, const char *volume,
                            gboolean make, CstDirShelf *ret_shelf, GError **error);
/** Removes the directories of @volume's snapshots when they are empty. */
void cst_dir_shelf_tidy(const CstDirHandle *target, const CstDirHandle *all, const char *volume);

/** Whether there is a directory of @volume's snapshots. FALSE where it can't be seen, either. */
gboolean cst_dir_has_snapshots(const CstDirHandle *target, const char *volume);
/**
 * Makes the snapshots of volume @from those of @to, durably; nothing, where there are none. EXISTS
 * when there are some of @to.
 */
gboolean cst_dir_move_snapshots(const CstDirHandle *target, const char *from, const char *to,
                                GError **error);
/**
 * Makes the snapshots of @draft, whose file @fd has open, those of @volume, which it is about to
 * become, durably. EXISTS. Where there were some (*ret_placed), call cst_dir_unmark_snapshots()
 * when it has.
 */
gboolean cst_dir_place_snapshots(const CstDirHandle *target, const char *draft, int fd,
                                 const char *volume, gboolean *ret_placed, GError **error);
void cst_dir_unmark_snapshots(const CstDirHandle *target, const char *draft, const char *volume);
/** Removes the snapshots of @draft if that is still there and will be no volume. */
void cst_dir_drop_snapshots_of(const CstDirHandle *target, const char *draft);
/**
 * Removes drafts of dead processes among the snapshots, the snapshots of drafts of such, which are
 * still there, and directories without any.
 */
void cst_dir_drop_snapshot_drafts(const CstDirHandle *target);
