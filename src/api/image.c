/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for volumes as images: chains, checks, conversions, references, bitmaps. Each unpacks
 * its arguments, calls one use case of the service with the call's task, and packs the result.
 *
 * A procedure that opens an image needs WRITE, even if it changes nothing. A client on the
 * read-only socket may see the pools' tables, but must not read content or keep the storage busy.
 * Lists that could exceed the protocol's limit are cut off at the limit.
 */
#include <service/images.h>
#include <service/trust.h>

#include "api_private.h"

static void api_chain_row_fill(wire_chain_row *ret, CstChainRow *row)
{
    *ret = (wire_chain_row){
        .level = row->level,
        .self = row->self,
        .pool = cst_api_opt(g_steal_pointer(&row->pool)),
        .name = cst_api_text(g_steal_pointer(&row->name)),
        .path = cst_api_opt(g_steal_pointer(&row->path)),
        .format = cst_api_opt(g_steal_pointer(&row->format)),
        .capacity = row->capacity,
        .allocation = row->allocation,
        .problem = cst_api_opt(g_steal_pointer(&row->problem)),
    };
}

static gboolean api_vol_chain(CstApiCall *call, const void *args, void *ret_data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_chain_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);
    g_autoptr(GPtrArray) rows = pool ? cst_vol_chain(pool, vol->name, error) : NULL;

    if (!rows)
        return FALSE;
    ret->rows.rows_val = g_new0(wire_chain_row, rows->len + 1);
    for (guint i = 0; i < rows->len && i < WIRE_LIST_MAX; i++)
        api_chain_row_fill(&ret->rows.rows_val[ret->rows.rows_len++], g_ptr_array_index(rows, i));
    return TRUE;
}

/* Moves the holders (CstVolHolder *) to a list of the protocol. Returns its length. */
static u_int api_holders_fill(const GPtrArray *holders, wire_holder **ret_holders)
{
    u_int count = MIN(holders->len, WIRE_LIST_MAX);

    *ret_holders = g_new0(wire_holder, count + 1);
    for (u_int i = 0; i < count; i++) {
        CstVolHolder *holder = g_ptr_array_index(holders, i);

        (*ret_holders)[i] =
            (wire_holder){cst_api_text(g_steal_pointer(&holder->what)), holder->reads_only};
    }
    return count;
}

static gboolean api_vol_holders(CstApiCall *call, const void *args, void *ret_data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_holders_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);
    g_autoptr(GPtrArray) holders = pool ? cst_vol_holders(pool, vol->name, error) : NULL;

    if (!holders)
        return FALSE;
    ret->holders.holders_len = api_holders_fill(holders, &ret->holders.holders_val);
    return TRUE;
}

static gboolean api_vol_holders_page(CstApiCall *call, const void *data, void *ret_data,
                                     GError **error)
{
    const wire_vol_names_args *args = data;
    wire_vol_holders_page_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autoptr(GPtrArray) lists =
        pool ? cst_pool_vols_holders(pool, (const char *const *)args->names.names_val,
                                     args->names.names_len, call->task, error)
             : NULL;

    if (!lists)
        return FALSE;
    ret->rows.rows_val = g_new0(wire_vol_holders_row, lists->len + 1);
    ret->rows.rows_len = lists->len;
    for (guint i = 0; i < lists->len; i++) {
        wire_vol_holders_row *row = &ret->rows.rows_val[i];

        row->known = lists->pdata[i] != NULL;
        if (row->known)
            row->holders.holders_len = api_holders_fill(lists->pdata[i], &row->holders.holders_val);
    }
    return TRUE;
}

static gboolean api_check_run(CstApiCall *call, const wire_vol_flags_args *args,
                              CstCheckReport *ret_report, GError **error)
{
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_check(pool, args->vol.name, args->flags, call->task, ret_report, error);
}

static wire_check_ret report_arg(const CstCheckReport *report)
{
    return (wire_check_ret){
        .format = g_strdup(report->format),
        .errors = report->errors,
        .leaks = report->leaks,
        .errors_fixed = report->errors_fixed,
        .leaks_fixed = report->leaks_fixed,
        .total_clusters = report->total_clusters,
        .allocated_clusters = report->allocated_clusters,
        .fragmented_clusters = report->fragmented_clusters,
        .compressed_clusters = report->compressed_clusters,
        .image_end = report->image_end,
    };
}

