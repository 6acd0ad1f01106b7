/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"

/**
 * Defaults for words that a command line omits. /etc/cistern/client.conf applies to all users. The
 * user's ~/.config/cistern/client.conf overrides it key by key. Both are key files.
 *
 * Only the user's own file may change output options, because scripts rely on the default output.
 */

typedef enum { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER } CliColor;

/**
 * Parses "auto", "always" or "never". Return: FALSE for another word, with *ret_color unchanged.
 */
gboolean cli_color_parse(const char *word, CliColor *ret_color);

/** A setting and its place ("FILE: line N"), both owned. */
typedef struct {
    char *value; /**< NULL: not set */
    char *origin;
} CliDefault;

typedef struct {
    char *uri;          /**< [defaults] uri; NULL: not set, as for all fields below */
    CliDefault pool;    /**< [defaults] pool */
    char *format;       /**< [defaults] format of new volumes */
    gboolean has_color; /**< [output] color is set, and @color is valid */
    CliColor color;
    GHashTable *columns; /**< [columns]: name of the list command to CliDefault; NULL: not set */
} CliConfig;

/**
 * Reads the configuration files that exist. The environment variable CISTERN_CONFIG names a single
 * file that replaces both; if it is empty or /dev/null, no file is read. @groups has the commands
 * that [columns] may name. A user's file is ignored if its directory belongs to another user, for
 * example when sudo keeps HOME for root.
 *
 * Fails with CONFIG for a mistake; the message has the file and the line. Fails with DENIED for a
 * file that other users may write to. *@ret_config is written on success only. The caller clears
 * it.
 */
gboolean cli_config_load(const CliGroup *groups, CliConfig *ret_config, GError **error);
/** Frees the members of @config and resets it. */
void cli_config_clear(CliConfig *config);

/** Sets the pool option (CLI_OPT_POOL) of @args to the configured pool if it was not given. */
void cli_config_imply_pool(const CliConfig *config, CliArgs *args);
/**
 * Sets --columns of a list to the configured columns, unless @args has an option for the layout.
 */
void cli_config_imply_columns(const CliConfig *config, CliArgs *args);
