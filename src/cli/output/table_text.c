/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables for people, in virsh's layout. All cells are encoded and measured first; the widest cell
 * sets the width of a column. Cells may come from a server or an image, so unprintable characters
 * are escaped.
 */
#include "table_private.h"

#include <string.h>

#include <base/i18n.h>

#include "text.h"
#include "width.h"

#define INDENT_MAX 100

/** A cell or title, encoded for the screen. */
typedef struct {
    char *text;
    size_t width;
} Shown;

/** Return: the text of a cell for people, or NULL if it is empty. The caller frees it. */
static char *cell_text(const CliCtl *ctl, const CliColumn *column, const Cell *cell)
{
    char buffer[CLI_DIGITS];

    if (!cell->present)
        return column->absent ? g_strdup(_(column->absent)) : NULL;
    switch (column->kind) {
    case CLI_CELL_TEXT: return g_strdup(cell->text);
    case CLI_CELL_WORD: return g_strdup(_(cell->word));
    case CLI_CELL_BOOL: return g_strdup(cell->number ? _("yes") : _("no"));
    case CLI_CELL_SIZE: return cli_size_text(ctl, cell->number);
    case CLI_CELL_NUMBER: return g_strdup(cli_digits(cell->number, buffer));
    case CLI_CELL_DURATION:
        return g_strdup_printf("%" G_GUINT64_FORMAT ":%02u:%02u", cell->number / 3600,
                               (unsigned)(cell->number / 60 % 60), (unsigned)(cell->number % 60));
    case CLI_CELL_TIME: return cli_time_text((int64_t)cell->number);
    case CLI_CELL_PERCENT:
        return g_strdup_printf("%" G_GUINT64_FORMAT ".%02u%%", cell->number / 100,
                               (unsigned)(cell->number % 100));
    }
    return NULL;
}

/* --- table ----------------------------------------------------------------------------------- */

/** All encoded cells, with the header first, and the width of each column. */
typedef struct {
    const CliTable *table;
    Shown *shown;
    size_t *widths;
    guint n_rows; /**< including the header */
} Layout;

/* Takes ownership of @text, which may be NULL. */
static Shown shown_from_text(char *text)
{
    g_autofree char *raw = text ? text : g_strdup("");
    Shown shown;

    shown.width = cli_text_plain(raw);
    shown.text = raw[shown.width] ? cli_table_encode(raw, &shown.width) : g_steal_pointer(&raw);
    return shown;
}

/* Indent a row of a tree by its level. Takes ownership of @text. */
static char *indent_tree_text(char *text, guint level)
{
    g_autofree char *plain = text;

    if (level == 0)
        return g_steal_pointer(&plain);
    return g_strdup_printf("%*s- %s", (int)MIN(level, INDENT_MAX) * 2, "", plain);
}

static void layout_init(Layout *layout, const CliCtl *ctl, const CliTable *table, gboolean header)
{
    guint n = table_columns(table);

    layout->table = table;
    layout->n_rows = table_rows(table) + 1;
    layout->shown = g_new0(Shown, (gsize)layout->n_rows * n);
    layout->widths = g_new0(size_t, n);
    for (guint row = 0; row < layout->n_rows; row++)
        for (guint i = 0; i < n; i++) {
            const CliColumn *column = table_column(table, i);
            char *text;
            Shown *shown = &layout->shown[row * n + i];

            if (!table_shows(table, i))
                continue;
            text = row == 0 ? g_strdup(_(column->title))
                            : cell_text(ctl, column, table_cell(table, row - 1, i));
            if (row > 0 && i == 0)
                text = indent_tree_text(text, table_level(table, row - 1));
            *shown = shown_from_text(text);
            /* Without a header, the titles do not affect the column widths. */
            if (row > 0 || header)
                layout->widths[i] = MAX(layout->widths[i], shown->width);
        }
}

