/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vpc_images.h"

/* --- damage ---------------------------------------------------------------------------------- */

static void hostile_fields_are_refused(void **state)
{
    static const struct {
        gboolean in_footer;
        uint32_t at, value;
    } bad[] = {
        {TRUE, 16, 1},           {TRUE, 20, 0},          {TRUE, 20, 0xfffffe00},
        {TRUE, 60, 0},           {TRUE, 60, 5},          {TRUE, 60, 2 + 256},
        {TRUE, 48, 0x1000},      {TRUE, 52, 0x7fffffff}, {FALSE, 0, 0},
        {FALSE, 16, 1},          {FALSE, 20, 0},         {FALSE, 20, 512},
        {FALSE, 20, 0x7fffffff}, {FALSE, 28, 0},         {FALSE, 28, 4},
        {FALSE, 28, 0xffffffff}, {FALSE, 32, 0},         {FALSE, 32, 256},
        {FALSE, 32, 0x180000},   {FALSE, 32, 0x200001},  {FALSE, 32, 512},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = five_blocks();
        CstImageCheck found;
        uint8_t raw[4];

        cst_put_be32(raw, bad[i].value);
        if (bad[i].in_footer)
            put_footers(blob, bad[i].at, raw, sizeof(raw));
        else
            put(blob, 512 + bad[i].at, raw, sizeof(raw));
        sign_all(blob);
        if (cst_image_open(blob, vpc(), CST_IMAGE_WRITE, NULL, NULL))
            fail_msg("case %zu passed", i);
        assert_false(cst_image_check(blob, vpc(), 0, &found, NULL, NULL));
    }
}

static void wrong_checksums_are_reported(void **state)
{
    g_autoptr(CstBlob) header = five_blocks(), footers = five_blocks();

    put(header, 512 + 40, "x", 1);
    assert_null(cst_image_open(header, vpc(), 0, NULL, NULL));
    put(footers, 24, "x", 1);
    put(footers, size_of(footers) - 512 + 24, "x", 1);
    assert_null(cst_image_open(footers, vpc(), 0, NULL, NULL));
}

/* CVE-2014-0142 and -0144: sizes of zero, and a table as long as the header claims. */
static void huge_table_in_a_short_file_costs_no_memory(void **state)
{
    g_autoptr(CstBlob) blob = create(BLOCK);
    g_auto(CstImageInfo) info = {0};

    put32(blob, 512 + 28, 0xffffffff);
    sign_all(blob);
    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_true(info.corrupt);
}

static void hostile_locators_are_reported(void **state)
{
    g_autoptr(CstBlob) blob = child_of(SIZE, "base");
    g_auto(CstImageInfo) info = {0};

    put32(blob, 512 + 576 + 8, 0xffffffff);
    sign_all(blob);
    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_true(info.corrupt);
}

static void misplaced_blocks_are_errors_where_they_are_used(void **state)
{
    /* over the footer, the header, the table; far beyond the end */
    static const uint32_t places[] = {0, 1, 3, 0xfffffffe};

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(CstBlob) blob = five_blocks();
        g_autoptr(CstBlob) guest = NULL;
        char byte;

        put32(blob, TABLE + 4 * 4, places[i]); /* block 4, the first in the file */
        assert_int_equal(check(blob, 0).errors, 1);
        guest = open_guest(blob);
        assert_true(is_marked(guest, 2));
        assert_false(cst_blob_pread(guest, &byte, 1, 4 * BLOCK, NULL));
        assert_false(cst_blob_pwrite(guest, "x", 1, 4 * BLOCK, NULL));
        put(guest, 2 * BLOCK + 100, "x", 1); /* the other blocks stay usable */
        assert_true(cst_blob_flush(guest, NULL));
        cst_blob_unref(g_steal_pointer(&guest));
        assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
        assert_clean(blob);
        guest = open_guest(blob);
        for (uint64_t n = 0; n < 4; n++)
            assert_true(is_marked(guest, n));
    }
}

static void truncated_file_keeps_its_remaining_blocks(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t first = 1;

    assert_true(cst_blob_resize(blob, size_of(blob) - 100 * 512, NULL));
    assert_int_equal(check(blob, 0).errors, 1);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
    assert_clean(blob);
    guest = open_guest(blob);
    for (uint64_t n = 1; n < 5; n++)
        assert_true(is_marked(guest, n));
    assert_true(cst_blob_pread(guest, &first, sizeof(first), 0, NULL));
    assert_int_equal(first, 0);
}

/* The copy needs all of the block to be there, whether or not a footer is at the file's end. Of the
 * shortest file's last block just the bitmap is left. */
static void a_shared_block_that_was_cut_off_is_copied(void **state)
{
    static const uint64_t sizes[] = {FIRST + 5 * STRIDE - 99 * 512, FIRST + 4 * STRIDE + 512};

    for (int n = 0; n < 4; n++) {
        g_autoptr(CstBlob) blob = five_blocks();
        uint64_t size = sizes[n / 2];
        gboolean has_end = n % 2;
        uint8_t footer[512];

        assert_true(cst_blob_pread(blob, footer, sizeof(footer), 0, NULL));
        assert_true(cst_blob_resize(blob, size, NULL));
        if (has_end)
            put(blob, size - sizeof(footer), footer, sizeof(footer));
        put32(blob, TABLE + 4, get32(blob, TABLE)); /* block 1 where block 0 is */
        assert_int_equal(check(blob, 0).errors, 3); /* both cut off, one over the other */
        assert_true(check(blob, 0).leaks > 0);      /* the footer does not follow the last block */
        assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 3);
        assert_clean(blob);
    }
}

