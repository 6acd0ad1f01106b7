/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The callbacks for dirty bitmaps (CstBitmapOps).
 *
 * Each change claims all guest clusters and holds the lock, so that a bitmap that is being added
 * misses no guest write. Adding, removing, clearing and merging are atomic edits (bitmapedit.h).
 * Enabling and disabling write a flag of the directory in place. The source of a merge may be a
 * bitmap of another image. Its directory is read first, under the lock of that image.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bitmapedit.h"
#include "bytes.h"
#include "qcow2/qcow2.h"

#define MIN_DEFAULT_GRANULARITY (4 * CST_KIB)
#define MAX_DEFAULT_GRANULARITY (64 * CST_KIB)

/* --- listing ------------------------------------------------------------------------------- */

static void free_public(void *bitmap)
{
    cst_image_bitmap_free(bitmap);
}

static GPtrArray *bitmap_list(CstImage *image, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    g_autoptr(GArray) bitmaps = NULL;
    GPtrArray *out;

    g_mutex_lock(&q->blocks.lock);
    bitmaps = qcow2_bitmaps_read(q, error);
    g_mutex_unlock(&q->blocks.lock);
    if (!bitmaps)
        return NULL;
    out = g_ptr_array_new_with_free_func(free_public);
    for (guint i = 0; i < bitmaps->len; i++) {
        const Qcow2Bitmap *from = &g_array_index(bitmaps, Qcow2Bitmap, i);
        CstImageBitmap *to = g_new0(CstImageBitmap, 1);

        to->name = g_strdup(from->name);
        to->granularity = from->granularity_bits < 64 ? UINT64_C(1) << from->granularity_bits : 0;
        to->enabled = (from->flags & QCOW2_BITMAP_AUTO) != 0;
        to->inconsistent = !qcow2_bitmap_is_usable(q, from);
        g_ptr_array_add(out, to);
    }
    return out;
}

static Qcow2Bitmap *bitmap_find(GArray *bitmaps, const char *name)
{
    for (guint i = 0; i < bitmaps->len; i++)
        if (strcmp(g_array_index(bitmaps, Qcow2Bitmap, i).name, name) == 0)
            return &g_array_index(bitmaps, Qcow2Bitmap, i);
    return NULL;
}

static Qcow2Bitmap *find_usable(Qcow2 *q, GArray *bitmaps, const char *name, GError **error)
{
    Qcow2Bitmap *bitmap = bitmap_find(bitmaps, name);

    if (!bitmap)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no bitmap '%s'"), q->blocks.blob->name,
                 name);
    else if (!qcow2_bitmap_is_usable(q, bitmap))
        cst_fail(error, CST_ERROR_STATE,
                 _("the bitmap '%s' of '%s' is inconsistent: it can only be removed"), name,
                 q->blocks.blob->name);
    else
        return bitmap;
    return NULL;
}

/* --- editing; lock held -------------------------------------------------------------------- */

typedef struct {
    const char *name;
    unsigned granularity_bits;
    gboolean enabled;
    Qcow2 *source;
    const Qcow2Bitmap *from;
} Request;

typedef gboolean (*Change)(Qcow2BitmapEdit *edit, const Request *request, GError **error);

static gboolean edit_locked(Qcow2 *q, Change change, const Request *request, GError **error)
{
    g_auto(Qcow2BitmapEdit) edit = {0};

    if (q->header.version < 3)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is of compatibility level 0.10, which has no bitmaps"),
                        q->blocks.blob->name);
    return qcow2_begin_changing(q, error) && qcow2_bitmap_edit_begin(&edit, q, error) &&
           change(&edit, request, error);
}

/* Claims all guest clusters during the edit, because a new bitmap would miss concurrent writes. */
static gboolean bitmap_edit(Qcow2 *q, Change change, const Request *request, GError **error)
{
    CstBlockClaim claim;
    gboolean ok;

    qcow2_claim(q, &claim, 0, UINT64_MAX);
    g_mutex_lock(&q->blocks.lock);
    ok = edit_locked(q, change, request, error);
    g_mutex_unlock(&q->blocks.lock);
    if (ok)
        ok = qcow2_write_back(q, error) && qcow2_barrier(q, error);
    else if (!q->lost)
        qcow2_write_back(q, NULL); /* frees the clusters of the failed edit */
    qcow2_release(q, &claim);
    return ok;
}

/* --- the changes --------------------------------------------------------------------------- */

static gboolean do_add(Qcow2BitmapEdit *edit, const Request *request, GError **error)
{
    uint64_t entries =
        qcow2_bitmap_entries(edit->q, edit->q->header.size, request->granularity_bits);
    Qcow2Bitmap bitmap = {
        .table_size = (uint32_t)entries,
        .flags = request->enabled ? QCOW2_BITMAP_AUTO : 0,
        .type = QCOW2_BITMAP_DIRTY_TYPE,
        .granularity_bits = (uint8_t)request->granularity_bits,
    };

    if (bitmap_find(edit->bitmaps, request->name))
        return cst_fail(error, CST_ERROR_EXISTS, _("'%s' has a bitmap '%s' already"),
                        edit->q->blocks.blob->name, request->name);
    if (entries > QCOW2_MAX_BITMAP_TABLE)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("a bitmap for '%s' would be too large: choose a larger granularity"),
                        edit->q->blocks.blob->name);
    if (!qcow2_bitmap_edit_put_table(edit, &bitmap, NULL, error))
        return FALSE;
    bitmap.name = g_strdup(request->name);
    g_array_append_val(edit->bitmaps, bitmap);
    return qcow2_bitmap_edit_commit(edit, edit->q->header.size, error);
}

