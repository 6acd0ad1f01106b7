/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for deleted volumes in the trash of pools. All belong to Cistern's own program, so a
 * stock server rejects them with NO_SUPPORT.
 */
#include <conn/trash.h>

#include "conn_private.h"

/* Makes a row from a reply. Takes ownership of its strings. */
static CstTrashRow *trash_row_from_wire(const char *pool, wire_trash_row *wire)
{
    CstTrashRow *row = g_new0(CstTrashRow, 1);

    *row = (CstTrashRow){
        .id = g_steal_pointer(&wire->id),
        .name = g_steal_pointer(&wire->name),
        .hidden = g_steal_pointer(&wire->hidden),
        .pool = g_strdup(pool),
        .deleted = wire->deleted,
        .until = wire->until,
        .uid = wire->uid,
        .has_size = wire->has_size != 0,
        .capacity = wire->capacity,
        .allocation = wire->allocation,
    };
    return row;
}

GPtrArray *cst_conn_trash_list(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_trash_ret ret = {0};
    GPtrArray *rows;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_TRASH_LIST, &args, &ret, NULL, error))
        return NULL;
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_trash_row_free);
    for (guint i = 0; i < ret.rows.rows_len; i++)
        g_ptr_array_add(rows, trash_row_from_wire(pool->name, &ret.rows.rows_val[i]));
    xdr_free((xdrproc_t)xdr_wire_trash_ret, (char *)&ret);
    return rows;
}

gboolean cst_conn_trash_totals(CstConn *conn, const CstPoolRef *pool, CstTrashTotals *ret_totals,
                               GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_trash_totals_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_TRASH_TOTALS, &args, &ret, NULL, error))
        return FALSE;
    *ret_totals = (CstTrashTotals){ret.volumes, ret.has_size != 0, ret.allocation};
    return TRUE;
}

CstVolRef *cst_conn_trash_restore(CstConn *conn, const CstPoolRef *pool, const char *which,
                                  const char *new_name, CstTask *task, GError **error)
{
    char *name = (char *)new_name;
    wire_trash_restore_args args = {cst_pool_arg(pool), (char *)which, cst_opt_arg(&name)};
    wire_vol_args ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_TRASH_RESTORE, &args, &ret, task, error))
        return NULL;
    return cst_vol_ref_take(&ret.vol);
}

gboolean cst_conn_trash_empty(CstConn *conn, const CstPoolRef *pool, const char *which,
                              uint64_t older_than, CstTask *task, guint *ret_count,
                              uint64_t *ret_bytes, GError **error)
{
    char *one = (char *)which;
    wire_trash_empty_args args = {cst_pool_arg(pool), cst_opt_arg(&one), older_than};
    wire_trash_empty_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_TRASH_EMPTY, &args, &ret, task, error))
        return FALSE;
    *ret_count = ret.count;
    *ret_bytes = ret.bytes;
    return TRUE;
}
