/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The page cache for the tables of all formats: loading and eviction.
 */
#include "page_cache_world.h"

static void test_a_page_is_read_once(void **state)
{
    World world;
    CstPage *page;

    setup(&world);
    page = get(&world, 2);
    assert_int_equal(page->data[0], 3);
    assert_int_equal(page->data[PAGE - 1], 3);
    assert_calls(&world, "r128+64 ");
    get(&world, 3);
    assert_calls(&world, "r192+64 ");
    assert_ptr_equal(get(&world, 2), page);
    assert_ptr_equal(get(&world, 2), page);
    assert_ptr_equal(find(&world, 2, 0), page);
    assert_null(find(&world, 4, 0));
    assert_calls(&world, "");
    teardown(&world);
}

static void test_the_page_that_was_not_used_longest_is_evicted(void **state)
{
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        get(&world, i);
    get(&world, 0); /* which gets a second chance */
    get(&world, 4);
    assert_null(find(&world, 1, 0));
    get(&world, 5);
    assert_null(find(&world, 2, 0));
    get(&world, 6);
    assert_null(find(&world, 3, 0));
    get(&world, 7); /* and no third one */
    assert_null(find(&world, 0, 0));
    for (unsigned i = 4; i < 8; i++)
        assert_non_null(find(&world, i, 0));
    get(&world, 8); /* all were used: one has to go */
    assert_non_null(find(&world, 8, 0));
    assert_int_equal(world.spills, 0);
    teardown(&world);
}

static void test_a_page_that_was_written_is_evicted_last(void **state)
{
    World world;

    setup(&world);
    change(&world, 0, 0, 0, 1);
    for (unsigned i = 1; i < PAGES; i++)
        get(&world, i);
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    for (unsigned i = PAGES; i < 2 * PAGES - 1; i++)
        get(&world, i);
    assert_non_null(find(&world, 0, 0));
    teardown(&world);
}

/* The shortcut to the page found last must not hide that other pages were moved before it. */
static void test_use_after_a_write_counts(void **state)
{
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        change(&world, i, 1, 0, 1);
    find(&world, 0, 1);
    assert_true(cst_page_cache_write(world.cache, 1, NULL));
    find(&world, 0, 1);
    get(&world, 10);
    assert_non_null(find(&world, 0, 1));
    assert_null(find(&world, 1, 1));
    teardown(&world);
}

static void test_dirty_pages_stay(void **state)
{
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES - 1; i++)
        change(&world, i, i % 2, 0, 77);
    for (unsigned i = 8; i < 12; i++)
        get(&world, i);
    for (unsigned i = 0; i < PAGES - 1; i++)
        assert_int_equal(find(&world, i, i % 2)->data[0], 77);
    assert_int_equal(world.spills, 0);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 2);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 1), 1);
    teardown(&world);
}

static void test_a_full_cache_spills(void **state)
{
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        change(&world, i, i % 2, 0, 77);
    g_string_truncate(world.disk->calls, 0);
    get(&world, 8);
    assert_int_equal(world.spills, 1);
    assert_calls(&world, "w64+1 w192+1 r512+64 ");
    assert_null(find(&world, 1, 1)); /* the first that was written */
    assert_non_null(find(&world, 3, 1));
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 2);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 1), 0);
    teardown(&world);
}

static void test_spill_that_fails_or_has_no_effect_is_an_error(void **state)
{
    g_autoptr(GError) error = NULL;
    CstPageId id = id_of(8, 0);
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        change(&world, i, 1, 0, 77);
    world.spill_fails = TRUE;
    assert_fails(cst_page_cache_get(world.cache, &id, &error), &error, CST_ERROR_NO_SPACE);
    assert_fails(cst_page_cache_add(world.cache, &id, &error), &error, CST_ERROR_NO_SPACE);
    world.spill_fails = FALSE;
    world.spill_does_nothing = TRUE;
    assert_fails(cst_page_cache_get(world.cache, &id, &error), &error, CST_ERROR_INTERNAL);
    assert_fails(cst_page_cache_add(world.cache, &id, &error), &error, CST_ERROR_INTERNAL);
    for (unsigned i = 0; i < PAGES; i++)
        assert_int_equal(find(&world, i, 1)->data[0], 77);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 1), PAGES);
    world.spill_does_nothing = FALSE;
    assert_non_null(cst_page_cache_get(world.cache, &id, NULL));
    teardown(&world);
}

