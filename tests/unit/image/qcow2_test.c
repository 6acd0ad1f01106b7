/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Features of only qcow2: check of hostile tables, compressed writes, data files. */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/snapshot.h>

#include "listed.h"
#include "qcow2/header/header.h"
#include "qcow2/refcount/counts.h"
#include "qcow2_images.h"

enum { SIZE = 4 * 1024 * 1024, CLUSTER = 65536 };

static CstBlob *make(const CstImageCreate *options)
{
    CstBlob *blob = cst_blob_sparse_new(0);
    CstImageCreate all = *options;

    all.capacity = all.capacity ? all.capacity : SIZE;
    assert_true(cst_image_create(blob, qcow2(), &all, NULL, NULL));
    return blob;
}

static CstImageCheck check(CstBlob *blob, unsigned flags)
{
    return check_listed(blob, qcow2(), flags);
}

/* --- counts -------------------------------------------------------------------------------- */

static void counts_go_beyond_sixteen_bits(void **state)
{
    g_auto(Qcow2Counts) counts = {0};
    uint64_t place = 0;

    assert_true(qcow2_counts_init(&counts, 100000, "disk", NULL));
    assert_true(qcow2_counts_add(&counts, 7, 65534, NULL));
    assert_int_equal(qcow2_counts_get(&counts, 7), 65534);
    assert_true(qcow2_counts_add(&counts, 7, 1, NULL));
    assert_int_equal(qcow2_counts_get(&counts, 7), 65535);
    assert_true(qcow2_counts_add(&counts, 7, UINT64_C(1) << 40, NULL));
    assert_int_equal(qcow2_counts_get(&counts, 7), (UINT64_C(1) << 40) + 65535);
    qcow2_counts_subtract(&counts, 7, UINT64_C(1) << 40);
    qcow2_counts_subtract(&counts, 7, 65530);
    assert_int_equal(qcow2_counts_get(&counts, 7), 5);
    assert_int_equal(qcow2_counts_next(&counts, 0, 100000), 7);
    assert_int_equal(qcow2_counts_next(&counts, 8, 100000), 100000);
    assert_true(qcow2_counts_take(&counts, 0, 8, &place, NULL));
    assert_int_equal(place, 8);
    assert_true(qcow2_counts_take(&counts, 0, 1, &place, NULL));
    assert_int_equal(place, 0);
    assert_true(qcow2_counts_take(&counts, 99999, 3, &place, NULL));
    assert_int_equal(place, 99999);
    assert_int_equal(qcow2_counts_get(&counts, 100001), 1);
    assert_int_equal(qcow2_counts_get(&counts, UINT64_MAX), 0);
    assert_false(qcow2_counts_init(&(Qcow2Counts){0}, UINT64_MAX / 512, "disk", NULL));
}

/* --- hostile images ------------------------------------------------------------------------ */

/* Places of a fresh image of ours with a little data. */
typedef struct {
    uint64_t l1, l2, reftable, block, data;
} Places;

static CstBlob *make_filled(Places *places)
{
    CstBlob *blob = make(&(CstImageCreate){0});

    write_guest(blob, 0, 4 * CLUSTER, 1);
    places->l1 = get64(blob, QCOW2_AT_L1_OFFSET);
    places->l2 = get64(blob, places->l1) & ~(UINT64_C(1) << 63);
    places->reftable = get64(blob, QCOW2_AT_REFTABLE_OFFSET);
    places->block = get64(blob, places->reftable);
    places->data = get64(blob, places->l2) & ~(UINT64_C(1) << 63);
    assert_int_equal(check(blob, 0).errors, 0);
    return blob;
}

static void an_l2_table_that_is_its_own_data_is_found(void **state)
{
    Places at;
    g_autoptr(CstBlob) blob = make_filled(&at);

    put64(blob, at.l2, at.l2 | UINT64_C(1) << 63);
    assert_true(check(blob, 0).errors > 0);
    check(blob, CST_CHECK_REPAIR_ALL);
    /* two use it and that is counted now, but it stays wrong: the guest can write to the table */
    assert_true(check(blob, 0).errors > 0);
}

