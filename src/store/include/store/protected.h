/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <base/uuid.h>
#include <store/paths.h>

/**
 * Which volumes must not be deleted: DATA/protected/POOL/NAME, an empty file for each. The pool is
 * its UUID, so that a pool that is defined again has its marks; NAME is escaped as in a URI. Each
 * call is one step, so processes need no lock.
 */

/** Sets or removes the mark, durably. Succeeds when there is nothing to change. */
gboolean cst_protected_set(const CstPaths *paths, const CstUuid *pool, const char *volume,
                           gboolean on, GError **error);
/** Whether the volume has the mark. IO when that can't be found out. */
gboolean cst_protected_find(const CstPaths *paths, const CstUuid *pool, const char *volume,
                            gboolean *ret_on, GError **error);
/** The names (char *) of the pool's marked volumes, whether these are there or not, in order. */
GPtrArray *cst_protected_list(const CstPaths *paths, const CstUuid *pool, GError **error);
