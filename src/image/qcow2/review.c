/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "review.h"

#include <inttypes.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define BATCH_BYTES CST_MIB

/* The count that is valid in the file. */
static uint64_t count_of(const Qcow2Review *review, uint64_t cluster)
{
    uint64_t count = qcow2_counts_get(&review->walk->counts, cluster), there = 0;

    /* where the file's own count can't be read, an error is counted already */
    if (review->ask_file && qcow2_count_get(review->walk->q, cluster, &there, NULL))
        return there;
    return count;
}

/* --- places -------------------------------------------------------------------------------- */

/* A count that differs from the file's is an error that has been counted. */
static void review_place(const Qcow2Review *review, uint64_t cluster, uint64_t expected,
                         CstImageCheck *result)
{
    uint64_t count = qcow2_counts_get(&review->walk->counts, cluster);

    if (count != expected && count_of(review, cluster) == count)
        cst_check_errors(result, 1,
                         _("a table lies at %" PRIu64 ", where something else lies as well"),
                         cluster << review->walk->q->cluster_bits);
}

static void review_places(const Qcow2Review *review, CstImageCheck *result)
{
    const Qcow2Walk *walk = review->walk;
    unsigned bits = walk->q->cluster_bits;

    for (guint i = 0; i < walk->areas->len; i++) {
        const Qcow2Area *area = &g_array_index(walk->areas, Qcow2Area, i);

        for (uint64_t at = area->offset >> bits; at <= (area->offset + area->bytes - 1) >> bits;
             at++)
            review_place(review, at, 1, result);
    }
    for (guint i = 0; i < walk->tables->len; i++) {
        const Qcow2WalkTable *table = &g_array_index(walk->tables, Qcow2WalkTable, i);

        review_place(review, table->place >> bits, table->uses, result);
    }
}

/* --- flags --------------------------------------------------------------------------------- */

static uint64_t with_flag(uint64_t word, gboolean copied)
{
    return copied ? word | QCOW2_COPIED : word & ~QCOW2_COPIED;
}

/* @place: of what the entry refers to. */
static void note(const Qcow2Review *review, uint64_t place, CstImageCheck *result)
{
    cst_check_errors(
        result, 1, _("the flag that says whether the cluster at %" PRIu64 " is used once is wrong"),
        place);
    result->errors_fixed += review->fix;
}

static gboolean review_l1(const Qcow2Review *review, CstImageCheck *result, GError **error)
{
    Qcow2 *q = review->walk->q;
    gboolean dirty = FALSE;

    for (uint32_t i = 0; i < q->header.l1_size; i++) {
        uint64_t place = q->l1[i] & QCOW2_OFFSET_MASK, wanted;
        uint8_t raw[8];

        if (place == 0 || (place & (q->cluster_size - 1)))
            continue;
        wanted = with_flag(q->l1[i], count_of(review, place >> q->cluster_bits) == 1);
        if (wanted == q->l1[i])
            continue;
        note(review, place, result);
        if (!review->fix)
            continue;
        q->l1[i] = wanted;
        cst_put_be64(raw, wanted);
        dirty = TRUE;
        if (!cst_blob_pwrite(q->blocks.blob, raw, 8, q->header.l1_offset + i * UINT64_C(8), error))
            return FALSE;
    }
    return !dirty || cst_blob_flush(q->blocks.blob, error);
}

static Qcow2Entry wanted_entry(const Qcow2Review *review, const Qcow2WalkTable *table,
                               const Qcow2Entry *entry)
{
    const Qcow2 *q = review->walk->q;
    Qcow2Entry wanted = *entry;
    uint64_t host = qcow2_entry_host(entry);

    if (review->fix && review->walk->fixable > 0)
        wanted = qcow2_entry_mended(q, entry);
    if (!table->active || (wanted.word & QCOW2_COMPRESSED) || host == 0 ||
        (host & (q->cluster_size - 1)) || (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE))
        return wanted;
    if (qcow2_entry_host(&wanted) != 0)
        wanted.word = with_flag(wanted.word, count_of(review, host >> q->cluster_bits) == 1);
    return wanted;
}

