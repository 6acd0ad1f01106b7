/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/flags.h>
#include <model/vol_def.h>

/** Information about pools and volumes. Sizes are in bytes, as of the last refresh or change. */

typedef struct {
    CstPoolRunState state;
    gboolean persistent; /**< only the service fills in persistent, autostart and volumes */
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
    /** allocation is an upper bound, not measured. FALSE also if this is unknown. */
    gboolean estimated;
} CstVolInfo;

/** A row of a volume list. info, format and problem are filled in only if details are requested. */
typedef struct {
    char *name;
    char *key;
    char *path;
    CstVolInfo info;
    char *format;  /**< NULL: unknown, or not applicable to the pool type */
    char *problem; /**< why the volume cannot be used; NULL: usable or unknown */
} CstVolRow;

/** NULL is accepted. */
void cst_vol_row_free(CstVolRow *row);

/** A deleted volume in the trash. */
typedef struct {
    char *id;     /**< unique id; several deleted volumes may have the same name */
    char *name;   /**< original name */
    char *hidden; /**< its name on the storage */
    char *pool;
    int64_t deleted;   /**< seconds since 1970 */
    int64_t until;     /**< seconds since 1970; the next refresh or the daemon then removes it */
    uint32_t uid;      /**< user that deleted it */
    gboolean has_size; /**< FALSE: the pool is not active */
    uint64_t capacity;
    uint64_t allocation;
} CstTrashRow;

/** Sorts CstTrashRow *: the oldest deletion first, and then by the name on the storage. */
void cst_trash_rows_sort(GPtrArray *rows);

/** All deleted volumes in the trash of a pool. */
typedef struct {
    guint volumes;
    gboolean has_size;   /**< FALSE: the pool is not active */
    uint64_t allocation; /**< bytes */
} CstTrashTotals;

/** NULL is accepted. */
void cst_trash_row_free(CstTrashRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstTrashRow, cst_trash_row_free)
