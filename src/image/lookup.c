/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The block map of formats that are only read (lookup.h). The format resolves one cluster; a run is
 * made here of clusters that follow each other in the file, or that all have no place. At most
 * MAX_STEPS clusters are resolved for one run, so that a single call over a large image stays
 * short. Damage ends a run and is reported only to a caller that reads at the damaged cluster.
 *
 * The page cache covers the file as it was when it was opened. The lock of CstBlocks guards the
 * cache; decompression runs without the lock.
 */
#include "lookup.h"

#include <string.h>

#include <base/alloc.h>
#include <base/error.h>
#include <base/i18n.h>

#define PAGE      4096u
#define MAX_PAGES 256u
#define MAX_STEPS 4096u /* clusters looked at for one run */

static CstLookup *lookup_of(CstBlocks *blocks)
{
    return (CstLookup *)blocks;
}

gboolean(cst_lookup_corrupt)(const CstLookup *lookup, GError **error, const char *what)
{
    return cst_fail(error, CST_ERROR_CORRUPT, _("'%s' is damaged: %s"), lookup->blocks.blob->name,
                    what);
}

/* --- tables ---------------------------------------------------------------------------------- */

static CstPage *page_at(CstLookup *lookup, uint64_t offset, GError **error)
{
    uint64_t start = offset / PAGE * PAGE;
    CstPageId id = {
        .key = start, .offset = start, .length = (uint32_t)MIN(PAGE, lookup->file_size - start)};

    return cst_page_cache_get(lookup->cache, &id, error);
}

gboolean cst_lookup_read(CstLookup *lookup, uint64_t offset, void *buf, size_t len, GError **error)
{
    uint8_t *at = buf;

    if (offset > lookup->file_size || len > lookup->file_size - offset)
        return cst_lookup_corrupt(lookup, error, _("a table lies outside the file"));
    while (len > 0) {
        const CstPage *page = page_at(lookup, offset, error);
        size_t inside = (size_t)(offset % PAGE), n = MIN(len, PAGE - inside);

        if (!page)
            return FALSE;
        memcpy(at, page->data + inside, n);
        at += n;
        offset += n;
        len -= n;
    }
    return TRUE;
}

CstRunKind cst_lookup_nowhere(const CstLookup *lookup)
{
    return lookup->blocks.backing || lookup->blocks.lacks_backing ? CST_RUN_BACKING : CST_RUN_ZERO;
}

gboolean cst_lookup_place(CstLookup *lookup, uint64_t host, CstLookupCluster *ret_cluster,
                          GError **error)
{
    if (host >= lookup->file_size)
        return cst_lookup_corrupt(lookup, error, _("data lies outside the file"));
    *ret_cluster = (CstLookupCluster){CST_RUN_DATA, host, 1};
    return TRUE;
}

/* --- runs ------------------------------------------------------------------------------------ */

static gboolean goes_on(const CstLookup *lookup, const CstLookupCluster *first,
                        const CstLookupCluster *next, uint64_t clusters)
{
    if (next->kind != first->kind || first->kind == CST_RUN_PACKED)
        return FALSE;
    return first->kind != CST_RUN_DATA ||
           next->host == first->host + clusters * lookup->cluster_size;
}

static gboolean lookup_map(CstBlocks *blocks, uint64_t offset, uint64_t length, CstRun *ret_run,
                           GError **error)
{
    CstLookup *lookup = lookup_of(blocks);
    uint64_t index = offset / lookup->cluster_size, inside = offset % lookup->cluster_size;
    uint64_t last = (offset + length - 1) / lookup->cluster_size, clusters;
    CstLookupCluster first, next;

    if (!lookup->ops->find(lookup, index, &first, error))
        return FALSE;
    clusters = first.count;
    for (unsigned steps = 0; index + clusters <= last && steps < MAX_STEPS; steps++) {
        /* damage further on is for those who read there */
        if (!lookup->ops->find(lookup, index + clusters, &next, NULL) ||
            !goes_on(lookup, &first, &next, clusters))
            break;
        clusters += next.count;
    }
    *ret_run = (CstRun){first.kind, length, first.host};
    if (index + clusters <= last)
        ret_run->length = clusters * lookup->cluster_size - inside;
    if (first.kind == CST_RUN_DATA)
        ret_run->host += inside;
    return TRUE;
}

