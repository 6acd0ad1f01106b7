/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Typed calls for volumes' images: chain, check, convert and similar operations. All belong to
 * Cistern's own program, so a stock server rejects them with NO_SUPPORT.
 *
 * Each call fills in the arguments with borrowed strings. It takes ownership of the strings of a
 * reply before it frees the rest.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "conn_private.h"

/* Makes a row from a reply. Takes ownership of its strings. */
static CstChainRow *chain_row_from_wire(wire_chain_row *wire)
{
    CstChainRow *row = g_new0(CstChainRow, 1);

    *row = (CstChainRow){
        .level = wire->level,
        .self = wire->self != 0,
        .pool = cst_opt_take(wire->pool),
        .name = g_steal_pointer(&wire->name),
        .path = cst_opt_take(wire->path),
        .format = cst_opt_take(wire->format),
        .capacity = wire->capacity,
        .allocation = wire->allocation,
        .problem = cst_opt_take(wire->problem),
    };
    return row;
}

GPtrArray *cst_conn_vol_chain(CstConn *conn, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};
    wire_chain_ret ret = {0};
    GPtrArray *rows;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_CHAIN, &args, &ret, NULL, error))
        return NULL;
    rows = g_ptr_array_new_with_free_func((GDestroyNotify)cst_chain_row_free);
    for (guint i = 0; i < ret.rows.rows_len; i++)
        g_ptr_array_add(rows, chain_row_from_wire(&ret.rows.rows_val[i]));
    xdr_free((xdrproc_t)xdr_wire_chain_ret, (char *)&ret);
    return rows;
}

GPtrArray *cst_holders_take(wire_holder *wire, u_int count)
{
    GPtrArray *holders = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_holder_free);

    for (u_int i = 0; i < count; i++) {
        CstVolHolder *holder = g_new0(CstVolHolder, 1);

        holder->what = g_steal_pointer(&wire[i].what);
        holder->reads_only = wire[i].reads_only;
        g_ptr_array_add(holders, holder);
    }
    return holders;
}

GPtrArray *cst_conn_vol_holders(CstConn *conn, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};
    wire_holders_ret ret = {0};
    GPtrArray *holders;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_HOLDERS, &args, &ret, NULL, error))
        return NULL;
    holders = cst_holders_take(ret.holders.holders_val, ret.holders.holders_len);
    xdr_free((xdrproc_t)xdr_wire_holders_ret, (char *)&ret);
    return holders;
}

static void check_report_from_wire(const wire_check_ret *wire, CstCheckReport *ret)
{
    *ret = (CstCheckReport){
        .errors = wire->errors,
        .leaks = wire->leaks,
        .errors_fixed = wire->errors_fixed,
        .leaks_fixed = wire->leaks_fixed,
        .total_clusters = wire->total_clusters,
        .allocated_clusters = wire->allocated_clusters,
        .fragmented_clusters = wire->fragmented_clusters,
        .compressed_clusters = wire->compressed_clusters,
        .image_end = wire->image_end,
    };
    /* Truncated if longer, because a daemon of another version may have other formats. */
    g_strlcpy(ret->format, wire->format, sizeof(ret->format));
}

/* Checks with a daemon that predates VOL_CHECK_LIST. It counts errors but does not list them. */
static gboolean only_count(CstConn *conn, const wire_vol_flags_args *args, CstTask *task,
                           CstCheckReport *ret, GError **error)
{
    wire_check_ret report = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_CHECK, args, &report, task, error))
        return FALSE;
    check_report_from_wire(&report, ret);
    xdr_free((xdrproc_t)xdr_wire_check_ret, (char *)&report);
    return TRUE;
}

gboolean cst_conn_vol_check(CstConn *conn, const CstVolRef *vol, unsigned repair, CstTask *task,
                            CstCheckReport *ret, GError **error)
{
    wire_vol_flags_args args = {cst_vol_arg(vol), repair};
    wire_check_list_ret report = {0};
    gboolean lists;

    if (!cst_conn_supports(conn, WIRE_CISTERN_VOL_CHECK_LIST, &lists, error))
        return FALSE;
    if (!lists)
        return only_count(conn, &args, task, ret, error);
    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_CHECK_LIST, &args, &report, task, error))
        return FALSE;
    check_report_from_wire(&report.report, ret);
    ret->findings = cst_findings_new();
    for (guint i = 0; i < report.findings.findings_len; i++) {
        const wire_finding *finding = &report.findings.findings_val[i];

        /* An unknown kind counts as an error. */
        cst_findings_add(ret->findings,
                         finding->kind == CST_FINDING_LEAK ? CST_FINDING_LEAK : CST_FINDING_ERROR,
                         finding->count, "%s", finding->text);
    }
    xdr_free((xdrproc_t)xdr_wire_check_list_ret, (char *)&report);
    return TRUE;
}

