/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Images of two levels of tables (qcow of version 1, QED): damage and its repair, and QED's mark
 * that an image needs a check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/error.h>
#include <base/units.h>
#include <blob/fault.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/backing.h>
#include <image/image.h>

#include "levels_images.h"
#include "listed.h"

enum { SIZE = 4 * 1024 * 1024, AT_FEATURES = 16, NEED_CHECK = 2 };

typedef struct {
    const char *format;
    CstImageCreate options;
    uint64_t cluster, l1;
} Variant;

static const Variant variants[] = {
    {"qcow", {.capacity = SIZE}, 4096, 48},
    {"qed", {.capacity = SIZE, .cluster_size = 4096, .table_size = 1}, 4096, 4096},
};

static const CstImageFormat *format_of(const Variant *variant)
{
    return cst_image_format_find(variant->format, NULL);
}

static uint64_t get(const Variant *variant, CstBlob *blob, uint64_t at)
{
    return get_word(variant->format, blob, at);
}

static void put(const Variant *variant, CstBlob *blob, uint64_t at, uint64_t value)
{
    put_word(variant->format, blob, at, value);
}

static CstBlob *open_guest(const Variant *variant, CstBlob *blob, unsigned flags)
{
    CstImage *image = cst_image_open(blob, format_of(variant), flags, NULL, NULL);

    return image ? cst_image_guest_blob(image) : NULL;
}

/* Clusters 0 to 3 hold 1 to 4, and the first one of the second table 5. */
static CstBlob *make(const Variant *variant)
{
    CstBlob *blob = cst_blob_memory_new(NULL, 0);
    g_autoptr(CstBlob) guest = NULL;
    uint8_t cluster[4096];

    assert_true(cst_image_create(blob, format_of(variant), &variant->options, NULL, NULL));
    guest = open_guest(variant, blob, CST_IMAGE_WRITE);
    for (uint64_t i = 0; i < 5; i++) {
        memset(cluster, (int)i + 1, sizeof(cluster));
        assert_true(
            cst_blob_pwrite(guest, cluster, sizeof(cluster), i < 4 ? i * 4096 : SIZE / 2, NULL));
    }
    assert_true(cst_blob_flush(guest, NULL));
    return blob;
}

static uint8_t byte_at(CstBlob *guest, uint64_t at)
{
    uint8_t byte = 0xff;

    assert_true(cst_blob_pread(guest, &byte, 1, at, NULL));
    return byte;
}

static CstImageCheck check(const Variant *variant, CstBlob *blob, unsigned flags)
{
    return check_listed(blob, format_of(variant), flags);
}

static void sound_image_needs_no_repair(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = make(&variants[i]);
        CstImageCheck found = check(&variants[i], blob, 0);

        assert_int_equal(found.errors, 0);
        assert_int_equal(found.leaks, 0);
        assert_int_equal(found.allocated_clusters, 5);
        assert_int_equal(found.total_clusters, SIZE / 4096);
    }
}

/* Both clusters keep their content, an entry outside the file is cleared, and leaks are found. */
static void damage_is_found_and_repaired(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(CstBlob) guest = NULL;
        uint64_t table = get(variant, blob, variant->l1);
        CstImageCheck found;

        put(variant, blob, table + 8, get(variant, blob, table)); /* 1 is where 0 is */
        put(variant, blob, table + 16, UINT64_C(1) << 40);        /* 2 is outside the file */
        put(variant, blob, table + 24, table);                    /* 3 is the table itself */
        found = check(variant, blob, 0);
        assert_int_equal(found.errors, 3);
        assert_int_equal(found.leaks, 3);
        assert_int_equal(check(variant, blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 0);
        found = check(variant, blob, CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors_fixed, 3);
        assert_int_equal(found.leaks_fixed, found.leaks);
        found = check(variant, blob, 0);
        assert_int_equal(found.errors + found.leaks, 0);
        guest = open_guest(variant, blob, 0);
        assert_int_equal(byte_at(guest, 0), 1);
        assert_int_equal(byte_at(guest, 4096), 1);
        assert_int_equal(byte_at(guest, 2 * 4096), 0);
        assert_int_equal(byte_at(guest, SIZE / 2), 5);
    }
}

