/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares the index of a table of volumes (core/volume_table.h) with a search of all records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include <base/url.h>

#include "core/volume_table.h"

#define DIR   "/images"
#define NAMES 12
#define BASES 4
#define STEPS 20000

/* Number of resolved references. */
static guint resolved;

char *__real_cst_reference_path(const char *reference);
char *__wrap_cst_reference_path(const char *reference);

char *__wrap_cst_reference_path(const char *reference)
{
    resolved++;
    return __real_cst_reference_path(reference);
}

/* --- records ---------------------------------------------------------------------------------- */

static CstVolume *overlay_new(const char *name, const char *backing, const char *data)
{
    CstVolume *volume = cst_volume_new(name);
    CstVolumeExtra *extra;

    volume->type = CST_VOL_FILE;
    if (!backing && !data)
        return volume;
    extra = cst_volume_extra(volume);
    extra->backing_path = g_strdup(backing);
    extra->backing_trust = CST_TRUST_PLACE;
    extra->data_file = g_strdup(data);
    extra->data_trust = CST_TRUST_PLACE;
    return volume;
}

static char *random_file(GRand *rand)
{
    guint number = (guint)g_rand_int_range(rand, 0, 2 * BASES);

    return number < BASES ? g_strdup_printf(DIR "/base%u", number) : NULL;
}

static void set_random(VolumeTable *table, const char *name, GRand *rand)
{
    g_autofree char *backing = random_file(rand);
    g_autofree char *data = random_file(rand);
    CstVolume *volume = overlay_new(name, backing, data);

    if (volume->extra && g_rand_int_range(rand, 0, 4) == 0)
        volume->extra->backing_trust = CST_TRUST_NONE;
    volume_table_set(table, DIR, volume);
}

/* --- the search ------------------------------------------------------------------------------- */

static gboolean refers_to(const CstVolume *volume, const char *path)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);

    volume_references(DIR, volume, paths);
    return g_ptr_array_find_with_equal_func(paths, path, g_str_equal, NULL);
}

static void assert_index(const VolumeTable *table, const char *path)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)cst_volume_unref);
    GHashTableIter iter;
    gpointer volume;
    guint count = 0;

    volume_table_overlays(table, path, found);
    volume_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, &volume)) {
        gboolean refers = refers_to(volume, path);

        count += refers;
        assert_int_equal(refers, g_ptr_array_find(found, volume, NULL));
    }
    assert_int_equal(found->len, count);
    assert_int_equal(volume_table_has_overlay(table, path), count > 0);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void index_equals_search_after_random_changes(void **state)
{
    g_autoptr(VolumeTable) table = volume_table_new();
    g_autoptr(GRand) rand = g_rand_new_with_seed(7);

    for (guint step = 0; step < STEPS; step++) {
        g_autofree char *name = g_strdup_printf("v%d", g_rand_int_range(rand, 0, NAMES));
        g_autofree char *base = g_strdup_printf(DIR "/base%u", step % BASES);

        if (g_rand_int_range(rand, 0, 3) == 0)
            volume_table_remove(table, name);
        else
            set_random(table, name, rand);
        assert_index(table, base);
    }
}

static void index_forgets_old_base_of_rebased_volume(void **state)
{
    g_autoptr(VolumeTable) table = volume_table_new();

    volume_table_set(table, DIR, overlay_new("top", DIR "/old", NULL));
    volume_table_set(table, DIR, overlay_new("top", DIR "/new", NULL));
    assert_false(volume_table_has_overlay(table, DIR "/old"));
    assert_true(volume_table_has_overlay(table, DIR "/new"));
    volume_table_set(table, DIR, overlay_new("top", NULL, NULL));
    assert_false(volume_table_has_overlays(table));
}

