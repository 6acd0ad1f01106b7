/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Adapts the bitmaps to another size of the disk, as a part of the caller's edit (bitmapedit.h).
 *
 * Tables are extended with entries that read as clean, or truncated. Set bits after the bytes that
 * exist before and after the change are cleared. Otherwise they would describe bytes that a later
 * growth adds. Changed tables and clusters of bits are written to free clusters, so the bitmaps on
 * the disk describe the old size until the edit is committed.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bitmapedit.h"

/* A bitmap that is being adapted. */
typedef struct {
    Qcow2BitmapEdit *edit;
    uint64_t *table;
    uint32_t entries;
    uint64_t bits; /* number of bits for bytes that exist before and after */
} Fit;

/* Clears the bits from @first on in a cluster. Returns whether a bit was set. */
static gboolean cut_bits(uint8_t *bits, uint64_t cluster_size, uint64_t first)
{
    gboolean found = FALSE;
    uint64_t at = first / 8;
    uint8_t keep = (uint8_t)((1u << first % 8) - 1);

    for (; at < cluster_size; at++, keep = 0) {
        found = found || (bits[at] & ~keep);
        bits[at] &= keep;
    }
    return found;
}

/* Clears the bits after the remaining bytes, because they would apply to bytes added later. */
static gboolean cut_tail(Fit *fit, GError **error)
{
    Qcow2 *q = fit->edit->q;
    uint64_t per_cluster = q->cluster_size * 8, index = fit->bits / per_cluster;
    g_autofree uint8_t *bits = NULL;

    if (fit->bits % per_cluster == 0 || fit->table[index] == 0)
        return TRUE;
    bits = cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error);
    if (!bits || !qcow2_bitmap_bits(q, fit->table[index], bits, error))
        return FALSE;
    return !cut_bits(bits, q->cluster_size, fit->bits % per_cluster) ||
           (qcow2_bitmap_edit_drop_bits(fit->edit, fit->table[index], error) &&
            qcow2_bitmap_edit_put_bits(fit->edit, bits, &fit->table[index], error));
}

static gboolean bitmap_refit(Qcow2BitmapEdit *edit, Qcow2Bitmap *bitmap, uint32_t entries,
                             uint64_t bits, GError **error)
{
    Qcow2 *q = edit->q;
    g_autofree uint64_t *old = qcow2_bitmap_table(q, bitmap, error);
    g_autofree uint64_t *new = NULL;
    size_t same = (size_t)MIN(entries, bitmap->table_size) * sizeof(*new);
    Fit fit = {edit, NULL, entries, bits};

    if (old)
        fit.table = new =
            cst_alloc0(MAX(entries, bitmap->table_size), sizeof(*new), q->blocks.blob->name, error);
    if (!new)
        return FALSE;
    memcpy(new, old, same);
    for (uint32_t i = entries; i < bitmap->table_size; i++)
        if (!qcow2_bitmap_edit_drop_bits(edit, old[i], error))
            return FALSE;
    if (!cut_tail(&fit, error))
        return FALSE;
    if (entries == bitmap->table_size && memcmp(new, old, same) == 0)
        return TRUE;
    qcow2_bitmap_edit_drop_table(edit, bitmap);
    bitmap->table_size = entries;
    edit->changed = TRUE;
    return qcow2_bitmap_edit_put_table(edit, bitmap, new, error);
}

static gboolean fit_one(Qcow2BitmapEdit *edit, Qcow2Bitmap *bitmap, uint64_t size, GError **error)
{
    Qcow2 *q = edit->q;
    unsigned granularity_bits = bitmap->granularity_bits;
    uint64_t entries;

    if (bitmap->flags & QCOW2_BITMAP_IN_USE)
        return TRUE;
    if (!qcow2_bitmap_is_usable(q, bitmap))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("the bitmap '%s' of '%s' is of an unknown kind and can't follow a new "
                          "size: remove it first"),
                        bitmap->name, q->blocks.blob->name);
    entries = qcow2_bitmap_entries(q, size, granularity_bits);
    if (entries > QCOW2_MAX_BITMAP_TABLE)
        return cst_fail(error, CST_ERROR_LIMIT,
                        _("the bitmap '%s' of '%s' would be too large: remove it first"),
                        bitmap->name, q->blocks.blob->name);
    return bitmap_refit(edit, bitmap, (uint32_t)entries,
                        cst_div_up(MIN(size, q->header.size), UINT64_C(1) << granularity_bits),
                        error);
}

static gboolean drop_all(Qcow2BitmapEdit *edit, GError **error)
{
    for (guint i = 0; i < edit->bitmaps->len; i++)
        if (!qcow2_bitmap_edit_drop(edit, &g_array_index(edit->bitmaps, Qcow2Bitmap, i), error))
            return FALSE;
    g_array_set_size(edit->bitmaps, 0);
    edit->changed = TRUE;
    return TRUE;
}

gboolean qcow2_bitmap_edit_fit(Qcow2BitmapEdit *edit, uint64_t size, GError **error)
{
    if (size == 0)
        return drop_all(edit, error);
    for (guint i = 0; i < edit->bitmaps->len; i++)
        if (!fit_one(edit, &g_array_index(edit->bitmaps, Qcow2Bitmap, i), size, error))
            return FALSE;
    return TRUE;
}
