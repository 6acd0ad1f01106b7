/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/journal.h>

#include "core/claim.h"

/** The making of a new volume: begun, then committed or rolled back; see CstVolDraft. */
typedef struct {
    VolumeClaim claim;
    CstVolDraft draft;
    CstIntent *intent;
    /* What is declared of it; set by who knows more than its definition says. NULL: that. */
    CstDeclaration *declaration;
    gboolean shared; /* the draft has the source's content already (volume_txn_begin_clone) */
} VolumeTxn;

/** Claims the name, records the intent and reserves the draft. */
gboolean volume_txn_begin(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                          const char *operation, GError **error);
/**
 * The same for a copy, as it is stored, of @source in @source_pool (or of its snapshot @snapshot;
 * NULL: of what it is now): where the pool's technology can share content, the draft has it.
 */
gboolean volume_txn_begin_clone(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                                CstPool *source_pool, const char *source, const char *snapshot,
                                GError **error);
/** Commits; the volume is in the table afterwards. */
gboolean volume_txn_commit(VolumeTxn *txn, const CstVolDef *def, GError **error);
/** Rolls back what was not committed, and releases the claim. */
void volume_txn_end(VolumeTxn *txn);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeTxn, volume_txn_end)
