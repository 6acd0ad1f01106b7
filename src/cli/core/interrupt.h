/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>

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
/** Whether a signal has come since the outermost begin. */
gboolean cli_interrupted(void);
/**
 * Returns a descriptor that is readable once a signal has come; don't read it. -1: it can't be had.
 */
int cli_interrupt_fd(void);
