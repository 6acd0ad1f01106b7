/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>

#include <base/file.h>
#include <pool/backend.h>

/**
 * Pools that are a directory of files: type dir, and the part of fs and netfs above the mount.
 * Volumes are the directory's entries; their format is what their first bytes say.
 */
extern const CstBackend cst_dir_backend;

/** Drafts are called PREFIX<token>SUFFIX and are never listed. */
#define CST_DRAFT_PREFIX ".cistern-"
#define CST_DRAFT_SUFFIX ".part"

/** In the target directory, never listed: VOLUME/NAME below it is a snapshot. */
#define CST_SNAPSHOT_DIR ".cistern-snapshots"

/** Opens the target directory; -1 and @error when it is not there or no directory. */
int cst_dir_open_target(const CstPoolState *state, GError **error);

/** For readdir(), the directory @name of @dirfd, which stays open itself; NULL: it can't be had. */
DIR *cst_dir_list(int dirfd, const char *name);

/** Gives @fd the owner and group of @perms, as far as they are given; @name is for the message. */
gboolean cst_dir_set_owner(int fd, const char *name, const CstPerms *perms, GError **error);

gboolean cst_dir_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean cst_dir_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error);

/** One entry of @dirfd, looked into; NULL when it is no volume, or gone. */
CstVolume *cst_dir_look(CstPoolState *state, int dirfd, const char *name);

gboolean cst_dir_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error);
gboolean cst_dir_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error);
gboolean cst_dir_vol_abandon(CstPoolState *state, const char *token, GError **error);
gboolean cst_dir_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);
void cst_dir_vol_replaced(CstPoolState *state, CstBlob *blob);
CstBlob *cst_dir_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);
gboolean cst_dir_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error);
gboolean cst_dir_drop_drafts(CstPoolState *state, GError **error);
/** Removes the drafts in @dirfd whose makers are gone. */
void cst_dir_drop_dead(int dirfd);
/** A live draft is locked by its maker, so that nobody else takes it for a dead one's. */
gboolean cst_dir_lock_draft(int fd);

extern const CstSnapshotBackend cst_dir_snapshots;
/** Removes the directories of @volume's snapshots when they are empty. */
void cst_dir_tidy_snapshots(int target, const char *volume);
void cst_dir_drop_snapshot_drafts(int target);

int cst_dir_watch_open(CstPoolState *state, GError **error);
void cst_dir_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data);

gboolean cst_dir_is_draft(const char *name);
/** TRUE for names that no listing shows: ".", "..", drafts, names with control characters. */
gboolean cst_dir_name_hidden(const char *name);

/**
 * Whoever made a raw volume said that it is raw: remembered beside the file, because a guest can
 * write anything at its start, also the magic of a format that refers to other files.
 */
gboolean cst_dir_marked_raw(int fd);
