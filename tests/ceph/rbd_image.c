/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* librbd: making, listing, opening and removing images. */

static Space *space_of(rados_ioctx_t io)
{
    return ((Io *)io)->space;
}

/* --- options ---------------------------------------------------------------------------------- */

typedef struct {
    uint64_t features, order, clone_format;
    char *data_pool;
} Options;

void rbd_image_options_create(rbd_image_options_t *ret_options)
{
    Options *options = g_new0(Options, 1);

    options->features = FEATURES_DEFAULT;
    options->order = ORDER_DEFAULT;
    options->clone_format = 1;
    *ret_options = options;
}

void rbd_image_options_destroy(rbd_image_options_t options)
{
    g_free(((Options *)options)->data_pool);
    g_free(options);
}

int rbd_image_options_set_uint64(rbd_image_options_t options, int name, uint64_t value)
{
    switch (name) {
    case RBD_IMAGE_OPTION_FEATURES: ((Options *)options)->features = value; return 0;
    case RBD_IMAGE_OPTION_ORDER: ((Options *)options)->order = value; return 0;
    case RBD_IMAGE_OPTION_CLONE_FORMAT: ((Options *)options)->clone_format = value; return 0;
    default: return -EINVAL;
    }
}

int rbd_image_options_set_string(rbd_image_options_t options, int name, const char *value)
{
    if (name != RBD_IMAGE_OPTION_DATA_POOL)
        return -EINVAL;
    ((Options *)options)->data_pool = g_strdup(value);
    return 0;
}

int rbd_features_from_string(const char *text, uint64_t *features)
{
    static const char *const names[] = {"layering",   "striping",  "exclusive-lock",
                                        "object-map", "fast-diff", "deep-flatten"};
    g_auto(GStrv) words = g_strsplit(text, ",", -1);

    *features = 0;
    for (char **word = words; *word; word++) {
        size_t i = 0;

        while (i < G_N_ELEMENTS(names) && strcmp(names[i], *word) != 0)
            i++;
        if (i == G_N_ELEMENTS(names))
            return -EINVAL;
        *features |= UINT64_C(1) << i;
    }
    return 0;
}

/* --- making ----------------------------------------------------------------------------------- */

static int check_new(Space *space, const char *name, const Options *options)
{
    if (options->data_pool && !fake_pool(options->data_pool))
        return -ENOENT;
    return fake_image(space, name) ? -EEXIST : 0;
}

int rbd_create4(rados_ioctx_t io, const char *name, uint64_t size, rbd_image_options_t how)
{
    const Options *options = how;
    int began = fake_begin(__func__);
    int result = began < 0 ? began : check_new(space_of(io), name, options);

    if (result >= 0)
        fake_image_new(space_of(io), name, size, (int)options->order, options->features);
    return fake_end(began, result);
}

static gboolean copy_pair(gpointer key, gpointer value, gpointer data)
{
    g_tree_insert(data, g_strdup(key), g_strdup(value));
    return FALSE;
}

/* A clone gets a copy of the metadata. */
static int clone_image(Space *from, const char *source, const char *snapshot, Space *to,
                       const char *name, const Options *options)
{
    Image *image = fake_image(from, source), *clone;
    Snap *snap = image ? fake_snap(image, snapshot) : NULL;
    int result = check_new(to, name, options);

    if (!snap)
        return -ENOENT;
    if (!(image->features & FEATURE_LAYERING) ||
        (options->clone_format == 1 && !snap->is_protected))
        return -EINVAL;
    if (result < 0)
        return result;
    clone = fake_image_new(to, name, snap->layer.size, (int)options->order, options->features);
    clone->head.parent = image;
    clone->head.parent_snap = snap->id;
    clone->head.overlap = snap->layer.size;
    g_tree_foreach(image->metadata, copy_pair, clone->metadata);
    return 0;
}

int rbd_clone3(rados_ioctx_t p_io, const char *p_name, const char *p_snapname, rados_ioctx_t c_io,
               const char *c_name, rbd_image_options_t c_opts)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began
                                     : clone_image(space_of(p_io), p_name, p_snapname,
                                                   space_of(c_io), c_name, c_opts));
}

static gboolean is_open(const Image *image, gboolean for_writing)
{
    for (guint i = 0; i < cluster.handles->len; i++) {
        const Handle *handle = g_ptr_array_index(cluster.handles, i);

        if (handle->image == image && (handle->writable || !for_writing))
            return TRUE;
    }
    return FALSE;
}

static int remove_image(Space *space, const char *name)
{
    Image *image = fake_image(space, name);
    Image *parent;

    if (!image)
        return -ENOENT;
    if (image->snaps->len > 0)
        return -ENOTEMPTY;
    if (is_open(image, TRUE))
        return -EBUSY;
    parent = image->head.parent;
    fake_image_drop(image);
    if (parent)
        fake_empty_trash(parent);
    return 0;
}

