/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Changes of existing streams: the end of the file, freed space, and failures. */
#include "../blob_size.h"
#include "vmdk_images.h"

#include <blob/fault.h>
#include <blob/sparse.h>

#include "vmdk/stream.h"

enum {
    SMALL = 8192,             /* bytes of a grain */
    OF_A_TABLE = 512 * SMALL, /* bytes that one table covers */
    END = 3 * OF_A_TABLE,
    MARKER_TYPE = 12,
    TABLE = 1,
    FOOTER = 3
};

static CstBlob *make_stream(void)
{
    const CstImageCreate options = {
        .capacity = END, .subformat = "streamOptimized", .cluster_size = SMALL};
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, vmdk(), &options, NULL, NULL));
    return blob;
}

/* Fills whole grains, so that each uses the same space in the file. */
static gboolean fill(CstBlob *guest, uint64_t offset, uint64_t length, int byte, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(length);

    memset(buf, byte, length);
    return cst_blob_pwrite(guest, buf, length, offset, error);
}

static int byte_at(CstBlob *guest, uint64_t offset)
{
    uint8_t byte = 0xaa;

    assert_true(cst_blob_pread(guest, &byte, 1, offset, NULL));
    return byte;
}

/* Marker, footer and end have a sector each. */
static uint64_t footer_of(CstBlob *blob)
{
    return size_of(blob) - 3 * 512;
}

/* A stream of 1000 bytes, whole or cut off, for buffers and demands around that length. */
static void a_grain_is_a_whole_stream_of_bytes_enough(void **state)
{
    static const struct {
        size_t cut, len, least;
        gboolean sound;
    } cases[] = {{0, 1000, 1000, TRUE}, {0, 1001, 1000, TRUE},  {0, 1001, 1001, FALSE},
                 {0, 2000, 0, TRUE},    {0, 999, 999, TRUE},    {0, 1, 1, TRUE},
                 {6, 1000, 0, FALSE},   {6, 1000, 1000, FALSE}, {6, 10, 10, TRUE}};
    uint8_t bytes[1000], seen[2000];
    g_autofree uint8_t *packed = NULL;
    size_t packed_len = 0;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * i / 7 + 1);
    packed = vmdk_pack(bytes, sizeof(bytes), "test", &packed_len, NULL);
    assert_non_null(packed);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        size_t len = cases[i].len, there = MIN(len, sizeof(bytes));

        memset(seen, 0xaa, sizeof(seen));
        assert_int_equal(vmdk_unpack(packed, packed_len - cases[i].cut, seen, len, cases[i].least),
                         cases[i].sound);
        if (!cases[i].sound)
            continue;
        assert_memory_equal(seen, bytes, there);
        assert_true(cst_bytes_are_zero(seen + there, len - there));
    }
    packed[0] ^= 0xff;
    assert_false(vmdk_unpack(packed, packed_len, seen, sizeof(bytes), 0));
}

