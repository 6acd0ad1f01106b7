/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * Spools: files without names. They vanish when the process is killed, and no other user can open
 * one.
 */

/** Returns the directory @given, or the default one (NULL): TMPDIR, else /var/tmp. */
const char *cst_spool_dir(const char *given);
/** Creates a spool in the directory @path, mode 0600. Returns -1 with errno set. */
int cst_spool_open(const char *path);
/**
 * Returns in *ret_room the bytes that the file system of @fd has for spools. Some free space is
 * reserved, because other programs use the file system too. Returns FALSE with errno set.
 */
gboolean cst_spool_room(int fd, uint64_t *ret_room);
