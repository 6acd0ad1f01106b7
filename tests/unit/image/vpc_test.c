/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blob/power.h>

#include "same.h"
#include "vpc/geometry.h"
#include "vpc_images.h"

/* --- sizes ----------------------------------------------------------------------------------- */

/* By the formulas of the specification's appendix, worked out by hand. */
static void geometries_follow_the_appendix(void **state)
{
    static const struct {
        uint64_t sectors;
        VpcGeometry geometry;
    } known[] = {
        {0, {0, 4, 17}},
        {68, {1, 4, 17}}, /* 4 heads at least */
        {4 * 17 * 1023, {1023, 4, 17}},
        {20480, {301, 4, 17}},                /* 10 MiB: 1204 tracks */
        {1024 * 16 * 17 - 1, {1023, 16, 17}}, /* the most that tracks of 17 can do … */
        {1024 * 16 * 17, {561, 16, 31}},      /* … 8984 tracks of 31 */
        {1024 * 16 * 31, {503, 16, 63}},      /* 8062.4 tracks of 63 */
        {65535u * 16 * 63, {16191, 16, 255}}, /* 259058.8 tracks of 255 */
        {VPC_MAX_GEOMETRY, {65535, 16, 255}},
        {UINT64_MAX, {65535, 16, 255}},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        VpcGeometry seen = vpc_geometry_for(known[i].sectors);

        assert_int_equal(seen.cylinders, known[i].geometry.cylinders);
        assert_int_equal(seen.heads, known[i].geometry.heads);
        assert_int_equal(seen.sectors, known[i].geometry.sectors);
    }
}

static uint64_t capacity_of(CstBlob *blob)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, vpc(), &info, NULL));
    assert_null(info.problem);
    return info.capacity;
}

#define MOST (UINT64_C(65535) * 16 * 255 * 512)

static void size_is_exact_unless_whole_cylinders_are_asked_for(void **state)
{
    static const struct {
        uint64_t asked, made;
    } sizes[] = {
        {0, 0},
        {512, 34816},
        {10 * CST_MIB, 10514432},
        {CST_GIB, 1073995776},
        {127 * CST_GIB, UINT64_C(136365219840)},
        {MOST - 512, MOST}, /* the largest geometry is 65535 cylinders, 16 heads, 255 sectors */
        {MOST, MOST},
        {MOST + 512, MOST + 512}, /* beyond all geometries */
        {128 * CST_GIB, 128 * CST_GIB},
        {2040 * CST_GIB, 2040 * CST_GIB},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) round =
            make(&(CstImageCreate){.capacity = sizes[i].asked, .round_size = TRUE});
        g_autoptr(CstBlob) exact = create(sizes[i].asked);

        assert_int_equal(capacity_of(round), sizes[i].made);
        assert_int_equal(capacity_of(exact), sizes[i].asked);
        assert_clean(round);
        assert_clean(exact);
    }
}

static void creator_decides_whether_geometry_or_size_counts(void **state)
{
    static const struct {
        char creator[5];
        gboolean exact;
    } known[] = {{"vpc ", FALSE}, {"vs  ", FALSE}, {"qemu", FALSE}, {"cist", FALSE},
                 {"win ", TRUE},  {"qem2", TRUE},  {"d2v ", TRUE},  {"tap\0", TRUE},
                 {"CTXS", TRUE},  {"wa\0\0", TRUE}};
    const uint8_t geometry[4] = {301 >> 8, 301 & 255, 4, 17};

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        g_autoptr(CstBlob) blob = create(10 * CST_MIB);

        put_footers(blob, 56, geometry, sizeof(geometry));
        put_footers(blob, 28, known[i].creator, 4);
        assert_int_equal(capacity_of(blob), known[i].exact ? 10 * CST_MIB : 301 * 4 * 17 * 512);
    }
}

