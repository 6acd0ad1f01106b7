/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Parts of an image that overlap or lie after the end of the file. A check reports the offset. A
 * check that cannot read all structures fails, and never reports an unread image as sound.
 */
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/bitmap.h>

#include "listed.h"
#include "qcow2/state.h"
#include "qcow2_images.h"

/* More clusters are in use than one block counts. */
enum { CLUSTER = 512, SPAN = CLUSTER / 8 * CLUSTER, TABLES = 8, WRITTEN = 300 * CLUSTER };

/** The structure that a table overlaps. */
typedef enum { L1_TABLE, REFCOUNT_TABLE, REFCOUNT_BLOCK, DATA, NOTHING, PLACES } Place;

static uint64_t place_of(CstBlob *blob, Place place)
{
    uint64_t l2 = get64(blob, get64(blob, QCOW2_AT_L1_OFFSET)) & QCOW2_OFFSET_MASK;

    switch (place) {
    case L1_TABLE: return get64(blob, QCOW2_AT_L1_OFFSET);
    case REFCOUNT_TABLE: return get64(blob, QCOW2_AT_REFTABLE_OFFSET);
    case REFCOUNT_BLOCK: return get64(blob, get64(blob, QCOW2_AT_REFTABLE_OFFSET));
    case DATA: return get64(blob, l2) & QCOW2_OFFSET_MASK;
    case NOTHING:
    case PLACES: break;
    }
    return 0;
}

/* The last L1 entry leads to @place. */
static CstBlob *make(Place place)
{
    const CstImageCreate options = {.capacity = TABLES * SPAN, .cluster_size = CLUSTER};
    CstBlob *blob = cst_blob_sparse_new(0);
    uint64_t host;

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    write_guest(blob, 0, WRITTEN, 0);
    host = place_of(blob, place);
    if (host != 0)
        put64(blob, get64(blob, QCOW2_AT_L1_OFFSET) + 8 * (TABLES - 1), host | QCOW2_COPIED);
    return blob;
}

static gboolean is_told(const CstFindings *findings, const char *text)
{
    for (guint i = 0; i < cst_findings_length(findings); i++)
        if (strstr(cst_findings_get(findings, i)->text, text))
            return TRUE;
    return FALSE;
}

/* Refcount tables are rebuilt elsewhere. For other overlaps the valid user is unknown. */
static void overlapping_table_is_reported(void **state)
{
    for (Place place = 0; place < PLACES; place++) {
        g_autoptr(CstBlob) blob = make(place);
        g_autoptr(CstFindings) findings = cst_findings_new();
        uint64_t host = place_of(blob, place);
        g_autofree char *text = g_strdup_printf("a table lies at %" G_GUINT64_FORMAT, host);
        CstImageCheck found;

        assert_int_equal(check_listed(blob, qcow2(), 0).errors > 0, place != NOTHING);
        check_listed(blob, qcow2(), CST_CHECK_REPAIR_ALL);
        assert_true(cst_image_check_list(blob, qcow2(), 0, NULL, findings, &found, NULL, NULL));
        assert_int_equal(is_told(findings, text), place == L1_TABLE || place == DATA);
        assert_int_equal(place_of(blob, place) != host,
                         place == REFCOUNT_TABLE || place == REFCOUNT_BLOCK);
    }
}

/* Where the first entry of the first bitmap's table is. */
static uint64_t find_bitmap(CstBlob *blob)
{
    enum { EXTENSION = 0x23852875 };
    uint64_t at = QCOW2_V3_LENGTH + 8; /* the end of our header of version 3 */

    while (get64(blob, at) >> 32 != EXTENSION)
        at += 8;
    return get64(blob, get64(blob, at + 8 + 16));
}

/* Bitmap data in the last cluster of the file and in the cluster after it. */
static void bitmap_after_the_end_of_the_file_is_reported(void **state)
{
    for (int64_t behind = -CLUSTER; behind <= CLUSTER; behind += CLUSTER) {
        g_autoptr(CstBlob) blob = make(NOTHING);
        g_autoptr(CstFindings) findings = cst_findings_new();
        CstImage *image = open_image(blob, CST_IMAGE_WRITE);
        CstImageCheck found;
        uint64_t size = 0;

        assert_true(cst_image_bitmap_add(image, "b", 512, FALSE, NULL));
        cst_image_free(image);
        assert_true(cst_blob_get_size(blob, &size, NULL));
        size = (size + CLUSTER - 1) / CLUSTER * CLUSTER;
        put64(blob, find_bitmap(blob), size + (uint64_t)behind);
        assert_true(check_listed(blob, qcow2(), 0).errors > 0); /* the last one is in use already */
        assert_true(cst_image_check_list(blob, qcow2(), 0, NULL, findings, &found, NULL, NULL));
        assert_int_equal(is_told(findings, "past the end of the file"), behind >= 0);
    }
}

/* FALSE once the check makes fewer reads. */
static gboolean fail_read(CstBlob *inner, unsigned flags, unsigned nth)
{
    g_autoptr(CstBlob) copy = cst_blob_sparse_copy(inner), blob = cst_blob_fault_new(copy);
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};
    gboolean done;

    cst_blob_fault_arm(blob, CST_FAULT_READ, nth, CST_FAULT_ONCE);
    done = cst_image_check(blob, qcow2(), flags, &found, NULL, &error);
    if (!cst_blob_fault_struck(blob)) {
        assert_true(done);
        return FALSE;
    }
    if (done || !g_error_matches(error, CST_ERROR, CST_ERROR_IO))
        fail_msg("failing read %u: %s", nth, done ? "nobody was told" : error->message);
    return TRUE;
}

static void a_check_that_cannot_read_fails(void **state)
{
    static const unsigned flags[] = {0, CST_CHECK_REPAIR_LEAKS, CST_CHECK_REPAIR_ALL};

    for (Place place = 0; place < PLACES; place++) {
        g_autoptr(CstBlob) blob = make(place);

        for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
            for (unsigned nth = 1; fail_read(blob, flags[i], nth);)
                nth++;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlapping_table_is_reported),
        cmocka_unit_test(bitmap_after_the_end_of_the_file_is_reported),
        cmocka_unit_test(a_check_that_cannot_read_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
