/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* VHDX beyond the contract of all formats: parents, sectors, sizes, identity. */
#include <image/backing.h>
#include <image/convert.h>

#include "format.h"
#include "vhdx_images.h"

/* --- creating -------------------------------------------------------------------------------- */

static void every_block_and_sector_size_is_made_and_opens(void **state)
{
    static const unsigned sectors[] = {512, 4096};

    for (uint64_t block = CST_MIB; block <= 256 * CST_MIB; block *= 2) {
        for (size_t i = 0; i < G_N_ELEMENTS(sectors); i++) {
            const CstImageCreate options = {
                .capacity = block + 4096, .block_size = block, .sector_size = sectors[i]};
            g_autoptr(CstBlob) blob = make(&options);
            g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
            g_auto(CstImageInfo) info = {0};

            put(guest, block - 1000, 2000, 7);
            assert_byte(guest, block - 1000, 2000, 7);
            assert_byte(guest, 0, 4096, 0);
            assert_true(cst_blob_flush(guest, NULL));
            assert_true(cst_image_inspect(blob, NULL, &info, NULL));
            assert_string_equal(cst_image_format_name(info.format), "vhdx");
            assert_string_equal(info.subformat, "dynamic");
            assert_int_equal(info.cluster_size, block);
            assert_int_equal(info.capacity, block + 4096);
            assert_int_equal(info.sector_size, sectors[i]);
            assert_int_equal(cst_guest_sector_size(guest), sectors[i]);
            assert_false(info.corrupt);
        }
    }
}

static void a_capacity_is_rounded_up_to_whole_sectors(void **state)
{
    const CstImageCreate options = {.capacity = 512, .sector_size = 4096};
    g_autoptr(CstBlob) blob = make(&options);
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE, NULL);

    assert_int_equal(cst_image_capacity(image), 4096);
    assert_true(cst_image_resize(image, 5000, CST_PREALLOC_OFF, NULL, NULL));
    assert_int_equal(cst_image_capacity(image), 8192);
}

static void sector_size_is_kept_by_a_conversion_or_it_is_refused(void **state)
{
    const CstImageFormat *qcow2 = cst_image_format_find("qcow2", NULL);
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = CST_MIB, .sector_size = 4096});
    g_autoptr(CstBlob) to = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    g_autoptr(CstBlob) other = NULL;
    g_autoptr(GError) error = NULL;
    g_auto(CstImageInfo) info = {0};

    put(guest, 4096, 2000, 7);
    assert_false(cst_image_convert(guest, to, qcow2, NULL, 0, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, "its sectors have 4096 bytes"));
    assert_true(
        cst_image_convert(guest, to, qcow2, NULL, CST_CONVERT_DROP_SECTOR_SIZE, NULL, NULL));
    assert_true(cst_image_convert(guest, to, vhdx(), NULL, 0, NULL, NULL));
    assert_true(cst_image_inspect(to, NULL, &info, NULL));
    assert_int_equal(info.sector_size, 4096);
    other = cst_blob_sparse_new(CST_MIB);
    assert_false(cst_image_overwrite(guest, other, NULL, 0, NULL, NULL));
    assert_true(cst_image_overwrite(guest, other, NULL, CST_CONVERT_DROP_SECTOR_SIZE, NULL, NULL));
    assert_byte(other, 4096, 2000, 7);
}

static void bad_options_are_refused(void **state)
{
    const CstImageCreate bad[] = {
        {.capacity = CST_MIB, .block_size = 3 * CST_MIB},
        {.capacity = CST_MIB, .block_size = CST_MIB / 2},
        {.capacity = CST_MIB, .block_size = 512 * CST_MIB},
        {.capacity = CST_MIB, .sector_size = 1024},
        {.capacity = CST_MIB, .subformat = "sparse"},
        {.capacity = CST_MIB, .subformat = "differencing"},
        {.capacity = CST_MIB, .subformat = "fixed", .backing = "a", .backing_format = "vhdx"},
        {.capacity = CST_MIB, .backing = "a", .backing_format = "raw"},
        {.capacity = CST_MIB, .backing = "\xff", .backing_format = "vhdx"},
        {.capacity = CST_MIB,
         .backing = "a",
         .backing_format = "vhdx",
         .preallocation = CST_PREALLOC_FULL},
        {.capacity = 64 * CST_TIB + 512},
        {.capacity = CST_MIB, .cluster_size = CST_MIB},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);

        assert_false(cst_image_create(blob, vhdx(), &bad[i], NULL, NULL));
    }
}

