/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl.h"

/** A search for the known name nearest to @typed. */
typedef struct {
    const char *typed;
    guint distance; /**< edits between @typed and @found; only a smaller distance replaces it */
    char *found;    /**< owned; NULL: no name is near */
} CliNearest;

/** Starts a search. @typed is borrowed. */
void cli_nearest_init(CliNearest *nearest, const char *typed);
/** Keeps a copy of @name if it is nearer than all earlier ones. */
void cli_nearest_offer(CliNearest *nearest, const char *name);
/** Frees the name that was found. */
void cli_nearest_clear(CliNearest *nearest);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CliNearest, cli_nearest_clear)

/**
 * Returns the command nearest to @words, or NULL. @words is NULL-terminated, and its first word or
 * its first two words name the command. The caller frees the result.
 */
char *cli_suggest_command(const CliGroup *groups, const char *const *words);
/**
 * Returns the option of @command nearest to --@name, without dashes, or NULL. The caller frees it.
 */
char *cli_suggest_option(const CliCommand *command, const char *name);
/**
 * Returns the other commands for the same kind of object ("vol-…") that have an option --@name,
 * separated by commas. Returns NULL if no command has it, or if the list is too long to be useful.
 * The caller frees the result.
 */
char *cli_suggest_commands_with(const CliGroup *groups, const CliCommand *command,
                                const char *name);

/** Sets the found name as the hint of the error. Has no effect if no name was found. */
void cli_suggest_name(CliCtl *ctl, const CliNearest *nearest);
