/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/**
 * Snapshots that backups into a repository create on volumes. Their names start with
 * "cistern-backup-" and the start of the repository's id. They end with random characters, so that
 * the names of two backups differ.
 */

/** Returns a name for the snapshots of a new backup. The caller frees it. */
char *backup_snapshot_name(const CstRepo *repo);
/**
 * Returns the names of the repository's snapshots that a volume has (char *). Returns NULL with
 * UNSUPPORTED or NO_SUPPORT if the volume does not support snapshots.
 */
GPtrArray *backup_snapshots(CstConn *conn, const CstRepo *repo, const CstVolRef *vol,
                            GError **error);
/** Return: TRUE if @error means that snapshots are not supported. */
gboolean backup_no_snapshots(const GError *error);
/** Whether a checkpoint of libvirt, instead of a snapshot, has the state of a backed up volume. */
gboolean backup_volume_has_checkpoint(const CstBackupVolume *volume);
/** Deletes a snapshot. On failure it reports the remaining snapshot, which is harmless. */
void backup_snapshot_drop(CliCtl *ctl, const CstVolRef *vol, const char *snapshot);
/**
 * Deletes @names except @keep (NULL: all). Has no effect if another process works with the
 * repository, because the snapshots may be its own.
 */
void backup_snapshots_tidy(CliCtl *ctl, CstRepo *repo, const CstVolRef *vol, const GPtrArray *names,
                           const char *keep);
/**
 * Deletes snapshots on the volumes of @forgotten backups. A snapshot is kept if a remaining backup
 * of the repository names it, because the next increment may need it.
 */
void backup_snapshots_forget(CliCtl *ctl, CstRepo *repo, const GPtrArray *forgotten);
