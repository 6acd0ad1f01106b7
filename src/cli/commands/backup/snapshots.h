/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/**
 * Snapshots that backups into a repository make on volumes: their names begin with
 * "cistern-backup-" and the beginning of the repository's id, and end by chance, so that those of
 * two backups are never the same.
 */

/** Returns a name for the snapshots of one more backup. Free it. */
char *backup_snapshot_name(const CstRepo *repo);
/**
 * Names of the repository's snapshots that a volume has (char *). NULL with UNSUPPORTED or
 * NO_SUPPORT where it can have none.
 */
GPtrArray *backup_snapshots(CstConn *conn, const CstRepo *repo, const CstVolRef *vol,
                            GError **error);
/** Whether what a call on snapshots failed with says that there can be none. */
gboolean backup_no_snapshots(const GError *error);
/** Deletes one. One that can't be deleted does no harm, and is told of. */
void backup_snapshot_drop(CliCtl *ctl, const CstVolRef *vol, const char *snapshot);
/**
 * Deletes those of @names but @keep (NULL: none), unless somebody else works with the repository,
 * whose they may be.
 */
void backup_snapshots_tidy(CliCtl *ctl, CstRepo *repo, const CstVolRef *vol, const GPtrArray *names,
                           const char *keep);
/**
 * Deletes, of the volumes of backups that were @forgotten, those that no backup of the repository
 * is the base of a next one by any more.
 */
void backup_snapshots_forget(CliCtl *ctl, CstRepo *repo, const GPtrArray *forgotten);
