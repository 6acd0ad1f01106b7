/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An RBD image as a blob.
 *
 * Every call into librbd that may wait for the cluster is CstWork with a deadline. Reads, writes,
 * flushes, zeroes and discards use librbd's asynchronous calls and complete in a callback. Extents,
 * resizing and closing have only synchronous calls and run in a thread. A request owns its buffer,
 * because the caller's buffer may be freed after a timeout.
 *
 * Extents are queried for a window of 16 GiB at a time and cached. Each change of the image empties
 * the window. A counter of changes serves to discard the answer to a query that a change has
 * overtaken.
 *
 * The lock guards the size, the window and the counter. It is never held across a call into librbd.
 */
#include <blob/rbd.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/units.h>

/* Longest range of one zero or discard. Even a slow cluster completes it within the deadline. */
#define RELEASE_STEP (1 * CST_GIB)
/* Length of the range whose extents are queried at once, and cached. */
#define WINDOW (16 * CST_GIB)

/* The extents of [offset, end); empty if both are equal. */
typedef struct {
    uint64_t offset, end;
    GArray *data; /* Run: allocated ranges, in order; all other ranges are holes */
} Window;

typedef struct {
    uint64_t offset, end;
} Run;

typedef struct {
    CstBlob blob;
    const CstCeph *ceph;
    CstBlobRbd rbd;
    GMutex lock; /* guards the members below */
    uint64_t size;
    Window window;
    uint64_t changes; /* number of changes so far */
} RbdBlob;

/* --- requests --------------------------------------------------------------------------------- */

typedef struct {
    CstWork work;
    const CstCeph *ceph;
    char *name;
    char *buf;
    guint deadline_ms;
} Request;

static void request_clear(CstWork *work)
{
    Request *request = (Request *)work;

    g_free(request->name);
    g_free(request->buf);
}

static void request_done(rbd_completion_t completion, void *data)
{
    Request *request = data;
    ssize_t result = request->ceph->rbd_aio_get_return_value(completion);
    GError *error = NULL;

    if (result < 0)
        cst_ceph_fail(&error, (int)result, _("I/O on volume '%s'"), request->name);
    request->ceph->rbd_aio_release(completion);
    cst_work_finish(&request->work, result >= 0, error);
    cst_work_unref_in_callback(&request->work);
}

/* Holds no reference to the blob, because closing an image waits for its requests. */
static Request *request_new(CstBlob *blob)
{
    Request *request = cst_work_new(sizeof(*request), NULL, request_clear);

    request->ceph = ((RbdBlob *)blob)->ceph;
    request->deadline_ms = ((RbdBlob *)blob)->rbd.deadline_ms;
    request->name = g_strdup(blob->name);
    request->work.what = request->name;
    return request;
}

/* Creates a completion, which holds a reference to the request until its callback has run. */
static rbd_completion_t request_completion(Request *request)
{
    rbd_completion_t completion = NULL;

    request->ceph->rbd_aio_create_completion(cst_work_ref(&request->work), request_done,
                                             &completion);
    return completion;
}

/*
 * Waits for a request. @started is the result of the asynchronous call. After an error the callback
 * does not run.
 */
static gboolean request_wait(Request *request, rbd_completion_t completion, int started,
                             GError **error)
{
    /* Drops the completion together with its reference. */
    if (started < 0) {
        request->ceph->rbd_aio_release(completion);
        cst_work_unref(&request->work);
        return cst_ceph_fail(error, started, _("I/O on volume '%s'"), request->name);
    }
    return cst_work_wait(&request->work, request->deadline_ms, error);
}

/* --- reading and writing ---------------------------------------------------------------------- */

static gboolean rbd_pread(CstBlob *blob, void *buf, size_t len, uint64_t offset, GError **error)
{
    RbdBlob *rbd = (RbdBlob *)blob;
    char *read = cst_alloc(len, 1, blob->name, error);
    rbd_completion_t completion;
    Request *request;
    gboolean done;
    int started;

    if (!read)
        return FALSE;
    request = request_new(blob);
    request->buf = read;
    completion = request_completion(request);
    started = rbd->ceph->rbd_aio_read(rbd->rbd.image, offset, len, read, completion);
    done = request_wait(request, completion, started, error);
    if (done)
        memcpy(buf, read, len);
    cst_work_unref(&request->work);
    return done;
}

static void invalidate_window(RbdBlob *rbd)
{
    g_mutex_lock(&rbd->lock);
    rbd->changes++;
    rbd->window.end = rbd->window.offset;
    g_mutex_unlock(&rbd->lock);
}

