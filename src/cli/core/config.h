/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"

/**
 * What stands for words that a command line leaves out: client.conf in /etc/cistern, for everybody,
 * and in the user's ~/.config/cistern, which wins key by key. Both are key files.
 *
 * What is printed, and how, scripts rely on: only the user's own file may say it.
 */

typedef enum { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER } CliColor;

/** Reads "auto", "always" or "never"; FALSE, and *ret_color as it was, for another word. */
gboolean cli_color_parse(const char *word, CliColor *ret_color);

/** A setting and the place that it stands in ("FILE: line N"), owned. */
typedef struct {
    char *value; /**< NULL: not set */
    char *origin;
} CliDefault;

typedef struct {
    char *uri;          /**< [defaults] uri; NULL: not set, as all below */
    CliDefault pool;    /**< [defaults] pool */
    char *format;       /**< [defaults] format, of new volumes */
    gboolean has_color; /**< [output] color is set: @color is valid */
    CliColor color;
    GHashTable *columns; /**< [columns]: name of a list's command to CliDefault; NULL: none */
} CliConfig;

/**
 * Reads the files that there are, or, instead of both, the one that the environment variable
 * CISTERN_CONFIG names (none when it is empty or /dev/null). @groups has the commands that
 * [columns] may name. A user's file is left alone when its directory is not his, as below the home
 * that sudo may leave to root. CONFIG for a mistake, which is named with file and line; DENIED for
 * a file that others may write to. *@ret_config is written on success and is the caller's to clear.
 */
gboolean cli_config_load(const CliGroup *groups, CliConfig *ret_config, GError **error);
/** Frees what @config holds and empties it. */
void cli_config_clear(CliConfig *config);

/** Gives @args the configured pool, where its command needs one (CLI_OPT_POOL) and has none. */
void cli_config_imply_pool(const CliConfig *config, CliArgs *args);
/** Gives a list the configured columns, unless @args says what the list looks like. */
void cli_config_imply_columns(const CliConfig *config, CliArgs *args);
