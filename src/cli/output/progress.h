/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

#include "core/ctl.h"

/** What is told about progress; @eta_s below 0: unknown. */
typedef struct {
    double percent;
    double rate; /**< bytes a second */
    double eta_s;
} CliProgressFigures;

void cli_progress_compute(CstProgress progress, double seconds, CliProgressFigures *ret);

/** One line that fits @columns: label, a bar when there is room, percent, done, rate, time left. */
char *cli_progress_text(const char *label, CstProgress progress, const CliProgressFigures *figures,
                        int columns);

typedef gboolean (*CliTaskFunc)(CstTask *task, gpointer data, GError **error);

/**
 * Runs @func in a thread while this one draws its progress on stderr: a bar on a terminal, a line
 * every ten seconds elsewhere, one JSON object a second with --json. The first SIGINT or SIGTERM
 * cancels the task, a second ends the program. Returns what @func returned.
 *
 * --rate-limit and --detach of the command are seen to here; a command that is detached ends as if
 * it had failed, and run.c says which job goes on.
 */
gboolean cli_run_task(CliCtl *ctl, const char *label, CliTaskFunc func, gpointer data,
                      GError **error);