int rbd_remove_with_progress(rados_ioctx_t io, const char *name, librbd_progress_fn_t report,
                             void *data)
{
    int began = fake_begin(__func__);
    int result = began < 0 ? began : remove_image(space_of(io), name);

    return fake_end(began, result >= 0 ? fake_report(report, data) : result);
}

static int rename_image(Space *space, const char *name, const char *new_name)
{
    Image *image = fake_image(space, name);

    if (!image)
        return -ENOENT;
    if (fake_image(space, new_name))
        return -EEXIST;
    g_free(image->name);
    image->name = g_strdup(new_name);
    return 0;
}

int rbd_rename(rados_ioctx_t io, const char *name, const char *new_name)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : rename_image(space_of(io), name, new_name));
}

/* --- listing ---------------------------------------------------------------------------------- */

static int compare_images(gconstpointer a, gconstpointer b)
{
    return strcmp((*(Image *const *)a)->name, (*(Image *const *)b)->name);
}

int rbd_list2(rados_ioctx_t io, rbd_image_spec_t *specs, size_t *max)
{
    int began = fake_begin(__func__);
    GPtrArray *images;
    size_t room = *max;

    if (began < 0)
        return began;
    images = space_of(io)->images;
    g_ptr_array_sort(images, compare_images);
    *max = images->len;
    if (images->len > room)
        return fake_end(began, -ERANGE);
    for (guint i = 0; i < images->len; i++) {
        const Image *image = g_ptr_array_index(images, i);

        specs[i] = (rbd_image_spec_t){strdup(image->id), strdup(image->name)};
    }
    return fake_end(began, (int)images->len);
}

void rbd_image_spec_list_cleanup(rbd_image_spec_t *specs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(specs[i].id);
        free(specs[i].name);
    }
}

int rbd_namespace_exists(rados_ioctx_t io, const char *name, bool *ret_exists)
{
    int began = fake_begin(__func__);

    if (began >= 0)
        *ret_exists = fake_space(space_of(io)->pool, name) != NULL;
    return fake_end(began, 0);
}

/* --- opening ---------------------------------------------------------------------------------- */

static int open_image(rados_ioctx_t io, Image *image, gboolean writable, rbd_image_t *ret_image)
{
    Handle *handle;

    if (!image)
        return -ENOENT;
    handle = g_new0(Handle, 1);
    handle->image = image;
    handle->client = ((Io *)io)->client->id;
    handle->writable = writable;
    g_ptr_array_add(cluster.handles, handle);
    *ret_image = handle;
    return 0;
}

int rbd_open(rados_ioctx_t io, const char *name, rbd_image_t *ret_image, const char *snapshot)
{
    int began = fake_begin(__func__);

    return fake_end(
        began, began < 0 ? 0 : open_image(io, fake_image(space_of(io), name), TRUE, ret_image));
}

int rbd_open_read_only(rados_ioctx_t io, const char *name, rbd_image_t *ret_image,
                       const char *snapshot)
{
    int began = fake_begin(__func__);

    return fake_end(
        began, began < 0 ? 0 : open_image(io, fake_image(space_of(io), name), FALSE, ret_image));
}

int rbd_open_by_id(rados_ioctx_t io, const char *id, rbd_image_t *ret_image, const char *snapshot)
{
    int began = fake_begin(__func__);

    return fake_end(
        began, began < 0 ? 0 : open_image(io, fake_image_by_id(space_of(io), id), TRUE, ret_image));
}

int rbd_open_by_id_read_only(rados_ioctx_t io, const char *id, rbd_image_t *ret_image,
                             const char *snapshot)
{
    int began = fake_begin(__func__);

    return fake_end(
        began,
        began < 0 ? 0 : open_image(io, fake_image_by_id(space_of(io), id), FALSE, ret_image));
}

/* Waits for the requests that are under way. */
int rbd_close(rbd_image_t image)
{
    Handle *handle = image;
    int began = fake_begin(__func__);

    if (began < 0)
        return began;
    while (handle->pending > 0)
        g_cond_wait(&cluster.changed, &cluster.lock);
    g_ptr_array_remove(cluster.handles, handle);
    g_free(handle);
    return fake_end(began, 0);
}

/* A reader registers no watch. */
int rbd_watchers_list(rbd_image_t image, rbd_image_watcher_t *watchers, size_t *max)
{
    int began = fake_begin(__func__);
    size_t room = *max, count = 0;

    if (began < 0)
        return began;
    for (guint i = 0; i < cluster.handles->len; i++) {
        const Handle *handle = g_ptr_array_index(cluster.handles, i);

        if (handle->image != ((Handle *)image)->image || !handle->writable)
            continue;
        if (watchers && count < room)
            watchers[count] =
                (rbd_image_watcher_t){strdup("10.0.0.9:0/1"), (int64_t)handle->client, count};
        count++;
    }
    *max = count;
    if (count > room && watchers)
        for (size_t i = 0; i < room; i++)
            free(watchers[i].addr);
    return fake_end(began, count > room ? -ERANGE : 0);
}

void rbd_watchers_list_cleanup(rbd_image_watcher_t *watchers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(watchers[i].addr);
}