gboolean cst_conn_vol_flatten(CstConn *conn, const CstVolRef *vol, CstTask *task, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_FLATTEN, &args, NULL, task, error);
}

gboolean cst_conn_vol_commit(CstConn *conn, const CstVolRef *vol, const char *base, unsigned flags,
                             CstTask *task, GError **error)
{
    char *base_text = (char *)base;
    wire_vol_commit_args args = {cst_vol_arg(vol), cst_opt_arg(&base_text), flags};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_COMMIT, &args, NULL, task, error);
}

gboolean cst_conn_vol_sparsify(CstConn *conn, const CstVolRef *vol, CstTask *task, uint64_t *ret,
                               GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};
    wire_size size = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_SPARSIFY, &args, &size, task, error))
        return FALSE;
    *ret = size.value;
    return TRUE;
}

gboolean cst_conn_vol_serve(CstConn *conn, const CstVolRef *vol, const CstVolServe *how,
                            CstTask *task, GError **error)
{
    char *snapshot = (char *)how->snapshot, *socket = (char *)how->socket;
    char *host = (char *)how->host, *psk_file = (char *)how->psk_file;
    char *certificates = (char *)how->certificates;
    wire_vol_serve_args args = {cst_vol_arg(vol),
                                cst_opt_arg(&snapshot),
                                (how->read_only ? WIRE_SERVE_READ_ONLY : 0) |
                                    (how->force_share ? WIRE_SERVE_FORCE_SHARE : 0),
                                cst_opt_arg(&socket),
                                cst_opt_arg(&host),
                                how->port,
                                cst_opt_arg(&psk_file),
                                cst_opt_arg(&certificates)};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_SERVE, &args, NULL, task, error);
}

CstVolRef *cst_conn_vol_convert(CstConn *conn, const CstPoolRef *pool, const CstVolRef *source,
                                const CstVolConvert *how, CstTask *task, GError **error)
{
    char *options = (char *)how->options;
    wire_vol_convert_args args = {cst_pool_arg(pool),  cst_vol_arg(source),   (char *)how->name,
                                  (char *)how->format, cst_opt_arg(&options), how->flags};
    wire_vol_args ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_CONVERT, &args, &ret, task, error))
        return NULL;
    return cst_vol_ref_take(&ret.vol);
}

gboolean cst_conn_vol_rebase(CstConn *conn, const CstVolRef *vol, const CstVolRebase *how,
                             CstTask *task, GError **error)
{
    char *backing = (char *)how->backing, *format = (char *)how->backing_format;
    wire_vol_rebase_args args = {cst_vol_arg(vol), cst_opt_arg(&backing), cst_opt_arg(&format),
                                 how->flags};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_REBASE, &args, NULL, task, error);
}

gboolean cst_conn_vol_declare(CstConn *conn, const CstVolRef *vol, const CstVolDeclare *how,
                              CstTask *task, GError **error)
{
    char *format = (char *)how->format, *backing = (char *)how->backing;
    char *backing_format = (char *)how->backing_format;
    wire_vol_declare_args args = {cst_vol_arg(vol), cst_opt_arg(&format), cst_opt_arg(&backing),
                                  cst_opt_arg(&backing_format), how->flags};

    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_DECLARE, &args, NULL, task, error);
}

GPtrArray *cst_conn_vol_problems(CstConn *conn, const CstVolRef *vol, GError **error)
{
    wire_vol_args args = {cst_vol_arg(vol)};
    wire_vol_problems_ret ret = {0};
    GPtrArray *problems;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_PROBLEMS, &args, &ret, NULL, error))
        return NULL;
    problems = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < ret.problems.problems_len; i++)
        g_ptr_array_add(problems, g_steal_pointer(&ret.problems.problems_val[i]));
    xdr_free((xdrproc_t)xdr_wire_vol_problems_ret, (char *)&ret);
    return problems;
}

