/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <pool/pool.h>
#include <store/journal.h>

/** The operation of a set's intent. */
#define SNAPSHOT_SET "snapshot-set"

/**
 * Removes what a dead process has made of a set of snapshots; @state is of their pool as it was
 * then (recovery/replay.c). FALSE: it is to be tried again.
 */
gboolean snapshot_set_replay(CstPoolState *state, const CstIntentRecord *record, GError **error);
