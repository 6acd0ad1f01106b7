/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Images between the top image and a base are merged into the top image. The content of the guest's
 * disk stays the same when the power fails after any call, when any call fails, when the disk is
 * full, and when the work is cancelled.
 */
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
#include <image/consolidate.h>
#include <image/snapshot.h>

#include "same.h"

enum { LAYERS = 20, SIZE = 600 * 1024 };

/* Layer 0 is the top image. The last one is a raw image, or has the format of the top. */
typedef struct {
    CstBlob *layers[LAYERS];
    char *names[LAYERS];
    guint count;
    gboolean is_raw; /* the last layer */
    uint64_t size;   /* of the top image */
    uint8_t *model;  /* expected content of its guest */
    GRand *rand;
} World;

static const CstImageFormat *format(const char *name)
{
    return cst_image_format_find(name, NULL);
}

static const char *layer_format(const World *world, guint index)
{
    return world->is_raw && index == world->count - 1 ? "raw" : "qcow2";
}

static CstBlob *give(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    World *world = data;

    for (guint i = 0; i < world->count; i++)
        if (g_strcmp0(world->names[i], name) == 0)
            return cst_blob_ref(world->layers[i]);
    g_assert_not_reached();
}

static CstChain *look(World *world, CstBlob *blob, guint index)
{
    const CstChainFiles files = {.open_backing = give, .data = world};
    g_autoptr(GError) error = NULL;
    CstChain *chain = cst_chain_look(blob, format(layer_format(world, index)), &files, &error);

    if (!chain)
        fail_msg("look: %s", error->message);
    return chain;
}

/* Returns the guest's view of the top image of @chain. @chain must outlive it. */
static CstBlob *guest_of(CstChain *chain, unsigned flags)
{
    g_autoptr(GError) error = NULL;

    if (!cst_chain_open_images(chain, flags, NULL, &error))
        fail_msg("open: %s", error->message);
    return cst_chain_guest(chain);
}

static void expect_sound(CstBlob *top, gboolean leaks_allowed)
{
    CstImageCheck check;
    g_autoptr(GError) error = NULL;

    if (!cst_image_check(top, format("qcow2"), 0, &check, NULL, &error))
        fail_msg("check: %s", error->message);
    assert_int_equal(check.errors, 0);
    if (!leaks_allowed)
        assert_int_equal(check.leaks, 0);
}

static void expect_content(World *world, CstBlob *top)
{
    g_autoptr(CstChain) chain = look(world, top, 0);
    CstBlob *guest = guest_of(chain, 0);
    g_autofree uint8_t *seen = g_malloc(world->size);
    g_autoptr(GError) error = NULL;
    uint64_t size, at;

    assert_true(cst_blob_get_size(guest, &size, NULL));
    assert_int_equal(size, world->size);
    if (!cst_blob_pread(guest, seen, size, 0, &error))
        fail_msg("read: %s", error->message);
    at = next_difference(seen, world->model, 0, size);
    if (at < size)
        fail_msg("byte %u is %02x, not %02x", (unsigned)at, seen[at], world->model[at]);
}

/* Writes random data and zeroes to random ranges. */
static void scatter(World *world, CstBlob *guest, uint64_t size, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t offset = (uint64_t)g_rand_int_range(world->rand, 0, (gint32)size);
        uint64_t length = (uint64_t)g_rand_int_range(world->rand, 1, 30000);
        g_autofree uint8_t *buf = NULL;

        length = MIN(length, size - offset);
        buf = g_malloc(length);
        memset(buf, g_rand_int_range(world->rand, 0, 4) ? g_rand_int_range(world->rand, 1, 255) : 0,
               length);
        if (g_rand_int_range(world->rand, 0, 4))
            assert_true(cst_blob_pwrite(guest, buf, length, offset, NULL));
        else
            assert_true(cst_blob_zero(guest, offset, length, CST_ZERO_MAY_UNMAP, NULL));
    }
}

