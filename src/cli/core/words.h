/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Splits a line of the shell into commands and words, with virsh's rules: blanks separate words,
 * ';' and newline commands, '#' at the start of a word begins a comment that lasts to the end of
 * the line; '…' protects everything, "…" everything but backslash, a backslash the next character
 * (backslash newline is nothing). A single quote that is never closed protects to the end, as
 * virsh has it; a double quote or a backslash at the end is CST_ERROR_USAGE.
 *
 * Elements are NULL-terminated vectors (char **) of at least one word.
 */
GPtrArray *cli_words_split(const char *text, GError **error);

/**
 * Returns @text quoted so that cli_words_split() and a POSIX shell give it back as one word; free
 * it.
 */
char *cli_words_quote(const char *text);
