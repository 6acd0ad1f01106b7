/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Storage that fails, under every operation on every format: each question, read, write, discard
 * and flush in turn fails, is torn, or is the last thing that happens; and the power goes off after
 * any prefix of the work.
 *
 * A failure is told: the operation fails with the storage's own error, unless a row of tolerated[]
 * says why it need not. Whatever comes of it, the image opens, a check finds no error (leaks at
 * worst), every byte is the old one or the new one, and what was reported as done is there. What
 * failed for a moment leaves the image so that the same call does the work when it is made again;
 * what happens at once (snapshots, bitmaps, options) has not happened when a write failed.
 *
 * Adding a format or an operation adds a row.
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
#include <image/snapshot.h>

#include "fault_disk.h"
#include "fault_operations.h"
#include "same.h"

static const Variant variants[] = {
    {"raw", {0}},
    {"qcow2", {.cluster_size = 4096}},
    {"qcow2", {.cluster_size = 512}},
    {"qcow2", {.compat = "0.10", .cluster_size = 65536}},
    {"qcow2", {.cluster_size = 16384, .extended_l2 = TRUE}},
    {"qcow2", {.cluster_size = 4096, .lazy_refcounts = TRUE}},
    {"qcow2", {.cluster_size = 4096, .refcount_bits = 64}},
    {"qcow2", {.cluster_size = 4096, .backing = "base", .backing_format = "raw"}},
    {"vdi", {0}},
    {"vdi", {.subformat = "static"}},
    {"vmdk", {0}},
    {"vmdk", {.cluster_size = 8192}},
    {"vmdk", {.subformat = "monolithicFlat"}},
    {"vmdk", {.subformat = "streamOptimized"}},
    {"vmdk", {.subformat = "twoGbMaxExtentSparse"}},
    {"vmdk", {.subformat = "twoGbMaxExtentFlat"}},
    {"vpc", {.force_size = TRUE}},
    {"vpc", {.force_size = TRUE, .subformat = "fixed"}},
    {"vpc", {.force_size = TRUE, .backing = "base", .backing_format = "vpc"}},
    {"vhdx", {.block_size = CST_MIB}},
    {"vhdx", {.block_size = CST_MIB, .sector_size = 4096, .capacity = 648 * 1024}},
    {"vhdx", {.block_size = CST_MIB, .subformat = "fixed"}},
    {"qcow", {0}},
    {"qcow", {.backing = "base", .backing_format = "raw"}},
    {"qed", {.cluster_size = 8192, .table_size = 1}},
    {"qed", {.table_size = 1, .backing = "base", .backing_format = "raw"}},
    {"parallels", {0}},
    {"parallels", {.cluster_size = 65536}},
};

/* --- running them ----------------------------------------------------------------------------- */

/* TRUE when @fault (NULL: none) has struck by now. */
static gboolean has_struck(CstBlob *fault)
{
    return fault && cst_blob_fault_struck(fault);
}

/*
 * Everything from opening to closing; TRUE: it was reported as done and durable. *ret_before says
 * whether @fault struck before that; what fails while closing has nobody to tell it to.
 */
static gboolean run_operation(Disk *disk, const Operation *operation, CstBlob *fault,
                              gboolean *ret_before, GError **error)
{
    CstImage *image;
    gboolean done;

    if (operation->on_disk) {
        done = operation->on_disk(disk, error);
        *ret_before = has_struck(fault);
        return done;
    }
    image = open_image(disk, CST_IMAGE_WRITE, error);
    *ret_before = has_struck(fault);
    if (!image)
        return FALSE;
    if (operation->on_guest) {
        g_autoptr(CstBlob) guest = cst_image_guest_blob(image);

        done = operation->on_guest(guest, error) && cst_blob_flush(guest, error);
        *ret_before = has_struck(fault);
        return done;
    }
    done = operation->on_image(image, error) && cst_image_flush(image, error);
    *ret_before = has_struck(fault);
    cst_image_free(image);
    return done;
}

/* --- looking ---------------------------------------------------------------------------------- */

/** One case, for messages. */
typedef struct {
    const Variant *variant;
    const Operation *operation;
    const char *kind;
    unsigned nth, seed;
} Case;

