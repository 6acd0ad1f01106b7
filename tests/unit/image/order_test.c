/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The order in which writes reach the disk. Of all writes between two flushes each is once the
 * only one on the disk, and once the only one missing. One of these states is damaged if a table
 * is written before its referent. The same holds if space is used again before the disk has
 * dropped its old use. A new format needs a new row.
 */
#include <base/units.h>
#include <image/snapshot.h>

enum { SIZE = 1160 * 1024, STALE_BYTES = 700 * 1024 + 700 };

#include "bytes.h"
#include "power_run.h"
#include "stale_bytes.h"
#include "vmdk/header.h"

/** The initial state of the image. */
typedef enum {
    EMPTY,
    PLAIN,
    LEFTOVERS, /* the file continues after the image, with bytes that are not zero */
    SNAPSHOT,  /* so that each cluster is copied when it is written to */
    REVERTED   /* so that tables are, too */
} Ground;

typedef struct {
    Variant variant;
    Ground last; /* the states up to this one are run */
} Scene;

static const Scene scenes[] = {
    {{"qcow2", {.capacity = SIZE}}, REVERTED},
    {{"qcow2", {.capacity = SIZE, .cluster_size = 512}}, REVERTED},
    {{"qcow2", {.capacity = SIZE, .cluster_size = 16384, .extended_l2 = TRUE}}, REVERTED},
    {{"qcow2", {.capacity = SIZE, .backing = "base", .backing_format = "raw"}}, REVERTED},
    {{"vmdk", {.capacity = SIZE}}, LEFTOVERS},
    {{"vmdk", {.capacity = SIZE, .backing = "base", .backing_format = "vmdk"}}, LEFTOVERS},
    {{"vdi", {.capacity = SIZE}}, LEFTOVERS},
    {{"vpc", {.capacity = SIZE}}, LEFTOVERS},
    {{"vpc", {.capacity = SIZE, .backing = "base", .backing_format = "vpc"}}, LEFTOVERS},
    {{"vhdx", {.capacity = SIZE, .block_size = CST_MIB}}, LEFTOVERS},
    {{"vhdx",
      {.capacity = SIZE, .block_size = CST_MIB, .backing = "base", .backing_format = "vhdx"}},
     LEFTOVERS},
    {{"qcow", {.capacity = SIZE}}, LEFTOVERS},
    {{"qcow", {.capacity = SIZE, .backing = "base", .backing_format = "raw"}}, LEFTOVERS},
    {{"qed", {.capacity = SIZE, .cluster_size = 4096, .table_size = 1}}, LEFTOVERS},
    {{"qed", {.capacity = SIZE, .backing = "base", .backing_format = "raw"}}, LEFTOVERS},
    {{"parallels", {.capacity = SIZE, .cluster_size = 32256}}, LEFTOVERS},
};

/* Where the two grain directories of a VMDK are. */
static uint64_t directory_at(CstBlob *blob, gboolean redundant)
{
    uint8_t raw[8];

    assert_true(cst_blob_pread(blob, raw, sizeof(raw), redundant ? 48 : 56, NULL));
    return cst_le64(raw) * VMDK_SECTOR;
}

/* Removes the grain tables of a VMDK that supports zero grains. The future place of the tables
 * gets content that must not be read as tables. */
static void drop_grain_tables(CstBlob *blob)
{
    const uint8_t flags = VMDK_FLAG_NEWLINES | VMDK_FLAG_REDUNDANT | VMDK_FLAG_ZERO_GRAINS;

    assert_true(cst_blob_zero(blob, directory_at(blob, TRUE), VMDK_SECTOR, 0, NULL));
    assert_true(cst_blob_zero(blob, directory_at(blob, FALSE), VMDK_SECTOR, 0, NULL));
    assert_true(cst_blob_pwrite(blob, &flags, 1, 8, NULL));
}

static CstBlob *open_guest(const Run *run)
{
    return cst_image_guest_blob(open_image(run, run->power, CST_IMAGE_WRITE));
}

static void fill_in(Run *run)
{
    g_autoptr(CstBlob) guest = open_guest(run);

    put(run, guest, 0, 70000, 1);
    put(run, guest, 200000, 66000, 2);
    put(run, guest, SIZE - 40000, 40000, 3);
    flush(run, guest);
}

static void take_snapshot(Run *run, gboolean revert)
{
    g_autoptr(CstImage) image = open_image(run, run->power, CST_IMAGE_WRITE);

    assert_true(cst_image_snapshot_create(image, "then", NULL, NULL));
    assert_true(!revert || cst_image_snapshot_revert(image, "then", NULL, NULL));
}