static void errors_and_leaks_are_listed(void **state)
{
    Places at;
    g_autoptr(CstBlob) blob = make_filled(&at);
    g_autoptr(CstFindings) findings = cst_findings_new(), left = cst_findings_new();
    g_autofree char *entry = NULL, *leaks = NULL;
    CstImageCheck found = {0};

    /* entry 1 points outside the file, so two adjacent clusters are free */
    put64(blob, at.l2 + 8, UINT64_C(1) << 40);
    put64(blob, at.l2 + 16, 0);
    assert_true(cst_image_check_list(blob, qcow2(), 0, NULL, findings, &found, NULL, NULL));
    assert_int_equal(found.errors, 1);
    assert_int_equal(found.leaks, 2);
    assert_int_equal(cst_findings_length(findings), 2);
    entry = g_strdup_printf("entry 1 of the L2 table at %" G_GUINT64_FORMAT
                            ": its data lie past the end of the file",
                            at.l2);
    leaks = g_strdup_printf("bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                            " of the file: counted as in use more often than they are",
                            at.data + CLUSTER, at.data + 3 * CLUSTER - 1);
    assert_string_equal(cst_findings_get(findings, 0)->text, entry);
    assert_string_equal(cst_findings_get(findings, 1)->text, leaks);
    assert_int_equal(cst_findings_get(findings, 1)->count, 2);
    assert_int_equal(cst_findings_get(findings, 1)->kind, CST_FINDING_LEAK);

    /* a repair lists the remaining errors: the target of an entry outside the file is unknown */
    assert_true(
        cst_image_check_list(blob, qcow2(), CST_CHECK_REPAIR_ALL, NULL, left, &found, NULL, NULL));
    assert_int_equal(found.leaks_fixed, 2);
    assert_int_equal(found.leaks, 0);
    assert_int_equal(cst_findings_length(left), 1);
    assert_string_equal(cst_findings_get(left, 0)->text, entry);
}

static void tables_that_overlap_data_are_found(void **state)
{
    static const size_t fields[] = {offsetof(Places, l1), offsetof(Places, reftable),
                                    offsetof(Places, block)};

    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        Places at;
        g_autoptr(CstBlob) blob = make_filled(&at);

        put64(blob, at.l2 + 8, G_STRUCT_MEMBER(uint64_t, &at, fields[i]) | UINT64_C(1) << 63);
        assert_true(check(blob, 0).errors > 0);
    }
}

static void an_l1_table_as_l2_table_is_found(void **state)
{
    Places at;
    g_autoptr(CstBlob) blob = make_filled(&at);

    put64(blob, at.l1, at.l1 | UINT64_C(1) << 63);
    assert_true(check(blob, 0).errors > 0);
}

static CstBlob *make_snapshots(Places *places, unsigned count, uint64_t *ret_table)
{
    CstBlob *blob = make_filled(places);

    for (unsigned i = 0; i < count; i++) {
        g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);
        g_autofree char *name = g_strdup_printf("snapshot %u", i);

        assert_true(cst_image_snapshot_create(image, name, NULL, NULL));
    }
    *ret_table = get64(blob, QCOW2_AT_SNAPSHOTS + 4);
    return blob;
}

