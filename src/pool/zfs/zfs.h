/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/device.h>
#include <pool/report_cache.h>

#include "report.h"
#include "tool.h"

/**
 * Pools that are a ZFS pool, or a dataset in one ("tank/vm"), as libvirt has them. Volumes are the
 * zvols below, also those in datasets further down, under their names from there on ("web/disk").
 * Everything is done by ZFS's own tools; what is there is read from their reports (report.h).
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     tool.c  report.c                        the tools and what they say
 *     names.c  node.c                         names and paths; a device's node, awaited
 *     cache.c  program.c                      what is known; changes that look before they leap
 *     dataset.c  options.c  swap.c            reading and changing datasets; properties; a swap
 *     scan.c  health.c  lookup.c  stream.c    records and usage; how the devices are; snapshots;
 *                                             what "zfs send" says
 *     volume.c  change.c                      new volumes; delete and resize
 *     clone.c  flatten.c  changed.c           shared content; what differs from a snapshot's
 *     snapshot.c                              snapshots
 *     lifecycle.c  watch.c                    the other callbacks
 *     zfs.c                                   the table
 *
 * Functions that are a callback of the table do what CstBackend says of it.
 *
 * Hidden names (pool/device.h) are those of
 *
 *     DIR/.cistern-HEX.MAKER.part   a draft beside the volume that it becomes
 *     DIR/.cistern-HEX.MAKER.old    a volume while another one takes its name (swap.c)
 *     VOLUME@.cistern-HEX.MAKER.part   the snapshot that a clone of VOLUME hangs on (clone.c), or
 *                                      up to which changes are told (changed.c)
 *
 * and of volumes in the trash (CST_TRASH_PREFIX).
 */
extern const CstBackend cst_zfs_backend;

/** A report on datasets that is kept for a moment; immutable. */
typedef struct {
    gint refs;
    GPtrArray *datasets; /**< of ZfsDataset, the pool's own one first */
    GHashTable *by_name;
    gboolean all; /**< that there are; otherwise those that were asked for */
} ZfsReport;

/** What is known without asking ZFS's tools (cache.c). */
typedef struct {
    CstReportCache reports; /**< of ZfsReport; its lock guards what follows */
    GHashTable *shown;      /**< what volumes were reported to be, by their datasets' names */
    gint64 proved_at;       /**< the pool's own dataset was the expected one then; 0: never */
    ZfsPool *pool;          /**< sizes of the ZFS pool; NULL: to be read */
    gint64 pool_changed_at; /**< the first change of ours since they were read; 0: none */
} ZfsCache;

typedef struct {
    CstPoolState head;
    const char *root;  /**< the dataset, the definition's source name */
    char *pool;        /**< what is in front of the first '/' of it */
    char *pool_guid;   /**< that it must have; NULL: any */
    char *root_guid;   /**< that the dataset must have; NULL: any */
    gboolean has_key;  /**< the definition names a secret */
    CstUuid key;       /**< the secret with the dataset's key */
    GPtrArray *common; /**< of CstPoolOption: properties of new volumes; NULL: none */
    ZfsCache *cache;
} ZfsState;

#define ZFS(state) ((ZfsState *)(state))

/* --- names.c ---------------------------------------------------------------------------------- */

/** Whether a dataset can have the name, by its characters. */
gboolean zfs_is_name(const char *name);
/** INVALID where ZFS takes no dataset, or no snapshot, of that name. */
gboolean zfs_name_check(const ZfsState *state, const char *name, GError **error);
gboolean zfs_snapshot_name_check(const char *name, GError **error);
/** INVALID where a pool can't lie on dataset @root. */
gboolean zfs_root_check(const char *root, GError **error);

/** The whole name of volume @name's dataset; free it. */
char *zfs_dataset_of(const ZfsState *state, const char *name);
/**
 * The name that the dataset has as a volume, a part of @dataset; NULL: it is not below the root.
 */
