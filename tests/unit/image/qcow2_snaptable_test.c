/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The snapshot table as other programs write it. Unknown extra data is kept, and entries at their
 * limits are read. A repair rewrites entries that break the rules of the format.
 */
#include <blob/fault.h>
#include <blob/sparse.h>
#include <image/snapshot.h>

#include "listed.h"
#include "qcow2/header/header.h"
#include "qcow2_images.h"

enum { CLUSTER = 65536, SIZE = 1024 * 1024, FIXED = 40, ROOM = 2 * CLUSTER };

/** A table of one entry, which an image gets. */
typedef struct {
    CstBlob *blob;
    uint64_t at;       /* of the table */
    uint32_t extra;    /* bytes of extra data */
    uint16_t id, name; /* their lengths */
} Table;

/*
 * Appends an empty L1 table and the snapshot table to the file, which ends with the entry. The
 * extra data are the numbers 77 and @size, followed by bytes of 0xee. The id consists of the digit
 * 7, the name of the letter "n".
 */
static void table_init(Table *table, uint32_t extra, uint16_t id, uint16_t name, uint64_t size)
{
    const CstImageCreate options = {.capacity = SIZE};
    g_autofree uint8_t *raw = g_malloc0(ROOM);
    uint8_t *more = raw + FIXED;
    uint64_t end = 0;

    *table = (Table){.blob = cst_blob_sparse_new(0), .extra = extra, .id = id, .name = name};
    assert_true(cst_image_create(table->blob, qcow2(), &options, NULL, NULL));
    assert_true(cst_blob_get_size(table->blob, &end, NULL));
    end = (end + CLUSTER - 1) / CLUSTER * CLUSTER;
    table->at = end + CLUSTER;
    cst_put_be64(raw, end);
    cst_put_be32(raw + 8, 1);
    cst_put_be16(raw + 12, id);
    cst_put_be16(raw + 14, name);
    cst_put_be32(raw + 16, 1000000000);
    cst_put_be32(raw + 20, 123);
    cst_put_be64(raw + 24, 456);
    cst_put_be32(raw + 32, 88); /* which the extra data override */
    cst_put_be32(raw + 36, extra);
    memset(more, 0xee, extra);
    if (extra >= 8)
        cst_put_be64(more, 77);
    if (extra >= 16)
        cst_put_be64(more + 8, size);
    memset(more + extra, '7', id);
    memset(more + extra + id, 'n', name);
    assert_true(cst_blob_pwrite(table->blob, raw, FIXED + extra + id + name, table->at, NULL));
    put32(table->blob, QCOW2_AT_SNAPSHOTS, 1);
    put64(table->blob, QCOW2_AT_SNAPSHOTS + 4, table->at);
}

static void table_clear(Table *table)
{
    cst_blob_unref(table->blob);
}

static void table_read(const Table *table, unsigned at, uint8_t *buf, size_t len)
{
    uint64_t place = get64(table->blob, QCOW2_AT_SNAPSHOTS + 4);

    assert_true(cst_blob_pread(table->blob, buf, len, place + at, NULL));
}

/*
 * --- entries that are listed and kept ------------------------------------------------------------
 */

static GPtrArray *list(CstBlob *blob, GError **error)
{
    g_autoptr(CstImage) image = open_image(blob, 0);

    return cst_image_snapshot_list(image, error);
}

static void assert_listed(const Table *table, uint64_t state, uint64_t capacity)
{
    g_autoptr(GPtrArray) snapshots = list(table->blob, NULL);
    const CstImageSnapshot *snapshot;

    assert_non_null(snapshots);
    snapshot = g_ptr_array_index(snapshots, 0);
    assert_int_equal(strspn(snapshot->id, "7"), table->id);
    assert_int_equal(strlen(snapshot->id), table->id);
    assert_int_equal(strspn(snapshot->name, "n"), table->name);
    assert_int_equal(strlen(snapshot->name), table->name);
    assert_int_equal(snapshot->seconds, 1000000000);
    assert_int_equal(snapshot->nanoseconds, 123);
    assert_int_equal(snapshot->clock, 456);
    assert_int_equal(snapshot->state_size, state);
    assert_int_equal(snapshot->capacity, capacity);
}

