/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rebase, flatten, commit and sparsify. The content of the guest's disk stays the same when the
 * power fails after any call, when any call fails, and when the work is canceled.
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
#include <image/bitmap.h>
#include <image/commit.h>
#include <image/rebase.h>
#include <image/snapshot.h>
#include <image/sparsify.h>

#include "same.h"

enum { SIZE = 700 * 1024 };

typedef struct {
    CstImageCreate options;
    uint64_t old_size, new_size; /* of the raw images below */
    const char *new_name;        /* name of the new image; NULL: "new" */
} Variant;

static char long_name[1000];

static const Variant variants[] = {
    {{.capacity = SIZE, .cluster_size = 4096}, SIZE, SIZE, NULL},
    {{.capacity = SIZE}, 300000, SIZE + 100000, NULL},
    {{.capacity = SIZE, .extended_l2 = TRUE, .cluster_size = 16384}, SIZE + 70000, 1000, long_name},
    {{.capacity = SIZE, .compat = "0.10", .cluster_size = 65536}, 512 * 1000, 512 * 900, NULL},
    {{.capacity = SIZE, .cluster_size = 512}, SIZE, SIZE, NULL},
};

/** All images, by name. */
typedef struct {
    const Variant *variant;
    GRand *rand;
    CstBlob *top, *old, *new;
    uint8_t *model; /* expected content of top's guest */
} World;

static const CstImageFormat *format(const char *name)
{
    return cst_image_format_find(name, NULL);
}

/* Writes random data and zeroes to random ranges. */
static void scatter(World *world, CstBlob *guest, uint64_t size, int count)
{
    for (int i = 0; i < count; i++) {
        uint64_t offset = (uint64_t)g_rand_int_range(world->rand, 0, (gint32)size);
        uint64_t length = (uint64_t)g_rand_int_range(world->rand, 1, 90000);
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

static CstBlob *named(const World *world, const char *name)
{
    if (!name)
        return NULL;
    return strcmp(name, "old") == 0 ? world->old : world->new;
}

static CstBlob *give(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    return cst_blob_ref(named(data, name));
}

static CstChain *look(World *world, CstBlob *top)
{
    const CstChainFiles files = {.open_backing = give, .data = world};
    g_autoptr(GError) error = NULL;
    CstChain *chain = cst_chain_look(top, format("qcow2"), &files, &error);

    if (!chain)
        fail_msg("look: %s", error->message);
    return chain;
}

static CstBlob *guest_of(World *world, CstBlob *top)
{
    const CstChainFiles files = {.open_backing = give, .data = world};
    g_autoptr(GError) error = NULL;
    g_autoptr(CstChain) chain = cst_chain_open(top, format("qcow2"), 0, &files, &error);

    if (!chain)
        fail_msg("open: %s", error->message);
    return cst_blob_ref(cst_chain_guest(chain));
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
    g_autoptr(CstBlob) guest = guest_of(world, top);
    g_autofree uint8_t *seen = g_malloc(SIZE);
    g_autoptr(GError) error = NULL;
    uint64_t at;

    if (!cst_blob_pread(guest, seen, SIZE, 0, &error))
        fail_msg("read: %s", error->message);
    at = next_difference(seen, world->model, 0, SIZE);
    if (at < SIZE)
        fail_msg("byte %u is %02x, not %02x", (unsigned)at, seen[at], world->model[at]);
}

static void world_init(World *world, const Variant *variant, guint32 seed, gboolean based)
{
    CstImageCreate options = variant->options;

    world->variant = variant;
    world->rand = g_rand_new_with_seed(seed);
    world->old = cst_blob_sparse_new(variant->old_size);
    world->new = cst_blob_sparse_new(variant->new_size);
    world->top = cst_blob_sparse_new(0);
    world->model = g_malloc(SIZE);
    scatter(world, world->old, variant->old_size, 6);
    scatter(world, world->new, variant->new_size, 6);
    options.backing = based ? "old" : NULL;
    options.backing_format = based ? "raw" : NULL;
    assert_true(cst_image_create(world->top, format("qcow2"), &options, NULL, NULL));
    {
        CstImage *image = cst_image_open(world->top, format("qcow2"), CST_IMAGE_WRITE,
                                         based ? world->old : NULL, NULL);
        g_autoptr(CstBlob) guest = cst_image_guest_blob(image);

        scatter(world, guest, SIZE, 5);
        assert_true(cst_blob_pread(guest, world->model, SIZE, 0, NULL));
        assert_true(cst_blob_flush(guest, NULL));
    }
    expect_content(world, world->top);
}

static void world_clear(World *world)
{
    g_rand_free(world->rand);
    cst_blob_unref(world->top);
    cst_blob_unref(world->old);
    cst_blob_unref(world->new);
    g_free(world->model);
}

/* --- the works ------------------------------------------------------------------------------- */

/** One of the operations, on @top instead of world->top. */
typedef gboolean (*Work)(World *world, CstBlob *top, CstTask *task, GError **error);

static gboolean rebase(World *world, CstBlob *top, CstTask *task, GError **error)
{
    g_autoptr(CstChain) chain = look(world, top);
    const char *name = world->variant->new_name ? world->variant->new_name : "new";
    const CstImageRebase how = {.backing = name, .backing_format = "raw", .guest = world->new};

    return cst_chain_rebase(chain, &how, task, error);
}

static gboolean flatten(World *world, CstBlob *top, CstTask *task, GError **error)
{
    g_autoptr(CstChain) chain = look(world, top);

    return cst_chain_flatten(chain, task, error);
}

static gboolean sparsify(World *world, CstBlob *top, CstTask *task, GError **error)
{
    uint64_t bytes = 0;

    return cst_image_sparsify(top, format("qcow2"), NULL, &bytes, task, error);
}

static gboolean commit(World *world, CstBlob *top, CstTask *task, GError **error)
{
    g_autoptr(CstChain) chain = look(world, top);

    return cst_chain_commit(chain, 1, 0, task, error);
}

static const Work works[] = {rebase, flatten, sparsify, commit};

static void expect_backing(CstBlob *top, const char *name)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(top, NULL, &info, NULL));
    assert_null(info.problem);
    if (!name) {
        assert_null(info.backing);
        assert_null(info.backing_format);
        return;
    }
    assert_string_equal(info.backing, name);
    assert_string_equal(info.backing_format, "raw");
}

