/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/registry.h>

/**
 * The checked dispatch: the only code that calls through a CstBackend. It finds the backend,
 * refuses unsupported operations with one clear error (NO_SUPPORT), ends dry runs, and checks that
 * the backend obeys its contract. CstBackend's member of the same name documents each call and its
 * errors. A violation by the backend is an INTERNAL error. The caller has checked the names
 * (cst_name_check), and frees the results. Any thread; backend.h lists the calls that may run in
 * parallel.
 */

/**
 * Opens a state of @def, with one reference. @host (may be NULL) must live as long as the state.
 */
CstPoolState *cst_pool_state_open(const CstPoolDef *def, const CstPoolHost *host, GError **error);

/** Whether the storage is remote and may not answer for long (CstBackend.remote). */
gboolean cst_pool_state_is_remote(CstPoolState *state);
/** Whether a draft becomes a volume by the end of its intent (CstBackend.drafts_by_intent). */
gboolean cst_pool_state_drafts_by_intent(CstPoolState *state);
/** Whether calls into its storage may hang in the kernel (CstBackend.touch). */
gboolean cst_pool_state_may_hang(CstPoolState *state);
/**
 * Fails with UNREACHABLE while the storage hangs (CstBackend.touch) and calls are refused. The
 * first call starts the check of the storage in the background.
 */
gboolean cst_pool_state_answers(CstPoolState *state, GError **error);
/**
 * Waits until the storage has answered (CstBackend.touch), at most until @until (monotonic). FALSE
 * with UNREACHABLE if it did not answer. Returns TRUE at once for storage that never hangs. Never
 * hangs itself.
 */
gboolean cst_pool_state_await(CstPoolState *state, gint64 until, GError **error);
/**
 * Like cst_pool_state_answers(), but also FALSE while the storage reports an error
 * (CstBackend.touch), although calls are not refused then.
 */
gboolean cst_pool_state_works(CstPoolState *state, GError **error);
/** Whether cst_pool_state_check() may hang with the storage (CstBackend.check_touches). */
gboolean cst_pool_state_check_may_hang(CstPoolState *state);
/** CstBackend.check. */
gboolean cst_pool_state_check(CstPoolState *state, gboolean *ret_active, GError **error);
/** CstBackend.build; success if the backend has no such callback. */
gboolean cst_pool_state_build(CstPoolState *state, unsigned flags, GError **error);
/** CstBackend.start; success if the backend has no such callback. */
gboolean cst_pool_state_start(CstPoolState *state, GError **error);
/**
 * CstBackend.drop_drafts: drops the drafts of dead processes and finishes their changes. Call it
 * after a start and its expect. Does not change the storage in a dry run.
 */
gboolean cst_pool_state_settle(CstPoolState *state, GError **error);
/** CstBackend.stop; success if the backend has no such callback. */
gboolean cst_pool_state_stop(CstPoolState *state, GError **error);
/** CstBackend.destroy. */
gboolean cst_pool_state_destroy(CstPoolState *state, unsigned flags, GError **error);

/** CstBackend.rescan_bus; success if a scan needs no rescan. */
gboolean cst_pool_state_rescan_bus(CstPoolState *state, CstTask *task, GError **error);
/** CstBackend.scan: passes each volume to scan->sink(). */
gboolean cst_pool_state_scan(CstPoolState *state, const CstScan *scan, CstTask *task,
                             GError **error);
/**
 * CstBackend.scan_one. *ret_volume: a new reference, or NULL if the volume does not exist. A volume
 * in the trash is not found.
 */
gboolean cst_pool_state_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error);
/** Like cst_pool_state_scan_one(), but also finds a volume in the trash. */
gboolean cst_pool_state_scan_any(CstPoolState *state, const char *name, CstVolume *known,
                                 CstVolume **ret_volume, GError **error);
/** CstBackend.usage. */
gboolean cst_pool_state_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);
/** CstBackend.describe: completes @def, a copy of the definition; touches no storage. */
void cst_pool_state_describe(CstPoolState *state, CstPoolDef *def);
/** CstBackend.vol_path; touches no storage, never NULL. */
char *cst_pool_state_vol_path(CstPoolState *state, const char *name);
/** Returns the key of a volume: its own key, or its path. */
char *cst_pool_state_vol_key(CstPoolState *state, const CstVolume *volume);
/** CstBackend.vol_identity; "" if the storage has no identity. NULL with @error. */
char *cst_pool_state_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);
/**
 * CstBackend.vol_resolve; NULL (no error) if @path cannot belong to this pool. Touches no storage.
 */
