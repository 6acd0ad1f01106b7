/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "image.h"

/* Rows that option tables of image commands share. Names and letters are qemu-img's. */

#define IMAGE_FILE CLI_REQUIRED("file", N_("image file or block device"))
#define FORMAT(option, short_name, text)                                              \
    {                                                                                 \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .help = text, \
        .complete = cli_complete_image_formats, .letter = short_name                  \
    }
#define SOURCE_FORMAT FORMAT("format", 'f', N_("format of the image; else it is looked for"))
#define FOLLOW        CLI_SWITCH("backing-chain", N_("open the backing files that the images name, too"))
/* Separate from --backing-chain, because the data file is written to. */
#define DATA_FILE                                                                                 \
    {                                                                                             \
        .name = "data-file", .kind = CLI_OPT_STRING,                                              \
        .flags = CLI_OPT_NAMED | CLI_OPT_FILE | CLI_OPT_LIST,                                     \
        .help = N_("file that a qcow2 image may keep its data in, wherever it lies; must be the " \
                   "one that the image names")                                                    \
    }
#define FORCE_SHARE                                                                      \
    {                                                                                    \
        .name = "force-share", .kind = CLI_OPT_BOOL, .letter = 'U',                      \
        .help = N_("read without a warning an image that another program is writing to") \
    }
/* Positional options come first, in qemu-img's order. */
#define TARGET_FORMAT(option, short_name)                                                  \
    {                                                                                      \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED, \
        .help = N_("format of the new image"), .complete = cli_complete_image_formats,     \
        .letter = short_name                                                               \
    }
#define RATE_LIMIT                                                                           \
    {                                                                                        \
        .name = "rate-limit", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 'r', \
        .help = N_("bytes per second that are moved at most, as 50M")                        \
    }
#define FROM_SNAPSHOT                                                                      \
    {                                                                                      \
        .name = "snapshot", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 'l', \
        .help = N_("name or id of the snapshot inside it to read")                         \
    }
#define CACHE                                                                                \
    {                                                                                        \
        .name = "cache", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = 't',      \
        .help = N_("writeback: on the disk at the end, the default; unsafe: it may be lost") \
    }
#define OUTPUT                                                            \
    {                                                                     \
        .name = "output", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, \
        .help = N_("human, the default; json: the JSON of qemu-img")      \
    }
#define SNAPSHOT_NAME(option, short_name, text)                                               \
    {                                                                                         \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = short_name, \
        .help = text                                                                          \
    }
#define LETTERED(option, short_name, text)                                                    \
    {                                                                                         \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .letter = short_name, \
        .help = text                                                                          \
    }
#define OURS (CLI_CMD_OFFLINE | CLI_CMD_OURS)
