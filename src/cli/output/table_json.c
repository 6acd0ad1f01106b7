/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables as JSON and as YAML, with values in the syntax of JSON. Rows of a list are printed one by
 * one and not kept in memory. The depth of a tree is bounded, because the tree may come from a
 * server.
 */
#include "table_private.h"

#define DEPTH_MAX 1000  /* valid trees are much less deep */
#define FLUSH_AT  32768 /* flush the text of rows at this size, in bytes */

static void add_json_list(CliJson *json, const char *key, const Cell *cell)
{
    g_auto(GStrv) words = g_strsplit(cell->present ? cell->text : "", " ", -1);

    cli_json_open(json, key, '[');
    for (char **word = words; *word; word++)
        cli_json_add_string(json, NULL, *word);
    cli_json_close(json, ']');
}

/* @key NULL: the value without a name. */
static void add_json_cell(CliJson *json, const char *key, const CliColumn *column, const Cell *cell)
{
    g_autofree char *text = NULL;

    if (column->kind == CLI_CELL_LIST) {
        add_json_list(json, key, cell);
        return;
    }
    if (!cell->present) {
        cli_json_add_string(json, key, NULL);
        return;
    }
    switch (column->kind) {
    case CLI_CELL_LIST: break;
    case CLI_CELL_TEXT: cli_json_add_string(json, key, cell->text); break;
    case CLI_CELL_WORD: cli_json_add_string(json, key, cell->word); break;
    case CLI_CELL_BOOL: cli_json_add_bool(json, key, cell->number != 0); break;
    case CLI_CELL_SIZE:
    case CLI_CELL_NUMBER:
    case CLI_CELL_DURATION: cli_json_add_number(json, key, cell->number); break;
    case CLI_CELL_TIME:
        text = cli_json_time((int64_t)cell->number);
        cli_json_add_string(json, key, text);
        break;
    case CLI_CELL_PERCENT:
        text = g_strdup_printf("%" G_GUINT64_FORMAT ".%02u", cell->number / 100,
                               (unsigned)(cell->number % 100));
        cli_json_add_spelt(json, key, text);
        break;
    }
}

/* Open the object of a row. The caller adds attached tables or children and closes it. */
static void open_json_row(CliJson *json, const CliTable *table, guint row, const char *key)
{
    cli_json_open(json, key, '{');
    for (guint i = 0; i < table_columns(table); i++)
        if (table_column(table, i)->key)
            add_json_cell(json, table_column(table, i)->key, table_column(table, i),
                          table_cell(table, row, i));
}

void cli_table_add_json(const CliTable *table, CliJson *json, const char *key)
{
    cli_json_open(json, key, '[');
    for (guint row = 0; row < table_rows(table); row++) {
        open_json_row(json, table, row, NULL);
        cli_json_close(json, '}');
    }
    cli_json_close(json, ']');
}

/* A table may have very many rows (the map of an image), so they are written early and not kept. */
void cli_table_print_json(CliCtl *ctl, const CliTable *table, const char *key)
{
    CliJson json;

    cli_json_begin(&json);
    cli_json_open(&json, key, '[');
    for (guint row = 0; row < table_rows(table); row++) {
        open_json_row(&json, table, row, NULL);
        cli_json_close(&json, '}');
        if (json.text->len >= FLUSH_AT)
            cli_json_flush(&json, ctl->out);
    }
    cli_json_close(&json, ']');
    cli_json_end(&json, ctl->out);
}

void table_print_json_row(CliCtl *ctl, const CliTable *table, const char *key)
{
    CliJson json;

    cli_json_begin(&json);
    open_json_row(&json, table, 0, key);
    for (guint i = 0; i < table->attached->len; i++) {
        const Attached *attached = &g_array_index(table->attached, Attached, i);

        cli_table_add_json(attached->table, &json, attached->key);
    }
    cli_json_close(&json, '}');
    cli_json_end(&json, ctl->out);
}

/* Add row @row with its descendants as "children". Return: the first row after them. */
static guint add_json_tree(CliJson *json, const CliTable *table, guint row, const char *key,
                           guint depth)
{
    guint level = table_level(table, row);

    open_json_row(json, table, row++, key);
    cli_json_open(json, "children", '[');
    while (row < table_rows(table) && depth < DEPTH_MAX && table_level(table, row) > level)
        row = add_json_tree(json, table, row, NULL, depth + 1);
    cli_json_close(json, ']');
    cli_json_close(json, '}');
    return row;
}

void table_print_json_tree(CliCtl *ctl, const CliTable *table, const char *key)
{
    CliJson json;

    cli_json_begin(&json);
    add_json_tree(&json, table, 0, key, 0);
    cli_json_end(&json, ctl->out);
}

/* --- YAML ------------------------------------------------------------------------------------ */

static void print_yaml_row(CliCtl *ctl, const CliTable *table, guint row)
{
    gboolean first = TRUE;

    for (guint i = 0; i < table_columns(table); i++) {
        const CliColumn *column = table_column(table, i);
        g_auto(CliJson) value = {.text = g_string_new(NULL)};

        if (!column->key)
            continue;
        add_json_cell(&value, NULL, column, table_cell(table, row, i));
        fprintf(ctl->out, "%s %s: %s\n", first ? "-" : " ", column->key, value.text->str);
        first = FALSE;
    }
}

void cli_table_print_yaml(CliCtl *ctl, const CliTable *table, const char *key)
{
    fprintf(ctl->out, "schema: %d\n%s:%s\n", CLI_JSON_SCHEMA, key,
            table_rows(table) > 0 ? "" : " []");
    for (guint row = 0; row < table_rows(table); row++)
        print_yaml_row(ctl, table, row);
}
