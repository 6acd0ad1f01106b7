/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables of type gpt and dos in files, and the state after a change that ends after each of its
 * writes. This program replaces write() for libfdisk and pwrite() for the product, and records the
 * file's content before each.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include <glib/gstdio.h>

#include <base/error.h>
#include <base/units.h>

#include "disk/label.h"

#define DISK_BYTES (64 * CST_MIB)

static char *dir, *path;

/* --- recorded writes -------------------------------------------------------------------------- */

typedef struct {
    off_t offset;
    GBytes *bytes;
} Write;

static GArray *recorded; /* of Write; NULL: not recording */

static void write_clear(gpointer write)
{
    g_bytes_unref(((Write *)write)->bytes);
}

static void record(int fd, const void *buf, size_t len, off_t offset)
{
    if (recorded && fd > 2) {
        Write one = {.offset = offset, .bytes = g_bytes_new(buf, len)};

        g_array_append_val(recorded, one);
    }
}

/* libfdisk seeks before it writes. */
ssize_t write(int fd, const void *buf, size_t len)
{
    record(fd, buf, len, lseek(fd, 0, SEEK_CUR));
    return syscall(SYS_write, fd, buf, len);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t offset)
{
    record(fd, buf, len, offset);
    return syscall(SYS_pwrite64, fd, buf, len, offset);
}

/* --- the disk --------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    int fd;

    dir = g_dir_make_tmp("cistern-disk-XXXXXX", NULL);
    path = g_build_filename(dir, "disk", NULL);
    fd = g_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(ftruncate(fd, DISK_BYTES), 0);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    g_unlink(path);
    g_rmdir(dir);
    g_clear_pointer(&path, g_free);
    g_clear_pointer(&dir, g_free);
    return 0;
}

static DiskTable *read_table(void)
{
    int fd = g_open(path, O_RDONLY | O_CLOEXEC, 0);
    DiskTable *table = NULL;
    g_autoptr(GError) error = NULL;

    if (!disk_fdisk.read(fd, path, &table, &error))
        fail_msg("%s", error->message);
    close(fd);
    return table;
}

static void change_table(const DiskChange *change)
{
    g_autoptr(DiskTable) table = read_table();
    g_autoptr(GError) error = NULL;

    if (!disk_fdisk.change(path, table, change, &error))
        fail_msg("%s", error->message);
}

static void create(const char *label)
{
    g_autoptr(GError) error = NULL;

    if (!disk_fdisk.put_label(path, label, &error))
        fail_msg("%s", error->message);
}

/* @from and @to in MiB. */
static DiskChange addition(guint number, DiskKind kind, guint from, guint to, const char *mark)
{
    return (DiskChange){.action = DISK_ADD,
                        .partition = {.number = number,
                                      .kind = kind,
                                      .start = from * CST_MIB,
                                      .end = to * CST_MIB,
                                      .mark = mark}};
}

static void put(guint number, DiskKind kind, guint from, guint to, const char *mark)
{
    DiskChange change = addition(number, kind, from, to, mark);

    change_table(&change);
}

static void drop(guint number)
{
    DiskChange change = {.action = DISK_REMOVE, .partition.number = number};

    change_table(&change);
}

