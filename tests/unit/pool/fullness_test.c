/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The changes of a pool's fullness that are reported. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pool/fullness.h>

/* Returns the joined news of one store at @hundredths. */
static char *news_at(CstFullness *fullness, guint hundredths, gboolean lost)
{
    g_autoptr(GPtrArray) usage =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_space_usage_free);
    g_autoptr(GPtrArray) news = NULL;

    cst_space_usage_add(usage, hundredths, lost, "room '%s'", "r");
    news = cst_fullness_warnings(fullness, usage);
    assert_true(news->len <= 1);
    return g_strdup(news->len ? g_ptr_array_index(news, 0) : "");
}

static void expect_news(CstFullness *fullness, guint hundredths, gboolean lost,
                        const char *expected)
{
    g_autofree char *news = news_at(fullness, hundredths, lost);

    assert_string_equal(news, expected);
}

static void each_level_is_reported_once(void **unused)
{
    CstFullness *fullness = cst_fullness_new();

    expect_news(fullness, 7999, FALSE, "");
    expect_news(fullness, 8000, FALSE, "room 'r' is full by 80.00%");
    expect_news(fullness, 8999, FALSE, "");
    expect_news(fullness, 9876, FALSE, "room 'r' is full by 98.76%");
    expect_news(fullness, 9900, FALSE, "");
    expect_news(fullness, 10000, TRUE, "room 'r' ran out of space: its content is lost");
    expect_news(fullness, 10000, TRUE, "");
    cst_fullness_free(fullness);
}

static void relieved_level_is_reported_again(void **unused)
{
    CstFullness *fullness = cst_fullness_new();

    expect_news(fullness, 9100, FALSE, "room 'r' is full by 91.00%");
    expect_news(fullness, 5000, FALSE, "");
    expect_news(fullness, 9001, FALSE, "room 'r' is full by 90.01%");
    cst_fullness_free(fullness);
}

static void removed_store_is_forgotten(void **unused)
{
    CstFullness *fullness = cst_fullness_new();
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    GPtrArray *news;

    expect_news(fullness, 9100, FALSE, "room 'r' is full by 91.00%");
    news = cst_fullness_warnings(fullness, none);
    assert_int_equal(news->len, 0);
    g_ptr_array_unref(news);
    expect_news(fullness, 9100, FALSE, "room 'r' is full by 91.00%");
    cst_fullness_free(fullness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_is_reported_once),
        cmocka_unit_test(relieved_level_is_reported_again),
        cmocka_unit_test(removed_store_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
