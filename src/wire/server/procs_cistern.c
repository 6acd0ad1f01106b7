/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "procedures.h"

/* What libvirt's protocol has no call for. Stock servers answer "Cannot find program". */

static gboolean version(Call *call, const void *args, void *data, GError **error)
{
    wire_version_ret *ret = data;

    ret->server = g_strdup("cistern");
    ret->release = g_strdup(CST_VERSION);
    ret->last_procedure = WIRE_CISTERN_LAST;
    return TRUE;
}

static void fill_row(wire_vol_row *ret, CstVolRow *row)
{
    ret->name = or_empty(g_steal_pointer(&row->name));
    ret->key = or_empty(g_steal_pointer(&row->key));
    ret->path = or_empty(g_steal_pointer(&row->path));
    ret->type = row->info.type;
    ret->capacity = row->info.capacity;
    ret->allocation = row->info.allocation;
    ret->physical = row->info.physical;
    ret->estimated = row->info.estimated;
    ret->format = opt_string(g_strdup(row->format));
    ret->problem = opt_string(g_steal_pointer(&row->problem));
}

static gboolean vol_list_page(Call *call, const void *data, void *ret_data, GError **error)
{
    const wire_vol_page_args *args = data;
    wire_vol_page_ret *ret = ret_data;
    guint limit = args->limit == 0 ? WIRE_PAGE_MAX : args->limit;
    g_autoptr(CstPool) pool = NULL;
    g_autoptr(GPtrArray) rows = NULL;

    if (!cst_flags_check(args->flags, WIRE_PAGE_DETAILS, "cisternVolListPage", error) ||
        !check_max((int)MIN(limit, G_MAXINT), WIRE_PAGE_MAX, "limit", "WIRE_PAGE_MAX", error))
        return FALSE;
    pool = find_pool(call, &args->pool, error);
    if (!pool)
        return FALSE;
    /* One more than asked for tells whether there is a next page. */
    rows = cst_pool_list_volumes(
        pool, args->after ? *args->after : NULL, limit + 1,
        args->flags & WIRE_PAGE_DETAILS ? CST_VOL_ROWS_DETAILS : CST_VOL_ROWS_BRIEF, error);
    if (!rows)
        return FALSE;
    ret->more = rows->len > limit;
    ret->rows.rows_val = g_new0(wire_vol_row, MIN(rows->len, limit) + 1);
    for (guint i = 0; i < rows->len && i < limit; i++)
        fill_row(&ret->rows.rows_val[ret->rows.rows_len++], g_ptr_array_index(rows, i));
    return TRUE;
}

static CstTask *find_task(Call *call, const void *args)
{
    uint32_t serial = ((const wire_serial_args *)args)->serial;
    GHashTable *tasks = call->client->tasks;

    return tasks ? g_hash_table_lookup(tasks, GUINT_TO_POINTER(serial)) : NULL;
}

static gboolean call_progress(Call *call, const void *args, void *data, GError **error)
{
    wire_progress_ret *ret = data;
    CstTask *task = find_task(call, args);
    CstProgress progress = cst_task_progress(task);

    ret->found = task != NULL;
    ret->done = progress.done;
    ret->total = progress.total;
    return TRUE;
}

static gboolean call_cancel(Call *call, const void *args, void *ret, GError **error)
{
    CstTask *task = find_task(call, args);

    cst_task_cancel(task);
    ((wire_int *)ret)->value = task != NULL;
    return TRUE;
}

static gboolean call_job(Call *call, const void *args, void *data, GError **error)
{
    wire_call_job_ret *ret = data;
    CstTask *task = find_task(call, args);

    ret->found = task != NULL;
    ret->id = cst_task_job(task);
    return TRUE;
}

/* Only what is listed can be left to itself: before that, nobody could find it again. */
static gboolean call_detach(Call *call, const void *args, void *data, GError **error)
{
    wire_call_job_ret *ret = data;
    CstTask *task = find_task(call, args);

    ret->found = task != NULL;
    ret->id = cst_task_job(task);
    if (ret->id)
        cst_task_detach(task);
    return TRUE;
}

