/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>
#include <store/journal.h>

/** The operation in the intent of a set. */
#define SNAPSHOT_SET "snapshot-set"

/**
 * Removes the snapshots of a set that a dead process has begun. @state: of their pool at that time
 * (recovery/replay.c). Returns FALSE if it has to be retried.
 */
gboolean snapshot_set_replay(CstPoolState *state, const CstIntentRecord *record, GError **error);