static gboolean reads(CstBlob *guest, uint64_t at)
{
    g_autoptr(GError) error = NULL;
    uint8_t byte = 0xff;

    if (cst_blob_pread(guest, &byte, 1, at, &error)) {
        assert_int_equal(byte, 0);
        return TRUE;
    }
    assert_int_equal(error->code, CST_ERROR_CORRUPT);
    return FALSE;
}

/* Places of the second table in a file of @size bytes, and whether a table fits there. */
static void a_table_lies_inside_the_file_and_is_aligned(void **state)
{
    static const struct {
        int64_t behind;
        gboolean sound;
    } places[] = {
        {-4096, TRUE}, {-2048, FALSE},           {-8, FALSE}, {0, FALSE}, {-4096 + 1, FALSE},
        {4096, FALSE}, {INT64_C(1) << 40, FALSE}};

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(places); j++) {
            const Variant *variant = &variants[i];
            g_autoptr(CstBlob) blob = make(variant);
            g_autoptr(CstBlob) guest = NULL;
            gboolean sound = places[j].sound;
            uint64_t size = 0, table;

            assert_true(cst_blob_get_size(blob, &size, NULL));
            size += 4096;
            assert_true(cst_blob_resize(blob, size, NULL));
            table = size + (uint64_t)places[j].behind;
            put(variant, blob, variant->l1 + 8, table);
            guest = open_guest(variant, blob, CST_IMAGE_WRITE);
            assert_int_equal(reads(guest, SIZE / 2), sound);
            g_clear_pointer(&guest, cst_blob_unref);
            assert_int_equal(check(variant, blob, 0).errors, !sound);
            assert_int_equal(check(variant, blob, CST_CHECK_REPAIR_ALL).errors_fixed, !sound);
            assert_int_equal(get(variant, blob, variant->l1 + 8) != 0, sound);
            assert_int_equal(check(variant, blob, 0).errors, 0);
        }
}

/* A reader sees the part of a table that is in the file. A writer needs the whole table. */
static void half_a_table_is_only_read(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(CstBlob) reader = NULL, writer = NULL;
        uint64_t size = 0;

        assert_true(cst_blob_get_size(blob, &size, NULL));
        assert_true(cst_blob_resize(blob, size + 2048, NULL));
        put(variant, blob, variant->l1 + 8, size);
        reader = open_guest(variant, blob, 0);
        assert_true(reads(reader, SIZE / 2));
        assert_true(reads(reader, SIZE / 2 + 255 * 4096));
        assert_false(reads(reader, SIZE / 2 + 256 * 4096));
        writer = open_guest(variant, blob, CST_IMAGE_WRITE);
        assert_false(reads(writer, SIZE / 2));
        assert_false(cst_blob_pwrite(writer, "x", 1, SIZE / 2, NULL));
        /* the file has grown since, but the cached part of the table has not */
        assert_true(cst_blob_resize(blob, size + 4096, NULL));
        assert_true(reads(reader, SIZE / 2 + 255 * 4096));
        assert_false(reads(reader, SIZE / 2 + 256 * 4096));
    }
}

static void a_table_that_is_shared_is_copied(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(CstBlob) guest = NULL;
        CstImageCheck found;

        put(variant, blob, variant->l1 + 8, get(variant, blob, variant->l1));
        assert_int_equal(check(variant, blob, 0).errors, 1);
        found = check(variant, blob, CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors_fixed, 1);
        assert_int_equal(check(variant, blob, 0).errors, 0);
        guest = open_guest(variant, blob, CST_IMAGE_WRITE);
        assert_int_equal(byte_at(guest, SIZE / 2), 1);
        assert_true(cst_blob_pwrite(guest, "x", 1, SIZE / 2, NULL));
        assert_int_equal(byte_at(guest, 0), 1);
    }
}

