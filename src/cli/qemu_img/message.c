/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages, and sizes in text. The name of the program in messages is always "qemu-img", because
 * scripts look for it.
 */
#include "message.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <base/text.h>

static void print_message(const char *kind, const char *end, const char *format, va_list args)
    G_GNUC_PRINTF(3, 0);
static void print_message(const char *kind, const char *end, const char *format, va_list args)
{
    g_autofree char *text = cst_text_vformat(format, args);

    fprintf(stderr, "qemu-img: %s%s\n%s", kind, text, end);
}

void cli_qemu_warn(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_message("warning: ", "", format, args);
    va_end(args);
}

gboolean(cli_qemu_error)(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_message("", "", format, args);
    va_end(args);
    return FALSE;
}

gboolean(cli_qemu_usage)(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    print_message("", "Try 'qemu-img --help' for more information\n", format, args);
    va_end(args);
    return FALSE;
}

void cli_qemu_hint(const char *text)
{
    g_autofree char *line = cst_text_escape(text);

    fprintf(stderr, "%s\n", line);
}

char *cli_qemu_reason(const GError *why)
{
    return g_str_has_prefix(why->message, "cannot ")
               ? g_strconcat("Could not ", why->message + strlen("cannot "), NULL)
               : g_strdup(why->message);
}

gboolean(cli_qemu_fail)(const char *context, const GError *why)
{
    g_autofree char *reason = cli_qemu_reason(why);

    return context ? cli_qemu_error("%s: %s", context, reason) : cli_qemu_error("%s", reason);
}

char *cli_qemu_size_text(uint64_t bytes)
{
    static const char *const units[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
    int exponent, unit;

    /* At most three digits before the point: the next unit begins at 1000. */
    frexp((double)bytes / (1000.0 / 1024.0), &exponent);
    unit = MAX(exponent - 1, 0) / 10;
    return g_strdup_printf("%0.3g %sB", (double)bytes / (double)(UINT64_C(1) << (unit * 10)),
                           units[unit]);
}
