/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <store/paths.h>

/**
 * The marks of volumes that must not be deleted: DATA/protected/POOL/NAME, an empty file for each.
 * POOL is the pool's UUID, so that a pool that is defined again keeps its marks. NAME is escaped as
 * in a URI. Each call is one step, so processes need no lock.
 */

/** Sets or removes the mark, durably. Succeeds if the mark is already in that state. */
gboolean cst_protected_set(const CstPaths *paths, const CstUuid *pool, const char *volume,
                           gboolean on, GError **error);
/** Returns in *ret_on whether the volume has the mark. Fails if the mark cannot be read. */
gboolean cst_protected_find(const CstPaths *paths, const CstUuid *pool, const char *volume,
                            gboolean *ret_on, GError **error);
/** Returns the names (char *) of the pool's marked volumes, sorted. The volumes need not exist. */
GPtrArray *cst_protected_list(const CstPaths *paths, const CstUuid *pool, GError **error);
