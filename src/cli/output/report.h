/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/place.h>

#include "core/ctl.h"
#include "sheet.h"

/* The output at the end of a command, as text or, with --json, as one object. */

/**
 * Reports a completed action. Text: prints the sentence, unless --quiet. JSON: prints @key with
 * @value (NULL: no value), the command's name, and the sentence as "message". Prints no output in a
 * dry run that has a plan.
 */
void cli_done(CliCtl *ctl, const char *key, const char *value, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/** A size that is unknown or is not shown. */
#define CLI_BYTES_UNKNOWN G_MAXUINT64
/**
 * Like cli_done(), for a command that created an object of @bytes (CLI_BYTES_UNKNOWN: not known).
 * JSON also has "bytes" and "seconds". A terminal shows both on a second line. A pipe does not get
 * this line, because scripts compare virsh's texts.
 */
void cli_done_sized(CliCtl *ctl, const char *key, const char *value, uint64_t bytes,
                    const char *format, ...) G_GNUC_PRINTF(5, 6);
/** Like cli_done_sized(). JSON also has the @count facts @more. */
void cli_done_with(CliCtl *ctl, const char *key, const char *value, uint64_t bytes,
                   const CliFact *more, guint count, const char *format, ...) G_GNUC_PRINTF(7, 8);
/** Like cli_done(). JSON also has the @count facts @more. */
void cli_done_facts(CliCtl *ctl, const char *key, const char *value, const CliFact *more,
                    guint count, const char *format, ...) G_GNUC_PRINTF(6, 7);
/** Return: TRUE if cli_done_sized() shows sizes, so that the caller must determine them. */
gboolean cli_shows_sizes(const CliCtl *ctl);
/** Returns the seconds since the command began. */
double cli_seconds(const CliCtl *ctl);
/** Prints the second line of cli_done_sized(). */
void cli_print_size_line(CliCtl *ctl, uint64_t bytes);
/**
 * Reports the result of work that returned @ok: like cli_done() with @done, or like cli_failed()
 * with @failed. Both formats have the same arguments. Returns @ok.
 */
gboolean cli_outcome(CliCtl *ctl, gboolean ok, const char *key, const char *value, const char *done,
                     const char *failed, ...) G_GNUC_PRINTF(5, 7) G_GNUC_PRINTF(6, 7);
/** Prints one value: escaped on a line, or exactly as JSON member @key. */
void cli_value(CliCtl *ctl, const char *key, const char *value);
/**
 * Prints a document with several lines: as text, or as JSON member @key. Control characters are
 * escaped only on a terminal.
 */
void cli_document(CliCtl *ctl, const char *key, const char *text);

/**
 * Warns if another user can exchange a directory on the way to @place, which the command creates or
 * changes. The file, socket or directory may then be elsewhere.
 */
void cli_warn_of_exchange(CliCtl *ctl, const CstPlace *place);
/** As cli_warn_of_exchange(), for a @path that a lower layer opens. */
void cli_warn_of_path(CliCtl *ctl, const char *path);

/**
 * Reports @error on stderr with headline and hint, as text or as JSON, then clears both. Flushes
 * stdout before.
 */
void cli_report(CliCtl *ctl, const GError *error);

/**
 * Reports @error of one object as text, for a command that continues with further objects. With
 * --json, the caller reports it. Clears headline and hint.
 */
void cli_report_part(CliCtl *ctl, const GError *error);

/**
 * Prints the plan of a dry run that passed all checks. Prints no output if the command set no plan.
 */
void cli_print_plan(CliCtl *ctl);
