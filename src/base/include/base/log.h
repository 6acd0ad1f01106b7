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

/** Lines above @level are dropped; the default is CST_LOG_WARNING. */
void cst_log_set_level(CstLogLevel level);

/**
 * One line on stderr: with the prefix "<N>" where journald reads it (JOURNAL_STREAM), else with the
 * time and the level by name. Control characters in the text are replaced. Never pass secret
 * bytes.
 */
void cst_log(CstLogLevel level, const char *format, ...) G_GNUC_PRINTF(2, 3);
