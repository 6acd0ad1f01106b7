/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Rebase, flatten and commit of the formats that record the identity of their parent: VMDK by its
 * content ID, VHD by its UUID, VHDX by its DataWriteGuid. QEMU opens no differencing VHD and VHDX.
 * Therefore the expected content is a model in memory, and our own check replaces QEMU's. The
 * power fails for all files at the same point in time.
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
#include <image/commit.h>
#include <image/rebase.h>

#include "same.h"

enum { SIZE = 1300 * 1024, FILES = 8 };

typedef struct {
    const char *format;
    CstImageCreate options;
    gboolean minds; /* notices when its parent changes */
} Variant;

static const Variant variants[] = {
    {"vmdk", {0}, TRUE},
    {"vmdk", {.cluster_size = 8192}, TRUE},
    {"vmdk", {.subformat = "twoGbMaxExtentSparse"}, TRUE},
    {"vpc", {0}, FALSE},
    {"vhdx", {.block_size = CST_MIB}, TRUE},
    {"vhdx", {.block_size = CST_MIB, .sector_size = 4096}, TRUE},
};

typedef struct {
    char *name;
    CstBlob *blob;
} File;

/** Image "top" over "old", and the alternative parent "new", with all their files. */
typedef struct {
    const Variant *variant;
    const CstImageFormat *format;
    GRand *rand;
    File files[FILES];
    unsigned count;
    uint8_t *model; /* expected content of top's guest */
} World;

static File *file_of(World *world, const char *name)
{
    for (unsigned i = 0; i < world->count; i++)
        if (strcmp(world->files[i].name, name) == 0)
            return &world->files[i];
    return NULL;
}

/* Adopts the blob. */
static void add_file(World *world, const char *name, CstBlob *blob)
{
    assert_true(world->count < FILES);
    world->files[world->count++] = (File){g_strdup(name), blob};
}

static CstBlob *open_backing(CstBlob *owner, const char *name, gpointer data, GError **error)
{
    File *file = file_of(data, name);

    assert_non_null(file);
    return cst_blob_ref(file->blob);
}

static CstBlob *open_part(CstBlob *owner, const char *name, gboolean writable, gpointer data,
                          GError **error)
{
    return open_backing(owner, name, data, error);
}

static CstBlob *make_part(const char *name, gpointer data, GError **error)
{
    add_file(data, name, cst_blob_sparse_new(0));
    return open_backing(NULL, name, data, error);
}

static CstBlob *named_part(const char *name, gboolean writable, gpointer data, GError **error)
{
    return open_backing(NULL, name, data, error);
}

static CstChain *look_at(World *world, const char *name)
{
    const CstChainFiles files = {
        .open_backing = open_backing, .open_part = open_part, .data = world};
    g_autoptr(GError) error = NULL;
    CstChain *chain = cst_chain_look(file_of(world, name)->blob, world->format, &files, &error);

    if (!chain)
        fail_msg("look: %s", error->message);
    return chain;
}

/* NULL with @error set: it can't be opened. */
static CstBlob *guest_of(World *world, const char *name, unsigned flags, GError **error)
{
    g_autoptr(CstChain) chain = look_at(world, name);

    return cst_chain_open_images(chain, flags, NULL, error) ? cst_blob_ref(cst_chain_guest(chain))
                                                            : NULL;
}

static CstBlob *good_guest(World *world, const char *name, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstBlob *guest = guest_of(world, name, flags, &error);

    if (!guest)
        fail_msg("open %s: %s", name, error->message);
    return guest;
}

static void scatter(World *world, const char *name, int count)
{
    g_autoptr(CstBlob) guest = good_guest(world, name, CST_IMAGE_WRITE);
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < count; i++) {
        uint64_t offset = (uint64_t)g_rand_int_range(world->rand, 0, SIZE);
        uint64_t length = (uint64_t)g_rand_int_range(world->rand, 1, 200000);
        g_autofree uint8_t *buf = NULL;

        length = MIN(length, SIZE - offset);
        buf = g_malloc(length);
        memset(buf, g_rand_int_range(world->rand, 1, 255), length);
        if (!(g_rand_int_range(world->rand, 0, 4)
                  ? cst_blob_pwrite(guest, buf, length, offset, &error)
                  : cst_blob_zero(guest, offset, length, CST_ZERO_MAY_UNMAP, &error)))
            fail_msg("change %s: %s", name, error->message);
    }
    assert_true(cst_blob_flush(guest, NULL));
}

