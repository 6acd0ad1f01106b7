/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables, listings and trees of rows. This file stores cells as values. They become text when they
 * are printed, for people (table_text.c) or for programs (table_json.c, table_plain.c).
 */
#include "table_private.h"

#include <string.h>

#define TEXTS_CHUNK 16384 /* allocation unit for the text of cells, in bytes */

static void attached_clear(gpointer data)
{
    cli_table_free(((Attached *)data)->table);
}

CliTable *cli_table_new(const CliColumn *columns, guint n_columns)
{
    CliTable *table = g_new0(CliTable, 1);

    table->columns = columns;
    table->n_columns = n_columns;
    table->cells = g_array_new(FALSE, FALSE, sizeof(Cell));
    table->texts = g_string_chunk_new(TEXTS_CHUNK);
    table->levels = g_array_new(FALSE, FALSE, sizeof(guint));
    table->attached = g_array_new(FALSE, FALSE, sizeof(Attached));
    g_array_set_clear_func(table->attached, attached_clear);
    return table;
}

void cli_table_free(CliTable *table)
{
    if (!table)
        return;
    g_array_unref(table->cells);
    g_string_chunk_free(table->texts);
    g_array_unref(table->levels);
    g_array_unref(table->attached);
    g_clear_pointer(&table->order, g_array_unref);
    g_clear_pointer(&table->rows, g_array_unref);
    g_free(table);
}

void cli_table_add_level(CliTable *table, guint level)
{
    g_array_append_val(table->levels, level);
}

static void add_cell(CliTable *table, CliCellKind kind, const Cell *cell)
{
    guint column = table->cells->len % table->n_columns;

    g_assert(!cell->present || table->columns[column].kind == kind);
    g_array_append_vals(table->cells, cell, 1);
}

/* Return: a copy of @text, or the text of the cell above if it is equal. */
static const char *table_intern_text(CliTable *table, const char *text)
{
    guint above = table->cells->len - table->n_columns;
    const Cell *cell =
        table->cells->len >= table->n_columns ? &g_array_index(table->cells, Cell, above) : NULL;

    return cell && cell->present && strcmp(cell->text, text) == 0
               ? cell->text
               : g_string_chunk_insert(table->texts, text);
}

static void table_add_copied(CliTable *table, CliCellKind kind, const char *text)
{
    add_cell(
        table, kind,
        &(Cell){.present = text != NULL, .text = text ? table_intern_text(table, text) : NULL});
}

void cli_table_add_text(CliTable *table, const char *text)
{
    table_add_copied(table, CLI_CELL_TEXT, text);
}

void cli_table_add_list(CliTable *table, const char *words)
{
    table_add_copied(table, CLI_CELL_LIST, words);
}

void cli_table_add_word(CliTable *table, const char *word)
{
    add_cell(table, CLI_CELL_WORD, &(Cell){.present = word != NULL, .word = word});
}

void cli_table_add_bool(CliTable *table, gboolean value)
{
    cli_table_add_known_bool(table, TRUE, value);
}

void cli_table_add_known_bool(CliTable *table, gboolean known, gboolean value)
{
    add_cell(table, CLI_CELL_BOOL, &(Cell){.present = known, .number = value});
}

void cli_table_add_size(CliTable *table, uint64_t bytes)
{
    cli_table_add_known_size(table, TRUE, bytes);
}

void cli_table_add_known_size(CliTable *table, gboolean known, uint64_t bytes)
{
    add_cell(table, CLI_CELL_SIZE, &(Cell){.present = known, .number = bytes});
}

void cli_table_add_number(CliTable *table, uint64_t value)
{
    cli_table_add_known_number(table, TRUE, value);
}

void cli_table_add_known_number(CliTable *table, gboolean known, uint64_t value)
{
    add_cell(table, CLI_CELL_NUMBER, &(Cell){.present = known, .number = value});
}

void cli_table_add_duration(CliTable *table, uint64_t seconds)
{
    cli_table_add_known_duration(table, TRUE, seconds);
}

void cli_table_add_known_duration(CliTable *table, gboolean known, uint64_t seconds)
{
    add_cell(table, CLI_CELL_DURATION, &(Cell){.present = known, .number = seconds});
}

void cli_table_add_time(CliTable *table, int64_t seconds)
{
    add_cell(table, CLI_CELL_TIME, &(Cell){.present = seconds != 0, .number = (uint64_t)seconds});
}

void cli_table_add_percent(CliTable *table, uint64_t part, uint64_t whole)
{
    uint64_t hundredths = whole ? (uint64_t)((double)part * 10000 / (double)whole + 0.5) : 0;

    add_cell(table, CLI_CELL_PERCENT, &(Cell){.present = whole != 0, .number = hundredths});
}

void cli_table_attach(CliTable *table, const char *key, CliTable *attached)
{
    const Attached one = {key, attached};

    g_array_append_val(table->attached, one);
}

/* --- printed rows and columns ----------------------------------------------------------------- */

guint cli_table_row_count(const CliTable *table)
{
    return table->cells->len / table->n_columns;
}

CliCell cli_table_cell(const CliTable *table, guint row, guint column)
{
    const Cell *cell = &g_array_index(table->cells, Cell, row * table->n_columns + column);

    switch (table->columns[column].kind) {
    case CLI_CELL_LIST:
    case CLI_CELL_TEXT: return (CliCell){cell->present, cell->text, 0};
    case CLI_CELL_WORD: return (CliCell){cell->present, cell->word, 0};
    default: return (CliCell){cell->present, NULL, cell->number};
    }
}

void cli_table_arrange(CliTable *table, GArray *columns, GArray *rows)
{
    g_clear_pointer(&table->order, g_array_unref);
    g_clear_pointer(&table->rows, g_array_unref);
    table->order = columns ? g_array_ref(columns) : NULL;
    table->rows = rows ? g_array_ref(rows) : NULL;
}

guint table_rows(const CliTable *table)
{
    return table->rows ? table->rows->len : cli_table_row_count(table);
}

guint table_columns(const CliTable *table)
{
    return table->order ? table->order->len : table->n_columns;
}

static guint column_index(const CliTable *table, guint i)
{
    return table->order ? g_array_index(table->order, guint, i) : i;
}

const CliColumn *table_column(const CliTable *table, guint i)
{
    return &table->columns[column_index(table, i)];
}

const Cell *table_cell(const CliTable *table, guint row, guint i)
{
    guint from = table->rows ? g_array_index(table->rows, guint, row) : row;

    return &g_array_index(table->cells, Cell, from * table->n_columns + column_index(table, i));
}

gboolean table_shows(const CliTable *table, guint i)
{
    return table->order || !(table_column(table, i)->flags & CLI_COLUMN_JSON_ONLY);
}

guint table_level(const CliTable *table, guint row)
{
    return row < table->levels->len ? g_array_index(table->levels, guint, row) : 0;
}
