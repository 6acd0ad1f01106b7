/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A write whose L2 table cannot be read again. The writer has allocated clusters and written its
 * data, and has released the lock. At this point other tables fill the cache, and the disk fails.
 * The write must free its clusters. It must not leak a cluster, and must not free a cluster of
 * another write.
 */
#include "../points.h"

#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>

#include "qcow2_images.h"

/* With clusters of this size the cache has four L2 tables, which cover 128 GiB each. */
#define CLUSTER   CST_MIB
#define PER_TABLE (CLUSTER / 8 * CLUSTER)

enum { TABLES = 6, LENGTH = 512, OLD = 0x11, NEW = 0x22 };

typedef struct {
    CstBlob *blob, *fault, *guest;
} Fixture;

static void fixture_init(Fixture *f)
{
    const CstImageCreate options = {.capacity = TABLES * PER_TABLE, .cluster_size = CLUSTER};

    f->blob = cst_blob_sparse_new(0);
    assert_true(cst_image_create(f->blob, qcow2(), &options, NULL, NULL));
    for (uint64_t i = 0; i < TABLES; i++)
        write_guest(f->blob, i * PER_TABLE, LENGTH, OLD);
    f->fault = cst_blob_fault_new(f->blob);
    f->guest = cst_image_guest_blob(open_image(f->fault, CST_IMAGE_WRITE));
}

static void fixture_clear(Fixture *f)
{
    cst_blob_unref(f->guest);
    cst_blob_unref(f->fault);
    cst_blob_unref(f->blob);
}

/* Drops the first table from the cache, and has the next read fail, which is that of the table. */
static void lose_first_table(gpointer data)
{
    Fixture *f = data;
    uint8_t byte;

    for (uint64_t i = 1; i < TABLES; i++)
        assert_true(cst_blob_pread(f->guest, &byte, 1, i * PER_TABLE + CLUSTER, NULL));
    cst_blob_fault_arm(f->fault, CST_FAULT_READ, 1, CST_FAULT_ONCE);
}

static gboolean write_new(Fixture *f, uint64_t offset, GError **error)
{
    uint8_t bytes[LENGTH];

    memset(bytes, NEW, sizeof(bytes));
    return cst_blob_pwrite(f->guest, bytes, sizeof(bytes), offset, error);
}

static void assert_guest(CstBlob *guest, uint64_t offset, int byte)
{
    uint8_t bytes[LENGTH];

    assert_true(cst_blob_pread(guest, bytes, sizeof(bytes), offset, NULL));
    for (guint i = 0; i < LENGTH; i++)
        assert_int_equal(bytes[i], byte);
}

static void test_write_with_an_unreadable_table_frees_its_clusters(void **state)
{
    g_autoptr(GError) error = NULL;
    Fixture f;

    fixture_init(&f);
    point_run("qcow2.step.written", lose_first_table, &f);
    assert_false(write_new(&f, CLUSTER, &error));
    assert_int_equal(error->code, CST_ERROR_IO);
    assert_true(cst_blob_fault_struck(f.fault));
    points_clear();
    assert_true(cst_blob_flush(f.guest, NULL));
    assert_sound(f.blob, FALSE);
    fixture_clear(&f);
}

static void test_clusters_given_back_are_used_by_one_later_write(void **state)
{
    Fixture f;

    fixture_init(&f);
    point_run("qcow2.step.written", lose_first_table, &f);
    assert_false(write_new(&f, CLUSTER, NULL));
    points_clear();
    for (uint64_t i = 0; i < TABLES; i++)
        assert_true(write_new(&f, i * PER_TABLE + 2 * CLUSTER, NULL));
    assert_true(cst_blob_flush(f.guest, NULL));
    for (uint64_t i = 0; i < TABLES; i++) {
        assert_guest(f.guest, i * PER_TABLE, OLD);
        assert_guest(f.guest, i * PER_TABLE + CLUSTER, 0);
        assert_guest(f.guest, i * PER_TABLE + 2 * CLUSTER, NEW);
    }
    assert_sound(f.blob, FALSE);
    fixture_clear(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_with_an_unreadable_table_frees_its_clusters),
        cmocka_unit_test(test_clusters_given_back_are_used_by_one_later_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
