/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lists with the columns, order and rows that the user asked for. A command reads the view before
 * it queries a server, because the view determines the columns to fill in. The command then adds
 * all rows. Cells of unneeded columns are absent. The view selects, sorts and prints.
 */
#include "view.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

static const char *const forms[] = {NULL, "table", "json", "csv", "yaml", NULL};

typedef struct {
    guint column;
    gboolean downwards;
} CliSortKey;

void cli_view_clear(CliView *view)
{
    g_clear_pointer(&view->shown, g_array_unref);
    g_clear_pointer(&view->sort, g_array_unref);
    g_clear_pointer(&view->filter, cli_filter_free);
}

static gboolean find_column(CliView *view, const char *key, guint *ret_column, GError **error)
{
    int column = cli_column_find(view->columns, view->n_columns, key);

    if (column < 0)
        return cli_column_unknown(view->columns, view->n_columns, key, error);
    *ret_column = (guint)column;
    view->needs |= view->columns[column].flags;
    return TRUE;
}

/* --- options ---------------------------------------------------------------------------------- */

static void view_show_column(CliView *view, guint column)
{
    for (guint i = 0; i < view->shown->len; i++)
        if (g_array_index(view->shown, guint, i) == column)
            return;
    g_array_append_val(view->shown, column);
}

static gboolean show_list(CliView *view, const char *list, GError **error)
{
    g_auto(GStrv) keys = g_strsplit(list, ",", -1);

    for (char **key = keys; *key; key++) {
        guint column = 0;

        if (!find_column(view, *key, &column, error))
            return FALSE;
        view_show_column(view, column);
    }
    return TRUE;
}

static void view_show_all(CliView *view, unsigned hidden)
{
    for (guint i = 0; i < view->n_columns; i++)
        if (view->columns[i].key && !(view->columns[i].flags & hidden)) {
            view->needs |= view->columns[i].flags;
            view_show_column(view, i);
        }
}

static gboolean show_usual(CliView *view, const char *usual, GError **error)
{
    if (usual)
        return show_list(view, usual, error);
    view_show_all(view, CLI_COLUMN_ON_REQUEST);
    return TRUE;
}

/* Show the usual columns without hidden ones. */
static gboolean show_seen(CliView *view, const char *usual, GError **error)
{
    if (!show_usual(view, usual, error))
        return FALSE;
    for (guint i = view->shown->len; i-- > 0;)
        if (view->columns[g_array_index(view->shown, guint, i)].flags & CLI_COLUMN_JSON_ONLY)
            g_array_remove_index(view->shown, i);
    return TRUE;
}

/* @list is the value of --columns. */
static gboolean show_asked(CliView *view, const char *list, const char *usual, GError **error)
{
    if (g_str_equal(list, "all")) {
        view_show_all(view, 0);
        return TRUE;
    }
    return *list == '+' ? show_seen(view, usual, error) && show_list(view, list + 1, error)
                        : show_list(view, list, error);
}

static gboolean read_columns(CliView *view, const CliArgs *args, const char *usual, GError **error)
{
    const char *list;

    view->shown = g_array_new(FALSE, FALSE, sizeof(guint));
    if (!cli_args_string(args, "columns", &list, error))
        return FALSE;
    if (!list)
        return show_usual(view, usual, error);
    view->explicit = TRUE;
    if (show_asked(view, list, usual, error))
        return TRUE;
    if (cli_args_origin(args, "columns"))
        g_prefix_error(error, "%s: ", cli_args_origin(args, "columns"));
    return FALSE;
}

static gboolean read_sort(CliView *view, const CliArgs *args, GError **error)
{
    g_auto(GStrv) keys = NULL;
    const char *list;

    if (!cli_args_string(args, "sort", &list, error))
        return FALSE;
    if (!list)
        return TRUE;
    keys = g_strsplit(list, ",", -1);
    view->sort = g_array_new(FALSE, FALSE, sizeof(CliSortKey));
    for (char **key = keys; *key; key++) {
        CliSortKey one = {.downwards = **key == '-'};

        if (!find_column(view, *key + one.downwards, &one.column, error))
            return FALSE;
        g_array_append_val(view->sort, one);
    }
    return TRUE;
}

static gboolean read_filter(CliView *view, const CliArgs *args, GError **error)
{
    const char *text;

    if (!cli_args_string(args, "filter", &text, error))
        return FALSE;
    if (!text)
        return TRUE;
    view->filter = cli_filter_parse(text, view->columns, view->n_columns, error);
    view->needs |= cli_filter_needs(view->filter);
    return view->filter != NULL;
}

