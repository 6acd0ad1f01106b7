/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "block_job.h"

/** The parts of a block job's session that its keeper and its repair have in common. */

typedef struct {
    unsigned limits[BLOCK_LIMIT_LAST];
    BlockEntry entry;
    BlockJob job;
    BlockAnswer answer; /* the next one to the caller */
    int caller;         /* its socket; -1: there is no caller */
    int lock;           /* of the entry; -1: not held */
    gboolean has_entry; /* the entry was written */
} BlockSession;

void block_session_init(BlockSession *session);
/** Prepares the repair of this process (backup_guard.h). @round: repairs before this process. */
void block_session_guard(BlockSession *session, unsigned round);
/** Sets the pivot of the answer, and of the one that the caller gets when a time limit passes. */
void block_session_set_pivot(BlockSession *session, CstHypervisorPivot pivot);

/** Sends the answer with the type. Does nothing without a caller. */
void block_session_reply(BlockSession *session, BlockMessage type);
/** Sets the outcome of the answer. Always returns FALSE. */
gboolean block_session_fail(BlockSession *session, PauseOutcome outcome, const char *message);

/** Connects again, for up to BLOCK_LIMIT_LOST. Each attempt has a time limit. */
gboolean block_session_reconnect(BlockSession *session, PauseAnswer *step);
/**
 * Reads the result of a pivot from the definitions of the domain, and sets it in the answer. It is
 * CST_HYPERVISOR_PIVOT_UNKNOWN if the job exists and may pivot at @until (monotonic microseconds),
 * and if it has ended and the disk has neither image. *ret_view: the job.
 */
void block_session_find_pivot(BlockSession *session, gint64 until, BlockView *ret_view);
/** Sets the pivot of the answer to that of the view. The job has ended, or it cannot pivot. */
void block_session_adopt_pivot(BlockSession *session, const BlockView *view);

/**
 * Reads the persistent definition, and sets it in the answer. After a pivot it is changed first, if
 * the entry has names. Returns its image as a pivot.
 */
CstHypervisorPivot block_session_adopt_persistent(BlockSession *session);

/** Removes the entry and the lock. */
void block_session_remove(BlockSession *session);

/** Runs a repair. @uuid: of the domain. @answers: its caller waits for the result of a pivot. */
void block_repair_run(BlockSession *session, const char *uuid, unsigned round, gboolean answers);
