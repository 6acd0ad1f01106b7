/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <blob/room.h>

#include "pool.h"

/** Warns in a daemon's log about space that has become fuller than warned of. Touches storage. */
void pool_check_space(CstPool *pool, CstPoolState *state);
/** Whether the last check found space that may run full. */
gboolean pool_has_limited_space(CstPool *pool);

/**
 * Returns the bytes that new files of the pool can have; not known where volumes are no files, and
 * where the storage does not answer. Touches storage.
 */
CstRoom pool_room(CstPoolState *state);

/** A copy that is about to be made. */
typedef struct {
    CstBlob *from;     /**< its content; NULL: not known here */
    gboolean whole;    /**< every byte of it takes space */
    uint64_t capacity; /**< its bytes, where @from is NULL */
} SpaceCopy;

/**
 * Fails with NO_SPACE if volume @name, a copy that is to be made in @pool, is certain not to fit.
 * Pools of files only: other technologies reserve a volume's space when they make the volume. May
 * read the source. @task may be NULL.
 */
gboolean pool_check_room(CstPool *pool, CstPoolState *state, const char *name,
                         const SpaceCopy *copy, CstTask *task, GError **error);
