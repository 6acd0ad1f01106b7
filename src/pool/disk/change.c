/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deletes and resizes volumes. The partition is removed from the kernel before the table, because
 * only the kernel knows for certain that no process has it open. After a crash in between, the next
 * start adds the partition to the kernel again. A delete renumbers the logical partitions after the
 * deleted one, so they must not be in use either.
 */
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/flags.h>
#include <base/i18n.h>
#include <base/log.h>
#include <base/units.h>
#include <pool/device.h>

/* Returns the partition of volume @name, or NULL with NO_VOL if it does not exist. */
static const DiskPartition *disk_find_partition(const DiskAccess *access, const char *name,
                                                GError **error)
{
    const DiskPartition *partition =
        disk_table_find(access->table, disk_number_of(&access->device, name));

    if (partition && !partition->reserved)
        return partition;
    cst_fail_no_volume(name, error);
    return NULL;
}

/* --- holders ---------------------------------------------------------------------------------- */

static gboolean add_holders(const DiskAccess *access, guint number, GPtrArray *holders,
                            GError **error)
{
    g_autofree char *node = disk_partition_node(&access->device, number);

    return cst_device_holders(node, holders, error);
}

/* Returns whether a delete of @partition also removes or renumbers the logical partition @other. */
static gboolean is_affected(const DiskPartition *partition, const DiskPartition *other)
{
    return other->kind == DISK_LOGICAL &&
           (partition->kind == DISK_EXTENDED ||
            (partition->kind == DISK_LOGICAL && other->number > partition->number));
}

gboolean disk_vol_holders(CstPoolState *state, const char *name, GPtrArray *holders, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    const DiskPartition *partition = NULL;

    if (disk_access_open(state, &access, error))
        partition = disk_find_partition(&access, name, error);
    return partition && add_holders(&access, partition->number, holders, error);
}

/* --- deleting --------------------------------------------------------------------------------- */

static gboolean refuse_with_logicals(const DiskAccess *access, const DiskPartition *partition,
                                     const char *name, GError **error)
{
    guint count = disk_table_logicals_above(access->table, 0);

    if (partition->kind != DISK_EXTENDED || count == 0)
        return TRUE;
    return cst_fail(error, CST_ERROR_BUSY,
                    ngettext("extended partition '%s' holds %u logical one; delete that first",
                             "extended partition '%s' holds %u logical ones; delete those first",
                             count),
                    name, count);
}

/*
 * Refuses the delete if a partition to be renumbered is in use, because its users would continue
 * under the old name.
 */
static gboolean refuse_renumbering(const DiskAccess *access, const DiskPartition *partition,
                                   GError **error)
{
    for (guint i = 0; i < access->table->partitions->len; i++) {
        const DiskPartition *other = &g_array_index(access->table->partitions, DiskPartition, i);
        g_autofree char *node = NULL;
        g_autofree char *name = NULL;

        if (!is_affected(partition, other))
            continue;
        node = disk_partition_node(&access->device, other->number);
        name = disk_partition_name(&access->device, other->number);
        if (!cst_device_refuse_held(node, name, error))
            return FALSE;
    }
    return TRUE;
}

/*
 * Removes the affected partitions from the kernel's view. On failure, makes the kernel follow the
 * table again, including the partitions that were already removed.
 */
static gboolean hide_affected(DiskAccess *access, const DiskPartition *partition, GError **error)
{
    for (guint i = 0; i < access->table->partitions->len; i++) {
        const DiskPartition *other = &g_array_index(access->table->partitions, DiskPartition, i);

        if ((other == partition || is_affected(partition, other)) &&
            !disk_hide(&access->device, access->fd, other->number, error)) {
            disk_follow(access);
            return FALSE;
        }
    }
    return TRUE;
}

/* Returns whether the table on the disk has no partition at the start of @partition. */
static gboolean disk_partition_is_gone(const DiskAccess *access, const DiskPartition *partition)
{
    g_autoptr(DiskTable) now = NULL;

    if (!access->ops->read(access->fd, access->device.node, &now, NULL) || !now)
        return FALSE;
    for (guint i = 0; i < now->partitions->len; i++)
        if (g_array_index(now->partitions, DiskPartition, i).start == partition->start)
            return FALSE;
    return TRUE;
}

/*
 * Removes the partition from the table. Once the table is written, the volume is gone, and a later
 * logical partition may have its name. A second delete would then remove that partition. Therefore
 * a failure of the kernel to follow is only logged.
 */
