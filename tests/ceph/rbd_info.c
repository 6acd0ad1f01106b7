/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* librbd: what an open image is, whom it belongs to, and the metadata of images and pools. */

static Image *image_of(rbd_image_t image)
{
    return ((Handle *)image)->image;
}

static Layer *layer_of(rbd_image_t image)
{
    return fake_layer(image_of(image), ((Handle *)image)->snap);
}

int rbd_get_id(rbd_image_t image, char *id, size_t size)
{
    int began = fake_begin(__func__);

    if (began >= 0 && g_strlcpy(id, image_of(image)->id, size) >= size)
        return fake_end(began, -ERANGE);
    return fake_end(began, 0);
}

int rbd_get_name(rbd_image_t image, char *name, size_t *len)
{
    int began = fake_begin(__func__);

    if (began >= 0 && g_strlcpy(name, image_of(image)->name, *len) >= *len)
        return fake_end(began, -ERANGE);
    return fake_end(began, 0);
}

int rbd_get_size(rbd_image_t image, uint64_t *ret_size)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        *ret_size = layer_of(image)->size;
    return fake_end(began, 0);
}

int rbd_stat(rbd_image_t image, rbd_image_info_t *info, size_t size)
{
    int began = fake_begin(__func__);

    g_assert_cmpuint(size, ==, sizeof(*info));
    if (began >= 0)
        *info = (rbd_image_info_t){.size = layer_of(image)->size, .order = image_of(image)->order};
    return fake_end(began, 0);
}

int rbd_get_features(rbd_image_t image, uint64_t *ret_features)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        *ret_features = image_of(image)->features;
    return fake_end(began, 0);
}

int rbd_get_flags(rbd_image_t image, uint64_t *ret_flags)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        *ret_flags = image_of(image)->flags;
    return fake_end(began, 0);
}

int rbd_get_create_timestamp(rbd_image_t image, struct timespec *ret_time)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        *ret_time = (struct timespec){.tv_sec = image_of(image)->created};
    return fake_end(began, 0);
}

static int resize(Handle *handle, uint64_t size, bool allow_shrink, librbd_progress_fn_t report,
                  void *data)
{
    Layer *head = &handle->image->head;

    if (!handle->writable)
        return -EROFS;
    if (size < head->size && !allow_shrink)
        return -EINVAL;
    fake_layer_resize(head, size);
    return fake_report(report, data);
}

int rbd_resize2(rbd_image_t image, uint64_t size, bool allow_shrink, librbd_progress_fn_t report,
                void *data)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : resize(image, size, allow_shrink, report, data));
}

/* --- clones ----------------------------------------------------------------------------------- */

static rbd_linked_image_spec_t spec_of(const Image *image)
{
    return (rbd_linked_image_spec_t){.pool_id = image->space->pool->id,
                                     .pool_name = strdup(image->space->pool->name),
                                     .pool_namespace = strdup(image->space->name),
                                     .image_id = strdup(image->id),
                                     .image_name = strdup(image->name)};
}

int rbd_get_parent(rbd_image_t image, rbd_linked_image_spec_t *ret_parent,
                   rbd_snap_spec_t *ret_snap)
{
    int began = fake_begin(__func__);
    const Layer *layer = began < 0 ? NULL : layer_of(image);
    const Snap *snap;

    if (!layer || !layer->parent)
        return fake_end(began, -ENOENT);
    snap = fake_snap_by_id(layer->parent, layer->parent_snap);
    *ret_parent = spec_of(layer->parent);
    *ret_snap = (rbd_snap_spec_t){snap->id, snap->type, strdup(snap->name)};
    return fake_end(began, 0);
}

void rbd_linked_image_spec_cleanup(rbd_linked_image_spec_t *spec)
{
    free(spec->pool_name);
    free(spec->pool_namespace);
    free(spec->image_id);
    free(spec->image_name);
}

void rbd_linked_image_spec_list_cleanup(rbd_linked_image_spec_t *specs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rbd_linked_image_spec_cleanup(&specs[i]);
}

void rbd_snap_spec_cleanup(rbd_snap_spec_t *snap)
{
    free(snap->name);
}

