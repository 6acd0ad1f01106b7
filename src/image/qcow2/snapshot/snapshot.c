/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Internal snapshots: create, revert, delete, rename, list, and opening the disk at a snapshot.
 *
 * Snapshots share clusters with the active image and with each other. The refcount of a cluster is
 * the number of L1 tables that reach it. Only tables in use have COPIED flags, for clusters with a
 * single reference. Each change claims all guest clusters and is one switch (switch.h). Tables
 * whose flags change are copied and not changed in place, because the old image must stay valid
 * until the header is written. Reverting is the exception: it clears COPIED flags of the snapshot's
 * tables in place, because the old image does not use them.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "qcow2/bitmap/bitmapdir.h"
#include "qcow2/qcow2.h"
#include "snaptable.h"
#include "switch.h"

/* The state of a change of the snapshots. */
typedef struct {
    Qcow2 *q;
    Qcow2Switch change;
    GArray *snapshots; /* Qcow2Snapshot */
    uint64_t table_bytes;
    uint64_t *l1; /* copy of the L1 table in use, to be changed */
    uint32_t l1_size;
    gboolean l1_changed;
    const char *new_name; /* for a rename */
} Job;

static gboolean is_supported(const Qcow2 *q, GError **error)
{
    return !(q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE) ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("'%s' keeps its data in an external file and can't have snapshots"),
                    q->blocks.blob->name);
}

/* --- listing ------------------------------------------------------------------------------- */

static void free_public(void *snapshot)
{
    cst_image_snapshot_free(snapshot);
}

GPtrArray *qcow2_snapshot_list(CstImage *image, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    g_autoptr(GArray) snapshots = NULL;
    GPtrArray *list;

    g_mutex_lock(&q->blocks.lock);
    snapshots = qcow2_snapshots_read_list(q, error);
    g_mutex_unlock(&q->blocks.lock);
    if (!snapshots)
        return NULL;
    list = g_ptr_array_new_with_free_func(free_public);
    for (guint i = 0; i < snapshots->len; i++) {
        const Qcow2Snapshot *from = &g_array_index(snapshots, Qcow2Snapshot, i);
        CstImageSnapshot *to = g_new0(CstImageSnapshot, 1);

        to->id = g_strdup(from->id);
        to->name = g_strdup(from->name);
        to->seconds = from->seconds;
        to->nanoseconds = from->nanoseconds;
        to->clock = from->clock;
        to->state_size = from->state_size;
        to->capacity = from->disk_size;
        to->has_icount = qcow2_snapshot_icount(from, &to->icount);
        g_ptr_array_add(list, to);
    }
    return list;
}

static Qcow2Snapshot *find_by(GArray *snapshots, const char *text, size_t field)
{
    for (guint i = 0; i < snapshots->len; i++) {
        Qcow2Snapshot *snapshot = &g_array_index(snapshots, Qcow2Snapshot, i);

        if (strcmp(G_STRUCT_MEMBER(char *, snapshot, field), text) == 0)
            return snapshot;
    }
    return NULL;
}

Qcow2Snapshot *qcow2_snapshot_find(const Qcow2 *q, GArray *snapshots, const char *name,
                                   GError **error)
{
    Qcow2Snapshot *found = find_by(snapshots, name, G_STRUCT_OFFSET(Qcow2Snapshot, name));

    if (!found)
        found = find_by(snapshots, name, G_STRUCT_OFFSET(Qcow2Snapshot, id));
    if (!found)
        cst_fail(error, CST_ERROR_NOT_FOUND, _("'%s' has no snapshot '%s'"), q->blocks.blob->name,
                 name);
    return found;
}

static Qcow2Snapshot *snapshot_find(const Job *job, const char *name, GError **error)
{
    return qcow2_snapshot_find(job->q, job->snapshots, name, error);
}

static gboolean name_is_free(const Job *job, const char *name, GError **error)
{
    return !find_by(job->snapshots, name, G_STRUCT_OFFSET(Qcow2Snapshot, name)) ||
           cst_fail(error, CST_ERROR_EXISTS, _("'%s' has a snapshot '%s' already"),
                    job->q->blocks.blob->name, name);
}

/* --- common parts of all changes ----------------------------------------------------------- */

static gboolean snapshot_job_begin(Job *job, Qcow2 *q, CstTask *task, GError **error)
{
    memset(job, 0, sizeof(*job));
    job->q = q;
    if (!qcow2_switch_begin(&job->change, q, task, error))
        return FALSE;
    job->snapshots = qcow2_snapshots_read(q, &job->table_bytes, error);
    if (!job->snapshots)
        return FALSE;
    job->l1_size = q->header.l1_size;
    job->l1 = cst_memdup(q->l1, job->l1_size * sizeof(*job->l1), q->blocks.blob->name, error);
    return job->l1 != NULL;
}

