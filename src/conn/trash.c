/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for deleted volumes in the trash of pools. All belong to Cistern's own program, so a
 * stock server rejects them with NO_SUPPORT.
 */
#include <conn/trash.h>

#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

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

static void trash_rows_from_wire(const char *pool, wire_trash_row *wire, guint count,
                                 GPtrArray *rows)
{
    for (guint i = 0; i < count; i++)
        g_ptr_array_add(rows, trash_row_from_wire(pool, &wire[i]));
}

/* Servers before TRASH_LIST_PAGE. */
static gboolean trash_list_whole(CstConn *conn, const CstPoolRef *pool, GPtrArray *rows,
                                 GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_trash_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_TRASH_LIST, &args, &ret, NULL, error))
        return FALSE;
    trash_rows_from_wire(pool->name, ret.rows.rows_val, ret.rows.rows_len, rows);
    xdr_free((xdrproc_t)xdr_wire_trash_ret, (char *)&ret);
    return TRUE;
}

/* Appends a page. *after is the cursor, which is replaced; NULL before the first and at the end. */
static gboolean trash_list_add_page(CstConn *conn, const CstPoolRef *pool, char **after,
                                    GPtrArray *rows, GError **error)
{
    wire_trash_page_args args = {cst_pool_arg(pool), cst_opt_arg(after)};
    wire_trash_page_ret page = {0};
    g_autofree char *next = NULL;
    gboolean advances;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_TRASH_LIST_PAGE, &args, &page, NULL, error))
        return FALSE;
    trash_rows_from_wire(pool->name, page.rows.rows_val, page.rows.rows_len, rows);
    next = cst_opt_take(page.next);
    xdr_free((xdrproc_t)xdr_wire_trash_page_ret, (char *)&page);
    /* A server whose pages do not advance must not cause an endless loop. */
    advances = !next || !*after || strcmp(next, *after) > 0;
    g_free(*after);
    *after = g_steal_pointer(&next);
    return advances || cst_fail(error, CST_ERROR_RPC,
                                _("the server repeats a page of the pool's deleted volumes"));
}

static gboolean trash_list_pages(CstConn *conn, const CstPoolRef *pool, GPtrArray *rows,
                                 GError **error)
{
    g_autofree char *after = NULL;

    do
        if (!trash_list_add_page(conn, pool, &after, rows, error))
            return FALSE;
    while (after);
    cst_trash_rows_sort(rows);
    return TRUE;
}

GPtrArray *cst_conn_trash_list(CstConn *conn, const CstPoolRef *pool, GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_trash_row_free);
    gboolean pages;

    if (!cst_conn_supports(conn, WIRE_CISTERN_TRASH_LIST_PAGE, &pages, error) ||
        !(pages ? trash_list_pages(conn, pool, rows, error)
                : trash_list_whole(conn, pool, rows, error)))
        return NULL;
    return g_steal_pointer(&rows);
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
