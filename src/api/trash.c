/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Procedures for the trash: deleted volumes that a pool keeps. */
#include <base/error.h>
#include <base/i18n.h>
#include <service/trash.h>

#include "api_private.h"

static void api_trash_row_fill(const CstTrashRow *row, wire_trash_row *ret)
{
    *ret = (wire_trash_row){
        .id = g_strdup(row->id),
        .name = g_strdup(row->name),
        .hidden = g_strdup(row->hidden),
        .deleted = row->deleted,
        .until = row->until,
        .uid = row->uid,
        .has_size = row->has_size,
        .capacity = row->capacity,
        .allocation = row->allocation,
    };
}

static wire_trash_row *api_trash_rows(const GPtrArray *rows)
{
    wire_trash_row *all = g_new0(wire_trash_row, rows->len + 1);

    for (guint i = 0; i < rows->len; i++)
        api_trash_row_fill(g_ptr_array_index(rows, i), &all[i]);
    return all;
}

static gboolean api_trash_list(CstApiCall *call, const void *args, void *data, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    g_autoptr(GPtrArray) rows = pool ? cst_pool_trash_list(pool, error) : NULL;
    wire_trash_ret *ret = data;

    if (!rows)
        return FALSE;
    /* The limit of this reply. Cistern's clients use pages. */
    if (rows->len > WIRE_LIST_MAX)
        return cst_fail(error, CST_ERROR_RPC, _("Too many storage_vols '%u' for limit '%d'"),
                        rows->len, WIRE_LIST_MAX);
    ret->rows.rows_val = api_trash_rows(rows);
    ret->rows.rows_len = rows->len;
    return TRUE;
}

static gboolean api_trash_list_page(CstApiCall *call, const void *data, void *ret_data,
                                    GError **error)
{
    const wire_trash_page_args *args = data;
    wire_trash_page_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autofree char *next = NULL;
    g_autoptr(GPtrArray) rows =
        pool ? cst_pool_trash_page(pool, cst_api_opt_text(args->after), WIRE_PAGE_MAX, &next, error)
             : NULL;

    if (!rows)
        return FALSE;
    ret->rows.rows_val = api_trash_rows(rows);
    ret->rows.rows_len = rows->len;
    ret->next = cst_api_opt(g_steal_pointer(&next));
    return TRUE;
}

static gboolean api_trash_totals(CstApiCall *call, const void *args, void *data, GError **error)
{
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)args)->pool, error);
    CstTrashTotals totals = {0};

    if (!pool || !cst_pool_trash_totals(pool, call->task, &totals, error))
        return FALSE;
    *(wire_trash_totals_ret *)data =
        (wire_trash_totals_ret){totals.volumes, totals.has_size, totals.allocation};
    return TRUE;
}

static gboolean api_trash_restore(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_trash_restore_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autofree char *name = NULL;

    return pool &&
           cst_pool_trash_restore(pool, args->which, cst_api_opt_text(args->name), call->task,
                                  &name, error) &&
           cst_api_fill_vol(&((wire_vol_args *)ret)->vol, pool, name, error);
}

static gboolean api_trash_empty(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_trash_empty_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    wire_trash_empty_ret *emptied = ret;
    uint64_t bytes = 0;
    guint count = 0;

    if (!pool || !cst_pool_trash_empty(pool, cst_api_opt_text(args->which),
                                       (int64_t)MIN(args->older_than, (uint64_t)G_MAXINT32 * 100),
                                       call->task, &count, &bytes, error))
        return FALSE;
    emptied->count = count;
    emptied->bytes = bytes;
    return TRUE;
}

const CstProcedure cst_api_trash_procedures[] = {
    CST_OWN_PROCEDURE(TRASH_LIST, LONG, READ, "cisternTrashList", pool_args, trash_ret,
                      api_trash_list),
    CST_OWN_PROCEDURE(TRASH_LIST_PAGE, LONG, READ, "cisternTrashListPage", trash_page_args,
                      trash_page_ret, api_trash_list_page),
    CST_OWN_PROCEDURE(TRASH_TOTALS, LONG, READ, "cisternTrashTotals", pool_args, trash_totals_ret,
                      api_trash_totals),
    CST_OWN_PROCEDURE(TRASH_RESTORE, LONG, WRITE, "cisternTrashRestore", trash_restore_args,
                      vol_args, api_trash_restore),
    CST_OWN_PROCEDURE(TRASH_EMPTY, LONG, WRITE, "cisternTrashEmpty", trash_empty_args,
                      trash_empty_ret, api_trash_empty),
    {0},
};
