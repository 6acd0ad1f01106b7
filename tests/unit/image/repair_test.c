/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Repairs of block tables while storage or the power fails. The damage is an entry that two blocks
 * share, an entry outside the file, and unused space. The images have several blocks for each
 * damage, which the images of the fault tests are too small for. Undamaged blocks keep their
 * content at each step, no error is added, and the next repair fixes the rest. A new format needs
 * a new row.
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
#include <image/image.h>

#include "../blob_size.h"
#include "bytes.h"

enum { BLOCKS = 8, WRITTEN = 7 };

typedef struct {
    const char *format;
    CstImageCreate options;
    uint64_t block; /* bytes */
    uint64_t table; /* offset of the entries, or of the pointer to them */
    gboolean leads;
    unsigned width;
    gboolean big_endian;
    uint64_t empty, nowhere; /* entries */
    uint64_t mark_at;        /* offset of the mark for an unclosed image; 0: no mark */
    uint32_t mark;
} Variant;

static const Variant variants[] = {
    {.format = "vdi",
     .block = CST_MIB,
     .table = 512,
     .width = 4,
     .empty = UINT32_MAX,
     .nowhere = 1000000},
    {.format = "vpc",
     .options = {0},
     .block = 2 * CST_MIB,
     .table = 1536,
     .width = 4,
     .big_endian = TRUE,
     .empty = UINT32_MAX,
     .nowhere = INT32_MAX},
    {.format = "vhdx",
     .options = {.block_size = CST_MIB},
     .block = CST_MIB,
     .table = 3 * CST_MIB,
     .width = 8,
     .nowhere = UINT64_C(1) << 50 | 6},
    {.format = "parallels",
     .options = {.cluster_size = 4096},
     .block = 4096,
     .table = 64,
     .width = 4,
     .nowhere = 1000000,
     .mark_at = 44,
     .mark = 0x746f6e59},
    {.format = "qcow",
     .block = 4096,
     .table = 48,
     .leads = TRUE,
     .width = 8,
     .big_endian = TRUE,
     .nowhere = UINT64_C(1) << 40},
    {.format = "qed",
     .options = {.cluster_size = 4096, .table_size = 1},
     .block = 4096,
     .table = 4096,
     .leads = TRUE,
     .width = 8,
     .nowhere = UINT64_C(1) << 40,
     .mark_at = 16,
     .mark = 2},
};

/** The damage, and the letters that the blocks contain after its repair; '.': zeroes. */
typedef struct {
    const char *name, *letters;
    int shared, lost, nowhere; /* blocks; -1: no block. Shared with block 0 */
} Damage;

static const Damage damages[] = {
    {"sharing", "abcdefga", 7, -1, -1},
    {"leading nowhere", "abcdefg.", -1, -1, 7},
    {"leaking", "a.cdefg.", -1, 1, -1},
    {"all", "aa..efg.", 1, 2, 3},
};

typedef struct {
    const Variant *variant;
    const Damage *damage;
    const CstImageFormat *format;
    CstBlob *blob;
    uint64_t errors; /* of the table, before the repair */
} Scene;

static G_GNUC_PRINTF(2, 3) void fail_scene(const Scene *scene, const char *how, ...)
{
    g_autofree char *what = NULL;
    va_list args;

    va_start(args, how);
    what = g_strdup_vprintf(how, args);
    va_end(args);
    fail_msg("%s, %s: %s", scene->variant->format, scene->damage->name, what);
}

/* --- images ----------------------------------------------------------------------------------- */

static void put(const Variant *variant, CstBlob *blob, uint64_t at, uint64_t value)
{
    uint8_t raw[8];

    if (variant->big_endian)
        cst_put_be64(raw, value << (64 - 8 * variant->width));
    else
        cst_put_le64(raw, value);
    assert_true(cst_blob_pwrite(blob, raw, variant->width, at, NULL));
}

static uint64_t get(const Variant *variant, CstBlob *blob, uint64_t at)
{
    uint8_t raw[8] = {0};

    assert_true(cst_blob_pread(blob, raw, variant->width, at, NULL));
    return variant->big_endian ? cst_be64(raw) >> (64 - 8 * variant->width) : cst_le64(raw);
}

static void put_mark(const Variant *variant, CstBlob *blob)
{
    uint8_t raw[4];

    cst_put_le32(raw, variant->mark);
    assert_true(cst_blob_pwrite(blob, raw, sizeof(raw), variant->mark_at, NULL));
}

