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
    uint64_t count; /**< number of clusters from this one on that have no place and are of this
                         kind; 1 for a cluster with a place */
} CstLookupCluster;

typedef struct {
    /** Resolves guest cluster @index; CORRUPT where the tables are damaged. Called with the lock
     * held. */
    gboolean (*find)(CstLookup *lookup, uint64_t index, CstLookupCluster *ret_cluster,
                     GError **error);
    /** Decompresses the whole cluster at @host into @buf. Called without the lock. NULL: the format
     * has no compressed clusters. */
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
 * Sets up the map and its cache. @blob and @how->backing are borrowed. The caller has checked
 * @cluster_size and @capacity (bytes). On failure there is nothing to clear.
 */
gboolean cst_lookup_init(CstLookup *lookup, const CstLookupOps *ops, CstBlob *blob,
                         const CstImageOpen *how, uint64_t cluster_size, uint64_t capacity,
                         GError **error);
/** Frees the cache and the lock, not @lookup itself. */
void cst_lookup_clear(CstLookup *lookup);
/**
 * Inspects an image of one file that is to be opened. Fails with CORRUPT or UNSUPPORTED when the
 * header has a problem or the image is encrypted, and with INVALID when @how has a backing image
 * that the image does not name. The caller clears *ret_info.
 */
gboolean cst_lookup_inspect(CstBlob *blob, const CstImageFormat *format, const CstImageOpen *how,
                            CstImageInfo *ret_info, GError **error);
/**
 * Inspects the image as cst_lookup_inspect() does, then sets up @lookup with the sizes found. The
 * caller clears *ret_info; on failure there is nothing to clear.
 */
gboolean cst_lookup_open(CstLookup *lookup, const CstLookupOps *ops, CstBlob *blob,
                         const CstImageFormat *format, const CstImageOpen *how,
                         CstImageInfo *ret_info, GError **error);

/**
 * Lock held: copies @len bytes of a table at @offset of the file; CORRUPT when the file ends
 * before.
 */
gboolean cst_lookup_read(CstLookup *lookup, uint64_t offset, void *buf, size_t len, GError **error);
/**
 * Kind of a cluster without a place: CST_RUN_BACKING when the image names a backing image or has
 * one, else CST_RUN_ZERO.
 */
CstRunKind cst_lookup_nowhere(const CstLookup *lookup);
/** Fails with CORRUPT: the image is damaged, as the translated text @what says. Always FALSE. */
gboolean cst_lookup_corrupt(const CstLookup *lookup, GError **error, const char *what);
#define cst_lookup_corrupt(...) CST_GIVES_FALSE(cst_lookup_corrupt(__VA_ARGS__))
/** Sets *ret_cluster to data at @host; CORRUPT when that is behind the end of the file. */
gboolean cst_lookup_place(CstLookup *lookup, uint64_t host, CstLookupCluster *ret_cluster,
                          GError **error);

/** The close() callback of a format whose struct holds nothing but a CstLookup and plain values. */
void cst_lookup_close(CstImage *image);
