/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>
#include <model/image_report.h>

#include "core/ctl.h"

/**
 * Functions of image commands for their counterparts that work on volumes. They do not need the
 * image engine.
 */

/**
 * Gets -o for a new image of the format @name in *ret_text (NULL: not given). If -o requests help,
 * prints it and sets *ret_help.
 */
gboolean cli_image_option_help(CliCtl *ctl, const CliArgs *args, const char *name,
                               const char **ret_text, gboolean *ret_help, GError **error);

/** Warns that a copy of @name does not record its sector size, which is @size bytes. */
void cli_warn_of_sector_size(CliCtl *ctl, const char *name, unsigned size);

/** Names of formats, for completion. */
/**
 * CliCompleters. Append the formats in which a volume or an image can be created, or all known
 * formats.
 */
void cli_complete_vol_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words);
void cli_complete_image_formats(CliCtl *ctl, const CliArgs *args, GPtrArray *words);

/** Fails with USAGE if @format is NULL, because --@option is required. */
gboolean cli_backing_format_given(const char *format, const char *option, GError **error);

/**
 * Parses the actions of image-bitmap and vol-bitmap in the order of the command line. Strings are
 * borrowed. @source is the option for the source of a merge. @detail is an option that requires
 * @source.
 */
gboolean cli_bitmap_change(const CliArgs *args, const char *source, const char *detail,
                           CstBitmapChange *ret_change, GError **error);

/** Implements image-measure for the file of option @subject, or without it for --size. */
gboolean cli_image_measure(CliCtl *ctl, const CliArgs *args, const char *subject, GError **error);

/* Rows of option tables. */
#define CLI_IMAGE_OPTIONS                                                                 \
    {                                                                                     \
        .name = "options", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_LIST, \
        .letter = 'o', .help = N_("name=value,... of the new image; -o help lists them")  \
    }
#define CLI_COMPRESS                                                             \
    {                                                                            \
        .name = "compress", .kind = CLI_OPT_BOOL, .letter = 'c',                 \
        .help = N_("compress the data (qcow2; vmdk: subformat streamOptimized)") \
    }
#define CLI_DROP_SECTOR_SIZE                                                                       \
    CLI_SWITCH("drop-sector-size", N_("copy a disk of 4096-byte sectors although the copy cannot " \
                                      "record them"))
#define CLI_STRICT                                             \
    {                                                          \
        .name = "strict", .kind = CLI_OPT_BOOL, .letter = 's', \
        .help = N_("the sizes must be the same, too")          \
    }
#define CLI_UNSAFE                                                           \
    {                                                                        \
        .name = "unsafe", .kind = CLI_OPT_BOOL, .letter = 'u',               \
        .help = N_("change only the reference, without reading any content") \
    }
/** The actions, in the order of `help`. */
#define CLI_BITMAP_ACTIONS                                                                      \
    CLI_SWITCH("add", N_("make it, empty and enabled")), CLI_SWITCH("remove", N_("remove it")), \
        CLI_SWITCH("clear", N_("clear the bitmap")),                                            \
        CLI_SWITCH("enable", N_("let it track writes")),                                        \
        CLI_SWITCH("disable", N_("let it stay as it is")),                                      \
        CLI_NAMED("merge", N_("add the bits of the bitmap of this name")),                      \
    {                                                                                           \
        .name = "granularity", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 'g',   \
        .help = N_("with --add: bytes that one bit stands for, as 64k")                         \
    }
