/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Writes over a row of clusters of every kind. Unwritten ranges keep their content, in the image
 * and in its snapshot. Adjacent ranges are written to the file in one piece.
 */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/snapshot.h>

#include "format.h"
#include "qcow2/header/header.h"
#include "qcow2_images.h"

enum { CLUSTER = 16384, COUNT = 24, SIZE = COUNT * CLUSTER - 512, SHORT = 17 * CLUSTER + 512 };

/** An image over a shorter backing image, and its expected content. */
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

/* The format decides about the content of discarded bytes. Each byte is unchanged or zero. */
static void discard(Disk *disk, CstBlob *guest, uint64_t offset, uint64_t length)
{
    static uint8_t seen[SIZE];

    length = MIN(length, SIZE - offset);
    assert_true(cst_blob_discard(guest, offset, length, NULL));
    assert_true(cst_blob_pread(guest, seen, length, offset, NULL));
    for (uint64_t i = 0; i < length; i++)
        assert_true(seen[i] == 0 || seen[i] == disk->bytes[offset + i]);
    memcpy(disk->bytes + offset, seen, length);
}

/* Prepares each cluster in one of these ways: unallocated, full, partly written, zeroes with and
 * without a place, partly zero, compressed. */
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

static void change(Disk *disk, CstBlob *guest, GRand *rand, int byte)
{
    uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, SIZE);
    uint64_t length = (uint64_t)g_rand_int_range(rand, 1, 5 * CLUSTER);

    switch (g_rand_int_range(rand, 0, 8)) {
    case 0: discard(disk, guest, offset, length); break;
    case 1: put_zeroes(disk, guest, offset, length, 0); break;
    case 2: put_zeroes(disk, guest, offset, length, CST_ZERO_MAY_UNMAP); break;
    case 3: put_zeroes(disk, guest, offset / 512 * 512, 512 * (length / 512 + 1), 0); break;
    default: put(disk, guest, offset, length, byte); break;
    }
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
    for (int i = 0; i < 8; i++)
        change(disk, guest, rand, 110 + i);
    assert_true(cst_blob_flush(guest, NULL));
}