static gboolean disk_remove_partition(CstPoolState *state, DiskAccess *access,
                                      const DiskChange *change, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (disk_change(access, change, &why))
        return TRUE;
    disk_follow(access);
    if (!disk_partition_is_gone(access, &change->partition)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    cst_log(CST_LOG_WARNING, "pool '%s': %s", state->def->name, why->message);
    return TRUE;
}

gboolean disk_vol_delete(CstPoolState *state, const char *name, unsigned flags, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    const DiskPartition *partition;
    DiskChange change = {.action = DISK_REMOVE};

    if (!cst_flags_check(flags, 0, "virStorageBackendDiskDeleteVol", error) ||
        !disk_access_lock(state, &access, error))
        return FALSE;
    partition = disk_table_find(access.table, disk_number_of(&access.device, name));
    if (!partition || partition->reserved)
        return TRUE;
    if (!refuse_with_logicals(&access, partition, name, error) ||
        !refuse_renumbering(&access, partition, error) || !cst_may_change(error) ||
        !hide_affected(&access, partition, error))
        return FALSE;
    CST_CRASH_POINT("disk.delete.hidden");
    change.partition = *partition;
    if (!disk_remove_partition(state, &access, &change, error))
        return FALSE;
    disk_access_settle(&access);
    return TRUE;
}

/* --- wiping, resizing ------------------------------------------------------------------------- */

/* Fails with libvirt's message. */
gboolean disk_vol_check_wipe(CstPoolState *state, const char *name, GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    const DiskPartition *partition = NULL;
    g_autofree char *path = NULL;

    if (disk_access_open(state, &access, error))
        partition = disk_find_partition(&access, name, error);
    if (!partition || partition->kind != DISK_EXTENDED)
        return partition != NULL;
    path = disk_vol_path(state, name);
    return cst_fail(error, CST_ERROR_NO_SUPPORT, _("cannot wipe extended partition '%s'"), path);
}

/* Returns the offset up to which the partition can grow, without the extents of current drafts. */
static uint64_t room_behind(const DiskAccess *access, const DiskPartition *partition)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, TRUE, sizeof(guint));
    g_autoptr(GArray) extents = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));
    uint64_t end = disk_table_room_behind(access->table, partition);

    disk_claims(access->fd, access->table, numbers, extents);
    for (guint i = 0; i < extents->len; i++) {
        const CstDeviceExtent *extent = &g_array_index(extents, CstDeviceExtent, i);

        if (extent->end > partition->end && extent->start < end)
            end = MAX(partition->end, extent->start);
    }
    return end;
}

/*
 * Returns the lowest possible end. An extended partition must still contain its logical partitions.
 */
static uint64_t least_end(const DiskAccess *access, const DiskPartition *partition)
{
    uint64_t end = partition->start + access->table->sector;

    if (partition->kind != DISK_EXTENDED)
        return end;
    for (guint i = 0; i < access->table->partitions->len; i++) {
        const DiskPartition *other = &g_array_index(access->table->partitions, DiskPartition, i);

        if (other->kind == DISK_LOGICAL)
            end = MAX(end, other->end);
    }
    return end;
}

static gboolean disk_check_end(const DiskAccess *access, const DiskPartition *partition,
                               uint64_t end, const char *name, GError **error)
{
    uint64_t room = room_behind(access, partition);

    if (end > room)
        return cst_fail(
            error, CST_ERROR_NO_SPACE,
            _("volume '%s' can grow to %" PRIu64 " bytes in place; the disk is in use after that"),
            name, room - partition->start);
    if (end < least_end(access, partition))
        return cst_fail(
            error, CST_ERROR_INVALID,
            _("extended partition '%s' needs %" PRIu64 " bytes for the logical ones that it holds"),
            name, least_end(access, partition) - partition->start);
    return TRUE;
}

gboolean disk_vol_resize(CstPoolState *state, const char *name, uint64_t capacity, CstTask *task,
                         GError **error)
{
    g_auto(DiskAccess) access = {.fd = -1};
    const DiskPartition *partition;
    DiskChange change = {.action = DISK_RESIZE};

    if (!disk_access_lock(state, &access, error))
        return FALSE;
    partition = disk_find_partition(&access, name, error);
    if (!partition)
        return FALSE;
    change.partition = *partition;
    if (capacity > access.table->size)
        return cst_fail(error, CST_ERROR_NO_SPACE, _("the disk is smaller than that"));
    change.partition.end = partition->start + cst_round_up(capacity, access.table->step);
    if (!disk_check_end(&access, partition, change.partition.end, name, error) ||
        !disk_change(&access, &change, error))
        return FALSE;
    CST_CRASH_POINT("disk.resize.shown");
    disk_access_settle(&access);
    return TRUE;
}
