/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Internal snapshots under failures: each change is complete or absent. */
#include <base/units.h>
#include <blob/fault.h>
#include <blob/power.h>
#include <blob/sparse.h>
#include <image/snapshot.h>

#include "qcow2_images.h"

enum { SIZE = 1024 * 1024 + 512 };

static const CstImageCreate variants[] = {
    {.capacity = SIZE},
    {.capacity = SIZE, .compat = "0.10", .cluster_size = 512},
    {.capacity = SIZE, .extended_l2 = TRUE, .cluster_size = 16384},
    {.capacity = SIZE, .cluster_size = 4096, .refcount_bits = 64},
};

/* The guest's content and the names of the snapshots. */
typedef struct {
    uint8_t *content;
    char *names;
} Sight;

static void sight_clear(Sight *sight)
{
    g_clear_pointer(&sight->content, g_free);
    g_clear_pointer(&sight->names, g_free);
}

static Sight look(CstBlob *blob)
{
    CstImage *image = open_image(blob, 0);
    g_autoptr(GPtrArray) list = cst_image_snapshot_list(image, NULL);
    g_autoptr(GString) names = g_string_new(NULL);
    g_autoptr(CstBlob) guest = NULL;
    Sight sight = {g_malloc(SIZE), NULL};

    assert_non_null(list);
    for (guint i = 0; i < list->len; i++)
        g_string_append_printf(names, "%s ", ((CstImageSnapshot *)list->pdata[i])->name);
    sight.names = g_strdup(names->str);
    guest = cst_image_guest_blob(image);
    assert_true(cst_blob_pread(guest, sight.content, SIZE, 0, NULL));
    return sight;
}

static gboolean is_same(const Sight *a, const Sight *b)
{
    return strcmp(a->names, b->names) == 0 && memcmp(a->content, b->content, SIZE) == 0;
}

typedef struct {
    gboolean (*call)(CstImage *image, const char *name, CstTask *task, GError **error);
    const char *name;
} Step;

/* On an image with the snapshots a and b and newer content than both. */
static const Step steps[] = {
    {cst_image_snapshot_create, "c"}, {cst_image_snapshot_revert, "a"},
    {cst_image_snapshot_delete, "b"}, {cst_image_snapshot_delete, "a"},
    {cst_image_snapshot_create, "a"}, {cst_image_snapshot_revert, "c"},
};

static CstBlob *make(const CstImageCreate *options)
{
    CstBlob *blob = cst_blob_sparse_new(0);

    assert_true(cst_image_create(blob, qcow2(), options, NULL, NULL));
    for (int i = 0; i < 2; i++) {
        CstImage *image;

        write_guest(blob, (uint64_t)i * 200000, 300000, i + 1);
        image = open_image(blob, CST_IMAGE_WRITE);
        assert_true(cst_image_snapshot_create(image, i ? "b" : "a", NULL, NULL));
        cst_image_free(image);
    }
    write_guest(blob, 100000, 500000, 3);
    return blob;
}

static gboolean take(CstBlob *blob, const Step *step, GError **error)
{
    g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);

    return step->call(image, step->name, NULL, error);
}

static void a_power_cut_leaves_the_old_or_the_new(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = make(&variants[i]);

        for (size_t j = 0; j < G_N_ELEMENTS(steps); j++) {
            g_autoptr(CstBlob) power = cst_blob_power_new(blob, NULL);
            Sight before = look(blob), after;
            unsigned count;

            assert_true(take(power, &steps[j], NULL));
            count = cst_blob_power_steps(power);
            after = look(blob);
            assert_false(is_same(&before, &after));
            for (unsigned at = 0; at <= count; at++) {
                for (guint32 seed = 0; seed < 4; seed++) {
                    g_autoptr(CstBlob) left = cst_blob_power_crash(power, at, seed, NULL);
                    Sight now = look(left);

                    assert_sound(left, TRUE);
                    assert_true(is_same(&now, &before) || is_same(&now, &after));
                    if (at == count && seed == 1)
                        assert_true(is_same(&now, &after));
                    sight_clear(&now);
                }
            }
            sight_clear(&before);
            sight_clear(&after);
            assert_sound(blob, FALSE);
        }
    }
}