static void index_resolves_a_data_file_from_the_directory(void **state)
{
    g_autoptr(VolumeTable) table = volume_table_new();

    volume_table_set(table, DIR, overlay_new("top", DIR "/base", "data"));
    assert_true(volume_table_has_overlay(table, DIR "/base"));
    assert_true(volume_table_has_overlay(table, DIR "/data"));
    volume_table_remove(table, "top");
    assert_false(volume_table_has_overlays(table));
}

static void record_that_is_set_again_keeps_its_references(void **state)
{
    g_autoptr(VolumeTable) table = volume_table_new();
    CstVolume *volume = overlay_new("top", DIR "/base", NULL);

    volume_table_set(table, DIR, cst_volume_ref(volume));
    volume_table_set(table, DIR, volume);
    assert_true(volume_table_has_overlay(table, DIR "/base"));
    volume_table_remove(table, "top");
    assert_false(volume_table_has_overlays(table));
}

static void lookup_resolves_no_reference_of_other_volumes(void **state)
{
    g_autoptr(VolumeTable) table = volume_table_new();

    for (guint i = 0; i < 1000; i++) {
        g_autofree char *name = g_strdup_printf("v%u", i);
        g_autofree char *base = g_strdup_printf(DIR "/base%u", i);

        volume_table_set(table, DIR, overlay_new(name, base, NULL));
    }
    resolved = 0;
    assert_true(volume_table_has_overlay(table, DIR "/base500"));
    assert_false(volume_table_has_overlay(table, DIR "/v500"));
    volume_table_remove(table, "v500");
    assert_false(volume_table_has_overlay(table, DIR "/base500"));
    assert_int_equal(resolved, 0);
}

/* Returns a record with @snapshots snapshots inside of its image. */
static CstVolume *sized_new(const char *name, uint64_t capacity, uint64_t allocation,
                            uint32_t snapshots)
{
    CstVolume *volume = cst_volume_new(name);

    volume->capacity = capacity;
    volume->allocation = allocation;
    if (snapshots)
        cst_volume_extra(volume)->snapshots = snapshots;
    return volume;
}

static void promise_is_the_sum_of_all_records(void **state)
{
    g_autoptr(VolumeTable) table = volume_table_new();

    assert_int_equal(volume_table_promise(table), 0);
    volume_table_set(table, NULL, sized_new("a", 100, 10, 0));
    volume_table_set(table, NULL, sized_new("b", 100, 150, 0));
    volume_table_set(table, NULL, sized_new("c", 100, 150, 2));
    assert_int_equal(volume_table_promise(table), 100 + 150 + 350);
    volume_table_set(table, NULL, sized_new("c", 100, 0, 1));
    assert_int_equal(volume_table_promise(table), 100 + 150 + 200);
    volume_table_remove(table, "b");
    volume_table_remove(table, "none");
    assert_int_equal(volume_table_promise(table), 300);
}

/* Sizes of images are untrusted. A sum above the maximum must not be lost when it shrinks. */
static void promise_of_huge_volumes_does_not_overflow(void **state)
{
    g_autoptr(VolumeTable) table = volume_table_new();
    const char *const names[] = {"a", "b", "c"};

    volume_table_set(table, NULL, sized_new("small", 5, 0, 0));
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        volume_table_set(table, NULL, sized_new(names[i], UINT64_MAX, UINT64_MAX, UINT32_MAX));
    assert_true(volume_table_promise(table) == UINT64_MAX);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        volume_table_remove(table, names[i]);
    assert_int_equal(volume_table_promise(table), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_equals_search_after_random_changes),
        cmocka_unit_test(index_forgets_old_base_of_rebased_volume),
        cmocka_unit_test(index_resolves_a_data_file_from_the_directory),
        cmocka_unit_test(record_that_is_set_again_keeps_its_references),
        cmocka_unit_test(lookup_resolves_no_reference_of_other_volumes),
        cmocka_unit_test(promise_is_the_sum_of_all_records),
        cmocka_unit_test(promise_of_huge_volumes_does_not_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
