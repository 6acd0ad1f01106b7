/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/rbd.h>
#include <pool/backend.h>

/**
 * Pools of RBD images, through librados and librbd. Volumes are the images of one Ceph pool (and
 * namespace), raw always, and are called POOL/IMAGE as libvirt has it.
 *
 * From below to above; a file calls files of the lines before its own, and to its left:
 *
 *     conf.c  names.c                options and names
 *     conn.c  job.c  login.c         the connection; calls with a deadline; users and their keys
 *     note.c  image.c  protect.c     notes for after a crash; opening images; protected snapshots
 *     origin.c  header.c  query.c    what clones depend on; what images are, asked for in bulk
 *     changed.c                      what has changed since a snapshot
 *     scan.c  snapshot.c  volume.c   records; snapshots; volumes that are there
 *     draft.c  clone.c               new volumes
 *     rbd.c                          the table
 *
 * Functions that are a callback of the table do what CstBackend says of it. librbd's results are 0
 * and above, or a negative errno; functions that return int do the same.
 */
extern const CstBackend cst_rbd_backend;

/* --- names.c ---------------------------------------------------------------------------------- */

/**
 * Images under this prefix are drafts, or in the trash (CST_TRASH_PREFIX), snapshots under it
 * helpers of a clone: never listed.
 */
#define RBD_HIDDEN_PREFIX ".cistern-"
#define RBD_DRAFT_SUFFIX  ".part"

/** INVALID for names that "rbd POOL/NAMESPACE/IMAGE@SNAP" can't spell; @what: "volume". */
gboolean cst_rbd_name_check(const char *name, const char *what, GError **error);
/** Name of the draft that @token stands for; the caller frees it. */
char *cst_rbd_draft_name(const char *token);
/** Whether @name has the form of a draft's name. */
gboolean cst_rbd_is_draft(const char *name);
/** Name of the helper snapshot of the clone whose draft is @token's; the caller frees it. */
char *cst_rbd_helper_name(const char *token);

/* --- conf.c ----------------------------------------------------------------------------------- */

typedef struct {
    char *key;
    char *value;
} RbdOption;

/**
 * The options of a connection, in the order in which they are set: our defaults, those of the
 * definition (monitors, kind of authentication), then its rbd:config_opts. The key is not among
 * them. Elements RbdOption.
 */
GPtrArray *cst_rbd_conf_options(const CstPoolDef *def);
/** Returns the monitors as Ceph takes them, "a.example:6789,[2001:db8::1]"; free it. */
char *cst_rbd_conf_monitors(const CstPoolSource *source);
/**
 * Splits "pool" or "pool/namespace"; *ret_namespace NULL: none. The caller frees both. CONFIG for
 * anything else.
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
    uint64_t id; /**< as the cluster knows this client */
    int64_t pool_id;
    guint deadline_ms; /**< for one call: a little more than Ceph's own time-outs */
} RbdConn;

typedef struct {
    CstPoolState head;
    char *pool;
    char *namespace; /**< NULL: none */
    char *prefix;    /**< of paths: "pool/" */
    GMutex lock;     /* guards the members below */
    GCond cond;
    RbdConn *conn; /* NULL: none now */
    gboolean connecting;
    guint attempt;        /* counts the attempts to connect */
    guint epoch;          /* counts the values of the secret */
    GError *problem;      /* how the last one failed */
    GHashTable *finished; /* volumes whose revert is finished, and its note may not be removed */
} RbdState;

/** Initialises, or frees, the connection's part of a state. */
void cst_rbd_state_init(RbdState *state);
void cst_rbd_state_clear(RbdState *state);

/**
 * Returns a new reference to the pool's connection, made when there is none. Fails with
 * UNREACHABLE, DENIED, NOT_FOUND (no such Ceph pool) and the like.
 */
RbdConn *cst_rbd_conn_get(RbdState *state, GError **error);
/** Connects as the pool does, for the caller alone. */
RbdConn *cst_rbd_conn_new(RbdState *state, GError **error);
/** Connects to the pool's cluster as @admin; without a pool (io is NULL). */
RbdConn *cst_rbd_conn_new_admin(RbdState *state, const CstLoginAdmin *admin, GError **error);
/** Returns @conn with one reference more. Any thread. */
RbdConn *cst_rbd_conn_ref(RbdConn *conn);
/**
 * Disconnects with the last reference, which may take as long as the cluster does. NULL is
 * accepted.
 */
void cst_rbd_conn_unref(RbdConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RbdConn, cst_rbd_conn_unref)
/**
 * Gives up @conn, on which a call got no answer: the next call connects anew. Does nothing when the
 * pool has another connection by now.
 */
void cst_rbd_conn_give_up(RbdState *state, const RbdConn *conn);
/** Drops the pool's connection: the next call connects anew, those under way keep theirs. */
void cst_rbd_conn_drop(RbdState *state);
gboolean cst_rbd_renew(CstPoolState *state, GError **error);

