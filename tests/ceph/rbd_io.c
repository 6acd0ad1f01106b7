/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <errno.h>

/* librbd: content. */

typedef struct {
    rbd_callback_t callback;
    void *data;
    ssize_t result;
    gint refs; /* the caller's and the request's */
} Completion;

typedef enum { READ, WRITE, FLUSH, DISCARD, WRITE_ZEROES } Kind;

typedef struct {
    Kind kind;
    Handle *handle;
    uint64_t offset, len;
    char *buf;
    gboolean thick;
    Completion *completion;
} Request;

static const char *const performed[] = {"read", "write", "flush", "discard", "write_zeroes"};

/* --- completions ------------------------------------------------------------------------------ */

int rbd_aio_create_completion(void *data, rbd_callback_t callback, rbd_completion_t *ret_completion)
{
    Completion *completion = g_new(Completion, 1);

    *completion = (Completion){callback, data, 0, 1};
    g_atomic_int_inc(&cluster.completions);
    *ret_completion = completion;
    return 0;
}

ssize_t rbd_aio_get_return_value(rbd_completion_t completion)
{
    return ((Completion *)completion)->result;
}

void rbd_aio_release(rbd_completion_t completion)
{
    if (!g_atomic_int_dec_and_test(&((Completion *)completion)->refs))
        return;
    g_atomic_int_add(&cluster.completions, -1);
    g_free(completion);
}

/* --- requests --------------------------------------------------------------------------------- */

static ssize_t perform(const Request *request)
{
    Handle *handle = request->handle;
    Layer *layer = fake_layer(handle->image, handle->snap);
    uint64_t left = request->offset < layer->size ? layer->size - request->offset : 0;
    uint64_t len = MIN(request->len, left);

    if (request->kind == READ) {
        fake_layer_read(layer, request->offset, len, request->buf);
        return (ssize_t)len;
    }
    if (request->kind == FLUSH)
        return 0;
    if (!handle->writable || handle->snap)
        return -EROFS;
    if (request->kind == WRITE)
        fake_layer_write(layer, request->offset, len, request->buf);
    else if (request->kind == WRITE_ZEROES && request->thick)
        fake_layer_write(layer, request->offset, len, NULL);
    else
        fake_layer_discard(layer, request->offset, len);
    return 0;
}

static void run(gpointer data, gpointer unused)
{
    Request *request = data;
    Completion *completion = request->completion;
    int began = fake_begin(performed[request->kind]);

    completion->result = began < 0 ? began : perform(request);
    fake_end(began, 0);
    completion->callback(completion, completion->data);
    rbd_aio_release(completion);
    g_mutex_lock(&cluster.lock);
    request->handle->pending--;
    g_cond_broadcast(&cluster.changed);
    g_mutex_unlock(&cluster.lock);
    g_free(request);
}

/* Each on a thread of its own: one that hangs is in nobody's way. */
static int start(const char *function, Request what)
{
    static GThreadPool *threads;
    int began = fake_begin(function);

    if (began < 0)
        return began;
    if (g_once_init_enter(&threads))
        g_once_init_leave(&threads, g_thread_pool_new(run, NULL, -1, FALSE, NULL));
    g_atomic_int_inc(&what.completion->refs);
    what.handle->pending++;
    g_thread_pool_push(threads, g_memdup2(&what, sizeof(what)), NULL);
    return fake_end(began, 0);
}

int rbd_aio_read(rbd_image_t image, uint64_t off, size_t len, char *buf, rbd_completion_t c)
{
    return start(__func__, (Request){READ, image, off, len, buf, FALSE, c});
}

int rbd_aio_write(rbd_image_t image, uint64_t off, size_t len, const char *buf, rbd_completion_t c)
{
    return start(__func__, (Request){WRITE, image, off, len, (char *)buf, FALSE, c});
}

int rbd_aio_flush(rbd_image_t image, rbd_completion_t c)
{
    return start(__func__, (Request){FLUSH, image, 0, 0, NULL, FALSE, c});
}

int rbd_aio_discard(rbd_image_t image, uint64_t off, uint64_t len, rbd_completion_t c)
{
    return start(__func__, (Request){DISCARD, image, off, len, NULL, FALSE, c});
}

int rbd_aio_write_zeroes(rbd_image_t image, uint64_t off, size_t len, rbd_completion_t c,
                         int zero_flags, int op_flags)
{
    gboolean thick = (zero_flags & RBD_WRITE_ZEROES_FLAG_THICK_PROVISION) != 0;

    return start(__func__, (Request){WRITE_ZEROES, image, off, len, NULL, thick, c});
}

/* --- extents ---------------------------------------------------------------------------------- */

typedef int (*ExtentFunc)(uint64_t offset, size_t length, int exists, void *data);

/* Whole objects, cut to the range, or those that differ from @since (NULL: nothing); the callback
 * may ask for nothing of the cluster. */
static int iterate(const Handle *handle, const Layer *since, uint64_t offset, uint64_t end,
                   gboolean of_parent, ExtentFunc each, void *data)
{
    const Layer *layer = fake_layer(handle->image, handle->snap);
    uint64_t object = UINT64_C(1) << handle->image->order;

    end = MIN(end, layer->size);
    while (offset < end) {
        uint64_t number = offset / object, next = MIN((number + 1) * object, end);

        if (since ? fake_layer_differs(since, layer, handle->image->order, number)
                  : fake_layer_has_object(layer, handle->image->order, number, of_parent)) {
            int result = each(offset, next - offset, 1, data);

            if (result < 0)
                return result;
        }
        offset = next;
    }
    return 0;
}

int rbd_diff_iterate2(rbd_image_t image, const char *from, uint64_t offset, uint64_t len,
                      uint8_t include_parent, uint8_t whole_object, ExtentFunc each, void *data)
{
    int began = fake_begin(__func__);
    Handle *handle = image;
    Snap *snap = began >= 0 && from ? fake_snap(handle->image, from) : NULL;

    if (began >= 0 && from && !snap)
        return fake_end(began, -ENOENT);
    if (snap && handle->snap && snap->id > handle->snap)
        return fake_end(began, -EINVAL);
    return fake_end(began, began < 0 ? began
                                     : iterate(handle, snap ? &snap->layer : NULL, offset,
                                               offset + len, include_parent, each, data));
}