static gboolean review_table(const Qcow2Review *review, const Qcow2WalkTable *table, uint8_t *raw,
                             CstImageCheck *result)
{
    const Qcow2 *q = review->walk->q;
    uint64_t entries = UINT64_C(1) << q->l2_bits;
    gboolean dirty = FALSE;

    for (uint64_t i = 0; i < entries; i++) {
        uint8_t *at = raw + i * q->entry_size;
        Qcow2Entry entry = {cst_be64(at), 0}, wanted;

        if (entry.word == 0)
            continue;
        if (q->sub_count > 1)
            entry.bitmap = cst_be64(at + 8);
        wanted = wanted_entry(review, table, &entry);
        if (wanted.word == entry.word && wanted.bitmap == entry.bitmap)
            continue;
        if ((wanted.word ^ entry.word) == QCOW2_COPIED && !(entry.word & QCOW2_COMPRESSED))
            note(review, qcow2_entry_host(&entry), result);
        else
            result->errors_fixed += table->uses; /* counted by the walk */
        cst_put_be64(at, wanted.word);
        if (q->sub_count > 1)
            cst_put_be64(at + 8, wanted.bitmap);
        dirty = TRUE;
    }
    return dirty;
}

/* Writing to a table that shares its place would harm what is there as well. */
static gboolean may_fix(const Qcow2Review *review, const Qcow2WalkTable *table)
{
    const Qcow2Walk *walk = review->walk;

    return review->fix &&
           qcow2_counts_get(&walk->counts, table->place >> walk->q->cluster_bits) == table->uses;
}

static guint batch_of(const Qcow2Review *review, guint first)
{
    const GArray *tables = review->walk->tables;
    const Qcow2WalkTable *table = &g_array_index(tables, Qcow2WalkTable, first);
    uint64_t size = review->walk->q->cluster_size;
    guint count = 1;

    while (first + count < tables->len && table[count].place == table->place + count * size &&
           table[count].active && (count + 1) * size <= BATCH_BYTES)
        count++;
    return count;
}

static gboolean review_batch(const Qcow2Review *review, guint first, guint count, uint8_t *buf,
                             CstImageCheck *result, GError **error)
{
    const Qcow2WalkTable *table = &g_array_index(review->walk->tables, Qcow2WalkTable, first);
    Qcow2Review readonly = *review;
    uint64_t size = review->walk->q->cluster_size;

    readonly.fix = FALSE;
    if (!qcow2_walk_read(review->walk, buf, table->place, count * size, error))
        return FALSE;
    for (guint i = 0; i < count; i++) {
        gboolean fix = may_fix(review, &table[i]);

        if (review_table(fix ? review : &readonly, &table[i], buf + i * size, result) && fix &&
            !cst_blob_pwrite(review->walk->q->blocks.blob, buf + i * size, size, table[i].place,
                             error))
            return FALSE;
    }
    return TRUE;
}

gboolean qcow2_review(Qcow2Review *review, CstImageCheck *result, CstTask *task, GError **error)
{
    Qcow2Walk *walk = review->walk;
    g_autofree uint8_t *buf =
        cst_alloc(MAX(BATCH_BYTES, walk->q->cluster_size), 1, walk->q->blocks.blob->name, error);
    gboolean all = review->fix && walk->fixable > 0;
    guint count;

    if (!buf)
        return FALSE;
    review_places(review, result);
    if (!review_l1(review, result, error))
        return FALSE;
    for (guint i = 0; i < walk->tables->len; i += count) {
        count = 1;
        if (!all && !g_array_index(walk->tables, Qcow2WalkTable, i).active)
            continue;
        count = all ? 1 : batch_of(review, i);
        if (!cst_task_check(task, error) || !review_batch(review, i, count, buf, result, error))
            return FALSE;
    }
    return !review->fix || result->errors_fixed == 0 || cst_blob_flush(walk->q->blocks.blob, error);
}
