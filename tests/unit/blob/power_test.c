/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>
#include <blob/power.h>
#include <blob/sparse.h>

#include "scratch.h"

#define SECTOR 512
#define SEEDS  200

static void put(CstBlob *blob, uint64_t offset, size_t len, int byte)
{
    g_autofree uint8_t *buf = g_malloc(len);

    memset(buf, byte, len);
    assert_true(cst_blob_pwrite(blob, buf, len, offset, NULL));
}

static uint8_t at(CstBlob *blob, uint64_t offset)
{
    uint8_t byte = 0;

    assert_true(cst_blob_pread(blob, &byte, 1, offset, NULL));
    return byte;
}

static CstBlob *crash(CstBlob *power, uint32_t seed)
{
    CstBlob *state = cst_blob_power_crash(power, cst_blob_power_steps(power), seed, NULL);

    assert_non_null(state);
    return state;
}

static void flushed_data_survives_each_power_cut(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 8 * SECTOR);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);

    put(power, 0, 4 * SECTOR, 1);
    assert_true(cst_blob_resize(power, 16 * SECTOR, NULL));
    assert_true(cst_blob_zero(power, SECTOR, SECTOR, 0, NULL));
    assert_true(cst_blob_flush(power, NULL));
    put(power, 4 * SECTOR, SECTOR, 2);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        g_autoptr(CstBlob) left = crash(power, seed);

        assert_int_equal(size_of(left), 16 * SECTOR);
        assert_int_equal(at(left, 0), 1);
        assert_int_equal(at(left, SECTOR), 0);
        assert_int_equal(at(left, 3 * SECTOR), 1);
    }
}

static void power_cut_before_a_write_keeps_the_old_content(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new("old", 3);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);
    g_autoptr(CstBlob) before = NULL;
    char back[3];

    assert_true(cst_blob_pwrite(power, "new", 3, 0, NULL));
    assert_int_equal(cst_blob_power_steps(power), 1);
    before = cst_blob_power_crash(power, 0, 1, NULL);
    assert_true(cst_blob_pread(before, back, 3, 0, NULL));
    assert_memory_equal(back, "old", 3);
}

static void unflushed_writes_get_lost_in_every_combination(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 4 * SECTOR);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);
    gboolean seen[16] = {FALSE};

    for (unsigned i = 0; i < 4; i++)
        put(power, i * SECTOR, SECTOR, 1);
    for (uint32_t seed = 0; seed < 10 * SEEDS; seed++) {
        g_autoptr(CstBlob) left = crash(power, seed);
        unsigned which = 0;

        for (unsigned i = 0; i < 4; i++)
            which |= (unsigned)at(left, i * SECTOR) << i;
        seen[which] = TRUE;
        assert_true(seed != 0 || which == 0);
        assert_true(seed != 1 || which == 15);
    }
    for (unsigned i = 0; i < 16; i++)
        assert_true(seen[i]);
}

static void each_unflushed_write_is_lost_or_kept_alone(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, SECTOR);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);

    assert_int_equal(cst_blob_power_covered(power, 0), 0);
    put(power, 0, SECTOR, 1);
    assert_true(cst_blob_flush(power, NULL));
    for (unsigned i = 1; i < 5; i++)
        put(power, i * SECTOR, SECTOR, 1);
    assert_int_equal(cst_blob_power_covered(power, 1), 0);
    assert_int_equal(cst_blob_power_covered(power, 2), 2);
    assert_int_equal(cst_blob_power_covered(power, 6), 2);
    for (unsigned how = 0; how < 4; how++) {
        gboolean alone = how & 1, longer = how > 1;

        for (unsigned step = 2; step < 6; step++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash_one(power, 6, step, alone, longer, NULL);
            unsigned end = longer ? 5 : alone ? step : step == 5 ? 4 : 5;

            assert_int_equal(size_of(left), end * SECTOR);
            assert_int_equal(at(left, 0), 1);
            for (unsigned i = 1; i < end; i++)
                assert_int_equal(at(left, i * SECTOR), (i == step - 1) == alone);
        }
    }
}

