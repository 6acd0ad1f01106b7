/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Additional properties in a list of volumes: the base, the number of snapshots and the holders of
 * each volume. The server must examine each volume for them, so they are queried only on request:
 * with one call per volume and property, pipelined in batches.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"

/* Volumes per batch. */
#define BATCH 256

/* The arguments of a volume's calls, and their replies. */
typedef struct {
    wire_vol_flags_args xml_args;
    wire_vol_args args;
    wire_text xml;
    wire_snapshot_list_ret snapshots;
    wire_holders_ret holders;
} Question;

/* The properties to query of a pool's volumes. */
typedef struct {
    CstConn *conn;
    const CstPoolRef *pool;
    unsigned wants;
    CstPoolType type; /* for BACKING: the pool type for parsing the volumes' documents */
    const CstProcedure *xml, *snapshots, *holders;
} Inquiry;

static void more_free(gpointer data)
{
    CstVolMore *more = data;

    g_free(more->backing);
    g_clear_pointer(&more->holders, g_ptr_array_unref);
    g_free(more);
}

/* @xml: NULL if no reply arrived, because the connection failed. */
static char *backing_in(const char *xml, CstPoolType type)
{
    g_autoptr(CstVolDef) def = xml ? cst_vol_def_parse(xml, type, 0, NULL) : NULL;

    return def && def->backing ? g_strdup(def->backing->path) : NULL;
}

/*
 * Makes a CstVolMore from the replies of the volume's calls, beginning at *@call. Frees the
 * replies.
 */
static CstVolMore *vol_more_from_answers(const Inquiry *inquiry, Question *question,
                                         CstConnCall **call)
{
    CstVolMore *more = g_new0(CstVolMore, 1);

    more->snapshots = -1;
    if ((inquiry->wants & CST_VOL_MORE_BACKING) && !(*call)++->error) {
        more->backing = backing_in(question->xml.value, inquiry->type);
        xdr_free((xdrproc_t)xdr_wire_text, (char *)&question->xml);
    }
    if ((inquiry->wants & CST_VOL_MORE_SNAPSHOTS) && !(*call)++->error) {
        more->snapshots = question->snapshots.snapshots.snapshots_len;
        xdr_free((xdrproc_t)xdr_wire_snapshot_list_ret, (char *)&question->snapshots);
    }
    if ((inquiry->wants & CST_VOL_MORE_HOLDERS) && !(*call)++->error)
        more->holders = cst_holders_take(&question->holders);
    return more;
}

static guint add_calls(const Inquiry *inquiry, const CstVolRow *row, Question *question,
                       CstConnCall *calls)
{
    guint count = 0;

    question->args.vol = (wire_vol){inquiry->pool->name, row->name, row->key};
    question->xml_args.vol = question->args.vol;
    if (inquiry->wants & CST_VOL_MORE_BACKING)
        calls[count++] = (CstConnCall){inquiry->xml, &question->xml_args, &question->xml, NULL};
    if (inquiry->wants & CST_VOL_MORE_SNAPSHOTS)
        calls[count++] =
            (CstConnCall){inquiry->snapshots, &question->args, &question->snapshots, NULL};
    if (inquiry->wants & CST_VOL_MORE_HOLDERS)
        calls[count++] = (CstConnCall){inquiry->holders, &question->args, &question->holders, NULL};
    return count;
}

/*
 * Queries a batch of volumes. If a call fails (the volume was deleted, its image is damaged), the
 * property of that volume is unknown.
 */
static gboolean vol_more_query_batch(const Inquiry *inquiry, CstVolRow *const *rows, guint count,
                                     GPtrArray *all, GError **error)
{
    g_autofree Question *questions = g_new0(Question, count);
    g_autofree CstConnCall *calls = g_new0(CstConnCall, count * 3);
    CstConnCall *answered = calls;
    guint n_calls = 0;
    gboolean ok;

    for (guint i = 0; i < count; i++)
        n_calls += add_calls(inquiry, rows[i], &questions[i], calls + n_calls);
    ok = inquiry->conn->transport->call_all(inquiry->conn->self, calls, n_calls, error);
    /* Also after a failure, to free the replies that have arrived. The caller then drops @all. */
    for (guint i = 0; i < count; i++)
        g_ptr_array_add(all, vol_more_from_answers(inquiry, &questions[i], &answered));
    for (guint i = 0; i < n_calls; i++)
        g_clear_error(&calls[i].error);
    return ok;
}

static gboolean require_cistern_procedure(CstConn *conn, int number, const char *what,
                                          const CstProcedure **ret_procedure, GError **error)
{
    gboolean supported;

    if (!cst_conn_supports(conn, number, &supported, error))
        return FALSE;
    if (!supported)
        return cst_conn_fail_unsupported(what, error);
    *ret_procedure = cst_api_find(WIRE_CISTERN_PROGRAM, number);
    return cst_conn_check_access(conn, *ret_procedure, error);
}

static gboolean inquiry_find_pool_type(Inquiry *inquiry, GError **error)
{
    g_autofree char *xml = cst_conn_pool_xml(inquiry->conn, inquiry->pool, 0, error);
    g_autoptr(CstPoolDef) def = xml ? cst_pool_def_parse(xml, 0, error) : NULL;

    if (!def)
        return FALSE;
    inquiry->type = def->type;
    inquiry->xml = cst_api_find(WIRE_REMOTE_PROGRAM, WIRE_PROC_STORAGE_VOL_GET_XML_DESC);
    return TRUE;
}

static gboolean inquiry_prepare(Inquiry *inquiry, GError **error)
{
    unsigned wants = inquiry->wants;

    return (!(wants & CST_VOL_MORE_BACKING) || inquiry_find_pool_type(inquiry, error)) &&
           (!(wants & CST_VOL_MORE_SNAPSHOTS) ||
            require_cistern_procedure(inquiry->conn, WIRE_CISTERN_SNAPSHOT_LIST, "snap-list",
                                      &inquiry->snapshots, error)) &&
           (!(wants & CST_VOL_MORE_HOLDERS) ||
            require_cistern_procedure(inquiry->conn, WIRE_CISTERN_VOL_HOLDERS, "vol-holders",
                                      &inquiry->holders, error));
}

GPtrArray *cst_conn_vol_list_more(CstConn *conn, const CstPoolRef *pool, const GPtrArray *rows,
                                  unsigned wants, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(more_free);
    Inquiry inquiry = {.conn = conn, .pool = pool, .wants = wants};

    if (!inquiry_prepare(&inquiry, error))
        return NULL;
    for (guint i = 0; i < rows->len; i += BATCH)
        if (!vol_more_query_batch(&inquiry, (CstVolRow *const *)rows->pdata + i,
                                  MIN(BATCH, rows->len - i), all, error))
            return NULL;
    return g_steal_pointer(&all);
}