static void every_length_of_extra_data_is_read_and_kept(void **state)
{
    static const uint32_t extras[] = {16, 17, 24, 1023, 1024};

    for (size_t i = 0; i < G_N_ELEMENTS(extras); i++) {
        uint8_t before[1024] = {0}, after[1024] = {0}, word[4];
        g_autoptr(GPtrArray) snapshots = NULL;
        g_autoptr(CstImage) image = NULL;
        Table table;

        table_init(&table, extras[i], 2, 3, SIZE / 2);
        assert_listed(&table, 77, SIZE / 2);
        table_read(&table, FIXED, before, extras[i]);
        check_listed(table.blob, qcow2(), CST_CHECK_REPAIR_ALL); /* counts the new clusters */
        image = open_image(table.blob, CST_IMAGE_WRITE);
        assert_true(cst_image_snapshot_create(image, "new", NULL, NULL));
        g_clear_pointer(&image, cst_image_free);
        assert_listed(&table, 77, SIZE / 2);
        table_read(&table, 36, word, sizeof(word));
        assert_int_equal(cst_be32(word), extras[i]);
        table_read(&table, FIXED, after, extras[i]);
        assert_memory_equal(after, before, extras[i]);
        snapshots = list(table.blob, NULL);
        assert_int_equal(snapshots->len, 2);
        assert_string_equal(((CstImageSnapshot *)snapshots->pdata[1])->id, "78");
        assert_sound(table.blob, FALSE);
        table_clear(&table);
    }
}

/* The format of old has neither, and its snapshots have the image's size. */
static void entries_of_version_2_need_no_extra_data(void **state)
{
    static const uint32_t extras[] = {0, 7, 8, 15};

    for (size_t i = 0; i < G_N_ELEMENTS(extras); i++) {
        Table table;

        table_init(&table, extras[i], 1, 1, 0);
        put32(table.blob, 4, 2);
        assert_listed(&table, extras[i] >= 8 ? 77 : 88, SIZE);
        table_clear(&table);
    }
}

static void a_snapshot_is_found_by_its_name_before_its_id(void **state)
{
    g_autoptr(CstImage) image = NULL;
    g_autoptr(GPtrArray) snapshots = NULL;
    Table table;

    table_init(&table, 16, 2, 3, SIZE);
    check_listed(table.blob, qcow2(), CST_CHECK_REPAIR_ALL);
    image = open_image(table.blob, CST_IMAGE_WRITE);
    assert_true(cst_image_snapshot_create(image, "77", NULL, NULL));
    assert_true(cst_image_snapshot_delete(image, "77", NULL, NULL));
    snapshots = cst_image_snapshot_list(image, NULL);
    assert_int_equal(snapshots->len, 1);
    assert_string_equal(((CstImageSnapshot *)snapshots->pdata[0])->name, "nnn");
    assert_true(cst_image_snapshot_delete(image, "77", NULL, NULL));
    g_clear_pointer(&image, cst_image_free);
    assert_sound(table.blob, FALSE);
    table_clear(&table);
}

/*
 * --- entries that break the rules ----------------------------------------------------------------
 */

static void assert_repaired(uint32_t extra, uint32_t wanted, uint64_t state, uint64_t capacity)
{
    uint8_t word[4];
    Table table;

    table_init(&table, extra, 2, 300, SIZE / 2);
    check_listed(table.blob, qcow2(), CST_CHECK_REPAIR_ALL);
    assert_listed(&table, state, capacity);
    table_read(&table, 36, word, sizeof(word));
    assert_int_equal(cst_be32(word), wanted);
    assert_sound(table.blob, FALSE);
    table_clear(&table);
}

static void entries_that_break_the_rules_are_written_anew(void **state)
{
    Table table;

    table_init(&table, 1025, 1, 1, SIZE);
    assert_null(list(table.blob, NULL));
    table_clear(&table);
    assert_repaired(1025, 1024, 77, SIZE / 2);
    assert_repaired(4096, 1024, 77, SIZE / 2);
    assert_repaired(15, 16, 77, SIZE);
    assert_repaired(8, 16, 77, SIZE);
    assert_repaired(0, 16, 88, SIZE);
}

