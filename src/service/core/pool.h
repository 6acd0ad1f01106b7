/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/error.h>
#include <model/usage.h>
#include <pool/fullness.h>
#include <pool/pool.h>
#include <service/pools.h>
#include <service/volumes.h>

#include "volume_table.h"

/** Identifies a directory, or a block device if inode is 0. device 0: unset. */
typedef struct {
    dev_t device;
    ino_t inode;
} CstStorageId;

/** The thin pools with the fullest data and the fullest metadata. Size 0: no thin pool is known. */
typedef struct {
    uint64_t data_size, data_used, metadata_size, metadata_used;
} PoolThinUsage;

/** The totals of a pool's trash (trash_table.h). */
typedef struct TrashTotals TrashTotals;

/** The promises of the snapshots that the pool's technology keeps (kept_snapshots.h). */
typedef struct KeptSnapshots KeptSnapshots;

/** The index from storage to pools (storage_index.h). */
typedef struct StorageIndex StorageIndex;

/**
 * A pool of the service. The lock guards every field below it and is never held during storage
 * I/O. Three kinds of use:
 *
 * - a change of the pool itself (start, stop, build, delete, undefine): one at a time, without
 *   running operations on volumes; pool_change_begin() waits for both;
 * - an operation on a volume: many readers or one writer; volume_claim() waits, except for a
 *   stream, because its client decides when it ends;
 * - a scan: one at a time, in parallel with operations on volumes.
 */
struct CstPool {
    gint refs;
    CstService *service; /* borrowed: pools die before the service */
    char *name;
    CstUuid uuid;

    GMutex lock;
    GCond cond;
    CstPoolDef *def;     /* the definition in force */
    CstPoolDef *new_def; /* redefined while active: in force from the next start; NULL: none */
    gboolean persistent;
    gboolean autostart;
    gboolean active;
    gboolean starting;     /* the state is reported as "building" */
    gboolean inaccessible; /* active, and its storage is missing or damaged */
    /* The log of events knows @inaccessible and @health, since this start of the pool. */
    gboolean access_recorded, health_recorded;
    gboolean removed;        /* no longer in the service's tables */
    gboolean needs_recovery; /* remote storage: traces of dead processes are not recovered yet */
    gboolean recovers_late;  /* local storage that did not answer the load: treated as remote */
    gboolean retried;        /* an autostart task retries the start */
    char *problem;
    char *storage_paths; /* the text of the paths from which storage was read (storage_index.h);
                            NULL: not read */
    GArray *storage;     /* of CstStorageId: the directory, or each device; NULL: not read */
    StorageIndex *storage_index; /* a reference */
    GPtrArray *storage_keys;     /* of storage_index.c, guarded by the index's lock */
    CstPoolUsage usage;
    CstHealthLevel health; /* health level at the last query */
    guint limited_spaces;  /* thin pools and other stores that may fill up, at the last check */
    PoolThinUsage thin;    /* at the last check */
    CstUsageLevel levels[CST_USAGE_SPACE_LAST]; /* at the last sample, against the thresholds */
    char *growth_problem;     /* why a space cannot be extended (pool/extend.c); NULL: no problem */
    gboolean growth_refuses;  /* that space is a thin pool's, so new volumes are refused */
    gboolean levels_recorded; /* the log of events knows the levels of this process */
    CstFullness *fullness;    /* the warnings logged about them; NULL: no warnings */
    CstPoolState *state;      /* non-NULL while active */
    CstPoolState *next_state; /* borrowed: state of a start in progress; NULL: no start */

    VolumeTable *volumes;
    VolumeTable *moving; /* records of volumes that are being renamed (table.h) */
    GPtrArray *sorted;   /* the volumes sorted by name; NULL: outdated */
    guint64 generation;  /* changes with every change of volumes */
    GHashTable *drafts;  /* name (inside the record) to VolumeDraft *: volumes being created */
    gboolean scanned;
    gboolean scanning;
    gboolean reading;         /* a start has activated the pool and runs its first scan */
    gboolean reading_aborted; /* a stop has cancelled that scan */
    gboolean unread;          /* no scan has ended since the start (reading.h) */
    CstTask *reader;          /* task of the first scan; a reference; NULL: not reading */
    GHashTable *touched;      /* names changed during the running scan; NULL without a scan */
    GPtrArray *name_scans;    /* of NameScan * (owned by the scanning threads): scans of one name */
    gint64 scanned_at;        /* monotonic */
    TrashTotals *trash_totals;     /* NULL: not counted */
    guint64 trash_totals_forgets;  /* number of calls of trash_totals_forget() */
    GPtrArray *trash_names;        /* for the pages of lists (trash_names.c); NULL: not listed */
    char *trash_names_stamp;       /* NULL: a list that begins reads the names again */
    guint64 trash_names_turn;      /* number of the last reader of the names */
    guint64 trash_names_kept_turn; /* number of the reader of trash_names */
    gint64 swept_at; /* monotonic: last sweep of its declarations; of the scanning thread */

