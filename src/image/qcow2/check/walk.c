/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Counts the references in the tables of an image. walk.h has the order of the calls.
 *
 * One thread collects the L2 tables of all L1 tables. Then several threads claim batches of tables
 * that are adjacent in the file. They read and scan them without a lock, and add the results to the
 * walk under WorkerPool.lock. A table that several L1 tables share is scanned once, and its
 * references count that many times. L1 tables that are together longer than the file overlap. The
 * walk refuses them, because they could keep it busy for hours.
 */
#include "walk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/threads.h>
#include <base/units.h>

#include "bytes.h"

#define L1_RESERVED    (~(QCOW2_COPIED | QCOW2_OFFSET_MASK))
#define BATCH_BYTES    CST_MIB /* maximum of one read of adjacent tables */
#define THREADS_MAX    4u
#define THREADED_BYTES (4 * CST_MIB) /* reading fewer bytes is faster than starting a thread */

gboolean qcow2_walk_init(Qcow2Walk *walk, Qcow2 *q, GError **error)
{
    walk->q = q;
    if (!cst_blob_get_size(q->blocks.blob, &walk->file_size, error) ||
        !qcow2_counts_init(&walk->counts, cst_div_up(walk->file_size, q->cluster_size),
                           q->blocks.blob->name, error))
        return FALSE;
    walk->areas = g_array_new(FALSE, FALSE, sizeof(Qcow2Area));
    return TRUE;
}

void qcow2_walk_clear(Qcow2Walk *walk)
{
    qcow2_counts_clear(&walk->counts);
    g_clear_pointer(&walk->tables, g_free);
    g_clear_pointer(&walk->areas, g_array_unref);
}

static gboolean is_inside(const Qcow2Walk *walk, uint64_t offset, uint64_t bytes)
{
    uint64_t end = walk->counts.clusters << walk->q->cluster_bits;

    return offset <= end && bytes <= end - offset;
}

gboolean qcow2_walk_mark(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error)
{
    unsigned bits = walk->q->cluster_bits;

    if (bytes == 0)
        return TRUE;
    if (!is_inside(walk, offset, bytes)) {
        cst_check_errors(&walk->found, 1,
                         _("%" PRIu64 " bytes that are in use can't lie at %" PRIu64
                           ", past the end of the file"),
                         bytes, offset);
        return TRUE;
    }
    for (uint64_t at = offset >> bits; at <= (offset + bytes - 1) >> bits; at++)
        if (!qcow2_counts_add(&walk->counts, at, 1, error))
            return FALSE;
    return TRUE;
}

gboolean qcow2_walk_mark_own(Qcow2Walk *walk, uint64_t offset, uint64_t bytes, GError **error)
{
    Qcow2Area area = {offset, bytes};

    if (bytes > 0 && is_inside(walk, offset, bytes))
        g_array_append_val(walk->areas, area);
    return qcow2_walk_mark(walk, offset, bytes, error);
}

gboolean qcow2_walk_read(Qcow2Walk *walk, uint8_t *buf, uint64_t place, uint64_t bytes,
                         GError **error)
{
    uint64_t there = place < walk->file_size ? MIN(bytes, walk->file_size - place) : 0;

    memset(buf + there, 0, bytes - there);
    return there == 0 || cst_blob_pread(walk->q->blocks.blob, buf, there, place, error);
}

/* --- L1 ------------------------------------------------------------------------------------ */

static gboolean add_table(Qcow2Walk *walk, uint64_t place, gboolean active, GError **error)
{
    Qcow2WalkTable *grown = cst_grow(walk->tables, walk->table_count, sizeof(*grown),
                                     walk->q->blocks.blob->name, error);

    if (!grown)
        return FALSE;
    walk->tables = grown;
    walk->tables[walk->table_count++] = (Qcow2WalkTable){place, 0, active};
    return TRUE;
}

/* Collects the L2 table of an L1 entry. At this stage the walk counts references to L2 tables
 * only. */
static gboolean walk_gather(Qcow2Walk *walk, uint64_t entry, gboolean active, GError **error)
{
    uint64_t place = entry & QCOW2_OFFSET_MASK, cluster = place >> walk->q->cluster_bits;

    if (entry & L1_RESERVED)
        cst_check_errors(
            &walk->found, 1,
            _("the L1 entry of the L2 table at %" PRIu64 " has bits that must not be set"), place);
    if (place == 0)
        return TRUE;
    if ((place & (walk->q->cluster_size - 1)) || !is_inside(walk, place, walk->q->cluster_size)) {
        cst_check_errors(&walk->found, 1, _("an L2 table can't lie at %" PRIu64), place);
        return TRUE;
    }
    if (qcow2_counts_get(&walk->counts, cluster) == 0 && !add_table(walk, place, active, error))
        return FALSE;
    return qcow2_counts_add(&walk->counts, cluster, 1, error);
}

