/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <string.h>

/* The cluster as text, for tests that compare what there is with what there should be. */

static int compare_images(gconstpointer a, gconstpointer b)
{
    return strcmp((*(Image *const *)a)->name, (*(Image *const *)b)->name);
}

typedef struct {
    Space *space;
    GString *text;
} Pairs;

/* Shows the name of an image instead of its id after '@', because ids differ between runs. */
static gboolean add_pair(gpointer key, gpointer value, gpointer data)
{
    const Pairs *pairs = data;
    const char *mark = strchr(key, '@');
    const Image *image = mark ? fake_image_by_id(pairs->space, mark + 1) : NULL;

    if (image)
        g_string_append_printf(pairs->text, " [%.*s@%s=%s]", (int)(mark - (const char *)key),
                               (const char *)key, image->name, (const char *)value);
    else
        g_string_append_printf(pairs->text, " [%s=%s]", (const char *)key, (const char *)value);
    return FALSE;
}

static void add_layer(GString *text, const Layer *layer)
{
    g_autofree char *shown = NULL;
    char begins[5] = "";

    fake_layer_read(layer, 0, 4, begins);
    shown = g_strescape(begins, NULL);
    g_string_append_printf(text, " %" G_GUINT64_FORMAT " '%s'", layer->size, shown);
    if (layer->parent) {
        const Snap *snap = fake_snap_by_id(layer->parent, layer->parent_snap);

        g_string_append_printf(text, " of %s@%s", layer->parent->name,
                               snap->type == RBD_SNAP_NAMESPACE_TYPE_USER ? snap->name : "trash");
    }
}

static gboolean is_of(gpointer key, gpointer value, gpointer data)
{
    const char **number = data;

    if (!g_str_has_suffix(key, *number))
        return FALSE;
    *number = NULL;
    return TRUE;
}

/* Whether the image's metadata has a key that ends with the number of the snapshot. */
static gboolean is_noted(const Image *image, const Snap *snap)
{
    g_autofree char *text = g_strdup_printf("_%" G_GUINT64_FORMAT, snap->id);
    const char *number = text;

    g_tree_foreach(image->metadata, is_of, &number);
    return number == NULL;
}

static void add_image(GString *text, const Image *image)
{
    g_string_append_printf(text, "%s %d %" G_GINT64_MODIFIER "x", image->name, image->order,
                           image->features);
    add_layer(text, &image->head);
    g_string_append_c(text, '\n');
    for (guint i = 0; i < image->snaps->len; i++) {
        const Snap *snap = g_ptr_array_index(image->snaps, i);
        gboolean trash = snap->type == RBD_SNAP_NAMESPACE_TYPE_TRASH;

        g_string_append_printf(text, "  @%s", trash ? "trash" : snap->name);
        if (snap->is_protected)
            g_string_append(text, is_noted(image, snap) ? " protected, noted" : " protected");
        add_layer(text, &snap->layer);
        g_string_append_c(text, '\n');
    }
}

char *fake_ceph_dump(const char *pool, const char *namespace)
{
    GString *text = g_string_new("notes:");
    Space *space;

    g_mutex_lock(&cluster.lock);
    space = fake_space(fake_pool(pool), namespace);
    g_tree_foreach(space->notes, add_pair, &(Pairs){space, text});
    g_string_append_c(text, '\n');
    g_ptr_array_sort(space->images, compare_images);
    for (guint i = 0; i < space->images->len; i++)
        add_image(text, g_ptr_array_index(space->images, i));
    g_mutex_unlock(&cluster.lock);
    return g_string_free(text, FALSE);
}