/* --- size ------------------------------------------------------------------------------------ */

/* 64 TiB, in blocks of 1 MiB: the table alone has 512 MiB, nearly all of which is a hole. */
static void largest_disk_costs_only_the_written_blocks(void **state)
{
    static const unsigned sectors[] = {512, 4096};

    for (size_t i = 0; i < G_N_ELEMENTS(sectors); i++) {
        const CstImageCreate options = {
            .capacity = 64 * CST_TIB, .block_size = CST_MIB, .sector_size = sectors[i]};
        g_autoptr(CstBlob) blob = make(&options);
        CstBlob *guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
        const uint64_t places[] = {0, 4 * CST_GIB - 4096, 2 * CST_TIB + 5, 64 * CST_TIB - 8192};

        for (size_t n = 0; n < G_N_ELEMENTS(places); n++)
            put(guest, places[n], 8192, (int)n + 1);
        cst_blob_unref(guest);
        guest = open_guest(blob, 0, NULL);
        for (size_t n = 0; n < G_N_ELEMENTS(places); n++)
            assert_byte(guest, places[n], 8192, (int)n + 1);
        assert_byte(guest, 32 * CST_TIB, 8192, 0);
        cst_blob_unref(guest);
        assert_true(cst_blob_sparse_used(blob) < 4 * CST_MIB);
        assert_clean(blob);
    }
}

/* A table of 1 MiB is enough for 128 GiB of 1 MiB blocks, and sector bitmaps: it has to move. */
static void a_table_that_gets_too_short_moves(void **state)
{
    const CstImageCreate options = {.capacity = 3 * CST_MIB, .block_size = CST_MIB};
    g_autoptr(CstBlob) blob = make(&options);
    CstImage *image = open_image(blob, CST_IMAGE_WRITE, NULL);
    CstBlob *guest;

    assert_true(cst_image_resize(image, 300 * CST_GIB, CST_PREALLOC_OFF, NULL, NULL));
    assert_true(cst_image_resize(image, 10 * CST_TIB, CST_PREALLOC_OFF, NULL, NULL));
    guest = cst_image_guest_blob(image);
    put(guest, 10 * CST_TIB - 512, 512, 1);
    put(guest, 2 * CST_MIB - 100, 200, 2);
    cst_blob_unref(guest);
    guest = open_guest(blob, 0, NULL);
    assert_byte(guest, 10 * CST_TIB - 512, 512, 1);
    assert_byte(guest, 2 * CST_MIB - 100, 200, 2);
    assert_byte(guest, 300 * CST_GIB - 4096, 8192, 0);
    cst_blob_unref(guest);
    assert_clean(blob);
}

static void space_of_a_smaller_disk_is_given_back_and_used_again(void **state)
{
    const CstImageCreate options = {.capacity = 16 * CST_MIB, .block_size = CST_MIB};
    g_autoptr(CstBlob) blob = make(&options);
    CstBlob *guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    uint64_t before = 0, after = 0;
    CstImage *image;

    put(guest, 0, 16 * CST_MIB, 1);
    cst_blob_unref(guest);
    assert_true(cst_blob_get_size(blob, &before, NULL));
    image = open_image(blob, CST_IMAGE_WRITE, NULL);
    assert_true(cst_image_resize(image, 4 * CST_MIB, CST_PREALLOC_OFF, NULL, NULL));
    assert_true(cst_blob_get_size(blob, &after, NULL));
    assert_int_equal(after, before - 12 * CST_MIB);
    assert_true(cst_image_resize(image, 16 * CST_MIB, CST_PREALLOC_OFF, NULL, NULL));
    guest = cst_image_guest_blob(image);
    assert_byte(guest, 4 * CST_MIB, 12 * CST_MIB, 0);
    put(guest, 4 * CST_MIB, 12 * CST_MIB, 2);
    cst_blob_unref(guest);
    assert_true(cst_blob_get_size(blob, &after, NULL));
    assert_int_equal(after, before);
    assert_clean(blob);
}

