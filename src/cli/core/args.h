/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "command.h"

/** One option as it was given. */
typedef struct {
    const CliOption *option;
    char *value;        /**< NULL for switches */
    gboolean plain;     /**< it was a plain word, without the option's name */
    const char *origin; /**< the place in a file that it stands in, borrowed; NULL: it was given */
} CliArg;

/** A command line taken apart (parse.h). */
struct CliArgs {
    const CliCommand *command;
    gboolean by_alias; /**< it was called by its short name */
    GArray *items;     /**< of CliArg, in the order given */
};

/** Frees the arguments with their values. NULL is accepted. */
void cli_args_free(CliArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliArgs, cli_args_free)

/** Returns the NAME in a word POOL/NAME, borrowed from it; NULL: the word is not of that form. */
const char *cli_full_name(const char *word);
/** Returns the POOL in a word POOL/NAME, to be freed; NULL: the word is not of that form. */
char *cli_full_name_pool(const char *word);
/**
 * Whether the value of another option says what @option would: it is POOL/NAME, and its row has
 * @option as names_pool.
 */
gboolean cli_args_name_pool(const CliArgs *args, const CliOption *option);
/** Whether a plain word, @word or (NULL) any that might come next, may fill @option. */
gboolean cli_args_takes_word(const CliArgs *args, const CliOption *option, const char *word);
/** Whether the option was given, whatever its kind. */
gboolean cli_args_has(const CliArgs *args, const char *name);
/**
 * Gets the value, borrowed, or NULL when the option was not given. USAGE for an empty one, unless
 * its row has CLI_OPT_EMPTY_OK.
 */
gboolean cli_args_string(const CliArgs *args, const char *name, const char **ret_value,
                         GError **error);
/**
 * Gets a number, or a scaled size in bytes (@default_scale: of one without a unit). *ret_value is
 * left alone when the option was not given; USAGE when it does not parse.
 */
gboolean cli_args_uint(const CliArgs *args, const char *name, unsigned *ret_value, GError **error);
gboolean cli_args_size(const CliArgs *args, const char *name, uint64_t default_scale,
                       uint64_t *ret_value, GError **error);
/**
 * Gets --timeout, which is in seconds, as milliseconds; left alone when it was not given. USAGE for
 * 0.
 */
gboolean cli_args_timeout(const CliArgs *args, int *ret_ms, GError **error);
/** Fails with USAGE for option @name, whose @value is no number or too large. */
gboolean cli_args_bad_number(const char *value, const char *name, GError **error);
/** Fails with USAGE when both options were given. */
gboolean cli_args_exclusive(const CliArgs *args, const char *a, const char *b, GError **error);
/** Whether the value was given as a plain word, without the option's name. */
gboolean cli_args_is_plain(const CliArgs *args, const char *name);
/** Returns "FILE: line N" where the value is not the user's but the configuration's; else NULL. */
const char *cli_args_origin(const CliArgs *args, const char *name);
/** Gives an option that was left out the value that stands at @origin, which is borrowed. */
void cli_args_imply(CliArgs *args, const CliOption *option, const char *value, const char *origin);
/** Returns all values of the CLI_OPT_ARGV option, borrowed; free the array. */
GPtrArray *cli_args_rest(const CliArgs *args);