static gboolean check_end(RbdBlob *rbd, uint64_t end, GError **error)
{
    uint64_t size;

    g_mutex_lock(&rbd->lock);
    size = rbd->size;
    g_mutex_unlock(&rbd->lock);
    if (end <= size)
        return TRUE;
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("volume '%s' ends at %" PRIu64 " bytes; resize it first"), rbd->blob.name,
                    size);
}

static gboolean rbd_pwrite(CstBlob *blob, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    RbdBlob *rbd = (RbdBlob *)blob;
    rbd_completion_t completion;
    Request *request;
    int started;
    gboolean done;
    char *copy;

    if (!check_end(rbd, offset + len, error) || !(copy = cst_memdup(buf, len, blob->name, error)))
        return FALSE;
    request = request_new(blob);
    request->buf = copy;
    completion = request_completion(request);
    started = rbd->ceph->rbd_aio_write(rbd->rbd.image, offset, len, request->buf, completion);
    done = request_wait(request, completion, started, error);
    invalidate_window(rbd);
    cst_work_unref(&request->work);
    return done;
}

static gboolean is_unchanged(RbdBlob *rbd)
{
    gboolean unchanged;

    g_mutex_lock(&rbd->lock);
    unchanged = rbd->changes == 0;
    g_mutex_unlock(&rbd->lock);
    return unchanged;
}

/* Skipped for an unchanged image, because librbd would acquire the exclusive lock for the flush. */
static gboolean rbd_flush_all(CstBlob *blob, GError **error)
{
    RbdBlob *rbd = (RbdBlob *)blob;
    rbd_completion_t completion;
    Request *request;
    int started;
    gboolean done;

    if (is_unchanged(rbd))
        return TRUE;
    request = request_new(blob);
    completion = request_completion(request);
    started = rbd->ceph->rbd_aio_flush(rbd->rbd.image, completion);
    done = request_wait(request, completion, started, error);
    cst_work_unref(&request->work);
    return done;
}

/* --- sparse ----------------------------------------------------------------------------------- */

typedef int (*ReleaseStart)(RbdBlob *rbd, uint64_t offset, uint64_t length, unsigned flags,
                            rbd_completion_t completion);

static int start_discard(RbdBlob *rbd, uint64_t offset, uint64_t length, unsigned flags,
                         rbd_completion_t completion)
{
    return rbd->ceph->rbd_aio_discard(rbd->rbd.image, offset, length, completion);
}

static int start_zero(RbdBlob *rbd, uint64_t offset, uint64_t length, unsigned flags,
                      rbd_completion_t completion)
{
    return rbd->ceph->rbd_aio_write_zeroes(
        rbd->rbd.image, offset, length, completion,
        /* Without the flag librbd would release the space. */
        flags & CST_ZERO_MAY_UNMAP ? 0 : RBD_WRITE_ZEROES_FLAG_THICK_PROVISION, 0);
}

static gboolean release_range(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                              ReleaseStart start, GError **error)
{
    RbdBlob *rbd = (RbdBlob *)blob;
    gboolean done = TRUE;

    while (done && length > 0) {
        /* Steps end at multiples of RELEASE_STEP, and therefore at the ends of objects. */
        uint64_t step = MIN(length, RELEASE_STEP - offset % RELEASE_STEP);
        Request *request = request_new(blob);
        rbd_completion_t completion = request_completion(request);

        done =
            request_wait(request, completion, start(rbd, offset, step, flags, completion), error);
        cst_work_unref(&request->work);
        offset += step;
        length -= step;
    }
    invalidate_window(rbd);
    return done;
}

static gboolean rbd_zero(CstBlob *blob, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error)
{
    /* The cluster must write zeroes that keep their space. */
    if ((flags & CST_ZERO_FAST) && !(flags & CST_ZERO_MAY_UNMAP))
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' has no fast zeroing"), blob->name);
    return release_range(blob, offset, length, flags, start_zero, error);
}

static gboolean rbd_discard_range(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return release_range(blob, offset, length, 0, start_discard, error);
}

/* Ceph cannot reserve space; writes allocate an image. */
static gboolean rbd_allocate(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    return TRUE;
}

/* --- synchronous calls ------------------------------------------------------------------------ */

/*
 * Drops the reference that keeps an image open during a call. The call's thread drops it before the
 * caller receives the result. If the struct of the work held it, the caller's last reference might
 * be dropped before the thread's. Then the image would still be open, with its watch, when the
 * caller deletes it.
 */
static void drop_call_reference(RbdBlob **rbd)
{
    cst_blob_unref(&g_steal_pointer(rbd)->blob);
}