static void make(World *world, const char *name, const char *backing)
{
    g_autofree char *file_name = g_strconcat(name, ".vmdk", NULL);
    const CstImageFiles files = {named_part, make_part, world};
    CstImageCreate options = world->variant->options;
    g_autoptr(CstBlob) below = backing ? good_guest(world, backing, 0) : NULL;
    g_autoptr(GError) error = NULL;

    options.capacity = SIZE;
    options.files = &files;
    options.file_name = file_name;
    options.backing = backing;
    options.backing_format = backing ? world->variant->format : NULL;
    options.backing_guest = below;
    add_file(world, name, cst_blob_sparse_new(0));
    if (!cst_image_create(file_of(world, name)->blob, world->format, &options, NULL, &error))
        fail_msg("create: %s", error->message);
}

static void remember(World *world)
{
    g_autoptr(CstBlob) guest = good_guest(world, "top", 0);

    assert_true(cst_blob_pread(guest, world->model, SIZE, 0, NULL));
}

static void world_init(World *world, const Variant *variant, guint32 seed)
{
    *world = (World){.variant = variant, .format = cst_image_format_find(variant->format, NULL)};
    world->rand = g_rand_new_with_seed(seed);
    world->model = g_malloc(SIZE);
    make(world, "old", NULL);
    scatter(world, "old", 5);
    make(world, "new", NULL);
    scatter(world, "new", 5);
    make(world, "top", "old");
    scatter(world, "top", 4);
    remember(world);
}

static void world_clear(World *world)
{
    for (unsigned i = 0; i < world->count; i++) {
        cst_blob_unref(world->files[i].blob);
        g_free(world->files[i].name);
    }
    g_rand_free(world->rand);
    g_free(world->model);
}

static void expect_content(World *world, const char *name)
{
    g_autoptr(CstBlob) guest = good_guest(world, name, 0);
    g_autofree uint8_t *seen = g_malloc(SIZE);
    g_autoptr(GError) error = NULL;
    uint64_t at;

    if (!cst_blob_pread(guest, seen, SIZE, 0, &error))
        fail_msg("read: %s", error->message);
    at = next_difference(seen, world->model, 0, SIZE);
    if (at < SIZE)
        fail_msg("%s: byte %u of %s is %02x, not %02x", world->variant->format, (unsigned)at, name,
                 seen[at], world->model[at]);
}

static CstImageCheck expect_sound(World *world, const char *name, gboolean leaks_allowed)
{
    const CstImageFiles files = {named_part, make_part, world};
    g_autoptr(GError) error = NULL;
    CstImageCheck found;

    if (!cst_image_check_as(file_of(world, name)->blob, world->format, 0, &files, &found, NULL,
                            &error))
        fail_msg("check: %s", error->message);
    if (found.errors > 0 || (!leaks_allowed && found.leaks > 0))
        fail_msg("%s of %s: %u errors, %u leaks", name, world->variant->format,
                 (unsigned)found.errors, (unsigned)found.leaks);
    return found;
}

static void expect_mismatch(World *world, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) guest = guest_of(world, name, 0, &error);

    assert_null(guest);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
}

/* --- the works -------------------------------------------------------------------------------- */

typedef gboolean (*Work)(World *world, GError **error);

static gboolean rebase_to(World *world, const char *name, gboolean unsafe, GError **error)
{
    g_autoptr(CstChain) chain = look_at(world, "top");
    g_autoptr(CstBlob) guest = good_guest(world, name, 0);
    const CstImageRebase how = {.backing = name,
                                .backing_format = world->variant->format,
                                .guest = guest,
                                .unsafe = unsafe};

    return cst_chain_rebase(chain, &how, NULL, error);
}

static gboolean rebase(World *world, GError **error)
{
    return rebase_to(world, "new", FALSE, error);
}

static gboolean flatten(World *world, GError **error)
{
    g_autoptr(CstChain) chain = look_at(world, "top");

    return cst_chain_flatten(chain, NULL, error);
}

static gboolean commit(World *world, GError **error)
{
    g_autoptr(CstChain) chain = look_at(world, "top");

    /* done already, when it is done again */
    return cst_chain_length(chain) == 1 || cst_chain_commit(chain, 1, 0, NULL, error);
}

static gboolean commit_and_keep(World *world, GError **error)
{
    g_autoptr(CstChain) chain = look_at(world, "top");

    return cst_chain_commit(chain, 1, CST_COMMIT_KEEP, NULL, error);
}

static const Work works[] = {rebase, flatten, commit, commit_and_keep};

static void do_well(World *world, Work work)
{
    g_autoptr(GError) error = NULL;

    if (!work(world, &error))
        fail_msg("%s: %s", world->variant->format, error->message);
}

