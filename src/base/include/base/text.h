/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>

#include <glib.h>

/*
 * Untrusted text for terminals and logs. Bytes that are not plain text are escaped as "\x1b".
 * Escaping an escaped text again does not change it.
 */

/**
 * Whether a terminal only displays @c: no control character (C0, C1, DEL), no format character such
 * as a direction mark, no line or paragraph separator.
 */
gboolean cst_text_is_plain(gunichar c);

/**
 * Checks the name of a new object. Fails with INVALID if it has a control character, a direction
 * mark, or a line or paragraph separator. @what names the kind of object in the message ("volume").
 */
gboolean cst_text_name_check(const char *name, const char *what, GError **error);

/** Returns @text as one line: each character that is not plain is escaped. g_free() it. */
char *cst_text_escape(const char *text);

/** As cst_text_escape(), but keeps newlines and tabs. For text with several lines. */
char *cst_text_escape_lines(const char *text);

/** Formats a message. The arguments are escaped, @format is not. g_free() it. */
char *cst_text_format(const char *format, ...) G_GNUC_PRINTF(1, 2);
char *cst_text_vformat(const char *format, va_list args) G_GNUC_PRINTF(1, 0);

/** Compares two texts byte by byte, for g_ptr_array_sort() of an array of char *. */
int cst_text_compare(gconstpointer a, gconstpointer b);