const char *zfs_volume_of(const ZfsState *state, const char *dataset);
/** The dataset above @dataset; free it. */
char *zfs_parent_of(const char *dataset);
/** The dataset of draft @token for volume @name; free it. */
char *zfs_draft_of(const ZfsState *state, const char *name, const char *token);
/** What is behind the last '/' of a dataset's name; a part of it. */
const char *zfs_last_of(const char *dataset);
/** Whether the dataset is a volume of the pool, in the trash or not. */
gboolean zfs_is_volume(const ZfsState *state, const ZfsDataset *dataset);
/** Whether vol-list shows the dataset. */
gboolean zfs_is_shown(const ZfsState *state, const ZfsDataset *dataset);
/** The dataset that is meant by "DATASET@SNAPSHOT"; free it. */
char *zfs_origin_of(const char *snapshot);

/** The path of a dataset's device; free it. */
char *zfs_device_of(const char *dataset);
/** CstBackend.vol_path and vol_resolve. */
char *zfs_vol_path(CstPoolState *state, const char *name);
char *zfs_vol_resolve(CstPoolState *state, const char *path);

/* --- node.c ----------------------------------------------------------------------------------- */

/**
 * Given to all volumes, so that the host does not show their guests' partitions; and to what
 * pool-build makes, as the device of a volume that inherits it has it from the first moment.
 */
#define ZFS_VOLMODE "volmode=dev"

/**
 * Opens the device of @dataset once udev has linked it; -1 with @error. Whatever was linked there
 * before (the links follow later than a change of names) is not taken for it.
 */
int zfs_node_open(const char *dataset, int flags, GError **error);
/** The same as a blob. */
CstBlob *zfs_node_blob(const char *dataset, gboolean writable, GError **error);
/**
 * Sees to it that the host looks for no partitions on the device of @dataset, which has just been
 * made with ZFS_VOLMODE, and waits until udev is done with it. That partitions are looked for all
 * the same is logged.
 */
void zfs_node_settle(const char *dataset);
/** Whether the device of @dataset is there, or comes while it is waited for. */
gboolean zfs_node_comes(const char *dataset);

/* --- cache.c ---------------------------------------------------------------------------------- */

void zfs_cache_init(ZfsCache *cache);
/** Frees what the cache keeps, not @cache itself. */
void zfs_cache_clear(ZfsCache *cache);
/** Says that the pool may lie on other storage: nothing is known any more. */
void zfs_cache_reset(ZfsCache *cache);
/** Says that we have changed something, or may have. */
void zfs_cache_changed(ZfsCache *cache);
/**
 * Ends a report that cst_report_cache_begin() began, with @changes from there; NULL: there was none
 * that shows the expected dataset.
 */
void zfs_cache_end(ZfsCache *cache, ZfsReport *report, guint changes);
/** Whether the last report is fresh, and one on some datasets only. */
gboolean zfs_cache_has_some(ZfsCache *cache);

/** Says that the pool's own dataset is the expected one now. */
void zfs_cache_prove(ZfsCache *cache);
/** Whether it was a moment ago. */
gboolean zfs_cache_is_proved(ZfsCache *cache);

/** Keeps, or forgets, the sizes of the ZFS pool. */
void zfs_cache_keep_pool(ZfsCache *cache, const ZfsPool *pool);
void zfs_cache_drop_pool(ZfsCache *cache);
/**
 * The sizes from before our last changes, which will do until *ret_until; NULL: to be read. Free
 * it.
 */
ZfsPool *zfs_cache_pool(ZfsCache *cache, gint64 *ret_until);

/**
 * The guid that @dataset was last reported to have, and what its end would give back; NULL: not
 * known. Free it.
 */
char *zfs_cache_shown(ZfsCache *cache, const char *dataset, uint64_t *ret_kept);
/** Says that there is no @dataset any more. */
void zfs_cache_gone(ZfsCache *cache, const char *dataset);

/** A report of @datasets, which it takes over. */
ZfsReport *zfs_report_new(GPtrArray *datasets, gboolean all);
/** NULL is accepted. */
void zfs_report_unref(gpointer report);

