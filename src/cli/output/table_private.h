/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "table.h"

/** A cell of the table. Private to table.c and the files that print tables (table_*.c). */

typedef struct {
    gboolean present;
    union {
        const char *text; /**< CLI_CELL_TEXT, CLI_CELL_LIST: in CliTable.texts */
        const char *word; /**< CLI_CELL_WORD */
        uint64_t number;  /**< all other kinds */
    };
} Cell;

struct CliTable {
    const CliColumn *columns;
    guint n_columns;
    GArray *cells; /**< of Cell, row after row */
    GStringChunk *texts;
    GArray *levels;   /**< of guint, one for each row of a tree */
    GArray *attached; /**< of Attached, in the order of attachment */
    GArray *order;    /**< of guint: the printed columns; NULL: all */
    GArray *rows;     /**< of guint: the printed rows; NULL: all */
};

/** A table attached to a listing. */
typedef struct {
    const char *key;
    CliTable *table; /**< owned */
} Attached;

/* Access to the printed rows and columns. Numbers count only the printed ones. */
guint table_rows(const CliTable *table);
guint table_columns(const CliTable *table);
const CliColumn *table_column(const CliTable *table, guint i);
const Cell *table_cell(const CliTable *table, guint row, guint i);
/** Return: TRUE if column @i is shown in text. */
gboolean table_shows(const CliTable *table, guint i);
guint table_level(const CliTable *table, guint row);

/** Prints the only row with its attached tables, as {"schema":1,KEY:{…}}. */
void table_print_json_row(CliCtl *ctl, const CliTable *table, const char *key);
/** Prints the first row with its descendants as "children". */
void table_print_json_tree(CliCtl *ctl, const CliTable *table, const char *key);
