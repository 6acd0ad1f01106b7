/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The header of a QED image at its limits: the last valid value of each field is read, and the
 * next one is damage with a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>
#include <blob/sparse.h>
#include <image/image.h>

#include "bytes.h"
#include "qed/qed.h"

/* The largest capacity of an image with an L1 table of one cluster. */
enum { CLUSTER = 4096, MOST = CLUSTER / 8 * (CLUSTER / 8) * CLUSTER };

/** A field at its limit. */
typedef struct {
    unsigned at, bytes;
    uint64_t good, bad;
    const char *problem;
} Limit;

static const Limit limits[] = {
    {QED_AT_CLUSTER, 4, 4096, 2048, "bad cluster size"},
    {QED_AT_CLUSTER, 4, 64 * CST_MIB, 128 * CST_MIB, "bad cluster size"},
    {QED_AT_CLUSTER, 4, 8192, 12288, "bad cluster size"},
    {QED_AT_TABLE, 4, 1, 0, "bad table size"},
    {QED_AT_TABLE, 4, 16, 32, "bad table size"},
    {QED_AT_HEADER, 4, 1, 0, "bad header size"},
    {QED_AT_HEADER, 4, G_MAXUINT32 / CLUSTER, G_MAXUINT32 / CLUSTER + 1, "bad header size"},
    {QED_AT_SIZE, 8, MOST, MOST + 512, "bad size"},
    {QED_AT_SIZE, 8, MOST, UINT64_MAX - 511, "bad size"},
    {QED_AT_SIZE, 8, 512, 513, "bad size"},
    {QED_AT_L1, 8, CLUSTER, 0, "L1 table in a bad place"},
    {QED_AT_L1, 8, 2 * CLUSTER, 2 * CLUSTER + 8, "L1 table in a bad place"},
    {QED_AT_FEATURES, 8, 0, 8, "unknown features"},
    {QED_AT_NAME, 4, CLUSTER - 10, CLUSTER - 9, "bad backing file name"},
    {QED_AT_NAME, 4, 64, CLUSTER + 1, "bad backing file name"},
    {QED_AT_NAME_LEN, 4, 1023, 1024, "bad backing file name"},
};

/* After the longest header, for every cluster size. */
#define L1_OFFSET (4 * CST_GIB)

static CstBlob *make(void)
{
    const CstImageCreate options = {.capacity = MOST,
                                    .cluster_size = CLUSTER,
                                    .table_size = 1,
                                    .backing = "0123456789",
                                    .backing_format = "raw"};
    CstBlob *blob = cst_blob_sparse_new(0);
    uint8_t raw[8];

    assert_true(cst_image_create(blob, cst_image_format_find("qed", NULL), &options, NULL, NULL));
    cst_put_le64(raw, L1_OFFSET);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), QED_AT_L1, NULL));
    return blob;
}

static void assert_problem(CstBlob *blob, const Limit *limit, uint64_t value, const char *problem)
{
    g_auto(CstImageInfo) info = {0};
    uint8_t raw[8];

    cst_put_le64(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, limit->bytes, limit->at, NULL));
    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    if ((problem != NULL) != (info.problem != NULL) || (problem && !strstr(info.problem, problem)))
        fail_msg("%" G_GUINT64_FORMAT " at %u: %s", value, limit->at,
                 info.problem ? info.problem : "no problem");
}

static void last_valid_qed_value_is_read_and_the_next_is_damage(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        g_autoptr(CstBlob) blob = make();

        assert_problem(blob, &limits[i], limits[i].good, NULL);
        assert_problem(blob, &limits[i], limits[i].bad, limits[i].problem);
    }
}

static void declared_format_of_the_backing_image_is_reported(void **state)
{
    g_autoptr(CstBlob) blob = make();
    g_auto(CstImageInfo) raw = {0}, other = {0};
    uint8_t features[8];

    assert_true(cst_image_inspect(blob, NULL, &raw, NULL));
    assert_string_equal(raw.backing, "0123456789");
    assert_string_equal(raw.backing_format, "raw");
    assert_false(raw.backing_not_raw);
    cst_put_le64(features, QED_BACKING);
    assert_true(cst_blob_pwrite(blob, features, sizeof(features), QED_AT_FEATURES, NULL));
    assert_true(cst_image_inspect(blob, NULL, &other, NULL));
    assert_string_equal(other.backing, "0123456789");
    assert_null(other.backing_format);
    assert_true(other.backing_not_raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_valid_qed_value_is_read_and_the_next_is_damage),
        cmocka_unit_test(declared_format_of_the_backing_image_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