/* Each layer has another size, cluster size and version. */
static void layer_create(World *world, guint index)
{
    static const uint32_t clusters[] = {4096, 65536, 512, 16384, 32768};
    const gboolean is_last = index == world->count - 1;
    const gboolean extended = g_rand_int_range(world->rand, 0, 4) == 0;
    CstImageCreate options = {
        .capacity = (uint64_t)g_rand_int_range(world->rand, SIZE / 1024, SIZE / 512) * 512,
        .cluster_size = extended ? 16384 : clusters[g_rand_int_range(world->rand, 0, 5)],
        .extended_l2 = extended,
        .compat = extended || g_rand_int_range(world->rand, 0, 3) ? "1.1" : "0.10",
        .backing = is_last ? NULL : world->names[index + 1],
        .backing_format = is_last ? NULL : layer_format(world, index + 1),
    };
    g_autoptr(GError) error = NULL;

    world->names[index] = g_strdup_printf("layer%u", index);
    if (index == 0)
        world->size = options.capacity;
    if (is_last && world->is_raw) {
        world->layers[index] = cst_blob_sparse_new(options.capacity);
        scatter(world, world->layers[index], options.capacity, 20);
        return;
    }
    world->layers[index] = cst_blob_sparse_new(0);
    if (!cst_image_create(world->layers[index], format("qcow2"), &options, NULL, &error))
        fail_msg("create: %s", error->message);
    {
        g_autoptr(CstChain) chain = look(world, world->layers[index], index);
        CstBlob *guest = guest_of(chain, CST_IMAGE_WRITE);

        scatter(world, guest, options.capacity, is_last ? 20 : 3);
        assert_true(cst_blob_flush(guest, NULL));
    }
}

static void world_init(World *world, guint count, guint32 seed)
{
    *world = (World){.count = count, .is_raw = seed % 3 == 0};
    world->rand = g_rand_new_with_seed(seed);
    for (guint i = count; i-- > 0;)
        layer_create(world, i);
    world->model = g_malloc(world->size);
    {
        g_autoptr(CstChain) chain = look(world, world->layers[0], 0);

        assert_true(cst_blob_pread(guest_of(chain, 0), world->model, world->size, 0, NULL));
    }
}

static void world_clear(World *world)
{
    for (guint i = 0; i < world->count; i++) {
        cst_blob_unref(world->layers[i]);
        g_free(world->names[i]);
    }
    g_free(world->model);
    g_rand_free(world->rand);
}

static gboolean consolidate(World *world, CstBlob *top, guint base, CstTask *task, GError **error)
{
    g_autoptr(CstChain) chain = look(world, top, 0);
    const CstConsolidate how = {base, world->names[base], layer_format(world, base)};

    return cst_chain_consolidate(chain, &how, task, error);
}

static guint chain_length(World *world, CstBlob *top)
{
    g_autoptr(CstChain) chain = look(world, top, 0);

    return cst_chain_length(chain);
}

static guint8 *bytes_of(CstBlob *blob, uint64_t *ret_size)
{
    guint8 *bytes;

    assert_true(cst_blob_get_size(blob, ret_size, NULL));
    bytes = g_malloc(*ret_size + 1);
    assert_true(cst_blob_pread(blob, bytes, *ret_size, 0, NULL));
    return bytes;
}

/* --- content ---------------------------------------------------------------------------------- */

static void test_content_of_each_run_of_layers_stays(void **state)
{
    for (guint32 seed = 0; seed < 40; seed++) {
        guint count = seed < 8 ? LAYERS : 3 + seed % 5;
        guint base = seed % 2 ? count - 1 : 2 + seed % (count - 2);
        g_autoptr(GError) error = NULL;
        World world;

        world_init(&world, count, seed);
        if (!consolidate(&world, world.layers[0], base, NULL, &error))
            fail_msg("seed %u: %s", seed, error->message);
        expect_content(&world, world.layers[0]);
        expect_sound(world.layers[0], FALSE);
        assert_int_equal(chain_length(&world, world.layers[0]), count - base + 1);
        world_clear(&world);
    }
}

