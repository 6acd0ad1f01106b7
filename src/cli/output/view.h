/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"
#include "filter.h"

/**
 * What is asked of a list by the options that all lists have: which columns (--columns), in which
 * order (--sort), which rows (--filter), in which form (--format, --parsable). Without any of them
 * a list is what it was without this: the tables that virsh's users know.
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
    GArray *shown;     /**< of guint; NULL: those without flags that hide them */
    gboolean explicit; /**< @shown is what --columns names: nothing of it is hidden */
    GArray *sort;      /**< of CliSortKey; NULL: as the rows come */
    CliFilter *filter; /**< NULL: all rows */
    CliForm form;
    unsigned needs; /**< flags of all columns that are shown, sorted by or tested */
} CliView;

void cli_view_clear(CliView *view);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliView, cli_view_clear)

/**
 * Reads the options of a list with the columns @columns. @usual: keys of what it shows unless
 * --columns says otherwise, with commas; NULL: all but those ON_REQUEST. Columns that are
 * JSON_ONLY stay hidden from people unless --columns names them. Fails with USAGE.
 */
gboolean cli_view_read(CliView *ret_view, const CliArgs *args, const CliColumn *columns,
                       guint n_columns, const char *usual, GError **error);
/** Leaves the column @key out, unless it was asked for. */
void cli_view_hide(CliView *view, const char *key);
/** Prints the rows of @table, which has the view's columns, as asked; @key as cli_table_print(). */
void cli_view_print(CliCtl *ctl, const CliView *view, CliTable *table, const char *key);

/** Appends the keys of @columns to @words: what completers of --columns and --sort offer. */
void cli_view_complete(const CliColumn *columns, guint n_columns, GPtrArray *words);
/** Completes --format. */
void cli_view_complete_forms(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** The rows of a list's table of options; @completer offers its columns. */
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
