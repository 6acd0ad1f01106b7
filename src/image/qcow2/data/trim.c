/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Returns free space to the file system. The image is flushed first, so that no table on the disk
 * refers to a free cluster. Then runs of clusters with a refcount of 0 are discarded, with the lock
 * held so that no cluster of a run is allocated concurrently. Finally the file is truncated after
 * its last cluster in use.
 */
#include "qcow2/qcow2.h"

#include "qcow2/state.h"
#include <base/units.h>

uint64_t qcow2_zero_unit(CstImage *image)
{
    return UINT64_C(1) << qcow2_of(image)->sub_bits;
}

/* Lock held. Counts the free clusters from @cluster on, inside one refcount block; 0: @cluster is
 * in use. */
static gboolean count_free(Qcow2 *q, uint64_t cluster, uint64_t end, uint64_t *ret_count,
                           GError **error)
{
    uint64_t index = cluster >> q->block_bits, stop = MIN(end, (index + 1) << q->block_bits);
    uint64_t at = cluster, times = 0;

    if (index >= q->reftable_entries || q->reftable[index] == 0)
        at = stop;
    while (at < stop && times == 0) {
        if (!qcow2_count_get(q, at, &times, error))
            return FALSE;
        at += times == 0;
    }
    *ret_count = at - cluster;
    return TRUE;
}

/* Lock held. */
static gboolean hand_back_free(Qcow2 *q, uint64_t end, CstTask *task, GError **error)
{
    uint64_t at = 0, run = 0;

    while (at < end) {
        uint64_t count = 0;

        if (!cst_task_check(task, error) || !count_free(q, at, end, &count, error))
            return FALSE;
        run += count;
        if (count == 0 && run > 0) {
            qcow2_hand_back(q, at - run, run);
            run = 0;
        }
        at += MAX(count, 1);
    }
    qcow2_hand_back(q, at - run, run);
    return TRUE;
}

gboolean qcow2_trim(CstImage *image, CstTask *task, GError **error)
{
    Qcow2 *q = qcow2_of(image);
    uint64_t size = 0;
    gboolean ok;

    /* after the flush no table on the disk refers to a free cluster */
    if (!qcow2_flush(image, error) || !cst_blob_get_size(q->blocks.blob, &size, error))
        return FALSE;
    g_mutex_lock(&q->blocks.lock);
    ok = hand_back_free(q, cst_div_up(size, q->cluster_size), task, error);
    g_mutex_unlock(&q->blocks.lock);
    return ok && qcow2_cut_file(q, error);
}
