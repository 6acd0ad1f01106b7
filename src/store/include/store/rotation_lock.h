/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <store/paths.h>

/**
 * The lock of a secret's rotation: a lock on a file in the secrets' run directory, which ends with
 * its process. The file exists while the lock is held, and after a crash.
 */

/** Acquires the lock without waiting. Returns its descriptor; -1 with BUSY if the lock is held. */
int cst_rotation_lock(const CstPaths *paths, const CstUuid *uuid, GError **error);
/** Removes the file and closes @fd. No effect if @fd is -1. */
void cst_rotation_unlock(const CstPaths *paths, const CstUuid *uuid, int fd);
/** Whether the lock is held, by this process or another one. */
gboolean cst_rotation_is_locked(const CstPaths *paths, const CstUuid *uuid);
