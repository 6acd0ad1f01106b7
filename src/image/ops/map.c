/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/map.h>

#include "chain.h"
#include "format.h"
#include "marker.h"

/*
 * Maps the runs of a chain. Every image is opened with a marker (marker.h) instead of the image
 * below. An extent with its flag is unallocated in the image, and the next image is queried. An
 * image without a backing file also gets a marker if its format has unallocated blocks, because
 * they differ from blocks of zeroes. Their locations are queried without the marker.
 *
 * An extent is found once and then located piece by piece, because a format may find long extents
 * but know only the places of single blocks.
 */

/** An image of the chain. */
typedef struct {
    CstBlob *guest;
    CstBlob *alone; /**< the same view without a marker; NULL: guest is sufficient for locations */
    uint64_t size;
    gboolean based; /**< the image has a backing reference */
} Layer;

typedef struct {
    GArray *layers; /**< of Layer */
    CstMapFunc func;
    gpointer data;
    CstMapRun run; /**< last run, which may still grow; length 0: no run */
} Map;

static void layer_clear(gpointer data)
{
    Layer *layer = data;

    cst_blob_unref(layer->guest);
    cst_blob_unref(layer->alone);
}

static CstBlob *open_guest(CstChain *chain, guint index, CstBlob *marker, GError **error)
{
    CstImage *image = cst_chain_open_one(chain, index, CST_IMAGE_SAME_CONTENT, marker, error);

    return image ? cst_image_guest_blob(image) : NULL;
}

static gboolean add_layer(Map *map, CstChain *chain, guint index, CstBlob *marker, GError **error)
{
    const CstImageInfo *info = cst_chain_info(chain, index);
    Layer layer = {.based = info->backing != NULL};
    gboolean apart = info->format->is_layered && !layer.based;
    gboolean ok;

    layer.guest = open_guest(chain, index, apart || layer.based ? marker : NULL, error);
    if (!layer.guest)
        return FALSE;
    if (apart)
        layer.alone = open_guest(chain, index, NULL, error);
    ok = (!apart || layer.alone) && cst_blob_get_size(layer.guest, &layer.size, error);
    g_array_append_val(map->layers, layer);
    return ok;
}

static gboolean add_layers(Map *map, CstChain *chain, GError **error)
{
    g_autoptr(CstBlob) marker = cst_marker_new(NULL);
    gboolean ok = TRUE;

    for (guint i = 0; ok && i < cst_chain_length(chain); i++)
        ok = add_layer(map, chain, i, marker, error);
    return ok;
}

static gboolean map_put(Map *map, const CstMapRun *run, GError **error)
{
    CstMapRun *last = &map->run;

    if (last->length > 0 && last->depth == run->depth && last->present == run->present &&
        last->zero == run->zero && last->data == run->data && last->has_offset == run->has_offset &&
        (!run->has_offset || run->offset == last->offset + last->length)) {
        last->length += run->length;
        return TRUE;
    }
    if (last->length > 0 && !map->func(last, map->data, error))
        return FALSE;
    *last = *run;
    return TRUE;
}

/* Emits the runs of an extent that @layer provides: one for each contiguous range of its file. */
static gboolean put_extent(Map *map, const Layer *layer, guint depth, const CstExtent *extent,
                           GError **error)
{
    uint64_t end = extent->offset + extent->length;
    CstMapRun run = {
        .start = extent->offset,
        .depth = depth,
        .present = !(extent->flags & CST_EXTENT_BELOW),
        .zero = (extent->flags & CST_EXTENT_ZERO) != 0,
        .data = !(extent->flags & CST_EXTENT_HOLE),
    };

    for (; run.start < end; run.start += run.length) {
        CstBlobLocation location;

        if (!cst_blob_locate(layer->alone ? layer->alone : layer->guest, run.start, end - run.start,
                             &location, error))
            return FALSE;
        run.length = location.length;
        run.has_offset = location.blob != NULL;
        run.offset = location.offset;
        if (!map_put(map, &run, error))
            return FALSE;
    }
    return TRUE;
}

/* Finds the layer that provides the bytes at @start and emits its run. Cuts *length to the run. */
static gboolean map_resolve(Map *map, uint64_t start, uint64_t *length, GError **error)
{
    CstMapRun run = {.start = start};

    for (guint i = 0; i < map->layers->len; i++) {
        const Layer *layer = &g_array_index(map->layers, Layer, i);
        CstExtent extent;

        run.zero = start >= layer->size; /* the image above is longer */
        if (run.zero)
            break;
        run.depth = i;
        *length = MIN(*length, layer->size - start);
        if (!cst_blob_extent(layer->guest, start, *length, &extent, error))
            return FALSE;
        *length = extent.length;
        if (!layer->based || !(extent.flags & CST_EXTENT_BELOW))
            return put_extent(map, layer, i, &extent, error);
    }
    run.length = *length;
    return map_put(map, &run, error);
}

static gboolean map_walk(Map *map, uint64_t start, uint64_t length, CstTask *task, GError **error)
{
    uint64_t size = g_array_index(map->layers, Layer, 0).size, end;

    start = MIN(start, size);
    end = start + MIN(length, size - start);
    cst_task_add_total(task, end - start);
    for (uint64_t at = start; at < end; at += length) {
        length = end - at;
        if (!cst_task_check(task, error) || !map_resolve(map, at, &length, error))
            return FALSE;
        cst_task_skip(task, length);
    }
    return map->run.length == 0 || map->func(&map->run, map->data, error);
}

gboolean cst_chain_map(CstChain *chain, CstMapFunc func, gpointer data, CstTask *task,
                       GError **error)
{
    return cst_chain_map_range(chain, 0, UINT64_MAX, func, data, task, error);
}

gboolean cst_chain_map_range(CstChain *chain, uint64_t start, uint64_t length, CstMapFunc func,
                             gpointer data, CstTask *task, GError **error)
{
    Map map = {.func = func, .data = data};
    gboolean ok;

    map.layers = g_array_new(FALSE, FALSE, sizeof(Layer));
    g_array_set_clear_func(map.layers, layer_clear);
    ok = add_layers(&map, chain, error) && map_walk(&map, start, length, task, error);
    g_array_unref(map.layers);
    return ok;
}
