/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/** The messages of the log, a line each, while keep_message() is GLib's log writer. */
static GString *logged;

static inline GLogWriterOutput keep_message(GLogLevelFlags level, const GLogField *fields,
                                            gsize count, gpointer unused)
{
    for (gsize i = 0; i < count; i++)
        if (g_str_equal(fields[i].key, "MESSAGE"))
            g_string_append_printf(logged, "%s\n", (const char *)fields[i].value);
    return G_LOG_WRITER_HANDLED;
}
