/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The power goes off in the middle of work: of what was written since the last flush any sector may
 * be lost, in any order. The image must open, check must find leaks at worst, and what was flushed
 * must be there. For formats whose check QEMU's tools don't have; adding a format adds a row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include <base/units.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/image.h>

enum { BACKING = 0xee, SIZE = 3 * 1024 * 1024 + 512, CHANGES = 9 };

typedef struct {
    const char *format;
    CstImageCreate options;
} Variant;

static const Variant variants[] = {
    {"vmdk", {.capacity = SIZE}},
    {"vmdk", {.capacity = SIZE, .cluster_size = 8192}},
    {"vdi", {.capacity = SIZE}},
    {"vdi", {.capacity = SIZE, .subformat = "static"}},
    {"qcow2", {.capacity = SIZE, .extended_l2 = TRUE}},
    {"vpc", {.capacity = SIZE, .force_size = TRUE}},
    {"vpc", {.capacity = SIZE, .force_size = TRUE, .subformat = "fixed"}},
    {"vpc", {.capacity = SIZE, .force_size = TRUE, .backing = "base", .backing_format = "vpc"}},
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

/* What the guest did, and when, in calls to the blob. */
typedef struct {
    unsigned from; /* calls made before it began */
    unsigned to;   /* calls made when it had ended */
    gboolean is_flush;
    uint8_t byte;
    uint64_t offset, length;
} Deed;

typedef struct {
    const CstImageFormat *format;
    GRand *rand;
    CstBlob *power;
    CstBlob *backing; /* NULL: none; else full of BACKING */
    GArray *deeds;
} Run;

static CstImage *open_image(const Run *run, CstBlob *blob, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, run->format, flags, run->backing, &error);

    if (!image)
        fail_msg("open: %s", error->message);
    return image;
}

static void run_init(Run *run, const Variant *variant, guint32 seed)
{
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);

    run->format = cst_image_format_find(variant->format, NULL);
    run->rand = g_rand_new_with_seed(seed);
    run->deeds = g_array_new(FALSE, TRUE, sizeof(Deed));
    run->backing = NULL;
    if (variant->options.backing) {
        g_autofree uint8_t *bytes = g_malloc(SIZE);

        memset(bytes, BACKING, SIZE);
        run->backing = cst_blob_memory_new(bytes, SIZE);
    }
    assert_true(cst_image_create(blob, run->format, &variant->options, NULL, NULL));
    run->power = cst_blob_power_new(blob, NULL);
    assert_non_null(run->power);
}

static void run_clear(Run *run)
{
    g_rand_free(run->rand);
    g_array_unref(run->deeds);
    cst_blob_unref(run->power);
    cst_blob_unref(run->backing);
}

static void change(Run *run, CstBlob *guest)
{
    uint64_t offset = (uint64_t)g_rand_int_range(run->rand, 0, SIZE);
    uint64_t length = (uint64_t)g_rand_int_range(run->rand, 1, 200000);
    Deed deed = {.from = cst_blob_power_steps(run->power), .offset = offset};

    deed.length = length = MIN(length, SIZE - offset);
    if (g_rand_int_range(run->rand, 0, 4) > 0) {
        g_autofree uint8_t *buf = g_malloc(length);

        deed.byte = (uint8_t)g_rand_int_range(run->rand, 1, 256);
        memset(buf, deed.byte, length);
        assert_true(cst_blob_pwrite(guest, buf, length, offset, NULL));
    } else {
        assert_true(cst_blob_zero(guest, offset, length, CST_ZERO_MAY_UNMAP, NULL));
    }
    deed.to = cst_blob_power_steps(run->power);
    g_array_append_val(run->deeds, deed);
}

static void flush(Run *run, CstBlob *guest)
{
    Deed deed = {.from = cst_blob_power_steps(run->power), .is_flush = TRUE};

    assert_true(cst_blob_flush(guest, NULL));
    deed.to = cst_blob_power_steps(run->power);
    g_array_append_val(run->deeds, deed);
}

static void work(Run *run, int changes)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(run, run->power, CST_IMAGE_WRITE));

    for (int i = 0; i < changes; i++) {
        change(run, guest);
        if (g_rand_int_range(run->rand, 0, 3) == 0)
            flush(run, guest);
    }
    flush(run, guest);
}

