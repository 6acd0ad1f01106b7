/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/** The space that a file system has for new files. */
typedef struct {
    uint64_t bytes; /**< free for this process, including the blocks reserved for root if it runs as
                       root */
    uint64_t device;  /**< st_dev of the file system */
    gboolean known;   /**< FALSE: more than the free bytes may fit, so no copy can be refused */
    gboolean sharing; /**< its files can share extents */
} CstRoom;

/**
 * Returns the free space of the file system of @fd, a file or a directory. The space is known only
 * for file systems that store each byte unchanged. A file system that compresses, or that another
 * machine serves, may hold more than its free bytes. Quotas are ignored, unless the file system
 * reports them as free space (project quotas of XFS).
 */
CstRoom cst_room_of(int fd);

/** Counts the bytes of a content that occupy space in any copy of it. */
typedef struct {
    uint64_t left;     /**< bytes that are still free; set by the caller at the start */
    gboolean exceeded; /**< more bytes were counted than were free */
    CstTask *task;     /**< checked for cancellation; may be NULL */
} CstRoomCount;

/**
 * Counts a piece of content: @len bytes, or (@len 0) a hole of @hole bytes, which occupies no
 * space. @count is a CstRoomCount. The unit is a sector of 512 bytes, the smallest unit that any
 * copy leaves out, so the count is never too large. Returns FALSE with NO_SPACE, which ends the
 * reading, if the count exceeds the free space.
 */
gboolean cst_room_count_piece(const void *bytes, size_t len, uint64_t hole, gpointer count,
                              GError **error);

/**
 * Fails with NO_SPACE: a copy named @name needs @needed bytes in pool @pool, and @free are free.
 */
gboolean cst_room_fail_pool(const char *name, const char *pool, uint64_t needed, uint64_t free,
                            GError **error);
/** Fails with NO_SPACE: the file @path needs @needed bytes, and its file system has @free. */
gboolean cst_room_fail_file(const char *path, uint64_t needed, uint64_t free, GError **error);
