/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sets the in-use mark before the first change; the rest is as in other block formats. */
#include <base/error.h>

#include "parallels.h"
#include "space.h"

static gboolean parallels_begin_write(CstImage *image, GError **error)
{
    Parallels *parallels = (Parallels *)image;
    gboolean ok;

    g_mutex_lock(&parallels->blocks.lock);
    ok = parallels_begin(parallels, error);
    g_mutex_unlock(&parallels->blocks.lock);
    return ok;
}

gboolean parallels_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                          GError **error)
{
    return parallels_begin_write(image, error) && cst_blocks_pwrite(image, buf, len, offset, error);
}

gboolean parallels_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                        GError **error)
{
    return parallels_begin_write(image, error) &&
           cst_blocks_zero(image, offset, length, flags, error);
}

gboolean parallels_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error)
{
    return parallels_begin_write(image, error) && cst_blocks_discard(image, offset, length, error);
}

/* --- preallocation ---------------------------------------------------------------------------- */

static gboolean give_place(Parallels *parallels, uint64_t index, CstPreallocation preallocation,
                           CstTask *task, GError **error)
{
    uint64_t host = 0, length = parallels->cluster_size;
    gboolean fresh = FALSE;

    return parallels_alloc(parallels, &host, &fresh, error) &&
           (fresh ||
            cst_blocks_zero_host(&parallels->blocks, host, length, CST_ZERO_MAY_UNMAP, error)) &&
           cst_space_preallocate(parallels->blocks.blob, host, length, preallocation, task,
                                 error) &&
           parallels_set(parallels, index, host, error);
}

/* Extends the file so that it has room for @missing more clusters. */
static gboolean parallels_lengthen(Parallels *parallels, uint64_t missing, GError **error)
{
    CstBlob *blob = parallels->blocks.blob;
    uint64_t size = 0, wanted;

    if (!parallels_find_end(parallels, error) || !cst_blob_get_size(blob, &size, error))
        return FALSE;
    wanted = parallels_align(parallels, parallels->end) + missing * parallels->cluster_size;
    return missing == 0 || size >= wanted || cst_blob_resize(blob, wanted, error);
}

gboolean parallels_preallocate(Parallels *parallels, uint64_t first, uint64_t end,
                               CstPreallocation preallocation, CstTask *task, GError **error)
{
    uint64_t missing = 0;
    uint32_t entry = 0;

    for (uint64_t i = first; i < end; i++) {
        if (!cst_table_get(parallels->bat, i, &entry, error))
            return FALSE;
        missing += entry == 0;
    }
    if (!parallels_begin(parallels, error) || !parallels_lengthen(parallels, missing, error))
        return FALSE;
    for (uint64_t i = first; i < end; i++)
        if (!cst_task_check(task, error) || !cst_table_get(parallels->bat, i, &entry, error) ||
            (entry == 0 && !give_place(parallels, i, preallocation, task, error)))
            return FALSE;
    return TRUE;
}
