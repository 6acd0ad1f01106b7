/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/task.h>

#include "core/ctl.h"

/**
 * The running command as a job, for commands that do the work themselves. The service lists the
 * job. It can be limited and cancelled like other jobs, and --detach moves it to the background.
 * Each task that cli_run_task() runs is a part of the job.
 */

/** Checks the job options of a command with CLI_CMD_WORKS, before the command does any work. */
gboolean cli_job_check(const CliArgs *args, GError **error);
/**
 * Begins the job after all checks that are possible without doing the work. The job is listed once
 * it has lasted for a short time. With --detach it is listed when the work has started, and the
 * command then detaches from the terminal. @volume may be NULL. Has no effect in a dry run.
 *
 * Fails with USAGE for an invalid --rate-limit. Without --detach there is no other error, and the
 * work is done even if the job cannot be listed. With --detach it fails if the report cannot be
 * opened, or if the service does not support jobs of clients.
 */
gboolean cli_job_begin(CliCtl *ctl, const char *kind, const char *pool, const char *volume,
                       GError **error);
/**
 * Lists the job now, and returns its number; 0 if the service cannot list it, or without a job.
 */
uint64_t cli_job_list_now(CliCtl *ctl);
/**
 * Ends the job, if one was begun, at the end of the command. Called by shell/run.c. Returns @ok, or
 * FALSE with *error replaced if the command should have detached and could not.
 */
gboolean cli_job_end(CliCtl *ctl, gboolean ok, GError **error);

/**
 * Makes @task the current task of the job. Without a job, this and cli_job_leave() have no effect.
 */
void cli_job_enter(CliCtl *ctl, CstTask *task);
/** Reports that the current task has ended, with or without success. */
void cli_job_leave(CliCtl *ctl);

/** Rows of option tables of commands with CLI_CMD_WORKS. */
#define CLI_DETACH                                                                        \
    CLI_SWITCH("detach", N_("go on in the background, and print the number of the job")), \
    {                                                                                     \
        .name = "report", .kind = CLI_OPT_STRING, .flags = CLI_OPT_NAMED | CLI_OPT_FILE,  \
        .help = N_("with --detach: write the output of the command to this file")         \
    }
