/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ceph's client libraries: loading, a workaround for a race in librbd, and errors.
 */
#include <blob/ceph.h>

#include <errno.h>
#include <stdarg.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* --- the libraries ---------------------------------------------------------------------------- */

/* Written once, by ceph_load(); read-only from then on. */
static struct {
    CstCeph table;
    CstForeign libraries;
} loaded;

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

static CstCeph unwrapped; /* the libraries' own functions, for the wrappers */

static void pass_barrier(rados_completion_t completion, void *data)
{
    Barrier *barrier = data;

    g_mutex_lock(&barrier->lock);
    barrier->passed = TRUE;
    g_cond_signal(&barrier->cond);
    g_mutex_unlock(&barrier->lock);
}

/* Waits until the callbacks that run now have returned. Sends no request to the cluster. */
static void wait_for_callbacks(rados_ioctx_t io)
{
    Barrier barrier = {0};
    rados_completion_t completion = NULL;

    g_mutex_init(&barrier.lock);
    g_cond_init(&barrier.cond);
    if (unwrapped.rados_aio_create_completion2(&barrier, pass_barrier, &completion) == 0) {
        if (unwrapped.rados_aio_flush_async(io, completion) == 0) {
            g_mutex_lock(&barrier.lock);
            while (!barrier.passed) {
                CST_TEST_POINT("ceph.barrier.wait");
                g_cond_wait(&barrier.cond, &barrier.lock);
            }
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

static int open_by_id(rados_ioctx_t io, const char *id, rbd_image_t *image, const char *snapshot)
{
    return finish_open(io, unwrapped.rbd_open_by_id(io, id, image, snapshot));
}

static int open_by_id_read_only(rados_ioctx_t io, const char *id, rbd_image_t *image,
                                const char *snapshot)
{
    return finish_open(io, unwrapped.rbd_open_by_id_read_only(io, id, image, snapshot));
}

/* --- loading ---------------------------------------------------------------------------------- */

static gpointer ceph_load(gpointer data)
{
    static const char *const names[] = {"librados.so.2", "librbd.so.1", NULL};

    cst_foreign_open(&loaded.libraries, names);
    if (loaded.libraries.problem)
        return NULL;
#define FIND(function) loaded.table.function = cst_foreign_find(&loaded.libraries, #function);
    CST_CEPH_FUNCTIONS(FIND)
#undef FIND
    unwrapped = loaded.table;
    loaded.table.rbd_open = open_image;
    loaded.table.rbd_open_read_only = open_read_only;
    loaded.table.rbd_open_by_id = open_by_id;
    loaded.table.rbd_open_by_id_read_only = open_by_id_read_only;
    cst_foreign_loaded();
    return NULL;
}

const CstCeph *cst_ceph(GError **error)
{
    static GOnce once = G_ONCE_INIT;

    g_once(&once, ceph_load, NULL);
    if (!loaded.libraries.problem)
        return &loaded.table;
    cst_fail(error, CST_ERROR_UNSUPPORTED,
             _("cannot load Ceph's client libraries (%s); install librbd1 and librados2"),
             loaded.libraries.problem);
    return NULL;
}

/* --- errors ----------------------------------------------------------------------------------- */

static CstErrorCode error_code(int err)
{
    /* cst_fail_errno() handles all other values (IO). */
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
