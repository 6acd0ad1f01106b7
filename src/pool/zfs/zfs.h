/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/device.h>
#include <pool/rehearsal.h>
#include <pool/report_cache.h>

#include "report.h"
#include "tool.h"

/**
 * Pools that are a ZFS pool, or a dataset in one ("tank/vm"), as in libvirt. The volumes are the
 * zvols below it. Zvols in nested datasets are included, under their relative names ("web/disk").
 * ZFS's own tools make all changes, and their reports have all data (report.h).
 *
 * From bottom to top; a file calls files of earlier lines, and files to its left:
 *
 *     tool.c  report.c                        the tools and their reports
 *     names.c  node.c                         names and paths; waiting for a device's node
 *     cache.c  program.c                      cached data; checked changes
 *     dataset.c  options.c  swap.c            reading and changing datasets; properties; a swap
 *     scan.c  health.c  lookup.c  stream.c    records and usage; health of the devices; snapshots;
 *                                             the output of "zfs send"
 *     volume.c  change.c                      new volumes; delete and resize
 *     clone.c  flatten.c  changed.c           shared content; changes since a snapshot
 *     snapshot_plan.c                         snapshots of running guests
 *     snapshot.c                              snapshots
 *     lifecycle.c  watch.c                    the other callbacks
 *     zfs.c                                   the table
 *
 * CstBackend has the contracts of the callbacks.
 *
 * Hidden names (pool/device.h) are for
 *
 *     DIR/.cistern-HEX.MAKER.part      a draft in the dataset of its volume, or the clone that
 * shows a snapshot (snapshot.c) DIR/.cistern-HEX.MAKER.old       a volume while another volume
 * replaces it (swap.c) VOLUME@.cistern-HEX.MAKER.part   the snapshot that a clone of VOLUME depends
 * on (clone.c), or the temporary snapshot of changed.c
 *
 * and for volumes in the trash (CST_TRASH_PREFIX).
 */
extern const CstBackend cst_zfs_backend;

/** A cached report on datasets; immutable. */
typedef struct {
    gint refs;
    GPtrArray *datasets; /**< of ZfsDataset, the pool's own dataset first */
    GHashTable *by_name;
    gboolean all; /**< has all datasets; FALSE: only the requested ones */
} ZfsReport;

/** Data that is available without ZFS's tools (cache.c). */
typedef struct {
    CstReportCache reports; /**< of ZfsReport; its lock guards the members below */
    GHashTable *shown;      /**< dataset name to the last reported properties of the volume */
    gint64 proved_at;       /**< time when the pool's own dataset was verified; 0: never */
    ZfsPool *pool;          /**< sizes of the ZFS pool; NULL: not read */
    gint64 pool_changed_at; /**< our first change since they were read; 0: no change */
} ZfsCache;

typedef struct {
    CstPoolState head;
    const char *root;  /**< the dataset: the definition's source name */
    char *pool;        /**< its part before the first '/' */
    char *pool_guid;   /**< expected guid of the ZFS pool; NULL: any */
    char *root_guid;   /**< expected guid of the dataset; NULL: any */
    gboolean has_key;  /**< the definition names a secret */
    CstUuid key;       /**< the secret with the dataset's key */
    GPtrArray *common; /**< of CstPoolOption: properties of new volumes; NULL: no properties */
    ZfsCache *cache;
    CstRehearsal snapshot_rehearsal; /**< of "zfs snapshot" */
} ZfsState;

#define ZFS(state) ((ZfsState *)(state))

/* --- names.c ---------------------------------------------------------------------------------- */

/** Whether the characters of @name are valid for a dataset. */
gboolean zfs_is_name(const char *name);
/** Fail with INVALID if ZFS does not allow a dataset, or a snapshot, of that name. */
gboolean zfs_name_check(const ZfsState *state, const char *name, GError **error);
gboolean zfs_snapshot_name_check(const char *name, GError **error);
/** Fails with INVALID if dataset @root is not a valid name for a pool. */
gboolean zfs_root_check(const char *root, GError **error);

/** Returns the full name of volume @name's dataset. The caller frees it. */
char *zfs_dataset_of(const ZfsState *state, const char *name);
/** Returns the volume name of the dataset, a part of @dataset; NULL if it is not below the root. */
const char *zfs_volume_of(const ZfsState *state, const char *dataset);
/** Returns the parent of @dataset. The caller frees it. */
char *zfs_parent_of(const char *dataset);
/** Returns the dataset name of draft @token for volume @name. The caller frees it. */
char *zfs_draft_of(const ZfsState *state, const char *name, const char *token);
/** Returns the part after the last '/' of a dataset's name; borrowed. */
const char *zfs_last_of(const char *dataset);
/** Whether the dataset is a volume of the pool, in the trash or not. */
gboolean zfs_is_volume(const ZfsState *state, const ZfsDataset *dataset);
/** Whether vol-list shows the dataset. */
gboolean zfs_is_shown(const ZfsState *state, const ZfsDataset *dataset);
/** Returns the dataset of "DATASET@SNAPSHOT". The caller frees it. */
char *zfs_origin_of(const char *snapshot);

