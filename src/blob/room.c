/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blob/room.h>

#include <sys/stat.h>

#include <base/alloc.h>
#include <base/error.h>

#define PIECE  (1u << 20)          /* bytes read at a time */
#define EXTENT (UINT64_C(1) << 30) /* bytes queried at a time: the unit of cancelling */

gboolean cst_blob_data_size(CstBlob *blob, CstTask *task, uint64_t *ret_size, GError **error)
{
    uint64_t size, data = 0;
    CstExtent extent;

    if (!cst_blob_get_size(blob, &size, error))
        return FALSE;
    for (uint64_t at = 0; at < size; at += extent.length) {
        if (!cst_task_check(task, error) ||
            !cst_blob_extent(blob, at, MIN(size - at, EXTENT), &extent, error))
            return FALSE;
        if (!(extent.flags & CST_EXTENT_ZERO))
            data += extent.length;
    }
    *ret_size = data;
    return TRUE;
}

static gboolean count_extent(CstBlob *blob, const CstExtent *extent, uint8_t *piece,
                             CstRoomCount *count, GError **error)
{
    const uint64_t end = extent->offset + extent->length;
    size_t len;

    if (extent->flags & CST_EXTENT_ZERO)
        return TRUE;
    for (uint64_t at = extent->offset; at < end; at += len) {
        len = (size_t)MIN(end - at, PIECE);
        if (!cst_blob_pread(blob, piece, len, at, error) ||
            !cst_room_count_piece(piece, len, 0, count, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean count_blob(CstBlob *blob, CstRoomCount *count, GError **error)
{
    g_autofree uint8_t *piece = cst_alloc(PIECE, 1, blob->name, error);
    uint64_t size;
    CstExtent extent;

    if (!piece || !cst_blob_get_size(blob, &size, error))
        return FALSE;
    for (uint64_t at = 0; at < size; at += extent.length)
        if (!cst_blob_extent(blob, at, MIN(size - at, EXTENT), &extent, error) ||
            !count_extent(blob, &extent, piece, count, error))
            return FALSE;
    return TRUE;
}

/*
 * Returns whether the copy may share extents. The file of a layer over other blobs is unknown, so a
 * layer counts as sharing too.
 */
static gboolean may_share(const CstRoom *room, CstBlob *from)
{
    int fd = cst_blob_file_fd(from);
    struct stat st;

    return room->sharing && (fd < 0 || fstat(fd, &st) < 0 || st.st_dev == room->device);
}

gboolean cst_room_check_copy(const CstRoom *room, CstBlob *from, gboolean whole, CstTask *task,
                             uint64_t *ret_needed, GError **error)
{
    CstRoomCount count = {.left = room->bytes, .task = task};
    g_autoptr(GError) why = NULL;
    uint64_t needed;

    *ret_needed = 0;
    if (!room->known || (!whole && may_share(room, from)))
        return TRUE;
    if (!(whole ? cst_blob_get_size(from, &needed, error)
                : cst_blob_data_size(from, task, &needed, error)))
        return FALSE;
    if (needed <= room->bytes)
        return TRUE;
    if (whole || !count_blob(from, &count, &why)) {
        if (why && !count.exceeded) {
            g_propagate_error(error, g_steal_pointer(&why));
            return FALSE;
        }
        *ret_needed = needed;
    }
    return TRUE;
}