/* After a failure the image can be opened again and the change be made. */
static void assert_recovers(CstBlob *copy, const Step *step, const Sight *before,
                            const Sight *after)
{
    Sight now = look(copy), end;

    assert_sound(copy, TRUE);
    assert_true(is_same(&now, before) || is_same(&now, after));
    if (is_same(&now, before))
        assert_true(take(copy, step, NULL));
    end = look(copy);
    assert_true(is_same(&end, after));
    sight_clear(&now);
    sight_clear(&end);
}

static void every_failing_call_leaves_the_old_or_the_new(void **state)
{
    const CstFaultKind kinds[] = {CST_FAULT_READ, CST_FAULT_WRITE, CST_FAULT_TORN, CST_FAULT_FLUSH};
    g_autoptr(CstBlob) blob = make(&variants[0]);

    for (size_t j = 0; j < G_N_ELEMENTS(steps); j++) {
        g_autoptr(CstBlob) next = cst_blob_sparse_copy(blob);
        Sight before = look(blob), after;

        assert_true(take(next, &steps[j], NULL));
        after = look(next);
        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
            gboolean struck = TRUE;

            for (unsigned nth = 1; struck; nth++) {
                g_autoptr(CstBlob) copy = cst_blob_sparse_copy(blob);
                g_autoptr(CstBlob) fault = cst_blob_fault_new(copy);
                CstImage *image = open_image(fault, CST_IMAGE_WRITE);

                cst_blob_fault_arm(fault, kinds[k], nth, CST_FAULT_CUT);
                if (!steps[j].call(image, steps[j].name, NULL, NULL))
                    assert_true(cst_blob_fault_struck(fault));
                struck = cst_blob_fault_struck(fault);
                cst_image_free(image);
                assert_recovers(copy, &steps[j], &before, &after);
            }
        }
        sight_clear(&before);
        sight_clear(&after);
        g_clear_pointer(&blob, cst_blob_unref);
        blob = g_steal_pointer(&next);
    }
}

