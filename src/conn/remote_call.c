/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "remote_private.h"

#define PROGRESS_MS 200

CstWireProc cst_remote_proc(int number, gpointer args_func, gpointer ret_func)
{
    return (CstWireProc){WIRE_REMOTE_PROGRAM, number, (xdrproc_t)args_func, (xdrproc_t)ret_func};
}

CstWireProc cst_remote_own_proc(int number, gpointer args_func, gpointer ret_func)
{
    return (CstWireProc){WIRE_CISTERN_PROGRAM, number, (xdrproc_t)args_func, (xdrproc_t)ret_func};
}

gboolean cst_remote_unknown(const GError *why)
{
    return g_error_matches(why, CST_ERROR, CST_ERROR_RPC) &&
           (g_str_has_prefix(why->message, "unknown procedure") ||
            g_str_has_prefix(why->message, "Cannot find program"));
}

/** Hands @why on, in plain words when the server is too old or too different. Always FALSE. */
static gboolean pass_on(int number, GError *why, GError **error)
{
    if (cst_remote_unknown(why)) {
        cst_fail(error, CST_ERROR_NO_SUPPORT, _("procedure %d: not supported by this server"),
                 number);
        g_error_free(why);
    } else {
        g_propagate_error(error, why);
    }
    return FALSE;
}

gboolean cst_remote_call(CstRemote *remote, int number, gpointer args_func, const void *args,
                         gpointer ret_func, void *ret, GError **error)
{
    CstWireProc proc = cst_remote_proc(number, args_func, ret_func);
    GError *why = NULL;

    if (cst_wire_client_call(remote->client, &proc, args, ret, &why))
        return TRUE;
    return pass_on(number, why, error);
}

char *cst_remote_text(CstRemote *remote, int number, gpointer args_func, const void *args,
                      GError **error)
{
    wire_text ret = {0};

    if (!cst_remote_call(remote, number, args_func, args, xdr_wire_text, &ret, error))
        return NULL;
    /* XDR's strings come from malloc(), as GLib's do. */
    return ret.value;
}

gboolean cst_remote_peer(CstRemote *remote, CstPeer *ret_peer, GError **error)
{
    CstWireProc proc = cst_remote_own_proc(WIRE_CISTERN_VERSION, NULL, xdr_wire_version_ret);
    wire_version_ret version = {0};
    GError *why = NULL;

    if (remote->peer == CST_PEER_UNKNOWN) {
        if (cst_wire_client_call(remote->client, &proc, NULL, &version, &why)) {
            remote->last_procedure = version.last_procedure;
            xdr_free(proc.ret, (char *)&version);
            remote->peer = CST_PEER_CISTERN;
        } else if (cst_wire_client_broken(remote->client)) {
            g_propagate_error(error, why);
            return FALSE;
        } else {
            g_error_free(why);
            remote->peer = CST_PEER_STOCK;
        }
    }
    *ret_peer = remote->peer;
    return TRUE;
}

gboolean cst_remote_needs(CstRemote *remote, int number, const char *what, GError **error)
{
    CstPeer peer;

    if (!cst_remote_peer(remote, &peer, error))
        return FALSE;
    if (remote->last_procedure >= number)
        return TRUE;
    return cst_fail(error, CST_ERROR_NO_SUPPORT, _("%s: not supported by this server"), what);
}

gboolean cst_remote_own_call(CstRemote *remote, int number, const char *what, gpointer args_func,
                             const void *args, gpointer ret_func, void *ret, GError **error)
{
    CstWireProc proc = cst_remote_own_proc(number, args_func, ret_func);

    return cst_remote_needs(remote, number, what, error) &&
           cst_wire_client_call(remote->client, &proc, args, ret, error);
}

/* --- long calls ------------------------------------------------------------------------------ */

typedef struct {
    CstRemote *remote;
    CstTask *task;
    uint32_t serial;
    uint64_t done; /**< as told last */
    gboolean mute; /**< the server tells no progress */
    gboolean cancel_sent;
    uint64_t rate; /**< as the server was told last */
} Watch;

/** Carries the server's progress over into the task. What goes wrong here does not matter. */
static void ask_progress(Watch *watch)
{
    CstWireProc proc = cst_remote_own_proc(WIRE_CISTERN_CALL_PROGRESS, xdr_wire_serial_args,
                                           xdr_wire_progress_ret);
    wire_serial_args args = {watch->serial};
    wire_progress_ret progress = {0};

    if (!cst_wire_client_call(watch->remote->client, &proc, &args, &progress, NULL)) {
        watch->mute = TRUE;
        return;
    }
    if (!progress.found)
        return;
    cst_task_set_total(watch->task, progress.total);
    if (progress.done > watch->done) {
        cst_task_skip(watch->task, progress.done - watch->done);
        watch->done = progress.done;
    }
}

/** When it works, the server's answer to the call says that it was cancelled. */
static void ask_cancel(Watch *watch)
{
    CstWireProc proc =
        cst_remote_own_proc(WIRE_CISTERN_CALL_CANCEL, xdr_wire_serial_args, xdr_wire_int);
    wire_serial_args args = {watch->serial};
    wire_int found = {0};

    /* Not found: the call may still wait for its turn there, so it is asked again. */
    watch->cancel_sent =
        cst_wire_client_call(watch->remote->client, &proc, &args, &found, NULL) && found.value;
}

static void ask_rate(Watch *watch)
{
    CstWireProc proc =
        cst_remote_own_proc(WIRE_CISTERN_CALL_RATE, xdr_wire_serial_rate_args, xdr_wire_int);
    wire_serial_rate_args args = {watch->serial, cst_task_rate(watch->task)};
    wire_int found = {0};

    if (args.limit != watch->rate &&
        cst_wire_client_call(watch->remote->client, &proc, &args, &found, NULL) && found.value)
        watch->rate = args.limit;
}

