/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <store/paths.h>

/**
 * Who is rotating a secret: the lock of a file in the secrets' run directory, which ends with its
 * process. The file is there while the lock is held, and after a crash.
 */

/** Locks it; -1 with BUSY when somebody has it. Does not wait. */
int cst_rotation_lock(const CstPaths *paths, const CstUuid *uuid, GError **error);
/** Removes the file and closes @fd; -1: nothing. */
void cst_rotation_unlock(const CstPaths *paths, const CstUuid *uuid, int fd);
/** Whether somebody has it, in this process or another one. */
gboolean cst_rotation_is_locked(const CstPaths *paths, const CstUuid *uuid);
