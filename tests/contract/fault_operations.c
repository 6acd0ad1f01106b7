/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "faults.h"

#include <service/images.h>
#include <service/trash.h>

/* The operations on the pool of each_fault.c while its backend fails. */

#define SIZE   FAULT_VOLUME_SIZE
#define BLOCKS FAULT_VOLUME_BLOCKS

static gboolean create(Site *site, unsigned flags, CstTask *task, GError **error)
{
    g_autofree char *xml = volume_xml(site, "new", SIZE);
    g_autofree char *made = NULL;

    return cst_vol_create(site->pool, xml, flags, task, &made, error);
}

static gboolean do_create(Site *site, CstTask *task, GError **error)
{
    return create(site, 0, task, error);
}

/* Data are written to a draft. */
static gboolean do_create_written(Site *site, CstTask *task, GError **error)
{
    return create(site, CST_VOL_CREATE_PREALLOC_FULL, task, error);
}

static gboolean clone_v(Site *site, const char *name, CstTask *task, GError **error)
{
    g_autofree char *xml = volume_xml(site, name, SIZE);
    g_autofree char *made = NULL;

    return cst_vol_create_from(site->pool, xml, site->pool, "v", 0, task, &made, error);
}

static gboolean do_clone(Site *site, CstTask *task, GError **error)
{
    return clone_v(site, "new", task, error);
}

/* From another pool, with which nothing can be shared: the bytes are copied. */
static gboolean do_copy(Site *site, CstTask *task, GError **error)
{
    g_autoptr(CstPool) other = cst_service_pool_by_name(site->service, "q", NULL);
    g_autofree char *xml = volume_xml(site, "new", SIZE);
    g_autofree char *made = NULL;

    return cst_vol_create_from(site->pool, xml, other, "far", 0, task, &made, error);
}

static gboolean do_delete(Site *site, CstTask *task, GError **error)
{
    return cst_vol_delete(site->pool, "w", 0, task, error);
}

static gboolean do_delete_all(Site *site, CstTask *task, GError **error)
{
    return cst_vol_delete(site->pool, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, task, error);
}

static gboolean do_grow(Site *site, CstTask *task, GError **error)
{
    return cst_vol_resize(site->pool, "v", 2 * SIZE, 0, task, error);
}

static gboolean do_shrink(Site *site, CstTask *task, GError **error)
{
    return cst_vol_resize(site->pool, "v", SIZE / 2, CST_VOL_RESIZE_SHRINK, task, error);
}

static gboolean do_wipe(Site *site, CstTask *task, GError **error)
{
    return cst_vol_wipe(site->pool, "v", CST_WIPE_ZERO, 0, task, error);
}

static gboolean do_trim(Site *site, CstTask *task, GError **error)
{
    return cst_vol_wipe(site->pool, "v", CST_WIPE_TRIM, 0, task, error);
}

static gboolean do_upload(Site *site, CstTask *task, GError **error)
{
    g_autoptr(CstUpload) upload = cst_vol_upload(site->pool, "v", 0, 0, 0, task, error);
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);

    tag_fill(block, 3);
    for (guint i = 0; upload && i < BLOCKS / 2; i++)
        if (!cst_upload_write(upload, block, TAG_BLOCK, error))
            return FALSE;
    return upload && cst_upload_hole(upload, SIZE / 4, error) && cst_upload_finish(upload, error);
}

static gboolean do_download(Site *site, CstTask *task, GError **error)
{
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);
    CstDownload *download = cst_vol_download(site->pool, "v", 0, 0, 0, task, error);
    gboolean ok = download != NULL;
    uint64_t hole;
    size_t len;

    do
        ok = ok && cst_download_read(download, block, TAG_BLOCK, &len, &hole, error);
    while (ok && len > 0);
    cst_download_free(download);
    return ok;
}

static gboolean do_flatten(Site *site, CstTask *task, GError **error)
{
    return cst_vol_flatten(site->pool, "c", task, error);
}

static gboolean do_snapshot(Site *site, CstTask *task, GError **error)
{
    return cst_vol_snapshot_create(site->pool, "v", "t", 0, task, error);
}

static gboolean do_revert(Site *site, CstTask *task, GError **error)
{
    return cst_vol_snapshot_revert(site->pool, "v", "s", NULL, task, error);
}

static gboolean do_snapshot_delete(Site *site, CstTask *task, GError **error)
{
    return cst_vol_snapshot_delete(site->pool, "v", "s", task, error);
}

static gboolean do_rename(Site *site, CstTask *task, GError **error)
{
    return cst_vol_snapshot_rename(site->pool, "v", "s", "t", task, error);
}

static gboolean do_snapshot_clone(Site *site, CstTask *task, GError **error)
{
    return cst_vol_snapshot_clone(site->pool, "v", "s", "new", task, error);
}

