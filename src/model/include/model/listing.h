/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/flags.h>
#include <model/vol_def.h>

/** Information about pools and volumes. Sizes are bytes, as of the last refresh or change. */

typedef struct {
    CstPoolRunState state;
    gboolean persistent; /**< persistent, autostart and volumes are filled in by the service only */
    gboolean autostart;
    uint64_t capacity;
    uint64_t allocation;
    uint64_t available;
    guint volumes;
} CstPoolInfo;

typedef struct {
    CstVolType type;
    uint64_t capacity;
    uint64_t allocation;
    uint64_t physical; /**< 0: unknown */
    /** allocation is an upper bound, not measured; FALSE also when that is unknown. */
    gboolean estimated;
} CstVolInfo;

/** A row of a volume list. info, format and problem are filled in only with details. */
typedef struct {
    char *name;
    char *key;
    char *path;
    CstVolInfo info;
    char *format;  /**< NULL: the pool type has none, or it is unknown */
    char *problem; /**< why the volume cannot be used; NULL: it is fine, or that is unknown */
} CstVolRow;

/** NULL is accepted. */
void cst_vol_row_free(CstVolRow *row);

/** A deleted volume that is kept. */
typedef struct {
    char *id;     /**< tells those apart that had one name */
    char *name;   /**< what it was called */
    char *hidden; /**< its name on the storage */
    char *pool;
    int64_t deleted;   /**< seconds since 1970 */
    int64_t until;     /**< when it is removed, by the next refresh or the daemon */
    uint32_t uid;      /**< who deleted it */
    gboolean has_size; /**< FALSE: the pool is not active */
    uint64_t capacity;
    uint64_t allocation;
} CstTrashRow;

/** NULL is accepted. */
void cst_trash_row_free(CstTrashRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTrashRow, cst_trash_row_free)
