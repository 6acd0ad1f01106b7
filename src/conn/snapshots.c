/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for snapshots of volumes, all of Cistern's own program. The server selects the
 * technology that keeps a volume's snapshots.
 */
#include <conn/domains.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"

static CstSnapshot *snapshot_from_wire(wire_snapshot *wire)
{
    CstSnapshot *snapshot = g_new0(CstSnapshot, 1);

    *snapshot = (CstSnapshot){
        .name = g_steal_pointer(&wire->name),
        .kept_by = g_steal_pointer(&wire->kept_by),
        .created = wire->created,
        .capacity = wire->capacity,
        .allocation = wire->allocation,
        .limit = wire->limit,
        .machine_state = wire->machine_state,
        .problem = cst_opt_take(wire->problem),
        .consistency = (CstConsistency)MIN(wire->consistency, CST_CONSISTENCY_LAST),
        .consistency_reason = cst_opt_take(wire->consistency_reason),
    };
    return snapshot;
}

GPtrArray *cst_conn_snapshot_list(CstConn *conn, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};
    wire_snapshot_list_ret ret = {0};
    GPtrArray *snapshots;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_SNAPSHOT_LIST, &args, &ret, NULL, error))
        return NULL;
    snapshots = g_ptr_array_new_with_free_func((GDestroyNotify)cst_snapshot_free);
    for (guint i = 0; i < ret.snapshots.snapshots_len; i++)
        g_ptr_array_add(snapshots, snapshot_from_wire(&ret.snapshots.snapshots_val[i]));
    xdr_free((xdrproc_t)xdr_wire_snapshot_list_ret, (char *)&ret);
    return snapshots;
}

/*
 * Makes a change. All changes have the same arguments: the snapshot, a second name or several ("":
 * not used), a limit (0: no limit).
 */
static gboolean snapshot_call_change(CstConn *conn, int number, const CstVolRef *vol,
                                     const char *name, const char *other, uint64_t limit,
                                     CstTask *task, GError **error)
{
    wire_snapshot_args args = {cst_vol_arg(vol), (char *)name, (char *)other, limit};

    return cst_conn_own_call(conn, number, &args, NULL, task, error);
}

gboolean cst_conn_snapshot_create(CstConn *conn, const CstVolRef *vol, const char *name,
                                  uint64_t limit, CstTask *task, GError **error)
{
    return snapshot_call_change(conn, WIRE_CISTERN_SNAPSHOT_CREATE, vol, name, "", limit, task,
                                error);
}

/* The caller frees the array of volumes, which borrows @vols. */
static wire_snapshot_set_args snapshot_set_arg(const GPtrArray *vols,
                                               const CstSnapshotRequest *request)
{
    wire_vol *volumes = g_new0(wire_vol, vols->len + 1);

    for (guint i = 0; i < vols->len; i++)
        volumes[i] = cst_vol_arg(vols->pdata[i]);
    return (wire_snapshot_set_args){.volumes = {vols->len, volumes},
                                    .name = (char *)request->name,
                                    .limit = request->limit,
                                    .consistency = request->minimum,
                                    .max_pause_ms = request->max_pause_ms};
}

static gboolean snapshot_call_set(CstConn *conn, int number, void *args, CstTask *task,
                                  CstSnapshotSet *ret_set, GError **error)
{
    wire_snapshot_set_ret ret = {0};

    if (!cst_conn_own_call(conn, number, args, &ret, task, error))
        return FALSE;
    *ret_set =
        (CstSnapshotSet){.one_step = ret.one_step != 0,
                         .span_us = ret.span_us,
                         .consistency = (CstConsistency)MIN(ret.consistency, CST_CONSISTENCY_LAST),
                         .reason = cst_opt_take(ret.reason),
                         .domain = cst_opt_take(ret.domain),
                         .paused_us = ret.paused_us,
                         .frozen_us = ret.frozen_us};
    return TRUE;
}

gboolean cst_conn_snapshot_create_set(CstConn *conn, const GPtrArray *vols,
                                      const CstSnapshotRequest *request, CstTask *task,
                                      CstSnapshotSet *ret_set, GError **error)
{
    wire_snapshot_qmp_args args = {.snapshots = snapshot_set_arg(vols, request),
                                   .socket = (char *)request->qmp};
    g_autofree wire_vol *volumes = args.snapshots.volumes.volumes_val;

    if (request->qmp)
        return snapshot_call_set(conn, WIRE_CISTERN_SNAPSHOT_CREATE_QMP, &args, task, ret_set,
                                 error);
    return snapshot_call_set(conn, WIRE_CISTERN_SNAPSHOT_CREATE_SET, &args.snapshots, task, ret_set,
                             error);
}

gboolean cst_conn_live_create(CstConn *conn, const GPtrArray *vols, const CstLiveRequest *request,
                              CstTask *task, CstSnapshotSet *ret_set, GError **error)
{
    guint count = request->bases ? vols->len : 0;
    wire_live_create_args args = {.snapshots = snapshot_set_arg(vols, &request->snapshot),
                                  .checkpoint =
                                      (char *)(request->checkpoint ? request->checkpoint : "")};
    g_autofree wire_vol *volumes = args.snapshots.volumes.volumes_val;
    g_autofree char **bases = g_new0(char *, count + 1);

    for (guint i = 0; i < count; i++)
        bases[i] = (char *)(request->bases[i] ? request->bases[i] : "");
    args.bases.bases_len = count;
    args.bases.bases_val = bases;
    return snapshot_call_set(conn, WIRE_CISTERN_LIVE_CREATE, &args, task, ret_set, error);
}

