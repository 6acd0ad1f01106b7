/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Damaged and hostile VMDK images: refusals, the findings of a check, the result of a repair. */
#include "vmdk/header.h"
#include "vmdk_images.h"

static void hostile_headers_are_refused(void **state)
{
    static const struct {
        uint32_t at, value;
    } bad[] = {
        {0, 0},
        {AT_VERSION, 0},
        {AT_VERSION, 4},
        {AT_CAPACITY + 4, 0xffffffff}, /* CVE-2014-0143: sizes that overflow */
        {AT_CAPACITY + 4, 0x1000},     /* more tables than the file has */
        {AT_GRAIN, 0},
        {AT_GRAIN, 100},
        {AT_GRAIN + 4, 1},
        {AT_TEXT, 0x7fffffff},
        {AT_TEXT + 4, 0xffffffff},
        {AT_TEXT_LEN + 4, 0xffffffff},
        {AT_GTES, 0},
        {AT_GTES, 513},
        {AT_GTES, 0xffffffff},
        {AT_GD, 0},
        {AT_GD, 0x7fffffff},
        {AT_GD + 4, 0xffffffff},
        {AT_RGD, 0},
        {AT_RGD, 0x7fffffff},
        {AT_NEWLINES, 0x0a0d0a20},   /* as FTP leaves them */
        {AT_OVERHEAD + 4, 0x800000}, /* times 512 it overflows */
        {AT_FLAGS, 0x10003},         /* compressed by an unknown method */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = five_grains();
        CstImageCheck found;

        put32(blob, bad[i].at, bad[i].value);
        if (cst_image_open(blob, vmdk(), CST_IMAGE_WRITE, NULL, NULL))
            fail_msg("case %zu passed", i);
        if (bad[i].at < AT_TEXT || bad[i].at >= AT_GTES) /* a check needs no text */
            assert_false(cst_image_check(blob, vmdk(), 0, &found, NULL, NULL));
    }
}

/* CVE-2014-0144 and similar: memory of the claimed size is not allocated. */
static void huge_directory_in_a_short_file_costs_no_memory(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    g_autoptr(GError) error = NULL;

    put32(blob, AT_CAPACITY + 4, 0x00001000);
    assert_null(cst_image_open(blob, vmdk(), 0, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
}

static void files_that_are_cut_off_are_refused(void **state)
{
    for (uint64_t size = 0; size < 24 * 512; size += 500) {
        g_autoptr(CstBlob) blob = five_grains();

        assert_true(cst_blob_resize(blob, size, NULL));
        if (cst_image_open(blob, vmdk(), 0, NULL, NULL))
            fail_msg("%u bytes were enough", (unsigned)size);
    }
}

/* Grains outside the file, or over other structures. */
static void a_grain_at_a_bad_place_is_an_error_and_is_forgotten(void **state)
{
    g_autoptr(CstBlob) like = five_grains();
    const uint32_t bad[] = {
        1,                  /* text */
        get32(like, AT_GD), /* directory */
        get32(like, AT_RGD),
        0xffffffff,                                     /* outside */
        get32(like, AT_OVERHEAD) + 5 * GRAIN / 512 - 1, /* only its first sector is inside */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = five_grains();
        g_autoptr(CstBlob) guest = NULL;
        uint8_t byte;

        put_entry(blob, 2, bad[i]);
        assert_int_equal(check(blob, 0).errors, 1);
        guest = open_guest(blob);
        assert_false(cst_blob_pread(guest, &byte, 1, 2 * GRAIN, NULL));
        assert_false(cst_blob_pwrite(guest, "x", 1, 2 * GRAIN, NULL));
        assert_true(is_marked(guest, 1));
        g_clear_pointer(&guest, cst_blob_unref);
        assert_int_equal(check(blob, CST_CHECK_REPAIR_LEAKS).errors_fixed, 0);
        assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
        assert_clean(blob);
        guest = open_guest(blob);
        assert_true(cst_blob_pread(guest, &byte, 1, 2 * GRAIN, NULL));
        assert_int_equal(byte, 0);
        assert_true(is_marked(guest, 1) && is_marked(guest, 3));
    }
}

static void grains_that_share_a_place_are_copied(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    uint32_t place = get32(blob, entry_at(blob, AT_GD, 1));
    g_autoptr(CstBlob) guest = NULL;
    uint64_t value = 0;

    put_entry(blob, 3, place);
    assert_int_equal(check(blob, 0).errors, 2);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 2);
    assert_clean(blob);
    assert_int_not_equal(get32(blob, entry_at(blob, AT_GD, 1)),
                         get32(blob, entry_at(blob, AT_GD, 3)));
    guest = open_guest(blob);
    assert_true(is_marked(guest, 1));
    assert_true(cst_blob_pread(guest, &value, 8, 3 * GRAIN, NULL));
    assert_int_equal(value, 1001);
}

static void grains_that_overlap_by_a_sector_are_reported(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    uint32_t place = get32(blob, entry_at(blob, AT_GD, 1));

    put_entry(blob, 3, place - 1);
    assert_true(check(blob, 0).errors >= 2);
    check(blob, CST_CHECK_REPAIR_ALL);
    assert_clean(blob);
}

static void a_grain_over_a_table_moves_away(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    g_autoptr(CstBlob) guest = NULL;

    put_entry(blob, 3, get32(blob, get32(blob, AT_GD) * 512));
    assert_true(check(blob, 0).errors > 0); /* it reaches into the first grain as well */
    check(blob, CST_CHECK_REPAIR_ALL);
    assert_clean(blob);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 1) && is_marked(guest, 4));
}