static gboolean do_remove(Qcow2BitmapEdit *edit, const Request *request, GError **error)
{
    Qcow2Bitmap *bitmap = bitmap_find(edit->bitmaps, request->name);

    if (!bitmap)
        return cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no bitmap '%s'"),
                        edit->q->blocks.blob->name, request->name);
    if (!qcow2_bitmap_edit_drop(edit, bitmap, error))
        return FALSE;
    g_array_remove_index(edit->bitmaps,
                         (guint)(bitmap - &g_array_index(edit->bitmaps, Qcow2Bitmap, 0)));
    return qcow2_bitmap_edit_commit(edit, edit->q->header.size, error);
}

static gboolean do_clear(Qcow2BitmapEdit *edit, const Request *request, GError **error)
{
    Qcow2Bitmap *bitmap = find_usable(edit->q, edit->bitmaps, request->name, error);

    return bitmap && qcow2_bitmap_edit_drop(edit, bitmap, error) &&
           qcow2_bitmap_edit_put_table(edit, bitmap, NULL, error) &&
           qcow2_bitmap_edit_commit(edit, edit->q->header.size, error);
}

static gboolean do_enable(Qcow2BitmapEdit *edit, const Request *request, GError **error)
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
    q->writing = FALSE; /* so that the next write marks the bitmap as in use */
    return flags == bitmap->flags ||
           cst_blob_pwrite(q->blocks.blob, raw, sizeof(raw),
                           q->header.bitmaps_offset + bitmap->at + 12, error);
}

static gboolean do_merge(Qcow2BitmapEdit *edit, const Request *request, GError **error)
{
    Qcow2Bitmap *bitmap = find_usable(edit->q, edit->bitmaps, request->name, error);
    g_autofree uint64_t *table = NULL;

    if (!bitmap)
        return FALSE;
    table = qcow2_bitmap_merged(edit->q, bitmap, request->source, request->from, edit->fresh,
                                edit->stale, error);
    if (!table)
        return FALSE;
    qcow2_bitmap_edit_drop_table(edit, bitmap);
    return qcow2_bitmap_edit_put_table(edit, bitmap, table, error) &&
           qcow2_bitmap_edit_commit(edit, edit->q->header.size, error);
}

/* --- callbacks ----------------------------------------------------------------------------- */

static gboolean bitmap_add(CstImage *image, const char *name, uint64_t granularity,
                           gboolean enabled, GError **error)
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

    return bitmap_edit(q, do_add, &request, error);
}

static gboolean remove_one(CstImage *image, const char *name, GError **error)
{
    return bitmap_edit(qcow2_of(image), do_remove, &(const Request){.name = name}, error);
}

static gboolean bitmap_clear(CstImage *image, const char *name, GError **error)
{
    return bitmap_edit(qcow2_of(image), do_clear, &(const Request){.name = name}, error);
}

static gboolean bitmap_enable(CstImage *image, const char *name, gboolean enabled, GError **error)
{
    return bitmap_edit(qcow2_of(image), do_enable,
                       &(const Request){.name = name, .enabled = enabled}, error);
}

/* The dirty ranges found so far, at most @max. */
typedef struct {
    GArray *ranges; /* of CstRange */
    guint max;
    CstTask *task;
} Found;

static gboolean add_range(gpointer data, uint64_t from, uint64_t to, GError **error)
{
    Found *found = data;
    CstRange *last = found->ranges->len > 0
                         ? &g_array_index(found->ranges, CstRange, found->ranges->len - 1)
                         : NULL;
    const CstRange range = {from, to - from};

    if (last && last->offset + last->length == from) {
        last->length += range.length;
        return cst_task_check(found->task, error);
    }
    if (found->ranges->len >= found->max)
        return cst_fail(error, CST_ERROR_LIMIT, _("more than %u ranges are dirty"), found->max);
    g_array_append_val(found->ranges, range);
    return cst_task_check(found->task, error);
}

static GArray *bitmap_ranges(CstImage *image, const char *name, guint max, CstTask *task,
                             GError **error)
{
    Qcow2 *q = qcow2_of(image);
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(CstRange));
    g_autoptr(GArray) bitmaps = NULL;
    const Qcow2Bitmap *bitmap;
    Found found = {all, max, task};
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    bitmaps = qcow2_bitmaps_read(q, error);
    bitmap = bitmaps ? find_usable(q, bitmaps, name, error) : NULL;
    ok = bitmap && qcow2_bitmap_each_dirty(q, bitmap, add_range, &found, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok ? g_steal_pointer(&all) : NULL;
}

static gboolean bitmap_merge(CstImage *image, const char *name, CstImage *source,
                             const char *source_name, GError **error)
{
    Request request = {.name = name, .source = qcow2_of(source)};
    g_autoptr(GArray) bitmaps = NULL;

    g_mutex_lock(&request.source->blocks.lock);
    bitmaps = qcow2_bitmaps_read(request.source, error);
    g_mutex_unlock(&request.source->blocks.lock);
    if (!bitmaps)
        return FALSE;
    request.from = find_usable(request.source, bitmaps, source_name, error);
    return request.from && bitmap_edit(qcow2_of(image), do_merge, &request, error);
}

const CstBitmapOps qcow2_bitmap_ops = {
    .list = bitmap_list,
    .add = bitmap_add,
    .remove = remove_one,
    .clear = bitmap_clear,
    .enable = bitmap_enable,
    .merge = bitmap_merge,
    .ranges = bitmap_ranges,
};
