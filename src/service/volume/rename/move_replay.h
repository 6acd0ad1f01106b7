/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>

/**
 * Deletes the original @name of a move and its @snapshots (text in the intent), under the temporary
 * name @aside. After a failure its own name is restored if possible, and if it still has all its
 * snapshots. Else the replay of the intent deletes the rest.
 */
gboolean move_delete_by_name(CstPoolState *state, const char *name, const char *aside,
                             const char *snapshots, CstTask *task, GError **error);
