/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The header of a qcow2 image at its limits: the last valid value of each field is read, and the
 * next one is damage with a message. A tightly packed header of another program must survive a
 * change of ours.
 */
#include <base/units.h>
#include <blob/sparse.h>
#include <image/amend.h>

#include "qcow2/header/header.h"
#include "qcow2_images.h"

enum { CLUSTER = 65536, END = 64 * 1024 * 1024 }; /* of the file, which is mostly a hole */

/* Without extensions, so that the header may have any length. */
static CstBlob *make(uint64_t cluster_size, gboolean extended)
{
    static const uint8_t none[400];
    const CstImageCreate options = {
        .capacity = CST_MIB, .cluster_size = cluster_size, .extended_l2 = extended};
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    assert_true(cst_blob_pwrite(blob, none, sizeof(none), 112, NULL));
    assert_true(cst_blob_resize(blob, END, NULL));
    return blob;
}

static void put(CstBlob *blob, unsigned at, unsigned bytes, uint64_t value)
{
    uint8_t byte = (uint8_t)value;

    if (bytes == 8)
        put64(blob, at, value);
    else if (bytes == 4)
        put32(blob, at, (uint32_t)value);
    else
        assert_true(cst_blob_pwrite(blob, &byte, 1, at, NULL));
}

/* --- limits -------------------------------------------------------------------------------- */

/** A field at its limit; @other fields put first, where the limit depends on them. */
typedef struct {
    unsigned at, bytes;
    uint64_t good, bad;
    const char *problem;
    struct {
        unsigned at, bytes;
        uint64_t value;
    } other[2];
} Limit;

enum { BACKING = 8, BACKING_SIZE = 16, CRYPT = 32, SNAPSHOTS_AT = 64, ORDER = 96, LENGTH = 100 };

static const Limit limits[] = {
    {4, 4, 3, 4, "no qcow2 image", {{0}}},
    {4, 4, 2, 1, "no qcow2 image", {{0}}},
    {LENGTH, 4, 104, 96, "bad header length", {{0}}},
    {LENGTH, 4, 120, 116, "bad header length", {{0}}},
    {LENGTH, 4, CLUSTER, CLUSTER + 8, "bad header length", {{0}}},
    {BACKING, 8, CLUSTER, CLUSTER + 1, "bad backing file offset", {{0}}},
    {BACKING_SIZE, 4, 1023, 1024, "bad backing file name length", {{BACKING, 8, 4096}}},
    {BACKING_SIZE, 4, 10, 11, "bad backing file name length", {{BACKING, 8, CLUSTER - 10}}},
    {QCOW2_AT_SIZE, 8, 512 * CST_MIB, 512 * CST_MIB + 1, "too small for the image", {{0}}},
    {QCOW2_AT_SIZE, 8, 512 * CST_MIB, UINT64_C(1) << 63, "bad size", {{0}}},
    {QCOW2_AT_SIZE, 8, 0, UINT64_C(1) << 52, "it is too large", {{0}}},
    {QCOW2_AT_L1_SIZE, 4, 4 * CST_MIB, 4 * CST_MIB + 1, "it is too large", {{0}}},
    {QCOW2_AT_L1_SIZE, 4, 1, 0, "too small for the image", {{0}}},
    {QCOW2_AT_L1_OFFSET, 8, END - CLUSTER, END, "bad L1 table offset", {{0}}},
    {QCOW2_AT_L1_OFFSET, 8, CLUSTER, 0, "bad L1 table offset", {{0}}},
    {QCOW2_AT_L1_OFFSET, 8, CLUSTER, CLUSTER + 512, "bad L1 table offset", {{0}}},
    {QCOW2_AT_L1_OFFSET,
     8,
     END - CLUSTER,
     END - CLUSTER,
     NULL,
     {{QCOW2_AT_L1_SIZE, 4, CLUSTER / 8}}},
    {QCOW2_AT_L1_SIZE,
     4,
     CLUSTER / 8,
     CLUSTER / 8 + 1,
     "bad L1 table offset",
     {{QCOW2_AT_L1_OFFSET, 8, END - CLUSTER}}},
    {QCOW2_AT_REFTABLE_SIZE, 4, 1, 0, "bad refcount table size", {{0}}},
    {QCOW2_AT_REFTABLE_SIZE, 4, 128, 129, "bad refcount table size", {{0}}},
    {QCOW2_AT_REFTABLE_OFFSET, 8, END - CLUSTER, END, "bad refcount table offset", {{0}}},
    {QCOW2_AT_REFTABLE_OFFSET, 8, CLUSTER, CLUSTER + 1, "bad refcount table offset", {{0}}},
    {QCOW2_AT_SNAPSHOTS, 4, 65536, 65537, "bad number of snapshots", {{SNAPSHOTS_AT, 8, CLUSTER}}},
    {SNAPSHOTS_AT,
     8,
     END - CLUSTER,
     END,
     "bad snapshot table offset",
     {{QCOW2_AT_SNAPSHOTS, 4, 1}}},
    {ORDER, 4, 6, 7, "bad refcount width", {{0}}},
    {CRYPT, 4, 2, 3, "bad encryption method", {{0}}},
    {QCOW2_AT_INCOMPATIBLE, 8, 1, 8, "bad compression type", {{0}}},
    {104, 1, 0, 1, "bad compression type", {{0}}},
    {104, 1, 1, 2, "unknown compression type 2", {{QCOW2_AT_INCOMPATIBLE, 8, 8}}},
    {QCOW2_AT_INCOMPATIBLE, 8, 1, 2, "marked as corrupt", {{0}}},
    {QCOW2_AT_INCOMPATIBLE, 8, 1, 32, "unknown features (0x20)", {{0}}},
};

