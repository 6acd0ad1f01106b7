/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes compressed clusters. They are adjacent, begin at any byte, and may extend into the next
 * host cluster if it follows directly. The refcount of a host cluster is the number of compressed
 * clusters in it.
 *
 * The data is compressed without the lock. Space is reserved and counted under the lock, the data
 * is written without it, and the L2 entry is changed under the lock again. q->packed_at is the
 * offset for the next data. A cluster that does not become smaller is written uncompressed.
 */
#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#include "qcow2/qcow2.h"
#include "qcow2/refcount/refcount.h"
#include "qcow2/state.h"

uint64_t qcow2_packed_unit(CstImage *image)
{
    const Qcow2 *q = qcow2_of(image);

    return q->header.incompatible & QCOW2_INCOMPAT_DATA_FILE ? 0 : q->cluster_size;
}

static uint64_t packed_clusters(const Qcow2 *q, uint64_t host, size_t len)
{
    return ((host + len - 1) >> q->cluster_bits) - (host >> q->cluster_bits) + 1;
}

static void cluster_uncount(Qcow2 *q, uint64_t cluster)
{
    uint64_t count = 0;

    /* a failure leaves a leak; the caller already has an error to report */
    if (qcow2_count_get(q, cluster, &count, NULL) && count > 0)
        qcow2_count_set(q, cluster, count - 1, NULL);
}

/* Lock held. */
static void packed_unplace(Qcow2 *q, uint64_t host, size_t len)
{
    for (uint64_t i = 0; i < packed_clusters(q, host, len); i++)
        cluster_uncount(q, (host >> q->cluster_bits) + i);
    q->packed_at =
        0; /* another writer may have appended data after it; the rest of the cluster is unused */
}

/*
 * Allocates a host cluster and extends the file to its end, because other programs read whole
 * sectors. This is done before the cluster contains data. Later, the extension would race with
 * writers of further compressed data.
 */
static gboolean new_cluster(Qcow2 *q, uint64_t *ret_cluster, GError **error)
{
    uint64_t cluster = 0, got = 0, size = 0, end;

    if (!qcow2_alloc(q, 1, &cluster, &got, error))
        return FALSE;
    end = (cluster + 1) << q->cluster_bits;
    if (!cst_blob_get_size(q->blocks.blob, &size, error) ||
        (size < end && !cst_blob_pwrite(q->blocks.blob, "", 1, end - 1, error))) {
        qcow2_alloc_undo(q, cluster, 1);
        return FALSE;
    }
    *ret_cluster = cluster;
    return TRUE;
}

/* Reserves space after the last compressed data, in the same cluster and perhaps the next.
 * *ret_host is 0 if no space follows it. */
static gboolean place_behind(Qcow2 *q, size_t len, uint64_t *ret_host, GError **error)
{
    uint64_t at = q->packed_at, cluster = at >> q->cluster_bits, next = 0, count = 0;

    *ret_host = 0;
    if (at == 0)
        return TRUE;
    if (!qcow2_count_get(q, cluster, &count, error))
        return FALSE;
    if (count == 0 || count == qcow2_refcount_max(q->header.refcount_order))
        return TRUE;
    if (packed_clusters(q, at, len) > 1) {
        if (!new_cluster(q, &next, error))
            return FALSE;
        if (next != cluster + 1) {
            *ret_host = next << q->cluster_bits;
            return TRUE;
        }
    }
    if (!qcow2_count_set(q, cluster, count + 1, error))
        return FALSE;
    *ret_host = at;
    return TRUE;
}

/* Lock held. Reserves @len bytes and adds one reference to each cluster that they touch. */
static gboolean packed_place(Qcow2 *q, size_t len, uint64_t *ret_host, GError **error)
{
    unsigned limit = MIN(62 - (q->cluster_bits - 8), 56);
    uint64_t host = 0, cluster = 0;

    if (!place_behind(q, len, &host, error))
        return FALSE;
    if (host == 0) {
        if (!new_cluster(q, &cluster, error))
            return FALSE;
        host = cluster << q->cluster_bits;
    }
    if ((host + len - 1) >> limit) {
        packed_unplace(q, host, len);
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is too long for more compressed clusters"),
                        q->blocks.blob->name);
    }
    q->packed_at = (host + len) & (q->cluster_size - 1) ? host + len : 0;
    *ret_host = host;
    return TRUE;
}

/* Lock held. */
static gboolean packed_commit(Qcow2 *q, uint64_t offset, uint64_t host, size_t len, GError **error)
{
    uint64_t index = qcow2_l2_index(q, offset);
    CstPage *table = qcow2_l2_for_write(q, offset, error);
    uint64_t more = ((host & 511) + len - 1) >> 9; /* sectors after the first */
    Qcow2Entry old, entry = {QCOW2_COMPRESSED | host, 0};

    if (!table)
        return FALSE;
    entry.word |= more << (62 - (q->cluster_bits - 8));
    old = qcow2_entry_get(q, table->data, index);
    if (!qcow2_entry_put(q, table, index, entry, error))
        return FALSE;
    qcow2_entry_give_up(q, &old);
    return qcow2_relieve(q, error);
}

/* Refuses to replace a damaged entry, which can't be given up. Lock held. */
static gboolean check_old(Qcow2 *q, uint64_t offset, GError **error)
{
    const CstPage *table = qcow2_l2_for_write(q, offset, error);
    Qcow2Entry entry;

    if (!table)
        return FALSE;
    entry = qcow2_entry_get(q, table->data, qcow2_l2_index(q, offset));
    for (unsigned sub = 0; sub < q->sub_count; sub++)
        if (qcow2_entry_kind(q, &entry, sub) == QCOW2_BAD)
            return qcow2_corrupt(q, error, _("an L2 entry is damaged"));
    return TRUE;
}

static gboolean write_claimed(Qcow2 *q, const uint8_t *packed, size_t len, uint64_t offset,
                              GError **error)
{
    uint64_t host = 0;
    gboolean ok;

    g_mutex_lock(&q->blocks.lock);
    ok = qcow2_begin_writing(q, error) && check_old(q, offset, error) &&
         packed_place(q, len, &host, error);
    g_mutex_unlock(&q->blocks.lock);
    if (!ok)
        return FALSE;
    ok = cst_blob_pwrite(q->blocks.blob, packed, len, host, error);
    g_mutex_lock(&q->blocks.lock);
    if (ok)
        ok = packed_commit(q, offset, host, len, error);
    else
        packed_unplace(q, host, len);
    g_mutex_unlock(&q->blocks.lock);
    return ok;
}

gboolean qcow2_write_packed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                            GError **error)
{
    Qcow2 *q = qcow2_of(image);
    g_autofree uint8_t *packed = NULL, *padded = NULL;
    const uint8_t *cluster = buf;
    CstBlockClaim claim;
    size_t packed_len;
    gboolean ok;

    packed = qcow2_check_content(q, error)
                 ? cst_alloc(q->cluster_size, 1, q->blocks.blob->name, error)
                 : NULL;
    if (!packed)
        return FALSE;
    if (len < q->cluster_size) {
        padded = cst_alloc0(q->cluster_size, 1, q->blocks.blob->name, error);
        if (!padded)
            return FALSE;
        memcpy(padded, buf, len);
        cluster = padded;
    }
    packed_len = qcow2_pack(q, cluster, packed, q->cluster_size - 1);
    qcow2_claim(q, &claim, offset, len);
    ok = packed_len > 0 ? write_claimed(q, packed, packed_len, offset, error)
                        : qcow2_write_claimed(q, buf, len, offset, error);
    qcow2_release(q, &claim);
    return ok;
}
