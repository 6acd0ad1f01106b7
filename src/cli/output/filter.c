/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conditions on rows. A recursive-descent parser with bounded depth builds a tree. Values are
 * converted to the kinds of their columns by the parser, so that testing a row only compares.
 */
#include "filter.h"

#include <stdlib.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>

#define DEPTH_MAX 64

typedef enum { NODE_AND, NODE_OR, NODE_NOT, NODE_TEST } NodeKind;
typedef enum { OP_EQ, OP_NE, OP_LE, OP_GE, OP_LT, OP_GT, OP_MATCH, OP_NO_MATCH } Operator;

struct CliFilter {
    NodeKind kind;
    CliFilter *left, *right; /* NOT: left only; TEST: both NULL */
    const CliColumn *column;
    guint index;               /* of the column */
    const CliColumn *compared; /* the column on the right side; NULL: a value */
    guint compared_index;
    Operator op;
    gboolean absent; /* the value is "-" */
    char *text;      /* for TEXT and WORD; else NULL */
    uint64_t number; /* for all other kinds */
    GRegex *regex;
};

typedef struct {
    const char *start, *at;
    const CliColumn *columns;
    guint n_columns;
    guint depth;
} Parser;

/* --- columns ---------------------------------------------------------------------------------- */

int cli_column_find(const CliColumn *columns, guint n_columns, const char *key)
{
    g_autofree char *spelt = g_strdelimit(g_strdup(key), "-", '_');

    for (guint i = 0; i < n_columns; i++)
        if (columns[i].key && g_str_equal(columns[i].key, spelt))
            return (int)i;
    return -1;
}

gboolean cli_column_unknown(const CliColumn *columns, guint n_columns, const char *key,
                            GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < n_columns; i++)
        if (columns[i].key)
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", columns[i].key);
    return cst_fail(error, CST_ERROR_USAGE, _("there is no column '%s'; there are: %s"), key,
                    names->str);
}

/* --- values ----------------------------------------------------------------------------------- */

/* "90", "90s", "15m", "12h", "7d". */
/* Parses a time, or a duration before now ("-7d"). */
static gboolean read_time(const char *text, uint64_t *ret_seconds)
{
    int64_t time;
    uint64_t ago;

    if (*text == '-' && cst_units_parse_seconds(text + 1, &ago))
        time = MAX(g_get_real_time() / G_USEC_PER_SEC - (int64_t)ago, 0);
    else if (!cli_parse_time(text, &time) || time < 0)
        return FALSE;
    *ret_seconds = (uint64_t)time;
    return TRUE;
}

/* Hundredths of a percent. */
static gboolean read_percent(const char *text, uint64_t *ret_hundredths)
{
    char *end;
    double value = g_ascii_strtod(text, &end);

    if (end == text || (*end == '%' ? end[1] : *end) || !(value >= 0 && value <= 1e9))
        return FALSE;
    *ret_hundredths = (uint64_t)(value * 100 + 0.5);
    return TRUE;
}

static gboolean read_bool(const char *text, uint64_t *ret_value)
{
    *ret_value = g_str_equal(text, "yes") || g_str_equal(text, "true");
    return *ret_value || g_str_equal(text, "no") || g_str_equal(text, "false");
}

static gboolean filter_read_number(CliCellKind kind, const char *text, uint64_t *ret_number)
{
    switch (kind) {
    case CLI_CELL_BOOL: return read_bool(text, ret_number);
    case CLI_CELL_SIZE: return cst_units_parse(text, 1, ret_number, NULL);
    case CLI_CELL_DURATION: return cst_units_parse_seconds(text, ret_number);
    case CLI_CELL_TIME: return read_time(text, ret_number);
    case CLI_CELL_PERCENT: return read_percent(text, ret_number);
    default: return g_ascii_string_to_unsigned(text, 10, 0, UINT64_MAX, ret_number, NULL);
    }
}

