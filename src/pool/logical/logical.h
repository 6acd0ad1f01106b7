/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include <pool/device.h>
#include <pool/report_cache.h>

#include "lvm.h"
#include "report.h"

/**
 * Pools that are an LVM volume group, as libvirt has them, and thin volumes besides. Everything is
 * done by LVM's own tools, and everything is read from one report (report.h), so that what we say
 * is what one moment of the group's metadata said.
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     lvm.c  mapping.c  report.c  delta.c      the tools, device-mapper, the tools' report, what
 *                                              thin_delta says
 *     touch.c                                  whether the physical volumes answer
 *     names.c  options.c                       names, tags, options
 *     paths.c  group.c  plain.c  cache.c       nodes; what a report says, what the kernel says
 *                                              instead; how long a report is used
 *     lv.c  thin.c  blob.c  swap.c  draft.c    checked changes of one LV; thin pools; its content;
 *                                              what is a draft
 *     lookup.c  metadata.c                     snapshots; a thin pool's metadata, to be read
 *     scan.c  volume.c                         records; new volumes
 *     changed.c                                what differs from a snapshot's
 *     change.c  flatten.c  snapshot.c  relations.c  lifecycle.c  watch.c
 *                                              the other callbacks
 *     logical.c                                the table
 *
 * Functions that are a callback of the table do what CstBackend says of it.
 *
 * Names: a volume is the LV of its name, and so is a draft whose tag "intent" says so (draft.c).
 * Hidden ones (pool/device.h) are other drafts, volumes while another LV takes their name (tag
 * "was" has it), volumes in the trash (CST_TRASH_PREFIX), and
 *
 *     .cistern-HEX.snap         a snapshot; tags "of", "snap" and "at" (snapshot.c)
 *
 * A thin pool has the tag "delta" while its metadata is read (metadata.c).
 */
extern const CstBackend cst_logical_backend;

/** Settings of a pool, from the options of our namespace. */
typedef struct {
    gboolean thin;   /**< volumes that say nothing become thin */
    char *thin_pool; /**< NULL: the only one there is, or DEFAULT_THIN_POOL */
    char *thin_size; /**< as lvcreate takes it: "-l80%FREE", "-L10485760k" */
    char *thin_metadata;
    uint64_t snapshot_bytes; /**< 0: by percent */
    unsigned snapshot_percent;
} LogicalOptions;

/** The last report, and what is known to have changed since (cache.c). */
typedef struct {
    CstReportCache shared; /**< of LvmGroup; its lock guards what follows */
    GHashTable *nodes;     /**< names of nodes that came (TRUE) or went while a report was made */
    GHashTable *seen;      /**< uuid to name of plain LVs that were seen since the last report */
    GHashTable *ours;      /**< names that we changed since then: their nodes' events are no news */
} LogicalCache;

typedef struct {
    CstPoolState head;
    const char *vg; /**< the definition's */
    char *uuid;     /**< of the group that it must be; NULL: any of the name */
    LogicalOptions options;
    LogicalCache cache;
} LogicalState;

#define LOGICAL(state) ((LogicalState *)(state))

/* --- touch.c ---------------------------------------------------------------------------------- */

gboolean logical_touch(const CstPoolDef *def, GError **error);

/* --- options.c -------------------------------------------------------------------------------- */

/**
 * Reads the definition's options; CONFIG names one that can't be. Clear *ret_options either way.
 */
gboolean logical_options_read(const CstPoolDef *def, LogicalOptions *ret_options, GError **error);
/** Frees what the options hold. */
void logical_options_clear(LogicalOptions *options);

/* --- names.c ---------------------------------------------------------------------------------- */

/** Ends the name of a snapshot's LV (cst_hidden_name). */
#define LOGICAL_SNAPSHOT_SUFFIX ".snap"

/** INVALID when LVM would not take @name, or would take it for something of its own. */
gboolean logical_name_check(const char *name, GError **error);

/**
 * INVALID when device-mapper has no room for an LV @name with further @suffix characters. To be
 * asked before any rename.
 */
gboolean logical_name_fits(const LogicalState *state, const char *name, size_t suffix,
                           GError **error);

