/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listing of a pool's volumes. cisternd has a call that returns pages of rows. Each page begins
 * after the last name of the previous page, so a listing is complete for any number of volumes. A
 * volume that is created or deleted during the listing may or may not be in it. A stock libvirtd
 * has a call for the names, and two calls per volume, which are pipelined in batches.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"

/* --- cisternd: pages ------------------------------------------------------------------------- */

static CstVolRow *vol_row_from_wire(wire_vol_row *wire)
{
    CstVolRow *row = g_new0(CstVolRow, 1);

    row->name = g_steal_pointer(&wire->name);
    row->key = g_steal_pointer(&wire->key);
    row->path = g_steal_pointer(&wire->path);
    row->info = (CstVolInfo){wire->type, wire->capacity, wire->allocation, wire->physical,
                             wire->estimated != 0};
    row->format = cst_opt_take(wire->format);
    row->problem = cst_opt_take(wire->problem);
    return row;
}

/* Appends the page after the last row. *ret_more: another page may follow. */
static gboolean vol_list_add_page(CstConn *conn, const CstPoolRef *pool, unsigned flags,
                                  GPtrArray *rows, gboolean *ret_more, GError **error)
{
    const CstVolRow *last = rows->len ? rows->pdata[rows->len - 1] : NULL;
    char *after = last ? last->name : NULL;
    wire_vol_page_args args = {cst_pool_arg(pool), cst_opt_arg(&after), WIRE_PAGE_MAX, flags};
    wire_vol_page_ret page = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_LIST_PAGE, &args, &page, NULL, error))
        return FALSE;
    /* A server that reports more rows without sending any must not cause an endless loop. */
    *ret_more = page.more && page.rows.rows_len > 0;
    for (u_int i = 0; i < page.rows.rows_len; i++)
        g_ptr_array_add(rows, vol_row_from_wire(&page.rows.rows_val[i]));
    xdr_free((xdrproc_t)xdr_wire_vol_page_ret, (char *)&page);
    return TRUE;
}

static gboolean list_pages(CstConn *conn, const CstPoolRef *pool, gboolean details, GPtrArray *rows,
                           GError **error)
{
    gboolean more = TRUE;

    while (more)
        if (!vol_list_add_page(conn, pool, details ? WIRE_PAGE_DETAILS : 0, rows, &more, error))
            return FALSE;
    return TRUE;
}

/* --- libvirtd: names, then two calls per volume ---------------------------------------------- */

/* Volumes per batch. */
#define BATCH 256

/* The arguments of a volume's calls, and their replies. */
typedef struct {
    wire_vol_args args;
    wire_text path;
    wire_vol_info_ret info;
} Question;

/* Makes a volume's row. Returns NULL if the volume was deleted after the names were listed. */
static CstVolRow *row_of_answers(Question *question, const CstConnCall *path,
                                 const CstConnCall *info)
{
    const GError *why = path->error ? path->error : info ? info->error : NULL;
    CstVolRow *row;

    if (why && g_error_matches(why, CST_ERROR, CST_ERROR_NO_VOL)) {
        /* One of the two calls may have succeeded before the deletion. */
        g_free(question->path.value);
        return NULL;
    }
    row = g_new0(CstVolRow, 1);
    row->name = g_strdup(question->args.vol.name);
    row->key = g_strdup(question->args.vol.key);
    row->path = question->path.value ? question->path.value : g_strdup("");
    row->info = (CstVolInfo){question->info.type, question->info.capacity,
                             question->info.allocation, 0, FALSE};
    /* A failure for one volume is reported in its row and does not fail the listing. */
    row->problem = why ? cst_error_text(why) : NULL;
    return row;
}

static gboolean vol_list_query_batch(CstConn *conn, wire_vol *vols, guint count, gboolean details,
                                     GPtrArray *rows, GError **error)
{
    const CstProcedure *path = cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_PATH);
    const CstProcedure *info = cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_INFO);
    const guint each = details ? 2 : 1;
    g_autofree Question *questions = g_new0(Question, count);
    g_autofree CstConnCall *calls = g_new0(CstConnCall, count * each);
    gboolean ok;

    for (guint i = 0; i < count; i++) {
        Question *question = &questions[i];

        question->args.vol = vols[i];
        calls[i * each] = (CstConnCall){path, &question->args, &question->path, NULL};
        if (details)
            calls[i * each + 1] = (CstConnCall){info, &question->args, &question->info, NULL};
    }
    ok = conn->transport->call_all(conn->self, calls, count * each, error);
    for (guint i = 0; i < count; i++) {
        const CstConnCall *answered = &calls[i * each];
        CstVolRow *row = row_of_answers(&questions[i], answered, details ? answered + 1 : NULL);

        if (row)
            g_ptr_array_add(rows, row);
    }
    for (guint i = 0; i < count * each; i++)
        g_clear_error(&calls[i].error);
    return ok;
}

static gboolean list_each(CstConn *conn, const CstPoolRef *pool, gboolean details, GPtrArray *rows,
                          GError **error)
{
    wire_vols_args args = {cst_pool_arg(pool), 1, 0};
    wire_vols_ret ret = {0};
    gboolean ok = TRUE;

    if (!cst_conn_call(conn, WIRE_PROC_STORAGE_POOL_LIST_ALL_VOLUMES, &args, &ret, NULL, error))
        return FALSE;
    for (guint i = 0; ok && i < ret.vols.vols_len; i += BATCH)
        ok = vol_list_query_batch(conn, ret.vols.vols_val + i, MIN(BATCH, ret.vols.vols_len - i),
                                  details, rows, error);
    xdr_free((xdrproc_t)xdr_wire_vols_ret, (char *)&ret);
    return ok;
}

GPtrArray *cst_conn_vol_list(CstConn *conn, const CstPoolRef *pool, gboolean details,
                             GError **error)
{
    g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_row_free);
    gboolean pages;

    if (!cst_conn_supports(conn, WIRE_CISTERN_VOL_LIST_PAGE, &pages, error))
        return NULL;
    if (!(pages ? list_pages(conn, pool, details, rows, error)
                : list_each(conn, pool, details, rows, error)))
        return NULL;
    return g_steal_pointer(&rows);
}