/* The added capacity is fully allocated up to the end. Older ranges keep their holes. */
static void added_capacity_can_be_preallocated_in_full(void **state)
{
    const CstImageCreate options = {.capacity = 4 * CST_MIB, .block_size = CST_MIB};
    g_autoptr(CstBlob) blob = make(&options);
    CstImage *image = open_image(blob, CST_IMAGE_WRITE, NULL);
    uint64_t before = cst_blob_sparse_used(blob);

    assert_true(cst_image_resize(image, 7 * CST_MIB, CST_PREALLOC_FULL, NULL, NULL));
    cst_image_free(image);
    assert_in_range(cst_blob_sparse_used(blob) - before, 3 * CST_MIB, 3 * CST_MIB + 256 * CST_KIB);
    assert_int_equal(check_image(blob, 0).allocated_clusters, 3);
    assert_clean(blob);
}

/* --- identity -------------------------------------------------------------------------------- */

static void only_changes_change_the_identity(void **state)
{
    const CstImageCreate options = {.capacity = 8 * CST_MIB};
    g_autoptr(CstBlob) blob = make(&options), before = cst_blob_sparse_copy(blob);
    VhdxHeader old = header_of(blob), now;
    CstBlob *guest;

    guest = open_guest(blob, 0, NULL);
    assert_byte(guest, 0, 4096, 0);
    cst_blob_unref(guest);
    guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    assert_byte(guest, 0, 4096, 0);
    assert_true(cst_blob_flush(guest, NULL));
    cst_blob_unref(guest);
    assert_same_bytes(blob, before);

    guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    put(guest, 0, 512, 1);
    now = header_of(blob);
    assert_true(now.sequence > old.sequence);
    assert_memory_not_equal(now.file_write, old.file_write, 16);
    assert_memory_not_equal(now.data_write, old.data_write, 16);
    cst_blob_unref(guest);
    assert_false(is_dirty(blob));
}

/* The guest's content is unchanged, but the file gets a new identity at the first change. */
static void another_parent_changes_the_identity_of_the_file(void **state)
{
    const CstImageCreate plain = {.capacity = CST_MIB};
    const CstImageCreate above = {.capacity = CST_MIB, .backing = "p", .backing_format = "vhdx"};
    g_autoptr(CstBlob) parent = make(&plain), below = open_guest(parent, CST_IMAGE_WRITE, NULL);

    for (int expects = 0; expects < 2; expects++) {
        g_autoptr(CstBlob) blob = make(&above);
        VhdxHeader old = header_of(blob), now;
        CstImage *image = open_image(blob, CST_IMAGE_WRITE | CST_IMAGE_SAME_CONTENT, below);

        assert_true(expects ? cst_image_expect(image, cst_guest_image(below), NULL)
                            : cst_image_set_backing(image, "q", "vhdx", below, NULL));
        cst_image_free(image);
        now = header_of(blob);
        assert_true(now.sequence > old.sequence);
        assert_memory_not_equal(now.file_write, old.file_write, 16);
        assert_memory_equal(now.data_write, old.data_write, 16);
        assert_false(is_dirty(blob));
    }
}

/* --- parents --------------------------------------------------------------------------------- */

/* 4 GiB are a chunk of 512-byte sectors: the window lies across the border of two bitmaps. */
enum { WINDOW = 6 * 1024 * 1024 };

typedef struct {
    uint64_t capacity, start;
    unsigned sector;
    uint64_t block;
} Child;

static const Child children[] = {
    {WINDOW, 0, 512, CST_MIB},
    {WINDOW, 0, 4096, CST_MIB},
    {WINDOW, 0, 512, 4 * CST_MIB},
    {4 * CST_GIB + WINDOW, 4 * CST_GIB - 3 * CST_MIB, 512, CST_MIB},
    {32 * CST_GIB + WINDOW, 32 * CST_GIB - 3 * CST_MIB, 4096, 2 * CST_MIB},
};

