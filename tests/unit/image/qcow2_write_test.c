/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes over clusters of every kind in a row: what was not written shows what it showed before, in
 * the image and in its snapshot, and what can go to the file in one piece does.
 */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/snapshot.h>

#include "format.h"
#include "qcow2_images.h"

enum { CLUSTER = 16384, COUNT = 24, SIZE = COUNT * CLUSTER - 512, SHORT = 17 * CLUSTER + 512 };

/** An image upon another one that is shorter, and what it shows. */
typedef struct {
    CstBlob *blob, *backing;
    uint8_t bytes[SIZE], snapshot[SIZE];
} Disk;

static CstImage *open_upon(const Disk *disk, unsigned flags, const char *snapshot)
{
    const CstImageOpen how = {.flags = flags, .backing = disk->backing, .snapshot = snapshot};
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open_as(disk->blob, qcow2(), &how, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

static void disk_init(Disk *disk, const CstImageCreate *options, gboolean backed)
{
    CstImageCreate all = *options;

    memset(disk, 0, sizeof(*disk));
    all.capacity = SIZE;
    all.cluster_size = CLUSTER;
    if (backed) {
        all.backing = "base";
        all.backing_format = "raw";
        memset(disk->bytes, 0xbb, SHORT);
        disk->backing = cst_blob_memory_new(disk->bytes, SHORT);
    }
    disk->blob = cst_blob_sparse_new(0);
    assert_true(cst_image_create(disk->blob, qcow2(), &all, NULL, NULL));
}

static void disk_clear(Disk *disk)
{
    cst_blob_unref(disk->blob);
    cst_blob_unref(disk->backing);
}

static void assert_shows(const Disk *disk, const char *snapshot, const uint8_t *bytes)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_upon(disk, 0, snapshot));
    static uint8_t seen[SIZE];

    assert_true(cst_blob_pread(guest, seen, SIZE, 0, NULL));
    for (uint64_t at = 0; at < SIZE; at++)
        if (seen[at] != bytes[at])
            fail_msg("%s: byte %" G_GUINT64_FORMAT " is %u, not %u", snapshot ? snapshot : "now",
                     at, seen[at], bytes[at]);
}

static void put(Disk *disk, CstBlob *guest, uint64_t offset, uint64_t length, int byte)
{
    length = MIN(length, SIZE - offset);
    memset(disk->bytes + offset, byte, length);
    assert_true(cst_blob_pwrite(guest, disk->bytes + offset, length, offset, NULL));
}

static void put_zeroes(Disk *disk, CstBlob *guest, uint64_t offset, uint64_t length, unsigned flags)
{
    length = MIN(length, SIZE - offset);
    memset(disk->bytes + offset, 0, length);
    assert_true(cst_blob_zero(guest, offset, length, flags, NULL));
}

static void pack_one(Disk *disk, CstBlob *guest, uint64_t offset, int byte)
{
    uint64_t length = MIN(CLUSTER, SIZE - offset);

    memset(disk->bytes + offset, byte, length);
    assert_true(cst_image_write_compressed(cst_guest_image(guest), disk->bytes + offset, length,
                                           offset, NULL));
}

/* Cluster by cluster one of: nothing, all of it, a part of it, zeroes with and without a place, a
 * part that is zero, compressed data. */
static void arrange(Disk *disk, CstBlob *guest, GRand *rand)
{
    for (uint64_t at = 0; at < SIZE; at += CLUSTER) {
        int byte = g_rand_int_range(rand, 1, 100);

        switch (g_rand_int_range(rand, 0, 7)) {
        case 0: break;
        case 1: put(disk, guest, at, CLUSTER, byte); break;
        case 2: put(disk, guest, at + 700, 900, byte); break;
        case 3: put_zeroes(disk, guest, at, CLUSTER, 0); break;
        case 4: put_zeroes(disk, guest, at, CLUSTER, CST_ZERO_MAY_UNMAP); break;
        case 5: put_zeroes(disk, guest, at + CLUSTER / 2, CLUSTER / 4, CST_ZERO_MAY_UNMAP); break;
        default: pack_one(disk, guest, at, byte); break;
        }
    }
}

