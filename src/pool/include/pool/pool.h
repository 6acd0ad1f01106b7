/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/backend.h>

/**
 * The checked dispatch: the only code that calls through a CstBackend. It looks up the backend,
 * refuses what the technology can't with one clear error, and insists that a failure has set one.
 * Names handed in have been checked (cst_name_check).
 */

/** @host must live as long as the state. */
CstPoolState *cst_pool_state_open(const CstPoolDef *def, const CstPoolHost *host, GError **error);
CstPoolState *cst_pool_state_ref(CstPoolState *state);
/** Closes with the last reference. */
void cst_pool_state_unref(CstPoolState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolState, cst_pool_state_unref)

/** Whether its storage is far away and may not answer for long (CstBackend.remote). */
gboolean cst_pool_state_is_remote(CstPoolState *state);
gboolean cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean cst_pool_state_build(CstPoolState *state, unsigned flags, GError **error);
gboolean cst_pool_state_start(CstPoolState *state, GError **error);
/** Drops and finishes what processes that are gone left behind: after a start and its expect. */
gboolean cst_pool_state_settle(CstPoolState *state, GError **error);
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
/** CstBackend.expect; any storage will do where the backend has no identity. */
gboolean cst_pool_state_expect(CstPoolState *state, const char *recorded, gboolean starting,
                               GError **error);
/** Whether a change of the host's mounts may take its storage away (CstBackend.on_mounts). */
gboolean cst_pool_state_is_on_mounts(CstPoolState *state);

/**
 * A name that a volume or snapshot (@what) of this pool may get: cst_name_check(), and not one of
 * the backend's own. INVALID.
 */
gboolean cst_pool_state_name_check(CstPoolState *state, const char *name, const char *what,
                                   GError **error);

gboolean cst_pool_state_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error);
gboolean cst_pool_state_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                               GError **error);
gboolean cst_pool_state_abandon(CstPoolState *state, const char *token, GError **error);
gboolean cst_pool_state_delete(CstPoolState *state, const char *name, unsigned flags,
                               GError **error);
gboolean cst_pool_state_vol_check_wipe(CstPoolState *state, const char *name, GError **error);
/** FALSE where the storage keeps no declarations beside the content; no error is set. */
gboolean cst_pool_state_vol_declare(CstPoolState *state, CstBlob *blob,
                                    const CstDeclaration *declaration);
/** CstPoolHost.declared, for backends. @declarations holds NULLs, which stay for nothing declared.
 */
void cst_pool_state_declared(const CstPoolState *state, CstVolume *const *volumes, guint count,
                             CstDeclaration **declarations);
/** For writing it is held by QEMU's locks as well (image/hold.h); BUSY names who has it open. */
CstBlob *cst_pool_state_vol_open(CstPoolState *state, const char *name, gboolean writable,
                                 GError **error);

/** Whether the backend makes the volumes of this pool larger and smaller itself. */
gboolean cst_pool_state_can_resize(CstPoolState *state);
/** Has it do so. The volume's content is raw. */
gboolean cst_pool_state_vol_resize(CstPoolState *state, const char *name, uint64_t capacity,
                                   CstTask *task, GError **error);
/** A draft that shares the source's content; UNSUPPORTED where it has to be copied. */
gboolean cst_pool_state_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                      const char *snapshot, CstVolDraft *draft, GError **error);

/** Elements CstHolder; empty where the backend can't tell. */
GPtrArray *cst_pool_state_vol_holders(CstPoolState *state, const char *name, GError **error);
/** Elements char *; empty where nothing can hang on a volume. */
GPtrArray *cst_pool_state_vol_children(CstPoolState *state, const char *name, GError **error);
gboolean cst_pool_state_vol_flatten(CstPoolState *state, const char *name, CstTask *task,
                                    GError **error);
/** Elements CstThinStore; empty where there are none. */
GPtrArray *cst_pool_state_thin(CstPoolState *state, GError **error);
/** What may run full, of CstRoom; empty where the technology has nothing of the kind. */
GPtrArray *cst_pool_state_rooms(CstPoolState *state, GError **error);

/** Whether the technology makes snapshots; the calls below are UNSUPPORTED where it doesn't. */
gboolean cst_pool_state_has_snapshots(CstPoolState *state);
/** Elements CstSnapshot, oldest first. */
GPtrArray *cst_pool_state_snapshots(CstPoolState *state, const char *volume, GError **error);
gboolean cst_pool_state_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                        const CstSnapshotCreate *how, CstTask *task,
                                        GError **error);
gboolean cst_pool_state_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                        CstTask *task, GError **error);
gboolean cst_pool_state_snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                        CstTask *task, GError **error);
gboolean cst_pool_state_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                        const char *new_name, GError **error);
CstBlob *cst_pool_state_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                      GError **error);

/** TRUE when volumes are files, which may be images that are based on others. */
gboolean cst_pool_state_holds_images(CstPoolState *state);

/** NO_SUPPORT when volumes of this pool can't be made at all. */
gboolean cst_pool_state_check_create(CstPoolState *state, GError **error);

/** -1 without an error where the backend can't watch. */
int cst_pool_state_watch_open(CstPoolState *state, GError **error);
void cst_pool_state_watch_read(CstPoolState *state, int fd,
                               void (*changed)(const char *name, gpointer data), gpointer data);

/** NO_SUPPORT-class error for types without source discovery. @spec may be NULL. */
gboolean cst_pool_discover(CstPoolType type, const CstPoolSource *spec, GArray *ret_sources,
                           GError **error);

/** Fills a model record from a volume: what <volume> shows. */
CstVolDef *cst_volume_describe(CstPoolState *state, const CstVolume *volume);