static void test_layers_between_are_not_changed(void **state)
{
    g_autofree guint8 *before[4] = {NULL}, *after = NULL;
    uint64_t sizes[4], size;
    World world;

    world_init(&world, 4, 11);
    for (guint i = 1; i < 4; i++)
        before[i] = bytes_of(world.layers[i], &sizes[i]);
    assert_true(consolidate(&world, world.layers[0], 3, NULL, NULL));
    for (guint i = 1; i < 4; i++) {
        after = bytes_of(world.layers[i], &size);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(after, before[i], size);
        g_clear_pointer(&after, g_free);
        g_clear_pointer(&before[i], g_free);
    }
    world_clear(&world);
}

/* A base may be larger than an image above. The part beyond the end of that image must not show. */
static void test_larger_base_does_not_show(void **state)
{
    const uint64_t sizes[] = {300 * 1024, 100 * 1024, 300 * 1024};
    World world = {.count = 3, .is_raw = TRUE, .size = 300 * 1024};
    g_autofree uint8_t *ones = g_malloc(300 * 1024);

    memset(ones, 1, 300 * 1024);
    for (guint i = 3; i-- > 0;) {
        const CstImageCreate options = {.capacity = sizes[i],
                                        .backing = i < 2 ? world.names[i + 1] : NULL,
                                        .backing_format = i == 1 ? "raw" : "qcow2"};

        world.names[i] = g_strdup_printf("layer%u", i);
        world.layers[i] = cst_blob_sparse_new(i == 2 ? sizes[i] : 0);
        if (i == 2)
            assert_true(cst_blob_pwrite(world.layers[i], ones, sizes[i], 0, NULL));
        else
            assert_true(cst_image_create(world.layers[i], format("qcow2"), &options, NULL, NULL));
    }
    world.rand = g_rand_new_with_seed(1);
    world.model = g_malloc0(world.size);
    memset(world.model, 1, 100 * 1024);
    expect_content(&world, world.layers[0]);
    assert_true(consolidate(&world, world.layers[0], 2, NULL, NULL));
    expect_content(&world, world.layers[0]);
    world_clear(&world);
}

static void test_measure_counts_data_of_the_layers_between(void **state)
{
    World world = {.count = 3, .size = CST_MIB};
    uint8_t data[65536];
    uint64_t bytes = 1;

    memset(data, 7, sizeof(data));
    for (guint i = 3; i-- > 0;) {
        const CstImageCreate options = {.capacity = CST_MIB,
                                        .backing = i < 2 ? world.names[i + 1] : NULL,
                                        .backing_format = i < 2 ? "qcow2" : NULL};

        world.names[i] = g_strdup_printf("layer%u", i);
        world.layers[i] = cst_blob_sparse_new(0);
        assert_true(cst_image_create(world.layers[i], format("qcow2"), &options, NULL, NULL));
        {
            g_autoptr(CstChain) chain = look(&world, world.layers[i], i);
            CstBlob *guest = guest_of(chain, CST_IMAGE_WRITE);

            /* The base has all, the layer between three clusters, and the top one of them. */
            for (guint at = 0; at < (i == 2 ? 16 : i == 1 ? 3 : 1); at++)
                assert_true(cst_blob_pwrite(guest, data, sizeof(data), at * sizeof(data), NULL));
            if (i == 1)
                assert_true(
                    cst_blob_zero(guest, 8 * sizeof(data), sizeof(data), CST_ZERO_MAY_UNMAP, NULL));
            assert_true(cst_blob_flush(guest, NULL));
        }
    }
    {
        g_autoptr(CstChain) chain = look(&world, world.layers[0], 0);

        assert_true(cst_chain_measure_consolidate(chain, 2, NULL, &bytes, NULL));
    }
    assert_int_equal(bytes, 2 * sizeof(data));
    for (guint i = 0; i < 3; i++) {
        cst_blob_unref(world.layers[i]);
        g_free(world.names[i]);
    }
}

