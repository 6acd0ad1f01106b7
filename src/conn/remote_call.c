/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls over libvirt's RPC.
 *
 * A call with a task is watched while it waits for its reply. Five times a second the client sends
 * small calls of Cistern's own program, which refer to the long call by its serial. They query its
 * progress and send cancellation and a changed rate limit. If detaching is enabled, they also query
 * whether the call is listed as a job. Failures of these calls are ignored, because the long call's
 * own reply reports its result. Stock servers have no such calls; a call to them can only be
 * abandoned.
 *
 * The server is identified once, before the first call that depends on it: whether it is cisternd,
 * and which procedures it has.
 */
#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"
#include "remote_private.h"

#define PROGRESS_MS 200 /* between two steps of watching a call */
#define WINDOW      128 /* calls in flight in cst_remote_call_all() */

static CstWireProc proc_of(const CstProcedure *procedure)
{
    return (CstWireProc){procedure->program, procedure->number, procedure->args_func,
                         procedure->ret_func};
}

static gboolean is_unknown_procedure(const GError *why)
{
    /* libvirt has no separate error number for this, so the text decides. */
    return g_error_matches(why, CST_ERROR, CST_ERROR_RPC) &&
           (g_str_has_prefix(why->message, "unknown procedure") ||
            g_str_has_prefix(why->message, "Cannot find program"));
}

gboolean cst_remote_fail(const CstProcedure *procedure, GError *why, GError **error)
{
    if (is_unknown_procedure(why)) {
        cst_conn_fail_unsupported(procedure->name, error);
        g_error_free(why);
    } else {
        g_propagate_error(error, why);
    }
    return FALSE;
}

gboolean cst_remote_ask(CstRemote *remote, uint32_t program, int number, gpointer args_func,
                        const void *args, gpointer ret_func, void *ret, GError **error)
{
    const CstWireProc proc = {program, number, (xdrproc_t)args_func, (xdrproc_t)ret_func};
    g_autoptr(GError) why = NULL;

    if (cst_wire_client_call(remote->client, &proc, args, ret, &why))
        return TRUE;
    if (is_unknown_procedure(why))
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("procedure %d: not supported by this server"), number);
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

static gboolean remote_call_cistern(CstRemote *remote, int number, gpointer args_func,
                                    const void *args, gpointer ret_func, void *ret, GError **error)
{
    return cst_remote_ask(remote, WIRE_CISTERN_PROGRAM, number, args_func, args, ret_func, ret,
                          error);
}

/* --- identifying the server ------------------------------------------------------------------ */

/*
 * Sets remote->peer and last_procedure unless they are known. Fails only if the connection fails.
 */
static gboolean identify_peer(CstRemote *remote, GError **error)
{
    wire_version_ret version = {0};
    GError *why = NULL;

    if (remote->peer != CST_PEER_UNKNOWN)
        return TRUE;
    if (remote_call_cistern(remote, WIRE_CISTERN_VERSION, NULL, NULL, xdr_wire_version_ret,
                            &version, &why)) {
        remote->last_procedure = version.last_procedure;
        xdr_free((xdrproc_t)xdr_wire_version_ret, (char *)&version);
        remote->peer = CST_PEER_CISTERN;
    } else if (cst_wire_client_broken(remote->client)) {
        g_propagate_error(error, why);
        return FALSE;
    } else {
        g_error_free(why);
        remote->peer = CST_PEER_STOCK;
    }
    return TRUE;
}

static gboolean require_procedure(CstRemote *remote, int number, const char *what, GError **error)
{
    return identify_peer(remote, error) &&
           (remote->last_procedure >= number || cst_conn_fail_unsupported(what, error));
}

gboolean cst_remote_supports(gpointer self, int number, gboolean *ret_supported, GError **error)
{
    CstRemote *remote = self;

    if (!identify_peer(remote, error))
        return FALSE;
    *ret_supported = number <= remote->last_procedure;
    return TRUE;
}

gboolean cst_remote_set_dry_run(gpointer self, gboolean dry_run, GError **error)
{
    const wire_call_mode_args args = {dry_run ? WIRE_CALLS_DRY : 0};

    return require_procedure(self, WIRE_CISTERN_CALL_MODE, "--dry-run", error) &&
           remote_call_cistern(self, WIRE_CISTERN_CALL_MODE, xdr_wire_call_mode_args, &args, NULL,
                               NULL, error);
}

