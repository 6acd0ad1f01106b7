/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pthread.h>
#include <signal.h>

#include <glib.h>

#include <base/task.h>

#define CLI_EXIT_SIGNAL      128 /* plus the number of the signal */
#define CLI_EXIT_INTERRUPTED (CLI_EXIT_SIGNAL + SIGINT)
#define CLI_EXIT_TERMINATED  (CLI_EXIT_SIGNAL + SIGTERM)

/**
 * Begins to catch SIGINT and SIGTERM during long work. The first signal is recorded, makes
 * cli_interrupt_fd() readable and cancels the task given. A second signal ends the program by its
 * default action. Outside of begin and end, both signals have their normal effect. Call
 * cli_interrupt_end() after each begin. A nested begin keeps a signal that came since the outermost
 * one.
 */
void cli_interrupt_begin(void);
/**
 * Like cli_interrupt_begin(), and cancels @task on a signal. Cancels it at once if a signal has
 * already come. @task must live until cli_interrupt_end().
 */
void cli_interrupt_begin_task(CstTask *task);
void cli_interrupt_end(void);
/** Return: TRUE if a signal has come since the outermost begin, also after its end. */
gboolean cli_interrupted(void);
/**
 * Returns the exit status for a command that the signal ended, as in shells; 0: no signal has come.
 */
int cli_interrupt_status(void);
/**
 * Returns a descriptor that becomes readable when a signal has come; -1 if the pipe cannot be
 * created. Do not read from it.
 */
int cli_interrupt_fd(void);
/**
 * Interrupts a blocking call in @thread with EINTR. The thread then finds its task cancelled. Only
 * valid between begin and end.
 */
void cli_interrupt_wake(pthread_t thread);
