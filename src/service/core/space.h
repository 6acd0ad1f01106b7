/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/room.h>

#include "pool.h"

/**
 * Logs warnings about space that has become fuller since the last warning. Only in a daemon. Does
 * storage I/O.
 */
void pool_check_space(CstPool *pool, CstPoolState *state);
/**
 * Queries the space of thin pools and records it (pool->thin). A failure keeps the last values. For
 * an embedded process; in a daemon pool_check_space() records it. Does storage I/O.
 */
void pool_read_thin(CstPool *pool, CstPoolState *state);
/** Returns whether the last check found space that may fill up. */
gboolean pool_has_limited_space(CstPool *pool);

/**
 * Returns the bytes available for new files of the pool. Unknown if volumes are not files, and if
 * the storage does not answer. Does storage I/O.
 */
CstRoom pool_room(CstPoolState *state);

/** A planned copy. */
typedef struct {
    CstBlob *from;     /**< its content; NULL: not available */
    gboolean whole;    /**< all bytes are allocated */
    uint64_t capacity; /**< size in bytes, if @from is NULL */
} SpaceCopy;

/**
 * Fails with NO_SPACE if the planned copy, volume @name in @pool, certainly does not fit. Only for
 * pools of files: other technologies reserve the space when they create the volume. May read the
 * source. @task may be NULL.
 */
gboolean pool_check_room(CstPool *pool, CstPoolState *state, const char *name,
                         const SpaceCopy *copy, CstTask *task, GError **error);
