/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

#include "core/ctl.h"

/** The figures of a progress. eta_s is negative if it is unknown. */
typedef struct {
    double percent;
    double rate; /**< bytes per second */
    double eta_s;
} CliProgressFigures;

/** Computes the figures of @progress after @seconds of work. */
void cli_progress_compute(CstProgress progress, double seconds, CliProgressFigures *ret);

/**
 * Returns one line of at most @columns: label, a bar if it fits, percent, done, rate, time left.
 * The caller frees it.
 */
char *cli_progress_text(const char *label, CstProgress progress, const CliProgressFigures *figures,
                        int columns);

/** Work that cli_run_task() runs in another thread. */
typedef gboolean (*CliTaskFunc)(CstTask *task, gpointer data, GError **error);

/**
 * Runs @func in a thread while this thread shows its progress on stderr: a bar on a terminal, a
 * line every ten seconds elsewhere, one JSON object per second with --json. The first SIGINT or
 * SIGTERM cancels the task, a second one ends the program. Returns the result of @func.
 *
 * Applies --rate-limit and --detach of the command. If the work was detached, returns FALSE.
 * shell/run.c then reports the job that continues.
 */
gboolean cli_run_task(CliCtl *ctl, const char *label, CliTaskFunc func, gpointer data,
                      GError **error);

/** Called once, by the thread that called cli_run_service(). */
typedef void (*CliReadyFunc)(CliCtl *ctl, gpointer data);

/**
 * Like cli_run_task(), for work that runs until it is cancelled and shows no progress. Calls @ready
 * once the task's total is known, which the work sets when it has started to serve.
 */
gboolean cli_run_service(CliCtl *ctl, CliTaskFunc func, CliReadyFunc ready, gpointer data,
                         GError **error);
