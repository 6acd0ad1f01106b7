/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <schedule/retention.h>

#include "core/args.h"
#include "core/options.h"

/** The options --keep-last, --keep-hourly, … of commands that remove old backups or snapshots. */
#define CLI_KEEP_OPTIONS                                                                  \
    CLI_NAMED("keep-last", N_("keep the newest so many")),                                \
        CLI_NAMED("keep-hourly",                                                          \
                  N_("keep the newest of each of the last so many hours that have one")), \
        CLI_NAMED("keep-daily", N_("the same of days")),                                  \
        CLI_NAMED("keep-weekly", N_("the same of weeks")),                                \
        CLI_NAMED("keep-monthly", N_("the same of months")),                              \
        CLI_NAMED("keep-yearly", N_("the same of years"))

/** Reads these options. A rule without an option stays as it is. */
gboolean cli_keep_read(const CliArgs *args, CstRetention *retention, GError **error);
