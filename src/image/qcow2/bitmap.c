/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bitmapdir.h"
#include "bytes.h"
#include "qcow2.h"

/*
 * A change writes a new directory, and whatever else is new, to free places, then the header's
 * extension; what the old one used is given up afterwards. Only flags change in place.
 */
typedef struct {
    Qcow2 *q;
    GArray *bitmaps;
    GArray *fresh; /* uint64_t clusters to be taken back when it fails */
    GArray *stale; /* … to be given up when it works */
} Edit;

#define MIN_DEFAULT_GRANULARITY (4 * CST_KIB)
#define MAX_DEFAULT_GRANULARITY (64 * CST_KIB)

static uint64_t table_entries(const Qcow2 *q, unsigned granularity_bits)
{
    uint64_t bits = qcow2_div_up(q->header.size, UINT64_C(1) << granularity_bits);

    return qcow2_div_up(bits, q->cluster_size * 8);
}

static gboolean is_usable(const Qcow2 *q, const Qcow2Bitmap *bitmap)
{
    return !(bitmap->flags & ~(QCOW2_BITMAP_AUTO | QCOW2_BITMAP_EXTRA_OK)) &&
           bitmap->type == QCOW2_BITMAP_DIRTY_TYPE &&
           bitmap->granularity_bits >= QCOW2_MIN_GRANULARITY &&
           bitmap->granularity_bits <= QCOW2_MAX_GRANULARITY &&
           bitmap->table_size == table_entries(q, bitmap->granularity_bits) &&
           (bitmap->extra_size == 0 || (bitmap->flags & QCOW2_BITMAP_EXTRA_OK));
}

/* --- listing ------------------------------------------------------------------------------- */

static void free_public(void *bitmap)
{
    cst_image_bitmap_free(bitmap);
}

static GPtrArray *list(CstImage *image, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    g_autoptr(GArray) bitmaps = NULL;
    GPtrArray *out;

    g_mutex_lock(&q->lock);
    bitmaps = qcow2_bitmaps_read(q, error);
    g_mutex_unlock(&q->lock);
    if (!bitmaps)
        return NULL;
    out = g_ptr_array_new_with_free_func(free_public);
    for (guint i = 0; i < bitmaps->len; i++) {
        const Qcow2Bitmap *from = &g_array_index(bitmaps, Qcow2Bitmap, i);
        CstImageBitmap *to = g_new0(CstImageBitmap, 1);

        to->name = g_strdup(from->name);
        to->granularity = from->granularity_bits < 64 ? UINT64_C(1) << from->granularity_bits : 0;
        to->enabled = (from->flags & QCOW2_BITMAP_AUTO) != 0;
        to->inconsistent = !is_usable(q, from);
        g_ptr_array_add(out, to);
    }
    return out;
}

static Qcow2Bitmap *find(GArray *bitmaps, const char *name)
{
    for (guint i = 0; i < bitmaps->len; i++)
        if (strcmp(g_array_index(bitmaps, Qcow2Bitmap, i).name, name) == 0)
            return &g_array_index(bitmaps, Qcow2Bitmap, i);
    return NULL;
}

static Qcow2Bitmap *find_usable(Qcow2 *q, GArray *bitmaps, const char *name, GError **error)
{
    Qcow2Bitmap *bitmap = find(bitmaps, name);

    if (!bitmap)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no bitmap '%s'"), q->blob->name, name);
    else if (!is_usable(q, bitmap))
        cst_fail(error, CST_ERROR_STATE,
                 _("the bitmap '%s' of '%s' is inconsistent: it can only be removed"), name,
                 q->blob->name);
    else
        return bitmap;
    return NULL;
}

/* --- editing; lock held -------------------------------------------------------------------- */

static void note(GArray *clusters, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t cluster = first + i;

        g_array_append_val(clusters, cluster);
    }
}

static gboolean put(Edit *edit, const void *data, uint64_t bytes, uint64_t *ret_offset,
                    GError **error)
{
    Qcow2 *q = edit->q;
    uint64_t clusters = qcow2_div_up(bytes, q->cluster_size), first = 0, got = 0;
    g_autofree uint8_t *padded = g_malloc0(clusters << q->cluster_bits);

    *ret_offset = 0;
    if (clusters == 0)
        return TRUE;
    if (!(clusters == 1 ? qcow2_alloc(q, 1, &first, &got, error)
                        : qcow2_alloc_region(q, clusters, &first, error)))
        return FALSE;
    note(edit->fresh, first, clusters);
    memcpy(padded, data, bytes);
    *ret_offset = first << q->cluster_bits;
    return cst_blob_pwrite(q->blob, padded, clusters << q->cluster_bits, *ret_offset, error);
}

static gboolean put_table(Edit *edit, Qcow2Bitmap *bitmap, const uint64_t *table, GError **error)
{
    uint64_t bytes = bitmap->table_size * UINT64_C(8);
    g_autofree uint8_t *raw = g_malloc0(MAX(bytes, 8));

    for (uint32_t i = 0; table && i < bitmap->table_size; i++)
        cst_put_be64(raw + i * UINT64_C(8), table[i]);
    return put(edit, raw, bytes, &bitmap->table_offset, error);
}