static void test_content_stays(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++)
        for (guint32 seed = 0; seed < 20; seed++) {
            const char *name = variants[v].new_name ? variants[v].new_name : "new";
            Work work = works[seed % G_N_ELEMENTS(works)];
            g_autoptr(GError) error = NULL;
            World world;

            world_init(&world, &variants[v], seed, TRUE);
            if (!work(&world, world.top, NULL, &error)) {
                if (variants[v].options.cluster_size != 512 || work == sparsify)
                    fail_msg("work %u: %s", seed % 4, error->message);
            }
            expect_sound(world.top, FALSE);
            expect_content(&world, world.top);
            if (!error)
                expect_backing(world.top, work == rebase ? name : work == flatten ? NULL : "old");
            world_clear(&world);
        }
}

/* An image without a backing image gets one that must not show. */
static void test_backing_for_an_image_without_one(void **state)
{
    for (guint32 seed = 0; seed < 12; seed++) {
        World world;

        world_init(&world, &variants[seed % 4], seed, FALSE);
        assert_true(rebase(&world, world.top, NULL, NULL));
        expect_sound(world.top, FALSE);
        expect_content(&world, world.top);
        assert_true(flatten(&world, world.top, NULL, NULL));
        assert_true(flatten(&world, world.top, NULL, NULL));
        expect_backing(world.top, NULL);
        expect_sound(world.top, FALSE);
        expect_content(&world, world.top);
        assert_true(rebase(&world, world.top, NULL, NULL));
        expect_content(&world, world.top);
        world_clear(&world);
    }
}

/* --- power ----------------------------------------------------------------------------------- */

static void power_cuts(World *world, Work work, uint32_t seed)
{
    g_autoptr(CstBlob) power = cst_blob_power_new(world->top, NULL);
    unsigned steps;

    assert_true(work(world, power, NULL, NULL));
    steps = cst_blob_power_steps(power);
    for (unsigned step = 0; step <= steps; step++)
        for (uint32_t chance = 0; chance < 4; chance++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash(
                power, step, chance < 2 ? chance : seed * 1000 + step * 4 + chance, NULL);

            expect_content(world, left);
            expect_sound(left, TRUE);
        }
}

