/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ceph's client libraries: loading, a workaround for a race in librbd, errors, and calls with a
 * deadline.
 *
 * Work with a deadline (CstCephWork) is owned by two sides, the caller and the thread or completion
 * callback that does it. Each holds a reference. A caller whose deadline expires drops its own and
 * returns; the struct lives until the call into Ceph returns, if it ever does. Work that hangs
 * therefore costs a thread and its memory, but blocks nobody. CstCephWork.lock guards its result.
 */
#include <blob/ceph.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <base/error.h>
#include <base/i18n.h>

/* --- the libraries ---------------------------------------------------------------------------- */

/* Written once, by load(); read-only from then on. */
static struct {
    CstCeph table;
    char *problem; /* why loading failed; NULL: it did not */
} loaded;

static void *resolve(void *const libraries[2], const char *name)
{
    void *found = dlsym(libraries[0], name);

    if (!found)
        found = dlsym(libraries[1], name);
    if (!found && !loaded.problem)
        loaded.problem = g_strdup_printf("no function %s", name);
    return found;
}

/* --- opening images --------------------------------------------------------------------------- */

/*
 * librbd 16.2 has a use after free: rbd_open() is woken by a callback of librados, and after waking
 * it that callback locks the image's state once more. On a busy machine the image can be used,
 * closed and freed before that happens; the process then ends with a std::system_error ("Invalid
 * argument") or a corrupted heap. The callbacks of one connection run one after the other. The
 * wrappers therefore queue a callback of their own after rbd_open() and wait for it: once it has
 * run, librbd's callback has returned.
 */
typedef struct {
    GMutex lock;
    GCond cond;
    gboolean passed;
} Barrier;

static CstCeph unwrapped; /* the libraries' own functions, which the wrappers call */

static void pass_barrier(rados_completion_t completion, void *data)
{
    Barrier *barrier = data;

    g_mutex_lock(&barrier->lock);
    barrier->passed = TRUE;
    g_cond_signal(&barrier->cond);
    g_mutex_unlock(&barrier->lock);
}

/* Waits until the callbacks that run now have returned. Sends nothing to the cluster. */
static void wait_for_callbacks(rados_ioctx_t io)
{
    Barrier barrier = {0};
    rados_completion_t completion = NULL;

    g_mutex_init(&barrier.lock);
    g_cond_init(&barrier.cond);
    if (unwrapped.rados_aio_create_completion2(&barrier, pass_barrier, &completion) == 0) {
        if (unwrapped.rados_aio_flush_async(io, completion) == 0) {
            g_mutex_lock(&barrier.lock);
            while (!barrier.passed)
                g_cond_wait(&barrier.cond, &barrier.lock);
            g_mutex_unlock(&barrier.lock);
        }
        unwrapped.rados_aio_release(completion);
    }
    g_mutex_clear(&barrier.lock);
    g_cond_clear(&barrier.cond);
}

static int finish_open(rados_ioctx_t io, int result)
{
    if (result >= 0)
        wait_for_callbacks(io);
    return result;
}

static int open_image(rados_ioctx_t io, const char *name, rbd_image_t *image, const char *snapshot)
{
    return finish_open(io, unwrapped.rbd_open(io, name, image, snapshot));
}

static int open_read_only(rados_ioctx_t io, const char *name, rbd_image_t *image,
                          const char *snapshot)
{
    return finish_open(io, unwrapped.rbd_open_read_only(io, name, image, snapshot));
}

/* --- loading ---------------------------------------------------------------------------------- */

static gint connections;

void cst_ceph_enter(void)
{
    g_atomic_int_inc(&connections);
}

void cst_ceph_leave(void)
{
    g_atomic_int_add(&connections, -1);
}

/* See cst_ceph_enter(). */
static void end_without_destructors(int status, void *unused)
{
    if (g_atomic_int_get(&connections) == 0)
        return;
    fflush(NULL);
    _exit(status);
}

/* The libraries start threads and register destructors, so they are never unloaded. */
static gpointer load(gpointer data)
{
    void *libraries[2];

    /* librados first: librbd depends on it. */
    libraries[0] = dlopen("librados.so.2", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    libraries[1] =
        libraries[0] ? dlopen("librbd.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) : NULL;
    if (!libraries[1]) {
        const char *why = dlerror();

        loaded.problem = g_strdup(why ? why : "");
        return NULL;
    }
#define FIND(function) loaded.table.function = resolve(libraries, #function);
    CST_CEPH_FUNCTIONS(FIND)
#undef FIND
    unwrapped = loaded.table;
    loaded.table.rbd_open = open_image;
    loaded.table.rbd_open_read_only = open_read_only;
    /* Registered after the libraries' destructors, so it runs before them. */
    on_exit(end_without_destructors, NULL);
    return NULL;
}

const CstCeph *cst_ceph(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, load, NULL);
    if (!loaded.problem)
        return &loaded.table;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("cannot load Ceph's client libraries (%s); install librbd1 and librados2"),
             loaded.problem);
    return NULL;
}

/* --- errors ----------------------------------------------------------------------------------- */

