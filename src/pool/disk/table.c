/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arithmetic of a partition table: free extents, the best free extent, and numbers. An extended
 * partition is one extent of the disk. Inside it are separate extents, between logical partitions
 * and the links of their chain. The link of a logical partition precedes it, at the distance that
 * libfdisk keeps (lead). This distance is one grain, except on tiny disks.
 */
#include "table.h"

#include <inttypes.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

DiskTable *disk_table_new(void)
{
    DiskTable *table = g_new0(DiskTable, 1);

    table->partitions = g_array_new(FALSE, TRUE, sizeof(DiskPartition));
    table->links = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));
    table->free = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));
    return table;
}

void disk_table_free(DiskTable *table)
{
    if (!table)
        return;
    g_free(table->id);
    g_array_unref(table->partitions);
    g_array_unref(table->links);
    g_array_unref(table->free);
    g_free(table);
}

void disk_extent_add(GArray *extents, uint64_t start, uint64_t end, int type)
{
    CstDeviceExtent extent = {.start = start, .end = end, .type = type};

    g_array_append_val(extents, extent);
}

static const CstDeviceExtent *device_extent_at(const GArray *extents, guint i)
{
    return &g_array_index(extents, CstDeviceExtent, i);
}

static const DiskPartition *partition_at(const DiskTable *table, guint i)
{
    return &g_array_index(table->partitions, DiskPartition, i);
}

const DiskPartition *disk_table_find(const DiskTable *table, guint number)
{
    for (guint i = 0; i < table->partitions->len; i++)
        if (partition_at(table, i)->number == number)
            return partition_at(table, i);
    return NULL;
}

const DiskPartition *disk_table_extended(const DiskTable *table)
{
    for (guint i = 0; i < table->partitions->len; i++)
        if (partition_at(table, i)->kind == DISK_EXTENDED)
            return partition_at(table, i);
    return NULL;
}

guint disk_table_logicals_above(const DiskTable *table, guint number)
{
    guint count = 0;

    for (guint i = 0; i < table->partitions->len; i++)
        count +=
            partition_at(table, i)->kind == DISK_LOGICAL && partition_at(table, i)->number > number;
    return count;
}

/* --- free extents ----------------------------------------------------------------------------- */

static int compare_starts(gconstpointer a, gconstpointer b)
{
    const CstDeviceExtent *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

/* Returns the used extents of the disk (@inside FALSE) or of the extended partition, sorted. */
static GArray *used_extents(const DiskTable *table, gboolean inside)
{
    GArray *used = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));

    for (guint i = 0; i < table->partitions->len; i++) {
        const DiskPartition *partition = partition_at(table, i);

        if (!partition->reserved && (partition->kind == DISK_LOGICAL) == inside)
            disk_extent_add(used, partition->start, partition->end, 0);
    }
    if (inside && disk_table_logicals_above(table, 0) > 0)
        g_array_append_vals(used, table->links->data, table->links->len);
    g_array_sort(used, compare_starts);
    return used;
}

/* Adds the parts of [@start, @end) that @used does not cover. @used is sorted and may overlap. */
static void add_gaps(DiskTable *table, const GArray *used, uint64_t start, uint64_t end,
                     DiskKind kind)
{
    for (guint i = 0; i < used->len; i++) {
        const CstDeviceExtent *extent = device_extent_at(used, i);

        if (extent->start > start && start < end)
            disk_extent_add(table->free, start, MIN(extent->start, end), kind);
        start = MAX(start, extent->end);
    }
    if (start < end)
        disk_extent_add(table->free, start, end, kind);
}

static int compare_partition_numbers(gconstpointer a, gconstpointer b)
{
    const DiskPartition *x = a, *y = b;

    return x->number < y->number ? -1 : x->number > y->number;
}

void disk_table_complete(DiskTable *table)
{
    const DiskPartition *extended;
    g_autoptr(GArray) outside = NULL;

    g_array_sort(table->partitions, compare_partition_numbers);
    g_array_set_size(table->free, 0);
    outside = used_extents(table, FALSE);
    add_gaps(table, outside, table->start, table->end, DISK_PRIMARY);
    extended = disk_table_extended(table);
    if (extended) {
        g_autoptr(GArray) inside = used_extents(table, TRUE);

        add_gaps(table, inside, extended->start, extended->end, DISK_LOGICAL);
    }
    g_array_sort(table->free, compare_starts);
}

gboolean disk_table_is_free(const DiskTable *table, DiskKind kind, uint64_t start, uint64_t end)
{
    for (guint i = 0; i < table->free->len; i++) {
        const CstDeviceExtent *extent = device_extent_at(table->free, i);

        if ((extent->type == DISK_LOGICAL) == (kind == DISK_LOGICAL) && extent->start <= start &&
            end <= extent->end)
            return TRUE;
    }
    return FALSE;
}

