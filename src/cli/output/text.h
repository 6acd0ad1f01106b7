/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/* Text for people. */

/*
 * Each argument of a message is escaped (base/text.h), because it may come from another user, an
 * image or a server. A newline that the message itself has stays one.
 */

/** Bytes of the digits of any number, with the NUL. */
#define CLI_DIGITS 21
/** Return: the decimal digits of @value, which are at the end of @buffer. Faster than printf(). */
const char *cli_digits(uint64_t value, char buffer[CLI_DIGITS]);

/** Prints text for people on stdout; nothing with --json. */
void cli_print(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Prints the same unless --quiet is given: headers, blank lines, that something was done. */
void cli_extra(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Prints a text that has lines of its own: a table, help, a translation. Escapes all else. */
void cli_print_lines(CliCtl *ctl, const char *text);
/** Likewise, but prints nothing with --quiet. */
void cli_extra_lines(CliCtl *ctl, const char *text);
/** Prints a line "error: …" on stderr that does not end the command. */
void cli_complain(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Prints a whole text as such a line. A further line that looks like a message is indented. */
void cli_error_line(CliCtl *ctl, const char *text);
/**
 * Prints "warning: …" on stderr, after what went to stdout before; @format has the word and the
 * line end.
 */
void cli_warn(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** Tells the user of @ctl, a CliCtl, what is no failure, unless --quiet or --json. */
void cli_note(const char *text, gpointer ctl);

/**
 * Hands bytes to the kernel as they are, past the buffer of @stream, which nobody wipes. FALSE,
 * with errno: not all were written.
 */
gboolean cli_write_unbuffered(FILE *stream, const void *bytes, size_t len);

/**
 * Whether to colour what goes to @stream: by --color, else by NO_COLOR, TERM and whether it is a
 * terminal.
 */
gboolean cli_use_color(const CliCtl *ctl, FILE *stream);

/** Returns "251.97 GiB" in the locale's digits, or plain bytes with --bytes. Free it. */
char *cli_size_text(const CliCtl *ctl, uint64_t bytes);
/** Returns a time in seconds since 1970 in the local zone, "2026-11-21 03:44:39+0100". Free it. */
char *cli_time_text(int64_t seconds);
