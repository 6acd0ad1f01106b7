/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"
#include "filter.h"

/**
 * Options that all lists have: columns (--columns), order (--sort), rows (--filter) and form
 * (--format, --parsable). Without these options, a list is the table that virsh prints.
 */
typedef enum {
    CLI_FORM_DEFAULT, /**< a table, or JSON with --json */
    CLI_FORM_TABLE,
    CLI_FORM_JSON,
    CLI_FORM_CSV,
    CLI_FORM_YAML,
    CLI_FORM_PARSABLE
} CliForm;

typedef struct {
    const CliColumn *columns; /**< borrowed */
    guint n_columns;
    GArray *shown;     /**< of guint; NULL: all columns that no flag hides */
    gboolean explicit; /**< @shown is from --columns, so no column is hidden */
    GArray *sort;      /**< of CliSortKey; NULL: original order */
    CliFilter *filter; /**< NULL: all rows */
    CliForm form;
    unsigned needs; /**< flags of all columns that are shown, sorted by or filtered by */
} CliView;

void cli_view_clear(CliView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliView, cli_view_clear)

/**
 * Parses the options of a list with the columns @columns. @usual has the keys of the default
 * columns, separated by commas. NULL: all columns without ON_REQUEST. JSON_ONLY columns are hidden
 * in text unless --columns names them. Fails with USAGE.
 */
gboolean cli_view_read(CliView *ret_view, const CliArgs *args, const CliColumn *columns,
                       guint n_columns, const char *usual, GError **error);
/** Hides the column @key, unless --columns named it. */
void cli_view_hide(CliView *view, const char *key);
/**
 * Prints the rows of @table according to the view. The table must have the view's columns. For @key
 * see cli_table_print().
 */
void cli_view_print(CliCtl *ctl, const CliView *view, CliTable *table, const char *key);

/** Appends the keys of @columns to @words, for completers of --columns and --sort. */
void cli_view_complete(const CliColumn *columns, guint n_columns, GPtrArray *words);
/** Completes --format. */
void cli_view_complete_forms(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** The common rows in the option table of a list. @completer offers the list's columns. */
#define CLI_VIEW_OPTIONS(completer)                                                            \
    {.name = "columns",                                                                        \
     .kind = CLI_OPT_STRING,                                                                   \
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST,                                                    \
     .help = N_("columns to show, with commas; a first '+' adds them to the usual ones; all"), \
     .complete = (completer),                                                                  \
     .complete_by_list = TRUE},                                                                \
        {.name = "sort",                                                                       \
         .kind = CLI_OPT_STRING,                                                               \
         .flags = CLI_OPT_NAMED | CLI_OPT_LIST,                                                \
         .help = N_("columns to sort by, with commas; '-' before one: downwards"),             \
         .complete = (completer),                                                              \
         .complete_by_list = TRUE},                                                            \
        CLI_NAMED("filter", N_("only rows with this: 'format=qcow2 and allocation>10G'")),     \
        {.name = "format",                                                                     \
         .kind = CLI_OPT_STRING,                                                               \
         .flags = CLI_OPT_NAMED,                                                               \
         .help = N_("table, json, csv or yaml"),                                               \
         .complete = cli_view_complete_forms},                                                 \
    {                                                                                          \
        .name = "parsable", .kind = CLI_OPT_BOOL, .letter = 'H',                               \
        .help = N_("no header, tabs between columns, sizes in bytes")                          \
    }
