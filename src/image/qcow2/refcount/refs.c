/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The refcount structure as a whole: counts its own clusters, compares it with a walk, loads it,
 * and writes a new one.
 *
 * Blocks are read and written directly, without the cache of refcount blocks. Callers write the
 * cache back before, and reload the state afterwards. A new structure counts its own clusters too.
 * place_blocks() therefore allocates clusters for the table and the blocks until every counted
 * cluster, including these, has a block. The clusters are free in the file, so the old structure
 * stays valid until the caller switches the header to the new one.
 */
#include "refs.h"

#include <inttypes.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "refcount.h"

#define REFTABLE_RESERVED UINT64_C(0x1ff)

static uint64_t place_of(const Qcow2 *q, uint64_t index)
{
    return index < q->reftable_entries ? q->reftable[index] : 0;
}

/* Returns whether a refcount block at @place is readable: it is aligned and inside the file. */
static gboolean is_usable(const Qcow2Walk *walk, uint64_t place)
{
    return place != 0 && (place & (walk->q->cluster_size - 1)) == 0 &&
           place >> walk->q->cluster_bits < walk->counts.clusters;
}

/* --- marking ------------------------------------------------------------------------------- */

static gboolean mark_block(Qcow2Walk *walk, uint64_t place, gboolean *ret_sound, GError **error)
{
    unsigned bits = walk->q->cluster_bits;

    if ((place & REFTABLE_RESERVED) || !is_usable(walk, place))
        cst_check_errors(&walk->found, 1, _("a refcount block can't lie at %" PRIu64), place);
    else if (!qcow2_walk_mark(walk, place, walk->q->cluster_size, error))
        return FALSE;
    else if (qcow2_counts_get(&walk->counts, place >> bits) == 1)
        return TRUE;
    else
        cst_check_errors(
            &walk->found, 1,
            _("a refcount block lies at %" PRIu64 ", where something else lies as well"), place);
    *ret_sound = FALSE;
    return TRUE;
}

static gboolean has_all_blocks(const Qcow2Walk *walk)
{
    unsigned bits = walk->q->block_bits;
    uint64_t end = walk->counts.clusters, at = 0;

    while ((at = qcow2_counts_next(&walk->counts, at, end)) < end) {
        if (place_of(walk->q, at >> bits) == 0)
            return FALSE;
        at = ((at >> bits) + 1) << bits;
    }
    return TRUE;
}

gboolean qcow2_refs_mark(Qcow2Walk *walk, gboolean *ret_sound, GError **error)
{
    const Qcow2 *q = walk->q;
    gboolean sound = TRUE;

    if (!qcow2_walk_mark_own(walk, q->header.reftable_offset,
                             (uint64_t)q->header.reftable_clusters << q->cluster_bits, error))
        return FALSE;
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        if (q->reftable[i] != 0 && !mark_block(walk, q->reftable[i], &sound, error))
            return FALSE;
    *ret_sound = sound && has_all_blocks(walk);
    return TRUE;
}

void qcow2_refs_unmark(Qcow2Walk *walk)
{
    const Qcow2 *q = walk->q;
    uint64_t table = q->header.reftable_offset >> q->cluster_bits;

    g_array_set_size(walk->areas, walk->areas->len - 1); /* qcow2_refs_mark() has added the table
                                                            last */
    for (uint32_t i = 0; i < q->header.reftable_clusters; i++)
        qcow2_counts_subtract(&walk->counts, table + i, 1);
    for (uint32_t i = 0; i < q->reftable_entries; i++)
        if (is_usable(walk, q->reftable[i]))
            qcow2_counts_subtract(&walk->counts, q->reftable[i] >> q->cluster_bits, 1);
}

/* --- comparing ----------------------------------------------------------------------------- */

typedef struct {
    Qcow2Walk *walk;
    unsigned fix;
    Qcow2RefsReport *report;
    uint8_t *block;
    gboolean dirty; /* a count in the block was corrected */
    CstCheckRun run;
} Comparison;

static const char *const too_low =
    N_("in use, and the refcount is too low: the next writes may overwrite the cluster");
static const char *const too_high = N_("counted as in use more often than they are");

