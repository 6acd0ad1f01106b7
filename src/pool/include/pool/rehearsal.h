/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <stdint.h>

/**
 * How long a command will take, from the time of a quicker one (CstSnapshotBackend.plan_rehearse)
 * and the earlier times of both. Any thread.
 */
typedef struct {
    gint percent; /**< the command's part of the rehearsal's time; 0: unknown */
} CstRehearsal;

/** Returns the predicted microseconds; at least @rehearsed_us. */
uint64_t cst_rehearsal_predict(const CstRehearsal *rehearsal, int64_t rehearsed_us);
/**
 * Reports that the command took @took_us after a rehearsal of @rehearsed_us. One slow command
 * counts for half only, because a high prediction prevents the next measurement.
 */
void cst_rehearsal_measure(CstRehearsal *rehearsal, int64_t rehearsed_us, int64_t took_us);
