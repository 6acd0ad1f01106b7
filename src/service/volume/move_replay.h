/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>

/**
 * Deletes the original @name of a move and its @snapshots (intent's text), under the name @aside.
 * After a failure it has its own name again, as far as that can be done.
 */
gboolean move_delete_by_name(CstPoolState *state, const char *name, const char *aside,
                             const char *snapshots, CstTask *task, GError **error);
