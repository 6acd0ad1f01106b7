/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Monitor of storage that may hang (see the header). Each monitored storage has two threads. The
 * keeper never accesses the storage. It begins a probe every period and measures its duration. The
 * prober runs the probe.
 *
 * The first call or query starts the keeper, because most states are opened for at most one call.
 * The keeper ends when the last user drops its reference.
 *
 * The lock guards all state, and is held while tasks are notified. So a call that leaves during the
 * notification waits until its task is no longer used.
 */
#include <base/liveness.h>

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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
    gint refs; /* one for all users, one each for the keeper and the prober */
    CstProbe probe;
    char *what;
    GMutex lock;
    GCond cond;
    GQueue calls;    /* CstLivenessCall.link */
    gboolean kept;   /* the keeper runs */
    gboolean probed; /* a probe has returned */
    gboolean ended;  /* all users have dropped their references */
    gint64 asked_at; /* monotonic: start of the running probe; 0: no probe runs */
    gboolean silent; /* the running probe has exceeded the patience */
    GError *failure; /* of the last probe that returned; NULL: it succeeded */
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

/* Returns FALSE if no thread can be created now. A later call tries again. */
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

/* Called with the lock held, before the result is stored. */
static void log_change(const CstLiveness *liveness, const GError *failure)
{
    if (liveness->silent)
        cst_log(CST_LOG_INFO, "%s answers again", liveness->what);
    if (failure && !liveness->failure)
        cst_log(CST_LOG_WARNING, "%s fails: %s", liveness->what, failure->message);
    else if (!failure && liveness->failure)
        cst_log(CST_LOG_INFO, "%s works again", liveness->what);
}

static gpointer probe_thread(gpointer data)
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
    liveness->probed = TRUE;
    liveness->asked_at = 0;
    g_cond_broadcast(&liveness->cond);
    g_mutex_unlock(&liveness->lock);
    let_go(liveness);
    return NULL;
}

/* Called with the lock held. */
static gboolean fail_silent(const CstLiveness *liveness, GError **error)
{
    gint64 now = g_get_monotonic_time(), since = liveness->asked_at ? liveness->asked_at : now;

    return cst_fail(
        error, CST_ERROR_UNREACHABLE,
        _("%s has not answered for %d s; check its server or device, calls succeed again "
          "once it answers"),
        liveness->what, (int)((now - since) / G_TIME_SPAN_SECOND));
}

/* Notifies the tasks of all calls. Called with the lock held. */
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

/* --- single calls that hang ------------------------------------------------------------------- */

/*
 * Returns whether @number is a system call that ends by itself while storage works. A call into a
 * server or a child may block in other system calls (poll(2), futex(2)) for the whole duration of
 * the work, and also in copies inside the kernel, so these do not count.
 */
static gboolean is_storage_call(long number)
{
    static const long numbers[] = {
        SYS_openat,    SYS_openat2,    SYS_newfstatat, SYS_fstat,     SYS_statx,
        SYS_statfs,    SYS_fstatfs,    SYS_getdents64, SYS_pread64,   SYS_pwrite64,
        SYS_preadv,    SYS_pwritev,    SYS_fsync,      SYS_fdatasync, SYS_ftruncate,
        SYS_unlinkat,  SYS_renameat2,  SYS_linkat,     SYS_mkdirat,   SYS_readlinkat,
        SYS_fgetxattr, SYS_flistxattr, SYS_fchmod,     SYS_fchown,    SYS_close,
#ifdef SYS_open /* the older calls, which newer architectures lack */
        SYS_open,      SYS_stat,       SYS_lstat,      SYS_unlink,    SYS_rename,
        SYS_mkdir,     SYS_rmdir,      SYS_link,       SYS_readlink,
#endif
    };

    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        if (numbers[i] == number)
            return TRUE;
    return FALSE;
}

static char *thread_read(pid_t thread, const char *file)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/%s", (int)thread, file);
    char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/*
 * Whether the thread is blocked in a system call of storage now. The file has "running" instead of
 * a number if it is not blocked.
 */
static gboolean is_blocked(pid_t thread)
{
    g_autofree char *text = thread_read(thread, "syscall");

    return text && g_ascii_isdigit(*text) && is_storage_call(g_ascii_strtoll(text, NULL, 10));
}

