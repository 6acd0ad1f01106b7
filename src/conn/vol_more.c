/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Additional properties in a list of volumes: the base, the number of snapshots and the holders of
 * each volume. cisternd answers for a page of volumes in one call. A stock libvirtd has the base
 * only, in the document of each volume. The calls for the documents are pipelined in batches.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"

/* Volumes per batch of pipelined calls. */
#define BATCH 256
/* Bytes of names in a page: a server accepts 1 MiB over a read-only connection. */
#define PAGE_BYTES (256 << 10)

static void more_free(gpointer data)
{
    CstVolMore *more = data;

    g_free(more->backing);
    g_clear_pointer(&more->holders, g_ptr_array_unref);
    g_free(more);
}

static GPtrArray *more_list_new(guint count)
{
    GPtrArray *all = g_ptr_array_new_full(count, more_free);

    for (guint i = 0; i < count; i++) {
        CstVolMore *more = g_new0(CstVolMore, 1);

        more->snapshots = -1;
        g_ptr_array_add(all, more);
    }
    return all;
}

/* --- cisternd: pages -------------------------------------------------------------------------- */

/* A page of the list: names of rows from @first on. The names are borrowed. */
typedef struct {
    guint first, count;
    char *names[WIRE_PAGE_MAX];
} NamesPage;

/* Fills the page after the last one. Returns FALSE at the end of @rows. */
static gboolean names_page_next(NamesPage *page, const GPtrArray *rows)
{
    size_t bytes = 0;

    page->first += page->count;
    page->count = 0;
    while (page->first + page->count < rows->len && page->count < WIRE_PAGE_MAX &&
           bytes < PAGE_BYTES) {
        char *row_name = ((const CstVolRow *)rows->pdata[page->first + page->count])->name;

        page->names[page->count++] = row_name;
        bytes += strlen(row_name) + 8;
    }
    return page->count > 0;
}

static gboolean fail_page_length(GError **error)
{
    return cst_fail(error, CST_ERROR_RPC, _("the server answered for another number of volumes"));
}

static gboolean query_holders_page(CstConn *conn, const CstPoolRef *pool, NamesPage *page,
                                   GPtrArray *all, GError **error)
{
    wire_vol_names_args args = {cst_pool_arg(pool), {page->count, page->names}};
    wire_vol_holders_page_ret ret = {0};
    gboolean fits;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_HOLDERS_PAGE, &args, &ret, NULL, error))
        return FALSE;
    fits = ret.rows.rows_len == page->count;
    for (guint i = 0; fits && i < page->count; i++) {
        const wire_vol_holders_row *row = &ret.rows.rows_val[i];
        CstVolMore *more = g_ptr_array_index(all, page->first + i);

        if (row->known)
            more->holders = cst_holders_take(row->holders.holders_val, row->holders.holders_len);
    }
    xdr_free((xdrproc_t)xdr_wire_vol_holders_page_ret, (char *)&ret);
    return fits || fail_page_length(error);
}

static gboolean query_properties_page(CstConn *conn, const CstPoolRef *pool, NamesPage *page,
                                      unsigned wants, GPtrArray *all, GError **error)
{
    wire_vol_properties_args args = {
        cst_pool_arg(pool),
        {page->count, page->names},
        (wants & CST_VOL_MORE_BACKING ? WIRE_PROPERTIES_BACKING : 0) |
            (wants & CST_VOL_MORE_SNAPSHOTS ? WIRE_PROPERTIES_SNAPSHOTS : 0) |
            (page->first == 0 ? WIRE_PROPERTIES_RESCAN : 0)};
    wire_vol_properties_page_ret ret = {0};
    gboolean fits;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_PROPERTIES_PAGE, &args, &ret, NULL, error))
        return FALSE;
    fits = ret.rows.rows_len == page->count;
    for (guint i = 0; fits && i < page->count; i++) {
        CstVolMore *more = g_ptr_array_index(all, page->first + i);

        more->backing = cst_opt_take(ret.rows.rows_val[i].backing);
        more->snapshots = ret.rows.rows_val[i].snapshots;
    }
    xdr_free((xdrproc_t)xdr_wire_vol_properties_page_ret, (char *)&ret);
    return fits || fail_page_length(error);
}

