/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Prepares an image for the first change of the guest's bytes. Clears the autoclear bits of
 * features that this code does not keep up to date, and marks enabled bitmaps as in use on the
 * disk.
 */
#include "qcow2/bitmap/bitmapdir.h"
#include "qcow2/qcow2.h"
#include "qcow2/state.h"

gboolean qcow2_begin_writing(Qcow2 *q, GError **error)
{
    if (q->writing)
        return TRUE;
    q->writing = qcow2_clear_features(q, QCOW2_AUTOCLEAR_KEPT, error) &&
                 (q->same_content || qcow2_bitmaps_outdate(q, FALSE, error));
    return q->writing;
}
