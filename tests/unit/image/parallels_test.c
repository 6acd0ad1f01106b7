/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Parallels images: the in-use mark, damage and its repair, other capacities, and images of old
 * programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "../blob_size.h"
#include "bytes.h"

enum {
    CLUSTER = 4096,
    CLUSTERS = 5,
    AT_ENTRIES = 32,
    AT_IN_USE = 44,
    AT_DATA = 48,
    AT_FLAGS = 52,
    AT_EXTENSION = 56,
    TABLE = 64,
    OLD_CLUSTER = 63 * 512
};

#define IN_USE 0x746f6e59u

static const CstImageFormat *parallels(void)
{
    return cst_image_format_find("parallels", NULL);
}

static uint32_t get(CstBlob *blob, uint64_t at)
{
    uint8_t raw[4];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), at, NULL));
    return cst_le32(raw);
}

static void put(CstBlob *blob, uint64_t at, uint32_t value)
{
    uint8_t raw[4];

    cst_put_le32(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), at, NULL));
}

static CstBlob *open_guest(CstBlob *blob, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, parallels(), flags, NULL, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return cst_image_guest_blob(image);
}

/* Cluster n begins with the letter. */
static void mark(CstBlob *guest, uint64_t n, uint64_t cluster)
{
    assert_true(cst_blob_pwrite(guest, &"abcde"[n], 1, n * cluster, NULL));
}

static void assert_reads(CstBlob *blob, uint64_t cluster, const char *letters)
{
    g_autoptr(CstBlob) guest = open_guest(blob, 0);

    for (uint64_t n = 0; letters[n]; n++) {
        char seen = 'x';

        assert_true(cst_blob_pread(guest, &seen, 1, n * cluster, NULL));
        assert_int_equal(seen, letters[n] == '.' ? '\0' : letters[n]);
    }
}

/* Cluster n of the guest is cluster n + 1 of the file. */
static CstBlob *make(void)
{
    const CstImageCreate options = {.capacity = CLUSTERS * CLUSTER, .cluster_size = CLUSTER};
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_image_create(blob, parallels(), &options, NULL, NULL));
    guest = open_guest(blob, CST_IMAGE_WRITE);
    for (uint64_t n = 0; n < CLUSTERS; n++)
        mark(guest, n, CLUSTER);
    return blob;
}

/*
 * An image as old programs made it: clusters of 63 sectors, offsets in sectors, data after the
 * table.
 */
static CstBlob *make_old(void)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_blob_resize(blob, 512, NULL));
    assert_true(cst_blob_pwrite(blob, "WithoutFreeSpace\2", 17, 0, NULL));
    put(blob, 28, 63);
    put(blob, AT_ENTRIES, CLUSTERS);
    put(blob, 36, CLUSTERS * 63);
    guest = open_guest(blob, CST_IMAGE_WRITE);
    for (uint64_t n = 0; n < CLUSTERS; n++)
        mark(guest, n, OLD_CLUSTER);
    return blob;
}

static CstImageCheck check(CstBlob *blob, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};

    if (!cst_image_check(blob, parallels(), flags, &found, NULL, &error))
        fail_msg("check: %s", error->message);
    return found;
}

static void assert_clean(CstBlob *blob)
{
    CstImageCheck found = check(blob, 0);

    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
}

/* --- in use ----------------------------------------------------------------------------------- */

static void the_image_is_in_use_from_the_first_change_to_its_end(void **state)
{
    g_autoptr(CstBlob) blob = make();

    for (int change = 0; change < 4; change++) {
        g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE);

        assert_int_equal(get(blob, AT_IN_USE), 0);
        if (change == 0)
            mark(guest, 0, CLUSTER);
        else if (change == 1)
            assert_true(cst_blob_zero(guest, 0, CLUSTER, 0, NULL));
        else if (change == 2)
            assert_true(cst_blob_discard(guest, 0, CLUSTER, NULL));
        else
            assert_true(cst_blob_flush(guest, NULL));
        assert_int_equal(get(blob, AT_IN_USE), change < 3 ? IN_USE : 0);
    }
    assert_int_equal(get(blob, AT_IN_USE), 0);
}

static void write_clears_the_empty_disk_flag(void **state)
{
    g_autoptr(CstBlob) blob = make();
    g_autoptr(CstBlob) guest = NULL;

    put(blob, AT_FLAGS, 3);
    guest = open_guest(blob, CST_IMAGE_WRITE);
    mark(guest, 0, CLUSTER);
    assert_int_equal(get(blob, AT_FLAGS), 2);
}

