/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two threads for each storage: the keeper, which touches nothing that could hang, begins a probe
 * every period and measures how long it takes; and the prober, which runs the probe. The keeper is
 * started by the first call and by the first question, since most states are opened for one call or
 * none, and ends with the storage's user.
 *
 * All of it is guarded by the lock, which is held while tasks are told: so a call that leaves
 * meanwhile waits until its task is no longer used.
 */
#include <base/liveness.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/log_context.h>
#include <base/test_point.h>

struct CstLivenessTimes cst_liveness_times = {
    .patience = 5 * G_TIME_SPAN_SECOND,
    .period = 3 * G_TIME_SPAN_SECOND,
};

void (*cst_liveness_given_up)(const GError *why);

struct CstLiveness {
    gint users;
    gint refs; /* one for all users, the keeper's and the prober's */
    CstProbe probe;
    char *what;
    GMutex lock;
    GCond cond;
    GQueue calls;    /* CstLivenessCall.link */
    gboolean kept;   /* there is a keeper */
    gboolean ended;  /* the users are gone */
    gint64 asked_at; /* monotonic: when the probe that has not returned was begun; 0: none runs */
    gboolean silent; /* it has not for longer than the patience */
    GError *failure; /* of the last probe that returned; NULL: none */
};

CstLiveness *cst_liveness_new(const CstProbe *probe, const char *what)
{
    CstLiveness *liveness = g_new0(CstLiveness, 1);

    liveness->users = liveness->refs = 1;
    liveness->probe = *probe;
    liveness->what = g_strdup(what);
    g_mutex_init(&liveness->lock);
    g_cond_init(&liveness->cond);
    return liveness;
}

static void let_go(CstLiveness *liveness)
{
    if (!g_atomic_int_dec_and_test(&liveness->refs))
        return;
    if (liveness->probe.free_data)
        liveness->probe.free_data(liveness->probe.data);
    g_cond_clear(&liveness->cond);
    g_mutex_clear(&liveness->lock);
    g_clear_error(&liveness->failure);
    g_free(liveness->what);
    g_free(liveness);
}

CstLiveness *cst_liveness_ref(CstLiveness *liveness)
{
    if (liveness)
        g_atomic_int_inc(&liveness->users);
    return liveness;
}

void cst_liveness_unref(CstLiveness *liveness)
{
    if (!liveness || !g_atomic_int_dec_and_test(&liveness->users))
        return;
    g_mutex_lock(&liveness->lock);
    liveness->ended = TRUE;
    g_cond_broadcast(&liveness->cond);
    g_mutex_unlock(&liveness->lock);
    let_go(liveness);
}

/* --- the threads ------------------------------------------------------------------------------ */

/* FALSE: it can't be made now; the next one who asks tries again. */
static gboolean start_thread(CstLiveness *liveness, const char *name, GThreadFunc func)
{
    GThread *thread;

    g_atomic_int_inc(&liveness->refs);
    thread = g_thread_try_new(name, func, liveness, NULL);
    if (thread)
        g_thread_unref(thread);
    else
        g_atomic_int_add(&liveness->refs, -1);
    return thread != NULL;
}

/* With the lock held, before the answer is noted. */
static void log_change(const CstLiveness *liveness, const GError *failure)
{
    if (liveness->silent)
        cst_log(CST_LOG_INFO, "%s answers again", liveness->what);
    if (failure && !liveness->failure)
        cst_log(CST_LOG_WARNING, "%s fails: %s", liveness->what, failure->message);
    else if (!failure && liveness->failure)
        cst_log(CST_LOG_INFO, "%s works again", liveness->what);
}

static gpointer probe(gpointer data)
{
    CstLiveness *liveness = data;
    GError *failure = NULL;

    liveness->probe.touch(liveness->probe.data, &failure);
    g_mutex_lock(&liveness->lock);
    if (!liveness->ended)
        log_change(liveness, failure);
    g_clear_error(&liveness->failure);
    liveness->failure = failure;
    liveness->silent = FALSE;
    liveness->asked_at = 0;
    g_cond_broadcast(&liveness->cond);
    g_mutex_unlock(&liveness->lock);
    let_go(liveness);
    return NULL;
}