/* 65,536 snapshots that share one huge L1 table would be terabytes to read. */
static void snapshots_that_share_an_l1_table_end_the_check(void **state)
{
    g_autoptr(CstBlob) blob = make(&(CstImageCreate){.cluster_size = 512});
    g_autofree uint8_t *table = g_malloc0(60000 * 40);
    g_autoptr(GError) error = NULL;
    CstImageCheck found;

    for (unsigned i = 0; i < 60000; i++) {
        cst_put_be64(table + i * 40, 4 * CST_MIB);
        cst_put_be32(table + i * 40 + 8, 32 * CST_MIB / 8);
    }
    assert_true(cst_blob_resize(blob, 40 * CST_MIB, NULL));
    assert_true(cst_blob_pwrite(blob, table, 60000 * 40, CST_MIB, NULL));
    put32(blob, QCOW2_AT_SNAPSHOTS, 60000);
    put64(blob, QCOW2_AT_SNAPSHOTS + 4, CST_MIB);
    assert_false(cst_image_check(blob, qcow2(), 0, &found, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CORRUPT));
}

/* Clusters of an unreadable snapshot look like leaks and must not be freed. */
static void leaks_are_kept_while_a_snapshot_is_unreadable(void **state)
{
    static const struct {
        unsigned at;
        uint64_t value;
    } damages[] = {
        {0, 12345},                         /* the L1 table's place: not aligned */
        {0, UINT64_C(1) << 50},             /* outside of the file */
        {8, UINT64_C(0xffffffff00010000)},  /* entries; keeps the lengths sane */
        {32, UINT64_C(0x00000000ffffffff)}, /* extra data */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        uint64_t table = 0, before;
        Places at;
        g_autoptr(CstBlob) blob = make_snapshots(&at, 1, &table);

        write_guest(blob, 0, 4 * CLUSTER, 2); /* now the old data is the snapshot's alone */
        before = get64(blob, table + damages[i].at);
        put64(blob, table + damages[i].at, damages[i].value);
        assert_true(check(blob, CST_CHECK_REPAIR_ALL).errors > 0);
        check(blob, CST_CHECK_REPAIR_LEAKS);
        put64(blob, table + damages[i].at, before);
        assert_int_equal(check(blob, 0).errors, 0);
        assert_int_equal(check(blob, 0).leaks, 0);
    }
}

static void hostile_snapshots_are_not_used(void **state)
{
    uint64_t table = 0;
    Places at;
    g_autoptr(CstBlob) blob = make_snapshots(&at, 2, &table);
    CstImage *image;
    uint64_t before = get64(blob, table);

    put64(blob, table, UINT64_C(1) << 50);
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_false(cst_image_snapshot_revert(image, "snapshot 0", NULL, NULL));
    assert_false(cst_image_snapshot_delete(image, "snapshot 0", NULL, NULL));
    cst_image_free(image);
    put64(blob, table, at.data); /* data as an L1 table: words of 0x01 bytes */
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_false(cst_image_snapshot_revert(image, "snapshot 0", NULL, NULL));
    assert_false(cst_image_snapshot_delete(image, "snapshot 0", NULL, NULL));
    cst_image_free(image);
    put64(blob, table, before);
    assert_int_equal(check(blob, 0).errors, 0);
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(cst_image_snapshot_delete(image, "snapshot 0", NULL, NULL));
    cst_image_free(image);
    assert_int_equal(check(blob, 0).leaks, 0);
}

/* A file that claims to be enormous, but is not, costs little. */
static void memory_depends_on_allocated_clusters_and_not_on_the_file_size(void **state)
{
    Places at;
    g_autoptr(CstBlob) blob = make_filled(&at);
    CstImageCheck found;

    assert_true(cst_blob_resize(blob, UINT64_C(1) << 44, NULL));
    found = check(blob, 0);
    assert_int_equal(found.errors, 0);
    assert_int_equal(found.allocated_clusters, 4);
    assert_true(cst_blob_resize(blob, UINT64_C(1) << 55, NULL));
    assert_false(cst_image_check(blob, qcow2(), 0, &found, NULL, NULL));
}

