/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables, listings and trees of rows. Cells are kept as values; text and JSON are made of them when
 * they are printed. Text is laid out as virsh does: everything is encoded and measured first, and
 * each column is as wide as its widest cell. JSON of many rows is printed row by row and never
 * kept.
 *
 * What is in a cell may come from a server or an image, so whatever can't be printed is escaped,
 * and the depth of a tree is bounded.
 */
#include "table.h"

#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include <base/i18n.h>

#include "json.h"
#include "text.h"
#include "width.h"

#define DEPTH_MAX  1000 /* of what a server may make us nest; ours ends far above */
#define INDENT_MAX 100

typedef struct {
    gboolean present;
    char *text;       /**< CLI_CELL_TEXT: owned */
    const char *word; /**< CLI_CELL_WORD */
    uint64_t number;
} Cell;

struct CliTable {
    const CliColumn *columns;
    guint n_columns;
    GArray *cells;    /**< of Cell, row after row */
    GArray *levels;   /**< of guint, one a row of a tree */
    GArray *attached; /**< of Attached, in the order of their being attached */
};

/** What belongs to a listing. */
typedef struct {
    const char *key;
    CliTable *table; /**< owned */
} Attached;

/** A cell or title ready for the screen. */
typedef struct {
    char *text;
    size_t width;
} Shown;

static void cell_clear(gpointer data)
{
    Cell *cell = data;

    g_free(cell->text);
}

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
    g_array_set_clear_func(table->cells, cell_clear);
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
    g_array_unref(table->levels);
    g_array_unref(table->attached);
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

