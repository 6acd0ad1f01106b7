/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/rbd.h>
#include <pool/backend.h>

/**
 * Pools of RBD images, through librados and librbd. The volumes are the images of one Ceph pool
 * (and namespace). They are always raw, and their paths are POOL/IMAGE, as in libvirt.
 *
 * From bottom to top; a file calls files of earlier lines, and files to its left:
 *
 *     conf.c  names.c                options and names
 *     conn.c  job.c  login.c         the connection; calls with a deadline; users and their keys
 *     note.c  image.c  protect.c     notes for recovery; opening images; protected snapshots
 *     record.c                       records of the consistency of snapshots
 *     origin.c  header.c  query.c    origins of clones; properties of images, queried in bulk
 *     changed.c                      changes since a snapshot
 *     scan.c  snapshot.c  volume.c   records; snapshots; existing volumes
 *     draft.c  clone.c               new volumes
 *     rbd.c                          the table
 *
 * CstBackend has the contracts of the callbacks. librbd's results are 0 and above, or a negative
 * errno; functions that return int do the same.
 */
extern const CstBackend cst_rbd_backend;

/* --- names.c ---------------------------------------------------------------------------------- */

/**
 * Images with this prefix are drafts, or in the trash (CST_TRASH_PREFIX). Snapshots with it are
 * helpers of clones. Lists do not show them.
 */
#define RBD_HIDDEN_PREFIX ".cistern-"
#define RBD_DRAFT_SUFFIX  ".part"

/**
 * Fails with INVALID for a name that is not possible in "rbd POOL/NAMESPACE/IMAGE@SNAP". @what:
 * "volume".
 */
gboolean cst_rbd_name_check(const char *name, const char *what, GError **error);
/** Returns the name of the draft of @token. The caller frees it. */
char *cst_rbd_draft_name(const char *token);
/** Whether @name has the form of a draft's name. */
gboolean cst_rbd_is_draft(const char *name);
/** Returns the name of the helper snapshot for the clone of draft @token. The caller frees it. */
char *cst_rbd_helper_name(const char *token);

/* --- conf.c ----------------------------------------------------------------------------------- */

typedef struct {
    char *key;
    char *value;
} RbdOption;

/**
 * Returns the options of a connection, as RbdOption, in the order in which they are set: our
 * defaults, the definition's (monitors, type of authentication), then its rbd:config_opts. The key
 * is not included.
 */
GPtrArray *cst_rbd_conf_options(const CstPoolDef *def);
/** Returns the monitors in Ceph's format, "a.example:6789,[2001:db8::1]". The caller frees it. */
char *cst_rbd_conf_monitors(const CstPoolSource *source);
/**
 * Splits "pool" or "pool/namespace"; *ret_namespace is NULL without a namespace. The caller frees
 * both. CONFIG for other texts.
 */
gboolean cst_rbd_conf_split(const char *source_name, char **ret_pool, char **ret_namespace,
                            GError **error);
/* --- conn.c ----------------------------------------------------------------------------------- */

/** A connection to the cluster, shared by all calls of a pool. */
typedef struct {
    gint refs;
    const CstCeph *ceph;
    rados_t cluster;
    rados_ioctx_t io;
    uint64_t id; /**< id of this client in the cluster */
    int64_t pool_id;
    guint deadline_ms; /**< of one call: slightly longer than Ceph's own time-outs */
} RbdConn;

typedef struct {
    CstPoolState head;
    char *pool;
    char *namespace; /**< NULL: no namespace */
    char *prefix;    /**< of paths: "pool/" */
    GMutex lock;     /* guards the members below */
    GCond cond;
    RbdConn *conn; /* NULL: not connected */
    gboolean connecting;
    guint attempt;        /* counts the attempts to connect */
    guint epoch;          /* counts the values of the secret */
    GError *problem;      /* error of the last attempt */
    GHashTable *finished; /* notes of finished reverts that could not be removed */
} RbdState;

/** Initialise or clear the connection's part of a state. */
void cst_rbd_state_init(RbdState *state);
void cst_rbd_state_clear(RbdState *state);

/**
 * Returns a new reference to the pool's connection, and connects if necessary. Fails with
 * UNREACHABLE, DENIED, NOT_FOUND (the Ceph pool does not exist) or a similar error.
 */
