/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checks a stream: every grain must exist and unpack. The space between the grains has markers,
 * older tables and replaced grains; it is part of the format and no leak. Nothing is repaired.
 */
#include <inttypes.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "check.h"
#include "stream.h"

gboolean vmdk_stream_check(VmdkExtent *extent, CstImageCheck *ret_check, CstTask *task,
                           GError **error)
{
    VmdkStream *stream = vmdk_stream_of(extent);
    g_autofree uint8_t *buf = cst_alloc(stream->grain, 1, extent->blob->name, error);
    CstImageCheck check = {.total_clusters = cst_div_up(extent->length, stream->grain),
                           .findings = ret_check->findings};
    uint64_t count = 0;
    uint32_t entry = 0;

    if (!buf)
        return FALSE;
    for (uint64_t number = 0; number < check.total_clusters; number += count) {
        g_autoptr(GError) why = NULL;

        if (!cst_task_check(task, error))
            return FALSE;
        if (!vmdk_stream_entry(stream, number, check.total_clusters - number, &entry, &count,
                               &why)) {
            /* skips the rest of an unreadable table */
            count = stream->header.gtes - number % stream->header.gtes;
            entry = 0;
        } else if (entry != 0) {
            check.allocated_clusters++;
            check.compressed_clusters++;
            count = 1;
            vmdk_stream_read_grain(stream, number, entry, buf, &why);
        }
        if (g_error_matches(why, CST_ERROR, CST_ERROR_CORRUPT)) {
            cst_check_errors(&check, 1, _("grain %" PRIu64 " can't be read: %s"), number,
                             why->message);
        } else if (why) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
    }
    if (!cst_blob_get_size(extent->blob, &check.image_end, error))
        return FALSE;
    *ret_check = check;
    return TRUE;
}
