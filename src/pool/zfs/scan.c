/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Makes the records of the volumes, from a report and from the device nodes, and the usage of the
 * pool. The allocation of a volume is its reservation, or its referenced bytes if these are more,
 * because sparse volumes have no reservation.
 */
#include "zfs.h"

#include <string.h>

#include <base/i18n.h>
#include <base/units.h>

/* "16K", the form of ZFS's tools. */
static void add_size_option(CstVolumeExtra *extra, const char *key, uint64_t bytes)
{
    g_autofree char *text = bytes % CST_KIB == 0
                                ? g_strdup_printf("%" G_GUINT64_FORMAT "K", bytes / CST_KIB)
                                : g_strdup_printf("%" G_GUINT64_FORMAT, bytes);

    cst_options_add(&extra->options, key, text);
}

/* The origin of a clone may be anywhere in the ZFS pool. */
static void volume_set_zfs_origin(const ZfsState *state, const ZfsDataset *dataset,
                                  CstVolumeExtra *extra)
{
    g_autofree char *origin = NULL;
    const char *volume;

    if (!dataset->origin)
        return;
    origin = zfs_origin_of(dataset->origin);
    volume = zfs_volume_of(state, origin);
    extra->backing_path =
        volume ? zfs_vol_path((CstPoolState *)&state->head, volume) : zfs_device_of(origin);
    extra->backing_format = g_strdup("raw");
    extra->backing_trust = CST_TRUST_NAMED;
}

static CstVolume *zfs_dataset_to_volume(const ZfsState *state, const ZfsDataset *dataset)
{
    CstVolume *volume = cst_volume_new(zfs_volume_of(state, dataset->name));
    CstVolumeExtra *extra = cst_volume_extra(volume);
    g_autofree char *path = zfs_device_of(dataset->name);

    volume->type = CST_VOL_BLOCK;
    volume->format = "raw";
    volume->capacity = volume->physical = dataset->size;
    volume->allocation = MAX(dataset->reserved, dataset->referenced);
    cst_device_take_node(volume, path);
    extra->key = g_strdup(dataset->name);
    volume_set_zfs_origin(state, dataset, extra);
    add_size_option(extra, "volblocksize", dataset->block);
    if (dataset->compression)
        cst_options_add(&extra->options, "compression", dataset->compression);
    if (dataset->locked)
        extra->problem =
            g_strdup_printf(_("the key of ZFS dataset '%s' is not loaded"),
                            dataset->encryption_root ? dataset->encryption_root : dataset->name);
    return volume;
}

gboolean zfs_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_autoptr(GPtrArray) datasets = zfs_read_all(ZFS(state), task, error);

    if (!datasets)
        return FALSE;
    for (guint i = 0; i < datasets->len; i++) {
        const ZfsDataset *dataset = g_ptr_array_index(datasets, i);
        CstVolume *volume;

        if (!zfs_is_shown(ZFS(state), dataset))
            continue;
        volume = zfs_dataset_to_volume(ZFS(state), dataset);
        scan->sink(cst_device_newest(scan->known(volume->name, scan->data), volume), scan->data);
    }
    /* After a full scan the caller expects exact sizes, so drop the estimate. */
    zfs_cache_drop_pool(ZFS(state)->cache);
    return TRUE;
}

gboolean zfs_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                      CstVolume **ret_volume, GError **error)
{
    g_autofree char *dataset = zfs_dataset_of(ZFS(state), name);
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *found;

    *ret_volume = NULL;
    if (!zfs_is_name(name))
        return zfs_prove(ZFS(state), error);
    found = zfs_look(ZFS(state), dataset, &datasets, error);
    if (found && zfs_is_volume(ZFS(state), found))
        *ret_volume = cst_device_newest(known ? cst_volume_ref(known) : NULL,
                                        zfs_dataset_to_volume(ZFS(state), found));
    return datasets != NULL;
}

char *zfs_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error)
{
    g_autoptr(GPtrArray) datasets = NULL;
    const ZfsDataset *dataset = zfs_look_volume(ZFS(state), volume->name, &datasets, error);

    return dataset ? g_strdup(dataset->guid) : NULL;
}

/*
 * Capacity and allocation are of the ZFS pool, as in libvirt. The available space is of the
 * dataset. The free space of the pool is larger, because it includes reservations and ignores
 * quotas.
 */
gboolean zfs_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    gint64 pool_until = 0, until = 0;
    g_autoptr(ZfsPool) pool = zfs_cache_pool(ZFS(state)->cache, &pool_until);
    uint64_t available;

    if (!pool)
        pool = zfs_read_pool(ZFS(state), error);
    if (!pool || !zfs_available(ZFS(state), &available, &until, error))
        return FALSE;
    ret_usage->capacity = pool->size;
    ret_usage->allocation = pool->allocated;
    ret_usage->available = available;
    ret_usage->until = pool_until && until ? MIN(pool_until, until) : MAX(pool_until, until);
    return TRUE;
}