static void leaks_are_closed_by_moving_later_clusters(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(CstBlob) guest = NULL;
        uint64_t table = get(variant, blob, variant->l1), before = 0, after = 0;

        put(variant, blob, table, 0);
        put(variant, blob, table + 8, 0);
        assert_true(cst_blob_get_size(blob, &before, NULL));
        assert_int_equal(check(variant, blob, CST_CHECK_REPAIR_LEAKS).leaks_fixed, 2);
        assert_true(cst_blob_get_size(blob, &after, NULL));
        assert_int_equal(before - after, 2 * 4096);
        guest = open_guest(variant, blob, 0);
        assert_int_equal(byte_at(guest, 2 * 4096), 3);
        assert_int_equal(byte_at(guest, 3 * 4096), 4);
        assert_int_equal(byte_at(guest, SIZE / 2), 5);
    }
}

/* --- QED's mark ------------------------------------------------------------------------------- */

static gboolean needs_check(CstBlob *blob)
{
    return (get(&variants[1], blob, AT_FEATURES) & NEED_CHECK) != 0;
}

static void qed_needs_a_check_while_it_is_written(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[1]);
    g_autoptr(CstBlob) guest = open_guest(&variants[1], blob, CST_IMAGE_WRITE);

    assert_false(needs_check(blob));
    assert_true(cst_blob_pwrite(guest, "x", 1, 0, NULL)); /* in its place: no table changes */
    assert_false(needs_check(blob));
    assert_true(cst_blob_pwrite(guest, "x", 1, SIZE - 1, NULL));
    assert_true(needs_check(blob));
    g_clear_pointer(&guest, cst_blob_unref);
    assert_false(needs_check(blob));
}

static void qed_is_repaired_when_it_is_opened_for_writing(void **state)
{
    const Variant *qed = &variants[1];
    g_autoptr(CstBlob) blob = make(qed);
    g_autoptr(CstBlob) guest = NULL;
    uint64_t table = get(qed, blob, qed->l1);

    put(qed, blob, table + 8, get(qed, blob, table));
    put(qed, blob, AT_FEATURES, NEED_CHECK);
    guest = open_guest(qed, blob, 0);
    assert_int_equal(byte_at(guest, 4096), 1);
    g_clear_pointer(&guest, cst_blob_unref);
    assert_true(needs_check(blob));
    guest = open_guest(qed, blob, CST_IMAGE_WRITE);
    assert_false(needs_check(blob));
    assert_true(cst_blob_pwrite(guest, "x", 1, 4096, NULL));
    assert_int_equal(byte_at(guest, 0), 1);
    g_clear_pointer(&guest, cst_blob_unref);

    put(qed, blob, AT_FEATURES, NEED_CHECK);
    check(qed, blob, 0);
    assert_true(needs_check(blob));
    check(qed, blob, CST_CHECK_REPAIR_LEAKS);
    assert_false(needs_check(blob));
}

/*
 * A writer that ended without a word has put a cluster, and its entry, where no flush covers them.
 */
static CstBlob *make_unflushed(const Variant *qed)
{
    g_autoptr(CstBlob) sound = make(qed);
    CstBlob *power;
    uint64_t size = 0;

    put(qed, sound, AT_FEATURES, NEED_CHECK);
    assert_true(cst_blob_get_size(sound, &size, NULL));
    power = cst_blob_power_new(sound, NULL);
    assert_true(cst_blob_resize(power, size + qed->cluster, NULL));
    assert_true(cst_blob_pwrite(power, "h", 1, size, NULL));
    put(qed, power, get(qed, power, qed->l1) + 7 * 8, size);
    return power;
}

/*
 * Clears the "needs check" mark, by opening or by a check. Both do so only when all changes are on
 * the disk.
 */