/* --- extents ---------------------------------------------------------------------------------- */

typedef struct {
    CstWork work;
    RbdBlob *rbd; /* referenced until the call has returned */
    char *name;
    uint64_t offset, length;
    GArray *data; /* of Run */
} ExtentQuery;

static void query_clear(CstWork *work)
{
    ExtentQuery *query = (ExtentQuery *)work;

    g_free(query->name);
    g_array_unref(query->data);
}

static int add_run(uint64_t offset, size_t length, int exists, void *data)
{
    ExtentQuery *query = data;
    Run *last = query->data->len ? &g_array_index(query->data, Run, query->data->len - 1) : NULL;
    Run run = {offset, offset + length};

    /* A long iteration that makes progress must not count as a cluster that does not answer. */
    cst_work_heartbeat(&query->work);
    if (!exists)
        return 0;
    if (last && last->end == offset)
        last->end = run.end;
    else
        g_array_append_val(query->data, run);
    return 0;
}

static gboolean run_query(CstWork *work, GError **error)
{
    ExtentQuery *query = (ExtentQuery *)work;
    /*
     * Includes the parent's objects, because their data is this image's content as well. Reports
     * whole objects, without a query for the extents within each.
     */
    int result = query->rbd->ceph->rbd_diff_iterate2(query->rbd->rbd.image, NULL, query->offset,
                                                     query->length, 1, 1, add_run, query);

    drop_call_reference(&query->rbd);
    return result >= 0 ||
           cst_ceph_fail(error, result, _("the extents of volume '%s'"), query->name);
}

/* Queries the extents of the window that begins at @offset. */
static gboolean load_window(RbdBlob *rbd, uint64_t offset, GError **error)
{
    ExtentQuery *query = cst_work_new(sizeof(*query), run_query, query_clear);
    uint64_t changes;
    gboolean done;

    query->rbd = (RbdBlob *)cst_blob_ref(&rbd->blob);
    query->name = g_strdup(rbd->blob.name);
    query->work.what = query->name;
    query->data = g_array_new(FALSE, FALSE, sizeof(Run));
    g_mutex_lock(&rbd->lock);
    query->offset = offset;
    query->length = MIN(WINDOW, rbd->size - offset);
    changes = rbd->changes;
    g_mutex_unlock(&rbd->lock);
    done = cst_work_wait(&query->work, rbd->rbd.deadline_ms, error);
    CST_TEST_POINT("rbd_blob.window.queried");
    g_mutex_lock(&rbd->lock);
    if (done) {
        /* A window that a change has overtaken is stored empty. */
        gboolean fresh = changes == rbd->changes;

        g_clear_pointer(&rbd->window.data, g_array_unref);
        rbd->window =
            (Window){offset, fresh ? offset + query->length : offset, g_array_ref(query->data)};
    }
    g_mutex_unlock(&rbd->lock);
    cst_work_unref(&query->work);
    return done;
}

/* Fills in @extent from the window, which contains its offset. Called with the lock held. */
static void extent_in_window(const Window *window, CstExtent *extent)
{
    uint64_t end = MIN(window->end, extent->offset + extent->length);

    extent->flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
    for (guint i = 0; i < window->data->len; i++) {
        const Run *run = &g_array_index(window->data, Run, i);

        if (run->end <= extent->offset)
            continue;
        if (run->offset <= extent->offset) {
            extent->flags = CST_EXTENT_DATA;
            end = MIN(end, run->end);
        } else {
            end = MIN(end, run->offset);
        }
        break;
    }
    extent->length = end - extent->offset;
}

static gboolean rbd_extent(CstBlob *blob, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error)
{
    RbdBlob *rbd = (RbdBlob *)blob;
    CstExtent extent = {offset, length, CST_EXTENT_DATA};
    gboolean known;

    g_mutex_lock(&rbd->lock);
    known = rbd->window.data && offset >= rbd->window.offset && offset < rbd->window.end;
    g_mutex_unlock(&rbd->lock);
    if (!known && !load_window(rbd, offset, error))
        return FALSE;
    CST_TEST_POINT("rbd_blob.extent.loaded");
    g_mutex_lock(&rbd->lock);
    /*
     * If a concurrent change has emptied the window, the range is reported as data, which is
     * correct.
     */
    if (rbd->window.data && offset >= rbd->window.offset && offset < rbd->window.end)
        extent_in_window(&rbd->window, &extent);
    g_mutex_unlock(&rbd->lock);
    *ret_extent = extent;
    return TRUE;
}

