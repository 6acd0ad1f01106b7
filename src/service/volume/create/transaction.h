/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <model/declaration.h>
#include <store/journal.h>

#include "core/claim.h"
#include "core/promise.h"
#include "core/space.h"

/**
 * The transaction of a new volume: begun, then committed or rolled back; see CstVolDraft. The
 * caller sets claim.task and claim.after.
 */
typedef struct {
    VolumeClaim claim;
    CstVolDraft draft;
    CstIntent *intent;
    /*
     * Declaration of the volume, owned. Set by a caller that knows more than the definition. NULL:
     * the definition is used.
     */
    CstDeclaration *declaration;
    gboolean empty; /* set by a caller that writes no data to the volume */
    /*
     * Set by a caller that copies. If the pool cannot create volumes, an existing volume gets the
     * copy.
     */
    gboolean copies;
    SpaceCopy copy;     /* set by a caller that copies into a file; its source is borrowed */
    gboolean overwrite; /* permits to overwrite the content of the existing volume */
    gboolean flat;  /* set by a caller that writes an image without the definition's backing file */
    gboolean image; /* the copy is an image, so its length is not its capacity */
    const char *content; /* format of the copy, declared for an existing device; NULL: raw */
    /* Set by a caller that creates snapshots as well: the promise of volume and snapshots. */
    uint64_t promised;   /* 0: the capacity */
    PoolPromise promise; /* reserved from the claim of the name to the end */
    gboolean fills;      /* an existing volume is filled, without a draft (fill.c) */
    gboolean made;       /* the volume was created in one step, without a draft */
    gboolean shared;     /* the draft already has the source's content (volume_txn_begin_clone) */
    gboolean cleared;    /* the space after the content is zeroed (volume_txn_clear_behind) */
} VolumeTxn;

/**
 * Claims the name, records the intent and reserves the draft, which the caller then fills
 * (txn->draft.blob). If the caller writes no data (txn->empty), the pool's technology may create
 * the volume in one step (txn->made). @operation is for the journal. Errors: VOL_EXISTS; NO_SPACE
 * if txn->copy certainly does not fit, or a limit of the pool does not permit the volume. Call
 * volume_txn_end() in any case.
 */
gboolean volume_txn_begin(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                          const char *operation, GError **error);
/**
 * Like volume_txn_begin(), for a copy of the stored bytes of @source in @source_pool, or of its
 * snapshot @snapshot (NULL: of the present content). If the pool's technology can share content,
 * the draft has it already (txn->shared).
 */
gboolean volume_txn_begin_clone(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                                CstPool *source_pool, const char *source, const char *snapshot,
                                GError **error);
/**
 * Zeroes the draft of a copy after @end, because the space may contain data of a deleted volume.
 * The commit calls it with the capacity unless the caller has called it.
 */
gboolean volume_txn_clear_behind(VolumeTxn *txn, uint64_t end, GError **error);
/** Declares and syncs the draft and gives it its name. Afterwards the volume is in the table. */
gboolean volume_txn_commit(VolumeTxn *txn, const CstVolDef *def, GError **error);
/** Rolls back an uncommitted transaction, and releases the claim. */
void volume_txn_end(VolumeTxn *txn);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeTxn, volume_txn_end)