uint64_t disk_table_room_behind(const DiskTable *table, const DiskPartition *partition)
{
    for (guint i = 0; i < table->free->len; i++) {
        const CstDeviceExtent *extent = device_extent_at(table->free, i);

        if (extent->start == partition->end &&
            (extent->type == DISK_LOGICAL) == (partition->kind == DISK_LOGICAL))
            return extent->end;
    }
    return partition->end;
}

/* --- numbers ---------------------------------------------------------------------------------- */

static gboolean partition_number_is_used(const DiskTable *table, const GArray *taken, guint number)
{
    for (guint i = 0; i < taken->len; i++)
        if (g_array_index(taken, guint, i) == number)
            return TRUE;
    return disk_table_find(table, number) != NULL;
}

/*
 * The numbers of logical partitions follow the order of their chain, so a new one is always the
 * last.
 */
static gboolean next_logical(const DiskTable *table, const GArray *taken, guint *ret_number,
                             GError **error)
{
    guint number = table->slots + 1 + disk_table_logicals_above(table, 0);

    if (!disk_table_extended(table))
        return cst_fail(error, CST_ERROR_STATE,
                        _("no extended partition found and no primary partition available"));
    if (partition_number_is_used(table, taken, number))
        return cst_fail(error, CST_ERROR_BUSY,
                        _("a logical partition is being made already, and the number of the next "
                          "one is not known before that is there; try again then"));
    *ret_number = number;
    return TRUE;
}

gboolean disk_table_next(const DiskTable *table, gboolean extended, const GArray *taken,
                         guint *ret_number, DiskKind *ret_kind, GError **error)
{
    if (extended && table->lead == 0)
        return cst_fail(error, CST_ERROR_INVALID,
                        _("a partition table of type '%s' has no extended partitions"),
                        table->label);
    if (extended && disk_table_extended(table))
        return cst_fail(error, CST_ERROR_STATE, _("extended partition already exists"));
    for (guint number = 1; number <= table->slots; number++) {
        if (partition_number_is_used(table, taken, number))
            continue;
        *ret_number = number;
        *ret_kind = extended ? DISK_EXTENDED : DISK_PRIMARY;
        return TRUE;
    }
    if (extended || table->lead == 0)
        return cst_fail(error, CST_ERROR_STATE, _("all %u entries of the partition table are used"),
                        table->slots);
    *ret_kind = DISK_LOGICAL;
    return next_logical(table, taken, ret_number, error);
}

/* --- free ranges ------------------------------------------------------------------------------ */

/*
 * Moves *@start past the first extent of @taken that overlaps @size bytes there. Returns FALSE if
 * no extent overlaps.
 */
static gboolean moved_behind(const GArray *taken, uint64_t lead, uint64_t size, uint64_t *start)
{
    for (guint i = 0; i < taken->len; i++) {
        const CstDeviceExtent *extent = device_extent_at(taken, i);

        if (extent->start < *start + size && *start - lead < extent->end) {
            *start = extent->end + lead;
            return TRUE;
        }
    }
    return FALSE;
}

/*
 * Finds the first range in @extent. Returns FALSE if no range is large enough. The first grain of
 * the disk is never used, because some labels report it as free although they are stored there.
 */
static gboolean place_in(const DiskTable *table, const CstDeviceExtent *extent, uint64_t size,
                         const GArray *taken, uint64_t *ret_start)
{
    uint64_t lead = extent->type == DISK_LOGICAL ? table->lead : 0;
    uint64_t start = cst_round_up(MAX(extent->start + lead, 1), table->grain);

    while (start < extent->end && size <= extent->end - start) {
        *ret_start = start;
        if (!moved_behind(taken, lead, size, &start))
            return TRUE;
        start = cst_round_up(start, table->grain);
    }
    return FALSE;
}

gboolean disk_table_place(const DiskTable *table, DiskKind kind, uint64_t size, const GArray *taken,
                          uint64_t *ret_start, GError **error)
{
    uint64_t best = G_MAXUINT64, largest = 0, start = 0;

    for (guint i = 0; i < table->free->len; i++) {
        const CstDeviceExtent *extent = device_extent_at(table->free, i);
        uint64_t length = extent->end - extent->start;

        if ((extent->type == DISK_LOGICAL) != (kind == DISK_LOGICAL))
            continue;
        largest = MAX(largest, length);
        if (length < best && place_in(table, extent, size, taken, &start)) {
            best = length;
            *ret_start = start;
        }
    }
    if (best != G_MAXUINT64)
        return TRUE;
    return cst_fail(error, CST_ERROR_NO_SPACE,
                    _("no large enough free extent: %" PRIu64
                      " bytes are wanted, and the largest one has %" PRIu64),
                    size, largest);
}
