/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Grows, shrinks and preallocates an image. A dynamic disk grows in this order: the table's entries
 * beyond the old end are cleared; a table that is too short moves to the end of the file; the added
 * range is made to read as zeroes; the new size is written to both footers, the one at the end
 * first. Shrinking writes the footers first, then removes the blocks beyond the end and compacts.
 *
 * A fixed disk has no metadata except its footer. Growing writes the footer to its new place with
 * the old size, zeroes the bytes in between, and then writes the new size.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "space.h"
#include "vpc.h"

static uint32_t blocks_for(const Vpc *vpc, uint64_t capacity)
{
    uint32_t size = vpc->header.block_size;

    return (uint32_t)cst_div_up(capacity, size);
}

/* --- allocation ------------------------------------------------------------------------------ */

static gboolean give_place(Vpc *vpc, uint32_t block, CstPreallocation preallocation, CstTask *task,
                           GError **error)
{
    CstStep step = {.offset = (uint64_t)block * vpc->header.block_size, .is_new = TRUE};
    CstBlob *blob = vpc->blocks.blob;
    uint64_t size = 0, data, end;

    if (!vpc_alloc(vpc, &step.place, &step.fresh, error) || !cst_blob_get_size(blob, &size, error))
        return FALSE;
    data = step.place + vpc->header.bitmap_size;
    end = data + vpc->header.block_size;
    if (size < end && !cst_blob_resize(blob, end, error))
        return FALSE;
    if (!step.fresh &&
        !cst_blob_zero(blob, data, vpc->header.block_size, CST_ZERO_MAY_UNMAP, error))
        return FALSE;
    return cst_space_preallocate(blob, data, vpc->header.block_size, preallocation, task, error) &&
           vpc_ops.link(&vpc->blocks, &step, error);
}

gboolean vpc_preallocate(Vpc *vpc, uint32_t first, uint32_t end, CstPreallocation preallocation,
                         CstTask *task, GError **error)
{
    for (uint32_t i = first; i < end; i++) {
        uint32_t entry = 0;

        if (!cst_task_check(task, error) || !cst_table_get(vpc->table, i, &entry, error))
            return FALSE;
        if (entry == VPC_NOWHERE && !give_place(vpc, i, preallocation, task, error))
            return FALSE;
    }
    return TRUE;
}

/* --- the footers ----------------------------------------------------------------------------- */

/* Writes the exact size, so that programs ignore the geometry from now on. */
static gboolean write_footers(Vpc *vpc, uint64_t capacity, GError **error)
{
    uint64_t old = vpc->header.capacity;

    vpc_footer_set_size(&vpc->header, capacity, TRUE);
    if (!vpc_find_end(vpc, error) || !vpc_write_footer(vpc, error) ||
        !cst_blocks_barrier(&vpc->blocks, error)) {
        vpc_footer_set_size(&vpc->header, old, TRUE); /* The resize can be tried again. */
        return FALSE;
    }
    vpc->blocks.image.capacity = capacity;
    return cst_blob_pwrite(vpc->blocks.blob, vpc->header.footer, VPC_FOOTER_LEN, 0, error) &&
           cst_blocks_barrier(&vpc->blocks, error);
}

/* --- fixed disks ----------------------------------------------------------------------------- */

/*
 * Restores footer and length after a failure. Errors are ignored, because the caller reports the
 * first one.
 */
static void take_growth_back(Vpc *vpc, uint64_t capacity, uint64_t size)
{
    vpc_footer_set_size(&vpc->header, capacity, TRUE);
    if (cst_blob_pwrite(vpc->blocks.blob, vpc->header.footer, VPC_FOOTER_LEN, size - VPC_FOOTER_LEN,
                        NULL))
        cst_blob_resize(vpc->blocks.blob, size, NULL);
}

/*
 * The unchanged footer is written to its new place. While it has the old size, the bytes between
 * the old end and the new footer are unused and can be zeroed. Then the footer with the new size is
 * written.
 */
