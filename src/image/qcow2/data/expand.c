/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rewrites L2 entries that read as zeroes for a downgrade to version 2.
 *
 * Each L2 table is read once, regardless of the number of snapshots that share it. A changed table
 * is written as a copy, which the same number of L1 tables share. The same applies to each new
 * cluster of zeroes that the copy refers to. Therefore COPIED flags, which mark references of a
 * single user, remain valid. The old tables are not changed, because the image uses them until the
 * switch is committed (switch.h).
 */
#include "expand.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"

/* The state of an expansion. */
typedef struct {
    Qcow2Switch *change;
    Qcow2 *q;
    const Qcow2Walk *walk;
    GHashTable *moved; /* uint64_t place of an L2 table -> uint64_t place of its copy */
    uint8_t *zeroes;   /* one cluster of zeroes */
} Expansion;

static void expansion_clear(Expansion *expansion)
{
    g_clear_pointer(&expansion->moved, g_hash_table_unref);
    g_clear_pointer(&expansion->zeroes, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Expansion, expansion_clear)

/* Adds the references of further users to @place. Its first reference was counted when it was
 * written. */
static gboolean add_users(Expansion *expansion, uint64_t place, uint64_t uses, GError **error)
{
    return qcow2_counts_add(&expansion->change->base, place >> expansion->q->cluster_bits, uses - 1,
                            error);
}

static gboolean drop_users(Expansion *expansion, uint64_t place, uint64_t uses, GError **error)
{
    return qcow2_counts_add(&expansion->change->minus, place >> expansion->q->cluster_bits, uses,
                            error);
}

static gboolean expand_entry(Expansion *expansion, Qcow2Entry *entry, uint64_t uses, GError **error)
{
    Qcow2 *q = expansion->q;
    uint64_t host = qcow2_entry_host(entry);

    if (host && !drop_users(expansion, host, uses, error))
        return FALSE;
    entry->word = 0;
    if (q->header.backing_offset == 0)
        return TRUE;
    if (!qcow2_check_content(q, error) ||
        !qcow2_switch_put(expansion->change, expansion->zeroes, q->cluster_size, &host, error) ||
        !add_users(expansion, host, uses, error))
        return FALSE;
    entry->word = uses == 1 ? host | QCOW2_COPIED : host;
    return TRUE;
}

static gboolean expand_entries(Expansion *expansion, uint8_t *table, uint64_t uses,
                               gboolean *ret_changed, GError **error)
{
    *ret_changed = FALSE;
    for (uint64_t i = 0; i < UINT64_C(1) << expansion->q->l2_bits; i++) {
        Qcow2Entry entry = qcow2_entry_get(expansion->q, table, i);

        if (qcow2_entry_kind(expansion->q, &entry, 0) != QCOW2_ZERO)
            continue;
        if (!cst_task_check(expansion->change->task, error) ||
            !expand_entry(expansion, &entry, uses, error))
            return FALSE;
        cst_put_be64(table + i * 8, entry.word);
        *ret_changed = TRUE;
    }
    return TRUE;
}

static void note_move(Expansion *expansion, uint64_t from, uint64_t to)
{
    g_hash_table_insert(expansion->moved, g_memdup2(&from, sizeof(from)),
                        g_memdup2(&to, sizeof(to)));
}

static gboolean expand_table(Expansion *expansion, const Qcow2WalkTable *table, GError **error)
{
    Qcow2 *q = expansion->q;
    g_autofree uint8_t *buf = cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error);
    uint64_t copy = 0;
    gboolean changed;

    if (!buf || !cst_blob_pread(q->blocks.blob, buf, q->cluster_size, table->place, error) ||
        !expand_entries(expansion, buf, table->uses, &changed, error))
        return FALSE;
    if (!changed)
        return TRUE;
    if (!qcow2_switch_put(expansion->change, buf, q->cluster_size, &copy, error) ||
        !add_users(expansion, copy, table->uses, error) ||
        !drop_users(expansion, table->place, table->uses, error))
        return FALSE;
    note_move(expansion, table->place, copy);
    return TRUE;
}

static gboolean expand_tables(Expansion *expansion, GError **error)
{
    const Qcow2Walk *walk = expansion->walk;

    cst_task_add_total(expansion->change->task, walk->table_count * expansion->q->cluster_size);
    for (guint i = 0; i < walk->table_count; i++) {
        if (!expand_table(expansion, &walk->tables[i], error))
            return FALSE;
        cst_task_advance(expansion->change->task, expansion->q->cluster_size);
    }
    return TRUE;
}

/* Redirects the entries of an L1 table to the copies. Returns FALSE if no entry changed. */
static gboolean follow_moves(const Expansion *expansion, uint64_t *l1, uint32_t count)
{
    gboolean changed = FALSE;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t place = l1[i] & QCOW2_OFFSET_MASK;
        const uint64_t *copy = g_hash_table_lookup(expansion->moved, &place);

        if (!copy)
            continue;
        l1[i] = (l1[i] & ~QCOW2_OFFSET_MASK) | *copy;
        changed = TRUE;
    }
    return changed;
}

static gboolean renew_active(Expansion *expansion, GError **error)
{
    const Qcow2 *q = expansion->q;
    const Qcow2Header *old = &q->header;
    g_autofree uint64_t *l1 =
        cst_memdup(q->l1, old->l1_size * sizeof(uint64_t), q->blocks.blob->name, error);

    if (!l1)
        return FALSE;
    return !follow_moves(expansion, l1, old->l1_size) ||
           (qcow2_switch_drop(expansion->change, old->l1_offset, old->l1_size * UINT64_C(8),
                              error) &&
            qcow2_switch_put_l1(expansion->change, l1, old->l1_size, error));
}

static gboolean renew_snapshot(Expansion *expansion, Qcow2Snapshot *snapshot, GError **error)
{
    uint64_t bytes = snapshot->l1_size * UINT64_C(8);
    CstBlob *blob = expansion->q->blocks.blob;
    g_autofree uint8_t *raw = cst_alloc(bytes, 1, blob->name, error);
    g_autofree uint64_t *l1 = raw ? cst_alloc(bytes, 1, blob->name, error) : NULL;

    if (!l1 || !cst_blob_pread(blob, raw, bytes, snapshot->l1_offset, error))
        return FALSE;
    for (uint32_t i = 0; i < snapshot->l1_size; i++)
        l1[i] = cst_be64(raw + i * 8);
    if (!follow_moves(expansion, l1, snapshot->l1_size))
        return TRUE;
    for (uint32_t i = 0; i < snapshot->l1_size; i++)
        cst_put_be64(raw + i * 8, l1[i]);
    return qcow2_switch_drop(expansion->change, snapshot->l1_offset, bytes, error) &&
           qcow2_switch_put(expansion->change, raw, bytes, &snapshot->l1_offset, error);
}

gboolean qcow2_expand_zeroes(Qcow2Switch *change, const Qcow2Walk *walk, GArray *snapshots,
                             GError **error)
{
    g_auto(Expansion) expansion = {
        .change = change,
        .q = change->q,
        .walk = walk,
        .moved = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free),
        .zeroes = cst_alloc0(change->q->cluster_size, 1, change->q->blocks.blob->name, error),
    };

    if (!expansion.zeroes || !expand_tables(&expansion, error) || !renew_active(&expansion, error))
        return FALSE;
    for (guint i = 0; i < snapshots->len; i++)
        if (!renew_snapshot(&expansion, &g_array_index(snapshots, Qcow2Snapshot, i), error))
            return FALSE;
    return TRUE;
}
