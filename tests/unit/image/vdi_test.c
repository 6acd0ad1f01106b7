/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "bytes.h"
#include "listed.h"

#define BLOCK CST_MIB

enum { AT_MAP = 0x154, AT_DATA = 0x158, AT_ALLOCATED = 0x184 };

static const CstImageFormat *vdi(void)
{
    return cst_image_format_find("vdi", NULL);
}

static CstBlob *create(uint64_t capacity, const char *subformat)
{
    const CstImageCreate options = {.capacity = capacity, .subformat = subformat};
    CstBlob *blob = cst_blob_memory_new(NULL, 0);

    assert_true(cst_image_create(blob, vdi(), &options, NULL, NULL));
    return blob;
}

static CstBlob *open_guest(CstBlob *blob)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, vdi(), CST_IMAGE_WRITE, NULL, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return cst_image_guest_blob(image);
}

static uint32_t get32(CstBlob *blob, uint64_t offset)
{
    uint8_t raw[4];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), offset, NULL));
    return cst_le32(raw);
}

static void put32(CstBlob *blob, uint64_t offset, uint32_t value)
{
    assert_true(cst_blob_pwrite(blob, &value, sizeof(value), offset, NULL));
}

static void put_entry(CstBlob *blob, uint32_t index, uint32_t value)
{
    put32(blob, get32(blob, AT_MAP) + index * 4, value);
}

/* Marks block @block of the guest with its own number at its start and its end. */
static void mark(CstBlob *guest, uint64_t block)
{
    assert_true(cst_blob_pwrite(guest, &block, sizeof(block), block * BLOCK, NULL));
    assert_true(cst_blob_pwrite(guest, &block, sizeof(block), (block + 1) * BLOCK - 8, NULL));
}

static gboolean is_marked(CstBlob *guest, uint64_t block)
{
    uint64_t first = 0, last = 0;

    assert_true(cst_blob_pread(guest, &first, sizeof(first), block * BLOCK, NULL));
    assert_true(cst_blob_pread(guest, &last, sizeof(last), (block + 1) * BLOCK - 8, NULL));
    return first == block && last == block;
}

static CstImageCheck check(CstBlob *blob, unsigned flags)
{
    return check_listed(blob, vdi(), flags);
}

static void assert_clean(CstBlob *blob)
{
    CstImageCheck found = check(blob, 0);

    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
}

static void resize(CstBlob *blob, uint64_t capacity)
{
    g_autoptr(CstImage) image = cst_image_open(blob, vdi(), CST_IMAGE_WRITE, NULL, NULL);
    g_autoptr(GError) error = NULL;

    if (!cst_image_resize(image, capacity, CST_PREALLOC_OFF, NULL, &error))
        fail_msg("resize: %s", error->message);
    assert_true(cst_image_flush(image, NULL));
}

