/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/findings.h>

/** Arguments and results of operations on volumes' images. Sizes and offsets are in bytes. */

/** The result of a check; the numbers are the image engine's (CstImageCheck). */
typedef struct {
    char format[16];
    uint64_t errors;       /**< inconsistencies that can lose or have lost data */
    uint64_t leaks;        /**< allocated space that no table refers to */
    uint64_t errors_fixed; /**< repaired errors */
    uint64_t leaks_fixed;
    uint64_t total_clusters;
    uint64_t allocated_clusters;
    uint64_t fragmented_clusters;
    uint64_t compressed_clusters;
    uint64_t image_end;    /**< end of the image, in bytes */
    CstFindings *findings; /**< owned: the errors and leaks; NULL: the daemon only counts them */
} CstCheckReport;

/** Frees the memory that @report owns. */
void cst_check_report_clear(CstCheckReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CstCheckReport, cst_check_report_clear)

typedef enum { CST_REPAIR_LEAKS = 1 << 0, CST_REPAIR_ALL = 1 << 1 } CstRepairFlags;

typedef enum { CST_VOL_COMMIT_KEEP = 1 << 0 } CstVolCommitFlags;

typedef enum {
    CST_VOL_CONVERT_COMPRESS = 1 << 0,
    CST_VOL_CONVERT_FORCE_SHARE = 1 << 1,      /**< also copy a source that is open for writing */
    CST_VOL_CONVERT_OVERWRITE = 1 << 2,        /**< copy onto a LUN, regardless of its content */
    CST_VOL_CONVERT_DROP_SECTOR_SIZE = 1 << 3, /**< the copy may have another sector size */
    CST_VOL_CONVERT_LIVE = 1 << 4 /**< copy the connection's live snapshot of the source */
} CstVolConvertFlags;

/**
 * With CST_VOL_CONVERT_OVERWRITE: also move the disk of a running domain without a persistent
 * definition. Its owner starts it from the former volume again, which is gone then.
 */
#define CST_VOL_MOVE_TRANSIENT (1u << 8)

/** Parameters of a conversion. Strings are borrowed. */
typedef struct {
    const char *name;    /**< of the new volume */
    const char *format;  /**< qemu-img's name of the format */
    const char *options; /**< "name=value,…" of the new image; NULL: the defaults */
    unsigned flags;      /**< CstVolConvertFlags */
} CstVolConvert;

typedef enum { CST_VOL_REBASE_UNSAFE = 1 << 0 } CstVolRebaseFlags;

/** Parameters of a rebase. Strings are borrowed. */
typedef struct {
    const char *backing;        /**< path of the new backing volume; NULL: no backing */
    const char *backing_format; /**< its format; NULL if and only if backing is NULL */
    unsigned flags;             /**< CstVolRebaseFlags */
} CstVolRebase;

typedef enum {
    CST_VOL_DECLARE_CONTENT = 1 << 0, /**< declare every reference in the content */
    CST_VOL_DECLARE_NOTHING = 1 << 1  /**< declare no reference */
} CstVolDeclareFlags;

/** Parameters of a declaration. Strings are borrowed. */
typedef struct {
    const char *format;  /**< NULL: probe the format */
    const char *backing; /**< path, or name of a volume of the same pool; NULL: not declared */
    const char *backing_format; /**< NULL: not declared */
    unsigned flags;             /**< CstVolDeclareFlags */
} CstVolDeclare;

/** The result of a comparison of the guest-visible content of two images. */
typedef struct {
    gboolean same;       /**< all bytes are equal, and the rest of a longer image is zero */
    gboolean sizes_same; /**< the sizes are equal */
    uint64_t offset;     /**< of the first difference, if not same */
} CstCompareReport;

/** The sizes of an image file to be created. */
typedef struct {
    uint64_t required;        /**< of the new image, including the source's data */
    uint64_t fully_allocated; /**< after the guest has written every byte */
    gboolean has_bitmaps;     /**< source and image can both have dirty bitmaps */
    uint64_t bitmaps;         /**< additional bytes for copies of the source's bitmaps */
} CstMeasureReport;