/* --- size, opening and closing ---------------------------------------------------------------- */

static gboolean rbd_size(CstBlob *blob, uint64_t *ret_size, GError **error)
{
    RbdBlob *rbd = (RbdBlob *)blob;

    g_mutex_lock(&rbd->lock);
    *ret_size = rbd->size;
    g_mutex_unlock(&rbd->lock);
    return TRUE;
}

typedef struct {
    CstWork work;
    RbdBlob *rbd; /* referenced until the call has returned */
    char *name;
    uint64_t size;
} Resizing;

static void resizing_clear(CstWork *work)
{
    g_free(((Resizing *)work)->name);
}

static int resize_progress(uint64_t done, uint64_t total, void *data)
{
    cst_work_heartbeat(data);
    return 0;
}

static gboolean rbd_resize_work(CstWork *work, GError **error)
{
    Resizing *resizing = (Resizing *)work;
    int result = resizing->rbd->ceph->rbd_resize2(resizing->rbd->rbd.image, resizing->size, TRUE,
                                                  resize_progress, work);

    drop_call_reference(&resizing->rbd);
    return result >= 0 ||
           cst_ceph_fail(error, result, _("failed to resize volume '%s'"), resizing->name);
}

static gboolean rbd_resize_to(CstBlob *blob, uint64_t size, GError **error)
{
    RbdBlob *rbd = (RbdBlob *)blob;
    Resizing *resizing = cst_work_new(sizeof(*resizing), rbd_resize_work, resizing_clear);
    gboolean done;

    resizing->rbd = (RbdBlob *)cst_blob_ref(blob);
    resizing->name = g_strdup(blob->name);
    resizing->work.what = resizing->name;
    resizing->size = size;
    done = cst_work_wait(&resizing->work, rbd->rbd.deadline_ms, error);
    cst_work_unref(&resizing->work);
    invalidate_window(rbd);
    if (done) {
        g_mutex_lock(&rbd->lock);
        rbd->size = size;
        g_mutex_unlock(&rbd->lock);
    }
    return done;
}

typedef struct {
    CstWork work;
    const CstCeph *ceph;
    CstBlobRbd rbd;
} Closing;

static gboolean close_image(CstWork *work, GError **error)
{
    Closing *closing = (Closing *)work;

    /* The owner is released last, because the image uses its connection. */
    closing->ceph->rbd_close(closing->rbd.image);
    if (closing->rbd.release_owner)
        closing->rbd.release_owner(closing->rbd.owner);
    return TRUE;
}

/*
 * Waits, for the deadline at most, until the image is closed, because its watch would prevent
 * deletion.
 */
static void rbd_close_blob(CstBlob *blob)
{
    RbdBlob *rbd = (RbdBlob *)blob;
    Closing *closing = cst_work_new(sizeof(*closing), close_image, NULL);

    closing->work.what = "close";
    closing->ceph = rbd->ceph;
    closing->rbd = rbd->rbd;
    cst_work_wait(&closing->work, rbd->rbd.deadline_ms, NULL);
    cst_work_unref(&closing->work);
    g_clear_pointer(&rbd->window.data, g_array_unref);
    g_mutex_clear(&rbd->lock);
    g_free(rbd);
}

static const CstBlobOps rbd_ops = {
    .kind = "rbd",
    .pread = rbd_pread,
    .get_size = rbd_size,
    .close = rbd_close_blob,
    .pwrite = rbd_pwrite,
    .flush = rbd_flush_all,
    .extent = rbd_extent,
    .zero = rbd_zero,
    .discard = rbd_discard_range,
    .allocate = rbd_allocate,
    .resize = rbd_resize_to,
};

CstBlob *cst_blob_rbd_new(const CstBlobRbd *what, const char *name, gboolean writable,
                          GError **error)
{
    const CstCeph *ceph = cst_ceph(error);
    RbdBlob *rbd = g_new0(RbdBlob, 1);
    int result;

    g_assert(ceph); /* the caller has used it to open the image */
    rbd->ceph = ceph;
    rbd->rbd = *what;
    g_mutex_init(&rbd->lock);
    cst_blob_init(&rbd->blob, &rbd_ops, name, writable);
    /*
     * librbd has known the size since it opened the image, so this does not wait. It fails if the
     * opened snapshot no longer exists.
     */
    result = ceph->rbd_get_size(what->image, &rbd->size);
    if (result >= 0)
        return &rbd->blob;
    cst_ceph_fail(error, result, _("the size of volume '%s'"), name);
    cst_blob_unref(&rbd->blob);
    return NULL;
}