/* The largest geometry and an empty geometry do not define the capacity. */
static void a_geometry_at_its_end_leaves_it_to_the_size(void **state)
{
    static const struct {
        uint8_t geometry[4];
        uint64_t capacity;
    } cases[] = {{{0xff, 0xff, 16, 255}, 10 * CST_MIB},
                 {{0xff, 0xff, 16, 254}, UINT64_C(65535) * 16 * 254 * 512},
                 {{0, 0, 0, 0}, 10 * CST_MIB}};
    g_autoptr(CstBlob) blob = create(10 * CST_MIB);

    put_footers(blob, 28, "vpc ", 4);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(CstImageInfo) info = {0};

        put_footers(blob, 56, cases[i].geometry, sizeof(cases[i].geometry));
        assert_true(cst_image_inspect(blob, vpc(), &info, NULL));
        assert_int_equal(info.capacity, cases[i].capacity);
    }
}

static void sizes_around_the_ends_of_blocks_and_table_work(void **state)
{
    /* 128 entries fill the first sector of the table */
    static const uint64_t sizes[] = {0,
                                     512,
                                     BLOCK - 512,
                                     BLOCK,
                                     BLOCK + 512,
                                     127 * BLOCK,
                                     128 * BLOCK - 512,
                                     128 * BLOCK,
                                     128 * BLOCK + 512,
                                     2040 * CST_GIB};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) blob = create(sizes[i]);
        g_autoptr(CstBlob) guest = open_guest(blob);
        char end[3] = "";

        assert_clean(blob);
        if (sizes[i] == 0)
            continue;
        put(guest, sizes[i] - 3, "end", 3);
        assert_true(cst_blob_flush(guest, NULL));
        assert_true(cst_blob_pread(guest, end, 3, sizes[i] - 3, NULL));
        assert_memory_equal(end, "end", 3);
        assert_clean(blob);
    }
}

static void bad_options_are_refused(void **state)
{
    const CstImageCreate bad[] = {
        {.capacity = 2040 * CST_GIB + 512},
        {.subformat = "static"},
        {.subformat = "differencing"},
        {.subformat = "fixed", .backing = "x", .backing_format = "vpc"},
        {.backing = "x", .backing_format = "qcow2"},
        {.backing = "\xff", .backing_format = "vpc"},
        {.backing = "x", .backing_format = "vpc", .preallocation = CST_PREALLOC_FULL},
        {.block_size = 4096},
    };
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autofree char *longest = g_strnfill(256, 'x');
    const CstImageCreate too_long = {.backing = longest, .backing_format = "vpc"};

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
        assert_false(cst_image_create(blob, vpc(), &bad[i], NULL, NULL));
    assert_false(cst_image_create(blob, vpc(), &too_long, NULL, NULL));
}

/* --- layout ---------------------------------------------------------------------------------- */

static void blocks_follow_each_other_with_their_bitmaps(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();

    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(get32(blob, TABLE + i * 4), (FIRST + (4 - i) * STRIDE) / 512);
        assert_int_equal(get32(blob, FIRST + i * STRIDE), 0xffffffff);
        assert_int_equal(get32(blob, FIRST + i * STRIDE + 508), 0xffffffff);
    }
    assert_int_equal(size_of(blob), FIRST + 5 * STRIDE + 512);
    assert_int_equal(get32(blob, size_of(blob) - 512), 0x636f6e65); /* "cone" */
    assert_clean(blob);
    assert_int_equal(check(blob, 0).allocated_clusters, 5);
}

/* Sectors that a bitmap does not have were never written: by the specification they are zero. */
static void sectors_without_their_bit_read_as_zeroes_until_written(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t host = (uint64_t)get32(blob, TABLE) * 512, seen = 1;

    put32(blob, host, 0x7fffffff); /* the first sector, which holds the mark of block 0 */
    guest = open_guest(blob);
    assert_true(cst_blob_pread(guest, &seen, sizeof(seen), 0, NULL));
    assert_int_equal(seen, 0);
    put(guest, 100, "x", 1);
    assert_true(cst_blob_flush(guest, NULL));
    assert_int_equal(get32(blob, host), 0xffffffff);
    assert_true(cst_blob_pread(guest, &seen, sizeof(seen), 0, NULL));
    assert_int_equal(seen, 0);
    assert_true(cst_blob_pread(guest, &seen, 1, 100, NULL));
    assert_int_equal(seen, 'x');
}

