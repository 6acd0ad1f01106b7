/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include <signal.h>

#include <glib.h>

#include <base/task.h>

#define CLI_EXIT_SIGNAL      128 /* and the number of the signal */
#define CLI_EXIT_INTERRUPTED (CLI_EXIT_SIGNAL + SIGINT)
#define CLI_EXIT_TERMINATED  (CLI_EXIT_SIGNAL + SIGTERM)

/**
 * SIGINT and SIGTERM while something long goes on: the first one is remembered, makes
 * cli_interrupt_fd() readable and cancels the task given; a second one ends the program as if
 * nothing had caught it. Outside of begin and end they have their normal effect. Call
 * cli_interrupt_end() after each begin; an inner begin sees what has come since the outer one.
 */
void cli_interrupt_begin(void);
/**
 * Begins, and has a signal cancel @task, which lives until the end; cancels it at once if one has
 * come already.
 */
void cli_interrupt_begin_task(CstTask *task);
void cli_interrupt_end(void);
/** Whether a signal has come since the outermost begin, which may have ended. */
gboolean cli_interrupted(void);
/** The exit status of a command that this signal has ended, as shells have it; 0: none has come. */
int cli_interrupt_status(void);
/**
 * Returns a descriptor that is readable once a signal has come; don't read it. -1: it can't be had.
 */
int cli_interrupt_fd(void);
/**
 * Ends a call in @thread that blocks, with EINTR. The thread finds its task cancelled then. Between
 * begin and end only.
 */
void cli_interrupt_wake(pthread_t thread);
