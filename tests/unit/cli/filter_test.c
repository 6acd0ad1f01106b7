/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <string.h>

#include <base/error.h>
#include <base/units.h>

#include "output/filter.h"

/* Conditions on rows: the meaning of each operator, and the refusals. */

#define HOUR INT64_C(3600)

static const CliColumn columns[] = {
    {"Name", "name", CLI_CELL_TEXT, NULL, 0},
    {"State", "state", CLI_CELL_WORD, NULL, 0},
    {"Used", "used_up", CLI_CELL_BOOL, NULL, CLI_COLUMN_NEEDS},
    {"Size", "size", CLI_CELL_SIZE, NULL, CLI_COLUMN_NEEDS << 1},
    {"Count", "count", CLI_CELL_NUMBER, NULL, 0},
    {"Left", "left", CLI_CELL_DURATION, NULL, 0},
    {"Made", "made", CLI_CELL_TIME, NULL, 0},
    {"Full", "full", CLI_CELL_PERCENT, NULL, CLI_COLUMN_NEEDS << 2},
    {"Limit", "limit", CLI_CELL_SIZE, NULL, CLI_COLUMN_NEEDS << 3},
    {"Place", "place", CLI_CELL_TEXT, NULL, 0},
    {"Words", "words", CLI_CELL_LIST, NULL, 0},
};

/* Row 0 has all values, row 1 only a name and a limit. */
static CliTable *make_table(void)
{
    CliTable *table = cli_table_new(columns, G_N_ELEMENTS(columns));

    cli_table_add_text(table, "vm-1 (old)");
    cli_table_add_word(table, "running");
    cli_table_add_bool(table, TRUE);
    cli_table_add_size(table, 10 * CST_GIB);
    cli_table_add_number(table, 3);
    cli_table_add_duration(table, 90);
    cli_table_add_time(table, g_get_real_time() / G_USEC_PER_SEC - 48 * HOUR);
    cli_table_add_percent(table, 1, 3);
    cli_table_add_size(table, 12 * CST_GIB);
    cli_table_add_text(table, "name");
    cli_table_add_list(table, "gold nightly");
    cli_table_add_text(table, "b");
    cli_table_add_word(table, NULL);
    cli_table_add_known_bool(table, FALSE, TRUE);
    cli_table_add_known_size(table, FALSE, 10 * CST_GIB);
    cli_table_add_known_number(table, FALSE, 3);
    cli_table_add_known_duration(table, FALSE, 90);
    cli_table_add_time(table, 0);
    cli_table_add_percent(table, 1, 0);
    cli_table_add_size(table, 10 * CST_GIB);
    cli_table_add_text(table, "b");
    cli_table_add_list(table, NULL);
    return table;
}

/* Both rows as digits: "10" is the first only. */
static void finds(const char *text, const char *rows)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CliTable) table = make_table();
    g_autoptr(CliFilter) filter = cli_filter_parse(text, columns, G_N_ELEMENTS(columns), &error);
    char got[3] = "";

    if (!filter)
        fail_msg("%s: %s", text, error->message);
    for (guint row = 0; row < 2; row++)
        got[row] = cli_filter_matches(filter, table, row) ? '1' : '0';
    if (!g_str_equal(got, rows))
        fail_msg("%s: %s, not %s", text, got, rows);
}

static void refuses(const char *text, const char *words)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(CliFilter) filter = cli_filter_parse(text, columns, G_N_ELEMENTS(columns), &error);

    assert_null(filter);
    assert_true(g_error_matches(error, CST_ERROR, CST_ERROR_USAGE));
    if (!strstr(error->message, words))
        fail_msg("%s: %s", text, error->message);
}

static void values_are_their_columns(void **state)
{
    finds("name='vm-1 (old)'", "10");
    finds("name=\"b\"", "01");
    finds("name == b", "01");
    finds("name=B", "00");
    finds("state=RUNNING", "10");
    finds("used_up=yes", "10");
    finds("used-up=true", "10");
    finds("used_up=no", "00");
    finds("size=10G", "10");
    finds("size=10737418240", "10");
    finds("size>9.5G", "10");
    finds("count=3", "10");
    finds("left=90", "10");
    finds("left=90s", "10");
    finds("left>1m", "10");
    finds("left<1h", "10");
    finds("made<-1d", "10");
    finds("made<-3d", "00");
    finds("made>-3d", "10");
    finds("made>2020-01-01", "10");
    finds("made>2020-01-01T03:00:00Z", "10");
    finds("made<2020-01-01", "00");
    finds("full=33.33", "10");
    finds("full>33%", "10");
    finds("full>33.34%", "00");
}

static void operators_compare(void **state)
{
    finds("count<3", "00");
    finds("count<=3", "10");
    finds("count>=3", "10");
    finds("count>3", "00");
    finds("count>2", "10");
    finds("count<4", "10");
    finds("count!=3", "01");
    finds("count!=4", "11");
    finds("name<c", "01");
    finds("name>c", "10");
    finds("name~^vm-[0-9]", "10");
    finds("name~m-1", "10");
    finds("name!~^vm", "01");
    finds("state!~^run", "00");
}

