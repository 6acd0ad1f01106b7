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

typedef enum { CST_VOL_CONVERT_COMPRESS = 1 << 0 } CstVolConvertFlags;

/** What the converted copy of a volume is to be. */
typedef struct {
    const char *name;    /**< of the new volume */
    const char *format;  /**< as qemu-img spells it */
    const char *options; /**< "name=value,…" of the new image; NULL: the defaults */
    unsigned flags;      /**< CstVolConvertFlags */
} CstVolConvert;

typedef enum { CST_VOL_REBASE_UNSAFE = 1 << 0 } CstVolRebaseFlags;

/** What a volume is to be based on from now on. */
typedef struct {
    const char *backing;        /**< path of a volume; NULL: on nothing */
    const char *backing_format; /**< comes with backing */
    unsigned flags;             /**< CstVolRebaseFlags */
} CstVolRebase;

/** How two guests' views differ. */
typedef struct {
    gboolean same;       /**< every byte is; where one is longer, its rest is zero */
    gboolean sizes_same; /**< neither is longer */
    uint64_t offset;     /**< the first byte that differs, unless same */
} CstCompareReport;

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