static void prepare(Run *run, const Variant *variant, Ground ground)
{
    gboolean has_tables = ground != EMPTY || !g_str_equal(variant->format, "vmdk");

    run_init(run, variant);
    if (ground != EMPTY)
        fill_in(run);
    else if (!has_tables)
        drop_grain_tables(run->power);
    if (ground == LEFTOVERS || !has_tables)
        leave_stale_end(run->power, run->format, STALE_BYTES);
    else if (ground > LEFTOVERS)
        take_snapshot(run, ground == REVERTED);
    assert_true(cst_blob_flush(run->power, NULL));
}

/* Writes to existing and new blocks and frees space. It runs twice, because the second run uses
 * the state that the first has cached. */
static void work(Run *run)
{
    CstBlob *guest = open_guest(run);

    put(run, guest, 196608, 65536, 0);
    flush(run, guest);
    cst_blob_unref(guest);
    guest = open_guest(run); /* whose first change is data */
    put(run, guest, 30000, 3000, 10);
    put(run, guest, 150000, 5000, 11);
    put(run, guest, 1050 * CST_KIB, 9000, 12);
    put(run, guest, SIZE - 30000, 5000, 13);
    flush(run, guest);
    put(run, guest, 140000, 70000, 14);
    put(run, guest, 0, 65536, 0);
    put(run, guest, 600000, 30000, 15);
    put(run, guest, 1050 * CST_KIB, 512, 16);
    flush(run, guest);
    put(run, guest, 100000, 9000, 17);
    put(run, guest, 800000, 30000, 18);
    cst_blob_unref(guest); /* closing needs no flush, but must be in order as well */
}

/* Opening an image of these formats without the mark searches for no damage. */
static gboolean is_marked(const Run *run, CstBlob *left)
{
    const char *format = cst_image_format_name(run->format);
    g_auto(CstImageInfo) info = {0};

    assert_true(cst_image_inspect(left, run->format, &info, NULL));
    return info.dirty || !(g_str_equal(format, "qed") || g_str_equal(format, "parallels"));
}

/*
 * One directory has the table and the other does not. No order of writes prevents that.
 */
static gboolean directories_differ(CstBlob *left)
{
    uint32_t entries[2] = {0, 0};

    for (int i = 0; i < 2; i++)
        assert_true(cst_blob_pread(left, &entries[i], 4, directory_at(left, i), NULL));
    return (entries[0] == 0) != (entries[1] == 0);
}

static void judge(const Run *run, Ground ground, CstBlob *left, unsigned steps)
{
    CstImageCheck found;

    if (g_str_equal(cst_image_format_name(run->format), "vmdk") && directories_differ(left))
        assert_true(cst_image_check(left, run->format, CST_CHECK_REPAIR_ALL, &found, NULL, NULL));
    found = check(run, left, 0, steps);
    if (ground != LEFTOVERS && !is_marked(run, left))
        assert_int_equal(found.leaks, 0);
    assert_flushed_is_there(run, left, steps, SIZE);
}

/* The writes from the last flush to after the first @steps calls, one by one. */
static void lose_and_keep_each(const Run *run, Ground ground, unsigned steps)
{
    for (unsigned step = cst_blob_power_covered(run->power, steps); step < steps; step++) {
        for (int how = 0; how < 3; how++) {
            gboolean alone = how > 0, longer = how > 1;
            g_autoptr(CstBlob) left =
                cst_blob_power_crash_one(run->power, steps, step, alone, longer, NULL);

            judge(run, ground, left, steps);
        }
    }
}

static gboolean is_flush(const Run *run, unsigned step)
{
    return cst_blob_power_covered(run->power, step + 1) == step + 1;
}

static void play(const Variant *variant, Ground ground)
{
    unsigned first, last;
    Run run;

    prepare(&run, variant, ground);
    first = cst_blob_power_steps(run.power);
    work(&run);
    last = cst_blob_power_steps(run.power);
    for (unsigned steps = first; steps <= last; steps++)
        if (steps == last || is_flush(&run, steps))
            lose_and_keep_each(&run, ground, steps);
    run_clear(&run);
}

static void write_depends_on_no_later_write(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(scenes); i++)
        for (Ground ground = EMPTY; ground <= scenes[i].last; ground++)
            play(&scenes[i].variant, ground);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(write_depends_on_no_later_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
