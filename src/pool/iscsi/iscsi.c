/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The callbacks of iscsi pools and their table.
 *
 * A lost session keeps its disks for two minutes (open-iscsi's replacement_timeout). Reads of the
 * disks hang during this time, and fail afterwards until the session returns. For the whole time
 * the storage counts as not responding (base/liveness.h). The kernel reports the loss at once, and
 * the touch (health.c) returns when a session works again.
 */
#include "iscsi.h"

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

/* --- LUNs ------------------------------------------------------------------------------------- */

static gboolean luns_have_name(const GPtrArray *found, const char *name)
{
    for (guint i = 0; i < found->len; i++)
        if (strcmp(((const CstAttached *)g_ptr_array_index(found, i))->name, name) == 0)
            return TRUE;
    return FALSE;
}

/* Adds each LUN once, from the first session that has it. */
static void iscsi_session_add_luns(const IscsiSession *session, const char *target,
                                   GPtrArray *found)
{
    g_autoptr(GPtrArray) luns = g_ptr_array_new_with_free_func((GDestroyNotify)cst_attached_free);

    cst_luns_find(session->host, target, luns);
    while (luns->len > 0) {
        CstAttached *lun = g_ptr_array_steal_index(luns, 0);

        if (luns_have_name(found, lun->name))
            cst_attached_free(lun);
        else
            g_ptr_array_add(found, lun);
    }
}

static gboolean fail_without(const CstPoolDef *def, const GPtrArray *sessions, GError **error)
{
    const IscsiSession *first = sessions->len > 0 ? g_ptr_array_index(sessions, 0) : NULL;

    if (!first)
        return cst_fail(error, CST_ERROR_STATE,
                        _("there is no session with target '%s' any more; stop pool '%s' and start "
                          "it again"),
                        iscsi_target(def), def->name);
    return cst_fail(error, CST_ERROR_UNREACHABLE,
                    _("the session with target '%s' at '%s' is lost (%s)"), iscsi_target(def),
                    first->address ? first->address : "?", first->state);
}

static gboolean iscsi_find(CstPoolState *state, GPtrArray *found, GError **error)
{
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(state->def);
    gboolean any = FALSE;

    for (guint i = 0; i < sessions->len; i++) {
        const IscsiSession *session = g_ptr_array_index(sessions, i);

        if (!iscsi_session_works(session))
            continue;
        any = TRUE;
        iscsi_session_add_luns(session, state->def->target_path, found);
    }
    return any || fail_without(state->def, sessions, error);
}

/* --- the table -------------------------------------------------------------------------------- */

static void iscsi_state_free(CstPoolState *state)
{
    cst_attached_clear((CstAttachedState *)state);
    g_free(state);
}

/* libvirt checks these at the start of a pool, with the same messages. */
static gboolean iscsi_check_source(const CstPoolDef *def, GError **error)
{
    if (def->source.hosts->len == 0)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing source host"));
    if (def->source.devices->len != 1)
        return cst_fail(error, CST_ERROR_CONFIG, _("missing source device"));
    if (!iscsi_is_name(iscsi_target(def)))
        return cst_fail(error, CST_ERROR_CONFIG, _("'%s' is no name of an iSCSI target"),
                        iscsi_target(def));
    return TRUE;
}

static CstPoolState *iscsi_open(const CstPoolDef *def, GError **error)
{
    CstAttachedState *state;

    if (!iscsi_check_source(def, error))
        return NULL;
    state = g_new0(CstAttachedState, 1);
    if (cst_attached_init(state, def, iscsi_find, error))
        return &state->head;
    iscsi_state_free(&state->head);
    return NULL;
}

static gboolean iscsi_check(CstPoolState *state, gboolean *ret_active, GError **error)
{
    g_autoptr(GPtrArray) sessions = iscsi_sessions_of(state->def);

    *ret_active = sessions->len > 0;
    return TRUE;
}

const CstBackend cst_iscsi_backend = {
    .type = CST_POOL_ISCSI,
    .remote = TRUE,
    .secret_options = cst_chap_secret_options,
    .open = iscsi_open,
    .close = iscsi_state_free,
    .check = iscsi_check,
    .scan = cst_attached_scan,
    .scan_one = cst_attached_scan_one,
    .usage = cst_attached_usage,
    .vol_path = cst_attached_vol_path,
    .vol_resolve = cst_attached_vol_resolve,
    .touch = iscsi_touch,
    .start = iscsi_start,
    .stop = iscsi_stop,
    .prove = iscsi_prove,
    .renew = iscsi_renew,
    .rescan_bus = iscsi_refresh,
    .discover = iscsi_discover,
    .vol_open = cst_attached_vol_open,
    .vol_holders = cst_attached_vol_holders,
    .health = iscsi_health,
    .watch_open = cst_attached_watch_open,
    .watch_read = cst_attached_watch_read,
};
