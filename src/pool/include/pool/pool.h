/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/registry.h>

/**
 * The checked dispatch: the only code that calls through a CstBackend. It looks up the backend,
 * refuses what the technology can't with one clear error (NO_SUPPORT), ends dry runs, and holds the
 * backend to its contract: see CstBackend's member of the same name for what each call does, and
 * for its errors. A backend that breaks it is an INTERNAL error. Names handed in have been checked
 * (cst_name_check). Results are the caller's to free. Any thread, but see backend.h for what may
 * run in parallel.
 */

/** Opens a state of @def, one reference. @host (NULL: none) must live as long as the state. */
CstPoolState *cst_pool_state_open(const CstPoolDef *def, const CstPoolHost *host, GError **error);

/** Whether its storage is far away and may not answer for long (CstBackend.remote). */
gboolean cst_pool_state_is_remote(CstPoolState *state);
/** Whether the intent's end is what makes a draft a volume (CstBackend.drafts_by_intent). */
gboolean cst_pool_state_drafts_by_intent(CstPoolState *state);
/** Whether calls into its storage may hang in the kernel (CstBackend.touch). */
gboolean cst_pool_state_may_hang(CstPoolState *state);
/**
 * FALSE with UNREACHABLE while its storage hangs (CstBackend.touch), and calls are refused. From
 * the first question on that is found out in the background.
 */
gboolean cst_pool_state_answers(CstPoolState *state, GError **error);
/**
 * Waits until the storage has answered (CstBackend.touch), not beyond @until (monotonic). FALSE
 * with UNREACHABLE: it has not. TRUE at once for storage that never hangs. Never hangs itself.
 */
gboolean cst_pool_state_await(CstPoolState *state, gint64 until, GError **error);
/**
 * As cst_pool_state_answers(), and FALSE while its storage answers with an error
 * (CstBackend.touch), although calls are let in then.
 */
gboolean cst_pool_state_works(CstPoolState *state, GError **error);
/** Whether cst_pool_state_check() may hang with the storage (CstBackend.check_touches). */
gboolean cst_pool_state_check_may_hang(CstPoolState *state);
/** CstBackend.check. */
gboolean cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error);
/** CstBackend.build; success where nothing has to be made. */
gboolean cst_pool_state_build(CstPoolState *state, unsigned flags, GError **error);
/** CstBackend.start; success where nothing has to be done. */
gboolean cst_pool_state_start(CstPoolState *state, GError **error);
/**
 * CstBackend.drop_drafts: drops and finishes what processes that are gone left behind, after a
 * start and its expect. Nothing in a dry run.
 */
gboolean cst_pool_state_settle(CstPoolState *state, GError **error);
/** CstBackend.stop; success where nothing has to be done. */
gboolean cst_pool_state_stop(CstPoolState *state, GError **error);
/** CstBackend.destroy. */
gboolean cst_pool_state_destroy(CstPoolState *state, unsigned flags, GError **error);

/** CstBackend.rescan_bus; success where a scan sees what there is. */
gboolean cst_pool_state_rescan_bus(CstPoolState *state, CstTask *task, GError **error);
/** CstBackend.scan: hands each volume to scan->sink(). */
gboolean cst_pool_state_scan(CstPoolState *state, const CstScan *scan, CstTask *task,
                             GError **error);
/**
 * CstBackend.scan_one; *ret_volume: a new reference, or NULL when there is none of that name. A
 * deleted volume that is kept is none.
 */
gboolean cst_pool_state_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error);
/** The same, for which a deleted volume that is kept is one. */
gboolean cst_pool_state_scan_any(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error);
/** CstBackend.usage. */
gboolean cst_pool_state_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
/** CstBackend.describe: completes @def, a copy of the definition; touches no storage. */
void cst_pool_state_describe(CstPoolState *state, CstPoolDef *def);
/** CstBackend.vol_path; touches no storage, never NULL. */
char *cst_pool_state_vol_path(CstPoolState *state, const char *name);
/** The key of a volume: its own, or its path. */
char *cst_pool_state_vol_key(CstPoolState *state, const CstVolume *volume);
/** CstBackend.vol_identity; "" where nothing tells. NULL with @error. */
char *cst_pool_state_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);
/** CstBackend.vol_resolve; NULL (no error): @path can't be of this pool. Touches no storage. */
char *cst_pool_state_vol_resolve(CstPoolState *state, const char *path);

/** CstBackend.prove; NO_SUPPORT where there is no login. */
gboolean cst_pool_state_prove(CstPoolState *state, GError **error);
/** CstBackend.renew; success where each login asks for the value. */
gboolean cst_pool_state_renew(CstPoolState *state, GError **error);
/** CstBackend.set_credential; NO_SUPPORT where it can't be done from here. */
gboolean cst_pool_state_set_credential(CstPoolState *state, const CstLoginAdmin *admin,
                                       const CstSecretBytes *value, char **ret_account,
                                       GError **error);