static void fail_case(const Case *c, const char *what)
{
    const CstImageCreate *options = &c->variant->options;

    fail_msg("%s %s %u%s%s, %s, %s %u (%u): %s", c->variant->format,
             options->subformat ? options->subformat : "", (unsigned)options->cluster_size,
             options->lazy_refcounts ? " lazy" : "", options->backing ? " based" : "",
             c->operation->name, c->kind, c->nth, c->seed, what);
}

/* That a Parallels image was not closed is an error by itself, as QEMU counts. */
static uint64_t errors_to_expect(CstBlob *blob, const CstImageFormat *format)
{
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(blob, format, &info, NULL));
    return g_str_equal(cst_image_format_name(format), "parallels") && info.dirty ? 1 : 0;
}

/* An image that was not closed may owe its refcounts; that is what its dirty bit says. */
static void assert_sound(const Case *c, CstBlob *blob, const CstImageFormat *format)
{
    g_autoptr(GError) error = NULL;
    CstImageCheck found = {0};
    g_autofree char *text = NULL;

    if (c->variant->options.lazy_refcounts)
        cst_image_check(blob, format, CST_CHECK_REPAIR_ALL, &found, NULL, NULL);
    if (!cst_image_check(blob, format, 0, &found, NULL, &error)) {
        if (!g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED))
            fail_case(c, error->message);
    } else if (found.errors > errors_to_expect(blob, format)) {
        text = g_strdup_printf("%u errors", (unsigned)found.errors);
        fail_case(c, text);
    }
}

static void look(const Case *c, Disk *disk, View *ret_view)
{
    g_autoptr(GError) error = NULL;
    CstImage *image = open_image(disk, 0, &error);
    g_autoptr(GPtrArray) snapshots = NULL;
    g_autoptr(CstBlob) guest = NULL;

    if (!image)
        fail_case(c, error->message);
    memset(ret_view, 0, G_STRUCT_OFFSET(View, bytes));
    ret_view->size = cst_image_capacity(image);
    snapshots = cst_image_snapshot_list(image, NULL);
    ret_view->snapshots = snapshots ? snapshots->len : 0;
    write_notes(disk, image, ret_view);
    guest = cst_image_guest_blob(image);
    if (ret_view->size > GROWN)
        fail_case(c, "the size is neither the old nor the new one");
    if (!cst_blob_pread(guest, ret_view->bytes, ret_view->size, 0, &error))
        fail_case(c, error->message);
    memset(ret_view->bytes + ret_view->size, 0, GROWN - ret_view->size);
}

static gboolean is_free(const Operation *operation, uint64_t at)
{
    return operation->may_lose && at >= FROM && at < FROM + LENGTH;
}

static gboolean is_same(const Operation *operation, const View *a, const View *b)
{
    if (a->size != b->size || a->snapshots != b->snapshots || strcmp(a->notes, b->notes) != 0)
        return FALSE;
    for (uint64_t at = 0; (at = next_difference(a->bytes, b->bytes, at, a->size)) < a->size; at++)
        if (!is_free(operation, at))
            return FALSE;
    return TRUE;
}

/* A fixed VHD is recognised by its end alone, which storage that loses writes can't move safely. */
static gboolean moves_its_only_mark(const Case *c)
{
    return c->operation->moves_end && strcmp(c->variant->format, "vpc") == 0 &&
           g_strcmp0(c->variant->options.subformat, "fixed") == 0;
}

/* What was added to @old, where it was. */
static gboolean reads_zero_behind(const Case *c, const View *seen, const View *old, const View *new)
{
    if (new->size <= old->size || seen->size != new->size ||
        (moves_its_only_mark(c) && strstr(c->kind, "last")))
        return TRUE;
    return memcmp(seen->bytes + old->size, new->bytes + old->size, new->size - old->size) == 0;
}

