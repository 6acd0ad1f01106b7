/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair of one sparse extent, by its kind: walk.c and repair.c for plain grains,
 * stream_check.c for compressed grains. A stream is checked but never repaired, because it is
 * written in one pass and its damaged data is lost.
 */
#include <base/i18n.h>

#include "check.h"

static gboolean check_sparse(VmdkSparse *sparse, unsigned flags, CstImageCheck *ret_check,
                             CstTask *task, GError **error)
{
    g_auto(VmdkWalk) walk = {.check.findings = ret_check->findings};

    if (!vmdk_walk(&walk, sparse, task, error) || (flags && !vmdk_repair(&walk, flags, error)))
        return FALSE;
    *ret_check = walk.check;
    return TRUE;
}

/* Fails with UNSUPPORTED if a repair of errors is requested. */
static gboolean stream_is_left_alone(CstBlob *blob, unsigned flags, const CstImageCheck *check,
                                     GError **error)
{
    return !(flags & CST_CHECK_REPAIR_ALL) || check->errors == 0 ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("'%s' is a stream-optimized image, which can't be repaired"), blob->name);
}

gboolean vmdk_check_sparse(CstBlob *blob, const VmdkExtentHow *how, unsigned flags,
                           CstImageCheck *ret_check, CstTask *task, GError **error)
{
    VmdkExtent *extent;
    VmdkHeader header;
    gboolean ok;

    if (!vmdk_read_header(blob, &header, error))
        return FALSE;
    extent = vmdk_sparse_open(cst_blob_ref(blob), how, error);
    if (!extent)
        return FALSE;
    ok = header.flags & VMDK_FLAG_COMPRESSED
             ? vmdk_stream_check(extent, ret_check, task, error) &&
                   stream_is_left_alone(blob, flags, ret_check, error)
             : check_sparse(vmdk_sparse_of(extent), flags, ret_check, task, error);
    extent->ops->close(extent);
    return ok;
}
