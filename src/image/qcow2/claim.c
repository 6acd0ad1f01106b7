/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state.h"

static gboolean overlaps(const Qcow2 *q, const Qcow2Claim *claim)
{
    for (const Qcow2Claim *other = q->claims; other; other = other->next)
        if (claim->first <= other->last && other->first <= claim->last)
            return TRUE;
    return FALSE;
}

void qcow2_claim(Qcow2 *q, Qcow2Claim *claim, uint64_t offset, uint64_t length)
{
    claim->first = offset >> q->cluster_bits;
    claim->last = (offset + length - 1) >> q->cluster_bits;
    g_mutex_lock(&q->lock);
    while (overlaps(q, claim))
        g_cond_wait(&q->released, &q->lock);
    claim->next = q->claims;
    q->claims = claim;
    g_mutex_unlock(&q->lock);
}

void qcow2_release(Qcow2 *q, Qcow2Claim *claim)
{
    Qcow2Claim **at = &q->claims;

    g_mutex_lock(&q->lock);
    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    g_cond_broadcast(&q->released);
    g_mutex_unlock(&q->lock);
}
