/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/* Text for people. */

/*
 * Arguments of a message are escaped (base/text.h), because they may come from another user, an
 * image or a server. Newlines of the format itself are kept.
 */

/** Size of the buffer for any uint64_t in decimal, with the NUL. */
#define CLI_DIGITS 21
/** Return: the decimal digits of @value, at the end of @buffer. Faster than printf(). */
const char *cli_digits(uint64_t value, char buffer[CLI_DIGITS]);

/** Prints text for people on stdout. Prints no output with --json. */
void cli_print(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Like cli_print(), but not with --quiet. For headers, blank lines and reports of success. */
void cli_extra(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/**
 * Prints a text with several lines: a table, help, a translation. Escapes all other control
 * characters.
 */
void cli_print_lines(CliCtl *ctl, const char *text);
/** Like cli_print_lines(), but not with --quiet. */
void cli_extra_lines(CliCtl *ctl, const char *text);
/** Prints a line "error: …" on stderr. The command continues. */
void cli_complain(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Prints a complete text as an error. A later line that looks like a message is indented. */
void cli_error_line(CliCtl *ctl, const char *text);
/**
 * Prints a warning on stderr, after flushing stdout. @format includes "warning: " and the newline.
 */
void cli_warn(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Prints a note for the user, unless --quiet or --json. @ctl is a CliCtl. */
void cli_note(const char *text, gpointer ctl);

/**
 * Writes bytes past the buffer of @stream, because that buffer is never wiped. Return: FALSE, with
 * errno, if not all bytes were written.
 */
gboolean cli_write_unbuffered(FILE *stream, const void *bytes, size_t len);

/**
 * Return: TRUE if output to @stream should be coloured. --color decides, else NO_COLOR, TERM and
 * whether @stream is a terminal.
 */
gboolean cli_use_color(const CliCtl *ctl, FILE *stream);

/**
 * Returns "251.97 GiB" in the locale's digits, or plain bytes with --bytes. The caller frees it.
 */
char *cli_size_text(const CliCtl *ctl, uint64_t bytes);
/**
 * Returns a time in seconds since 1970 in the local zone, "2026-11-21 03:44:39+0100". The caller
 * frees it.
 */
char *cli_time_text(int64_t seconds);
