/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error.h>

#include "blocks.h"
#include "page_cache.h"

/**
 * What formats that are only read have in common: tables of numbers in the file say where each
 * cluster of the guest is. The tables may be of any size: they are read a page at a time, through a
 * page cache (page_cache.h) of 1 MiB.
 */
typedef struct CstLookup CstLookup;

typedef struct {
    CstRunKind kind;
    uint64_t host;  /**< CST_RUN_DATA: where its first byte is; CST_RUN_PACKED: the format's own */
    uint64_t count; /**< clusters from this one on that are alike, for those without a place;
                         else 1 */
} CstLookupCluster;

typedef struct {
    /** What the cluster is; called with the lock held. */
    gboolean (*find)(CstLookup *lookup, uint64_t index, CstLookupCluster *ret_cluster,
                     GError **error);
    /** Decompresses a whole cluster into @buf; NULL: there are none. */
    gboolean (*unpack)(CstLookup *lookup, uint64_t host, uint8_t *buf, GError **error);
} CstLookupOps;

/** Head of the format's struct. */
struct CstLookup {
    CstBlocks blocks;
    const CstLookupOps *ops;
    uint64_t cluster_size;
    uint64_t file_size;
    CstPageCache *cache; /**< of the file as far as there are tables */
};

static inline CstLookup *cst_lookup_of(CstImage *image)
{
    return (CstLookup *)image;
}

/**
 * @cluster_size and @capacity are bounded by the caller. @how->backing is taken, if any. On failure
 * there is nothing to clear.
 */
gboolean cst_lookup_init(CstLookup *lookup, const CstLookupOps *ops, CstBlob *blob,
                         const CstImageOpen *how, uint64_t cluster_size, uint64_t capacity,
                         GError **error);
void cst_lookup_clear(CstLookup *lookup);
/**
 * Looks at an image of one file that is to be opened: fails where its header is not sound, where it
 * is encrypted, and where @how has a backing image that the image does not name.
 */
gboolean cst_lookup_inspect(CstBlob *blob, const CstImageFormat *format, const CstImageOpen *how,
                            CstImageInfo *ret_info, GError **error);
/**
 * The same for an image of one file, whose header must be sound and not encrypted; sets *ret_info
 * and takes the sizes from it.
 */
gboolean cst_lookup_open(CstLookup *lookup, const CstLookupOps *ops, CstBlob *blob,
                         const CstImageFormat *format, const CstImageOpen *how,
                         CstImageInfo *ret_info, GError **error);

/** Bytes of a table; CORRUPT when the file ends before. Lock held. */
gboolean cst_lookup_read(CstLookup *lookup, uint64_t offset, void *buf, size_t len, GError **error);
/** What is nowhere: CST_RUN_BACKING when there is a backing image, else CST_RUN_ZERO. */
CstRunKind cst_lookup_nowhere(const CstLookup *lookup);
gboolean cst_lookup_corrupt(const CstLookup *lookup, GError **error, const char *what);
#define cst_lookup_corrupt(...) CST_GIVES_FALSE(cst_lookup_corrupt(__VA_ARGS__))
/** A cluster is at @host: CORRUPT when that is behind the end of the file. */
gboolean cst_lookup_place(CstLookup *lookup, uint64_t host, CstLookupCluster *ret_cluster,
                          GError **error);

/** For the format's table. */
void cst_lookup_close(CstImage *image);
