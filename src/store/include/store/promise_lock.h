/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <store/paths.h>

/**
 * The lock of the promise of a pool, for processes without a daemon: a lock on a file in the run
 * directory of pools, which ends with its process. A daemon needs no lock, because no other process
 * works on its root.
 */

/** Acquires the lock without waiting. Returns its descriptor; -1 with BUSY if the lock is held. */
int cst_promise_lock(const CstPaths *paths, const CstUuid *uuid, GError **error);
/** Removes the file and closes @fd. No effect if @fd is -1. */
void cst_promise_unlock(const CstPaths *paths, const CstUuid *uuid, int fd);