static void overlapping_blocks_are_reported_and_copied(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;

    put32(blob, TABLE, get32(blob, TABLE + 4)); /* block 0 where block 1 is */
    assert_int_equal(check(blob, 0).errors, 1);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
    assert_clean(blob);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 1));
    mark(guest, 0);
    for (uint64_t n = 0; n < 5; n++)
        assert_true(is_marked(guest, n));
}

static void leaks_are_counted_and_given_back(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t before = size_of(blob);

    put32(blob, TABLE + 3 * 4, 0xffffffff);
    put32(blob, TABLE + 4 * 4, 0xffffffff);
    assert_int_equal(check(blob, 0).leaks, 2);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 2);
    assert_int_equal(size_of(blob), before - 2 * STRIDE);
    assert_clean(blob);
    guest = open_guest(blob);
    for (uint64_t n = 0; n < 3; n++)
        assert_true(is_marked(guest, n));
}

/* As after a program that shrank the disk and kept the blocks after its new end. */
static void blocks_after_the_end_of_the_disk_are_leaks_and_are_freed(void **state)
{
    static const struct {
        uint64_t size;
        unsigned blocks;
    } disks[] = {{BLOCK + 512, 2}, {4 * BLOCK, 4}};

    for (size_t n = 0; n < G_N_ELEMENTS(disks); n++) {
        g_autoptr(CstBlob) blob = five_blocks();
        g_autoptr(CstBlob) guest = NULL;
        uint64_t before = size_of(blob);
        unsigned lost = 5 - disks[n].blocks;
        uint8_t raw[8];

        cst_put_be64(raw, disks[n].size);
        put_footers(blob, 48, raw, sizeof(raw));
        assert_int_equal(check(blob, 0).errors, 0);
        assert_int_equal(check(blob, 0).leaks, lost);
        assert_int_equal(check(blob, 0).allocated_clusters, disks[n].blocks);
        assert_int_equal(check(blob, 0).total_clusters, disks[n].blocks);
        assert_int_equal(check(blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, lost);
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(get32(blob, TABLE + 4 * i) == 0xffffffff, i >= disks[n].blocks);
        assert_int_equal(size_of(blob), before - lost * STRIDE);
        assert_clean(blob);
        guest = open_guest(blob);
        assert_true(is_marked(guest, 0));
    }
}

static void block_that_does_not_follow_its_neighbor_is_fragmented(void **state)
{
    g_autoptr(CstBlob) backwards = five_blocks(), forwards = create(SIZE);
    g_autoptr(CstBlob) guest = open_guest(forwards);

    for (uint64_t i = 0; i < 5; i++)
        mark(guest, i);
    assert_true(cst_blob_flush(guest, NULL));
    assert_int_equal(check(backwards, 0).fragmented_clusters, 4);
    assert_int_equal(check(forwards, 0).fragmented_clusters, 0);
}

/* Both are sound, and a tool has changed only one of them. */
static void footers_that_differ_are_made_the_same(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    uint8_t front[512], end[512];

    put32(blob, 24, 1); /* the time of the copy in front */
    sign_all(blob);
    assert_int_equal(check(blob, 0).leaks, 1);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 1);
    assert_clean(blob);
    assert_true(cst_blob_pread(blob, front, sizeof(front), 0, NULL));
    assert_true(cst_blob_pread(blob, end, sizeof(end), size_of(blob) - 512, NULL));
    assert_memory_equal(front, end, sizeof(end));
    assert_int_not_equal(cst_be32(end + 24), 1);
}

/* As on a device, whose footer is searched at the end. */
static void a_longer_file_has_its_footer_at_its_end(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t size = size_of(blob) + CST_MIB;
    uint8_t front[512], end[512];

    assert_true(cst_blob_resize(blob, size, NULL));
    guest = open_guest(blob);
    put(guest, 0, "x", 1);
    assert_true(cst_blob_flush(guest, NULL));
    assert_int_equal(size_of(blob), size);
    assert_true(cst_blob_pread(blob, front, sizeof(front), 0, NULL));
    assert_true(cst_blob_pread(blob, end, sizeof(end), size - 512, NULL));
    assert_memory_equal(front, end, sizeof(end));
}

/* Where the missing footer belongs is not known while an entry is damaged. */
static void flush_reports_that_the_footer_has_no_place(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t size = size_of(blob) - 512;

    assert_true(cst_blob_resize(blob, size, NULL));
    put32(blob, TABLE + 4 * 4, (uint32_t)(size / 512));
    guest = open_guest(blob);
    put(guest, 0, "x", 1);
    assert_false(cst_blob_flush(guest, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    assert_int_equal(size_of(blob), size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_fields_are_refused),
        cmocka_unit_test(wrong_checksums_are_reported),
        cmocka_unit_test(huge_table_in_a_short_file_costs_no_memory),
        cmocka_unit_test(hostile_locators_are_reported),
        cmocka_unit_test(misplaced_blocks_are_errors_where_they_are_used),
        cmocka_unit_test(truncated_file_keeps_its_remaining_blocks),
        cmocka_unit_test(a_shared_block_that_was_cut_off_is_copied),
        cmocka_unit_test(overlapping_blocks_are_reported_and_copied),
        cmocka_unit_test(leaks_are_counted_and_given_back),
        cmocka_unit_test(blocks_after_the_end_of_the_disk_are_leaks_and_are_freed),
        cmocka_unit_test(block_that_does_not_follow_its_neighbor_is_fragmented),
        cmocka_unit_test(footers_that_differ_are_made_the_same),
        cmocka_unit_test(a_longer_file_has_its_footer_at_its_end),
        cmocka_unit_test(flush_reports_that_the_footer_has_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
