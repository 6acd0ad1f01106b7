/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Check and repair of a Parallels image, as QEMU counts it: an image that was not closed is an
 * error, and so is a place outside of the file; what is behind the last cluster has leaked. Two
 * entries with one place are an error too, and the second one gets a copy.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "bytes.h"
#include "parallels.h"

#define SECTOR    512u
#define MAX_BYTES (UINT64_C(1) << 42) /* of a file whose sectors are kept account of */

typedef struct {
    CstLookup *lookup;
    unsigned flags;
    CstImageCheck *check;
    CstTask *task;
    uint64_t unit;    /* bytes that an entry counts in */
    uint64_t entries; /* of the table */
    uint64_t end;     /* of what is in use */
    uint64_t before;  /* where the last cluster was */
    uint8_t *starts;  /* bit by sector of the file: a cluster begins there */
    uint8_t raw[PARALLELS_HEADER_LEN];
} Walk;

static gboolean write_entry(Walk *walk, uint64_t index, uint32_t entry, GError **error)
{
    uint8_t raw[4];

    cst_put_le32(raw, entry);
    return cst_blob_pwrite(walk->lookup->blocks.blob, raw, sizeof(raw),
                           PARALLELS_HEADER_LEN + index * sizeof(raw), error);
}

/* The copy is on the disk before the table refers to it. */
static gboolean copy_cluster(Walk *walk, uint64_t index, uint64_t from, GError **error)
{
    CstBlocks *blocks = &walk->lookup->blocks;
    uint64_t size = walk->lookup->cluster_size, file = 0, to;

    if (!cst_blob_get_size(blocks->blob, &file, error))
        return FALSE;
    to = cst_round_up(file, size);
    if (to / walk->unit > UINT32_MAX)
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is too long for more data"),
                        blocks->blob->name);
    walk->end = to + size;
    return cst_blocks_copy_host(blocks, from, to, size, error) &&
           cst_blob_flush(blocks->blob, error) &&
           write_entry(walk, index, (uint32_t)(to / walk->unit), error);
}

static void count(Walk *walk, uint64_t host)
{
    CstImageCheck *check = walk->check;
    uint64_t size = walk->lookup->cluster_size, sector = host / SECTOR;

    walk->starts[sector / 8] |= (uint8_t)(1 << sector % 8);
    check->allocated_clusters++;
    if (walk->before != 0 && host != walk->before + size)
        check->fragmented_clusters++;
    walk->before = host;
    walk->end = MAX(walk->end, host + size);
}

static gboolean look_at(Walk *walk, uint64_t index, uint64_t host, GError **error)
{
    uint64_t sector = host / SECTOR, table_end = PARALLELS_HEADER_LEN + walk->entries * 4;
    gboolean outside = host >= walk->lookup->file_size || host < table_end;

    if (!outside && !(walk->starts[sector / 8] & 1 << sector % 8)) {
        count(walk, host);
        return TRUE;
    }
    walk->check->errors++;
    if (!(walk->flags & CST_CHECK_REPAIR_ALL))
        return TRUE;
    walk->check->errors_fixed++;
    return outside ? write_entry(walk, index, 0, error) : copy_cluster(walk, index, host, error);
}

static gboolean look_at_table(Walk *walk, GError **error)
{
    uint8_t raw[4];

    for (uint64_t i = 0; i < walk->entries; i++) {
        if (!cst_lookup_read(walk->lookup, PARALLELS_HEADER_LEN + i * 4, raw, sizeof(raw), error) ||
            (i % 65536 == 0 && !cst_task_check(walk->task, error)) ||
            (cst_le32(raw) != 0 && !look_at(walk, i, cst_le32(raw) * walk->unit, error)))
            return FALSE;
    }
    return TRUE;
}

static gboolean look_at_end(Walk *walk, GError **error)
{
    CstBlob *blob = walk->lookup->blocks.blob;
    uint64_t size = 0;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    walk->check->image_end = walk->end;
    if (size <= walk->end || !blob->ops->resize)
        return TRUE;
    walk->check->leaks = cst_div_up(size - walk->end, walk->lookup->cluster_size);
    if (walk->flags == 0 || walk->check->errors > walk->check->errors_fixed)
        return TRUE;
    walk->check->leaks_fixed = walk->check->leaks;
    return cst_blob_flush(blob, error) && cst_blob_resize(blob, walk->end, error);
}

/* The mark goes last. */
static gboolean look_at_mark(Walk *walk, GError **error)
{
    CstBlob *blob = walk->lookup->blocks.blob;

    if (cst_le32(walk->raw + PARALLELS_AT_IN_USE) != PARALLELS_IN_USE)
        return TRUE;
    walk->check->errors++;
    if (!(walk->flags & CST_CHECK_REPAIR_ALL))
        return TRUE;
    walk->check->errors_fixed++;
    cst_put_le32(walk->raw + PARALLELS_AT_IN_USE, 0);
    return cst_blob_flush(blob, error) &&
           cst_blob_pwrite(blob, walk->raw, sizeof(walk->raw), 0, error);
}

static gboolean walk_all(Walk *walk, GError **error)
{
    CstBlob *blob = walk->lookup->blocks.blob;
    uint64_t size = walk->lookup->file_size, data;

    if (!cst_blob_pread(blob, walk->raw, sizeof(walk->raw), 0, error))
        return FALSE;
    if (size > MAX_BYTES || !(walk->starts = g_try_malloc0(size / SECTOR / 8 + 1)))
        return cst_fail(error, CST_ERROR_LIMIT, _("'%s' is too long to be checked"), blob->name);
    walk->unit = parallels_is_old(walk->raw) ? SECTOR : walk->lookup->cluster_size;
    walk->entries = cst_le32(walk->raw + PARALLELS_AT_ENTRIES);
    data = (uint64_t)cst_le32(walk->raw + PARALLELS_AT_DATA) * SECTOR;
    walk->end = MAX(MIN(data, size), PARALLELS_HEADER_LEN + walk->entries * 4);
    walk->check->total_clusters =
        cst_div_up(walk->lookup->blocks.image.capacity, walk->lookup->cluster_size);
    return look_at_table(walk, error) && look_at_end(walk, error) && look_at_mark(walk, error) &&
           (walk->flags == 0 || cst_blob_flush(blob, error));
}

gboolean parallels_check(CstBlob *blob, const CstImageFiles *files, unsigned flags,
                         CstImageCheck *ret_check, CstTask *task, GError **error)
{
    const CstImageOpen how = {0};
    CstImage *image = cst_format_parallels.open(blob, &how, error);
    Walk walk = {.lookup = image ? cst_lookup_of(image) : NULL,
                 .flags = flags,
                 .check = ret_check,
                 .task = task};
    gboolean ok = image && walk_all(&walk, error);

    g_free(walk.starts);
    if (image)
        cst_lookup_close(image);
    return ok;
}
