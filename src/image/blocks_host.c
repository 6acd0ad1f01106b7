/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads, copies and zeroes bytes of the file with the data of an image of a block format. The file
 * may end before its last block does. The missing bytes read as zeroes.
 */
#include "blocks.h"

#include <string.h>

#include <base/alloc.h>
#include <base/units.h>

#define COPY_CHUNK CST_MIB

gboolean cst_blocks_host_bytes(CstBlocks *blocks, uint64_t host, uint64_t length,
                               uint64_t *ret_there, GError **error)
{
    uint64_t size = 0;

    if (!cst_blob_get_size(blocks->data, &size, error))
        return FALSE;
    *ret_there = host < size ? MIN(length, size - host) : 0;
    return TRUE;
}

gboolean cst_blocks_read_host(CstBlocks *blocks, void *buf, size_t len, uint64_t host,
                              GError **error)
{
    uint64_t there = 0;

    if (!cst_blocks_host_bytes(blocks, host, len, &there, error))
        return FALSE;
    memset((uint8_t *)buf + there, 0, len - there);
    return there == 0 || cst_blob_pread(blocks->data, buf, there, host, error);
}

gboolean cst_blocks_zero_host(CstBlocks *blocks, uint64_t host, uint64_t length, unsigned flags,
                              GError **error)
{
    uint64_t there = 0;

    return cst_blocks_host_bytes(blocks, host, length, &there, error) &&
           (there == 0 || cst_blob_zero(blocks->data, host, there, flags, error));
}

/* Finds the run of one kind at @host, at most @length bytes long. Bytes past the end of the file
 * are zero. */
static gboolean run_at(CstBlocks *blocks, uint64_t host, uint64_t length, CstExtent *ret_run,
                       GError **error)
{
    uint64_t there = 0;

    if (!cst_blocks_host_bytes(blocks, host, length, &there, error))
        return FALSE;
    if (there > 0)
        return cst_blob_extent(blocks->data, host, there, ret_run, error);
    *ret_run = (CstExtent){host, length, CST_EXTENT_ZERO};
    return TRUE;
}

/* Zeroes a range, which may be past the end of the file, with holes if possible. */
static gboolean put_zeroes(CstBlocks *blocks, uint64_t host, uint64_t length, GError **error)
{
    uint64_t size = 0;

    return cst_blob_get_size(blocks->data, &size, error) &&
           (host + length <= size || cst_blob_resize(blocks->data, host + length, error)) &&
           (host >= size ||
            cst_blob_zero(blocks->data, host, MIN(length, size - host), CST_ZERO_MAY_UNMAP, error));
}

static gboolean copy_data(CstBlocks *blocks, uint64_t from, uint64_t to, size_t len, GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(len, 1, blocks->blob->name, error);

    return buf && cst_blocks_read_host(blocks, buf, len, from, error) &&
           cst_blob_pwrite(blocks->data, buf, len, to, error);
}

gboolean cst_blocks_copy_host(CstBlocks *blocks, uint64_t from, uint64_t to, uint64_t length,
                              GError **error)
{
    CstExtent run;

    /* Keep holes: a repair of an image whose blocks all share one place would fill the disk. */
    for (uint64_t done = 0; done < length; done += run.length)
        if (!run_at(blocks, from + done, MIN(COPY_CHUNK, length - done), &run, error) ||
            !(run.flags & CST_EXTENT_ZERO
                  ? put_zeroes(blocks, to + done, run.length, error)
                  : copy_data(blocks, from + done, to + done, (size_t)run.length, error)))
            return FALSE;
    return TRUE;
}
