/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes the guest's bytes in steps, each over a run of clusters of one L2 table. A step is planned
 * under the lock, written without it, and committed to the L2 entries under it. The plan chooses
 * the offsets in the file. The caller's claim excludes other writers of its guest clusters between
 * these phases.
 *
 * If a cluster is newly allocated, the bytes around the written ones are filled with the content
 * that the guest sees there. The unit of filling is a subcluster if the rest of the cluster stays
 * unchanged, and the cluster if data has to move. Old clusters are given up with the commit. Until
 * the L2 table is synced, the disk refers to their unchanged content.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/units.h>

#include "qcow2/qcow2.h"
#include "qcow2/state.h"

#define BOUNCE_MAX (1 * CST_MIB) /* larger pieces are written directly from the caller's buffer */

typedef struct {
    uint64_t offset;   /* of the guest */
    uint64_t length;   /* of the step */
    uint64_t host;     /* offset in the file for the bytes at offset */
    uint64_t unit;     /* of filling; 0: the bytes are written in place, without a commit */
    uint64_t clusters; /* newly allocated from the cluster of host on; 0: the old cluster is kept */
    gboolean fresh;    /* the new clusters and the bytes around the written ones read as zeroes */
} Step;

void qcow2_claim(Qcow2 *q, CstBlockClaim *claim, uint64_t offset, uint64_t length)
{
    claim->first = offset >> q->cluster_bits;
    claim->last = (offset + length - 1) >> q->cluster_bits;
    g_mutex_lock(&q->blocks.lock);
    cst_blocks_claim(&q->blocks, claim);
    g_mutex_unlock(&q->blocks.lock);
}

void qcow2_release(Qcow2 *q, CstBlockClaim *claim)
{
    g_mutex_lock(&q->blocks.lock);
    cst_blocks_release(&q->blocks, claim);
    g_mutex_unlock(&q->blocks.lock);
}

/* Returns whether each touched subcluster of a cluster holds data and the cluster has no other
 * user. */
static gboolean is_in_place(const Qcow2 *q, const Qcow2Entry *entry, uint64_t inside,
                            uint64_t length)
{
    unsigned first = (unsigned)(inside >> q->sub_bits);
    unsigned last = (unsigned)((inside + length - 1) >> q->sub_bits);

    if (!(entry->word & QCOW2_COPIED))
        return FALSE;
    for (unsigned sub = first; sub <= last; sub++)
        if (qcow2_entry_kind(q, entry, sub) != QCOW2_DATA)
            return FALSE;
    return TRUE;
}

static gboolean has_data(const Qcow2 *q, const Qcow2Entry *entry)
{
    for (unsigned sub = 0; sub < q->sub_count; sub++) {
        Qcow2Kind kind = qcow2_entry_kind(q, entry, sub);

        if (kind == QCOW2_DATA || kind == QCOW2_PACKED)
            return TRUE;
    }
    return FALSE;
}

/** The source of the bytes of a write. */
typedef struct {
    const uint8_t *buf; /* NULL: share the bytes of the blob */
    CstBlob *blob;
    uint64_t at; /* in the blob */
} Source;

static uint64_t cluster_piece(const Qcow2 *q, uint64_t offset, uint64_t length)
{
    return MIN(length, q->cluster_size - (offset & (q->cluster_size - 1)));
}

/* Plans a write in place, over as many clusters as are adjacent in the file. */
static void plan_in_place(Qcow2 *q, const uint8_t *table, uint64_t end, Step *step)
{
    Qcow2Entry entry = qcow2_entry_get(q, table, qcow2_l2_index(q, step->offset));
    uint64_t at = step->offset + cluster_piece(q, step->offset, end - step->offset);

    step->host = qcow2_entry_host(&entry) + (step->offset & (q->cluster_size - 1));
    while (at < end) {
        uint64_t length = cluster_piece(q, at, end - at);

        entry = qcow2_entry_get(q, table, qcow2_l2_index(q, at));
        if (!is_in_place(q, &entry, 0, length) ||
            qcow2_entry_host(&entry) != step->host + (at - step->offset))
            break;
        at += length;
    }
    step->length = at - step->offset;
    step->unit = step->clusters = 0;
}