/* Five blocks, written from the last to the first, so that places and entries differ. */
static CstBlob *five_blocks(void)
{
    CstBlob *blob = create(5 * BLOCK, NULL);
    g_autoptr(CstBlob) guest = open_guest(blob);

    for (uint64_t i = 5; i-- > 0;)
        mark(guest, i);
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

/* --- layout ---------------------------------------------------------------------------------- */

static void blocks_follow_each_other_as_they_are_written(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();

    assert_int_equal(get32(blob, AT_ALLOCATED), 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(get32(blob, get32(blob, AT_MAP) + i * 4), 4 - i);
    assert_clean(blob);
    assert_int_equal(check(blob, 0).allocated_clusters, 5);
}

/* The text that file(1) and a reader see first. */
static void it_begins_with_a_line_of_text(void **state)
{
    g_autoptr(CstBlob) blob = create(BLOCK, NULL);
    char head[65] = "";

    assert_true(cst_blob_pread(blob, head, 64, 0, NULL));
    assert_string_equal(head, "<<< Cistern virtual disk image >>>\n");
}

static void a_static_image_has_all_its_blocks(void **state)
{
    g_autoptr(CstBlob) blob = create(3 * BLOCK + 512, "static");
    g_auto(CstImageInfo) info = {0};
    uint64_t size = 0;

    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, get32(blob, AT_DATA) + 4 * BLOCK);
    assert_int_equal(get32(blob, AT_ALLOCATED), 4);
    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_string_equal(info.subformat, "static");
    assert_clean(blob);
}

static void static_images_of_any_size_are_whole(void **state)
{
    static const uint64_t sizes[] = {0, 512, BLOCK - 512, BLOCK, BLOCK + 512, 3 * BLOCK};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) blob = create(sizes[i], "static");
        uint64_t size = 0, blocks = (sizes[i] + BLOCK - 1) / BLOCK;

        assert_true(cst_blob_get_size(blob, &size, NULL));
        assert_int_equal(size, get32(blob, AT_DATA) + blocks * BLOCK);
        assert_int_equal(get32(blob, AT_ALLOCATED), blocks);
        assert_clean(blob);
        resize(blob, sizes[i] + BLOCK + 512);
        assert_int_equal(get32(blob, AT_ALLOCATED), (sizes[i] + 2 * BLOCK - 1 + 512) / BLOCK);
        assert_clean(blob);
    }
}

static void sizes_around_the_ends_of_blocks_and_map_work(void **state)
{
    /* 896 entries fill the map up to where the data is aligned */
    static const uint64_t sizes[] = {0,           512,         BLOCK - 512, BLOCK,
                                     BLOCK + 512, 895 * BLOCK, 896 * BLOCK, 896 * BLOCK + 512,
                                     897 * BLOCK};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) blob = create(sizes[i], NULL);
        g_autoptr(CstBlob) guest = open_guest(blob);
        char end[3] = "";

        assert_clean(blob);
        if (sizes[i] == 0)
            continue;
        assert_true(cst_blob_pwrite(guest, "end", 3, sizes[i] - 3, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        assert_true(cst_blob_pread(guest, end, 3, sizes[i] - 3, NULL));
        assert_memory_equal(end, "end", 3);
        assert_clean(blob);
    }
}

static void too_large_images_and_unknown_subformats_are_refused(void **state)
{
    const CstImageCreate bad[] = {
        {.capacity = UINT64_C(0x1fffff80) * CST_MIB + 512},
        {.subformat = "differencing"},
        {.cluster_size = 65536},
        {.backing = "x", .backing_format = "vdi"},
    };
    g_autoptr(CstBlob) blob = cst_blob_memory_new(NULL, 0);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(cst_image_create(blob, vdi(), &bad[i], NULL, NULL));
}

static CstBlob *scratch_file(void)
{
    g_autofree char *path = g_build_filename(g_get_tmp_dir(), "cst-vdi-XXXXXX", NULL);
    int fd = g_mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    return cst_blob_file_new(fd, "scratch", TRUE, NULL);
}

