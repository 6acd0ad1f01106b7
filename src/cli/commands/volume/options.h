/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/i18n.h>

#include "commands/image/twin.h"
#include "commands/pool/pool.h"
#include "output/each.h"
#include "volume.h"

/** Rows that option tables of volume commands share. */

#define VOL CLI_REQUIRED("vol", N_("vol name, key or path"), .complete = cli_complete_vols)
#define POOL_OPTION(option, text)                             \
    {                                                         \
        .name = option, .kind = CLI_OPT_STRING, .help = text, \
        .complete = cli_complete_active_pools                 \
    }
#define POOL                                                                   \
    {                                                                          \
        .name = "pool", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NO_SLASH,     \
        .help = N_("pool name or uuid"), .complete = cli_complete_active_pools \
    }
/* The name of a new volume. A value POOL/NAME also sets option @pool (NULL: no such option). */
#define NEW_NAME(option, how, pool, text)                                     \
    {                                                                         \
        .name = option, .kind = CLI_OPT_STRING, .flags = (how), .help = text, \
        .complete = cli_complete_new_vols, .names_pool = (pool)               \
    }
/* Further volumes, after all other options. */
#define FURTHER_VOLS CLI_FURTHER(N_("more vols of the pool, or POOL/VOL"), cli_complete_vols)
/* Not in virsh, so never positional. */
#define RATE_LIMIT CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer"))
#define DETACH     CLI_SWITCH("detach", N_("do not wait: print the number of the job"))
#define FORCE_SHARE                                                         \
    {                                                                       \
        .name = "force-share", .kind = CLI_OPT_BOOL, .letter = 'U',         \
        .help = N_("copy a volume that another program is writing to, too") \
    }
#define OVERWRITE CLI_SWITCH("overwrite", N_("overwrite a LUN, even if it has content"))
#define FORMAT_OPTION(option, text)                                                        \
    {                                                                                      \
        .name = option, .kind = CLI_OPT_STRING, .flags = CLI_OPT_HELP_LISTS, .help = text, \
        .complete = cli_complete_vol_formats                                               \
    }

#define KEY CLI_REQUIRED("vol", N_("volume key or path"), .complete = cli_complete_vol_keys)
/* The pool of a new volume. The default is the configured pool. */
#define OF_POOL(text)                                                                     \
    {                                                                                     \
        .name = "pool", .kind = CLI_OPT_STRING, .flags = CLI_OPT_REQUIRED | CLI_OPT_POOL, \
        .help = text, .complete = cli_complete_active_pools                               \
    }
#define XML_FILE CLI_FILE("file", CLI_OPT_REQUIRED, N_("file containing an XML vol description"))
#define PREALLOC                    \
    CLI_SWITCH("prealloc-metadata", \
               N_("preallocate metadata (for qcow2 instead of full allocation)"))
#define PREALLOCATION \
    CLI_NAMED("preallocation", N_("space to reserve: off, metadata, falloc or full"))
#define REFLINK CLI_SWITCH("reflink", N_("use btrfs COW lightweight copy"))
#define CONTENT_FORMAT                                                                    \
    {                                                                                     \
        .name = "format", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED,                 \
        .help = N_("format of the content; default: the format in the vol's list entry"), \
        .complete = cli_complete_vol_formats                                              \
    }
#define SPARSE CLI_SWITCH("sparse", N_("preserve sparseness of volume"))
