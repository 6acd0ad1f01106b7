/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The map of a stream that is being changed, in memory: all non-empty grain tables, and the queued
 * grains. It is loaded with the first change and kept until the extent is closed. It needs memory
 * only for used tables. stream->lock guards it.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#include "stream.h"

static gint by_number(gconstpointer a, gconstpointer b, gpointer data)
{
    return GPOINTER_TO_SIZE(a) < GPOINTER_TO_SIZE(b) ? -1 : a != b;
}

static void pending_free(gpointer data)
{
    VmdkPending *pending = data;

    g_free(pending->data);
    g_free(pending);
}

void vmdk_stream_init_map(VmdkStream *stream)
{
    stream->map = g_tree_new_full(by_number, NULL, NULL, g_free);
    stream->pending = g_tree_new_full(by_number, NULL, NULL, pending_free);
}

void vmdk_stream_clear_map(VmdkStream *stream)
{
    g_tree_unref(stream->map);
    g_tree_unref(stream->pending);
}

VmdkPending *vmdk_stream_pending(VmdkStream *stream, uint64_t number)
{
    return g_tree_lookup(stream->pending, GSIZE_TO_POINTER(number));
}

uint32_t vmdk_stream_map_get(VmdkStream *stream, uint64_t number)
{
    const uint32_t *entries =
        g_tree_lookup(stream->map, GSIZE_TO_POINTER(number / stream->header.gtes));

    return entries ? entries[number % stream->header.gtes] : 0;
}

void vmdk_stream_map_set(VmdkStream *stream, uint64_t number, uint32_t entry)
{
    gpointer key = GSIZE_TO_POINTER(number / stream->header.gtes);
    uint32_t *entries = g_tree_lookup(stream->map, key);

    if (!entries && entry == 0)
        return;
    if (!entries) {
        entries = g_new0(uint32_t, stream->header.gtes);
        g_tree_insert(stream->map, key, entries);
    }
    stream->dropped |= entries[number % stream->header.gtes] != 0;
    entries[number % stream->header.gtes] = entry;
}

/* Removes all keys of @tree from @first on. */
static void cut_tree(GTree *tree, uint64_t first)
{
    GTreeNode *node;

    while ((node = g_tree_lower_bound(tree, GSIZE_TO_POINTER(first))) != NULL)
        g_tree_remove(tree, g_tree_node_key(node));
}

void vmdk_stream_map_cut(VmdkStream *stream, uint64_t number)
{
    uint64_t next = cst_div_up(number, stream->header.gtes);

    stream->dropped = TRUE;
    cut_tree(stream->pending, number);
    cut_tree(stream->map, next);
    for (; number < next * stream->header.gtes; number++)
        vmdk_stream_map_set(stream, number, 0);
}

typedef struct {
    const VmdkStream *stream;
    uint32_t high; /* the last grain in the file */
    uint64_t number;
} Search;

static gboolean look_at_table(gpointer key, gpointer value, gpointer data)
{
    Search *search = data;
    uint32_t gtes = search->stream->header.gtes;
    const uint32_t *entries = value;

    for (uint32_t i = 0; i < gtes; i++) {
        if (entries[i] > search->high) {
            search->high = entries[i];
            search->number = GPOINTER_TO_SIZE(key) * gtes + i;
        }
    }
    return FALSE;
}

gboolean vmdk_stream_find_tail(VmdkStream *stream, GError **error)
{
    const VmdkHeader *header = &stream->header;
    uint64_t least = MAX(header->overhead, header->descriptor + header->descriptor_len);
    Search search = {stream, 0, 0};
    uint64_t offset;
    size_t len = 0;

    least = MAX(least, 1) * VMDK_SECTOR;
    g_tree_foreach(stream->map, look_at_table, &search);
    offset = (uint64_t)search.high * VMDK_SECTOR;
    if (search.high && !vmdk_stream_find_packed(stream, search.number, &offset, &len, error))
        return FALSE;
    stream->tail = MAX(least, cst_div_up(offset + len, VMDK_SECTOR) * VMDK_SECTOR);
    stream->dropped = FALSE;
    return TRUE;
}

static gboolean load_map(VmdkStream *stream, GError **error)
{
    uint64_t grains = cst_div_up(stream->header.capacity, stream->header.grain), count = 0;
    uint32_t entry = 0;

    for (uint64_t number = 0; number < grains; number += count) {
        if (!vmdk_tables_get(stream->tables, number, grains - number, &entry, &count, error))
            return FALSE;
        if (entry == VMDK_GTE_ZERO && (stream->header.flags & VMDK_FLAG_ZERO_GRAINS))
            entry = 0;
        vmdk_stream_map_set(stream, number, entry);
    }
    return TRUE;
}

gboolean vmdk_stream_start(VmdkStream *stream, GError **error)
{
    if (stream->started)
        return TRUE;
    if (!(stream->header.flags & VMDK_FLAG_MARKERS))
        return cst_fail(error, CST_ERROR_UNSUPPORTED,
                        _("'%s' has no markers in front of its grains, and can't be written to"),
                        stream->extent.blob->name);
    if (!load_map(stream, error) || !vmdk_stream_find_tail(stream, error))
        return FALSE;
    stream->started = TRUE;
    return TRUE;
}