static gboolean do_changed(Site *site, CstTask *task, GError **error)
{
    g_auto(CstChanged) changed = {.max = 10};

    return cst_vol_changed(site->pool, "v", "s", NULL, task, &changed, error);
}

static gboolean do_refresh(Site *site, CstTask *task, GError **error)
{
    return cst_pool_refresh(site->pool, 0, task, error);
}

static gboolean do_stop(Site *site, CstTask *task, GError **error)
{
    return cst_pool_stop(site->pool, task, error);
}

static gboolean do_start(Site *site, CstTask *task, GError **error)
{
    return cst_pool_start(site->pool, 0, task, error);
}

static gboolean do_build(Site *site, CstTask *task, GError **error)
{
    return cst_pool_build(site->pool, 0, task, error);
}

static gboolean do_pool_delete(Site *site, CstTask *task, GError **error)
{
    return cst_pool_delete(site->pool, 0, task, error);
}

/* --- other names, other pools ----------------------------------------------------------------- */

static gboolean do_vol_rename(Site *site, CstTask *task, GError **error)
{
    return cst_vol_rename(site->pool, "v", "renamed", task, error);
}

/* The pool has a trash. */
static gboolean do_trash(Site *site, CstTask *task, GError **error)
{
    return cst_vol_delete(site->pool, "v", CST_VOL_DELETE_WITH_SNAPSHOTS, task, error);
}

static gboolean do_restore(Site *site, CstTask *task, GError **error)
{
    g_autofree char *made = NULL;

    return cst_pool_trash_restore(site->pool, "v", "back", task, &made, error);
}

static gboolean do_empty_one(Site *site, CstTask *task, GError **error)
{
    uint64_t bytes;
    guint count;

    return cst_pool_trash_empty(site->pool, "v", 0, task, &count, &bytes, error);
}

static gboolean do_empty(Site *site, CstTask *task, GError **error)
{
    uint64_t bytes;
    guint count;

    return cst_pool_trash_empty(site->pool, NULL, 0, task, &count, &bytes, error);
}

static gboolean move_to_q(Site *site, const char *name, CstTask *task, GError **error)
{
    g_autoptr(CstPool) second = cst_service_pool_by_name(site->service, "q", NULL);
    const CstVolMove how = {.name = "moved"};

    return cst_vol_move(site->pool, name, second, &how, task, error);
}

static gboolean do_move(Site *site, CstTask *task, GError **error)
{
    return move_to_q(site, "w", task, error);
}

static gboolean do_move_with_snapshots(Site *site, CstTask *task, GError **error)
{
    return move_to_q(site, "v", task, error);
}

static gboolean do_snapshot_set(Site *site, CstTask *task, GError **error)
{
    const CstSnapshotVolume volumes[] = {
        {site->pool, "v"}, {site->pool, "w"}, {site->pool, "third"}};
    const CstSnapshotRequest request = {.name = "t"};
    g_auto(CstSnapshotSet) made = {0};

    return cst_vol_snapshot_create_set(volumes, G_N_ELEMENTS(volumes), &request, task, &made,
                                       error);
}

static CstUpload *receive_half(Site *site, CstTask *task, GError **error)
{
    g_autofree char *xml = volume_xml(site, "new", SIZE);
    g_autofree char *made = NULL;
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);
    g_autoptr(CstUpload) upload = cst_vol_receive(site->pool, xml, 0, task, &made, error);

    tag_fill(block, 7);
    for (guint i = 0; upload && i < BLOCKS / 2; i++)
        if (!cst_upload_write(upload, block, TAG_BLOCK, error))
            return NULL;
    return g_steal_pointer(&upload);
}

static gboolean do_receive(Site *site, CstTask *task, GError **error)
{
    g_autoptr(CstUpload) upload = receive_half(site, task, error);

    return upload && cst_upload_hole(upload, SIZE / 4, error) && cst_upload_finish(upload, error);
}

/* The sender goes away: the volume is free again. */
static gboolean do_upload_half(Site *site, CstTask *task, GError **error)
{
    g_autoptr(CstUpload) upload = cst_vol_upload(site->pool, "w", 0, 0, 0, task, error);
    g_autofree uint8_t *block = g_malloc(TAG_BLOCK);

    tag_fill(block, 0);
    return upload && cst_upload_write(upload, block, TAG_BLOCK, error);
}

/* The sender goes away: there is no new volume, and its name is free. */
static gboolean do_receive_half(Site *site, CstTask *task, GError **error)
{
    g_autoptr(CstUpload) upload = receive_half(site, task, error);

    return upload != NULL;
}

/* --- what only asks --------------------------------------------------------------------------- */

static gboolean ask_info(Site *site, CstTask *task, GError **error)
{
    CstVolInfo info;

    return cst_vol_get_info(site->pool, "v", &info, error);
}

static gboolean ask_snapshots(Site *site, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) snapshots = cst_vol_snapshots(site->pool, "v", task, error);

    return snapshots != NULL;
}

