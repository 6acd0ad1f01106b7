/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/consistency.h>
#include <model/snapshot.h>

#include "core/ctl.h"
#include "core/options.h"

/** The option --consistency, and the consistency of a result as text. */

/** Parses --consistency. *ret_minimum is unchanged without the option, and for "best". */
gboolean cli_consistency_read(const CliArgs *args, CstConsistency *ret_minimum, GError **error);
/** Parses a word of this option. Fails with USAGE. */
gboolean cli_consistency_parse(const char *word, CstConsistency *ret_minimum, GError **error);
/** Parses the value of --max-pause, "500ms" or "2s". Fails with USAGE. */
gboolean cli_pause_parse(const char *word, uint32_t *ret_ms, GError **error);
/**
 * Prints a line with the consistency and the reason why it is not better (NULL: none), unless no
 * process had the volume open. The line goes to stderr if stdout has the data of the command.
 */
void cli_consistency_print(CliCtl *ctl, CstConsistency consistency, const char *reason);
/** Completes the levels, and "best". */
void cli_complete_consistency(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

#define CLI_MAX_PAUSE \
    CLI_NAMED("max-pause", N_("longest pause of a running guest, at most 5s (default: 1s)"))

#define CLI_CONSISTENCY                                                                           \
    {                                                                                             \
        .name = "consistency", .kind = CLI_OPT_STRING,                                            \
        .flags = CLI_OPT_NAMED | CLI_OPT_HELP_LISTS, .help = N_("fail if it would be worse: %s"), \
        .complete = cli_complete_consistency                                                      \
    }