static void write_over_clusters_of_all_kinds_keeps_the_neighbours(void **state)
{
    static const CstImageCreate variants[] = {
        {.extended_l2 = FALSE}, {.extended_l2 = TRUE}, {.compat = "0.10"}};
    static Disk disk;

    for (guint32 seed = 0; seed < 240; seed++) {
        g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
        gboolean with_snapshot = seed / 6 % 2;

        disk_init(&disk, &variants[seed % 3], seed / 3 % 2);
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

static void adjacent_clusters_are_written_in_one_piece(void **state)
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

/* Bytes after the end of the file are zero without a write. */
static void a_small_write_to_new_space_fills_no_cluster(void **state)
{
    for (int extended = 0; extended < 2; extended++) {
        const CstImageCreate options = {.extended_l2 = extended};
        g_autoptr(CstBlob) guest = NULL;
        static Disk disk;
        uint64_t before = 0, after = 0;

        disk_init(&disk, &options, FALSE);
        guest = cst_image_guest_blob(open_upon(&disk, CST_IMAGE_WRITE, NULL));
        put(&disk, guest, 0, CLUSTER, 1);
        assert_true(cst_blob_flush(guest, NULL));
        assert_true(cst_blob_get_size(disk.blob, &before, NULL));
        put(&disk, guest, 5 * CLUSTER + 100, 100, 2);
        assert_true(cst_blob_get_size(disk.blob, &after, NULL));
        assert_int_equal(after - before, 200);
        assert_true(cst_blob_flush(guest, NULL));
        assert_shows(&disk, NULL, disk.bytes);
        disk_clear(&disk);
    }
}

/*
 * --- freed clusters -----------------------------------------------------------------------------
 */

/** Zeroes or discards a range of an image full of data. */
typedef struct {
    const char *compat;
    gboolean backed;
    enum { ZERO, UNMAP, FAST, DISCARD } how;
    uint64_t from, to;
    gboolean zero;      /* reads as zeroes afterwards, else the content is unchanged */
    unsigned allocated; /* clusters that are left */
} Release;

#define C ((uint64_t)CLUSTER)

static const Release releases[] = {
    {"1.1", FALSE, ZERO, 2 * C, 5 * C, TRUE, COUNT},
    {"1.1", FALSE, UNMAP, 2 * C, 5 * C, TRUE, COUNT - 3},
    {"1.1", FALSE, UNMAP, 2 * C + 1, 5 * C, TRUE, COUNT - 2},
    {"1.1", FALSE, UNMAP, 2 * C, 5 * C - 1, TRUE, COUNT - 2},
    {"1.1", TRUE, UNMAP, 2 * C, 5 * C, TRUE, COUNT - 3},
    {"1.1", TRUE, FAST, 2 * C, 5 * C, TRUE, COUNT - 3},
    {"1.1", FALSE, UNMAP, 22 * C, SIZE, TRUE, COUNT - 2},
    {"1.1", FALSE, UNMAP, 22 * C, SIZE - 1, TRUE, COUNT - 1},
    {"1.1", FALSE, DISCARD, 2 * C, 5 * C, TRUE, COUNT - 3},
    {"1.1", TRUE, DISCARD, 2 * C, 5 * C, TRUE, COUNT - 3},
    {"1.1", FALSE, DISCARD, 2 * C + 1, 4 * C - 1, FALSE, COUNT},
    {"1.1", FALSE, DISCARD, 23 * C, SIZE, TRUE, COUNT - 1},
    {"1.1", FALSE, DISCARD, 23 * C, SIZE - 1, FALSE, COUNT},
    {"0.10", FALSE, ZERO, 2 * C, 5 * C, TRUE, COUNT},
    {"0.10", FALSE, UNMAP, 2 * C, 5 * C, TRUE, COUNT - 3},
    {"0.10", TRUE, UNMAP, 2 * C, 5 * C, TRUE, COUNT},
    {"0.10", TRUE, UNMAP, 18 * C, 20 * C, TRUE, COUNT - 2}, /* after the end of the backing image */
    {"0.10", TRUE, FAST, 2 * C, 5 * C, FALSE, COUNT},
    {"0.10", FALSE, DISCARD, 2 * C, 5 * C, TRUE, COUNT - 3},
    {"0.10", TRUE, DISCARD, 2 * C, 5 * C, FALSE, COUNT},
};

static gboolean release(const Release *what, CstBlob *guest, GError **error)
{
    static const unsigned flags[] = {
        [ZERO] = 0, [UNMAP] = CST_ZERO_MAY_UNMAP, [FAST] = CST_ZERO_MAY_UNMAP | CST_ZERO_FAST};
    uint64_t length = what->to - what->from;

    return what->how == DISCARD ? cst_blob_discard(guest, what->from, length, error)
                                : cst_blob_zero(guest, what->from, length, flags[what->how], error);
}

static void zeroing_and_discarding_give_back_whole_clusters(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(releases); i++) {
        const CstImageCreate options = {.compat = releases[i].compat};
        const Release *what = &releases[i];
        g_autoptr(CstBlob) guest = NULL;
        g_autoptr(GError) error = NULL;
        CstImageCheck found = {0};
        static Disk disk;
        gboolean ok;

        disk_init(&disk, &options, what->backed);
        guest = cst_image_guest_blob(open_upon(&disk, CST_IMAGE_WRITE, NULL));
        put(&disk, guest, 0, SIZE, 1);
        ok = release(what, guest, &error);
        assert_int_equal(ok, what->how != FAST || what->zero);
        assert_true(ok || g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
        if (what->zero)
            memset(disk.bytes + what->from, 0, what->to - what->from);
        assert_true(cst_blob_flush(guest, NULL));
        assert_shows(&disk, NULL, disk.bytes);
        assert_sound(disk.blob, FALSE);
        assert_true(cst_image_check(disk.blob, qcow2(), 0, &found, NULL, NULL));
        if (found.allocated_clusters != what->allocated)
            fail_msg("row %zu: %u clusters", i, (unsigned)found.allocated_clusters);
        disk_clear(&disk);
    }
}

/* --- failures ------------------------------------------------------------------------------ */

/*
 * The data of a new cluster is written before any table. The refcount of a failed write is taken
 * back.
 */
static void failed_write_allocates_no_space(void **state)
{
    static const uint64_t lengths[] = {1, CLUSTER, CLUSTER + 1, 3 * CLUSTER};
    static Disk disk;

    for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
        g_autoptr(CstBlob) fault = NULL, guest = NULL;
        uint8_t bytes[3 * CLUSTER] = {0};

        disk_init(&disk, &(const CstImageCreate){0}, FALSE);
        fault = cst_blob_fault_new(disk.blob);
        guest =
            cst_image_guest_blob(open_upon(&(const Disk){.blob = fault}, CST_IMAGE_WRITE, NULL));
        put(&disk, guest, 8 * CLUSTER, 5, 1);
        cst_blob_fault_arm(fault, CST_FAULT_WRITE, 1, CST_FAULT_ONCE);
        assert_false(cst_blob_pwrite(guest, bytes, lengths[i], 100, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        assert_sound(disk.blob, FALSE);
        assert_shows(&disk, NULL, disk.bytes);
        disk_clear(&disk);
    }
}

/* With clusters of 512 bytes and counts of 64 bits each of its clusters counts 2 MiB. */
static void the_refcount_table_grows_by_half(void **state)
{
    enum { STEP = 65536, END = 8 * 1024 * 1024, MOVES = 3 };
    const CstImageCreate options = {.capacity = END, .cluster_size = 512, .refcount_bits = 64};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autofree uint8_t *ones = g_malloc(STEP);
    g_autoptr(CstBlob) guest = NULL;
    unsigned moves = 0;
    uint64_t place;
    uint32_t clusters;

    memset(ones, 1, STEP);
    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    place = get64(blob, QCOW2_AT_REFTABLE_OFFSET);
    clusters = (uint32_t)(get64(blob, QCOW2_AT_REFTABLE_SIZE) >> 32);
    guest = cst_image_guest_blob(open_image(blob, CST_IMAGE_WRITE));
    for (uint64_t at = 0; at < END; at += STEP) {
        uint32_t now;

        assert_true(cst_blob_pwrite(guest, ones, STEP, at, NULL));
        if (get64(blob, QCOW2_AT_REFTABLE_OFFSET) == place)
            continue;
        now = (uint32_t)(get64(blob, QCOW2_AT_REFTABLE_SIZE) >> 32);
        assert_true(now >= clusters + (clusters + 1) / 2);
        assert_true(now <= clusters * 2);
        place = get64(blob, QCOW2_AT_REFTABLE_OFFSET);
        clusters = now;
        moves++;
    }
    assert_int_equal(moves, MOVES);
    assert_true(cst_blob_flush(guest, NULL));
    assert_sound(blob, FALSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_over_clusters_of_all_kinds_keeps_the_neighbours),
        cmocka_unit_test(adjacent_clusters_are_written_in_one_piece),
        cmocka_unit_test(a_small_write_to_new_space_fills_no_cluster),
        cmocka_unit_test(zeroing_and_discarding_give_back_whole_clusters),
        cmocka_unit_test(failed_write_allocates_no_space),
        cmocka_unit_test(the_refcount_table_grows_by_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
