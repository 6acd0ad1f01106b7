/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The page cache for the tables of all formats: writing and dropping pages. */
#include "page_cache_world.h"

static void test_without_a_hook_the_cache_writes_its_groups(void **state)
{
    const CstPageCacheHooks hooks = {.spill = NULL};
    World world;

    setup_with(&world, &hooks);
    for (unsigned i = 0; i < PAGES; i++)
        change(&world, i, 1 - i % 2, 0, 77);
    g_string_truncate(world.disk->calls, 0);
    get(&world, 8);
    assert_calls(&world, "w64+1 w192+1 w0+1 w128+1 r512+64 ");
    teardown(&world);

    setup_with(&world, &hooks);
    for (unsigned i = 0; i < PAGES; i++)
        change(&world, i, i % 2, 0, 77);
    world.disk->bad_write = 0;
    assert_null(cst_page_cache_get(world.cache, &(CstPageId){.key = 9, .length = PAGE}, NULL));
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 1), 2); /* not tried after a failure */
    teardown(&world);
}

static void test_write_writes_exactly_the_dirty_ranges(void **state)
{
    World world;
    CstPage *page;

    setup(&world);
    change(&world, 5, 0, 7, 70);
    change(&world, 1, 0, 0, 10);
    change(&world, 1, 0, PAGE - 1, 11);
    change(&world, 3, 0, 20, 30);
    page = get(&world, 3);
    assert_true(cst_page_cache_dirty_range(world.cache, page, 12, 4, NULL));
    get(&world, 2);
    g_string_truncate(world.disk->calls, 0);
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w64+64 w204+9 w327+1 ");
    assert_int_equal(world.disk->content[64], 10);
    assert_int_equal(world.disk->content[65], 2);
    assert_int_equal(world.disk->content[127], 11);
    assert_int_equal(world.disk->content[192 + 20], 30);
    assert_int_equal(world.disk->content[327], 70);
    assert_true(cst_page_cache_write(world.cache, 0, NULL)); /* no dirty range is left */
    assert_calls(&world, "");
    change(&world, 1, 0, 5, 12); /* and the old range is forgotten */
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w69+1 ");
    page = get(&world, 2);
    assert_true(cst_page_cache_dirty(world.cache, page, NULL));
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w128+64 ");
    teardown(&world);
}

static void test_a_group_is_written_alone(void **state)
{
    World world;

    setup(&world);
    change(&world, 0, 0, 0, 1);
    change(&world, 1, 1, 0, 1);
    change(&world, 2, 0, 0, 1);
    g_string_truncate(world.disk->calls, 0);
    assert_true(cst_page_cache_write(world.cache, 1, NULL));
    assert_calls(&world, "w64+1 ");
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 2);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 1), 0);
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w0+1 w128+1 ");
    teardown(&world);
}

static void test_groups_have_their_own_keys(void **state)
{
    World world;

    setup(&world);
    change(&world, 1, 0, 0, 50);
    change(&world, 1, 1, 0, 60);
    assert_calls(&world, "r64+64 r64+64 ");
    assert_int_equal(find(&world, 1, 0)->data[0], 50);
    assert_int_equal(find(&world, 1, 1)->data[0], 60);
    assert_ptr_not_equal(find(&world, 1, 0), find(&world, 1, 1));
    teardown(&world);
}

static void test_the_order_is_that_of_the_file(void **state)
{
    World world;

    setup(&world);
    for (unsigned i = 0; i < 3; i++) {
        CstPageId id = {.key = i, .offset = (uint64_t)(8 - i) * PAGE, .length = PAGE};

        assert_non_null(cst_page_cache_add(world.cache, &id, NULL));
    }
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w384+64 w448+64 w512+64 ");
    teardown(&world);
}