/** Returns the tag "cistern:KEY=VALUE", with what LVM takes in no tag escaped; free it. */
char *logical_tag(const char *key, const char *value);
/** Returns the value of tag @key, unescaped; NULL: no such tag. Free it. */
char *logical_tag_value(const LvmVolume *lv, const char *key);

/* --- paths.c ---------------------------------------------------------------------------------- */

/** "/dev/VG/NAME" */
char *logical_device(const LogicalState *state, const char *name);
/** "VG/NAME", as the tools take it */
char *logical_target(const LogicalState *state, const char *name);
/** Stats the device node of an LV; FALSE: it has none, so it is not active. */
gboolean logical_has_node(const LogicalState *state, const char *lv, struct stat *ret_st);

/** CstBackend.vol_path. */
char *logical_vol_path(CstPoolState *state, const char *name);

/* --- group.c ---------------------------------------------------------------------------------- */

/** The LV that is volume @name; NO_VOL when there is none. The group keeps it. */
const LvmVolume *logical_find(const LvmGroup *group, const char *name, GError **error);
/** Whether vol-list shows the LV. */
gboolean logical_is_shown(const LvmVolume *lv);
/** Whether the LV is a deleted volume that is kept. */
gboolean logical_is_trashed(const LvmVolume *lv);
/** Returns the capacity that whoever opens the LV sees. */
uint64_t logical_capacity(const LvmGroup *group, const LvmVolume *lv);
/** What ties snapshots to a volume, whatever LV it is at the time; free it. */
char *logical_volume_id(const LvmVolume *lv);
/** When a snapshot's content was taken, in microseconds since the epoch. */
int64_t logical_snapshot_taken_us(const LvmVolume *lv);
/** Snapshots of ours of the volume with @id, oldest first; LvmVolume of @group. */
GPtrArray *logical_snapshots_of(const LvmGroup *group, const char *id);
/** Paths of what would be removed together with @lv, but for its snapshots; frees them. */
GPtrArray *logical_children_of(CstPoolState *state, const LvmGroup *group, const LvmVolume *lv);

/* --- plain.c ---------------------------------------------------------------------------------- */

/**
 * Returns what a report would say of the LV, from what device-mapper has loaded, if it is plain:
 * nothing hangs on it, and it lies on physical volumes of @group (any report; NULL: none), linear
 * or striped. NULL: it isn't, or is not known to be; a report says what it is. Free it.
 */
LvmVolume *logical_plain_lv(LogicalState *state, const LvmGroup *group, const char *name);

/* --- cache.c ---------------------------------------------------------------------------------- */

/** Initialises, or frees, a cache. */
void logical_cache_init(LogicalCache *cache);
void logical_cache_clear(LogicalCache *cache);
/** The group as it is now; the caller unrefs. NOT_FOUND: there is none; STATE: another one. */
LvmGroup *logical_group_read(LogicalState *state, CstTask *task, GError **error);
/** The same, or the last report when it is new enough and no change is known of since. */
LvmGroup *logical_group_cached(LogicalState *state, GError **error);
/** The last report, however old; a new reference. NULL: there was none. */
LvmGroup *logical_group_last(LogicalState *state);
/** As logical_plain_lv(), with the last report. */
LvmVolume *logical_plain_now(LogicalState *state, const char *name);
/** Says that LV @lv is about to be changed by us, and that nothing else of the group will be. */
void logical_cache_own(LogicalState *state, const char *lv);
/**
 * Says that such a change has been made, by one call of a tool, and took @bytes of the group's
 * space (negative: gave them back).
 */
void logical_cache_account(LogicalState *state, int64_t bytes);
/**
 * The last report while it is fresh (*ret_until 0), or while only changes that are accounted for
 * came since, which took *ret_taken bytes: at most until *ret_until. NULL: nobody knows. A new
 * reference.
 */
LvmGroup *logical_group_estimate(LogicalState *state, int64_t *ret_taken, gint64 *ret_until);
/** Name of the volume of that uuid in the last report, or seen since; NULL: none. */
char *logical_name_of_uuid(LogicalState *state, const char *uuid);
/** Marks the last report outdated, as something is changed. */
void logical_cache_invalidate(LogicalState *state);
/**
 * Marks the last report outdated because the node of @lv came or went; does nothing where the
 * report agrees already.
 */