/* With the lock held. */
static gboolean fail_silent(const CstLiveness *liveness, GError **error)
{
    gint64 seconds = (g_get_monotonic_time() - liveness->asked_at) / G_TIME_SPAN_SECOND;

    return cst_fail(error, CST_ERROR_UNREACHABLE, _("%s has not answered for %d s"), liveness->what,
                    (int)seconds);
}

/* With the lock held. */
static void tell_calls(CstLiveness *liveness)
{
    g_autoptr(GError) error = NULL;

    fail_silent(liveness, &error);
    cst_log(CST_LOG_WARNING, "%s", error->message);
    for (GList *link = liveness->calls.head; link; link = link->next)
        cst_task_tell_stuck(((CstLivenessCall *)link->data)->task, error);
    if (cst_liveness_given_up && !g_queue_is_empty(&liveness->calls))
        cst_liveness_given_up(error);
}

/* With the lock held: until the probe that runs has returned. */
static void await_probe(CstLiveness *liveness)
{
    gint64 patience =
        liveness->probe.patience ? liveness->probe.patience : cst_liveness_times.patience;
    gint64 until = liveness->asked_at + patience;

    while (liveness->asked_at && !liveness->ended) {
        if (liveness->silent) {
            CST_TEST_POINT("liveness.silent.wait");
            g_cond_wait(&liveness->cond, &liveness->lock);
            continue;
        }
        CST_TEST_POINT("liveness.probe.wait");
        if (!g_cond_wait_until(&liveness->cond, &liveness->lock, until)) {
            liveness->silent = liveness->asked_at != 0;
            if (liveness->silent)
                tell_calls(liveness);
        }
    }
}

/* With the lock held. */
static void await_period(CstLiveness *liveness)
{
    gint64 until = g_get_monotonic_time() + cst_liveness_times.period;

    do
        CST_TEST_POINT("liveness.period.wait");
    while (!liveness->ended && g_cond_wait_until(&liveness->cond, &liveness->lock, until));
}

static gpointer keep(gpointer data)
{
    CstLiveness *liveness = data;

    g_mutex_lock(&liveness->lock);
    while (!liveness->ended) {
        liveness->asked_at = g_get_monotonic_time();
        if (!start_thread(liveness, "prober", probe))
            liveness->asked_at = 0;
        await_probe(liveness);
        await_period(liveness);
    }
    g_mutex_unlock(&liveness->lock);
    let_go(liveness);
    return NULL;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* With the lock held. */
static gboolean answers(CstLiveness *liveness, GError **error)
{
    if (!liveness->kept)
        liveness->kept = start_thread(liveness, "keeper", keep);
    return !liveness->silent || fail_silent(liveness, error);
}

gboolean cst_liveness_check(CstLiveness *liveness, GError **error)
{
    gboolean ok;

    if (!liveness)
        return TRUE;
    g_mutex_lock(&liveness->lock);
    ok = answers(liveness, error);
    g_mutex_unlock(&liveness->lock);
    return ok;
}

gboolean cst_liveness_works(CstLiveness *liveness, GError **error)
{
    gboolean ok;

    if (!liveness)
        return TRUE;
    g_mutex_lock(&liveness->lock);
    ok = answers(liveness, error);
    if (ok && liveness->failure) {
        g_propagate_error(error, g_error_copy(liveness->failure));
        ok = FALSE;
    }
    g_mutex_unlock(&liveness->lock);
    return ok;
}

gboolean cst_liveness_enter(CstLiveness *liveness, CstLivenessCall *call, GError **error)
{
    const CstLogContext *context = cst_log_context();
    gboolean ok;

    if (!liveness)
        return TRUE;
    *call = (CstLivenessCall){.task = context ? context->task : NULL};
    call->link.data = call;
    g_mutex_lock(&liveness->lock);
    ok = answers(liveness, error);
    if (ok)
        g_queue_push_tail_link(&liveness->calls, &call->link);
    g_mutex_unlock(&liveness->lock);
    return ok;
}

void cst_liveness_leave(CstLiveness *liveness, CstLivenessCall *call)
{
    if (!liveness)
        return;
    g_mutex_lock(&liveness->lock);
    g_queue_unlink(&liveness->calls, &call->link);
    g_mutex_unlock(&liveness->lock);
}
