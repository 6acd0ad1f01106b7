/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"
#include "json.h"

/**
 * What is said of an image, listed once and told in either of two ways: as lines of text, "label:
 * value", each list and object a step further to the right, or as members of JSON. Members are
 * qemu-img's; its text says the same words with spaces.
 */
typedef struct {
    const char *key;   /**< in JSON */
    const char *label; /**< in text: N_() */
    gboolean is_known; /**< else it is left out */
    enum { CLI_FACT_TEXT, CLI_FACT_NUMBER, CLI_FACT_BOOL } kind;
    const char *text; /**< may hold anything: it is escaped */
    uint64_t number;  /**< CLI_FACT_BOOL: 0 or 1 */
} CliFact;

/** Known unless it is NULL. */
static inline CliFact cli_fact_text(const char *key, const char *label, const char *text)
{
    return (CliFact){key, label, text != NULL, CLI_FACT_TEXT, text, 0};
}

static inline CliFact cli_fact_number(const char *key, const char *label, gboolean is_known,
                                      uint64_t number)
{
    return (CliFact){key, label, is_known, CLI_FACT_NUMBER, NULL, number};
}

static inline CliFact cli_fact_bool(const char *key, const char *label, gboolean is_known,
                                    gboolean value)
{
    return (CliFact){key, label, is_known, CLI_FACT_BOOL, NULL, value ? 1 : 0};
}

/** Where facts are told. */
typedef struct {
    CliCtl *ctl;
    JsonBuilder *json; /**< NULL: text */
    unsigned depth;    /**< text: steps to the right */
} CliFactSheet;

void cli_facts_tell(CliFactSheet *sheet, const CliFact *facts, unsigned count);
gboolean cli_facts_any_known(const CliFact *facts, unsigned count);

/** An object within; @label is in the user's language. */
void cli_facts_begin_object(CliFactSheet *sheet, const char *key, const char *label);
void cli_facts_end_object(CliFactSheet *sheet);

/** A list within; @summary: what text says behind the label, else "". */
void cli_facts_begin_list(CliFactSheet *sheet, const char *key, const char *label,
                          const char *summary);
/** One of the list that is an object; cli_facts_end_object() ends it. */
void cli_facts_begin_item(CliFactSheet *sheet, unsigned index);
/** One that is a word. */
void cli_facts_tell_item(CliFactSheet *sheet, unsigned index, const char *word);
void cli_facts_end_list(CliFactSheet *sheet);
