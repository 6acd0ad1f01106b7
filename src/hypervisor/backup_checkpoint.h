/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup_job.h"

/**
 * Checks for each base of the request whether QEMU can still report the changes since then, and
 * sets its loss. Then deletes the checkpoints of the same repository that are no bases: earlier
 * backups have left them. A failure is a loss, and does not refuse the backup.
 *
 * Return: FALSE if the domain has so many checkpoints of backups that no further one may be made.
 */
gboolean backup_checkpoints_check(virDomainPtr domain, BackupRequest *request,
                                  const BackupPlan *plan);
/** Returns the time at which libvirt has made a checkpoint, in seconds; 0: not known. */
gint64 backup_checkpoint_created(virDomainPtr domain, const char *name);
/**
 * Identifies the backing files of a disk by their inodes, sizes and times of change. QEMU records
 * no changes of them. *ret_chain, which the caller frees, is NULL if there is none. Return: FALSE,
 * and *ret_chain is "-", if a layer is no regular file of this host.
 */
gboolean backup_chain_identify(const CstDomainDef *def, const char *target, char **ret_chain);
