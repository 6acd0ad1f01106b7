/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/findings.h>

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
    uint64_t image_end;    /**< bytes */
    CstFindings *findings; /**< owned: which errors and leaks; NULL: the daemon only counts them */
} CstCheckReport;

void cst_check_report_clear(CstCheckReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstCheckReport, cst_check_report_clear)

typedef enum { CST_REPAIR_LEAKS = 1 << 0, CST_REPAIR_ALL = 1 << 1 } CstRepairFlags;

typedef enum { CST_VOL_COMMIT_KEEP = 1 << 0 } CstVolCommitFlags;

typedef enum {
    CST_VOL_CONVERT_COMPRESS = 1 << 0,
    CST_VOL_CONVERT_FORCE_SHARE = 1 << 1 /**< also while somebody writes to the source */
} CstVolConvertFlags;

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

typedef enum {
    CST_VOL_DECLARE_CONTENT = 1 << 0, /**< whatever the content names is declared */
    CST_VOL_DECLARE_NOTHING = 1 << 1  /**< whatever the content names is not */
} CstVolDeclareFlags;

/** What is to be declared of a volume's content. */
typedef struct {
    const char *format;         /**< NULL: the one that it has */
    const char *backing;        /**< path, or name of a volume of the same pool; NULL: nothing */
    const char *backing_format; /**< NULL: any */
    unsigned flags;             /**< CstVolDeclareFlags */
} CstVolDeclare;

/** How two guests' views differ. */
typedef struct {
    gboolean same;       /**< every byte is; where one is longer, its rest is zero */
    gboolean sizes_same; /**< neither is longer */
    uint64_t offset;     /**< the first byte that differs, unless same */
} CstCompareReport;

/** Bytes that an image file will need. */
typedef struct {
    uint64_t required;        /**< at first, or with the source's data in it */
    uint64_t fully_allocated; /**< when every byte of the guest is written */
    gboolean has_bitmaps;     /**< both images can keep dirty bitmaps */
    uint64_t bitmaps; /**< bytes that copies of the source's would take, beyond the others */
} CstMeasureReport;

/** A run of the guest's bytes that have the same story; the members are the image engine's. */
typedef struct {
    uint64_t start, length;
    unsigned depth;      /**< image of the chain that decides what is read; 0: the one on top */
    gboolean present;    /**< it decides by what it holds, not by holding nothing */
    gboolean zero;       /**< reads as zeroes */
    gboolean data;       /**< space is taken in that image's file */
    gboolean has_offset; /**< at offset in that image's file */
    uint64_t offset;
} CstVolMapRun;

/** @r: pointer to any struct whose members are named like CstVolMapRun's. */
#define CST_VOL_MAP_RUN(r)                                                                         \
    {                                                                                              \
        .start = (r)->start, .length = (r)->length, .depth = (r)->depth, .present = (r)->present,  \
        .zero = (r)->zero, .data = (r)->data, .has_offset = (r)->has_offset, .offset = (r)->offset \
    }

/** More runs than this are given in several pages. */
#define CST_VOL_MAP_PAGE 32768

/** A part of a volume's map. */
typedef struct {
    GArray *runs;     /**< of CstVolMapRun, in order and without gaps */
    GPtrArray *files; /**< of char *: path of each image of the chain, the one on top first */
    gboolean more;    /**< the map goes on where the last run ends */
} CstVolMap;

CstVolMap *cst_vol_map_new(void);
void cst_vol_map_free(CstVolMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolMap, cst_vol_map_free)

/** One thing to do with a bitmap. */
typedef struct {
    const char *action; /**< "add", "remove", "clear", "enable", "disable", "merge" */
    const char *from;   /**< merge: the bitmap that is added; else NULL */
} CstBitmapStep;

/** More at a time are refused. */
#define CST_BITMAP_STEPS_MAX 1024

/** What is to be done with one bitmap, in this order. */
typedef struct {
    const char *name;
    uint64_t granularity; /**< add: bytes that one bit stands for; 0: the default */
    GArray *steps;        /**< of CstBitmapStep */
} CstBitmapChange;

/** Somebody who has a volume open. */
typedef struct {
    char *what;          /**< in words: "process 123 (qemu-nbd)", "mounted on '/srv'" */
    gboolean reads_only; /**< known not to write */
} CstVolHolder;

void cst_vol_holder_free(CstVolHolder *holder);

/** A volume of a family: what is based on one another. */
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
