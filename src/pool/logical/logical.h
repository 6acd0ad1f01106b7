/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include <pool/device.h>
#include <pool/rehearsal.h>
#include <pool/report_cache.h>

#include "lvm.h"
#include "report.h"

/**
 * Pools that are an LVM volume group, as in libvirt, with support for thin volumes. LVM's own tools
 * make all changes. All data is read from one report (report.h), so that it is of one point in time
 * of the group's metadata.
 *
 * From bottom to top; a file calls files of earlier lines, and files to its left:
 *
 *     lvm.c  mapping.c  report.c  delta.c      the tools, device-mapper, the tools' report, the
 *                                              output of thin_delta
 *     touch.c                                  whether the physical volumes answer
 *     names.c  options.c                       names, tags, options
 *     paths.c  group.c  plain.c  cache.c       nodes; the data of a report, or of the kernel
 *                                              instead; how long a report is used
 *     lv.c  thin.c  blob.c  swap.c  draft.c    checked changes of one LV; thin pools; its content;
 *                                              drafts
 *     lookup.c  metadata.c                     snapshots; reading a thin pool's metadata
 *     snapshot_lv.c  snapshot_plan.c           the LV of a snapshot; snapshots of running guests
 *     scan.c  volume.c                         records; new volumes
 *     changed.c                                the changes since a snapshot
 *     change.c  flatten.c  grow.c  snapshot.c  relations.c  lifecycle.c  watch.c
 *                                              the other callbacks
 *     logical.c                                the table
 *
 * CstBackend has the contracts of the callbacks.
 *
 * Names: a volume is the LV of its name, and so is a draft with the tag "intent" (draft.c). Hidden
 * names (pool/device.h) are for other drafts, for volumes that another LV replaces (the tag "was"
 * has their name), for volumes in the trash (CST_TRASH_PREFIX), and for
 *
 *     .cistern-HEX.snap         a snapshot; tags "of", "snap", "at", "consistency" (snapshot_lv.c)
 *
 * A thin pool has the tag "delta" while its metadata is read (metadata.c).
 */
extern const CstBackend cst_logical_backend;

/** Settings of a pool, from the options of our namespace. */
typedef struct {
    gboolean thin;   /**< default for volumes without the option */
    char *thin_pool; /**< NULL: the only thin pool of the group, or DEFAULT_THIN_POOL */
    char *thin_size; /**< argument of lvcreate: "-l80%FREE", "-L10485760k" */
    char *thin_metadata;
    uint64_t snapshot_bytes; /**< 0: by percent */
    unsigned snapshot_percent;
} LogicalOptions;

/** The last report, and the known changes since (cache.c). */
typedef struct {
    CstReportCache shared; /**< of LvmGroup; its lock guards the members below */
    GHashTable *nodes;     /**< names of nodes created (TRUE) or removed while a report was made */
    GHashTable *seen;      /**< UUID to name of the plain LVs seen since the last report */
    GHashTable *ours;      /**< names changed by us since then; events of their nodes are ignored */
} LogicalCache;

typedef struct {
    CstPoolState head;
    const char *vg; /**< name of the group, from the definition */
    char *uuid;     /**< of the expected group; NULL: any group of the name */
    LogicalOptions options;
    LogicalCache cache;
    CstRehearsal snapshot_rehearsals[2]; /**< of lvcreate for classic and for thin snapshots */
} LogicalState;

#define LOGICAL(state) ((LogicalState *)(state))

/* --- touch.c ---------------------------------------------------------------------------------- */

gboolean logical_touch(const CstPoolDef *def, GError **error);

/* --- options.c -------------------------------------------------------------------------------- */

/**
 * Reads the definition's options. CONFIG names an option that is not valid. The caller clears
 * *ret_options in any case.
 */
gboolean logical_options_read(const CstPoolDef *def, LogicalOptions *ret_options, GError **error);
/** Frees the members of @options. */
void logical_options_clear(LogicalOptions *options);

/* --- names.c ---------------------------------------------------------------------------------- */

/** Suffix of the name of a snapshot's LV (cst_hidden_name). */
#define LOGICAL_SNAPSHOT_SUFFIX ".snap"

/** Fails with INVALID if LVM does not accept @name, or reserves it. */
gboolean logical_name_check(const char *name, GError **error);

/**
 * Fails with INVALID if device-mapper's limit is exceeded by an LV @name with @suffix further
 * characters. Call it before each rename.
 */