static void assert_problem(CstBlob *blob, const Limit *limit, uint64_t value, const char *problem)
{
    g_auto(CstImageInfo) info = {0};

    put(blob, limit->at, limit->bytes, value);
    assert_true(cst_image_inspect(blob, qcow2(), &info, NULL));
    if ((problem != NULL) != (info.problem != NULL) || (problem && !strstr(info.problem, problem)))
        fail_msg("%" G_GUINT64_FORMAT " at %u: %s", value, limit->at,
                 info.problem ? info.problem : "no problem");
}

static void last_valid_value_is_read_and_the_next_is_damage(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
        const Limit *limit = &limits[i];
        g_autoptr(CstBlob) blob = make(CLUSTER, FALSE);

        for (size_t j = 0; j < G_N_ELEMENTS(limit->other); j++)
            if (limit->other[j].at)
                put(blob, limit->other[j].at, limit->other[j].bytes, limit->other[j].value);
        assert_problem(blob, limit, limit->good, NULL);
        assert_problem(blob, limit, limit->bad, limit->problem);
    }
}

/* The tables lie on the borders of all smaller clusters, too. */
static void clusters_have_512_bytes_to_2_mib(void **state)
{
    static const struct {
        uint64_t made;
        gboolean extended;
        unsigned bits;
        gboolean good;
    } sizes[] = {
        {512, FALSE, 9, TRUE},           {512, FALSE, 8, FALSE},  {2 * CST_MIB, FALSE, 21, TRUE},
        {2 * CST_MIB, FALSE, 22, FALSE}, {16384, TRUE, 14, TRUE}, {16384, TRUE, 13, FALSE},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autoptr(CstBlob) blob = make(sizes[i].made, sizes[i].extended);
        const Limit limit = {20, 4, 0, 0, NULL, {{0}}};

        put64(blob, QCOW2_AT_SIZE, 0); /* of which any L1 table is long enough */
        assert_problem(blob, &limit, sizes[i].bits, sizes[i].good ? NULL : "bad cluster size");
    }
}

/*
 * A backing file name needs an offset and a length. Without the name its other fields have no
 * meaning.
 */
static void name_without_an_offset_or_a_length_is_absent(void **state)
{
    enum { EXTENSION = 112, NAME = 4096 };

    for (uint64_t place = 0; place <= NAME; place += NAME) {
        for (uint32_t length = 0; length <= 4; length += 4) {
            g_autoptr(CstBlob) blob = make(CLUSTER, FALSE);
            g_auto(CstImageInfo) info = {0};
            gboolean named = place > 0 && length > 0;

            put32(blob, EXTENSION, QCOW2_EXT_BACKING_FORMAT);
            put32(blob, EXTENSION + 4, 3);
            assert_true(cst_blob_pwrite(blob, "raw", 3, EXTENSION + 8, NULL));
            assert_true(cst_blob_pwrite(blob, "base", 4, NAME, NULL));
            put64(blob, BACKING, place);
            put32(blob, BACKING_SIZE, length);
            assert_true(cst_image_inspect(blob, qcow2(), &info, NULL));
            assert_null(info.problem);
            assert_int_equal(g_strcmp0(info.backing, named ? "base" : NULL), 0);
            assert_int_equal(g_strcmp0(info.backing_format, named ? "raw" : NULL), 0);
        }
    }
}