static void test_power_may_go(void **state)
{
    for (size_t v = 0; v < 4; v++)
        for (size_t w = 0; w < G_N_ELEMENTS(works); w++) {
            World world;

            world_init(&world, &variants[v], (guint32)(77 + v), TRUE);
            power_cuts(&world, works[w], (uint32_t)w);
            world_clear(&world);
        }
}

/* The base is completely on the disk before the top image frees a cluster. */
static void test_power_may_go_while_committing(void **state)
{
    for (guint32 seed = 0; seed < 8; seed++) {
        g_autoptr(CstBlob) power = NULL;
        CstBlob *plain;
        unsigned before;
        World world;

        world_init(&world, &variants[seed % 4], 300 + seed, TRUE);
        plain = world.old;
        world.old = power = cst_blob_power_new(plain, NULL);
        cst_blob_ref(power);
        before = cst_blob_power_steps(power);
        assert_true(commit(&world, world.top, NULL, NULL));
        assert_true(cst_blob_power_steps(power) > before);
        cst_blob_unref(world.old);
        /* all unflushed writes are lost, but the content was flushed */
        world.old = cst_blob_power_crash(power, cst_blob_power_steps(power), 0, NULL);
        expect_content(&world, world.top);
        cst_blob_unref(plain);
        world_clear(&world);
    }
}

/* --- failures -------------------------------------------------------------------------------- */

/* After each failure all is as it was, and the same work can be done once more. */
static unsigned fail_each(World *world, Work work, CstFaultKind kind)
{
    for (unsigned nth = 1;; nth++) {
        g_autoptr(CstBlob) copy = cst_blob_sparse_copy(world->top);
        g_autoptr(CstBlob) fault = cst_blob_fault_new(copy);
        CstBlob *old = world->old;
        gboolean done, struck;

        world->old = cst_blob_sparse_copy(old);
        cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
        done = work(world, fault, NULL, NULL);
        struck = cst_blob_fault_struck(fault);
        assert_true(done || struck);
        expect_content(world, copy);
        expect_sound(copy, TRUE);
        assert_true(done || work(world, copy, NULL, NULL));
        expect_content(world, copy);
        expect_sound(copy, TRUE);
        cst_blob_unref(world->old);
        world->old = old;
        if (!struck)
            return nth - 1;
    }
}

static void test_any_call_may_fail(void **state)
{
    for (size_t v = 0; v < 4; v += 3)
        for (size_t w = 0; w < G_N_ELEMENTS(works); w++)
            for (unsigned kind = CST_FAULT_WRITE; kind < CST_FAULT_KINDS; kind++) {
                World world;

                unsigned faults;

                world_init(&world, &variants[v], (guint32)(5 + w), TRUE);
                faults = fail_each(&world, works[w], kind);
                assert_true(faults > 0 || works[w] == sparsify);
                world_clear(&world);
            }
}

/* The top image frees no cluster before the base is on the disk. */
static void test_base_comes_first(void **state)
{
    for (unsigned kind = CST_FAULT_WRITE; kind < CST_FAULT_KINDS; kind++) {
        g_autoptr(CstBlob) fault = NULL;
        g_autofree uint8_t *was = NULL, *is = NULL;
        uint64_t size = 0;
        CstBlob *plain;
        World world;

        world_init(&world, &variants[0], 40, TRUE);
        assert_true(cst_blob_get_size(world.top, &size, NULL));
        was = g_malloc(size);
        is = g_malloc(size);
        assert_true(cst_blob_pread(world.top, was, size, 0, NULL));
        plain = world.old;
        world.old = fault = cst_blob_fault_new(plain);
        cst_blob_fault_arm(fault, kind, 1, CST_FAULT_ONCE);
        assert_false(commit(&world, world.top, NULL, NULL));
        assert_true(cst_blob_fault_struck(fault));
        assert_true(cst_blob_pread(world.top, is, size, 0, NULL));
        assert_memory_equal(is, was, size);
        world.old = plain;
        expect_content(&world, world.top);
        world_clear(&world);
    }
}