gboolean qcow2_walk_l1(Qcow2Walk *walk, uint64_t offset, uint64_t entries, gboolean active,
                       gboolean *ret_sound, GError **error)
{
    uint64_t bytes = entries * 8, room = MIN(MAX(bytes, 8), BATCH_BYTES);
    g_autofree uint8_t *buf = NULL;
    Qcow2Area area = {offset, bytes};

    *ret_sound = bytes <= QCOW2_MAX_L1_BYTES && (offset & (walk->q->cluster_size - 1)) == 0 &&
                 is_inside(walk, offset, bytes);
    if (!*ret_sound) {
        cst_check_errors(&walk->found, 1,
                         active ? _("the L1 table can't lie at %" PRIu64)
                                : _("the L1 table of a snapshot can't lie at %" PRIu64),
                         offset);
        return TRUE;
    }
    /* L1 tables longer than the file overlap, and could keep the walk busy for hours */
    walk->l1_bytes += bytes;
    if (walk->l1_bytes > walk->file_size)
        return qcow2_corrupt(walk->q, error, _("the L1 tables of its snapshots overlap"));
    if (bytes > 0)
        g_array_append_val(walk->areas, area);
    buf = cst_alloc(room, 1, walk->q->blocks.blob->name, error);
    if (!buf)
        return FALSE;
    for (uint64_t at = 0; at < bytes; at += room) {
        uint64_t n = MIN(room, bytes - at);

        if (!qcow2_walk_read(walk, buf, offset + at, n, error))
            return FALSE;
        for (uint64_t i = 0; i < n; i += 8)
            if (!walk_gather(walk, cst_be64(buf + i), active, error))
                return FALSE;
    }
    return TRUE;
}

/* --- L2 ------------------------------------------------------------------------------------ */

/* Returns whether qcow2_map() would report the entry as damaged. */
static gboolean is_damaged(const Qcow2 *q, const Qcow2Entry *entry)
{
    for (unsigned sub = 0; sub < q->sub_count; sub++)
        if (qcow2_entry_kind(q, entry, sub) == QCOW2_BAD)
            return TRUE;
    return FALSE;
}

Qcow2Entry qcow2_entry_mended(const Qcow2 *q, const Qcow2Entry *entry)
{
    Qcow2Entry mended = *entry;

    if (entry->word & QCOW2_COMPRESSED) {
        mended.word &= ~QCOW2_COPIED;
        mended.bitmap = 0;
    } else if (q->sub_count > 1) {
        mended.bitmap &= ~(entry->bitmap >> 32); /* zero has priority */
        if ((qcow2_entry_host(entry) & (q->cluster_size - 1)) && (uint32_t)mended.bitmap == 0)
            mended.word = 0; /* its offset is not used for reads */
    } else if ((entry->word & QCOW2_READS_ZERO) && q->header.version >= 3 &&
               (qcow2_entry_host(entry) & (q->cluster_size - 1))) {
        mended.word = QCOW2_READS_ZERO; /* its offset was not used for reads */
    }
    return is_damaged(q, &mended) ? *entry : mended;
}

/* The state of one thread: its results, until it adds them to the walk. */
typedef struct {
    Qcow2Walk *walk;
    uint8_t *buf;
    uint64_t *clusters; /* clusters that the current table refers to */
    size_t count;
    uint64_t index; /* current entry of the table */
    CstImageCheck found;
    uint64_t fixable;
} Worker;

typedef struct {
    Qcow2Walk *walk;
    CstTask *task;
    GMutex lock;
    guint next; /* index of the next table to claim */
    GError *error;
} WorkerPool;

/* Reports an error of the current entry. @what is marked with N_(). */
static void found_error(Worker *worker, const Qcow2WalkTable *table, gboolean fixable,
                        const char *what)
{
    cst_check_errors(&worker->found, table->uses,
                     _("entry %" PRIu64 " of the L2 table at %" PRIu64 ": %s"), worker->index,
                     table->place, _(what));
    if (fixable)
        worker->fixable += table->uses;
}

