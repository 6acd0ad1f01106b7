/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "ctl.h"

/** What the program is to do besides running commands. */
typedef enum { CLI_RUN, CLI_SHOW_HELP, CLI_SHOW_VERSION, CLI_SHOW_LONG_VERSION } CliAction;

/** An option of the program itself; the table drives getopt_long, --help and the man page. */
typedef struct {
    const char *name;  /**< long name; NULL ends the table */
    char short_name;   /**< 0: none */
    const char *value; /**< word for its value, marked with N_(); NULL: takes none */
    gboolean optional_value;
    const char *help;
} CliGlobalOption;

/** Returns the table, static. */
const CliGlobalOption *cli_global_options(void);

/**
 * Reads the options before the first word that is none, whose index *ret_first is. Changes in
 * *ret_settings only what is given. *ret_action: what to do instead of running commands. Fails with
 * CST_ERROR_USAGE. Not thread safe (getopt).
 */
gboolean cli_options_parse(int argc, char **argv, CliSettings *ret_settings, CliAction *ret_action,
                           int *ret_first, GError **error);