/** Returns the path of a dataset's device. The caller frees it. */
char *zfs_device_of(const char *dataset);
/** CstBackend.vol_path and vol_resolve. */
char *zfs_vol_path(CstPoolState *state, const char *name);
char *zfs_vol_resolve(CstPoolState *state, const char *path);

/* --- node.c ----------------------------------------------------------------------------------- */

/**
 * Set for all volumes, so that the host does not scan their guests' partitions. Also set for
 * datasets that pool-build creates, because a volume that inherits it has it from its creation on.
 */
#define ZFS_VOLMODE "volmode=dev"

/**
 * Opens the device of @dataset after udev has linked it; -1 with @error. Waits if the link still
 * leads to another dataset, because udev updates the links only after a rename.
 */
int zfs_node_open(const char *dataset, int flags, GError **error);
/** Like zfs_node_open(), as a blob. */
CstBlob *zfs_node_blob(const char *dataset, gboolean writable, GError **error);
/**
 * Ensures that the host does not scan the new device of @dataset, created with ZFS_VOLMODE, for
 * partitions. Waits until udev has processed the device. Logs a failure.
 */
void zfs_node_settle(const char *dataset);
/** Whether the device of @dataset exists, or appears within the time limit. */
gboolean zfs_node_comes(const char *dataset);

/* --- cache.c ---------------------------------------------------------------------------------- */

void zfs_cache_init(ZfsCache *cache);
/** Frees the members of the cache, not @cache itself. */
void zfs_cache_clear(ZfsCache *cache);
/** Drops all data, because the pool may be on other storage. */
void zfs_cache_reset(ZfsCache *cache);
/** Reports a change, or a possible change, by us. */
void zfs_cache_changed(ZfsCache *cache);
/**
 * Ends a report of cst_report_cache_begin(), which returned @changes. @report is NULL if the tool
 * failed or the dataset is not the expected one.
 */
void zfs_cache_end(ZfsCache *cache, ZfsReport *report, guint changes);
/** Whether the last report is fresh and has only some datasets. */
gboolean zfs_cache_has_some(ZfsCache *cache);

/** Reports that the pool's own dataset was verified now. */
void zfs_cache_prove(ZfsCache *cache);
/** Whether it was verified a short time ago. */
gboolean zfs_cache_is_proved(ZfsCache *cache);

/** Store, or drop, the sizes of the ZFS pool. */
void zfs_cache_keep_pool(ZfsCache *cache, const ZfsPool *pool);
void zfs_cache_drop_pool(ZfsCache *cache);
/**
 * Returns the sizes from before our last changes, which are valid until *ret_until. NULL if they
 * must be read. The caller frees it.
 */
ZfsPool *zfs_cache_pool(ZfsCache *cache, gint64 *ret_until);

/**
 * Returns the guid that was last reported for @dataset; *ret_kept is the space that its removal
 * would free. NULL if unknown. The caller frees it.
 */
char *zfs_cache_shown(ZfsCache *cache, const char *dataset, uint64_t *ret_kept);
/** Reports that @dataset does not exist any more. */
void zfs_cache_gone(ZfsCache *cache, const char *dataset);

/** Makes a report of @datasets, and consumes the reference. */
ZfsReport *zfs_report_new(GPtrArray *datasets, gboolean all);
/** Accepts NULL. */
void zfs_report_unref(gpointer report);

/* --- program.c -------------------------------------------------------------------------------- */

/** Result of a removal. */
typedef enum {
    ZFS_DONE,
    ZFS_GONE,    /**< it does not exist; NOT_FOUND */
    ZFS_NEEDED,  /**< a volume has snapshots; BUSY */
    ZFS_REFUSED, /**< no change: it is open, or is another one than reported */
    ZFS_UNKNOWN, /**< ZFS did not report the result */
} ZfsEnd;

/**
 * Removes the volume, or the snapshot, @dataset in one step. Checks that the pool is on the
 * expected dataset, and that @dataset has @guid (NULL: any). Sets @error for all results except
 * ZFS_DONE.
 */
