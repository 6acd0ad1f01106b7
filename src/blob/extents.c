/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verification of shared extents.
 *
 * Kernels have been observed to share the wrong extents, so the result of FICLONERANGE is verified.
 * FIEMAP reports the physical address of each extent of both files. If all addresses are equal, the
 * content is equal as long as the files are not written, at the cost of a few microseconds. Extents
 * without a reliable address (delayed allocation, inline, encoded) and files on file systems
 * without FIEMAP are read and compared instead.
 */
#include "extents.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include <base/file.h>
#include <base/units.h>

#define EXTENTS_AT_ONCE 128     /* extents per FIEMAP call */
#define BUFFER          CST_MIB /* bytes per read of each file */

/* Flags of extents whose physical address does not identify their content. */
#define UNRELIABLE                                                                          \
    (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |               \
     FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE | \
     FIEMAP_EXTENT_DATA_TAIL)

/* A cursor over the extents of a range, from FIEMAP. */
typedef struct {
    int fd;
    uint64_t offset, end;
    unsigned next;   /* index of the next extent in @map */
    gboolean failed; /* the query failed, or an address is unreliable */
    struct fiemap *map;
} Walk;

/* A piece of the range with its physical address; 0: no address, reads as zeroes. */
typedef struct {
    uint64_t length, address;
} Piece;

static void walk_init(Walk *walk, const CstFileRange *range, uint64_t length)
{
    *walk = (Walk){.fd = range->fd, .offset = range->offset, .end = range->offset + length};
    /* Zeroed, so that the first use finds no extents and queries them. */
    walk->map = g_malloc0(sizeof(struct fiemap) + EXTENTS_AT_ONCE * sizeof(struct fiemap_extent));
}

static gboolean query_extents(Walk *walk)
{
    struct fiemap *map = walk->map;

    memset(map, 0, sizeof(*map));
    map->fm_start = walk->offset;
    map->fm_length = walk->end - walk->offset;
    map->fm_extent_count = EXTENTS_AT_ONCE;
    walk->next = 0;
    return ioctl(walk->fd, FS_IOC_FIEMAP, map) == 0;
}

/* Returns the extent at or after the cursor; NULL: no further extent, or the query failed. */
static const struct fiemap_extent *current_extent(Walk *walk)
{
    for (gboolean asked = FALSE;; asked = TRUE) {
        for (; walk->next < walk->map->fm_mapped_extents; walk->next++) {
            const struct fiemap_extent *extent = &walk->map->fm_extents[walk->next];

            if (extent->fe_logical + extent->fe_length > walk->offset)
                return extent;
        }
        if (asked || !query_extents(walk)) {
            /* The query failed, or its answer ends before the cursor. */
            walk->failed = !asked || walk->next > 0;
            return NULL;
        }
    }
}

/* Returns the piece at the cursor. Unwritten extents read as zeroes, like holes. */
static Piece next_piece(Walk *walk)
{
    const struct fiemap_extent *extent = current_extent(walk);
    uint64_t left = walk->end - walk->offset;
    Piece piece = {left, 0};

    if (!extent || extent->fe_logical >= walk->end)
        return piece;
    if (extent->fe_logical > walk->offset) {
        piece.length = extent->fe_logical - walk->offset;
        return piece;
    }
    piece.length = MIN(left, extent->fe_logical + extent->fe_length - walk->offset);
    if (extent->fe_flags & UNRELIABLE)
        walk->failed = TRUE;
    else if (!(extent->fe_flags & FIEMAP_EXTENT_UNWRITTEN))
        piece.address = extent->fe_physical + (walk->offset - extent->fe_logical);
    return piece;
}

static gboolean share_addresses(Walk *a, Walk *b)
{
    while (a->offset < a->end) {
        Piece in_a = next_piece(a), in_b = next_piece(b);
        uint64_t n = MIN(in_a.length, in_b.length);

        if (a->failed || b->failed || in_a.address != in_b.address)
            return FALSE;
        a->offset += n;
        b->offset += n;
    }
    return TRUE;
}

static gboolean compare_content(const CstFileRange *a, const CstFileRange *b, uint64_t length,
                                gboolean *ret_same, GError **error)
{
    g_autofree uint8_t *bufs = g_malloc((size_t)2 * BUFFER);
    gboolean same = TRUE;

    for (uint64_t done = 0; same && done < length;) {
        size_t n = (size_t)MIN(BUFFER, length - done);

        if (!cst_pread_full(a->fd, bufs, n, a->offset + done, a->name, error) ||
            !cst_pread_full(b->fd, bufs + BUFFER, n, b->offset + done, b->name, error))
            return FALSE;
        same = memcmp(bufs, bufs + BUFFER, n) == 0;
        done += n;
    }
    *ret_same = same;
    return TRUE;
}

gboolean cst_extents_are_same(const CstFileRange *a, const CstFileRange *b, uint64_t length,
                              gboolean *ret_same, GError **error)
{
    Walk in_a, in_b;
    gboolean same;

    walk_init(&in_a, a, length);
    walk_init(&in_b, b, length);
    same = share_addresses(&in_a, &in_b);
    g_free(in_a.map);
    g_free(in_b.map);
    if (same)
        *ret_same = TRUE;
    return same || compare_content(a, b, length, ret_same, error);
}