void cli_table_add_text(CliTable *table, const char *text)
{
    add_cell(table, CLI_CELL_TEXT, &(Cell){.present = text != NULL, .text = g_strdup(text)});
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

/** Text of a cell for people; the caller frees it. NULL: nothing to show. */
static char *cell_text(const CliCtl *ctl, const CliColumn *column, const Cell *cell)
{
    if (!cell->present)
        return column->absent ? g_strdup(_(column->absent)) : NULL;
    switch (column->kind) {
    case CLI_CELL_TEXT: return g_strdup(cell->text);
    case CLI_CELL_WORD: return g_strdup(_(cell->word));
    case CLI_CELL_BOOL: return g_strdup(cell->number ? _("yes") : _("no"));
    case CLI_CELL_SIZE: return cli_size_text(ctl, cell->number);
    case CLI_CELL_NUMBER: return g_strdup_printf("%" G_GUINT64_FORMAT, cell->number);
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

static const Cell *cell_at(const CliTable *table, guint row, guint column)
{
    return &g_array_index(table->cells, Cell, row * table->n_columns + column);
}

static guint row_count(const CliTable *table)
{
    return table->cells->len / table->n_columns;
}

static guint level_of(const CliTable *table, guint row)
{
    return row < table->levels->len ? g_array_index(table->levels, guint, row) : 0;
}

static gboolean is_shown(const CliTable *table, guint column)
{
    return !(table->columns[column].flags & CLI_COLUMN_JSON_ONLY);
}

/* --- JSON ------------------------------------------------------------------------------------ */

static void add_json_cell(CliJson *json, const CliColumn *column, const Cell *cell)
{
    g_autofree char *text = NULL;

    if (!cell->present) {
        cli_json_add_string(json, column->key, NULL);
        return;
    }
    switch (column->kind) {
    case CLI_CELL_TEXT: cli_json_add_string(json, column->key, cell->text); break;
    case CLI_CELL_WORD: cli_json_add_string(json, column->key, cell->word); break;
    case CLI_CELL_BOOL: cli_json_add_bool(json, column->key, cell->number != 0); break;
    case CLI_CELL_SIZE:
    case CLI_CELL_NUMBER:
    case CLI_CELL_DURATION: cli_json_add_number(json, column->key, cell->number); break;
    case CLI_CELL_TIME:
        text = cli_json_time((int64_t)cell->number);
        cli_json_add_string(json, column->key, text);
        break;
    case CLI_CELL_PERCENT:
        text = g_strdup_printf("%" G_GUINT64_FORMAT ".%02u", cell->number / 100,
                               (unsigned)(cell->number % 100));
        cli_json_add_spelt(json, column->key, text);
        break;
    }
}

/* The object stays open: for what is attached, or for the rows below. */
static void open_json_row(CliJson *json, const CliTable *table, guint row, const char *key)
{
    cli_json_open(json, key, '{');
    for (guint i = 0; i < table->n_columns; i++)
        if (table->columns[i].key)
            add_json_cell(json, &table->columns[i], cell_at(table, row, i));
}

void cli_table_add_json(const CliTable *table, CliJson *json, const char *key)
{
    cli_json_open(json, key, '[');
    for (guint row = 0; row < row_count(table); row++) {
        open_json_row(json, table, row, NULL);
        cli_json_close(json, '}');
    }
    cli_json_close(json, ']');
}

/* Rows can be very many (the map of an image): each is written out, and none is kept. */
static void print_json_rows(CliCtl *ctl, const CliTable *table, const char *key)
{
    CliJson json;

    cli_json_begin(&json);
    cli_json_open(&json, key, '[');
    for (guint row = 0; row < row_count(table); row++) {
        open_json_row(&json, table, row, NULL);
        cli_json_close(&json, '}');
        cli_json_flush(&json, ctl->out);
    }
    cli_json_close(&json, ']');
    cli_json_end(&json, ctl->out);
}

static void print_json_row(CliCtl *ctl, const CliTable *table, const char *key)
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

/* The row @row with those below it as "children"; the next row that is not below it. */
static guint add_json_tree(CliJson *json, const CliTable *table, guint row, const char *key,
                           guint depth)
{
    guint level = level_of(table, row);

    open_json_row(json, table, row++, key);
    cli_json_open(json, "children", '[');
    while (row < row_count(table) && depth < DEPTH_MAX && level_of(table, row) > level)
        row = add_json_tree(json, table, row, NULL, depth + 1);
    cli_json_close(json, ']');
    cli_json_close(json, '}');
    return row;
}

/* --- table ----------------------------------------------------------------------------------- */

/** Everything that will be on the screen, header first, and the width of each column. */
typedef struct {
    const CliTable *table;
    Shown *shown;
    size_t *widths;
    guint n_rows; /**< with the header */
} Layout;

static Shown show(const char *text)
{
    Shown shown;

    shown.text = cli_table_encode(text ? text : "", &shown.width);
    return shown;
}

/* Each row of a tree stands a step to the right of the one that it hangs on. Takes over @text. */
static char *indent(char *text, guint level)
{
    g_autofree char *plain = text;

    if (level == 0)
        return g_steal_pointer(&plain);
    return g_strdup_printf("%*s- %s", (int)MIN(level, INDENT_MAX) * 2, "", plain);
}

static void layout_init(Layout *layout, const CliCtl *ctl, const CliTable *table, gboolean header)
{
    guint n = table->n_columns;

    layout->table = table;
    layout->n_rows = row_count(table) + 1;
    layout->shown = g_new0(Shown, (gsize)layout->n_rows * n);
    layout->widths = g_new0(size_t, n);
    for (guint row = 0; row < layout->n_rows; row++)
        for (guint i = 0; i < n; i++) {
            const CliColumn *column = &table->columns[i];
            g_autofree char *text = NULL;
            Shown *shown = &layout->shown[row * n + i];

            if (!is_shown(table, i))
                continue;
            text = row == 0 ? g_strdup(_(column->title))
                            : cell_text(ctl, column, cell_at(table, row - 1, i));
            if (row > 0 && i == 0)
                text = indent(text, level_of(table, row - 1));
            *shown = show(text);
            /* Without a header its titles don't widen the columns either. */
            if (row > 0 || header)
                layout->widths[i] = MAX(layout->widths[i], shown->width);
        }
}

static void layout_clear(Layout *layout)
{
    for (guint i = 0; i < layout->n_rows * layout->table->n_columns; i++)
        g_free(layout->shown[i].text);
    g_free(layout->shown);
    g_free(layout->widths);
}

static void append_row(GString *out, const Layout *layout, guint row)
{
    guint n = layout->table->n_columns;
    size_t gap = 0;

    for (guint i = 0; i < n; i++) {
        const Shown *shown = &layout->shown[row * n + i];

        if (!is_shown(layout->table, i))
            continue;
        /* The last column is not padded, so the gap before each is written late. */
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
    for (guint i = 0; i < layout->table->n_columns; i++)
        if (is_shown(layout->table, i))
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
        print_json_rows(ctl, table, key);
        return;
    }
    layout_init(&layout, ctl, table, header);
    if (header) {
        append_row(out, &layout, 0);
        append_dashes(out, &layout);
    }
    for (guint row = 1; row < layout.n_rows; row++)
        append_row(out, &layout, row);
    cli_print(ctl, "%s", out->str);
    layout_clear(&layout);
}

static void list_row(CliCtl *ctl, const CliTable *table, guint row, int width)
{
    for (guint i = 0; i < table->n_columns; i++) {
        const CliColumn *column = &table->columns[i];
        g_autofree char *text = cell_text(ctl, column, cell_at(table, row, i));
        g_autofree char *label = NULL;

        if (!text || !is_shown(table, i))
            continue;
        label = cli_text_pad(_(column->title), width);
        cli_print(ctl, "%s %s\n", label, text);
    }
}

void cli_table_print_tree(CliCtl *ctl, const CliTable *table, const char *key)
{
    CliJson json;

    if (!ctl->settings.json || row_count(table) == 0) {
        cli_table_print(ctl, table, key);
        return;
    }
    cli_json_begin(&json);
    add_json_tree(&json, table, 0, key, 0);
    cli_json_end(&json, ctl->out);
}

void cli_table_print_listing(CliCtl *ctl, const CliTable *table, const char *key, int width)
{
    g_assert(row_count(table) == 1);
    if (ctl->settings.json) {
        print_json_row(ctl, table, key);
        return;
    }
    list_row(ctl, table, 0, width);
    for (guint i = 0; i < table->attached->len; i++) {
        const CliTable *attached = g_array_index(table->attached, Attached, i).table;

        for (guint row = 0; row < row_count(attached); row++)
            list_row(ctl, attached, row, width);
    }
}

char *cli_table_encode(const char *text, size_t *ret_width)
{
    GString *out = g_string_sized_new(strlen(text));

    *ret_width = 0;
    while (*text) {
        int columns;
        size_t len = cli_char_width(text, &columns);

        /* "\x" itself is escaped too, so that what is shown is never ambiguous. */
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