/* --- tables ----------------------------------------------------------------------------------- */

/* Three tables of 512 grains; grains 0, 512 and 1024 are marked. */
static CstBlob *three_tables(void)
{
    CstBlob *blob = create(3 * 512 * (uint64_t)GRAIN, NULL);
    g_autoptr(CstBlob) guest = open_guest(blob);

    for (uint64_t i = 0; i < 3; i++)
        mark(guest, i * 512);
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

static void a_lost_table_comes_back_from_its_copy(void **state)
{
    static const uint32_t bad[] = {0, 1, 0xffffffff};

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = three_tables();
        uint64_t copy = i % 2 ? AT_GD : AT_RGD;
        g_autoptr(CstBlob) guest = NULL;

        put32(blob, get32(blob, copy) * 512 + 4, bad[i / 2]);
        assert_int_equal(check(blob, 0).errors, 1);
        guest = open_guest(blob);
        if (copy == AT_RGD) { /* tables that cannot be kept equal are not written */
            assert_true(is_marked(guest, 512));
            assert_false(cst_blob_pwrite(guest, "x", 1, 600 * GRAIN, NULL));
        }
        g_clear_pointer(&guest, cst_blob_unref);
        assert_int_equal(check(blob, CST_CHECK_REPAIR_ALL).errors_fixed, 1);
        assert_clean(blob);
        guest = open_guest(blob);
        assert_true(is_marked(guest, 0) && is_marked(guest, 512) && is_marked(guest, 1024));
    }
}

static void shared_grain_table_is_repaired(void **state)
{
    g_autoptr(CstBlob) blob = three_tables();
    g_autoptr(CstBlob) guest = NULL;
    uint64_t gd = get32(blob, AT_GD) * UINT64_C(512);

    put32(blob, gd + 4, get32(blob, gd)); /* a loop of sorts: the second is the first */
    assert_int_equal(check(blob, 0).errors, 2);
    check(blob, CST_CHECK_REPAIR_ALL); /* and so are the grains that they share then */
    assert_clean(blob);
    guest = open_guest(blob);
    assert_true(is_marked(guest, 0) && is_marked(guest, 1024));
}

static void outdated_redundant_table_is_repaired(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    uint64_t at = entry_at(blob, AT_RGD, 2);
    uint32_t right = get32(blob, at);
    CstImageCheck found;

    put32(blob, at, 0);
    found = check(blob, CST_CHECK_REPAIR_LEAKS);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 1);
    assert_int_equal(found.leaks_fixed, 1);
    assert_int_equal(get32(blob, at), right);
    assert_clean(blob);
}

static void unreferenced_grains_are_leaks(void **state)
{
    g_autoptr(CstBlob) blob = five_grains();
    CstImageCheck found;

    put_entry(blob, 2, 0);
    put_entry(blob, 3, 0);
    found = check(blob, 0);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 2);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 2);
    assert_clean(blob);
}

/* --- compressed grains ------------------------------------------------------------------------ */

