/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * qcow2 where its tables end: an L1 table that fills its cluster to the last entry, and refcounts
 * that are as high as their width allows.
 */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/backing.h>
#include <image/snapshot.h>

#include "listed.h"
#include "qcow2/header/header.h"
#include "qcow2_images.h"
#include "stale_bytes.h"

#define assert_error(error, code) assert_true(g_error_matches(error, CST_ERROR, code))
#define COPIED                    (UINT64_C(1) << 63)

static CstBlob *make(const CstImageCreate *options)
{
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, qcow2(), options, NULL, NULL));
    return blob;
}

static CstImageCheck check(CstBlob *blob, unsigned flags)
{
    return check_listed(blob, qcow2(), flags);
}

static uint32_t get32(CstBlob *blob, uint64_t offset)
{
    return (uint32_t)(get64(blob, offset) >> 32);
}

static uint64_t place_at(CstBlob *blob, uint64_t offset)
{
    return get64(blob, offset) & UINT64_C(0x00fffffffffffe00);
}

/* --- a full L1 table ----------------------------------------------------------------------- */

/* With clusters of 512 bytes an L2 table has 64 entries, and 64 L1 entries fill a cluster. */
enum { SMALL = 512, SPAN = 64 * SMALL, FULL = 64 * SPAN, MOST = 2 * FULL + SMALL };

/** The expected content of the guest's disk. */
typedef struct {
    uint64_t size;
    uint8_t bytes[MOST];
} Model;

static void put(CstBlob *blob, Model *model, uint64_t offset, uint64_t length, int byte)
{
    write_guest(blob, offset, length, byte);
    memset(model->bytes + offset, byte, length);
}

/* @snapshot NULL: compares the current content. */
static void assert_shows(CstBlob *blob, const char *snapshot, const Model *model)
{
    const CstImageOpen how = {.snapshot = snapshot};
    CstImage *image = cst_image_open_as(blob, qcow2(), &how, NULL);
    g_autofree uint8_t *seen = g_malloc(model->size);
    g_autoptr(CstBlob) guest = NULL;

    assert_non_null(image);
    assert_int_equal(cst_image_capacity(image), model->size);
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pread(guest, seen, model->size, 0, NULL));
    assert_memory_equal(seen, model->bytes, model->size);
    if (!snapshot) {
        assert_int_equal(get32(blob, QCOW2_AT_L1_SIZE) >= (model->size + SPAN - 1) / SPAN, 1);
        assert_sound(blob, FALSE);
    }
}

static void grow(CstBlob *blob, Model *model, uint64_t size)
{
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);

    assert_true(cst_image_resize(image, size, CST_PREALLOC_OFF, NULL, NULL));
    model->size = cst_image_capacity(image);
    assert_int_equal(model->size, (size + 511) / 512 * 512);
}

static void change_snapshot(CstBlob *blob, const char *name,
                            gboolean (*change)(CstImage *image, const char *name, CstTask *task,
                                               GError **error))
{
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);
    g_autoptr(GError) error = NULL;

    if (!change(image, name, NULL, &error))
        fail_msg("%s: %s", name, error->message);
}