static gboolean cell_kind_is_text(CliCellKind kind)
{
    return kind == CLI_CELL_TEXT || kind == CLI_CELL_WORD || kind == CLI_CELL_LIST;
}

/*
 * Make @test compare with the column that @value names. Return: FALSE, with @test unchanged, if
 * @value does not name a column of the same kind. In comparisons of texts, @value is never a
 * column. "format = raw" therefore keeps its meaning if a later version adds a column "raw".
 */
static gboolean filter_set_column(const Parser *parser, CliFilter *test, const char *value)
{
    int index = cli_column_find(parser->columns, parser->n_columns, value);

    if (index < 0 || cell_kind_is_text(test->column->kind) ||
        parser->columns[index].kind != test->column->kind)
        return FALSE;
    test->compared = &parser->columns[index];
    test->compared_index = (guint)index;
    return TRUE;
}

/* Set the value that @test compares with. */
static gboolean filter_set_value(const Parser *parser, CliFilter *test, const char *value,
                                 GError **error)
{
    gboolean matches = test->op == OP_MATCH || test->op == OP_NO_MATCH;
    g_autoptr(GError) why = NULL;

    if (matches && !cell_kind_is_text(test->column->kind))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("'~' compares texts, and column '%s' has no text"), test->column->key);
    if (matches) {
        test->regex = g_regex_new(value, 0, 0, &why);
        return test->regex || cst_fail(error, CST_ERROR_USAGE,
                                       _("'%s' is no regular expression: %s"), value, why->message);
    }
    test->absent = g_str_equal(value, "-");
    if (test->absent)
        return test->op == OP_EQ || test->op == OP_NE ||
               cst_fail(error, CST_ERROR_USAGE, _("'-' stands for no value: use it with = or !="));
    if (test->column->kind == CLI_CELL_LIST && !matches && test->op != OP_EQ && test->op != OP_NE)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("column '%s' is a list: test its words with =, !=, ~ or !~"),
                        test->column->key);
    if (cell_kind_is_text(test->column->kind)) {
        test->text = g_strdup(value);
        return TRUE;
    }
    return filter_read_number(test->column->kind, value, &test->number) ||
           filter_set_column(parser, test, value) ||
           cst_fail(error, CST_ERROR_USAGE, _("'%s' is no value of column '%s'"), value,
                    test->column->key);
}

/* --- parsing ---------------------------------------------------------------------------------- */

static void skip_blanks(Parser *parser)
{
    while (g_ascii_isspace(*parser->at))
        parser->at++;
}

static gboolean fail_here(const Parser *parser, const char *expected, GError **error)
{
    return *parser->at ? cst_fail(error, CST_ERROR_USAGE, _("%s expected before '%s' in '%s'"),
                                  expected, parser->at, parser->start)
                       : cst_fail(error, CST_ERROR_USAGE, _("%s expected at the end of '%s'"),
                                  expected, parser->start);
}

static gboolean is_name_char(char c)
{
    return g_ascii_isalnum(c) || c == '_' || c == '-';
}

/* Consume @word (in lower case), unless it is only the start of a longer name. */
static gboolean filter_parse_keyword(Parser *parser, const char *word)
{
    size_t len = strlen(word);

    skip_blanks(parser);
    if (g_ascii_strncasecmp(parser->at, word, len) != 0 || is_name_char(parser->at[len]))
        return FALSE;
    parser->at += len;
    return TRUE;
}

static gboolean filter_parse_operator(Parser *parser, Operator *ret_op)
{
    /* Operators of two characters come first. */
    static const struct {
        const char *text;
        Operator op;
    } operators[] = {{"!=", OP_NE}, {"!~", OP_NO_MATCH}, {"<=", OP_LE},
                     {">=", OP_GE}, {"==", OP_EQ},       {"=", OP_EQ},
                     {"<", OP_LT},  {">", OP_GT},        {"~", OP_MATCH}};

    skip_blanks(parser);
    for (guint i = 0; i < G_N_ELEMENTS(operators); i++)
        if (g_str_has_prefix(parser->at, operators[i].text)) {
            parser->at += strlen(operators[i].text);
            *ret_op = operators[i].op;
            return TRUE;
        }
    return FALSE;
}