static void a_cancelled_check_stops(void **state)
{
    Places at;
    g_autoptr(CstBlob) blob = make_filled(&at);
    g_autoptr(CstTask) task = cst_task_new();
    g_autoptr(GError) error = NULL;
    CstImageCheck found;

    cst_task_cancel(task);
    assert_false(cst_image_check(blob, qcow2(), 0, &found, task, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
}

/* After the loss of any sector of a repair, the next repair completes the work. */
static void a_repair_survives_a_power_cut(void **state)
{
    static const struct {
        size_t field;
        uint64_t value;
    } damages[] = {{offsetof(Places, reftable), 0}, {offsetof(Places, block), 0}};

    for (size_t i = 0; i < G_N_ELEMENTS(damages); i++) {
        Places at;
        g_autoptr(CstBlob) blob = make_filled(&at);
        g_autoptr(CstBlob) power = NULL;
        unsigned steps;

        put64(blob, G_STRUCT_MEMBER(uint64_t, &at, damages[i].field), damages[i].value);
        power = cst_blob_power_new(blob, NULL);
        assert_true(check(power, CST_CHECK_REPAIR_ALL).errors_fixed > 0);
        steps = cst_blob_power_steps(power);
        assert_int_equal(check(blob, 0).errors, 0);
        for (unsigned step = 0; step <= steps; step++) {
            for (guint32 seed = 0; seed < 5; seed++) {
                g_autoptr(CstBlob) left = cst_blob_power_crash(power, step, seed, NULL);
                g_autoptr(CstBlob) guest = NULL;
                uint8_t byte = 0;

                check(left, CST_CHECK_REPAIR_ALL);
                assert_int_equal(check(left, 0).errors, 0);
                assert_int_equal(check(left, 0).leaks, 0);
                guest = cst_image_guest_blob(open_image(left, 0));
                assert_true(cst_blob_pread(guest, &byte, 1, 3 * CLUSTER, NULL));
                assert_int_equal(byte, 1);
            }
        }
    }
}

/* --- features ------------------------------------------------------------------------------ */

static void unknown_autoclear_features_go_with_the_first_write(void **state)
{
    for (int how = 0; how < 4; how++) {
        g_autoptr(CstBlob) blob = make(&(CstImageCreate){0});
        CstImage *image;

        put64(blob, QCOW2_AT_AUTOCLEAR, UINT64_C(0x8000000000000004));
        image = open_image(blob, CST_IMAGE_WRITE);
        assert_int_equal(get64(blob, QCOW2_AT_AUTOCLEAR) != 0, 1); /* opening is no write */
        if (how == 1) {
            assert_true(cst_image_snapshot_create(image, "s", NULL, NULL));
        } else if (how == 2) {
            assert_true(cst_image_resize(image, 2 * SIZE, CST_PREALLOC_OFF, NULL, NULL));
        } else {
            g_autoptr(CstBlob) guest = cst_image_guest_blob(g_steal_pointer(&image));

            assert_true(how == 3 ? cst_blob_pwrite(guest, "x", 1, 0, NULL)
                                 : cst_blob_zero(guest, 0, CLUSTER, 0, NULL));
        }
        cst_image_free(image);
        assert_int_equal(get64(blob, QCOW2_AT_AUTOCLEAR), 0);
    }
}

typedef struct {
    CstBlob *data;
    char *asked;
} Consent;

static CstBlob *give(const char *name, gboolean writable, gpointer data, GError **error)
{
    Consent *consent = data;

    g_free(consent->asked);
    consent->asked = g_strdup(name);
    if (!consent->data)
        cst_fail(error, CST_ERROR_DENIED, "no");
    return consent->data ? cst_blob_ref(consent->data) : NULL;
}

/* Changes an image of ours to an external data file. Ranges without a table read as zeroes. */
static CstBlob *make_outside(void)
{
    CstBlob *blob = make(&(CstImageCreate){0});
    uint8_t ext[16 + 8] = {0};

    write_guest(blob, 0, CLUSTER, 1);
    put64(blob, 72, QCOW2_INCOMPAT_DATA_FILE);
    cst_put_be32(ext, QCOW2_EXT_DATA_FILE);
    cst_put_be32(ext + 4, 6);
    memcpy(ext + 8, "/a/b/c", 6);
    assert_true(cst_blob_pwrite(blob, ext, sizeof(ext), 112, NULL));
    return blob;
}

static void a_data_file_is_opened_with_consent_only(void **state)
{
    g_autoptr(CstBlob) blob = make_outside(), data = cst_blob_memory_new("hello", 5);
    uint64_t l2 = get64(blob, get64(blob, QCOW2_AT_L1_OFFSET)) & ~(UINT64_C(1) << 63);
    Consent consent = {NULL, NULL};
    CstImageFiles files = {give, NULL, &consent};
    CstImageOpen how = {.files = &files};
    g_autoptr(CstBlob) guest = NULL;
    g_autoptr(GError) error = NULL;
    uint8_t buf[8];

    assert_null(cst_image_open(blob, qcow2(), 0, NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    g_clear_error(&error);
    assert_null(cst_image_open_as(blob, qcow2(), &how, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_DENIED));
    assert_string_equal(consent.asked, "/a/b/c");
    g_clear_error(&error);
    consent.data = data;
    put64(blob, l2, UINT64_C(1) << 63); /* place 0 */
    guest = cst_image_guest_blob(cst_image_open_as(blob, qcow2(), &how, NULL));
    assert_true(cst_blob_pread(guest, buf, sizeof(buf), 0, NULL));
    assert_memory_equal(buf, "hello\0\0\0", 8); /* after the end of the file: zeroes */
    g_clear_pointer(&guest, cst_blob_unref);
    put64(blob, l2, UINT64_C(1) << 63 | CLUSTER); /* not where the guest's bytes belong */
    guest = cst_image_guest_blob(cst_image_open_as(blob, qcow2(), &how, NULL));
    assert_false(cst_blob_pread(guest, buf, sizeof(buf), 0, NULL));
    g_free(consent.asked);
}

/* --- compressed writing -------------------------------------------------------------------- */

static void fill_unit(uint8_t *buf, size_t len, unsigned number)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(number);

    for (size_t i = 0; i < len; i++)
        buf[i] = number % 5 == 4 ? (uint8_t)g_rand_int(rand) : (uint8_t)(number + i / 700);
}

typedef struct {
    CstImage *image;
    uint64_t unit;
    gint next;
} Packing;

static void *pack(void *data)
{
    Packing *packing = data;
    g_autofree uint8_t *buf = g_malloc(packing->unit);
    uint64_t offset;
    guint number;

    while ((number = (guint)g_atomic_int_add(&packing->next, 1)),
           (offset = number * packing->unit) < cst_image_capacity(packing->image)) {
        size_t len = MIN(packing->unit, cst_image_capacity(packing->image) - offset);

        fill_unit(buf, len, number);
        g_assert_true(cst_image_write_compressed(packing->image, buf, len, offset, NULL));
    }
    return NULL;
}

static const CstImageCreate packable[] = {
    {.capacity = SIZE + 512},
    {.capacity = SIZE + 512, .compression = "zstd", .extended_l2 = TRUE},
    {.capacity = SIZE / 4 + 512, .cluster_size = 512, .refcount_bits = 1},
    {.capacity = SIZE + 512, .compat = "0.10", .cluster_size = 4096},
    {.capacity = SIZE + 512, .cluster_size = 2 * CST_MIB, .refcount_bits = 8},
};

static void threads_compress_side_by_side(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packable); i++) {
        g_autoptr(CstBlob) blob = make(&packable[i]);
        Packing packing = {.image = open_image(blob, CST_IMAGE_WRITE)};
        g_autofree uint8_t *wanted = NULL, *seen = NULL;
        g_autoptr(CstBlob) guest = NULL;
        GThread *threads[4];

        packing.unit = cst_image_compression_unit(packing.image);
        for (size_t n = 0; n < G_N_ELEMENTS(threads); n++)
            threads[n] = g_thread_new("pack", pack, &packing);
        for (size_t n = 0; n < G_N_ELEMENTS(threads); n++)
            g_thread_join(threads[n]);
        wanted = g_malloc(packing.unit);
        seen = g_malloc(packing.unit);
        guest = cst_image_guest_blob(packing.image);
        for (uint64_t at = 0; at < packable[i].capacity; at += packing.unit) {
            size_t len = MIN(packing.unit, packable[i].capacity - at);

            fill_unit(wanted, len, (unsigned)(at / packing.unit));
            assert_true(cst_blob_pread(guest, seen, len, at, NULL));
            assert_memory_equal(seen, wanted, len);
        }
        assert_true(cst_blob_flush(guest, NULL));
        assert_int_equal(check(blob, 0).errors, 0);
        assert_int_equal(check(blob, 0).leaks, 0);
        assert_true(check(blob, 0).compressed_clusters > 0);
    }
}

/*
 * Compressed writes to the same clusters, with a plain write between them. The refcounts must be
 * the same afterwards.
 */
static void compressed_clusters_are_written_over(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(packable); i++) {
        g_autoptr(CstBlob) blob = make(&packable[i]);
        CstImage *image = open_image(blob, CST_IMAGE_WRITE);
        uint64_t unit = cst_image_compression_unit(image);
        g_autofree uint8_t *buf = g_malloc(unit);

        for (unsigned round = 0; round < 30; round++) {
            uint64_t at = round % 3 * unit;
            size_t len = MIN(unit, packable[i].capacity - MIN(at, packable[i].capacity));

            if (len == 0)
                continue;
            fill_unit(buf, len, round);
            assert_true(cst_image_write_compressed(image, buf, len, at, NULL));
            if (round % 7 == 6)
                assert_true(cst_image_flush(image, NULL));
        }
        cst_image_free(image);
        assert_int_equal(check(blob, 0).errors, 0);
        assert_int_equal(check(blob, 0).leaks, 0);
    }
}

