/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * A lock on a file that exists while the lock is held, and after a crash. The lock ends with its
 * process. Any thread.
 */

/**
 * Acquires the lock of the file @path without waiting. The directory exists. Returns the
 * descriptor, which lock_file_release() closes; -1 with BUSY if the lock is held, also by this
 * process.
 */
int lock_file_acquire(const char *path, GError **error);
/** Removes the file and closes @fd. No effect if @fd is -1. */
void lock_file_release(const char *path, int fd);
