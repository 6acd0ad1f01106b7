/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "json.h"

/**
 * Tables and listings. One array of columns defines titles, JSON keys and formats for all output
 * forms: a table, a listing ("%-15s %s" for each value) and JSON. A table has virsh's layout: a
 * blank, the name, padding to the widest cell plus three, and a line of dashes below the titles.
 */
typedef enum {
    CLI_CELL_TEXT,   /**< printed unchanged */
    CLI_CELL_WORD,   /**< a fixed word: translated on screen, never in JSON */
    CLI_CELL_LIST,   /**< words with blanks between them; JSON: a list. A filter tests the words */
    CLI_CELL_BOOL,   /**< yes/no */
    CLI_CELL_SIZE,   /**< bytes: "1.00 GiB" or, with --bytes, digits */
    CLI_CELL_NUMBER, /**< plain digits */
    CLI_CELL_DURATION, /**< seconds: "1:02:03" */
    CLI_CELL_TIME,     /**< seconds since 1970: "2026-11-21 03:44:39+0100"; JSON: ISO 8601, UTC */
    CLI_CELL_PERCENT   /**< hundredths of a percent: "12.34%" */
} CliCellKind;

typedef enum {
    CLI_COLUMN_JSON_ONLY = 1 << 0,  /**< hidden in text unless requested (output/view.h) */
    CLI_COLUMN_ON_REQUEST = 1 << 1, /**< hidden in JSON too, unless requested */
    /** Bits from here on belong to the command. They name the query that fills in the column. */
    CLI_COLUMN_NEEDS = 1 << 8
} CliColumnFlags;

typedef struct {
    const char *title; /**< marked with N_() */
    const char *key;   /**< JSON member; NULL: only in text */
    CliCellKind kind;
    const char *absent; /**< text for an absent value; NULL: empty, and no line in a listing */
    unsigned flags;
} CliColumn;

typedef struct CliTable CliTable;

/** Makes a table with @columns, which are borrowed. */
CliTable *cli_table_new(const CliColumn *columns, guint n_columns);
/** Frees the table and the attached tables. NULL is accepted. */
void cli_table_free(CliTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliTable, cli_table_free)

/**
 * Adds the next cell. Cells are added from left to right, row after row. The function must match
 * the kind of the current column. Text is copied; @word must be static. Text or word NULL is an
 * absent value, and so is a percentage with @whole 0.
 */
void cli_table_add_text(CliTable *table, const char *text);
void cli_table_add_word(CliTable *table, const char *word);
/** @words: separated by blanks; NULL: an absent value, which is an empty list in JSON. */
void cli_table_add_list(CliTable *table, const char *words);
void cli_table_add_bool(CliTable *table, gboolean value);
void cli_table_add_size(CliTable *table, uint64_t bytes);
void cli_table_add_number(CliTable *table, uint64_t value);
void cli_table_add_duration(CliTable *table, uint64_t seconds);
/** 0 is an absent value. */
void cli_table_add_time(CliTable *table, int64_t seconds);
void cli_table_add_percent(CliTable *table, uint64_t part, uint64_t whole);
/* The same for a value that may be unknown. If @known is FALSE, the cell is absent. */
void cli_table_add_known_bool(CliTable *table, gboolean known, gboolean value);
void cli_table_add_known_size(CliTable *table, gboolean known, uint64_t bytes);
void cli_table_add_known_number(CliTable *table, gboolean known, uint64_t value);
void cli_table_add_known_duration(CliTable *table, gboolean known, uint64_t seconds);

/**
 * Attaches a table to a listing and takes ownership of it. In JSON it is member @key of the row; in
 * text it adds lines. Several tables may be attached.
 */
void cli_table_attach(CliTable *table, const char *key, CliTable *attached);

/**
 * Sets the level of the next row, which makes the table a tree. The parent of a row is the nearest
 * earlier row with a smaller level.
 */
void cli_table_add_level(CliTable *table, guint level);

/** The value of a cell. The kind of its column determines the valid member. */
typedef struct {
    gboolean present;
    const char *text; /**< TEXT, WORD, LIST */
    uint64_t number;  /**< all other kinds; BOOL: 0 or 1 */
} CliCell;

/** Returns the number of rows, including rows that cli_table_arrange() hides. */
guint cli_table_row_count(const CliTable *table);
/**
 * Returns a cell. Rows are counted in the order in which they were added. Text is borrowed from the
 * table.
 */
CliCell cli_table_cell(const CliTable *table, guint row, guint column);
/**
 * Selects and orders the columns and rows (arrays of guint) that are printed. Selected columns are
 * never hidden. NULL: all, in their original order. Not for trees.
 */
void cli_table_arrange(CliTable *table, GArray *columns, GArray *rows);

/** Prints the table, or {"schema":1,KEY:[{…},…]}. */
void cli_table_print(CliCtl *ctl, const CliTable *table, const char *key);
/** Prints the only row as a listing with labels of @width, or as {"schema":1,KEY:{…}}. */
void cli_table_print_listing(CliCtl *ctl, const CliTable *table, const char *key, int width);

/**
 * Prints the table with an indented first column. In JSON, prints the first row with its
 * descendants as "children".
 */
void cli_table_print_tree(CliCtl *ctl, const CliTable *table, const char *key);
/**
 * Prints the table for programs, regardless of the settings. Sizes are in bytes, times are ISO 8601
 * in UTC, and words are not translated.
 *
 * Parsable: no header, tabs between cells, "-" for an absent value. Unprintable characters are
 * escaped, so that each row is one line. CSV: a header of keys, quoted as in RFC 4180, but lines
 * end in LF. YAML: {schema: 1, KEY: [{…}, …]} in block style.
 */
void cli_table_print_parsable(CliCtl *ctl, const CliTable *table);
void cli_table_print_csv(CliCtl *ctl, const CliTable *table);
void cli_table_print_yaml(CliCtl *ctl, const CliTable *table, const char *key);
void cli_table_print_json(CliCtl *ctl, const CliTable *table, const char *key);

/** Adds the rows to @json as the list @key. */
void cli_table_add_json(const CliTable *table, CliJson *json, const char *key);

/** Returns @text with unprintable bytes as \xNN, and its width in columns. The caller frees it. */
char *cli_table_encode(const char *text, size_t *ret_width);
