/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>
#include <base/uuid.h>
#include <model/declaration.h>
#include <model/flags.h>
#include <model/image_report.h>
#include <model/job.h>
#include <model/listing.h>
#include <model/pool_def.h>
#include <model/secret_def.h>
#include <model/snapshot.h>
#include <model/thin_store.h>
#include <model/vol_def.h>

/**
 * One API for the command line over two transports: to the procedures in this very process, and by
 * libvirt's RPC (to cisternd, or a stock libvirtd). Above it nobody can tell which.
 *
 * A connection belongs to one thread. Sizes are bytes. Strings returned are the caller's.
 */
typedef struct CstConn CstConn;

typedef struct {
    const char *root;    /**< --root; NULL: this user's default */
    gboolean read_only;  /**< -r */
    gboolean embedded;   /**< never a daemon (storage:///embed) */
    gboolean must_exist; /**< NOT_FOUND, instead of making the root of an embedded connection */
} CstConnOptions;

/**
 * @uri NULL: CISTERN_URI, LIBVIRT_DEFAULT_URI (both only when no root is given), else the daemon of
 * this root when its socket answers, else embedded. Otherwise storage:///system,
 * storage+unix://…?socket=, storage:///embed?root=DIR, qemu:///system, ….
 */
CstConn *cst_conn_open(const char *uri, const CstConnOptions *options, GError **error);
void cst_conn_free(CstConn *conn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstConn, cst_conn_free)

char *cst_conn_uri(CstConn *conn, GError **error);
char *cst_conn_hostname(CstConn *conn, GError **error);
char *cst_conn_type(CstConn *conn, GError **error);
/** Version of the library or daemon at the other end, major·10⁶ + minor·10³ + micro. */
gboolean cst_conn_lib_version(CstConn *conn, uint64_t *ret_version, GError **error);
gboolean cst_conn_hv_version(CstConn *conn, uint64_t *ret_version, GError **error);
char *cst_conn_capabilities(CstConn *conn, GError **error);
gboolean cst_conn_is_read_only(const CstConn *conn);
gboolean cst_conn_is_embedded(const CstConn *conn);

/**
 * Makes the calls that follow dry runs, or real ones again: they pass every check, change nothing,
 * and end with CST_ERROR_DRY_RUN where the real call would have succeeded, or with its error. A
 * call that changes nothing by nature is answered as ever. NO_SUPPORT where the server can't.
 */
gboolean cst_conn_set_dry_run(CstConn *conn, gboolean dry_run, GError **error);

/* --- pools ----------------------------------------------------------------------------------- */

typedef struct {
    char *name;
    CstUuid uuid;
} CstPoolRef;

CstPoolRef *cst_pool_ref_new(const char *name, const CstUuid *uuid);
void cst_pool_ref_free(CstPoolRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstPoolRef, cst_pool_ref_free)

/** Elements CstPoolRef *, ordered as the server gives them. @filter: CstListPoolsFlags. */
GPtrArray *cst_conn_pool_list(CstConn *conn, unsigned filter, GError **error);
CstPoolRef *cst_conn_pool_by_name(CstConn *conn, const char *name, GError **error);
CstPoolRef *cst_conn_pool_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error);
CstPoolRef *cst_conn_pool_by_target(CstConn *conn, const char *path, GError **error);

