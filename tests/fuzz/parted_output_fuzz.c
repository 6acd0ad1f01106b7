/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Output of parted: accepted partitions lie on the disk. */
#include <base/error.h>

#include "disk/label.h"
#include "fuzz.h"

static void look(const DiskTable *table)
{
    for (guint i = 0; i < table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, i);

        g_assert_true(partition->start < partition->end && partition->end <= table->size);
    }
    for (guint i = 0; i < table->free->len; i++) {
        const CstDeviceExtent *extent = &g_array_index(table->free, CstDeviceExtent, i);

        g_assert_true(extent->start < extent->end && extent->end <= table->size);
    }
}

/* A partition that would be made on such a disk. */
static void place(const DiskTable *table)
{
    g_autoptr(GArray) none = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));
    g_autoptr(GArray) numbers = g_array_new(FALSE, TRUE, sizeof(guint));
    DiskKind kind;
    guint number;
    uint64_t start;

    if (disk_table_next(table, FALSE, numbers, &number, &kind, NULL))
        g_assert_null(disk_table_find(table, number));
    if (disk_table_place(table, DISK_PRIMARY, table->step, none, &start, NULL)) {
        g_assert_true(start > 0 && start % table->grain == 0);
        g_assert_true(disk_table_is_free(table, DISK_PRIMARY, start, start + table->step));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(DiskTable) table = NULL;
    g_autoptr(GError) error = NULL;

    if (!disk_parted_parse(text, &table, &error)) {
        g_assert_nonnull(error);
        return 0;
    }
    if (table) {
        look(table);
        place(table);
    }
    return 0;
}