static CstBlob *make_child(const Child *child)
{
    const CstImageCreate options = {.capacity = child->capacity,
                                    .block_size = child->block,
                                    .sector_size = child->sector,
                                    .backing = "parent.vhdx",
                                    .backing_format = "vhdx"};

    return make(&options);
}

/* Random content of which the last MiB of the window is cut off: the disk is longer. */
static CstBlob *make_parent(const Child *child, GRand *rand, uint8_t *model)
{
    CstBlob *parent = cst_blob_sparse_new(child->start + WINDOW - CST_MIB);

    for (size_t i = 0; i < WINDOW; i++)
        model[i] = i < WINDOW - CST_MIB ? (uint8_t)g_rand_int(rand) : 0;
    assert_true(cst_blob_pwrite(parent, model, WINDOW - CST_MIB, child->start, NULL));
    return parent;
}

static void change(GRand *rand, CstBlob *guest, uint64_t start, uint8_t *model)
{
    uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, WINDOW);
    uint64_t length = (uint64_t)g_rand_int_range(rand, 1, g_rand_boolean(rand) ? 9000 : 2500000);
    int kind = g_rand_int_range(rand, 0, 6);

    if (g_rand_boolean(rand))
        offset = offset / CST_MIB * CST_MIB;
    length = MIN(length, WINDOW - offset);
    memset(model + offset, kind < 3 ? g_rand_int_range(rand, 1, 256) : 0, length);
    if (kind < 3)
        assert_true(cst_blob_pwrite(guest, model + offset, length, start + offset, NULL));
    else if (kind < 5)
        assert_true(
            cst_blob_zero(guest, start + offset, length, kind == 3 ? CST_ZERO_MAY_UNMAP : 0, NULL));
    else {
        assert_true(cst_blob_discard(guest, start + offset, length, NULL));
        assert_true(cst_blob_pread(guest, model + offset, length, start + offset, NULL));
    }
}

static void assert_window(CstBlob *guest, uint64_t start, const uint8_t *model)
{
    g_autofree uint8_t *seen = g_malloc(WINDOW);

    assert_true(cst_blob_pread(guest, seen, WINDOW, start, NULL));
    assert_memory_equal(seen, model, WINDOW);
    for (uint64_t at = 0; at < WINDOW;) {
        CstExtent extent;

        assert_true(cst_blob_extent(guest, start + at, WINDOW - at, &extent, NULL));
        if (extent.flags & CST_EXTENT_ZERO)
            assert_true(cst_bytes_are_zero(model + at, extent.length));
        at += extent.length;
    }
}

static void random_work_over_a_parent_equals_a_plain_array(void **state)
{
    g_autofree uint8_t *model = g_malloc(WINDOW);

    for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
        const Child *child = &children[i];
        g_autoptr(GRand) rand = g_rand_new_with_seed((guint32)i);
        g_autoptr(CstBlob) blob = make_child(child), parent = make_parent(child, rand, model);

        for (int round = 0; round < 4; round++) {
            g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE, parent);

            assert_window(guest, child->start, model);
            for (int step = 0; step < 8; step++)
                change(rand, guest, child->start, model);
            assert_window(guest, child->start, model);
            assert_true(cst_blob_flush(guest, NULL));
        }
        assert_clean(blob);
    }
}

enum { LANES = 4, LANE = 700 * 1024 + 77 };

typedef struct {
    CstBlob *guest;
    unsigned number;
} Lane;

static void *work_in_lane(void *data)
{
    Lane *lane = data;
    uint8_t buf[9000];

    memset(buf, (int)lane->number + 1, sizeof(buf));
    for (unsigned at = 0; at + sizeof(buf) <= LANE; at += sizeof(buf)) {
        g_assert_true(
            cst_blob_pwrite(lane->guest, buf, sizeof(buf), lane->number * LANE + at, NULL));
        if (at / sizeof(buf) % 16 == 0)
            g_assert_true(cst_blob_flush(lane->guest, NULL));
    }
    return NULL;
}

