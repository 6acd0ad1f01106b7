/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tables as lines for scripts and spreadsheets: raw values, one row on each line. */
#include <string.h>

#include <base/text.h>

#include "json.h"
#include "table_private.h"

/* The value without translation or unit; NULL: absent. The caller frees it. */
static char *plain_text(const CliColumn *column, const Cell *cell)
{
    if (!cell->present)
        return NULL;
    switch (column->kind) {
    case CLI_CELL_LIST:
    case CLI_CELL_TEXT: return g_strdup(cell->text);
    case CLI_CELL_WORD: return g_strdup(cell->word);
    case CLI_CELL_BOOL: return g_strdup(cell->number ? "yes" : "no");
    case CLI_CELL_TIME: return cli_json_time((int64_t)cell->number);
    case CLI_CELL_PERCENT:
        return g_strdup_printf("%" G_GUINT64_FORMAT ".%02u", cell->number / 100,
                               (unsigned)(cell->number % 100));
    case CLI_CELL_SIZE:
    case CLI_CELL_NUMBER:
    case CLI_CELL_DURATION: break;
    }
    return g_strdup_printf("%" G_GUINT64_FORMAT, cell->number);
}

/* Call @print for each printed cell, with separators between cells. */
static void print_rows(FILE *out, const CliTable *table, char separator,
                       void (*print)(FILE *out, const char *text))
{
    for (guint row = 0; row < table_rows(table); row++) {
        gboolean first = TRUE;

        for (guint i = 0; i < table_columns(table); i++) {
            g_autofree char *text = NULL;

            if (!table_shows(table, i))
                continue;
            if (!first)
                fputc(separator, out);
            first = FALSE;
            text = plain_text(table_column(table, i), table_cell(table, row, i));
            print(out, text);
        }
        fputc('\n', out);
    }
}

static void print_encoded_cell(FILE *out, const char *text)
{
    size_t width;
    g_autofree char *shown = text ? cli_table_encode(text, &width) : NULL;

    fputs(shown ? shown : "-", out);
}

void cli_table_print_parsable(CliCtl *ctl, const CliTable *table)
{
    print_rows(ctl->out, table, '\t', print_encoded_cell);
}

/*
 * Return: TRUE if a spreadsheet would treat the cell as a formula, even if it is quoted. Some
 * programs also accept the full-width forms of the signs.
 */
static gboolean is_formula(const char *value)
{
    static const char *const wide[] = {"\uff1d", "\uff0b", "\uff0d", "\uff20"};

    for (size_t i = 0; i < G_N_ELEMENTS(wide); i++)
        if (g_str_has_prefix(value, wide[i]))
            return TRUE;
    return *value && strchr("=+-@\t\r", *value) != NULL;
}

/*
 * Prefix an apostrophe to a formula. Quote a semicolon as well, because in many countries a
 * spreadsheet separates cells at it.
 */
static void print_quoted(FILE *out, const char *value)
{
    const char *mark = value && is_formula(value) ? "'" : "";
    g_autofree char *shown = value ? cst_text_escape_lines(value) : NULL;
    const char *text = shown;

    if (!text)
        return;
    if (*text && !strpbrk(text, ",;\"\n")) {
        fprintf(out, "%s%s", mark, text);
        return;
    }
    fprintf(out, "\"%s", mark);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

void cli_table_print_csv(CliCtl *ctl, const CliTable *table)
{
    gboolean first = TRUE;

    for (guint i = 0; i < table_columns(table); i++) {
        if (!table_shows(table, i))
            continue;
        fprintf(ctl->out, "%s%s", first ? "" : ",", table_column(table, i)->key);
        first = FALSE;
    }
    fputc('\n', ctl->out);
    print_rows(ctl->out, table, ',', print_quoted);
}