static void failing_compressed_writes_leak_at_worst(void **state)
{
    gboolean struck = TRUE;

    for (unsigned nth = 1; struck; nth++) {
        g_autoptr(CstBlob) blob = make(&packable[0]);
        g_autoptr(CstBlob) fault = cst_blob_fault_new(blob);
        CstImage *image = open_image(fault, CST_IMAGE_WRITE);
        g_autofree uint8_t *buf = g_malloc(CLUSTER);

        cst_blob_fault_arm(fault, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
        for (unsigned i = 0; i < 12; i++) {
            fill_unit(buf, CLUSTER, i);
            cst_image_write_compressed(image, buf, CLUSTER, i * (uint64_t)CLUSTER, NULL);
        }
        cst_image_flush(image, NULL);
        struck = cst_blob_fault_struck(fault);
        cst_image_free(image);
        assert_int_equal(check(blob, 0).errors, 0);
    }
}

/* Half of it can't be compressed: two of them don't fit into one cluster. */
static void fill_half(uint8_t *buf, unsigned number)
{
    memset(buf, (int)number, CLUSTER);
    fill_unit(buf, CLUSTER / 8 * 5, 4 + 5 * number);
}

/* Only a flush writes the tables. The refcounts of a failed piece are taken back. */
static void failed_compressed_write_allocates_no_space(void **state)
{
    for (unsigned written = 0; written < 3; written++) {
        gboolean struck = TRUE;

        for (unsigned nth = 1; struck; nth++) {
            g_autoptr(CstBlob) blob = make(&packable[0]);
            g_autoptr(CstBlob) fault = cst_blob_fault_new(blob);
            CstImage *image = open_image(fault, CST_IMAGE_WRITE);
            uint8_t buf[CLUSTER], seen[CLUSTER];
            g_autoptr(CstBlob) guest = NULL;

            for (unsigned i = 0; i < written; i++) {
                fill_half(buf, i);
                assert_true(cst_image_write_compressed(image, buf, CLUSTER, i * CLUSTER, NULL));
            }
            cst_blob_fault_arm(fault, CST_FAULT_WRITE, nth, CST_FAULT_ONCE);
            fill_half(buf, written);
            struck = !cst_image_write_compressed(image, buf, CLUSTER, SIZE / 2, NULL);
            assert_int_equal(struck, cst_blob_fault_struck(fault));
            cst_blob_fault_arm(fault, CST_FAULT_WRITE, 0, CST_FAULT_ONCE);
            assert_true(cst_image_write_compressed(image, buf, CLUSTER, SIZE - CLUSTER, NULL));
            guest = cst_image_guest_blob(image);
            assert_true(cst_blob_flush(guest, NULL));
            assert_sound(blob, FALSE);
            for (unsigned i = 0; i <= written; i++) {
                fill_half(buf, i);
                assert_true(cst_blob_pread(guest, seen, CLUSTER,
                                           i < written ? i * CLUSTER : SIZE - CLUSTER, NULL));
                assert_memory_equal(seen, buf, CLUSTER);
            }
        }
    }
}

static void partial_unit_is_refused_as_a_compressed_write(void **state)
{
    g_autoptr(CstBlob) blob = make(&packable[0]), raw = cst_blob_memory_new(NULL, CLUSTER);
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE), reader = open_image(blob, 0);
    g_autoptr(CstImage) plain =
        cst_image_open(raw, cst_image_format_find("raw", NULL), CST_IMAGE_WRITE, NULL, NULL);
    g_autofree uint8_t *buf = g_malloc0(CLUSTER);

    assert_false(cst_image_write_compressed(image, buf, CLUSTER - 1, 0, NULL));
    assert_false(cst_image_write_compressed(image, buf, CLUSTER, 512, NULL));
    assert_false(cst_image_write_compressed(image, buf, CLUSTER, SIZE, NULL));
    assert_false(cst_image_write_compressed(image, buf, CLUSTER, SIZE + CLUSTER, NULL));
    assert_true(cst_image_write_compressed(image, buf, 512, SIZE, NULL));
    assert_false(cst_image_write_compressed(reader, buf, CLUSTER, 0, NULL));
    assert_int_equal(cst_image_compression_unit(plain), 0);
    assert_false(cst_image_write_compressed(plain, buf, CLUSTER, 0, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_go_beyond_sixteen_bits),
        cmocka_unit_test(an_l2_table_that_is_its_own_data_is_found),
        cmocka_unit_test(errors_and_leaks_are_listed),
        cmocka_unit_test(tables_that_overlap_data_are_found),
        cmocka_unit_test(an_l1_table_as_l2_table_is_found),
        cmocka_unit_test(snapshots_that_share_an_l1_table_end_the_check),
        cmocka_unit_test(leaks_are_kept_while_a_snapshot_is_unreadable),
        cmocka_unit_test(hostile_snapshots_are_not_used),
        cmocka_unit_test(memory_depends_on_allocated_clusters_and_not_on_the_file_size),
        cmocka_unit_test(a_cancelled_check_stops),
        cmocka_unit_test(a_repair_survives_a_power_cut),
        cmocka_unit_test(unknown_autoclear_features_go_with_the_first_write),
        cmocka_unit_test(a_data_file_is_opened_with_consent_only),
        cmocka_unit_test(threads_compress_side_by_side),
        cmocka_unit_test(compressed_clusters_are_written_over),
        cmocka_unit_test(failing_compressed_writes_leak_at_worst),
        cmocka_unit_test(failed_compressed_write_allocates_no_space),
        cmocka_unit_test(partial_unit_is_refused_as_a_compressed_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
