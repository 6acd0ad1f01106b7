/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "json.h"
#include "table.h"

/**
 * Facts about one thing. They are listed once and shown in either of two ways: as lines of text,
 * "label: value", each list and object a step further to the right, or with --json as members of
 * one object.
 */
typedef struct {
    const char *key;   /**< in JSON; NULL: only text has it */
    const char *label; /**< in text: N_(); NULL: only JSON has it */
    gboolean is_known; /**< else it is left out */
    enum { CLI_FACT_TEXT, CLI_FACT_NUMBER, CLI_FACT_BOOL, CLI_FACT_REAL } kind;
    const char *text; /**< may hold anything: it is escaped; NULL: null in JSON, not in text */
    uint64_t number;  /**< CLI_FACT_BOOL: 0 or 1 */
    double real;      /**< CLI_FACT_REAL */
} CliFact;

/** A text that is known unless it is NULL. */
static inline CliFact cli_fact_text(const char *key, const char *label, const char *text)
{
    return (CliFact){key, label, text != NULL, CLI_FACT_TEXT, text, 0, 0};
}

/** A text that is null in JSON where it is not known. */
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

/** A fraction, for JSON alone. */
static inline CliFact cli_fact_real(const char *key, double real)
{
    return (CliFact){key, NULL, TRUE, CLI_FACT_REAL, NULL, 0, real};
}

/** A sheet of facts. Text is printed as it is added, JSON when the sheet is whole. */
typedef struct {
    CliCtl *ctl;
    CliJson json;    /**< without text unless --json is given */
    unsigned depth;  /**< text: steps to the right */
    int label_width; /**< labels are padded to it, and nothing is escaped; 0: "label: value" */
} CliSheet;

/** Begins a sheet, for stdout or what cli_sheet_end_on() says. */
void cli_sheet_begin(CliSheet *sheet, CliCtl *ctl);
/** Prints the object on stdout, or on @stream. */
void cli_sheet_end(CliSheet *sheet);
void cli_sheet_end_on(CliSheet *sheet, FILE *stream);
/** Drops a sheet that was not ended. */
void cli_sheet_clear(CliSheet *sheet);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliSheet, cli_sheet_clear)

/** Prints a sheet of these facts and nothing else. */
void cli_sheet_print(CliCtl *ctl, const CliFact *facts, unsigned count);
/** Prints the same in JSON alone, on @stream; does nothing without --json. */
void cli_sheet_print_json(CliCtl *ctl, FILE *stream, const CliFact *facts, unsigned count);

/** Adds the facts that are known, in their order. */
void cli_sheet_add(CliSheet *sheet, const CliFact *facts, unsigned count);
/** Whether any of the facts is known, so that an object for them is worth beginning. */
gboolean cli_facts_any_known(const CliFact *facts, unsigned count);
/** Adds the rows of a table: a list of objects in JSON, the table itself in text. */
void cli_sheet_add_table(CliSheet *sheet, const char *key, const CliTable *table);

/** Begins an object; @label is in the user's language, NULL: text does not show that it begins. */
void cli_sheet_begin_object(CliSheet *sheet, const char *key, const char *label);
/** Ends the object, or the list's item, that was begun last. */
void cli_sheet_end_object(CliSheet *sheet);

/** Begins a list; @summary: what text says behind the label, else "". */
void cli_sheet_begin_list(CliSheet *sheet, const char *key, const char *label, const char *summary);
/** Begins an item that is an object; cli_sheet_end_object() ends it. @index: from 0, for text. */
void cli_sheet_begin_item(CliSheet *sheet, unsigned index);
/** Adds an item that is a word. */
void cli_sheet_add_item(CliSheet *sheet, unsigned index, const char *word);
/** Ends the list that was begun last. */
void cli_sheet_end_list(CliSheet *sheet);
/** Adds a list of words (const char *), in JSON alone. */
void cli_sheet_add_words(CliSheet *sheet, const char *key, const GPtrArray *words);
