/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "store.h"

/**
 * Internal header of the example backend; a real backend has a similar header. The layers from
 * bottom to top: store.c (the technology), lookup.c, volume.c and snapshot.c, memory.c (the table).
 * Each file calls only lower layers.
 */

/* --- lookup.c --------------------------------------------------------------------------------- */

/**
 * Begin a callback: look up the store, or its disk @name, and return it with the lock held. The
 * caller releases the lock (memory_unlock()). NULL with @error, without the lock, if @callback has
 * a fault or the object does not exist.
 */
MemoryStore *memory_enter_store(CstPoolState *state, const char *callback, GError **error);
MemoryDisk *memory_enter_disk(CstPoolState *state, const char *callback, const char *name,
                              GError **error);
/**
 * Returns the disk itself (@snapshot NULL) or one of its snapshots, borrowed. NULL with NOT_FOUND.
 * The caller holds the lock.
 */
MemoryDisk *memory_disk_at(MemoryDisk *disk, const char *snapshot, GError **error);
/** CstBackend.vol_path, also for the paths of clones. */
char *memory_vol_path(CstPoolState *state, const char *name);
/**
 * Appends the path of each disk that was cloned from @disk, or from its snapshot @snapshot (NULL:
 * any). The caller holds the lock.
 */
void memory_list_clones(CstPoolState *state, MemoryDisk *disk, const char *snapshot,
                        GPtrArray *children);

/* --- volume.c: callbacks ---------------------------------------------------------------------- */

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