static void take_snapshot(Disk *disk)
{
    g_autoptr(CstImage) image = open_upon(disk, CST_IMAGE_WRITE, NULL);

    assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
    memcpy(disk->snapshot, disk->bytes, SIZE);
}

static void live(Disk *disk, GRand *rand, gboolean with_snapshot)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_upon(disk, CST_IMAGE_WRITE, NULL));

    arrange(disk, guest, rand);
    if (with_snapshot) {
        g_clear_pointer(&guest, cst_blob_unref);
        take_snapshot(disk);
        guest = cst_image_guest_blob(open_upon(disk, CST_IMAGE_WRITE, NULL));
        for (int i = 0; i < 2; i++) /* some clusters are the image's own again */
            put(disk, guest, (uint64_t)g_rand_int_range(rand, 0, SIZE), 2000, 101);
    }
    for (int i = 0; i < 6; i++)
        put(disk, guest, (uint64_t)g_rand_int_range(rand, 0, SIZE),
            (uint64_t)g_rand_int_range(rand, 1, 5 * CLUSTER), 110 + i);
    assert_true(cst_blob_flush(guest, NULL));
}

static void a_write_over_unlike_clusters_changes_nothing_around_it(void **state)
{
    static const CstImageCreate variants[] = {{.extended_l2 = FALSE}, {.extended_l2 = TRUE}};
    static Disk disk;

    for (guint32 seed = 0; seed < 160; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        gboolean with_snapshot = seed / 4 % 2;

        disk_init(&disk, &variants[seed % 2], seed / 2 % 2);
        live(&disk, rand, with_snapshot);
        assert_shows(&disk, NULL, disk.bytes);
        if (with_snapshot)
            assert_shows(&disk, "s", disk.snapshot);
        assert_sound(disk.blob, FALSE);
        disk_clear(&disk);
    }
}

/* --- pieces -------------------------------------------------------------------------------- */

/* Before a flush no table is written: every write of the file is one of data. */
static void assert_pieces(const Disk *disk, uint64_t offset, uint64_t length, unsigned most)
{
    g_autoptr(CstBlob) fault = cst_blob_fault_new(disk->blob), guest = NULL;
    g_autofree uint8_t *bytes = g_malloc(length);
    Disk watched = {.blob = fault, .backing = disk->backing};

    memset(bytes, 7, length);
    guest = cst_image_guest_blob(open_upon(&watched, CST_IMAGE_WRITE, NULL));
    cst_blob_fault_arm(fault, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
    assert_true(cst_blob_pwrite(guest, bytes, length, offset, NULL));
    assert_in_range(cst_blob_fault_count(fault, CST_FAULT_WRITE), 1, most);
}

static void what_lies_in_a_row_is_written_in_one_piece(void **state)
{
    static Disk disk;

    for (int extended = 0; extended < 2; extended++)
        for (int backed = 0; backed < 2; backed++) {
            const CstImageCreate options = {.extended_l2 = extended};

            disk_init(&disk, &options, backed);
            assert_pieces(&disk, 0, 8 * CLUSTER, 1);             /* new */
            assert_pieces(&disk, 0, 8 * CLUSTER, 1);             /* in place */
            assert_pieces(&disk, CLUSTER + 512, 3 * CLUSTER, 1); /* not from border to border */
            assert_pieces(&disk, 9 * CLUSTER + 1024, 3 * CLUSTER, 1);
            take_snapshot(&disk);
            assert_pieces(&disk, 0, 8 * CLUSTER, 2); /* shared; the snapshot has left a gap */
            disk_clear(&disk);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_write_over_unlike_clusters_changes_nothing_around_it),
        cmocka_unit_test(what_lies_in_a_row_is_written_in_one_piece),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