/* Returns whether the bytes that a filling would copy are known to be zero without reading them. */
static gboolean surroundings_are_zero(const Qcow2 *q, const Qcow2Entry *entry, uint64_t offset)
{
    uint64_t start = offset & ~(q->cluster_size - 1);

    if (has_data(q, entry))
        return FALSE;
    if (!qcow2_backing_shows(q, start))
        return TRUE;
    for (unsigned sub = 0; sub < q->sub_count; sub++)
        if (qcow2_entry_kind(q, entry, sub) != QCOW2_ZERO)
            return FALSE;
    return TRUE;
}

/* Plans a write to new clusters. Covers adjacent entries of this table that need a cluster, as far
 * as free clusters are contiguous. */
static gboolean plan_new(Qcow2 *q, const uint8_t *table, uint64_t end, Step *step, GError **error)
{
    uint64_t start = step->offset & ~(q->cluster_size - 1), at = start, cluster = 0, size = 0;
    Qcow2Entry first = qcow2_entry_get(q, table, qcow2_l2_index(q, start)), last = first;
    uint64_t wanted = 0;

    while (at < end) {
        Qcow2Entry entry = qcow2_entry_get(q, table, qcow2_l2_index(q, at));

        if (at != start && (entry.word & QCOW2_COPIED))
            break;
        if (has_data(q, &entry) != has_data(q, &first)) /* it needs another unit of filling */
            break;
        last = entry;
        at += q->cluster_size;
        wanted++;
    }
    step->fresh = surroundings_are_zero(q, &first, start) &&
                  surroundings_are_zero(q, &last, at - q->cluster_size);
    /* Get the size before the clusters are allocated, so that a failure needs no undo. */
    if (!cst_blob_get_size(q->blocks.data, &size, error))
        return FALSE;
    if (q->data) { /* a cluster has the same offset in the data file and in the disk */
        cluster = start >> q->cluster_bits;
        step->clusters = wanted;
    } else if (!qcow2_alloc(q, wanted, &cluster, &step->clusters, error)) {
        return FALSE;
    }
    step->host = (cluster << q->cluster_bits) + (step->offset - start);
    step->length = MIN(end, start + (step->clusters << q->cluster_bits)) - step->offset;
    step->unit = has_data(q, &first) ? q->cluster_size : UINT64_C(1) << q->sub_bits;
    step->fresh = step->fresh && cluster << q->cluster_bits >= size;
    return TRUE;
}

static gboolean check_entries(Qcow2 *q, const uint8_t *table, uint64_t offset, uint64_t end,
                              GError **error)
{
    for (uint64_t at = offset; at < end; at += cluster_piece(q, at, end - at)) {
        Qcow2Entry entry = qcow2_entry_get(q, table, qcow2_l2_index(q, at));

        for (unsigned sub = 0; sub < q->sub_count; sub++)
            if (qcow2_entry_kind(q, &entry, sub) == QCOW2_BAD)
                return qcow2_corrupt(q, error, _("an L2 entry is damaged"));
    }
    return TRUE;
}