static void compare_count(Comparison *c, uint64_t cluster, uint64_t index)
{
    unsigned order = c->walk->q->header.refcount_order;
    uint64_t there = qcow2_refcount_get(c->block, order, index);
    uint64_t wanted = qcow2_counts_get(&c->walk->counts, cluster);
    gboolean leak = there > wanted, fix;

    if (there != 0 || wanted != 0)
        c->report->end = MAX(c->report->end, cluster + 1);
    if (there == wanted)
        return;
    if (leak)
        c->report->leaks++;
    else
        c->report->errors++;
    cst_check_run_add(&c->run, leak ? CST_FINDING_LEAK : CST_FINDING_ERROR, cluster,
                      leak ? too_high : too_low);
    fix = (c->fix & CST_CHECK_REPAIR_ALL) || (leak && (c->fix & CST_CHECK_REPAIR_LEAKS));
    if (!fix || wanted > qcow2_refcount_max(order))
        return;
    qcow2_refcount_set(c->block, order, index, wanted);
    c->dirty = TRUE;
    if (leak)
        c->report->leaks_fixed++;
    else
        c->report->errors_fixed++;
}

/* Compares whole blocks of 16-bit refcounts, the usual width, without a call for each count. */
static gboolean is_equal_16(const uint8_t *block, const uint16_t *chunk, uint64_t count)
{
    uint16_t differ = 0, most = 0;

    for (uint64_t i = 0; i < count; i++) {
        differ |= (uint16_t)(cst_be16(block + i * 2) ^ chunk[i]);
        most |= chunk[i];
    }
    return differ == 0 && most != G_MAXUINT16;
}

static gboolean is_equal(const Comparison *c, uint64_t first, uint64_t count)
{
    const Qcow2Counts *counts = &c->walk->counts;
    uint64_t chunk = first >> QCOW2_COUNTS_CHUNK_BITS;
    uint64_t index = first & ((1u << QCOW2_COUNTS_CHUNK_BITS) - 1);

    return c->walk->q->header.refcount_order == 4 && chunk < counts->chunk_count &&
           counts->chunks[chunk] && index + count <= 1u << QCOW2_COUNTS_CHUNK_BITS &&
           is_equal_16(c->block, counts->chunks[chunk] + index, count);
}

static void compare_block(Comparison *c, uint64_t first, uint64_t count)
{
    uint64_t last = count;

    c->dirty = FALSE;
    if (is_equal(c, first, count)) {
        while (last > 0 && qcow2_counts_get(&c->walk->counts, first + last - 1) == 0)
            last--;
        if (last > 0)
            c->report->end = MAX(c->report->end, first + last);
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        compare_count(c, first + i, i);
}

/* Compares the clusters without a refcount block. Their count in the file is 0. */
static void compare_blockless(Comparison *c, uint64_t first, uint64_t end)
{
    uint64_t at = first;

    while ((at = qcow2_counts_next(&c->walk->counts, at, end)) < end) {
        c->report->errors++;
        cst_check_run_add(&c->run, CST_FINDING_ERROR, at, too_low);
        c->report->end = MAX(c->report->end, at + 1);
        at++;
    }
}

/* Returns the first readable block from @index on; @end if no block is readable. Reads no missing
 * blocks, because a sparse file may lack the blocks for terabytes. */
static uint64_t next_usable(const Qcow2Walk *walk, uint64_t index, uint64_t end)
{
    uint64_t entries = MIN(walk->q->reftable_entries, end);

    while (index < entries && !is_usable(walk, walk->q->reftable[index]))
        index++;
    return index < entries ? index : end;
}

gboolean qcow2_refs_compare(Qcow2Walk *walk, unsigned fix, Qcow2RefsReport *ret_report,
                            CstTask *task, GError **error)
{
    const Qcow2 *q = walk->q;
    uint64_t per_block = UINT64_C(1) << q->block_bits;
    uint64_t blocks = MAX(cst_div_up(walk->counts.clusters, per_block), q->reftable_entries);
    g_autofree uint8_t *block = cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error);
    Qcow2RefsReport report = {0};
    Comparison c = {.walk = walk,
                    .fix = fix,
                    .report = &report,
                    .block = block,
                    .run = {.findings = walk->found.findings, .unit = q->cluster_size}};

    if (!block)
        return FALSE;
    for (uint64_t i = 0, done = 0; done < blocks; done = i + 1) {
        uint64_t place;

        i = next_usable(walk, done, blocks);
        compare_blockless(&c, done * per_block, i * per_block);
        if (i == blocks)
            break;
        place = q->reftable[i];
        if (!cst_task_check(task, error) ||
            !qcow2_walk_read(walk, block, place, q->cluster_size, error))
            return FALSE;
        compare_block(&c, i * per_block, per_block);
        if (c.dirty && !cst_blob_pwrite(q->blocks.blob, block, q->cluster_size, place, error))
            return FALSE;
    }
    cst_check_run_end(&c.run);
    *ret_report = report;
    return TRUE;
}

