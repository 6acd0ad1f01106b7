/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

#include <base/place.h>

/**
 * The users that may access a copy, which are the users that may access each of its sources. A copy
 * may have another group than a source: the group of the process, or that of a set-group-ID
 * directory.
 */
typedef struct {
    mode_t mode;      /**< permission bits that all sources have */
    gid_t group;      /**< group of all sources */
    gboolean grouped; /**< FALSE: there is no source with a group yet */
} CstAccess;

/** Restricts @access to the users that may access a source of @mode and @group. */
void cst_access_restrict(CstAccess *access, mode_t mode, gid_t group);
/**
 * Returns the permission bits of a copy that has @group. In another group than that of the sources,
 * its members and all further users get only the rights that both have at the sources.
 */
mode_t cst_access_mode(const CstAccess *access, gid_t group);
/** Like cst_access_mode(), for the group that a new file in the directory of @place will have. */
mode_t cst_access_mode_at(const CstAccess *access, const CstPlace *place);
