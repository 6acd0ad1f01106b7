/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/log.h>

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* A reload sets it while other threads log. */
static gint log_level = CST_LOG_WARNING;

void cst_log_set_level(CstLogLevel level)
{
    g_atomic_int_set(&log_level, (gint)level);
}

/* TRUE when stderr is the service manager's: it names the device and the inode of its journal. */
static gboolean is_journal(void)
{
    const char *stream = g_getenv("JOURNAL_STREAM");
    g_autofree char *own = NULL;
    struct stat st;

    if (!stream || fstat(STDERR_FILENO, &st) < 0)
        return FALSE;
    own = g_strdup_printf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return g_str_equal(own, stream);
}

static const char *level_word(CstLogLevel level)
{
    switch (level) {
    case CST_LOG_ERROR: return "error";
    case CST_LOG_WARNING: return "warning";
    case CST_LOG_INFO: return "info";
    case CST_LOG_DEBUG: break;
    }
    return "debug";
}

/* "<3>", which the journal reads, or for people "2026-11-21 03:44:39.123+0000: error: ". */
static char *prefix_of(CstLogLevel level)
{
    g_autoptr(GDateTime) now = NULL;
    g_autofree char *seconds = NULL;
    g_autofree char *zone = NULL;

    if (is_journal())
        return g_strdup_printf("<%d>", level);
    now = g_date_time_new_now_local();
    seconds = g_date_time_format(now, "%Y-%m-%d %H:%M:%S");
    zone = g_date_time_format(now, "%z");
    return g_strdup_printf("%s.%03d%s: %s: ", seconds, g_date_time_get_microsecond(now) / 1000,
                           zone, level_word(level));
}

void cst_log(CstLogLevel level, const char *format, ...)
{
    va_list args;
    g_autofree char *prefix = NULL;
    g_autofree char *text = NULL;

    if ((gint)level > g_atomic_int_get(&log_level))
        return;
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if (g_ascii_iscntrl(*p))
            *p = '?';
    prefix = prefix_of(level);
    fprintf(stderr, "%s%s\n", prefix, text);
}
