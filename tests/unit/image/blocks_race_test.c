/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Several threads write to one block that has no place yet. A writer is stopped after it has
 * written its data and before the tables refer to them. It does not hold the lock at that point.
 * The other writers of the block wait, and check the block's place again when they continue.
 */
#include "../points.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <base/units.h>
#include <blob/fault.h>

#include "fault_disk.h"

/* Begins a block in each format with blocks of at most this size; all bytes are in one block. */
enum { DISK = 8 * 1024 * 1024, AT = DISK / 2, LENGTH = 500, APART = 1000, MAX_WRITERS = 3 };

static const Variant variants[] = {
    {"qcow2", {.capacity = DISK, .cluster_size = 4096}},
    {"qcow2", {.capacity = DISK, .cluster_size = 65536}},
    {"qcow2", {.capacity = DISK, .cluster_size = 4096, .backing = "base", .backing_format = "raw"}},
    {"vdi", {.capacity = DISK}},
    {"vmdk", {.capacity = DISK}},
    {"vpc", {.capacity = DISK}},
    {"vhdx", {.capacity = DISK, .block_size = CST_MIB}},
    {"qcow", {.capacity = DISK}},
    {"qed", {.capacity = DISK, .cluster_size = 8192, .table_size = 1}},
    {"qed", {.capacity = DISK, .table_size = 1, .backing = "base", .backing_format = "raw"}},
    {"parallels", {.capacity = DISK, .cluster_size = 65536}},
};

/* --- writers ---------------------------------------------------------------------------------- */

/* A thread that makes one write. */
typedef struct {
    CstBlob *guest;
    uint8_t byte;
    uint64_t offset;
    size_t length;
    gboolean zero;
    GThread *thread;
    /* Guarded by the lock: */
    gboolean held; /* it has to stop when it has written */
    gboolean written, ended;
    gboolean failed;
} Writer;

static GMutex lock;
static GCond changed;
static guint waits; /* how often a writer was about to wait */
static GPrivate own_writer;

/* Acts after the data was written. */
static void stop_writer(gpointer unused)
{
    Writer *writer = g_private_get(&own_writer);

    if (!writer)
        return;
    g_mutex_lock(&lock);
    writer->written = TRUE;
    g_cond_broadcast(&changed);
    while (writer->held)
        g_cond_wait(&changed, &lock);
    g_mutex_unlock(&lock);
}

/* Acts before a wait. */
static void count_wait(gpointer unused)
{
    g_mutex_lock(&lock);
    waits++;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

static gpointer run_writer(gpointer data)
{
    Writer *writer = data;
    g_autofree uint8_t *bytes = g_malloc(writer->length);
    gboolean done;

    g_private_set(&own_writer, writer);
    memset(bytes, writer->byte, writer->length);
    done = writer->zero
               ? cst_blob_zero(writer->guest, writer->offset, writer->length, 0, NULL)
               : cst_blob_pwrite(writer->guest, bytes, writer->length, writer->offset, NULL);
    g_mutex_lock(&lock);
    writer->failed = !done;
    writer->ended = TRUE;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
    return NULL;
}

static void start_writer(Writer *writer, gboolean held)
{
    writer->held = held;
    writer->thread = g_thread_new("writer", run_writer, writer);
}

static void release_writer(Writer *writer)
{
    g_mutex_lock(&lock);
    writer->held = FALSE;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&lock);
}

static void end_writer(Writer *writer)
{
    release_writer(writer);
    g_thread_join(writer->thread);
}

/* Returns whether the writer has written its data, and has not ended. */
static gboolean await_written(Writer *writer)
{
    gboolean stopped;

    g_mutex_lock(&lock);
    while (!writer->written && !writer->ended)
        g_cond_wait(&changed, &lock);
    stopped = writer->written && !writer->ended;
    g_mutex_unlock(&lock);
    return stopped;
}

static guint count_written(const Writer *writers, guint count)
{
    guint written = 0;

    for (guint i = 0; i < count; i++)
        written += writers[i].written || writers[i].ended;
    return written;
}

