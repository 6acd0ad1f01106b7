/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "ctl.h"

/** The action of the program. All but CLI_RUN run no commands. */
typedef enum { CLI_RUN, CLI_SHOW_HELP, CLI_SHOW_VERSION, CLI_SHOW_LONG_VERSION } CliAction;

/** An option of the program itself. The table drives getopt_long(), --help and the man page. */
typedef struct {
    const char *name;  /**< long name; NULL ends the table */
    char short_name;   /**< 0: no letter */
    const char *value; /**< placeholder of its value, marked with N_(); NULL: a switch */
    gboolean optional_value;
    const char *help;
} CliGlobalOption;

/** Returns the static table. */
const CliGlobalOption *cli_global_options(void);

/**
 * Parses the options before the first word that is not an option. *ret_first is the index of that
 * word. Changes only the given options in *ret_settings. *ret_action is the action. Fails with
 * CST_ERROR_USAGE. Not thread-safe (getopt).
 */
gboolean cli_options_parse(int argc, char **argv, CliSettings *ret_settings, CliAction *ret_action,
                           int *ret_first, GError **error);
