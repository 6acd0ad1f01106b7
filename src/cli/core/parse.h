/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"
#include "config.h"

/*
 * Parses command lines as virsh does: words from argv, or one string. In a string, ';' and newlines
 * separate commands, '#' starts a comment, and quotes and backslashes protect characters. @groups
 * is the table of commands and must outlive the result. @config has the defaults for omitted words.
 */

/**
 * Parses a command line. Returns an array of CliArgs *, one for each command; it is empty for an
 * empty line. The array frees its elements. Fails with CST_ERROR_USAGE; a message with several
 * lines reports several mistakes.
 */
GPtrArray *cli_parse_argv(const CliGroup *groups, const CliConfig *config, int argc, char **argv,
                          GError **error);
GPtrArray *cli_parse_string(const CliGroup *groups, const CliConfig *config, const char *text,
                            GError **error);

/**
 * Parses one unfinished line for completion and skips mistakes. *ret_pending is the option that
 * waits for its value, or NULL. *ret_data_only is TRUE after "--". Returns NULL if the line has no
 * command yet.
 */
CliArgs *cli_parse_partial(const CliGroup *groups, int argc, char **argv,
                           const CliOption **ret_pending, gboolean *ret_data_only);