static void test_cancelled_work_can_be_done_again(void **state)
{
    for (size_t w = 0; w < G_N_ELEMENTS(works); w++) {
        g_autoptr(CstTask) task = cst_task_new();
        g_autoptr(GError) error = NULL;
        World world;

        cst_task_cancel(task);
        world_init(&world, &variants[w], 9, TRUE);
        assert_false(works[w](&world, world.top, task, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
        expect_backing(world.top, "old");
        expect_content(&world, world.top);
        assert_true(works[w](&world, world.top, NULL, NULL));
        expect_content(&world, world.top);
        world_clear(&world);
    }
}

static void test_bitmaps_stay_valid(void **state)
{
    for (size_t w = 0; w < 3; w++) {
        g_autoptr(GPtrArray) list = NULL;
        CstImage *image;
        World world;

        world_init(&world, &variants[1], 50, TRUE);
        image = cst_image_open(world.top, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
        assert_true(cst_image_bitmap_add(image, "b", 0, TRUE, NULL));
        cst_image_free(image);
        assert_true(works[w](&world, world.top, NULL, NULL));
        image = cst_image_open(world.top, format("qcow2"), 0, NULL, NULL);
        list = cst_image_bitmap_list(image, NULL);
        assert_int_equal(list->len, 1);
        assert_false(((CstImageBitmap *)list->pdata[0])->inconsistent);
        cst_image_free(image);
        expect_sound(world.top, FALSE);
        world_clear(&world);
    }
}

static void test_snapshots_keep_their_backing(void **state)
{
    for (size_t w = 0; w < G_N_ELEMENTS(works); w++) {
        g_autoptr(GError) error = NULL;
        CstImage *image;
        World world;

        world_init(&world, &variants[0], 51, TRUE);
        image = cst_image_open(world.top, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
        assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
        cst_image_free(image);
        if (works[w] == sparsify) {
            assert_true(works[w](&world, world.top, NULL, NULL));
            image = cst_image_open(world.top, format("qcow2"), CST_IMAGE_WRITE, NULL, NULL);
            assert_true(cst_image_snapshot_revert(image, "s", NULL, NULL));
            cst_image_free(image);
        } else {
            assert_false(works[w](&world, world.top, NULL, &error));
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_STATE));
        }
        expect_sound(world.top, FALSE);
        expect_content(&world, world.top);
        world_clear(&world);
    }
}

/* --- space ----------------------------------------------------------------------------------- */

static void test_zeroes_are_given_back(void **state)
{
    static const char *const formats[] = {"raw", "qcow2", "vdi", "vpc", "vhdx", "vmdk"};
    g_autofree uint8_t *buf = g_malloc0(8 * CST_MIB);

    memset(buf, 7, 64 * CST_KIB);
    for (size_t f = 0; f < G_N_ELEMENTS(formats); f++) {
        const CstImageCreate options = {.capacity = 8 * CST_MIB};
        g_autoptr(CstBlob) blob = cst_blob_sparse_new(0), guest = NULL;
        g_autofree uint8_t *seen = g_malloc(8 * CST_MIB);
        g_autoptr(GError) error = NULL;
        uint64_t used, bytes = 0;

        assert_true(cst_image_create(blob, format(formats[f]), &options, NULL, NULL));
        guest = cst_image_guest_blob(
            cst_image_open(blob, format(formats[f]), CST_IMAGE_WRITE, NULL, NULL));
        assert_true(cst_blob_pwrite(guest, buf, 8 * CST_MIB, 0, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        g_clear_pointer(&guest, cst_blob_unref);
        used = cst_blob_sparse_used(blob);
        if (!cst_image_sparsify(blob, format(formats[f]), NULL, &bytes, NULL, &error))
            fail_msg("%s: %s", formats[f], error->message);
        if (bytes < 7 * CST_MIB || used - cst_blob_sparse_used(blob) < 7 * CST_MIB)
            fail_msg("%s: only %" G_GUINT64_FORMAT " given back", formats[f], bytes);
        guest = cst_image_guest_blob(cst_image_open(blob, format(formats[f]), 0, NULL, NULL));
        assert_true(cst_blob_pread(guest, seen, 8 * CST_MIB, 0, NULL));
        assert_memory_equal(seen, buf, 8 * CST_MIB);
        assert_true(cst_image_sparsify(blob, format(formats[f]), NULL, &bytes, NULL, NULL));
        assert_int_equal(bytes, 0);
    }
}

/* Errors in the image's own account must not cost data. */
static void test_a_damaged_image_is_not_trimmed(void **state)
{
    g_autoptr(GError) error = NULL;
    uint8_t raw[8], none[64] = {0};
    uint64_t bytes, block = 0;
    World world;

    world_init(&world, &variants[1], 3, TRUE);
    assert_true(cst_blob_pread(world.top, raw, 8, 65536, NULL));
    for (int i = 0; i < 8; i++)
        block = block << 8 | raw[i];
    assert_true(cst_blob_pwrite(world.top, none, sizeof(none), block, NULL));
    assert_false(cst_image_sparsify(world.top, format("qcow2"), NULL, &bytes, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_STATE));
    expect_content(&world, world.top);
    world_clear(&world);
}

static void test_unsupported_rebase_is_refused(void **state)
{
    const CstImageCreate options = {.capacity = SIZE};
    g_autoptr(CstBlob) vdi = cst_blob_sparse_new(0);
    g_autoptr(CstChain) chain = NULL;
    const CstImageRebase how = {.backing = "new", .backing_format = "raw", .unsafe = TRUE};
    g_autoptr(GError) error = NULL, alone = NULL;
    World world;

    assert_true(cst_image_create(vdi, format("vdi"), &options, NULL, NULL));
    chain = cst_chain_look(vdi, format("vdi"), NULL, NULL);
    assert_false(cst_chain_rebase(chain, &how, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    assert_true(cst_chain_flatten(chain, NULL, NULL));
    world_init(&world, &variants[0], 1, FALSE);
    assert_false(commit(&world, world.top, NULL, &alone));
    assert_true(g_error_matches(alone, CST_ERROR, CST_ERROR_INVALID));
    world_clear(&world);
}

static gboolean fail_check(gpointer data, GError **error)
{
    ++*(int *)data;
    return cst_fail(error, CST_ERROR_BUSY, "the base has changed");
}

/* The top image keeps its content, which is shown over its former base. */
static void test_failed_check_keeps_reference_and_content(void **state)
{
    for (int work = 0; work < 3; work++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CstChain) chain = NULL;
        g_autoptr(CstBlob) base = cst_blob_sparse_new(SIZE);
        CstImageRebase how = {0};
        int calls = 0;
        World world;

        world_init(&world, &variants[0], 7, TRUE);
        if (work == 1)
            how = (CstImageRebase){.backing = "new", .backing_format = "raw", .guest = world.new};
        chain = look(&world, world.top);
        assert_true(cst_blob_copy(world.old, 0, base, 0, SIZE, 0, NULL, NULL));
        cst_chain_set_check(chain, fail_check, &calls);
        if (work < 2) {
            assert_false(cst_chain_rebase(chain, &how, NULL, &error));
        } else {
            assert_false(cst_chain_commit(chain, 1, 0, NULL, &error));
            cst_blob_unref(world.old);
            world.old = cst_blob_ref(base);
        }
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_BUSY));
        assert_int_equal(calls, 1);
        expect_backing(world.top, "old");
        expect_content(&world, world.top);
        world_clear(&world);
    }
}

static int setup(void **state)
{
    memset(long_name, 'n', sizeof(long_name) - 1);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_stays),
        cmocka_unit_test(test_backing_for_an_image_without_one),
        cmocka_unit_test(test_power_may_go),
        cmocka_unit_test(test_power_may_go_while_committing),
        cmocka_unit_test(test_any_call_may_fail),
        cmocka_unit_test(test_base_comes_first),
        cmocka_unit_test(test_cancelled_work_can_be_done_again),
        cmocka_unit_test(test_bitmaps_stay_valid),
        cmocka_unit_test(test_snapshots_keep_their_backing),
        cmocka_unit_test(test_zeroes_are_given_back),
        cmocka_unit_test(test_a_damaged_image_is_not_trimmed),
        cmocka_unit_test(test_unsupported_rebase_is_refused),
        cmocka_unit_test(test_failed_check_keeps_reference_and_content),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