/* Of two states either, or where that is allowed some of both. */
static void assert_between(const Case *c, const View *seen, const View *old, const View *new)
{
    uint64_t common = MIN(MIN(old->size, new->size), seen->size);

    if (c->operation->at_once) {
        if (!is_same(c->operation, seen, old) && !is_same(c->operation, seen, new))
            fail_case(c, "it is neither as before nor as after");
        return;
    }
    if ((seen->size != old->size && seen->size != new->size) || seen->snapshots != old->snapshots)
        fail_case(c, "the size is neither the old nor the new one");
    for (uint64_t at = 0, next; at < common; at = next) {
        next = MAX(next_difference(seen->bytes, old->bytes, at, common),
                   next_difference(seen->bytes, new->bytes, at, common));
        if (next > at)
            continue;
        if (!is_free(c->operation, at))
            fail_case(c, "content was lost");
        next++;
    }
    if (!reads_zero_behind(c, seen, old, new))
        fail_case(c, "what was added does not read as zeroes");
}

/* A megabyte that each of thousands of cases fills. */
static View scratch;

static void judge(const Case *c, Disk *disk, gboolean done, const View *old, const View *new)
{
    View *seen = &scratch;

    assert_sound(c, part_at(disk, 0)->shown, disk->format);
    look(c, disk, seen);
    if (done && !is_same(c->operation, seen, new))
        fail_case(c, "it was reported as done and is not");
    assert_between(c, seen, old, new);
}

/* --- the ground ------------------------------------------------------------------------------- */

/* Data and holes, durable; FALSE: the operation's preparation can't be done to this format. */
static gboolean prepare(Disk *disk, const Operation *operation)
{
    const CstImageFiles files = {open_part, create_part, disk};
    CstImageCreate options = disk->variant->options;
    g_autofree uint8_t *buf = g_malloc(SIZE);
    g_autoptr(CstBlob) guest = NULL;
    g_autoptr(GError) error = NULL;
    CstImage *image;

    options.capacity = options.capacity ? options.capacity : SIZE;
    options.files = &files;
    options.file_name = "disk";
    options.backing_guest = disk->backing;
    disk_add(disk, "disk", cst_blob_sparse_new(0));
    if (!cst_image_create(part_at(disk, 0)->shown, disk->format, &options, NULL, &error))
        fail_msg("create: %s", error->message);
    image = open_image(disk, CST_IMAGE_WRITE, NULL);
    assert_non_null(image);
    if (operation->prepare && !operation->prepare(image, &error)) {
        cst_image_free(image);
        return FALSE;
    }
    guest = cst_image_guest_blob(image);
    memset(buf, OLD, SIZE);
    assert_true(cst_blob_pwrite(guest, buf, 200000, 0, NULL));
    assert_true(cst_blob_pwrite(guest, buf, 100000, 300000, NULL));
    assert_true(cst_blob_flush(guest, NULL));
    return TRUE;
}

/* FALSE: the format can't do it at all. */
static gboolean play_without_faults(const Case *c, const Disk *ground, const View *old, View *new)
{
    g_autoptr(GError) error = NULL;
    gboolean done, struck;
    Disk disk;

    disk_copy(ground, &disk);
    done = run_operation(&disk, c->operation, NULL, &struck, &error);
    if (done) {
        look(c, &disk, new);
        assert_sound(c, part_at(&disk, 0)->shown, disk.format);
        if (c->operation->model && c->operation->model != model_same) {
            g_autofree View *wanted = g_memdup2(old, sizeof(View));

            c->operation->model(wanted);
            memset(wanted->bytes + MIN(wanted->size, old->size), 0,
                   GROWN - MIN(wanted->size, old->size));
            g_strlcpy(wanted->notes, new->notes, sizeof(wanted->notes));
            if (!is_same(c->operation, new, wanted))
                fail_case(c, "the result is wrong");
        }
    } else if (!g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        fail_case(c, error->message);
    }
    disk_clear(&disk);
    return done;
}

/* --- faults ----------------------------------------------------------------------------------- */

/** A kind of call whose failure need not be told. */
typedef struct {
    const char *format;
    CstFaultKind kind;
    guint per_drop; /* how many of them, at most, for each discard */
    const char *why;
} Tolerated;

/*
 * Only of operations that leave clusters without a use (Operation.frees). One question more is
 * asked where a whole image is exchanged for another.
 */
