/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The text that a guest writes to its serial console: lines without what tells a terminal to move
 * or to paint, of bounded length and number.
 */
typedef struct GuestConsole GuestConsole;

/** @expect: what is sought in each line, also in one that has not ended; referenced. */
GuestConsole *guest_console_new(GRegex *expect);
/** NULL is accepted. */
void guest_console_free(GuestConsole *console);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestConsole, guest_console_free)

/** Takes what comes next. */
void guest_console_take(GuestConsole *console, const char *bytes, size_t len);
/** The line in which what is expected was found, printable, borrowed; NULL: none so far. */
const char *guest_console_found(const GuestConsole *console);
/** The last lines, printable, each with a newline; free them. */
char *guest_console_tail(const GuestConsole *console);
