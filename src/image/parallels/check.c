/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Checks an image and counts like QEMU: an image that was not closed is an error, and so is each
 * table entry that walk.c finds wrong; space after the last cluster is a leak. A repair sets the
 * in-use mark before its first change and clears it last, so an interrupted repair is repeated.
 */
#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "parallels.h"

/*
 * Skipped for an image with a format extension, because the extension's clusters may be anywhere
 * and are not tracked.
 */
static gboolean look_at_end(Parallels *parallels, unsigned flags, CstImageCheck *check,
                            GError **error)
{
    CstBlob *blob = parallels->blocks.blob;
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size <= check->image_end || !blob->ops->resize ||
        cst_le64(parallels->raw + PARALLELS_AT_EXTENSION) != 0)
        return TRUE;
    cst_check_leaks(check, cst_div_up(size - check->image_end, parallels->cluster_size),
                    _("bytes %" PRIu64 " to %" PRIu64 " of the file: no table refers to them"),
                    check->image_end, size - 1);
    if (flags == 0 || check->errors > check->errors_fixed)
        return TRUE;
    check->leaks_fixed = check->leaks;
    return parallels_begin(parallels, error) && parallels_cut(parallels, check->image_end, error);
}

/*
 * Makes the repairs durable and then clears the in-use mark. If the check found the mark set, this
 * is an error, and the mark stays unless all errors are repaired.
 */
static gboolean look_at_mark(Parallels *parallels, gboolean was_in_use, unsigned flags,
                             CstImageCheck *check, GError **error)
{
    CstBlob *blob = parallels->blocks.blob;
    gboolean all = (flags & CST_CHECK_REPAIR_ALL) != 0;

    if (was_in_use)
        cst_check_errors(check, 1, _("the image is marked as in use: it was not closed"));
    check->errors_fixed += was_in_use && all;
    if (flags == 0)
        return TRUE;
    return cst_blob_flush(blob, error) &&
           ((was_in_use && !all) ||
            (parallels_end(parallels, error) && cst_blob_flush(blob, error)));
}

gboolean parallels_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                         unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = flags ? CST_IMAGE_WRITE : 0};
    Parallels *parallels = parallels_new(format, blob, &how, error);
    gboolean was_in_use, ok;

    if (!parallels)
        return FALSE;
    was_in_use = parallels_is_in_use(parallels);
    ok = parallels_review(parallels, (flags & CST_CHECK_REPAIR_ALL) != 0, ret_check, task, error) &&
         look_at_end(parallels, flags, ret_check, error) &&
         look_at_mark(parallels, was_in_use, flags, ret_check, error);
    parallels_free(parallels);
    return ok;
}
