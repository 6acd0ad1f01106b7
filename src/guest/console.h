/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * The text that a guest writes to its serial console: lines without terminal control sequences, of
 * bounded length and number.
 */
typedef struct GuestConsole GuestConsole;

/**
 * Makes a console. @expect is searched in each line, including an unfinished one. Acquires a
 * reference of @expect.
 */
GuestConsole *guest_console_new(GRegex *expect);
/** NULL is accepted. */
void guest_console_free(GuestConsole *console);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GuestConsole, guest_console_free)

/** Adds the next output of the guest. */
void guest_console_take(GuestConsole *console, const char *bytes, size_t len);
/** Returns the printable line that matched, borrowed, or NULL if no line has matched yet. */
const char *guest_console_found(const GuestConsole *console);
/** Returns the last lines, printable, each with a newline. The caller frees them. */
char *guest_console_tail(const GuestConsole *console);
