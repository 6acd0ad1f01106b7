/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "initiator.h"

/** A LUN that is open as a blob. */
typedef struct {
    CstBlob blob;
    CstIscsi *iscsi;
    gpointer owner;
    GDestroyNotify release;
    uint16_t lun;
    CstScsiUnit unit; /* as it was opened */
    uint64_t size;
    GRWLock edges;

    GMutex lock; /* guards what follows */
    uint64_t epoch;
    gint64 asked_at;  /* when the target was asked last whether its LUNs have changed */
    uint64_t changes; /* number of changes so far */
    GArray *runs;     /* of CstScsiRun: the last answer about extents; empty after a change */
    gboolean no_same, no_status, no_sync; /* the target does not know the command */
} LunBlob;

/**
 * Sends @requests, which are for this LUN and zero but for their commands and buffers, and waits
 * for all, which may be in another order then. STATE when there is another unit behind the LUN now.
 * *ret_unknown (NULL: of no interest) is whether one has failed because the target does not know
 * it.
 */
gboolean iscsi_lun_run(LunBlob *blob, CstIscsiRequest *requests, guint count, gboolean *ret_unknown,
                       GError **error);