static void expect_backing(World *world, const char *name)
{
    g_autoptr(CstChain) chain = look_at(world, "top");

    assert_null(cst_chain_info(chain, 0)->problem);
    if (name)
        assert_string_equal(cst_chain_info(chain, 0)->backing, name);
    else
        assert_null(cst_chain_info(chain, 0)->backing);
}

static void the_guest_sees_no_difference(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++)
        for (size_t w = 0; w < G_N_ELEMENTS(works); w++)
            for (guint32 seed = 0; seed < 3; seed++) {
                World world;

                world_init(&world, &variants[v], seed);
                do_well(&world, works[w]);
                expect_content(&world, "top");
                expect_sound(&world, "top", FALSE);
                expect_sound(&world, "old", FALSE);
                expect_backing(&world, works[w] == rebase    ? "new"
                                       : works[w] == flatten ? NULL
                                                             : "old");
                /* and it can be worked with */
                scatter(&world, "top", 3);
                remember(&world);
                expect_sound(&world, "top", FALSE);
                do_well(&world, works[w]);
                expect_content(&world, "top");
                world_clear(&world);
            }
}

static void commit_leaves_an_empty_image(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++) {
        World world;

        world_init(&world, &variants[v], 7);
        do_well(&world, commit);
        expect_content(&world, "old");
        if (strcmp(variants[v].format, "vpc") != 0) /* its check does not count clusters */
            assert_int_equal(expect_sound(&world, "top", FALSE).allocated_clusters, 0);
        world_clear(&world);
    }
}

/* A different parent, or a different state of the parent, is detected. */
static void a_parent_that_is_another_one_is_noticed(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++) {
        g_autoptr(GError) error = NULL;
        World world;

        world_init(&world, &variants[v], 3);
        do_well(&world, commit);
        if (variants[v].minds) {
            scatter(&world, "old", 1);
            expect_mismatch(&world, "top");
            assert_false(commit(&world, &error));
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
            g_clear_error(&error);
            assert_false(rebase(&world, &error));
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_MISMATCH));
            g_clear_error(&error);
        }
        /* the caller knows better */
        assert_true(rebase_to(&world, "old", TRUE, NULL));
        g_clear_pointer(&file_of(&world, "old")->blob, cst_blob_unref);
        file_of(&world, "old")->blob = cst_blob_ref(file_of(&world, "new")->blob);
        if (variants[v].options.subformat == NULL)
            expect_mismatch(&world, "top");
        world_clear(&world);
    }
}

/*
 * A rebase keeps the guest's content, so it must also keep the identity that children have
 * recorded.
 */
static void children_of_a_rebased_image_stay_valid(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++)
        for (size_t w = 0; w < 2; w++) {
            World world;

            world_init(&world, &variants[v], 11);
            if (variants[v].options.subformat) { /* more files than FILES */
                world_clear(&world);
                continue;
            }
            make(&world, "child", "top");
            do_well(&world, works[w]);
            expect_content(&world, "child");
            world_clear(&world);
        }
}

/*
 * The image between is unchanged except for its recorded parent identity, so that it can be opened.
 */
static void commit_further_down_keeps_the_chain(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++) {
        g_autoptr(CstChain) chain = NULL;
        g_autoptr(GError) error = NULL;
        World world;

        world_init(&world, &variants[v], 13);
        if (variants[v].options.subformat == NULL) {
            make(&world, "child", "top");
            scatter(&world, "child", 3);
            {
                g_autoptr(CstBlob) guest = good_guest(&world, "child", 0);

                assert_true(cst_blob_pread(guest, world.model, SIZE, 0, NULL));
            }
            chain = look_at(&world, "child");
            if (!cst_chain_commit(chain, 2, 0, NULL, &error))
                fail_msg("%s", error->message);
            expect_content(&world, "child");
            expect_content(&world, "old");
        }
        world_clear(&world);
    }
}

static void unknown_parents_are_refused(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++) {
        const CstImageRebase blind = {
            .backing = "new", .backing_format = variants[v].format, .unsafe = TRUE};
        const CstImageRebase raw = {.backing = "new", .backing_format = "raw", .unsafe = TRUE};
        g_autoptr(CstChain) chain = NULL, again = NULL;
        g_autoptr(GError) error = NULL, other = NULL;
        World world;

        world_init(&world, &variants[v], 5);
        chain = look_at(&world, "top");
        assert_int_equal(cst_chain_rebase(chain, &blind, NULL, &error), !variants[v].minds);
        if (variants[v].minds)
            assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INVALID));
        again = look_at(&world, "top");
        assert_false(cst_chain_rebase(again, &raw, NULL, &other));
        assert_true(g_error_matches(other, CST_ERROR, CST_ERROR_INVALID));
        world_clear(&world);
    }
}

