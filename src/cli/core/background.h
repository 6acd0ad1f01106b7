/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"
#include "ctl.h"

/**
 * Commands that continue in the background (--detach of work that the command does itself). The
 * command is executed again in its own process. That process makes all checks and asks questions
 * while it still has the terminal. It then begins the job, detaches from the terminal and reports
 * the job number.
 */

/**
 * Runs the command in another process. Waits until that process has detached, or has ended. SIGINT
 * and SIGTERM are forwarded to it while this function waits.
 *
 * On success, *ret_job is the job number. If the process has ended instead, *ret_job is 0 and
 * *ret_status is its exit status. It has then printed all output and errors itself.
 */
gboolean cli_background_start(const CliCtl *ctl, const CliArgs *args, uint64_t *ret_job,
                              CstExitStatus *ret_status, GError **error);

/**
 * Detects whether this process is the background process. Called by main(). Returns the descriptor
 * to which the job number is written, or -1 in any other process.
 */
int cli_background_take(void);
/**
 * Detaches from the terminal, then writes the number @job to @background. All later output goes to
 * descriptor @report (-1: /dev/null).
 */
void cli_background_leave(int background, int report, uint64_t job);

/** Appends the options of the program that this run has, as owned texts, to a command line. */
void cli_settings_add(GPtrArray *argv, const CliCtl *ctl);
