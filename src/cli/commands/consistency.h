/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/consistency.h>

#include "core/ctl.h"
#include "core/options.h"

/** The option --consistency, and the consistency of a result as text. */

/** Parses --consistency. *ret_minimum is unchanged without the option, and for "best". */
gboolean cli_consistency_read(const CliArgs *args, CstConsistency *ret_minimum, GError **error);
/**
 * Prints a line with the consistency and the reason why it is not better (NULL: none), unless no
 * process had the volume open. The line goes to stderr if stdout has the data of the command.
 */
void cli_consistency_print(CliCtl *ctl, CstConsistency consistency, const char *reason);
/** Completes the levels, and "best". */
void cli_complete_consistency(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

#define CLI_CONSISTENCY                                                                           \
    {                                                                                             \
        .name = "consistency", .kind = CLI_OPT_STRING,                                            \
        .flags = CLI_OPT_NAMED | CLI_OPT_HELP_LISTS, .help = N_("fail if it would be worse: %s"), \
        .complete = cli_complete_consistency                                                      \
    }
