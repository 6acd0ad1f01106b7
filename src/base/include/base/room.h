/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/task.h>

/** The space that new files of a file system can have. */
typedef struct {
    uint64_t bytes;   /**< free for this process, with the blocks reserved for root if it is root */
    uint64_t device;  /**< its st_dev */
    gboolean known;   /**< FALSE: more than the free bytes may fit, and no copy can be refused */
    gboolean sharing; /**< its files can share extents */
} CstRoom;

/**
 * Asks the file system of @fd, a file or a directory. The answer is known only for file systems
 * that store each byte as it is: one that compresses, or that another machine serves, may hold more
 * than its free bytes. Quotas are not seen, except where the file system counts them as free space
 * (project quotas of XFS).
 */
CstRoom cst_room_of(int fd);

/** Counts the bytes of a content that take space in any copy of it. */
typedef struct {
    uint64_t left;     /**< bytes that are still free; set it to begin with */
    gboolean exceeded; /**< more was counted than was free */
    CstTask *task;     /**< to be cancelled by; may be NULL */
} CstRoomCount;

/**
 * Counts a piece of content: @len bytes, or (@len 0) a hole of @hole bytes, which takes no space.
 * @count is a CstRoomCount. Counts by sectors of 512 bytes, the smallest unit that any copy leaves
 * out, so the count is never too large. FALSE with NO_SPACE ends the reading: the count is
 * exceeded.
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
