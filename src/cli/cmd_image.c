/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmd_image.h"

#include <base/i18n.h>

/* Names and letters of options are those of qemu-img. */

#define FORMAT(option, short_name, text)                                              \
    {                                                                                 \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED, .help = text, \
        .complete = cli_complete_image_formats, .letter = short_name                  \
    }
#define SOURCE_FORMAT FORMAT("format", 'f', N_("format of the image; else it is looked for"))
#define FOLLOW        CLI_SWITCH("backing-chain", N_("open the backing files that the images name, too"))

static const CliOption info_options[] = {
    {.name = "file",
     .kind = CLI_OPT_ARGV,
     .flags = CLI_OPT_REQUIRED,
     .help = N_("image files or block devices")},
    SOURCE_FORMAT,
    FOLLOW,
    {0},
};

#define OURS (CLI_CMD_OFFLINE | CLI_CMD_OURS)

const CliCommand cli_image_commands[] = {
    {"image-info", N_("describe image files"),
     N_("Shows what images say of themselves. Nothing that an image points to is opened, unless "
        "--backing-chain asks for it. A damaged image is described as far as it can be read, and "
        "the exit status is then 1."),
     info_options, cli_cmd_image_info, OURS},
    {0},
};