ZfsEnd zfs_program_destroy(const ZfsState *state, const char *dataset, const char *guid,
                           GError **error);

/** Parameters of a revert. */
typedef struct {
    const ZfsDataset *dataset;
    const ZfsSnapshot *snapshot;
    const GPtrArray *newer;     /**< of ZfsSnapshot: newer snapshots that may be removed */
    const GPtrArray *bookmarks; /**< full names of the bookmarks that are not newer */
} ZfsRevert;

/**
 * Removes the newer snapshots and rolls the dataset back, in one step. BUSY without a change if
 * another newer snapshot or bookmark exists, or a newer snapshot has a clone or a hold. STATE or
 * NOT_FOUND if the dataset or the snapshot was replaced.
 */
gboolean zfs_program_revert(const ZfsState *state, const ZfsRevert *revert, GError **error);

/**
 * Fails with STATE: the pool is not on the dataset that it was started with. Always returns FALSE.
 */
gboolean zfs_fail_other_root(const ZfsState *state, GError **error);

/* --- dataset.c -------------------------------------------------------------------------------- */

/**
 * Reads the pool's own dataset and the existing datasets of @names (NULL-terminated, full names).
 * Returns an array of ZfsDataset, the pool's own dataset first. NOT_FOUND if the pool's dataset
 * does not exist; STATE if it is not the expected one.
 */
GPtrArray *zfs_read(const ZfsState *state, const char *const *names, GError **error);
/** Like zfs_read(), with all datasets below it. */
GPtrArray *zfs_read_all(const ZfsState *state, CstTask *task, GError **error);
/**
 * Reads volume @name, or a draft of that name; NO_VOL if it does not exist. The result is borrowed
 * from *ret_datasets, which the caller unrefs.
 */
const ZfsDataset *zfs_read_volume(const ZfsState *state, const char *name, GPtrArray **ret_datasets,
                                  GError **error);
/**
 * Returns the dataset of that full name, from the cached report if it is fresh. NULL if it does not
 * exist; if *ret_datasets is also NULL, @error is set. The result is borrowed from *ret_datasets,
 * which the caller unrefs.
 */
const ZfsDataset *zfs_look(const ZfsState *state, const char *dataset, GPtrArray **ret_datasets,
                           GError **error);
/** Like zfs_read_volume(), but may answer from the cached report. For read-only callers. */
const ZfsDataset *zfs_look_volume(const ZfsState *state, const char *name, GPtrArray **ret_datasets,
                                  GError **error);
/**
 * Whether the pool's own dataset is the expected one, verified now or a short time ago; fails like
 * zfs_read().
 */
gboolean zfs_prove(const ZfsState *state, GError **error);
/**
 * Reads the available bytes of the pool. After our changes the result is an estimate, valid until
 * *ret_until.
 */
gboolean zfs_available(const ZfsState *state, uint64_t *ret_available, gint64 *ret_until,
                       GError **error);
/**
 * Returns an array of the snapshots of @dataset, or (@all) also of all datasets below it, oldest
 * first.
 */
GPtrArray *zfs_read_snapshots(const char *dataset, gboolean all, GError **error);
/** Like zfs_read_snapshots(), for @dataset alone, with its bookmarks. */
GPtrArray *zfs_read_history(const char *dataset, GError **error);
/** Reads the ZFS pool. STATE if it is not the expected one. */
ZfsPool *zfs_read_pool(const ZfsState *state, GError **error);
/** Whether the ZFS pool is imported. Does not access the storage. */
gboolean zfs_is_imported(const ZfsState *state);
/**
 * Returns the kernel's state of ZFS pool @pool, without access to the storage; NULL if it is not
 * imported. The caller frees it.
 */
char *zfs_kernel_state(const char *pool);
/** The state of a ZFS pool that waits for lost devices. Each access to it hangs. */
#define ZFS_SUSPENDED "SUSPENDED"

/** Run a tool that makes a change. @argv, or the arguments, end with NULL. */
gboolean zfs_change_vector(const ZfsState *state, const GPtrArray *argv, CstTask *task,
                           GError **error);
gboolean zfs_change(const ZfsState *state, CstTask *task, GError **error, const char *tool,
                    ...) G_GNUC_NULL_TERMINATED;
/** Like zfs_change(), but repeated for a while if the device is open. */
gboolean zfs_change_idle(const ZfsState *state, GError **error, const char *tool,
                         ...) G_GNUC_NULL_TERMINATED;

/** Like zfs_program_destroy(), for a volume. If ZFS did not report the result, reads a report. */
ZfsEnd zfs_destroy_volume(const ZfsState *state, const char *dataset, const char *guid,
                          GError **error);