/** CstBackend.identity; NULL (no error) where the backend has none. */
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

/**
 * The same for a volume, whose name may be several with '/' between them where the type has nested
 * ones.
 */
gboolean cst_pool_state_volume_name_check(CstPoolState *state, const char *name, GError **error);

/**
 * CstBackend.vol_make: makes an empty volume in one step. UNSUPPORTED: go by reserve and commit. A
 * dry run ends here.
 */
gboolean cst_pool_state_make(CstPoolState *state, const CstVolDef *def, GError **error);
/**
 * CstBackend.vol_reserve: makes the draft that @draft's token names. In a dry run the draft is
 * nowhere (blob/dry.h).
 */
gboolean cst_pool_state_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error);
/** CstBackend.vol_commit: the draft becomes volume def->name. */
gboolean cst_pool_state_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                               GError **error);
/** CstBackend.vol_abandon: drops a draft by its token; a missing one is success. */
gboolean cst_pool_state_abandon(CstPoolState *state, const char *token, GError **error);
/** NO_SUPPORT when volumes of this pool can't be deleted at all. */
gboolean cst_pool_state_check_delete(CstPoolState *state, GError **error);
/** CstBackend.vol_delete. */
gboolean cst_pool_state_delete(CstPoolState *state, const char *name, unsigned flags,
                               GError **error);
/** NO_SUPPORT when volumes of this pool can't get another name. */
gboolean cst_pool_state_check_rename(CstPoolState *state, GError **error);
/** NO_SUPPORT when volumes of this pool can't be kept after their deletion. */
gboolean cst_pool_state_check_trash(CstPoolState *state, GError **error);
/** CstBackend.vol_rename. */
gboolean cst_pool_state_rename(CstPoolState *state, const char *name, const char *new_name,
                               GError **error);
/** Whether the technology can give a volume a second name (CstBackend.vol_link). */
gboolean cst_pool_state_can_link(CstPoolState *state);
/** CstBackend.vol_link; UNSUPPORTED where a volume has one name at a time. */
gboolean cst_pool_state_link(CstPoolState *state, const char *name, const char *new_name,
                             GError **error);
/** Whether files of @from may become this pool's by a second name (CstBackend.vol_take). */
gboolean cst_pool_state_can_take(CstPoolState *state, CstPoolState *from);
/** CstBackend.vol_take; UNSUPPORTED where it has to be copied. */
gboolean cst_pool_state_take(CstPoolState *state, CstPoolState *from, const char *name,
                             CstBlob *blob, const char *new_name, GError **error);
/** Whether volumes of @from may become this pool's by another name (CstBackend.vol_rename_from). */
gboolean cst_pool_state_can_rename_from(CstPoolState *state, CstPoolState *from);
/** CstBackend.vol_rename_from, where it can be called; UNSUPPORTED where it has to be copied. */
gboolean cst_pool_state_rename_from(CstPoolState *state, CstPoolState *from, const char *name,
                                    const char *new_name, GError **error);
/** CstBackend.vol_check_wipe; success where nothing speaks against it. */
gboolean cst_pool_state_vol_check_wipe(CstPoolState *state, const char *name, GError **error);
/** CstBackend.vol_declare; FALSE where the storage has no place for it, no error is set. */
gboolean cst_pool_state_vol_declare(CstPoolState *state, CstBlob *blob,
                                    const CstDeclaration *declaration);
/**
 * Opens a volume's bytes as they are stored, a new reference. For writing it is held by QEMU's
 * locks as well (image/hold.h); BUSY names who has it open.
 */
CstBlob *cst_pool_state_vol_open(CstPoolState *state, const char *name, gboolean writable,
                                 GError **error);

/** Whether the backend makes the volumes of this pool larger and smaller itself. */
gboolean cst_pool_state_can_resize(CstPoolState *state);
/** CstBackend.vol_resize: gives volume @name, whose content is raw, @capacity bytes. */
gboolean cst_pool_state_vol_resize(CstPoolState *state, const char *name, uint64_t capacity,
                                   CstTask *task, GError **error);
/**
 * CstBackend.vol_reserve_clone: a draft that shares the content of @source, or of its @snapshot
 * (NULL: none); UNSUPPORTED where it has to be copied.
 */
gboolean cst_pool_state_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                      const char *snapshot, CstVolDraft *draft, GError **error);

