/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl.h"

/** A search for the name that somebody most likely meant when @typed named nothing. */
typedef struct {
    const char *typed;
    guint distance; /**< edits between @typed and @found; only smaller ones replace it */
    char *found;    /**< owned; NULL: nothing is near */
} CliNearest;

/** Starts a search. @typed is borrowed. */
void cli_nearest_init(CliNearest *nearest, const char *typed);
/** Remembers a copy of @name when it is nearer than all that were offered before. */
void cli_nearest_offer(CliNearest *nearest, const char *name);
void cli_nearest_clear(CliNearest *nearest);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliNearest, cli_nearest_clear)

/** The command that @words (NULL-terminated) most likely mean; NULL: none is near. */
char *cli_suggest_command(const CliGroup *groups, const char *const *words);
/** The option of @command that --@name most likely means, without its dashes; NULL: none. */
char *cli_suggest_option(const CliCommand *command, const char *name);

/** The hint of the error being reported is the name that was found; without one it stays. */
void cli_suggest_name(CliCtl *ctl, const CliNearest *nearest);