/* Lock held. Plans one step; step->length is at most @length. */
static gboolean plan_step(Qcow2 *q, uint64_t offset, uint64_t length, Step *step, GError **error)
{
    unsigned shift = q->cluster_bits + q->l2_bits;
    uint64_t end = MIN(offset + length, ((offset >> shift) + 1) << shift), first;
    const CstPage *page;
    const uint8_t *table;
    Qcow2Entry entry;

    if (!qcow2_begin_writing(q, error))
        return FALSE;
    page = qcow2_l2_for_write(q, offset, error);
    if (!page || !check_entries(q, page->data, offset, end, error))
        return FALSE;
    table = page->data;
    *step = (Step){.offset = offset};
    entry = qcow2_entry_get(q, table, qcow2_l2_index(q, offset));
    first = cluster_piece(q, offset, end - offset);
    if (is_in_place(q, &entry, offset & (q->cluster_size - 1), first)) {
        plan_in_place(q, table, end, step);
        return TRUE;
    }
    if ((entry.word & QCOW2_COPIED) && qcow2_entry_host(&entry)) {
        /* the cluster is allocated, but not all of its content is valid: fill around the written
         * bytes */
        step->host = qcow2_entry_host(&entry) + (offset & (q->cluster_size - 1));
        step->length = first;
        step->unit = UINT64_C(1) << q->sub_bits;
        return TRUE;
    }
    return plan_new(q, table, end, step, error);
}

/* Reads the content that the guest sees around the written bytes. Bytes past the end of the image
 * are zero. */
static gboolean read_around(Qcow2 *q, uint8_t *buf, uint64_t length, uint64_t offset,
                            GError **error)
{
    uint64_t there =
        offset < q->blocks.image.capacity ? MIN(length, q->blocks.image.capacity - offset) : 0;

    memset(buf + there, 0, length - there);
    return there == 0 || qcow2_pread(&q->blocks.image, buf, there, offset, error);
}

static gboolean write_filled(Qcow2 *q, const Step *step, const uint8_t *buf, uint64_t before,
                             uint64_t after, GError **error)
{
    uint64_t middle = step->length <= BOUNCE_MAX ? step->length : 0;
    uint64_t whole = before + middle + after;
    g_autofree uint8_t *bounce = cst_alloc(whole, 1, q->blocks.data->name, error);
    uint8_t *tail;

    if (!bounce)
        return FALSE;
    tail = bounce + before + middle;
    if (!read_around(q, bounce, before, step->offset - before, error) ||
        !read_around(q, tail, after, step->offset + step->length, error))
        return FALSE;
    if (middle) {
        memcpy(bounce + before, buf, middle);
        return cst_blob_pwrite(q->blocks.data, bounce, before + middle + after, step->host - before,
                               error);
    }
    return cst_blob_pwrite(q->blocks.data, bounce, before, step->host - before, error) &&
           cst_blob_pwrite(q->blocks.data, buf, step->length, step->host, error) &&
           cst_blob_pwrite(q->blocks.data, tail, after, step->host + step->length, error);
}

static gboolean write_step(Qcow2 *q, const Step *step, const Source *from, GError **error)
{
    uint64_t before = 0, after = 0;

    if (!from->buf)
        return cst_blob_share(from->blob, from->at, q->blocks.blob, step->host, step->length,
                              error);
    if (step->unit > 0 && !step->fresh) {
        before = step->offset & (step->unit - 1);
        after = -(step->offset + step->length) & (step->unit - 1);
        if (q->data) /* the data file is not longer than the disk */
            after = MIN(after, q->blocks.image.capacity - step->offset - step->length);
    }
    if (before + after > 0)
        return write_filled(q, step, from->buf, before, after, error);
    return cst_blob_pwrite(q->blocks.data, from->buf, step->length, step->host, error);
}

/* Returns the bits of the subclusters that a step has written in the cluster at @start. */
static uint64_t written_subs(const Qcow2 *q, const Step *step, uint64_t start)
{
    uint64_t from = MAX(step->offset, start),
             to = MIN(step->offset + step->length, start + q->cluster_size);
    unsigned first = (unsigned)((from - start) >> q->sub_bits);
    unsigned last = (unsigned)((to - start - 1) >> q->sub_bits);

    if (step->unit == q->cluster_size)
        return G_MAXUINT32;
    return (G_MAXUINT32 >> (31 - last)) & (uint64_t)(G_MAXUINT32 << first);
}

