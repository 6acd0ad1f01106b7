/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/**
 * Checks that the repository still has the newest backup that this user has seen in it, and notes
 * its newest one. STATE if it was put back to an earlier state (cst_repo_check_seen()). A user
 * without a directory for state has seen no backup.
 */
gboolean backup_seen_check(CstRepo *repo, GError **error);
/** The same for commands that only read: prints a warning instead of failing. */
void backup_seen_warn(CliCtl *ctl, CstRepo *repo);
/** Notes the newest backup that the repository has now, whatever was seen before. */
gboolean backup_seen_accept(CstRepo *repo, GError **error);
/** Notes @backup, which was just made; prints a warning if that is not possible. */
void backup_seen_note(CliCtl *ctl, CstRepo *repo, const CstBackup *backup);
/**
 * Before backups are removed: if the noted one does not stay, notes the newest of @staying (of
 * CstBackup *). A backup that is missing already is not replaced.
 */
gboolean backup_seen_before_removal(CstRepo *repo, const GPtrArray *staying, GError **error);
