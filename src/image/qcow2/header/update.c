/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Barriers, and changes of an opened image's header. Such a change reaches the disk at once, after
 * all earlier writes.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "bytes.h"
#include "qcow2/qcow2.h"
#include "qcow2/state.h"

gboolean(qcow2_corrupt)(const Qcow2 *q, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), q->blocks.blob->name, what);
}

gboolean qcow2_barrier(Qcow2 *q, GError **error)
{
    /* flush the data file first, because the image may refer to its data */
    return !q->blocks.barriers ||
           ((!q->data || cst_blob_flush(q->data, error)) && cst_blob_flush(q->blocks.blob, error));
}

gboolean qcow2_clear_features(Qcow2 *q, uint64_t keep, GError **error)
{
    uint64_t left = q->header.autoclear & keep;
    uint8_t raw[8];

    if (q->lost)
        return cst_fail(error, CST_ERROR_IO,
                        _("writing the header of '%s' failed: it must be opened anew"),
                        q->blocks.blob->name);
    if (left == q->header.autoclear)
        return TRUE;
    cst_put_be64(raw, left);
    if (!cst_blob_pwrite(q->blocks.blob, raw, sizeof(raw), QCOW2_AT_AUTOCLEAR, error) ||
        !qcow2_barrier(q, error))
        return FALSE;
    q->header.autoclear = left;
    return TRUE;
}

gboolean qcow2_put_header(Qcow2 *q, const uint8_t *raw, uint64_t offset, size_t len, GError **error)
{
    if (!qcow2_barrier(q, error))
        return FALSE;
    q->lost = TRUE; /* until both calls confirm the write */
    if (!cst_blob_pwrite(q->blocks.blob, raw, len, offset, error) || !qcow2_barrier(q, error)) {
        q->writing = FALSE; /* so that the next writer gets the error */
        return FALSE;
    }
    q->lost = FALSE;
    return TRUE;
}

gboolean qcow2_begin_changing(Qcow2 *q, GError **error)
{
    return qcow2_clear_features(q, QCOW2_AUTOCLEAR_KEPT, error);
}