static CstErrorCode error_code(int err)
{
    /* What remains is left to cst_fail_errno() (IO). */
    switch (err) {
    case ETIMEDOUT:
    case ESHUTDOWN:
    case ENOTCONN: return CST_ERROR_UNREACHABLE;
    case EBUSY: return CST_ERROR_BUSY;
    case EROFS: return CST_ERROR_READ_ONLY;
    case EOPNOTSUPP: return CST_ERROR_UNSUPPORTED;
    default: return CST_ERROR_IO;
    }
}

gboolean(cst_ceph_fail)(GError **error, int result, const char *format, ...)
{
    g_autofree char *text = NULL;
    CstErrorCode code = error_code(-result);
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    if (result == -ETIMEDOUT)
        return cst_fail(error, code, _("%s: the Ceph cluster did not answer in time"), text);
    if (result == -ESHUTDOWN)
        return cst_fail(error, code, _("%s: the Ceph cluster has blocklisted this client"), text);
    if (code == CST_ERROR_IO)
        return cst_fail_errno(error, -result, "%s", text);
    return cst_fail(error, code, "%s: %s", text, g_strerror(-result));
}

/* --- work with a deadline --------------------------------------------------------------------- */

gpointer cst_ceph_work_new(gsize size, gboolean (*run)(CstCephWork *work, GError **error),
                           void (*clear)(CstCephWork *work))
{
    CstCephWork *work = g_malloc0(size);

    work->run = run;
    work->clear = clear;
    work->refs = 1;
    work->last_heartbeat = g_get_monotonic_time();
    cst_log_context_copy(&work->log);
    g_mutex_init(&work->lock);
    g_cond_init(&work->cond);
    return work;
}

CstCephWork *cst_ceph_work_ref(CstCephWork *work)
{
    g_atomic_int_inc(&work->refs);
    return work;
}

void cst_ceph_work_unref(CstCephWork *work)
{
    if (!work || !g_atomic_int_dec_and_test(&work->refs))
        return;
    if (work->clear)
        work->clear(work);
    cst_log_context_clear(&work->log);
    g_clear_error(&work->error);
    g_mutex_clear(&work->lock);
    g_cond_clear(&work->cond);
    g_free(work);
}

static void unref_later(gpointer work, gpointer unused)
{
    cst_ceph_work_unref(work);
}

void cst_ceph_work_unref_in_callback(CstCephWork *work)
{
    static GThreadPool *thread;
    gint refs;

    do {
        refs = g_atomic_int_get(&work->refs);
        /* This is the last reference, so nobody can take another. */
        if (refs == 1) {
            if (g_once_init_enter(&thread))
                g_once_init_leave(&thread, g_thread_pool_new(unref_later, NULL, 1, FALSE, NULL));
            g_thread_pool_push(thread, work, NULL);
            return;
        }
    } while (!g_atomic_int_compare_and_exchange(&work->refs, refs, refs - 1));
}

void cst_ceph_work_heartbeat(CstCephWork *work)
{
    g_mutex_lock(&work->lock);
    work->last_heartbeat = g_get_monotonic_time();
    g_mutex_unlock(&work->lock);
}

void cst_ceph_work_finish(CstCephWork *work, gboolean result, GError *error)
{
    g_mutex_lock(&work->lock);
    work->result = result;
    work->error = error;
    work->done = TRUE;
    g_cond_signal(&work->cond);
    g_mutex_unlock(&work->lock);
}

static void run_work(gpointer data, gpointer unused)
{
    CstCephWork *work = data;
    GError *error = NULL;
    gboolean result;

    cst_log_push(&work->log);
    result = work->run(work, &error);
    cst_log_pop(&work->log);
    cst_ceph_work_finish(work, result, error);
    cst_ceph_work_unref(work);
}

/* The pool is unlimited: work that hangs must not keep other work from starting. */
static void start_work(CstCephWork *work)
{
    static GThreadPool *threads;

    if (g_once_init_enter(&threads))
        g_once_init_leave(&threads, g_thread_pool_new(run_work, NULL, -1, FALSE, NULL));
    g_thread_pool_push(threads, cst_ceph_work_ref(work), NULL);
}

static gboolean wait_done(CstCephWork *work, guint deadline_ms)
{
    gboolean done;

    g_mutex_lock(&work->lock);
    while (!work->done) {
        gint64 until = work->last_heartbeat + deadline_ms * G_TIME_SPAN_MILLISECOND;

        /* A heartbeat has moved the deadline, so it is computed anew each time. */
        if (g_get_monotonic_time() >= until)
            break;
        g_cond_wait_until(&work->cond, &work->lock, until);
    }
    done = work->done;
    g_mutex_unlock(&work->lock);
    return done;
}

gboolean cst_ceph_work_wait(CstCephWork *work, guint deadline_ms, GError **error)
{
    if (work->run)
        start_work(work);
    if (!wait_done(work, deadline_ms))
        return cst_fail(error, CST_ERROR_UNREACHABLE,
                        _("%s: the Ceph cluster did not answer in time"), work->what);
    /* Done: the other side does not touch the result any more. */
    if (work->error)
        g_propagate_error(error, g_steal_pointer(&work->error));
    return work->result;
}