static void the_mark_stays_when_not_all_is_written(void **state)
{
    g_autoptr(CstBlob) inner = make(), blob = cst_blob_fault_new(inner);
    CstBlob *guest;

    put(inner, TABLE, 0);
    guest = open_guest(blob, CST_IMAGE_WRITE);
    mark(guest, 0, CLUSTER);
    cst_blob_fault_arm(blob, CST_FAULT_WRITE, 1, CST_FAULT_ONCE);
    cst_blob_unref(guest);
    assert_int_equal(get(inner, AT_IN_USE), IN_USE);
}

static void a_place_that_could_not_be_written_is_used_again(void **state)
{
    g_autoptr(CstBlob) inner = make(), blob = cst_blob_fault_new(inner);
    g_autoptr(CstBlob) guest = NULL;

    put(inner, TABLE + 16, 0);
    guest = open_guest(blob, CST_IMAGE_WRITE);
    mark(guest, 0, CLUSTER);
    cst_blob_fault_arm(blob, CST_FAULT_WRITE, 1, CST_FAULT_ONCE);
    assert_false(cst_blob_pwrite(guest, "e", 1, 4 * CLUSTER, NULL));
    mark(guest, 4, CLUSTER);
    cst_blob_unref(g_steal_pointer(&guest));
    assert_int_equal(get(inner, TABLE + 16), 5);
    assert_reads(inner, CLUSTER, "abcde");
}

static void opening_for_writing_repairs_an_unclosed_image(void **state)
{
    g_autoptr(CstBlob) blob = make();
    g_autoptr(CstBlob) guest = NULL;

    put(blob, AT_IN_USE, IN_USE);
    put(blob, TABLE + 4, 1);    /* cluster 1 is where 0 is */
    put(blob, TABLE + 8, 1000); /* cluster 2 is outside the file */
    assert_int_equal(check(blob, 0).errors, 3);
    guest = open_guest(blob, CST_IMAGE_WRITE);
    assert_int_equal(get(blob, AT_IN_USE), 0);
    cst_blob_unref(g_steal_pointer(&guest));
    assert_reads(blob, CLUSTER, "aa.de");
    assert_int_equal(check(blob, 0).errors, 0);
}

static void repair_of_leaks_alone_keeps_the_in_use_mark(void **state)
{
    g_autoptr(CstBlob) blob = make();
    uint64_t before = size_of(blob);
    CstImageCheck found;

    put(blob, AT_IN_USE, IN_USE);
    assert_true(cst_blob_resize(blob, before + 2 * CLUSTER, NULL));
    found = check(blob, CST_CHECK_REPAIR_LEAKS);
    assert_int_equal(found.errors - found.errors_fixed, 1);
    assert_int_equal(found.leaks_fixed, 2);
    assert_int_equal(get(blob, AT_IN_USE), IN_USE);
    assert_int_equal(size_of(blob), before);
    check(blob, CST_CHECK_REPAIR_ALL);
    assert_int_equal(get(blob, AT_IN_USE), 0);
    assert_clean(blob);
}

/* A repair writes the mark to the disk before any other change. */
static void a_repair_is_marked_before_its_first_change(void **state)
{
    static const CstFaultKind first[] = {CST_FAULT_WRITE, CST_FAULT_FLUSH};

    for (int leak = 0; leak < 2; leak++)
        for (size_t i = 0; i < G_N_ELEMENTS(first); i++) {
            g_autoptr(CstBlob) inner = make(), blob = cst_blob_fault_new(inner);
            uint64_t size = size_of(inner) + leak * CLUSTER;
            CstImageCheck found = {0};

            assert_true(cst_blob_resize(inner, size, NULL));
            put(inner, TABLE + 4, leak ? 2 : 1);
            /* the second write, or the flush that is to come before it */
            cst_blob_fault_arm(blob, first[i], first[i] == CST_FAULT_WRITE ? 2 : 1, CST_FAULT_CUT);
            assert_false(
                cst_image_check(blob, parallels(), CST_CHECK_REPAIR_ALL, &found, NULL, NULL));
            assert_int_equal(get(inner, AT_IN_USE), IN_USE);
            assert_int_equal(get(inner, TABLE + 4), leak ? 2 : 1);
            assert_int_equal(size_of(inner), size);
        }
}

