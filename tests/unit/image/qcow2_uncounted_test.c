/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Refcounts that report a used cluster as free. An allocation would overwrite metadata of the
 * image. Every allocating operation must refuse before it writes there.
 */
#include <base/units.h>
#include <blob/sparse.h>
#include <image/amend.h>
#include <image/bitmap.h>
#include <image/snapshot.h>

#include "qcow2/state.h"
#include "qcow2_images.h"

/* An L1 table of two clusters, and a snapshot table of several. */
enum { CLUSTER = 512, SIZE = 4 * 1024 * 1024, SNAPSHOTS = 20, PER_BLOCK = CLUSTER / 2 };

static CstBlob *make(void)
{
    const CstImageCreate options = {.capacity = SIZE, .cluster_size = CLUSTER};
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    write_guest(blob, 0, 3 * CLUSTER, 1);
    for (unsigned i = 0; i < SNAPSHOTS; i++) {
        g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);
        g_autofree char *name = g_strdup_printf("s%u", i);

        assert_true(cst_image_snapshot_create(image, name, NULL, NULL));
    }
    assert_sound(blob, FALSE);
    return blob;
}

static void uncount(CstBlob *blob, uint64_t cluster)
{
    uint64_t table = get64(blob, QCOW2_AT_REFTABLE_OFFSET);
    uint64_t block = get64(blob, table + cluster / PER_BLOCK * 8);

    assert_true(cst_blob_pwrite(blob, "\0\0", 2, block + cluster % PER_BLOCK * 2, NULL));
}

/*
 * --- operations that allocate clusters -----------------------------------------------------------
 */

static gboolean create_snapshot(CstImage *image, GError **error)
{
    return cst_image_snapshot_create(image, "new", NULL, error);
}

static gboolean delete_snapshot(CstImage *image, GError **error)
{
    return cst_image_snapshot_delete(image, "s3", NULL, error);
}

static gboolean revert(CstImage *image, GError **error)
{
    return cst_image_snapshot_revert(image, "s3", NULL, error);
}

static gboolean rename_snapshot(CstImage *image, GError **error)
{
    return cst_image_snapshot_rename(image, "s3", "new", error);
}

static gboolean widen_refcounts(CstImage *image, GError **error)
{
    return cst_image_amend(image, &(CstImageAmend){.refcount_bits = 32}, NULL, error);
}

/*
 * These operations allocate one cluster after another, and so reach any cluster that is reported as
 * free.
 */
static gboolean write_all(CstImage *image, GError **error)
{
    static uint8_t bytes[SIZE];

    memset(bytes, 2, sizeof(bytes));
    return image->format->pwrite(image, bytes, sizeof(bytes), 0, error);
}

static gboolean pack_all(CstImage *image, GError **error)
{
    uint8_t bytes[CLUSTER] = {0};

    for (uint64_t at = 0; at < SIZE; at += CLUSTER) {
        for (unsigned i = 0; i < CLUSTER; i++)
            bytes[i] = (uint8_t)(i * i % 7);
        if (!cst_image_write_compressed(image, bytes, CLUSTER, at, error))
            return FALSE;
    }
    return TRUE;
}

typedef gboolean (*Action)(CstImage *image, GError **error);

static const Action switches[] = {create_snapshot, delete_snapshot, revert, rename_snapshot,
                                  widen_refcounts};
static const Action writes[] = {write_all, pack_all};

static void assert_refused(Action action, uint64_t cluster)
{
    g_autoptr(CstBlob) blob = make();
    g_autoptr(CstImage) image = NULL;
    g_autoptr(GError) error = NULL;

    uncount(blob, cluster);
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_false(action(image, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    assert_non_null(strstr(error->message, "in use is not counted"));
}

/*
 * --- clusters that must not be allocated ---------------------------------------------------------
 */

static void assert_none_takes(const Action *actions, size_t count, uint64_t offset, uint64_t bytes)
{
    uint64_t first = offset / CLUSTER, last = (offset + bytes - 1) / CLUSTER;

    for (size_t i = 0; i < count; i++) {
        assert_refused(actions[i], first);
        assert_refused(actions[i], last);
    }
}

static void structures_of_the_header_are_never_allocated(void **state)
{
    static const struct {
        unsigned at;
        uint64_t bytes;
    } areas[] = {
        {QCOW2_AT_L1_OFFSET, SIZE / (CLUSTER / 8 * CLUSTER) * 8},
        {QCOW2_AT_REFTABLE_OFFSET, CLUSTER},
        {QCOW2_AT_SNAPSHOTS + 4, SNAPSHOTS * 40},
    };
    g_autoptr(CstBlob) blob = make();

    assert_none_takes(switches, G_N_ELEMENTS(switches), 0, 1);
    assert_none_takes(writes, G_N_ELEMENTS(writes), 0, 1);
    for (size_t i = 0; i < G_N_ELEMENTS(areas); i++) {
        uint64_t offset = get64(blob, areas[i].at);

        assert_none_takes(switches, G_N_ELEMENTS(switches), offset, areas[i].bytes);
        assert_none_takes(writes, G_N_ELEMENTS(writes), offset, areas[i].bytes);
    }
}

static void refcount_blocks_tables_and_data_are_never_allocated(void **state)
{
    g_autoptr(CstBlob) blob = make();
    uint64_t table = get64(blob, get64(blob, QCOW2_AT_L1_OFFSET)) & QCOW2_OFFSET_MASK;
    uint64_t data = get64(blob, table) & QCOW2_OFFSET_MASK;
    uint64_t block = get64(blob, get64(blob, QCOW2_AT_REFTABLE_OFFSET));

    assert_none_takes(switches, G_N_ELEMENTS(switches), block, 1);
    /* renaming allocates two clusters and reads no L1 tables */
    for (size_t i = 0; i < G_N_ELEMENTS(switches); i++)
        if (switches[i] != rename_snapshot) {
            assert_refused(switches[i], table / CLUSTER);
            assert_refused(switches[i], data / CLUSTER);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structures_of_the_header_are_never_allocated),
        cmocka_unit_test(refcount_blocks_tables_and_data_are_never_allocated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