/* --- job.c ------------------------------------------------------------------------------------ */

/** One call on the cluster, in a thread of its own and with a deadline: see CstWork. */
typedef struct RbdJob RbdJob;
/** What a job does, in its thread. */
typedef gboolean (*RbdRun)(RbdJob *job, GError **error);
struct RbdJob {
    CstWork work;
    RbdRun run;
    RbdConn *conn; /**< referenced */
    const CstCeph *ceph;
    RbdState *state;   /**< referenced */
    char *name;        /**< of the volume; NULL: the job is about the pool */
    char *other;       /**< the call's second name: of a snapshot, a draft, a token; NULL: none */
    char *what;        /**< "volume 'x'", for messages */
    uint64_t size;     /**< bytes that the call is about, of which progress is a part */
    unsigned flags;    /**< RBD_JOB_…, and the call's own */
    CstTask *task;     /**< referenced; NULL: none */
    uint64_t reported; /**< bytes of progress reported */
    gpointer in;       /**< what else the call needs, freed with in_free; only read by the job */
    GDestroyNotify in_free;
    gpointer out; /**< what the call found, freed with out_free unless stolen */
    GDestroyNotify out_free;
};

/** The volume that it is about, or the Ceph pool: what memory is for, see base/alloc.h. */
static inline const char *cst_rbd_job_object(const RbdJob *job)
{
    return job->name ? job->name : job->state->pool;
}

/** Makes a job on the pool's connection; NULL with @error when there is none. */
RbdJob *cst_rbd_job_new(CstPoolState *state, RbdRun run, const char *name, GError **error);
/**
 * Runs the job and waits, until its deadline at most. After a failure the job may still be at work:
 * don't read anything of it.
 */
gboolean cst_rbd_job_wait(RbdJob *job, GError **error);
/**
 * A job whole: @run finds things about @name and adds them to the array job->out; they are appended
 * to @list. @free_one frees what is not handed over.
 */
gboolean cst_rbd_job_list(CstPoolState *state, RbdRun run, const char *name,
                          GDestroyNotify free_one, GPtrArray *list, GError **error);
/** Drops the waiter's reference; NULL: nothing. */
void cst_rbd_job_unref(RbdJob *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RbdJob, cst_rbd_job_unref)
/** For RbdJob.flags: what would be left half done can't be cancelled. */
#define RBD_JOB_UNSTOPPABLE (1u << 31)
/** For RbdJob.flags: something could not be finished now. */
#define RBD_JOB_LEFT (1u << 30)
/** For RbdJob.flags: it asks the monitors, whose silence is no reason to connect anew. */
#define RBD_JOB_ASKS_MONITORS (1u << 29)
/** For librbd's callbacks: progress of the job, in parts of job->size bytes. */
int cst_rbd_job_progress(uint64_t done, uint64_t total, void *job);

/* --- login.c ---------------------------------------------------------------------------------- */

gboolean cst_rbd_prove(CstPoolState *state, GError **error);
gboolean cst_rbd_set_credential(CstPoolState *state, const CstLoginAdmin *admin,
                                const CstSecretBytes *value, char **ret_account, GError **error);

/* --- image.c; in a job's thread, as all that follows but the callbacks ------------------------ */

/** Opens the image @name; NO_VOL when there is none. */
gboolean cst_rbd_image_open(RbdJob *job, const char *name, gboolean writable,
                            rbd_image_t *ret_image, GError **error);
/** Runs @run with the job's image open. */
gboolean cst_rbd_with_image(RbdJob *job, gboolean writable,
                            gboolean (*run)(RbdJob *job, rbd_image_t image, GError **error),
                            GError **error);
/** Opens @name, or its @snapshot (NULL: none), as a blob over the job's connection. */
CstBlob *cst_rbd_image_blob(RbdJob *job, const char *name, const char *snapshot, gboolean writable,
                            GError **error);

/* --- changed.c -------------------------------------------------------------------------------- */

gboolean cst_rbd_snapshot_changed(CstPoolState *state, const char *volume, const char *since,
                                  const char *until, CstTask *task, CstChanged *changed,
                                  GError **error);

/* --- note.c: what is being done, in the Ceph pool's metadata, for whoever comes after a crash - */

/** 0 or a negative errno; removing what is not there is 0. */
int cst_rbd_note_set(RbdJob *job, const char *prefix, const char *name, const char *value);
int cst_rbd_note_remove(RbdJob *job, const char *prefix, const char *name);
/** NULL with *ret_result when there is none. */
char *cst_rbd_note_get(RbdJob *job, const char *prefix, const char *name, int *ret_result);
/** Is called with a note's name, without the prefix, and its value. */
typedef void (*RbdNoteFunc)(RbdJob *job, const char *name, const char *value);
/** Calls @each for each note under @prefix. */
gboolean cst_rbd_note_each(RbdJob *job, const char *prefix, RbdNoteFunc each, GError **error);