/* A leaked cluster may be the one that a wrong entry should refer to. */
static void leaks_are_kept_while_there_are_errors(void **state)
{
    g_autoptr(CstBlob) blob = make();
    uint64_t size = size_of(blob) + 2 * CLUSTER;
    CstImageCheck found;

    assert_true(cst_blob_resize(blob, size, NULL));
    put(blob, TABLE + 4, 1);
    found = check(blob, CST_CHECK_REPAIR_LEAKS);
    assert_int_equal(found.errors, 1);
    assert_int_equal(found.leaks, 2);
    assert_int_equal(found.leaks_fixed, 0);
    assert_int_equal(size_of(blob), size);
}

/* --- damage ----------------------------------------------------------------------------------- */

/* New clusters are never put where an entry points, and no writer makes a shared one worse. */
static void a_writer_needs_a_sound_table_to_allocate(void **state)
{
    static const uint32_t places[] = {1, 1000, UINT32_MAX};

    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(CstBlob) blob = make();
        g_autoptr(CstBlob) guest = NULL;
        g_autoptr(GError) error = NULL;

        put(blob, TABLE + 4, places[i]);
        put(blob, TABLE + 8, 0);
        guest = open_guest(blob, CST_IMAGE_WRITE);
        assert_false(cst_blob_pwrite(guest, "x", 1, 2 * CLUSTER, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
        cst_blob_unref(g_steal_pointer(&guest));
        assert_reads(blob, CLUSTER, "a");
    }
}

/* A place inside the table: writing there would be writing entries. */
static void the_table_is_no_place_for_data(void **state)
{
    g_autoptr(CstBlob) blob = make_old();
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_blob_resize(blob, 64 * CST_KIB + size_of(blob), NULL));
    put(blob, AT_ENTRIES, 5000);
    put(blob, TABLE + 16, 1);
    guest = open_guest(blob, CST_IMAGE_WRITE);
    assert_false(cst_blob_pwrite(guest, "x", 1, 4 * OLD_CLUSTER, NULL));
    assert_int_equal(get(blob, 512), 'a');
}

static void clusters_that_overlap_are_parted(void **state)
{
    g_autoptr(CstBlob) blob = make_old();
    CstImageCheck found;

    put(blob, TABLE + 8, get(blob, TABLE + 4));       /* cluster 2 is where 1 is */
    put(blob, TABLE + 16, get(blob, TABLE + 12) - 1); /* cluster 4 begins a sector before 3 */
    found = check(blob, 0);
    assert_int_equal(found.errors, 2);
    assert_int_equal(found.allocated_clusters, 3);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 2);
    assert_clean(blob);
    assert_reads(blob, OLD_CLUSTER, "abbd.");
    {
        g_autoptr(CstBlob) guest = open_guest(blob, CST_IMAGE_WRITE);

        assert_true(cst_blob_pwrite(guest, "X", 1, 2 * OLD_CLUSTER, NULL));
    }
    assert_reads(blob, OLD_CLUSTER, "abXd.");
}

/* --- extensions ------------------------------------------------------------------------------- */

