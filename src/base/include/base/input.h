/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include <base/place.h>

/**
 * Opens the file @path, which a user names, for reading. Links are followed as by cst_place_init().
 * No other user can make this call wait. A FIFO, a socket or a character device is opened only if
 * root or this process's user owns it, or if @path leads to a descriptor of this process
 * (/dev/stdin, the shell's <(…)). The call waits for the writer of such a FIFO until a signal
 * arrives.
 *
 * @complaint is the sentence before the system's reason ("cannot read 'x'"). Returns a blocking
 * descriptor, or -1: DENIED if the file may not be opened, CANCELLED after a signal.
 */
int cst_input_open(const char *path, const char *complaint, GError **error);
/**
 * Like cst_input_open(), and opens the directory of the file as *ret_place. Zero or initialise
 * *ret_place before the call, and clear it in any case. Its path is NULL for a directory.
 */
int cst_input_open_place(CstPlace *ret_place, const char *path, const char *complaint,
                         GError **error);

/**
 * Like cst_input_open(), but does not wait. *ret_await: call cst_input_await() before the first
 * read(), which would report the end of the file before the writer has opened it.
 */
int cst_input_open_no_wait(const char *path, gboolean *ret_await, const char *complaint,
                           GError **error);
/** Waits until the FIFO @fd has data, or its writer has closed it. FALSE: CANCELLED by a signal. */
gboolean cst_input_await(int fd, const char *complaint, GError **error);

/**
 * Reads a whole regular file as cst_file_read_open(), with links as for cst_input_open(). Refuses a
 * FIFO or a device, and does not wait.
 */
gboolean cst_input_read(const char *path, CstFileAccess access, size_t limit, char **ret_data,
                        size_t *ret_len, GError **error);