static void clear_mark(CstBlob *blob, gboolean by_opening)
{
    if (by_opening)
        cst_blob_unref(open_guest(&variants[1], blob, CST_IMAGE_WRITE));
    else
        check(&variants[1], blob, CST_CHECK_REPAIR_ALL);
    assert_false(needs_check(blob));
}

static void qed_needs_a_check_until_all_is_on_the_disk(void **state)
{
    for (int by_opening = 0; by_opening < 2; by_opening++) {
        g_autoptr(CstBlob) power = make_unflushed(&variants[1]);
        unsigned first = cst_blob_power_steps(power), last;

        clear_mark(power, by_opening);
        last = cst_blob_power_steps(power);
        for (unsigned steps = first; steps <= last; steps++)
            for (unsigned n = cst_blob_power_covered(power, steps); n < steps; n++) {
                g_autoptr(CstBlob) left =
                    cst_blob_power_crash_one(power, steps, n, TRUE, FALSE, NULL);
                g_autoptr(CstBlob) guest = open_guest(&variants[1], left, 0);

                if (!needs_check(left))
                    assert_int_equal(byte_at(guest, 7 * 4096), 'h');
            }
    }
}

static void qed_is_marked_before_a_repair_changes_it(void **state)
{
    const Variant *qed = &variants[1];

    for (int leak = 0; leak < 2; leak++) {
        g_autoptr(CstBlob) inner = make(qed), blob = cst_blob_fault_new(inner);
        uint64_t table = get(qed, inner, qed->l1);
        CstImageCheck found = {0};

        put(qed, inner, table + 8, leak ? 0 : get(qed, inner, table));
        cst_blob_fault_arm(blob, CST_FAULT_WRITE, 2, CST_FAULT_CUT);
        assert_false(
            cst_image_check(blob, format_of(qed), CST_CHECK_REPAIR_ALL, &found, NULL, NULL));
        assert_true(needs_check(inner));
    }
}

/* --- the L1 table of qcow --------------------------------------------------------------------- */

/* Asserts that all clusters but cluster 0 are present. */
static void assert_rest(CstBlob *guest)
{
    assert_int_equal(byte_at(guest, 0), 0);
    for (uint64_t i = 1; i < 4; i++)
        assert_int_equal(byte_at(guest, i * 4096), i + 1);
    assert_int_equal(byte_at(guest, SIZE / 2), 5);
}

static void assert_power_cuts_lose_nothing(const Variant *variant, CstBlob *power)
{
    for (unsigned steps = 0; steps <= cst_blob_power_steps(power); steps++)
        for (unsigned n = cst_blob_power_covered(power, steps); n < steps; n++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash_one(power, steps, n, TRUE, FALSE, NULL);
            g_autoptr(CstBlob) guest = open_guest(variant, left, 0);

            assert_rest(guest);
        }
}

/* Growing puts a longer table at the end. A gap before it holds it again after shrinking. */
static void a_table_that_has_moved_fills_a_gap(void **state)
{
    const Variant *qcow = &variants[0];
    const uint64_t at_l1 = 40, grown = 512 * 2 * CST_MIB;
    g_autoptr(CstBlob) blob = make(qcow), power = NULL, guest = NULL;
    CstImage *image = cst_image_open(blob, format_of(qcow), CST_IMAGE_WRITE, NULL, NULL);
    uint64_t table, l1, before = 0, after = 0;

    assert_true(cst_image_resize(image, grown, CST_PREALLOC_OFF, NULL, NULL));
    cst_image_free(image);
    l1 = get(qcow, blob, at_l1);
    assert_int_not_equal(l1, qcow->l1);
    table = get(qcow, blob, l1);
    put(qcow, blob, table, 0);
    assert_true(cst_blob_get_size(blob, &before, NULL));
    power = cst_blob_power_new(blob, NULL);
    assert_true(check(qcow, power, CST_CHECK_REPAIR_LEAKS).leaks_fixed > 0);
    assert_power_cuts_lose_nothing(qcow, power);
    assert_true(cst_blob_get_size(blob, &after, NULL));
    assert_true(after < before && get(qcow, blob, at_l1) < l1);
    assert_int_equal(check(qcow, blob, 0).leaks, 0);
    guest = open_guest(qcow, blob, CST_IMAGE_WRITE);
    assert_rest(guest);
    assert_true(cst_blob_pwrite(guest, "x", 1, grown - 1, NULL));
    assert_int_equal(byte_at(guest, grown - 1), 'x');
}