/* Neighbours share blocks, sectors and bitmaps at the borders of their lanes. */
static void threads_over_a_parent_do_not_disturb_each_other(void **state)
{
    static const unsigned sectors[] = {512, 4096};

    for (size_t i = 0; i < G_N_ELEMENTS(sectors); i++) {
        const Child child = {4 * CST_MIB, 0, sectors[i], CST_MIB};
        g_autoptr(CstBlob) blob = make_child(&child), parent = cst_blob_sparse_new(0);
        CstBlob *guest;
        Lane lanes[LANES];
        GThread *threads[LANES];

        put(parent, 0, 4 * CST_MIB, 9);
        guest = open_guest(blob, CST_IMAGE_WRITE, parent);
        for (unsigned n = 0; n < LANES; n++) {
            lanes[n] = (Lane){guest, n};
            threads[n] = g_thread_new("lane", work_in_lane, &lanes[n]);
        }
        for (unsigned n = 0; n < LANES; n++)
            g_thread_join(threads[n]);
        for (unsigned n = 0; n < LANES; n++) {
            assert_byte(guest, n * LANE, LANE / 9000 * 9000, (int)n + 1);
            assert_byte(guest, n * LANE + LANE / 9000 * 9000, LANE % 9000, 9);
        }
        cst_blob_unref(guest);
        assert_clean(blob);
    }
}

static void a_parent_is_reported_and_never_followed(void **state)
{
    static const char *const names[] = {"parent.vhdx", "../up/\xc3\xa9t\xc3\xa9.vhdx",
                                        "/abs/p.vhdx", "C:\\disks\\p.vhdx"};

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const CstImageCreate options = {
            .capacity = CST_MIB, .backing = names[i], .backing_format = "vhdx"};
        g_autoptr(CstBlob) blob = make(&options);
        g_auto(CstImageInfo) info = {0};

        assert_true(cst_image_inspect(blob, vhdx(), &info, NULL));
        assert_string_equal(info.backing, names[i]);
        assert_string_equal(info.backing_format, "vhdx");
        assert_string_equal(info.subformat, "differencing");
    }
}

static gboolean holds_utf16(CstBlob *blob, const char *text)
{
    g_autofree gunichar2 *wide = g_utf8_to_utf16(text, -1, NULL, NULL, NULL);
    g_autofree uint8_t *raw = g_malloc(CST_MIB);

    assert_true(cst_blob_pread(blob, raw, CST_MIB, 2 * CST_MIB, NULL));
    return memmem(raw, CST_MIB, wide, strlen(text) * 2) != NULL;
}