gboolean cst_conn_pool_follow(CstConn *conn, const CstPoolRef *pool, const CstFollow *follow,
                              CstFollow *ret_follow, GError **error)
{
    char *asked = follow ? (char *)cst_follow_name(*follow) : NULL;
    wire_pool_follow_args args = {cst_pool_arg(pool), cst_opt_arg(&asked)};
    wire_pool_follow_ret ret = {0};
    gboolean known;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_FOLLOW, &args, &ret, NULL, error))
        return FALSE;
    known = cst_follow_parse(ret.follow, ret_follow);
    xdr_free((xdrproc_t)xdr_wire_pool_follow_ret, (char *)&ret);
    return known || cst_fail(error, CST_ERROR_RPC, _("the server sent an unknown policy"));
}

gboolean cst_conn_vol_compare(CstConn *conn, const CstVolRef *vol, const CstVolRef *other,
                              CstTask *task, CstCompareReport *ret, GError **error)
{
    wire_vol_pair_args args = {cst_vol_arg(vol), cst_vol_arg(other)};
    wire_compare_ret report = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_COMPARE, &args, &report, task, error))
        return FALSE;
    *ret = (CstCompareReport){
        .same = report.same != 0, .sizes_same = report.sizes_same != 0, .offset = report.offset};
    return TRUE;
}

gboolean cst_conn_vol_measure(CstConn *conn, const CstVolRef *vol, const char *format,
                              const char *options, CstTask *task, CstMeasureReport *ret,
                              GError **error)
{
    char *text = (char *)options;
    wire_vol_measure_args args = {cst_vol_arg(vol), (char *)format, cst_opt_arg(&text)};
    wire_measure_ret report = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_MEASURE, &args, &report, task, error))
        return FALSE;
    *ret =
        (CstMeasureReport){.required = report.required, .fully_allocated = report.fully_allocated};
    return TRUE;
}

static void vol_map_add_run(CstVolMap *map, const wire_map_run *wire)
{
    const CstVolMapRun run = {
        .start = wire->start,
        .length = wire->length,
        .depth = wire->depth,
        .present = (wire->flags & WIRE_MAP_PRESENT) != 0,
        .zero = (wire->flags & WIRE_MAP_ZERO) != 0,
        .data = (wire->flags & WIRE_MAP_DATA) != 0,
        .has_offset = (wire->flags & WIRE_MAP_HAS_OFFSET) != 0,
        .offset = wire->offset,
    };

    g_array_append_val(map->runs, run);
}

CstVolMap *cst_conn_vol_map(CstConn *conn, const CstVolRef *vol, uint64_t start, guint limit,
                            CstTask *task, GError **error)
{
    wire_vol_map_args args = {cst_vol_arg(vol), start, limit};
    wire_map_ret ret = {0};
    CstVolMap *map;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_MAP, &args, &ret, task, error))
        return NULL;
    map = cst_vol_map_new();
    for (guint i = 0; i < ret.runs.runs_len; i++)
        vol_map_add_run(map, &ret.runs.runs_val[i]);
    for (guint i = 0; i < ret.files.files_len; i++)
        g_ptr_array_add(map->files, g_steal_pointer(&ret.files.files_val[i]));
    map->more = ret.more != 0;
    xdr_free((xdrproc_t)xdr_wire_map_ret, (char *)&ret);
    return map;
}

gboolean cst_conn_vol_bitmap(CstConn *conn, const CstVolRef *vol, const CstBitmapChange *change,
                             const CstVolRef *source, CstTask *task, GError **error)
{
    wire_vol source_arg = source ? cst_vol_arg(source) : (wire_vol){0};
    wire_vol_bitmap_args args = {.vol = cst_vol_arg(vol),
                                 .name = (char *)change->name,
                                 .granularity = change->granularity,
                                 .source = source ? &source_arg : NULL};
    g_autofree wire_bitmap_step *steps = g_new0(wire_bitmap_step, change->steps->len + 1);

    args.steps.steps_val = steps;
    args.steps.steps_len = change->steps->len;
    for (guint i = 0; i < change->steps->len; i++) {
        CstBitmapStep *step = &g_array_index(change->steps, CstBitmapStep, i);

        steps[i] = (wire_bitmap_step){(char *)step->action, cst_opt_arg((char **)&step->from)};
    }
    return cst_conn_own_call(conn, WIRE_CISTERN_VOL_BITMAP, &args, NULL, task, error);
}