static gboolean call_rate(Call *call, const void *data, void *ret, GError **error)
{
    const wire_serial_rate_args *args = data;
    const wire_serial_args serial = {args->serial};
    CstTask *task = find_task(call, &serial);

    if (args->serial == 0)
        call->client->next_rate = args->limit;
    cst_task_set_rate(task, args->limit);
    ((wire_int *)ret)->value = task || args->serial == 0;
    return TRUE;
}

static gboolean call_mode(Call *call, const void *data, void *ret, GError **error)
{
    const wire_call_mode_args *args = data;

    if (!cst_flags_check(args->flags, WIRE_CALLS_DRY, "cisternCallMode", error))
        return FALSE;
    call->client->dry_run = (args->flags & WIRE_CALLS_DRY) != 0;
    return TRUE;
}

static gboolean pool_status(Call *call, const void *args, void *ret, GError **error)
{
    g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error);

    if (!pool)
        return FALSE;
    ((wire_pool_status_ret *)ret)->problem = opt_string(cst_pool_get_problem(pool));
    return TRUE;
}

static gboolean pool_thin(Call *call, const void *args, void *data, GError **error)
{
    wire_pool_thin_ret *ret = data;
    g_autoptr(CstPool) pool = find_pool(call, &((const wire_pool_args *)args)->pool, error);
    g_autoptr(GPtrArray) stores = pool ? cst_pool_thin_stores(pool, error) : NULL;

    if (!stores || !check_max((int)MIN(stores->len, G_MAXINT), WIRE_LIST_MAX, "thin pools",
                              "WIRE_LIST_MAX", error))
        return FALSE;
    ret->stores.stores_val = g_new0(wire_thin_store, stores->len + 1);
    for (guint i = 0; i < stores->len; i++) {
        CstThinStore *store = g_ptr_array_index(stores, i);

        ret->stores.stores_val[ret->stores.stores_len++] =
            (wire_thin_store){or_empty(g_steal_pointer(&store->name)),
                              store->size,
                              store->used,
                              store->metadata_size,
                              store->metadata_used,
                              store->volumes};
    }
    return TRUE;
}

#define ROW OWN_ROW

const Procedure procedures_cistern[] = {
    ROW(VERSION, RUN_INLINE, NEEDS_READ, "cisternVersion", "conn:getattr", NOTHING,
        WIRE_TYPE(version_ret), version),
    ROW(VOL_LIST_PAGE, RUN_LONG, NEEDS_READ, "cisternVolListPage",
        "storage_pool:search_storage_vols", WIRE_TYPE(vol_page_args), WIRE_TYPE(vol_page_ret),
        vol_list_page),
    ROW(CALL_PROGRESS, RUN_INLINE, NEEDS_READ, "cisternCallProgress", "conn:read",
        WIRE_TYPE(serial_args), WIRE_TYPE(progress_ret), call_progress),
    ROW(CALL_CANCEL, RUN_INLINE, NEEDS_WRITE, "cisternCallCancel", "conn:write",
        WIRE_TYPE(serial_args), WIRE_TYPE(int), call_cancel),
    ROW(POOL_STATUS, RUN_INLINE, NEEDS_READ, "cisternPoolStatus", "storage_pool:read",
        WIRE_TYPE(pool_args), WIRE_TYPE(pool_status_ret), pool_status),
    ROW(POOL_THIN, RUN_LONG, NEEDS_READ, "cisternPoolThin", "storage_pool:read",
        WIRE_TYPE(pool_args), WIRE_TYPE(pool_thin_ret), pool_thin),
    ROW(CALL_JOB, RUN_INLINE, NEEDS_READ, "cisternCallJob", "conn:read", WIRE_TYPE(serial_args),
        WIRE_TYPE(call_job_ret), call_job),
    ROW(CALL_DETACH, RUN_INLINE, NEEDS_WRITE, "cisternCallDetach", "conn:write",
        WIRE_TYPE(serial_args), WIRE_TYPE(call_job_ret), call_detach),
    ROW(CALL_RATE, RUN_INLINE, NEEDS_WRITE, "cisternCallRate", "conn:write",
        WIRE_TYPE(serial_rate_args), WIRE_TYPE(int), call_rate),
    ROW(CALL_MODE, RUN_INLINE, NEEDS_READ, "cisternCallMode", "conn:read",
        WIRE_TYPE(call_mode_args), NOTHING, call_mode),
    {0},
};