static void a_missing_footer_at_the_end_is_written_again(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_blob_resize(blob, size_of(blob) - 512, NULL));
    assert_true(cst_image_inspect(blob, vpc(), &info, NULL));
    assert_false(info.corrupt);
    assert_true(info.dirty);
    assert_int_equal(check(blob, 0).errors, 0);
    assert_int_equal(check(blob, 0).leaks, 1);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 4));
    put(guest, 0, "x", 1);
    assert_true(cst_blob_flush(guest, NULL));
    assert_clean(blob);
}

static void a_lost_copy_in_front_is_written_again(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();

    put(blob, 0, "????", 4);
    assert_int_equal(check(blob, 0).leaks, 1);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 1);
    assert_clean(blob);
}

static void assert_recognised_as(CstBlob *blob, const char *expected)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_string_equal(cst_image_format_name(info.format), expected);
}

static void fixed_disk_is_recognised_by_its_exact_footer(void **state)
{
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = SIZE, .subformat = "fixed"});
    uint8_t footer[512];

    assert_recognised_as(blob, "vpc");
    put(blob, 32769, "CD001", 5);
    assert_recognised_as(blob, "vpc");
    put(blob, 32769, "     ", 5);
    assert_true(cst_blob_pread(blob, footer, sizeof(footer), SIZE, NULL));
    for (size_t i = 0; i < sizeof(footer); i++) {
        const uint8_t wrong = footer[i] ^ 1;

        put(blob, SIZE + i, &wrong, 1);
        assert_recognised_as(blob, "raw");
        put(blob, SIZE + i, &footer[i], 1);
    }
    assert_recognised_as(blob, "vpc");
    assert_true(cst_blob_resize(blob, SIZE + 1024, NULL));
    put(blob, SIZE + 512, footer, sizeof(footer));
    assert_recognised_as(blob, "raw");
}

/* The guest writes the first bytes of a fixed disk and could imitate another format. */
static void a_guest_can_not_turn_a_fixed_disk_into_another_kind(void **state)
{
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = SIZE, .subformat = "fixed"});
    g_autoptr(CstBlob) forged =
        make(&(CstImageCreate){.capacity = SIZE, .backing = "secret", .backing_format = "vpc"});
    g_autoptr(CstBlob) guest = open_guest(blob);
    g_auto(CstImageInfo) info = {0};
    uint8_t raw[4096];

    assert_true(cst_blob_pread(forged, raw, 2048, 0, NULL));
    put(guest, 0, raw, 2048);
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(cst_image_inspect(blob, vpc(), &info, NULL));
    assert_string_equal(info.subformat, "fixed");
    assert_null(info.backing);
}

/* --- size ------------------------------------------------------------------------------------ */

static void growing_moves_the_table_to_the_end(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;

    resize(blob, 1000 * BLOCK + 512);
    assert_int_equal(capacity_of(blob), 1000 * BLOCK + 512);
    assert_int_equal(get32(blob, 512 + 20), FIRST + 5 * STRIDE);
    assert_clean(blob);
    guest = open_guest(blob);
    for (uint64_t i = 0; i < 5; i++)
        assert_true(is_marked(guest, i));
    mark(guest, 999);
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(is_marked(guest, 999));
    assert_clean(blob);
}

