/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <string.h>

/* Images and their content. */

/* --- layers ----------------------------------------------------------------------------------- */

static GHashTable *pieces_new(void)
{
    return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                 (GDestroyNotify)g_bytes_unref);
}

static void put_piece(Layer *layer, uint64_t number, GBytes *piece)
{
    gint64 *key = g_new(gint64, 1);

    *key = (gint64)number;
    g_hash_table_insert(layer->pieces, key, piece);
}

void fake_layer_clear(Layer *layer)
{
    g_clear_pointer(&layer->pieces, g_hash_table_unref);
}

void fake_layer_copy(const Layer *from, Layer *to)
{
    GHashTableIter iter;
    gpointer key, piece;

    *to = *from;
    to->pieces = pieces_new();
    g_hash_table_iter_init(&iter, from->pieces);
    while (g_hash_table_iter_next(&iter, &key, &piece))
        put_piece(to, *(uint64_t *)key, g_bytes_ref(piece));
}

static GBytes *zero_piece(void)
{
    return g_bytes_new_take(g_malloc0(PIECE), PIECE);
}

/* A new reference, or NULL: zeroes. */
static GBytes *get_piece(const Layer *layer, uint64_t number)
{
    uint64_t offset = number * PIECE;
    GBytes *piece = g_hash_table_lookup(layer->pieces, &number);
    GBytes *theirs;
    char *bytes;

    if (piece)
        return g_bytes_ref(piece);
    if (!layer->parent || offset >= layer->overlap)
        return NULL;
    theirs = get_piece(fake_layer(layer->parent, layer->parent_snap), number);
    if (!theirs || layer->overlap - offset >= PIECE)
        return theirs;
    bytes = g_malloc0(PIECE);
    memcpy(bytes, g_bytes_get_data(theirs, NULL), layer->overlap - offset);
    g_bytes_unref(theirs);
    return g_bytes_new_take(bytes, PIECE);
}

void fake_layer_read(const Layer *layer, uint64_t offset, size_t len, char *buf)
{
    while (len > 0) {
        size_t within = offset % PIECE, part = MIN(len, PIECE - within);
        GBytes *piece = get_piece(layer, offset / PIECE);

        if (piece)
            memcpy(buf, (const char *)g_bytes_get_data(piece, NULL) + within, part);
        else
            memset(buf, 0, part);
        g_clear_pointer(&piece, g_bytes_unref);
        offset += part;
        buf += part;
        len -= part;
    }
}

void fake_layer_write(Layer *layer, uint64_t offset, size_t len, const char *buf)
{
    while (len > 0) {
        size_t within = offset % PIECE, part = MIN(len, PIECE - within);
        char *bytes = g_malloc(PIECE);

        fake_layer_read(layer, offset - within, PIECE, bytes);
        if (buf)
            memcpy(bytes + within, buf, part);
        else
            memset(bytes + within, 0, part);
        put_piece(layer, offset / PIECE, g_bytes_new_take(bytes, PIECE));
        offset += part;
        buf = buf ? buf + part : NULL;
        len -= part;
    }
}

/* Where there is a parent, zeroes have to be written to hide it. */
static void drop_piece(Layer *layer, uint64_t number)
{
    if (layer->parent && number * PIECE < layer->overlap)
        put_piece(layer, number, zero_piece());
    else
        g_hash_table_remove(layer->pieces, &number);
}

void fake_layer_discard(Layer *layer, uint64_t offset, uint64_t len)
{
    while (len > 0) {
        uint64_t part = MIN(len, PIECE - offset % PIECE);

        if (part == PIECE || offset + part == layer->size)
            drop_piece(layer, offset / PIECE);
        else if (g_hash_table_contains(layer->pieces, &(uint64_t){offset / PIECE}))
            fake_layer_write(layer, offset, part, NULL);
        offset += part;
        len -= part;
    }
}

static gboolean is_behind(gpointer key, gpointer piece, gpointer size)
{
    return *(uint64_t *)key * PIECE >= *(uint64_t *)size;
}

void fake_layer_resize(Layer *layer, uint64_t size)
{
    if (size < layer->size && size % PIECE)
        fake_layer_write(layer, size, PIECE - size % PIECE, NULL);
    g_hash_table_foreach_remove(layer->pieces, is_behind, &size);
    layer->size = size;
    layer->overlap = MIN(layer->overlap, size);
}

void fake_layer_flatten(Layer *layer)
{
    for (uint64_t number = 0; number * PIECE < layer->overlap; number++) {
        GBytes *piece = get_piece(layer, number);

        if (piece)
            put_piece(layer, number, piece);
    }
    layer->parent = NULL;
    layer->overlap = 0;
}