static void live_with_snapshots(uint64_t size, uint64_t growth)
{
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = size, .cluster_size = SMALL});
    g_autofree Model *now = g_new0(Model, 1), *a = NULL, *b = NULL;

    now->size = size;
    put(blob, now, 0, 3 * SPAN, 1);
    put(blob, now, size - 2 * SPAN, 2 * SPAN, 2);
    change_snapshot(blob, "a", cst_image_snapshot_create);
    a = g_memdup2(now, sizeof(*now));
    put(blob, now, size - SMALL, SMALL, 3);
    put(blob, now, SPAN - 10, 20, 4);
    assert_shows(blob, NULL, now);
    assert_shows(blob, "a", a);
    if (growth > 0)
        grow(blob, now, size + growth);
    assert_shows(blob, NULL, now);
    put(blob, now, now->size - 2 * SMALL, 2 * SMALL, 5);
    change_snapshot(blob, "b", cst_image_snapshot_create);
    b = g_memdup2(now, sizeof(*now));
    put(blob, now, 0, now->size, 6);
    assert_shows(blob, NULL, now);
    assert_shows(blob, "b", b);
    change_snapshot(blob, "a", cst_image_snapshot_revert);
    assert_shows(blob, NULL, a);
    put(blob, a, size - SMALL, SMALL, 7);
    assert_shows(blob, NULL, a);
    change_snapshot(blob, "b", cst_image_snapshot_revert);
    assert_shows(blob, NULL, b);
    change_snapshot(blob, "a", cst_image_snapshot_delete);
    assert_shows(blob, NULL, b);
    change_snapshot(blob, "b", cst_image_snapshot_delete);
    assert_shows(blob, NULL, b);
    put(blob, b, 0, b->size, 8);
    assert_shows(blob, NULL, b);
}

static void full_l1_table_supports_snapshots_and_growth(void **state)
{
    static const uint64_t sizes[] = {FULL - SPAN, FULL - SMALL, FULL, FULL + SMALL};
    static const uint64_t growths[] = {0, 1, SMALL + 1, SPAN, FULL};

    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(growths); j++)
            live_with_snapshots(sizes[i], growths[j]);
}

/* The table keeps its cluster while its entries fit, and gets no second one before that. */
static void an_l1_table_moves_when_its_cluster_is_full(void **state)
{
    g_autoptr(CstBlob) blob =
        make(&(CstImageCreate){.capacity = FULL - SPAN, .cluster_size = SMALL});
    g_autofree Model *model = g_new0(Model, 1);
    uint64_t place = get64(blob, QCOW2_AT_L1_OFFSET);

    model->size = FULL - SPAN;
    put(blob, model, model->size - SMALL, SMALL, 1);
    grow(blob, model, FULL);
    assert_int_equal(get32(blob, QCOW2_AT_L1_SIZE), 64);
    assert_int_equal(get64(blob, QCOW2_AT_L1_OFFSET), place);
    put(blob, model, FULL - SMALL, SMALL, 2);
    assert_shows(blob, NULL, model);
    grow(blob, model, FULL + 1);
    assert_int_equal(get32(blob, QCOW2_AT_L1_SIZE), 65);
    assert_int_not_equal(get64(blob, QCOW2_AT_L1_OFFSET), place);
    put(blob, model, FULL, SMALL, 3);
    assert_shows(blob, NULL, model);
}

/* --- refcounts as high as can be ----------------------------------------------------------- */

enum { CLUSTER = 4096, PER_TABLE = CLUSTER / 8 };
#define FAR (UINT64_C(69000) * CLUSTER) /* in a table that no sharer has */

typedef struct {
    unsigned bits;    /* of a refcount */
    uint64_t sharers; /* highest count that fits; G_MAXUINT64: more than fits into the image */
} Width;

static const Width widths[] = {
    {1, 1}, {2, 3}, {4, 15}, {8, 255}, {16, 65535}, {32, G_MAXUINT64}, {64, G_MAXUINT64},
};

static uint64_t count_at(CstBlob *blob, const Width *width, uint64_t host)
{
    uint64_t block = place_at(blob, get64(blob, QCOW2_AT_REFTABLE_OFFSET));
    uint64_t bit = host / CLUSTER * width->bits, value = 0;
    uint8_t raw[8];

    assert_true(cst_blob_pread(blob, raw, MAX(width->bits / 8, 1), block + bit / 8, NULL));
    if (width->bits < 8)
        return raw[0] >> bit % 8 & ((1u << width->bits) - 1);
    for (unsigned i = 0; i < width->bits / 8; i++)
        value = value << 8 | raw[i];
    return value;
}

static CstBlob *make_wide(const Width *width)
{
    return make(&(CstImageCreate){.capacity = UINT64_C(70000) * CLUSTER,
                                  .cluster_size = CLUSTER,
                                  .refcount_bits = width->bits});
}

