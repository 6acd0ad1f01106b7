/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Merging dirty bitmaps. Afterwards the target has exactly the dirty ranges of both bitmaps, in
 * its own granularity. A missing bit would be data that is missing from a backup.
 */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/bitmap.h>

#include "listed.h"
#include "qcow2_images.h"

/* Not even whole sectors of the last granule; with bits of 512 bytes, several clusters of bits. */
enum { SIZE = 5 * 1024 * 1024 + 1024, MOST_BITS = SIZE / 512, CLUSTER_MAX = 4096 };

/** A bitmap, the only one of its image, and the expected bits. */
typedef struct {
    uint64_t cluster, granularity;
    CstBlob *blob;
    uint64_t count;           /* of its bits */
    gboolean bits[MOST_BITS]; /* as they shall be */
} Bitmap;

static void bitmap_init(Bitmap *bitmap, uint64_t cluster, uint64_t granularity)
{
    const CstImageCreate options = {.capacity = SIZE, .cluster_size = cluster};
    g_autoptr(CstImage) image = NULL;

    *bitmap = (Bitmap){.cluster = cluster, .granularity = granularity};
    bitmap->count = (SIZE + granularity - 1) / granularity;
    bitmap->blob = cst_blob_sparse_new(0);
    assert_true(cst_image_create(bitmap->blob, qcow2(), &options, NULL, NULL));
    image = open_image(bitmap->blob, CST_IMAGE_WRITE);
    assert_true(cst_image_bitmap_add(image, "b", granularity, FALSE, NULL));
}

static void bitmap_clear(Bitmap *bitmap)
{
    cst_blob_unref(bitmap->blob);
}

/* Where the table's entry for the @index-th cluster of bits is. The bitmaps are the first extension
 * of our header, and the directory's place ends it. */
static uint64_t entry_at(const Bitmap *bitmap, uint64_t index)
{
    return get64(bitmap->blob, get64(bitmap->blob, 112 + 24)) + index * 8;
}

static uint64_t per_cluster(const Bitmap *bitmap)
{
    return bitmap->cluster * 8;
}

static gboolean byte_bits(const Bitmap *bitmap, uint64_t first, uint8_t *ret_bits)
{
    *ret_bits = 0;
    for (unsigned i = 0; i < 8 && first + i < bitmap->count; i++)
        *ret_bits |= (uint8_t)(bitmap->bits[first + i] ? 1u << i : 0);
    return *ret_bits != 0;
}

/*
 * Appends a cluster with the bits from @first on to the file. Returns its offset, or 0 if no bit
 * is set.
 */
static uint64_t put_cluster(const Bitmap *bitmap, uint64_t first)
{
    uint8_t bytes[CLUSTER_MAX];
    gboolean any = FALSE;
    uint64_t end = 0;

    for (uint64_t i = 0; i < bitmap->cluster; i++)
        any = byte_bits(bitmap, first + i * 8, &bytes[i]) || any;
    assert_true(cst_blob_get_size(bitmap->blob, &end, NULL));
    g_assert(bitmap->cluster > 0);
    end = (end + bitmap->cluster - 1) / bitmap->cluster * bitmap->cluster;
    if (any)
        assert_true(cst_blob_pwrite(bitmap->blob, bytes, bitmap->cluster, end, NULL));
    return any ? end : 0;
}

/* Writes the bits of the model to the file. */
static void store(const Bitmap *bitmap)
{
    for (uint64_t i = 0; i * per_cluster(bitmap) < bitmap->count; i++)
        put64(bitmap->blob, entry_at(bitmap, i), put_cluster(bitmap, i * per_cluster(bitmap)));
    check_listed(bitmap->blob, qcow2(), CST_CHECK_REPAIR_ALL); /* which counts the new clusters */
    assert_sound(bitmap->blob, FALSE);
}

static gboolean stored_bit(const Bitmap *bitmap, uint64_t bit)
{
    uint64_t entry = get64(bitmap->blob, entry_at(bitmap, bit / per_cluster(bitmap)));
    uint8_t byte = 0;

    if (entry < 2)
        return entry != 0;
    assert_true(
        cst_blob_pread(bitmap->blob, &byte, 1, entry + bit % per_cluster(bitmap) / 8, NULL));
    return byte >> bit % 8 & 1;
}

static void assert_stored(const Bitmap *bitmap)
{
    for (uint64_t bit = 0; bit < bitmap->count; bit++)
        if (stored_bit(bitmap, bit) != bitmap->bits[bit])
            fail_msg("bit %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " bytes is %d", bit,
                     bitmap->granularity, !bitmap->bits[bit]);
    assert_sound(bitmap->blob, FALSE);
}

