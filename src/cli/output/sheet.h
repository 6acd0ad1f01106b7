/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "json.h"
#include "table.h"

/**
 * Facts about one object. The caller adds them once, for text and JSON output. In text, each fact
 * is a line "label: value", and each list and object is indented by a step. With --json, the facts
 * are members of one object.
 */
typedef struct {
    const char *key;   /**< JSON member; NULL: only in text */
    const char *label; /**< text label, marked with N_(); NULL: only in JSON */
    gboolean is_known; /**< an unknown fact is omitted */
    enum { CLI_FACT_TEXT, CLI_FACT_NUMBER, CLI_FACT_BOOL, CLI_FACT_REAL } kind;
    const char *text; /**< escaped for output; NULL: null in JSON, omitted in text */
    uint64_t number;  /**< CLI_FACT_BOOL: 0 or 1 */
    double real;      /**< CLI_FACT_REAL */
} CliFact;

/** A text. NULL is an unknown fact, which is omitted. */
static inline CliFact cli_fact_text(const char *key, const char *label, const char *text)
{
    return (CliFact){key, label, text != NULL, CLI_FACT_TEXT, text, 0, 0};
}

/** A text. NULL is null in JSON. */
static inline CliFact cli_fact_nullable(const char *key, const char *label, const char *text)
{
    return (CliFact){key, label, TRUE, CLI_FACT_TEXT, text, 0, 0};
}

static inline CliFact cli_fact_number(const char *key, const char *label, gboolean is_known,
                                      uint64_t number)
{
    return (CliFact){key, label, is_known, CLI_FACT_NUMBER, NULL, number, 0};
}

static inline CliFact cli_fact_bool(const char *key, const char *label, gboolean is_known,
                                    gboolean value)
{
    return (CliFact){key, label, is_known, CLI_FACT_BOOL, NULL, value ? 1 : 0, 0};
}

/** A fraction, in JSON only. */
static inline CliFact cli_fact_real(const char *key, double real)
{
    return (CliFact){key, NULL, TRUE, CLI_FACT_REAL, NULL, 0, real};
}

/** A sheet of facts. Text is printed when a fact is added, JSON at the end of the sheet. */
typedef struct {
    CliCtl *ctl;
    CliJson json;    /**< json.text is NULL without --json */
    unsigned depth;  /**< text: indentation level */
    int label_width; /**< padded width, values are not escaped; 0: "label: value" */
} CliSheet;

/** Begins a sheet for stdout, or for the stream of cli_sheet_end_on(). */
void cli_sheet_begin(CliSheet *sheet, CliCtl *ctl);
/** Prints the object on stdout, or on @stream. */
void cli_sheet_end(CliSheet *sheet);
void cli_sheet_end_on(CliSheet *sheet, FILE *stream);
/** Frees a sheet without printing it. */
void cli_sheet_clear(CliSheet *sheet);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliSheet, cli_sheet_clear)

/** Prints a sheet that has only these facts. */
void cli_sheet_print(CliCtl *ctl, const CliFact *facts, unsigned count);
/** Prints these facts as JSON on @stream. Has no effect without --json. */
void cli_sheet_print_json(CliCtl *ctl, FILE *stream, const CliFact *facts, unsigned count);

/** Adds the known facts in order. */
void cli_sheet_add(CliSheet *sheet, const CliFact *facts, unsigned count);
/** Return: TRUE if at least one fact is known. */
gboolean cli_facts_any_known(const CliFact *facts, unsigned count);
/** Adds the rows of a table: a list of objects in JSON, the table itself in text. */
void cli_sheet_add_table(CliSheet *sheet, const char *key, const CliTable *table);

/** Begins an object. @label is translated; NULL: the start of the object is not shown in text. */
void cli_sheet_begin_object(CliSheet *sheet, const char *key, const char *label);
/** Ends the innermost object or item. */
void cli_sheet_end_object(CliSheet *sheet);

/** Begins a list. @summary is printed after the label in text, and may be "". */
void cli_sheet_begin_list(CliSheet *sheet, const char *key, const char *label, const char *summary);
/**
 * Begins an item that is an object. cli_sheet_end_object() ends it. @index counts from 0, and is
 * used in text.
 */
void cli_sheet_begin_item(CliSheet *sheet, unsigned index);
/** Adds an item that is a word. */
void cli_sheet_add_item(CliSheet *sheet, unsigned index, const char *word);
/** Ends the innermost list. */
void cli_sheet_end_list(CliSheet *sheet);
/** Adds a list of words (const char *), in JSON only. */
void cli_sheet_add_words(CliSheet *sheet, const char *key, const GPtrArray *words);
