/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The placement of partitions on a disk and their names, without a disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/error.h>
#include <base/units.h>

#include "disk/table.h"

/* Makes a disk of @mib MiB. Partitions may be anywhere except in its first and its last MiB. */
static DiskTable *make_table(guint mib, guint slots, gboolean dos)
{
    DiskTable *table = disk_table_new();

    table->label = dos ? "dos" : "gpt";
    table->size = mib * CST_MIB;
    table->sector = table->step = 512;
    table->start = table->grain = CST_MIB;
    table->end = table->size - CST_MIB;
    table->slots = slots;
    table->lead = dos ? CST_MIB : 0;
    return table;
}

/* @from and @to in MiB. */
static void put(DiskTable *table, guint number, DiskKind kind, guint from, guint to)
{
    DiskPartition partition = {.number = number,
                               .kind = kind,
                               .start = from * CST_MIB,
                               .end = to * CST_MIB,
                               .mark = "none"};

    g_array_append_val(table->partitions, partition);
    if (kind == DISK_LOGICAL)
        disk_extent_add(table->links, (from - 1) * CST_MIB, (from - 1) * CST_MIB + 512,
                        DISK_LOGICAL);
    disk_table_complete(table);
}

/* Returns the free extents in MiB, logical ones with the prefix "l": "1-5 l9-12". */
static char *free_text(const DiskTable *table)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < table->free->len; i++) {
        const CstDeviceExtent *extent = &g_array_index(table->free, CstDeviceExtent, i);

        g_string_append_printf(text, "%s%s%" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
                               i > 0 ? " " : "", extent->type == DISK_LOGICAL ? "l" : "",
                               extent->start / CST_MIB, extent->end / CST_MIB);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void assert_free(const DiskTable *table, const char *expected)
{
    g_autofree char *text = free_text(table);

    assert_string_equal(text, expected);
}

static void range_without_a_partition_is_free(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 128, FALSE);

    disk_table_complete(table);
    assert_free(table, "1-99");
    put(table, 2, DISK_PRIMARY, 20, 30);
    put(table, 1, DISK_PRIMARY, 40, 50);
    assert_free(table, "1-20 30-40 50-99");
    put(table, 3, DISK_PRIMARY, 30, 40);
    put(table, 4, DISK_PRIMARY, 1, 20);
    assert_free(table, "50-99");
    put(table, 5, DISK_PRIMARY, 50, 99);
    assert_free(table, "");
    assert_int_equal(g_array_index(table->partitions, DiskPartition, 0).number, 1);
}

/* Another tool may have put partitions outside of our range, or overlapping. */
static void partitions_outside_the_range_free_no_space(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 128, FALSE);

    put(table, 1, DISK_PRIMARY, 0, 10);
    put(table, 2, DISK_PRIMARY, 5, 8);
    put(table, 3, DISK_PRIMARY, 90, 100);
    assert_free(table, "10-90");
}

static void an_extended_partition_has_free_extents_of_its_own(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 4, TRUE);

    put(table, 1, DISK_PRIMARY, 1, 10);
    put(table, 3, DISK_EXTENDED, 20, 60);
    assert_free(table, "10-20 l20-60 60-99");
    put(table, 5, DISK_LOGICAL, 21, 30);
    /* The link of the second partition is in the middle of the free range, and splits it. */
    put(table, 6, DISK_LOGICAL, 41, 50);
    assert_free(table, "10-20 l20-21 l30-40 l40-41 l50-60 60-99");
    assert_false(disk_table_is_free(table, DISK_LOGICAL, 38 * CST_MIB, 41 * CST_MIB));
    assert_true(disk_table_is_free(table, DISK_LOGICAL, 38 * CST_MIB, 40 * CST_MIB));
    assert_false(disk_table_is_free(table, DISK_PRIMARY, 38 * CST_MIB, 40 * CST_MIB));
    assert_false(disk_table_is_free(table, DISK_LOGICAL, 10 * CST_MIB, 20 * CST_MIB));
    assert_true(disk_table_is_free(table, DISK_PRIMARY, 10 * CST_MIB, 20 * CST_MIB));
}

static void partitions_of_the_label_use_no_space(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 8, FALSE);
    DiskPartition whole = {.number = 3, .end = table->size, .mark = "none", .reserved = TRUE};

    g_array_append_val(table->partitions, whole);
    disk_table_complete(table);
    assert_free(table, "1-99");
}

/* --- numbers ---------------------------------------------------------------------------------- */

/* Returns the number, or the negative code of the error. */
static int next(const DiskTable *table, gboolean extended, guint taken, DiskKind *ret_kind)
{
    g_autoptr(GArray) numbers = g_array_new(FALSE, TRUE, sizeof(guint));
    g_autoptr(GError) error = NULL;
    guint number = 0;

    if (taken > 0)
        g_array_append_val(numbers, taken);
    *ret_kind = 99;
    if (disk_table_next(table, extended, numbers, &number, ret_kind, &error))
        return (int)number;
    return -error->code;
}

