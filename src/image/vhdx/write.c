/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes, zeroes and discards. Each operation first begins the session (commit.c), then calls
 * blocks.c. Zeroing a whole block that is missing in a differencing image sets the block's state to
 * ZERO, which hides the parent without allocating space.
 */
#include "state.h"
#include "vhdx.h"

static gboolean vhdx_begin_write(Vhdx *vhdx, GError **error)
{
    gboolean ok;

    g_mutex_lock(&vhdx->blocks.lock);
    ok = vhdx_begin_writing(vhdx, error);
    g_mutex_unlock(&vhdx->blocks.lock);
    return ok;
}

gboolean vhdx_pwrite(CstImage *image, const void *buf, size_t len, uint64_t offset, GError **error)
{
    return vhdx_begin_write(vhdx_of(image), error) &&
           cst_blocks_pwrite(image, buf, len, offset, error);
}

/*
 * Hides a whole block of the parent through the entry's state alone. The block then reads as
 * zeroes.
 */
static gboolean hide_parent(Vhdx *vhdx, uint64_t block, gboolean *ret_done, GError **error)
{
    uint64_t index = vhdx_bat_index(vhdx, block), entry = 0;
    gboolean ok;

    g_mutex_lock(&vhdx->blocks.lock);
    cst_blocks_wait(&vhdx->blocks, block);
    ok = vhdx_relieve(vhdx, error) && vhdx_bat_get(vhdx, index, &entry, error);
    *ret_done = ok && VHDX_STATE(entry) == VHDX_NOT_PRESENT;
    if (*ret_done)
        ok = vhdx_bat_set(vhdx, index, vhdx_entry(VHDX_ZERO, 0), error);
    g_mutex_unlock(&vhdx->blocks.lock);
    return ok;
}

static gboolean zero_in_block(Vhdx *vhdx, uint64_t offset, uint64_t length, unsigned flags,
                              GError **error)
{
    uint64_t block_size = vhdx->blocks.block_size;
    gboolean whole = offset % block_size == 0 &&
                     (length == block_size || offset + length == vhdx->blocks.image.capacity);
    gboolean done = FALSE;

    if (vhdx->is_diff && whole && !hide_parent(vhdx, offset / block_size, &done, error))
        return FALSE;
    return done || cst_blocks_zero(&vhdx->blocks.image, offset, length, flags, error);
}

gboolean vhdx_zero(CstImage *image, uint64_t offset, uint64_t length, unsigned flags,
                   GError **error)
{
    Vhdx *vhdx = vhdx_of(image);

    if (!vhdx_begin_write(vhdx, error))
        return FALSE;
    while (length > 0) {
        uint64_t n = MIN(length, vhdx->blocks.block_size - offset % vhdx->blocks.block_size);

        if (!zero_in_block(vhdx, offset, n, flags, error))
            return FALSE;
        offset += n;
        length -= n;
    }
    return TRUE;
}

gboolean vhdx_discard(CstImage *image, uint64_t offset, uint64_t length, GError **error)
{
    return vhdx_begin_write(vhdx_of(image), error) &&
           cst_blocks_discard(image, offset, length, error);
}
