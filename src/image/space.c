/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Space of the file (or block device) of an image: drops its content, and reserves or writes a
 * range. Resizing and allocating are tried first. UNSUPPORTED from the blob selects the
 * alternative: a device keeps its size, and an unreservable range is written with zeroes. Long work
 * runs in steps of STEP bytes, between which the task can be cancelled.
 */
#include "space.h"

#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/steps.h>

#define STEP (16 * CST_MIB) /* bytes between checks for a cancel */

gboolean cst_space_reset(CstBlob *blob, uint64_t size, gboolean *ret_zeroed, GError **error)
{
    g_autoptr(GError) why = NULL;
    uint64_t old = 0;

    if (!cst_blob_get_size(blob, &old, error))
        return FALSE;
    if ((old == 0 || cst_blob_resize(blob, 0, &why)) && cst_blob_resize(blob, size, &why)) {
        *ret_zeroed = TRUE;
        return TRUE;
    }
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (old < size)
        return cst_fail(error, CST_ERROR_NO_SPACE,
                        _("'%s' has %" PRIu64 " bytes, %" PRIu64 " are needed"), blob->name, old,
                        size);
    *ret_zeroed = FALSE;
    return TRUE;
}

static gboolean write_zeroes(CstBlob *blob, uint64_t offset, uint64_t length, GError **error)
{
    static const uint8_t zeroes[CST_MIB];

    for (uint64_t done = 0; done < length;) {
        size_t n = (size_t)MIN(sizeof(zeroes), length - done);

        if (!cst_blob_pwrite(blob, zeroes, n, offset + done, error))
            return FALSE;
        done += n;
    }
    return TRUE;
}

/* Reserves a range. *ret_write is set when the blob cannot reserve, so the range must be
 * written. */
static gboolean space_reserve(CstBlob *blob, uint64_t offset, uint64_t length, CstTask *task,
                              gboolean *ret_write, GError **error)
{
    g_autoptr(GError) why = NULL;

    *ret_write = FALSE;
    if (cst_blob_allocate_steps(blob, offset, length, task, &why))
        return TRUE;
    *ret_write = g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED);
    if (!*ret_write)
        g_propagate_error(error, g_steal_pointer(&why));
    return *ret_write;
}

gboolean cst_space_preallocate(CstBlob *blob, uint64_t offset, uint64_t length,
                               CstPreallocation preallocation, CstTask *task, GError **error)
{
    gboolean write = preallocation == CST_PREALLOC_FULL;

    if (preallocation != CST_PREALLOC_FALLOC && !write)
        return TRUE;
    if (!write && !space_reserve(blob, offset, length, task, &write, error))
        return FALSE;
    for (uint64_t done = 0; done < length;) {
        uint64_t n = MIN(STEP, length - done);

        if (!cst_task_check(task, error) || (write && !write_zeroes(blob, offset + done, n, error)))
            return FALSE;
        if (write)
            cst_task_advance(task, n);
        else
            cst_task_skip(task, n);
        done += n;
    }
    return TRUE;
}
