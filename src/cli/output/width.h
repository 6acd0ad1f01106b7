/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/**
 * Returns the bytes of the character that @text starts with, in the locale's encoding.
 * *ret_columns: the columns it takes on a screen; -1 when it can't be printed (a byte that is no
 * character counts alone).
 */
size_t cli_char_width(const char *text, int *ret_columns);

/**
 * Return: the bytes at the start of @text that are printable ASCII without a backslash. Each of
 * them takes one column and needs no escape.
 */
size_t cli_text_plain(const char *text);

/** Returns the columns of a whole text; unprintable characters count one per byte. */
size_t cli_text_width(const char *text);

/** Returns @text with blanks behind it up to @columns; free it. */
char *cli_text_pad(const char *text, size_t columns);