static void images_beyond_two_terabytes_work(void **state)
{
    const uint64_t size = 3 * CST_TIB + 512;
    const CstImageCreate options = {.capacity = size};
    g_autoptr(CstBlob) blob = scratch_file();
    g_autoptr(CstBlob) guest = NULL;
    CstExtent extent;

    assert_true(cst_image_create(blob, vdi(), &options, NULL, NULL));
    guest = open_guest(blob);
    mark(guest, 2 * CST_TIB / BLOCK);
    assert_true(cst_blob_pwrite(guest, "end", 3, size - 3, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(is_marked(guest, 2 * CST_TIB / BLOCK));
    assert_true(cst_blob_extent(guest, 0, size, &extent, NULL));
    assert_true(extent.flags & CST_EXTENT_ZERO);
    assert_clean(blob);
    assert_int_equal(get32(blob, AT_ALLOCATED), 2);
}

/* --- size ------------------------------------------------------------------------------------ */

static void growing_past_the_room_for_the_map_moves_the_first_blocks(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    uint32_t old_data = get32(blob, AT_DATA);
    g_autoptr(CstBlob) guest = NULL;

    resize(blob, 1000 * BLOCK + 512);
    assert_int_equal(get32(blob, AT_MAP), old_data);
    assert_int_equal(get32(blob, AT_DATA), old_data + BLOCK);
    assert_int_equal(get32(blob, AT_ALLOCATED), 5);
    assert_clean(blob);
    guest = open_guest(blob);
    for (uint64_t i = 0; i < 5; i++)
        assert_true(is_marked(guest, i));
    mark(guest, 999);
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(is_marked(guest, 999));
    assert_clean(blob);
}

/*
 * Creates an image whose map is longer than its cache in memory. A move has to read the map again.
 */
static CstBlob *make_long_map(void)
{
    const CstImageCreate options = {.capacity = 1025 * CST_GIB};
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_image_create(blob, vdi(), &options, NULL, NULL));
    guest = open_guest(blob);
    mark(guest, 1);
    mark(guest, 1024 * 1024);
    return blob;
}

static gboolean grow_long_map(CstBlob *blob, GError **error)
{
    g_autoptr(CstImage) image = cst_image_open(blob, vdi(), CST_IMAGE_WRITE, NULL, error);

    return image && cst_image_resize(image, 1030 * CST_GIB, CST_PREALLOC_OFF, NULL, error);
}

static void a_map_that_can_not_be_read_is_not_moved(void **state)
{
    g_autoptr(CstBlob) sound = make_long_map();
    guint reads = 0;

    /* reads of the old map to find the first block, and of both maps during the copy */
    for (guint back = 0; back < 6; back++) {
        g_autoptr(CstBlob) inner = cst_blob_sparse_copy(sound);
        g_autoptr(CstBlob) fault = cst_blob_fault_new(inner);
        g_autoptr(CstBlob) guest = NULL;
        g_autoptr(GError) error = NULL;
        uint64_t size = 0;

        if (back > 0)
            cst_blob_fault_arm(fault, CST_FAULT_READ, reads - back * 32, CST_FAULT_ONCE);
        assert_int_equal(grow_long_map(fault, &error), back == 0);
        assert_true(back == 0 || g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        reads = back == 0 ? cst_blob_fault_count(fault, CST_FAULT_READ) : reads;
        assert_true(back == 0 || grow_long_map(inner, NULL));
        guest = open_guest(inner);
        assert_true(is_marked(guest, 1) && is_marked(guest, 1024 * 1024));
        assert_true(cst_blob_get_size(guest, &size, NULL));
        assert_int_equal(size, 1030 * CST_GIB);
    }
}

static void growing_an_image_without_blocks_past_the_room_works(void **state)
{
    g_autoptr(CstBlob) blob = create(BLOCK, NULL);
    g_autoptr(CstBlob) guest = NULL;

    resize(blob, 2000 * BLOCK);
    assert_clean(blob);
    guest = open_guest(blob);
    mark(guest, 1999);
    assert_true(is_marked(guest, 1999));
}

static void shrinking_moves_blocks_and_cuts_the_file(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t size = 0;

    resize(blob, 2 * BLOCK);
    assert_int_equal(get32(blob, AT_ALLOCATED), 2);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, get32(blob, AT_DATA) + 2 * BLOCK);
    assert_clean(blob);
    resize(blob, 5 * BLOCK);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 0));
    assert_true(is_marked(guest, 1));
    for (uint64_t i = 2; i < 5; i++) {
        uint64_t first = 1;

        assert_true(cst_blob_pread(guest, &first, sizeof(first), i * BLOCK, NULL));
        assert_int_equal(first, 0);
    }
}

static void growing_a_static_image_gives_it_all_its_blocks(void **state)
{
    g_autoptr(CstBlob) blob = create(BLOCK, "static");

    resize(blob, 4 * BLOCK);
    assert_int_equal(get32(blob, AT_ALLOCATED), 4);
    assert_clean(blob);
    assert_int_equal(check(blob, 0).allocated_clusters, 4);
}

