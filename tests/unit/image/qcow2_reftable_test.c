/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A qcow2 image that outgrows its refcount table. With clusters of 512 bytes and refcounts of 64
 * bits a cluster of the table counts 2 MiB of the file.
 */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>

#include "../blob_size.h"
#include "no_memory.h"
#include "qcow2/header/header.h"
#include "qcow2_images.h"
#include "same.h"

enum { CAPACITY = 12 * 1024 * 1024, COUNTED = 2 * 1024 * 1024, STEP = 64 * 1024 };

static CstBlob *make(void)
{
    const CstImageCreate options = {.capacity = CAPACITY, .cluster_size = 512, .refcount_bits = 64};
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    return blob;
}

static unsigned clusters_of_table(CstBlob *blob)
{
    return (unsigned)(get64(blob, QCOW2_AT_REFTABLE_OFFSET + 8) >> 32);
}

/* A table grows by half of its length. Growth by a cluster would copy it for each 2 MiB. */
static void a_table_grows_by_half(void **state)
{
    g_autoptr(CstBlob) blob = make();
    g_autoptr(GString) seen = g_string_new(NULL);
    unsigned last = 0;

    for (uint64_t at = 0; at < CAPACITY; at += STEP) {
        unsigned now;

        write_guest(blob, at, STEP, 1);
        now = clusters_of_table(blob);
        if (now != last)
            g_string_append_printf(seen, "%u ", now);
        last = now;
    }
    assert_string_equal(seen->str, "1 2 3 5 8 ");
    assert_sound(blob, FALSE);
}

/*
 * Fills the image until the next step needs a longer table. *ret_filled: bytes that the guest has.
 */
static CstBlob *make_full(uint64_t *ret_filled)
{
    CstBlob *blob = make();

    for (*ret_filled = 0; size_of(blob) + 2 * STEP < COUNTED; *ret_filled += STEP)
        write_guest(blob, *ret_filled, STEP, 1);
    assert_int_equal(clusters_of_table(blob), 1);
    return blob;
}

static gboolean fill(CstBlob *guest, uint64_t offset, uint64_t length, int byte, GError **error)
{
    g_autofree uint8_t *buf = g_malloc(length);

    memset(buf, byte, length);
    return cst_blob_pwrite(guest, buf, length, offset, error);
}

static void assert_is_all(CstBlob *guest, uint64_t offset, uint64_t length, uint8_t byte)
{
    g_autofree uint8_t *buf = g_malloc(length);

    assert_true(cst_blob_pread(guest, buf, length, offset, NULL));
    assert_true(is_all(buf, length, byte));
}

/* The first block lies after the first table. The longer table must not reach into it. */
static void assert_counts_the_header(CstBlob *blob)
{
    uint64_t block = get64(blob, get64(blob, QCOW2_AT_REFTABLE_OFFSET));

    assert_int_equal(get64(blob, block), 1);
}

/* Blocks for a longer table whose creation failed are not written by later flushes, because their
 * place may be in use by then. */
static gboolean fail_and_go_on(CstBlob *full, uint64_t filled, CstFaultKind kind, unsigned nth,
                               gboolean flushed)
{
    g_autoptr(CstBlob) inner = cst_blob_sparse_copy(full), fault = cst_blob_fault_new(inner);
    CstBlob *guest = cst_image_guest_blob(open_image(fault, CST_IMAGE_WRITE));
    g_autoptr(GError) error = NULL;
    gboolean done, struck;

    cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
    done = fill(guest, filled, 4 * STEP, 2, &error) && cst_blob_flush(guest, &error);
    struck = cst_blob_fault_struck(fault);
    cst_blob_fault_arm(fault, kind, 0, CST_FAULT_ONCE);
    assert_int_equal(done, !struck);
    assert_true(done || g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    if (flushed) {
        assert_true(cst_blob_flush(guest, NULL));
        assert_counts_the_header(inner);
        assert_sound(inner, TRUE);
    }
    assert_true(fill(guest, filled, 4 * STEP, 3, NULL));
    assert_true(fill(guest, CAPACITY - STEP, STEP, 4, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    cst_blob_unref(guest);
    assert_sound(inner, TRUE);
    assert_int_equal(clusters_of_table(inner), 2);
    guest = cst_image_guest_blob(open_image(inner, 0));
    assert_is_all(guest, 0, filled, 1);
    assert_is_all(guest, filled, 4 * STEP, 3);
    assert_is_all(guest, CAPACITY - STEP, STEP, 4);
    cst_blob_unref(guest);
    return struck;
}

static void a_table_that_could_not_grow_grows_later(void **state)
{
    static const CstFaultKind kinds[] = {CST_FAULT_WRITE, CST_FAULT_TORN, CST_FAULT_FLUSH,
                                         CST_FAULT_READ};
    uint64_t filled = 0;
    g_autoptr(CstBlob) full = make_full(&filled);

    for (size_t i = 0; i < 2 * G_N_ELEMENTS(kinds); i++)
        for (unsigned nth = 1; fail_and_go_on(full, filled, kinds[i / 2], nth, i % 2);)
            nth++;
}

/* Blocks for a longer L1 table count themselves last. They are freed as well. */
static void area_is_freed_when_memory_allocation_fails(void **state)
{
    gboolean struck = TRUE;

    for (guint nth = 1; struck; nth++) {
        g_autoptr(CstBlob) blob = make();
        CstImage *image = open_image(blob, CST_IMAGE_WRITE);
        g_autoptr(GError) error = NULL;
        CstBlob *guest;
        gboolean done;

        no_memory_arm(nth);
        done = cst_image_resize(image, CST_GIB, CST_PREALLOC_OFF, NULL, &error);
        struck = no_memory_struck();
        no_memory_arm(0);
        assert_int_equal(done, !struck);
        assert_true(done || g_error_matches(error, CST_ERROR, CST_ERROR_NO_MEMORY));
        guest = cst_image_guest_blob(image);
        assert_true(fill(guest, 0, 10 * STEP, 1, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        assert_is_all(guest, 0, 10 * STEP, 1);
        cst_blob_unref(guest);
        assert_sound(blob, TRUE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_grows_by_half),
        cmocka_unit_test(a_table_that_could_not_grow_grows_later),
        cmocka_unit_test(area_is_freed_when_memory_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