gboolean cst_remote_set_detach(gpointer self, gboolean detach, GError **error)
{
    if (detach && !require_procedure(self, WIRE_CISTERN_CALL_JOB, "--detach", error))
        return FALSE;
    ((CstRemote *)self)->detach = detach;
    return TRUE;
}

/* --- long calls ------------------------------------------------------------------------------ */

typedef struct {
    CstRemote *remote;
    CstTask *task;
    uint32_t serial;
    uint64_t done;        /**< progress in the last reply of the server */
    gboolean no_progress; /**< the server does not report progress */
    gboolean cancel_sent;
    uint64_t rate; /**< limit that was sent last */
} Watch;

/* Queries the progress and advances the task. Ignores failures. */
static void watch_update_progress(Watch *watch)
{
    wire_serial_args args = {watch->serial};
    wire_progress_ret progress = {0};

    if (!remote_call_cistern(watch->remote, WIRE_CISTERN_CALL_PROGRESS, xdr_wire_serial_args, &args,
                             xdr_wire_progress_ret, &progress, NULL)) {
        watch->no_progress = TRUE;
        return;
    }
    if (!progress.found)
        return;
    cst_task_set_total(watch->task, progress.total);
    if (progress.done > watch->done) {
        /* Skipped, not advanced, because the server keeps the rate. */
        cst_task_skip(watch->task, progress.done - watch->done);
        watch->done = progress.done;
    }
}

/* Cancels the call at the server. The server then replies to the call with CANCELLED. */
static void send_cancel(Watch *watch)
{
    wire_serial_args args = {watch->serial};
    wire_int found = {0};

    /* If the server has not started the call yet, it is not found and the next step tries again. */
    watch->cancel_sent =
        remote_call_cistern(watch->remote, WIRE_CISTERN_CALL_CANCEL, xdr_wire_serial_args, &args,
                            xdr_wire_int, &found, NULL) &&
        found.value;
}

static void send_rate(Watch *watch)
{
    wire_serial_rate_args args = {watch->serial, cst_task_rate(watch->task)};
    wire_int found = {0};

    if (args.limit != watch->rate &&
        remote_call_cistern(watch->remote, WIRE_CISTERN_CALL_RATE, xdr_wire_serial_rate_args, &args,
                            xdr_wire_int, &found, NULL) &&
        found.value)
        watch->rate = args.limit;
}

/* Fails with CANCELLED once the call is listed as a job, if detaching is enabled. */
static gboolean check_detached(Watch *watch, GError **error)
{
    /* Servers without CALL_DETACH do not cancel the calls of disconnected clients. */
    int number = watch->remote->last_procedure >= WIRE_CISTERN_CALL_DETACH
                     ? WIRE_CISTERN_CALL_DETACH
                     : WIRE_CISTERN_CALL_JOB;
    wire_serial_args args = {watch->serial};
    wire_call_job_ret job = {0};

    if (!watch->remote->detach ||
        !remote_call_cistern(watch->remote, number, xdr_wire_serial_args, &args,
                             xdr_wire_call_job_ret, &job, NULL) ||
        !job.id)
        return TRUE;
    cst_task_set_job(watch->task, job.id);
    return cst_fail(error, CST_ERROR_CANCELLED, _("job %" PRIu64 " continues on the server"),
                    (uint64_t)job.id);
}

/* Sends the rate limit for the next call, so that it applies from the call's start. */
static gboolean set_initial_rate(Watch *watch, GError **error)
{
    wire_serial_rate_args args = {0, cst_task_rate(watch->task)};
    wire_int found = {0};

    watch->rate = args.limit;
    return !args.limit ||
           (require_procedure(watch->remote, WIRE_CISTERN_CALL_RATE, _("a rate limit"), error) &&
            remote_call_cistern(watch->remote, WIRE_CISTERN_CALL_RATE, xdr_wire_serial_rate_args,
                                &args, xdr_wire_int, &found, error));
}

