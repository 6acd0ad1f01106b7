/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Changes of the guest's bytes other than plain writes: zeroes (by an entry, if the format has
 * one), compressed clusters, preallocation of all clusters, emptying an image, and its backing
 * reference. The tables change under the lock of CstBlocks; compression runs without it.
 */
#include "levels.h"

#include <string.h>

#include <base/alloc.h>
#include <base/i18n.h>
#include <base/units.h>

#include "deflate.h"
#include "space.h"

/* --- zeroes ----------------------------------------------------------------------------------- */

/*
 * Sets *ret_done to the number of bytes that read as zeroes now; 0: the cluster has a place or is
 * only partly covered.
 */
static gboolean mark_zero(CstLevels *levels, uint64_t offset, uint64_t length, uint64_t *ret_done,
                          GError **error)
{
    uint64_t size = levels->cluster_size, index = offset / size, count = 0;
    gboolean whole =
        offset % size == 0 && (length >= size || offset + length == levels->blocks.image.capacity);
    CstLevelsEntry entry;
    gboolean ok;

    *ret_done = 0;
    g_mutex_lock(&levels->blocks.lock);
    cst_blocks_wait(&levels->blocks, index);
    ok = cst_levels_find(levels, index, &entry, &count, error);
    if (ok && entry.kind == CST_RUN_ZERO) {
        *ret_done = MIN(length, count * size - offset % size);
    } else if (ok && whole && entry.kind == CST_RUN_BACKING) {
        ok = (!levels->format->begin || levels->format->begin(levels, error)) &&
             cst_levels_enter(levels, index, 1, error);
        *ret_done = MIN(length, size);
    }
    g_mutex_unlock(&levels->blocks.lock);
    return ok;
}

gboolean cst_levels_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error)
{
    CstLevels *levels = cst_levels_of(image);

    while (length > 0) {
        uint64_t done = 0, rest = levels->cluster_size - offset % levels->cluster_size;

        if (levels->format->zero_entries && !mark_zero(levels, offset, length, &done, error))
            return FALSE;
        if (done == 0) {
            done = levels->format->zero_entries ? MIN(length, rest) : length;
            if (!cst_blocks_zero(image, offset, done, flags, error))
                return FALSE;
        }
        offset += done;
        length -= done;
    }
    return TRUE;
}

/* --- compressed clusters ---------------------------------------------------------------------- */

uint64_t cst_levels_packed_unit(CstImage *image)
{
    return cst_levels_of(image)->cluster_size;
}

gboolean cst_levels_write_packed(CstImage *image, const void *buf, size_t len, uint64_t offset,
                                 GError **error)
{
    CstLevels *levels = cst_levels_of(image);
    const char *name = levels->blocks.blob->name;
    g_autofree uint8_t *packed = cst_alloc(levels->cluster_size, 1, name, error), *padded = NULL;
    const uint8_t *cluster = buf;
    size_t packed_len;

    if (!packed)
        return FALSE;
    if (len < levels->cluster_size) {
        padded = cst_alloc0(levels->cluster_size, 1, name, error);
        if (!padded)
            return FALSE;
        memcpy(padded, buf, len);
        cluster = padded;
    }
    packed_len = cst_deflate(cluster, levels->cluster_size, packed, levels->cluster_size - 1);
    if (packed_len == 0)
        return cst_blocks_pwrite(image, buf, len, offset, error);
    return cst_blocks_write_packed(&levels->blocks, packed, packed_len, buf, len, offset, error);
}

/* --- all clusters ----------------------------------------------------------------------------- */

/* Lock held. The cluster must have no place, and must not show a backing image. */
static gboolean give_place(CstLevels *levels, uint64_t index, CstPreallocation preallocation,
                           CstTask *task, GError **error)
{
    CstBlob *blob = levels->blocks.blob;
    uint64_t host = 0, size = 0, length = levels->cluster_size;
    gboolean fresh = FALSE;

    if (!cst_levels_alloc(levels, length, &host, &fresh, error) ||
        !cst_blob_get_size(blob, &size, error) ||
        (size < host + length && !cst_blob_pwrite(blob, "", 1, host + length - 1, error)))
        return FALSE;
    return (fresh ||
            cst_blocks_zero_host(&levels->blocks, host, length, CST_ZERO_MAY_UNMAP, error)) &&
           cst_space_preallocate(blob, host, length, preallocation, task, error) &&
           cst_levels_enter(levels, index, host, error);
}

