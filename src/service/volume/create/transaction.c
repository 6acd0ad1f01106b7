/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Creation of a volume as a transaction: begin, filling by the caller, commit or rollback.
 *
 * To begin, the name is claimed and an intent is written to the journal. The backend reserves a
 * draft under a hidden name, which the intent contains. To commit, the declaration of the content
 * is recorded. Then the draft becomes the volume in one step: it gets its name or, if it has its
 * name already, its intent is removed.
 *
 * A transaction that ends without a commit drops its draft. After a crash the journal's replay does
 * (recovery/replay.c). If no data are written to the volume, the technology may be able to create
 * it in one step. Then begin creates it, and no rollback is needed.
 *
 * The promise of the volume is reserved from the check of its name to the end (core/promise.h).
 *
 * The table of drafts contains the volume (core/draft.c) from the reservation to the commit or the
 * end.
 */
#include "transaction.h"

#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/log.h>
#include <base/test_point.h>
#include <blob/steps.h>

#include "core/claim.h"
#include "core/draft.h"
#include "core/events.h"
#include "core/intent.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/table.h"
#include "core/trust_device.h"
#include "dependency/depth.h"
#include "fill.h"
#include "volume/declare.h"
#include "volume/protect.h"

/*
 * An operation that holds another volume fails if the name exists, instead of waiting for its
 * claim, because the holder of the name may wait for this operation.
 */
static gboolean check_free_first(const VolumeTxn *txn, CstPool *pool, const char *name,
                                 GError **error)
{
    g_autoptr(CstPoolState) state = NULL;

    if (!txn->claim.after)
        return TRUE;
    state = pool_state_get(pool, error);
    return state && pool_check_free(pool, state, name, error);
}

/*
 * Returns whether the creation itself reports an existing name: a creation in one step replaces no
 * volume. A known name, and any name in a dry run, is checked separately.
 */
static gboolean create_reports_existing(const VolumeTxn *txn, CstPool *pool, const char *name)
{
    g_autoptr(CstVolume) known = NULL;

    g_mutex_lock(&pool->lock);
    known = pool_table_find(pool, name);
    g_mutex_unlock(&pool->lock);
    return txn->empty && !known && !cst_dry_run();
}

/* The size to which the volume can grow, in the limits of the pool, until the end. */
static gboolean txn_promise(VolumeTxn *txn, CstPool *pool, const CstVolDef *def, GError **error)
{
    const PromiseRequest request = {.name = def->name,
                                    .more = txn->promised ? txn->promised
                                                          : MAX(def->capacity, def->allocation),
                                    .added = TRUE};

    return pool_promise_reserve(&txn->promise, pool, txn->claim.state, &request, error);
}

/* Checks and claims the name. */
static gboolean claim_name(VolumeTxn *txn, CstPool *pool, const CstVolDef *def, GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);

    txn->claim.creating = TRUE;
    if (!state || !cst_pool_state_volume_name_check(state, def->name, error) ||
        !check_free_first(txn, pool, def->name, error) ||
        !volume_claim(&txn->claim, pool, def->name, CLAIM_WRITE, error))
        return FALSE;
    return cst_pool_state_check_create(txn->claim.state, error);
}

/* Whether the new volume refers to a backing file. */
static gboolean txn_has_backing(const VolumeTxn *txn, const CstVolDef *def)
{
    return !txn->flat && !txn->fills && def->backing && def->backing->path;
}

static gboolean txn_check_chain(const VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                                GError **error)
{
    return !txn_has_backing(txn, def) ||
           chain_check_new(pool, def->name, def->backing->path, error);
}

static gboolean check_copy_fits(const VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                                GError **error)
{
    return pool_check_room(pool, txn->claim.state, def->name, &txn->copy, txn->claim.task, error);
}

/* Records the intent, which contains the draft's token, before the backend creates the draft. */
static gboolean record_intent(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                              const char *operation, GError **error)
{
    CstUuid id;
    char token[CST_UUID_TEXT_LEN];

    cst_uuid_generate(&id);
    txn->draft.token = g_strdup(cst_uuid_format(&id, token));
    txn->intent =
        intent_begin(pool, txn->claim.state, operation, def->name, txn->draft.token, error);
    return txn->intent != NULL;
}