/** A run of guest bytes with equal properties. The members are the image engine's. */
typedef struct {
    uint64_t start, length;
    unsigned depth;      /**< image of the chain that the bytes come from; 0: the top one */
    gboolean present;    /**< the image maps the run; otherwise no image of the chain maps it */
    gboolean zero;       /**< reads as zeroes */
    gboolean data;       /**< allocated in that image's file */
    gboolean has_offset; /**< contiguous in that image's file, at offset */
    uint64_t offset;
} CstVolMapRun;

/** @r: pointer to any struct that has the members of CstVolMapRun. */
#define CST_VOL_MAP_RUN(r)                                                                         \
    {                                                                                              \
        .start = (r)->start, .length = (r)->length, .depth = (r)->depth, .present = (r)->present,  \
        .zero = (r)->zero, .data = (r)->data, .has_offset = (r)->has_offset, .offset = (r)->offset \
    }

/** The maximum number of runs in one page of a map. */
#define CST_VOL_MAP_PAGE 32768

/** A page of a volume's map. */
typedef struct {
    GArray *runs;     /**< of CstVolMapRun, in order and without gaps */
    GPtrArray *files; /**< of char *: path of each image of the chain, the top one first */
    gboolean more;    /**< the map continues at the end of the last run */
} CstVolMap;

/** Makes an empty map. */
CstVolMap *cst_vol_map_new(void);
/** NULL is accepted. */
void cst_vol_map_free(CstVolMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CstVolMap, cst_vol_map_free)

/** An action on a dirty bitmap. Strings are borrowed. */
typedef struct {
    const char *action; /**< "add", "remove", "clear", "enable", "disable", "merge" */
    const char *from;   /**< merge: the source bitmap; else NULL */
} CstBitmapStep;

/** The maximum number of steps of one change. */
#define CST_BITMAP_STEPS_MAX 1024

/** Actions on one bitmap, in order. */
typedef struct {
    const char *name;
    uint64_t granularity; /**< add: bytes per bit; 0: the default */
    GArray *steps;        /**< of CstBitmapStep */
} CstBitmapChange;

/** Options of serving a volume by NBD. Strings are borrowed. */
typedef struct {
    const char *snapshot; /**< NULL: the current content */
    gboolean read_only;   /**< a snapshot is always read-only */
    gboolean force_share; /**< read a volume that another process writes to */
    const char *socket;   /**< absolute path; NULL: TCP */
    const char *host;     /**< numeric address */
    guint16 port;
    const char *psk_file;     /**< keys for TLS (psktool); NULL: no keys */
    const char *certificates; /**< directory with certificates for TLS; NULL: no certificates */
} CstVolServe;

/** The part of a volume to send. Strings are borrowed. */
typedef struct {
    const char *snapshot; /**< NULL: the current content */
    uint64_t offset;
    uint64_t length; /**< 0: to the end */
    unsigned flags; /**< CST_VOL_STREAM_FORCE_SHARE: also if another process writes to the volume */
} CstVolSend;

/** Options of moving a volume to another pool. Strings are borrowed. */
typedef struct {
    const char *name;   /**< name in the destination pool; NULL: the same */
    const char *format; /**< NULL: the same, if the destination pool supports it */
    unsigned flags;     /**< CST_VOL_CONVERT_OVERWRITE, CST_VOL_MOVE_TRANSIENT */
} CstVolMove;

/** A process or mount that has a volume open. */
typedef struct {
    char *what;          /**< description: "process 123 (qemu-nbd)", "mounted on '/srv'" */
    gboolean reads_only; /**< known not to write to the volume */
} CstVolHolder;

/** NULL is accepted. */
void cst_vol_holder_free(CstVolHolder *holder);

/**
 * A row of a backing chain. The chain is listed as a tree: the base, then the volumes based on it.
 */
typedef struct {
    unsigned level; /**< depth in the tree; 0: the volume without a backing file */
    gboolean self;  /**< the volume of which the chain was requested */
    char *pool;     /**< NULL: in no active pool */
    char *name;     /**< of the volume; outside of pools: the reference as in the image */
    char *path;     /**< NULL: unknown */
    char *format;   /**< NULL: unknown */
    uint64_t capacity;
    uint64_t allocation;
    char *problem; /**< NULL: no problem */
} CstChainRow;

/** NULL is accepted. */
void cst_chain_row_free(CstChainRow *row);
