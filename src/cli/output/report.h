/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/* How a command ends, as text or with --json as one object. */

/**
 * Ends a command that did something: prints the sentence, unless --quiet, or in JSON @key with
 * @value (NULL: none), the command's name and the sentence as "message". Prints nothing in a dry
 * run that has a plan.
 */
void cli_done(CliCtl *ctl, const char *key, const char *value, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/** The size of an object that is not known, or is not shown. */
#define CLI_BYTES_UNKNOWN G_MAXUINT64
/**
 * As cli_done() for a command that made an object of @bytes (CLI_BYTES_UNKNOWN: not known). JSON
 * has "bytes" and "seconds" as well. A terminal shows both on a second line; a pipe does not get
 * it, because scripts compare virsh's texts.
 */
void cli_done_sized(CliCtl *ctl, const char *key, const char *value, uint64_t bytes,
                    const char *format, ...) G_GNUC_PRINTF(5, 6);
/** Whether cli_done_sized() shows sizes, so that the caller has to find them out. */
gboolean cli_shows_sizes(const CliCtl *ctl);
/** Returns the seconds since the command began. */
double cli_seconds(const CliCtl *ctl);
/** Prints the second line of cli_done_sized(). */
void cli_print_size_line(CliCtl *ctl, uint64_t bytes);
/**
 * Ends a command whose work returned @ok: as cli_done() with @done, or as cli_failed() with
 * @failed. Both formats take the same arguments. Returns @ok.
 */
gboolean cli_outcome(CliCtl *ctl, gboolean ok, const char *key, const char *value, const char *done,
                     const char *failed, ...) G_GNUC_PRINTF(5, 7) G_GNUC_PRINTF(6, 7);
/** Prints one value on a line, escaped, or as member @key, which has the exact value. */
void cli_value(CliCtl *ctl, const char *key, const char *value);
/**
 * Prints a document that has its own newlines, or as member @key. Control characters are escaped on
 * a terminal only.
 */
void cli_document(CliCtl *ctl, const char *key, const char *text);

/**
 * Reports @error on stderr with headline and hint, as text or as JSON, and forgets these. What went
 * to stdout comes first.
 */
void cli_report(CliCtl *ctl, const GError *error);

/**
 * Reports @error of one of several things that a command goes on with, as text; in JSON it is what
 * the caller makes of it. Forgets headline and hint likewise.
 */
void cli_report_part(CliCtl *ctl, const GError *error);

/** Prints the plan of a dry run that has passed all checks; nothing when the command set none. */
void cli_print_plan(CliCtl *ctl);
