/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <conn/domains.h>

#include <base/dry_run.h>
#include <base/error.h>

/* Every volume has two snapshots, "old" and "broken". Operations on any other snapshot fail. */

GPtrArray *cst_conn_snapshot_list(CstConn *conn, const CstVolRef *vol, GError **error)
{
    GPtrArray *snapshots = g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);

    for (int i = 0; i < 2; i++) {
        CstSnapshot *snapshot = g_new0(CstSnapshot, 1);

        snapshot->name = g_strdup(i ? "broken" : "old");
        snapshot->kept_by = g_strdup("logical");
        snapshot->created = i ? 0 : 1700000000;
        snapshot->capacity = 1 << 30;
        snapshot->allocation = i ? CST_SNAPSHOT_UNKNOWN : 4096;
        snapshot->limit = i ? 0 : 1 << 20;
        snapshot->problem = i ? g_strdup("it is full") : NULL;
        snapshot->consistency = i ? CST_CONSISTENCY_UNKNOWN : CST_CONSISTENCY_FILESYSTEM;
        snapshot->consistency_reason = i ? NULL : g_strdup("no VSS");
        g_ptr_array_add(snapshots, snapshot);
    }
    return snapshots;
}

static gboolean find(const CstVolRef *vol, const char *name, GError **error)
{
    return g_str_equal(name, "old") || g_str_equal(name, "broken") ||
           cst_fail(error, CST_ERROR_NOT_FOUND, "volume '%s' has no snapshot '%s'", vol->name,
                    name);
}

gboolean cst_conn_snapshot_create(CstConn *conn, const CstVolRef *vol, const char *name,
                                  uint64_t limit, CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return !find(vol, name, NULL) || cst_fail(error, CST_ERROR_EXISTS, "there is one already");
}

/* No domain runs. */
gboolean cst_conn_live_create(CstConn *conn, const GPtrArray *vols, const CstLiveRequest *request,
                              CstTask *task, CstSnapshotSet *ret_set, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "no domain runs");
}

gboolean cst_conn_live_end(CstConn *conn, const char *name, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "no live snapshot '%s'", name);
}

gboolean cst_conn_domain_define(CstConn *conn, const char *name, const char *uuid,
                                const char *document, GError **error)
{
    return cst_fail(error, CST_ERROR_NOT_FOUND, "no libvirt for domain '%s'", name);
}

/* A limit of the pause means a running domain. A minimum is never reached. */
gboolean cst_conn_snapshot_create_set(CstConn *conn, const GPtrArray *vols,
                                      const CstSnapshotRequest *request, CstTask *task,
                                      CstSnapshotSet *ret_set, GError **error)
{
    *ret_set = (CstSnapshotSet){.one_step = TRUE, .consistency = CST_CONSISTENCY_OFFLINE};
    if (request->minimum)
        return cst_fail(error, CST_ERROR_STATE, "it would have consistency 'offline', not '%s'",
                        cst_consistency_word(request->minimum));
    if (!cst_may_change(error))
        return FALSE;
    for (guint i = 0; i < vols->len; i++)
        if (find(vols->pdata[i], request->name, NULL))
            return cst_fail(error, CST_ERROR_EXISTS, "there is one already");
    if (request->qmp) {
        if (!g_path_is_absolute(request->qmp))
            return cst_fail(error, CST_ERROR_INVALID, "the path of the socket is relative");
        ret_set->consistency = CST_CONSISTENCY_CRASH;
        ret_set->paused_us = request->max_pause_ms > 0 ? 20000 : 0;
        return TRUE;
    }
    if (request->max_pause_ms > 0) {
        ret_set->consistency = CST_CONSISTENCY_CRASH;
        ret_set->reason = g_strdup("no guest agent");
        ret_set->domain = g_strdup("web");
        ret_set->paused_us = 35000;
    }
    return TRUE;
}

/* Two are newer than "broken". */
GStrv cst_conn_snapshot_revert_loses(CstConn *conn, const CstVolRef *vol, const char *name,
                                     GError **error)
{
    if (!find(vol, name, error))
        return NULL;
    return g_strsplit(g_str_equal(name, "broken") ? "one two" : "", " ", -1);
}

gboolean cst_conn_snapshot_revert(CstConn *conn, const CstVolRef *vol, const char *name,
                                  char *const *agreed, CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    if (g_str_equal(name, "broken") && g_strv_length((char **)agreed) != 2)
        return cst_fail(error, CST_ERROR_BUSY, "not all are agreed to");
    return find(vol, name, error);
}

gboolean cst_conn_snapshot_delete(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return find(vol, name, error);
}

gboolean cst_conn_snapshot_rename(CstConn *conn, const CstVolRef *vol, const char *name,
                                  const char *new_name, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return find(vol, name, error);
}

gboolean cst_conn_snapshot_clone(CstConn *conn, const CstVolRef *vol, const char *name,
                                 const char *new_volume, CstTask *task, GError **error)
{
    if (!cst_may_change(error))
        return FALSE;
    return find(vol, name, error);
}
