/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block status, and the runs that earlier requests have found.
 *
 * The query of a run can cost two system calls for each cluster of a fragmented image. Clients
 * repeat their requests: once for each connection, for each pass of a backup, or for each map. So
 * the runs of one contiguous range are kept, which grows when a client reads on at its end.
 *
 * A run counts only as long as the blob is unchanged. A change forgets all runs when it begins and
 * when it ends, and counts both. A request stores its runs only if the count is that of its start,
 * so a run that was queried during a change is never kept.
 */
#include "status.h"

#include "proto.h"

#define ID_LEN 4 /* the context's id, before the runs of a payload */

typedef struct {
    uint64_t end;
    uint32_t state;
} KnownRun;

/* --- payload ---------------------------------------------------------------------------------- */

void nbd_run_add(GByteArray *runs, uint32_t length, uint32_t state)
{
    uint8_t run[NBD_RUN_LEN];

    if (runs->len > ID_LEN && nbd_get32(runs->data + runs->len - 4) == state) {
        uint8_t *last = runs->data + runs->len - NBD_RUN_LEN;

        nbd_put32(last, nbd_get32(last) + length);
        return;
    }
    nbd_put32(nbd_put32(run, length), state);
    g_byte_array_append(runs, run, sizeof(run));
}

gboolean nbd_runs_cut(GByteArray *runs)
{
    if (runs->len <= ID_LEN + NBD_RUN_LEN)
        return FALSE;
    g_byte_array_set_size(runs, ID_LEN + NBD_RUN_LEN);
    return TRUE;
}

/* --- known runs ------------------------------------------------------------------------------- */

void nbd_status_init(NbdStatus *status)
{
    *status = (NbdStatus){.runs = g_array_new(FALSE, FALSE, sizeof(KnownRun))};
    g_mutex_init(&status->lock);
}

void nbd_status_clear(NbdStatus *status)
{
    g_array_unref(status->runs);
    g_mutex_clear(&status->lock);
}

void nbd_status_changed(NbdStatus *status)
{
    g_mutex_lock(&status->lock);
    status->changes++;
    g_array_set_size(status->runs, 0);
    g_mutex_unlock(&status->lock);
}

static const KnownRun *known_run(const GArray *runs, guint index)
{
    return &g_array_index(runs, KnownRun, index);
}

/* Returns the end of the known runs. */
static uint64_t known_end(const NbdStatus *status)
{
    return status->runs->len > 0 ? known_run(status->runs, status->runs->len - 1)->end
                                 : status->from;
}

/* Returns the index of the known run at @offset, or the number of runs. */
static guint known_find(const NbdStatus *status, uint64_t offset)
{
    guint low = 0, high = status->runs->len;

    if (offset < status->from)
        return status->runs->len;
    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (known_run(status->runs, middle)->end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Appends the known runs from @offset on. Returns the offset after them. */
static uint64_t add_known(NbdStatus *status, uint64_t offset, uint64_t end, gboolean one,
                          GByteArray *runs, guint *ret_changes)
{
    g_mutex_lock(&status->lock);
    *ret_changes = status->changes;
    for (guint i = known_find(status, offset); offset < end && i < status->runs->len; i++) {
        const KnownRun *run = known_run(status->runs, i);
        uint64_t stop = MIN(run->end, end);

        nbd_run_add(runs, (uint32_t)(stop - offset), run->state);
        offset = stop;
        if (one && runs->len > ID_LEN + NBD_RUN_LEN)
            break;
    }
    g_mutex_unlock(&status->lock);
    return offset;
}

/* Keeps the runs @found, which begin at @from, unless the blob was changed since @changes. */
static void keep_runs(NbdStatus *status, uint64_t from, const GArray *found, guint changes)
{
    g_mutex_lock(&status->lock);
    if (found->len > 0 && status->changes == changes) {
        if (known_end(status) != from || status->runs->len + found->len > NBD_RUNS_MAX) {
            g_array_set_size(status->runs, 0);
            status->from = from;
        }
        g_array_append_vals(status->runs, found->data, found->len);
    }
    g_mutex_unlock(&status->lock);
}

/* --- queries ---------------------------------------------------------------------------------- */

static uint32_t state_of(const CstExtent *extent)
{
    return (extent->flags & CST_EXTENT_HOLE ? NBD_STATE_HOLE : 0) |
           (extent->flags & CST_EXTENT_ZERO ? NBD_STATE_ZERO : 0);
}

/*
 * Appends queried runs to @runs and @found. Merged runs count for the limit as well, because each
 * needs a query. The client requests the remaining range again.
 */
static gboolean query_runs(CstBlob *blob, uint64_t offset, uint64_t end, gboolean one,
                           GByteArray *runs, GArray *found, GError **error)
{
    for (guint i = 0; offset < end && i < NBD_RUNS_MAX; i++) {
        KnownRun run = {0};
        CstExtent extent;

        if (!cst_blob_extent(blob, offset, end - offset, &extent, error))
            return FALSE;
        offset += extent.length;
        run = (KnownRun){offset, state_of(&extent)};
        g_array_append_val(found, run);
        nbd_run_add(runs, (uint32_t)extent.length, run.state);
        if (one && runs->len > ID_LEN + NBD_RUN_LEN)
            break;
    }
    return TRUE;
}

gboolean nbd_status_add(NbdStatus *status, CstBlob *blob, uint64_t offset, uint64_t end,
                        gboolean one, GByteArray *runs, GError **error)
{
    g_autoptr(GArray) found = g_array_new(FALSE, FALSE, sizeof(KnownRun));
    guint changes = 0;

    if (status)
        offset = add_known(status, offset, end, one, runs, &changes);
    if (!(one && nbd_runs_cut(runs)) && !query_runs(blob, offset, end, one, runs, found, error))
        return FALSE;
    if (status)
        keep_runs(status, offset, found, changes);
    if (one)
        nbd_runs_cut(runs);
    return TRUE;
}
