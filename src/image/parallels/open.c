/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Opens and closes images. Cistern's write order leaves only leaks after a power cut, but other
 * programs may not keep this order. So an image with the in-use mark is repaired when it is opened
 * for writing, like in QEMU since 8.2 (older versions refuse it).
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "parallels.h"

void parallels_reset_bat(Parallels *parallels)
{
    cst_table_free(parallels->bat);
    parallels->entries = cst_le32(parallels->raw + PARALLELS_AT_ENTRIES);
    parallels->bat = cst_table_new(parallels->blocks.blob, PARALLELS_HEADER_LEN, parallels->entries,
                                   FALSE, cst_blocks_spill, &parallels->blocks);
}

/* The data offset of the header may be invalid. Then the end of the table is used, like in QEMU. */
static uint64_t find_data_start(const Parallels *parallels)
{
    uint64_t start = cst_le32(parallels->raw + PARALLELS_AT_DATA) * (uint64_t)PARALLELS_SECTOR;
    uint64_t table_end = cst_round_up(parallels_table_end(parallels->entries), PARALLELS_SECTOR);

    if (start < table_end || start > parallels->file_size)
        start = table_end;
    return parallels_is_old(parallels->raw) ? start : parallels_align(parallels, start);
}

static gboolean check_extension(const Parallels *parallels, const CstImageOpen *how, CstBlob *blob,
                                GError **error)
{
    return !(how->flags & CST_IMAGE_WRITE) ||
           cst_le64(parallels->raw + PARALLELS_AT_EXTENSION) == 0 ||
           cst_fail(error, CST_ERROR_UNSUPPORTED,
                    _("'%s' has a format extension (dirty bitmaps), which would not be true any "
                      "more when the image is written to: convert it to a new image"),
                    blob->name);
}

Parallels *parallels_new(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error)
{
    g_autofree Parallels *parallels = g_new0(Parallels, 1);
    g_auto(CstImageInfo) info = {0};

    if (!cst_image_inspect_for_open(blob, format, how, &info, error) ||
        !cst_blob_pread(blob, parallels->raw, sizeof(parallels->raw), 0, error) ||
        !check_extension(parallels, how, blob, error) ||
        !cst_blob_get_size(blob, &parallels->file_size, error) ||
        !cst_blocks_init(&parallels->blocks, &parallels_blocks, blob, how, error))
        return NULL;
    parallels->cluster_size = info.cluster_size;
    parallels->unit = parallels_is_old(parallels->raw) ? PARALLELS_SECTOR : info.cluster_size;
    parallels->blocks.image.capacity = info.capacity;
    parallels->blocks.block_size =
        how->flags & CST_IMAGE_WRITE ? info.cluster_size : CST_BLOCKS_ANY_LENGTH;
    parallels->spare = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    parallels_reset_bat(parallels);
    parallels->data_start = find_data_start(parallels);
    return g_steal_pointer(&parallels);
}

void parallels_free(Parallels *parallels)
{
    cst_table_free(parallels->bat);
    g_array_unref(parallels->spare);
    cst_blocks_clear(&parallels->blocks);
    g_free(parallels);
}

static gboolean parallels_repair(Parallels *parallels, GError **error)
{
    CstImageCheck check = {0};

    return parallels_review(parallels, TRUE, &check, NULL, error) &&
           cst_blob_flush(parallels->blocks.blob, error) && parallels_end(parallels, error);
}

CstImage *parallels_open(const CstImageFormat *format, CstBlob *blob, const CstImageOpen *how,
                         GError **error)
{
    Parallels *parallels = parallels_new(format, blob, how, error);

    if (!parallels)
        return NULL;
    if ((how->flags & CST_IMAGE_WRITE) && parallels_is_in_use(parallels) &&
        !parallels_repair(parallels, error)) {
        parallels_free(parallels);
        return NULL;
    }
    return &parallels->blocks.image;
}

/*
 * Ignores errors; callers that need them have flushed before. After a failure the mark stays set.
 */
void parallels_close(CstImage *image)
{
    Parallels *parallels = (Parallels *)image;

    if (image->writable && cst_blocks_write_back(&parallels->blocks, NULL) &&
        (!parallels_is_in_use(parallels) || cst_blocks_barrier(&parallels->blocks, NULL)))
        parallels_end(parallels, NULL);
    parallels_free(parallels);
}
