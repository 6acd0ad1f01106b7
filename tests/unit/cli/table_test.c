/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unit.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "fake_conn.h"
#include "groups.h"
#include "output/table.h"
#include "output/text.h"
#include "output/width.h"

static const CliColumn columns[] = {
    {N_("Name"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("UUID"), "uuid", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("State"), "state", CLI_CELL_WORD, N_("unknown"), 0},
    {N_("Autostart"), "autostart", CLI_CELL_BOOL, NULL, 0},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, "-", 0},
};

static CliTable *make_table(void)
{
    CliTable *table = cli_table_new(columns, G_N_ELEMENTS(columns));

    cli_table_add_text(table, "a");
    cli_table_add_text(table, "u1");
    cli_table_add_word(table, "running");
    cli_table_add_bool(table, TRUE);
    cli_table_add_size(table, UINT64_C(270553174016));
    cli_table_add_text(table, "longer name");
    cli_table_add_text(table, NULL);
    cli_table_add_word(table, NULL);
    cli_table_add_bool(table, FALSE);
    cli_table_add_known_size(table, FALSE, 1);
    return table;
}

typedef void (*Printer)(CliCtl *ctl, const CliTable *table);

static void as_table(CliCtl *ctl, const CliTable *table)
{
    cli_table_print(ctl, table, "rows");
}

static void as_listing(CliCtl *ctl, const CliTable *table)
{
    cli_table_print_listing(ctl, table, "row", 15);
}

/** Returns the output of @print; free() it. */
static char *printed(const CliTable *table, CliSettings settings, Printer print)
{
    char *text = NULL;
    size_t len;
    CliCtl ctl;

    cli_ctl_init(&ctl, &settings, cli_groups());
    ctl.out = open_memstream(&text, &len);
    print(&ctl, table);
    fclose(ctl.out);
    cli_ctl_clear(&ctl);
    return text;
}

static void check(const CliTable *table, CliSettings settings, Printer print, const char *expected)
{
    char *got = printed(table, settings, print);

    assert_string_equal(got, expected);
    free(got);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    g_autoptr(CliTable) table = make_table();

    check(table, (CliSettings){0}, as_table,
          " Name          State     Autostart   Capacity\n"
          "-------------------------------------------------\n"
          " a             running   yes         251.97 GiB\n"
          " longer name   unknown   no          -\n");
}

static void quiet_drops_the_header_and_its_width(void **state)
{
    g_autoptr(CliTable) table = make_table();

    check(table, (CliSettings){.quiet = TRUE}, as_table,
          " a             running   yes   251.97 GiB\n"
          " longer name   unknown   no    -\n");
}

static void bytes_prints_plain_sizes(void **state)
{
    g_autoptr(CliTable) table = make_table();

    check(table, (CliSettings){.quiet = TRUE, .bytes = TRUE}, as_table,
          " a             running   yes   270553174016\n"
          " longer name   unknown   no    -\n");
}

static void json_has_every_column_and_types(void **state)
{
    g_autoptr(CliTable) table = make_table();

    check(table, (CliSettings){.json = TRUE, .quiet = TRUE}, as_table,
          "{\"schema\":1,\"rows\":["
          "{\"name\":\"a\",\"uuid\":\"u1\",\"state\":\"running\",\"autostart\":true,"
          "\"capacity\":270553174016},"
          "{\"name\":\"longer name\",\"uuid\":null,\"state\":null,\"autostart\":false,"
          "\"capacity\":null}]}\n");
}

static void as_yaml(CliCtl *ctl, const CliTable *table)
{
    cli_table_print_yaml(ctl, table, "rows");
}

