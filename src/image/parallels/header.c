/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The header of an opened image, and its in-use mark. The mark is durable before any other change.
 * It is cleared when the image is closed, after all other changes are durable.
 */
#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "parallels.h"

gboolean parallels_is_old(const uint8_t *head)
{
    return memcmp(head, PARALLELS_MAGIC_OLD, 16) == 0;
}

gboolean parallels_check_capacity(uint64_t capacity, uint64_t cluster_size, gboolean is_old,
                                  GError **error)
{
    uint64_t most = PARALLELS_MAX_BAT * cluster_size;

    if (is_old)
        most = MIN(most, UINT32_MAX * (uint64_t)PARALLELS_SECTOR);
    return capacity <= most ||
           cst_fail(error, CST_ERROR_INVALID,
                    _("a Parallels image of this cluster size can have at most %" PRIu64 " bytes"),
                    most);
}

uint64_t parallels_align(const Parallels *parallels, uint64_t at)
{
    uint64_t size = parallels->cluster_size;
    uint64_t first = parallels_is_old(parallels->raw) ? parallels->data_start % size : 0;

    return at <= first ? first : first + cst_round_up(at - first, size);
}

gboolean parallels_write_header(Parallels *parallels, GError **error)
{
    return cst_blob_pwrite(parallels->blocks.blob, parallels->raw, sizeof(parallels->raw), 0,
                           error);
}

gboolean parallels_is_in_use(const Parallels *parallels)
{
    return cst_le32(parallels->raw + PARALLELS_AT_IN_USE) == PARALLELS_IN_USE;
}

gboolean parallels_begin(Parallels *parallels, GError **error)
{
    uint32_t flags = cst_le32(parallels->raw + PARALLELS_AT_FLAGS);

    if (parallels_is_in_use(parallels))
        return TRUE;
    cst_put_le32(parallels->raw + PARALLELS_AT_IN_USE, PARALLELS_IN_USE);
    cst_put_le32(parallels->raw + PARALLELS_AT_FLAGS, flags & ~PARALLELS_EMPTY);
    if (parallels_write_header(parallels, error) && cst_blocks_barrier(&parallels->blocks, error))
        return TRUE;
    cst_put_le32(parallels->raw + PARALLELS_AT_IN_USE, 0);
    return FALSE;
}

/*
 * Clears the mark to 0, not to the value for a valid format extension, because the image has no
 * extension.
 */
gboolean parallels_end(Parallels *parallels, GError **error)
{
    if (!parallels_is_in_use(parallels))
        return TRUE;
    cst_put_le32(parallels->raw + PARALLELS_AT_IN_USE, 0);
    return parallels_write_header(parallels, error);
}