gboolean cst_levels_preallocate(CstLevels *levels, uint64_t first, uint64_t end,
                                CstPreallocation preallocation, CstTask *task, GError **error)
{
    gboolean ok;

    g_mutex_lock(&levels->blocks.lock);
    ok = !levels->format->begin || levels->format->begin(levels, error);
    for (uint64_t i = first; ok && i < end; i++) {
        CstLevelsEntry entry = {0};
        uint64_t count = 0;

        ok = cst_task_check(task, error) && cst_levels_find(levels, i, &entry, &count, error) &&
             (entry.kind != CST_RUN_ZERO || give_place(levels, i, preallocation, task, error));
    }
    g_mutex_unlock(&levels->blocks.lock);
    return ok;
}

gboolean cst_levels_fill(CstBlob *blob, const CstImageFormat *format,
                         CstPreallocation preallocation, CstTask *task, GError **error)
{
    g_autoptr(CstImage) image =
        cst_image_open(blob, format, CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, error);
    CstLevels *levels = image ? cst_levels_of(image) : NULL;

    return levels &&
           cst_levels_preallocate(levels, 0, cst_div_up(image->capacity, levels->cluster_size),
                                  preallocation, task, error) &&
           cst_blocks_write_back(&levels->blocks, error);
}

/* Lock held. Clears the L1 table, then truncates the file after it. */
static gboolean forget_all(CstLevels *levels, CstTask *task, GError **error)
{
    uint64_t table = 0,
             end = MAX(levels->header.length, levels->l1_offset + levels->l1_entries * 8);

    if (levels->format->begin && !levels->format->begin(levels, error))
        return FALSE;
    for (uint64_t i = 0; i < levels->l1_entries; i++)
        if (!cst_task_check(task, error) || !cst_levels_l1_get(levels, i, &table, error) ||
            (table != 0 && !cst_levels_l1_set(levels, i, 0, error)))
            return FALSE;
    if (levels->name.length > 0)
        end = MAX(end, levels->name.offset + levels->name.length);
    return cst_levels_sync(&levels->blocks, error) && cst_blob_flush(levels->blocks.blob, error) &&
           cst_levels_cut(levels, cst_round_up(end, levels->cluster_size), error);
}

gboolean cst_levels_empty(CstImage *image, CstTask *task, GError **error)
{
    CstLevels *levels = cst_levels_of(image);
    gboolean ok = levels->blocks.backing || levels->blocks.lacks_backing;

    if (!ok)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"),
                        levels->blocks.blob->name);
    g_mutex_lock(&levels->blocks.lock);
    ok = forget_all(levels, task, error);
    g_mutex_unlock(&levels->blocks.lock);
    return ok && cst_blocks_flush(image, error);
}

static gboolean check_name(const char *name, GError **error)
{
    return !name || strlen(name) <= CST_LEVELS_MAX_NAME ||
           cst_fail(error, CST_ERROR_LIMIT,
                    _("the name of the backing file is longer than %u bytes"), CST_LEVELS_MAX_NAME);
}

gboolean cst_levels_check_create(const CstImageCreate *options, GError **error)
{
    if (!check_name(options->backing, error))
        return FALSE;
    return !options->backing || options->preallocation == CST_PREALLOC_OFF ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("an image with a backing file can't be preallocated"));
}

gboolean cst_levels_set_backing(CstImage *image, const char *name, const char *format,
                                CstImage *parent, GError **error)
{
    CstLevels *levels = cst_levels_of(image);
    gboolean ok;

    if (!check_name(name, error) || !cst_blocks_flush(image, error))
        return FALSE;
    g_mutex_lock(&levels->blocks.lock);
    ok = levels->format->set_name(levels, name, format, error);
    g_mutex_unlock(&levels->blocks.lock);
    return ok;
}
