/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Finds the changes since an internal snapshot by comparing tables.
 *
 * A cluster that a snapshot refers to is never written in place, because its entry in the active
 * table has no COPIED flag. Two equal entries therefore mean equal content, and two equal L1
 * entries refer to the same L2 table. The comparison reads no data, only L2 tables that differ, and
 * needs no bitmaps. An entry in use with the COPIED flag and the same cluster as the snapshot's
 * entry is damage. A hypervisor may have written to the shared cluster, so that cluster counts as
 * changed.
 *
 * With an external data file all clusters are written in place, so changes are unknown.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "qcow2/qcow2.h"
#include "snaptable.h"

/* The content of the disk at a snapshot, or now. */
typedef struct {
    uint64_t *l1; /* NULL: the active L1 table */
    uint32_t l1_size;
    uint64_t capacity;
    uint8_t *table; /* buffer for one L2 table of the snapshot */
} Side;

static void side_clear(Side *side)
{
    g_free(side->l1);
    g_free(side->table);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Side, side_clear)

static gboolean open_side(Qcow2 *q, const Qcow2Snapshot *snapshot, Side *side, GError **error)
{
    if (!snapshot) {
        side->capacity = q->header.size;
        return TRUE;
    }
    side->capacity = snapshot->disk_size;
    side->l1 = qcow2_snapshot_l1(q, snapshot, &side->l1_size, error);
    side->table = side->l1 ? cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error) : NULL;
    return side->table != NULL;
}

static uint64_t l1_entry(const Qcow2 *q, const Side *side, uint64_t index)
{
    const uint64_t *l1 = side->l1 ? side->l1 : q->l1;

    return index < (side->l1 ? side->l1_size : q->header.l1_size) ? l1[index] : 0;
}

/* Gets the L2 table at @index. *ret_table is NULL if no table exists, and valid until the next
 * call. */
static gboolean read_table(Qcow2 *q, const Side *side, uint64_t index, const uint8_t **ret_table,
                           GError **error)
{
    uint64_t place = l1_entry(q, side, index) & QCOW2_OFFSET_MASK, size;

    if (!side->l1)
        return qcow2_l2_for_read(q, index, ret_table, error);
    *ret_table = NULL;
    if (place == 0)
        return TRUE;
    if (!cst_blob_get_size(q->blocks.blob, &size, error))
        return FALSE;
    if ((place & (q->cluster_size - 1)) || place > size || q->cluster_size > size - place)
        return qcow2_corrupt(q, error, _("an L1 entry of a snapshot is damaged"));
    *ret_table = side->table;
    return cst_blob_pread(q->blocks.blob, side->table, q->cluster_size, place, error);
}

/* Compares two L1 or two L2 entries. A COPIED flag of the entry in use means that the cluster is
 * not shared. */
static gboolean same_word(uint64_t older, uint64_t newer, gboolean in_use)
{
    return ((older ^ newer) & ~QCOW2_COPIED) == 0 &&
           !(in_use && (newer & QCOW2_COPIED) && !(newer & QCOW2_COMPRESSED));
}

/*
 * Adds the clusters that differ between two L2 tables in the range from @at to before @end. Returns
 * FALSE when @changed has no more room.
 */
static gboolean compare_tables(const Qcow2 *q, const uint8_t *older, const uint8_t *newer,
                               gboolean in_use, uint64_t at, uint64_t end, CstChanged *changed)
{
    for (; at < end; at = (at | (q->cluster_size - 1)) + 1) {
        uint64_t index = qcow2_l2_index(q, at);
        Qcow2Entry a = older ? qcow2_entry_get(q, older, index) : (Qcow2Entry){0};
        Qcow2Entry b = newer ? qcow2_entry_get(q, newer, index) : (Qcow2Entry){0};

        if (same_word(a.word, b.word, in_use) && a.bitmap == b.bitmap)
            continue;
        if (!cst_changed_add(changed, at & ~(q->cluster_size - 1), q->cluster_size))
            return FALSE;
    }
    return TRUE;
}

/* Adds the differences between @since and @until. Sets *ret_full when @changed has no more room. */
static gboolean sides_compare(Qcow2 *q, const Side *since, const Side *until, CstTask *task,
                              CstChanged *changed, gboolean *ret_full, GError **error)
{
    uint64_t span = qcow2_l1_span(&q->header), end = MIN(since->capacity, until->capacity);
    gboolean in_use = !until->l1;

    for (uint64_t at = changed->offset; at < end; at = (at / span + 1) * span) {
        uint64_t index = at / span;
        const uint8_t *older, *newer;

        if (same_word(l1_entry(q, since, index), l1_entry(q, until, index), in_use))
            continue;
        if (!cst_task_check(task, error) || !read_table(q, since, index, &older, error) ||
            !read_table(q, until, index, &newer, error))
            return FALSE;
        if (!compare_tables(q, older, newer, in_use, at, MIN(end, (index + 1) * span), changed)) {
            *ret_full = TRUE;
            return TRUE;
        }
    }
    return TRUE;
}

/* Identifies the snapshot. Time and clock distinguish it from a deleted snapshot with the same
 * id. */
static char *snapshot_identity(const Qcow2 *q, const Qcow2Snapshot *snapshot)
{
    if (q->header.backing_offset != 0)
        return NULL; /* content of the backing image is not the snapshot's */
    return g_strdup_printf("%s %" G_GUINT32_FORMAT ".%09" G_GUINT32_FORMAT " %" G_GUINT64_FORMAT
                           " %" G_GUINT64_FORMAT,
                           snapshot->id, snapshot->seconds, snapshot->nanoseconds, snapshot->clock,
                           snapshot->l1_offset);
}

static gboolean changed_fill(Qcow2 *q, const Qcow2Snapshot *since, const Qcow2Snapshot *until,
                             CstTask *task, CstChanged *changed, GError **error)
{
    g_auto(Side) older = {0}, newer = {0};
    gboolean full = FALSE;

    if (!open_side(q, since, &older, error) || !open_side(q, until, &newer, error))
        return FALSE;
    cst_changed_begin(changed, newer.capacity, snapshot_identity(q, since));
    if (!sides_compare(q, &older, &newer, task, changed, &full, error))
        return FALSE;
    if (!full)
        cst_changed_end(changed, older.capacity);
    return TRUE;
}

gboolean qcow2_snapshot_changed(CstImage *image, const char *since, const char *until,
                                CstTask *task, CstChanged *changed, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    g_autoptr(GArray) snapshots = NULL;
    const Qcow2Snapshot *older, *newer = NULL;
    gboolean ok;

    if (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' keeps its data in an external file and can't have snapshots"),
                        q->blocks.blob->name);
    g_mutex_lock(&q->blocks.lock);
    snapshots = qcow2_snapshots_read(q, NULL, error);
    older = snapshots ? qcow2_snapshot_find(q, snapshots, since, error) : NULL;
    if (older && until)
        newer = qcow2_snapshot_find(q, snapshots, until, error);
    ok = older && (newer || !until) && changed_fill(q, older, newer, task, changed, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok;
}
