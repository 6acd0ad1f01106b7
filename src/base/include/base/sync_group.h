/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/**
 * Group commit: many threads that each need one and the same thing synced (a directory whose names
 * they changed) share the syncs. Whoever calls while none runs leads a round and syncs; who calls
 * meanwhile joins the next round, because the running sync may have begun before its change.
 */
typedef struct CstSyncGroup CstSyncGroup;

/** Makes what the round's members have changed durable; cst_dir_sync() for directories. */
typedef gboolean (*CstSyncFunc)(int fd, const char *name_for_errors, GError **error);

CstSyncGroup *cst_sync_group_new(CstSyncFunc sync);
/** No thread may be in cst_sync_group_wait() any more. */
void cst_sync_group_free(CstSyncGroup *group);

/**
 * Returns once a sync that began after this call began has ended; its failure is the failure of all
 * of its members. @fd is this caller's own descriptor of the object that the group is for. Any
 * thread.
 */
gboolean cst_sync_group_wait(CstSyncGroup *group, int fd, const char *name_for_errors,
                             GError **error);