char *cst_pool_state_vol_resolve(CstPoolState *state, const char *path);

/** CstBackend.prove; NO_SUPPORT if the storage has no login. */
gboolean cst_pool_state_prove(CstPoolState *state, GError **error);
/** CstBackend.renew; success if each login reads the value anew. */
gboolean cst_pool_state_renew(CstPoolState *state, GError **error);
/** CstBackend.set_credential; NO_SUPPORT if the backend has no such callback. */
gboolean cst_pool_state_set_credential(CstPoolState *state, const CstLoginAdmin *admin,
                                       const CstSecretBytes *value, char **ret_account,
                                       GError **error);

/** CstBackend.identity; NULL (no error) if the backend has no such callback. */
char *cst_pool_state_identity(CstPoolState *state, GError **error);
/** CstBackend.expect; accepts any storage if the backend has no identity. */
gboolean cst_pool_state_expect(CstPoolState *state, const char *recorded, gboolean starting,
                               GError **error);
/** Whether a change of the host's mounts may remove the storage (CstBackend.on_mounts). */
gboolean cst_pool_state_is_on_mounts(CstPoolState *state);

/**
 * Checks the name of a new volume or snapshot (@what) of this pool: cst_name_check(), and no name
 * of the backend's own. INVALID.
 */
gboolean cst_pool_state_name_check(CstPoolState *state, const char *name, const char *what,
                                   GError **error);

/**
 * Like cst_pool_state_name_check(), for a volume. If the type has nested names, the name may have
 * several components, separated by '/'.
 */
gboolean cst_pool_state_volume_name_check(CstPoolState *state, const char *name, GError **error);

/**
 * CstBackend.vol_make: creates an empty volume atomically. UNSUPPORTED: use reserve and commit. A
 * dry run ends here.
 */
gboolean cst_pool_state_make(CstPoolState *state, const CstVolDef *def, GError **error);
/**
 * CstBackend.vol_reserve: makes the draft with the token of @draft. In a dry run the draft has no
 * storage (blob/dry.h).
 */
gboolean cst_pool_state_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error);
/** CstBackend.vol_commit: the draft becomes volume def->name. */
gboolean cst_pool_state_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                               GError **error);
/** CstBackend.vol_abandon: drops a draft by its token; succeeds if it does not exist. */
gboolean cst_pool_state_abandon(CstPoolState *state, const char *token, GError **error);
/** Fails with NO_SUPPORT if volumes of this pool cannot be deleted at all. */
gboolean cst_pool_state_check_delete(CstPoolState *state, GError **error);
/** CstBackend.vol_delete. */
gboolean cst_pool_state_delete(CstPoolState *state, const char *name, unsigned flags,
                               GError **error);
/** Returns whether a removal of many volumes has one sync. FALSE in a dry run. */
gboolean cst_pool_state_groups_deletions(CstPoolState *state);
/**
 * CstBackend.vols_delete, or vol_delete for each volume. Sets the error of each volume that is not
 * removed. FALSE: any removal may be undone by a power loss.
 */
gboolean cst_pool_state_delete_many(CstPoolState *state, CstVolDeletion *deletions, guint count,
                                    GError **error);
/** Fails with NO_SUPPORT if volumes of this pool cannot be renamed. */
gboolean cst_pool_state_check_rename(CstPoolState *state, GError **error);
/** Fails with NO_SUPPORT if this pool cannot keep deleted volumes in the trash. */
gboolean cst_pool_state_check_trash(CstPoolState *state, GError **error);
/** CstBackend.vol_rename. */
gboolean cst_pool_state_rename(CstPoolState *state, const char *name, const char *new_name,
                               GError **error);
/** Whether the technology can give a volume a second name (CstBackend.vol_link). */
gboolean cst_pool_state_can_link(CstPoolState *state);
/** CstBackend.vol_link; UNSUPPORTED if a volume has only one name at a time. */
gboolean cst_pool_state_link(CstPoolState *state, const char *name, const char *new_name,
                             GError **error);
/** Whether files of @from can be linked into this pool (CstBackend.vol_take). */
gboolean cst_pool_state_can_take(CstPoolState *state, CstPoolState *from);
/** CstBackend.vol_take; UNSUPPORTED if the volume must be copied. */
gboolean cst_pool_state_take(CstPoolState *state, CstPoolState *from, const char *name,
                             CstBlob *blob, const char *new_name, GError **error);