/* Where the entry of guest cluster @index is; 0: it has no table. */
static uint64_t entry_of(CstBlob *blob, uint64_t index)
{
    uint64_t l1 = get64(blob, QCOW2_AT_L1_OFFSET);
    uint64_t l2 = place_at(blob, l1 + index / PER_TABLE * 8);

    return l2 ? l2 + index % PER_TABLE * 8 : 0;
}

/* The entries of the first @sharers guest clusters all refer to the place of the first one. */
static uint64_t share(CstBlob *blob, uint64_t sharers)
{
    uint64_t shared = get64(blob, entry_of(blob, 0));

    for (uint64_t i = 1; i < sharers; i++) {
        if (entry_of(blob, i) == 0)
            write_guest(blob, i * CLUSTER, 1, 5); /* which is lost again, and leaked */
        put64(blob, entry_of(blob, i), shared);
    }
    return shared & ~COPIED;
}

static void assert_reads(CstBlob *blob, uint64_t offset, uint8_t byte)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(blob, 0));
    uint8_t seen = 0;

    assert_true(cst_blob_pread(guest, &seen, 1, offset, NULL));
    assert_int_equal(seen, byte);
}

static void repair_shared(const Width *width, uint64_t sharers)
{
    g_autoptr(CstBlob) blob = make_wide(width);
    uint64_t host, left, neighbour, leaks = MIN(sharers - 1, 2) + (sharers - 1) / PER_TABLE;
    CstImageCheck found;

    write_guest(blob, 0, 3 * CLUSTER, 1);
    write_guest(blob, FAR, CLUSTER, 9);
    left = place_at(blob, entry_of(blob, 1));
    neighbour = place_at(blob, entry_of(blob, 2));
    host = share(blob, sharers);
    found = check(blob, 0);
    assert_int_equal(found.errors > 0, 1);
    assert_int_equal(found.leaks, leaks);

    found = check(blob, CST_CHECK_REPAIR_ALL);
    assert_int_equal(found.leaks_fixed, leaks);
    assert_int_equal(count_at(blob, width, host), sharers);
    assert_int_equal(count_at(blob, width, left), 0);
    assert_int_equal(count_at(blob, width, neighbour), sharers == 2);
    found = check(blob, 0);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
    for (uint64_t i = 0; i < sharers; i++)
        assert_int_equal(get64(blob, entry_of(blob, i)), host);

    /* each sharer gets its own place as soon as it is written to */
    write_guest(blob, 0, 1, 2);
    assert_reads(blob, 0, 2);
    assert_reads(blob, 1, 1);
    assert_reads(blob, CLUSTER, 1);
    assert_reads(blob, FAR, 9);
    assert_int_equal(count_at(blob, width, host), sharers - 1);
    check(blob, CST_CHECK_REPAIR_ALL); /* with one sharer left, its flag */
    assert_sound(blob, FALSE);
}

static void shared_clusters_are_counted_in_every_width(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        const uint64_t several[] = {2, 3, 4, 7, MIN(widths[i].sharers, 300)};

        for (size_t j = 0; j < G_N_ELEMENTS(several); j++)
            if (several[j] > 1 && several[j] <= widths[i].sharers)
                repair_shared(&widths[i], several[j]);
        if (widths[i].sharers == 65535) { /* where the counts in memory change their form as well */
            repair_shared(&widths[i], 65534);
            repair_shared(&widths[i], 65535);
        }
    }
}

/*
 * A number of users that the refcount cannot hold remains an error, and no cluster of it is freed.
 */