/* Consume a word or a quoted text. Return: NULL if neither is next. */
static char *filter_parse_text(Parser *parser)
{
    const char *start;

    skip_blanks(parser);
    start = parser->at;
    if (*start == '\'' || *start == '"') {
        const char *end = strchr(start + 1, *start);

        if (!end)
            return NULL;
        parser->at = end + 1;
        return g_strndup(start + 1, end - start - 1);
    }
    while (*parser->at && !g_ascii_isspace(*parser->at) && *parser->at != ')')
        parser->at++;
    return parser->at > start ? g_strndup(start, parser->at - start) : NULL;
}

static CliFilter *filter_parse_test(Parser *parser, GError **error)
{
    g_autoptr(CliFilter) test = g_new0(CliFilter, 1);
    g_autofree char *key = NULL, *value = NULL;
    const char *start;
    int index;

    skip_blanks(parser);
    start = parser->at;
    while (is_name_char(*parser->at))
        parser->at++;
    key = g_strndup(start, parser->at - start);
    if (!*key) {
        fail_here(parser, _("a column"), error);
        return NULL;
    }
    index = cli_column_find(parser->columns, parser->n_columns, key);
    if (index < 0) {
        cli_column_unknown(parser->columns, parser->n_columns, key, error);
        return NULL;
    }
    test->kind = NODE_TEST;
    test->index = (guint)index;
    test->column = &parser->columns[index];
    if (!filter_parse_operator(parser, &test->op)) {
        fail_here(parser, _("one of = != < <= > >= ~ !~"), error);
        return NULL;
    }
    value = filter_parse_text(parser);
    if (!value) {
        fail_here(parser, _("a value"), error);
        return NULL;
    }
    return filter_set_value(parser, test, value, error) ? g_steal_pointer(&test) : NULL;
}

static CliFilter *node_new(NodeKind kind, CliFilter *left, CliFilter *right)
{
    CliFilter *node = g_new0(CliFilter, 1);

    node->kind = kind;
    node->left = left;
    node->right = right;
    return node;
}

static CliFilter *filter_parse_condition(Parser *parser, GError **error);

static CliFilter *filter_parse_factor(Parser *parser, GError **error)
{
    g_autoptr(CliFilter) inner = NULL;

    if (parser->depth >= DEPTH_MAX) {
        cst_fail(error, CST_ERROR_USAGE, _("the condition is nested too deeply"));
        return NULL;
    }
    parser->depth++;
    if (filter_parse_keyword(parser, "not")) {
        inner = filter_parse_factor(parser, error);
        parser->depth--;
        return inner ? node_new(NODE_NOT, g_steal_pointer(&inner), NULL) : NULL;
    }
    skip_blanks(parser);
    if (*parser->at != '(') {
        parser->depth--;
        return filter_parse_test(parser, error);
    }
    parser->at++;
    inner = filter_parse_condition(parser, error);
    parser->depth--;
    skip_blanks(parser);
    if (inner && *parser->at != ')') {
        fail_here(parser, "')'", error);
        return NULL;
    }
    parser->at++;
    return g_steal_pointer(&inner);
}

/* Parse one or more parts that are joined by @word. */
static CliFilter *filter_parse_joined(Parser *parser, const char *word, NodeKind kind,
                                      CliFilter *(*take_part)(Parser *parser, GError **error),
                                      GError **error)
{
    g_autoptr(CliFilter) all = take_part(parser, error);

    while (all && filter_parse_keyword(parser, word)) {
        CliFilter *next = take_part(parser, error);

        if (!next)
            return NULL;
        all = node_new(kind, g_steal_pointer(&all), next);
    }
    return g_steal_pointer(&all);
}

static CliFilter *filter_parse_term(Parser *parser, GError **error)
{
    return filter_parse_joined(parser, "and", NODE_AND, filter_parse_factor, error);
}

