/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/** Spools: files without names, so that nothing stays after a kill and nobody else opens one. */

/** Returns the directory @given, or without one (NULL) that of spools: TMPDIR, else /var/tmp. */
const char *cst_spool_dir(const char *given);
/** Makes a spool in @dir, mode 0600. Returns -1 with errno set. */
int cst_spool_open(const char *dir);
/**
 * Bytes that the file system of @fd has left for spools: some stay free, for it is not ours alone.
 * FALSE with errno set.
 */
gboolean cst_spool_room(int fd, uint64_t *ret_room);