/* Sets what was durable when the power failed; returns the first deed that may be lost. */
static guint recall(const Run *run, unsigned steps, uint8_t *model)
{
    guint flushed = 0;

    memset(model, run->backing ? BACKING : 0, SIZE);
    for (guint i = 0; i < run->deeds->len; i++) {
        const Deed *deed = &g_array_index(run->deeds, Deed, i);

        if (deed->is_flush && deed->to <= steps)
            flushed = i;
    }
    for (guint i = 0; i < flushed; i++) {
        const Deed *deed = &g_array_index(run->deeds, Deed, i);

        if (!deed->is_flush)
            memset(model + deed->offset, deed->byte, deed->length);
    }
    return flushed;
}

/* Some write that may have been lost has put this byte here. */
static gboolean may_be(const Run *run, guint first, unsigned steps, uint64_t at, uint8_t byte)
{
    for (guint i = first; i < run->deeds->len; i++) {
        const Deed *deed = &g_array_index(run->deeds, Deed, i);

        if (!deed->is_flush && deed->from <= steps && deed->byte == byte && at >= deed->offset &&
            at - deed->offset < deed->length)
            return TRUE;
    }
    return FALSE;
}

/* Every byte is what was flushed, or something written since. */
static void assert_flushed_is_there(const Run *run, CstBlob *blob, unsigned steps, uint64_t limit)
{
    g_autoptr(CstBlob) guest = cst_image_guest_blob(open_image(run, blob, 0));
    g_autofree uint8_t *seen = g_malloc(SIZE), *model = g_malloc(SIZE);
    guint first = recall(run, steps, model);

    assert_true(cst_blob_pread(guest, seen, limit, 0, NULL));
    for (uint64_t i = 0; i < limit; i++)
        if (seen[i] != model[i] && !may_be(run, first, steps, i, seen[i]))
            fail_msg("after %u calls byte %" G_GUINT64_FORMAT " is %u, not %u", steps, i, seen[i],
                     model[i]);
}

/* That a Parallels image was not closed is an error by itself, as QEMU counts. */
static uint64_t errors_to_expect(const Run *run, CstBlob *blob)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, run->format, &info, NULL));
    return strcmp(cst_image_format_name(run->format), "parallels") == 0 && info.dirty ? 1 : 0;
}

static CstImageCheck check(const Run *run, CstBlob *blob, unsigned flags, unsigned steps)
{
    g_autoptr(GError) error = NULL;
    uint64_t expected = errors_to_expect(run, blob);
    CstImageCheck found = {0};

    if (!cst_image_check(blob, run->format, flags, &found, NULL, &error))
        fail_msg("check: %s", error->message);
    if (found.errors > expected)
        fail_msg("%u errors after %u calls", (unsigned)found.errors, steps);
    return found;
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
    for (guint i = 0; i < run->deeds->len; i++) {
        const Deed *deed = &g_array_index(run->deeds, Deed, i);

        if (deed->is_flush && deed->from < steps && steps < deed->to)
            return TRUE;
    }
    return FALSE;
}

static void a_power_cut_leaks_at_worst(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        Run run;

        run_init(&run, &variants[i], (guint32)i);
        work(&run, CHANGES);
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
    }
}

/* The size is the old one or the new one, and what both have is there. */
static void cut_while_resizing(const Variant *variant, uint64_t capacity, guint32 seed)
{
    unsigned first;
    CstImage *image;
    Run run;

    run_init(&run, variant, seed);
    work(&run, 4);
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
}

static void a_power_cut_while_growing_or_shrinking_loses_nothing(void **state)
{
    static const uint64_t sizes[] = {512, CST_MIB + 512, 7 * CST_MIB, 2 * CST_GIB};

    /* A fixed VHD is recognised by its end alone. File systems make a file longer after they have
     * written what is behind the old end, so its footer is safe on them; here nothing is. */
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(sizes); j++)
            if (sizes[j] < SIZE || g_strcmp0(variants[i].options.subformat, "fixed") != 0)
                cut_while_resizing(&variants[i], sizes[j], (guint32)j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_power_cut_leaks_at_worst),
        cmocka_unit_test(a_power_cut_while_growing_or_shrinking_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