static CstBlob *make(const Variant *variant)
{
    const CstImageFormat *format = cst_image_format_find(variant->format, NULL);
    CstImageCreate options = variant->options;
    CstBlob *blob = cst_blob_sparse_new(0);
    g_autoptr(CstBlob) guest = NULL;

    options.capacity = BLOCKS * variant->block;
    assert_true(cst_image_create(blob, format, &options, NULL, NULL));
    guest = cst_image_guest_blob(cst_image_open(blob, format, CST_IMAGE_WRITE, NULL, NULL));
    for (uint64_t i = 0; i < WRITTEN; i++)
        assert_true(cst_blob_pwrite(guest, &"abcdefg"[i], 1, i * variant -> block, NULL));
    return blob;
}

static CstImageCheck check(const Scene *scene, CstBlob *blob, unsigned flags)
{
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};

    if (!cst_image_check(blob, scene->format, flags, &found, NULL, &error))
        fail_scene(scene, "%s", error->message);
    return found;
}

/* It was not closed, has a log to replay, or lacks the footer at its end. */
static gboolean is_dirty(const Scene *scene, CstBlob *blob)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, scene->format, &info, NULL));
    return info.dirty;
}

/* That a Parallels image was not closed is an error by itself, as QEMU counts. */
static uint64_t mark_errors(const Scene *scene, CstBlob *blob)
{
    return strcmp(scene->variant->format, "parallels") == 0 && is_dirty(scene, blob) ? 1 : 0;
}

static void scene_init(Scene *scene, const Variant *variant, const Damage *damage)
{
    uint64_t table = variant->table;

    *scene =
        (Scene){variant, damage, cst_image_format_find(variant->format, NULL), make(variant), 0};
    if (variant->leads)
        table = get(variant, scene->blob, table);
    if (damage->shared >= 0)
        put(variant, scene->blob, table + (uint64_t)damage->shared * variant->width,
            get(variant, scene->blob, table));
    if (damage->lost >= 0)
        put(variant, scene->blob, table + (uint64_t)damage->lost * variant->width, variant->empty);
    if (damage->nowhere >= 0)
        put(variant, scene->blob, table + (uint64_t)damage->nowhere * variant->width,
            variant->nowhere);
    if (variant->mark_at)
        put_mark(variant, scene->blob);
    scene->errors = (damage->shared >= 0) + (damage->nowhere >= 0);
    assert_int_equal(check(scene, scene->blob, 0).errors,
                     scene->errors + mark_errors(scene, scene->blob));
}

/* --- judging ---------------------------------------------------------------------------------- */

static void assert_shows(const Scene *scene, CstBlob *blob, gboolean mended)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = cst_image_open(blob, scene->format, 0, NULL, &error);
    g_autoptr(CstBlob) guest = NULL;

    if (!image)
        fail_scene(scene, "%s", error->message);
    guest = cst_image_guest_blob(image);
    for (int n = 0; n < BLOCKS; n++) {
        char wanted = scene->damage->letters[n] == '.' ? '\0' : scene->damage->letters[n];
        char seen = 'x';

        if (!mended && n == scene->damage->nowhere)
            continue;
        if (!cst_blob_pread(guest, &seen, 1, (uint64_t)n * scene->variant->block, &error))
            fail_scene(scene, "block %d: %s", n, error->message);
        if (seen != wanted)
            fail_scene(scene, "block %d shows '%c'", n, seen);
    }
}

/* Judges the image after an interrupted repair. */
static void judge_interrupted(const Scene *scene, CstBlob *left)
{
    uint64_t errors = check(scene, left, 0).errors - mark_errors(scene, left);

    if (errors > scene->errors)
        fail_scene(scene, "%u errors", (unsigned)errors);
    if (errors > 0 && scene->variant->mark_at && !is_dirty(scene, left))
        fail_scene(scene, "the mark is gone before the errors are");
    assert_shows(scene, left, FALSE);
}

/* Judges the image after a repair that reported success. */
static void judge_done(const Scene *scene, CstBlob *left)
{
    CstImageCheck found = check(scene, left, 0);

    if (found.errors + found.leaks > 0 || is_dirty(scene, left))
        fail_scene(scene, "%u errors and %u leaks are left", (unsigned)found.errors,
                   (unsigned)found.leaks);
    assert_shows(scene, left, TRUE);
}

static void repair_again(const Scene *scene, CstBlob *left)
{
    CstImageCheck found = check(scene, left, CST_CHECK_REPAIR_ALL);

    if (found.errors_fixed != found.errors || found.leaks_fixed != found.leaks)
        fail_scene(scene, "not all was repaired");
    judge_done(scene, left);
}

/* --- storage that fails ----------------------------------------------------------------------- */

