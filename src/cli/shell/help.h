/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Returns one option as SYNOPSIS shows it, "<pool>", "[--type <string>]", …; free it. */
char *cli_help_synopsis(const CliCommand *command, const CliOption *option);
/** Returns what the option is for, translated and with its list of values filled in; free it. */
char *cli_help_text(const CliOption *option);
/** Returns one option as OPTIONS shows it, "[--pool] <string>", "--bytes", …; free it. */
char *cli_help_usage(const CliCommand *command, const CliOption *option);

/** Prints the help of a command, a group, or all groups; as JSON with --json. */
void cli_help_command(CliCtl *ctl, const CliCommand *command);
void cli_help_group(CliCtl *ctl, const CliGroup *group);
void cli_help_groups(CliCtl *ctl);

/** Whether the group has a command that is not hidden. */
gboolean cli_help_group_visible(const CliGroup *group);
