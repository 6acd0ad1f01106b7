/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <service/volumes.h>

#include <store/journal.h>

/** Operation of the intent in the journal. */
#define RUNNING_MOVE "move-running"

/**
 * Moves the volume to @to, if a running domain has it as its disk: a block job copies it to a new
 * volume, and switches the domain to that. *ret_done FALSE: no running domain has it, and no change
 * was made. After a failure: no running domain uses the new volume.
 *
 * Errors as running_job_start() and cst_hypervisor_job_pivot(). INVALID for a transient domain
 * without CST_VOL_MOVE_TRANSIENT. BUSY if the volume has snapshots, which would not move. If it is
 * not known which volume the domain uses, both stay until the next replay of the journal.
 */
gboolean running_move(CstPool *pool, const char *name, CstPool *to, const CstVolMove *how,
                      CstTask *task, gboolean *ret_done, GError **error);

/**
 * Completes or drops an interrupted running_move(): the definition of the domain decides which of
 * both volumes is deleted. If that is not certain, both stay. FALSE if it has to be retried.
 */
gboolean running_move_replay(CstService *service, const CstIntentRecord *record, GError **error);
