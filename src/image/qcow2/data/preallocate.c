/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Allocates clusters in the file without changing the content that the guest reads.
 *
 * Each step handles a run of unallocated clusters of one L2 table. Under the lock it allocates
 * them, makes the file read as zeroes there, and enters their offsets into the table. Then, without
 * the lock, it reserves their space in the file system. A cluster that shows the backing image is
 * allocated only with extended L2 entries, because such an entry can have an offset and still show
 * the backing image.
 */
#include "qcow2/state.h"
#include "space.h"

/*
 * Zeroes a range of the file. Extends the file for bytes past its end, which then read as zeroes.
 */
static gboolean zero_host(Qcow2 *q, uint64_t host, uint64_t length, GError **error)
{
    CstBlob *blob = q->blocks.data;
    uint64_t size = 0;

    if (q->data) /* the data file is not longer than the disk */
        length = MIN(length, q->blocks.image.capacity - host);
    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (host < size &&
        !cst_blob_zero(blob, host, MIN(length, size - host), CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    return host + length <= size || cst_blob_resize(blob, host + length, error);
}

/* Lock held. Allocates up to @clusters clusters from @offset on, all of one L2 table. */
static gboolean place_clusters(Qcow2 *q, uint64_t offset, uint64_t clusters, uint64_t *ret_host,
                               uint64_t *ret_count, GError **error)
{
    uint64_t first = 0, count = 0;
    CstPage *table = qcow2_l2_for_write(q, offset, error);

    if (!table)
        return FALSE;
    if (q->data) { /* a cluster has the same offset in the data file and in the disk */
        first = offset >> q->cluster_bits;
        count = clusters;
    } else if (!qcow2_alloc(q, clusters, &first, &count, error)) {
        return FALSE;
    }
    if (!zero_host(q, first << q->cluster_bits, count << q->cluster_bits, error)) {
        if (!q->data)
            qcow2_alloc_undo(q, first, count);
        return FALSE;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = offset + (i << q->cluster_bits);
        Qcow2Entry entry = {(first + i) << q->cluster_bits | QCOW2_COPIED, 0};
        Qcow2Entry old = qcow2_entry_get(q, table->data, qcow2_l2_index(q, at));

        entry.word |= old.word; /* zeroes that hide a backing image remain zeroes */
        if (q->sub_count > 1) {
            entry.bitmap = old.bitmap; /* allocated, but the backing image still shows */
            if (!qcow2_backing_shows(q, at) && old.bitmap == 0)
                entry.bitmap = G_MAXUINT32;
        }
        if (!qcow2_entry_put(q, table, qcow2_l2_index(q, at), entry, error))
            return FALSE;
    }
    *ret_host = first << q->cluster_bits;
    *ret_count = count;
    return TRUE;
}

/*
 * Returns whether @entry needs space: it is unallocated, or reads as zeroes without space. The
 * latter is how growing hides a longer backing image. Without subclusters, space would hide the
 * content of the backing image, so such entries remain unallocated.
 */
static gboolean is_placeless(const Qcow2 *q, const Qcow2Entry *entry, uint64_t offset)
{
    if (q->sub_count > 1)
        return entry->word == 0;
    return entry->word == QCOW2_READS_ZERO || (entry->word == 0 && !qcow2_backing_shows(q, offset));
}

/* Lock held. Finds the first run of clusters without space from @offset on, inside one L2 table. */
static gboolean find_placeless(Qcow2 *q, uint64_t offset, uint64_t end, uint64_t *ret_skip,
                               uint64_t *ret_count, GError **error)
{
    unsigned shift = q->cluster_bits + q->l2_bits;
    uint64_t stop = MIN(end, ((offset >> shift) + 1) << shift), at = offset, count = 0;
    const uint8_t *table = NULL;

    if (!qcow2_l2_for_read(q, offset >> shift, &table, error))
        return FALSE;
    *ret_skip = 0;
    for (; at < stop; at += q->cluster_size) {
        Qcow2Entry entry = {0, 0};

        if (table)
            entry = qcow2_entry_get(q, table, qcow2_l2_index(q, at));
        if (is_placeless(q, &entry, at))
            count++;
        else if (count > 0)
            break;
        else
            *ret_skip += q->cluster_size;
    }
    *ret_count = count;
    return TRUE;
}

static gboolean preallocate_step(Qcow2 *q, uint64_t offset, uint64_t end, uint64_t *ret_done,
                                 uint64_t *ret_host, uint64_t *ret_count, GError **error)
{
    uint64_t skip = 0, wanted = 0;
    gboolean ok;

    *ret_count = 0;
    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_begin_writing(q, error) && find_placeless(q, offset, end, &skip, &wanted, error) &&
         (wanted == 0 || place_clusters(q, offset + skip, wanted, ret_host, ret_count, error));
    g_mutex_unlock(&q->blocks.lock);
    *ret_done = MIN(skip + (*ret_count << q->cluster_bits), end - offset);
    return ok;
}

static uint64_t length_in_data_file(const Qcow2 *q, uint64_t host, uint64_t length)
{
    return q->data ? MIN(length, q->blocks.image.capacity - MIN(host, q->blocks.image.capacity))
                   : length;
}

gboolean qcow2_preallocate(Qcow2 *q, uint64_t offset, uint64_t length,
                           CstPreallocation preallocation, CstTask *task, GError **error)
{
    uint64_t end = offset + length;

    offset &= ~(q->cluster_size - 1);
    while (offset < end) {
        uint64_t done = 0, host = 0, count = 0;

        if (!cst_task_check(task, error) ||
            !preallocate_step(q, offset, end, &done, &host, &count, error) ||
            !cst_space_preallocate(q->blocks.data, host,
                                   length_in_data_file(q, host, count << q->cluster_bits),
                                   preallocation, NULL, error))
            return FALSE;
        cst_task_skip(task, done);
        offset += done;
    }
    return TRUE;
}