/* As qcow2 does, which counts clusters down once its tables are written. */
static void test_a_spill_may_load_the_page_itself(void **state)
{
    CstPageId id = id_of(8, 0);
    World world;
    CstPage *page;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        change(&world, i, 1, 0, 77);
    world.spill_loads = &id;
    g_string_truncate(world.disk->calls, 0);
    page = get(&world, 8);
    assert_int_equal(page->data[0], 99); /* with the change, and not read again */
    assert_calls(&world, "w0+1 w64+1 w128+1 w192+1 r512+64 ");
    assert_true(cst_page_cache_write(world.cache, 0, NULL));
    assert_int_equal(world.disk->content[512], 99);
    teardown(&world);
}

/* Keys of VMDK's grain tables do not encode their offsets. */
static void test_failed_read_caches_no_page(void **state)
{
    g_autoptr(GError) error = NULL;
    CstPageId id = id_of(6, 0);
    World world;

    setup(&world);
    world.disk->bad_read = 6 * PAGE;
    for (int i = 0; i < 2 * PAGES; i++) /* and its memory serves again */
        assert_fails(cst_page_cache_get(world.cache, &id, &error), &error, CST_ERROR_IO);
    assert_null(find(&world, 6, 0));
    world.disk->bad_read = NOWHERE;
    g_string_truncate(world.disk->calls, 0);
    for (unsigned i = 6; i < 6 + PAGES; i++)
        assert_int_equal(get(&world, i)->data[0], i + 1);
    for (unsigned i = 6; i < 6 + PAGES; i++)
        get(&world, i);
    assert_calls(&world, "r384+64 r448+64 r512+64 r576+64 ");
    teardown(&world);
}

/* One page was evicted for the failed read, and its memory is used for the next page. */
static void test_a_failed_read_costs_one_page(void **state)
{
    CstPageId id = id_of(6, 0);
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        get(&world, i);
    world.disk->bad_read = 6 * PAGE;
    assert_null(cst_page_cache_get(world.cache, &id, NULL));
    get(&world, 7);
    assert_null(find(&world, 0, 0));
    for (unsigned i = 1; i < PAGES; i++)
        assert_non_null(find(&world, i, 0));
    teardown(&world);
}

/* The only clean page is evicted. It was also the page found last. */
static void test_a_failed_read_over_the_page_found_last(void **state)
{
    CstPageId id = id_of(6, 0);
    World world;

    setup(&world);
    for (unsigned i = 1; i < PAGES; i++)
        change(&world, i, 0, 0, 1);
    get(&world, 0);
    world.disk->bad_read = 6 * PAGE;
    assert_null(cst_page_cache_get(world.cache, &id, NULL));
    assert_null(find(&world, 6, 0));
    assert_null(find(&world, 0, 0));
    teardown(&world);
}

static void test_tables_outside_the_file(void **state)
{
    static const struct {
        uint64_t offset;
        uint32_t length;
        gboolean inside;
    } rows[] = {
        {FILE_SIZE - PAGE, PAGE, TRUE}, {FILE_SIZE - PAGE + 1, PAGE, FALSE},
        {FILE_SIZE - 8, 8, TRUE},       {FILE_SIZE - 8, 9, FALSE},
        {FILE_SIZE, 1, FALSE},          {FILE_SIZE + 1, 1, FALSE},
        {UINT64_MAX, PAGE, FALSE},      {UINT64_MAX - PAGE + 1, PAGE, FALSE},
    };
    g_autoptr(GError) error = NULL;
    World world;

    setup(&world);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        CstPageId id = {.key = i, .offset = rows[i].offset, .length = rows[i].length};
        const CstPage *page = cst_page_cache_get(world.cache, &id, &error);

        g_string_truncate(world.disk->calls, 0);
        if (rows[i].inside) {
            assert_non_null(page);
            continue;
        }
        assert_non_null(error);
        assert_string_equal(error->message, "a table of 'disk' lies outside the file");
        assert_fails(page, &error, CST_ERROR_CORRUPT);
    }
    teardown(&world);
}

