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
 * COLUMN is the key of a column. VALUE is a word, or a text in single or double quotes. Its syntax
 * depends on the kind of the column. Sizes have units (10G), percentages may end in "%", durations
 * end in s, m, h or d. A time is ISO 8601 ("2026-11-21", "2026-11-21T03:44:39Z") or relative to now
 * ("-7d"). Booleans are "yes" and "no".
 *
 * Texts are compared exactly, words without regard to case. "~" is followed by a regular expression
 * (PCRE), which must match a part of the text. "-" is an absent value; rows without a value match
 * only "=" and "!=". Two columns of one kind can be compared, unless they are texts or words.
 */
typedef struct CliFilter CliFilter;

/** Returns the index of the column @key, or -1. '-' and '_' are equivalent. */
int cli_column_find(const CliColumn *columns, guint n_columns, const char *key);
/** Fails with USAGE. The message lists the existing columns. */
gboolean cli_column_unknown(const CliColumn *columns, guint n_columns, const char *key,
                            GError **error);

/**
 * Parses @text. Fails with USAGE; the message has the mistake and its position. Columns are
 * borrowed.
 */
CliFilter *cli_filter_parse(const char *text, const CliColumn *columns, guint n_columns,
                            GError **error);
/** NULL is accepted. */
void cli_filter_free(CliFilter *filter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliFilter, cli_filter_free)

/** Returns the flags of all columns that the condition uses. */
unsigned cli_filter_needs(const CliFilter *filter);
/**
 * Return: TRUE if row @row fulfils the condition. The table must have the columns of the filter.
 */
gboolean cli_filter_matches(const CliFilter *filter, const CliTable *table, guint row);