static gboolean api_vol_check(CstApiCall *call, const void *args, void *ret, GError **error)
{
    g_auto(CstCheckReport) report = {0};

    if (!api_check_run(call, args, &report, error))
        return FALSE;
    *(wire_check_ret *)ret = report_arg(&report);
    return TRUE;
}

static gboolean api_vol_check_list(CstApiCall *call, const void *args, void *ret_data,
                                   GError **error)
{
    wire_check_list_ret *ret = ret_data;
    g_auto(CstCheckReport) report = {0};
    guint count;

    if (!api_check_run(call, args, &report, error))
        return FALSE;
    ret->report = report_arg(&report);
    count = MIN(cst_findings_length(report.findings), WIRE_FINDINGS_MAX);
    ret->findings.findings_val = g_new0(wire_finding, count + 1);
    for (guint i = 0; i < count; i++) {
        const CstFinding *finding = cst_findings_get(report.findings, i);

        ret->findings.findings_val[ret->findings.findings_len++] =
            (wire_finding){finding->kind, finding->count, g_strdup(finding->text)};
    }
    return TRUE;
}

static gboolean api_vol_flatten(CstApiCall *call, const void *args, void *ret, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);

    return pool && cst_vol_flatten(pool, vol->name, call->task, error);
}

static gboolean api_vol_commit(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_commit_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_commit(pool, args->vol.name, cst_api_opt_text(args->base), args->flags,
                                  call->task, error);
}

static gboolean api_vol_sparsify(CstApiCall *call, const void *args, void *ret, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);

    return pool && cst_vol_sparsify(pool, vol->name, call->task,
                                    (uint64_t *)&((wire_size *)ret)->value, error);
}

static gboolean api_vol_serve(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_serve_args *args = data;
    const CstVolServe how = {
        .snapshot = cst_api_opt_text(args->snapshot),
        .read_only = (args->flags & WIRE_SERVE_READ_ONLY) != 0,
        .force_share = (args->flags & WIRE_SERVE_FORCE_SHARE) != 0,
        .socket = cst_api_opt_text(args->socket),
        .host = cst_api_opt_text(args->host),
        .port = (guint16)args->port,
        .psk_file = cst_api_opt_text(args->psk_file),
        .certificates = cst_api_opt_text(args->certificates),
    };
    g_autoptr(CstPool) pool = NULL;

    if (!cst_flags_check(args->flags, WIRE_SERVE_READ_ONLY | WIRE_SERVE_FORCE_SHARE,
                         "cisternVolServe", error))
        return FALSE;
    if (args->port > G_MAXUINT16)
        return cst_fail(error, CST_ERROR_INVALID, _("%u is no port"), args->port);
    pool = cst_api_vol_pool(call->service, &args->vol, error);
    return pool && cst_vol_serve(pool, args->vol.name, &how, call->task, error);
}

static gboolean api_vol_convert(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_convert_args *args = data;
    const CstVolConvert how = {args->name, args->format, cst_api_opt_text(args->options),
                               args->flags & ~(unsigned)CST_VOL_CONVERT_LIVE};
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autoptr(CstPool) source = pool ? cst_api_vol_pool(call->service, &args->source, error) : NULL;

    if (!source)
        return FALSE;
    return (args->flags & CST_VOL_CONVERT_LIVE
                ? cst_vol_convert_live(pool, source, args->source.name, &how, call->session->live,
                                       call->task, error)
                : cst_vol_convert(pool, source, args->source.name, &how, call->task, error)) &&
           cst_api_fill_vol(&((wire_vol_args *)ret)->vol, pool, args->name, error);
}

static gboolean api_vol_rebase(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_rebase_args *args = data;
    const CstVolRebase how = {cst_api_opt_text(args->backing),
                              cst_api_opt_text(args->backing_format), args->flags};
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_rebase(pool, args->vol.name, &how, call->task, error);
}

static gboolean api_vol_declare(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_declare_args *args = data;
    const CstVolDeclare how = {cst_api_opt_text(args->format), cst_api_opt_text(args->backing),
                               cst_api_opt_text(args->backing_format), args->flags};
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);

    return pool && cst_vol_declare(pool, args->vol.name, &how, call->task, error);
}