/* The memory of a dropped page is used before another page is evicted. */
static void test_dropped_pages_are_reused_first(void **state)
{
    CstPageId dropped = id_of(2, 0);
    World world;

    setup(&world);
    for (unsigned i = 0; i < PAGES; i++)
        get(&world, i);
    get(&world, 2); /* no second chance for this one */
    cst_page_cache_drop(world.cache, dropped.key, dropped.group);
    assert_int_equal(get(&world, 7)->data[0], 8);
    for (unsigned i = 0; i < PAGES; i++)
        assert_true((i == 2) == (find(&world, i, 0) == NULL));
    teardown(&world);
}

static void test_clear_forgets_all(void **state)
{
    World world;

    setup(&world);
    change(&world, 0, 0, 0, 1);
    change(&world, 1, 1, 0, 1);
    get(&world, 2);
    cst_page_cache_clear(world.cache);
    for (unsigned i = 0; i < 3; i++)
        assert_null(find(&world, i, i == 1));
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 0), 0);
    assert_int_equal(cst_page_cache_dirty_count(world.cache, 1), 0);
    for (unsigned i = 0; i < PAGES; i++) /* there is room for as many pages as before */
        change(&world, i, 1, 0, 1);
    assert_int_equal(world.spills, 0);
    get(&world, 9);
    assert_int_equal(world.spills, 1);
    teardown(&world);
}

static gboolean load_letters(void *owner, const CstPageId *id, uint8_t *data, GError **error)
{
    if (id->key == 13)
        return cst_fail(error, CST_ERROR_CORRUPT, "load");
    memset(data, (int)('a' + id->key), id->length);
    return TRUE;
}

static void test_the_owner_may_load_pages(void **state)
{
    const CstPageCacheHooks hooks = {.load = load_letters};
    CstPageId id = {.key = 2, .offset = FILE_SIZE * 2, .length = PAGE}, bad = id;
    g_autoptr(GError) error = NULL;
    World world;

    setup_with(&world, &hooks);
    assert_int_equal(cst_page_cache_get(world.cache, &id, NULL)->data[PAGE - 1], 'c');
    bad.key = 13;
    assert_fails(cst_page_cache_get(world.cache, &bad, &error), &error, CST_ERROR_CORRUPT);
    assert_null(cst_page_cache_find(world.cache, bad.key, bad.group));
    assert_calls(&world, "");
    teardown(&world);
    cst_page_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_page_is_read_once),
        cmocka_unit_test(test_the_page_that_was_not_used_longest_is_evicted),
        cmocka_unit_test(test_a_page_that_was_written_is_evicted_last),
        cmocka_unit_test(test_use_after_a_write_counts),
        cmocka_unit_test(test_dirty_pages_stay),
        cmocka_unit_test(test_a_full_cache_spills),
        cmocka_unit_test(test_spill_that_fails_or_has_no_effect_is_an_error),
        cmocka_unit_test(test_a_spill_may_load_the_page_itself),
        cmocka_unit_test(test_failed_read_caches_no_page),
        cmocka_unit_test(test_a_failed_read_costs_one_page),
        cmocka_unit_test(test_a_failed_read_over_the_page_found_last),
        cmocka_unit_test(test_tables_outside_the_file),
        cmocka_unit_test(test_dropped_pages_are_reused_first),
        cmocka_unit_test(test_clear_forgets_all),
        cmocka_unit_test(test_the_owner_may_load_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
