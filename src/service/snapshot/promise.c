/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The promise of new snapshots (core/promise.h). A snapshot may need as much space as its volume
 * has, because each block that the guest overwrites stays allocated. A snapshot with a size of its
 * own needs at most that size.
 */
#include "set_private.h"

gboolean snapshot_set_promise(SnapshotSet *set, GError **error)
{
    for (guint i = 0; i < set->members->len; i++) {
        SnapshotMember *member = snapshot_set_member(set, i);
        const VolumeClaim *claim = &member->target.claim;
        const uint64_t limit = set->request->limit;
        const PromiseRequest request = {.name = claim->name,
                                        .more = limit ? limit : member->target.volume->capacity};

        if (!pool_promise_reserve(&member->target.promise, claim->pool, claim->state, &request,
                                  error))
            return FALSE;
    }
    return TRUE;
}
