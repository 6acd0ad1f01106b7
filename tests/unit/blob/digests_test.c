/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <blob/digests.h>

#include "extent.h"
#include "scratch.h"

#define KIB   (UINT64_C(1) << 10)
#define CHUNK (64 * KIB)
#define HOLE  (CST_EXTENT_HOLE | CST_EXTENT_ZERO)

static void assert_digest(const uint8_t *digest, uint8_t byte, size_t len)
{
    g_autofree char *bytes = g_malloc(len);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    uint8_t wanted[CST_DIGEST_BYTES];
    gsize size = sizeof(wanted);

    memset(bytes, byte, len);
    g_checksum_update(sum, (const guchar *)bytes, (gssize)len);
    g_checksum_get_digest(sum, wanted, &size);
    assert_memory_equal(digest, wanted, sizeof(wanted));
}

static void fill(CstBlob *blob, uint8_t byte, size_t len, uint64_t offset)
{
    g_autofree char *bytes = g_malloc(len);

    memset(bytes, byte, len);
    assert_true(cst_blob_pwrite(blob, bytes, len, offset, NULL));
}

/* As another implementation computes them; the last chunk is shorter. */
static void each_chunk_has_its_digest(void **state)
{
    static const uint8_t none[CST_DIGEST_BYTES];
    g_autoptr(CstBlob) content = scratch_file(4 * CHUNK + 10);
    g_autoptr(CstBlob) digests = NULL;
    uint8_t all[5 * CST_DIGEST_BYTES], part[40];

    fill(content, 1, CHUNK, 0);
    fill(content, 0, CHUNK, CHUNK);
    fill(content, 3, CHUNK, 2 * CHUNK);
    fill(content, 5, 10, 4 * CHUNK);
    digests = cst_blob_digests(content, CHUNK, NULL);
    assert_int_equal(size_of(digests), sizeof(all));
    assert_true(cst_blob_pread(digests, all, sizeof(all), 0, NULL));
    assert_digest(all, 1, CHUNK);
    assert_memory_equal(all + 32, none, 32);
    assert_digest(all + 64, 3, CHUNK);
    assert_memory_equal(all + 96, none, 32);
    assert_digest(all + 128, 5, 10);
    assert_true(cst_blob_pread(digests, part, 40, 51, NULL));
    assert_memory_equal(part, all + 51, 40);
}

static void known_zeroes_are_a_hole_of_the_digests(void **state)
{
    g_autoptr(CstBlob) content = scratch_file(100 * CHUNK + 10);
    g_autoptr(CstBlob) digests = cst_blob_digests(content, CHUNK, NULL);

    assert_extent(digests, 0, 101 * 32, 101 * 32, HOLE);
    fill(content, 1, 4 * KIB, 50 * CHUNK + 8 * KIB);
    assert_extent(digests, 0, 101 * 32, 50 * 32, HOLE);
    assert_extent(digests, 7, 100, 100, HOLE);
    assert_extent(digests, 50 * 32, 32, 32, CST_EXTENT_DATA);
    assert_extent(digests, 51 * 32, 50 * 32, 50 * 32, HOLE);
}

/* So that it can be stopped. */
static void a_run_of_data_is_not_endless(void **state)
{
    g_autoptr(CstBlob) content = cst_blob_memory_new(NULL, 200 << 20);
    g_autoptr(CstBlob) digests = cst_blob_digests(content, 1 << 20, NULL);
    CstExtent extent;

    fill(content, 1, 200 << 20, 0);
    assert_true(cst_blob_extent(digests, 0, 200 * 32, &extent, NULL));
    assert_int_equal(extent.flags, CST_EXTENT_DATA);
    assert_int_equal(extent.length, 64 * 32);
}

static void chunks_have_bounds(void **state)
{
    static const uint64_t bad[] = {0,          1, 32 * KIB, 65 * KIB, 96 * KIB, 128 * KIB * KIB,
                                   G_MAXUINT64};
    g_autoptr(CstBlob) content = scratch_file(CHUNK);
    g_autoptr(CstBlob) empty = scratch_file(0);
    g_autoptr(CstBlob) none = cst_blob_digests(empty, CHUNK, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;

        assert_null(cst_blob_digests(content, bad[i], &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
    }
    assert_int_equal(size_of(none), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_chunk_has_its_digest),
        cmocka_unit_test(known_zeroes_are_a_hole_of_the_digests),
        cmocka_unit_test(a_run_of_data_is_not_endless),
        cmocka_unit_test(chunks_have_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
