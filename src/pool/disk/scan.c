/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the volumes and usage of the pool, from the table on the disk or from the cached
 * result of the last scan (seen.c). If the kernel does not have a partition, or has it elsewhere,
 * its node does not lead to the volume. The volume is then listed with this problem.
 */
#include "disk.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>
#include <pool/device.h>

/* Returns the bytes of all logical partitions in the extended one. */
static uint64_t logical_bytes(const DiskTable *table)
{
    uint64_t bytes = 0;

    for (guint i = 0; i < table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, i);

        if (partition->kind == DISK_LOGICAL)
            bytes += partition->end - partition->start;
    }
    return bytes;
}

static void disk_volume_set_extent(const DiskAccess *access, const DiskPartition *partition,
                                   CstVolumeExtra *extra)
{
    g_autoptr(CstVolDef) into = cst_vol_def_new();

    cst_vol_def_add_extent(into, access->device.node, partition->start, partition->end);
    extra->extents = g_steal_pointer(&into->extents);
}

static CstVolume *disk_partition_to_volume(const DiskAccess *access, const GArray *shown,
                                           const DiskPartition *partition)
{
    g_autofree char *name = disk_partition_name(&access->device, partition->number);
    g_autofree char *node = disk_partition_node(&access->device, partition->number);
    CstVolume *volume = cst_volume_new(name);
    CstVolumeExtra *extra = cst_volume_extra(volume);

    volume->type = CST_VOL_BLOCK;
    volume->format = "raw";
    volume->capacity = volume->physical = partition->end - partition->start;
    volume->allocation =
        partition->kind == DISK_EXTENDED ? logical_bytes(access->table) : volume->capacity;
    extra->mark = partition->mark;
    disk_volume_set_extent(access, partition, extra);
    if (!cst_device_take_node(volume, node) ||
        (!access->device.mapped && !disk_is_shown(shown, partition)))
        extra->problem = g_strdup_printf(
            _("the kernel does not have it as the partition table does; see 'partx %s'"),
            access->device.node);
    return volume;
}

static gboolean all_shown(const DiskAccess *access)
{
    g_autoptr(GArray) shown = disk_shown(&access->device);

    for (guint i = 0; i < access->table->partitions->len; i++) {
        const DiskPartition *partition =
            &g_array_index(access->table->partitions, DiskPartition, i);

        if (!partition->reserved && !access->device.mapped && !disk_is_shown(shown, partition))
            return FALSE;
    }
    return TRUE;
}

/*
 * The first scan of a process makes the kernel follow the table, because a crash may have separated
 * the two. Later scans ignore a difference, because another process may be changing the table.
 */
static gboolean open_to_scan(CstPoolState *state, DiskAccess *access, GError **error)
{
    if (!disk_access_open(state, access, error))
        return FALSE;
    if (g_atomic_int_exchange(&DISK(state)->scanned, 1) || all_shown(access))
        return TRUE;
    disk_access_clear(access);
    disk_complete(state, NULL); /* remaining differences become the volumes' problem */
    return disk_access_open(state, access, error);
}

gboolean disk_scan(CstPoolState *state, const CstScan *scan, CstTask *task, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    g_autoptr(GArray) shown = NULL;

    if (!open_to_scan(state, &access, error))
        return FALSE;
    shown = disk_shown(&access.device);
    for (guint i = 0; i < access.table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(access.table->partitions, DiskPartition, i);
        CstVolume *volume;

        if (partition->reserved)
            continue;
        volume = disk_partition_to_volume(&access, shown, partition);
        scan->sink(cst_device_newest(scan->known(volume->name, scan->data), volume), scan->data);
    }
    return TRUE;
}

/* Caches the records of all volumes, because a caller often asks for one volume after another. */
static void see_all(CstPoolState *state, const DiskAccess *access, const GArray *shown,
                    guint changes)
{
    GHashTable *seen =
        g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)cst_volume_unref);

    for (guint i = 0; i < access->table->partitions->len; i++) {
        const DiskPartition *partition =
            &g_array_index(access->table->partitions, DiskPartition, i);
        CstVolume *volume =
            partition->reserved ? NULL : disk_partition_to_volume(access, shown, partition);

        if (volume)
            g_hash_table_replace(seen, volume->name, volume);
    }
    disk_seen_end(DISK(state), seen, changes);
}