/* --- program.c -------------------------------------------------------------------------------- */

/** How a removal ended. */
typedef enum {
    ZFS_DONE,
    ZFS_GONE,    /**< there is none; NOT_FOUND */
    ZFS_NEEDED,  /**< a volume has snapshots; BUSY */
    ZFS_REFUSED, /**< nothing was changed: it is open, or another one than it was */
    ZFS_UNKNOWN, /**< ZFS did not say */
} ZfsEnd;

/**
 * Removes the volume, or the snapshot, @dataset, if the pool lies on the expected dataset and
 * @dataset has @guid (NULL: any), in one step. All but ZFS_DONE set @error.
 */
ZfsEnd zfs_program_destroy(const ZfsState *state, const char *dataset, const char *guid,
                           GError **error);

/** What a revert found, and may remove. */
typedef struct {
    const ZfsDataset *dataset;
    const ZfsSnapshot *snapshot;
    const GPtrArray *newer;     /**< of ZfsSnapshot: newer ones, which may go */
    const GPtrArray *bookmarks; /**< whole names of bookmarks, none of which is newer */
} ZfsRevert;

/**
 * Removes the newer snapshots and takes the dataset back, in one step. BUSY, with nothing changed,
 * when there is more that is newer, or something keeps one of them; STATE or NOT_FOUND when what
 * was found is another one by now.
 */
gboolean zfs_program_revert(const ZfsState *state, const ZfsRevert *revert, GError **error);

/** STATE: the pool lies on another dataset than it was started with. Always FALSE. */
gboolean zfs_fail_other_root(const ZfsState *state, GError **error);

/* --- dataset.c -------------------------------------------------------------------------------- */

/**
 * Reads the pool's own dataset and, of @names (NULL-terminated, whole names), those that there are:
 * an array of ZfsDataset, the pool's own one first. NOT_FOUND: the pool's is not there; STATE: it
 * is another one than the pool was started with.
 */
GPtrArray *zfs_read(const ZfsState *state, const char *const *names, GError **error);
/** The same with everything below it. */
GPtrArray *zfs_read_all(const ZfsState *state, CstTask *task, GError **error);
/** Reads what volume @name is; NO_VOL when it is none. *ret_datasets keeps it, and is freed. */
const ZfsDataset *zfs_read_volume(const ZfsState *state, const char *name, GPtrArray **ret_datasets,
                                  GError **error);
/**
 * The dataset of that whole name as a report of a moment ago had it, or as it is now. NULL: there
 * is none, or, with *ret_datasets NULL, @error. *ret_datasets keeps it, and is freed.
 */
const ZfsDataset *zfs_look(const ZfsState *state, const char *dataset, GPtrArray **ret_datasets,
                           GError **error);
/** The same as zfs_read_volume() for who changes nothing by it. */
const ZfsDataset *zfs_look_volume(const ZfsState *state, const char *name, GPtrArray **ret_datasets,
                                  GError **error);
/** Whether the pool's own dataset is the expected one, now or a moment ago; as zfs_read(). */
gboolean zfs_prove(const ZfsState *state, GError **error);
/** What could be written in the pool; an estimate, for some time after our changes, *ret_until. */
gboolean zfs_available(const ZfsState *state, uint64_t *ret_available, gint64 *ret_until,
                       GError **error);
/** The snapshots of @dataset, or (@all) also those of all below it, as an array; oldest first. */
GPtrArray *zfs_read_snapshots(const char *dataset, gboolean all, GError **error);
/** The same of @dataset with its bookmarks. */
GPtrArray *zfs_read_history(const char *dataset, GError **error);
/** The ZFS pool; STATE when it is another one than the pool was started with. */
ZfsPool *zfs_read_pool(const ZfsState *state, GError **error);
/** Whether the kernel has the ZFS pool; touches no storage. */
gboolean zfs_is_imported(const ZfsState *state);
/** The kernel's word for how the ZFS pool @pool is; touches no storage. NULL: no such. Free it. */
char *zfs_kernel_state(const char *pool);
/** The word for one that waits for devices that it has lost; whatever touches it hangs. */
#define ZFS_SUSPENDED "SUSPENDED"

