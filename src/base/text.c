/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text of others in messages and logs: neither terminals nor log readers may take orders from it.
 */
#include <base/text.h>

#include <glib.h>
#include <string.h>

char *cst_text_escape(const char *text)
{
    GString *escaped = g_string_sized_new(strlen(text) + 1);

    while (*text) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        gboolean valid = c != (gunichar)-1 && c != (gunichar)-2;
        const char *next = valid ? g_utf8_next_char(text) : text + 1;

        if (valid && g_unichar_isprint(c))
            g_string_append_len(escaped, text, next - text);
        else
            for (const char *p = text; p < next; p++)
                g_string_append_printf(escaped, "\\x%02x", (guchar)*p);
        text = next;
    }
    return g_string_free(escaped, FALSE);
}