/* Asserts that the engine reads the ranges of the model. */
static void assert_ranges(const Bitmap *bitmap)
{
    g_autoptr(CstImage) image = open_image(bitmap->blob, 0);
    g_autoptr(GArray) ranges = cst_image_bitmap_ranges(image, "b", G_MAXUINT, NULL, NULL);
    guint next = 0;

    assert_non_null(ranges);
    for (uint64_t bit = 0, end; bit < bitmap->count; bit = end) {
        for (end = bit + 1; end < bitmap->count && bitmap->bits[end] == bitmap->bits[bit];)
            end++;
        if (!bitmap->bits[bit])
            continue;
        assert_true(next < ranges->len);
        assert_int_equal(g_array_index(ranges, CstRange, next).offset, bit * bitmap->granularity);
        assert_int_equal(g_array_index(ranges, CstRange, next).length,
                         MIN(SIZE, end * bitmap->granularity) - bit * bitmap->granularity);
        next++;
    }
    assert_int_equal(next, ranges->len);
    if (next > 0) {
        g_autoptr(GError) error = NULL;

        assert_null(cst_image_bitmap_ranges(image, "b", next - 1, NULL, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_LIMIT));
    }
}

static gboolean merge(const Bitmap *to, const Bitmap *from, GError **error)
{
    g_autoptr(CstImage) target = open_image(to->blob, CST_IMAGE_WRITE);
    g_autoptr(CstImage) source = open_image(from->blob, 0);

    return cst_image_bitmap_merge(target, "b", source, "b", error);
}

/* The same in the model, byte by byte of the guest, or at least sector by sector. */
static void merge_model(Bitmap *to, const Bitmap *from)
{
    for (uint64_t at = 0; at < SIZE; at += 512)
        if (from->bits[at / from->granularity])
            to->bits[at / to->granularity] = TRUE;
}

/* --- any bits ------------------------------------------------------------------------------ */

static const uint64_t granularities[] = {512, 1024, 8192, 65536};

static void set(Bitmap *bitmap, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count && i < bitmap->count; i++)
        bitmap->bits[i] = TRUE;
}

/*
 * Sets the first and the last bit, and the bits on either side of each border between clusters of
 * bits.
 */
static void set_borders(Bitmap *bitmap)
{
    set(bitmap, 0, 1);
    set(bitmap, bitmap->count - 1, 1);
    for (uint64_t at = per_cluster(bitmap); at < bitmap->count; at += 2 * per_cluster(bitmap))
        set(bitmap, at - 1, 2);
}

static void set_some(Bitmap *bitmap, GRand *rand)
{
    for (int i = 0; i < 12; i++)
        set(bitmap, (uint64_t)g_rand_int_range(rand, 0, (gint32)bitmap->count),
            (uint64_t)g_rand_int_range(rand, 1, i % 3 ? 20 : 700));
}

static void merge_twice(Bitmap *to, Bitmap *from)
{
    g_autoptr(GError) error = NULL;
    uint64_t places[2];

    store(to);
    store(from);
    assert_stored(to);
    merge_model(to, from);
    if (!merge(to, from, &error))
        fail_msg("merge: %s", error->message);
    assert_stored(to);
    assert_stored(from);
    assert_ranges(to);
    assert_ranges(from);
    places[0] = get64(to->blob, entry_at(to, 0));
    assert_true(merge(to, from, NULL)); /* no bit to add */
    places[1] = get64(to->blob, entry_at(to, 0));
    assert_int_equal(places[0], places[1]);
    assert_stored(to);
}

static void every_byte_that_was_dirty_stays_dirty(void **state)
{
    static const uint64_t clusters[] = {512, 4096};
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    static Bitmap to, from;

    for (size_t i = 0; i < G_N_ELEMENTS(granularities); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(granularities); j++)
            for (int how = 0; how < 3; how++) {
                bitmap_init(&to, clusters[how % 2], granularities[i]);
                bitmap_init(&from, clusters[(i + j) % 2], granularities[j]);
                if (how == 0) {
                    set_borders(&from);
                } else {
                    set_some(&from, rand);
                    set_some(&to, rand);
                }
                merge_twice(&to, &from);
                bitmap_clear(&to);
                bitmap_clear(&from);
            }
}

/* --- entries without a cluster --------------------------------------------------------------- */