static void list_is_words_in_text_and_a_list_in_json(void **state)
{
    static const CliColumn one[] = {{"Words", "words", CLI_CELL_LIST, "-", 0}};
    g_autoptr(CliTable) table = cli_table_new(one, G_N_ELEMENTS(one));

    cli_table_add_list(table, "a b");
    cli_table_add_list(table, NULL);
    check(table, (CliSettings){0}, as_table, " Words\n--------\n a b\n -\n");
    check(table, (CliSettings){.json = TRUE}, as_table,
          "{\"schema\":1,\"rows\":[{\"words\":[\"a\",\"b\"]},{\"words\":[]}]}\n");
    check(table, (CliSettings){0}, as_yaml,
          "schema: 1\nrows:\n- words: [\"a\",\"b\"]\n- words: []\n");
}

static void json_escapes_special_bytes_of_names(void **state)
{
    static const CliColumn one[] = {{.title = "Name", .key = "name", .kind = CLI_CELL_TEXT}};
    g_autoptr(CliTable) table = cli_table_new(one, 1);

    cli_table_add_text(table, "a\"b\\c\n\x01\x1f \xff é");
    check(table, (CliSettings){.json = TRUE}, as_table,
          "{\"schema\":1,\"rows\":[{\"name\":\"a\\\"b\\\\c\\n\\u0001\\u001f \xef\xbf\xbd é\"}]}\n");
}

static void json_escapes_each_control_character(void **state)
{
    static const CliColumn one[] = {{.title = "Name", .key = "a-name", .kind = CLI_CELL_TEXT}};
    g_autoptr(CliTable) table = cli_table_new(one, 1);

    cli_table_add_text(table, "\a\b\t\v\f\r\x0e\x1e ~\x7f/");
    cli_table_add_text(table, "");
    check(table, (CliSettings){.json = TRUE}, as_table,
          "{\"schema\":1,\"rows\":[{\"a_name\":\"\\u0007\\b\\t\\u000b\\f\\r\\u000e\\u001e "
          "~\\u007f/\"},{\"a_name\":\"\"}]}\n");
}

static void json_has_no_number_above_its_largest(void **state)
{
    static const CliColumn one[] = {{.title = "Size", .key = "size", .kind = CLI_CELL_SIZE}};
    g_autoptr(CliTable) table = cli_table_new(one, 1);

    cli_table_add_size(table, INT64_MAX - 1);
    cli_table_add_size(table, (uint64_t)INT64_MAX + 1);
    check(table, (CliSettings){.json = TRUE}, as_table,
          "{\"schema\":1,\"rows\":[{\"size\":9223372036854775806},"
          "{\"size\":9223372036854775807}]}\n");
}

static void as_tree(CliCtl *ctl, const CliTable *table)
{
    cli_table_print_tree(ctl, table, "tree");
}

/* A column with a key and no title is for programs, one without a key for people. */
static void a_tree_is_indented_and_nested(void **state)
{
    static const CliColumn tree[] = {
        {.title = "Thing", .kind = CLI_CELL_TEXT},
        {.title = "", .key = "name", .kind = CLI_CELL_TEXT, .flags = CLI_COLUMN_JSON_ONLY},
        {.title = "Number", .key = "number", .kind = CLI_CELL_NUMBER},
    };
    static const guint levels[] = {0, 1, 2, 1};
    g_autoptr(CliTable) table = cli_table_new(tree, G_N_ELEMENTS(tree));

    check(table, (CliSettings){.json = TRUE}, as_tree, "{\"schema\":1,\"tree\":[]}\n");
    for (guint i = 0; i < G_N_ELEMENTS(levels); i++) {
        g_autofree char *name = g_strdup_printf("%c", 'a' + i);

        cli_table_add_level(table, levels[i]);
        cli_table_add_text(table, name);
        cli_table_add_text(table, name);
        cli_table_add_number(table, i);
    }
    check(table, (CliSettings){0}, as_tree,
          " Thing     Number\n"
          "-------------------\n"
          " a         0\n"
          "   - b     1\n"
          "     - c   2\n"
          "   - d     3\n");
    check(table, (CliSettings){.json = TRUE}, as_tree,
          "{\"schema\":1,\"tree\":{\"name\":\"a\",\"number\":0,\"children\":["
          "{\"name\":\"b\",\"number\":1,\"children\":["
          "{\"name\":\"c\",\"number\":2,\"children\":[]}]},"
          "{\"name\":\"d\",\"number\":3,\"children\":[]}]}}\n");
}