/* A table's span and one cluster more or less: the second table is needed, or is freed. */
static void unneeded_table_is_freed(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (int more = -1; more <= 1; more++) {
            const Variant *variant = &variants[i];
            const uint64_t span = UINT64_C(512) * 4096;
            g_autoptr(CstBlob) blob = make(variant);
            CstImage *image = cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, NULL);

            assert_true(cst_image_resize(image, span + (uint64_t)(more * 4096), CST_PREALLOC_OFF,
                                         NULL, NULL));
            cst_image_free(image);
            assert_int_equal(get(variant, blob, variant->l1 + 8) != 0, more > 0);
            assert_int_equal(check(variant, blob, 0).allocated_clusters, more > 0 ? 5 : 4);
            assert_int_equal(check(variant, blob, 0).leaks, 0);
        }
}

/*
 * --- the backing image ---------------------------------------------------------------------------
 */

static void the_backing_file_changes_in_one_step(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        static const char *const names[] = {"first", "second one", NULL};

        for (size_t j = 0; j < G_N_ELEMENTS(names); j++) {
            g_autoptr(CstImage) image =
                cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, NULL);
            g_auto(CstImageInfo) info = {0};

            assert_true(
                cst_image_set_backing(image, names[j], names[j] ? "qcow2" : NULL, NULL, NULL));
            assert_true(cst_image_inspect(blob, NULL, &info, NULL));
            assert_int_equal(g_strcmp0(info.backing, names[j]), 0);
            assert_int_equal(check(variant, blob, 0).errors, 0);
        }
    }
}

static void assert_backing(CstBlob *blob, const char *name)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, NULL, &info, NULL));
    assert_string_equal(info.backing, name);
}

/*
 * A name may lie at the end of the file. The repair neither truncates it nor moves a cluster over
 * it.
 */
static void a_repair_leaves_the_name_alone(void **state)
{
    g_autofree char *name = g_strnfill(1000, 'n');

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        CstImage *image = cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, NULL);

        assert_true(cst_image_set_backing(image, name, "raw", NULL, NULL));
        cst_image_free(image);
        assert_int_equal(check(variant, blob, 0).leaks, 0);
        put(variant, blob, get(variant, blob, variant->l1), 0);
        check(variant, blob, CST_CHECK_REPAIR_LEAKS);
        assert_backing(blob, name);
        assert_int_equal(check(variant, blob, 0).errors, 0);
    }
}