static void drop_table(Edit *edit, const Qcow2Bitmap *bitmap)
{
    const Qcow2 *q = edit->q;

    note(edit->stale, bitmap->table_offset >> q->cluster_bits,
         qcow2_div_up(bitmap->table_size * UINT64_C(8), q->cluster_size));
}

static gboolean drop_content(Edit *edit, const Qcow2Bitmap *bitmap, GError **error)
{
    Qcow2 *q = edit->q;
    g_autofree uint64_t *table = qcow2_bitmap_table(q, bitmap, error);

    if (!table)
        return FALSE;
    for (uint32_t i = 0; i < bitmap->table_size; i++) {
        uint64_t place = table[i] & QCOW2_OFFSET_MASK;

        if (place & (q->cluster_size - 1))
            return qcow2_corrupt(q, error, _("a bitmap's table is damaged"));
        if (place != 0)
            note(edit->stale, place >> q->cluster_bits, 1);
    }
    drop_table(edit, bitmap);
    return TRUE;
}

/* What can't be counted down is damage that must not be half done. */
static gboolean stale_is_counted(Edit *edit, GError **error)
{
    for (guint i = 0; i < edit->stale->len; i++) {
        uint64_t count = 0;

        if (!qcow2_count_get(edit->q, g_array_index(edit->stale, uint64_t, i), &count, error))
            return FALSE;
        if (count == 0)
            return qcow2_corrupt(edit->q, error, _("a cluster in use is not counted"));
    }
    return TRUE;
}

static gboolean commit(Edit *edit, GError **error)
{
    Qcow2 *q = edit->q;
    uint64_t bytes = 0, offset = 0;
    g_autofree uint8_t *raw = qcow2_bitmaps_pack(edit->bitmaps, &bytes);

    if (edit->bitmaps->len > QCOW2_MAX_BITMAPS || bytes > QCOW2_MAX_BITMAP_BYTES)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' has too many bitmaps"), q->blob->name);
    if (qcow2_bitmaps_are_valid(q))
        note(edit->stale, q->header.bitmaps_offset >> q->cluster_bits,
             qcow2_div_up(q->header.bitmaps_bytes, q->cluster_size));
    if (!stale_is_counted(edit, error) || !put(edit, raw, bytes, &offset, error) ||
        !qcow2_bitmaps_switch(q, edit->bitmaps->len, offset, bytes, error))
        return FALSE;
    g_array_set_size(edit->fresh, 0);
    for (guint i = 0; i < edit->stale->len; i++)
        qcow2_give_up(q, g_array_index(edit->stale, uint64_t, i), 1);
    return TRUE;
}

typedef struct {
    const char *name;
    unsigned granularity_bits;
    gboolean enabled;
    Qcow2 *source;
    const Qcow2Bitmap *from;
} Request;

typedef gboolean (*Change)(Edit *edit, const Request *request, GError **error);

static gboolean edit_locked(Qcow2 *q, Change change, const Request *request, GError **error)
{
    Edit edit = {.q = q};
    gboolean ok = FALSE;

    if (q->header.version < 3)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is of compatibility level 0.10, which has no bitmaps"),
                        q->blob->name);
    if (!qcow2_begin_changing(q, error))
        return FALSE;
    edit.bitmaps = qcow2_bitmaps_read(q, error);
    if (!edit.bitmaps)
        return FALSE;
    edit.fresh = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    edit.stale = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    ok = change(&edit, request, error);
    for (guint i = 0; !ok && !q->lost && i < edit.fresh->len; i++)
        qcow2_alloc_undo(q, g_array_index(edit.fresh, uint64_t, i), 1);
    g_array_unref(edit.bitmaps);
    g_array_unref(edit.fresh);
    g_array_unref(edit.stale);
    return ok;
}

/* Nobody writes to the guest meanwhile: a new bitmap would miss it. */
static gboolean edit(Qcow2 *q, Change change, const Request *request, GError **error)
{
    Qcow2Claim claim;
    gboolean ok;

    qcow2_claim(q, &claim, 0, UINT64_MAX);
    g_mutex_lock(&q->lock);
    ok = edit_locked(q, change, request, error);
    g_mutex_unlock(&q->lock);
    if (ok)
        ok = qcow2_write_back(q, error) && qcow2_barrier(q, error);
    else if (!q->lost)
        qcow2_write_back(q, NULL); /* what was taken is given back */
    qcow2_release(q, &claim);
    return ok;
}

/* --- the changes --------------------------------------------------------------------------- */