static void the_lowest_number_is_the_next(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 3, FALSE);
    DiskKind kind;

    assert_int_equal(next(table, FALSE, 0, &kind), 1);
    assert_int_equal(kind, DISK_PRIMARY);
    assert_int_equal(next(table, FALSE, 1, &kind), 2);
    put(table, 1, DISK_PRIMARY, 1, 2);
    put(table, 3, DISK_PRIMARY, 2, 3);
    assert_int_equal(next(table, FALSE, 0, &kind), 2);
    assert_int_equal(next(table, FALSE, 2, &kind), -CST_ERROR_STATE);
    put(table, 2, DISK_PRIMARY, 3, 4);
    assert_int_equal(next(table, FALSE, 0, &kind), -CST_ERROR_STATE);
    assert_int_equal(next(table, TRUE, 0, &kind), -CST_ERROR_INVALID);
}

/* Like libvirt: first the primary numbers, then the logical ones. */
static void dos_continues_with_logical_partitions(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 4, TRUE);
    DiskKind kind;

    assert_int_equal(next(table, TRUE, 0, &kind), 1);
    assert_int_equal(kind, DISK_EXTENDED);
    for (guint i = 1; i <= 3; i++)
        put(table, i, DISK_PRIMARY, i, i + 1);
    assert_int_equal(next(table, FALSE, 0, &kind), 4);
    assert_int_equal(kind, DISK_PRIMARY);
    put(table, 4, DISK_PRIMARY, 4, 5);
    assert_int_equal(next(table, FALSE, 0, &kind), -CST_ERROR_STATE);
    assert_int_equal(next(table, TRUE, 0, &kind), -CST_ERROR_STATE);
    g_array_remove_index(table->partitions, 3);
    put(table, 4, DISK_EXTENDED, 10, 50);
    assert_int_equal(next(table, TRUE, 0, &kind), -CST_ERROR_STATE);
    assert_int_equal(next(table, FALSE, 0, &kind), 5);
    assert_int_equal(kind, DISK_LOGICAL);
    /* The number of a logical partition is its position in a chain, so numbers are consecutive. */
    assert_int_equal(next(table, FALSE, 5, &kind), -CST_ERROR_BUSY);
    put(table, 5, DISK_LOGICAL, 11, 20);
    assert_int_equal(next(table, FALSE, 0, &kind), 6);
}

/* --- placement -------------------------------------------------------------------------------- */

/* Returns the start in MiB, or -1 without space. @from, @to: claimed range, in MiB. */
static int place(const DiskTable *table, DiskKind kind, uint64_t size, guint from, guint to)
{
    g_autoptr(GArray) taken = g_array_new(FALSE, TRUE, sizeof(CstDeviceExtent));
    g_autoptr(GError) error = NULL;
    uint64_t start = 1;

    if (to > 0)
        disk_extent_add(taken, from * CST_MIB, to * CST_MIB, 0);
    if (!disk_table_place(table, kind, size, taken, &start, &error)) {
        assert_int_equal(error->code, CST_ERROR_NO_SPACE);
        return -1;
    }
    assert_int_equal(start % table->grain, 0);
    return (int)(start / CST_MIB);
}

static void the_smallest_extent_that_fits_is_the_best(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 128, FALSE);

    put(table, 1, DISK_PRIMARY, 21, 30);
    put(table, 2, DISK_PRIMARY, 40, 50);
    put(table, 3, DISK_PRIMARY, 55, 60);
    assert_free(table, "1-21 30-40 50-55 60-99");
    assert_int_equal(place(table, DISK_PRIMARY, 512, 0, 0), 50);
    assert_int_equal(place(table, DISK_PRIMARY, 5 * CST_MIB, 0, 0), 50);
    assert_int_equal(place(table, DISK_PRIMARY, 5 * CST_MIB + 512, 0, 0), 30);
    assert_int_equal(place(table, DISK_PRIMARY, 20 * CST_MIB, 0, 0), 1);
    assert_int_equal(place(table, DISK_PRIMARY, 39 * CST_MIB, 0, 0), 60);
    assert_int_equal(place(table, DISK_PRIMARY, 39 * CST_MIB + 512, 0, 0), -1);
    assert_int_equal(place(table, DISK_LOGICAL, 512, 0, 0), -1);
}

static void partition_in_creation_by_another_process_is_not_overlapped(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 128, FALSE);

    put(table, 1, DISK_PRIMARY, 21, 90);
    assert_free(table, "1-21 90-99");
    assert_int_equal(place(table, DISK_PRIMARY, 3 * CST_MIB, 90, 92), 92);
    assert_int_equal(place(table, DISK_PRIMARY, 3 * CST_MIB, 93, 96), 90);
    assert_int_equal(place(table, DISK_PRIMARY, 3 * CST_MIB, 92, 96), 96);
    assert_int_equal(place(table, DISK_PRIMARY, 5 * CST_MIB, 92, 96), 1);
    assert_int_equal(place(table, DISK_PRIMARY, 20 * CST_MIB, 1, 2), -1);
}

