/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include <base/error.h>
#include <pool/fullness.h>
#include <pool/pool.h>
#include <service/pools.h>
#include <service/volumes.h>

#include "volume_table.h"

/** A directory, or with inode 0 a block device; device 0: none. */
typedef struct {
    dev_t device;
    ino_t inode;
} CstStorageId;

/**
 * One pool as the service holds it. The lock guards every field below it and is never held while
 * storage is touched. Three kinds of use exclude each other as they must:
 *
 * - a change of the pool itself (start, stop, build, delete, undefine): one at a time, and none
 *   while volumes are being worked on: pool_change_begin() waits for both;
 * - work on a volume: readers of one volume share it, a writer has it alone: volume_claim() waits,
 *   but never for a stream, whose end its client decides;
 * - a scan: one at a time, in parallel with the work on volumes.
 */
struct CstPool {
    gint refs;
    CstService *service; /* borrowed: pools die before the service */
    char *name;
    CstUuid uuid;

    GMutex lock;
    GCond cond;
    CstPoolDef *def;     /* in force */
    CstPoolDef *new_def; /* redefined while active: in force from the next start; NULL: none */
    gboolean persistent;
    gboolean autostart;
    gboolean active;
    gboolean starting;       /* for the state "building" */
    gboolean inaccessible;   /* active, but its storage is not there as it should be */
    gboolean removed;        /* no longer in the service's tables */
    gboolean needs_recovery; /* remote: what dead processes left there is still to be recovered */
    gboolean recovers_late;  /* local, but as remote: it did not answer while the service loaded */
    gboolean retried;        /* the autostart has a task that brings it back */
    char *problem;
    char *storage_path; /* the path that storage was read from (pool/conflict.c); NULL: not read */
    CstStorageId storage;
    CstPoolUsage usage;
    CstHealthLevel health;    /* of its storage, when last asked */
    guint limited_spaces;     /* thin pools and the like, which may run full, when last checked */
    CstFullness *fullness;    /* the warnings about them so far; NULL: none */
    CstPoolState *state;      /* non-NULL while active */
    CstPoolState *next_state; /* borrowed: of the start under way; NULL: none */

    VolumeTable *volumes;
    VolumeTable *moving; /* records of volumes that are getting another name (table.h) */
    GPtrArray *sorted;   /* the same by name; NULL: to be made again */
    guint64 generation;  /* of the table: changes whenever volumes does */
    GHashTable *drafts;  /* name (inside the record) to VolumeDraft *: volumes being created */
    gboolean scanned;
    gboolean scanning;
    GHashTable *touched;   /* names changed during the running scan; NULL when there is none */
    GPtrArray *name_scans; /* of NameScan * (the scanning threads'): scans of one name */
    gint64 scanned_at;     /* monotonic */
    gint64 swept_at;       /* monotonic: last sweep of its declarations; of the scanning thread */

    GHashTable *claims; /* name to GPtrArray of VolumeHolder * (the claims'), never an empty one */
    GPtrArray *orphans; /* of VolumeHolder *: streams that read what has been deleted */
    GHashTable *deferred; /* claimed names reported as changed, to be scanned when released */
    GHashTable *stale;    /* names that changed through us, and could not be scanned since */
    guint claimed;        /* claims altogether */
    gboolean changing;    /* the pool is being changed: new claims wait or are refused */
    gint draining;        /* atomic: that change still waits for older claims to end */
    CstTask *changer;     /* the task of that change; a reference, NULL while there is none or it is
                             unknown */
};

/** A scan of one name that runs (scan.c). */
typedef struct {
    const char *name;
    gboolean outdated; /* the table has changed since the scan began: what it saw may be older */
} NameScan;

/** A volume that is being created (draft.c), in the pool's table of drafts. */
typedef struct {
    CstVolume *volume; /* as it was reserved */
    CstBlob *blob;     /* NULL: a directory, or made whole by the pool's technology */
} VolumeDraft;

/** Drops what the draft refers to; for the pool's table of drafts. */
void pool_draft_free(VolumeDraft *draft);

/** A new inactive pool that is in no table; takes @def over. The caller owns the one reference. */
CstPool *pool_new(CstService *service, CstPoolDef *def);

/**
 * With the pool's lock held, which is released meanwhile: waits until something about the pool has
 * changed, 50 ms at most when there is a @task. *since is when the caller's wait began: 0 before
 * the first call. TRUE: check again. FALSE with CANCELLED when @task was cancelled; FALSE without
 * an error when the caller has waited as long as the task may. The caller resets
 * cst_task_set_waiting().
 */
gboolean pool_wait(CstPool *pool, CstTask *task, gint64 *since, GError **error);

/** Fails with STATE, naming the pool; returns FALSE. */
gboolean pool_not_active(const CstPool *pool, GError **error);
#define pool_not_active(...) CST_GIVES_FALSE(pool_not_active(__VA_ARGS__))
/**
 * Returns a new reference to the state of an active pool; NULL with STATE when it is not active.
 */
CstPoolState *pool_state_get(CstPool *pool, GError **error);

/**
 * Opens the storage of the definition that is in force. Any thread, although others may redefine
 * the pool meanwhile.
 */
CstPoolState *pool_state_open(CstPool *pool, GError **error);
/**
 * With the pool's lock held: whether @state is that of the active pool, or of the start under way.
 * FALSE: the pool was stopped meanwhile, so what @state has found is not the pool's any more.
 */
gboolean pool_state_is_current(const CstPool *pool, const CstPoolState *state);

/**
 * Whether the pool is recovered once its storage answers, and not while the service loads: remote
 * storage, and local storage that did not answer then (recovers_late). Takes the pool's lock.
 */
gboolean pool_recovers_late(CstPool *pool, CstPoolState *state);
/**
 * Call it when a pool's storage has answered: drops or completes, once, what dead processes left on
 * storage that is recovered late. What can't be now makes the pool need recovery again. Without
 * effect on other storage, which was recovered when the service was loaded.
 */
void pool_recover(CstPool *pool, CstPoolState *state);
/**
 * Call it when something could not be recovered on storage that is recovered late, or the storage
 * did not answer: has a daemon try again later.
 */
void pool_recover_later(CstPool *pool, CstPoolState *state);

/**
 * Sets what is wrong with the pool, for people; NULL: nothing. @inaccessible: its storage is not
 * there.
 */
void pool_set_problem(CstPool *pool, const char *problem, gboolean inaccessible);