static guint64 count_switches(pid_t thread)
{
    g_autofree char *text = thread_read(thread, "status");
    const char *line = text ? strstr(text, "\nvoluntary_ctxt_switches:") : NULL;

    return line ? g_ascii_strtoull(strchr(line, ':') + 1, NULL, 10) : 0;
}

/* Called with the lock held. Each wake-up of the thread counts as progress. */
static gboolean call_is_overdue(CstLivenessCall *call)
{
    gint64 most = cst_task_max_wait(call->task), now = g_get_monotonic_time();
    guint64 switches;

    if (!most || !is_blocked(call->thread)) {
        call->blocked_at = 0;
        return FALSE;
    }
    switches = count_switches(call->thread);
    if (!call->blocked_at || switches != call->switches) {
        call->blocked_at = now;
        call->switches = switches;
    }
    return now - call->blocked_at >= most;
}

/* Called with the lock held. A task ignores repeated notifications. */
static void tell_overdue_calls(CstLiveness *liveness)
{
    for (GList *link = liveness->calls.head; link; link = link->next) {
        CstLivenessCall *call = link->data;
        g_autoptr(GError) error = NULL;

        if (!call_is_overdue(call))
            continue;
        cst_fail(
            &error, CST_ERROR_UNREACHABLE,
            _("a call has been blocked for %d s in %s, which otherwise answers; check the file "
              "or device of the call, it succeeds again once that answers"),
            (int)((g_get_monotonic_time() - call->blocked_at) / G_TIME_SPAN_SECOND),
            liveness->what);
        cst_task_tell_stuck(call->task, error);
    }
}

/* --- the keeper ------------------------------------------------------------------------------- */

/* Waits until the running probe has returned. Called with the lock held. */
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

/* Called with the lock held. */
static void await_period(CstLiveness *liveness)
{
    gint64 until = g_get_monotonic_time() + cst_liveness_times.period;

    do
        CST_TEST_POINT("liveness.period.wait");
    while (!liveness->ended && g_cond_wait_until(&liveness->cond, &liveness->lock, until));
}

static gpointer keep_probing(gpointer data)
{
    CstLiveness *liveness = data;

    g_mutex_lock(&liveness->lock);
    while (!liveness->ended) {
        liveness->asked_at = g_get_monotonic_time();
        if (!start_thread(liveness, "prober", probe_thread))
            liveness->asked_at = 0;
        await_probe(liveness);
        tell_overdue_calls(liveness);
        await_period(liveness);
    }
    g_mutex_unlock(&liveness->lock);
    let_go(liveness);
    return NULL;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* Starts the keeper if necessary. Called with the lock held. */
static gboolean storage_answers(CstLiveness *liveness, GError **error)
{
    if (!liveness->kept)
        liveness->kept = start_thread(liveness, "keeper", keep_probing);
    return !liveness->silent || fail_silent(liveness, error);
}

gboolean cst_liveness_check(CstLiveness *liveness, GError **error)
{
    gboolean ok;

    if (!liveness)
        return TRUE;
    g_mutex_lock(&liveness->lock);
    ok = storage_answers(liveness, error);
    g_mutex_unlock(&liveness->lock);
    return ok;
}

gboolean cst_liveness_await(CstLiveness *liveness, gint64 until, GError **error)
{
    gboolean ok;

    if (!liveness)
        return TRUE;
    g_mutex_lock(&liveness->lock);
    ok = storage_answers(liveness, error);
    while (ok && (!liveness->probed || liveness->asked_at)) {
        CST_TEST_POINT("liveness.answer.wait");
        if (g_cond_wait_until(&liveness->cond, &liveness->lock, until))
            continue;
        ok = liveness->probed && !liveness->asked_at;
        if (!ok)
            fail_silent(liveness, error);
        break;
    }
    g_mutex_unlock(&liveness->lock);
    return ok;
}

gboolean cst_liveness_works(CstLiveness *liveness, GError **error)
{
    gboolean ok;

    if (!liveness)
        return TRUE;
    g_mutex_lock(&liveness->lock);
    ok = storage_answers(liveness, error);
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
    *call = (CstLivenessCall){.task = context ? context->task : NULL, .thread = gettid()};
    call->link.data = call;
    g_mutex_lock(&liveness->lock);
    ok = storage_answers(liveness, error);
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
