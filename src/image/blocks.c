/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Moves the guest's bytes of all block formats, one run at a time. blocks.h describes the model and
 * the locking. do_step() has the order of a write to bytes without a place. */
#include "blocks.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <base/units.h>

#define SECTOR     512u
#define MAX_SECTOR 4096u /* larger units are whole blocks, which were unallocated */
#define FILL_CHUNK CST_MIB

static CstBlocks *blocks_of(CstImage *image)
{
    return (CstBlocks *)image;
}

gboolean cst_blocks_init(CstBlocks *blocks, const CstBlocksOps *ops, CstBlob *blob,
                         const CstImageOpen *how, GError **error)
{
    if (how->backing && !cst_blob_get_size(how->backing, &blocks->backing_size, error))
        return FALSE;
    blocks->ops = ops;
    blocks->blob = blocks->data = blob;
    blocks->backing = how->backing;
    blocks->barriers = !(how->flags & CST_IMAGE_NO_BARRIERS);
    g_mutex_init(&blocks->lock);
    g_cond_init(&blocks->released);
    return TRUE;
}

void cst_blocks_clear(CstBlocks *blocks)
{
    g_cond_clear(&blocks->released);
    g_mutex_clear(&blocks->lock);
}

gboolean cst_blocks_barrier(CstBlocks *blocks, GError **error)
{
    return !blocks->barriers || cst_blob_flush(blocks->blob, error);
}

static uint64_t in_block(const CstBlocks *blocks, uint64_t offset, uint64_t length)
{
    return MIN(length, blocks->block_size - offset % blocks->block_size);
}

static gboolean blocks_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *run,
                           GError **error)
{
    gboolean ok;

    g_mutex_lock(&blocks->lock);
    ok = blocks->ops->map(blocks, offset, in_block(blocks, offset, length), run, error);
    g_mutex_unlock(&blocks->lock);
    return ok;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Returns the number of bytes of the range inside the backing image, which may be shorter than the
 * image. */
static uint64_t backing_there(const CstBlocks *blocks, uint64_t offset, uint64_t length)
{
    uint64_t start = blocks->backing_start;

    if (!blocks->backing || start > blocks->backing_size || offset >= blocks->backing_size - start)
        return 0;
    return MIN(length, blocks->backing_size - start - offset);
}

static gboolean read_backing(CstBlocks *blocks, uint8_t *buf, size_t len, uint64_t offset,
                             GError **error)
{
    size_t there = (size_t)backing_there(blocks, offset, len);

    if (blocks->lacks_backing)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("'%s' is opened without its backing image, which has the requested data"),
                        blocks->blob->name);
    memset(buf + there, 0, len - there);
    return there == 0 ||
           cst_blob_pread(blocks->backing, buf, there, blocks->backing_start + offset, error);
}

static gboolean read_run(CstBlocks *blocks, const CstRun *run, uint8_t *buf, uint64_t offset,
                         GError **error)
{
    size_t len = (size_t)run->length;

    switch (run->kind) {
    case CST_RUN_DATA: return cst_blocks_read_host(blocks, buf, len, run->host, error);
    case CST_RUN_BACKING: return read_backing(blocks, buf, len, offset, error);
    case CST_RUN_PACKED: return blocks->ops->unpack(blocks, run, buf, len, offset, error);
    default: memset(buf, 0, len); return TRUE;
    }
}

/*
 * Maps the range like blocks_map(), and joins runs of data that are adjacent in the file, so that
 * adjacent small blocks are one read. @next is the run after the returned one if it has been mapped
 * already, else its length is 0. Set its length to 0 before the first call.
 */
static gboolean map_joined(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *next,
                           CstRun *ret_run, GError **error)
{
    CstRun run = *next;

    next->length = 0;
    if (run.length == 0 && !blocks_map(blocks, offset, length, &run, error))
        return FALSE;
    while (run.kind == CST_RUN_DATA && run.length < length) {
        if (!blocks_map(blocks, offset + run.length, length - run.length, next, error))
            return FALSE;
        if (next->kind != CST_RUN_DATA || next->host != run.host + run.length)
            break;
        run.length += next->length;
        next->length = 0;
    }
    *ret_run = run;
    return TRUE;
}