gboolean fake_layer_has_object(const Layer *layer, int order, uint64_t number, gboolean of_parent)
{
    uint64_t last = (((number + 1) << order) - 1) / PIECE;

    for (uint64_t i = (number << order) / PIECE; i <= last; i++) {
        GBytes *piece;

        if (g_hash_table_contains(layer->pieces, &i))
            return TRUE;
        piece = of_parent ? get_piece(layer, i) : NULL;
        if (piece) {
            g_bytes_unref(piece);
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * A snapshot has the pieces of then; what was written since is in others, also if it is the same.
 */
gboolean fake_layer_differs(const Layer *one, const Layer *other, int order, uint64_t number)
{
    uint64_t last = (((number + 1) << order) - 1) / PIECE;

    for (uint64_t i = (number << order) / PIECE; i <= last; i++)
        if (g_hash_table_lookup(one->pieces, &i) != g_hash_table_lookup(other->pieces, &i))
            return TRUE;
    return FALSE;
}

/* --- images ----------------------------------------------------------------------------------- */

static int compare_keys(gconstpointer a, gconstpointer b, gpointer unused)
{
    return strcmp(a, b);
}

static void snap_free(gpointer data)
{
    Snap *snap = data;

    fake_layer_clear(&snap->layer);
    g_free(snap->name);
    g_free(snap);
}

Image *fake_image_new(Space *space, const char *name, uint64_t size, int order, uint64_t features)
{
    Image *image = g_new0(Image, 1);

    image->space = space;
    image->id = g_strdup_printf("%" G_GINT64_MODIFIER "x", ++cluster.last_id);
    image->name = g_strdup(name);
    image->order = order;
    image->features = features;
    image->created = time(NULL);
    image->snaps = g_ptr_array_new_with_free_func(snap_free);
    image->head = (Layer){.size = size, .pieces = pieces_new()};
    image->metadata = g_tree_new_full(compare_keys, NULL, g_free, g_free);
    g_ptr_array_add(space->images, image);
    return image;
}

void fake_image_drop(Image *image)
{
    g_ptr_array_remove(image->space->images, image);
    g_ptr_array_unref(image->snaps);
    fake_layer_clear(&image->head);
    g_tree_unref(image->metadata);
    g_free(image->id);
    g_free(image->name);
    g_free(image);
}

Image *fake_image(Space *space, const char *name)
{
    for (guint i = 0; i < space->images->len; i++) {
        Image *image = g_ptr_array_index(space->images, i);

        if (strcmp(image->name, name) == 0)
            return image;
    }
    return NULL;
}

Image *fake_image_by_id(Space *space, const char *id)
{
    for (guint i = 0; i < space->images->len; i++) {
        Image *image = g_ptr_array_index(space->images, i);

        if (strcmp(image->id, id) == 0)
            return image;
    }
    return NULL;
}

Snap *fake_snap(Image *image, const char *name)
{
    for (guint i = 0; i < image->snaps->len; i++) {
        Snap *snap = g_ptr_array_index(image->snaps, i);

        if (strcmp(snap->name, name) == 0)
            return snap;
    }
    return NULL;
}

Snap *fake_snap_by_id(Image *image, uint64_t id)
{
    for (guint i = 0; i < image->snaps->len; i++) {
        Snap *snap = g_ptr_array_index(image->snaps, i);

        if (snap->id == id)
            return snap;
    }
    return NULL;
}

Layer *fake_layer(Image *image, uint64_t snap)
{
    return snap ? &fake_snap_by_id(image, snap)->layer : &image->head;
}

/* --- clones ----------------------------------------------------------------------------------- */

static gboolean comes_from(const Layer *layer, const Image *parent, uint64_t snap)
{
    return layer->parent == parent && (snap == 0 || layer->parent_snap == snap);
}

static gboolean is_child(const Image *image, const Image *parent, uint64_t snap)
{
    if (comes_from(&image->head, parent, snap))
        return TRUE;
    for (guint i = 0; i < image->snaps->len; i++)
        if (comes_from(&((Snap *)image->snaps->pdata[i])->layer, parent, snap))
            return TRUE;
    return FALSE;
}

GPtrArray *fake_children(Image *parent, uint64_t snap)
{
    GPtrArray *children = g_ptr_array_new();

    for (guint p = 0; p < cluster.pools->len; p++) {
        Pool *pool = g_ptr_array_index(cluster.pools, p);

        for (guint s = 0; s < pool->spaces->len; s++) {
            Space *space = g_ptr_array_index(pool->spaces, s);

            for (guint i = 0; i < space->images->len; i++)
                if (is_child(space->images->pdata[i], parent, snap))
                    g_ptr_array_add(children, space->images->pdata[i]);
        }
    }
    return children;
}

void fake_empty_trash(Image *image)
{
    for (guint i = image->snaps->len; i-- > 0;) {
        Snap *snap = g_ptr_array_index(image->snaps, i);
        g_autoptr(GPtrArray) children = fake_children(image, snap->id);

        if (snap->type == RBD_SNAP_NAMESPACE_TYPE_TRASH && children->len == 0)
            g_ptr_array_remove_index(image->snaps, i);
    }
}