gboolean logical_name_fits(const LogicalState *state, const char *name, size_t suffix,
                           GError **error);

/**
 * Returns the tag "cistern:KEY=VALUE", with characters that LVM forbids in tags escaped. The caller
 * frees it.
 */
char *logical_tag(const char *key, const char *value);
/**
 * Returns the value of tag @key, unescaped; NULL if the LV does not have it. The caller frees it.
 */
char *logical_tag_value(const LvmVolume *lv, const char *key);

/* --- paths.c ---------------------------------------------------------------------------------- */

/** Returns "/dev/VG/NAME". The caller frees it. */
char *logical_device(const LogicalState *state, const char *name);
/** Returns "VG/NAME", the argument of LVM's tools. The caller frees it. */
char *logical_target(const LogicalState *state, const char *name);
/** Stats the device node of an LV. FALSE if it has no node, because it is not active. */
gboolean logical_has_node(const LogicalState *state, const char *lv, struct stat *ret_st);

/** CstBackend.vol_path. */
char *logical_vol_path(CstPoolState *state, const char *name);

/* --- group.c ---------------------------------------------------------------------------------- */

/** Returns the LV of volume @name, borrowed from the group. NO_VOL if it does not exist. */
const LvmVolume *logical_find(const LvmGroup *group, const char *name, GError **error);
/** Whether vol-list shows the LV. */
gboolean logical_is_shown(const LvmVolume *lv);
/** Whether the LV is a volume in the trash. */
gboolean logical_is_trashed(const LvmVolume *lv);
/** Returns the capacity of the LV for its users, in bytes. */
uint64_t logical_capacity(const LvmGroup *group, const LvmVolume *lv);
/**
 * Returns the id that assigns snapshots to a volume, even if another LV replaces it. The caller
 * frees it.
 */
char *logical_volume_id(const LvmVolume *lv);
/** Returns the time of a snapshot's content, in microseconds since the epoch. */
int64_t logical_snapshot_taken_us(const LvmVolume *lv);
/** Returns our snapshots of the volume with @id, oldest first; LvmVolume borrowed from @group. */
GPtrArray *logical_snapshots_of(const LvmGroup *group, const char *id);
/**
 * Returns the paths of the LVs that would be removed together with @lv, without its snapshots. The
 * array frees its elements.
 */
GPtrArray *logical_children_of(CstPoolState *state, const LvmGroup *group, const LvmVolume *lv);

/* --- plain.c ---------------------------------------------------------------------------------- */

/**
 * Returns the data of the LV from device-mapper's table, if the LV is plain. A plain LV has no
 * dependents, and lies on physical volumes of @group (any report; may be NULL), linear or striped.
 * NULL if the LV is not plain, or this is not known; read a report instead. The caller frees it.
 */
LvmVolume *logical_plain_lv(LogicalState *state, const LvmGroup *group, const char *name);

/* --- cache.c ---------------------------------------------------------------------------------- */

/** Initialise or clear a cache. */
void logical_cache_init(LogicalCache *cache);
void logical_cache_clear(LogicalCache *cache);
/**
 * Reads a new report of the group; the caller unrefs. NOT_FOUND if it does not exist; STATE if it
 * is not the expected group.
 */
LvmGroup *logical_group_read(LogicalState *state, CstTask *task, GError **error);
/** Like logical_group_read(), or returns the last report if it is fresh. */
LvmGroup *logical_group_cached(LogicalState *state, GError **error);
/** Returns a new reference to the last report, of any age. NULL if no report was read. */
LvmGroup *logical_group_last(LogicalState *state);
/** Like logical_plain_lv(), with the last report. */
LvmVolume *logical_plain_now(LogicalState *state, const char *name);
/** Announces a change by us that affects only LV @lv. */
void logical_cache_own(LogicalState *state, const char *lv);
/**
 * Reports that such a change was made by one call of a tool, and that it allocated @bytes of the
 * group's space (negative: freed them).
 */
void logical_cache_account(LogicalState *state, int64_t bytes);
/**
 * Returns the last report if it is fresh (*ret_until is 0), or if only accounted changes followed.
 * In the second case they allocated *ret_taken bytes, and the estimate is valid until *ret_until.
 * Returns NULL if an estimate is not possible, else a new reference.
 */
LvmGroup *logical_group_estimate(LogicalState *state, int64_t *ret_taken, gint64 *ret_until);
/**
 * Returns the name of the volume with @uuid in the last report, or seen since; NULL if unknown. The
 * caller frees it.
 */
