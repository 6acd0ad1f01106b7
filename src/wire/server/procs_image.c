/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <service/images.h>
#include <service/trust.h>

#include "procedures.h"

static const char *opt_text(const wire_opt_string text)
{
    return text ? *text : NULL;
}

static void fill_row(wire_chain_row *ret, CstChainRow *row)
{
    *ret = (wire_chain_row){
        .level = row->level,
        .self = row->self,
        .pool = opt_string(g_steal_pointer(&row->pool)),
        .name = or_empty(g_steal_pointer(&row->name)),
        .path = opt_string(g_steal_pointer(&row->path)),
        .format = opt_string(g_steal_pointer(&row->format)),
        .capacity = row->capacity,
        .allocation = row->allocation,
        .problem = opt_string(g_steal_pointer(&row->problem)),
    };
}

static gboolean chain(Call *call, const void *args, void *ret_data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_chain_ret *ret = ret_data;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);
    g_autoptr(GPtrArray) rows = pool ? cst_vol_chain(pool, vol->name, error) : NULL;

    if (!rows)
        return FALSE;
    ret->rows.rows_val = g_new0(wire_chain_row, rows->len + 1);
    for (guint i = 0; i < rows->len && i < WIRE_LIST_MAX; i++)
        fill_row(&ret->rows.rows_val[ret->rows.rows_len++], g_ptr_array_index(rows, i));
    return TRUE;
}

static gboolean holders(Call *call, const void *args, void *ret_data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_holders_ret *ret = ret_data;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);
    g_autoptr(GPtrArray) rows = pool ? cst_vol_holders(pool, vol->name, error) : NULL;

    if (!rows)
        return FALSE;
    ret->holders.holders_val = g_new0(wire_holder, rows->len + 1);
    for (guint i = 0; i < rows->len && i < WIRE_LIST_MAX; i++) {
        CstVolHolder *row = g_ptr_array_index(rows, i);

        ret->holders.holders_val[ret->holders.holders_len++] =
            (wire_holder){or_empty(g_steal_pointer(&row->what)), row->reads_only};
    }
    return TRUE;
}

static gboolean run_check(Call *call, const wire_vol_flags_args *args, CstCheckReport *ret_report,
                          GError **error)
{
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

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

static gboolean check(Call *call, const void *args, void *ret, GError **error)
{
    g_auto(CstCheckReport) report = {0};

    if (!run_check(call, args, &report, error))
        return FALSE;
    *(wire_check_ret *)ret = report_arg(&report);
    return TRUE;
}

static gboolean check_list(Call *call, const void *args, void *ret_data, GError **error)
{
    wire_check_list_ret *ret = ret_data;
    g_auto(CstCheckReport) report = {0};
    guint count;

    if (!run_check(call, args, &report, error))
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

static gboolean flatten(Call *call, const void *args, void *ret, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);

    return pool && cst_vol_flatten(pool, vol->name, call->task, error);
}

static gboolean commit(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_commit_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_commit(pool, args->vol.name, opt_text(args->base), args->flags,
                                  call->task, error);
}

static gboolean sparsify(Call *call, const void *args, void *ret, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);

    return pool && cst_vol_sparsify(pool, vol->name, call->task,
                                    (uint64_t *)&((wire_size *)ret)->value, error);
}

static gboolean convert(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_convert_args *args = data;
    const CstVolConvert how = {args->name, args->format, opt_text(args->options), args->flags};
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);
    g_autoptr(CstPool) source = pool ? find_vol_pool(call, &args->source, error) : NULL;

    return source && cst_vol_convert(pool, source, args->source.name, &how, call->task, error) &&
           fill_vol(&((wire_vol_args *)ret)->vol, pool, args->name, error);
}

static gboolean rebase(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_rebase_args *args = data;
    const CstVolRebase how = {opt_text(args->backing), opt_text(args->backing_format), args->flags};
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_rebase(pool, args->vol.name, &how, call->task, error);
}

static gboolean declare(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_declare_args *args = data;
    const CstVolDeclare how = {opt_text(args->format), opt_text(args->backing),
                               opt_text(args->backing_format), args->flags};
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);

    return pool && cst_vol_declare(pool, args->vol.name, &how, call->task, error);
}

static gboolean problems(Call *call, const void *args, void *ret_data, GError **error)
{
    const wire_vol *vol = &((const wire_vol_args *)args)->vol;
    wire_vol_problems_ret *ret = ret_data;
    g_autoptr(CstPool) pool = find_vol_pool(call, vol, error);
    g_autoptr(GPtrArray) found = pool ? cst_vol_problems(pool, vol->name, error) : NULL;

    if (!found)
        return FALSE;
    ret->problems.problems_val = g_new0(wire_string, found->len + 1);
    for (guint i = 0; i < found->len && i < WIRE_LIST_MAX; i++)
        ret->problems.problems_val[ret->problems.problems_len++] =
            g_strdup(g_ptr_array_index(found, i));
    return TRUE;
}

static gboolean follow(Call *call, const void *data, void *ret, GError **error)
{
    const wire_pool_follow_args *args = data;
    g_autoptr(CstPool) pool = find_pool(call, &args->pool, error);
    const char *asked = opt_text(args->follow);
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

static gboolean compare(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_vol_pair_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);
    g_autoptr(CstPool) other = pool ? find_vol_pool(call, &args->other, error) : NULL;
    CstCompareReport report;

    if (!other ||
        !cst_vol_compare(pool, args->vol.name, other, args->other.name, call->task, &report, error))
        return FALSE;
    *(wire_compare_ret *)ret_data =
        (wire_compare_ret){report.same, report.sizes_same, report.offset};
    return TRUE;
}