/*
 * Returns whether the cached record equals @known (may be NULL). The cached records are never
 * returned to callers, so a record that differs is made again. An unknown volume is always read
 * from the disk.
 */
static gboolean just_seen(CstPoolState *state, const CstVolume *known)
{
    g_autoptr(CstVolume) seen = known ? disk_seen_find(DISK(state), known->name) : NULL;

    return seen && cst_device_same(known, seen);
}

gboolean disk_scan_one(CstPoolState *state, const char *name, CstVolume *known,
                       CstVolume **ret_volume, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    g_autoptr(GArray) shown = NULL;
    const DiskPartition *partition;
    guint changes;

    *ret_volume = NULL;
    if (just_seen(state, known)) {
        *ret_volume = cst_volume_ref(known);
        return TRUE;
    }
    changes = disk_seen_begin(DISK(state));
    if (!disk_access_open(state, &access, error)) {
        disk_seen_end(DISK(state), NULL, changes);
        return FALSE;
    }
    shown = disk_shown(&access.device);
    CST_TEST_POINT("disk.scan.read");
    see_all(state, &access, shown, changes);
    partition = disk_table_find(access.table, disk_number_of(&access.device, name));
    if (!partition || partition->reserved)
        return TRUE;
    *ret_volume = cst_device_newest(known ? cst_volume_ref(known) : NULL,
                                    disk_partition_to_volume(&access, shown, partition));
    return TRUE;
}

/*
 * The identity of a partition without UUID is its start. Another partition has the same start only
 * if it was created there later. The number is no identity, because the delete of a logical
 * partition renumbers other partitions.
 */
char *disk_vol_identity(CstPoolState *state, const CstVolume *volume, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    const DiskPartition *partition;

    if (!disk_access_open(state, &access, error))
        return NULL;
    partition = disk_table_find(access.table, disk_number_of(&access.device, volume->name));
    if (!partition) {
        cst_fail_no_volume(volume->name, error);
        return NULL;
    }
    return *partition->uuid ? g_strdup(partition->uuid)
                            : g_strdup_printf("%" PRIu64, partition->start);
}

/* --- the pool --------------------------------------------------------------------------------- */

static void disk_cache_free_extents(DiskState *disk, const DiskTable *table)
{
    g_mutex_lock(&disk->lock);
    g_clear_pointer(&disk->free, g_array_unref);
    disk->free = g_array_ref(table->free);
    disk->label = table->label;
    g_mutex_unlock(&disk->lock);
}

gboolean disk_usage(CstPoolState *state, CstPoolUsage *ret_usage, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};

    if (!disk_access_open(state, &access, error))
        return FALSE;
    ret_usage->capacity = access.table->size;
    ret_usage->available = ret_usage->allocation = 0;
    for (guint i = 0; i < access.table->free->len; i++) {
        const CstDeviceExtent *extent = &g_array_index(access.table->free, CstDeviceExtent, i);

        ret_usage->available += extent->end - extent->start;
    }
    for (guint i = 0; i < access.table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(access.table->partitions, DiskPartition, i);

        if (!partition->reserved && partition->kind != DISK_EXTENDED)
            ret_usage->allocation += partition->end - partition->start;
    }
    disk_cache_free_extents(DISK(state), access.table);
    return TRUE;
}

/* If the definition has no type of table, shows the type on the disk. */
void disk_describe(CstPoolState *state, CstPoolDef *def)
{
    DiskState *disk = DISK(state);
    CstPoolDevice *device = g_ptr_array_index(def->source.devices, 0);

    g_mutex_lock(&disk->lock);
    g_clear_pointer(&device->free_extents, g_array_unref);
    device->free_extents = disk->free ? g_array_copy(disk->free) : NULL;
    if (disk->label)
        cst_pool_format_parse(CST_POOL_DISK, disk->label, &def->source.format);
    g_mutex_unlock(&disk->lock);
}
