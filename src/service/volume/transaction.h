/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/journal.h>

#include "core/claim.h"
#include "core/space.h"

/**
 * A new volume's transaction: begun, then committed or rolled back; see CstVolDraft. The caller
 * sets claim.task and claim.after.
 */
typedef struct {
    VolumeClaim claim;
    CstVolDraft draft;
    CstIntent *intent;
    /*
     * What is declared of the volume, owned; set by a caller who knows more than the definition
     * says. NULL: what the definition says.
     */
    CstDeclaration *declaration;
    gboolean empty; /* set by a caller who writes nothing to the volume */
    /* Set by a caller who copies: where nothing is made, a volume that is there takes the copy. */
    gboolean copies;
    SpaceCopy copy;      /* set by a caller who copies into a file; its source is borrowed */
    gboolean overwrite;  /* whatever that volume holds */
    gboolean image;      /* the copy is an image, whose length is not its capacity */
    const char *content; /* format of the copy, declared of a device that takes it; NULL: raw */
    gboolean fills;      /* it goes into a volume that is there, without a draft (fill.c) */
    gboolean made;       /* the volume is there already, without a draft (volume_txn_begin) */
    gboolean shared;     /* the draft has the source's content already (volume_txn_begin_clone) */
    gboolean cleared;    /* what is behind the content is zeroes (volume_txn_clear_behind) */
} VolumeTxn;

/**
 * Claims the name, records the intent and reserves the draft, which the caller then fills
 * (txn->draft.blob). Where nothing is to be written (txn->empty), the pool's technology may make
 * the volume at once (txn->made). @operation is for the journal. VOL_EXISTS; NO_SPACE where
 * txn->copy is certain not to fit. Call volume_txn_end() in any case.
 */
gboolean volume_txn_begin(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                          const char *operation, GError **error);
/**
 * Does the same for a copy, as it is stored, of @source in @source_pool, or of its snapshot
 * @snapshot (NULL: of what it is now). Where the pool's technology can share content, the draft has
 * it (txn->shared).
 */
gboolean volume_txn_begin_clone(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                                CstPool *source_pool, const char *source, const char *snapshot,
                                GError **error);
/**
 * Zeroes what the draft of a copy has behind @end, which may be what a deleted volume held; the
 * commit does it unless the caller has.
 */
gboolean volume_txn_clear_behind(VolumeTxn *txn, uint64_t end, GError **error);
/** Declares and syncs the draft and gives it its name; the volume is in the table afterwards. */
gboolean volume_txn_commit(VolumeTxn *txn, const CstVolDef *def, GError **error);
/** Rolls back what was not committed, and releases the claim. */
void volume_txn_end(VolumeTxn *txn);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeTxn, volume_txn_end)
