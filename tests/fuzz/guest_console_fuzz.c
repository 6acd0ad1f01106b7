/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A guest's console: what is shown of it is printable, whatever comes, in pieces or at once. */
#include <stdlib.h>
#include <string.h>

#include <base/text.h>

#include "console.h"
#include "fuzz.h"

/* Lines of it, and nothing that a terminal would act on. */
static void check(const GuestConsole *console)
{
    g_autofree char *tail = guest_console_tail(console);

    for (const char *c = tail; *c; c++)
        if (*c != '\n' && !g_ascii_isprint(*c) && (guchar)*c < 0x80)
            abort();
    if (!g_utf8_validate(tail, -1, NULL))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GRegex) regex = g_regex_new("login: ?$", G_REGEX_RAW, 0, NULL);
    g_autoptr(GuestConsole) whole = guest_console_new(regex);
    g_autoptr(GuestConsole) pieces = guest_console_new(regex);
    g_autofree char *one = NULL, *other = NULL;

    guest_console_take(whole, (const char *)data, size);
    for (size_t i = 0; i < size; i++)
        guest_console_take(pieces, (const char *)data + i, 1);
    check(whole);
    one = guest_console_tail(whole);
    other = guest_console_tail(pieces);
    if (strcmp(one, other) != 0 || (guest_console_found(whole) && !guest_console_found(pieces)))
        abort();
    return 0;
}