static gboolean api_vol_problems(CstApiCall *call, const void *args, void *ret_data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_vol_problems_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, vol, error);
    g_autoptr(GPtrArray) found = pool ? cst_vol_problems(pool, vol->name, error) : NULL;

    if (!found)
        return FALSE;
    ret->problems.problems_val = g_new0(wire_string, found->len + 1);
    for (guint i = 0; i < found->len && i < WIRE_LIST_MAX; i++)
        ret->problems.problems_val[ret->problems.problems_len++] =
            g_strdup(g_ptr_array_index(found, i));
    return TRUE;
}

static gboolean api_pool_follow(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_pool_follow_args *args = data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    const char *asked = cst_api_opt_text(args->follow);
    CstFollow now;

    if (!pool)
        return FALSE;
    if (asked && !cst_follow_parse(asked, &now))
        return cst_fail(error, CST_ERROR_INVALID,
                        _("references are followed to pools, none or anywhere, not '%s'"), asked);
    if (!(asked ? cst_pool_set_follow(pool, now, error) : cst_pool_get_follow(pool, &now, error)))
        return FALSE;
    ((wire_pool_follow_ret *)ret)->follow = g_strdup(cst_follow_name(now));
    return TRUE;
}

static gboolean api_vol_compare(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_vol_pair_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    g_autoptr(CstPool) other = pool ? cst_api_vol_pool(call->service, &args->other, error) : NULL;
    CstCompareReport report;

    if (!other ||
        !cst_vol_compare(pool, args->vol.name, other, args->other.name, call->task, &report, error))
        return FALSE;
    *(wire_compare_ret *)ret_data =
        (wire_compare_ret){report.same, report.sizes_same, report.offset};
    return TRUE;
}

static gboolean api_vol_measure(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_measure_args *args = data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    CstMeasureReport report;

    if (!pool || !cst_vol_measure(pool, args->vol.name, args->format,
                                  cst_api_opt_text(args->options), call->task, &report, error))
        return FALSE;
    *(wire_measure_ret *)ret = (wire_measure_ret){report.required, report.fully_allocated};
    return TRUE;
}

static void fill_run(wire_map_run *ret, const CstVolMapRun *run)
{
    *ret = (wire_map_run){
        .start = run->start,
        .length = run->length,
        .depth = run->depth,
        .flags = (run->present ? WIRE_MAP_PRESENT : 0) | (run->zero ? WIRE_MAP_ZERO : 0) |
                 (run->data ? WIRE_MAP_DATA : 0) | (run->has_offset ? WIRE_MAP_HAS_OFFSET : 0),
        .offset = run->offset,
    };
}

/* A page of the service fits into a reply. Larger maps need several calls (more). */
G_STATIC_ASSERT(CST_VOL_MAP_PAGE <= WIRE_MAP_MAX);

static gboolean api_vol_map(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_vol_map_args *args = data;
    wire_map_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    g_autoptr(CstVolMap) page =
        pool ? cst_vol_map(pool, args->vol.name, args->start, args->limit, call->task, error)
             : NULL;

    if (!page)
        return FALSE;
    ret->runs.runs_val = g_new0(wire_map_run, page->runs->len + 1);
    ret->runs.runs_len = page->runs->len;
    for (guint i = 0; i < page->runs->len; i++)
        fill_run(&ret->runs.runs_val[i], &g_array_index(page->runs, CstVolMapRun, i));
    ret->files.files_val = g_new0(wire_string, page->files->len + 1);
    ret->files.files_len = page->files->len;
    for (guint i = 0; i < page->files->len; i++)
        ret->files.files_val[i] = g_strdup(g_ptr_array_index(page->files, i));
    ret->more = page->more;
    return TRUE;
}

static gboolean api_vol_bitmap(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_bitmap_args *args = data;
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(CstBitmapStep));
    const CstBitmapChange change = {args->name, args->granularity, steps};
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    g_autoptr(CstPool) source = NULL;

    if (!pool)
        return FALSE;
    if (args->source) {
        source = cst_api_vol_pool(call->service, args->source, error);
        if (!source)
            return FALSE;
    }
    /* The steps borrow their strings from the arguments. */
    for (guint i = 0; i < args->steps.steps_len; i++) {
        const wire_bitmap_step *wire = &args->steps.steps_val[i];
        const CstBitmapStep step = {wire->action, cst_api_opt_text(wire->from)};

        g_array_append_val(steps, step);
    }
    return cst_vol_bitmap(pool, args->vol.name, &change, source,
                          args->source ? args->source->name : NULL, call->task, error);
}