static const Tolerated tolerated[] = {
    {"qcow2", CST_FAULT_DISCARD, 1, "what nothing refers to may keep its space in the file"},
    {"qcow2", CST_FAULT_QUERY, 2,
     "the same: whether the file is so long is asked before a discard"},
};

/** One round of faults of the same kind in the same file. */
typedef struct {
    guint part;
    CstFaultKind kind;
    CstFaultMode mode;
    guint drops;   /* discards that the operation makes in that file */
    guint unheard; /* faults that were not told so far */
} Round;

static gboolean is_tolerated(const Case *c, Round *round)
{
    for (size_t i = 0; c->operation->frees && i < G_N_ELEMENTS(tolerated); i++)
        if (strcmp(tolerated[i].format, c->variant->format) == 0 &&
            tolerated[i].kind == round->kind)
            return ++round->unheard <= tolerated[i].per_drop * round->drops + 1;
    return FALSE;
}

/* The storage's own words, in its class. */
static void assert_told(const Case *c, const GError *error)
{
    if (!g_error_matches(error, CST_ERROR, CST_ERROR_IO) ||
        !strstr(error->message, "injected fault in"))
        fail_case(c, error->message);
}

/* What failed for once, and was told, can be done now. */
static void assert_can_go_on(const Case *c, Disk *disk, CstFaultKind kind, const View *old,
                             const View *new)
{
    gboolean is_write = kind == CST_FAULT_WRITE || kind == CST_FAULT_TORN;
    View *seen = &scratch;
    g_autoptr(GError) error = NULL;
    gboolean before;

    look(c, disk, seen);
    if (c->operation->at_once && is_write && !c->operation->late) {
        if (!is_same(c->operation, seen, old))
            fail_case(c, "it has failed and is done");
        return;
    }
    if (c->operation->at_once && is_same(c->operation, seen, new))
        return;
    if (!run_operation(disk, c->operation, NULL, &before, &error))
        fail_case(c, error->message);
    look(c, disk, seen);
    if (!is_same(c->operation, seen, new))
        fail_case(c, "it was done again, and the result is wrong");
}

/* How many discards the operation makes in that file when nothing fails. */
static guint count_drops(const Case *c, const Disk *ground, guint part)
{
    gboolean before;
    guint drops;
    Part *counted;
    Disk disk;

    disk_copy(ground, &disk);
    counted = part_at(&disk, part);
    cst_blob_unref(counted->shown);
    counted->shown = cst_blob_fault_new(counted->inner);
    assert_true(run_operation(&disk, c->operation, NULL, &before, NULL));
    drops = cst_blob_fault_count(counted->shown, CST_FAULT_DISCARD);
    disk_clear(&disk);
    return drops;
}

/* Returns whether there was a call that was aimed at. */
static gboolean play_fault(const Case *c, const Disk *ground, Round *round, const View *old,
                           const View *new)
{
    g_autoptr(GError) error = NULL;
    gboolean done, struck, before;
    CstBlob *fault;
    Part *aimed;
    Disk disk;

    disk_copy(ground, &disk);
    aimed = part_at(&disk, round->part);
    cst_blob_unref(aimed->shown);
    aimed->shown = fault = cst_blob_fault_new(aimed->inner);
    cst_blob_fault_arm(fault, round->kind, c->nth, round->mode);
    done = run_operation(&disk, c->operation, fault, &before, &error);
    struck = cst_blob_fault_struck(fault);
    aimed->shown = cst_blob_ref(aimed->inner);
    cst_blob_unref(fault);
    if (!struck && !done)
        fail_case(c, "it failed without a fault");
    if (before && done && !is_tolerated(c, round))
        fail_case(c, "it was reported as done, but a call had failed");
    if (!done)
        assert_told(c, error);
    judge(c, &disk, done, old, new);
    if (!done && round->mode == CST_FAULT_ONCE)
        assert_can_go_on(c, &disk, round->kind, old, new);
    disk_clear(&disk);
    return struck;
}

/* Each call but of the questions, which the dispatcher asks before it reads: fewer of these. */
static guint step(const Round *round, guint nth)
{
    return round->kind == CST_FAULT_QUERY ? 1 + nth / 4 : 1;
}