char *logical_name_of_uuid(LogicalState *state, const char *uuid);
/** Marks the last report as outdated after a change. */
void logical_cache_invalidate(LogicalState *state);
/**
 * Marks the last report as outdated after the node of @lv was created or removed. Does nothing if
 * the report already agrees.
 */
void logical_cache_node_changed(LogicalState *state, const char *lv, gboolean is_there);

/* --- thin.c ----------------------------------------------------------------------------------- */

/** Whether the LV is a thin pool. */
gboolean logical_is_thin_pool(const LvmVolume *lv);
/**
 * Returns the name of the thin pool for a new volume, and creates the pool if necessary. The caller
 * frees it. INVALID if another LV has the name.
 */
char *logical_thin_pool_ensure(LogicalState *state, const LvmGroup *group, const CstVolDef *def,
                               GError **error);
/**
 * Creates LV @lv as a writable thin snapshot of LV @source, with @tags (NULL-terminated; may be
 * NULL).
 */
gboolean logical_thin_clone(LogicalState *state, const char *source, const char *lv,
                            char *const *tags, GError **error);
/**
 * Runs @argv (lvcreate) for a thin volume in the thin pool @in, or in the thin pool of volume @in.
 * The error explains a full pool.
 */
gboolean logical_thin_create(LogicalState *state, const char *in, const char *const *argv,
                             GError **error);
/**
 * Replaces *why, the error of a failed change of LV @lv. If the LV is thin and its pool is full or
 * damaged, the new error says so and names the remedy.
 */
void logical_explain_full(LogicalState *state, const char *lv, GError **why);
/** Like logical_explain_full(), for an lvcreate of a thin snapshot of @lv that LVM refused. */
void logical_explain_refused(LogicalState *state, const char *lv, GError **why);

/** CstBackend.thin and space_usage. */
gboolean logical_thin(CstPoolState *state, GPtrArray *stores, GError **error);
gboolean logical_space_usage(CstPoolState *state, GPtrArray *usage, GError **error);

/** Returns the volume of our snapshot @lv; NULL if it does not exist. */
const LvmVolume *logical_volume_of_snapshot(const LvmGroup *group, const LvmVolume *lv);

/* --- grow.c ----------------------------------------------------------------------------------- */

/** CstBackend.growths, growth_use and grow. */
gboolean logical_growths(CstPoolState *state, gboolean now, GPtrArray *growths, GError **error);
gboolean logical_growth_use(CstPoolState *state, CstGrowth *growth, GError **error);
gboolean logical_grow(CstPoolState *state, const CstGrowth *growth, uint64_t size, GError **error);

/* --- lv.c ------------------------------------------------------------------------------------- */

/**
 * Run a tool that changes the group, and mark the last report as outdated, even if the tool failed.
 * The arguments, or the vector, end with NULL. Time limit: lvm_host.change_s.
 */
gboolean logical_change(LogicalState *state, CstTask *task, GError **error, const char *tool,
                        ...) G_GNUC_NULL_TERMINATED;
gboolean logical_changev(LogicalState *state, const char *const *argv, CstTask *task,
                         GError **error);
/** Like logical_changev(), with the time limit @timeout_s in seconds; 0: no limit. */
gboolean logical_change_within(LogicalState *state, const char *const *argv, unsigned timeout_s,
                               CstTask *task, GError **error);
/** Removes an LV. Succeeds if the LV does not exist afterwards, even if lvremove failed. */
gboolean logical_remove_lv(LogicalState *state, const char *lv, GError **error);
/**
 * Renames an LV and checks the result likewise. EXISTS if the name is in use; INVALID if it is too
 * long.
 */
gboolean logical_rename_lv(LogicalState *state, const char *from, const char *to, GError **error);
/** Runs lvchange with @option, "--addtag" or "--deltag", and @tag. */
gboolean logical_change_tag(LogicalState *state, const char *lv, const char *option,
                            const char *tag, GError **error);

/* --- blob.c ----------------------------------------------------------------------------------- */

/** Opens an LV of any name as a blob. */
CstBlob *logical_open_lv(LogicalState *state, const char *lv, gboolean writable, GError **error);
/**
 * Makes a blob of a device's descriptor, and consumes the descriptor like cst_blob_file_new(). The
 * errors of the blob report a full thin pool.
 */
CstBlob *logical_blob_new(LogicalState *state, int fd, const char *lv, gboolean writable,
                          GError **error);

/* --- swap.c ----------------------------------------------------------------------------------- */