gboolean cst_blocks_pread(CstImage *image, void *buf, size_t len, uint64_t offset, GError **error)
{
    CstBlocks *blocks = blocks_of(image);
    CstRun next = {0};
    uint8_t *at = buf;

    while (len > 0) {
        size_t n;
        CstRun run;

        if (!map_joined(blocks, offset, len, &next, &run, error))
            return FALSE;
        n = (size_t)run.length;
        if (!read_run(blocks, &run, at, offset, error))
            return FALSE;
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

/* Describes a run with a place. A hole of the file inside it reads as zeroes. */
static gboolean data_extent(CstBlocks *blocks, const CstRun *run, CstExtent *extent, GError **error)
{
    CstExtent host;
    uint64_t there = 0;

    if (!cst_blocks_host_bytes(blocks, run->host, run->length, &there, error))
        return FALSE;
    if (there == 0) {
        extent->flags = CST_EXTENT_ZERO;
        return TRUE;
    }
    if (!cst_blob_extent(blocks->data, run->host, there, &host, error))
        return FALSE;
    extent->flags = host.flags & CST_EXTENT_ZERO;
    extent->length = host.length;
    return TRUE;
}

static gboolean backing_extent(CstBlocks *blocks, const CstRun *run, CstExtent *extent,
                               GError **error)
{
    uint64_t there = backing_there(blocks, extent->offset, run->length);
    CstExtent seen;

    extent->flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
    if (there == 0)
        return TRUE;
    if (!cst_blob_extent(blocks->backing, blocks->backing_start + extent->offset, there, &seen,
                         error))
        return FALSE;
    extent->length = seen.length;
    extent->flags = seen.flags;
    return TRUE;
}

gboolean cst_blocks_run_extent(CstBlocks *blocks, uint64_t offset, const CstRun *run,
                               CstExtent *ret_extent, GError **error)
{
    CstExtent extent = {offset, run->length, CST_EXTENT_DATA};

    if (run->kind == CST_RUN_DATA) {
        if (!data_extent(blocks, run, &extent, error))
            return FALSE;
    } else if (run->kind == CST_RUN_ZERO) {
        extent.flags = CST_EXTENT_HOLE | CST_EXTENT_ZERO;
    } else if (run->kind == CST_RUN_BACKING && !blocks->lacks_backing &&
               !backing_extent(blocks, run, &extent, error)) {
        return FALSE;
    }
    *ret_extent = extent;
    return TRUE;
}

gboolean cst_blocks_extent(CstImage *image, uint64_t offset, uint64_t length, CstExtent *ret_extent,
                           GError **error)
{
    CstBlocks *blocks = blocks_of(image);
    CstRun run;

    return blocks_map(blocks, offset, length, &run, error) &&
           cst_blocks_run_extent(blocks, offset, &run, ret_extent, error);
}

gboolean cst_blocks_locate(CstImage *image, uint64_t offset, uint64_t length,
                           CstBlobLocation *ret_location, GError **error)
{
    CstBlocks *blocks = blocks_of(image);
    uint64_t there;
    CstRun run;

    if (!blocks_map(blocks, offset, length, &run, error))
        return FALSE;
    there = run.kind == CST_RUN_BACKING ? backing_there(blocks, offset, run.length) : 0;
    if (run.kind == CST_RUN_DATA)
        *ret_location = (CstBlobLocation){blocks->data, run.host, run.length};
    else if (there > 0)
        *ret_location = (CstBlobLocation){blocks->backing, blocks->backing_start + offset, there};
    else
        *ret_location = (CstBlobLocation){NULL, 0, run.length};
    return TRUE;
}

/* --- writing --------------------------------------------------------------------------------- */

/* Lock held. */
static gboolean is_claimed(const CstBlocks *blocks, uint64_t first, uint64_t last)
{
    for (const CstBlockClaim *claim = blocks->claims; claim; claim = claim->next)
        if (first <= claim->last && claim->first <= last)
            return TRUE;
    return FALSE;
}

void cst_blocks_wait(CstBlocks *blocks, uint64_t block)
{
    while (is_claimed(blocks, block, block)) {
        CST_TEST_POINT("blocks.block.wait");
        g_cond_wait(&blocks->released, &blocks->lock);
    }
}

void cst_blocks_claim(CstBlocks *blocks, CstBlockClaim *claim)
{
    while (is_claimed(blocks, claim->first, claim->last)) {
        CST_TEST_POINT("blocks.range.wait");
        g_cond_wait(&blocks->released, &blocks->lock);
    }
    claim->next = blocks->claims;
    blocks->claims = claim;
}

void cst_blocks_release(CstBlocks *blocks, CstBlockClaim *claim)
{
    CstBlockClaim **at = &blocks->claims;

    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    g_cond_broadcast(&blocks->released);
}

/* Lock held. On success the bytes have a place, or the caller owns a claim on the block. */
static gboolean map_or_claim(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *run,
                             CstBlockClaim *claim, GError **error)
{
    claim->first = claim->last = offset / blocks->block_size;
    for (;;) {
        if (!blocks->ops->map(blocks, offset, length, run, error))
            return FALSE;
        if (run->kind == CST_RUN_DATA)
            return TRUE;
        if (!is_claimed(blocks, claim->first, claim->last))
            break;
        CST_TEST_POINT("blocks.step.wait");
        g_cond_wait(&blocks->released, &blocks->lock);
    }
    cst_blocks_claim(blocks, claim);
    return TRUE;
}

/* Copies the guest's content at @offset to @host. Bytes past the image's capacity are zero. */
static gboolean fill_from_guest(CstBlocks *blocks, uint64_t host, uint64_t length, uint64_t offset,
                                GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(MIN(length, FILL_CHUNK), 1, blocks->blob->name, error);

    if (!buf)
        return FALSE;
    for (uint64_t done = 0; done < length;) {
        size_t n = (size_t)MIN(FILL_CHUNK, length - done);
        uint64_t left = blocks->image.capacity - MIN(offset + done, blocks->image.capacity);
        size_t there = (size_t)MIN(n, left);

        memset(buf + there, 0, n - there);
        if ((there > 0 && !cst_blocks_pread(&blocks->image, buf, there, offset + done, error)) ||
            !cst_blob_pwrite(blocks->data, buf, n, host + done, error))
            return FALSE;
        done += n;
    }
    return TRUE;
}

/* Writes the guest's content at @offset, around the bytes of @step, to @host. */
static gboolean blocks_fill(CstBlocks *blocks, uint64_t host, uint64_t length, uint64_t offset,
                            const CstStep *step, GError **error)
{
    uint8_t buf[MAX_SECTOR];

    if (step->backed)
        return fill_from_guest(blocks, host, length, offset, error);
    if (step->unit > MAX_SECTOR)
        return cst_blocks_zero_host(blocks, host, length, CST_ZERO_MAY_UNMAP, error);
    return cst_blocks_pread(&blocks->image, buf, (size_t)length, offset, error) &&
           cst_blob_pwrite(blocks->data, buf, (size_t)length, host, error);
}

static gboolean fill_around(CstBlocks *blocks, const CstStep *step, GError **error)
{
    uint64_t before = step->offset % step->unit, end = step->offset + step->length;
    uint64_t after = cst_round_up(end, step->unit) - end;

    if (step->fresh && !step->backed)
        return TRUE;
    return (before == 0 ||
            blocks_fill(blocks, step->host - before, before, step->offset - before, step, error)) &&
           (after == 0 || blocks_fill(blocks, step->host + step->length, after, end, step, error));
}

/* Writes the data of a step and fills in the bytes around. @buf NULL: zeroes. */
static gboolean write_step(CstBlocks *blocks, const CstStep *step, const uint8_t *buf,
                           GError **error)
{
    static const uint8_t zeroes[SECTOR];
    gboolean reaches = buf && step->host + step->length >= step->block_end;
    uint64_t size = 0;

    if (!reaches) { /* extend the file before the data, which may share the last sector */
        if (!cst_blob_get_size(blocks->data, &size, error))
            return FALSE;
        if (size < step->block_end && !cst_blob_pwrite(blocks->data, zeroes, sizeof(zeroes),
                                                       step->block_end - sizeof(zeroes), error))
            return FALSE;
    }
    if (!fill_around(blocks, step, error))
        return FALSE;
    if (buf)
        return cst_blob_pwrite(blocks->data, buf, (size_t)step->length, step->host, error);
    return step->fresh ||
           cst_blocks_zero_host(blocks, step->host, step->length, CST_ZERO_MAY_UNMAP, error);
}

/* Lock held, the block claimed. Releases the lock while data is written, and acquires it again. */
static gboolean do_step(CstBlocks *blocks, CstStep *step, const uint8_t *buf, GError **error)
{
    gboolean ok;

    if (!blocks->ops->place(blocks, step, error))
        return FALSE;
    g_mutex_unlock(&blocks->lock);
    ok = write_step(blocks, step, buf, error);
    CST_TEST_POINT("blocks.step.written");
    g_mutex_lock(&blocks->lock);
    ok = ok && blocks->ops->link(blocks, step, error);
    if (!ok)
        blocks->ops->take_back(blocks, step);
    return ok;
}

static gboolean write_in_place(CstBlocks *blocks, const CstRun *run, const uint8_t *buf,
                               unsigned flags, GError **error)
{
    if (buf)
        return cst_blob_pwrite(blocks->data, buf, (size_t)run->length, run->host, error);
    return cst_blocks_zero_host(blocks, run->host, run->length, flags, error);
}

/* Lock held, block claimed. @buf NULL: zeroes; a whole block may get a table entry instead of
 * data. */
static gboolean write_to_place(CstBlocks *blocks, const CstRun *run, const uint8_t *buf,
                               uint64_t offset, GError **error)
{
    CstStep step = {.offset = offset, .length = run->length, .unit = SECTOR};
    gboolean whole = offset % blocks->block_size == 0 &&
                     run->length >= MIN(blocks->block_size, blocks->image.capacity - offset);
    gboolean done = FALSE;

    if (!buf && whole && run->kind == CST_RUN_BACKING && blocks->ops->hide &&
        !blocks->ops->hide(blocks, offset, &done, error))
        return FALSE;
    return done || do_step(blocks, &step, buf, error);
}

/* Writes the first part of the range, at least one byte. *ret_done is its length. */
static gboolean write_some(CstBlocks *blocks, const uint8_t *buf, uint64_t length, uint64_t offset,
                           unsigned flags, uint64_t *ret_done, GError **error)
{
    CstBlockClaim claim;
    CstRun run;
    gboolean ok;

    length = in_block(blocks, offset, length);
    g_mutex_lock(&blocks->lock);
    ok = map_or_claim(blocks, offset, length, &run, &claim, error);
    if (ok && run.kind != CST_RUN_DATA) {
        ok = write_to_place(blocks, &run, buf, offset, error);
        cst_blocks_release(blocks, &claim);
    }
    g_mutex_unlock(&blocks->lock);
    if (ok && run.kind == CST_RUN_DATA)
        ok = write_in_place(blocks, &run, buf, flags, error);
    if (ok)
        *ret_done = run.length;
    return ok;
}

/* Writes the range. @buf NULL: zeroes. */
static gboolean write_range(CstBlocks *blocks, const uint8_t *buf, uint64_t length, uint64_t offset,
                            unsigned flags, GError **error)
{
    for (uint64_t at = 0; at < length;) {
        uint64_t done = 0;

        if (!write_some(blocks, buf ? buf + at : NULL, length - at, offset + at, flags, &done,
                        error))
            return FALSE;
        at += done;
    }
    return TRUE;
}

gboolean cst_blocks_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset,
                           GError **error)
{
    return write_range(blocks_of(image), buf, len, offset, 0, error);
}

gboolean cst_blocks_write_packed(CstBlocks *blocks, const uint8_t *packed, size_t packed_len,
                                 const uint8_t *buf, size_t len, uint64_t offset, GError **error)
{
    CstBlockClaim claim;
    CstRun run;
    gboolean ok;

    g_mutex_lock(&blocks->lock);
    ok = map_or_claim(blocks, offset, len, &run, &claim, error);
    if (ok && run.kind != CST_RUN_DATA) {
        CstStep step = {.offset = offset, .length = packed_len, .packed = TRUE};

        ok = do_step(blocks, &step, packed, error);
        cst_blocks_release(blocks, &claim);
    }
    g_mutex_unlock(&blocks->lock);
    return ok &&
           (run.kind != CST_RUN_DATA || cst_blob_pwrite(blocks->data, buf, len, run.host, error));
}

gboolean cst_blocks_write_zeroes(CstBlocks *blocks, uint64_t offset, uint64_t length,
                                 unsigned flags, GError **error)
{
    return write_range(blocks, NULL, length, offset, flags, error);
}

gboolean cst_blocks_fill_block(CstBlocks *blocks, uint64_t offset, GError **error)
{
    uint64_t end = MIN(offset + blocks->block_size, blocks->image.capacity);
    CstRun run;

    for (uint64_t at = offset; at < end; at += run.length)
        if (!blocks_map(blocks, at, end - at, &run, error) ||
            (run.kind == CST_RUN_BACKING &&
             !cst_blocks_write_zeroes(blocks, at, run.length, CST_ZERO_MAY_UNMAP, error)))
            return FALSE;
    return TRUE;
}

gboolean cst_blocks_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                         GError **error)
{
    CstBlocks *blocks = blocks_of(image);

    while (length > 0) {
        uint64_t n;
        CstRun run;

        if (!blocks_map(blocks, offset, length, &run, error))
            return FALSE;
        n = run.length;
        if (run.kind != CST_RUN_ZERO && !cst_blocks_write_zeroes(blocks, offset, n, flags, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

gboolean cst_blocks_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error)
{
    CstBlocks *blocks = blocks_of(image);

    while (length > 0) {
        uint64_t there = 0;
        CstRun run;

        if (!blocks_map(blocks, offset, length, &run, error))
            return FALSE;
        if (run.kind == CST_RUN_DATA &&
            !cst_blocks_host_bytes(blocks, run.host, run.length, &there, error))
            return FALSE;
        if (there > 0 && !cst_blob_discard(blocks->data, run.host, there, error))
            return FALSE;
        offset += run.length;
        length -= run.length;
    }
    return TRUE;
}

/* --- syncing --------------------------------------------------------------------------------- */

gboolean cst_blocks_spill(void *owner, GError **error)
{
    CstBlocks *blocks = owner;

    return blocks->ops->sync(blocks, error);
}

gboolean cst_blocks_write_back(CstBlocks *blocks, GError **error)
{
    gboolean ok;

    g_mutex_lock(&blocks->lock);
    ok = blocks->ops->sync(blocks, error);
    g_mutex_unlock(&blocks->lock);
    return ok;
}

gboolean cst_blocks_write_through(CstBlocks *blocks, GError **error)
{
    return cst_blocks_write_back(blocks, error) && cst_blocks_barrier(blocks, error);
}

gboolean cst_blocks_flush(CstImage *image, GError **error)
{
    CstBlocks *blocks = blocks_of(image);

    return cst_blocks_write_back(blocks, error) && cst_blob_flush(blocks->blob, error);
}
