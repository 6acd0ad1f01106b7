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
    CstScsiUnit unit; /* as found when the blob was opened */
    uint64_t size;
    GRWLock edges;

    GMutex lock; /* guards the following fields */
    uint64_t epoch;
    gint64 asked_at;  /* time of the last query whether the LUNs of the target have changed */
    uint64_t changes; /* number of changes so far */
    GArray *runs;     /* CstScsiRun: the cached answer about extents; empty after a change */
    gboolean no_same, no_status, no_sync; /* the target does not support the command */
} LunBlob;

/**
 * Send @requests and wait for all answers. The requests must be zero except their commands and
 * buffers; they are for this LUN. On return their order may have changed. STATE if the LUN's number
 * belongs to another unit now. *ret_unknown (NULL: not needed): whether a request failed because
 * the target does not support it.
 */
gboolean iscsi_lun_run(LunBlob *blob, CstIscsiRequest *requests, guint count, gboolean *ret_unknown,
                       GError **error);
