/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Overwrites a part of the guest-visible content of an existing volume: the rest of an interrupted
 * copy, or the changes since the last one. The stream has exclusive access to the volume, like a
 * writable export (view.c). Written data stay when the stream ends early.
 */
#include <inttypes.h>

#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <blob/steps.h>

#include "stream.h"
#include "view.h"

typedef struct {
    CstUpload base;
    VolumeView view;
    uint64_t offset;
    uint64_t capacity;
} Patch;

static gboolean open_patch(Patch *patch, CstPool *pool, const char *name, uint64_t offset,
                           unsigned flags, GError **error)
{
    patch->view.task = patch->base.task;
    patch->view.writable = TRUE;
    patch->offset = offset;
    return cst_flags_check(flags, 0, "cisternVolPatch", error) &&
           volume_view_open(&patch->view, pool, name, error) &&
           cst_blob_get_size(patch->view.blob, &patch->capacity, error);
}

static gboolean patch_check_fits(const Patch *patch, uint64_t length, GError **error)
{
    if (patch->offset <= patch->capacity && length <= patch->capacity - patch->offset)
        return cst_task_check(patch->base.task, error);
    return cst_fail(error, CST_ERROR_NO_SPACE, _("'%s' ends at byte %" PRIu64 ", and more is sent"),
                    patch->view.blob->name, patch->capacity);
}

static gboolean patch_write(CstUpload *base, const void *data, size_t len, GError **error)
{
    Patch *patch = (Patch *)base;

    if (!patch_check_fits(patch, len, error) ||
        !cst_blob_pwrite(patch->view.blob, data, len, patch->offset, error))
        return FALSE;
    patch->offset += len;
    cst_task_advance(base->task, len);
    return TRUE;
}

static gboolean patch_write_hole(CstUpload *base, uint64_t length, GError **error)
{
    Patch *patch = (Patch *)base;

    if (!patch_check_fits(patch, length, error) ||
        !cst_blob_zero_steps(patch->view.blob, patch->offset, length, CST_ZERO_MAY_UNMAP,
                             base->task, error))
        return FALSE;
    patch->offset += length;
    cst_task_skip(base->task, length);
    return TRUE;
}

static gboolean patch_finish(CstUpload *base, GError **error)
{
    return cst_blob_flush(((Patch *)base)->view.blob, error);
}

static void patch_ends(CstUpload *base)
{
    volume_view_ends(&((Patch *)base)->view);
}

static void patch_close(CstUpload *base)
{
    volume_view_close(&((Patch *)base)->view);
}

static const UploadClass patch_class = {patch_write, patch_write_hole, patch_finish, patch_ends,
                                        patch_close};

CstUpload *cst_vol_patch(CstPool *pool, const char *name, uint64_t offset, unsigned flags,
                         CstTask *task, GError **error)
{
    Patch *patch = g_new0(Patch, 1);

    upload_begin(&patch->base, &patch_class, pool, "patch", name, task);
    return upload_opened(&patch->base, open_patch(patch, pool, name, offset, flags, error), error);
}
