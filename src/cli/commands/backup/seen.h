/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/**
 * Checks that the repository still has the newest backup that this user has seen in it, and records
 * its newest backup. Fails with STATE if the repository was replaced by an earlier state
 * (cst_repo_check_seen()). A user without a state directory has seen no backup.
 */
gboolean backup_seen_check(CstRepo *repo, GError **error);
/** Like backup_seen_check(), for read-only commands: prints a warning instead of failing. */
void backup_seen_warn(CliCtl *ctl, CstRepo *repo);
/** Records the newest backup of the repository, regardless of the former record. */
gboolean backup_seen_accept(CstRepo *repo, GError **error);
/**
 * Records the new backup @backup, if it is newer than the recorded one. Prints a warning on
 * failure.
 */
void backup_seen_note(CliCtl *ctl, CstRepo *repo, const CstBackup *backup);
/**
 * Updates the record before backups are removed. If the recorded backup is to be removed, records
 * the newest of @staying (CstBackup *). If it is already missing, the record is unchanged.
 */
gboolean backup_seen_before_removal(CstRepo *repo, const GPtrArray *staying, GError **error);