static void too_many_sharers_are_reported_and_no_cluster_is_freed(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        const Width *width = &widths[i];
        g_autoptr(CstBlob) blob = NULL;
        CstImageCheck found;
        uint64_t host;

        if (width->sharers == G_MAXUINT64)
            continue;
        blob = make_wide(width);
        write_guest(blob, 0, CLUSTER, 1);
        share(blob, width->sharers);
        check(blob, CST_CHECK_REPAIR_ALL);
        assert_sound(blob, FALSE);
        host = share(blob, width->sharers + 1);
        for (int again = 0; again < 2; again++) {
            assert_int_equal(check(blob, 0).errors > 0, 1);
            found = check(blob, CST_CHECK_REPAIR_ALL);
            assert_int_equal(found.errors > found.errors_fixed, 1);
            assert_int_equal(count_at(blob, width, host), width->sharers);
        }
        for (uint64_t j = 0; j <= width->sharers; j += width->sharers)
            assert_reads(blob, j * CLUSTER, 1);
    }
}

/* The counts are written anew, where the first error of all is that they can't be read. */
static void counts_are_rebuilt_in_every_width(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        const Width *width = &widths[i];
        uint64_t sharers = MIN(width->sharers, 65537), host, table;
        g_autoptr(CstBlob) blob = make_wide(width), beyond = NULL;
        g_autoptr(GError) error = NULL;
        CstImageCheck found = {0};

        write_guest(blob, 0, CLUSTER, 1);
        host = share(blob, sharers);
        beyond = cst_blob_sparse_copy(blob);
        put64(blob, get64(blob, QCOW2_AT_REFTABLE_OFFSET), 0);
        assert_int_equal(check(blob, 0).errors > 0, 1);
        found = check(blob, CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors, found.errors_fixed);
        assert_int_equal(count_at(blob, width, host), sharers);
        assert_int_equal(count_at(blob, width, 0), 1);
        assert_sound(blob, FALSE);
        assert_reads(blob, (sharers - 1) * CLUSTER, 1);
        if (width->sharers == G_MAXUINT64)
            continue;
        share(beyond, sharers + 1);
        table = get64(beyond, QCOW2_AT_REFTABLE_OFFSET);
        put64(beyond, table, 0);
        assert_false(cst_image_check(beyond, qcow2(), CST_CHECK_REPAIR_ALL, &found, NULL, &error));
        assert_error(error, CST_ERROR_LIMIT);
        assert_int_equal(get64(beyond, QCOW2_AT_REFTABLE_OFFSET), table);
        assert_reads(beyond, sharers * CLUSTER, 1);
    }
}

/* Each snapshot is one more reference to all that it shares. */
static void snapshots_stop_where_the_counts_do(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(widths); i++) {
        const Width *width = &widths[i];
        g_autoptr(CstBlob) blob = NULL;
        g_autoptr(CstImage) image = NULL;
        g_autoptr(GError) error = NULL;

        if (width->sharers > 15)
            continue;
        blob = make_wide(width);
        write_guest(blob, 0, 2 * CLUSTER, 1);
        image = open_image(blob, CST_IMAGE_WRITE);
        for (uint64_t n = 1; n < width->sharers; n++) {
            g_autofree char *name = g_strdup_printf("%u", (unsigned)n);

            assert_true(cst_image_snapshot_create(image, name, NULL, NULL));
            assert_sound(blob, FALSE);
        }
        assert_false(cst_image_snapshot_create(image, "one too many", NULL, &error));
        assert_error(error, CST_ERROR_LIMIT);
        g_clear_pointer(&image, cst_image_free);
        assert_int_equal(get32(blob, QCOW2_AT_SNAPSHOTS), width->sharers - 1);
        assert_sound(blob, TRUE); /* clusters that were written for it are only leaked */
        check(blob, CST_CHECK_REPAIR_LEAKS);
        assert_sound(blob, FALSE);
        write_guest(blob, 0, 1, 2);
        assert_reads(blob, 0, 2);
        assert_reads(blob, 1, 1);
    }
}

/* --- free space ---------------------------------------------------------------------------- */

/*
 * Creates leaked clusters inside the file and at the end of the image, and has a repair find them.
 */