/* An entry of 1 says that all of its bits are set. */
static void entry_with_all_bits_set_is_merged(void **state)
{
    static Bitmap to, from;

    bitmap_init(&to, 512, 4096);
    bitmap_init(&from, 512, 512);
    put64(from.blob, entry_at(&from, 1), 1);
    set(&from, per_cluster(&from), per_cluster(&from));
    assert_stored(&from);
    merge_model(&to, &from);
    assert_true(merge(&to, &from, NULL));
    assert_stored(&to);
    bitmap_clear(&to);

    bitmap_init(&to, 512, 512); /* in the target, bits are added to such an entry */
    put64(to.blob, entry_at(&to, 1), 1);
    set(&to, per_cluster(&to), per_cluster(&to));
    set(&from, per_cluster(&from) - 3, 6);
    store(&from);
    merge_model(&to, &from);
    assert_true(merge(&to, &from, NULL));
    assert_stored(&to);
    assert_int_equal(get64(to.blob, entry_at(&to, 1)), 1);
    bitmap_clear(&to);
    bitmap_clear(&from);
}

/* --- damage -------------------------------------------------------------------------------- */

enum { DAMAGED = 4096 }; /* its clusters are larger than the unit of an offset */

static void merge_with_entry(uint64_t entry, gboolean good)
{
    g_autoptr(GError) error = NULL;
    static Bitmap to, from;

    bitmap_init(&to, 512, 512);
    bitmap_init(&from, DAMAGED, 512);
    put64(from.blob, entry_at(&from, 0), entry);
    assert_int_equal(merge(&to, &from, &error), good);
    if (!good)
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
    assert_sound(to.blob, FALSE);
    if (!good)
        assert_stored(&to);
    bitmap_clear(&to);
    bitmap_clear(&from);
}

static uint64_t file_size(void)
{
    static Bitmap bitmap;
    uint64_t size = 0;

    bitmap_init(&bitmap, DAMAGED, 512);
    assert_true(cst_blob_get_size(bitmap.blob, &size, NULL));
    bitmap_clear(&bitmap);
    return size;
}

static void damaged_bits_are_refused_and_the_target_is_unchanged(void **state)
{
    uint64_t end = file_size() / DAMAGED * DAMAGED;

    merge_with_entry(end - DAMAGED, TRUE);
    merge_with_entry(end - DAMAGED - 512, FALSE);
    merge_with_entry((end - DAMAGED) | 1, FALSE);
    merge_with_entry(end, FALSE);
    merge_with_entry(end + DAMAGED, FALSE);
    merge_with_entry(UINT64_C(1) << 55, FALSE);
}

/* Entries that share their bits would have far more of them read than the file has. */
static void more_bits_than_the_file_has_are_damage(void **state)
{
    const CstImageCreate options = {.capacity = UINT64_C(32) << 30, .cluster_size = DAMAGED};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autoptr(CstImage) image = NULL;
    g_autoptr(GArray) ranges = NULL;
    g_autoptr(GError) error = NULL;
    uint64_t table;

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(cst_image_bitmap_add(image, "b", 512, FALSE, NULL));
    table = get64(blob, get64(blob, 112 + 24));
    put64(blob, table, DAMAGED);
    ranges = cst_image_bitmap_ranges(image, "b", G_MAXUINT, NULL, NULL);
    assert_non_null(ranges);
    for (uint64_t i = 0; i < 2048; i++)
        put64(blob, table + i * 8, DAMAGED);
    assert_null(cst_image_bitmap_ranges(image, "b", G_MAXUINT, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
}

/* --- failures ------------------------------------------------------------------------------ */

/*
 * The bits are written before an entry refers to them. The space that was allocated for them is
 * freed.
 */
static void bits_that_can_not_be_written_leave_all_as_it_was(void **state)
{
    static Bitmap to, from;

    for (unsigned nth = 1; nth <= 3; nth++) {
        g_autoptr(CstBlob) fault = NULL;
        g_autoptr(CstImage) target = NULL, source = NULL;

        bitmap_init(&to, 512, 512);
        bitmap_init(&from, 512, 512);
        set_borders(&from); /* in three clusters of bits */
        store(&from);
        set(&to, 5, 1);
        store(&to);
        fault = cst_blob_fault_new(to.blob);
        target = open_image(fault, CST_IMAGE_WRITE);
        source = open_image(from.blob, 0);
        cst_blob_fault_arm(fault, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
        assert_false(cst_image_bitmap_merge(target, "b", source, "b", NULL));
        g_clear_pointer(&target, cst_image_free);
        assert_stored(&to);
        bitmap_clear(&to);
        bitmap_clear(&from);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_that_was_dirty_stays_dirty),
        cmocka_unit_test(entry_with_all_bits_set_is_merged),
        cmocka_unit_test(damaged_bits_are_refused_and_the_target_is_unchanged),
        cmocka_unit_test(more_bits_than_the_file_has_are_damage),
        cmocka_unit_test(bits_that_can_not_be_written_leave_all_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
