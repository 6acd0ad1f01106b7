/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/**
 * Returns the manual page of the commands in @groups: @template is scdoc(5) text in which the lines
 * @OPTIONS@, @COMMANDS@ and @EXIT@ are replaced by what the tables of options, commands and exit
 * statuses say. Free it.
 */
char *cli_man_fill(const CliGroup *groups, const char *template);
