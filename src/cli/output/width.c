/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The width of text in screen columns, in the locale's encoding. ASCII is the usual case and needs
 * no conversion. Invalid bytes and unprintable characters count one column for each byte.
 * cli_table_encode() escapes them.
 */
#include "width.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <wchar.h>

#include <base/text.h>

size_t cli_char_width(const char *text, int *ret_columns)
{
    mbstate_t state = {0};
    wchar_t wide;
    size_t len;

    if ((unsigned char)*text < 0x80) {
        *ret_columns = g_ascii_isprint(*text) ? 1 : -1;
        return 1;
    }
    len = mbrtowc(&wide, text, MB_CUR_MAX, &state);
    if (len == (size_t)-1 || len == (size_t)-2 || len == 0) {
        *ret_columns = -1;
        return 1;
    }
    /* Direction marks have no width, but a terminal interprets them. */
    *ret_columns = cst_text_is_plain((gunichar)wide) ? wcwidth(wide) : -1;
    return len;
}

size_t cli_text_plain(const char *text)
{
    const char *end = text;

    while (*end >= ' ' && *end < 0x7f && *end != '\\')
        end++;
    return (size_t)(end - text);
}

size_t cli_text_width(const char *text)
{
    size_t width = cli_text_plain(text);

    text += width;
    while (*text) {
        int columns;
        size_t len = cli_char_width(text, &columns);

        width += columns < 0 ? len : (size_t)columns;
        text += len;
    }
    return width;
}

char *cli_text_pad(const char *text, size_t columns)
{
    size_t width = cli_text_width(text);

    return g_strdup_printf("%s%*s", text, width < columns ? (int)(columns - width) : 0, "");
}

int cli_terminal_columns(FILE *stream)
{
    struct winsize size;

    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}