/* --- loading ------------------------------------------------------------------------------- */

static uint64_t used_entries(const Qcow2 *q)
{
    uint64_t used = q->reftable_entries;

    while (used > 0 && q->reftable[used - 1] == 0)
        used--;
    return used;
}

/**
 * Adds the counts of one refcount block. Its first count is that of cluster @first. Refuses counts
 * above 63 bits, because adding to them could overflow, and no file holds as many references.
 */
static gboolean load_block(Qcow2 *q, const uint8_t *block, uint64_t first, Qcow2Counts *counts,
                           GError **error)
{
    for (uint64_t i = 0; i < UINT64_C(1) << q->block_bits; i++) {
        uint64_t count = qcow2_refcount_get(block, q->header.refcount_order, i);

        if (count > G_MAXINT64)
            return qcow2_corrupt(q, error, _("a refcount is impossibly high"));
        if (count != 0 && !qcow2_counts_add(counts, first + i, count, error))
            return FALSE;
    }
    return TRUE;
}

gboolean qcow2_refs_load(Qcow2 *q, Qcow2Counts *counts, CstTask *task, GError **error)
{
    g_autofree uint8_t *block = cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error);
    uint64_t per_block = UINT64_C(1) << q->block_bits, used = used_entries(q), size = 0;

    if (!block || !cst_blob_get_size(q->blocks.blob, &size, error) ||
        !qcow2_counts_init(counts, MAX(cst_div_up(size, q->cluster_size), used * per_block),
                           q->blocks.blob->name, error))
        return FALSE;
    for (uint64_t i = 0; i < used; i++) {
        uint64_t place = q->reftable[i];

        if (place == 0)
            continue;
        if ((place & (q->cluster_size - 1)) || place > size || q->cluster_size > size - place)
            return qcow2_corrupt(q, error, _("a refcount block lies outside the file"));
        if (!cst_task_check(task, error) ||
            !cst_blob_pread(q->blocks.blob, block, q->cluster_size, place, error) ||
            !load_block(q, block, i * per_block, counts, error))
            return FALSE;
    }
    return TRUE;
}

/* --- writing ------------------------------------------------------------------------------- */

uint64_t qcow2_sum_get(const Qcow2Sum *sum, uint64_t cluster)
{
    uint64_t count = qcow2_counts_get(sum->base, cluster);

    if (sum->plus)
        count += qcow2_counts_get(sum->plus, cluster);
    if (sum->minus)
        count -= qcow2_counts_get(sum->minus, cluster);
    return count;
}

static unsigned new_block_bits(const Qcow2 *q, const Qcow2Sum *sum)
{
    return q->cluster_bits + 3 - sum->order;
}

/* The layout of a new structure. */
typedef struct {
    uint64_t *places; /* cluster of each block; 0: no block is needed */
    uint64_t blocks;  /* number of entries in places */
    uint64_t table, clusters;
} Structure;

static void structure_clear(Structure *new)
{
    g_free(new->places);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Structure, structure_clear)

static gboolean place_table(Qcow2 *q, Qcow2Sum *sum, uint64_t from, Structure *new, GError **error)
{
    uint64_t entries = cst_div_up(sum->base->clusters, UINT64_C(1) << new_block_bits(q, sum));
    uint64_t wanted = cst_div_up(entries * 8, q->cluster_size);

    if (wanted <= new->clusters)
        return TRUE;
    if (wanted << q->cluster_bits > QCOW2_MAX_REFTABLE_BYTES)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' can't grow any further"),
                        q->blocks.blob->name);
    for (uint64_t i = 0; i < new->clusters; i++)
        qcow2_counts_subtract(sum->base, new->table + i, 1);
    new->clusters = wanted;
    return qcow2_counts_take(sum->base, from, wanted, &new->table, error);
}

