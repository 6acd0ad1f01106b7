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
/** Frees the name that was found. */
void cli_nearest_clear(CliNearest *nearest);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliNearest, cli_nearest_clear)

/**
 * Returns the command that @words (NULL-terminated, of which one or two name it) most likely mean;
 * NULL: none is near. Free it.
 */
char *cli_suggest_command(const CliGroup *groups, const char *const *words);
/**
 * Returns the option of @command that --@name most likely means, without its dashes; NULL: none.
 * Free it.
 */
char *cli_suggest_option(const CliCommand *command, const char *name);
/**
 * Returns the other commands about the same kind of object ("vol-…") that have an option --@name,
 * with commas; NULL: none has, or so many that naming them is no help. Free it.
 */
char *cli_suggest_commands_with(const CliGroup *groups, const CliCommand *command,
                                const char *name);

/**
 * Makes the name that was found the hint of the error to be reported; does nothing when none was
 * found.
 */
void cli_suggest_name(CliCtl *ctl, const CliNearest *nearest);