static void a_start_is_aligned(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 128, FALSE);

    table->start = 17408;
    table->grain = 4 * CST_MIB;
    disk_table_complete(table);
    assert_int_equal(place(table, DISK_PRIMARY, CST_MIB, 0, 0), 4);
    /* Some labels report their own sectors as free. */
    table->start = 0;
    disk_table_complete(table);
    assert_int_equal(place(table, DISK_PRIMARY, CST_MIB, 0, 0), 4);
    assert_int_equal(place(table, DISK_PRIMARY, 95 * CST_MIB, 0, 0), 4);
    assert_int_equal(place(table, DISK_PRIMARY, 96 * CST_MIB, 0, 0), -1);
}

/* A logical partition needs its link before it. */
static void a_logical_partition_keeps_its_distance(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 4, TRUE);

    put(table, 1, DISK_EXTENDED, 20, 40);
    assert_int_equal(place(table, DISK_LOGICAL, 4 * CST_MIB, 0, 0), 21);
    assert_int_equal(place(table, DISK_LOGICAL, 19 * CST_MIB, 0, 0), 21);
    assert_int_equal(place(table, DISK_LOGICAL, 19 * CST_MIB + 512, 0, 0), -1);
    put(table, 5, DISK_LOGICAL, 21, 25);
    assert_int_equal(place(table, DISK_LOGICAL, 4 * CST_MIB, 0, 0), 26);
    assert_int_equal(place(table, DISK_LOGICAL, 14 * CST_MIB, 0, 0), 26);
    assert_int_equal(place(table, DISK_LOGICAL, 14 * CST_MIB + 512, 0, 0), -1);
    assert_int_equal(place(table, DISK_LOGICAL, 4 * CST_MIB, 26, 30), 31);
    assert_int_equal(place(table, DISK_PRIMARY, 4 * CST_MIB, 0, 0), 1);
}

static uint64_t room(const DiskTable *table, guint number)
{
    return disk_table_room_behind(table, disk_table_find(table, number)) / CST_MIB;
}

static void partition_grows_up_to_the_next_one(void **state)
{
    g_autoptr(DiskTable) table = make_table(100, 4, TRUE);

    put(table, 1, DISK_PRIMARY, 1, 10);
    put(table, 2, DISK_PRIMARY, 10, 20);
    put(table, 3, DISK_EXTENDED, 30, 60);
    put(table, 5, DISK_LOGICAL, 31, 35);
    put(table, 6, DISK_LOGICAL, 41, 45);
    assert_int_equal(room(table, 1), 10);
    assert_int_equal(room(table, 2), 30);
    assert_int_equal(room(table, 3), 99);
    assert_int_equal(room(table, 5), 40);
    assert_int_equal(room(table, 6), 60);
}

/* Random disks: the chosen range is free, and no smaller extent would have sufficed. */
static void random_places_are_free_and_best(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);

    for (guint round = 0; round < 2000; round++) {
        g_autoptr(DiskTable) table = make_table(64, 128, FALSE);
        gboolean used[64] = {TRUE};
        guint size = (guint)g_rand_int_range(rand, 1, 12), best = 64, run = 0;
        int start;

        used[63] = TRUE;
        for (guint number = 1, at = 1; number < 9; number++) {
            guint from = at + (guint)g_rand_int_range(rand, 0, 8);
            guint to = from + (guint)g_rand_int_range(rand, 1, 8);

            if (to > 63)
                break;
            put(table, number, DISK_PRIMARY, from, to);
            for (guint i = from; i < to; i++)
                used[i] = TRUE;
            at = to;
        }
        disk_table_complete(table);
        for (guint i = 1; i < 64; i++) {
            if (!used[i]) {
                run++;
                continue;
            }
            if (run >= size && run < best)
                best = run;
            run = 0;
        }
        start = place(table, DISK_PRIMARY, size * CST_MIB, 0, 0);
        assert_int_equal(start < 0, best == 64);
        if (start < 0)
            continue;
        assert_true(used[start - 1]);
        for (run = 0; !used[(guint)start + run]; run++)
            ;
        assert_int_equal(run, best);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_without_a_partition_is_free),
        cmocka_unit_test(partitions_outside_the_range_free_no_space),
        cmocka_unit_test(an_extended_partition_has_free_extents_of_its_own),
        cmocka_unit_test(partitions_of_the_label_use_no_space),
        cmocka_unit_test(the_lowest_number_is_the_next),
        cmocka_unit_test(dos_continues_with_logical_partitions),
        cmocka_unit_test(the_smallest_extent_that_fits_is_the_best),
        cmocka_unit_test(partition_in_creation_by_another_process_is_not_overlapped),
        cmocka_unit_test(a_start_is_aligned),
        cmocka_unit_test(a_logical_partition_keeps_its_distance),
        cmocka_unit_test(partition_grows_up_to_the_next_one),
        cmocka_unit_test(random_places_are_free_and_best),
    };

    return cmocka_run_group_tests_name("disk table", tests, NULL, NULL);
}
