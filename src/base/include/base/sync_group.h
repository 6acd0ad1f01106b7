/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Group commit: many threads that each need the same object synced (a directory whose names they
 * changed) share the syncs. A thread that calls while no sync runs leads a round and syncs; one
 * that calls meanwhile joins the next round, because the running sync may have begun before its
 * change.
 */
typedef struct CstSyncGroup CstSyncGroup;

/** Makes what the round's members have changed durable; cst_dir_sync() for directories. */
typedef gboolean (*CstSyncFunc)(int fd, const char *name_for_errors, GError **error);

/** Makes a group for one object, which @sync makes durable. Never NULL. */
CstSyncGroup *cst_sync_group_new(CstSyncFunc sync);
/** No thread may be in cst_sync_group_wait() any more. */
void cst_sync_group_free(CstSyncGroup *group);

/**
 * Returns when a sync that began after this call has ended. Its failure is the failure of all
 * members of the round. @fd is the caller's own descriptor of the group's object. Any thread.
 */
gboolean cst_sync_group_wait(CstSyncGroup *group, int fd, const char *name_for_errors,
                             GError **error);