/* An unreadable entry is not removed from the table. */
static void a_table_that_cannot_be_read_is_not_repaired(void **state)
{
    gboolean struck = TRUE;

    for (unsigned nth = 1; struck; nth++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(CstBlob) fault = NULL;
        CstImageCheck found;
        gboolean done;
        Table table;

        table_init(&table, 1025, 2, 300, SIZE / 2);
        fault = cst_blob_fault_new(table.blob);
        cst_blob_fault_arm(fault, CST_FAULT_READ, nth, CST_FAULT_ONCE);
        done = cst_image_check(fault, qcow2(), CST_CHECK_REPAIR_ALL, &found, NULL, &error);
        struck = cst_blob_fault_struck(fault);
        assert_int_equal(done, !struck);
        assert_true(done || g_error_matches(error, CST_ERROR, CST_ERROR_IO));
        check_listed(table.blob, qcow2(), CST_CHECK_REPAIR_ALL);
        assert_listed(&table, 77, SIZE / 2);
        table_clear(&table);
    }
}

static void a_table_ends_with_the_file_at_the_latest(void **state)
{
    static const uint64_t cuts[] = {0, 1, 9 + 2 + 1, 0}; /* a byte of the name; of the extra data */
    static const uint16_t names[] = {9, 9, 9, 65535};    /* more than is read at a time */

    for (size_t i = 0; i < G_N_ELEMENTS(cuts); i++) {
        g_autoptr(GPtrArray) snapshots = NULL;
        g_autoptr(GError) error = NULL;
        CstImageCheck found;
        uint64_t end = 0;
        Table table;

        table_init(&table, 100, 2, names[i], SIZE);
        assert_true(cst_blob_get_size(table.blob, &end, NULL));
        assert_true(cst_blob_resize(table.blob, end - cuts[i], NULL));
        snapshots = list(table.blob, &error);
        assert_int_equal(snapshots != NULL, cuts[i] == 0);
        assert_true(cuts[i] == 0 || g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
        found = check_listed(table.blob, qcow2(), 0);
        assert_true(found.errors > 0); /* the clusters have no refcount yet */
        found = check_listed(table.blob, qcow2(), CST_CHECK_REPAIR_ALL);
        assert_int_equal(found.errors == found.errors_fixed, cuts[i] == 0);
        table_clear(&table);
    }
}

/* Appends copies of the first entry, so that the table has @count entries. */
static void table_repeat(const Table *table, guint count)
{
    size_t len = (FIXED + table->extra + table->id + table->name + 7u) / 8 * 8;
    g_autofree uint8_t *raw = g_malloc0(len);

    assert_true(cst_blob_pread(table->blob, raw, FIXED + table->extra + table->id + table->name,
                               table->at, NULL));
    for (guint i = 0; i < count; i++)
        assert_true(cst_blob_pwrite(table->blob, raw, len, table->at + i * len, NULL));
    put32(table->blob, QCOW2_AT_SNAPSHOTS, count);
}

static void list_over_the_count_or_the_bytes_is_refused(void **state)
{
    static const struct {
        guint count;
        uint16_t name;
        gboolean listed;
    } cases[] = {{4096, 1, TRUE}, {4097, 1, FALSE}, {31, 65000, TRUE}, {33, 65000, FALSE}};

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GPtrArray) snapshots = NULL;
        g_autoptr(GError) error = NULL;
        Table table;

        table_init(&table, 16, 1, cases[i].name, SIZE);
        table_repeat(&table, cases[i].count);
        snapshots = list(table.blob, &error);
        assert_int_equal(snapshots != NULL, cases[i].listed);
        if (snapshots)
            assert_int_equal(snapshots->len, cases[i].count);
        else
            assert_int_equal(cst_error_code(error), CST_ERROR_LIMIT);
        table_clear(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_of_extra_data_is_read_and_kept),
        cmocka_unit_test(entries_of_version_2_need_no_extra_data),
        cmocka_unit_test(a_snapshot_is_found_by_its_name_before_its_id),
        cmocka_unit_test(entries_that_break_the_rules_are_written_anew),
        cmocka_unit_test(a_table_that_cannot_be_read_is_not_repaired),
        cmocka_unit_test(a_table_ends_with_the_file_at_the_latest),
        cmocka_unit_test(list_over_the_count_or_the_bytes_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
