/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

#include "core/ctl.h"

/**
 * The command as a job, where the command itself does the work: listed by the service, limited and
 * cancelled as any other job, and on its own with --detach. What cli_run_task() runs meanwhile is
 * the job's work, one piece after the other.
 */

/** Looks at what a command with CLI_CMD_WORKS was given for its job, before it does anything. */
gboolean cli_job_check(const CliArgs *args, GError **error);
/**
 * Begins the job, once everything about the command is known that can be known without doing it.
 * It is listed when it has lasted a moment; with --detach when the work is under way, and the
 * command lets go of the terminal then. @volume may be NULL. Does nothing in a dry run.
 *
 * Without --detach it never fails: what can't be listed is done all the same. With it, FALSE when
 * the service takes no jobs of clients.
 */
gboolean cli_job_begin(CliCtl *ctl, const char *kind, const char *pool, const char *volume,
                       GError **error);
/**
 * Ends the job, if one was begun, as the command ends. Called by shell/run.c. Returns @ok; FALSE
 * with another *error when the command was to go on alone and could not.
 */
gboolean cli_job_end(CliCtl *ctl, gboolean ok, GError **error);

/** Makes @task what the job does now. Nothing without a job, as cli_job_leave(). */
void cli_job_enter(CliCtl *ctl, CstTask *task);
/** That work has ended, however. */
void cli_job_leave(CliCtl *ctl);

/** Rows of option tables of commands with CLI_CMD_WORKS. */
#define CLI_DETACH                                                                          \
    CLI_SWITCH("detach", N_("go on in the background, and print the number of the job")),   \
    {                                                                                       \
        .name = "report", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_FILE,    \
        .help = N_("with --detach: write to this file what the command would have printed") \
    }
