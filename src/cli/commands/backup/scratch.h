/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/**
 * Scratch volumes: a backup is restored into them for a test, in a pool. The name contains the id
 * of the lock that the process holds on the repository. Volumes of killed processes can therefore
 * be distinguished from volumes in use.
 */
typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    const CstPoolRef *pool;
} CliScratch;

/** Deletes scratch volumes of dead processes. If one cannot be deleted, prints a warning. */
gboolean cli_scratch_drop_stale(const CliScratch *scratch, GError **error);
/** Restores @volume into a new scratch volume. @format NULL: that of the backup. */
CstVolRef *cli_scratch_restore(const CliScratch *scratch, const CstBackupVolume *volume,
                               const char *format, GError **error);
/** Deletes a scratch volume. */
void cli_scratch_drop(const CliScratch *scratch, const CstVolRef *vol);
