/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/ctl.h"

/** Usage of one option as SYNOPSIS shows it: "<pool>", "[--type <string>]", …. */
char *cli_help_synopsis(const CliCommand *command, const CliOption *option);
/** What the option is for, translated; the caller frees it. */
char *cli_help_text(const CliOption *option);
/** Usage of one option as OPTIONS shows it: "[--pool] <string>", "--bytes", …. */
char *cli_help_usage(const CliCommand *command, const CliOption *option);

void cli_help_command(CliCtl *ctl, const CliCommand *command);
void cli_help_group(CliCtl *ctl, const CliGroup *group);
void cli_help_groups(CliCtl *ctl);

/** FALSE for a group all of whose commands are hidden. */
gboolean cli_help_group_visible(const CliGroup *group);
