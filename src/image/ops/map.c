/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <image/map.h>

#include "chain.h"
#include "format.h"
#include "mark.h"

/*
 * Every image is opened upon a stand-in for the image below, all of whose extents are marked. Where
 * an image answers with the mark, it holds nothing, and the next one is asked.
 */

/** One image of the chain. */
typedef struct {
    CstBlob *guest;
    uint64_t size;
    gboolean plain; /**< the guest's bytes are the file's */
    gboolean based; /**< may show what is below */
} Layer;

typedef struct {
    GArray *layers; /**< of Layer */
    CstMapFunc func;
    gpointer data;
    CstMapRun run; /**< waits for its end; length 0: none */
} Map;

static void layer_clear(gpointer data)
{
    Layer *layer = data;

    if (layer->guest)
        cst_blob_unref(layer->guest);
}

static gboolean add_layer(Map *map, CstChain *chain, guint index, CstBlob *stand_in, GError **error)
{
    const CstImageInfo *info = cst_chain_info(chain, index);
    Layer layer = {.plain = info->format->is_plain, .based = info->backing != NULL};
    CstImage *image = cst_chain_open_one(chain, index, 0, layer.based ? stand_in : NULL, error);

    if (!image)
        return FALSE;
    layer.size = cst_image_capacity(image);
    layer.guest = cst_image_guest_blob(image);
    g_array_append_val(map->layers, layer);
    return TRUE;
}

static gboolean add_layers(Map *map, CstChain *chain, GError **error)
{
    g_autoptr(CstBlob) stand_in = cst_mark_new(NULL);
    gboolean ok = TRUE;

    for (guint i = 0; ok && i < cst_chain_length(chain); i++)
        ok = add_layer(map, chain, i, stand_in, error);
    return ok;
}

static gboolean describe(const Layer *layer, const CstExtent *extent, CstMapRun *run,
                         GError **error)
{
    CstPlace place;

    if (!cst_blob_locate(layer->guest, extent->offset, extent->length, &place, error))
        return FALSE;
    run->zero = (extent->flags & CST_EXTENT_ZERO) != 0;
    run->data = !(extent->flags & CST_EXTENT_HOLE);
    /* A format that can show what is below says so by a hole, when nothing is below. */
    run->present = run->data || layer->plain || layer->based;
    run->length = place.length;
    run->has_offset = place.blob != NULL;
    run->offset = place.offset;
    return TRUE;
}

/** What decides at run->start; run->length is cut to where that is so. */
static gboolean resolve(Map *map, CstMapRun *run, GError **error)
{
    for (guint i = 0; i < map->layers->len; i++) {
        const Layer *layer = &g_array_index(map->layers, Layer, i);
        CstExtent extent;

        if (run->start >= layer->size) { /* the one above is longer */
            run->zero = TRUE;
            return TRUE;
        }
        run->depth = i;
        run->length = MIN(run->length, layer->size - run->start);
        if (!cst_blob_extent(layer->guest, run->start, run->length, &extent, error))
            return FALSE;
        run->length = extent.length;
        if (!(extent.flags & CST_EXTENT_BELOW))
            return describe(layer, &extent, run, error);
    }
    return TRUE;
}

static gboolean put(Map *map, const CstMapRun *run, GError **error)
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

static gboolean walk(Map *map, uint64_t start, CstTask *task, GError **error)
{
    uint64_t size = g_array_index(map->layers, Layer, 0).size;

    cst_task_add_total(task, size > start ? size - start : 0);
    for (uint64_t at = start; at < size;) {
        CstMapRun run = {.start = at, .length = size - at};

        if (!cst_task_check(task, error) || !resolve(map, &run, error) || !put(map, &run, error))
            return FALSE;
        at += run.length;
        cst_task_skip(task, run.length);
    }
    return map->run.length == 0 || map->func(&map->run, map->data, error);
}

gboolean cst_chain_map(CstChain *chain, CstMapFunc func, gpointer data, CstTask *task,
                       GError **error)
{
    return cst_chain_map_from(chain, 0, func, data, task, error);
}

gboolean cst_chain_map_from(CstChain *chain, uint64_t start, CstMapFunc func, gpointer data,
                            CstTask *task, GError **error)
{
    Map map = {.func = func, .data = data};
    gboolean ok;

    map.layers = g_array_new(FALSE, FALSE, sizeof(Layer));
    g_array_set_clear_func(map.layers, layer_clear);
    ok = add_layers(&map, chain, error) && walk(&map, start, task, error);
    g_array_unref(map.layers);
    return ok;
}