static CliFilter *filter_parse_condition(Parser *parser, GError **error)
{
    return filter_parse_joined(parser, "or", NODE_OR, filter_parse_term, error);
}

CliFilter *cli_filter_parse(const char *text, const CliColumn *columns, guint n_columns,
                            GError **error)
{
    Parser parser = {.start = text, .at = text, .columns = columns, .n_columns = n_columns};
    g_autoptr(CliFilter) filter = filter_parse_condition(&parser, error);

    skip_blanks(&parser);
    if (filter && *parser.at) {
        fail_here(&parser, _("'and' or 'or'"), error);
        return NULL;
    }
    return g_steal_pointer(&filter);
}

void cli_filter_free(CliFilter *filter)
{
    if (!filter)
        return;
    cli_filter_free(filter->left);
    cli_filter_free(filter->right);
    g_free(filter->text);
    g_clear_pointer(&filter->regex, g_regex_unref);
    g_free(filter);
}

/* --- rows ------------------------------------------------------------------------------------- */

unsigned cli_filter_needs(const CliFilter *filter)
{
    if (!filter)
        return 0;
    return (filter->column ? filter->column->flags : 0) |
           (filter->compared ? filter->compared->flags : 0) | cli_filter_needs(filter->left) |
           cli_filter_needs(filter->right);
}

/* Whether a word of the list equals, or matches, the value. */
static gboolean list_has(const CliFilter *test, const CliCell *cell)
{
    g_auto(GStrv) words = g_strsplit(cell->text, " ", -1);

    for (char **word = words; *word; word++)
        if (test->regex ? g_regex_match(test->regex, *word, 0, NULL)
                        : g_str_equal(*word, test->text))
            return TRUE;
    return FALSE;
}

/* @number is the right side for columns that are not texts. */
static int compare_cell(const CliFilter *test, const CliCell *cell, uint64_t number)
{
    if (test->column->kind == CLI_CELL_WORD)
        return g_ascii_strcasecmp(cell->text, test->text);
    if (test->column->kind == CLI_CELL_TEXT)
        return strcmp(cell->text, test->text);
    return cell->number < number ? -1 : cell->number > number;
}

/* If exactly one of two compared columns is empty, only != is true. */
static gboolean test_cell(const CliFilter *test, const CliCell *cell, const CliCell *compared)
{
    gboolean same = test->absent && !cell->present;
    int order;

    if (compared && cell->present != compared->present)
        return test->op == OP_NE;
    if (test->absent || !cell->present)
        return test->op == OP_EQ ? same : test->op == OP_NE && !same;
    if (test->column->kind == CLI_CELL_LIST)
        return list_has(test, cell) == (test->op == OP_EQ || test->op == OP_MATCH);
    if (test->regex)
        return g_regex_match(test->regex, cell->text, 0, NULL) == (test->op == OP_MATCH);
    order = compare_cell(test, cell, compared ? compared->number : test->number);
    switch (test->op) {
    case OP_EQ: return order == 0;
    case OP_NE: return order != 0;
    case OP_LT: return order < 0;
    case OP_LE: return order <= 0;
    case OP_GT: return order > 0;
    default: return order >= 0;
    }
}

gboolean cli_filter_matches(const CliFilter *filter, const CliTable *table, guint row)
{
    CliCell cell, compared = {0};

    switch (filter->kind) {
    case NODE_AND:
        return cli_filter_matches(filter->left, table, row) &&
               cli_filter_matches(filter->right, table, row);
    case NODE_OR:
        return cli_filter_matches(filter->left, table, row) ||
               cli_filter_matches(filter->right, table, row);
    case NODE_NOT: return !cli_filter_matches(filter->left, table, row);
    default: break;
    }
    cell = cli_table_cell(table, row, filter->index);
    if (filter->compared)
        compared = cli_table_cell(table, row, filter->compared_index);
    return test_cell(filter, &cell, filter->compared ? &compared : NULL);
}