/* Returns "gpt: 1=1-5 linux-swap, 2=…", partitions in MiB, or "none" without a table. */
static char *describe(const DiskTable *table)
{
    g_autoptr(GString) text = g_string_new(table ? table->label : "none");

    for (guint i = 0; table && i < table->partitions->len; i++) {
        const DiskPartition *partition = &g_array_index(table->partitions, DiskPartition, i);

        g_string_append_printf(
            text, " %u%s=%g-%g %s", partition->number, partition->kind == DISK_LOGICAL ? "l" : "",
            (double)partition->start / CST_MIB, (double)partition->end / CST_MIB, partition->mark);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *described_now(void)
{
    g_autoptr(DiskTable) table = read_table();

    return describe(table);
}

static void assert_table(const char *expected)
{
    g_autofree char *text = described_now();

    assert_string_equal(text, expected);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void an_empty_disk_has_no_table(void **state)
{
    assert_table("none");
}

static void gpt_table_contains_the_written_partitions(void **state)
{
    g_autoptr(DiskTable) table = NULL;

    create("gpt");
    assert_table("gpt");
    put(1, DISK_PRIMARY, 1, 5, "none");
    put(3, DISK_PRIMARY, 8, 9, "linux-swap");
    put(2, DISK_PRIMARY, 20, 30, "linux-lvm");
    assert_table("gpt 1=1-5 none 2=20-30 linux-lvm 3=8-9 linux-swap");
    drop(1);
    assert_table("gpt 2=20-30 linux-lvm 3=8-9 linux-swap");
    table = read_table();
    assert_int_equal(table->size, DISK_BYTES);
    assert_int_equal(table->sector, 512);
    assert_int_equal(table->grain, CST_MIB);
    assert_int_equal(table->slots, 128);
    assert_int_equal(table->lead, 0);
    assert_int_equal(strlen(table->id), 36);
    assert_int_equal(table->start, CST_MIB);
    /* The backup table uses 33 sectors at the end. */
    assert_int_equal(table->end, DISK_BYTES - 33 * 512);
}

static void dos_has_primary_extended_and_logical_ones(void **state)
{
    g_autoptr(DiskTable) table = NULL;

    create("dos");
    put(1, DISK_PRIMARY, 1, 5, "fat32");
    put(2, DISK_EXTENDED, 10, 40, "extended");
    put(5, DISK_LOGICAL, 11, 15, "none");
    put(6, DISK_LOGICAL, 20, 25, "linux-raid");
    put(7, DISK_LOGICAL, 30, 31, "linux-swap");
    assert_table("dos 1=1-5 fat32 2=10-40 extended 5l=11-15 none 6l=20-25 linux-raid "
                 "7l=30-31 linux-swap");
    table = read_table();
    assert_int_equal(table->slots, 4);
    assert_int_equal(table->lead, CST_MIB);
    assert_int_equal(table->links->len, 3);
    assert_int_equal(g_array_index(table->links, CstDeviceExtent, 1).start, 19 * CST_MIB);
    drop(5);
    assert_table("dos 1=1-5 fat32 2=10-40 extended 5l=20-25 linux-raid 6l=30-31 linux-swap");
}

static void each_mark_is_found_again(void **state)
{
    static const char *const marks[] = {"none",       "fat16",     "fat32",
                                        "linux-swap", "linux-lvm", "linux-raid"};

    create("dos");
    for (guint i = 0; i < G_N_ELEMENTS(marks); i++) {
        g_autofree char *expected = g_strdup_printf("dos 1=1-5 %s", marks[i]);

        put(1, DISK_PRIMARY, 1, 5, marks[i]);
        assert_table(expected);
        drop(1);
    }
    put(1, DISK_PRIMARY, 1, 5, "linux");
    assert_table("dos 1=1-5 none");
}

static void partitions_grow_and_shrink(void **state)
{
    static const char *const labels[] = {"gpt", "dos"};

    for (guint i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autofree char *large = g_strdup_printf("%s 1=1-9 none 2=10-12 none", labels[i]);
        g_autofree char *small = g_strdup_printf("%s 1=1-2 none 2=10-12 none", labels[i]);
        DiskChange change = {.action = DISK_RESIZE,
                             .partition = {.number = 1, .start = CST_MIB, .end = 9 * CST_MIB}};
        g_autoptr(DiskTable) table = NULL;

        create(labels[i]);
        put(1, DISK_PRIMARY, 1, 5, "none");
        put(2, DISK_PRIMARY, 10, 12, "none");
        change_table(&change);
        assert_table(large);
        change.partition.end = 2 * CST_MIB;
        change_table(&change);
        assert_table(small);
        change.partition.end = 11 * CST_MIB;
        table = read_table();
        assert_false(disk_fdisk.change(path, table, &change, NULL));
        assert_table(small);
    }
}

/* If libfdisk chose another number than requested, the volume would have another name. */
static void a_number_that_is_not_next_is_refused(void **state)
{
    DiskChange change = addition(6, DISK_LOGICAL, 11, 15, "none");
    g_autoptr(DiskTable) table = NULL;
    g_autoptr(GError) error = NULL;

    create("dos");
    put(1, DISK_EXTENDED, 10, 40, "extended");
    table = read_table();
    assert_false(disk_fdisk.change(path, table, &change, &error));
    assert_table("dos 1=10-40 extended");
}

static void garbage_is_no_table(void **state)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(11);
    int fd = g_open(path, O_RDWR | O_CLOEXEC, 0);
    guint8 sectors[34 * 512];

    create("gpt");
    put(1, DISK_PRIMARY, 1, 5, "none");
    assert_int_equal(pread(fd, sectors, sizeof(sectors), 0), sizeof(sectors));
    for (guint round = 0; round < 300; round++) {
        guint8 damaged[sizeof(sectors)];
        DiskTable *table = NULL;
        g_autoptr(GError) error = NULL;

        memcpy(damaged, sectors, sizeof(sectors));
        for (guint i = 0; i < 40; i++)
            damaged[g_rand_int_range(rand, 0, sizeof(damaged))] = (guint8)g_rand_int(rand);
        assert_int_equal(pwrite(fd, damaged, sizeof(damaged), 0), sizeof(damaged));
        if (disk_fdisk.read(fd, path, &table, &error))
            disk_table_free(table);
        else
            assert_non_null(error);
    }
    close(fd);
}

static void dos_entries_off_the_disk_are_refused(void **state)
{
    const guint8 sectors[4] = {0, 0, 0, 0x7f};
    int fd = g_open(path, O_RDWR | O_CLOEXEC, 0);
    DiskTable *table = NULL;
    g_autoptr(GError) error = NULL;

    create("dos");
    put(1, DISK_PRIMARY, 1, 5, "none");
    assert_int_equal(pwrite(fd, sectors, sizeof(sectors), 446 + 12), sizeof(sectors));
    assert_false(disk_fdisk.read(fd, path, &table, &error));
    assert_int_equal(error->code, CST_ERROR_CORRUPT);
    close(fd);
}

/* --- interrupted changes ---------------------------------------------------------------------- */

/* Returns the disk's content, without zeroes. */
static GBytes *content(void)
{
    char *bytes = NULL;
    gsize len = 0;

    assert_true(g_file_get_contents(path, &bytes, &len, NULL));
    return g_bytes_new_take(bytes, len);
}

/*
 * Restores @before and the first @count of @writes. With @half, only half of the last one is
 * written.
 */
static void replay(GBytes *before, const GArray *writes, guint count, gboolean half)
{
    int fd = g_open(path, O_RDWR | O_TRUNC | O_CLOEXEC, 0);
    gsize len;
    const void *bytes = g_bytes_get_data(before, &len);

    assert_int_equal(pwrite(fd, bytes, len, 0), (gssize)len);
    for (guint i = 0; i < count; i++) {
        const Write *one = &g_array_index(writes, Write, i);

        bytes = g_bytes_get_data(one->bytes, &len);
        if (half && i + 1 == count)
            len = len > 512 ? len / 1024 * 512 : len;
        assert_int_equal(pwrite(fd, bytes, len, one->offset), (gssize)len);
    }
    close(fd);
}

/* Returns the number of writes of a repair; the table must be readable before and after. */
static guint repair(void)
{
    g_autoptr(GError) error = NULL;
    guint writes;

    recorded = g_array_new(FALSE, TRUE, sizeof(Write));
    g_array_set_clear_func(recorded, write_clear);
    if (!disk_fdisk.repair(path, &error))
        fail_msg("%s", error->message);
    writes = recorded->len;
    g_clear_pointer(&recorded, g_array_unref);
    return writes;
}

/*
 * Runs @change up to each of its writes. The table is then the old or the new one. It has the same
 * content after a repair, and needs no second repair.
 */
static void ends_anywhere(const DiskChange *change)
{
    g_autoptr(GBytes) before = content();
    g_autofree char *old = described_now(), *new = NULL;
    g_autoptr(GArray) writes = NULL;

    recorded = g_array_new(FALSE, TRUE, sizeof(Write));
    g_array_set_clear_func(recorded, write_clear);
    change_table(change);
    writes = g_steal_pointer(&recorded);
    new = described_now();
    assert_true(writes->len > 0);
    assert_string_not_equal(old, new);
    for (guint count = 0; count <= 2 * writes->len; count++) {
        g_autofree char *now = NULL, *repaired = NULL;

        replay(before, writes, (count + 1) / 2, count % 2 == 1);
        now = described_now();
        if (strcmp(now, old) != 0 && strcmp(now, new) != 0)
            fail_msg("after write %u of %u: %s", count, 2 * writes->len, now);
        repair();
        repaired = described_now();
        assert_string_equal(now, repaired);
        assert_int_equal(repair(), 0);
    }
    assert_table(new);
}

static void a_gpt_survives_an_end_between_any_two_writes(void **state)
{
    DiskChange add = addition(2, DISK_PRIMARY, 10, 20, "none");
    DiskChange grow = {.action = DISK_RESIZE,
                       .partition = {.number = 2, .start = 10 * CST_MIB, .end = 25 * CST_MIB}};
    DiskChange remove = {.action = DISK_REMOVE, .partition.number = 2};

    create("gpt");
    put(1, DISK_PRIMARY, 1, 5, "none");
    ends_anywhere(&add);
    ends_anywhere(&grow);
    ends_anywhere(&remove);
}

static void dos_survives_an_end_between_any_two_writes(void **state)
{
    DiskChange first = addition(5, DISK_LOGICAL, 11, 15, "none");
    DiskChange second = addition(6, DISK_LOGICAL, 20, 25, "none");
    DiskChange third = addition(7, DISK_LOGICAL, 30, 35, "none");
    DiskChange primary = addition(2, DISK_PRIMARY, 1, 5, "none");
    DiskChange grow = {.action = DISK_RESIZE,
                       .partition = {.number = 6, .start = 20 * CST_MIB, .end = 27 * CST_MIB}};
    DiskChange middle = {.action = DISK_REMOVE, .partition.number = 6};
    DiskChange head = {.action = DISK_REMOVE, .partition.number = 5};

    create("dos");
    put(1, DISK_EXTENDED, 10, 40, "extended");
    ends_anywhere(&first);
    ends_anywhere(&second);
    ends_anywhere(&third);
    ends_anywhere(&primary);
    ends_anywhere(&grow);
    ends_anywhere(&middle);
    ends_anywhere(&head);
}

/* A chain to the location of old logical partitions would otherwise continue with them. */
static void a_new_chain_does_not_go_on_with_an_old_one(void **state)
{
    DiskChange first = addition(5, DISK_LOGICAL, 11, 15, "none");
    DiskChange second = addition(6, DISK_LOGICAL, 20, 22, "none");

    create("dos");
    put(1, DISK_EXTENDED, 10, 40, "extended");
    put(5, DISK_LOGICAL, 11, 15, "none");
    put(6, DISK_LOGICAL, 20, 25, "none");
    put(7, DISK_LOGICAL, 30, 35, "none");
    drop(7);
    drop(6);
    drop(5);
    assert_table("dos 1=10-40 extended");
    ends_anywhere(&first);
    ends_anywhere(&second);
    assert_table("dos 1=10-40 extended 5l=11-15 none 6l=20-22 none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(an_empty_disk_has_no_table),
        TEST(gpt_table_contains_the_written_partitions),
        TEST(dos_has_primary_extended_and_logical_ones),
        TEST(each_mark_is_found_again),
        TEST(partitions_grow_and_shrink),
        TEST(a_number_that_is_not_next_is_refused),
        TEST(garbage_is_no_table),
        TEST(dos_entries_off_the_disk_are_refused),
        TEST(a_gpt_survives_an_end_between_any_two_writes),
        TEST(dos_survives_an_end_between_any_two_writes),
        TEST(a_new_chain_does_not_go_on_with_an_old_one),
    };

    return cmocka_run_group_tests_name("disk fdisk", tests, NULL, NULL);
}