/** Lists who has the volume open: of CstHolder; empty where the backend does not know. */
GPtrArray *cst_pool_state_vol_holders(CstPoolState *state, const char *name, GError **error);
/** Lists the paths (char *) of what depends on the volume; empty where nothing can. */
GPtrArray *cst_pool_state_vol_children(CstPoolState *state, const char *name, GError **error);
/** Whether a deletion looks by itself for what hangs on the volume (CstBackend.delete_refuses). */
gboolean cst_pool_state_delete_refuses(CstPoolState *state);
/** Whether nobody may have a volume open that is flattened (CstBackend.flattens_at_rest). */
gboolean cst_pool_state_flattens_at_rest(CstPoolState *state);
/** CstBackend.vol_flatten. */
gboolean cst_pool_state_vol_flatten(CstPoolState *state, const char *name, CstTask *task,
                                    GError **error);
/** Whether the technology tells how its storage is (CstBackend.health). */
gboolean cst_pool_state_has_health(CstPoolState *state);
/** CstBackend.health; UNKNOWN where the technology does not tell. The caller clears *ret_health. */
gboolean cst_pool_state_health(CstPoolState *state, gboolean details, CstPoolHealth *ret_health,
                               GError **error);
/** Lists stores that volumes draw space from: of CstThinStore; empty where there are none. */
GPtrArray *cst_pool_state_thin(CstPoolState *state, GError **error);
/** Lists what may run full: of CstSpaceUsage; empty where nothing can. */
GPtrArray *cst_pool_state_space_usage(CstPoolState *state, GError **error);

/** Whether the technology makes snapshots; the calls below are UNSUPPORTED where it doesn't. */
gboolean cst_pool_state_has_snapshots(CstPoolState *state);
/** Whether a draft can have snapshots already (CstVolDraft.name). */
gboolean cst_pool_state_snapshots_of_drafts(CstPoolState *state, gboolean *ret_can, GError **error);
/** Lists the volume's snapshots, oldest first: of CstSnapshot. */
GPtrArray *cst_pool_state_snapshots(CstPoolState *state, const char *volume, GError **error);
/** Whether the technology can take snapshots of several volumes at one moment (create_many). */
gboolean cst_pool_state_can_snapshot_many(CstPoolState *state);
/** CstSnapshotBackend.create_many, where it can be called. */
gboolean cst_pool_state_snapshot_create_many(CstPoolState *state, const char *const *volumes,
                                             const char *name, CstTask *task, GError **error);
/** CstSnapshotBackend.create. */
gboolean cst_pool_state_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                        const CstSnapshotCreate *how, CstTask *task,
                                        GError **error);
/**
 * Lists the names of the snapshots that a revert to @name would remove; empty where it keeps all.
 */
GPtrArray *cst_pool_state_snapshot_revert_loses(CstPoolState *state, const char *volume,
                                                const char *name, GError **error);
/** CstSnapshotBackend.revert. */
gboolean cst_pool_state_snapshot_revert(CstPoolState *state, const char *volume, const char *name,
                                        const GPtrArray *agreed, CstTask *task, GError **error);
/** CstSnapshotBackend.remove. */
gboolean cst_pool_state_snapshot_remove(CstPoolState *state, const char *volume, const char *name,
                                        CstTask *task, GError **error);
/** CstSnapshotBackend.rename. */
gboolean cst_pool_state_snapshot_rename(CstPoolState *state, const char *volume, const char *name,
                                        const char *new_name, GError **error);
/** CstSnapshotBackend.changed. */
gboolean cst_pool_state_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                         const char *until, CstTask *task, CstChanged *changed,
                                         GError **error);
/** CstSnapshotBackend.open. */
CstBlob *cst_pool_state_snapshot_open(CstPoolState *state, const char *volume, const char *name,
                                      GError **error);

/** TRUE when volumes are files, which may be images that are based on others. */
gboolean cst_pool_state_holds_images(CstPoolState *state);

/** NO_SUPPORT when volumes of this pool can't be made at all. */
gboolean cst_pool_state_check_create(CstPoolState *state, GError **error);

/** CstBackend.watch_open; -1 without an error where the backend can't watch. */
int cst_pool_state_watch_open(CstPoolState *state, GError **error);
/** CstBackend.watch_close; does nothing when *fd is negative, and sets it to -1. */
void cst_pool_state_watch_close(CstPoolState *state, int *fd);
/** CstBackend.watch_read, of a descriptor that cst_pool_state_watch_open() has opened. */
void cst_pool_state_watch_read(CstPoolState *state, int fd,
                               void (*changed)(const char *name, gpointer data), gpointer data);

/** CstBackend.discover; @spec may be NULL. */
gboolean cst_pool_discover(CstPoolType type, const CstPoolSource *spec, GArray *ret_sources,
                           GError **error);

/** Fills a model record from a volume: what <volume> shows. */
CstVolDef *cst_volume_describe(CstPoolState *state, const CstVolume *volume);
