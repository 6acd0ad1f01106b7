/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "ctl.h"

/** What the commands over image files do for their twins over volumes; needs no image engine. */

/**
 * -o of a new image of the format called @name, as *ret_text (NULL: not given); TRUE with
 * *ret_help when it asked for help, which is then printed.
 */
gboolean cli_image_option_help(CliCtl *ctl, const CliArgs *args, const char *name,
                               const char **ret_text, gboolean *ret_help, GError **error);

/** Names of formats, for completion. */
void cli_complete_image_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** USAGE when @format is NULL: --@option must tell it. */
gboolean cli_backing_format_given(const char *format, const char *option, GError **error);

/* Rows of option tables. */
#define CLI_IMAGE_OPTIONS                                                                 \
    {                                                                                     \
        .name = "options", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 'o', \
        .help = N_("name=value,... of the new image; -o help lists them")                 \
    }
#define CLI_COMPRESS                                                             \
    {                                                                            \
        .name = "compress", .kind = CLI_OPT_BOOL, .letter = 'c',                 \
        .help = N_("compress the data (qcow2; vmdk: subformat streamOptimized)") \
    }
#define CLI_STRICT                                             \
    {                                                          \
        .name = "strict", .kind = CLI_OPT_BOOL, .letter = 's', \
        .help = N_("the sizes must be the same, too")          \
    }
#define CLI_UNSAFE                                                           \
    {                                                                        \
        .name = "unsafe", .kind = CLI_OPT_BOOL, .letter = 'u',               \
        .help = N_("change the reference and nothing else, without looking") \
    }