static void scan_packed(Worker *worker, const Qcow2WalkTable *table, const Qcow2Entry *entry)
{
    const Qcow2 *q = worker->walk->q;
    uint64_t host = 0, bytes = 0;

    if ((entry->word & QCOW2_COPIED) || entry->bitmap != 0)
        found_error(worker, table, TRUE, N_("bits are set that compressed data can't have"));
    if (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE) {
        found_error(worker, table, FALSE,
                    N_("compressed data in an image with an external data file"));
        return;
    }
    qcow2_packed_place(q, entry->word, &host, &bytes);
    if (!is_inside(worker->walk, host, bytes)) {
        found_error(worker, table, FALSE, N_("its compressed data lie past the end of the file"));
        return;
    }
    for (uint64_t at = host >> q->cluster_bits; at <= (host + bytes - 1) >> q->cluster_bits; at++)
        worker->clusters[worker->count++] = at;
    if (table->active) {
        worker->found.allocated_clusters++;
        worker->found.compressed_clusters++;
        worker->found.fragmented_clusters++;
    }
}

static void scan_damaged(Worker *worker, const Qcow2WalkTable *table, Qcow2Entry *entry)
{
    Qcow2Entry mended = qcow2_entry_mended(worker->walk->q, entry);
    gboolean helps = !is_damaged(worker->walk->q, &mended);

    found_error(worker, table, helps, N_("its bits contradict each other"));
    if (helps && worker->walk->mend)
        *entry = mended;
}

/* Counts the cluster at @host. A misaligned offset of a damaged entry touches two clusters; both
 * are counted. */
static void scan_place(Worker *worker, const Qcow2WalkTable *table, uint64_t host)
{
    const Qcow2 *q = worker->walk->q;

    gboolean aligned = (host & (q->cluster_size - 1)) == 0;

    if (!is_inside(worker->walk, host, aligned ? q->cluster_size : 1)) {
        found_error(worker, table, FALSE, N_("its data lie past the end of the file"));
        return;
    }
    worker->clusters[worker->count++] = host >> q->cluster_bits;
    if (!aligned && is_inside(worker->walk, host, q->cluster_size))
        worker->clusters[worker->count++] = (host >> q->cluster_bits) + 1;
}

static void scan_table(Worker *worker, const Qcow2WalkTable *table, const uint8_t *raw)
{
    const Qcow2 *q = worker->walk->q;
    uint64_t entries = UINT64_C(1) << q->l2_bits, expected = 0;
    /* bits that an ordinary entry does not have; most entries are ordinary */
    uint64_t odd = ~(QCOW2_COPIED | QCOW2_OFFSET_MASK) | (q->cluster_size - 1);
    gboolean outside = (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE) != 0;

    worker->count = 0;
    for (uint64_t i = 0; i < entries; i++) {
        Qcow2Entry entry = {cst_be64(raw + i * q->entry_size), 0};
        uint64_t host;

        if (q->sub_count > 1)
            entry.bitmap = cst_be64(raw + i * q->entry_size + 8);
        if ((entry.word | entry.bitmap) == 0)
            continue;
        worker->index = i;
        if (entry.word & QCOW2_COMPRESSED) {
            scan_packed(worker, table, &entry);
            continue;
        }
        if (((entry.word & odd) || entry.bitmap != 0) && is_damaged(q, &entry))
            scan_damaged(worker, table, &entry);
        host = qcow2_entry_host(&entry);
        if (host == 0 && !(outside && (entry.word & QCOW2_COPIED)))
            continue;
        if (table->active) {
            worker->found.allocated_clusters++;
            worker->found.fragmented_clusters += expected != 0 && host != expected;
            expected = host + q->cluster_size;
        }
        if (!outside)
            scan_place(worker, table, host);
    }
}

static gboolean add_found(WorkerPool *pool, const Worker *worker, const Qcow2WalkTable *table)
{
    Qcow2Counts *counts = &pool->walk->counts;
    gboolean ok = TRUE;

    g_mutex_lock(&pool->lock);
    for (size_t i = 0; ok && i < worker->count; i++)
        ok = qcow2_counts_add(counts, worker->clusters[i], table->uses,
                              pool->error ? NULL : &pool->error);
    g_mutex_unlock(&pool->lock);
    return ok;
}

