/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store.h"

/**
 * What the files of the example backend share; a real one has a header like this, too. From below
 * to above: store.c (the technology), lookup.c, volume.c and snapshot.c, memory.c (the table). Each
 * calls only what is below it.
 */

/* --- lookup.c --------------------------------------------------------------------------------- */

/**
 * Begins a callback: returns the store, or its disk @name, with the lock held, which the caller
 * releases (memory_unlock()). NULL with @error, and without the lock, when @callback is to fail or
 * there is no such thing.
 */
MemoryStore *memory_enter_store(CstPoolState *state, const char *callback, GError **error);
MemoryDisk *memory_enter_disk(CstPoolState *state, const char *callback, const char *name,
                              GError **error);
/**
 * With the lock held: returns the disk itself (@snapshot NULL) or one of its snapshots, borrowed;
 * NULL with NOT_FOUND.
 */
MemoryDisk *memory_disk_at(MemoryDisk *disk, const char *snapshot, GError **error);
/** CstBackend.vol_path, also for the paths of clones. */
char *memory_vol_path(CstPoolState *state, const char *name);
/**
 * With the lock held: appends the path of each disk that was cloned from @disk, or from its
 * snapshot @snapshot (NULL: from any).
 */
void memory_list_clones(CstPoolState *state, MemoryDisk *disk, const char *snapshot,
                        GPtrArray *children);

/* --- volume.c: the callbacks of those names --------------------------------------------------- */

gboolean memory_vol_make(CstPoolState *state, const CstVolDef *def, GError **error);
gboolean memory_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                            GError **error);
gboolean memory_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                           GError **error);
gboolean memory_vol_abandon(CstPoolState *state, const char *token, GError **error);
gboolean memory_drop_drafts(CstPoolState *state, GError **error);
gboolean memory_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);
gboolean memory_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                           GError **error);
CstBlob *memory_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);
gboolean memory_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                           GError **error);
gboolean memory_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                  const char *snapshot, CstVolDraft *draft, GError **error);
gboolean memory_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                            GError **error);
gboolean memory_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                             GError **error);
gboolean memory_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error);
gboolean memory_thin(CstPoolState *state, GPtrArray *stores, GError **error);

/* --- snapshot.c ------------------------------------------------------------------------------- */

extern const CstSnapshotBackend memory_snapshots;