static gboolean ask_holders(Site *site, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) holders = cst_vol_holders(site->pool, "v", error);

    return holders != NULL;
}

static gboolean ask_chain(Site *site, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) chain = cst_vol_chain(site->pool, "v", error);

    return chain != NULL;
}

static gboolean ask_thin(Site *site, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) stores = cst_pool_thin_stores(site->pool, error);

    return stores != NULL;
}

/* --- what goes before ------------------------------------------------------------------------- */

static gboolean make_clone(Site *site, CstTask *task, GError **error)
{
    return clone_v(site, "c", task, error);
}

static gboolean make_far(Site *site, CstTask *task, GError **error)
{
    g_autoptr(CstPool) other = cst_service_pool_by_name(site->service, "q", NULL);
    Site there = *site;

    if (!other)
        other = site_make_pool(site, "q");
    there.pool = other;
    if (!cst_pool_has_volume(other, "far", NULL)) {
        volume_make(&there, "far", SIZE);
        content_write(&there, "far", 0, BLOCKS, 5);
    }
    return TRUE;
}

/* The protection goes where the volume goes. */
static gboolean protect_v(Site *site, CstTask *task, GError **error)
{
    return make_clone(site, task, error) && cst_vol_protect(site->pool, "v", TRUE, task, error);
}

static gboolean use_trash(Site *site, CstTask *task, GError **error)
{
    site_keep_deleted(site);
    return TRUE;
}

static gboolean fill_trash(Site *site, CstTask *task, GError **error)
{
    site_keep_deleted(site);
    return do_trash(site, task, error) && do_delete(site, task, error);
}

static gboolean make_third(Site *site, CstTask *task, GError **error)
{
    volume_make(site, "third", SIZE);
    return TRUE;
}

static gboolean stop_and_empty(Site *site, CstTask *task, GError **error)
{
    return do_delete_all(site, task, error) && do_delete(site, task, error) &&
           do_stop(site, task, error);
}

const FaultOperation fault_operations[] = {
    {"create", do_create, NULL, FAULT_WHOLE},
    {"create written", do_create_written, NULL, FAULT_WHOLE},
    {"clone", do_clone, NULL, FAULT_WHOLE},
    {"copy", do_copy, make_far, FAULT_WHOLE},
    {"delete", do_delete, NULL, FAULT_WHOLE},
    {"delete with snapshots", do_delete_all, NULL, FAULT_SNAPSHOTS},
    {"grow", do_grow, NULL, FAULT_WHOLE},
    {"shrink", do_shrink, NULL, FAULT_WHOLE},
    {"wipe", do_wipe, NULL, FAULT_CONTENT},
    {"trim", do_trim, NULL, FAULT_CONTENT},
    {"upload", do_upload, NULL, FAULT_CONTENT},
    {"download", do_download, NULL, FAULT_WHOLE},
    {"flatten", do_flatten, make_clone, FAULT_WHOLE},
    {"snapshot", do_snapshot, NULL, FAULT_WHOLE},
    {"revert", do_revert, NULL, FAULT_WHOLE},
    {"snapshot delete", do_snapshot_delete, NULL, FAULT_WHOLE},
    {"snapshot rename", do_rename, NULL, FAULT_WHOLE},
    {"snapshot clone", do_snapshot_clone, NULL, FAULT_WHOLE},
    {"rename volume", do_vol_rename, protect_v, FAULT_WHOLE},
    {"trash", do_trash, use_trash, FAULT_WHOLE},
    {"restore", do_restore, fill_trash, FAULT_WHOLE},
    {"empty one", do_empty_one, fill_trash, FAULT_SNAPSHOTS},
    {"empty", do_empty, fill_trash, FAULT_WHOLE},
    {"move", do_move, make_far, FAULT_WHOLE},
    {"move with snapshots", do_move_with_snapshots, make_far, FAULT_SNAPSHOTS},
    {"snapshot set", do_snapshot_set, make_third, FAULT_WHOLE},
    {"receive", do_receive, NULL, FAULT_EVENTS},
    {"half a receive", do_receive_half, NULL, FAULT_EVENTS},
    {"half an upload", do_upload_half, NULL, FAULT_EVENTS},
    {"changed", do_changed, NULL, FAULT_WHOLE},
    {"refresh", do_refresh, NULL, FAULT_WHOLE},
    {"stop", do_stop, NULL, FAULT_WHOLE},
    {"start", do_start, do_stop, FAULT_WHOLE},
    {"build", do_build, do_stop, FAULT_WHOLE},
    {"pool delete", do_pool_delete, stop_and_empty, FAULT_WHOLE},
    {"info", ask_info, NULL, FAULT_WHOLE},
    {"snapshots", ask_snapshots, NULL, FAULT_WHOLE},
    {"holders", ask_holders, NULL, FAULT_WHOLE},
    {"chain", ask_chain, NULL, FAULT_WHOLE},
    {"thin stores", ask_thin, NULL, FAULT_WHOLE},
    {0},
};