static gboolean move_footer(Vpc *vpc, uint64_t size, uint64_t to, uint64_t capacity, GError **error)
{
    uint64_t old = vpc->header.capacity, end = MIN(size, capacity);
    CstBlob *blob = vpc->blocks.blob;

    if (to + VPC_FOOTER_LEN > size &&
        (!cst_blob_pwrite(blob, vpc->header.footer, VPC_FOOTER_LEN, to, error) ||
         !cst_blocks_barrier(&vpc->blocks, error)))
        return FALSE;
    if (end > old && (!cst_blob_zero(blob, old, end - old, CST_ZERO_MAY_UNMAP, error) ||
                      !cst_blocks_barrier(&vpc->blocks, error)))
        return FALSE;
    vpc_footer_set_size(&vpc->header, capacity, TRUE);
    return cst_blob_pwrite(blob, vpc->header.footer, VPC_FOOTER_LEN, to, error) &&
           cst_blocks_barrier(&vpc->blocks, error);
}

static gboolean grow_fixed(Vpc *vpc, uint64_t capacity, CstPreallocation preallocation,
                           CstTask *task, GError **error)
{
    uint64_t size = 0, old = vpc->header.capacity;

    if (!cst_blob_get_size(vpc->blocks.blob, &size, error))
        return FALSE;
    if (!move_footer(vpc, size, MAX(capacity, size - VPC_FOOTER_LEN), capacity, error)) {
        take_growth_back(vpc, old, size);
        return FALSE;
    }
    vpc->blocks.image.capacity = capacity;
    return cst_space_preallocate(vpc->blocks.blob, old, capacity - old, preallocation, task, error);
}

static gboolean shrink_fixed(Vpc *vpc, uint64_t capacity, GError **error)
{
    g_autoptr(GError) why = NULL;
    CstBlob *blob = vpc->blocks.blob;
    uint64_t size = 0;

    vpc_footer_set_size(&vpc->header, capacity, TRUE);
    vpc->blocks.image.capacity = capacity;
    if (!cst_blob_pwrite(blob, vpc->header.footer, VPC_FOOTER_LEN, capacity, error) ||
        !cst_blocks_barrier(&vpc->blocks, error))
        return FALSE;
    if (cst_blob_resize(blob, capacity + VPC_FOOTER_LEN, &why))
        return TRUE;
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    return cst_blob_get_size(blob, &size, error) &&
           cst_blob_pwrite(blob, vpc->header.footer, VPC_FOOTER_LEN, size - VPC_FOOTER_LEN, error);
}

/* --- dynamic and differencing disks ---------------------------------------------------------- */

/* The changed fields and the checksum are in the header's first sector, which is written alone. */
static gboolean switch_table(Vpc *vpc, uint64_t offset, uint32_t entries, GError **error)
{
    VpcHeader before = vpc->header;

    vpc->header.table_offset = offset;
    vpc->header.entries = entries;
    vpc_header_update(&vpc->header);
    vpc_header_derive(&vpc->header);
    if (!cst_blocks_barrier(&vpc->blocks, error) ||
        !cst_blob_pwrite(vpc->blocks.blob, vpc->header.raw, VPC_SECTOR, vpc->header.header_offset,
                         error)) {
        vpc->header = before;
        return FALSE;
    }
    vpc_reset_table(vpc);
    return cst_blocks_barrier(&vpc->blocks, error);
}

/* Writes a longer table to the end of the file, and the footer after it. */
static gboolean move_table(Vpc *vpc, uint32_t entries, CstTask *task, GError **error)
{
    uint64_t offset, length = cst_round_up((uint64_t)entries * 4, VPC_SECTOR);
    CstTable *table = NULL;
    uint32_t entry = 0;
    gboolean ok;

    if (!vpc_find_end(vpc, error))
        return FALSE;
    offset = vpc->end;
    vpc->end += length;
    if (!cst_table_fill(vpc->blocks.blob, offset, 0, length / 4, VPC_NOWHERE, task, error) ||
        !vpc_write_footer(vpc, error))
        return FALSE;
    table = cst_table_new(vpc->blocks.blob, offset, entries, TRUE, NULL, NULL);
    ok = TRUE;
    for (uint32_t i = 0; ok && i < vpc->header.entries; i++)
        ok = cst_table_get(vpc->table, i, &entry, error) &&
             (entry == VPC_NOWHERE || cst_table_set(table, i, entry, error));
    ok = ok && cst_table_write(table, error);
    cst_table_free(table);
    return ok && switch_table(vpc, offset, entries, error);
}

