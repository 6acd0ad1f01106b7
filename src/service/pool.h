/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/fullness.h>
#include <pool/pool.h>
#include <service/pools.h>
#include <service/volumes.h>

/**
 * One pool as the service holds it. The lock guards every field below it and is never held while
 * storage is touched. Three kinds of use exclude each other as they must:
 *
 * - a change of the pool itself (start, stop, build, delete, undefine): one at a time, and none
 *   while volumes are being worked on: pool_change_begin() waits for both;
 * - work on a volume: readers of one volume share it, a writer has it alone: volume_claim() waits,
 *   but never for a stream, whose end its client decides;
 * - a scan: one at a time, beside the work on volumes.
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
    gboolean retried;        /* the autostart has a task that brings it back */
    char *problem;
    CstPoolUsage usage;
    guint rooms;           /* that may run full, as last looked at */
    CstFullness *fullness; /* what was said of them; NULL: nothing yet */
    CstPoolState *state;   /* non-NULL while active */

    GHashTable *volumes; /* name (inside the record) to CstVolume * */
    GPtrArray *sorted;   /* the same by name; NULL: to be made again */
    guint64 generation;  /* of the table: changes whenever volumes does */
    GHashTable *drafts;  /* name (inside the record) to VolumeDraft *: volumes being created */
    gboolean scanned;
    gboolean scanning;
    GHashTable *touched; /* names changed during the running scan; NULL when there is none */
    gint64 scanned_at;   /* monotonic */
    gint64 swept_at;     /* the same, of its declarations; for who scans */

    GHashTable *claims;  /* name to GPtrArray of VolumeHolder * (the claims'), never an empty one */
    GPtrArray *orphans;  /* of VolumeHolder *: streams that read what has been deleted */
    GHashTable *put_off; /* claimed names of which changes were told that nobody has looked at */
    GHashTable *unseen;  /* names that changed through us, and could not be looked at since */
    guint claimed;       /* claims altogether */
    gboolean changing;   /* somebody has the turn for a change, */
    gint draining;       /* atomic: and waits for the claims there are */
    CstTask *changer;    /* whose turn it is; a reference, NULL while nobody's or unknown */
};

/** A volume that is being created (volume_draft.c), in the pool's table of drafts. */
typedef struct {
    CstVolume *volume; /* as it was reserved */
    CstBlob *blob;     /* NULL: a directory, or made whole by the pool's technology */
} VolumeDraft;

void pool_draft_free(VolumeDraft *draft);

CstPool *pool_new(CstService *service, CstPoolDef *def);

/**
 * With the pool's lock held: waits until something about the pool has changed, 50 ms at most when
 * there is a @task. *since: when the caller's wait began, 0 at first. FALSE with CANCELLED when
 * @task was cancelled, FALSE without an error when it has waited as long as it may.
 */
gboolean pool_wait(CstPool *pool, CstTask *task, gint64 *since, GError **error);

/** The state to work with; STATE ("not active") when there is none. */
CstPoolState *pool_state_get(CstPool *pool, GError **error);

/**
 * The storage of a pool answers. Of a remote one, what dead processes left there is dropped or
 * finished now; what can't be leaves the pool in need of recovery.
 */
void pool_recover(CstPool *pool, CstPoolState *state);
/** Something is left to recover, or the storage does not answer: a daemon tries again later. */
void pool_recover_later(CstPool *pool, CstPoolState *state);

void pool_set_problem(CstPool *pool, const char *problem, gboolean inaccessible);

/* --- table of volumes (pool_table.c) --------------------------------------------------------- */

/** Makes sure that the volumes are known: scans when nobody has yet. */
gboolean pool_table_ensure(CstPool *pool, CstPoolState *state, GError **error);
/** Scans the storage and replaces the table; what changes meanwhile through us is kept. */
gboolean pool_table_scan(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/** The same after a look whether the storage is still the one it was; notes what is wrong. */
gboolean pool_refresh_table(CstPool *pool, CstPoolState *state, CstTask *task, GError **error);
/** Looks at one name on the storage and brings the table up to date; a new reference or NULL. */
gboolean pool_table_look(CstPool *pool, CstPoolState *state, const char *name,
                         CstVolume **ret_volume, GError **error);
/** The same; *ret_changed: the table did not know it like this. */
gboolean pool_table_compare(CstPool *pool, CstPoolState *state, const char *name,
                            CstVolume **ret_volume, gboolean *ret_changed, GError **error);
/**
 * A new reference from memory; NULL when neither the table nor that of drafts has such a volume.
 * Touches no storage.
 */
CstVolume *pool_table_known(CstPool *pool, const char *name);
/** As it is known, or after a look when it isn't; NO_VOL when there is none. */
CstVolume *pool_table_get(CstPool *pool, CstPoolState *state, const char *name, GError **error);
/** As it is on the storage now; NO_VOL when there is none. */
CstVolume *pool_table_get_now(CstPool *pool, CstPoolState *state, const char *name, GError **error);
/**
 * Looks at @name and at the pool's usage after a change through us, which is done whatever comes of
 * the look. When it fails, the volume is looked at again before anybody is shown it or a listing.
 */
void pool_table_look_after_change(CstPool *pool, CstPoolState *state, const char *name);
void pool_table_remove(CstPool *pool, const char *name);
/** How many volumes are known, with those that are being created. */
guint pool_table_count(CstPool *pool);
/** With the pool's lock held: another list of names is to be made. */
void pool_table_forget_order(CstPool *pool);
void pool_table_clear(CstPool *pool);
/** References in the order of names; the caller frees the array. */
GPtrArray *pool_table_sorted(CstPool *pool);
/**
 * Adds to @overlays (path to GPtrArray of char *, all owned) "pool/volume" for each volume known
 * here that is based on something.
 */
void pool_table_overlays(CstPool *pool, GHashTable *overlays);
/** There is one that is based on @path; cheaper than all of them. */
gboolean pool_table_has_overlay(CstPool *pool, const char *path);
/** Asks the backend for capacity, allocation and available. */
gboolean pool_usage_update(CstPool *pool, CstPoolState *state, GError **error);

/* --- volumes that are being created (volume_draft.c) ------------------------------------------ */

/** Shows the volume @def that is being created, and claimed; @blob: its content, NULL: none. */
void volume_draft_show(CstPool *pool, const CstVolDef *def, CstBlob *blob);
/** It is a volume now, or there is none. Without effect when nothing of that name is shown. */
void volume_draft_hide(CstPool *pool, const char *name);
/** Whether any volume is being created: cheaper than asking of each. */
gboolean volume_drafts_any(CstPool *pool);
/** A new record with what is allocated by now; NULL: no volume of that name is being created. */
CstVolume *volume_draft_now(CstPool *pool, const char *name);

/* --- rooms that may run full (rooms.c) ------------------------------------------------------- */

/** In a daemon: says in its log which have become fuller than was said. */
void pool_look_at_rooms(CstPool *pool, CstPoolState *state);
/** There were some when last looked. */
gboolean pool_has_rooms(CstPool *pool);
