/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Zeroes and discards ranges. For whole clusters and subclusters only L2 entries change; their
 * space in the file is freed by the next sync. Smaller ranges are written as zeroes. Version 2 has
 * no entries that read as zeroes, so clusters that cannot be unallocated there are written, too. A
 * raw data file is zeroed as well.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "qcow2/qcow2.h"
#include "qcow2/state.h"

static const uint8_t zeroes[CST_MIB];

static gboolean write_zeroes(Qcow2 *q, uint64_t offset, uint64_t length, GError **error)
{
    while (length > 0) {
        uint64_t n = MIN(length, sizeof(zeroes));

        if (!qcow2_write_claimed(q, zeroes, n, offset, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

static gboolean reads_zero_anyway(const Qcow2 *q, const Qcow2Run *run, uint64_t offset)
{
    return run->kind == QCOW2_ZERO ||
           (run->kind == QCOW2_UNALLOCATED && !qcow2_backing_shows(q, offset));
}

/* Zeroes a range that is smaller than a subcluster. Writes only bytes that do not read as zeroes
 * yet. */
static gboolean zero_partly(Qcow2 *q, uint64_t offset, uint64_t length, GError **error)
{
    while (length > 0) {
        Qcow2Run run;
        gboolean ok;

        g_mutex_lock(&q->blocks.lock);
        ok = qcow2_map(q, offset, length, &run, error);
        g_mutex_unlock(&q->blocks.lock);
        if (!ok ||
            (!reads_zero_anyway(q, &run, offset) && !write_zeroes(q, offset, run.length, error)))
            return FALSE;
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}

/* Returns the entry for a cluster in which the subclusters of the bit mask @subs read as zeroes. */
static Qcow2Entry zeroed_entry(const Qcow2 *q, const Qcow2Entry *old, uint64_t subs,
                               gboolean keep_place)
{
    gboolean has_place = (old->word & QCOW2_COPIED) && qcow2_entry_host(old);
    Qcow2Entry entry = {0, 0};

    if (keep_place && has_place)
        entry.word = old->word & (QCOW2_COPIED | QCOW2_OFFSET_MASK);
    if (q->sub_count == 1) {
        entry.word |= QCOW2_READS_ZERO;
        return entry;
    }
    if (subs != G_MAXUINT32) { /* other subclusters and the offset stay unchanged */
        entry.word = old->word;
        entry.bitmap = old->bitmap & ~subs;
    }
    entry.bitmap |= subs << 32;
    return entry;
}

/* Returns the last subcluster of a range in one cluster. The image's last cluster counts as
 * whole. */
static unsigned last_sub(const Qcow2 *q, uint64_t end)
{
    if (end == q->blocks.image.capacity)
        return q->sub_count - 1;
    return (unsigned)(((end - 1) & (q->cluster_size - 1)) >> q->sub_bits);
}

/* Lock held. Zeroes whole subclusters of one cluster. FALSE without error: the caller must write
 * zeroes. */
static gboolean zero_subclusters(Qcow2 *q, uint64_t offset, uint64_t length, unsigned flags,
                                 GError **error)
{
    uint64_t inside = offset & (q->cluster_size - 1), index = qcow2_l2_index(q, offset);
    unsigned first = (unsigned)(inside >> q->sub_bits);
    unsigned last = last_sub(q, offset + length);
    uint64_t subs = (G_MAXUINT32 >> (31 - last)) & (uint64_t)(G_MAXUINT32 << first);
    CstPage *table = qcow2_l2_for_write(q, offset, error);
    Qcow2Entry old, entry;

    if (!table)
        return FALSE;
    old = qcow2_entry_get(q, table->data, index);
    if (q->sub_count > 1 && subs != G_MAXUINT32 && (old.word & QCOW2_COMPRESSED))
        return FALSE;
    entry = zeroed_entry(q, &old, subs, !(flags & CST_ZERO_MAY_UNMAP));
    if (!qcow2_entry_put(q, table, index, entry, error))
        return FALSE;
    if ((entry.word & QCOW2_OFFSET_MASK) == 0)
        qcow2_entry_give_up(q, &old);
    return qcow2_relieve(q, error);
}

/* Zeroes the first part of a range and sets *length to its length. Changes one entry at most. */
static gboolean zero_step(Qcow2 *q, uint64_t offset, uint64_t *length, unsigned flags,
                          GError **error)
{
    g_autoptr(GError) why = NULL;
    Qcow2Run run;
    gboolean done = FALSE, ok;

    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_begin_writing(q, &why) && qcow2_map(q, offset, *length, &run, &why);
    if (ok && reads_zero_anyway(q, &run, offset)) {
        *length = run.length;
        done = TRUE;
    } else if (ok) {
        *length = MIN(*length, q->cluster_size - (offset & (q->cluster_size - 1)));
        if (q->header.version >= 3)
            done = zero_subclusters(q, offset, *length, flags, &why);
        else if ((flags & CST_ZERO_MAY_UNMAP) && !qcow2_backing_shows(q, offset) &&
                 !(offset & (q->cluster_size - 1)))
            done = qcow2_forget(q, offset, offset + q->cluster_size, FALSE, &why);
    }
    g_mutex_unlock(&q->blocks.lock);
    if (why) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (done)
        return TRUE;
    if (flags & CST_ZERO_FAST)
        return cst_fail(error, CST_ERROR_UNSUPPORTED, _("'%s' has no fast zeroing"),
                        q->blocks.blob->name);
    return write_zeroes(q, offset, *length, error);
}

/* Zeroes the range in a raw data file, which must hold the zeroes regardless of the tables. */
static gboolean zero_outside(Qcow2 *q, uint64_t offset, uint64_t length, unsigned flags,
                             GError **error)
{
    uint64_t size = 0;

    if (!qcow2_is_raw(q))
        return TRUE;
    return cst_blob_get_size(q->data, &size, error) &&
           (offset >= size ||
            cst_blob_zero(q->data, offset, MIN(length, size - offset), flags, error));
}

gboolean qcow2_zero_claimed(Qcow2 *q, uint64_t offset, uint64_t length, unsigned flags,
                            GError **error)
{
    uint64_t unit = UINT64_C(1) << q->sub_bits, end = offset + length;
    uint64_t first = (offset + unit - 1) & ~(unit - 1);
    /* the last cluster counts as whole, even if the image ends inside it */
    uint64_t last = end == q->blocks.image.capacity ? end : end & ~(unit - 1);

    if (!zero_outside(q, offset, length, flags, error))
        return FALSE;
    if (first >= last)
        return zero_partly(q, offset, length, error);
    if (!zero_partly(q, offset, first - offset, error))
        return FALSE;
    for (uint64_t at = first; at < last;) {
        uint64_t n = last - at;

        if (!zero_step(q, at, &n, flags, error))
            return FALSE;
        at += n;
    }
    return zero_partly(q, last, end - last, error);
}

gboolean qcow2_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                    GError **error)
{
    Qcow2 *q = qcow2_of(image);
    CstBlockClaim claim;
    gboolean ok;

    if (!qcow2_check_content(q, error))
        return FALSE;
    qcow2_claim(q, &claim, offset, length);
    ok = qcow2_zero_claimed(q, offset, length, flags, error);
    qcow2_release(q, &claim);
    return ok;
}

/* --- discard ------------------------------------------------------------------------------- */

static gboolean forget_cluster(Qcow2 *q, uint64_t offset, gboolean hide, GError **error)
{
    uint64_t index = qcow2_l2_index(q, offset);
    CstPage *table = qcow2_l2_for_write(q, offset, error);
    Qcow2Entry old, entry = {0, 0};

    if (!table)
        return FALSE;
    old = qcow2_entry_get(q, table->data, index);
    if (hide && q->sub_count > 1)
        entry.bitmap = (uint64_t)G_MAXUINT32 << 32;
    else if (hide)
        entry.word = QCOW2_READS_ZERO;
    if (!qcow2_entry_put(q, table, index, entry, error))
        return FALSE;
    qcow2_entry_give_up(q, &old);
    return qcow2_relieve(q, error);
}

gboolean qcow2_forget(Qcow2 *q, uint64_t offset, uint64_t end, gboolean hide, GError **error)
{
    unsigned shift = q->cluster_bits + q->l2_bits;

    while (offset < end) {
        const uint8_t *table = NULL;
        Qcow2Entry entry = {0, 0};

        if (!qcow2_l2_for_read(q, offset >> shift, &table, error))
            return FALSE;
        if (!table) { /* continue with the next table */
            offset = ((offset >> shift) + 1) << shift;
            continue;
        }
        entry = qcow2_entry_get(q, table, qcow2_l2_index(q, offset));
        if ((entry.word != 0 || (entry.bitmap != 0 && !hide)) &&
            !forget_cluster(q, offset, hide && qcow2_backing_shows(q, offset), error))
            return FALSE;
        offset += q->cluster_size;
    }
    return TRUE;
}

gboolean qcow2_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    uint64_t end = offset + length, mask = q->cluster_size - 1;
    uint64_t first = (offset + mask) & ~mask;
    uint64_t last = end == q->blocks.image.capacity ? end : end & ~mask;
    CstBlockClaim claim;
    gboolean ok;

    /* version 2 cannot hide its backing image, so the content stays, as discard allows */
    if (first >= last || (q->header.version < 3 && qcow2_backing_shows(q, first)))
        return TRUE;
    if (qcow2_is_raw(q))
        return qcow2_zero(image, first, last - first, CST_ZERO_MAY_UNMAP, error);
    qcow2_claim(q, &claim, first, last - first);
    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_begin_writing(q, error) && qcow2_forget(q, first, last, TRUE, error);
    g_mutex_unlock(&q->blocks.lock);
    qcow2_release(q, &claim);
    return ok;
}
