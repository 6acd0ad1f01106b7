/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/blob.h>

/**
 * Runs of block status, as in the payload of its reply, and the runs of "base:allocation" that are
 * known from earlier requests.
 */

#define NBD_RUNS_MAX (64U * 1024) /**< of one reply (512 KiB), and of the known runs (1 MiB) */
#define NBD_RUN_LEN  8            /**< bytes of a run in the payload */

/** The known runs, for all clients of an export. Any thread. */
typedef struct {
    GMutex lock; /* guards the members below */
    guint changes;
    uint64_t from; /* start of the first run */
    GArray *runs;  /* of KnownRun, without gaps between them */
} NbdStatus;

void nbd_status_init(NbdStatus *status);
void nbd_status_clear(NbdStatus *status);
/** Forgets the known runs. Call it before and after each change of the blob. */
void nbd_status_changed(NbdStatus *status);

/**
 * Appends a run to the payload @runs, or extends its last run, because adjacent runs of one state
 * are one run for the client.
 */
void nbd_run_add(GByteArray *runs, uint32_t length, uint32_t state);
/** Removes all runs after the first one, and returns whether there were any. */
gboolean nbd_runs_cut(GByteArray *runs);

/**
 * Appends the runs of @blob from @offset up to @end, NBD_RUNS_MAX at most. @one: appends one run
 * only. @status: the known runs; NULL: queries all. Fails as cst_blob_extent().
 */
gboolean nbd_status_add(NbdStatus *status, CstBlob *blob, uint64_t offset, uint64_t end,
                        gboolean one, GByteArray *runs, GError **error);
