/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

#include "command.h"

/** An option of a command line. */
typedef struct {
    const CliOption *option;
    char *value;        /**< NULL for switches */
    gboolean plain;     /**< given as a plain word, without the option's name */
    const char *origin; /**< place of the value in client.conf, borrowed; NULL: not from there */
} CliArg;

/** A parsed command line (parse.h). */
struct CliArgs {
    const CliCommand *command;
    gboolean by_alias; /**< the command was called by its alias */
    GArray *items;     /**< of CliArg, in the order of the command line */
};

/** Returns a command line of @command without options; owned by the caller. */
CliArgs *cli_args_new(const CliCommand *command);
/** Frees the arguments with their values. NULL is accepted. */
void cli_args_free(CliArgs *args);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CliArgs, cli_args_free)

/** Returns NAME of @word if it has the form POOL/NAME, else NULL. Borrowed from @word. */
const char *cli_full_name(const char *word);
/** Returns POOL of @word if it has the form POOL/NAME, else NULL. The caller frees it. */
char *cli_full_name_pool(const char *word);
/**
 * Return: TRUE if another option supplies the value of @option. The other option's row has @option
 * as names_pool, and its value has the form POOL/NAME.
 */
gboolean cli_args_name_pool(const CliArgs *args, const CliOption *option);
/** Return: TRUE if the plain word @word may fill @option. @word NULL: any next word. */
gboolean cli_args_takes_word(const CliArgs *args, const CliOption *option, const char *word);
/** Return: TRUE if the option was given. Works for options of any kind. */
gboolean cli_args_has(const CliArgs *args, const char *name);
/**
 * Gets the value of option @name, borrowed. *ret_value is NULL when the option was not given. Fails
 * with USAGE for an empty value, unless the option's row has CLI_OPT_EMPTY_OK.
 */
gboolean cli_args_string(const CliArgs *args, const char *name, const char **ret_value,
                         GError **error);
/**
 * Gets a number, or a size in bytes that may have a unit (@default_scale applies to a size without
 * one). Leaves *ret_value unchanged when the option was not given. Fails with USAGE for an invalid
 * value.
 */
gboolean cli_args_uint(const CliArgs *args, const char *name, unsigned *ret_value, GError **error);
gboolean cli_args_size(const CliArgs *args, const char *name, uint64_t default_scale,
                       uint64_t *ret_value, GError **error);
/**
 * Parses a time in local time, "2026-12-01" or "2026-12-01T12:00:00", or with a zone, into seconds
 * since 1970. Returns FALSE for other texts.
 */
gboolean cli_parse_time(const char *text, int64_t *ret_time);
/**
 * Gets a time in local time, "2026-12-01" or "2026-12-01T12:00:00", in seconds since 1970. Leaves
 * *ret_time unchanged when the option was not given. Fails with USAGE for an invalid value.
 */
gboolean cli_args_time(const CliArgs *args, const char *name, int64_t *ret_time, GError **error);
/** Maximum duration of cli_args_since(), in seconds. */
#define CLI_SINCE_MAX_S (100 * UINT64_C(365) * 86400)
/**
 * Gets a time as cli_args_time() does, or a duration before now, such as "2h", "30d", "4w" or "2y".
 */
gboolean cli_args_since(const CliArgs *args, const char *name, int64_t *ret_time, GError **error);
/**
 * Gets --timeout, which is in seconds, in milliseconds. Leaves *ret_ms unchanged when the option
 * was not given. Fails with USAGE for 0.
 */
gboolean cli_args_timeout(const CliArgs *args, int *ret_ms, GError **error);
/** Fails with USAGE, because the @value of option @name is not a number or is too large. */
gboolean cli_args_bad_number(const char *value, const char *name, GError **error);
/** Fails with USAGE when both options were given. */
gboolean cli_args_exclusive(const CliArgs *args, const char *a, const char *b, GError **error);
/** Return: TRUE if the value was given as a plain word, without the option's name. */
gboolean cli_args_is_plain(const CliArgs *args, const char *name);
/** Returns "FILE: line N" if the value comes from the configuration, else NULL. */
const char *cli_args_origin(const CliArgs *args, const char *name);
/** Sets an option that was not given to @value. @origin is borrowed. */
void cli_args_imply(CliArgs *args, const CliOption *option, const char *value, const char *origin);
/** Returns all values of the CLI_OPT_ARGV option, borrowed. The caller frees the array. */
GPtrArray *cli_args_rest(const CliArgs *args);
