/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The last pass of a check: shared clusters and COPIED flags (review.h).
 *
 * An entry of a table in use must have the COPIED flag exactly if the refcount of its cluster is 1.
 * The pass reads the L1 table and the L2 tables in use again, and also the tables of snapshots when
 * entries must be repaired. Repaired entries are written in place, after the refcounts that they
 * agree with. A table that shares its cluster is not changed.
 */
#include "review.h"

#include <inttypes.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"

#define BATCH_BYTES CST_MIB

/* Gets the refcount of @cluster to compare flags with. */
static gboolean count_of(const Qcow2Review *review, uint64_t cluster, uint64_t *ret_count,
                         GError **error)
{
    GError *why = NULL;

    *ret_count = qcow2_counts_get(&review->walk->counts, cluster);
    if (!review->ask_file || qcow2_count_get(review->walk->q, cluster, ret_count, &why))
        return TRUE;
    /* the check has already counted an error for a missing or misplaced refcount block */
    if (g_error_matches(why, CST_ERROR, CST_ERROR_CORRUPT)) {
        g_error_free(why);
        return TRUE;
    }
    g_propagate_error(error, why);
    return FALSE;
}

/* --- shared clusters ----------------------------------------------------------------------- */

/* Reports a shared cluster. If the count differs from the file's count, the error was already
 * counted. */
static gboolean review_place(const Qcow2Review *review, uint64_t cluster, uint64_t expected,
                             CstImageCheck *result, GError **error)
{
    uint64_t count = qcow2_counts_get(&review->walk->counts, cluster), there = 0;

    if (count == expected)
        return TRUE;
    if (!count_of(review, cluster, &there, error))
        return FALSE;
    if (there == count)
        cst_check_errors(result, 1,
                         _("a table lies at %" PRIu64 ", where something else lies as well"),
                         cluster << review->walk->q->cluster_bits);
    return TRUE;
}

static gboolean review_places(const Qcow2Review *review, CstImageCheck *result, GError **error)
{
    const Qcow2Walk *walk = review->walk;
    unsigned bits = walk->q->cluster_bits;

    for (guint i = 0; i < walk->areas->len; i++) {
        const Qcow2Area *area = &g_array_index(walk->areas, Qcow2Area, i);

        for (uint64_t at = area->offset >> bits; at <= (area->offset + area->bytes - 1) >> bits;
             at++)
            if (!review_place(review, at, 1, result, error))
                return FALSE;
    }
    for (guint i = 0; i < walk->table_count; i++) {
        const Qcow2WalkTable *table = &walk->tables[i];

        if (!review_place(review, table->place >> bits, table->uses, result, error))
            return FALSE;
    }
    return TRUE;
}

/* --- flags --------------------------------------------------------------------------------- */

static uint64_t with_flag(uint64_t word, gboolean copied)
{
    return copied ? word | QCOW2_COPIED : word & ~QCOW2_COPIED;
}

/* Reports a wrong COPIED flag of an entry that refers to @place. */
static void review_note(const Qcow2Review *review, uint64_t place, CstImageCheck *result)
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
        uint64_t place = q->l1[i] & QCOW2_OFFSET_MASK, wanted, count = 0;
        uint8_t raw[8];

        if (place == 0 || (place & (q->cluster_size - 1)))
            continue;
        if (!count_of(review, place >> q->cluster_bits, &count, error))
            return FALSE;
        wanted = with_flag(q->l1[i], count == 1);
        if (wanted == q->l1[i])
            continue;
        review_note(review, place, result);
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

static gboolean mend_entry(const Qcow2Review *review, const Qcow2WalkTable *table,
                           Qcow2Entry *entry, GError **error)
{
    const Qcow2 *q = review->walk->q;
    uint64_t host = qcow2_entry_host(entry), count = 0;

    if (review->fix && review->walk->fixable > 0)
        *entry = qcow2_entry_mended(q, entry);
    if (!table->active || (entry->word & QCOW2_COMPRESSED) || host == 0 ||
        (host & (q->cluster_size - 1)) || (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE) ||
        qcow2_entry_host(entry) == 0)
        return TRUE;
    if (!count_of(review, host >> q->cluster_bits, &count, error))
        return FALSE;
    entry->word = with_flag(entry->word, count == 1);
    return TRUE;
}

/* *ret_dirty is set when entries in @raw have changed. */
static gboolean review_table(const Qcow2Review *review, const Qcow2WalkTable *table, uint8_t *raw,
                             CstImageCheck *result, gboolean *ret_dirty, GError **error)
{
    const Qcow2 *q = review->walk->q;
    uint64_t entries = UINT64_C(1) << q->l2_bits;

    *ret_dirty = FALSE;
    for (uint64_t i = 0; i < entries; i++) {
        uint8_t *at = raw + i * q->entry_size;
        Qcow2Entry entry = {cst_be64(at), 0}, wanted;

        if (entry.word == 0)
            continue;
        if (q->sub_count > 1)
            entry.bitmap = cst_be64(at + 8);
        wanted = entry;
        if (!mend_entry(review, table, &wanted, error))
            return FALSE;
        if (wanted.word == entry.word && wanted.bitmap == entry.bitmap)
            continue;
        if ((wanted.word ^ entry.word) == QCOW2_COPIED && !(entry.word & QCOW2_COMPRESSED))
            review_note(review, qcow2_entry_host(&entry), result);
        else
            result->errors_fixed += table->uses; /* the walk has counted the errors */
        cst_put_be64(at, wanted.word);
        if (q->sub_count > 1)
            cst_put_be64(at + 8, wanted.bitmap);
        *ret_dirty = TRUE;
    }
    return TRUE;
}

/* Returns whether the table may be written. A write to a shared cluster would damage its other
 * user. */
static gboolean may_fix(const Qcow2Review *review, const Qcow2WalkTable *table)
{
    const Qcow2Walk *walk = review->walk;

    return review->fix &&
           qcow2_counts_get(&walk->counts, table->place >> walk->q->cluster_bits) == table->uses;
}

static guint batch_of(const Qcow2Review *review, guint first)
{
    const Qcow2WalkTable *table = review->walk->tables + first;
    uint64_t size = review->walk->q->cluster_size;
    guint count = 1;

    while (first + count < review->walk->table_count &&
           table[count].place == table->place + count * size && table[count].active &&
           (count + 1) * size <= BATCH_BYTES)
        count++;
    return count;
}

static gboolean review_batch(const Qcow2Review *review, guint first, guint count, uint8_t *buf,
                             CstImageCheck *result, GError **error)
{
    const Qcow2WalkTable *table = review->walk->tables + first;
    Qcow2Review readonly = *review;
    uint64_t size = review->walk->q->cluster_size;

    readonly.fix = FALSE;
    if (!qcow2_walk_read(review->walk, buf, table->place, count * size, error))
        return FALSE;
    for (guint i = 0; i < count; i++) {
        gboolean fix = may_fix(review, &table[i]), dirty;

        if (!review_table(fix ? review : &readonly, &table[i], buf + i * size, result, &dirty,
                          error))
            return FALSE;
        if (dirty && fix &&
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
    if (!review_places(review, result, error) || !review_l1(review, result, error))
        return FALSE;
    for (guint i = 0; i < walk->table_count; i += count) {
        count = 1;
        if (!all && !walk->tables[i].active)
            continue;
        count = all ? 1 : batch_of(review, i);
        if (!cst_task_check(task, error) || !review_batch(review, i, count, buf, result, error))
            return FALSE;
    }
    return !review->fix || result->errors_fixed == 0 || cst_blob_flush(walk->q->blocks.blob, error);
}