/* Lock held. Frees the clusters of a step that was not committed. */
static void undo_step(Qcow2 *q, const Step *step)
{
    if (step->clusters > 0 && !q->data)
        qcow2_alloc_undo(q, step->host >> q->cluster_bits, step->clusters);
}

/* Lock held. */
static gboolean commit_step(Qcow2 *q, const Step *step, GError **error)
{
    uint64_t start = step->offset & ~(q->cluster_size - 1);
    uint64_t host = step->host - (step->offset - start);
    CstPage *table = qcow2_l2_for_write(q, step->offset, error);

    if (!table) {
        undo_step(q, step);
        return FALSE;
    }
    for (uint64_t at = start; at < step->offset + step->length; at += q->cluster_size) {
        Qcow2Entry old = qcow2_entry_get(q, table->data, qcow2_l2_index(q, at)), entry = {0, 0};

        entry.word = (host + (at - start)) | QCOW2_COPIED;
        if (q->sub_count > 1) {
            uint64_t subs = written_subs(q, step, at);

            entry.bitmap = (old.word & QCOW2_COMPRESSED ? 0 : old.bitmap) | subs;
            entry.bitmap &= ~(subs << 32);
        }
        if (!qcow2_entry_put(q, table, qcow2_l2_index(q, at), entry, error))
            return FALSE;
        if (step->clusters > 0)
            qcow2_entry_give_up(q, &old);
    }
    return qcow2_relieve(q, error);
}

static gboolean do_step(Qcow2 *q, const Source *from, uint64_t length, uint64_t offset,
                        uint64_t *ret_done, GError **error)
{
    Step step;
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    ok = plan_step(q, offset, length, &step, error);
    g_mutex_unlock(&q->blocks.lock);
    if (!ok)
        return FALSE;
    ok = write_step(q, &step, from, error);
    CST_TEST_POINT("qcow2.step.written");
    if (step.unit > 0) {
        g_mutex_lock(&q->blocks.lock);
        if (ok)
            ok = commit_step(q, &step, error);
        else
            undo_step(q, &step);
        g_mutex_unlock(&q->blocks.lock);
    }
    *ret_done = step.length;
    return ok;
}

static gboolean write_from(Qcow2 *q, Source from, uint64_t len, uint64_t offset, GError **error)
{
    while (len > 0) {
        uint64_t done = 0;

        if (!do_step(q, &from, len, offset, &done, error))
            return FALSE;
        if (from.buf)
            from.buf += done;
        from.at += done;
        offset += done;
        len -= done;
    }
    return TRUE;
}

gboolean qcow2_write_claimed(Qcow2 *q, const uint8_t *buf, uint64_t len, uint64_t offset,
                             GError **error)
{
    return write_from(q, (Source){.buf = buf}, len, offset, error);
}

/* Returns the cluster size if the file can share extents of that size; 0: the image cannot
 * share. */
uint64_t qcow2_share_unit(CstImage *image)
{
    const Qcow2 *q = qcow2_of(image);
    uint64_t unit = cst_blob_share_unit(q->blocks.blob);

    if (q->header.crypt != QCOW2_CRYPT_NONE ||
        (q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE) || q->cluster_size < unit)
        return 0;
    return unit > 0 ? q->cluster_size : 0;
}

gboolean qcow2_take_shared(CstImage *image, uint64_t offset, CstBlob *src, uint64_t src_offset,
                           uint64_t length, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    CstBlockClaim claim;
    gboolean ok;

    qcow2_claim(q, &claim, offset, length);
    ok = write_from(q, (Source){NULL, src, src_offset}, length, offset, error);
    qcow2_release(q, &claim);
    return ok;
}

gboolean qcow2_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    CstBlockClaim claim;
    gboolean ok;

    if (!qcow2_check_content(q, error))
        return FALSE;
    qcow2_claim(q, &claim, offset, len);
    ok = qcow2_write_claimed(q, buf, len, offset, error);
    qcow2_release(q, &claim);
    return ok;
}