/* It is unknown whether the changed header is on the disk, until the image is opened again. */
static void further_writes_fail_after_a_failed_header_write(void **state)
{
    g_autoptr(CstBlob) inner = make(&variants[0]);
    g_autoptr(CstBlob) blob = cst_blob_fault_new(inner);
    CstImage *image = open_image(blob, CST_IMAGE_WRITE);
    g_autoptr(GError) error = NULL;
    g_autoptr(CstBlob) guest = NULL;
    unsigned flushes;

    cst_blob_fault_arm(blob, CST_FAULT_FLUSH, 0, CST_FAULT_ONCE);
    assert_true(cst_image_snapshot_create(image, "c", NULL, NULL));
    flushes = cst_blob_fault_count(blob, CST_FAULT_FLUSH);
    cst_blob_fault_arm(blob, CST_FAULT_FLUSH, flushes, CST_FAULT_ONCE);
    assert_false(cst_image_snapshot_create(image, "d", NULL, NULL));
    assert_true(cst_blob_fault_struck(blob));
    guest = cst_image_guest_blob(image);
    assert_false(cst_blob_pwrite(guest, "x", 1, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    g_clear_pointer(&guest, cst_blob_unref);
    assert_sound(inner, FALSE);
}

static void guest_works_after_each_snapshot_change(void **state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(variants); i++) {
        g_autoptr(CstBlob) blob = make(&variants[i]);
        CstImage *image = open_image(blob, CST_IMAGE_WRITE);
        g_autoptr(CstBlob) guest = NULL;
        uint8_t byte = 0;

        /* the guest's view stays open while snapshots come and go: one handle for both */
        assert_true(cst_image_snapshot_create(image, "c", NULL, NULL));
        assert_true(cst_image_snapshot_delete(image, "a", NULL, NULL));
        assert_true(cst_image_snapshot_revert(image, "b", NULL, NULL));
        assert_true(cst_image_resize(image, SIZE - 512, CST_PREALLOC_OFF, NULL, NULL) ==
                    (variants[i].compat == NULL));
        guest = cst_image_guest_blob(image);
        assert_true(cst_blob_pwrite(guest, "\x9", 1, 1000, NULL));
        assert_true(cst_blob_zero(guest, 65536, 65536, CST_ZERO_MAY_UNMAP, NULL));
        assert_true(cst_blob_flush(guest, NULL));
        assert_true(cst_blob_pread(guest, &byte, 1, 1000, NULL));
        assert_int_equal(byte, 9);
        assert_true(cst_blob_pread(guest, &byte, 1, 1001, NULL));
        assert_int_equal(byte, 1);
        assert_true(cst_blob_pread(guest, &byte, 1, 450000, NULL));
        assert_int_equal(byte, 2);
        assert_sound(blob, FALSE);
    }
}

/* Clusters of only the snapshot are freed in the file system. No other cluster is freed. */
static void deleting_gives_space_back(void **state)
{
    const CstImageCreate options = {.capacity = 8 * CST_MIB};
    const Step delete_a = {cst_image_snapshot_delete, "a"};
    g_autoptr(CstBlob) blob = cst_blob_sparse_new(0);
    g_autofree uint8_t *seen = g_malloc(6 * CST_MIB);
    g_autoptr(CstBlob) guest = NULL;
    CstImage *image;
    uint64_t full;

    assert_true(cst_image_create(blob, qcow2(), &options, NULL, NULL));
    write_guest(blob, 0, 6 * CST_MIB, 1);
    image = open_image(blob, CST_IMAGE_WRITE);
    assert_true(cst_image_snapshot_create(image, "a", NULL, NULL));
    cst_image_free(image);
    write_guest(blob, CST_MIB, CST_MIB, 2);
    write_guest(blob, 4 * CST_MIB, CST_MIB, 3);
    full = cst_blob_sparse_used(blob);
    assert_true(take(blob, &delete_a, NULL));
    assert_true(cst_blob_sparse_used(blob) <= full - 2 * CST_MIB);
    guest = cst_image_guest_blob(open_image(blob, 0));
    assert_true(cst_blob_pread(guest, seen, 6 * CST_MIB, 0, NULL));
    for (size_t i = 0; i < 6 * CST_MIB; i++)
        assert_true(seen[i] == (i / CST_MIB == 1 ? 2 : i / CST_MIB == 4 ? 3 : 1));
    assert_sound(blob, FALSE);
}

static void formats_without_snapshots_and_readers_refuse(void **state)
{
    g_autoptr(CstBlob) raw = cst_blob_memory_new(NULL, 512);
    g_autoptr(CstImage) plain =
        cst_image_open(raw, cst_image_format_find("raw", NULL), CST_IMAGE_WRITE, NULL, NULL);
    g_autoptr(CstBlob) blob = make(&variants[0]);
    g_autoptr(CstImage) image = open_image(blob, 0);
    g_autoptr(GError) error = NULL;

    assert_null(cst_image_snapshot_list(plain, NULL));
    assert_false(cst_image_snapshot_create(plain, "a", NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_UNSUPPORTED));
    g_clear_error(&error);
    assert_false(cst_image_snapshot_delete(image, "a", NULL, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_READ_ONLY));
}

static void canceled_change_has_no_effect(void **state)
{
    g_autoptr(CstBlob) blob = make(&variants[0]);
    Sight before = look(blob);

    for (size_t j = 0; j < 3; j++) {
        g_autoptr(CstImage) image = open_image(blob, CST_IMAGE_WRITE);
        g_autoptr(CstTask) task = cst_task_new();
        g_autoptr(GError) error = NULL;
        Sight now;

        cst_task_cancel(task);
        assert_false(steps[j].call(image, steps[j].name, task, &error));
        assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_CANCELLED));
        now = look(blob);
        assert_true(is_same(&now, &before));
        sight_clear(&now);
    }
    sight_clear(&before);
    assert_sound(blob, FALSE);
}

#define assert_error(error, code) assert_true(g_error_matches(error, CST_ERROR, code))