/** Removes a volume. Succeeds if it does not exist afterwards, even if zfs failed. */
gboolean zfs_destroy_dataset(const ZfsState *state, const char *dataset, GError **error);
/** Renames a dataset and checks the result likewise. EXISTS if the name is in use. */
gboolean zfs_rename_dataset(const ZfsState *state, const char *from, const char *to,
                            GError **error);

/** Removes a snapshot at once or, if it has clones, together with the last clone. */
gboolean zfs_drop_snapshot(const ZfsState *state, const ZfsSnapshot *snapshot, GError **error);

/* --- options.c -------------------------------------------------------------------------------- */

/** Copies the pool's options to the state. CONFIG names an option that is not valid. */
gboolean zfs_options_read(ZfsState *state, GError **error);
/**
 * Appends "-o" and "PROPERTY=VALUE" for a new volume to @argv; @texts owns the strings. The
 * properties are @own's, and the pool's unless @own overrides them. CONFIG names a property that is
 * not valid. @clone: without the properties that a clone inherits from its origin.
 */
gboolean zfs_options_add(const ZfsState *state, const GPtrArray *own, gboolean clone,
                         GPtrArray *argv, GPtrArray *texts, GError **error);
/** Returns the value of "volblocksize" in bytes; 0 if it is missing or not a size. */
uint64_t zfs_options_block(const GPtrArray *options);

/* --- swap.c ----------------------------------------------------------------------------------- */

/**
 * Returns the mark, "PROPERTY=VALUE", of a draft that will replace volume @name. The caller frees
 * it.
 */
char *zfs_swap_mark(const char *draft, const char *name);
/**
 * Gives @draft, which has the mark, the name of volume @name, and removes the old volume. BUSY
 * without a change if the volume is open.
 */
gboolean zfs_swap_in(const ZfsState *state, const char *name, const char *draft, GError **error);
/** Completes or undoes the swap in which a dead process left volume @old. */
gboolean zfs_swap_recover(const ZfsState *state, const GPtrArray *datasets, const ZfsDataset *old,
                          GError **error);
/**
 * Removes a draft and its snapshots. STATE if the volume that it was to replace has not got its
 * name back yet.
 */
gboolean zfs_drop_draft(const ZfsState *state, const char *draft, GError **error);

/* --- scan.c ----------------------------------------------------------------------------------- */

gboolean zfs_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean zfs_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                      CstVolume **ret_volume, GError **error);
char *zfs_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);
gboolean zfs_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);

/* --- health.c --------------------------------------------------------------------------------- */

gboolean zfs_health(CstPoolState *state, gboolean details, CstPoolHealth *health, GError **error);
/** Appends the output of zpool status to @health's notes. */
void zfs_status_parse(const char *text, CstPoolHealth *health);

/* --- volume.c --------------------------------------------------------------------------------- */

/** Refuses a name below a dataset that does not exist (NOT_FOUND), or below a volume (INVALID). */
gboolean zfs_check_parent(const ZfsState *state, const char *name, GError **error);
/**
 * Refuses a definition that is not supported: CONFIG, INVALID, or NOT_FOUND if the parent dataset
 * does not exist.
 */
gboolean zfs_check_def(const ZfsState *state, const CstVolDef *def, GError **error);
/**
 * Creates the volume of @def as @dataset, with our own property @mark ("NAME=VALUE"; may be NULL).
 */
gboolean zfs_make_volume(const ZfsState *state, const CstVolDef *def, const char *dataset,
                         const char *mark, GError **error);
/** Opens a draft for its maker; other users cannot read it. */
gboolean zfs_open_draft(const char *dataset, const CstVolDef *def, CstVolDraft *draft,
                        GError **error);

/** CstBackend.vol_reserve for a volume without content. */
gboolean zfs_reserve_empty(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                           GError **error);
gboolean zfs_vol_make(CstPoolState *state, const CstVolDef *def, GError **error);
gboolean zfs_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                        GError **error);
gboolean zfs_vol_abandon(CstPoolState *state, const char *token, GError **error);
CstBlob *zfs_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);

/* --- change.c --------------------------------------------------------------------------------- */

/**
 * Fails with BUSY if @dataset, volume @name, has a snapshot or a clone, for which ZFS would refuse
 * the removal. Removes hidden snapshots without clones.
 */
gboolean zfs_refuse_snapshots(const ZfsState *state, const char *name, const char *dataset,
                              GError **error);
gboolean zfs_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);
gboolean zfs_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                        GError **error);
gboolean zfs_vol_rename_from(CstPoolState *state, CstPoolState *from, const char *name,
                             const char *new_name, GError **error);
