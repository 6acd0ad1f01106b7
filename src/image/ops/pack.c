/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/pack.h>

#include <string.h>

#include <base/error.h>

#define THREADS_MAX 16

typedef struct {
    CstBlob *src;
    CstImage *dst;
    CstTask *task;
    uint64_t size, capacity; /* of the source; of the destination */
    uint64_t unit;
    GMutex lock; /* guards what follows */
    uint64_t cursor;
    GError *error;
} Pack;

/** Lock held: passes over whole units that are known to be zero. */
static gboolean skip_zeroes(Pack *pack, GError **error)
{
    while (pack->cursor < pack->size) {
        uint64_t left = pack->size - pack->cursor, skip;
        CstExtent run;

        if (!cst_blob_extent(pack->src, pack->cursor, left, &run, error))
            return FALSE;
        if (!(run.flags & CST_EXTENT_ZERO))
            return TRUE;
        skip = run.length == left ? left : run.length / pack->unit * pack->unit;
        if (skip == 0)
            return TRUE;
        pack->cursor += skip;
        cst_task_skip(pack->task, skip);
    }
    return TRUE;
}

/** Hands out the next unit. */
static gboolean draw(Pack *pack, uint64_t *ret_offset)
{
    gboolean more = FALSE;

    g_mutex_lock(&pack->lock);
    if (!pack->error && cst_task_check(pack->task, &pack->error) &&
        skip_zeroes(pack, &pack->error) && pack->cursor < pack->size) {
        *ret_offset = pack->cursor;
        pack->cursor += MIN(pack->unit, pack->size - pack->cursor);
        more = TRUE;
    }
    g_mutex_unlock(&pack->lock);
    return more;
}

static gboolean pack_unit(Pack *pack, uint64_t offset, uint8_t *buf, GError **error)
{
    size_t there = (size_t)MIN(pack->unit, pack->size - offset);
    size_t len = (size_t)MIN(pack->unit, pack->capacity - offset);

    if (!cst_blob_pread(pack->src, buf, there, offset, error))
        return FALSE;
    memset(buf + there, 0, len - there);
    if (!cst_bytes_are_zero(buf, there) &&
        !cst_image_write_compressed(pack->dst, buf, len, offset, error))
        return FALSE;
    cst_task_advance(pack->task, there);
    return TRUE;
}

static void *worker(void *data)
{
    Pack *pack = data;
    uint8_t *buf = g_malloc(pack->unit);
    uint64_t offset = 0;

    while (draw(pack, &offset)) {
        GError *error = NULL;

        if (pack_unit(pack, offset, buf, &error))
            continue;
        g_mutex_lock(&pack->lock);
        if (pack->error)
            g_error_free(error);
        else
            pack->error = error;
        g_mutex_unlock(&pack->lock);
    }
    g_free(buf);
    return NULL;
}

gboolean cst_image_pack(CstBlob *src, CstImage *dst, CstTask *task, GError **error)
{
    Pack pack = {.src = src, .dst = dst, .task = task};
    GThread *threads[THREADS_MAX] = {NULL};
    unsigned count = MIN(g_get_num_processors(), THREADS_MAX) - 1;

    if (!cst_blob_get_size(src, &pack.size, error))
        return FALSE;
    pack.capacity = cst_image_capacity(dst);
    pack.unit = cst_image_compression_unit(dst);
    g_return_val_if_fail(pack.unit > 0 && pack.size <= pack.capacity, FALSE);
    g_mutex_init(&pack.lock);
    /* This thread works as well, so it goes on where no thread can be had. */
    for (unsigned i = 0; i < count; i++)
        threads[i] = g_thread_try_new("pack", worker, &pack, NULL);
    worker(&pack);
    for (unsigned i = 0; i < count; i++)
        if (threads[i])
            g_thread_join(threads[i]);
    g_mutex_clear(&pack.lock);
    if (pack.error) {
        g_propagate_error(error, pack.error);
        return FALSE;
    }
    return TRUE;
}
