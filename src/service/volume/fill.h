/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "transaction.h"

/**
 * Begins a transaction whose content goes into a volume that is there: txn->fills is whether the
 * pool makes no volumes and has one of the name. The volume must be large enough for raw content of
 * @def's capacity, nobody may have it open, and it must hold nothing but zeroes, unless
 * txn->overwrite says that it may. FALSE: it should be filled and can't be; STATE says that it
 * holds something.
 */
gboolean volume_fill_begin(VolumeTxn *txn, CstPool *pool, const CstVolDef *def, GError **error);
/** Syncs what was written, and closes the volume. */
gboolean volume_fill_commit(VolumeTxn *txn, GError **error);
