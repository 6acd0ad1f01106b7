/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A serial console. A state machine drops escape sequences (ECMA-48). A sequence that moves the
 * cursor ends the line, because firmware and boot menus write no newlines. The guest controls the
 * amount and rate of the output. Therefore a line has at most LINE_BYTES bytes, and the last LINES
 * lines are kept.
 */
#include "console.h"

#include <base/text.h>

#define LINE_BYTES 4096
#define LINES      20

typedef enum {
    TEXT,
    ESCAPE,     /* after ESC */
    CONTROL,    /* after ESC [ */
    STRING,     /* after ESC ] and similar, up to BEL or ESC \ */
    STRING_ENDS /* after an ESC in a STRING */
} State;

struct GuestConsole {
    GRegex *expect;
    GString *line;
    GQueue lines; /* of char *, printable */
    char *found;
    State state;
};

GuestConsole *guest_console_new(GRegex *expect)
{
    GuestConsole *console = g_new0(GuestConsole, 1);

    console->expect = g_regex_ref(expect);
    console->line = g_string_new(NULL);
    g_queue_init(&console->lines);
    return console;
}

void guest_console_free(GuestConsole *console)
{
    if (!console)
        return;
    g_regex_unref(console->expect);
    g_string_free(console->line, TRUE);
    g_queue_clear_full(&console->lines, g_free);
    g_free(console->found);
    g_free(console);
}

static void console_match_line(GuestConsole *console)
{
    if (!console->found && console->line->len > 0 &&
        g_regex_match_full(console->expect, console->line->str, (gssize)console->line->len, 0, 0,
                           NULL, NULL))
        console->found = cst_text_escape(console->line->str);
}

static void console_end_line(GuestConsole *console)
{
    if (console->line->len == 0)
        return;
    console_match_line(console);
    g_queue_push_tail(&console->lines, cst_text_escape(console->line->str));
    if (console->lines.length > LINES)
        g_free(g_queue_pop_head(&console->lines));
    g_string_truncate(console->line, 0);
}

static void console_add_char(GuestConsole *console, char c)
{
    if (c == '\x1b')
        console->state = ESCAPE;
    else if (c == '\n')
        console_end_line(console);
    else if (c == '\t' || (guchar)c >= ' ')
        g_string_append_c(console->line, c == '\t' ? ' ' : c);
    if (console->line->len >= LINE_BYTES)
        console_end_line(console);
}

/* Returns whether the final byte of a control sequence moves the cursor or clears the screen. */
static gboolean is_cursor_move(char c)
{
    return c == 'H' || c == 'f' || c == 'J' || c == 'd';
}

static void console_parse_byte(GuestConsole *console, char c)
{
    switch (console->state) {
    case TEXT: console_add_char(console, c); break;
    case ESCAPE:
        if (c < ' ' || c > '/') /* intermediate bytes belong to the sequence */
            console->state = c == '[' ? CONTROL : c == ']' || c == 'P' || c == '_' ? STRING : TEXT;
        break;
    case CONTROL:
        if (c == '\x1b')
            console->state = ESCAPE;
        if (c < '@' || c > '~')
            break;
        console->state = TEXT;
        if (is_cursor_move(c))
            console_end_line(console);
        break;
    case STRING:
        console->state = c == '\a' || c == '\n' ? TEXT : c == '\x1b' ? STRING_ENDS : STRING;
        break;
    case STRING_ENDS: console->state = c == '\\' ? TEXT : STRING; break;
    }
}

void guest_console_take(GuestConsole *console, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        console_parse_byte(console, bytes[i]);
    console_match_line(console);
}

const char *guest_console_found(const GuestConsole *console)
{
    return console->found;
}

char *guest_console_tail(const GuestConsole *console)
{
    GString *tail = g_string_new(NULL);

    for (const GList *line = console->lines.head; line; line = line->next)
        g_string_append_printf(tail, "%s\n", (const char *)line->data);
    if (console->line->len > 0) {
        g_autofree char *last = cst_text_escape(console->line->str);

        g_string_append_printf(tail, "%s\n", last);
    }
    return g_string_free(tail, FALSE);
}
