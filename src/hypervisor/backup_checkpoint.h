/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "backup_job.h"

/**
 * Checks which bases of the request QEMU can still report the changes of, and sets the losses of
 * all others. Then deletes the checkpoints of the same repository that are no bases: backups that
 * failed or were killed, and older backups, have left them. Failures are no reason to refuse the
 * backup.
 */
void backup_checkpoints_check(virDomainPtr domain, BackupRequest *request, const BackupPlan *plan);
