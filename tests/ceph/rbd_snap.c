/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cluster.h"

#include <errno.h>
#include <string.h>

/* librbd: snapshots. */

static Image *image_of(rbd_image_t image)
{
    return ((Handle *)image)->image;
}

int rbd_snap_list(rbd_image_t handle, rbd_snap_info_t *infos, int *max)
{
    int began = fake_begin(__func__);
    GPtrArray *snaps;
    int room = *max;

    if (began < 0)
        return began;
    snaps = image_of(handle)->snaps;
    *max = (int)snaps->len + 1; /* with the end */
    if ((int)snaps->len + 1 > room)
        return fake_end(began, -ERANGE);
    for (guint i = 0; i < snaps->len; i++) {
        const Snap *snap = g_ptr_array_index(snaps, i);

        infos[i] = (rbd_snap_info_t){snap->id, snap->layer.size, strdup(snap->name)};
    }
    infos[snaps->len] = (rbd_snap_info_t){0};
    return fake_end(began, (int)snaps->len);
}

void rbd_snap_list_end(rbd_snap_info_t *infos)
{
    for (; infos->name; infos++) {
        free((char *)infos->name);
        infos->name = NULL;
    }
}

static int create(Handle *handle, const char *name)
{
    Image *image = handle->image;
    Snap *snap;

    if (!handle->writable)
        return -EROFS;
    if (fake_snap(image, name))
        return -EEXIST;
    snap = g_new0(Snap, 1);
    snap->id = ++cluster.last_id;
    snap->name = g_strdup(name);
    snap->type = RBD_SNAP_NAMESPACE_TYPE_USER;
    snap->created = time(NULL);
    fake_layer_copy(&image->head, &snap->layer);
    g_ptr_array_add(image->snaps, snap);
    return 0;
}

int rbd_snap_create2(rbd_image_t handle, const char *name, uint32_t flags,
                     librbd_progress_fn_t report, void *data)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : create(handle, name));
}

/* A snapshot with clones goes to the trash, and is removed with its last clone. */
static int remove_snap(Handle *handle, const char *name)
{
    Image *image = handle->image;
    Snap *snap = fake_snap(image, name);
    Image *parent;
    g_autoptr(GPtrArray) children = NULL;

    if (!handle->writable)
        return -EROFS;
    if (!snap || snap->type != RBD_SNAP_NAMESPACE_TYPE_USER)
        return -ENOENT;
    if (snap->is_protected)
        return -EBUSY;
    parent = snap->layer.parent;
    children = fake_children(image, snap->id);
    if (children->len > 0) {
        g_free(snap->name);
        snap->name = g_strdup_printf("trashed-%" G_GUINT64_FORMAT, snap->id);
        snap->type = RBD_SNAP_NAMESPACE_TYPE_TRASH;
        return 0;
    }
    g_ptr_array_remove(image->snaps, snap);
    if (parent)
        fake_empty_trash(parent);
    return 0;
}

int rbd_snap_remove2(rbd_image_t handle, const char *name, uint32_t flags,
                     librbd_progress_fn_t report, void *data)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : remove_snap(handle, name));
}

static int roll_back(Handle *handle, const char *name, librbd_progress_fn_t report, void *data)
{
    Image *image = handle->image;
    Snap *snap = fake_snap(image, name);
    int result;

    if (!handle->writable)
        return -EROFS;
    if (!snap)
        return -ENOENT;
    result = fake_report(report, data);
    if (result < 0)
        return result;
    fake_layer_clear(&image->head);
    fake_layer_copy(&snap->layer, &image->head);
    return 0;
}

int rbd_snap_rollback_with_progress(rbd_image_t handle, const char *name,
                                    librbd_progress_fn_t report, void *data)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : roll_back(handle, name, report, data));
}

static int rename_snap(Image *image, const char *name, const char *new_name)
{
    Snap *snap = fake_snap(image, name);

    if (!snap)
        return -ENOENT;
    if (fake_snap(image, new_name))
        return -EEXIST;
    g_free(snap->name);
    snap->name = g_strdup(new_name);
    return 0;
}

int rbd_snap_rename(rbd_image_t handle, const char *name, const char *new_name)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : rename_snap(image_of(handle), name, new_name));
}

/* --- protection ------------------------------------------------------------------------------- */

int rbd_snap_protect(rbd_image_t handle, const char *name)
{
    int began = fake_begin(__func__);
    Snap *snap = began < 0 ? NULL : fake_snap(image_of(handle), name);

    if (!snap)
        return fake_end(began, -ENOENT);
    if (snap->is_protected)
        return fake_end(began, -EBUSY);
    snap->is_protected = TRUE;
    return fake_end(began, 0);
}

static int unprotect(Image *image, const char *name)
{
    Snap *snap = fake_snap(image, name);
    g_autoptr(GPtrArray) children = snap ? fake_children(image, snap->id) : NULL;

    if (!snap)
        return -ENOENT;
    if (!snap->is_protected)
        return -EINVAL;
    if (children->len > 0)
        return -EBUSY;
    snap->is_protected = FALSE;
    return 0;
}

int rbd_snap_unprotect(rbd_image_t handle, const char *name)
{
    int began = fake_begin(__func__);

    return fake_end(began, began < 0 ? began : unprotect(image_of(handle), name));
}

int rbd_snap_is_protected(rbd_image_t handle, const char *name, int *ret_protected)
{
    int began = fake_begin(__func__);
    Snap *snap = began < 0 ? NULL : fake_snap(image_of(handle), name);

    if (!snap)
        return fake_end(began, -ENOENT);
    *ret_protected = snap->is_protected;
    return fake_end(began, 0);
}

/* --- one of them ------------------------------------------------------------------------------ */

int rbd_snap_set(rbd_image_t handle, const char *name)
{
    int began = fake_begin(__func__);
    Snap *snap = began < 0 || !name ? NULL : fake_snap(image_of(handle), name);

    if (name && !snap)
        return fake_end(began, -ENOENT);
    if (began >= 0)
        ((Handle *)handle)->snap = snap ? snap->id : 0;
    return fake_end(began, 0);
}

int rbd_snap_get_id(rbd_image_t handle, const char *name, uint64_t *ret_id)
{
    int began = fake_begin(__func__);
    Snap *snap = began < 0 ? NULL : fake_snap(image_of(handle), name);

    if (!snap)
        return fake_end(began, -ENOENT);
    *ret_id = snap->id;
    return fake_end(began, 0);
}

int rbd_snap_get_timestamp(rbd_image_t handle, uint64_t id, struct timespec *ret_time)
{
    int began = fake_begin(__func__);
    Snap *snap = began < 0 ? NULL : fake_snap_by_id(image_of(handle), id);

    if (!snap)
        return fake_end(began, -ENOENT);
    *ret_time = (struct timespec){.tv_sec = snap->created};
    return fake_end(began, 0);
}

int rbd_snap_get_namespace_type(rbd_image_t handle, uint64_t id,
                                rbd_snap_namespace_type_t *ret_type)
{
    int began = fake_begin(__func__);
    Snap *snap = began < 0 ? NULL : fake_snap_by_id(image_of(handle), id);

    if (!snap)
        return fake_end(began, -ENOENT);
    *ret_type = snap->type;
    return fake_end(began, 0);
}
