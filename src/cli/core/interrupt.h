/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/task.h>

/**
 * SIGINT and SIGTERM while something long goes on: the first one is remembered, makes
 * cli_interrupt_fd() readable and cancels the task given, a second one ends the program as if
 * nothing had caught it. Outside begin/end they do what they always do. Each begin has its end; one
 * within another sees what has come since the outer one.
 */
void cli_interrupt_begin(void);
void cli_interrupt_begin_task(CstTask *task);
void cli_interrupt_end(void);
gboolean cli_interrupted(void);
int cli_interrupt_fd(void);