/* Clears the limit of a call that could not be sent, so that it does not apply to the next call. */
static void clear_initial_rate(Watch *watch)
{
    wire_serial_rate_args args = {0, 0};
    wire_int found = {0};

    if (watch->rate)
        remote_call_cistern(watch->remote, WIRE_CISTERN_CALL_RATE, xdr_wire_serial_rate_args, &args,
                            xdr_wire_int, &found, NULL);
}

/* A step of watching. FALSE: stop waiting for the reply. */
static gboolean watch_step(Watch *watch, GError **error)
{
    if (!identify_peer(watch->remote, error))
        return FALSE;
    if (cst_task_cancelled(watch->task) && !watch->cancel_sent) {
        if (watch->remote->peer == CST_PEER_STOCK)
            return cst_fail(
                error, CST_ERROR_CANCELLED,
                _("no longer waiting; this server cannot cancel calls and finishes the work"));
        send_cancel(watch);
    }
    if (watch->remote->peer == CST_PEER_CISTERN && !watch->no_progress)
        watch_update_progress(watch);
    send_rate(watch);
    return check_detached(watch, error);
}

/* Watches the call until its reply arrives. *ret_why: the call's own failure; NULL: success. */
static gboolean await_watched(Watch *watch, const CstWireProc *proc, void *ret, GError **ret_why,
                              GError **error)
{
    gboolean arrived = FALSE;

    for (;;) {
        if (!cst_wire_client_await(watch->remote->client, watch->serial, PROGRESS_MS, &arrived,
                                   error))
            return FALSE;
        if (arrived) {
            cst_wire_client_collect(watch->remote->client, watch->serial, proc, ret, ret_why);
            return TRUE;
        }
        if (!watch_step(watch, error))
            return FALSE;
    }
}

static gboolean call_watched(CstRemote *remote, const CstWireProc *proc, const void *args,
                             void *ret, CstTask *task, GError **ret_why, GError **error)
{
    Watch watch = {.remote = remote, .task = task};

    if (!cst_task_check(task, error) || !set_initial_rate(&watch, error))
        return FALSE;
    if (!cst_wire_client_send(remote->client, proc, args, &watch.serial, error)) {
        clear_initial_rate(&watch);
        return FALSE;
    }
    if (await_watched(&watch, proc, ret, ret_why, error))
        return TRUE;
    /* The server continues with the call unless it was cancelled. Its reply is dropped. */
    cst_wire_client_forget(remote->client, watch.serial);
    return FALSE;
}

/* --- calls ----------------------------------------------------------------------------------- */

gboolean cst_remote_call(gpointer self, const CstProcedure *procedure, const void *args, void *ret,
                         CstTask *task, GError **error)
{
    CstRemote *remote = self;
    const CstWireProc proc = proc_of(procedure);
    GError *why = NULL;

    if (procedure->program == WIRE_CISTERN_PROGRAM &&
        !require_procedure(remote, procedure->number, procedure->name, error))
        return FALSE;
    if (!task)
        cst_wire_client_call(remote->client, &proc, args, ret, &why);
    else if (!call_watched(remote, &proc, args, ret, task, &why, error))
        return FALSE;
    if (procedure->wipe_args || procedure->wipe_ret)
        /* The buffers still contain handled packets. */
        cst_wire_client_wipe(remote->client);
    return !why || cst_remote_fail(procedure, why, error);
}

gboolean cst_remote_call_all(gpointer self, CstConnCall *calls, guint count, GError **error)
{
    CstRemote *remote = self;
    g_autofree uint32_t *serials = g_new0(uint32_t, count);
    guint sent = 0;

    for (guint i = 0; i < count; i++) {
        CstWireProc proc;

        /* A window, because a server stops reading from a client with too many calls in flight. */
        for (; sent < count && sent - i < WINDOW; sent++) {
            proc = proc_of(calls[sent].procedure);
            if (!cst_wire_client_send(remote->client, &proc, calls[sent].args, &serials[sent],
                                      error))
                return FALSE;
        }
        proc = proc_of(calls[i].procedure);
        cst_wire_client_collect(remote->client, serials[i], &proc, calls[i].ret, &calls[i].error);
        if (cst_wire_client_broken(remote->client)) {
            g_propagate_error(error, g_error_copy(cst_wire_client_broken(remote->client)));
            return FALSE;
        }
    }
    return TRUE;
}
