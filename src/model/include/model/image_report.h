/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** What questions about a volume's image are answered with. */

/** What a check found; the numbers are the image engine's (CstImageCheck). */
typedef struct {
    char format[16];
    uint64_t errors;       /**< inconsistencies that can lose or have lost data */
    uint64_t leaks;        /**< space that nothing refers to */
    uint64_t errors_fixed; /**< of those, repaired */
    uint64_t leaks_fixed;
    uint64_t total_clusters;
    uint64_t allocated_clusters;
    uint64_t fragmented_clusters;
    uint64_t compressed_clusters;
    uint64_t image_end; /**< bytes */
} CstCheckReport;

typedef enum { CST_REPAIR_LEAKS = 1 << 0, CST_REPAIR_ALL = 1 << 1 } CstRepairFlags;

typedef enum { CST_VOL_COMMIT_KEEP = 1 << 0 } CstVolCommitFlags;

/** A volume among those it is based on and that are based on it. */
typedef struct {
    unsigned level; /**< 0: the one that is based on nothing; the next ones hang on it */
    gboolean self;  /**< the one that was asked for */
    char *pool;     /**< NULL: in no active pool */
    char *name;     /**< of the volume, or the reference as it was found */
    char *path;     /**< NULL: unknown */
    char *format;   /**< NULL: unknown */
    uint64_t capacity;
    uint64_t allocation;
    char *problem; /**< NULL: fine */
} CstChainRow;

void cst_chain_row_free(CstChainRow *row);
