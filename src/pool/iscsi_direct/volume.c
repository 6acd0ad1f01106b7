/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The content of a LUN. */
#include "iscsi_direct.h"

#include <base/error.h>
#include <base/i18n.h>

static void release_state(gpointer state)
{
    cst_pool_state_unref(state);
}

static gboolean check_lun(DirectState *state, const CstIscsiLun *lun, const char *name,
                          gboolean writable, GError **error)
{
    if (!direct_is_volume(lun))
        return cst_fail_no_volume(name, error);
    if (lun->error) {
        g_propagate_error(error, g_error_copy(lun->error));
        return FALSE;
    }
    if (writable && lun->unit.type == CST_SCSI_OPTICAL)
        return cst_fail(error, CST_ERROR_READ_ONLY, _("volume '%s' is an optical drive"), name);
    return direct_is_known(state, lun, error);
}

/* The blob holds a reference to the state, which owns the session. */
CstBlob *direct_vol_open(CstPoolState *head, const char *name, gboolean writable, GError **error)
{
    DirectState *state = (DirectState *)head;
    g_auto(CstIscsiLun) lun = {0};

    if (!direct_lun_of(name, &lun.lun)) {
        cst_fail_no_volume(name, error);
        return NULL;
    }
    if (!cst_iscsi_look(state->session, &lun, 1, error) ||
        !check_lun(state, &lun, name, writable, error))
        return NULL;
    return cst_blob_iscsi_new(state->session, &lun, name, writable, cst_pool_state_ref(head),
                              release_state);
}