RbdConn *cst_rbd_conn_get(RbdState *state, GError **error);
/** Makes a separate connection for the caller, with the pool's login. */
RbdConn *cst_rbd_conn_new(RbdState *state, GError **error);
/** Connects to the pool's cluster as @admin, without opening the pool (io is NULL). */
RbdConn *cst_rbd_conn_new_admin(RbdState *state, const CstLoginAdmin *admin, GError **error);
/** Returns @conn with a new reference. Any thread. */
RbdConn *cst_rbd_conn_ref(RbdConn *conn);
/** Drops a reference. The last one disconnects, which waits for the cluster. Accepts NULL. */
void cst_rbd_conn_unref(RbdConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RbdConn, cst_rbd_conn_unref)
/**
 * Drops @conn after a call without an answer, so that the next call connects anew. Does nothing if
 * the pool already has another connection.
 */
void cst_rbd_conn_give_up(RbdState *state, const RbdConn *conn);
/** Drops the pool's connection. The next call connects anew; calls in progress keep theirs. */
void cst_rbd_conn_drop(RbdState *state);
gboolean cst_rbd_renew(CstPoolState *state, GError **error);

/* --- job.c ------------------------------------------------------------------------------------ */

/** A call to the cluster, in a separate thread with a deadline; see CstWork. */
typedef struct RbdJob RbdJob;
/** The function of a job, called in its thread. */
typedef gboolean (*RbdRun)(RbdJob *job, GError **error);
struct RbdJob {
    CstWork work;
    RbdRun run;
    RbdConn *conn; /**< referenced */
    const CstCeph *ceph;
    RbdState *state;   /**< referenced */
    char *name;        /**< of the volume; NULL: the job is for the pool */
    char *other;       /**< second name of the call: a snapshot, a draft, a token; NULL: not used */
    char *what;        /**< "volume 'x'", for messages */
    uint64_t size;     /**< total bytes of the call, for its progress */
    unsigned flags;    /**< RBD_JOB_…, and flags of the call */
    CstTask *task;     /**< referenced; NULL: no task */
    uint64_t reported; /**< bytes of progress reported */
    gpointer in;       /**< further input, freed with in_free; the job only reads it */
    GDestroyNotify in_free;
    gpointer out; /**< the result, freed with out_free unless stolen */
    GDestroyNotify out_free;
};

/**
 * Returns the name of the volume or the Ceph pool, as the purpose of an allocation; see
 * base/alloc.h.
 */
static inline const char *cst_rbd_job_object(const RbdJob *job)
{
    return job->name ? job->name : job->state->pool;
}

/** Makes a job on the pool's connection. NULL with @error if the pool cannot connect. */
RbdJob *cst_rbd_job_new(CstPoolState *state, RbdRun run, const char *name, GError **error);
/**
 * Runs the job and waits, at most until its deadline. After a failure the job may still run, so the
 * caller must not read its members.
 */
gboolean cst_rbd_job_wait(RbdJob *job, GError **error);
/**
 * Runs a whole job: @run appends objects for @name to the array job->out, which are then appended
 * to @list. @free_one frees an object that is not passed on.
 */
gboolean cst_rbd_job_list(CstPoolState *state, RbdRun run, const char *name,
                          GDestroyNotify free_one, GPtrArray *list, GError **error);
/** Drops the waiter's reference. Accepts NULL. */
void cst_rbd_job_unref(RbdJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RbdJob, cst_rbd_job_unref)
/** For RbdJob.flags: the job cannot be cancelled, because it would leave an incomplete change. */
#define RBD_JOB_UNSTOPPABLE (1u << 31)
/** For RbdJob.flags: a change could not be finished now. */
#define RBD_JOB_LEFT (1u << 30)
/** For RbdJob.flags: the job queries the monitors, and a time-out does not drop the connection. */
#define RBD_JOB_ASKS_MONITORS (1u << 29)
/**
 * A callback for librbd: reports the progress of the job, scaled to job->size bytes. Returns a
 * negative errno to cancel.
 */
int cst_rbd_job_progress(uint64_t done, uint64_t total, void *job);

/* --- login.c ---------------------------------------------------------------------------------- */

gboolean cst_rbd_prove(CstPoolState *state, GError **error);
gboolean cst_rbd_set_credential(CstPoolState *state, const CstLoginAdmin *admin,
                                const CstSecretBytes *value, char **ret_account, GError **error);

/* --- image.c; all functions below except callbacks run in a job's thread ---------------------- */

/** Opens the image @name. NO_VOL if it does not exist. */
gboolean cst_rbd_image_open(RbdJob *job, const char *name, gboolean writable,
                            rbd_image_t *ret_image, GError **error);
/** Runs @run with the job's image open. */
gboolean cst_rbd_with_image(RbdJob *job, gboolean writable,
                            gboolean (*run)(RbdJob *job, rbd_image_t image, GError **error),
                            GError **error);