static void the_parents_identity_is_kept_and_checked(void **state)
{
    const CstImageCreate plain = {.capacity = CST_MIB};
    g_autoptr(CstBlob) parent = make(&plain), child = NULL;
    g_autoptr(CstBlob) guest = open_guest(parent, 0, NULL);
    const CstImageCreate options = {.capacity = CST_MIB,
                                    .backing = "parent.vhdx",
                                    .backing_format = "vhdx",
                                    .backing_guest = guest};
    VhdxHeader header = header_of(parent);
    const uint8_t *g = header.data_write;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = g_strdup_printf(
        "{%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x}", g[3], g[2], g[1],
        g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]);

    child = make(&options);
    assert_true(holds_utf16(child, text));
    cst_image_free(cst_image_open(child, vhdx(), 0, guest, &error));
    assert_null(error);
    g_clear_pointer(&guest, cst_blob_unref);
    guest = open_guest(parent, CST_IMAGE_WRITE, NULL);
    put(guest, 0, 512, 1);
    assert_true(cst_blob_flush(guest, NULL));
    assert_null(cst_image_open(child, vhdx(), 0, guest, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
}

static void child_without_its_parent_shows_only_its_own_blocks(void **state)
{
    g_autoptr(CstBlob) blob = make_child(&children[1]);
    g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE, NULL);
    g_autoptr(GError) error = NULL;
    uint8_t buf[4096];

    put(guest, 8192, 4096, 3);
    assert_byte(guest, 8192, 4096, 3);
    assert_false(cst_blob_pread(guest, buf, 1, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
    assert_false(cst_blob_pwrite(guest, buf, 512, 0, NULL)); /* part of a sector of 4096 bytes */
    assert_true(cst_blob_zero(guest, CST_MIB, CST_MIB, 0, NULL));
    assert_byte(guest, CST_MIB, CST_MIB, 0);
}

static void a_longer_parent_does_not_show_in_grown_space(void **state)
{
    static const uint64_t sizes[] = {CST_MIB + 4096, 3 * CST_MIB};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const Child child = {sizes[i], 0, 512, CST_MIB};
        g_autoptr(CstBlob) blob = make_child(&child), parent = cst_blob_sparse_new(0), guest = NULL;
        CstImage *image;

        put(parent, 0, 6 * CST_MIB, 9);
        image = open_image(blob, CST_IMAGE_WRITE, parent);
        assert_true(cst_image_resize(image, 8 * CST_MIB, CST_PREALLOC_OFF, NULL, NULL));
        guest = cst_image_guest_blob(image);
        assert_byte(guest, 0, sizes[i], 9);
        assert_byte(guest, sizes[i], 8 * CST_MIB - sizes[i], 0);
    }
}

static void zeroing_whole_blocks_over_a_parent_allocates_no_space(void **state)
{
    const Child child = {4 * CST_GIB, 0, 512, CST_MIB};
    g_autoptr(CstBlob) blob = make_child(&child), parent = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE, parent);
    uint64_t before = cst_blob_sparse_used(blob);

    assert_true(cst_blob_resize(parent, 4 * CST_GIB, NULL));
    assert_true(cst_blob_zero(guest, 0, 4 * CST_GIB, 0, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(cst_blob_sparse_used(blob) < before + 2 * CST_MIB);
}

/* A block of the child keeps its place, so that it is neither lost nor leaked. */
static void zeroing_blocks_of_the_child_leaks_no_block(void **state)
{
    const Child child = {4 * CST_MIB, 0, 512, CST_MIB};
    g_autoptr(CstBlob) blob = make_child(&child), parent = cst_blob_sparse_new(0);
    CstBlob *guest = open_guest(blob, CST_IMAGE_WRITE, parent);

    put(parent, 0, 4 * CST_MIB, 9);
    put(guest, CST_MIB, CST_MIB, 1);         /* all of a block */
    put(guest, 2 * CST_MIB + 4096, 4096, 2); /* a part of one */
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(cst_blob_zero(guest, CST_MIB, 3 * CST_MIB, 0, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    cst_blob_unref(guest);
    assert_clean(blob);
    guest = open_guest(blob, 0, parent);
    assert_byte(guest, 0, CST_MIB, 9);
    assert_byte(guest, CST_MIB, 3 * CST_MIB, 0);
    cst_blob_unref(guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_block_and_sector_size_is_made_and_opens),
        cmocka_unit_test(a_capacity_is_rounded_up_to_whole_sectors),
        cmocka_unit_test(sector_size_is_kept_by_a_conversion_or_it_is_refused),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(largest_disk_costs_only_the_written_blocks),
        cmocka_unit_test(a_table_that_gets_too_short_moves),
        cmocka_unit_test(space_of_a_smaller_disk_is_given_back_and_used_again),
        cmocka_unit_test(added_capacity_can_be_preallocated_in_full),
        cmocka_unit_test(only_changes_change_the_identity),
        cmocka_unit_test(another_parent_changes_the_identity_of_the_file),
        cmocka_unit_test(random_work_over_a_parent_equals_a_plain_array),
        cmocka_unit_test(threads_over_a_parent_do_not_disturb_each_other),
        cmocka_unit_test(a_parent_is_reported_and_never_followed),
        cmocka_unit_test(the_parents_identity_is_kept_and_checked),
        cmocka_unit_test(child_without_its_parent_shows_only_its_own_blocks),
        cmocka_unit_test(a_longer_parent_does_not_show_in_grown_space),
        cmocka_unit_test(zeroing_whole_blocks_over_a_parent_allocates_no_space),
        cmocka_unit_test(zeroing_blocks_of_the_child_leaks_no_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