void logical_cache_node_changed(LogicalState *state, const char *lv, gboolean is_there);

/* --- thin.c ----------------------------------------------------------------------------------- */

/** Whether the LV is a thin pool. */
gboolean logical_is_thin_pool(const LvmVolume *lv);
/**
 * Returns the name of the thin pool that a new volume is to draw from, made when there is none;
 * free it. INVALID when the name is another LV's.
 */
char *logical_thin_pool_ensure(LogicalState *state, const LvmGroup *group, const CstVolDef *def,
                               GError **error);
/**
 * Makes a thin snapshot of LV @source under the name @lv, with @tags (NULL-terminated; NULL: none).
 */
gboolean logical_thin_snapshot(LogicalState *state, const char *source, const char *lv,
                               gboolean writable, char *const *tags, GError **error);
/**
 * Runs @argv (lvcreate) for a thin volume in the pool @in, or in that of volume @in; explains a
 * full pool.
 */
gboolean logical_thin_create(LogicalState *state, const char *in, const char *const *argv,
                             GError **error);
/**
 * After a change of LV @lv failed with @why: when it is thin and its pool is full, or in need of
 * repair, @why becomes an error that says that and what to do.
 */
void logical_explain_full(LogicalState *state, const char *lv, GError **why);

/** CstBackend.thin and space_usage. */
gboolean logical_thin(CstPoolState *state, GPtrArray *stores, GError **error);
gboolean logical_space_usage(CstPoolState *state, GPtrArray *usage, GError **error);

/* --- lv.c ------------------------------------------------------------------------------------- */

/**
 * Runs a tool that changes something of the group, and marks the last report outdated, whatever
 * the tool said. The arguments, or the vector, end with NULL. Limit: lvm_host.change_s.
 */
gboolean logical_change(LogicalState *state, CstTask *task, GError **error, const char *tool,
                        ...) G_GNUC_NULL_TERMINATED;
gboolean logical_changev(LogicalState *state, const char *const *argv, CstTask *task,
                         GError **error);
/** As logical_changev(), with a limit of its own; 0: none. */
gboolean logical_change_within(LogicalState *state, const char *const *argv, unsigned timeout_s,
                               CstTask *task, GError **error);
/** Removes an LV; succeeds when it is gone afterwards, whatever lvremove said. */
gboolean logical_remove_lv(LogicalState *state, const char *lv, GError **error);
/** Renames an LV, checked likewise; EXISTS when the name is taken, INVALID when it is too long. */
gboolean logical_rename_lv(LogicalState *state, const char *from, const char *to, GError **error);
/** Runs lvchange with @option, "--addtag" or "--deltag", and @tag. */
gboolean logical_change_tag(LogicalState *state, const char *lv, const char *option,
                            const char *tag, GError **error);

/* --- blob.c ----------------------------------------------------------------------------------- */

/** Opens an LV of any name as a blob. */
CstBlob *logical_open_lv(LogicalState *state, const char *lv, gboolean writable, GError **error);
/**
 * Makes a blob of a device's descriptor, which it takes over, as cst_blob_file_new() does; a full
 * thin pool is reported as such.
 */
CstBlob *logical_blob_new(LogicalState *state, int fd, const char *lv, gboolean writable,
                          GError **error);
/** The descriptor of what logical_open_lv() opened; the blob keeps it. */
int logical_blob_fd(CstBlob *blob);

/* --- swap.c ----------------------------------------------------------------------------------- */

/** BUSY, naming the holders, while anybody has the LV @lv of volume @volume open. */
gboolean logical_refuse_held(LogicalState *state, const char *lv, const char *volume,
                             GError **error);
/**
 * Gives LV @draft the name of volume @name, whose LV is removed. BUSY, with nothing changed, when
 * somebody has the volume open.
 */
gboolean logical_swap_in(LogicalState *state, const char *name, const char *draft, GError **error);
/** Completes or undoes the swap of which a dead process left LV @old. */
gboolean logical_swap_recover(LogicalState *state, const LvmGroup *group, const LvmVolume *old,
                              GError **error);

/* --- draft.c ---------------------------------------------------------------------------------- */