    KeptSnapshots *kept; /* guarded by the lock */
    guint promise_users; /* reservations that hold @promise_fd */
    int promise_fd;      /* lock against other processes (store/promise_lock.h); valid with users */
    GPtrArray *promises; /* of PoolPromise * (owned by their operations): reservations */
    GHashTable *claims; /* name to GPtrArray of VolumeHolder * (owned by the claims), never empty */
    GPtrArray *copies;  /* of CopyTurn * (owned by their jobs): granted turns (copy_turn.h) */
    GQueue copy_queue;  /* of CopyTurn *: jobs that wait for a turn, oldest first */
    GHashTable *copy_users; /* uid to the number of its last turn, while jobs copy */
    gsize copy_number;      /* of the last turn */
    GPtrArray *orphans;     /* of VolumeHolder *: streams that read deleted files */
    GHashTable *deferred;   /* claimed names reported as changed, rescanned at the release */
    GHashTable *stale;      /* names changed by this service that could not be rescanned */
    guint claimed;          /* total number of claims */
    gboolean changing;      /* the pool is being changed: new claims wait or are refused */
    gint draining;          /* atomic: the change still waits for older claims */
    CstTask *changer;       /* task of the change; a reference; NULL: no change, or unknown */
};

/** A running scan of one name (scan.c). */
typedef struct {
    const char *name;
    gboolean outdated; /* the table has changed since the scan began, so its result may be older */
} NameScan;

/** A volume that is being created (draft.c), in the pool's table of drafts. */
typedef struct {
    CstVolume *volume; /* its record at the reservation */
    CstBlob *blob;     /* NULL: a directory, or created in one step by the pool's technology */
} VolumeDraft;

/** Frees a draft, for the pool's table of drafts. */
void pool_draft_free(VolumeDraft *draft);

/** Returns a new inactive pool with one reference, which is not in any table. Consumes @def. */
CstPool *pool_new(CstService *service, CstPoolDef *def);

/**
 * Waits until some state of the pool has changed, at most 50 ms if @task is given. Requires the
 * pool's lock, which is released during the wait. *since: begin of the caller's wait; 0 before the
 * first call.
 *
 * Returns TRUE if the caller should check its condition again. Returns FALSE with CANCELLED if
 * @task was cancelled. Returns FALSE without an error if the task's maximal wait is over. The
 * caller resets cst_task_set_waiting().
 */
gboolean pool_wait(CstPool *pool, CstTask *task, gint64 *since, GError **error);

/** Fails with STATE, naming the pool; returns FALSE. */
gboolean pool_not_active(const CstPool *pool, GError **error);
#define pool_not_active(...) CST_GIVES_FALSE(pool_not_active(__VA_ARGS__))
/**
 * Fails with NO_SPACE while a thin pool has reached the threshold of the automatic extension and
 * cannot be extended. Call it before space is promised to a new volume or snapshot.
 */
gboolean pool_check_promise(CstPool *pool, GError **error);
/**
 * Returns a new reference to the state of an active pool. Returns NULL with STATE if the pool is
 * not active.
 */
CstPoolState *pool_state_get(CstPool *pool, GError **error);

/**
 * Opens the storage with the definition in force. Callable from any thread; the pool may be
 * redefined concurrently.
 */
CstPoolState *pool_state_open(CstPool *pool, GError **error);
/**
 * Returns whether @state belongs to the active pool, or to the start in progress. FALSE: the pool
 * was stopped, so results from @state must be dropped. Requires the pool's lock.
 */
gboolean pool_state_is_current(const CstPool *pool, const CstPoolState *state);

/**
 * Returns whether the pool is recovered once its storage answers, instead of during the load of the
 * service. That is the case for remote storage, and for local storage that did not answer
 * (recovers_late). Acquires the pool's lock.
 */
gboolean pool_recovers_late(CstPool *pool, CstPoolState *state);
/** Like pool_recover_later(), also for local storage. For intents that do not wait for storage. */
void pool_recover_local_later(CstPool *pool, CstPoolState *state);
/**
 * Drops or completes the work of dead processes on storage that is recovered late. Call it when the
 * pool's storage has answered. Runs once; if recovery is incomplete, the pool needs recovery again.
 * Does nothing for other storage, which was recovered during the load of the service.
 */
void pool_recover(CstPool *pool, CstPoolState *state);
/**
 * Has a daemon retry the recovery later. Call it when recovery was incomplete on storage that is
 * recovered late, or when the storage did not answer.
 */
void pool_recover_later(CstPool *pool, CstPoolState *state);

/**
 * Sets the description of the pool's problem, for users; NULL: no problem. @inaccessible: the
 * storage is not available.
 */
void pool_set_problem(CstPool *pool, const char *problem, gboolean inaccessible);
/** Like pool_set_problem(), without an effect once the pool was stopped. */
void pool_set_problem_of(CstPool *pool, const CstPoolState *state, const char *problem,
                         gboolean inaccessible);