static gboolean read_form(CliView *view, const CliArgs *args, GError **error)
{
    const char *name;

    if (!cli_args_exclusive(args, "format", "parsable", error) ||
        !cli_args_string(args, "format", &name, error))
        return FALSE;
    if (cli_args_has(args, "parsable"))
        view->form = CLI_FORM_PARSABLE;
    for (guint i = CLI_FORM_TABLE; name && forms[i]; i++)
        if (g_str_equal(name, forms[i]))
            view->form = (CliForm)i;
    return !name || view->form ||
           cst_fail(error, CST_ERROR_USAGE, _("--format takes table, json, csv or yaml, not '%s'"),
                    name);
}

gboolean cli_view_read(CliView *ret_view, const CliArgs *args, const CliColumn *columns,
                       guint n_columns, const char *usual, GError **error)
{
    *ret_view = (CliView){.columns = columns, .n_columns = n_columns};
    return read_form(ret_view, args, error) && read_columns(ret_view, args, usual, error) &&
           read_sort(ret_view, args, error) && read_filter(ret_view, args, error);
}

void cli_view_hide(CliView *view, const char *key)
{
    int column = cli_column_find(view->columns, view->n_columns, key);

    for (guint i = view->shown->len; !view->explicit && i-- > 0;)
        if ((int)g_array_index(view->shown, guint, i) == column)
            g_array_remove_index(view->shown, i);
}

/* --- rows ------------------------------------------------------------------------------------- */

typedef struct {
    const CliView *view;
    const CliTable *table;
} Sorting;

static int compare_values(CliCellKind kind, const CliCell *a, const CliCell *b)
{
    if (kind != CLI_CELL_TEXT && kind != CLI_CELL_WORD && kind != CLI_CELL_LIST)
        return a->number < b->number ? -1 : a->number > b->number;
    return g_ascii_strcasecmp(a->text, b->text);
}

/* Rows without a value come last in both directions. Equal rows keep their order. */
static int compare_sorted_rows(gconstpointer a, gconstpointer b, gpointer data)
{
    const Sorting *sorting = data;
    guint one = *(const guint *)a, two = *(const guint *)b;

    for (guint i = 0; i < sorting->view->sort->len; i++) {
        const CliSortKey *key = &g_array_index(sorting->view->sort, CliSortKey, i);
        CliCell left = cli_table_cell(sorting->table, one, key->column);
        CliCell right = cli_table_cell(sorting->table, two, key->column);
        int order;

        if (!left.present || !right.present)
            order = right.present - left.present;
        else
            order = compare_values(sorting->view->columns[key->column].kind, &left, &right) *
                    (key->downwards ? -1 : 1);
        if (order != 0)
            return order;
    }
    return one < two ? -1 : one > two;
}

static GArray *pick_rows(const CliView *view, const CliTable *table)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(guint));
    Sorting sorting = {view, table};

    for (guint row = 0; row < cli_table_row_count(table); row++)
        if (!view->filter || cli_filter_matches(view->filter, table, row))
            g_array_append_val(rows, row);
    if (view->sort)
        g_array_sort_with_data(rows, compare_sorted_rows, &sorting);
    return rows;
}

/*
 * The shown columns. For people, columns with CLI_COLUMN_JSON_ONLY are omitted, unless --columns
 * named them.
 */
static GArray *pick_columns(const CliView *view, gboolean people)
{
    GArray *columns = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint i = 0; i < view->shown->len; i++) {
        guint column = g_array_index(view->shown, guint, i);

        if (view->explicit || !people || !(view->columns[column].flags & CLI_COLUMN_JSON_ONLY))
            g_array_append_val(columns, column);
    }
    return columns;
}

void cli_view_print(CliCtl *ctl, const CliView *view, CliTable *table, const char *key)
{
    CliForm form = view->form ? view->form : ctl->settings.json ? CLI_FORM_JSON : CLI_FORM_TABLE;
    g_autoptr(GArray) columns = pick_columns(view, form != CLI_FORM_JSON && form != CLI_FORM_YAML);
    g_autoptr(GArray) rows = pick_rows(view, table);

    cli_table_arrange(table, columns, rows);
    ctl->out_is_data = form != CLI_FORM_TABLE;
    switch (form) {
    case CLI_FORM_CSV: cli_table_print_csv(ctl, table); break;
    case CLI_FORM_YAML: cli_table_print_yaml(ctl, table, key); break;
    case CLI_FORM_PARSABLE: cli_table_print_parsable(ctl, table); break;
    case CLI_FORM_JSON: cli_table_print_json(ctl, table, key); break;
    default: cli_table_print(ctl, table, key); break;
    }
}

/* --- completion ------------------------------------------------------------------------------- */

void cli_view_complete(const CliColumn *columns, guint n_columns, GPtrArray *words)
{
    for (guint i = 0; i < n_columns; i++)
        if (columns[i].key)
            g_ptr_array_add(words, g_strdup(columns[i].key));
}

void cli_view_complete_forms(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (guint i = CLI_FORM_TABLE; forms[i]; i++)
        g_ptr_array_add(words, g_strdup(forms[i]));
}
