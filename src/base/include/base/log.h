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
 * Installs this module as the writer for all GLib log messages of this process, including messages
 * of libraries. Call it once in main().
 *
 * If stderr is connected to journald, an entry has the fields PRIORITY, MESSAGE, CODE_FUNC and the
 * fields of the thread's context (base/log_context.h). Otherwise a message is one line on stderr:
 * "2026-11-21 03:44:39.123+0000: warning: [12.7] text", with the id of the request in brackets if
 * there is one. Bytes that are not printable UTF-8 are escaped as "\x1b".
 */
void cst_log_init(void);

/** Sets the level: less severe messages are dropped. The default is CST_LOG_WARNING. Any thread. */
void cst_log_set_level(CstLogLevel level);

/** Whether messages of @level are written. Use it to skip work that only serves a message. */
gboolean cst_log_enabled(CstLogLevel level);

/** Logs a message. Its arguments are evaluated only if it is written. Never pass secret bytes. */
#define cst_log(level, ...) \
    (cst_log_enabled(level) ? cst_log_write((level), G_STRFUNC, __VA_ARGS__) : (void)0)

/** Logs a message of @function regardless of the current level; see cst_log(). */
void cst_log_write(CstLogLevel level, const char *function, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