/* 128 entries fill the table's sector. */
static void a_table_stays_while_its_sector_has_room(void **state)
{
    static const uint64_t counts[] = {6, 127, 128, 129};

    for (size_t i = 0; i < G_N_ELEMENTS(counts); i++) {
        g_autoptr(CstBlob) blob = five_blocks();
        g_autoptr(CstBlob) guest = NULL;

        resize(blob, counts[i] * BLOCK);
        assert_int_equal(get32(blob, 512 + 20), counts[i] <= 128 ? TABLE : FIRST + 5 * STRIDE);
        assert_int_equal(get32(blob, 512 + 28), counts[i]);
        assert_clean(blob);
        guest = open_guest(blob);
        for (uint64_t n = 0; n < 5; n++)
            assert_true(is_marked(guest, n));
        mark(guest, counts[i] - 1);
        assert_true(is_marked(guest, counts[i] - 1));
    }
}

static void shrinking_moves_blocks_and_cuts_the_file(void **state)
{
    g_autoptr(CstBlob) blob = five_blocks();
    g_autoptr(CstBlob) guest = NULL;

    resize(blob, BLOCK + 512);
    assert_int_equal(size_of(blob), FIRST + 2 * STRIDE + 512);
    assert_clean(blob);
    resize(blob, SIZE);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 0));
    for (uint64_t i = 1; i < 5; i++) {
        uint64_t last = 1;

        assert_true(cst_blob_pread(guest, &last, sizeof(last), (i + 1) * BLOCK - 8, NULL));
        assert_int_equal(last, 0);
    }
}

static void a_fixed_disk_keeps_its_footer_at_its_end(void **state)
{
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = SIZE, .subformat = "fixed"});
    static const uint64_t sizes[] = {SIZE + 512, SIZE * 2, 512, 0, SIZE};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) guest = NULL;
        g_autofree uint8_t *bytes = NULL;
        uint64_t old = capacity_of(blob);

        resize(blob, sizes[i]);
        assert_int_equal(size_of(blob), sizes[i] + 512);
        assert_int_equal(capacity_of(blob), sizes[i]);
        guest = open_guest(blob);
        if (sizes[i] <= old)
            continue;
        bytes = g_malloc(sizes[i] - old);
        assert_true(cst_blob_pread(guest, bytes, sizes[i] - old, old, NULL));
        assert_true(cst_bytes_are_zero(bytes, sizes[i] - old));
    }
}

/* --- differencing ---------------------------------------------------------------------------- */

static void the_parent_is_named_as_it_was_given(void **state)
{
    static const char *const names[] = {"base.vhd", "../pool b/base.vhd", "/srv/base.vhd", "a\\b",
                                        "größe-𝄞.vhd"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(CstBlob) blob = child_of(SIZE, names[i]);
        g_auto(CstImageInfo) info = {0};

        assert_true(cst_image_inspect(blob, NULL, &info, NULL));
        assert_null(info.problem);
        assert_string_equal(info.subformat, "differencing");
        assert_string_equal(info.backing, names[i]);
        assert_string_equal(info.backing_format, "vpc");
        assert_clean(blob);
    }
}

static void random_change(GRand *rand, CstBlob *guest, uint8_t *model, uint64_t size)
{
    uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, (gint32)size);
    uint64_t length = (uint64_t)g_rand_int_range(rand, 1, g_rand_boolean(rand) ? 1200 : 300000);

    length = MIN(length, size - offset);
    memset(model + offset, g_rand_int_range(rand, 0, 4) ? g_rand_int_range(rand, 1, 256) : 0,
           length);
    if (model[offset])
        put(guest, offset, model + offset, length);
    else
        assert_true(cst_blob_zero(guest, offset, length, CST_ZERO_MAY_UNMAP, NULL));
}

static void assert_shows(CstBlob *guest, const uint8_t *model, uint64_t size)
{
    g_autofree uint8_t *seen = g_malloc(size);

    assert_int_equal(size_of(guest), size);
    assert_true(cst_blob_pread(guest, seen, size, 0, NULL));
    assert_memory_equal(seen, model, size);
    assert_extents_hold(guest, model, size);
}

