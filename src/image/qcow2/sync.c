/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>

#include "bitmapdir.h"
#include "bytes.h"
#include "qcow2.h"
#include "state.h"

#define PENDING_MAX 65536 /* half a MiB of cluster numbers */

gboolean qcow2_barrier(Qcow2 *q, GError **error)
{
    /* data first: what is in the image may refer to it */
    return !q->barriers ||
           ((!q->data || cst_blob_flush(q->data, error)) && cst_blob_flush(q->blob, error));
}

gboolean qcow2_clear_features(Qcow2 *q, uint64_t keep, GError **error)
{
    uint64_t left = q->header.autoclear & keep;
    uint8_t raw[8];

    if (q->lost)
        return cst_fail(error, CST_ERROR_IO,
                        _("writing the header of '%s' failed: it must be opened anew"),
                        q->blob->name);
    if (left == q->header.autoclear)
        return TRUE;
    cst_put_be64(raw, left);
    if (!cst_blob_pwrite(q->blob, raw, sizeof(raw), QCOW2_AT_AUTOCLEAR, error) ||
        !qcow2_barrier(q, error))
        return FALSE;
    q->header.autoclear = left;
    return TRUE;
}

gboolean qcow2_begin_writing(Qcow2 *q, GError **error)
{
    if (q->writing)
        return TRUE;
    q->writing = qcow2_clear_features(q, QCOW2_AUTOCLEAR_KEPT, error) &&
                 (q->same_content || qcow2_bitmaps_outdate(q, FALSE, error));
    return q->writing;
}

gboolean qcow2_put_header(Qcow2 *q, const uint8_t *raw, uint64_t offset, size_t len, GError **error)
{
    if (!qcow2_barrier(q, error))
        return FALSE;
    q->lost = TRUE; /* until both calls say that the disk has it */
    if (!cst_blob_pwrite(q->blob, raw, len, offset, error) || !qcow2_barrier(q, error)) {
        q->writing = FALSE; /* so that the next writer hears of it */
        return FALSE;
    }
    q->lost = FALSE;
    return TRUE;
}

gboolean qcow2_begin_changing(Qcow2 *q, GError **error)
{
    return qcow2_clear_features(q, QCOW2_AUTOCLEAR_KEPT, error);
}

/* Writes entries @first to before @end of a table of 64-bit numbers; empties the range. */
static gboolean write_entries(Qcow2 *q, const uint64_t *table, uint64_t place, uint32_t *first,
                              uint32_t *end, GError **error)
{
    uint32_t count = *end - *first;
    g_autofree uint8_t *raw = g_malloc((size_t)count * 8);

    for (uint32_t i = 0; i < count; i++)
        cst_put_be64(raw + (size_t)i * 8, table[*first + i]);
    if (!cst_blob_pwrite(q->blob, raw, (size_t)count * 8, place + *first * UINT64_C(8), error))
        return FALSE;
    *first = UINT32_MAX;
    *end = 0;
    return TRUE;
}

static gboolean write_refcounts(Qcow2 *q, GError **error)
{
    if (!qcow2_cache_write(q->blocks, q->blob, error))
        return FALSE;
    if (q->reftable_dirty_end == 0)
        return TRUE;
    return qcow2_barrier(q, error) &&
           write_entries(q, q->reftable, q->header.reftable_offset, &q->reftable_dirty_first,
                         &q->reftable_dirty_end, error);
}

/* The guest's data, which the tables will refer to, is behind the first barrier as well. */
static gboolean write_tables(Qcow2 *q, GError **error)
{
    if (qcow2_cache_is_dirty(q->l2s) &&
        (!qcow2_barrier(q, error) || !qcow2_cache_write(q->l2s, q->blob, error)))
        return FALSE;
    if (q->l1_dirty_end == 0)
        return TRUE;
    return qcow2_barrier(q, error) && write_entries(q, q->l1, q->header.l1_offset,
                                                    &q->l1_dirty_first, &q->l1_dirty_end, error);
}

gboolean qcow2_sync(Qcow2 *q, GError **error)
{
    if (!write_refcounts(q, error) || !write_tables(q, error))
        return FALSE;
    if (q->applying || q->pending->len == 0)
        return TRUE;
    /* Smaller counts may reach the disk at any time from here on: they go with the next sync. */
    return qcow2_barrier(q, error) && qcow2_apply_pending(q, error);
}

gboolean qcow2_write_back(Qcow2 *q, GError **error)
{
    gboolean ok;

    g_mutex_lock(&q->lock);
    ok = qcow2_sync(q, error) && write_refcounts(q, error);
    g_mutex_unlock(&q->lock);
    return ok;
}

gboolean qcow2_flush(CstImage *image, GError **error)
{
    Qcow2 *q = qcow2_of(image);

    return qcow2_write_back(q, error) && (!q->data || cst_blob_flush(q->data, error)) &&
           cst_blob_flush(q->blob, error);
}

gboolean qcow2_relieve(Qcow2 *q, GError **error)
{
    return q->pending->len < PENDING_MAX || qcow2_sync(q, error);
}
