/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backend's table, in the layer above the files that do the work, and the lifecycle of a pool's
 * state. No function here accesses the cluster before a start or a first call, because definitions
 * of unreachable clusters must load.
 */
#include "rbd.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static CstPoolState *rbd_open_state(const CstPoolDef *def, GError **error)
{
    g_autofree char *pool = NULL;
    g_autofree char *namespace = NULL;
    RbdState *state;

    if (!cst_rbd_conf_split(def->source.name ? def->source.name : "", &pool, &namespace, error))
        return NULL;
    state = g_new0(RbdState, 1);
    state->head.def = cst_pool_def_copy(def);
    state->prefix = g_strconcat(def->source.name, "/", NULL);
    state->pool = g_steal_pointer(&pool);
    state->namespace = g_steal_pointer(&namespace);
    cst_rbd_state_init(state);
    return &state->head;
}

/* Calls in progress have references to the state, so no call is in progress here. */
static void rbd_close_state(CstPoolState *head)
{
    RbdState *state = (RbdState *)head;

    cst_rbd_state_clear(state);
    cst_pool_def_free(head->def);
    g_free(state->pool);
    g_free(state->namespace);
    g_free(state->prefix);
    g_free(state);
}

/*
 * The host has no mount or login of the pool, so a started pool is always active. The following
 * refresh checks whether the cluster answers, because it may take long.
 */
static gboolean rbd_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    *ret_active = TRUE;
    return TRUE;
}

static gboolean rbd_start(CstPoolState *state, GError **error)
{
    g_autoptr(RbdConn) conn = cst_rbd_conn_get((RbdState *)state, error);

    return conn != NULL;
}

/* Open drafts and blobs keep their connection. */
static gboolean rbd_stop(CstPoolState *state, GError **error)
{
    cst_rbd_conn_drop((RbdState *)state);
    return TRUE;
}

/*
 * As in libvirt, capacity and available space are of the cluster, and the allocation is of the
 * pool.
 */
static gboolean ask_usage(RbdJob *job, GError **error)
{
    CstPoolUsage *usage = job->out = g_new0(CstPoolUsage, 1);
    struct rados_cluster_stat_t cluster = {0};
    struct rados_pool_stat_t pool = {0};
    int result = job->ceph->rados_cluster_stat(job->conn->cluster, &cluster);

    job->out_free = g_free;
    if (result < 0)
        return cst_ceph_fail(error, result, _("failed to stat the RADOS cluster"));
    result = job->ceph->rados_ioctx_pool_stat(job->conn->io, &pool);
    if (result < 0)
        return cst_ceph_fail(error, result, _("failed to stat the RADOS pool '%s'"),
                             job->state->pool);
    *usage = CST_POOL_USAGE_UNKNOWN;
    usage->capacity = cluster.kb * 1024;
    usage->available = cluster.kb_avail * 1024;
    usage->allocation = pool.num_bytes;
    return TRUE;
}

static gboolean rbd_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    g_autoptr(RbdJob) job = cst_rbd_job_new(state, ask_usage, NULL, error);

    if (!job)
        return FALSE;
    job->flags = RBD_JOB_ASKS_MONITORS;
    if (!cst_rbd_job_wait(job, error))
        return FALSE;
    *ret_usage = *(CstPoolUsage *)job->out;
    return TRUE;
}

static char *rbd_vol_path(CstPoolState *state, const char *name)
{
    return g_strconcat(((RbdState *)state)->prefix, name, NULL);
}

static char *rbd_vol_resolve(CstPoolState *state, const char *path)
{
    const char *prefix = ((RbdState *)state)->prefix;

    /* A path with a further '/' is in a namespace of the Ceph pool, and not in this pool. */
    if (!g_str_has_prefix(path, prefix) || !path[strlen(prefix)] ||
        strchr(path + strlen(prefix), '/'))
        return NULL;
    return g_strdup(path + strlen(prefix));
}

const CstBackend cst_rbd_backend = {
    .type = CST_POOL_RBD,
    .keeps_trash = TRUE,
    .reserved_prefix = RBD_HIDDEN_PREFIX,
    .remote = TRUE,
    .open = rbd_open_state,
    .close = rbd_close_state,
    .check = rbd_check,
    .scan = cst_rbd_scan,
    .scan_one = cst_rbd_scan_one,
    .usage = rbd_usage,
    .vol_identity = cst_rbd_vol_identity,
    .vol_path = rbd_vol_path,
    .vol_resolve = rbd_vol_resolve,
    .start = rbd_start,
    .stop = rbd_stop,
    .drop_drafts = cst_rbd_drop_drafts,
    .prove = cst_rbd_prove,
    .renew = cst_rbd_renew,
    .set_credential = cst_rbd_set_credential,
    .vol_reserve = cst_rbd_vol_reserve,
    .vol_commit = cst_rbd_vol_commit,
    .vol_abandon = cst_rbd_vol_abandon,
    .vol_delete = cst_rbd_vol_delete,
    .vol_rename = cst_rbd_vol_rename,
    .vol_open = cst_rbd_vol_open,
    .vol_resize = cst_rbd_vol_resize,
    .vol_reserve_clone = cst_rbd_vol_reserve_clone,
    .vol_holders = cst_rbd_vol_holders,
    .vol_children = cst_rbd_vol_children,
    .vol_flatten = cst_rbd_vol_flatten,
    .snapshots = &cst_rbd_snapshots,
};