/** Fails with BUSY and names the holders if the LV @lv of volume @volume is open. */
gboolean logical_refuse_held(LogicalState *state, const char *lv, const char *volume,
                             GError **error);
/**
 * Gives LV @draft the name of volume @name, and removes the volume's former LV. BUSY without a
 * change if the volume is open.
 */
gboolean logical_swap_in(LogicalState *state, const char *name, const char *draft, GError **error);
/** Completes or undoes the swap in which a dead process left LV @old. */
gboolean logical_swap_recover(LogicalState *state, const LvmGroup *group, const LvmVolume *old,
                              GError **error);

/* --- draft.c ---------------------------------------------------------------------------------- */

/** Whether the state marks drafts by a tag, and not by their names. */
gboolean logical_tags_drafts(const LogicalState *state);
/** Returns the tag of the draft of @token. The caller frees it. */
char *logical_draft_tag(const char *token);
/** Whether the LV has the tag of the draft of @token. */
gboolean logical_is_draft_of(const LvmVolume *lv, const char *token);
/**
 * Whether the LV is a draft, or was a draft and is removed. The report of the LV must be older than
 * @drafts (cst_pool_state_drafts()).
 */
gboolean logical_is_draft(const LogicalState *state, GHashTable *drafts, const LvmVolume *lv);
/** Whether an LV of which only the name is known may be one of @drafts. */
gboolean logical_may_be_draft(GHashTable *drafts, const char *name);
/** Waits until no tool works on the draft of @token any more. BUSY if a tool takes too long. */
gboolean logical_draft_await_tools(const char *token, GError **error);

/* --- lookup.c --------------------------------------------------------------------------------- */

/** A volume, its snapshot, and the report with both. */
typedef struct {
    LvmGroup *group;
    const LvmVolume *volume;
    const LvmVolume *snapshot; /**< NULL: no snapshot has that name */
    char *id;
} LogicalLookup;

/** Frees the members. The volume and the snapshot are borrowed from the group. */
void logical_lookup_clear(LogicalLookup *found);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogicalLookup, logical_lookup_clear)

/**
 * Finds the volume and, unless @name is NULL, its snapshot of that name, if any. @now: read a new
 * report if the volume has snapshots, because each write of a guest changes the usage of a classic
 * snapshot.
 */
gboolean logical_look_up(CstPoolState *state, const char *volume, const char *name, gboolean now,
                         LogicalLookup *found, GError **error);
/** Like logical_look_up(). NOT_FOUND if no snapshot has that name. */
gboolean logical_find_snapshot(CstPoolState *state, const char *volume, const char *name,
                               gboolean now, LogicalLookup *found, GError **error);
/**
 * Like logical_look_up() and logical_find_snapshot(), in @group, whose reference they consume. If
 * @group is NULL, @error is already set.
 */
gboolean logical_look_up_in(LvmGroup *group, const char *volume, const char *name,
                            LogicalLookup *found, GError **error);
gboolean logical_find_snapshot_in(LvmGroup *group, const char *volume, const char *name,
                                  LogicalLookup *found, GError **error);
/** Returns the volume's snapshot @name in the same report; NULL if it does not exist. */
const LvmVolume *logical_snapshot_named(const LogicalLookup *found, const char *name);

/* --- snapshot_lv.c ---------------------------------------------------------------------------- */

/** Tag of the record of a snapshot's consistency. */
#define LOGICAL_RECORD_TAG "consistency"

/**
 * Fails with EXISTS if the volume has snapshot @name, UNSUPPORTED if LVM has no snapshots of it.
 */
gboolean logical_snapshot_check(const LogicalLookup *found, const char *volume, const char *name,
                                GError **error);
/**
 * Returns the tags of a snapshot of the volume with @id. @record: of its consistency; NULL: no
 * record. The caller frees them.
 */
char **logical_snapshot_tags(const char *id, const char *name, int64_t taken_us,
                             const char *record);
/**
 * Returns the bytes for the changes of a snapshot: the size of @how (may be NULL), or that of the
 * pool's options. 0: the volume is thin.
 */
uint64_t logical_snapshot_room(const LogicalState *state, const CstSnapshotCreate *how,
                               const LvmVolume *volume);
/**
 * Returns the command that creates snapshot @lv of @volume. @active FALSE: a thin one is created
 * without a device. The caller frees it.
 */
char **logical_snapshot_argv(const LogicalState *state, const char *volume, const char *lv,
                             uint64_t room, gboolean active, char *const *tags);

