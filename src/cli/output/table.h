/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "json.h"

/**
 * Tables and listings. One array of columns says how a thing's values are headed, named in JSON
 * and formatted, for all three ways to print them: a table (virsh's: blank, name, padding to the
 * widest plus three, a line of dashes), a listing ("%-15s %s" a value) and JSON.
 */
typedef enum {
    CLI_CELL_TEXT,     /**< as it is */
    CLI_CELL_WORD,     /**< one of our words: translated on screen, never in JSON */
    CLI_CELL_BOOL,     /**< yes/no */
    CLI_CELL_SIZE,     /**< bytes: "1.00 GiB" or, with --bytes, digits */
    CLI_CELL_NUMBER,   /**< plain digits */
    CLI_CELL_DURATION, /**< seconds: "1:02:03" */
    CLI_CELL_TIME,     /**< seconds since 1970: "2026-11-21 03:44:39+0100"; JSON: ISO 8601, UTC */
    CLI_CELL_PERCENT   /**< hundredths of a percent: "12.34%" */
} CliCellKind;

typedef enum {
    CLI_COLUMN_JSON_ONLY = 1 << 0,  /**< people see it only when they ask for it (output/view.h) */
    CLI_COLUMN_ON_REQUEST = 1 << 1, /**< in JSON as well */
    /**
     * From here on up the bits are the command's own: what it must ask for to fill the column in.
     */
    CLI_COLUMN_NEEDS = 1 << 8
} CliColumnFlags;

typedef struct {
    const char *title; /**< marked with N_() */
    const char *key;   /**< JSON member; NULL: only people see it */
    CliCellKind kind;
    const char
        *absent; /**< shown when there is no value; NULL: nothing, and no line in a listing */
    unsigned flags;
} CliColumn;

typedef struct CliTable CliTable;

/** Makes a table with @columns, which are borrowed. */
CliTable *cli_table_new(const CliColumn *columns, guint n_columns);
/** Frees the table with what is attached. NULL is accepted. */
void cli_table_free(CliTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliTable, cli_table_free)

/**
 * Cells are added left to right, row after row; each call must fit the kind of the column whose
 * turn it is. Text is copied; @word must be static. Text or a word that is NULL, and a percentage
 * of a @whole of 0, are absent.
 */
void cli_table_add_text(CliTable *table, const char *text);
void cli_table_add_word(CliTable *table, const char *word);
void cli_table_add_bool(CliTable *table, gboolean value);
void cli_table_add_size(CliTable *table, uint64_t bytes);
void cli_table_add_number(CliTable *table, uint64_t value);
void cli_table_add_duration(CliTable *table, uint64_t seconds);
/** 0: absent. */
void cli_table_add_time(CliTable *table, int64_t seconds);
void cli_table_add_percent(CliTable *table, uint64_t part, uint64_t whole);
/* The same of a value that may not be @known: the cell is absent then. */
void cli_table_add_known_bool(CliTable *table, gboolean known, gboolean value);
void cli_table_add_known_size(CliTable *table, gboolean known, uint64_t bytes);
void cli_table_add_known_number(CliTable *table, gboolean known, uint64_t value);
void cli_table_add_known_duration(CliTable *table, gboolean known, uint64_t seconds);

/**
 * Attaches things that belong to a listing, and takes them over: its row's member @key in JSON,
 * further lines in text. Several may be attached.
 */
void cli_table_attach(CliTable *table, const char *key, CliTable *attached);

/**
 * Makes the table a tree: the level of the row that is added next. A row is a child of the nearest
 * one before it that is less deep.
 */
void cli_table_add_level(CliTable *table, guint level);

/** What a cell holds; which member does, the kind of its column tells. */
typedef struct {
    gboolean present;
    const char *text; /**< TEXT, WORD */
    uint64_t number;  /**< all others; BOOL: 0 or 1 */
} CliCell;

/** Returns how many rows there are, arranged away or not. */
guint cli_table_row_count(const CliTable *table);
/** The cell in row @row, in the order in which they were added. Borrows its text from the table. */
CliCell cli_table_cell(const CliTable *table, guint row, guint column);
/**
 * Has the table print the columns @columns and the rows @rows (arrays of guint) only, in that
 * order, and no column is hidden from people. NULL: all of them, as they are. Not for trees.
 */
void cli_table_arrange(CliTable *table, GArray *columns, GArray *rows);

/** Prints the table, or {"schema":1,KEY:[{…},…]}. */
void cli_table_print(CliCtl *ctl, const CliTable *table, const char *key);
/** Prints the only row as a listing with labels @width wide, or {"schema":1,KEY:{…}}. */
void cli_table_print_listing(CliCtl *ctl, const CliTable *table, const char *key, int width);

/**
 * Prints the table with the first column indented, or the first row with those below it as
 * "children".
 */
void cli_table_print_tree(CliCtl *ctl, const CliTable *table, const char *key);
/**
 * Prints the table for programs, whatever the settings are. Sizes are bytes, times ISO 8601 in UTC,
 * and nothing is translated. Parsable: no header, tabs between the cells, "-" where there is no
 * value; what is not printable is escaped, so that each row is one line. CSV: a header of keys,
 * quoted as RFC 4180 says, but lines end in LF alone. YAML: {schema: 1, KEY: [{…}, …]} in block
 * style.
 */
void cli_table_print_parsable(CliCtl *ctl, const CliTable *table);
void cli_table_print_csv(CliCtl *ctl, const CliTable *table);
void cli_table_print_yaml(CliCtl *ctl, const CliTable *table, const char *key);
void cli_table_print_json(CliCtl *ctl, const CliTable *table, const char *key);

/** Adds the rows to @json as the list @key. */
void cli_table_add_json(const CliTable *table, CliJson *json, const char *key);

/** Returns @text with everything unprintable as \xNN, and its width on the screen; free it. */
char *cli_table_encode(const char *text, size_t *ret_width);
