/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "args.h"
#include "ctl.h"

/**
 * Commands that go on in the background (--detach of work that the command does itself). They are
 * run anew in a process of their own, which checks everything and asks its questions with the
 * terminal still at hand, begins the job, lets go of the terminal and says the job's number.
 */

/**
 * Runs the command in another process, and waits until that one goes on alone: *ret_job is its
 * job's number; or has ended: *ret_job is 0, *ret_status its exit status, and it has said
 * everything itself. SIGINT and SIGTERM meanwhile are the other process's.
 */
gboolean cli_background_start(const CliCtl *ctl, const CliArgs *args, uint64_t *ret_job,
                              CstExitStatus *ret_status, GError **error);

/**
 * In main(): whether this is that other process. Returns the descriptor on which it says the number
 * of its job; -1: it is not.
 */
int cli_background_take(void);
/**
 * Lets go of the terminal: what is printed from now on goes to descriptor @report (-1: to nothing).
 * Then says @job to who waits for it, over @background.
 */
void cli_background_leave(int background, int report, uint64_t job);