static gboolean measure(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_measure_args *args = data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);
    CstMeasureReport report;

    if (!pool || !cst_vol_measure(pool, args->vol.name, args->format, opt_text(args->options),
                                  call->task, &report, error))
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

G_STATIC_ASSERT(CST_VOL_MAP_PAGE <= WIRE_MAP_MAX);

static gboolean map(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_vol_map_args *args = data;
    wire_map_ret *ret = ret_data;
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);
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

static gboolean bitmap(Call *call, const void *data, void *ret, GError **error)
{
    const wire_vol_bitmap_args *args = data;
    g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(CstBitmapStep));
    const CstBitmapChange change = {args->name, args->granularity, steps};
    g_autoptr(CstPool) pool = find_vol_pool(call, &args->vol, error);
    g_autoptr(CstPool) source = NULL;

    if (!pool)
        return FALSE;
    if (args->source) {
        source = find_vol_pool(call, args->source, error);
        if (!source)
            return FALSE;
    }
    for (guint i = 0; i < args->steps.steps_len; i++) {
        const wire_bitmap_step *wire = &args->steps.steps_val[i];
        const CstBitmapStep step = {wire->deed, opt_text(wire->from)};

        g_array_append_val(steps, step);
    }
    return cst_vol_bitmap(pool, args->vol.name, &change, source,
                          args->source ? args->source->name : NULL, call->task, error);
}

#define ROW OWN_ROW

const Procedure procedures_image[] = {
    ROW(VOL_CHAIN, RUN_LONG, NEEDS_READ, "cisternVolChain", "storage_vol:read", WIRE_TYPE(vol_args),
        WIRE_TYPE(chain_ret), chain),
    ROW(VOL_HOLDERS, RUN_LONG, NEEDS_WRITE, "cisternVolHolders", "storage_vol:read",
        WIRE_TYPE(vol_args), WIRE_TYPE(holders_ret), holders),
    ROW(VOL_CHECK, RUN_LONG, NEEDS_WRITE, "cisternVolCheck", "storage_vol:data_read",
        WIRE_TYPE(vol_flags_args), WIRE_TYPE(check_ret), check),
    ROW(VOL_CHECK_LIST, RUN_LONG, NEEDS_WRITE, "cisternVolCheck", "storage_vol:data_read",
        WIRE_TYPE(vol_flags_args), WIRE_TYPE(check_list_ret), check_list),
    ROW(VOL_FLATTEN, RUN_LONG, NEEDS_WRITE, "cisternVolFlatten", "storage_vol:data_write",
        WIRE_TYPE(vol_args), NOTHING, flatten),
    ROW(VOL_COMMIT, RUN_LONG, NEEDS_WRITE, "cisternVolCommit", "storage_vol:data_write",
        WIRE_TYPE(vol_commit_args), NOTHING, commit),
    ROW(VOL_SPARSIFY, RUN_LONG, NEEDS_WRITE, "cisternVolSparsify", "storage_vol:data_write",
        WIRE_TYPE(vol_args), WIRE_TYPE(size), sparsify),
    ROW(VOL_CONVERT, RUN_LONG, NEEDS_WRITE, "cisternVolConvert", "storage_vol:create",
        WIRE_TYPE(vol_convert_args), WIRE_TYPE(vol_args), convert),
    ROW(VOL_REBASE, RUN_LONG, NEEDS_WRITE, "cisternVolRebase", "storage_vol:data_write",
        WIRE_TYPE(vol_rebase_args), NOTHING, rebase),
    ROW(VOL_DECLARE, RUN_LONG, NEEDS_WRITE, "cisternVolDeclare", "storage_vol:data_write",
        WIRE_TYPE(vol_declare_args), NOTHING, declare),
    ROW(VOL_PROBLEMS, RUN_LONG, NEEDS_READ, "cisternVolProblems", "storage_vol:read",
        WIRE_TYPE(vol_args), WIRE_TYPE(vol_problems_ret), problems),
    ROW(POOL_FOLLOW, RUN_LONG, NEEDS_WRITE, "cisternPoolFollow", "storage_pool:write",
        WIRE_TYPE(pool_follow_args), WIRE_TYPE(pool_follow_ret), follow),
    ROW(VOL_COMPARE, RUN_LONG, NEEDS_WRITE, "cisternVolCompare", "storage_vol:data_read",
        WIRE_TYPE(vol_pair_args), WIRE_TYPE(compare_ret), compare),
    ROW(VOL_MEASURE, RUN_LONG, NEEDS_WRITE, "cisternVolMeasure", "storage_vol:data_read",
        WIRE_TYPE(vol_measure_args), WIRE_TYPE(measure_ret), measure),
    ROW(VOL_MAP, RUN_LONG, NEEDS_WRITE, "cisternVolMap", "storage_vol:data_read",
        WIRE_TYPE(vol_map_args), WIRE_TYPE(map_ret), map),
    ROW(VOL_BITMAP, RUN_LONG, NEEDS_WRITE, "cisternVolBitmap", "storage_vol:data_write",
        WIRE_TYPE(vol_bitmap_args), NOTHING, bitmap),
    {0},
};