/* Waits until @wanted waits have begun, or @written of the writers have not waited. */
static void await_waits(guint wanted, const Writer *writers, guint count, guint written)
{
    g_mutex_lock(&lock);
    while (waits < wanted && count_written(writers, count) < written)
        g_cond_wait(&changed, &lock);
    g_mutex_unlock(&lock);
}

/* --- images ----------------------------------------------------------------------------------- */

typedef struct {
    Disk disk;
    CstBlob *fault; /* below the image */
    CstBlob *guest;
    Writer writers[MAX_WRITERS];
} Fixture;

static gboolean is_qcow2(const Variant *variant)
{
    return strcmp(variant->format, "qcow2") == 0;
}

/* qcow2 has steps of its own, and claims ranges. */
static void set_points(const Variant *variant)
{
    waits = 0;
    if (is_qcow2(variant)) {
        point_run_always("qcow2.step.written", stop_writer, NULL);
        point_run_always("blocks.range.wait", count_wait, NULL);
    } else {
        point_run_always("blocks.step.written", stop_writer, NULL);
        point_run_always("blocks.step.wait", count_wait, NULL);
    }
}

/* Creates the image. The changes of the headers by the first write are already done. */
static void fixture_init(Fixture *f, const Variant *variant)
{
    g_autoptr(GError) error = NULL;
    CstImage *image;
    Part *part;

    memset(f, 0, sizeof(*f));
    disk_init(&f->disk, variant, NULL);
    disk_create(&f->disk);
    part = part_at(&f->disk, 0);
    cst_blob_unref(part->shown);
    part->shown = f->fault = cst_blob_fault_new(part->inner);
    image = open_image(&f->disk, CST_IMAGE_WRITE, &error);
    if (!image)
        fail_msg("%s: %s", variant->format, error->message);
    f->guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pwrite(f->guest, "first", 5, 0, NULL) && cst_blob_flush(f->guest, NULL));
    for (guint i = 0; i < MAX_WRITERS; i++)
        f->writers[i] = (Writer){.guest = f->guest,
                                 .byte = (uint8_t)(0xa1 + i),
                                 .offset = AT + i * APART,
                                 .length = LENGTH};
}

static void assert_bytes(const Fixture *f, uint64_t offset, size_t length, uint8_t byte,
                         const char *what)
{
    g_autofree uint8_t *seen = g_malloc(length);

    assert_true(cst_blob_pread(f->guest, seen, length, offset, NULL));
    for (size_t i = 0; i < length; i++)
        if (seen[i] != byte)
            fail_msg("%s: %s: byte %u at %u is 0x%02x, not 0x%02x", f->disk.variant->format, what,
                     (unsigned)i, (unsigned)offset, seen[i], byte);
}

static void assert_holds(const Fixture *f, const Writer *writer, const char *what)
{
    assert_bytes(f, writer->offset, writer->length, writer->zero ? 0 : writer->byte, what);
}

/* Flushes, closes and checks the image. */
static void fixture_end(Fixture *f)
{
    const CstImageFiles files = {open_part, create_part, &f->disk};
    CstImageCheck found = {0};

    assert_true(cst_blob_flush(f->guest, NULL));
    cst_blob_unref(f->guest);
    assert_true(cst_image_check_as(part_at(&f->disk, 0)->inner, f->disk.format, 0, &files, &found,
                                   NULL, NULL));
    if (found.errors + found.leaks > 0)
        fail_msg("%s: %u errors, %u leaks", f->disk.variant->format, (unsigned)found.errors,
                 (unsigned)found.leaks);
    disk_clear(&f->disk);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void writers_of_one_block_share_its_place(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        Fixture f;

        fixture_init(&f, &variants[i]);
        set_points(&variants[i]);
        start_writer(&f.writers[0], TRUE);
        if (!await_written(&f.writers[0]))
            fail_msg("%s: the writer has not been stopped", variants[i].format);
        start_writer(&f.writers[1], FALSE);
        await_waits(1, &f.writers[1], 1, 1);
        assert_int_equal(count_written(&f.writers[1], 1), 0);
        end_writer(&f.writers[0]);
        end_writer(&f.writers[1]);
        points_clear();
        assert_false(f.writers[0].failed || f.writers[1].failed);
        assert_holds(&f, &f.writers[0], "the first writer");
        assert_holds(&f, &f.writers[1], "the second writer");
        fixture_end(&f);
    }
}