static void a_write_is_torn_between_sectors_only(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 16 * SECTOR);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);
    unsigned torn = 0;

    put(power, 100, 15 * SECTOR, 1);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        g_autoptr(CstBlob) left = crash(power, seed);
        uint8_t first = at(left, 100);

        for (unsigned i = 1; i < 15; i++) {
            uint8_t start = at(left, i * SECTOR);

            torn += start != first;
            assert_int_equal(at(left, i * SECTOR + 1), start);
            assert_int_equal(at(left, (i + 1) * SECTOR - 1), start);
        }
    }
    assert_true(torn > 0);
}

static void sector_is_never_older_than_the_last_flush(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, SECTOR);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);
    gboolean seen[5] = {FALSE};

    put(power, 0, SECTOR, 1);
    put(power, 0, SECTOR, 2);
    assert_true(cst_blob_flush(power, NULL));
    put(power, 0, SECTOR, 3);
    put(power, 0, SECTOR, 4);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        g_autoptr(CstBlob) left = crash(power, seed);

        assert_in_range(at(left, 0), 2, 4);
        seen[at(left, 0)] = TRUE;
    }
    assert_true(seen[2] && seen[3] && seen[4]);
}

static void a_lost_write_may_leave_a_longer_file(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 0);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);
    gboolean empty = FALSE, zero = FALSE, full = FALSE;

    put(power, 0, SECTOR, 1);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        g_autoptr(CstBlob) left = crash(power, seed);

        if (size_of(left) == 0)
            empty = TRUE;
        else if (at(left, 0))
            full = TRUE;
        else
            zero = TRUE;
    }
    assert_true(empty && zero && full);
}

static void the_same_seed_gives_the_same_state(void **state)
{
    g_autoptr(CstBlob) memory = cst_blob_memory_new(NULL, 64 * SECTOR);
    g_autoptr(CstBlob) power = cst_blob_power_new(memory, NULL);
    uint8_t once[64 * SECTOR], again[64 * SECTOR];

    for (unsigned i = 0; i < 64; i++)
        put(power, i * SECTOR, SECTOR, (int)i + 1);
    for (uint32_t seed = 0; seed < 20; seed++) {
        g_autoptr(CstBlob) left = crash(power, seed), same = crash(power, seed);

        assert_true(cst_blob_pread(left, once, sizeof(once), 0, NULL));
        assert_true(cst_blob_pread(same, again, sizeof(again), 0, NULL));
        assert_memory_equal(once, again, sizeof(once));
    }
}

static void sparse_terabytes_cost_only_the_written_memory(void **state)
{
    g_autoptr(CstBlob) sparse = cst_blob_sparse_new(64 * CST_TIB), copy = NULL;
    CstExtent extent;

    put(sparse, 40 * CST_TIB - 1, 2, 7);
    assert_true(cst_blob_sparse_used(sparse) <= CST_MIB);
    assert_true(cst_blob_extent(sparse, 0, 64 * CST_TIB, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_HOLE | CST_EXTENT_ZERO);
    assert_in_range(extent.length, 40 * CST_TIB - CST_MIB, 40 * CST_TIB - 1);
    assert_true(cst_blob_extent(sparse, extent.length, CST_TIB, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
    copy = cst_blob_sparse_copy(sparse);
    assert_true(cst_blob_zero(sparse, 1, 64 * CST_TIB - 1, 0, NULL));
    assert_int_equal(at(sparse, 40 * CST_TIB), 0);
    assert_int_equal(at(copy, 40 * CST_TIB), 7);
    assert_int_equal(at(copy, 40 * CST_TIB - 1), 7);
    assert_true(cst_blob_resize(copy, 40 * CST_TIB, NULL));
    assert_true(cst_blob_resize(copy, 41 * CST_TIB, NULL));
    assert_int_equal(at(copy, 40 * CST_TIB), 0);
    assert_int_equal(at(copy, 40 * CST_TIB - 1), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushed_data_survives_each_power_cut),
        cmocka_unit_test(power_cut_before_a_write_keeps_the_old_content),
        cmocka_unit_test(unflushed_writes_get_lost_in_every_combination),
        cmocka_unit_test(each_unflushed_write_is_lost_or_kept_alone),
        cmocka_unit_test(a_write_is_torn_between_sectors_only),
        cmocka_unit_test(sector_is_never_older_than_the_last_flush),
        cmocka_unit_test(a_lost_write_may_leave_a_longer_file),
        cmocka_unit_test(the_same_seed_gives_the_same_state),
        cmocka_unit_test(sparse_terabytes_cost_only_the_written_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
