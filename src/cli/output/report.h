/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/* How a command ends, as text or with --json as one object. */

/**
 * A command that did something: the sentence, unless --quiet, and, in JSON, @key with @value (NULL:
 * none), the command's name and the sentence as "message".
 */
void cli_done(CliCtl *ctl, const char *key, const char *value, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
/**
 * The end of a command whose work returned @ok: as cli_done() with @done, or as cli_failed() with
 * @failed. Both formats take the same arguments. Returns @ok.
 */
gboolean cli_outcome(CliCtl *ctl, gboolean ok, const char *key, const char *value, const char *done,
                     const char *failed, ...) G_GNUC_PRINTF(5, 7) G_GNUC_PRINTF(6, 7);
/** One value on a line. */
void cli_value(CliCtl *ctl, const char *key, const char *value);
/** A document that brings its own newlines. */
void cli_document(CliCtl *ctl, const char *key, const char *text);

/** Reports @error with the headline, as text or as JSON, and forgets the headline. */
void cli_report(CliCtl *ctl, const GError *error);

/** A dry run has passed: prints the plan. */
void cli_print_plan(CliCtl *ctl);