/* Extends the array of places to all counted clusters. The number of clusters never decreases. */
static gboolean make_places(const Qcow2 *q, const Qcow2Sum *sum, Structure *new, GError **error)
{
    uint64_t blocks = (sum->base->clusters >> new_block_bits(q, sum)) + 1;
    uint64_t *grown = cst_realloc(new->places, blocks, sizeof(*grown), q->blocks.blob->name, error);

    if (!grown)
        return FALSE;
    memset(grown + new->blocks, 0, (blocks - new->blocks) * sizeof(*grown));
    new->places = grown;
    new->blocks = blocks;
    return TRUE;
}

/* Allocates blocks until each range with counted clusters has a block. A new block may itself be in
 * a range that has no block yet. */
static gboolean place_blocks(Qcow2 *q, Qcow2Sum *sum, uint64_t from, Structure *new, GError **error)
{
    unsigned bits = new_block_bits(q, sum);
    gboolean missing = TRUE;

    while (missing) {
        uint64_t at = 0, end;

        if (!place_table(q, sum, from, new, error) || !make_places(q, sum, new, error))
            return FALSE;
        missing = FALSE;
        end = sum->base->clusters;
        while ((at = qcow2_counts_next(sum->base, at, end)) < end) {
            uint64_t *place = &new->places[at >> bits];

            if (*place == 0) {
                missing = TRUE;
                if (!qcow2_counts_take(sum->base, from, 1, place, error))
                    return FALSE;
            }
            at = ((at >> bits) + 1) << bits;
        }
    }
    return TRUE;
}

static gboolean write_block(Qcow2 *q, const Qcow2Sum *sum, uint64_t index, uint64_t place,
                            uint8_t *block, GError **error)
{
    unsigned order = sum->order, bits = new_block_bits(q, sum);
    uint64_t first = index << bits, end = first + (UINT64_C(1) << bits);
    uint64_t most = qcow2_refcount_max(order), at = first;

    memset(block, 0, q->cluster_size);
    for (; (at = qcow2_counts_next(sum->base, at, end)) < end; at++) {
        uint64_t count = qcow2_sum_get(sum, at);

        if (count > G_MAXUINT64 / 2)
            return qcow2_corrupt(q, error, _("a cluster in use is not counted"));
        if (count > most)
            return cst_fail(error, CST_ERROR_LIMIT,
                            _("'%s' has refcounts of %u bits, which is too little for that"),
                            q->blocks.blob->name, 1u << order);
        qcow2_refcount_set(block, order, at - first, count);
    }
    return cst_blob_pwrite(q->blocks.blob, block, q->cluster_size, place << q->cluster_bits, error);
}

static gboolean write_structure(Qcow2 *q, const Qcow2Sum *sum, const Structure *new, CstTask *task,
                                GError **error)
{
    g_autofree uint8_t *table =
        cst_alloc0(new->clusters, q->cluster_size, q->blocks.blob->name, error);
    g_autofree uint8_t *block =
        table ? cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error) : NULL;

    if (!block)
        return FALSE;
    for (uint64_t i = 0; i < new->blocks; i++) {
        uint64_t place = new->places[i];

        if (place == 0)
            continue;
        if (!cst_task_check(task, error) || !write_block(q, sum, i, place, block, error))
            return FALSE;
        cst_put_be64(table + (size_t)i * 8, place << q->cluster_bits);
    }
    return cst_blob_pwrite(q->blocks.blob, table, new->clusters << q->cluster_bits,
                           new->table << q->cluster_bits, error);
}

gboolean qcow2_refs_write(Qcow2 *q, Qcow2Sum *sum, uint64_t from, uint64_t *ret_offset,
                          uint32_t *ret_clusters, CstTask *task, GError **error)
{
    g_auto(Structure) new = {0};

    if (!place_blocks(q, sum, from, &new, error) || !write_structure(q, sum, &new, task, error))
        return FALSE;
    *ret_offset = new.table << q->cluster_bits;
    *ret_clusters = (uint32_t) new.clusters;
    return TRUE;
}