static gboolean query_pages(CstConn *conn, const CstPoolRef *pool, const GPtrArray *rows,
                            unsigned wants, GPtrArray *all, GError **error)
{
    g_autofree NamesPage *page = g_new0(NamesPage, 1);
    unsigned properties = wants & (CST_VOL_MORE_BACKING | CST_VOL_MORE_SNAPSHOTS);

    while (names_page_next(page, rows)) {
        if (properties && !query_properties_page(conn, pool, page, properties, all, error))
            return FALSE;
        if ((wants & CST_VOL_MORE_HOLDERS) && !query_holders_page(conn, pool, page, all, error))
            return FALSE;
    }
    return TRUE;
}

/* Fails before the first call, because that may scan the pool. */
static gboolean check_pages_access(CstConn *conn, unsigned wants, GError **error)
{
    const CstProcedure *holders = cst_api_find(WIRE_CISTERN_PROGRAM, WIRE_CISTERN_VOL_HOLDERS_PAGE);

    return !(wants & CST_VOL_MORE_HOLDERS) || cst_conn_check_access(conn, holders, error);
}

/* --- libvirtd: the document of each volume ---------------------------------------------------- */

static char *backing_in(const char *xml, CstPoolType type)
{
    g_autoptr(CstVolDef) def = cst_vol_def_parse(xml, type, 0, NULL);

    return def && def->backing ? g_strdup(def->backing->path) : NULL;
}

/*
 * Queries a batch of documents. If a call fails (the volume was deleted), the base of that volume
 * is unknown. @more has the elements for the rows.
 */
static gboolean query_documents(CstConn *conn, const CstPoolRef *pool, CstPoolType type,
                                CstVolRow *const *rows, guint count, CstVolMore *const *more,
                                GError **error)
{
    const CstProcedure *procedure =
        cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_XML_DESC);
    wire_vol_flags_args args[BATCH] = {0};
    CstConnCall calls[BATCH] = {0};
    wire_text xml[BATCH] = {0};
    gboolean ok;

    for (guint i = 0; i < count; i++) {
        args[i].vol = (wire_vol){pool->name, rows[i]->name, rows[i]->key};
        calls[i] = (CstConnCall){procedure, &args[i], &xml[i], NULL};
    }
    ok = conn->transport->call_all(conn->self, calls, count, error);
    /* Also after a failure, to free the replies that have arrived. */
    for (guint i = 0; i < count; i++) {
        if (!calls[i].error && xml[i].value) {
            more[i]->backing = backing_in(xml[i].value, type);
            xdr_free((xdrproc_t)xdr_wire_text, (char *)&xml[i]);
        }
        g_clear_error(&calls[i].error);
    }
    return ok;
}

static gboolean query_all_documents(CstConn *conn, const CstPoolRef *pool, const GPtrArray *rows,
                                    GPtrArray *all, GError **error)
{
    g_autofree char *pool_xml = cst_conn_pool_xml(conn, pool, 0, error);
    g_autoptr(CstPoolDef) def = pool_xml ? cst_pool_def_parse(pool_xml, 0, error) : NULL;

    if (!def)
        return FALSE;
    for (guint i = 0; i < rows->len; i += BATCH)
        if (!query_documents(conn, pool, def->type, (CstVolRow *const *)rows->pdata + i,
                             MIN(BATCH, rows->len - i), (CstVolMore *const *)all->pdata + i, error))
            return FALSE;
    return TRUE;
}

GPtrArray *cst_conn_vol_list_more(CstConn *conn, const CstPoolRef *pool, const GPtrArray *rows,
                                  unsigned wants, GError **error)
{
    g_autoptr(GPtrArray) all = more_list_new(rows->len);
    gboolean pages;

    if (!wants)
        return g_steal_pointer(&all);
    if (!cst_conn_supports(conn, WIRE_CISTERN_VOL_PROPERTIES_PAGE, &pages, error))
        return NULL;
    if (!pages && (wants & ~(unsigned)CST_VOL_MORE_BACKING)) {
        cst_conn_fail_unsupported(wants & CST_VOL_MORE_SNAPSHOTS ? "snap-list" : "vol-holders",
                                  error);
        return NULL;
    }
    if (!(pages ? check_pages_access(conn, wants, error) &&
                      query_pages(conn, pool, rows, wants, all, error)
                : query_all_documents(conn, pool, rows, all, error)))
        return NULL;
    return g_steal_pointer(&all);
}
