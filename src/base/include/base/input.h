/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Opens the file @path, which a user names, for reading. A link is followed as cst_place_init()
 * does. No other user can make this call wait: a FIFO, a socket or a character device is opened
 * only if root or this process's user owns it, or if @path leads to a descriptor of this process
 * (/dev/stdin, the shell's <(…)). The call waits for the writer of such a FIFO until a signal
 * comes.
 *
 * @complaint is the sentence in front of the system's reason ("cannot read 'x'"). Returns a
 * descriptor that blocks, or -1: DENIED for a file that is not opened, CANCELLED after a signal.
 */
int cst_input_open(const char *path, const char *complaint, GError **error);