static void table_layout_clear(Layout *layout)
{
    for (guint i = 0; i < layout->n_rows * table_columns(layout->table); i++)
        g_free(layout->shown[i].text);
    g_free(layout->shown);
    g_free(layout->widths);
}

static void append_row(GString *out, const Layout *layout, guint row)
{
    guint n = table_columns(layout->table);
    size_t gap = 0;

    for (guint i = 0; i < n; i++) {
        const Shown *shown = &layout->shown[row * n + i];

        if (!table_shows(layout->table, i))
            continue;
        /* The last column is not padded, so the gap is written before the next cell. */
        for (; gap > 0; gap--)
            g_string_append_c(out, ' ');
        g_string_append_c(out, ' ');
        g_string_append(out, shown->text);
        gap = layout->widths[i] - shown->width + 2;
    }
    g_string_append_c(out, '\n');
}

static void append_dashes(GString *out, const Layout *layout)
{
    for (guint i = 0; i < table_columns(layout->table); i++)
        if (table_shows(layout->table, i))
            for (size_t dash = 0; dash < layout->widths[i] + 3; dash++)
                g_string_append_c(out, '-');
    g_string_append_c(out, '\n');
}

void cli_table_print(CliCtl *ctl, const CliTable *table, const char *key)
{
    g_autoptr(GString) out = g_string_new(NULL);
    gboolean header = !ctl->settings.quiet;
    Layout layout;

    if (ctl->settings.json) {
        cli_table_print_json(ctl, table, key);
        return;
    }
    layout_init(&layout, ctl, table, header);
    if (header) {
        append_row(out, &layout, 0);
        append_dashes(out, &layout);
    }
    for (guint row = 1; row < layout.n_rows; row++)
        append_row(out, &layout, row);
    cli_print_lines(ctl, out->str);
    table_layout_clear(&layout);
}

static void list_row(CliCtl *ctl, const CliTable *table, guint row, int width)
{
    for (guint i = 0; i < table_columns(table); i++) {
        const CliColumn *column = table_column(table, i);
        g_autofree char *text = cell_text(ctl, column, table_cell(table, row, i));
        g_autofree char *label = NULL;

        if (!text || !table_shows(table, i))
            continue;
        label = cli_text_pad(_(column->title), width);
        cli_print(ctl, "%s %s\n", label, text);
    }
}

void cli_table_print_tree(CliCtl *ctl, const CliTable *table, const char *key)
{
    if (ctl->settings.json && table_rows(table) > 0)
        table_print_json_tree(ctl, table, key);
    else
        cli_table_print(ctl, table, key);
}

void cli_table_print_listing(CliCtl *ctl, const CliTable *table, const char *key, int width)
{
    g_assert(table_rows(table) == 1);
    if (ctl->settings.json) {
        table_print_json_row(ctl, table, key);
        return;
    }
    list_row(ctl, table, 0, width);
    for (guint i = 0; i < table->attached->len; i++) {
        const CliTable *attached = g_array_index(table->attached, Attached, i).table;

        for (guint row = 0; row < table_rows(attached); row++)
            list_row(ctl, attached, row, width);
    }
}

char *cli_table_encode(const char *text, size_t *ret_width)
{
    size_t plain = cli_text_plain(text);
    GString *out;

    *ret_width = plain;
    if (!text[plain])
        return g_strndup(text, plain);
    out = g_string_new_len(text, (gssize)plain);
    text += plain;
    while (*text) {
        int columns;
        size_t len = cli_char_width(text, &columns);

        /* "\x" itself is escaped too, so that the output is unambiguous. */
        if (columns < 0 || g_str_has_prefix(text, "\\x")) {
            for (size_t i = 0; i < len; i++)
                g_string_append_printf(out, "\\x%02x", (unsigned char)text[i]);
            *ret_width += 4 * len;
        } else {
            g_string_append_len(out, text, len);
            *ret_width += columns;
        }
        text += len;
    }
    return g_string_free(out, FALSE);
}