static void columns_of_one_kind_compare_with_each_other(void **state)
{
    finds("size < limit", "10");
    finds("limit>size", "10");
    finds("size >= limit", "00");
    finds("size = limit", "00");
    finds("limit = limit", "11");
    /* An empty cell differs from each value, and no other operator holds for it. */
    finds("size != limit", "11");
    finds("limit != size", "11");
    finds("not size < limit", "01");
    finds("limit <= size", "00");
    /* Texts stay values. */
    finds("place = name", "10");
    refuses("size > count", "'count' is no value of column 'size'");
    refuses("size > name", "'name' is no value of column 'size'");
}

static void list_is_tested_word_by_word(void **state)
{
    finds("words = nightly", "10");
    finds("words = gold", "10");
    finds("words = night", "00");
    finds("words = 'gold nightly'", "00");
    finds("words != gold", "01");
    finds("words != silver", "11");
    finds("words ~ ^night", "10");
    finds("words ~ 'd n'", "00");
    finds("words !~ ^night", "00");
    finds("words !~ ^silver", "10");
    finds("words = -", "01");
    refuses("words > gold", "list");
}

static void rows_without_a_value(void **state)
{
    finds("state=-", "01");
    finds("state!=-", "10");
    finds("size=-", "01");
    finds("size<=100G", "10");
    finds("size!=1G", "11");
    finds("not size<=100G", "01");
}

static void conditions_are_joined(void **state)
{
    finds("name=b and count=3", "00");
    finds("name=b or count=3", "11");
    finds("name=b OR count=3", "11");
    /* "and" binds more tightly. */
    finds("name=b or name=x and name=y", "01");
    finds("(name=b or name=x) and name=y", "00");
    finds("not name=b", "10");
    finds("not not name=b", "01");
    finds("not (name=b or count=3)", "00");
    finds("not name=b and count=3", "10");
    finds("((name=b))and(count=-)", "01");
}

static void invalid_filter_is_refused_with_the_position(void **state)
{
    refuses("", "a column expected at the end of ''");
    refuses("nosuch=1", "no column 'nosuch'; there are: name, state, used_up,");
    refuses("name", "one of = != < <= > >= ~ !~ expected at the end of 'name'");
    refuses("name=", "a value expected at the end");
    refuses("name='a", "a value expected before ''a'");
    refuses("name=a b", "'and' or 'or' expected before 'b'");
    refuses("name=a and", "a column expected at the end");
    refuses("(name=a", "')' expected at the end");
    refuses("name=a)", "'and' or 'or' expected before ')'");
    refuses("size=ten", "'ten' is no value of column 'size'");
    refuses("size<-", "'-' stands for no value");
    refuses("count=-1", "'-1' is no value of column 'count'");
    refuses("used_up=maybe", "'maybe' is no value");
    refuses("left=5q", "'5q' is no value");
    refuses("left=99999999999999999999", "is no value");
    refuses("left=9223372036854775807d", "is no value");
    refuses("made=yesterday", "'yesterday' is no value");
    refuses("full=x%", "'x%' is no value");
    refuses("full=1%%", "'1%%' is no value");
    refuses("full=-1", "'-1' is no value");
    refuses("full=nan", "'nan' is no value");
    refuses("size~1", "'~' compares texts");
    refuses("name~(", "is no regular expression");
}

static void nesting_has_an_end(void **state)
{
    g_autofree char *deep = g_strnfill(100000, '(');
    g_autofree char *nots = g_malloc(400001);

    for (int i = 0; i < 100000; i++)
        memcpy(nots + 4 * i, "not ", 4);
    nots[400000] = '\0';
    refuses(deep, "nested too deeply");
    refuses(nots, "nested too deeply");
    finds("((((((((((name=b))))))))))", "01");
}

static void filter_reports_the_fields_that_it_needs(void **state)
{
    g_autoptr(CliFilter) filter = cli_filter_parse("name=a and (size>1 or not used_up=yes)",
                                                   columns, G_N_ELEMENTS(columns), NULL);

    assert_int_equal(cli_filter_needs(filter), CLI_COLUMN_NEEDS | CLI_COLUMN_NEEDS << 1);
    cli_filter_free(filter);
    filter = cli_filter_parse("size > limit", columns, G_N_ELEMENTS(columns), NULL);
    assert_int_equal(cli_filter_needs(filter), CLI_COLUMN_NEEDS << 1 | CLI_COLUMN_NEEDS << 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_their_columns),
        cmocka_unit_test(operators_compare),
        cmocka_unit_test(columns_of_one_kind_compare_with_each_other),
        cmocka_unit_test(list_is_tested_word_by_word),
        cmocka_unit_test(rows_without_a_value),
        cmocka_unit_test(conditions_are_joined),
        cmocka_unit_test(invalid_filter_is_refused_with_the_position),
        cmocka_unit_test(nesting_has_an_end),
        cmocka_unit_test(filter_reports_the_fields_that_it_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