static gboolean do_add(Edit *edit, const Request *request, GError **error)
{
    uint64_t entries = table_entries(edit->q, request->granularity_bits);
    Qcow2Bitmap bitmap = {
        .table_size = (uint32_t)entries,
        .flags = request->enabled ? QCOW2_BITMAP_AUTO : 0,
        .type = QCOW2_BITMAP_DIRTY_TYPE,
        .granularity_bits = (uint8_t)request->granularity_bits,
    };

    if (find(edit->bitmaps, request->name))
        return cst_fail(error, CST_ERROR_EXISTS, _("'%s' has a bitmap '%s' already"),
                        edit->q->blob->name, request->name);
    if (entries > QCOW2_MAX_BITMAP_TABLE)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("a bitmap for '%s' would be too large: choose a larger granularity"),
                        edit->q->blob->name);
    if (!put_table(edit, &bitmap, NULL, error))
        return FALSE;
    bitmap.name = g_strdup(request->name);
    g_array_append_val(edit->bitmaps, bitmap);
    return commit(edit, error);
}

static gboolean do_remove(Edit *edit, const Request *request, GError **error)
{
    Qcow2Bitmap *bitmap = find(edit->bitmaps, request->name);

    if (!bitmap)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no bitmap '%s'"),
                        edit->q->blob->name, request->name);
    if (!drop_content(edit, bitmap, error))
        return FALSE;
    g_array_remove_index(edit->bitmaps,
                         (guint)(bitmap - &g_array_index(edit->bitmaps, Qcow2Bitmap, 0)));
    return commit(edit, error);
}

static gboolean do_clear(Edit *edit, const Request *request, GError **error)
{
    Qcow2Bitmap *bitmap = find_usable(edit->q, edit->bitmaps, request->name, error);

    return bitmap && drop_content(edit, bitmap, error) && put_table(edit, bitmap, NULL, error) &&
           commit(edit, error);
}

static gboolean do_enable(Edit *edit, const Request *request, GError **error)
{
    Qcow2 *q = edit->q;
    const Qcow2Bitmap *bitmap = find_usable(q, edit->bitmaps, request->name, error);
    uint32_t flags;
    uint8_t raw[4];

    if (!bitmap)
        return FALSE;
    flags =
        request->enabled ? bitmap->flags | QCOW2_BITMAP_AUTO : bitmap->flags & ~QCOW2_BITMAP_AUTO;
    cst_put_be32(raw, flags);
    q->writing = FALSE; /* the next write has to outdate it */
    return flags == bitmap->flags ||
           cst_blob_pwrite(q->blob, raw, sizeof(raw), q->header.bitmaps_offset + bitmap->at + 12,
                           error);
}

static gboolean do_merge(Edit *edit, const Request *request, GError **error)
{
    Qcow2Bitmap *bitmap = find_usable(edit->q, edit->bitmaps, request->name, error);
    g_autofree uint64_t *table = NULL;

    if (!bitmap)
        return FALSE;
    table = qcow2_bitmap_merged(edit->q, bitmap, request->source, request->from, edit->fresh,
                                edit->stale, error);
    if (!table)
        return FALSE;
    drop_table(edit, bitmap);
    return put_table(edit, bitmap, table, error) && commit(edit, error);
}

/* --- callbacks ----------------------------------------------------------------------------- */

static gboolean add(CstImage *image, const char *name, uint64_t granularity, gboolean enabled,
                    GError **error)
{
    Qcow2 *q = qcow2_of(image);
    uint64_t chosen =
        granularity ? granularity
                    : CLAMP(q->cluster_size, MIN_DEFAULT_GRANULARITY, MAX_DEFAULT_GRANULARITY);
    const Request request = {
        .name = name,
        .granularity_bits = (unsigned)__builtin_ctzll(chosen),
        .enabled = enabled,
    };

    return edit(q, do_add, &request, error);
}

static gboolean remove_one(CstImage *image, const char *name, GError **error)
{
    return edit(qcow2_of(image), do_remove, &(const Request){.name = name}, error);
}

static gboolean clear(CstImage *image, const char *name, GError **error)
{
    return edit(qcow2_of(image), do_clear, &(const Request){.name = name}, error);
}

static gboolean enable(CstImage *image, const char *name, gboolean enabled, GError **error)
{
    return edit(qcow2_of(image), do_enable, &(const Request){.name = name, .enabled = enabled},
                error);
}

static gboolean merge(CstImage *image, const char *name, CstImage *source, const char *source_name,
                      GError **error)
{
    Request request = {.name = name, .source = qcow2_of(source)};
    g_autoptr(GArray) bitmaps = NULL;

    g_mutex_lock(&request.source->lock);
    bitmaps = qcow2_bitmaps_read(request.source, error);
    g_mutex_unlock(&request.source->lock);
    if (!bitmaps)
        return FALSE;
    request.from = find_usable(request.source, bitmaps, source_name, error);
    return request.from && edit(qcow2_of(image), do_merge, &request, error);
}

const CstBitmapOps qcow2_bitmap_ops = {
    .list = list,
    .add = add,
    .remove = remove_one,
    .clear = clear,
    .enable = enable,
    .merge = merge,
};