/**
 * Reads the id of @image, which a rename does not change. *ret_id: "" for an image of the old
 * format, which has no id; the caller frees it. Returns 0 or a negative errno.
 */
int cst_rbd_image_id(RbdJob *job, rbd_image_t image, char **ret_id);
/** Opens @name, or its @snapshot (may be NULL), as a blob on the job's connection. */
CstBlob *cst_rbd_image_blob(RbdJob *job, const char *name, const char *snapshot, gboolean writable,
                            GError **error);

/* --- changed.c -------------------------------------------------------------------------------- */

gboolean cst_rbd_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                  const char *until, CstTask *task, CstChanged *changed,
                                  GError **error);

/* --- note.c: changes in progress, in the Ceph pool's metadata --------------------------------- */

/** Set or remove a note. Return 0 or a negative errno; 0 if the note to remove does not exist. */
int cst_rbd_note_set(RbdJob *job, const char *prefix, const char *name, const char *value);
int cst_rbd_note_remove(RbdJob *job, const char *prefix, const char *name);
/**
 * Returns the value of a note, which the caller frees. NULL with *ret_result on failure; -ENOENT if
 * it does not exist.
 */
char *cst_rbd_note_get(RbdJob *job, const char *prefix, const char *name, int *ret_result);
/** Called with a note's name, without the prefix, and its value. */
typedef void (*RbdNoteFunc)(RbdJob *job, const char *name, const char *value);
/** Calls @each for each note with @prefix. */
gboolean cst_rbd_note_each(RbdJob *job, const char *prefix, RbdNoteFunc each, GError **error);

/* --- protect.c -------------------------------------------------------------------------------- */

/**
 * Protects @snapshot for a clone, and records that we protected it, unless it is a @helper. Returns
 * 0 or a negative errno.
 */
int cst_rbd_snapshot_protect(RbdJob *job, rbd_image_t image, const char *snapshot, gboolean helper);
/** Unprotects @snapshot if it is protected. Returns 0 or a negative errno. */
int cst_rbd_snapshot_unprotect(RbdJob *job, rbd_image_t image, const char *snapshot);
/** Returns 1 if we protected @snapshot for a clone, 0 if not, or a negative errno. */
int cst_rbd_snapshot_protected_by_us(RbdJob *job, rbd_image_t image, const char *snapshot);

/* --- record.c --------------------------------------------------------------------------------- */

/**
 * Stores the record of @snapshot, which was just created. A failure is only logged. @image is open
 * for writing.
 */
void cst_rbd_record_set(RbdJob *job, rbd_image_t image, const char *snapshot, const char *record);
/** Removes the record of the removed snapshot with number @id, if it has one. */
void cst_rbd_record_remove(RbdJob *job, rbd_image_t image, uint64_t id);
/**
 * Reads the records of the image's snapshots, for cst_rbd_record_of(). The table is empty if they
 * cannot be read. The caller unrefs it.
 */
GHashTable *cst_rbd_records(RbdJob *job, rbd_image_t image);
/** Returns the record of the snapshot with number @id, borrowed from @records; NULL: no record. */
const char *cst_rbd_record_of(GHashTable *records, uint64_t id);

/* --- origin.c --------------------------------------------------------------------------------- */

/** The origin of an image; all members are NULL if the image is not a clone. */
typedef struct {
    char *pool;
    char *namespace; /* "": no namespace */
    char *image;
    char *snapshot;
    gboolean user;   /* the snapshot is a user snapshot, and not in the trash */
    gboolean helper; /* it was made for clones alone */
} RbdOrigin;

/** Frees the members of the origin. */
void cst_rbd_origin_clear(RbdOrigin *origin);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RbdOrigin, cst_rbd_origin_clear)
/** Reads the origin of @image. *ret_origin stays empty if the image is not a clone. */
gboolean cst_rbd_origin_read(RbdJob *job, rbd_image_t image, RbdOrigin *ret_origin, GError **error);
/**
 * Records that the clone will not need @origin any more, so that a crash does not keep the helper.
 * A failure is ignored, because a remaining helper is harmless.
 */
void cst_rbd_origin_note(RbdJob *job, const RbdOrigin *origin);
/** Drops the helper snapshot, or our protection, of @origin if no clone needs it any more. */
void cst_rbd_origin_release(RbdJob *job, const RbdOrigin *origin);
/** Releases the origins that a crash has left in notes. */
gboolean cst_rbd_finish_releases(RbdJob *job, GError **error);
/** Returns "pool/namespace/image". The caller frees it. */
char *cst_rbd_origin_path(const RbdOrigin *origin);
/** Appends the path of each clone of @image at its current setting (a snapshot, or all of them). */
gboolean cst_rbd_list_clones(RbdJob *job, rbd_image_t image, GPtrArray *children, GError **error);
/**
 * Returns the clones as text for a message. A volume of this pool has the pool's name; other images
 * have their path in Ceph. The caller frees it.
 */
