/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands to the unit that was opened, and to no other unit.
 *
 * The target may assign another unit to a LUN's number at any time. So every command belongs to an
 * epoch of the session, in which this blob has read the unit's properties. When a new epoch begins
 * (a login, a unit attention), commands return as stale. The blob then reads the properties again.
 * If the unit is the same, it sends the commands again; otherwise it fails.
 */
#include "lun_blob.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* Maximum number of consecutive checks of the unit. */
#define LOOKS_MAX 16
/*
 * Before a write, the target is queried whether LUNs have changed, unless the last query is recent.
 * The limit is shorter than the two commands that an administrator needs to replace a unit.
 */
#define ASK_AGAIN_US (1 * G_TIME_SPAN_MILLISECOND)

/* --- identity of the unit --------------------------------------------------------------------- */

static gboolean is_same(const LunBlob *blob, const CstIscsiLun *now)
{
    return now->exists && now->unit.type == blob->unit.type &&
           now->unit.block_size == blob->unit.block_size && now->unit.blocks >= blob->unit.blocks &&
           strcmp(now->unit.id, blob->unit.id) == 0;
}

static gboolean look_again(LunBlob *blob, GError **error)
{
    g_auto(CstIscsiLun) now = {.lun = blob->lun};

    if (!cst_iscsi_look(blob->iscsi, &now, 1, error))
        return FALSE;
    if (now.exists && now.error) {
        g_propagate_error(error, g_steal_pointer(&now.error));
        return FALSE;
    }
    if (!is_same(blob, &now))
        return cst_fail(error, CST_ERROR_STATE,
                        _("LUN %u of volume '%s' is not the unit any more that was opened"),
                        blob->lun, blob->blob.name);
    CST_TEST_POINT("iscsi_lun.look.answered");
    g_mutex_lock(&blob->lock);
    blob->epoch = now.epoch;
    g_array_set_size(blob->runs, 0);
    g_mutex_unlock(&blob->lock);
    return TRUE;
}

/* --- commands --------------------------------------------------------------------------------- */

static gboolean check_answer(const LunBlob *blob, const CstIscsiRequest *request,
                             gboolean *ret_unknown, GError **error)
{
    if (!cst_scsi_good(&request->sense)) {
        if (ret_unknown)
            *ret_unknown = cst_scsi_unknown(&request->sense);
        return cst_scsi_fail(error, &request->sense, _("I/O on volume '%s'"), blob->blob.name);
    }
    if (request->command.direction == CST_SCSI_READ && request->got == 0 &&
        request->command.length > 0)
        return cst_fail(error, CST_ERROR_IO, _("the target sent no data of volume '%s'"),
                        blob->blob.name);
    return TRUE;
}

static void requests_swap(CstIscsiRequest *a, CstIscsiRequest *b)
{
    CstIscsiRequest kept = *a;

    *a = *b;
    *b = kept;
}

/* Moves the stale requests of @requests to the front. Returns their number; -1 with an error. */
static int keep_stale(const LunBlob *blob, CstIscsiRequest *requests, guint count,
                      gboolean *ret_unknown, GError **error)
{
    int kept = 0;

    for (guint i = 0; i < count; i++) {
        if (requests[i].outcome == CST_ISCSI_STALE)
            requests_swap(&requests[kept++], &requests[i]);
        else if (!check_answer(blob, &requests[i], ret_unknown, error))
            return -1;
    }
    return kept;
}

static void set_epoch(LunBlob *blob, CstIscsiRequest *request)
{
    g_mutex_lock(&blob->lock);
    request->epoch = blob->epoch;
    g_mutex_unlock(&blob->lock);
}

/*
 * A target may report a unit attention for a replaced unit only on other LUNs (tgt does). LUN 0
 * exists on most targets, and any answer of it is sufficient.
 */
static gboolean ask_for_changes(LunBlob *blob, GError **error)
{
    for (guint looks = 0; looks < LOOKS_MAX; looks++) {
        CstIscsiRequest request = {.command = cst_scsi_test_ready()};
        gint64 now = g_get_monotonic_time();
        gboolean needed;

        g_mutex_lock(&blob->lock);
        needed = now - blob->asked_at > ASK_AGAIN_US;
        g_mutex_unlock(&blob->lock);
        if (!needed)
            return TRUE;
        set_epoch(blob, &request);
        if (!cst_iscsi_run(blob->iscsi, &request, 1, error))
            return FALSE;
        if (request.outcome == CST_ISCSI_STALE) {
            if (!look_again(blob, error))
                return FALSE;
            continue;
        }
        CST_TEST_POINT("iscsi_lun.ask.answered");
        g_mutex_lock(&blob->lock);
        blob->asked_at = now;
        g_mutex_unlock(&blob->lock);
        return TRUE;
    }
    return TRUE;
}

gboolean iscsi_lun_run(LunBlob *blob, CstIscsiRequest *requests, guint count, gboolean *ret_unknown,
                       GError **error)
{
    for (guint looks = 0; looks < LOOKS_MAX; looks++) {
        int left;

        if (requests[0].command.direction == CST_SCSI_WRITE && !ask_for_changes(blob, error))
            return FALSE;
        for (guint i = 0; i < count; i++) {
            requests[i].lun = blob->lun;
            set_epoch(blob, &requests[i]);
        }
        if (!cst_iscsi_run(blob->iscsi, requests, count, error))
            return FALSE;
        left = keep_stale(blob, requests, count, ret_unknown, error);
        if (left <= 0)
            return left == 0;
        count = (guint)left;
        if (!look_again(blob, error))
            return FALSE;
    }
    return cst_fail(error, CST_ERROR_BUSY, _("the target changes volume '%s' all the time"),
                    blob->blob.name);
}