/* Returns FALSE if there are fewer such calls. */
static gboolean play_fault(const Scene *scene, CstFaultKind kind, guint nth)
{
    g_autoptr(CstBlob) inner = cst_blob_sparse_copy(scene->blob);
    g_autoptr(CstBlob) fault = cst_blob_fault_new(inner);
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};
    gboolean done;

    cst_blob_fault_arm(fault, kind, nth, CST_FAULT_ONCE);
    done = cst_image_check(fault, scene->format, CST_CHECK_REPAIR_ALL, &found, NULL, &error);
    if (!done && !g_error_matches(error, CST_ERROR, CST_ERROR_IO))
        fail_scene(scene, "fault %d %u: %s", kind, nth, error->message);
    if (done && cst_blob_fault_struck(fault))
        fail_scene(scene, "fault %d %u was not told", kind, nth);
    if (done) {
        judge_done(scene, inner);
    } else {
        judge_interrupted(scene, inner);
        repair_again(scene, inner);
    }
    return cst_blob_fault_struck(fault);
}

/* Questions are many: fewer of these. */
static guint step(CstFaultKind kind, guint nth)
{
    return kind == CST_FAULT_QUERY ? 1 + nth / 4 : 1;
}

static void play_faults(const Scene *scene)
{
    for (CstFaultKind kind = 0; kind < CST_FAULT_KINDS; kind++)
        for (guint nth = 1; play_fault(scene, kind, nth);)
            nth += step(kind, nth);
}

static void a_repair_that_fails_adds_no_damage(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(damages); j++) {
            Scene scene;

            scene_init(&scene, &variants[i], &damages[j]);
            play_faults(&scene);
            cst_blob_unref(scene.blob);
        }
}

/* --- power cuts ------------------------------------------------------------------------------- */

/* A VHD that grows writes over its footer, and the one in front counts; but not when it shrinks. */
static void assert_has_end(const Scene *scene, CstBlob *left)
{
    if (strcmp(scene->variant->format, "vpc") == 0 && scene->errors == 0 && is_dirty(scene, left))
        fail_scene(scene, "there is no footer at the end");
}

/* Of the writes that no flush covers after @steps, each alone gets to the disk, and all but it. */
static void lose_and_keep_each(const Scene *scene, CstBlob *power, unsigned steps)
{
    for (unsigned n = cst_blob_power_covered(power, steps); n < steps; n++)
        for (int alone = 0; alone < 2; alone++) {
            g_autoptr(CstBlob) left = cst_blob_power_crash_one(power, steps, n, alone, FALSE, NULL);

            assert_has_end(scene, left);
            judge_interrupted(scene, left);
            repair_again(scene, left);
        }
}

static gboolean is_flush(CstBlob *power, unsigned step)
{
    return cst_blob_power_covered(power, step + 1) == step + 1;
}

/* Cuts the power at each step that @power has recorded. */
static void play_power_cuts(const Scene *scene, CstBlob *power)
{
    unsigned last = cst_blob_power_steps(power);

    for (unsigned steps = 0; steps <= last; steps++)
        if (steps == last || is_flush(power, steps))
            lose_and_keep_each(scene, power, steps);
}

static void play_check(const Scene *scene)
{
    g_autoptr(CstBlob) inner = cst_blob_sparse_copy(scene->blob);
    g_autoptr(CstBlob) power = cst_blob_power_new(inner, NULL), left = NULL;

    check(scene, power, CST_CHECK_REPAIR_ALL);
    play_power_cuts(scene, power);
    left = cst_blob_power_crash(power, cst_blob_power_steps(power), 0, NULL);
    assert_int_equal(size_of(left), size_of(power));
    judge_done(scene, left);
}

/* Opening an image with a mark repairs its errors. */
static void play_opening(const Scene *scene)
{
    g_autoptr(CstBlob) inner = cst_blob_sparse_copy(scene->blob);
    g_autoptr(CstBlob) power = cst_blob_power_new(inner, NULL);
    g_autoptr(CstImage) image = cst_image_open(power, scene->format, CST_IMAGE_WRITE, NULL, NULL);

    assert_non_null(image);
    assert_false(is_dirty(scene, power));
    assert_int_equal(check(scene, power, 0).errors, 0);
    assert_shows(scene, power, TRUE);
    play_power_cuts(scene, power);
}

static void power_cut_in_a_repair_keeps_the_blocks_and_a_later_repair_completes(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(damages); j++) {
            Scene scene;

            scene_init(&scene, &variants[i], &damages[j]);
            play_check(&scene);
            if (variants[i].mark_at)
                play_opening(&scene);
            cst_blob_unref(scene.blob);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repair_that_fails_adds_no_damage),
        cmocka_unit_test(power_cut_in_a_repair_keeps_the_blocks_and_a_later_repair_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
