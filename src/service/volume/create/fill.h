/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transaction.h"

/**
 * Begins a transaction that fills an existing volume. txn->fills: the pool does not create volumes
 * and has a volume of this name.
 *
 * The volume must be large enough for raw content of @def's capacity, must not be open in any
 * process, and must contain only zeroes unless txn->overwrite is set. Returns FALSE if it has to be
 * filled and cannot be; STATE means that it contains data.
 */
gboolean volume_fill_begin(VolumeTxn *txn, CstPool *pool, const CstVolDef *def, GError **error);
/** Syncs the written data, and closes the volume. */
gboolean volume_fill_commit(VolumeTxn *txn, GError **error);
