/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * The checked dispatch: the only code that calls through a CstBackend. It looks up the backend,
 * refuses what the technology can't with one clear error, and insists that a failure has set one.
 * Names handed in have been checked (cst_name_check).
 */

CstPoolState *cst_pool_state_open(const CstPoolDef *def, GError **error);
CstPoolState *cst_pool_state_ref(CstPoolState *state);
/** Closes with the last reference. */
void cst_pool_state_unref(CstPoolState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolState, cst_pool_state_unref)

gboolean cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean cst_pool_state_build(CstPoolState *state, unsigned flags, GError **error);
gboolean cst_pool_state_start(CstPoolState *state, GError **error);
gboolean cst_pool_state_stop(CstPoolState *state, GError **error);
gboolean cst_pool_state_destroy(CstPoolState *state, unsigned flags, GError **error);

gboolean cst_pool_state_scan(CstPoolState *state, const CstScan *scan, CstTask *task,
                             GError **error);
gboolean cst_pool_state_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error);
gboolean cst_pool_state_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
char *cst_pool_state_vol_path(CstPoolState *state, const char *name);
/** The key of a volume: its own, or its path. */
char *cst_pool_state_vol_key(CstPoolState *state, const CstVolume *volume);
char *cst_pool_state_vol_resolve(CstPoolState *state, const char *path);

/** NULL (no error) where the backend has no identity. */
char *cst_pool_state_identity(CstPoolState *state, GError **error);
gboolean cst_pool_state_identity_check(CstPoolState *state, const char *recorded, gboolean starting,
                                       GError **error);

gboolean cst_pool_state_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error);
gboolean cst_pool_state_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                               GError **error);
gboolean cst_pool_state_abandon(CstPoolState *state, const char *token, GError **error);
gboolean cst_pool_state_delete(CstPoolState *state, const char *name, unsigned flags,
                               GError **error);
void cst_pool_state_vol_replaced(CstPoolState *state, CstBlob *blob);
CstBlob *cst_pool_state_vol_open(CstPoolState *state, const char *name, gboolean writable,
                                 GError **error);

/** TRUE when volumes of this pool can be made at all. */
gboolean cst_pool_state_can_create(CstPoolState *state);

/** -1 without an error where the backend can't watch. */
int cst_pool_state_watch_open(CstPoolState *state, GError **error);
void cst_pool_state_watch_read(CstPoolState *state, int fd,
                               void (*changed)(const char *name, gpointer data), gpointer data);

/** NO_SUPPORT-class error for types without source discovery. @spec may be NULL. */
gboolean cst_pool_discover(CstPoolType type, const CstPoolSource *spec, GArray *ret_sources,
                           GError **error);

/** Fills a model record from a volume: what <volume> shows. */
CstVolDef *cst_volume_describe(CstPoolState *state, const CstVolume *volume);
