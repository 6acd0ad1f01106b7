/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/**
 * Runs parsed commands (CliArgs *) one after the other, until one leaves the shell; returns the
 * last one's exit status.
 */
CstExitStatus cli_run_all(CliCtl *ctl, const GPtrArray *commands);
/**
 * Makes the help of the command that @first, or @first and @second (may be NULL), name the next
 * step of the mistake that is reported.
 */
void cli_next_step_help(CliCtl *ctl, const char *first, const char *second);
/**
 * Parses @text and runs all commands in it, or none when it does not parse (CST_EXIT_USAGE).
 * Returns the exit status.
 */
CstExitStatus cli_run_string(CliCtl *ctl, const char *text);
