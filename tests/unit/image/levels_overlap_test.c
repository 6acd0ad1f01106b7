/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Overlaps in a qcow (version 1) or QED image. An L2 table may overlap the header or the L1 table:
 * writes of a guest and changes of a repair must not end up in the header. A cluster may reach
 * over the end of the file, where new clusters are allocated.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <image/image.h>

#include "levels_images.h"
#include "listed.h"

enum { CLUSTER = 4096, AT_L1 = 40 /* of its offset, in both */, HEAD_MAX = 2 * CLUSTER + 16 };

typedef struct {
    const char *format;
    uint64_t l1;       /* where the L1 table lies */
    uint64_t table;    /* the L2 table's offset in the first entry of the L1 table */
    gboolean harmless; /* a place that is as good as any other */
} Place;

/* The header of qcow ends at 48. An L1 table of two entries is at 64. */
static const Place places[] = {
    {"qcow", 48, 47, FALSE},          {"qcow", 48, 63, FALSE},
    {"qcow", 48, 64, TRUE},           {"qcow", 2 * CLUSTER, 4, FALSE},
    {"qcow", 2 * CLUSTER, 47, FALSE}, {"qcow", 2 * CLUSTER, 48, TRUE},
    {"qed", CLUSTER, CLUSTER, FALSE},
};

static const CstImageCreate options = {
    .capacity = 4 * CST_MIB, .cluster_size = CLUSTER, .table_size = 1};

static const CstImageFormat *format_of(const Place *place)
{
    return cst_image_format_find(place->format, NULL);
}

static CstBlob *make(const Place *place)
{
    CstImageCreate how = options;
    CstBlob *blob = cst_blob_memory_new(NULL, 0);

    if (strcmp(place->format, "qcow") == 0)
        how.cluster_size = how.table_size = 0;
    assert_true(cst_image_create(blob, format_of(place), &how, NULL, NULL));
    put_word(place->format, blob, AT_L1, place->l1);
    put_word(place->format, blob, place->l1, place->table);
    assert_true(cst_blob_resize(blob, 64 * CLUSTER, NULL));
    return blob;
}

/* The header and the L1 table's first two entries, which every file has. Returns their length. */
static size_t read_head(const Place *place, CstBlob *blob, uint8_t *ret_head)
{
    size_t len = (size_t)place->l1 + 16;

    assert_true(cst_blob_pread(blob, ret_head, len, 0, NULL));
    return len;
}

static void a_guest_can_not_write_over_the_header(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(CstBlob) blob = make(&places[i]), guest = NULL;
        g_autoptr(GError) error = NULL;
        uint8_t before[HEAD_MAX], after[HEAD_MAX], byte = 1;
        gboolean written;
        size_t len;

        read_head(&places[i], blob, before);
        guest = cst_image_guest_blob(
            cst_image_open(blob, format_of(&places[i]), CST_IMAGE_WRITE, NULL, NULL));
        written = cst_blob_pwrite(guest, &byte, 1, 0, &error) && cst_blob_flush(guest, &error);
        if (written != places[i].harmless)
            fail_msg("%s at %u: %s", places[i].format, (unsigned)places[i].table,
                     error ? error->message : "written");
        if (written)
            continue;
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
        g_clear_pointer(&guest, cst_blob_unref);
        len = read_head(&places[i], blob, after);
        /* QED notes in its header that it was being written */
        memset(before + 16, 0, 8);
        memset(after + 16, 0, 8);
        assert_memory_equal(before, after, len);
    }
}

/* The repair may move the L1 table. All header fields before the table are kept. */
static void a_repair_gives_up_the_table_and_not_the_header(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autoptr(CstBlob) blob = make(&places[i]);
        uint8_t before[AT_L1], after[AT_L1];
        CstImageCheck found;

        if (places[i].harmless)
            continue;
        assert_true(cst_blob_pread(blob, before, sizeof(before), 0, NULL));
        found = check_listed(blob, format_of(&places[i]), 0);
        assert_int_equal(found.errors, 1);
        found = check_listed(blob, format_of(&places[i]), CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors_fixed, 1);
        assert_true(cst_blob_pread(blob, after, sizeof(after), 0, NULL));
        assert_memory_equal(before, after, sizeof(before));
        found = check_listed(blob, format_of(&places[i]), 0);
        assert_int_equal(found.errors, 0);
    }
}

static void an_l1_table_over_the_header_is_refused(void **state)
{
    const Place qcow = {"qcow", 48, 0, TRUE};
    g_autoptr(CstBlob) blob = make(&qcow);
    g_autoptr(GError) error = NULL;

    put_word("qcow", blob, AT_L1, 47);
    assert_null(cst_image_open(blob, format_of(&qcow), 0, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    assert_non_null(strstr(error->message, "lies over other parts"));
}

static void assert_all_is_read_after_a_repair(uint64_t end)
{
    const Place qcow = {"qcow", 48, CLUSTER, TRUE};
    enum { DATA = 2 * CLUSTER, ODD = DATA + 1536 };
    g_autoptr(CstBlob) blob = make(&qcow), guest = NULL;
    uint8_t bytes[2 * CLUSTER] = {0}, read[CLUSTER];
    CstImageCheck found;

    for (uint64_t i = 0; i < end - DATA; i++)
        bytes[i] = (uint8_t)(i / 512 + 1);
    assert_true(cst_blob_pwrite(blob, bytes, end - DATA, DATA, NULL));
    assert_true(cst_blob_resize(blob, end, NULL));
    put_word("qcow", blob, CLUSTER, ODD);
    put_word("qcow", blob, CLUSTER + 8, DATA);
    put_word("qcow", blob, CLUSTER + 16, ODD);
    found = check_listed(blob, format_of(&qcow), CST_CHECK_REPAIR_ALL);
    assert_int_equal(found.errors, 2);
    assert_int_equal(found.errors_fixed, 2);
    found = check_listed(blob, format_of(&qcow), 0);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
    guest = cst_image_guest_blob(cst_image_open(blob, format_of(&qcow), 0, NULL, NULL));
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(cst_blob_pread(guest, read, CLUSTER, i * CLUSTER, NULL));
        assert_memory_equal(read, bytes + (i == 1 ? 0 : ODD - DATA), CLUSTER);
    }
}

/*
 * Two clusters overlap, and one reaches over the end of the file. After the repair each reads as
 * before the repair, including the zeroes after the end.
 */
static void repair_copies_no_cluster_into_the_range_of_another(void **state)
{
    assert_all_is_read_after_a_repair(3 * CLUSTER);
    assert_all_is_read_after_a_repair(3 * CLUSTER - 512);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_can_not_write_over_the_header),
        cmocka_unit_test(a_repair_gives_up_the_table_and_not_the_header),
        cmocka_unit_test(repair_copies_no_cluster_into_the_range_of_another),
        cmocka_unit_test(an_l1_table_over_the_header_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