static CstImage *open_snapshot(CstBlob *blob, const char *name, GError **error)
{
    const CstImageOpen how = {.snapshot = name};

    return cst_image_open_as(blob, qcow2(), &how, error);
}

static void a_snapshot_can_be_read_without_reverting(void **state)
{
    for (size_t v = 0; v < G_N_ELEMENTS(variants); v++) {
        CstBlob *blob = make(&variants[v]);
        g_autoptr(GError) error = NULL;

        for (int i = 0; i < 2; i++) {
            const char *name = i ? "b" : "a";
            g_autofree uint8_t *then = g_malloc(SIZE);
            g_autoptr(CstBlob) guest = cst_image_guest_blob(open_snapshot(blob, name, NULL));
            CstImage *image;
            Sight sight;

            assert_true(cst_blob_pread(guest, then, SIZE, 0, NULL));
            image = open_image(blob, CST_IMAGE_WRITE);
            assert_true(cst_image_snapshot_revert(image, name, NULL, NULL));
            cst_image_free(image);
            sight = look(blob);
            assert_memory_equal(then, sight.content, SIZE);
            sight_clear(&sight);
        }
        assert_null(open_snapshot(blob, "nobody", &error));
        assert_error(error, CST_ERROR_NOT_FOUND);
        cst_blob_unref(blob);
    }
}

static void a_snapshot_is_renamed(void **state)
{
    CstBlob *blob = make(&variants[0]);
    CstImage *image = open_image(blob, CST_IMAGE_WRITE);
    g_autoptr(GError) error = NULL;
    Sight sight;

    assert_false(cst_image_snapshot_rename(image, "a", "b", &error));
    assert_error(error, CST_ERROR_EXISTS);
    g_clear_error(&error);
    assert_false(cst_image_snapshot_rename(image, "z", "y", &error));
    assert_error(error, CST_ERROR_NOT_FOUND);
    assert_true(cst_image_snapshot_rename(image, "a", "first", NULL));
    cst_image_free(image);
    sight = look(blob);
    assert_string_equal(sight.names, "first b ");
    sight_clear(&sight);
    assert_sound(blob, FALSE);
    cst_blob_unref(blob);
}

static uint64_t number_at(CstBlob *blob, uint64_t offset)
{
    uint64_t number;

    assert_true(cst_blob_pread(blob, &number, 8, offset, NULL));
    return GUINT64_FROM_BE(number);
}

static uint64_t table_at(CstBlob *blob, uint64_t offset)
{
    return number_at(blob, offset) & UINT64_C(0x00fffffffffffe00);
}

/* With one reference more it would be 0, and the cluster free. */
static void a_refcount_that_would_wrap_around_is_damage(void **state)
{
    const uint64_t most = G_MAXUINT64;
    const Step step = {cst_image_snapshot_create, "c"};
    g_autoptr(CstBlob) blob = make(&variants[3]);
    g_autoptr(GError) error = NULL;
    uint64_t first_cluster = table_at(blob, table_at(blob, table_at(blob, 40)));
    uint64_t counts = number_at(blob, number_at(blob, 48));
    Sight before, after;

    assert_true(cst_blob_pwrite(blob, &most, 8, counts + first_cluster / 4096 * 8, NULL));
    before = look(blob);
    assert_false(take(blob, &step, &error));
    assert_error(error, CST_ERROR_CORRUPT);
    after = look(blob);
    assert_true(is_same(&before, &after));
    sight_clear(&before);
    sight_clear(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_can_be_read_without_reverting),
        cmocka_unit_test(a_snapshot_is_renamed),
        cmocka_unit_test(a_power_cut_leaves_the_old_or_the_new),
        cmocka_unit_test(every_failing_call_leaves_the_old_or_the_new),
        cmocka_unit_test(further_writes_fail_after_a_failed_header_write),
        cmocka_unit_test(guest_works_after_each_snapshot_change),
        cmocka_unit_test(deleting_gives_space_back),
        cmocka_unit_test(formats_without_snapshots_and_readers_refuse),
        cmocka_unit_test(canceled_change_has_no_effect),
        cmocka_unit_test(a_refcount_that_would_wrap_around_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