/* --- damage ---------------------------------------------------------------------------------- */

static void hostile_headers_are_refused(void **state)
{
    static const struct {
        uint32_t at, value;
    } bad[] = {
        {0x40, 0},           {0x44, 0x00020001},  {0x4c, 0},
        {0x4c, 9},           {0x4c, 3},           {0x4c, 4},
        {AT_MAP, 0},         {AT_MAP, 513},       {AT_MAP, 0xfffffe00},
        {AT_MAP, 4096},      {AT_DATA, 0},        {AT_DATA, 512},
        {AT_DATA, 4097},     {0x168, 4096},       {0x168, 0},
        {0x170, 6 * BLOCK},  {0x174, 0xffffffff}, {0x178, 0},
        {0x178, 1000},       {0x178, 256},        {0x178, 0xffffffff},
        {0x17c, 512},        {0x180, 4},          {0x180, 0},
        {0x180, 0xffffffff}, {0x180, 0x1fffff80}, {0x1a8, 1},
        {0x1b8, 1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = five_blocks();
        g_autoptr(GError) error = NULL;
        CstImageCheck found;

        put32(blob, bad[i].at, bad[i].value);
        if (cst_image_open(blob, vdi(), CST_IMAGE_WRITE, NULL, &error))
            fail_msg("0x%x at 0x%x passed", bad[i].value, bad[i].at);
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT) ||
                    g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
        assert_false(cst_image_check(blob, vdi(), 0, &found, NULL, NULL));
    }
}

/* CVE-2014-0144: a huge map was allocated because the header said so. */
static void huge_map_in_a_short_file_costs_no_memory(void **state)
{
    g_autoptr(CstBlob) blob = create(BLOCK, NULL);
    g_auto(CstImageInfo) info = {0};

    put32(blob, 0x180, 0x1fffff80);
    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_true(info.corrupt);
}

static void a_block_outside_the_file_is_an_error_where_it_is_used(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    char byte;

    put_entry(blob, 3, 5);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 2));
    assert_false(cst_blob_pread(guest, &byte, 1, 3 * BLOCK, NULL));
    assert_false(cst_blob_pwrite(guest, "x", 1, 3 * BLOCK, NULL));
    cst_blob_unref(g_steal_pointer(&guest));

    assert_int_equal(check(blob, 0).errors, 1);
    assert_int_equal(check(blob, 0).leaks, 1); /* where it had been */
    assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
    assert_clean(blob);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 4));
    assert_true(cst_blob_pread(guest, &byte, 1, 3 * BLOCK, NULL));
    assert_int_equal(byte, 0);
}

static void shared_block_is_reported_and_copied(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t first = 0;

    put_entry(blob, 0, 3); /* which is block 1's; 0's own at 4 is lost */
    assert_int_equal(check(blob, 0).errors, 1);
    assert_int_equal(check(blob, 0).leaks, 1);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
    assert_clean(blob);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 1));
    assert_true(cst_blob_pread(guest, &first, sizeof(first), 0, NULL));
    assert_int_equal(first, 1);
    mark(guest, 0);
    assert_true(is_marked(guest, 1));
}

