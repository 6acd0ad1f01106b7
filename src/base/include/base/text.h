/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>

#include <glib.h>

/*
 * Text from elsewhere, for terminals and logs. What is not plain is escaped byte by byte ("\x1b").
 * An escaped text stays as it is when it is escaped again.
 */

/**
 * Whether a terminal shows @c and does nothing else: no control character (C0, C1, DEL), no format
 * character such as a direction mark, no line or paragraph separator.
 */
gboolean cst_text_is_plain(gunichar c);

/**
 * Checks the name of a new object: INVALID where it has a control character, a direction mark, or a
 * line or paragraph separator. @what names the object in the message ("volume").
 */
gboolean cst_text_name_check(const char *name, const char *what, GError **error);

/** Returns @text in one line: each character that is not plain is escaped. g_free() it. */
char *cst_text_escape(const char *text);

/** Like cst_text_escape(), but keeps newlines and tabs. For texts that have lines of their own. */
char *cst_text_escape_lines(const char *text);

/** Formats a message. Each argument is escaped, and @format is not. g_free() it. */
char *cst_text_format(const char *format, ...) G_GNUC_PRINTF(1, 2);
char *cst_text_vformat(const char *format, va_list args) G_GNUC_PRINTF(1, 0);