char *cst_rbd_clones_text(const RbdState *state, const GPtrArray *paths);
/**
 * Records that a helper will be created on image @source for the clone of @token. Returns 0 or a
 * negative errno.
 */
int cst_rbd_helper_note(RbdJob *job, const char *token, const char *source);
/** Removes the note, because the clone exists. Returns 0 or a negative errno. */
int cst_rbd_helper_done(RbdJob *job, const char *token);
/**
 * Drops the helper of an unfinished clone from its source, by the draft's @token. Succeeds if it
 * does not exist.
 */
gboolean cst_rbd_helper_forget(RbdJob *job, const char *token, GError **error);

/* --- scan.c ----------------------------------------------------------------------------------- */

/** Lists all images, including hidden ones: ids and names alternate. The caller frees the array. */
GPtrArray *cst_rbd_list_names(CstPoolState *state, GError **error);

gboolean cst_rbd_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean cst_rbd_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error);
char *cst_rbd_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);

/* --- snapshot.c ------------------------------------------------------------------------------- */

/**
 * Whether a user made the snapshot: it is not a helper, not in the trash, and not of a group or
 * mirror.
 */
gboolean cst_rbd_snapshot_is_users(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap);
/**
 * Lists the snapshots of @image, of all kinds. The caller frees the list (rbd_snap_list_end,
 * g_free).
 */
gboolean cst_rbd_snapshot_infos(RbdJob *job, rbd_image_t image, rbd_snap_info_t **ret_infos,
                                int *ret_count, GError **error);
/**
 * Unprotects and removes a snapshot. Skips snapshots in the trash, and of groups and mirrors.
 * Returns 0 or a negative errno.
 */
int cst_rbd_snapshot_drop(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap);
/** Completes reverts that a crash has interrupted. BUSY if such a volume is open. */
gboolean cst_rbd_finish_reverts(RbdJob *job, GError **error);

extern const CstSnapshotBackend cst_rbd_snapshots;

/* --- volume.c --------------------------------------------------------------------------------- */

/**
 * Removes an image with its helpers, and with all snapshots if @snapshots. Releases its origin.
 * NO_VOL; BUSY if it has clones or snapshots, or is open.
 */
gboolean cst_rbd_remove_image(RbdJob *job, const char *name, gboolean snapshots, GError **error);

/** Appends a CstHolder for each other client that has the image open for writing. */
gboolean cst_rbd_list_watchers(RbdJob *job, rbd_image_t image, GPtrArray *holders, GError **error);

gboolean cst_rbd_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error);
gboolean cst_rbd_vol_rename(CstPoolState *state, const char *name, const char *new_name,
                            GError **error);
CstBlob *cst_rbd_vol_open(CstPoolState *state, const char *name, gboolean writable, GError **error);
gboolean cst_rbd_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                            GError **error);
gboolean cst_rbd_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders,
                             GError **error);
gboolean cst_rbd_vol_children(CstPoolState *state, const char *name, GPtrArray *children,
                              GError **error);
gboolean cst_rbd_vol_flatten(CstPoolState *state, const char *name, CstTask *task, GError **error);

/* --- draft.c ---------------------------------------------------------------------------------- */

/**
 * Refuses a definition that is not supported, and a name that is in use. Call it outside of a job.
 */
gboolean cst_rbd_check_new(CstPoolState *state, const CstVolDef *def, GError **error);
/** Sets the options in @wanted (a volume's options): features, object size, data pool. */
gboolean cst_rbd_set_options(RbdJob *job, rbd_image_options_t options, const GPtrArray *wanted,
                             GError **error);

gboolean cst_rbd_vol_reserve(CstPoolState *state, const CstVolDef *def, CstVolDraft *draft,
                             GError **error);
gboolean cst_rbd_vol_commit(CstPoolState *state, CstVolDraft *draft, const CstVolDef *def,
                            GError **error);
gboolean cst_rbd_vol_abandon(CstPoolState *state, const char *token, GError **error);
gboolean cst_rbd_drop_drafts(CstPoolState *state, GError **error);

/* --- clone.c ---------------------------------------------------------------------------------- */

gboolean cst_rbd_vol_reserve_clone(CstPoolState *state, const CstVolDef *def, const char *source,
                                   const char *snapshot, CstVolDraft *draft, GError **error);