/** Whether drafts of the state are told from volumes by a tag, and not by their names. */
gboolean logical_tags_drafts(const LogicalState *state);
/** Returns the tag of the draft of @token; free it. */
char *logical_draft_tag(const char *token);
/** Whether the LV has the tag of the draft of @token. */
gboolean logical_is_draft_of(const LvmVolume *lv, const char *token);
/**
 * Whether the LV, of a report that was made before @drafts (cst_pool_state_drafts()) was read, is a
 * draft, or was one and is gone.
 */
gboolean logical_is_draft(const LogicalState *state, GHashTable *drafts, const LvmVolume *lv);
/** Whether an LV @name, of which only the name is known, may be one of @drafts. */
gboolean logical_may_be_draft(GHashTable *drafts, const char *name);
/** Waits until no tool works on the draft of @token any more; BUSY when one does for too long. */
gboolean logical_draft_await_tools(const char *token, GError **error);

/* --- lookup.c --------------------------------------------------------------------------------- */

/** A volume, a snapshot of it, and the report that they are part of. */
typedef struct {
    LvmGroup *group;
    const LvmVolume *volume;
    const LvmVolume *snapshot; /**< NULL: there is none of that name */
    char *id;
} LogicalLookup;

/** Frees what was found; volume and snapshot are borrowed from the group. */
void logical_lookup_clear(LogicalLookup *found);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogicalLookup, logical_lookup_clear)

/**
 * Finds the volume and, unless @name is NULL, its snapshot of that name, if any. @now: from a new
 * report, as each write of a guest changes how full a classic snapshot is.
 */
gboolean logical_look_up(CstPoolState *state, const char *volume, const char *name, gboolean now,
                         LogicalLookup *found, GError **error);
/** The same; NOT_FOUND when there is no snapshot of that name. */
gboolean logical_find_snapshot(CstPoolState *state, const char *volume, const char *name,
                               gboolean now, LogicalLookup *found, GError **error);
/** The same in @group, whose reference it takes over; NULL: there is none, with @error. */
gboolean logical_find_snapshot_in(LvmGroup *group, const char *volume, const char *name,
                                  LogicalLookup *found, GError **error);
/** The volume's snapshot @name in the same report; NULL: there is none. */
const LvmVolume *logical_snapshot_named(const LogicalLookup *found, const char *name);

/* --- metadata.c ------------------------------------------------------------------------------- */

/** The metadata of a thin pool as they were at one moment, kept for reading. */
typedef struct {
    LogicalState *state; /**< borrowed */
    char *pool;          /**< the thin pool */
    char *path;          /**< of the device with the metadata */
    char *node;          /**< of the thin pool's own device */
    LvmGroup *before;    /**< a report from before that moment; NULL: none */
    int lock;            /**< -1: none */
    gboolean reserved;
    gboolean tagged;
} LogicalMetadata;

#define LOGICAL_METADATA_NONE ((LogicalMetadata){.lock = -1})

/**
 * Has the kernel keep the metadata of thin pool @pool as they are, for this process alone, until
 * logical_metadata_release(), which is called in any case. BUSY, naming who it is, when another
 * program has them kept for too long; UNSUPPORTED when the thin pool is not active.
 */
gboolean logical_metadata_reserve(LogicalState *state, const char *pool, CstTask *task,
                                  LogicalMetadata *metadata, GError **error);
/** Ends that. What can't be ended is logged, and is ended by the next one. */
void logical_metadata_release(LogicalMetadata *metadata);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogicalMetadata, logical_metadata_release)
/** Ends what a dead process has left of that in thin pool @pool, unless somebody else is at it. */
gboolean logical_metadata_recover(LogicalState *state, const LvmVolume *pool, GError **error);

/* --- scan.c ----------------------------------------------------------------------------------- */

gboolean logical_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean logical_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error);
char *logical_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);

/* --- volume.c --------------------------------------------------------------------------------- */

gboolean logical_vol_make(CstPoolState *state, const CstVolDef *def, GError **error);
/**
 * Makes the draft for @def that @token names, under a hidden name whatever the host lends, and
 * opens it.
 */
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

/* --- changed.c, flatten.c, snapshot.c, relations.c
 * ------------------------------------------------------- */

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