static void test_the_mirror_is_written_first(void **state)
{
    CstPageId id = {.key = 1, .offset = 128, .mirror = 640, .length = PAGE};
    g_autoptr(GError) error = NULL;
    World world;
    CstPage *page;

    setup(&world);
    page = cst_page_cache_get(world.cache, &id, NULL);
    assert_int_equal(page->data[0], 3);
    page->data[9] = 90;
    assert_true(cst_page_cache_dirty_range(world.cache, page, 8, 2, NULL));
    assert_calls(&world, "r128+64 ");
    world.disk->bad_write = 648;
    assert_false(cst_page_cache_write(world.cache, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_calls(&world, "w648+2 ");
    world.disk->bad_write = 136;
    assert_false(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w648+2 w136+2 ");
    world.disk->bad_write = NOWHERE;
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w648+2 w136+2 ");
    assert_int_equal(world.disk->content[649], 90);
    assert_int_equal(world.disk->content[137], 90);
    teardown(&world);
}

static void test_a_failed_write_leaves_the_page_dirty(void **state)
{
    g_autoptr(GError) error = NULL;
    World world;

    setup(&world);
    for (unsigned i = 0; i < 3; i++)
        change(&world, i, 0, i + 1, 40);
    g_string_truncate(world.disk->calls, 0);
    world.disk->bad_write = 66;
    assert_false(cst_page_cache_write(world.cache, 0, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_IO));
    assert_calls(&world, "w1+1 w66+1 ");
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 2);
    assert_false(cst_page_is_dirty(find(&world, 0, 0)));
    assert_true(cst_page_is_dirty(find(&world, 1, 0)));
    world.disk->bad_write = NOWHERE;
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w66+1 w131+1 ");
    teardown(&world);
}

static void test_a_new_page_is_zero_and_dirty(void **state)
{
    CstPageId id = {.key = 3, .offset = 192, .length = 48};
    World world;
    CstPage *page;

    setup(&world);
    page = cst_page_cache_add(world.cache, &id, NULL);
    for (unsigned i = 0; i < 48; i++)
        assert_int_equal(page->data[i], 0);
    assert_true(cst_page_is_dirty(page));
    assert_calls(&world, "");
    page->data[0] = 5;
    assert_ptr_equal(cst_page_cache_find(world.cache, id.key, id.group), page);
    page = cst_page_cache_add(world.cache, &id, NULL); /* in place of the old one */
    assert_int_equal(page->data[0], 0);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 1);
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w192+48 ");
    teardown(&world);
}

static void test_a_dropped_page_is_forgotten(void **state)
{
    g_autoptr(GError) error = NULL;
    CstPageId dirty = id_of(1, 0), clean = id_of(2, 0), none = id_of(9, 0);
    World world;
    CstPage *held;

    setup(&world);
    change(&world, 1, 0, 0, 50);
    get(&world, 2);
    held = get(&world, 1);
    cst_page_cache_drop(world.cache, dirty.key, dirty.group);
    cst_page_cache_drop(world.cache, clean.key, clean.group);
    cst_page_cache_drop(world.cache, none.key, none.group);
    assert_null(find(&world, 1, 0));
    assert_null(find(&world, 2, 0));
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 0);
    held->data[0] = 51; /* still memory, but no longer a page */
    assert_false(cst_page_cache_dirty(world.cache, held, &error));
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_INTERNAL));
    g_string_truncate(world.disk->calls, 0);
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "");
    assert_int_equal(get(&world, 1)->data[0], 2); /* read anew */
    assert_calls(&world, "r64+64 ");
    teardown(&world);
}

static void test_dirty_pages_are_listed_and_cleaned_unwritten(void **state)
{
    g_autofree CstPage **pages = NULL;
    World world;

    setup(&world);
    change(&world, 3, 0, 0, 1);
    change(&world, 1, 0, 0, 1);
    change(&world, 2, 1, 0, 1);
    g_string_truncate(world.disk->calls, 0);
    pages = cst_page_cache_dirty_pages(world.cache, 0, NULL);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 2);
    assert_ptr_equal(pages[0], find(&world, 1, 0));
    assert_ptr_equal(pages[1], find(&world, 3, 0));
    cst_page_cache_clean(world.cache, find(&world, 1, 0));
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 1);
    assert_int_equal(find(&world, 1, 0)->data[0], 1);
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_calls(&world, "w192+1 ");
    teardown(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_hook_the_cache_writes_its_groups),
        cmocka_unit_test(test_write_writes_exactly_the_dirty_ranges),
        cmocka_unit_test(test_a_group_is_written_alone),
        cmocka_unit_test(test_groups_have_their_own_keys),
        cmocka_unit_test(test_the_order_is_that_of_the_file),
        cmocka_unit_test(test_the_mirror_is_written_first),
        cmocka_unit_test(test_a_failed_write_leaves_the_page_dirty),
        cmocka_unit_test(test_a_new_page_is_zero_and_dirty),
        cmocka_unit_test(test_a_dropped_page_is_forgotten),
        cmocka_unit_test(test_dirty_pages_are_listed_and_cleaned_unwritten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