static gboolean lookup_unpack(CstBlocks *blocks, const CstRun *run, uint8_t *buf, size_t len,
                              uint64_t offset, GError **error)
{
    CstLookup *lookup = lookup_of(blocks);
    g_autofree uint8_t *cluster = NULL;

    if (len == lookup->cluster_size)
        return lookup->ops->unpack(lookup, run->host, buf, error);
    cluster = cst_alloc(lookup->cluster_size, 1, blocks->blob->name, error);
    if (!cluster || !lookup->ops->unpack(lookup, run->host, cluster, error))
        return FALSE;
    memcpy(buf, cluster + offset % lookup->cluster_size, len);
    return TRUE;
}

static const CstBlocksOps lookup_blocks = {.map = lookup_map, .unpack = lookup_unpack};

/* --- opening --------------------------------------------------------------------------------- */

gboolean cst_lookup_init(CstLookup *lookup, const CstLookupOps *ops, CstBlob *blob,
                         const CstImageOpen *how, uint64_t cluster_size, uint64_t capacity,
                         GError **error)
{
    if (!cst_blob_get_size(blob, &lookup->file_size, error) ||
        !cst_blocks_init(&lookup->blocks, &lookup_blocks, blob, how, error))
        return FALSE;
    lookup->ops = ops;
    lookup->cache = cst_page_cache_new(blob, PAGE, MAX_PAGES, &(CstPageCacheHooks){NULL});
    lookup->cluster_size = cluster_size;
    lookup->blocks.block_size = CST_BLOCKS_ANY_LENGTH;
    lookup->blocks.image.capacity = capacity;
    return TRUE;
}

void cst_lookup_clear(CstLookup *lookup)
{
    cst_page_cache_free(lookup->cache);
    cst_blocks_clear(&lookup->blocks);
}

static gboolean check(const CstBlob *blob, const CstImageInfo *info, const CstImageOpen *how,
                      GError **error)
{
    gboolean may_back = info->backing || (how->flags & CST_IMAGE_SAME_CONTENT);

    if (info->problem)
        return cst_fail(error, info->corrupt ? CST_ERROR_CORRUPT : CST_ERROR_UNSUPPORTED,
                        _("'%s' can't be opened: %s"), blob->name, info->problem);
    if (info->encryption)
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' is encrypted (%s): its content can't be read here; 'qemu-img "
                          "convert' with a secret object can decrypt it"),
                        blob->name, info->encryption);
    if (how->backing && !may_back)
        return cst_fail(error, CST_ERROR_INVALID, _("'%s' has no backing image"), blob->name);
    return TRUE;
}

gboolean cst_lookup_inspect(CstBlob *blob, const CstImageFormat *format, const CstImageOpen *how,
                            CstImageInfo *ret_info, GError **error)
{
    uint8_t head[CST_IMAGE_PROBE_LEN];
    g_auto(CstImageInfo) info = {0};
    CstImageLook look;

    if (!cst_look_init(&look, blob, head, &info, error) || !cst_image_look(&look, format, error) ||
        !check(blob, &info, how, error))
        return FALSE;
    *ret_info = info;
    memset(&info, 0, sizeof(info));
    return TRUE;
}

gboolean cst_lookup_open(CstLookup *lookup, const CstLookupOps *ops, CstBlob *blob,
                         const CstImageFormat *format, const CstImageOpen *how,
                         CstImageInfo *ret_info, GError **error)
{
    g_auto(CstImageInfo) info = {0};

    if (!cst_lookup_inspect(blob, format, how, &info, error) ||
        !cst_lookup_init(lookup, ops, blob, how, info.cluster_size, info.capacity, error))
        return FALSE;
    lookup->blocks.lacks_backing = info.backing && !how->backing;
    *ret_info = info;
    memset(&info, 0, sizeof(info));
    return TRUE;
}

void cst_lookup_close(CstImage *image)
{
    CstLookup *lookup = cst_lookup_of(image);

    cst_lookup_clear(lookup);
    g_free(lookup);
}
