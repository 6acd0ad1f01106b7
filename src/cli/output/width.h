/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdio.h>

/**
 * Returns the number of bytes of the first character of @text, in the locale's encoding.
 * *ret_columns is its width on a screen, or -1 if it cannot be printed. An invalid byte is a
 * character by itself.
 */
size_t cli_char_width(const char *text, int *ret_columns);

/**
 * Return: the number of bytes at the start of @text that are printable ASCII without a backslash.
 * Each of them has a width of one column and needs no escape.
 */
size_t cli_text_plain(const char *text);

/** Returns the width of @text in columns. Unprintable characters count one column for each byte. */
size_t cli_text_width(const char *text);

/** Returns the width of the terminal that @stream writes to; 80 if it is not a terminal. */
int cli_terminal_columns(FILE *stream);

/** Returns @text padded with blanks to @columns. The caller frees it. */
char *cli_text_pad(const char *text, size_t columns);