static void snapshot_job_end(Job *job)
{
    qcow2_switch_clear(&job->change);
    g_clear_pointer(&job->snapshots, g_array_unref);
    g_free(job->l1);
}

static gboolean put_snapshots(Job *job, GError **error)
{
    return qcow2_switch_put_snapshots(&job->change, job->snapshots, job->table_bytes, error);
}

static uint64_t l1_bytes(uint32_t entries)
{
    return entries * UINT64_C(8);
}

/* Returns the entry with the COPIED flag that its refcount demands. */
static uint64_t entry_with_copied_flag(const Job *job, uint64_t word, gboolean shared)
{
    uint64_t host = word & QCOW2_OFFSET_MASK;

    if ((word & QCOW2_COMPRESSED) || host == 0)
        return word;
    if (!shared && qcow2_switch_count(&job->change, host >> job->q->cluster_bits) == 1)
        return word | QCOW2_COPIED;
    return word & ~QCOW2_COPIED;
}

/* Corrects the flags in @table. Returns FALSE when all were right. */
static gboolean set_flags(const Job *job, uint8_t *table, gboolean shared)
{
    gboolean changed = FALSE;

    for (uint8_t *at = table; at < table + job->q->cluster_size; at += job->q->entry_size) {
        uint64_t word = cst_be64(at), wanted = entry_with_copied_flag(job, word, shared);

        if (wanted == word)
            continue;
        cst_put_be64(at, wanted);
        changed = TRUE;
    }
    return changed;
}

/*
 * Corrects the flags of the L1 entry at @index and of its table, for the counts after the commit. A
 * table that must change is copied. With @taken_over a snapshot keeps the old table, else the copy
 * replaces it.
 */
static gboolean renew_table(Job *job, uint32_t index, gboolean taken_over, uint8_t *buf,
                            GError **error)
{
    uint64_t place = job->l1[index] & QCOW2_OFFSET_MASK, wanted;
    unsigned bits = job->q->cluster_bits;

    if (place == 0)
        return TRUE;
    if (!cst_task_check(job->change.task, error) ||
        !cst_blob_pread(job->q->blocks.blob, buf, job->q->cluster_size, place, error))
        return FALSE;
    if (set_flags(job, buf, taken_over)) {
        if (taken_over)
            qcow2_counts_subtract(&job->change.plus, place >> bits, 1);
        else if (!qcow2_switch_drop(&job->change, place, 1, error))
            return FALSE;
        if (!qcow2_switch_put(&job->change, buf, job->q->cluster_size, &place, error))
            return FALSE;
    }
    wanted = place;
    if (qcow2_switch_count(&job->change, place >> bits) == 1)
        wanted |= QCOW2_COPIED;
    job->l1_changed = job->l1_changed || wanted != job->l1[index];
    job->l1[index] = wanted;
    return TRUE;
}

static gboolean renew_tables(Job *job, gboolean taken_over, GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(job->q->cluster_size, 1, job->q->blocks.blob->name, error);

    if (!buf)
        return FALSE;
    for (uint32_t i = 0; i < job->l1_size; i++)
        if (!renew_table(job, i, taken_over, buf, error))
            return FALSE;
    return TRUE;
}

/* --- creating ------------------------------------------------------------------------------ */

/* Returns an id that is one more than the largest numeric id. */
static char *new_id(const GArray *snapshots)
{
    uint64_t most = 0;

    for (guint i = 0; i < snapshots->len; i++) {
        uint64_t id = 0;

        if (g_ascii_string_to_unsigned(g_array_index(snapshots, Qcow2Snapshot, i).id, 10, 0,
                                       G_MAXUINT64 - 1, &id, NULL))
            most = MAX(most, id);
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, most + 1);
}

static void snapshot_append(Job *job, const char *name)
{
    const Qcow2Header *header = &job->q->header;
    gint64 now = g_get_real_time();
    Qcow2Snapshot snapshot = {
        .l1_offset = header->l1_offset,
        .l1_size = header->l1_size,
        .seconds = (uint32_t)(now / G_USEC_PER_SEC),
        .nanoseconds = (uint32_t)(now % G_USEC_PER_SEC) * 1000,
        .disk_size = header->size,
        /* As in qemu-img: both sizes, and a count of zero instructions. */
        .extra = g_malloc0(QCOW2_SNAPSHOT_EXTRA),
        .extra_size = QCOW2_SNAPSHOT_EXTRA,
        .id = new_id(job->snapshots),
        .name = g_strdup(name),
    };

    g_array_append_val(job->snapshots, snapshot);
}