CstPoolRef *cst_conn_pool_define(CstConn *conn, const char *xml, unsigned flags, GError **error);
CstPoolRef *cst_conn_pool_create(CstConn *conn, const char *xml, unsigned flags, GError **error);
gboolean cst_conn_pool_undefine(CstConn *conn, const CstPoolRef *pool, GError **error);
gboolean cst_conn_pool_build(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
gboolean cst_conn_pool_start(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
gboolean cst_conn_pool_stop(CstConn *conn, const CstPoolRef *pool, GError **error);
gboolean cst_conn_pool_delete(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                              GError **error);
gboolean cst_conn_pool_refresh(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                               GError **error);
gboolean cst_conn_pool_set_autostart(CstConn *conn, const CstPoolRef *pool, gboolean autostart,
                                     GError **error);

gboolean cst_conn_pool_get_autostart(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error);
gboolean cst_conn_pool_is_active(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                 GError **error);
gboolean cst_conn_pool_is_persistent(CstConn *conn, const CstPoolRef *pool, gboolean *ret,
                                     GError **error);
gboolean cst_conn_pool_info(CstConn *conn, const CstPoolRef *pool, CstPoolInfo *ret,
                            GError **error);
/** Why the pool could not be started, or is inaccessible; NULL: nothing, or the server can't
 *  say. */
char *cst_conn_pool_problem(CstConn *conn, const CstPoolRef *pool);
/** Elements CstThinStore; empty where there are none. NO_SUPPORT where the server can't say. */
GPtrArray *cst_conn_pool_thin(CstConn *conn, const CstPoolRef *pool, GError **error);
/** @flags: CstStorageXmlFlags. */
char *cst_conn_pool_xml(CstConn *conn, const CstPoolRef *pool, unsigned flags, GError **error);
gboolean cst_conn_pool_count_volumes(CstConn *conn, const CstPoolRef *pool, guint *ret,
                                     GError **error);
char *cst_conn_find_sources(CstConn *conn, const char *type, const char *spec, GError **error);
char *cst_conn_pool_capabilities(CstConn *conn, GError **error);

/* --- volumes --------------------------------------------------------------------------------- */

typedef struct {
    char *pool;
    char *name;
    char *key;
} CstVolRef;

void cst_vol_ref_free(CstVolRef *ref);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolRef, cst_vol_ref_free)

/** Elements CstVolRow *. However many: pages against cisternd, pipelines against libvirtd. */
GPtrArray *cst_conn_vol_list(CstConn *conn, const CstPoolRef *pool, gboolean details,
                             GError **error);
CstVolRef *cst_conn_vol_by_name(CstConn *conn, const CstPoolRef *pool, const char *name,
                                GError **error);
CstVolRef *cst_conn_vol_by_key(CstConn *conn, const char *key, GError **error);
CstVolRef *cst_conn_vol_by_path(CstConn *conn, const char *path, GError **error);
CstPoolRef *cst_conn_pool_of_vol(CstConn *conn, const CstVolRef *vol, GError **error);
char *cst_conn_vol_path(CstConn *conn, const CstVolRef *vol, GError **error);
char *cst_conn_vol_xml(CstConn *conn, const CstVolRef *vol, unsigned flags, GError **error);
/** @physical: allocation comes back as the physical size (libvirt's GET_PHYSICAL). */
gboolean cst_conn_vol_info(CstConn *conn, const CstVolRef *vol, gboolean physical, CstVolInfo *ret,
                           GError **error);

/*
 * Long calls. @task may be NULL; otherwise its progress is kept up to date where the server tells
 * it, and cancelling it cancels the work at the server where that is possible.
 */
CstVolRef *cst_conn_vol_create(CstConn *conn, const CstPoolRef *pool, const char *xml,
                               unsigned flags, CstTask *task, GError **error);
CstVolRef *cst_conn_vol_create_from(CstConn *conn, const CstPoolRef *pool, const char *xml,
                                    const CstVolRef *source, unsigned flags, CstTask *task,
                                    GError **error);
gboolean cst_conn_vol_delete(CstConn *conn, const CstVolRef *vol, unsigned flags, CstTask *task,
                             GError **error);
gboolean cst_conn_vol_wipe(CstConn *conn, const CstVolRef *vol, unsigned algorithm, CstTask *task,
                           GError **error);
gboolean cst_conn_vol_resize(CstConn *conn, const CstVolRef *vol, uint64_t capacity, unsigned flags,
                             CstTask *task, GError **error);
/** Sends @fd (from its start) into the volume at @offset; @length 0: all. Sparse:
 * CST_VOL_STREAM_SPARSE. */
gboolean cst_conn_vol_upload(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                             uint64_t length, unsigned flags, CstTask *task, GError **error);
/** Writes the volume's bytes into @fd, an empty file or a pipe (a pipe: not sparse). */
gboolean cst_conn_vol_download(CstConn *conn, const CstVolRef *vol, int fd, uint64_t offset,
                               uint64_t length, unsigned flags, CstTask *task, GError **error);

/* --- volumes as images ----------------------------------------------------------------------- */

/** Elements CstChainRow *, each before those that hang on it. */
GPtrArray *cst_conn_vol_chain(CstConn *conn, const CstVolRef *vol, GError **error);

/** Elements CstVolHolder *: who has it open. NO_SUPPORT where the server can't say. */
GPtrArray *cst_conn_vol_holders(CstConn *conn, const CstVolRef *vol, GError **error);

/* Long calls, as above. Files that an image names are opened only as volumes of active pools. */

/** @repair: CstRepairFlags. Finding damage is no failure. */
gboolean cst_conn_vol_check(CstConn *conn, const CstVolRef *vol, unsigned repair, CstTask *task,
                            CstCheckReport *ret_report, GError **error);
gboolean cst_conn_vol_flatten(CstConn *conn, const CstVolRef *vol, CstTask *task, GError **error);
/** @base: name or path of a volume below; NULL: the next one. @flags: CstVolCommitFlags. */
gboolean cst_conn_vol_commit(CstConn *conn, const CstVolRef *vol, const char *base, unsigned flags,
                             CstTask *task, GError **error);
gboolean cst_conn_vol_sparsify(CstConn *conn, const CstVolRef *vol, CstTask *task,
                               uint64_t *ret_given_back, GError **error);
/** A new volume of @pool, of what the guest sees of @source. */
CstVolRef *cst_conn_vol_convert(CstConn *conn, const CstPoolRef *pool, const CstVolRef *source,
                                const CstVolConvert *how, CstTask *task, GError **error);
gboolean cst_conn_vol_rebase(CstConn *conn, const CstVolRef *vol, const CstVolRebase *how,
                             CstTask *task, GError **error);
/** Declares what a volume's content is, and what it is based on; see service/trust.h. */
gboolean cst_conn_vol_declare(CstConn *conn, const CstVolRef *vol, const CstVolDeclare *how,
                              CstTask *task, GError **error);
/** Elements char *: what is wrong with it, for people. NO_SUPPORT by a stock server. */
GPtrArray *cst_conn_vol_problems(CstConn *conn, const CstVolRef *vol, GError **error);
/** Which references of its volumes a pool follows; sets it first when @follow is not NULL. */
gboolean cst_conn_pool_follow(CstConn *conn, const CstPoolRef *pool, const CstFollow *follow,
                              CstFollow *ret_follow, GError **error);
/** That they differ is no failure. */
gboolean cst_conn_vol_compare(CstConn *conn, const CstVolRef *vol, const CstVolRef *other,
                              CstTask *task, CstCompareReport *ret_report, GError **error);
/** How large a copy would be as an image of @format; @options NULL: the defaults. */
gboolean cst_conn_vol_measure(CstConn *conn, const CstVolRef *vol, const char *format,
                              const char *options, CstTask *task, CstMeasureReport *ret_report,
                              GError **error);
/** The map from @start on, at most @limit runs (0: a page); see CstVolMap. */
CstVolMap *cst_conn_vol_map(CstConn *conn, const CstVolRef *vol, uint64_t start, guint limit,
                            CstTask *task, GError **error);
/** @source: where merges take from; NULL: the volume itself. */
gboolean cst_conn_vol_bitmap(CstConn *conn, const CstVolRef *vol, const CstBitmapChange *change,
                             const CstVolRef *source, CstTask *task, GError **error);

/* --- jobs ------------------------------------------------------------------------------------ */

/** Elements CstJobInfo *, by number: those that go on, with @ended also those that are over. */
GPtrArray *cst_conn_job_list(CstConn *conn, gboolean ended, GError **error);
CstJobInfo *cst_conn_job_info(CstConn *conn, uint64_t id, GError **error);
/** Asks it to stop. */
gboolean cst_conn_job_cancel(CstConn *conn, uint64_t id, GError **error);
/** Bytes a second; 0: as fast as it goes. */
gboolean cst_conn_job_set_limit(CstConn *conn, uint64_t id, uint64_t limit, GError **error);
/**
 * Waits for its end, keeping @task's progress up to date, and gives how it ended. Cancelling @task
 * ends the waiting only, with CANCELLED; past @until (monotonic µs; 0: never) comes TIMEOUT.
 */
CstJobInfo *cst_conn_job_wait(CstConn *conn, uint64_t id, gint64 until, CstTask *task,
                              GError **error);

/**
 * From now on a long call with a task, other than an upload or download, comes back with CANCELLED
 * once the server lists it as a job, which goes on there: cst_task_job() of the task is then its
 * number, otherwise 0. A short one ends as always. UNSUPPORTED when embedded: nobody would go on.
 */
gboolean cst_conn_set_detach(CstConn *conn, gboolean detach, GError **error);

/* --- snapshots ------------------------------------------------------------------------------- */

/*
 * Of volumes, whatever keeps them; stock servers have none of these calls (NO_SUPPORT). @task as in
 * the long calls above.
 */

/** Elements CstSnapshot *, oldest first. */
GPtrArray *cst_conn_snapshot_list(CstConn *conn, const CstVolRef *vol, GError **error);
/** @limit: bytes to set aside for changes, where the technology wants that; 0: its default. */
gboolean cst_conn_snapshot_create(CstConn *conn, const CstVolRef *vol, const char *name,
                                  uint64_t limit, CstTask *task, GError **error);
gboolean cst_conn_snapshot_revert(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error);
gboolean cst_conn_snapshot_delete(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error);
gboolean cst_conn_snapshot_rename(CstConn *conn, const CstVolRef *vol, const char *name,
                                  const char *new_name, GError **error);
/** A new volume of the same pool and format that holds what the snapshot does. */
gboolean cst_conn_snapshot_clone(CstConn *conn, const CstVolRef *vol, const char *name,
                                 const char *new_volume, CstTask *task, GError **error);

/* --- secrets --------------------------------------------------------------------------------- */

/** A secret as the server names it. */
typedef struct {
    CstUuid uuid;
    int usage; /**< CstSecretUsage */
    char *usage_id;
} CstConnSecret;

void cst_conn_secret_free(CstConnSecret *secret);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstConnSecret, cst_conn_secret_free)