/** FALSE once the call is listed as a job, when that is all that was wanted. */
static gboolean stay(Watch *watch, GError **error)
{
    /* A server that doesn't know the one does not cancel calls whose client is gone either. */
    int number = watch->remote->last_procedure >= WIRE_CISTERN_CALL_DETACH
                     ? WIRE_CISTERN_CALL_DETACH
                     : WIRE_CISTERN_CALL_JOB;
    CstWireProc proc = cst_remote_own_proc(number, xdr_wire_serial_args, xdr_wire_call_job_ret);
    wire_serial_args args = {watch->serial};
    wire_call_job_ret job = {0};

    if (!watch->remote->detach ||
        !cst_wire_client_call(watch->remote->client, &proc, &args, &job, NULL) || !job.id)
        return TRUE;
    cst_task_set_job(watch->task, job.id);
    return cst_fail(error, CST_ERROR_CANCELLED,
                    _("job %" G_GUINT64_FORMAT " goes on at the server"), (uint64_t)job.id);
}

/** Says what the call that comes next is to keep to from its beginning. */
static gboolean announce(Watch *watch, GError **error)
{
    wire_serial_rate_args args = {0, cst_task_rate(watch->task)};
    wire_int found = {0};

    watch->rate = args.limit;
    return !args.limit ||
           cst_remote_own_call(watch->remote, WIRE_CISTERN_CALL_RATE, _("a rate limit"),
                               xdr_wire_serial_rate_args, &args, xdr_wire_int, &found, error);
}

/** Once per interval, while the answer isn't there. */
static gboolean watch_step(Watch *watch, GError **error)
{
    CstPeer peer;

    if (!cst_remote_peer(watch->remote, &peer, error))
        return FALSE;
    if (cst_task_cancelled(watch->task) && !watch->cancel_sent) {
        if (peer == CST_PEER_STOCK)
            return cst_fail(error, CST_ERROR_CANCELLED,
                            _("cancelled here; this server can't cancel and finishes the work"));
        ask_cancel(watch);
    }
    if (peer == CST_PEER_CISTERN && !watch->mute)
        ask_progress(watch);
    ask_rate(watch);
    return stay(watch, error);
}

static gboolean call_watched(CstRemote *remote, const CstWireProc *proc, const void *args,
                             void *ret, CstTask *task, GError **error)
{
    Watch watch = {.remote = remote, .task = task};
    gboolean there = FALSE;
    GError *why = NULL;

    if (!task) {
        if (cst_wire_client_call(remote->client, proc, args, ret, &why))
            return TRUE;
        return pass_on(proc->procedure, why, error);
    }
    if (cst_task_cancelled(task))
        return cst_task_check(task, error);
    if (!announce(&watch, error) ||
        !cst_wire_client_send(remote->client, proc, args, &watch.serial, error))
        return FALSE;
    for (;;) {
        if (!cst_wire_client_await(remote->client, watch.serial, PROGRESS_MS, &there, error))
            break;
        if (there) {
            if (cst_wire_client_collect(remote->client, watch.serial, proc, ret, &why))
                return TRUE;
            return pass_on(proc->procedure, why, error);
        }
        if (!watch_step(&watch, error))
            break;
    }
    cst_wire_client_forget(remote->client, watch.serial);
    return FALSE;
}

gboolean cst_remote_long_call(CstRemote *remote, int number, gpointer args_func, const void *args,
                              gpointer ret_func, void *ret, CstTask *task, GError **error)
{
    CstWireProc proc = cst_remote_proc(number, args_func, ret_func);

    return call_watched(remote, &proc, args, ret, task, error);
}

gboolean cst_remote_own_long_call(CstRemote *remote, int number, const char *what,
                                  gpointer args_func, const void *args, gpointer ret_func,
                                  void *ret, CstTask *task, GError **error)
{
    CstWireProc proc = cst_remote_own_proc(number, args_func, ret_func);

    return cst_remote_needs(remote, number, what, error) &&
           call_watched(remote, &proc, args, ret, task, error);
}

/* --- names of objects ------------------------------------------------------------------------ */

wire_pool cst_remote_pool_arg(const CstPoolRef *pool)
{
    wire_pool wire = {.name = pool->name};

    memcpy(wire.uuid, pool->uuid.bytes, sizeof(wire.uuid));
    return wire;
}

wire_vol cst_remote_vol_arg(const CstVolRef *vol)
{
    static char none[] = "";

    return (wire_vol){vol->pool, vol->name, vol->key ? vol->key : none};
}

wire_secret cst_remote_secret_arg(const CstConnSecret *secret)
{
    static char none[] = "";
    wire_secret wire = {.usage_type = secret->usage,
                        .usage_id = secret->usage_id ? secret->usage_id : none};

    memcpy(wire.uuid, secret->uuid.bytes, sizeof(wire.uuid));
    return wire;
}

CstPoolRef *cst_remote_pool_take(wire_pool *pool)
{
    CstPoolRef *ref = g_new0(CstPoolRef, 1);

    ref->name = g_steal_pointer(&pool->name);
    memcpy(ref->uuid.bytes, pool->uuid, sizeof(ref->uuid.bytes));
    return ref;
}

CstVolRef *cst_remote_vol_take(wire_vol *vol)
{
    CstVolRef *ref = g_new0(CstVolRef, 1);

    ref->pool = g_steal_pointer(&vol->pool);
    ref->name = g_steal_pointer(&vol->name);
    ref->key = g_steal_pointer(&vol->key);
    return ref;
}

char *cst_remote_opt_take(wire_opt_string text)
{
    return text ? g_steal_pointer(text) : NULL;
}
