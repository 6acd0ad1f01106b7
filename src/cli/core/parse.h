/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"
#include "config.h"

/*
 * Parses command lines as virsh does: words from argv, or one string in which ';' and newlines
 * separate commands, '#' starts a comment and quotes and backslashes protect. @groups is the table
 * of commands, @config what stands for words that are left out; it outlives the result.
 */

/**
 * Returns CliArgs *, one for each command (none for an empty line), freed with the array. Fails
 * with CST_ERROR_USAGE; a message of several lines names several mistakes.
 */
GPtrArray *cli_parse_argv(const CliGroup *groups, const CliConfig *config, int argc, char **argv,
                          GError **error);
GPtrArray *cli_parse_string(const CliGroup *groups, const CliConfig *config, const char *text,
                            GError **error);

/**
 * Parses one unfinished line, for completion: mistakes are skipped. *ret_pending is the option
 * whose value comes next, or NULL; *ret_data_only: "--" was given. Returns NULL when there is no
 * command yet.
 */
CliArgs *cli_parse_partial(const CliGroup *groups, int argc, char **argv,
                           const CliOption **ret_pending, gboolean *ret_data_only);