static void name_that_cannot_be_written_is_not_adopted(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (guint nth = 1;; nth++) {
            const Variant *variant = &variants[i];
            g_autoptr(CstBlob) blob = make(variant), fault = cst_blob_fault_new(blob);
            CstImage *image =
                cst_image_open(fault, format_of(variant), CST_IMAGE_WRITE, NULL, NULL);
            g_autoptr(GError) error = NULL;
            gboolean done, struck;

            assert_true(cst_image_set_backing(image, "first", "raw", NULL, NULL));
            cst_blob_fault_arm(fault, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
            done = cst_image_set_backing(image, "second", "raw", NULL, &error);
            struck = cst_blob_fault_struck(fault);
            cst_image_free(image);
            assert_int_equal(done, !struck);
            assert_backing(blob, done ? "second" : "first");
            if (done)
                break;
            assert_int_equal(error->code, CST_ERROR_IO);
        }
}

/* Data that compression would enlarge are written uncompressed. */
static void noise_is_not_compressed(void **state)
{
    const Variant *qcow = &variants[0];
    g_autoptr(CstBlob) blob = make(qcow), guest = NULL;
    CstImage *image = cst_image_open(blob, format_of(qcow), CST_IMAGE_WRITE, NULL, NULL);
    g_autoptr(GRand) rand = g_rand_new_with_seed(1);
    uint8_t noise[4096], seen[4096];
    CstImageCheck found;

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)g_rand_int(rand);
    assert_true(cst_image_write_compressed(image, noise, sizeof(noise), 9 * 4096, NULL));
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pread(guest, seen, sizeof(seen), 9 * 4096, NULL));
    assert_memory_equal(seen, noise, sizeof(noise));
    assert_true(cst_blob_flush(guest, NULL));
    found = check(qcow, blob, 0);
    assert_int_equal(found.allocated_clusters, 6);
    assert_int_equal(found.compressed_clusters, 0);
}

static void backing_file_name_has_a_length_limit(void **state)
{
    g_autofree char *longest = g_strnfill(1023, 'n'), *too_long = g_strnfill(1024, 'n');

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant), other = cst_blob_memory_new(NULL, 0);
        CstImageCreate options = variant->options;

        for (int valid = 0; valid < 2; valid++) {
            g_autoptr(CstImage) image =
                cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, NULL);
            g_autoptr(GError) changed = NULL, created = NULL;

            options.backing = valid ? longest : too_long;
            options.backing_format = "raw";
            assert_int_equal(cst_image_set_backing(image, options.backing, "raw", NULL, &changed),
                             valid);
            assert_int_equal(cst_image_create(other, format_of(variant), &options, NULL, &created),
                             valid);
            if (valid)
                continue;
            assert_int_equal(changed->code, CST_ERROR_LIMIT);
            assert_int_equal(created->code, CST_ERROR_LIMIT);
        }
        options.preallocation = CST_PREALLOC_METADATA;
        assert_false(cst_image_create(other, format_of(variant), &options, NULL, NULL));
    }
}

static void table_after_the_end_of_the_file_is_not_written_to(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        const Variant *variant = &variants[i];
        g_autoptr(CstBlob) blob = make(variant);
        g_autoptr(GError) error = NULL;

        assert_true(cst_blob_resize(blob, variant->l1 + 8, NULL));
        assert_null(cst_image_open(blob, format_of(variant), CST_IMAGE_WRITE, NULL, &error));
        assert_int_equal(error->code, CST_ERROR_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_image_needs_no_repair),
        cmocka_unit_test(damage_is_found_and_repaired),
        cmocka_unit_test(a_table_lies_inside_the_file_and_is_aligned),
        cmocka_unit_test(half_a_table_is_only_read),
        cmocka_unit_test(a_table_that_is_shared_is_copied),
        cmocka_unit_test(leaks_are_closed_by_moving_later_clusters),
        cmocka_unit_test(qed_needs_a_check_while_it_is_written),
        cmocka_unit_test(qed_is_repaired_when_it_is_opened_for_writing),
        cmocka_unit_test(qed_needs_a_check_until_all_is_on_the_disk),
        cmocka_unit_test(qed_is_marked_before_a_repair_changes_it),
        cmocka_unit_test(a_table_that_has_moved_fills_a_gap),
        cmocka_unit_test(unneeded_table_is_freed),
        cmocka_unit_test(the_backing_file_changes_in_one_step),
        cmocka_unit_test(a_repair_leaves_the_name_alone),
        cmocka_unit_test(name_that_cannot_be_written_is_not_adopted),
        cmocka_unit_test(noise_is_not_compressed),
        cmocka_unit_test(backing_file_name_has_a_length_limit),
        cmocka_unit_test(table_after_the_end_of_the_file_is_not_written_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