/** Elements CstConnSecret *. @filter: CstListSecretsFlags. */
GPtrArray *cst_conn_secret_list(CstConn *conn, unsigned filter, GError **error);
CstConnSecret *cst_conn_secret_by_uuid(CstConn *conn, const CstUuid *uuid, GError **error);
CstConnSecret *cst_conn_secret_by_usage(CstConn *conn, int usage, const char *usage_id,
                                        GError **error);
CstConnSecret *cst_conn_secret_define(CstConn *conn, const char *xml, unsigned flags,
                                      GError **error);
gboolean cst_conn_secret_undefine(CstConn *conn, const CstConnSecret *secret, GError **error);
char *cst_conn_secret_xml(CstConn *conn, const CstConnSecret *secret, GError **error);
gboolean cst_conn_secret_set_value(CstConn *conn, const CstConnSecret *secret, const uint8_t *value,
                                   size_t len, GError **error);
/** The caller wipes and frees *ret_value. */
gboolean cst_conn_secret_get_value(CstConn *conn, const CstConnSecret *secret, uint8_t **ret_value,
                                   size_t *ret_len, GError **error);

/* --- events ---------------------------------------------------------------------------------- */

typedef enum {
    CST_CONN_EVENT_POOL_LIFECYCLE, /**< kind: CstPoolEventKind */
    CST_CONN_EVENT_POOL_REFRESH,
    CST_CONN_EVENT_SECRET_LIFECYCLE, /**< kind: CstSecretEventKind */
    CST_CONN_EVENT_SECRET_VALUE,
    CST_CONN_EVENT_CLOSED, /**< the server is gone */
    CST_CONN_EVENT_LAST
} CstConnEventType;

typedef struct {
    CstConnEventType type;
    int kind;
    CstUuid uuid;
    const char *pool; /**< pool events: its name */
} CstConnEvent;

typedef void (*CstConnEventFunc)(const CstConnEvent *event, gpointer data);

/** @uuid NULL: of all objects. Embedded: sees what this process does. */
gboolean cst_conn_subscribe(CstConn *conn, CstConnEventType type, const CstUuid *uuid,
                            CstConnEventFunc func, gpointer data, guint *ret_id, GError **error);
gboolean cst_conn_unsubscribe(CstConn *conn, guint id, GError **error);
/**
 * Waits for and delivers events until @timeout_ms passed (-1: for ever), at least one event was
 * delivered, or @wake_fd (-1: none) becomes readable. *ret_delivered: number delivered.
 */
gboolean cst_conn_wait_events(CstConn *conn, int timeout_ms, int wake_fd, guint *ret_delivered,
                              GError **error);
