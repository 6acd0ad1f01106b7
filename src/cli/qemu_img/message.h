/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

#include <base/error.h>

/*
 * The messages of cistern-qemu-img on stderr. They are qemu-img's, and therefore not translated.
 * Standard output is not flushed before a message, as in qemu-img.
 */

/** Prints "qemu-img: " with the message and a newline. Always returns FALSE. */
gboolean cli_qemu_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
/** Like cli_qemu_error(), with a reference to the help. */
gboolean cli_qemu_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);
/** Like cli_qemu_error(), for a warning. */
void cli_qemu_warn(const char *format, ...) G_GNUC_PRINTF(1, 2);
/** Prints a second line of a message, without the name of the program. */
void cli_qemu_hint(const char *text);
/** Returns the message of @why, which begins with "Could not" if an object could not be used.
 * g_free() it. */
char *cli_qemu_reason(const GError *why);
/** Prints @why after the context "@context: " (NULL: no context). Always returns FALSE. */
gboolean cli_qemu_fail(const char *context, const GError *why);
#define cli_qemu_error(...) CST_GIVES_FALSE(cli_qemu_error(__VA_ARGS__))
#define cli_qemu_usage(...) CST_GIVES_FALSE(cli_qemu_usage(__VA_ARGS__))
#define cli_qemu_fail(...)  CST_GIVES_FALSE(cli_qemu_fail(__VA_ARGS__))

/** Returns a size as "1.5 GiB", in qemu-img's rounding. g_free() it. */
char *cli_qemu_size_text(uint64_t bytes);