gboolean zfs_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                        GError **error);
/** Sets the size of a dataset's device. @size must be a multiple of its block size. */
gboolean zfs_set_size(const ZfsState *state, const char *dataset, uint64_t size, CstTask *task,
                      GError **error);
gboolean zfs_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                          GError **error);
gboolean zfs_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders, GError **error);

/* --- lookup.c --------------------------------------------------------------------------------- */

/** A volume, its snapshots, and one of them. */
typedef struct {
    GPtrArray *datasets;
    const ZfsDataset *volume;
    GPtrArray *snapshots;        /**< oldest first, including hidden snapshots */
    const ZfsSnapshot *snapshot; /**< NULL: no snapshot has that name */
    guint at;                    /**< its index */
} ZfsLookup;

/** Frees the members. */
void zfs_lookup_clear(ZfsLookup *found);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ZfsLookup, zfs_lookup_clear)

/**
 * Returns the snapshot of that name, borrowed; NULL if it does not exist. *ret_at (may be NULL) is
 * its index.
 */
const ZfsSnapshot *zfs_snapshot_named(const GPtrArray *snapshots, const char *name, guint *ret_at);
/**
 * Finds the volume, in the cached report if it is fresh. Reads its snapshots and, unless @name is
 * NULL, finds its snapshot of that name, if any.
 */
gboolean zfs_look_up(CstPoolState *state, const char *volume, const char *name, ZfsLookup *found,
                     GError **error);
/** Like zfs_look_up(). NOT_FOUND if no snapshot has that name. */
gboolean zfs_find_snapshot(CstPoolState *state, const char *volume, const char *name,
                           ZfsLookup *found, GError **error);
/** Returns "DATASET@NAME". The caller frees it. */
char *zfs_snapshot_of(const ZfsDataset *volume, const char *name);

/* --- clone.c, flatten.c, changed.c, snapshot.c ------------------------------------------------ */

/**
 * Creates a clone of "DATASET@SNAPSHOT" as @dataset, with @options ("-o" and values; may be NULL).
 */
gboolean zfs_clone(const ZfsState *state, const char *snapshot, const char *dataset,
                   const GPtrArray *options, GError **error);
gboolean zfs_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                         GError **error);
gboolean zfs_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                               const char *snapshot, CstVolDraft *draft, GError **error);
/** Removes the drafts and hidden snapshots of dead processes, and recovers their swaps. */
gboolean zfs_drop_drafts(CstPoolState *state, GError **error);

gboolean zfs_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error);

/** CstSnapshotBackend.changed. */
gboolean zfs_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                              const char *until, CstTask *task, CstChanged *changed,
                              GError **error);

extern const CstSnapshotBackend zfs_snapshots;

/* --- snapshot_plan.c -------------------------------------------------------------------------- */

/** Fails with ARGUMENT_UNSUPPORTED if @how (may be NULL) has a size. */
gboolean zfs_snapshot_check_how(const CstSnapshotCreate *how, GError **error);
/** Returns the record of the consistency of @how (may be NULL); NULL: no record. */
char *zfs_snapshot_record(const CstSnapshotCreate *how);
/** Creates the snapshots @wanted, full names, completely or not at all. @record may be NULL. */
gboolean zfs_snapshots_make(const ZfsState *state, const GPtrArray *wanted, const char *record,
                            CstTask *task, GError **error);

/** CstSnapshotBackend.plan_begin and so on. */
gboolean zfs_plan_begin(CstPoolState *state, const char *const *volumes, const char *name,
                        const CstSnapshotCreate *how, CstSnapshotPlan **ret_plan, GError **error);
gboolean zfs_plan_rehearse(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                           uint64_t *ret_us, GError **error);
gboolean zfs_plan_make(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task, GError **error);
gboolean zfs_plan_commit(CstPoolState *state, CstSnapshotPlan *plan, guint index,
                         const CstSnapshotCreate *how, GError **error);
void zfs_plan_end(CstPoolState *state, CstSnapshotPlan *plan);

/* --- lifecycle.c, watch.c --------------------------------------------------------------------- */

gboolean zfs_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean zfs_build(CstPoolState *state, unsigned flags, GError **error);
gboolean zfs_start(CstPoolState *state, GError **error);
gboolean zfs_destroy(CstPoolState *state, unsigned flags, GError **error);
gboolean zfs_touch(const CstPoolDef *def, GError **error);

int zfs_watch_open(CstPoolState *state, GError **error);
void zfs_watch_read(CstPoolState *state, int fd, void (*changed)(const char *name, gpointer data),
                    gpointer data);
