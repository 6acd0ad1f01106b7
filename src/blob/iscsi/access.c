/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands to the unit that was opened, and to no other one.
 *
 * Which unit is behind a LUN's number is the target's to change. So every command belongs to an
 * epoch of the session, in which this blob has looked at the unit; when another begins (a login, a
 * unit attention), commands come back as stale, the blob looks whether it is still the unit that
 * was opened, and sends them again, or fails.
 */
#include "lun_blob.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/test_point.h>

/* How often in a row the unit may have to be looked at again. */
#define LOOKS_MAX 16
/*
 * A write is preceded by the question whether LUNs have changed, unless that was asked just now:
 * less long ago than the two commands take by which a target's administrator puts another unit in
 * place of one.
 */
#define ASK_AGAIN_US (1 * G_TIME_SPAN_MILLISECOND)

/* --- still the same unit ---------------------------------------------------------------------- */

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
        return cst_fail(error, CST_ERROR_IO, _("the target sent nothing of volume '%s'"),
                        blob->blob.name);
    return TRUE;
}

static void swap(CstIscsiRequest *a, CstIscsiRequest *b)
{
    CstIscsiRequest kept = *a;

    *a = *b;
    *b = kept;
}

/* Moves the stale ones of @requests to the front. Returns how many; -1 with an error. */
static int keep_stale(const LunBlob *blob, CstIscsiRequest *requests, guint count,
                      gboolean *ret_unknown, GError **error)
{
    int kept = 0;

    for (guint i = 0; i < count; i++) {
        if (requests[i].outcome == CST_ISCSI_STALE)
            swap(&requests[kept++], &requests[i]);
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
 * A target need not draw attention to another unit on the LUN that has it (tgt doesn't), but on the
 * others; LUN 0 is one that most have, and any answer of it will do.
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
