/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/log.h>

#include <stdarg.h>
#include <stdio.h>

static CstLogLevel log_level = CST_LOG_WARNING;

void cst_log_set_level(CstLogLevel level)
{
    log_level = level;
}

void cst_log(CstLogLevel level, const char *format, ...)
{
    va_list args;
    g_autofree char *text = NULL;

    if (level > log_level)
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if (g_ascii_iscntrl(*p))
            *p = '?';
    fprintf(stderr, "<%d>%s\n", level, text);
}