static void an_extension_is_neither_made_untrue_nor_cut_off(void **state)
{
    g_autoptr(CstBlob) blob = make();
    g_autoptr(GError) error = NULL;
    CstImageCheck found;

    assert_true(cst_blob_resize(blob, 7 * CLUSTER, NULL));
    put(blob, AT_EXTENSION, 6 * CLUSTER / 512);
    assert_reads(blob, CLUSTER, "abcde");
    assert_null(cst_image_open(blob, parallels(), CST_IMAGE_WRITE, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    assert_non_null(strstr(error->message, "convert"));
    assert_int_equal(check(blob, 0).leaks, 0);
    assert_false(cst_image_check(blob, parallels(), CST_CHECK_REPAIR_ALL, &found, NULL, NULL));
    assert_int_equal(size_of(blob), 7 * CLUSTER);
}

/* --- capacities ------------------------------------------------------------------------------- */

static gboolean resize(CstBlob *blob, uint64_t capacity, CstPreallocation preallocation)
{
    g_autoptr(CstImage) image = cst_image_open(blob, parallels(), CST_IMAGE_WRITE, NULL, NULL);

    return cst_image_resize(image, capacity, preallocation, NULL, NULL) &&
           cst_image_flush(image, NULL);
}

/* 2000 entries reach into the cluster after the one that five need; so do 200 with sectors. */
static void clusters_make_room_for_a_longer_table(void **state)
{
    g_autoptr(CstBlob) blob = make(), old = make_old();

    assert_true(resize(blob, 2000 * CLUSTER, CST_PREALLOC_OFF));
    assert_int_equal(get(blob, TABLE), 6);
    assert_int_equal(get(blob, TABLE + 4), 2);
    assert_int_equal(get(blob, AT_DATA), 2 * CLUSTER / 512);
    assert_int_equal(get(blob, TABLE + 1999 * 4), 0);
    assert_clean(blob);
    assert_reads(blob, CLUSTER, "abcde.");

    assert_int_equal(get(old, TABLE), 1);
    assert_true(resize(old, 200 * OLD_CLUSTER, CST_PREALLOC_OFF));
    assert_int_equal(get(old, TABLE), 1 + 5 * 63);
    assert_int_equal(get(old, TABLE + 4), 1 + 63);
    assert_int_equal(get(old, AT_DATA), 1 + 63);
    assert_clean(old);
    assert_reads(old, OLD_CLUSTER, "abcde.");
}

/* The only cluster lies in front of where the longer table ends. */
static void cluster_moves_after_a_table_longer_than_the_file(void **state)
{
    const CstImageCreate options = {.capacity = CLUSTER, .cluster_size = CLUSTER};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;

    assert_true(cst_image_create(blob, parallels(), &options, NULL, NULL));
    guest = open_guest(blob, CST_IMAGE_WRITE);
    mark(guest, 0, CLUSTER);
    cst_blob_unref(g_steal_pointer(&guest));
    assert_true(resize(blob, 5000 * CLUSTER, CST_PREALLOC_OFF));
    assert_int_equal(get(blob, TABLE), 5);
    assert_reads(blob, CLUSTER, "a....");
    assert_clean(blob);
}

/* The freed cluster lies where the longer table is now. */
static void longer_table_is_not_used_for_a_cluster_of_a_failed_write(void **state)
{
    const CstImageCreate options = {.capacity = CLUSTER, .cluster_size = CLUSTER};
    g_autoptr(CstBlob) inner = cst_blob_sparse_new(0), blob = cst_blob_fault_new(inner);
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image;

    assert_true(cst_image_create(inner, parallels(), &options, NULL, NULL));
    image = cst_image_open(blob, parallels(), CST_IMAGE_WRITE, NULL, NULL);
    cst_blob_fault_arm(blob, CST_FAULT_WRITE, 2, CST_FAULT_ONCE); /* after the mark's write */
    guest = cst_image_guest_blob(image);
    assert_false(cst_blob_pwrite(guest, "a", 1, 0, NULL));
    assert_true(cst_image_resize(image, 2000 * CLUSTER, CST_PREALLOC_OFF, NULL, NULL));
    mark(guest, 1, CLUSTER);
    cst_blob_unref(g_steal_pointer(&guest));
    assert_int_equal(get(inner, TABLE + 4), 2);
    assert_reads(inner, CLUSTER, ".b...");
    assert_clean(inner);
}

/* Entries after the end, and bytes of the last cluster after the end, may have any value. */
static void added_capacity_reads_as_zero(void **state)
{
    g_autoptr(CstBlob) blob = make();
    uint8_t junk = 'j';

    assert_true(resize(blob, 3 * CLUSTER + 512, CST_PREALLOC_OFF));
    put(blob, AT_ENTRIES, 6);
    put(blob, TABLE + 20, 2);
    assert_true(cst_blob_pwrite(blob, &junk, 1, 4 * CLUSTER + 1024, NULL));
    assert_false(resize(blob, 6 * CLUSTER, CST_PREALLOC_OFF)); /* shares a cluster */
    put(blob, TABLE + 20, 4);
    put(blob, TABLE + 12, 0);
    assert_true(resize(blob, 6 * CLUSTER, CST_PREALLOC_OFF));
    assert_reads(blob, CLUSTER, "abc...");

    put(blob, TABLE + 12, 4);
    assert_true(resize(blob, 3 * CLUSTER + 512, CST_PREALLOC_OFF));
    assert_true(cst_blob_pwrite(blob, &junk, 1, 4 * CLUSTER + 1024, NULL));
    assert_true(resize(blob, 6 * CLUSTER, CST_PREALLOC_OFF));
    {
        g_autoptr(CstBlob) guest = open_guest(blob, 0);

        assert_true(cst_blob_pread(guest, &junk, 1, 3 * CLUSTER + 1024, NULL));
        assert_int_equal(junk, 0);
    }
}

static void shrinking_gives_the_space_back(void **state)
{
    g_autoptr(CstBlob) inner = make(), blob = cst_blob_fault_new(inner);

    put(blob, TABLE, 4); /* cluster 3 lies before the other clusters */
    put(blob, TABLE + 12, 1);
    assert_true(cst_blob_fault_track(blob, NULL)); /* discarding is seen */
    assert_true(resize(blob, 3 * CLUSTER, CST_PREALLOC_OFF));
    assert_int_equal(get(blob, AT_ENTRIES), 3);
    assert_int_equal(size_of(blob), 5 * CLUSTER);
    assert_int_equal(get(blob, CLUSTER), 0xdddddddd);
    assert_int_equal(get(blob, 2 * CLUSTER - 4), 0xdddddddd);
    assert_reads(blob, CLUSTER, "dbc");
    assert_clean(blob);
}

static void added_capacity_can_be_preallocated(void **state)
{
    g_autoptr(CstBlob) blob = make();

    assert_true(resize(blob, 8 * CLUSTER, CST_PREALLOC_METADATA));
    assert_int_equal(get(blob, TABLE + 7 * 4), 8);
    assert_int_equal(size_of(blob), 9 * CLUSTER);
    assert_reads(blob, CLUSTER, "abcde...");
    assert_clean(blob);
}

static void limits_are_the_limits_of_the_header_fields(void **state)
{
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0), old = make_old();
    CstImageCreate options = {.capacity = CST_GIB,
                              .cluster_size = UINT64_C(512) * (G_MAXINT32 / 513)};
    uint64_t most = G_MAXINT32 / 4 * UINT64_C(512);

    assert_true(cst_image_create(blob, parallels(), &options, NULL, NULL));
    options.cluster_size++;
    assert_false(cst_image_create(blob, parallels(), &options, NULL, NULL));
    options.cluster_size = 511; /* rounded up, as QEMU does it */
    options.capacity = most + 512;
    assert_false(cst_image_create(blob, parallels(), &options, NULL, NULL));
    assert_false(resize(old, 2 * CST_TIB, CST_PREALLOC_OFF));
    assert_reads(old, OLD_CLUSTER, "abcde");
}

/* A reader of an image sees data that another program has appended since. */
static void reader_sees_later_additions_of_a_writer(void **state)
{
    const CstImageCreate options = {.capacity = CLUSTERS * CLUSTER, .cluster_size = CLUSTER};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) reader = NULL, writer = NULL;
    char seen = 'x';

    assert_true(cst_image_create(blob, parallels(), &options, NULL, NULL));
    reader = open_guest(blob, 0);
    writer = open_guest(blob, CST_IMAGE_WRITE);
    mark(writer, 3, CLUSTER);
    assert_true(cst_blob_flush(writer, NULL));
    assert_true(cst_blob_pread(reader, &seen, 1, 3 * CLUSTER, NULL));
    assert_int_equal(seen, 'd');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_sees_later_additions_of_a_writer),
        cmocka_unit_test(the_image_is_in_use_from_the_first_change_to_its_end),
        cmocka_unit_test(write_clears_the_empty_disk_flag),
        cmocka_unit_test(the_mark_stays_when_not_all_is_written),
        cmocka_unit_test(a_place_that_could_not_be_written_is_used_again),
        cmocka_unit_test(opening_for_writing_repairs_an_unclosed_image),
        cmocka_unit_test(repair_of_leaks_alone_keeps_the_in_use_mark),
        cmocka_unit_test(a_repair_is_marked_before_its_first_change),
        cmocka_unit_test(leaks_are_kept_while_there_are_errors),
        cmocka_unit_test(a_writer_needs_a_sound_table_to_allocate),
        cmocka_unit_test(the_table_is_no_place_for_data),
        cmocka_unit_test(clusters_that_overlap_are_parted),
        cmocka_unit_test(an_extension_is_neither_made_untrue_nor_cut_off),
        cmocka_unit_test(clusters_make_room_for_a_longer_table),
        cmocka_unit_test(cluster_moves_after_a_table_longer_than_the_file),
        cmocka_unit_test(longer_table_is_not_used_for_a_cluster_of_a_failed_write),
        cmocka_unit_test(added_capacity_reads_as_zero),
        cmocka_unit_test(shrinking_gives_the_space_back),
        cmocka_unit_test(added_capacity_can_be_preallocated),
        cmocka_unit_test(limits_are_the_limits_of_the_header_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
