/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Returns one option as in SYNOPSIS: "<pool>", "[--type <string>]", …; the caller frees it. */
char *cli_help_synopsis(const CliCommand *command, const CliOption *option);
/** Returns the help text of an option, translated, with its list of values. The caller frees it. */
char *cli_help_text(const CliOption *option);
/** Returns one option as in OPTIONS: "[--pool] <string>", "--bytes", …; the caller frees it. */
char *cli_help_usage(const CliCommand *command, const CliOption *option);

/** Prints the help of a command, a group, or all groups; as JSON with --json. */
void cli_help_command(CliCtl *ctl, const CliCommand *command);
void cli_help_group(CliCtl *ctl, const CliGroup *group);
void cli_help_groups(CliCtl *ctl);

/** Return: TRUE if the group has a command that is not hidden. */
gboolean cli_help_group_visible(const CliGroup *group);