/* Returns TRUE without txn->made if the technology has no such step. */
static gboolean make_at_once(VolumeTxn *txn, const CstVolDef *def, GError **error)
{
    g_autoptr(GError) why = NULL;

    txn->made = cst_pool_state_make(txn->claim.state, def, &why);
    if (txn->made || g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

/* An empty volume is not a copy, so it never fills an existing volume. */
static gboolean fill_instead(VolumeTxn *txn, CstPool *pool, const CstVolDef *def, GError **error)
{
    return txn->empty || !txn->copies || volume_fill_begin(txn, pool, def, error);
}

gboolean volume_txn_begin(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                          const char *operation, GError **error)
{
    gboolean told;

    if (!fill_instead(txn, pool, def, error))
        return FALSE;
    if (txn->fills)
        return TRUE;
    if (!claim_name(txn, pool, def, error))
        return FALSE;
    /* Checked under the claim: from here on no other operation of this service creates the name. */
    told = create_reports_existing(txn, pool, def->name);
    if ((!told && !pool_check_free(pool, txn->claim.state, def->name, error)) ||
        !txn_check_chain(txn, pool, def, error) || !pool_check_promise(pool, error) ||
        !txn_promise(txn, pool, def, error) || (txn->empty && !make_at_once(txn, def, error)))
        return FALSE;
    if (txn->made)
        return TRUE;
    if ((told && !pool_check_free(pool, txn->claim.state, def->name, error)) ||
        !check_copy_fits(txn, pool, def, error) ||
        !record_intent(txn, pool, def, operation, error) ||
        !cst_pool_state_reserve(txn->claim.state, def, &txn->draft, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.reserved");
    volume_draft_show(pool, def, txn->draft.blob);
    return TRUE;
}

/* UNSUPPORTED means that the technology cannot share this content, so that the caller copies it. */
gboolean volume_txn_begin_clone(VolumeTxn *txn, CstPool *pool, const CstVolDef *def,
                                CstPool *source_pool, const char *source, const char *snapshot,
                                GError **error)
{
    g_autoptr(GError) why = NULL;

    if (!fill_instead(txn, pool, def, error))
        return FALSE;
    if (txn->fills)
        return TRUE;
    if (!claim_name(txn, pool, def, error) ||
        !pool_check_free(pool, txn->claim.state, def->name, error) ||
        !txn_check_chain(txn, pool, def, error) || !pool_check_promise(pool, error) ||
        !txn_promise(txn, pool, def, error) || !check_copy_fits(txn, pool, def, error) ||
        !record_intent(txn, pool, def, "clone", error))
        return FALSE;
    txn->shared = pool == source_pool && cst_pool_state_reserve_clone(txn->claim.state, def, source,
                                                                      snapshot, &txn->draft, &why);
    if (why && !g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    if (!txn->shared && !cst_pool_state_reserve(txn->claim.state, def, &txn->draft, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.reserved");
    volume_draft_show(pool, def, txn->draft.blob);
    return TRUE;
}

/*
 * A device may be larger than the copied content. The guest must not see data of a deleted volume
 * after it.
 */
gboolean volume_txn_clear_behind(VolumeTxn *txn, uint64_t end, GError **error)
{
    uint64_t size;

    if (!txn->copies || txn->shared || txn->draft.zeroed || txn->cleared)
        return TRUE;
    if (!cst_blob_get_size(txn->draft.blob, &size, error) ||
        (size > end && !cst_blob_zero_steps(txn->draft.blob, end, size - end, CST_ZERO_MAY_UNMAP,
                                            txn->claim.task, error)))
        return FALSE;
    txn->cleared = TRUE;
    return TRUE;
}

static gboolean commit_draft(VolumeTxn *txn, const CstVolDef *def, GError **error)
{
    if (!txn->declaration)
        txn->declaration = trust_of_definition(def);
    CST_CRASH_POINT("vol.create.filled");
    if (!volume_txn_clear_behind(txn, def->capacity, error) ||
        !trust_declare_draft(&txn->claim, &txn->draft, txn->declaration, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.declared");
    if (!cst_pool_state_commit(txn->claim.state, &txn->draft, def, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.named");
    if (!intent_commit(txn->claim.state, txn->intent, error))
        return FALSE;
    txn->intent = NULL;
    return TRUE;
}

/*
 * Removes the declaration of a device that another program has deleted. The new device may have the
 * same key.
 */
static void forget_former(CstPool *pool, CstPoolState *state, const char *name)
{
    g_autoptr(CstVolume) volume = pool_table_known(pool, name);

    if (volume)
        trust_device_declare(pool, state, volume, NULL, NULL);
}

/* Rescans before the draft is hidden, so that a list always contains the volume. */
gboolean volume_txn_commit(VolumeTxn *txn, const CstVolDef *def, GError **error)
{
    CstPool *pool = txn->claim.pool;

    if (txn->fills ? !volume_fill_commit(txn, error) : !txn->made && !commit_draft(txn, def, error))
        return FALSE;
    CST_CRASH_POINT("vol.create.committed");
    if (!txn->fills)
        volume_is_new(pool, def->name);
    pool_rescan_volume(pool, txn->claim.state, def->name);
    if (!txn->fills)
        forget_former(pool, txn->claim.state, def->name);
    volume_draft_hide(pool, def->name);
    if (!txn->fills)
        event_record_volume(pool, CST_EVENT_VOLUME_CREATED, def->name, NULL);
    if (txn_has_backing(txn, def))
        chain_record(pool, def->name, 0);
    return TRUE;
}

/*
 * Drops the draft and ends the intent. If that fails, the intent stays in the journal for the next
 * start or, on remote storage, until the storage answers.
 */
static void volume_txn_roll_back(VolumeTxn *txn, CstPool *pool)
{
    g_autoptr(GError) error = NULL;

    CST_TEST_POINT("vol.create.roll_back");
    if (cst_pool_state_abandon(txn->claim.state, txn->draft.token, &error)) {
        cst_intent_end(txn->intent);
        return;
    }
    cst_intent_keep(txn->intent);
    pool_recover_later(pool, txn->claim.state);
    cst_log(CST_LOG_WARNING, "pool '%s': %s", pool->name, error->message);
}

/*
 * Without an intent no rollback is needed, because the transaction was committed or not begun. A
 * draft that is open could not be dropped on some storage, so it is closed first.
 */
void volume_txn_end(VolumeTxn *txn)
{
    CstPool *pool = txn->claim.pool;
    gboolean filled = txn->fills && txn->draft.blob;

    if (pool)
        volume_draft_hide(pool, txn->claim.name);
    g_clear_pointer(&txn->draft.blob, cst_blob_unref);
    if (pool && txn->intent)
        volume_txn_roll_back(txn, pool);
    /* The content of an existing volume was changed, and the copy is incomplete. */
    if (pool && filled)
        volume_rescan(&txn->claim);
    txn->intent = NULL;
    cst_vol_draft_clear(&txn->draft);
    g_clear_pointer(&txn->declaration, cst_declaration_free);
    pool_promise_end(&txn->promise);
    volume_release(&txn->claim);
}
