/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup.h"

/**
 * Scratch volumes: what a backup is restored into for a proof, in a pool. The name of one has the
 * id of the lock that its process holds on the repository, so that what a killed one has left can
 * be told from what is in use.
 */
typedef struct {
    CliCtl *ctl;
    CstRepo *repo;
    const CstPoolRef *pool;
} CliScratch;

/** Deletes scratch volumes of processes that are gone; one that can't be deleted is warned of. */
gboolean cli_scratch_drop_stale(const CliScratch *scratch, GError **error);
/** Restores @volume into a new scratch volume. @format: NULL: that of the backup. */
CstVolRef *cli_scratch_restore(const CliScratch *scratch, const CstBackupVolume *volume,
                               const char *format, GError **error);
/** Deletes it. */
void cli_scratch_drop(const CliScratch *scratch, const CstVolRef *vol);