static CstBlob *make_with_free_space(void)
{
    CstBlob *blob = make(&(CstImageCreate){.capacity = 4 * CST_MIB});
    uint64_t l2;

    write_guest(blob, 0, 4 * CST_MIB, 1);
    l2 = place_at(blob, get64(blob, QCOW2_AT_L1_OFFSET));
    for (uint64_t i = 16; i < 32; i++) /* the second of the 4 MiB */
        put64(blob, l2 + i * 8, 0);
    assert_int_equal(check(blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 16);
    leave_stale_end(blob, qcow2(), CST_MIB);
    return blob;
}

/* Without a flush the tables on the disk may still refer to the free clusters. */
static void free_space_is_given_back_after_a_flush_only(void **state)
{
    g_autoptr(CstBlob) blob = make_with_free_space();
    g_autoptr(CstBlob) fault = cst_blob_fault_new(blob);
    g_autoptr(CstImage) image = open_image(fault, CST_IMAGE_WRITE);
    g_autoptr(GError) error = NULL;
    uint64_t full = cst_blob_sparse_used(blob), size = 0;

    cst_blob_fault_arm(fault, CST_FAULT_FLUSH, 1, CST_FAULT_ONCE);
    assert_false(cst_image_trim(image, NULL, &error));
    assert_error(error, CST_ERROR_IO);
    assert_int_equal(cst_blob_sparse_used(blob), full);
    assert_true(cst_image_trim(image, NULL, NULL));
    g_clear_pointer(&image, cst_image_free);
    assert_int_equal(cst_blob_sparse_used(blob), full - 2 * CST_MIB);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    assert_int_equal(size, check(blob, 0).image_end);
    for (uint64_t i = 0; i < 4; i++)
        assert_reads(blob, (i + 1) * CST_MIB - 1, i != 1);
    assert_sound(blob, FALSE);
}

/* A guest discards every @step-th of 16 clusters. Asserts the number of discards in the file. */
static void give_back_every(unsigned step, unsigned discards)
{
    enum { LENGTH = 65536, COUNT = 16 };
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.capacity = 4 * CST_MIB});
    g_autoptr(CstBlob) fault = cst_blob_fault_new(blob), guest = NULL;
    uint64_t full, given = 0, size = 0, after = 0;

    write_guest(blob, 0, 4 * CST_MIB, 1);
    full = cst_blob_sparse_used(blob);
    assert_true(cst_blob_get_size(blob, &size, NULL));
    guest = cst_image_guest_blob(open_image(fault, CST_IMAGE_WRITE));
    for (uint64_t i = 0; i < COUNT; i += step, given += LENGTH)
        assert_true(cst_blob_zero(guest, i * LENGTH, LENGTH, CST_ZERO_MAY_UNMAP, NULL));
    assert_int_equal(cst_blob_sparse_used(blob), full); /* the disk may still refer to it */
    cst_blob_fault_arm(fault, CST_FAULT_DISCARD, 0, CST_FAULT_ONCE);
    assert_true(cst_blob_flush(guest, NULL));
    assert_int_equal(cst_blob_sparse_used(blob), full - given);
    assert_int_equal(cst_blob_fault_count(fault, CST_FAULT_DISCARD), discards);

    /* the space is used again, before the file grows */
    for (uint64_t i = 0; i < COUNT; i += step)
        assert_true(cst_blob_pwrite(guest, "again", 5, i * LENGTH, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_true(cst_blob_get_size(blob, &after, NULL));
    assert_int_equal(after, size);
    assert_sound(blob, FALSE);
}

static void discarded_clusters_are_freed_in_runs(void **state)
{
    give_back_every(1, 1);
    give_back_every(2, 8);
    give_back_every(15, 2);
}

/* The freed cluster of a table that a writer has replaced is used for another table. */
static void reused_cluster_of_a_freed_table_shows_no_old_entry(void **state)
{
    enum { SPAN_OF = PER_TABLE * CLUSTER };
    g_autoptr(CstBlob) blob =
        make(&(CstImageCreate){.capacity = 4 * SPAN_OF, .cluster_size = CLUSTER});
    g_autofree uint8_t *seen = g_malloc(SPAN_OF), *wanted = g_malloc0(SPAN_OF);
    g_autoptr(CstBlob) guest = NULL;
    uint64_t l1 = get64(blob, QCOW2_AT_L1_OFFSET), old;

    write_guest(blob, 0, 3 * CLUSTER, 1);
    old = place_at(blob, l1);
    put64(blob, l1, old); /* not COPIED: the table counts as shared */
    guest = cst_image_guest_blob(open_image(blob, CST_IMAGE_WRITE));
    assert_true(cst_blob_pread(guest, seen, CLUSTER, CLUSTER, NULL));
    assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_int_not_equal(place_at(blob, l1), old);
    assert_true(cst_blob_pwrite(guest, "y", 1, 2 * SPAN_OF, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    assert_int_equal(place_at(blob, l1 + 16), old);
    wanted[0] = 'y';
    assert_true(cst_blob_pread(guest, seen, SPAN_OF, 2 * SPAN_OF, NULL));
    assert_memory_equal(seen, wanted, SPAN_OF);
    assert_sound(blob, FALSE);
}

/* --- a full cache of refcount blocks ------------------------------------------------------- */

/*
 * The smallest blocks: 64 clusters of 512 bytes each, of which the cache holds 2048. A guest that
 * fills the image in this order has neighbours in the disk a block apart in the file.
 */
enum { BLOCKS = 2100, BLOCK_LEN = 64, CLUSTERS = BLOCKS * BLOCK_LEN };

static void fill_scattered(CstBlob *guest)
{
    uint8_t bytes[SMALL];

    memset(bytes, 7, sizeof(bytes));
    for (uint64_t i = 0; i < CLUSTERS; i++)
        assert_true(cst_blob_pwrite(guest, bytes, SMALL,
                                    (i % BLOCK_LEN * BLOCKS + i / BLOCK_LEN) * SMALL, NULL));
    assert_true(cst_blob_flush(guest, NULL));
}

/*
 * All cached blocks are dirty and an allocation needs one more. The cache is written back, and
 * then the freed clusters are counted down, including clusters of that block.
 */
static void counting_down_while_a_block_is_needed_loses_no_count(void **state)
{
    const CstImageCreate options = {
        .capacity = CLUSTERS * SMALL, .cluster_size = SMALL, .refcount_bits = 64};
    const uint64_t length = (uint64_t)BLOCKS * SMALL;
    g_autoptr(CstBlob) blob = make(&options), guest = NULL;
    CstImageCheck found;

    guest = cst_image_guest_blob(open_image(blob, CST_IMAGE_WRITE));
    fill_scattered(guest);
    assert_true(cst_blob_discard(guest, 0, length, NULL));
    assert_true(cst_blob_flush(guest, NULL)); /* one cluster of each block is free */
    assert_true(cst_blob_discard(guest, length, length, NULL)); /* and one is given up */
    for (uint64_t at = 0; at < length; at += SMALL)
        assert_true(cst_blob_pwrite(guest, "new", 3, at, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    found = check(blob, 0);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.leaks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_l1_table_supports_snapshots_and_growth),
        cmocka_unit_test(an_l1_table_moves_when_its_cluster_is_full),
        cmocka_unit_test(shared_clusters_are_counted_in_every_width),
        cmocka_unit_test(too_many_sharers_are_reported_and_no_cluster_is_freed),
        cmocka_unit_test(counts_are_rebuilt_in_every_width),
        cmocka_unit_test(free_space_is_given_back_after_a_flush_only),
        cmocka_unit_test(discarded_clusters_are_freed_in_runs),
        cmocka_unit_test(reused_cluster_of_a_freed_table_shows_no_old_entry),
        cmocka_unit_test(counting_down_while_a_block_is_needed_loses_no_count),
        cmocka_unit_test(snapshots_stop_where_the_counts_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