/* --- calls that only read, for the audit trail ------------------------------------------------ */

/* The flags are the repairs. */
static gboolean check_only_reads(const void *args)
{
    return ((const wire_vol_flags_args *)args)->flags == 0;
}

static gboolean serve_only_reads(const void *data)
{
    const wire_vol_serve_args *args = data;

    return args->snapshot || (args->flags & WIRE_SERVE_READ_ONLY) != 0;
}

/* Without a policy the call returns the pool's one. */
static gboolean follow_only_reads(const void *args)
{
    return !((const wire_pool_follow_args *)args)->follow;
}

const CstProcedure cst_api_image_procedures[] = {
    CST_OWN_PROCEDURE(VOL_CHAIN, LONG, READ, "cisternVolChain", vol_args, chain_ret, api_vol_chain),
    CST_OWN_PROCEDURE(VOL_HOLDERS, LONG, WRITE, "cisternVolHolders", vol_args, holders_ret,
                      api_vol_holders, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(VOL_HOLDERS_PAGE, LONG, WRITE, "cisternVolHoldersPage", vol_names_args,
                      vol_holders_page_ret, api_vol_holders_page, .reads = cst_api_only_reads),
    /* VOL_CHECK reports numbers only, for clients that do not know VOL_CHECK_LIST. */
    CST_OWN_PROCEDURE(VOL_CHECK, LONG, WRITE, "cisternVolCheck", vol_flags_args, check_ret,
                      api_vol_check, .reads = check_only_reads),
    CST_OWN_PROCEDURE(VOL_CHECK_LIST, LONG, WRITE, "cisternVolCheck", vol_flags_args,
                      check_list_ret, api_vol_check_list, .reads = check_only_reads),
    CST_OWN_PROCEDURE(VOL_FLATTEN, LONG, WRITE, "cisternVolFlatten", vol_args, void,
                      api_vol_flatten),
    CST_OWN_PROCEDURE(VOL_COMMIT, LONG, WRITE, "cisternVolCommit", vol_commit_args, void,
                      api_vol_commit),
    CST_OWN_PROCEDURE(VOL_SPARSIFY, LONG, WRITE, "cisternVolSparsify", vol_args, size,
                      api_vol_sparsify),
    CST_OWN_PROCEDURE(VOL_SERVE, LONG, WRITE, "cisternVolServe", vol_serve_args, void,
                      api_vol_serve, .reads = serve_only_reads),
    CST_OWN_PROCEDURE(VOL_CONVERT, LONG, WRITE, "cisternVolConvert", vol_convert_args, vol_args,
                      api_vol_convert),
    CST_OWN_PROCEDURE(VOL_REBASE, LONG, WRITE, "cisternVolRebase", vol_rebase_args, void,
                      api_vol_rebase),
    CST_OWN_PROCEDURE(VOL_DECLARE, LONG, WRITE, "cisternVolDeclare", vol_declare_args, void,
                      api_vol_declare),
    CST_OWN_PROCEDURE(VOL_PROBLEMS, LONG, READ, "cisternVolProblems", vol_args, vol_problems_ret,
                      api_vol_problems),
    CST_OWN_PROCEDURE(POOL_FOLLOW, LONG, WRITE, "cisternPoolFollow", pool_follow_args,
                      pool_follow_ret, api_pool_follow, .reads = follow_only_reads),
    CST_OWN_PROCEDURE(VOL_COMPARE, LONG, WRITE, "cisternVolCompare", vol_pair_args, compare_ret,
                      api_vol_compare, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(VOL_MEASURE, LONG, WRITE, "cisternVolMeasure", vol_measure_args, measure_ret,
                      api_vol_measure, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(VOL_MAP, LONG, WRITE, "cisternVolMap", vol_map_args, map_ret, api_vol_map,
                      .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(VOL_BITMAP, LONG, WRITE, "cisternVolBitmap", vol_bitmap_args, void,
                      api_vol_bitmap),
    {0},
};
