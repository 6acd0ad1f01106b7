/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "table.h"

/** What table.c keeps and the ways to print it (table_json.c, table_plain.c) read. */

typedef struct {
    gboolean present;
    union {
        const char *text; /**< CLI_CELL_TEXT: in CliTable.texts */
        const char *word; /**< CLI_CELL_WORD */
        uint64_t number;  /**< all others */
    };
} Cell;

struct CliTable {
    const CliColumn *columns;
    guint n_columns;
    GArray *cells; /**< of Cell, row after row */
    GStringChunk *texts;
    GArray *levels;   /**< of guint, one a row of a tree */
    GArray *attached; /**< of Attached, in the order of their being attached */
    GArray *order;    /**< of guint: the columns that are printed; NULL: all */
    GArray *rows;     /**< of guint: the rows that are printed; NULL: all */
};

/** What belongs to a listing. */
typedef struct {
    const char *key;
    CliTable *table; /**< owned */
} Attached;

/* Rows and columns as they are printed, by their number there. */
guint table_rows(const CliTable *table);
guint table_columns(const CliTable *table);
const CliColumn *table_column(const CliTable *table, guint i);
const Cell *table_cell(const CliTable *table, guint row, guint i);
/** Whether people see column @i. */
gboolean table_shows(const CliTable *table, guint i);
guint table_level(const CliTable *table, guint row);

/** Prints the only row with what is attached, {"schema":1,KEY:{…}}. */
void table_print_json_row(CliCtl *ctl, const CliTable *table, const char *key);
/** Prints the first row with those below it as "children". */
void table_print_json_tree(CliCtl *ctl, const CliTable *table, const char *key);
