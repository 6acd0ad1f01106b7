/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The power fails during work. Any sector that was written since the last flush may be lost, in
 * any order. The image must open, a check may find only leaks, and flushed data must be present.
 * For formats that QEMU's tools cannot check; a new format needs a new row.
 */
#include <base/units.h>

enum { SIZE = 3 * 1024 * 1024 + 512, CHANGES = 9 };

#include "power_run.h"

static const Variant variants[] = {
    {"vmdk", {.capacity = SIZE}},
    {"vmdk", {.capacity = SIZE, .cluster_size = 8192}},
    {"vdi", {.capacity = SIZE}},
    {"vdi", {.capacity = SIZE, .subformat = "static"}},
    {"qcow2", {.capacity = SIZE, .extended_l2 = TRUE}},
    {"vpc", {.capacity = SIZE}},
    {"vpc", {.capacity = SIZE, .subformat = "fixed"}},
    {"vpc", {.capacity = SIZE, .backing = "base", .backing_format = "vpc"}},
    {"vhdx", {.capacity = SIZE, .block_size = CST_MIB}},
    {"vhdx", {.capacity = SIZE, .block_size = CST_MIB, .subformat = "fixed"}},
    {"qcow", {.capacity = SIZE}},
    {"qcow", {.capacity = SIZE, .backing = "base", .backing_format = "raw"}},
    {"qed", {.capacity = SIZE, .cluster_size = 8192, .table_size = 1}},
    {"qed", {.capacity = SIZE, .table_size = 1, .backing = "base", .backing_format = "raw"}},
    {"parallels", {.capacity = SIZE}},
    {"parallels", {.capacity = SIZE, .cluster_size = 32256}},
    {"parallels", {.capacity = SIZE, .cluster_size = 65536}},
};

static void change(Run *run, GRand *rand, CstBlob *guest)
{
    uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, SIZE);
    uint64_t length = (uint64_t)g_rand_int_range(rand, 1, 200000);
    gboolean zero = g_rand_int_range(rand, 0, 4) == 0;

    put(run, guest, offset, MIN(length, SIZE - offset),
        zero ? 0 : (uint8_t)g_rand_int_range(rand, 1, 256));
}

static void work(Run *run, GRand *rand, int changes)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(run, run->power, CST_IMAGE_WRITE));

    for (int i = 0; i < changes; i++) {
        change(run, rand, guest);
        if (g_rand_int_range(rand, 0, 3) == 0)
            flush(run, guest);
    }
    flush(run, guest);
}

/* A table of qcow is 64 clusters long where these have 512 bytes: shorter gaps may stay. */
static uint64_t gaps_that_stay(const Run *run)
{
    return run->backing && strcmp(cst_image_format_name(run->format), "qcow") == 0 ? 64 : 0;
}

static void assert_sound(const Run *run, CstBlob *blob, unsigned steps)
{
    CstImageCheck found;

    check(run, blob, 0, steps);
    found = check(run, blob, CST_CHECK_REPAIR_LEAKS, steps);
    assert_in_range(found.leaks - found.leaks_fixed, 0, gaps_that_stay(run));
    assert_int_equal(check(run, blob, 0, steps).leaks, found.leaks - found.leaks_fixed);
}

/* Metadata is under way. */
static gboolean is_flushing(const Run *run, unsigned steps)
{
    for (guint i = 0; i < run->requests->len; i++) {
        const Request *request = &g_array_index(run->requests, Request, i);

        if (request->is_flush && request->from < steps && steps < request->to)
            return TRUE;
    }
    return FALSE;
}

static void a_power_cut_leaks_at_worst(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        GRand *rand = g_rand_new_with_seed((guint32)i);
        Run run;

        run_init(&run, &variants[i]);
        work(&run, rand, CHANGES);
        for (unsigned steps = 0; steps <= cst_blob_power_steps(run.power); steps++) {
            guint32 fates = is_flushing(&run, steps) ? 10 : 2;

            for (guint32 n = 0; n < fates; n++) {
                guint32 fate = n ? steps * 16 + n : 0;
                g_autoptr(CstBlob) left = cst_blob_power_crash(run.power, steps, fate, NULL);

                assert_sound(&run, left, steps);
                assert_flushed_is_there(&run, left, steps, SIZE);
            }
        }
        run_clear(&run);
        g_rand_free(rand);
    }
}

/*
 * Afterwards the size is the old one or the new one, and the common part of the content is intact.
 */
static void cut_while_resizing(const Variant *variant, uint64_t capacity, guint32 seed)
{
    GRand *rand = g_rand_new_with_seed(seed);
    unsigned first;
    CstImage *image;
    Run run;

    run_init(&run, variant);
    work(&run, rand, 4);
    first = cst_blob_power_steps(run.power);
    image = open_image(&run, run.power, CST_IMAGE_WRITE);
    assert_true(cst_image_resize(image, capacity, CST_PREALLOC_OFF, NULL, NULL));
    assert_true(cst_image_flush(image, NULL));
    cst_image_free(image);
    for (unsigned steps = first; steps <= cst_blob_power_steps(run.power); steps++) {
        for (guint32 fate = 0; fate < 3; fate++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash(run.power, steps, fate, NULL);
            uint64_t now;

            image = open_image(&run, left, 0);
            now = cst_image_capacity(image);
            cst_image_free(image);
            assert_true(now == variant->options.capacity || now == capacity);
            if (steps == cst_blob_power_steps(run.power))
                assert_int_equal(now, capacity);
            assert_sound(&run, left, steps);
            assert_flushed_is_there(&run, left, steps, MIN(SIZE, capacity));
        }
    }
    run_clear(&run);
    g_rand_free(rand);
}

static void power_cut_while_growing_or_shrinking_keeps_the_content(void **state)
{
    static const uint64_t sizes[] = {512, CST_MIB + 512, 7 * CST_MIB, 2 * CST_GIB};

    /* A fixed VHD is recognized only by its footer at the end. A file system makes a file longer
     * after it has written the new data, which keeps the footer safe. This simulation does not. */
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(sizes); j++)
            if (sizes[j] < SIZE || g_strcmp0(variants[i].options.subformat, "fixed") != 0)
                cut_while_resizing(&variants[i], sizes[j], (guint32)j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaks_at_worst),
        cmocka_unit_test(power_cut_while_growing_or_shrinking_keeps_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