/* Parents shorter, as long and longer than the child. */
static void children_show_their_parent_by_the_sector(void **state)
{
    static const uint64_t parents[] = {BLOCK + 512, 2 * BLOCK + 1024, 3 * BLOCK};
    const uint64_t size = 2 * BLOCK + 1024, most = 3 * BLOCK;
    g_autofree uint8_t *model = g_malloc0(most);

    for (size_t i = 0; i < G_N_ELEMENTS(parents); i++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)i);
        g_autoptr(CstBlob) base = create(parents[i]), blob = child_of(size, "base");
        g_autoptr(CstBlob) parent = open_guest(base);

        memset(model, 0, most);
        for (int step = 0; step < 30; step++)
            random_change(rand, parent, model, parents[i]);
        for (int round = 0; round < 3; round++) {
            g_autoptr(CstBlob) guest = open_over(blob, parent);

            assert_shows(guest, model, size);
            for (int step = 0; step < 20; step++)
                random_change(rand, guest, model, size);
            assert_shows(guest, model, size);
            assert_true(cst_blob_flush(guest, NULL));
            assert_clean(blob);
        }
    }
}

static void a_longer_parent_does_not_show_in_grown_space(void **state)
{
    g_autoptr(CstBlob) base = create(3 * BLOCK), blob = child_of(BLOCK + 512, "base");
    g_autoptr(CstBlob) parent = open_guest(base);
    g_autofree uint8_t *ones = g_malloc(3 * BLOCK), *seen = g_malloc(3 * BLOCK);
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image = cst_image_open(blob, vpc(), CST_IMAGE_WRITE, NULL, NULL);

    memset(ones, 1, 3 * BLOCK);
    put(parent, 0, ones, 3 * BLOCK);
    assert_false(cst_image_resize(image, 4 * BLOCK, CST_PREALLOC_OFF, NULL, NULL));
    cst_image_free(image);
    image = cst_image_open(blob, vpc(), CST_IMAGE_WRITE, parent, NULL);
    assert_true(cst_image_resize(image, 3 * BLOCK, CST_PREALLOC_OFF, NULL, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pread(guest, seen, 3 * BLOCK, 0, NULL));
    assert_memory_equal(seen, ones, BLOCK + 512);
    assert_true(cst_bytes_are_zero(seen + BLOCK + 512, 2 * BLOCK - 512));
}

static void read_from_a_missing_parent_is_an_error(void **state)
{
    g_autoptr(CstBlob) blob = child_of(SIZE, "base");
    g_autoptr(CstBlob) guest = open_guest(blob);
    char bytes[1024] = "";

    assert_false(cst_blob_pread(guest, bytes, 1, 0, NULL));
    assert_false(cst_blob_pwrite(guest, "x", 1, 0, NULL));
    put(guest, 512, bytes, sizeof(bytes));
    assert_true(cst_blob_pread(guest, bytes, sizeof(bytes), 512, NULL));
}

/* --- identity -------------------------------------------------------------------------------- */

static CstImage *open_upon(CstBlob *blob, CstBlob *parent, GError **error)
{
    g_autoptr(CstBlob) guest = open_guest(parent);

    return cst_image_open(blob, vpc(), 0, guest, error);
}

static void another_parent_is_refused(void **state)
{
    g_autoptr(CstBlob) parent = create(SIZE), other = create(SIZE), guest = open_guest(parent);
    g_autoptr(CstBlob) plain = cst_blob_memory_new(NULL, SIZE);
    CstImageCreate options = {
        .capacity = SIZE, .backing = "p", .backing_format = "vpc", .backing_guest = guest};
    g_autoptr(CstBlob) child = make(&options), stranger = NULL, blob = cst_blob_sparse_new(0);
    g_autoptr(GError) error = NULL;
    uint8_t stored[16], uuid[16];

    assert_true(cst_blob_pread(child, stored, 16, 512 + 40, NULL));
    assert_true(cst_blob_pread(parent, uuid, 16, 68, NULL));
    assert_memory_equal(stored, uuid, 16);
    assert_clean(child);
    put(guest, 0, uuid, 16); /* the parent's identity does not depend on its content */
    cst_image_free(open_upon(child, parent, &error));
    assert_null(error);
    assert_null(open_upon(child, other, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
    options.backing_guest = NULL; /* the parent's identity is unknown */
    stranger = make(&options);
    cst_image_free(open_upon(stranger, parent, NULL));
    cst_image_free(open_upon(stranger, other, NULL));
    options.backing_guest = plain;
    assert_false(cst_image_create(blob, vpc(), &options, NULL, NULL));
}

static void assert_zeroes(CstBlob *guest)
{
    g_autofree uint8_t *seen = NULL;
    uint64_t size = size_of(guest);

    seen = g_malloc(size);
    assert_true(cst_blob_pread(guest, seen, size, 0, NULL));
    assert_true(cst_bytes_are_zero(seen, size));
}

/* The old footer is never part of the disk. If the end is lost, no image is recognized. */
static void a_fixed_disk_that_grows_never_shows_its_footer(void **state)
{
    static const uint64_t sizes[] = {SIZE + 512, SIZE + 1024, 2 * SIZE};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = SIZE, .subformat = "fixed"});
        g_autoptr(CstBlob) power = cst_blob_power_new(blob, NULL);
        unsigned seen = 0;

        resize(power, sizes[i]);
        for (unsigned at = 0; at <= cst_blob_power_steps(power); at++)
            for (guint32 seed = 0; seed < 8; seed++) {
                g_autoptr(CstBlob) left = cst_blob_power_crash(power, at, seed, NULL);
                g_autoptr(CstBlob) guest = NULL;
                CstImage *image = cst_image_open(left, vpc(), 0, NULL, NULL);

                assert_true(image || seed != 1); /* 1 loses no write */
                if (!image)
                    continue;
                assert_true(cst_image_capacity(image) == SIZE ||
                            cst_image_capacity(image) == sizes[i]);
                seen |= cst_image_capacity(image) == SIZE ? 1 : 2;
                guest = cst_image_guest_blob(image);
                assert_zeroes(guest);
            }
        assert_int_equal(seen, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(geometries_follow_the_appendix),
        cmocka_unit_test(size_is_exact_unless_whole_cylinders_are_asked_for),
        cmocka_unit_test(creator_decides_whether_geometry_or_size_counts),
        cmocka_unit_test(a_geometry_at_its_end_leaves_it_to_the_size),
        cmocka_unit_test(sizes_around_the_ends_of_blocks_and_table_work),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(blocks_follow_each_other_with_their_bitmaps),
        cmocka_unit_test(sectors_without_their_bit_read_as_zeroes_until_written),
        cmocka_unit_test(a_missing_footer_at_the_end_is_written_again),
        cmocka_unit_test(a_lost_copy_in_front_is_written_again),
        cmocka_unit_test(fixed_disk_is_recognised_by_its_exact_footer),
        cmocka_unit_test(a_guest_can_not_turn_a_fixed_disk_into_another_kind),
        cmocka_unit_test(growing_moves_the_table_to_the_end),
        cmocka_unit_test(a_table_stays_while_its_sector_has_room),
        cmocka_unit_test(shrinking_moves_blocks_and_cuts_the_file),
        cmocka_unit_test(a_fixed_disk_keeps_its_footer_at_its_end),
        cmocka_unit_test(a_fixed_disk_that_grows_never_shows_its_footer),
        cmocka_unit_test(another_parent_is_refused),
        cmocka_unit_test(the_parent_is_named_as_it_was_given),
        cmocka_unit_test(children_show_their_parent_by_the_sector),
        cmocka_unit_test(a_longer_parent_does_not_show_in_grown_space),
        cmocka_unit_test(read_from_a_missing_parent_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