/* The snapshot adopts the L1 table. Each cluster that the table reaches gets one more reference. */
static gboolean snapshot_create(Job *job, const char *name, GError **error)
{
    const Qcow2Header *header = &job->q->header;
    uint64_t clusters = cst_div_up(l1_bytes(header->l1_size), job->q->cluster_size);

    if (!name_is_free(job, name, error) ||
        !qcow2_switch_add(&job->change, header->l1_offset, header->l1_size, &job->change.plus,
                          error))
        return FALSE;
    for (uint64_t i = 0; i < clusters; i++)
        qcow2_counts_subtract(&job->change.plus, (header->l1_offset >> job->q->cluster_bits) + i,
                              1);
    snapshot_append(job, name);
    return renew_tables(job, TRUE, error) &&
           qcow2_switch_put_l1(&job->change, job->l1, job->l1_size, error) &&
           put_snapshots(job, error) && qcow2_switch_commit(&job->change, error);
}

/* --- reverting ----------------------------------------------------------------------------- */

/*
 * Clears the COPIED flags in the tables of the snapshot. The flags in a snapshot's tables may be
 * wrong. After the revert the tables are in use, and all their clusters have at least two
 * references. For the same reason, tables that the snapshot shares with the active image have no
 * flags. Therefore no flag that the old image uses is changed in place.
 */
static gboolean clear_flags(Job *job, GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(job->q->cluster_size, 1, job->q->blocks.blob->name, error);

    if (!buf)
        return FALSE;
    for (uint32_t i = 0; i < job->l1_size; i++) {
        uint64_t place = job->l1[i] & QCOW2_OFFSET_MASK;

        job->l1[i] = place;
        if (place == 0)
            continue;
        if (!cst_task_check(job->change.task, error) ||
            !cst_blob_pread(job->q->blocks.blob, buf, job->q->cluster_size, place, error))
            return FALSE;
        if (set_flags(job, buf, TRUE) &&
            !cst_blob_pwrite(job->q->blocks.blob, buf, job->q->cluster_size, place, error))
            return FALSE;
    }
    return TRUE;
}

uint64_t *qcow2_snapshot_l1(Qcow2 *q, const Qcow2Snapshot *snapshot, uint32_t *ret_size,
                            GError **error)
{
    uint64_t needed = MAX(cst_div_up(snapshot->disk_size, qcow2_l1_span(&q->header)), 1);
    g_autofree uint8_t *raw = NULL;
    uint64_t *l1;

    if (needed > QCOW2_MAX_L1_BYTES / 8 || snapshot->l1_size > QCOW2_MAX_L1_BYTES / 8 ||
        snapshot->disk_size > G_MAXINT64) {
        qcow2_corrupt(q, error, _("a snapshot's size is out of range"));
        return NULL;
    }
    raw = cst_alloc(l1_bytes(snapshot->l1_size), 1, q->blocks.blob->name, error);
    if (!raw || !cst_blob_pread(q->blocks.blob, raw, l1_bytes(snapshot->l1_size),
                                snapshot->l1_offset, error))
        return NULL;
    *ret_size = (uint32_t)MAX(needed, snapshot->l1_size);
    l1 = cst_alloc0(*ret_size, sizeof(*l1), q->blocks.blob->name, error);
    if (!l1)
        return NULL;
    for (uint32_t i = 0; i < snapshot->l1_size; i++)
        l1[i] = cst_be64(raw + l1_bytes(i));
    return l1;
}

static gboolean load_l1(Job *job, const Qcow2Snapshot *snapshot, GError **error)
{
    uint64_t *l1 = qcow2_snapshot_l1(job->q, snapshot, &job->l1_size, error);

    if (!l1)
        return FALSE;
    g_free(job->l1);
    job->l1 = l1;
    return TRUE;
}

/*
 * Marks bitmaps as in use: enabled ones, because they do not record the bytes that a revert
 * changes, and all if the disk gets another size. They are marked before the switch, because a
 * bitmap that is invalidated too early does no harm.
 */