/* --- protect.c -------------------------------------------------------------------------------- */

/** Protects @snapshot for a clone, and notes that it was us unless it is a @helper. */
int cst_rbd_snapshot_protect(RbdJob *job, rbd_image_t image, const char *snapshot, gboolean helper);
/** Unprotects it where it is protected; 0 or a negative errno. */
int cst_rbd_snapshot_unprotect(RbdJob *job, rbd_image_t image, const char *snapshot);
/** 1 when it was us who protected it, for a clone; 0 when not; or a negative errno. */
int cst_rbd_snapshot_protected_by_us(RbdJob *job, rbd_image_t image, const char *snapshot);

/* --- origin.c --------------------------------------------------------------------------------- */

/** What an image was cloned from; all NULL: it was not. */
typedef struct {
    char *pool;
    char *namespace; /* "": none */
    char *image;
    char *snapshot;
    gboolean user;   /* the snapshot is one of people's kind, not in the trash */
    gboolean helper; /* it was made for the clone alone */
} RbdOrigin;

/** Frees what the origin holds; all NULL afterwards. */
void cst_rbd_origin_clear(RbdOrigin *origin);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RbdOrigin, cst_rbd_origin_clear)
/** Reads what @image was cloned from; *ret_origin stays empty when it was not. */
gboolean cst_rbd_origin_read(RbdJob *job, rbd_image_t image, RbdOrigin *ret_origin, GError **error);
/**
 * Notes that the clone is about to need @origin no more, so that a crash does not keep the helper
 * alive. A failure is ignored: the helper would stay, and do no harm.
 */
void cst_rbd_origin_note(RbdJob *job, const RbdOrigin *origin);
/** Drops the helper snapshot behind @origin when no clone needs it any more. */
void cst_rbd_origin_release(RbdJob *job, const RbdOrigin *origin);
/** Releases the origins that a crash left noted. */
gboolean cst_rbd_finish_releases(RbdJob *job, GError **error);
/** "pool/namespace/image" */
char *cst_rbd_origin_path(const RbdOrigin *origin);
/** Appends the path of each clone of @image as it is set (a snapshot, or all of them). */
gboolean cst_rbd_list_clones(RbdJob *job, rbd_image_t image, GPtrArray *children, GError **error);
/**
 * Returns the clones as a text for a message: volumes of this pool by its name, others by their
 * path in Ceph. Free it.
 */
char *cst_rbd_clones_text(const RbdState *state, const GPtrArray *paths);
/** Notes that a helper is about to be made on image @source for the clone of @token. */
int cst_rbd_helper_note(RbdJob *job, const char *token, const char *source);
/** Removes the note, as the clone exists. */
int cst_rbd_helper_done(RbdJob *job, const char *token);
/**
 * Drops the helper that an unfinished clone left on its source, by the draft's @token. Succeeds
 * when there is none.
 */
gboolean cst_rbd_helper_forget(RbdJob *job, const char *token, GError **error);

/* --- scan.c ----------------------------------------------------------------------------------- */

/** Lists all images, hidden ones too: ids and names alternate. Free the array. */
GPtrArray *cst_rbd_list_names(CstPoolState *state, GError **error);

gboolean cst_rbd_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error);
gboolean cst_rbd_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                          CstVolume **ret_volume, GError **error);
char *cst_rbd_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error);

/* --- snapshot.c ------------------------------------------------------------------------------- */

/**
 * Whether people made the snapshot: neither a helper, nor in the trash, nor of a group or mirror.
 */
gboolean cst_rbd_snapshot_is_users(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap);
/** The snapshots of @image, of all kinds; the caller ends the list (rbd_snap_list_end, g_free). */
gboolean cst_rbd_snapshot_infos(RbdJob *job, rbd_image_t image, rbd_snap_info_t **ret_infos,
                                int *ret_count, GError **error);
/** Unprotects and removes; one that is not ours to remove is left. 0 or a negative errno. */
int cst_rbd_snapshot_drop(RbdJob *job, rbd_image_t image, const rbd_snap_info_t *snap);
/** Completes reverts that a crash cut short; BUSY while somebody has such a volume open. */
gboolean cst_rbd_finish_reverts(RbdJob *job, GError **error);

extern const CstSnapshotBackend cst_rbd_snapshots;

/* --- volume.c --------------------------------------------------------------------------------- */

/**
 * Removes an image with its helpers, and with all snapshots if @snapshots; releases its origin.
 * NO_VOL; BUSY for clones, snapshots and whoever has it open.
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

/** Refuses what can't become an image, and names that are taken. Call it outside of a job. */
gboolean cst_rbd_check_new(CstPoolState *state, const CstVolDef *def, GError **error);
/** Sets what @wanted (a volume's options) asks for: features, object size, data pool. */
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