/** Whether volumes of @from can be moved to this pool by a rename (CstBackend.vol_rename_from). */
gboolean cst_pool_state_can_rename_from(CstPoolState *state, CstPoolState *from);
/** CstBackend.vol_rename_from; UNSUPPORTED if the volume must be copied. */
gboolean cst_pool_state_rename_from(CstPoolState *state, CstPoolState *from, const char *name,
                                    const char *new_name, GError **error);
/** CstBackend.vol_check_wipe; success if the backend has no such callback. */
gboolean cst_pool_state_vol_check_wipe(CstPoolState *state, const char *name, GError **error);
/** CstBackend.vol_declare; FALSE (no error) if the storage cannot store it. */
gboolean cst_pool_state_vol_declare(CstPoolState *state, CstBlob *blob,
                                    const CstDeclaration *declaration);
/**
 * Opens the stored bytes of a volume. Returns a new reference. For writing it also acquires QEMU's
 * locks (image/hold.h); BUSY names the holder.
 */
CstBlob *cst_pool_state_vol_open(CstPoolState *state, const char *name, gboolean writable,
                                 GError **error);

/** Whether the backend resizes the volumes of this pool itself. */
gboolean cst_pool_state_can_resize(CstPoolState *state);
/**
 * CstBackend.vol_resize: sets the capacity of volume @name, with raw content, to @capacity bytes.
 */
gboolean cst_pool_state_vol_resize(CstPoolState *state, const char *name, uint64_t capacity,
                                   CstTask *task, GError **error);
/**
 * CstBackend.vol_reserve_clone: makes a draft that shares the content of @source, or of its
 * @snapshot (may be NULL). UNSUPPORTED if the content must be copied.
 */
gboolean cst_pool_state_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                      const char *snapshot, CstVolDraft *draft, GError **error);

/** Lists the holders of the volume, as CstHolder; empty if the backend cannot report them. */
GPtrArray *cst_pool_state_vol_holders(CstPoolState *state, const char *name, GError **error);
/**
 * Lists the holders of @count volumes. Returns one array of CstHolder for each of @names; an
 * element is NULL if the backend failed for that volume, or if the array would exceed
 * CST_HOLDERS_MAX holders of all volumes together. Fails with CANCELLED by @task (may be NULL).
 */
GPtrArray *cst_pool_state_vols_holders(CstPoolState *state, const char *const *names, guint count,
                                       CstTask *task, GError **error);
/** Lists the paths (char *) of the volume's dependents; empty if the type has no dependents. */
GPtrArray *cst_pool_state_vol_children(CstPoolState *state, const char *name, GError **error);
/** Whether vol_delete itself checks for dependents of the volume (CstBackend.delete_refuses). */
gboolean cst_pool_state_delete_refuses(CstPoolState *state);
/** Whether a volume must not be open while it is flattened (CstBackend.flattens_at_rest). */
gboolean cst_pool_state_flattens_at_rest(CstPoolState *state);
/** CstBackend.vol_flatten. */
gboolean cst_pool_state_vol_flatten(CstPoolState *state, const char *name, CstTask *task,
                                    GError **error);
/** Whether the backend reports the health of its storage (CstBackend.health). */
gboolean cst_pool_state_has_health(CstPoolState *state);
/**
 * CstBackend.health; UNKNOWN if the backend has no such callback. The caller clears *ret_health.
 */
gboolean cst_pool_state_health(CstPoolState *state, gboolean details, CstPoolHealth *ret_health,
                               GError **error);
/** Lists the stores that volumes are allocated from, as CstThinStore; empty without such stores. */
GPtrArray *cst_pool_state_thin(CstPoolState *state, GError **error);
/** Lists the spaces that may run full, as CstSpaceUsage; empty without such spaces. */
GPtrArray *cst_pool_state_space_usage(CstPoolState *state, GError **error);
/** Whether the pool can extend spaces; the calls below fail with NO_SUPPORT otherwise. */
gboolean cst_pool_state_check_growths(CstPoolState *state, GError **error);
/** CstBackend.growths: a new list of CstGrowth. */
GPtrArray *cst_pool_state_growths(CstPoolState *state, gboolean now, GError **error);
/** CstBackend.growth_use and grow. */
gboolean cst_pool_state_growth_use(CstPoolState *state, CstGrowth *growth, GError **error);
gboolean cst_pool_state_grow(CstPoolState *state, const CstGrowth *growth, uint64_t size,
                             GError **error);