/** Runs a tool that changes something; @argv, or the arguments, end with NULL. */
gboolean zfs_change_vector(const ZfsState *state, const GPtrArray *argv, CstTask *task,
                           GError **error);
gboolean zfs_change(const ZfsState *state, CstTask *task, GError **error, const char *tool,
                    ...) G_GNUC_NULL_TERMINATED;
/** As zfs_change(), but tried again for a while when somebody has the device open. */
gboolean zfs_change_idle(const ZfsState *state, GError **error, const char *tool,
                         ...) G_GNUC_NULL_TERMINATED;

/** As zfs_program_destroy() for a volume; what ZFS did not say is looked for. */
ZfsEnd zfs_destroy_volume(const ZfsState *state, const char *dataset, const char *guid,
                          GError **error);
/** Removes a volume; succeeds when it is gone afterwards, whatever zfs said. */
gboolean zfs_destroy_dataset(const ZfsState *state, const char *dataset, GError **error);
/** Renames one, checked likewise; EXISTS when the name is taken. */
gboolean zfs_rename_dataset(const ZfsState *state, const char *from, const char *to,
                            GError **error);

/**
 * Removes a snapshot, at once or, while clones hang on it, with the last of them.
 */
gboolean zfs_drop_snapshot(const ZfsState *state, const ZfsSnapshot *snapshot, GError **error);

/* --- options.c -------------------------------------------------------------------------------- */

/** Takes the pool's options into the state; CONFIG names one that can't be. */
gboolean zfs_options_read(ZfsState *state, GError **error);
/**
 * Appends "-o" and "PROPERTY=VALUE" for a new volume to @argv, in which @texts keeps the texts: the
 * pool's properties, but for those that @own has, and @own's. CONFIG names one that can't be.
 * @clone: without those that a clone takes from its origin.
 */
gboolean zfs_options_add(const ZfsState *state, const GPtrArray *own, gboolean clone,
                         GPtrArray *argv, GPtrArray *texts, GError **error);
/** The value of "volblocksize" in bytes; 0: not given, or no size. */
uint64_t zfs_options_block(const GPtrArray *options);

/* --- swap.c ----------------------------------------------------------------------------------- */

/** The mark, "PROPERTY=VALUE", of a draft that is to replace volume @name; free it. */
char *zfs_swap_mark(const char *draft, const char *name);
/**
 * Gives @draft, which has the mark, the name of volume @name, which is removed. BUSY, with nothing
 * changed, when somebody has the volume open.
 */
gboolean zfs_swap_in(const ZfsState *state, const char *name, const char *draft, GError **error);
/** Completes or undoes the swap of which a dead process left volume @old. */
gboolean zfs_swap_recover(const ZfsState *state, const GPtrArray *datasets, const ZfsDataset *old,
                          GError **error);
/** Removes a draft with its snapshots; STATE while the volume that it was to replace waits for its
 * name. */
gboolean zfs_drop_draft(const ZfsState *state, const char *draft, GError **error);

/* --- scan.c ----------------------------------------------------------------------------------- */

gboolean zfs_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean zfs_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                      CstVolume **ret_volume, GError **error);
char *zfs_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);
gboolean zfs_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error);

/* --- health.c --------------------------------------------------------------------------------- */

gboolean zfs_health(CstPoolState *state, gboolean details, CstPoolHealth *health, GError **error);
/** Appends to @health's notes what the output of zpool status says. */
void zfs_status_parse(const char *text, CstPoolHealth *health);

/* --- volume.c --------------------------------------------------------------------------------- */

/**
 * Refuses a name below a dataset that is not there (NOT_FOUND) or is a volume, which holds none.
 */
