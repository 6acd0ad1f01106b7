/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/**
 * Bytes of the character that @text starts with, in the locale's encoding, and the columns it
 * takes on a screen: -1 when it cannot be printed (a byte that is no character counts alone).
 */
size_t cli_char_width(const char *text, int *ret_columns);

/** Columns of a whole text; unprintable characters count one per byte. */
size_t cli_text_width(const char *text);

/** @text with blanks behind it up to @columns; the caller frees it. */
char *cli_text_pad(const char *text, size_t columns);