/* --- power ------------------------------------------------------------------------------------ */

/* Returns the world with the files' content after a power cut. */
static void world_crash(const World *world, unsigned clock, uint32_t fate, World *ret_left)
{
    *ret_left = *world;
    ret_left->rand = g_rand_copy(world->rand);
    ret_left->model = g_memdup2(world->model, SIZE);
    for (unsigned i = 0; i < world->count; i++) {
        CstBlob *power = world->files[i].blob;

        ret_left->files[i] =
            (File){g_strdup(world->files[i].name),
                   cst_blob_power_crash(power, cst_blob_power_steps_before(power, clock),
                                        fate < 2 ? fate : fate * 8 + i, NULL)};
    }
}

static void cut_the_power(World *world, Work work, uint32_t seed)
{
    unsigned from, to;

    for (unsigned i = 0; i < world->count; i++) {
        CstBlob *plain = world->files[i].blob;

        world->files[i].blob = cst_blob_power_new(plain, NULL);
        cst_blob_unref(plain);
    }
    from = cst_blob_power_clock();
    do_well(world, work);
    to = cst_blob_power_clock();
    for (unsigned clock = from; clock <= to; clock++)
        for (uint32_t chance = 0; chance < 3; chance++) {
            World left;

            world_crash(world, clock, chance < 2 ? chance : seed * 1000 + clock, &left);
            expect_content(&left, "top");
            expect_sound(&left, "top", TRUE);
            expect_sound(&left, "old", TRUE);
            if (chance == 2) {
                do_well(&left, work);
                expect_content(&left, "top");
            }
            world_clear(&left);
        }
}

static void the_power_may_go(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++)
        for (size_t w = 0; w < 3; w++) {
            World world;

            world_init(&world, &variants[v], (guint32)(100 + v));
            cut_the_power(&world, works[w], (uint32_t)w);
            world_clear(&world);
        }
}

/* --- failures --------------------------------------------------------------------------------- */

static void world_copy(const World *world, World *ret_copy)
{
    *ret_copy = *world;
    ret_copy->rand = g_rand_copy(world->rand);
    ret_copy->model = g_memdup2(world->model, SIZE);
    for (unsigned i = 0; i < world->count; i++)
        ret_copy->files[i] =
            (File){g_strdup(world->files[i].name), cst_blob_sparse_copy(world->files[i].blob)};
}

/*
 * After each failure the guest's content is the same, and the same work succeeds when it is
 * repeated.
 */
static unsigned fail_each(const World *world, Work work, const char *name, CstFaultKind kind)
{
    for (unsigned nth = 1;; nth++) {
        CstBlob *fault, *plain;
        gboolean done, struck;
        World copy;

        world_copy(world, &copy);
        plain = file_of(&copy, name)->blob;
        file_of(&copy, name)->blob = fault = cst_blob_fault_new(plain);
        cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
        done = work(&copy, NULL);
        struck = cst_blob_fault_struck(fault);
        assert_true(done || struck);
        file_of(&copy, name)->blob = plain;
        cst_blob_unref(fault);
        expect_content(&copy, "top");
        expect_sound(&copy, "top", TRUE);
        if (!done)
            do_well(&copy, work);
        expect_content(&copy, "top");
        world_clear(&copy);
        if (!struck)
            return nth - 1;
    }
}

static void any_call_may_fail(void **state)
{
    static const size_t chosen[] = {0, 3, 4};

    for (size_t v = 0; v < G_N_ELEMENTS(chosen); v++)
        for (size_t w = 0; w < 3; w++)
            for (unsigned kind = CST_FAULT_WRITE; kind < CST_FAULT_KINDS; kind++) {
                World world;

                world_init(&world, &variants[chosen[v]], (guint32)(200 + w));
                assert_true(fail_each(&world, works[w], "top", kind) > 0);
                if (works[w] == commit)
                    assert_true(fail_each(&world, works[w], "old", kind) > 0);
                world_clear(&world);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guest_sees_no_difference),
        cmocka_unit_test(commit_leaves_an_empty_image),
        cmocka_unit_test(a_parent_that_is_another_one_is_noticed),
        cmocka_unit_test(children_of_a_rebased_image_stay_valid),
        cmocka_unit_test(commit_further_down_keeps_the_chain),
        cmocka_unit_test(unknown_parents_are_refused),
        cmocka_unit_test(the_power_may_go),
        cmocka_unit_test(any_call_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
