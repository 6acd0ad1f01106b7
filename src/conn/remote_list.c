/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <base/error.h>
#include <base/i18n.h>

#include "remote_private.h"

/* --- cisternd: whole pages ------------------------------------------------------------------- */

static CstConnVolRow *row_take(wire_vol_row *wire)
{
    CstConnVolRow *row = g_new0(CstConnVolRow, 1);

    row->name = g_steal_pointer(&wire->name);
    row->key = g_steal_pointer(&wire->key);
    row->path = g_steal_pointer(&wire->path);
    row->info = (CstConnVolInfo){wire->type, wire->capacity, wire->allocation, wire->physical,
                                 wire->estimated != 0};
    row->format = cst_remote_opt_take(wire->format);
    row->problem = cst_remote_opt_take(wire->problem);
    return row;
}

/** Adds the page after the last row there is; *ret_more: another one may follow. */
static gboolean add_page(CstRemote *remote, const CstPoolRef *pool, unsigned flags, GPtrArray *rows,
                         gboolean *ret_more, GError **error)
{
    CstWireProc proc = cst_remote_own_proc(WIRE_CISTERN_VOL_LIST_PAGE, xdr_wire_vol_page_args,
                                           xdr_wire_vol_page_ret);
    const CstConnVolRow *last = rows->len ? rows->pdata[rows->len - 1] : NULL;
    char *after = last ? last->name : NULL;
    wire_vol_page_args args = {cst_remote_pool_arg(pool), after ? &after : NULL, WIRE_PAGE_MAX,
                               flags};
    wire_vol_page_ret page = {0};

    if (!cst_wire_client_call(remote->client, &proc, &args, &page, error))
        return FALSE;
    /* A server that says "more" without giving any would keep us here for ever. */
    *ret_more = page.more && page.rows.rows_len > 0;
    for (u_int i = 0; i < page.rows.rows_len; i++)
        g_ptr_array_add(rows, row_take(&page.rows.rows_val[i]));
    xdr_free(proc.ret, (char *)&page);
    return TRUE;
}

static gboolean list_pages(CstRemote *remote, const CstPoolRef *pool, gboolean details,
                           GPtrArray *rows, GError **error)
{
    gboolean more = TRUE;

    while (more)
        if (!add_page(remote, pool, details ? WIRE_PAGE_DETAILS : 0, rows, &more, error))
            return FALSE;
    return TRUE;
}

/* --- libvirtd: names, then two calls a volume, many under way -------------------------------- */

#define WINDOW 64 /* volumes whose calls are under way */

typedef struct {
    uint32_t path, info;
} Asked;

static gboolean ask_one(CstRemote *remote, wire_vol *vol, gboolean details, Asked *ret_asked,
                        GError **error)
{
    CstWireProc path = cst_remote_proc(WIRE_PROC_STORAGE_VOL_GET_PATH, xdr_wire_vol_args, NULL);
    CstWireProc info = cst_remote_proc(WIRE_PROC_STORAGE_VOL_GET_INFO, xdr_wire_vol_args, NULL);
    wire_vol_args args = {*vol};

    return cst_wire_client_send(remote->client, &path, &args, &ret_asked->path, error) &&
           (!details ||
            cst_wire_client_send(remote->client, &info, &args, &ret_asked->info, error));
}

/** Fills in what the answers say; what is wrong with this volume alone becomes its problem. */
static void collect_one(CstRemote *remote, gboolean details, const Asked *asked, CstConnVolRow *row,
                        gboolean *ret_gone)
{
    CstWireProc path = cst_remote_proc(WIRE_PROC_STORAGE_VOL_GET_PATH, NULL, xdr_wire_text);
    CstWireProc info = cst_remote_proc(WIRE_PROC_STORAGE_VOL_GET_INFO, NULL, xdr_wire_vol_info_ret);
    g_autoptr(GError) why = NULL;
    wire_text text = {0};
    wire_vol_info_ret told = {0};

    if (cst_wire_client_collect(remote->client, asked->path, &path, &text, &why))
        row->path = text.value;
    if (details &&
        cst_wire_client_collect(remote->client, asked->info, &info, &told, why ? NULL : &why))
        row->info = (CstConnVolInfo){told.type, told.capacity, told.allocation, 0, FALSE};
    /* Deleted by somebody since the names were listed. */
    *ret_gone = why && g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL);
    if (why)
        row->problem = cst_error_text(why);
    if (!row->path)
        row->path = g_strdup("");
}

static CstConnVolRow *row_of_vol(wire_vol *vol)
{
    CstConnVolRow *row = g_new0(CstConnVolRow, 1);

    row->name = g_steal_pointer(&vol->name);
    row->key = g_steal_pointer(&vol->key);
    return row;
}

static gboolean ask_all(CstRemote *remote, wire_vol *vols, guint count, gboolean details,
                        GPtrArray *rows, GError **error)
{
    g_autofree Asked *asked = g_new0(Asked, count + 1);
    guint sent = 0;

    for (guint i = 0; i < count; i++) {
        CstConnVolRow *row;
        gboolean gone = FALSE;

        for (; sent < count && sent - i < WINDOW; sent++)
            if (!ask_one(remote, &vols[sent], details, &asked[sent], error))
                return FALSE;
        row = row_of_vol(&vols[i]);
        collect_one(remote, details, &asked[i], row, &gone);
        if (gone)
            cst_conn_vol_row_free(row);
        else
            g_ptr_array_add(rows, row);
        if (cst_wire_client_broken(remote->client)) {
            g_propagate_error(error, g_error_copy(cst_wire_client_broken(remote->client)));
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean list_each(CstRemote *remote, const CstPoolRef *pool, gboolean details,
                          GPtrArray *rows, GError **error)
{
    wire_vols_args args = {cst_remote_pool_arg(pool), 1, 0};
    wire_vols_ret ret = {0};
    gboolean ok;

    if (!cst_remote_call(remote, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES, xdr_wire_vols_args, &args,
                         xdr_wire_vols_ret, &ret, error))
        return FALSE;
    ok = ask_all(remote, ret.vols.vols_val, ret.vols.vols_len, details, rows, error);
    xdr_free((xdrproc_t)xdr_wire_vols_ret, (char *)&ret);
    return ok;
}

GPtrArray *cst_remote_vol_list(gpointer self, const CstPoolRef *pool, gboolean details,
                               GError **error)
{
    g_autoptr(GPtrArray) rows =
        g_ptr_array_new_with_free_func((GDestroyNotify)cst_conn_vol_row_free);
    CstPeer peer;

    if (!cst_remote_peer(self, &peer, error))
        return NULL;
    if (!(peer == CST_PEER_CISTERN ? list_pages(self, pool, details, rows, error)
                                   : list_each(self, pool, details, rows, error)))
        return NULL;
    return g_steal_pointer(&rows);
}