static void an_old_footer_is_no_end_any_more(void **state)
{
    g_autoptr(CstBlob) blob = make_stream();
    g_autoptr(CstBlob) guest = open_guest(blob);
    uint64_t old, now;

    assert_true(fill(guest, 0, SMALL, 1, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    old = footer_of(blob);
    assert_int_equal(get32(blob, old + MARKER_TYPE), FOOTER);
    assert_int_equal(get32(blob, AT_GD), UINT32_MAX);
    assert_true(fill(guest, SMALL, SMALL, 2, NULL));
    assert_int_not_equal(get32(blob, AT_GD), UINT32_MAX); /* the end is about to move */
    assert_true(cst_blob_flush(guest, NULL));
    now = footer_of(blob);
    assert_true(now > old);
    /* a reader from the start skips the old footer */
    assert_int_equal(get32(blob, old), 2);
    assert_int_equal(get32(blob, old + MARKER_TYPE), TABLE);
    assert_int_equal(get32(blob, now), 1);
    assert_int_equal(get32(blob, now + MARKER_TYPE), FOOTER);
    assert_int_equal(get32(blob, AT_GD), UINT32_MAX); /* the header at the start has no directory */
    assert_int_equal(get32(blob, AT_GD + 4), UINT32_MAX);
    assert_clean(blob);
}

static void space_of_the_last_grains_is_freed(void **state)
{
    g_autoptr(CstBlob) blob = make_stream(), other = make_stream();
    g_autoptr(CstBlob) guest = open_guest(blob), other_guest = open_guest(other);

    assert_true(fill(guest, 0, 100 * SMALL, 1, NULL));
    assert_true(fill(other_guest, 0, SMALL, 1, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(cst_blob_flush(other_guest, NULL));
    assert_true(size_of(blob) > size_of(other));
    assert_true(cst_blob_discard(guest, SMALL, 99 * SMALL, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_int_equal(size_of(blob), size_of(other));
    assert_int_equal(get32(blob, AT_GD), UINT32_MAX);
    assert_clean(blob);
    g_clear_pointer(&guest, cst_blob_unref);
    guest = open_guest(blob);
    assert_int_equal(byte_at(guest, 0), 1);
    assert_int_equal(byte_at(guest, SMALL), 0);
}

/* @flushed: the truncated data is in the file; else it waits to be written. */
static void cut_and_grow(uint64_t capacity, gboolean flushed)
{
    g_autoptr(CstBlob) blob = make_stream();
    CstImage *image = cst_image_open(blob, vmdk(), CST_IMAGE_WRITE, NULL, NULL);
    g_autoptr(CstBlob) guest = cst_image_guest_blob(image);

    for (uint64_t at = 0; at < END; at += OF_A_TABLE / 2)
        assert_true(fill(guest, at, SMALL, 1, NULL) &&
                    fill(guest, at + OF_A_TABLE / 2 - SMALL, SMALL, 1, NULL));
    assert_true(!flushed || cst_blob_flush(guest, NULL));
    assert_true(cst_image_resize(image, capacity, CST_PREALLOC_OFF, NULL, NULL));
    assert_true(cst_image_resize(image, END, CST_PREALLOC_OFF, NULL, NULL));
    for (unsigned again = 0; again < 2; again++) {
        for (uint64_t at = 0; at < END; at += SMALL / 2) {
            uint64_t inside = at % (OF_A_TABLE / 2);
            gboolean is_full = inside < SMALL || inside >= OF_A_TABLE / 2 - SMALL;

            assert_int_equal(byte_at(guest, at), is_full && at < capacity ? 1 : 0);
        }
        assert_true(cst_blob_flush(guest, NULL));
        assert_clean(blob);
        cst_blob_unref(guest);
        guest = open_guest(blob);
    }
}

static void truncated_content_of_a_stream_does_not_come_back(void **state)
{
    static const uint64_t ends[] = {512,
                                    SMALL,
                                    SMALL + 512,
                                    OF_A_TABLE - SMALL,
                                    OF_A_TABLE - 512,
                                    OF_A_TABLE,
                                    OF_A_TABLE + 512,
                                    2 * OF_A_TABLE,
                                    END - SMALL,
                                    END - 512};

    for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
        cut_and_grow(ends[i], FALSE);
        cut_and_grow(ends[i], TRUE);
    }
}

/* Opened, written, partly given up, cut off, and flushed twice: every way to the end of a file. */
static gboolean work(CstBlob *blob, GError **error)
{
    CstImage *image = cst_image_open(blob, vmdk(), CST_IMAGE_WRITE, NULL, error);
    g_autoptr(CstBlob) guest = image ? cst_image_guest_blob(image) : NULL;

    return guest && fill(guest, 2 * SMALL, 20 * SMALL, 3, error) && cst_blob_flush(guest, error) &&
           cst_blob_pwrite(guest, "x", 1, SMALL + 7, error) &&
           cst_blob_discard(guest, 4 * SMALL, 18 * SMALL, error) && cst_blob_flush(guest, error) &&
           cst_image_resize(image, END - 512, CST_PREALLOC_OFF, NULL, error) &&
           cst_blob_flush(guest, error);
}

static void every_fault_is_reported(void **state)
{
    static const CstFaultKind kinds[] = {CST_FAULT_READ, CST_FAULT_WRITE, CST_FAULT_TORN,
                                         CST_FAULT_FLUSH};
    g_autoptr(CstBlob) ground = make_stream();
    g_autoptr(CstBlob) first = open_guest(ground);

    assert_true(fill(first, 0, 30 * SMALL, 1, NULL));
    assert_true(cst_blob_flush(first, NULL));
    g_clear_pointer(&first, cst_blob_unref);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        gboolean struck = TRUE;

        for (unsigned nth = 1; struck; nth++) {
            g_autoptr(CstBlob) inner = cst_blob_sparse_copy(ground);
            g_autoptr(CstBlob) blob = cst_blob_fault_new(inner);
            g_autoptr(GError) error = NULL;
            gboolean done;

            cst_blob_fault_arm(blob, kinds[i], nth, CST_FAULT_ONCE);
            done = work(blob, &error);
            struck = !done;
            assert_true(done == (error == NULL));
            if (done && cst_blob_fault_struck(blob))
                fail_msg("fault %u of kind %zu was not reported", nth, i);
            if (error && !g_error_matches(error, CST_ERROR, CST_ERROR_IO))
                fail_msg("fault %u of kind %zu: %s", nth, i, error->message);
            assert_true(nth < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grain_is_a_whole_stream_of_bytes_enough),
        cmocka_unit_test(an_old_footer_is_no_end_any_more),
        cmocka_unit_test(space_of_the_last_grains_is_freed),
        cmocka_unit_test(truncated_content_of_a_stream_does_not_come_back),
        cmocka_unit_test(every_fault_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
