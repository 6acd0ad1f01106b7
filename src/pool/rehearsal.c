/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pool/rehearsal.h>

#define PERCENT_MAX 5000 /* of the time of a rehearsal */

uint64_t cst_rehearsal_predict(const CstRehearsal *rehearsal, int64_t rehearsed_us)
{
    return (uint64_t)(rehearsed_us / 100 * MAX(g_atomic_int_get(&rehearsal->percent), 100));
}

void cst_rehearsal_measure(CstRehearsal *rehearsal, int64_t rehearsed_us, int64_t took_us)
{
    gint before = g_atomic_int_get(&rehearsal->percent);
    gint now = (gint)MIN(took_us * 100 / MAX(rehearsed_us, 1), PERCENT_MAX);

    g_atomic_int_set(&rehearsal->percent, before ? (before + now) / 2 : now);
}
