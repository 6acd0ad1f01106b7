/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "commands/image/twin.h"
#include "commands/pool/pool.h"
#include "volume.h"

/** Rows that the option tables of commands over volumes share. */

#define VOL CLI_REQUIRED("vol", N_("vol name, key or path"), .complete = cli_complete_vols)
#define POOL_OPTION(option, text)                             \
    {                                                         \
        .name = option, .kind = CLI_OPT_STRING, .help = text, \
        .complete = cli_complete_active_pools                 \
    }
#define POOL POOL_OPTION("pool", N_("pool name or uuid"))
/* Ours; never taken from a plain word. */
#define RATE_LIMIT CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer"))
#define DETACH     CLI_SWITCH("detach", N_("do not wait: print the number of the job"))
#define FORCE_SHARE                                                 \
    {                                                               \
        .name = "force-share", .kind = CLI_OPT_BOOL, .letter = 'U', \
        .help = N_("copy also what another program is writing to")  \
    }
#define FORMAT_OPTION(option, text)                                                        \
    {                                                                                      \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_HELP_LISTS, .help = text, \
        .complete = cli_complete_vol_formats                                               \
    }