/* Claims the next tables that are adjacent in the file. Returns their number. */
static guint take_batch(WorkerPool *pool, guint *ret_first)
{
    const Qcow2WalkTable *tables = pool->walk->tables;
    uint64_t size = pool->walk->q->cluster_size;
    guint count = 0, first;

    g_mutex_lock(&pool->lock);
    first = *ret_first = pool->next;
    while (!pool->error && first + count < pool->walk->table_count &&
           tables[first + count].place == tables[first].place + count * size &&
           (count == 0 || (count + 1) * size <= BATCH_BYTES))
        count++;
    pool->next += count;
    g_mutex_unlock(&pool->lock);
    return count;
}

static gboolean scan_batch(WorkerPool *pool, Worker *worker, guint first, guint count,
                           GError **error)
{
    const Qcow2WalkTable *table = pool->walk->tables + first;
    uint64_t size = pool->walk->q->cluster_size;

    if (!cst_task_check(pool->task, error) ||
        !qcow2_walk_read(pool->walk, worker->buf, table->place, count * size, error))
        return FALSE;
    for (guint i = 0; i < count; i++) {
        scan_table(worker, &table[i], worker->buf + i * size);
        if (!add_found(pool, worker, &table[i]))
            return FALSE; /* pool->error has the reason */
    }
    return TRUE;
}

static void add_figures(WorkerPool *pool, const Worker *worker)
{
    CstImageCheck *found = &pool->walk->found;

    found->errors += worker->found.errors;
    found->allocated_clusters += worker->found.allocated_clusters;
    found->fragmented_clusters += worker->found.fragmented_clusters;
    found->compressed_clusters += worker->found.compressed_clusters;
    pool->walk->fixable += worker->fixable;
}

static void *walk_thread(void *data)
{
    WorkerPool *pool = data;
    const Qcow2 *q = pool->walk->q;
    g_autoptr(GError) error = NULL;
    Worker worker = {.walk = pool->walk, .found.findings = pool->walk->found.findings};
    guint first = 0, count;

    worker.buf = cst_alloc(MAX(BATCH_BYTES, q->cluster_size), 1, q->blocks.blob->name, &error);
    if (worker.buf) /* a compressed cluster touches at most three host clusters */
        worker.clusters = cst_alloc(3 * (UINT64_C(1) << q->l2_bits), sizeof(uint64_t),
                                    q->blocks.blob->name, &error);
    while (worker.clusters && (count = take_batch(pool, &first)) > 0)
        if (!scan_batch(pool, &worker, first, count, &error))
            break;
    g_mutex_lock(&pool->lock);
    add_figures(pool, &worker);
    if (error && !pool->error)
        pool->error = g_steal_pointer(&error);
    g_mutex_unlock(&pool->lock);
    g_free(worker.buf);
    g_free(worker.clusters);
    return NULL;
}

static int by_place(const void *a, const void *b)
{
    const Qcow2WalkTable *left = a, *right = b;

    return left->place < right->place ? -1 : left->place > right->place;
}

static void walk_prepare_tables(Qcow2Walk *walk)
{
    for (guint i = 0; i < walk->table_count; i++) {
        Qcow2WalkTable *table = &walk->tables[i];

        table->uses = qcow2_counts_get(&walk->counts, table->place >> walk->q->cluster_bits);
    }
    if (walk->table_count > 0)
        qsort(walk->tables, walk->table_count, sizeof(*walk->tables), by_place);
}

static gboolean mark_areas(Qcow2Walk *walk, GError **error)
{
    for (guint i = 0; i < walk->areas->len; i++) {
        const Qcow2Area *area = &g_array_index(walk->areas, Qcow2Area, i);

        if (!qcow2_walk_mark(walk, area->offset, area->bytes, error))
            return FALSE;
    }
    return TRUE;
}

gboolean qcow2_walk_tables(Qcow2Walk *walk, CstTask *task, GError **error)
{
    WorkerPool pool = {.walk = walk, .task = task};
    gboolean few = walk->table_count * walk->q->cluster_size < THREADED_BYTES;

    walk_prepare_tables(walk);
    if (!mark_areas(walk, error))
        return FALSE;
    g_mutex_init(&pool.lock);
    cst_threads_run(walk_thread, &pool, few ? 1 : MIN(g_get_num_processors(), THREADS_MAX));
    g_mutex_clear(&pool.lock);
    if (pool.error) {
        g_propagate_error(error, pool.error);
        return FALSE;
    }
    return TRUE;
}