/* Clears entries from @first on, because they may have any value. */
static gboolean clear_entries(Vpc *vpc, uint32_t first, GError **error)
{
    uint32_t entry = 0;

    for (uint32_t i = first; i < vpc->header.entries; i++) {
        if (!cst_table_get(vpc->table, i, &entry, error) ||
            (entry != VPC_NOWHERE && !cst_table_set(vpc->table, i, VPC_NOWHERE, error)))
            return FALSE;
    }
    return vpc_sync(&vpc->blocks, error) && cst_blocks_barrier(&vpc->blocks, error);
}

/*
 * Makes the added range read as zeroes: it hides old data in the last block and the data of a
 * longer parent.
 */
static gboolean zero_added(Vpc *vpc, uint64_t capacity, GError **error)
{
    uint64_t old = vpc->header.capacity, size = vpc->header.block_size;
    uint64_t end = MIN(capacity, cst_round_up(old, size));
    gboolean ok = TRUE;

    if (vpc->blocks.lacks_backing)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' can't grow without its backing image, which may be longer"),
                        vpc->blocks.blob->name);
    end = MAX(end, MIN(capacity, vpc->blocks.backing_size));
    vpc->blocks.image.capacity = capacity;
    g_mutex_unlock(&vpc->blocks.lock);
    ok = end <= old ||
         cst_blocks_zero(&vpc->blocks.image, old, end - old, CST_ZERO_MAY_UNMAP, error);
    g_mutex_lock(&vpc->blocks.lock);
    vpc->blocks.image.capacity = old;
    return ok && vpc_sync(&vpc->blocks, error);
}

static gboolean vpc_grow(Vpc *vpc, uint64_t capacity, CstPreallocation preallocation, CstTask *task,
                         GError **error)
{
    uint32_t old = blocks_for(vpc, vpc->header.capacity), blocks = blocks_for(vpc, capacity);
    uint32_t padded = (vpc->header.entries + 127) / 128 * 128; /* whole sectors */

    if (!clear_entries(vpc, old, error))
        return FALSE;
    if (blocks > padded) {
        if (!move_table(vpc, blocks, task, error))
            return FALSE;
    } else if (blocks > vpc->header.entries) {
        if (!cst_table_fill(vpc->blocks.blob, vpc->header.table_offset, vpc->header.entries,
                            blocks - vpc->header.entries, VPC_NOWHERE, task, error) ||
            !switch_table(vpc, vpc->header.table_offset, blocks, error))
            return FALSE;
    }
    if (!zero_added(vpc, capacity, error) || !write_footers(vpc, capacity, error))
        return FALSE;
    return preallocation == CST_PREALLOC_OFF || vpc->header.kind == VPC_DIFFERENCING ||
           vpc_preallocate(vpc, old, blocks, preallocation, task, error);
}

static gboolean vpc_shrink(Vpc *vpc, uint64_t capacity, CstTask *task, GError **error)
{
    return write_footers(vpc, capacity, error) &&
           clear_entries(vpc, blocks_for(vpc, capacity), error) && vpc_compact(vpc, task, error);
}

static gboolean vpc_resize_locked(Vpc *vpc, uint64_t capacity, CstPreallocation preallocation,
                                  CstTask *task, GError **error)
{
    gboolean grows = capacity > vpc->header.capacity;

    if (vpc_is_fixed(vpc))
        return grows ? grow_fixed(vpc, capacity, preallocation, task, error)
                     : shrink_fixed(vpc, capacity, error);
    if (!vpc_sync(&vpc->blocks, error) || !cst_blocks_barrier(&vpc->blocks, error))
        return FALSE;
    return grows ? vpc_grow(vpc, capacity, preallocation, task, error)
                 : vpc_shrink(vpc, capacity, task, error);
}

gboolean vpc_resize(CstImage *image, uint64_t capacity, CstPreallocation preallocation,
                    CstTask *task, GError **error)
{
    Vpc *vpc = vpc_of(image);
    gboolean ok;

    if (capacity > VPC_MAX_CAPACITY)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a VHD image can have at most %" PRIu64 " bytes"), VPC_MAX_CAPACITY);
    if (capacity == vpc->header.capacity)
        return TRUE;
    g_mutex_lock(&vpc->blocks.lock);
    ok = vpc_resize_locked(vpc, capacity, preallocation, task, error);
    g_mutex_unlock(&vpc->blocks.lock);
    return ok;
}