int rbd_list_children3(rbd_image_t image, rbd_linked_image_spec_t *specs, size_t *max)
{
    int began = fake_begin(__func__);
    g_autoptr(GPtrArray) children = NULL;
    size_t room = *max;

    if (began < 0)
        return began;
    children = fake_children(image_of(image), ((Handle *)image)->snap);
    *max = children->len;
    if (children->len > room)
        return fake_end(began, -ERANGE);
    for (guint i = 0; i < children->len; i++)
        specs[i] = spec_of(g_ptr_array_index(children, i));
    return fake_end(began, (int)children->len);
}

/* Stopped by an error of @report it is still a clone. */
static int flatten(Image *image, librbd_progress_fn_t report, void *data)
{
    Image *parent = image->head.parent;
    int result;

    if (!parent)
        return -EINVAL;
    result = fake_report(report, data);
    if (result < 0)
        return result;
    fake_layer_flatten(&image->head);
    for (guint i = 0; (image->features & FEATURE_DEEP_FLATTEN) && i < image->snaps->len; i++)
        fake_layer_flatten(&((Snap *)image->snaps->pdata[i])->layer);
    fake_empty_trash(parent);
    return 0;
}

int rbd_flatten_with_progress(rbd_image_t image, librbd_progress_fn_t report, void *data)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : flatten(image_of(image), report, data));
}

/* --- metadata --------------------------------------------------------------------------------- */

/* The end is not counted in *len, but there has to be room for it. */
static int get(GTree *tree, const char *key, char *value, size_t *len)
{
    const char *found = g_tree_lookup(tree, key);
    size_t room = *len;

    if (!found)
        return -ENOENT;
    *len = strlen(found) + 1;
    if (*len > room)
        return -ERANGE;
    g_strlcpy(value, found, *len);
    return 0;
}

static int set(GTree *tree, const char *key, const char *value)
{
    g_tree_insert(tree, g_strdup(key), g_strdup(value));
    return 0;
}

static void append(char *texts, size_t *len, const char *text)
{
    size_t size = strlen(text) + 1;

    memcpy(texts + *len, text, size);
    *len += size;
}

/* Entries after @start, each with its end. */
static int list_from(GTree *tree, const char *start, uint64_t max, char *keys, size_t *keys_len,
                     char *values, size_t *values_len)
{
    *keys_len = *values_len = 0;
    for (GTreeNode *node = g_tree_upper_bound(tree, start); node && max-- > 0;
         node = g_tree_node_next(node)) {
        append(keys, keys_len, g_tree_node_key(node));
        append(values, values_len, g_tree_node_value(node));
    }
    return 0;
}

int rbd_metadata_list(rbd_image_t image, const char *start, uint64_t max, char *keys,
                      size_t *keys_len, char *values, size_t *values_len)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began
                                     : list_from(image_of(image)->metadata, start, max, keys,
                                                 keys_len, values, values_len));
}

int rbd_metadata_get(rbd_image_t image, const char *key, char *value, size_t *len)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : get(image_of(image)->metadata, key, value, len));
}

int rbd_metadata_set(rbd_image_t image, const char *key, const char *value)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : set(image_of(image)->metadata, key, value));
}

int rbd_metadata_remove(rbd_image_t image, const char *key)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0                                       ? began
                           : g_tree_remove(image_of(image)->metadata, key) ? 0
                                                                           : -ENOENT);
}

static GTree *notes_of(rados_ioctx_t io)
{
    return ((Io *)io)->space->notes;
}

int rbd_pool_metadata_get(rados_ioctx_t io, const char *key, char *value, size_t *len)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : get(notes_of(io), key, value, len));
}

int rbd_pool_metadata_set(rados_ioctx_t io, const char *key, const char *value)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : set(notes_of(io), key, value));
}

int rbd_pool_metadata_remove(rados_ioctx_t io, const char *key)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : g_tree_remove(notes_of(io), key) ? 0 : -ENOENT);
}

/* -ENOENT: the object has no entries. */
int rbd_pool_metadata_list(rados_ioctx_t io, const char *start, uint64_t max, char *keys,
                           size_t *keys_len, char *values, size_t *values_len)
{
    int began = fake_begin(__func__);

    if (began >= 0 && g_tree_nnodes(notes_of(io)) == 0)
        return fake_end(began, -ENOENT);
    return fake_end(
        began, began < 0 ? began
                         : list_from(notes_of(io), start, max, keys, keys_len, values, values_len));
}
