/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies into existing volumes. If a technology cannot create volumes (LUNs, multipath maps), a
 * "new" volume is an existing one. It has no draft that could be dropped. Its former content is
 * lost from the first written byte on.
 *
 * Reading the volume shows whether it is empty. That is cheap if the storage reports unallocated
 * ranges, and also shows that zeroes need not be written. An interrupted copy leaves a volume with
 * content, so the next copy requires consent.
 */
#include "fill.h"

#include <inttypes.h>

#include <base/alloc.h>
#include <base/crash.h>
#include <base/dry_run.h>
#include <base/error.h>
#include <base/i18n.h>
#include <base/units.h>
#include <blob/steps.h>

#include "core/claim.h"
#include "core/pool.h"
#include "core/scan.h"
#include "core/trust_device.h"
#include "dependency/guard.h"

#define CHUNK (1 * CST_MIB)

static gboolean holds_something(const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_STATE,
                    _("volume '%s' holds something: wipe it first (vol-wipe), or say that it may "
                      "be overwritten (--overwrite)"),
                    name);
}

static gboolean check_zero(CstBlob *blob, const CstExtent *extent, uint8_t *buf, GError **error)
{
    for (uint64_t done = 0; done < extent->length;) {
        size_t len = (size_t)MIN(CHUNK, extent->length - done);

        if (!cst_blob_pread(blob, buf, len, extent->offset + done, error))
            return FALSE;
        if (!cst_bytes_are_zero(buf, len))
            return holds_something(blob->name, error);
        done += len;
    }
    return TRUE;
}

static gboolean check_empty(CstBlob *blob, uint64_t size, CstTask *task, GError **error)
{
    g_autofree uint8_t *buf = cst_alloc(CHUNK, 1, blob->name, error);
    CstExtent extent;

    for (uint64_t at = 0; buf && at < size; at += extent.length) {
        if (!cst_task_check(task, error) ||
            !cst_blob_extent(blob, at, MIN(size - at, 64 * CHUNK), &extent, error) ||
            (!(extent.flags & CST_EXTENT_ZERO) && !check_zero(blob, &extent, buf, error)))
            return FALSE;
    }
    return buf != NULL;
}

/* The new content does not include the former content, so the whole volume is zeroed. */
static gboolean make_empty(VolumeTxn *txn, uint64_t size, uint64_t needed, GError **error)
{
    CstTask *task = txn->claim.task;
    g_autoptr(GError) why = NULL;

    if (cst_blob_zero_steps(txn->draft.blob, 0, size, CST_ZERO_MAY_UNMAP | CST_ZERO_FAST, task,
                            &why)) {
        txn->draft.zeroed = TRUE;
        return TRUE;
    }
    if (!g_error_matches(why, CST_ERROR, CST_ERROR_UNSUPPORTED)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    /* The copy writes this part completely, including zeroes, so it is not zeroed before. */
    return cst_blob_zero_steps(txn->draft.blob, needed, size - needed, 0, task, error);
}

/*
 * Declares the copy before its first byte is written, so that former content is not mistaken for
 * it.
 */
static gboolean fill_prepare_target(VolumeTxn *txn, const CstVolDef *def, const CstVolume *volume,
                                    GError **error)
{
    uint64_t needed = txn->image ? 0 : def->capacity;
    uint64_t size;

    if (!cst_blob_get_size(txn->draft.blob, &size, error))
        return FALSE;
    if (size < needed)
        return cst_fail(error, CST_ERROR_NO_SPACE,
                        _("volume '%s' has %" PRIu64 " bytes, and %" PRIu64 " are needed"),
                        def->name, size, needed);
    if (!txn->overwrite && !check_empty(txn->draft.blob, size, txn->claim.task, error))
        return FALSE;
    if (!trust_device_declare(txn->claim.pool, txn->claim.state, volume, txn->content, error) ||
        !cst_may_change(error))
        return FALSE;
    txn->draft.zeroed = !txn->overwrite;
    if (!txn->overwrite)
        return TRUE;
    CST_CRASH_POINT("fill.begun");
    return make_empty(txn, size, needed, error);
}

static gboolean fill_volume_exists(CstPool *pool, const char *name, gboolean *ret_there,
                                   GError **error)
{
    g_autoptr(CstPoolState) state = pool_state_get(pool, error);
    g_autoptr(CstVolume) volume = NULL;

    *ret_there = FALSE;
    if (!state)
        return FALSE;
    if (cst_pool_state_check_create(state, NULL))
        return TRUE;
    if (!pool_scan_volume(pool, state, name, &volume, error))
        return FALSE;
    *ret_there = volume != NULL;
    return TRUE;
}

gboolean volume_fill_begin(VolumeTxn *txn, CstPool *pool, const CstVolDef *def, GError **error)
{
    g_autoptr(CstVolume) volume = NULL;

    if (!fill_volume_exists(pool, def->name, &txn->fills, error))
        return FALSE;
    if (!txn->fills)
        return TRUE;
    /*
     * The source may be claimed, and a copy in the opposite direction may be running, so do not
     * wait.
     */
    txn->claim.at_once = txn->claim.after != NULL;
    if (!volume_claim_now(&txn->claim, pool, def->name, CLAIM_WRITE, &volume, error) ||
        !volume_not_shown(&txn->claim, error))
        return FALSE;
    txn->draft.blob = cst_pool_state_vol_open(txn->claim.state, def->name, TRUE, error);
    return txn->draft.blob && fill_prepare_target(txn, def, volume, error);
}

gboolean volume_fill_commit(VolumeTxn *txn, GError **error)
{
    CST_CRASH_POINT("fill.filled");
    if (!cst_blob_flush(txn->draft.blob, error))
        return FALSE;
    CST_CRASH_POINT("fill.synced");
    g_clear_pointer(&txn->draft.blob, cst_blob_unref);
    return TRUE;
}
