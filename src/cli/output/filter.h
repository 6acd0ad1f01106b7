/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "table.h"

/**
 * A condition on the rows of a table: `format=qcow2 and (allocation>10G or not holder=-)`.
 *
 *   condition  = term { "or" term }
 *   term       = factor { "and" factor }
 *   factor     = "not" factor | "(" condition ")" | COLUMN OPERATOR ( VALUE | COLUMN )
 *   OPERATOR   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"
 *
 * COLUMN is a column's key. VALUE is a word, or stands in single or double quotes. What it means
 * is for the column's kind to say: sizes have units (10G), percentages may end in "%", durations
 * in s, m, h or d; a time is ISO 8601 ("2026-11-21", "2026-11-21T03:44:39Z"), or so long ago
 * ("-7d"); "yes" and "no". Texts are compared as they are, words without regard to case. "~" takes
 * a regular expression (PCRE), which the text must match somewhere. "-" stands for no value; only
 * "=" and "!=" find rows that have none. Two columns of one kind compare with each other, unless
 * they are texts or words.
 */
typedef struct CliFilter CliFilter;

/** Reads a duration, "90", "15m", "2h" or "7d", as seconds; FALSE: it is none. */
gboolean cli_read_seconds(const char *text, uint64_t *ret_seconds);

/** The column called @key, with '-' for '_' as well; -1: there is none. */
int cli_column_find(const CliColumn *columns, guint n_columns, const char *key);
/** Fails with USAGE, naming the columns that there are. */
gboolean cli_column_unknown(const CliColumn *columns, guint n_columns, const char *key,
                            GError **error);

/** Reads @text; USAGE says what is wrong and where. Columns are borrowed. */
CliFilter *cli_filter_parse(const char *text, const CliColumn *columns, guint n_columns,
                            GError **error);
/** NULL is accepted. */
void cli_filter_free(CliFilter *filter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliFilter, cli_filter_free)

/** The flags of all columns that the condition looks at. */
unsigned cli_filter_needs(const CliFilter *filter);
/** Whether row @row fulfils it. The table has the columns that the filter was read with. */
gboolean cli_filter_matches(const CliFilter *filter, const CliTable *table, guint row);