static void an_empty_table_is_its_header(void **state)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));

    check(table, (CliSettings){0}, as_table,
          " Name   State   Autostart   Capacity\n"
          "--------------------------------------\n");
    check(table, (CliSettings){.json = TRUE}, as_table, "{\"schema\":1,\"rows\":[]}\n");
}

static const CliColumn labels[] = {
    {N_("Name:"), "name", CLI_CELL_TEXT, NULL, 0},
    {N_("Persistent:"), "persistent", CLI_CELL_BOOL, N_("unknown"), 0},
    {N_("Capacity:"), "capacity", CLI_CELL_SIZE, NULL, 0},
};

static void listing_omits_absent_values(void **state)
{
    g_autoptr(CliTable) table = cli_table_new(labels, G_N_ELEMENTS(labels));

    cli_table_add_text(table, "p");
    cli_table_add_known_bool(table, FALSE, TRUE);
    cli_table_add_known_size(table, FALSE, 1);
    check(table, (CliSettings){0}, as_listing,
          "Name:           p\n"
          "Persistent:     unknown\n");
    check(table, (CliSettings){.json = TRUE}, as_listing,
          "{\"schema\":1,\"row\":{\"name\":\"p\",\"persistent\":null,\"capacity\":null}}\n");
}

static void encodes(const char *text, const char *expected, size_t expected_width)
{
    size_t width;
    g_autofree char *got = cli_table_encode(text, &width);

    assert_string_equal(got, expected);
    assert_int_equal(width, expected_width);
}

static void unprintable_bytes_are_shown_in_hex(void **state)
{
    encodes("plain", "plain", 5);
    encodes("a\tb\n", "a\\x09b\\x0a", 10);
    encodes("a\\b~ ", "a\\b~ ", 5);
    encodes("a\x7f", "a\\x7f", 5);
    encodes("a\\xb", "a\\x5cxb", 7);
    encodes("a\033[2Jb", "a\\x1b[2Jb", 9);
    setlocale(LC_CTYPE, "C");
    encodes("ñ", "\\xc3\\xb1", 8);
}

static void width_is_counted_in_columns(void **state)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    encodes("ñu", "ñu", 2);
    encodes("日本", "日本", 4);
    encodes("\xff", "\\xff", 4);
    assert_int_equal(cli_text_width("línea"), 5);
    setlocale(LC_CTYPE, "C");
}

static void sizes_are_read_as_virsh_prints_them(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } sizes[] = {
        {0, "0.00 B"},
        {1023, "1023.00 B"},
        {1024, "1.00 KiB"},
        {UINT64_C(1) << 20, "1.00 MiB"},
        {UINT64_C(17092767744), "15.92 GiB"},
        {UINT64_C(1) << 40, "1.00 TiB"},
        {UINT64_C(1) << 50, "1.00 PiB"},
        {G_MAXUINT64, "16.00 EiB"},
    };
    CliCtl ctl = {0};

    for (gsize i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *text = cli_size_text(&ctl, sizes[i].bytes);

        assert_string_equal(text, sizes[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(quiet_drops_the_header_and_its_width),
        cmocka_unit_test(bytes_prints_plain_sizes),
        cmocka_unit_test(json_has_every_column_and_types),
        cmocka_unit_test(list_is_words_in_text_and_a_list_in_json),
        cmocka_unit_test(json_escapes_special_bytes_of_names),
        cmocka_unit_test(json_escapes_each_control_character),
        cmocka_unit_test(json_has_no_number_above_its_largest),
        cmocka_unit_test(a_tree_is_indented_and_nested),
        cmocka_unit_test(an_empty_table_is_its_header),
        cmocka_unit_test(listing_omits_absent_values),
        cmocka_unit_test(unprintable_bytes_are_shown_in_hex),
        cmocka_unit_test(width_is_counted_in_columns),
        cmocka_unit_test(sizes_are_read_as_virsh_prints_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
