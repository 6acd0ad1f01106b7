/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Splits a line of the shell into commands and words by virsh's rules. Blanks separate words, ';'
 * and newline separate commands. '#' at the start of a word begins a comment, which ends with the
 * line. '…' protects all characters, "…" protects all but backslash. A backslash protects the next
 * character; backslash and newline are removed. A missing closing single quote is accepted, as in
 * virsh. A missing closing double quote, or a backslash at the end, fails with CST_ERROR_USAGE.
 *
 * Returns an array of NULL-terminated vectors (char **) with at least one word each.
 */
GPtrArray *cli_words_split(const char *text, GError **error);

/**
 * Returns @text quoted so that cli_words_split() and a POSIX shell parse it as one word. The caller
 * frees it.
 */
char *cli_words_quote(const char *text);
