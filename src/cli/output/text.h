/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/* Text for people. */

/** Text for people on stdout; nothing with --json. */
void cli_print(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** The same, left out with --quiet: headers, blank lines, that something was done. */
void cli_extra(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** A line "error: …" on stderr that does not end the command. */
void cli_complain(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** The same of a whole text. */
void cli_error_line(CliCtl *ctl, const char *text);
/** "warning: …" on stderr, after what went to stdout before; @format has the word and the line end.
 */
void cli_warn(CliCtl *ctl, const char *format, ...) G_GNUC_PRINTF(2, 3);

gboolean cli_use_color(const CliCtl *ctl, FILE *stream);

/** "251.97 GiB" in the locale's digits, or plain bytes with --bytes. */
char *cli_size_text(const CliCtl *ctl, uint64_t bytes);
/** A time in seconds since 1970, in the local zone and with it: "2026-11-21 03:44:39+0100". */
char *cli_time_text(int64_t seconds);
