/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The page cache without memory: the call fails, and the cached pages are kept. */
#include "no_memory.h"
#include "page_cache_world.h"

static void test_a_page_without_memory_is_not_loaded(void **state)
{
    g_autoptr(GError) error = NULL;
    CstPageId id = id_of(6, 0);
    World world;

    setup(&world);
    change(&world, 1, 0, 0, 77);
    g_string_truncate(world.disk->calls, 0);
    no_memory_arm(1);
    assert_fails(cst_page_cache_get(world.cache, &id, &error), &error, CST_ERROR_NO_MEMORY);
    assert_null(find(&world, 6, 0));
    assert_int_equal(find(&world, 1, 0)->data[0], 77);
    for (unsigned i = 6; i < 6 + PAGES - 1; i++)
        assert_int_equal(get(&world, i)->data[0], i + 1);
    for (unsigned i = 6; i < 6 + PAGES - 1; i++) /* as many fit in as ever */
        assert_non_null(find(&world, i, 0));
    assert_calls(&world, "r384+64 r448+64 r512+64 ");
    teardown(&world);
}

static void test_a_new_page_without_memory_leaves_the_cached_one(void **state)
{
    g_autoptr(GError) error = NULL;
    CstPageId id = id_of(1, 0);
    World world;

    setup(&world);
    change(&world, 1, 0, 3, 77);
    no_memory_arm(1);
    assert_fails(cst_page_cache_add(world.cache, &id, &error), &error, CST_ERROR_NO_MEMORY);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 1);
    assert_int_equal(find(&world, 1, 0)->data[3], 77);
    assert_int_equal(cst_page_cache_add(world.cache, &id, NULL)->data[3], 0);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 1);
    teardown(&world);
}

/* Eviction allocates no memory, so a full cache works without any. */
static void test_a_full_cache_needs_no_memory(void **state)
{
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        get(&world, i);
    no_memory_arm(1);
    assert_int_equal(get(&world, 8)->data[0], 9);
    assert_false(no_memory_struck());
    no_memory_arm(0);
    teardown(&world);
}

static void test_changes_that_cannot_be_listed_stay(void **state)
{
    g_autoptr(GError) error = NULL;
    World world;

    setup(&world);
    change(&world, 2, 0, 0, 77);
    g_string_truncate(world.disk->calls, 0);
    no_memory_arm(1);
    assert_false(cst_page_cache_write(world.cache, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_NO_MEMORY));
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 1);
    assert_calls(&world, "");
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w128+1 ");
    teardown(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_without_memory_is_not_loaded),
        cmocka_unit_test(test_a_new_page_without_memory_leaves_the_cached_one),
        cmocka_unit_test(test_a_full_cache_needs_no_memory),
        cmocka_unit_test(test_changes_that_cannot_be_listed_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
