/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Group commit: threads that each need the same object synced (a directory in which they changed
 * names) share the syncs. A thread that calls while no sync runs leads a round and syncs. A thread
 * that calls during a sync joins the next round, because the running sync may have begun before its
 * change.
 */
typedef struct CstSyncGroup CstSyncGroup;

/** Makes the changes of the round's members durable; cst_dir_sync() for directories. */
typedef gboolean (*CstSyncFunc)(int fd, const char *name_for_errors, GError **error);

/** Creates a group for one object, which @sync makes durable. Never NULL. */
CstSyncGroup *cst_sync_group_new(CstSyncFunc sync);
/** Frees the group. No thread may be in cst_sync_group_wait() any more. */
void cst_sync_group_free(CstSyncGroup *group);

/**
 * Returns after a sync that began after this call. If the sync fails, all members of the round
 * fail. @fd is the caller's own descriptor of the group's object. Any thread.
 */
gboolean cst_sync_group_wait(CstSyncGroup *group, int fd, const char *name_for_errors,
                             GError **error);
