/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/error_class.h>

#include "core/ctl.h"

/**
 * Runs parsed commands (CliArgs *) in order, until one leaves the shell. Returns the exit status of
 * the last command.
 */
CstExitStatus cli_run_all(CliCtl *ctl, const GPtrArray *commands);
/**
 * Sets the help of a command as the next step of the reported mistake. @first, or @first and
 * @second, name the command. @second may be NULL.
 */
void cli_next_step_help(CliCtl *ctl, const char *first, const char *second);
/**
 * Parses @text and runs all its commands. If a command does not parse, it runs no command and
 * returns CST_EXIT_USAGE. Returns the exit status.
 */
CstExitStatus cli_run_string(CliCtl *ctl, const char *text);