/* Creates one compressed grain of zeroes with marks, at the sector after the header's area. */
static CstBlob *one_packed_grain(void)
{
    CstBlob *blob = create(4 * GRAIN, "streamOptimized");
    g_autoptr(CstBlob) guest = cst_image_guest_blob(
        cst_image_open(blob, vmdk(), CST_IMAGE_WRITE | CST_IMAGE_NO_BARRIERS, NULL, NULL));

    mark(guest, 1);
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

static void damaged_grains_of_a_stream_are_reported(void **state)
{
    static const struct {
        unsigned at; /* offset in the grain, whose marker has 12 bytes */
        uint32_t value;
    } bad[] = {
        {0, 999},           /* another grain's */
        {8, 0},             /* no data */
        {8, 20},            /* cut off */
        {8, 2 * GRAIN + 1}, /* longer than any */
        {8, 0xffffffff},
        {12, 0}, /* no zlib stream */
        {16, 0xffffffff},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = one_packed_grain();
        g_autoptr(CstBlob) guest = open_guest(blob);
        CstImageCheck found;
        uint8_t byte;

        put32(blob, get32(blob, AT_OVERHEAD) * 512 + bad[i].at, bad[i].value);
        assert_false(cst_blob_pread(guest, &byte, 1, GRAIN, NULL));
        assert_true(cst_blob_pread(guest, &byte, 1, 0, NULL));
        assert_int_equal(check(blob, 0).errors, 1);
        assert_false(cst_image_check(blob, vmdk(), CST_CHECK_REPAIR_ALL, &found, NULL, NULL));
    }
}

/* Where an entry of the table leads, in sectors from the file's end on. */
static void a_packed_grain_outside_the_file_is_damage(void **state)
{
    for (uint32_t behind = 0; behind < 2; behind++) {
        g_autoptr(CstBlob) blob = one_packed_grain();
        g_autoptr(CstBlob) guest = NULL;
        g_autoptr(GError) error = NULL;
        uint64_t size = 0, directory, table;
        uint8_t byte;

        assert_true(cst_blob_get_size(blob, &size, NULL));
        directory = get32(blob, size - 1024 + AT_GD) * UINT64_C(512);
        table = get32(blob, directory) * UINT64_C(512);
        put32(blob, table + 4, (uint32_t)(size / 512) + behind);
        guest = open_guest(blob);
        assert_false(cst_blob_pread(guest, &byte, 1, GRAIN, &error));
        assert_int_equal(error->code, CST_ERROR_CORRUPT);
        assert_non_null(strstr(error->message, "outside the file"));
    }
}

/* The largest disk whose size in bytes fits into 64 bits, and a larger one. */
static void capacity_that_fits_into_bytes_is_reported(void **state)
{
    const uint64_t most = VMDK_MAX_SECTORS;

    for (uint64_t sectors = most - 1; sectors <= most + 1; sectors++) {
        g_autoptr(CstBlob) blob = five_grains();
        g_auto(CstImageInfo) info = {0};

        put32(blob, AT_CAPACITY, (uint32_t)sectors);
        put32(blob, AT_CAPACITY + 4, (uint32_t)(sectors >> 32));
        assert_true(cst_image_inspect(blob, vmdk(), &info, NULL));
        assert_int_equal(info.capacity, sectors <= most ? sectors * 512 : 0);
    }
}

static void hostile_footers_are_refused(void **state)
{
    static const struct {
        unsigned from_end, value;
    } bad[] = {
        {1536, 2},             /* the marker's length */
        {1536 - 12, 2},        /* its kind */
        {1024, 0},             /* the header's magic */
        {1024 - AT_GRAIN, 64}, /* it differs from the one in front */
        {1024 - AT_CAPACITY, 0x7fffffff},
        {1024 - AT_GD, 0xffffffff},
        {1024 - AT_GTES, 1},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(CstBlob) blob = one_packed_grain();
        uint64_t size = 0;

        assert_true(cst_blob_get_size(blob, &size, NULL));
        put32(blob, size - bad[i].from_end, bad[i].value);
        if (cst_image_open(blob, vmdk(), 0, NULL, NULL))
            fail_msg("case %zu passed", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(huge_directory_in_a_short_file_costs_no_memory),
        cmocka_unit_test(files_that_are_cut_off_are_refused),
        cmocka_unit_test(a_grain_at_a_bad_place_is_an_error_and_is_forgotten),
        cmocka_unit_test(grains_that_share_a_place_are_copied),
        cmocka_unit_test(grains_that_overlap_by_a_sector_are_reported),
        cmocka_unit_test(a_grain_over_a_table_moves_away),
        cmocka_unit_test(a_lost_table_comes_back_from_its_copy),
        cmocka_unit_test(shared_grain_table_is_repaired),
        cmocka_unit_test(outdated_redundant_table_is_repaired),
        cmocka_unit_test(unreferenced_grains_are_leaks),
        cmocka_unit_test(damaged_grains_of_a_stream_are_reported),
        cmocka_unit_test(a_packed_grain_outside_the_file_is_damage),
        cmocka_unit_test(capacity_that_fits_into_bytes_is_reported),
        cmocka_unit_test(hostile_footers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
