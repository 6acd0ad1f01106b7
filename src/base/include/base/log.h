/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** Severity as in syslog. */
typedef enum {
    CST_LOG_ERROR = 3,
    CST_LOG_WARNING = 4,
    CST_LOG_INFO = 6,
    CST_LOG_DEBUG = 7
} CstLogLevel;

/**
 * Has everything that this process logs through GLib written by this module, libraries' messages
 * included. For a program's main(), once.
 *
 * Where stderr is journald's, an entry has the fields PRIORITY, MESSAGE, CODE_FUNC and those of the
 * thread's context (base/log_context.h). Elsewhere a message is one line on stderr:
 * "2026-11-21 03:44:39.123+0000: warning: [12.7] text", with the id of the request in brackets when
 * there is one. What is no printable UTF-8 is escaped as "\x1b", byte by byte.
 */
void cst_log_init(void);

/** Messages above @level are dropped; the default is CST_LOG_WARNING. From any thread. */
void cst_log_set_level(CstLogLevel level);

/** Whether messages of @level are written; to spare what would be done for them only. */
gboolean cst_log_enabled(CstLogLevel level);

/** Logs a message, whose arguments are evaluated only if it is written. Never pass secret bytes. */
#define cst_log(level, ...) \
    (cst_log_enabled(level) ? cst_log_write((level), G_STRFUNC, __VA_ARGS__) : (void)0)

/** Logs a message of @function's, whatever the level in force is; see cst_log(). */
void cst_log_write(CstLogLevel level, const char *function, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