/* The layer between has every other cluster, in more ranges than a survey has. */
static void test_ranges_above_the_maximum_are_joined(void **state)
{
    enum { CLUSTER = 512, RANGES = 65600 };
    World world = {.count = 3, .size = (uint64_t)2 * RANGES * CLUSTER};
    CstTask *task = cst_task_new();
    uint8_t data[CLUSTER];
    g_autoptr(GError) error = NULL;
    uint64_t bytes;

    for (guint i = 3; i-- > 0;) {
        const CstImageCreate options = {.capacity = world.size,
                                        .cluster_size = CLUSTER,
                                        .backing = i < 2 ? world.names[i + 1] : NULL,
                                        .backing_format = i < 2 ? "qcow2" : NULL};
        g_autoptr(CstChain) chain = NULL;
        CstBlob *guest;

        world.names[i] = g_strdup_printf("layer%u", i);
        world.layers[i] = cst_blob_sparse_new(0);
        assert_true(cst_image_create(world.layers[i], format("qcow2"), &options, NULL, NULL));
        chain = look(&world, world.layers[i], i);
        guest = guest_of(chain, CST_IMAGE_WRITE);
        memset(data, (int)i + 1, sizeof(data));
        for (uint64_t at = 0; i == 1 && at < RANGES; at++)
            assert_true(cst_blob_pwrite(guest, data, CLUSTER, 2 * at * CLUSTER, NULL));
        /* The first gap has data of the base, and the second one data of the top image. */
        if (i != 1)
            assert_true(cst_blob_pwrite(guest, data, CLUSTER, (i == 2 ? 1 : 3) * CLUSTER, NULL));
        assert_true(cst_blob_flush(guest, NULL));
    }
    world.rand = g_rand_new_with_seed(1);
    world.model = g_malloc0(world.size);
    for (uint64_t at = 0; at < RANGES; at++)
        memset(world.model + 2 * at * CLUSTER, 2, CLUSTER);
    memset(world.model + CLUSTER, 3, CLUSTER);
    memset(world.model + 3 * CLUSTER, 1, CLUSTER);
    {
        g_autoptr(CstChain) chain = look(&world, world.layers[0], 0);

        assert_true(cst_chain_measure_consolidate(chain, 2, NULL, &bytes, NULL));
        assert_int_equal(bytes, (uint64_t)RANGES * CLUSTER);
    }
    if (!consolidate(&world, world.layers[0], 2, task, &error))
        fail_msg("consolidate: %s", error->message);
    /* Joined ranges include the gaps. */
    assert_true(cst_task_progress(task).total > (uint64_t)RANGES * CLUSTER);
    expect_content(&world, world.layers[0]);
    expect_sound(world.layers[0], FALSE);
    cst_task_unref(task);
    world_clear(&world);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void test_chain_without_a_layer_between_is_refused(void **state)
{
    World world;

    world_init(&world, 3, 4);
    for (guint base = 0; base < 2; base++) {
        g_autoptr(GError) error = NULL;

        assert_false(consolidate(&world, world.layers[0], base, NULL, &error));
        assert_int_equal(cst_error_code(error), CST_ERROR_INVALID);
    }
    expect_content(&world, world.layers[0]);
    world_clear(&world);
}

static void test_image_with_snapshots_is_refused(void **state)
{
    g_autoptr(GError) error = NULL;
    World world;

    world_init(&world, 3, 4);
    {
        g_autoptr(CstChain) chain = look(&world, world.layers[0], 0);

        assert_true(cst_chain_open_images(chain, CST_IMAGE_WRITE, NULL, NULL));
        assert_true(cst_image_snapshot_create(cst_chain_image(chain), "s", NULL, NULL));
        assert_true(cst_image_flush(cst_chain_image(chain), NULL));
    }
    assert_false(consolidate(&world, world.layers[0], 2, NULL, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_STATE);
    expect_content(&world, world.layers[0]);
    world_clear(&world);
}

static gboolean check_fails(gpointer data, GError **error)
{
    return cst_fail(error, CST_ERROR_BUSY, "changed");
}

static void test_failed_check_keeps_the_reference(void **state)
{
    g_autoptr(GError) error = NULL;
    World world;

    world_init(&world, 4, 5);
    {
        g_autoptr(CstChain) chain = look(&world, world.layers[0], 0);
        const CstConsolidate how = {3, world.names[3], layer_format(&world, 3)};

        cst_chain_set_check(chain, check_fails, NULL);
        assert_false(cst_chain_consolidate(chain, &how, NULL, &error));
    }
    assert_int_equal(cst_error_code(error), CST_ERROR_BUSY);
    assert_int_equal(chain_length(&world, world.layers[0]), 4);
    expect_content(&world, world.layers[0]);
    world_clear(&world);
}

/* --- power and failures ----------------------------------------------------------------------- */

static void test_power_may_go(void **state)
{
    for (guint32 seed = 20; seed < 24; seed++) {
        g_autoptr(CstBlob) power = NULL;
        unsigned steps;
        World world;

        world_init(&world, 5, seed);
        power = cst_blob_power_new(world.layers[0], NULL);
        assert_true(consolidate(&world, power, 4, NULL, NULL));
        steps = cst_blob_power_steps(power);
        for (unsigned step = 0; step <= steps; step++)
            for (uint32_t chance = 0; chance < 3; chance++) {
                g_autoptr(CstBlob) left = cst_blob_power_crash(
                    power, step, chance < 2 ? chance : seed * 1000 + step, NULL);

                expect_content(&world, left);
                expect_sound(left, TRUE);
                assert_true(chain_length(&world, left) == 2 ||
                            consolidate(&world, left, 4, NULL, NULL));
                expect_content(&world, left);
            }
        world_clear(&world);
    }
}

static void test_any_call_may_fail_and_the_work_be_done_again(void **state)
{
    for (unsigned kind = CST_FAULT_WRITE; kind < CST_FAULT_KINDS; kind++) {
        World world;

        world_init(&world, 4, 31);
        for (unsigned nth = 1;; nth++) {
            g_autoptr(CstBlob) copy = cst_blob_sparse_copy(world.layers[0]);
            g_autoptr(CstBlob) fault = cst_blob_fault_new(copy);
            gboolean done;

            cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
            done = consolidate(&world, fault, 3, NULL, NULL);
            assert_true(done || cst_blob_fault_struck(fault));
            expect_content(&world, copy);
            expect_sound(copy, TRUE);
            assert_true(chain_length(&world, copy) == 2 ||
                        consolidate(&world, copy, 3, NULL, NULL));
            expect_content(&world, copy);
            expect_sound(copy, TRUE);
            if (!cst_blob_fault_struck(fault)) {
                assert_true(nth > 1);
                break;
            }
        }
        world_clear(&world);
    }
}

static void test_cancelled_work_keeps_the_reference(void **state)
{
    g_autoptr(GError) error = NULL;
    CstTask *task = cst_task_new();
    World world;

    world_init(&world, 4, 6);
    cst_task_cancel(task);
    assert_false(consolidate(&world, world.layers[0], 3, task, &error));
    assert_int_equal(cst_error_code(error), CST_ERROR_CANCELLED);
    assert_int_equal(chain_length(&world, world.layers[0]), 4);
    expect_content(&world, world.layers[0]);
    cst_task_unref(task);
    world_clear(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_of_each_run_of_layers_stays),
        cmocka_unit_test(test_layers_between_are_not_changed),
        cmocka_unit_test(test_larger_base_does_not_show),
        cmocka_unit_test(test_measure_counts_data_of_the_layers_between),
        cmocka_unit_test(test_ranges_above_the_maximum_are_joined),
        cmocka_unit_test(test_chain_without_a_layer_between_is_refused),
        cmocka_unit_test(test_image_with_snapshots_is_refused),
        cmocka_unit_test(test_failed_check_keeps_the_reference),
        cmocka_unit_test(test_power_may_go),
        cmocka_unit_test(test_any_call_may_fail_and_the_work_be_done_again),
        cmocka_unit_test(test_cancelled_work_keeps_the_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