gboolean zfs_check_parent(const ZfsState *state, const char *name, GError **error);
/** Refuses what can't be a volume: CONFIG, INVALID, or NOT_FOUND without the dataset above it. */
gboolean zfs_check_def(const ZfsState *state, const CstVolDef *def, GError **error);
/**
 * Makes the volume that @def describes as @dataset, with our own property @mark ("NAME=VALUE";
 * NULL: none).
 */
gboolean zfs_make_volume(const ZfsState *state, const CstVolDef *def, const char *dataset,
                         const char *mark, GError **error);
/** Opens a draft for its maker, for nobody else to read. */
gboolean zfs_open_draft(const char *dataset, const CstVolDef *def, CstVolDraft *draft,
                        GError **error);

/** CstBackend.vol_reserve for a volume that begins empty. */
gboolean zfs_reserve_empty(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                           GError **error);
gboolean zfs_vol_make(CstPoolState *state, const CstVolDef *def, GError **error);
gboolean zfs_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                        GError **error);
gboolean zfs_vol_abandon(CstPoolState *state, const char *token, GError **error);
CstBlob *zfs_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);

/* --- change.c --------------------------------------------------------------------------------- */

/**
 * BUSY while @dataset, volume @name, has a snapshot or a clone, which ZFS would keep it for. Hidden
 * snapshots that nothing hangs on any more are removed.
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
/** Sets the size of a dataset's device; @size: a multiple of its block size. */
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
    GPtrArray *snapshots;        /**< oldest first, hidden ones too */
    const ZfsSnapshot *snapshot; /**< NULL: there is none of that name */
    guint at;                    /**< its index */
} ZfsLookup;

/** Frees what was found. */
void zfs_lookup_clear(ZfsLookup *found);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ZfsLookup, zfs_lookup_clear)

/** The one of that name; NULL: there is none. *ret_at (NULL: of no interest) is its index. */
const ZfsSnapshot *zfs_snapshot_named(const GPtrArray *snapshots, const char *name, guint *ret_at);
/** Finds the volume and, unless @name is NULL, its snapshot of that name, if any, as of now. */
gboolean zfs_look_up(CstPoolState *state, const char *volume, const char *name, ZfsLookup *found,
                     GError **error);
/** The same; NOT_FOUND when there is no snapshot of that name. */
gboolean zfs_find_snapshot(CstPoolState *state, const char *volume, const char *name,
                           ZfsLookup *found, GError **error);
/** The text of "DATASET@NAME"; free it. */
char *zfs_snapshot_of(const ZfsDataset *volume, const char *name);

/* --- clone.c, flatten.c, changed.c, snapshot.c
 * ----------------------------------------------------------- */

/**
 * Makes a clone of "DATASET@SNAPSHOT" that other programs see as @dataset, by @options (-o and
 * values; NULL: none).
 */
gboolean zfs_clone(const ZfsState *state, const char *snapshot, const char *dataset,
                   const GPtrArray *options, GError **error);
gboolean zfs_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                         GError **error);
gboolean zfs_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                               const char *snapshot, CstVolDraft *draft, GError **error);
/** Removes drafts and hidden snapshots of dead processes, and ends their swaps. */
gboolean zfs_drop_drafts(CstPoolState *state, GError **error);

gboolean zfs_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error);

/** CstSnapshotBackend.changed. */
gboolean zfs_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                              const char *until, CstTask *task, CstChanged *changed,
                              GError **error);

extern const CstSnapshotBackend zfs_snapshots;

/* --- lifecycle.c, watch.c --------------------------------------------------------------------- */

gboolean zfs_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean zfs_build(CstPoolState *state, unsigned flags, GError **error);
gboolean zfs_start(CstPoolState *state, GError **error);
gboolean zfs_destroy(CstPoolState *state, unsigned flags, GError **error);
gboolean zfs_touch(const CstPoolDef *def, GError **error);

int zfs_watch_open(CstPoolState *state, GError **error);
void zfs_watch_read(CstPoolState *state, int fd, void (*changed)(const char *name, gpointer data),
                    gpointer data);