/* The first writer fails and all waiting writers wake up. One continues, the rest wait again. */
static void writers_wait_again_after_another_one_was_quicker(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        Writer *rest;
        Fixture f;

        fixture_init(&f, &variants[i]);
        rest = &f.writers[1];
        set_points(&variants[i]);
        cst_blob_fault_arm(f.fault, CST_FAULT_WRITE, 1, CST_FAULT_ONCE);
        start_writer(&f.writers[0], TRUE);
        if (!await_written(&f.writers[0]))
            fail_msg("%s: the writer has not been stopped", variants[i].format);
        start_writer(&rest[0], TRUE);
        start_writer(&rest[1], TRUE);
        await_waits(2, rest, 2, 1);
        assert_int_equal(count_written(rest, 2), 0);
        end_writer(&f.writers[0]);
        assert_true(f.writers[0].failed);
        await_waits(3, rest, 2, 2);
        assert_true(count_written(rest, 2) < 2);
        /* Which one was quicker is not known. */
        release_writer(&rest[0]);
        release_writer(&rest[1]);
        end_writer(&rest[0]);
        end_writer(&rest[1]);
        points_clear();
        assert_false(rest[0].failed || rest[1].failed);
        assert_holds(&f, &rest[0], "the second writer");
        assert_holds(&f, &rest[1], "the third writer");
        fixture_end(&f);
    }
}

/* Formats in which a whole block becomes zero by an entry alone. */
static const Variant zeroing[] = {
    {"qed", {.cluster_size = 65536, .table_size = 1, .backing = "base", .backing_format = "raw"}},
    {"vhdx",
     {.block_size = CST_MIB, .capacity = 3 * CST_MIB, .backing = "base", .backing_format = "vhdx"}},
};

/* A zeroing waits for a writer of its block, also when a writer of another block has ended. */
static void zeroing_waits_for_the_writer_of_its_own_block(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(zeroing); i++) {
        uint64_t block = zeroing[i].options.block_size ? zeroing[i].options.block_size : 65536;
        Writer *zeroer;
        Fixture f;

        fixture_init(&f, &zeroing[i]);
        zeroer = &f.writers[2];
        f.writers[0].offset = block + 1000;
        f.writers[1].offset = 2 * block + 1000;
        zeroer->offset = block;
        zeroer->length = block;
        zeroer->zero = TRUE;
        waits = 0;
        point_run_always("blocks.step.written", stop_writer, NULL);
        point_run_always("blocks.block.wait", count_wait, NULL);
        start_writer(&f.writers[0], TRUE);
        start_writer(&f.writers[1], TRUE);
        assert_true(await_written(&f.writers[0]) && await_written(&f.writers[1]));
        start_writer(zeroer, FALSE);
        await_waits(1, zeroer, 1, 1);
        end_writer(&f.writers[1]);
        await_waits(2, zeroer, 1, 1);
        assert_int_equal(count_written(zeroer, 1), 0);
        end_writer(&f.writers[0]);
        end_writer(zeroer);
        points_clear();
        assert_false(f.writers[0].failed || f.writers[1].failed || zeroer->failed);
        assert_holds(&f, zeroer, "the zeroed block");
        assert_holds(&f, &f.writers[1], "the other block");
        fixture_end(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writers_of_one_block_share_its_place),
        cmocka_unit_test(writers_wait_again_after_another_one_was_quicker),
        cmocka_unit_test(zeroing_waits_for_the_writer_of_its_own_block),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