/* --- a header without a byte to spare ------------------------------------------------------- */

enum { EXT = 112, UNKNOWN = 0x12345678 };

/*
 * Creates an extension of @len bytes, directly followed by the backing file's name, without an end
 * mark.
 */
static CstBlob *make_tight(uint32_t len, uint64_t room)
{
    const CstImageCreate options = {
        .capacity = CST_MIB, .backing = "base", .backing_format = "raw"};
    CstBlob *blob = cst_blob_sparse_new(0);
    uint8_t bytes[512] = {0};

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    cst_put_be32(bytes, UNKNOWN);
    cst_put_be32(bytes + 4, len);
    memset(bytes + 8, 0xcc, room);
    memcpy(bytes + 8 + room, "base", 4);
    assert_true(cst_blob_pwrite(blob, bytes, sizeof(bytes), EXT, NULL));
    put64(blob, BACKING, EXT + 8 + room);
    return blob;
}

static gboolean amend(CstBlob *blob, GError **error)
{
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);

    return cst_image_amend(image, &(CstImageAmend){.lazy_refcounts = CST_AMEND_ON}, NULL, error);
}

/* Returns the offset of the extension, or 0 if it is missing. */
static uint64_t find_extension(CstBlob *blob)
{
    for (uint64_t at = EXT; get64(blob, at) >> 32 != 0;
         at += 8 + ((uint32_t)get64(blob, at) + 7) / 8 * 8)
        if (get64(blob, at) >> 32 == UNKNOWN)
            return at;
    return 0;
}

static void an_extension_that_ends_where_the_name_begins_is_kept(void **state)
{
    static const uint32_t lengths[] = {0, 1, 8, 15, 16};

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(CstBlob) blob = make_tight(lengths[i], (lengths[i] + 7) / 8 * 8);
        g_auto(CstImageInfo) info = {0};
        g_autoptr(GError) error = NULL;
        uint8_t byte = 0;
        uint64_t at;

        if (!amend(blob, &error))
            fail_msg("%u bytes: %s", lengths[i], error->message);
        assert_true(cst_image_inspect(blob, NULL, &info, NULL));
        assert_null(info.problem);
        assert_true(info.lazy_refcounts);
        assert_string_equal(info.backing, "base");
        at = find_extension(blob);
        assert_true(at != 0);
        assert_int_equal((uint32_t)get64(blob, at), lengths[i]);
        for (uint32_t j = 0; j < lengths[i]; j++) {
            assert_true(cst_blob_pread(blob, &byte, 1, at + 8 + j, NULL));
            assert_int_equal(byte, 0xcc);
        }
    }
}

/* An empty format name is an unknown format. It does not permit format detection. */
static void an_empty_extension_before_the_name_is_seen(void **state)
{
    g_autoptr(CstBlob) blob = make_tight(0, 0);
    g_auto(CstImageInfo) info = {0};

    put32(blob, EXT, QCOW2_EXT_BACKING_FORMAT);
    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_string_equal(info.backing, "base");
    assert_string_equal(info.backing_format, "");
}

static void an_extension_that_reaches_into_the_name_is_damage(void **state)
{
    g_autoptr(CstBlob) blob = make_tight(9, 8), padded = make_tight(9, 9);
    g_auto(CstImageInfo) info = {0};
    g_autoptr(GError) error = NULL;

    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_non_null(strstr(info.problem, "bad header extension"));
    /* its padding alone: Cistern and QEMU read it, but the effect of a change is undefined */
    assert_false(amend(padded, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_valid_value_is_read_and_the_next_is_damage),
        cmocka_unit_test(clusters_have_512_bytes_to_2_mib),
        cmocka_unit_test(name_without_an_offset_or_a_length_is_absent),
        cmocka_unit_test(an_extension_that_ends_where_the_name_begins_is_kept),
        cmocka_unit_test(an_empty_extension_before_the_name_is_seen),
        cmocka_unit_test(an_extension_that_reaches_into_the_name_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