static gboolean outdate_bitmaps(Qcow2 *q, uint64_t size, GError **error)
{
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_bitmaps_outdate(q, size != q->header.size, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok;
}

static gboolean snapshot_revert(Job *job, const char *name, GError **error)
{
    const Qcow2Header *header = &job->q->header;
    const Qcow2Snapshot *snapshot = snapshot_find(job, name, error);
    Qcow2Switch *change = &job->change;
    uint64_t clusters;

    if (!snapshot ||
        !qcow2_switch_add(change, header->l1_offset, header->l1_size, &change->minus, error) ||
        !qcow2_switch_add(change, snapshot->l1_offset, snapshot->l1_size, &change->plus, error))
        return FALSE;
    clusters = cst_div_up(l1_bytes(snapshot->l1_size), job->q->cluster_size);
    for (uint64_t i = 0; i < clusters; i++)
        qcow2_counts_subtract(&change->plus, (snapshot->l1_offset >> job->q->cluster_bits) + i, 1);
    change->header.size = snapshot->disk_size;
    return load_l1(job, snapshot, error) && clear_flags(job, error) &&
           qcow2_switch_put_l1(change, job->l1, job->l1_size, error) &&
           outdate_bitmaps(job->q, snapshot->disk_size, error) &&
           qcow2_switch_commit(change, error);
}

/* --- deleting ------------------------------------------------------------------------------ */

static gboolean snapshot_delete(Job *job, const char *name, GError **error)
{
    const Qcow2Header *header = &job->q->header;
    const Qcow2Snapshot *snapshot = snapshot_find(job, name, error);
    Qcow2Switch *change = &job->change;

    if (!snapshot || !qcow2_switch_add(change, header->l1_offset, header->l1_size, NULL, error) ||
        !qcow2_switch_add(change, snapshot->l1_offset, snapshot->l1_size, &change->minus, error))
        return FALSE;
    g_array_remove_index(job->snapshots,
                         (guint)(snapshot - &g_array_index(job->snapshots, Qcow2Snapshot, 0)));
    if (!renew_tables(job, FALSE, error))
        return FALSE;
    if (job->l1_changed &&
        (!qcow2_switch_drop(change, header->l1_offset, l1_bytes(header->l1_size), error) ||
         !qcow2_switch_put_l1(change, job->l1, job->l1_size, error)))
        return FALSE;
    return put_snapshots(job, error) && qcow2_switch_commit(change, error);
}

/* --- renaming ------------------------------------------------------------------------------ */

static gboolean rename_one(Job *job, const char *name, GError **error)
{
    Qcow2Snapshot *snapshot = snapshot_find(job, name, error);

    if (!snapshot || !name_is_free(job, job->new_name, error))
        return FALSE;
    g_free(snapshot->name);
    snapshot->name = g_strdup(job->new_name);
    return put_snapshots(job, error) && qcow2_switch_commit(&job->change, error);
}

/* --- showing a snapshot --------------------------------------------------------------------- */

gboolean qcow2_snapshot_show(Qcow2 *q, const char *name, GError **error)
{
    g_autoptr(GArray) snapshots = qcow2_snapshots_read(q, NULL, error);
    const Qcow2Snapshot *snapshot =
        snapshots ? qcow2_snapshot_find(q, snapshots, name, error) : NULL;
    uint32_t size = 0;
    uint64_t *l1 = snapshot ? qcow2_snapshot_l1(q, snapshot, &size, error) : NULL;

    if (!l1)
        return FALSE;
    g_free(q->l1);
    q->l1 = l1;
    q->header.l1_size = size;
    q->header.l1_offset = snapshot->l1_offset;
    q->header.size = q->blocks.image.capacity = snapshot->disk_size;
    return TRUE;
}

/* --- callbacks ------------------------------------------------------------------------------ */

static gboolean snapshot_job_run(CstImage *image, const char *name, const char *new_name,
                                 CstTask *task,
                                 gboolean (*what)(Job *job, const char *name, GError **error),
                                 GError **error)
{
    Qcow2 *q = qcow2_of(image);
    CstBlockClaim claim;
    gboolean ok;
    Job job;

    if (!is_supported(q, error))
        return FALSE;
    qcow2_claim(q, &claim, 0, UINT64_MAX);
    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_begin_changing(q, error);
    g_mutex_unlock(&q->blocks.lock);
    if (ok) {
        ok = snapshot_job_begin(&job, q, task, error);
        job.new_name = new_name;
        ok = ok && what(&job, name, error);
        snapshot_job_end(&job);
    }
    qcow2_release(q, &claim);
    return ok;
}

gboolean qcow2_snapshot_create(CstImage *image, const char *name, CstTask *task, GError **error)
{
    return snapshot_job_run(image, name, NULL, task, snapshot_create, error);
}

gboolean qcow2_snapshot_revert(CstImage *image, const char *name, CstTask *task, GError **error)
{
    return snapshot_job_run(image, name, NULL, task, snapshot_revert, error);
}

gboolean qcow2_snapshot_delete(CstImage *image, const char *name, CstTask *task, GError **error)
{
    return snapshot_job_run(image, name, NULL, task, snapshot_delete, error);
}

gboolean qcow2_snapshot_rename(CstImage *image, const char *name, const char *new_name,
                               GError **error)
{
    return snapshot_job_run(image, name, new_name, NULL, rename_one, error);
}
