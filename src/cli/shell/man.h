/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/command.h"

/**
 * Returns the manual page of the commands in @groups. @template is scdoc(5) text. Its lines
 * @OPTIONS@, @COMMANDS@ and @EXIT@ are replaced from the tables of options, commands and exit
 * statuses. The caller frees the result.
 */
char *cli_man_fill(const CliGroup *groups, const char *template);
