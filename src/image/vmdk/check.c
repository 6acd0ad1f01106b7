/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair of an image: of its one file, or of each extent that the descriptor names. The
 * findings of the extents are added up. A flat extent that is too short is an error; repair extends
 * it with zeroes. Extents that the guest may not write are checked but never repaired.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "check.h"

/* Leaves image_end 0, because the end of one file is not the end of the image. */
static void check_add(CstImageCheck *sum, const CstImageCheck *part)
{
    sum->errors += part->errors;
    sum->leaks += part->leaks;
    sum->errors_fixed += part->errors_fixed;
    sum->leaks_fixed += part->leaks_fixed;
    sum->total_clusters += part->total_clusters;
    sum->allocated_clusters += part->allocated_clusters;
    sum->fragmented_clusters += part->fragmented_clusters;
    sum->compressed_clusters += part->compressed_clusters;
}

/*
 * Extends a file that is too short with zeroes: the missing data is lost, but the rest becomes
 * usable.
 */
static gboolean check_flat(CstBlob *blob, const VmdkLine *line, unsigned flags,
                           CstImageCheck *check, GError **error)
{
    uint64_t end = (line->offset + line->sectors) * VMDK_SECTOR, size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    if (size >= end)
        return TRUE;
    cst_check_errors(check, 1,
                     _("'%s' has %" PRIu64 " bytes, and the image needs "
                       "%" PRIu64 " of it"),
                     blob->name, size, end);
    if (!(flags & CST_CHECK_REPAIR_ALL))
        return TRUE;
    if (!cst_blob_resize(blob, end, error) || !cst_blob_flush(blob, error))
        return FALSE;
    check->errors_fixed = 1;
    return TRUE;
}

/* Does not repair extents that the guest can't write. */
static gboolean check_part(Vmdk *vmdk, guint index, unsigned flags, CstImageCheck *check,
                           CstTask *task, GError **error)
{
    const VmdkLine *line = vmdk_descriptor_line(&vmdk->descriptor, index);
    unsigned allowed = line->access == VMDK_RW ? flags : 0;
    const VmdkExtentHow how = {.image = {.flags = allowed ? CST_IMAGE_WRITE : 0},
                               .length = line->sectors * VMDK_SECTOR,
                               .access = line->access};
    g_autoptr(CstBlob) blob = NULL;

    if (!cst_task_check(task, error))
        return FALSE;
    if (strcmp(line->type, "ZERO") == 0)
        return TRUE;
    blob = vmdk_open_part(vmdk, index, error);
    if (!blob)
        return FALSE;
    return vmdk_line_is_sparse(line) ? vmdk_check_sparse(blob, &how, allowed, check, task, error)
                                     : check_flat(blob, line, allowed, check, error);
}

static gboolean check_parts(Vmdk *vmdk, unsigned flags, CstImageCheck *ret_check, CstTask *task,
                            GError **error)
{
    for (guint i = 0; i < vmdk->descriptor.lines->len; i++) {
        CstImageCheck part = {.findings = ret_check->findings};

        if (!check_part(vmdk, i, flags, &part, task, error))
            return FALSE;
        check_add(ret_check, &part);
    }
    return TRUE;
}

gboolean vmdk_check(const CstImageFormat *format, CstBlob *blob, const CstImageFiles *files,
                    unsigned flags, CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {.flags = flags ? CST_IMAGE_WRITE : 0, .files = files};
    const VmdkExtentHow alone = {.image = how};
    Vmdk *vmdk = vmdk_new(format, blob, &how);
    gboolean is_text = FALSE, ok;

    ok = vmdk_read_descriptor(vmdk, &is_text, error) &&
         (is_text ? check_parts(vmdk, flags, ret_check, task, error)
                  : vmdk_check_sparse(blob, &alone, flags, ret_check, task, error));
    vmdk_release(vmdk);
    return ok;
}