/* --- snapshot_plan.c -------------------------------------------------------------------------- */

/** CstSnapshotBackend.plan_begin and so on. */
gboolean logical_plan_begin(CstPoolState *state, const char *const *volumes, const char *name,
                            const CstSnapshotCreate *how, CstSnapshotPlan **ret_plan,
                            GError **error);
gboolean logical_plan_rehearse(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                               uint64_t *ret_us, GError **error);
gboolean logical_plan_make(CstPoolState *state, CstSnapshotPlan *plan, CstTask *task,
                           GError **error);
gboolean logical_plan_commit(CstPoolState *state, CstSnapshotPlan *plan, guint index,
                             const CstSnapshotCreate *how, GError **error);
void logical_plan_end(CstPoolState *state, CstSnapshotPlan *plan);

/* --- metadata.c ------------------------------------------------------------------------------- */

/** The metadata snapshot of a thin pool, reserved for reading. */
typedef struct {
    LogicalState *state; /**< borrowed */
    char *pool;          /**< the thin pool */
    char *path;          /**< of the device with the metadata */
    char *node;          /**< of the thin pool's own device */
    LvmGroup *before;    /**< a report older than the metadata snapshot; NULL: not read */
    int lock;            /**< descriptor of the metadata's device with a lock; -1: not open */
    gboolean reserved;
    gboolean tagged;
} LogicalMetadata;

#define LOGICAL_METADATA_NONE ((LogicalMetadata){.lock = -1})

/**
 * Reserves a metadata snapshot of thin pool @pool for this process. The caller always calls
 * logical_metadata_release(). BUSY, naming the holder, if another program has a reservation for too
 * long; UNSUPPORTED if the thin pool is not active.
 */
gboolean logical_metadata_reserve(LogicalState *state, const char *pool, CstTask *task,
                                  LogicalMetadata *metadata, GError **error);
/** Ends the reservation. A failure is logged; the next reservation ends it then. */
void logical_metadata_release(LogicalMetadata *metadata);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogicalMetadata, logical_metadata_release)
/** Ends a dead process's reservation in thin pool @pool, unless another process uses it. */
gboolean logical_metadata_recover(LogicalState *state, const LvmVolume *pool, GError **error);

/* --- scan.c ----------------------------------------------------------------------------------- */

gboolean logical_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean logical_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error);
char *logical_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);

/* --- volume.c --------------------------------------------------------------------------------- */

gboolean logical_vol_make(CstPoolState *state, const CstVolDef *def, GError **error);
/** Makes the draft of @draft's token for @def, under a hidden name with any host, and opens it. */
gboolean logical_reserve_hidden(LogicalState *state, const CstVolDef *def, CstVolDraft *draft,
                                GError **error);
gboolean logical_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error);
gboolean logical_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                   const char *snapshot, CstVolDraft *draft, GError **error);
gboolean logical_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error);
gboolean logical_vol_abandon(CstPoolState *state, const char *token, GError **error);
gboolean logical_drop_drafts(CstPoolState *state, GError **error);
CstBlob *logical_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);

/* --- change.c --------------------------------------------------------------------------------- */

gboolean logical_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);
gboolean logical_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error);
gboolean logical_vol_check_wipe(CstPoolState *state, const char *name, GError **error);
gboolean logical_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                            GError **error);

/* --- changed.c, flatten.c, snapshot.c, relations.c -------------------------------------------- */

gboolean logical_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error);

/** CstSnapshotBackend.changed. */
gboolean logical_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                  const char *until, CstTask *task, CstChanged *changed,
                                  GError **error);

extern const CstSnapshotBackend logical_snapshots;

gboolean logical_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error);
gboolean logical_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                              GError **error);

/* --- lifecycle.c ------------------------------------------------------------------------------ */

gboolean logical_build(CstPoolState *state, unsigned flags, GError **error);
gboolean logical_start(CstPoolState *state, GError **error);
gboolean logical_stop(CstPoolState *state, GError **error);
gboolean logical_destroy(CstPoolState *state, unsigned flags, GError **error);
gboolean logical_check(CstPoolState *state, gboolean *ret_active, GError **error);
gboolean logical_discover(const CstPoolSource *spec, GArray *ret_sources, GError **error);

/* --- watch.c ---------------------------------------------------------------------------------- */

int logical_watch_open(CstPoolState *state, GError **error);
void logical_watch_read(CstPoolState *state, int fd,
                        void (*changed)(const char *name, gpointer data), gpointer data);