/** Whether the technology supports snapshots; otherwise the calls below fail with UNSUPPORTED. */
gboolean cst_pool_state_has_snapshots(CstPoolState *state);
/** Whether a draft can have snapshots (CstVolDraft.name). */
gboolean cst_pool_state_snapshots_of_drafts(CstPoolState *state, gboolean *ret_can, GError **error);
/** Lists the volume's snapshots, as CstSnapshot, oldest first. */
GPtrArray *cst_pool_state_snapshots(CstPoolState *state, const char *volume, GError **error);
/**
 * CstSnapshotBackend.volumes: returns the set of the names of volumes that may have snapshots.
 * *ret_names is NULL if the backend cannot list them.
 */
gboolean cst_pool_state_snapshot_volumes(CstPoolState *state, GHashTable **ret_names,
                                         GError **error);
/** Whether snapshots of several volumes can be created atomically (create_many). */
gboolean cst_pool_state_can_snapshot_many(CstPoolState *state);
/** CstSnapshotBackend.create_many. */
gboolean cst_pool_state_snapshot_create_many(CstPoolState *state, const char *const *volumes,
                                             const char *name, const CstSnapshotCreate *how,
                                             CstTask *task, GError **error);
/** CstSnapshotBackend.create. */
gboolean cst_pool_state_snapshot_create(CstPoolState *state, const char *volume, const char *name,
                                        const CstSnapshotCreate *how, CstTask *task,
                                        GError **error);
/**
 * Whether snapshots can be created in two steps (CstSnapshotBackend.draft_begin). The calls below
 * are those of the backend. The volume is claimed for all of them.
 */
gboolean cst_pool_state_can_draft_snapshot(CstPoolState *state);
/** Returns NULL with an error. Free the draft with cst_pool_state_snapshot_draft_end(). */
CstSnapshotDraft *cst_pool_state_snapshot_draft_begin(CstPoolState *state, const char *volume,
                                                      const char *name, GError **error);
gboolean cst_pool_state_snapshot_draft_update(CstPoolState *state, CstSnapshotDraft *draft,
                                              GError **error);
gboolean cst_pool_state_snapshot_draft_commit(CstPoolState *state, CstSnapshotDraft *draft,
                                              const CstSnapshotCreate *how, GError **error);
/** NULL: no-op. */
void cst_pool_state_snapshot_draft_end(CstPoolState *state, CstSnapshotDraft *draft);
/**
 * Whether snapshots can be prepared before a guest is suspended (CstSnapshotBackend.plan_begin).
 * The calls below are those of the backend. All volumes are claimed for them.
 */
gboolean cst_pool_state_can_plan_snapshots(CstPoolState *state);
/** Returns NULL with an error. Free the plan with cst_pool_state_snapshot_plan_end(). */
CstSnapshotPlan *cst_pool_state_snapshot_plan_begin(CstPoolState *state, const char *const *volumes,
                                                    const char *name, const CstSnapshotCreate *how,
                                                    GError **error);
gboolean cst_pool_state_snapshot_plan_rehearse(CstPoolState *state, CstSnapshotPlan *plan,
                                               CstTask *task, uint64_t *ret_us, GError **error);
gboolean cst_pool_state_snapshot_plan_make(CstPoolState *state, CstSnapshotPlan *plan,
                                           CstTask *task, GError **error);
gboolean cst_pool_state_snapshot_plan_commit(CstPoolState *state, CstSnapshotPlan *plan,
                                             guint index, const CstSnapshotCreate *how,
                                             GError **error);
/** NULL: no-op. */
void cst_pool_state_snapshot_plan_end(CstPoolState *state, CstSnapshotPlan *plan);
/** Lists the names of the snapshots that a revert to @name would remove; empty if it keeps all. */
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

/** Whether the volumes are files, which may be images with backing files. */
gboolean cst_pool_state_holds_images(CstPoolState *state);

/** Fails with NO_SUPPORT if volumes of this pool cannot be created at all. */
gboolean cst_pool_state_check_create(CstPoolState *state, GError **error);

/** CstBackend.watch_open; -1 without an error if the backend has no such callback. */
int cst_pool_state_watch_open(CstPoolState *state, GError **error);
/** CstBackend.watch_close; does nothing when *fd is negative, and sets it to -1. */
void cst_pool_state_watch_close(CstPoolState *state, int *fd);
/** CstBackend.watch_read, for a descriptor of cst_pool_state_watch_open(). */
void cst_pool_state_watch_read(CstPoolState *state, int fd,
                               void (*changed)(const char *name, gpointer data), gpointer data);

/** CstBackend.discover; @spec may be NULL. */
gboolean cst_pool_discover(CstPoolType type, const CstPoolSource *spec, GArray *ret_sources,
                           GError **error);

/** Makes the model's record of a volume: the content of <volume>. */
CstVolDef *cst_volume_describe(CstPoolState *state, const CstVolume *volume);