static void play_faults(Case *c, const Disk *ground, const View *old, const View *new)
{
    static const struct {
        const char *name;
        CstFaultKind kind;
        CstFaultMode mode;
    } faults[] = {
        {"failing read", CST_FAULT_READ, CST_FAULT_ONCE},
        {"failing look", CST_FAULT_QUERY, CST_FAULT_ONCE},
        {"failing discard", CST_FAULT_DISCARD, CST_FAULT_ONCE},
        {"failing write", CST_FAULT_WRITE, CST_FAULT_ONCE},
        {"last write", CST_FAULT_WRITE, CST_FAULT_CUT},
        {"torn write", CST_FAULT_TORN, CST_FAULT_ONCE},
        {"torn last write", CST_FAULT_TORN, CST_FAULT_CUT},
        {"failing flush", CST_FAULT_FLUSH, CST_FAULT_ONCE},
        {"last flush", CST_FAULT_FLUSH, CST_FAULT_CUT},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
        c->kind = faults[i].name;
        for (guint part = 0; part < ground->parts->len; part++) {
            Round round = {part, faults[i].kind, faults[i].mode,
                           c->operation->frees ? count_drops(c, ground, part) : 0, 0};

            for (c->nth = 1; play_fault(c, ground, &round, old, new);)
                c->nth += step(&round, c->nth);
        }
    }
}

/* --- power cuts ------------------------------------------------------------------------------- */

/* Of each file any of what was not flushed is lost, at one moment for all of them. */
static void cut_power(Disk *disk, CstBlob *const *powers, unsigned clock, uint32_t seed)
{
    for (guint i = 0; i < disk->parts->len; i++) {
        unsigned steps = cst_blob_power_steps_before(powers[i], clock);
        uint32_t fate = seed < 2 ? seed : clock * 16 + seed + i;

        part_at(disk, i)->shown = cst_blob_power_crash(powers[i], steps, fate, NULL);
    }
}

static void drop_shown(Disk *disk)
{
    for (guint i = 0; i < disk->parts->len; i++)
        g_clear_pointer(&part_at(disk, i)->shown, cst_blob_unref);
}

static void play_power_cuts(Case *c, const Disk *ground, const View *old, const View *new)
{
    guint count = ground->parts->len;
    g_autofree CstBlob **powers = g_new0(CstBlob *, count);
    unsigned from, to;
    gboolean struck;
    Disk disk;

    disk_copy(ground, &disk);
    drop_shown(&disk);
    for (guint i = 0; i < count; i++)
        part_at(&disk, i)->shown = powers[i] = cst_blob_power_new(part_at(&disk, i)->inner, NULL);
    from = cst_blob_power_clock();
    assert_true(run_operation(&disk, c->operation, NULL, &struck, NULL));
    to = cst_blob_power_clock();
    assert_int_equal(disk.parts->len, count);
    c->kind = "power cut";
    for (c->nth = 0; c->nth <= to - from; c->nth++)
        for (c->seed = 0; c->seed < 3; c->seed++) {
            cut_power(&disk, powers, from + c->nth, c->seed);
            judge(c, &disk, c->nth == to - from, old, new);
            drop_shown(&disk);
        }
    for (guint i = 0; i < count; i++)
        part_at(&disk, i)->shown = powers[i];
    disk_clear(&disk);
    c->seed = 0;
}

/* FALSE: the format can't do it. */
static gboolean play(const Variant *variant, const Operation *operation)
{
    g_autofree View *old = g_new(View, 1), *new = g_new(View, 1);
    Case c = {variant, operation, "no fault", 0, 0};
    gboolean able;
    Disk ground;

    disk_init(&ground, variant, NULL);
    able = prepare(&ground, operation);
    if (able) {
        look(&c, &ground, old);
        able = play_without_faults(&c, &ground, old, new);
    }
    if (able) {
        play_faults(&c, &ground, old, new);
        if (!moves_its_only_mark(&c))
            play_power_cuts(&c, &ground, old, new);
    }
    disk_clear(&ground);
    return able;
}

static void storage_that_fails_costs_nothing_but_the_operation(void **state)
{
    unsigned played = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(operations); j++)
            played += play(&variants[i], &operations[j]);
    assert_true(played > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storage_that_fails_costs_nothing_but_the_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