/* New blocks are never put where an entry points, and no writer makes a shared block worse. */
static void a_writer_needs_a_sound_map_to_allocate(void **state)
{
    g_autoptr(CstBlob) blob = create(5 * BLOCK, NULL);
    g_autoptr(CstBlob) guest = open_guest(blob);
    g_autoptr(GError) error = NULL;

    mark(guest, 0);
    mark(guest, 1);
    cst_blob_unref(g_steal_pointer(&guest));
    put_entry(blob, 2, 0);
    guest = open_guest(blob);
    assert_false(cst_blob_pwrite(guest, "x", 1, 3 * BLOCK, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
}

/* Another program may have been cut off before it wrote the count. */
static void too_low_a_count_is_an_error_and_does_no_harm(void **state)
{
    g_autoptr(CstBlob) blob = create(5 * BLOCK, NULL);
    g_autoptr(CstBlob) guest = open_guest(blob);

    mark(guest, 0);
    mark(guest, 1);
    cst_blob_unref(g_steal_pointer(&guest));
    put32(blob, AT_ALLOCATED, 0);
    assert_int_equal(check(blob, 0).errors, 1);
    guest = open_guest(blob);
    mark(guest, 2);
    for (uint64_t i = 0; i < 3; i++)
        assert_true(is_marked(guest, i));
    cst_blob_unref(g_steal_pointer(&guest));
    assert_clean(blob);
    put32(blob, AT_ALLOCATED, 1);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
    assert_int_equal(get32(blob, AT_ALLOCATED), 3);
}

static void leaks_are_counted_and_given_back(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    CstImageCheck found;
    uint64_t before = 0, after = 0;

    put_entry(blob, 4, 0xffffffff); /* the first block of the file */
    put_entry(blob, 2, 0xfffffffe);
    assert_int_equal(check(blob, 0).leaks, 2);
    assert_int_equal(check(blob, 0).errors, 0);
    assert_true(cst_blob_get_size(blob, &before, NULL));
    found = check(blob, CST_CHECK_REPAIR_LEAKS);
    assert_int_equal(found.leaks_fixed, 2);
    assert_true(cst_blob_get_size(blob, &after, NULL));
    assert_int_equal(before - after, 2 * BLOCK);
    assert_clean(blob);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 0));
    assert_true(is_marked(guest, 1));
    assert_true(is_marked(guest, 3));
    assert_false(is_marked(guest, 2));
}

/* Gaps are used before the file grows. */
static void a_writer_fills_the_gaps_of_the_file(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t before = 0, after = 0;
    char byte = 1;

    put_entry(blob, 2, 0xffffffff);
    assert_true(cst_blob_get_size(blob, &before, NULL));
    guest = open_guest(blob);
    assert_true(cst_blob_pwrite(guest, "x", 1, 2 * BLOCK + 100, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(cst_blob_get_size(blob, &after, NULL));
    assert_int_equal(before, after);
    assert_clean(blob);
    /* the old bytes there do not show */
    assert_true(cst_blob_pread(guest, &byte, 1, 2 * BLOCK, NULL));
    assert_int_equal(byte, 0);
    assert_true(cst_blob_pread(guest, &byte, 1, 3 * BLOCK - 8, NULL));
    assert_int_equal(byte, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_follow_each_other_as_they_are_written),
        cmocka_unit_test(it_begins_with_a_line_of_text),
        cmocka_unit_test(a_static_image_has_all_its_blocks),
        cmocka_unit_test(static_images_of_any_size_are_whole),
        cmocka_unit_test(sizes_around_the_ends_of_blocks_and_map_work),
        cmocka_unit_test(too_large_images_and_unknown_subformats_are_refused),
        cmocka_unit_test(images_beyond_two_terabytes_work),
        cmocka_unit_test(growing_past_the_room_for_the_map_moves_the_first_blocks),
        cmocka_unit_test(a_map_that_can_not_be_read_is_not_moved),
        cmocka_unit_test(growing_an_image_without_blocks_past_the_room_works),
        cmocka_unit_test(shrinking_moves_blocks_and_cuts_the_file),
        cmocka_unit_test(growing_a_static_image_gives_it_all_its_blocks),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(huge_map_in_a_short_file_costs_no_memory),
        cmocka_unit_test(a_block_outside_the_file_is_an_error_where_it_is_used),
        cmocka_unit_test(shared_block_is_reported_and_copied),
        cmocka_unit_test(a_writer_needs_a_sound_map_to_allocate),
        cmocka_unit_test(too_low_a_count_is_an_error_and_does_no_harm),
        cmocka_unit_test(leaks_are_counted_and_given_back),
        cmocka_unit_test(a_writer_fills_the_gaps_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