gboolean cst_conn_live_end(CstConn *conn, const char *name, GError **error)
{
    wire_live_end_args args = {(char *)name};

    return cst_conn_own_call(conn, WIRE_CISTERN_LIVE_END, &args, NULL, NULL, error);
}

GStrv cst_conn_snapshot_revert_loses(CstConn *conn, const CstVolRef *vol, const char *name,
                                     GError **error)
{
    wire_snapshot_args args = {cst_vol_arg(vol), (char *)name, (char *)"", 0};
    wire_snapshot_lost_ret ret = {0};
    GStrv names;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_SNAPSHOT_LOST, &args, &ret, NULL, error))
        return NULL;
    names = g_new0(char *, ret.names.names_len + 1);
    for (guint i = 0; i < ret.names.names_len; i++)
        names[i] = g_strdup(ret.names.names_val[i]);
    xdr_free((xdrproc_t)xdr_wire_snapshot_lost_ret, (char *)&ret);
    return names;
}

gboolean cst_conn_snapshot_revert(CstConn *conn, const CstVolRef *vol, const char *name,
                                  char *const *agreed, CstTask *task, GError **error)
{
    g_autofree char *joined = agreed ? g_strjoinv("/", (char **)agreed) : g_strdup("");

    return snapshot_call_change(conn, WIRE_CISTERN_SNAPSHOT_REVERT, vol, name, joined, 0, task,
                                error);
}

gboolean cst_conn_snapshot_delete(CstConn *conn, const CstVolRef *vol, const char *name,
                                  CstTask *task, GError **error)
{
    return snapshot_call_change(conn, WIRE_CISTERN_SNAPSHOT_DELETE, vol, name, "", 0, task, error);
}

gboolean cst_conn_snapshot_rename(CstConn *conn, const CstVolRef *vol, const char *name,
                                  const char *new_name, GError **error)
{
    return snapshot_call_change(conn, WIRE_CISTERN_SNAPSHOT_RENAME, vol, name, new_name, 0, NULL,
                                error);
}

gboolean cst_conn_snapshot_clone(CstConn *conn, const CstVolRef *vol, const char *name,
                                 const char *new_volume, CstTask *task, GError **error)
{
    return snapshot_call_change(conn, WIRE_CISTERN_SNAPSHOT_CLONE, vol, name, new_volume, 0, task,
                                error);
}

/* --- changed ranges --------------------------------------------------------------------------- */

/* A query that needs several calls. */
typedef struct {
    wire_vol_changed_args args;
    uint64_t end;   /* end of the previous range; the next range must not begin before it */
    char *identity; /* NULL: the first call */
    CstChangedFunc range;
    gpointer data;
} Asking;

static gboolean check_changed_range(const Asking *asking, const wire_vol_changed_ret *ret,
                                    const wire_range *range, GError **error)
{
    return (range->length > 0 && range->offset >= asking->end && range->offset <= ret->capacity &&
            range->length <= ret->capacity - range->offset) ||
           cst_fail(error, CST_ERROR_RPC, _("the server names ranges that can't be"));
}

static gboolean changed_pass_ranges(Asking *asking, const wire_vol_changed_ret *ret, GError **error)
{
    for (guint i = 0; i < ret->ranges.ranges_len; i++) {
        const wire_range *range = &ret->ranges.ranges_val[i];

        if (!check_changed_range(asking, ret, range, error) ||
            !asking->range(range->offset, range->length, asking->data, error))
            return FALSE;
        asking->end = range->offset + range->length;
    }
    if (ret->next > ret->capacity || asking->end > ret->next ||
        (ret->next < ret->capacity && ret->next <= asking->args.offset))
        return cst_fail(error, CST_ERROR_RPC, _("the server names ranges that can't be"));
    asking->args.offset = asking->end = ret->next;
    return TRUE;
}

/*
 * Fails if the name belongs to another snapshot since the previous call, or the size has changed.
 */
static gboolean check_same(Asking *asking, wire_vol_changed_ret *ret, CstVolChanged *all,
                           GError **error)
{
    if (!asking->identity) {
        asking->identity = g_steal_pointer(&ret->identity);
        all->capacity = ret->capacity;
        return TRUE;
    }
    return (strcmp(asking->identity, ret->identity) == 0 && all->capacity == ret->capacity) ||
           cst_fail(error, CST_ERROR_BUSY,
                    _("snapshot '%s' or the volume changed during the operation; try again"),
                    asking->args.since);
}

static gboolean ask_once(CstConn *conn, Asking *asking, CstTask *task, CstVolChanged *all,
                         gboolean *ret_end, GError **error)
{
    wire_vol_changed_ret ret = {0};
    gboolean done;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_CHANGED, &asking->args, &ret, task, error))
        return FALSE;
    done = check_same(asking, &ret, all, error) && changed_pass_ranges(asking, &ret, error);
    *ret_end = ret.next == ret.capacity;
    xdr_free((xdrproc_t)xdr_wire_vol_changed_ret, (char *)&ret);
    return done;
}

gboolean cst_conn_vol_changed(CstConn *conn, const CstVolRef *vol, const char *since,
                              const char *until, CstChangedFunc range, gpointer data, CstTask *task,
                              CstVolChanged *ret, GError **error)
{
    char *until_arg = (char *)until;
    Asking asking = {.args = {cst_vol_arg(vol), (char *)since, cst_opt_arg(&until_arg), 0, 0},
                     .range = range,
                     .data = data};
    gboolean end = FALSE;

    while (!end) {
        if (!ask_once(conn, &asking, task, ret, &end, error)) {
            g_free(asking.identity);
            return FALSE;
        }
    }
    ret->identity = asking.identity;
    return TRUE;
}
