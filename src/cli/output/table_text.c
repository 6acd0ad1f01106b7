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
#define CHUNK      16384 /* allocation unit for texts, in bytes */
#define PRINT_AT   32768 /* print the text of rows at this size, in bytes */

/** A cell or title, encoded for the screen. */
typedef struct {
    const char *text; /* in Layout.texts, in the table, or static */
    size_t width;
} Shown;

/*
 * Return: the text of a cell for people; NULL: it is empty. A text that is neither in the table nor
 * static is added to @texts.
 */
static const char *cell_text(const CliCtl *ctl, const CliColumn *column, const Cell *cell,
                             GStringChunk *texts)
{
    g_autofree char *made = NULL;
    char buffer[CLI_DIGITS];

    if (!cell->present)
        return column->absent ? _(column->absent) : NULL;
    switch (column->kind) {
    case CLI_CELL_LIST:
    case CLI_CELL_TEXT: return cell->text;
    case CLI_CELL_WORD: return _(cell->word);
    case CLI_CELL_BOOL: return cell->number ? _("yes") : _("no");
    case CLI_CELL_NUMBER: return g_string_chunk_insert(texts, cli_digits(cell->number, buffer));
    case CLI_CELL_SIZE: made = cli_size_text(ctl, cell->number); break;
    case CLI_CELL_DURATION:
        made = g_strdup_printf("%" G_GUINT64_FORMAT ":%02u:%02u", cell->number / 3600,
                               (unsigned)(cell->number / 60 % 60), (unsigned)(cell->number % 60));
        break;
    case CLI_CELL_TIME: made = cli_time_text((int64_t)cell->number); break;
    case CLI_CELL_PERCENT:
        made = g_strdup_printf("%" G_GUINT64_FORMAT ".%02u%%", cell->number / 100,
                               (unsigned)(cell->number % 100));
        break;
    }
    return made ? g_string_chunk_insert(texts, made) : NULL;
}

/* --- table ----------------------------------------------------------------------------------- */

/** All encoded cells, with the header first, and the width of each column. */
typedef struct {
    const CliCtl *ctl;
    const CliTable *table;
    guint *columns; /* numbers of the shown columns */
    guint n_columns;
    guint n_rows; /* including the header */
    Shown *shown;
    size_t *widths;
    GStringChunk *texts;
} Layout;

static Shown shown_from_text(const char *text, GStringChunk *texts)
{
    Shown shown = {.text = text ? text : ""};
    g_autofree char *encoded = NULL;

    shown.width = cli_text_plain(shown.text);
    if (!shown.text[shown.width])
        return shown;
    encoded = cli_table_encode(shown.text, &shown.width);
    shown.text = g_string_chunk_insert(texts, encoded);
    return shown;
}

/* Indent a row of a tree by its level. */
static const char *indent_tree_text(const char *text, guint level, GStringChunk *texts)
{
    g_autofree char *indented = NULL;

    if (level == 0)
        return text;
    indented = g_strdup_printf("%*s- %s", (int)MIN(level, INDENT_MAX) * 2, "", text ? text : "");
    return g_string_chunk_insert(texts, indented);
}

static Shown layout_cell(Layout *layout, guint row, guint column)
{
    const CliTable *table = layout->table;
    const char *text;

    if (row == 0)
        return shown_from_text(_(table_column(table, column)->title), layout->texts);
    text = cell_text(layout->ctl, table_column(table, column), table_cell(table, row - 1, column),
                     layout->texts);
    if (column == 0)
        text = indent_tree_text(text, table_level(table, row - 1), layout->texts);
    return shown_from_text(text, layout->texts);
}

static void layout_init(Layout *layout, const CliCtl *ctl, const CliTable *table, gboolean header)
{
    Shown *shown;

    *layout = (Layout){.ctl = ctl, .table = table, .n_rows = table_rows(table) + 1};
    layout->columns = g_new0(guint, table_columns(table));
    for (guint i = 0; i < table_columns(table); i++)
        if (table_shows(table, i))
            layout->columns[layout->n_columns++] = i;
    shown = layout->shown = g_new(Shown, (gsize)layout->n_rows * layout->n_columns);
    layout->widths = g_new0(size_t, layout->n_columns);
    layout->texts = g_string_chunk_new(CHUNK);
    for (guint row = 0; row < layout->n_rows; row++)
        for (guint i = 0; i < layout->n_columns; i++, shown++) {
            *shown = layout_cell(layout, row, layout->columns[i]);
            /* Without a header, the titles do not affect the column widths. */
            if (row > 0 || header)
                layout->widths[i] = MAX(layout->widths[i], shown->width);
        }
}

static void table_layout_clear(Layout *layout)
{
    g_string_chunk_free(layout->texts);
    g_free(layout->columns);
    g_free(layout->shown);
    g_free(layout->widths);
}

static void append_row(GString *out, const Layout *layout, guint row)
{
    const Shown *shown = &layout->shown[(gsize)row * layout->n_columns];
    size_t gap = 0;

    for (guint i = 0; i < layout->n_columns; i++, shown++) {
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
    for (guint i = 0; i < layout->n_columns; i++)
        for (size_t dash = 0; dash < layout->widths[i] + 3; dash++)
            g_string_append_c(out, '-');
    g_string_append_c(out, '\n');
}

/* A table may have very many rows, so their text is printed early and not kept. */
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
    for (guint row = 1; row < layout.n_rows; row++) {
        append_row(out, &layout, row);
        if (out->len < PRINT_AT)
            continue;
        cli_print_lines(ctl, out->str);
        g_string_truncate(out, 0);
    }
    cli_print_lines(ctl, out->str);
    table_layout_clear(&layout);
}

static void list_row(CliCtl *ctl, const CliTable *table, guint row, int width)
{
    GStringChunk *texts = g_string_chunk_new(CHUNK);

    for (guint i = 0; i < table_columns(table); i++) {
        const CliColumn *column = table_column(table, i);
        const char *text = cell_text(ctl, column, table_cell(table, row, i), texts);
        g_autofree char *label = NULL;

        if (!text || !table_shows(table, i))
            continue;
        label = cli_text_pad(_(column->title), width);
        cli_print(ctl, "%s %s\n", label, text);
    }
    g_string_chunk_free(texts);
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
