/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for the use of pools: its history, the promise, and the spaces that are extended. The
 * queries of the history access its database only, so they are QUICK, and answer while storage
 * hangs. POOL_USAGE_SAMPLE, POOL_PROMISE and POOL_GROWTHS are LONG, because they may query storage.
 */
#include <service/extend.h>
#include <service/promise.h>
#include <service/usage.h>

#include "api_private.h"

static gboolean api_pool_usage(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    const wire_pool_usage_args *args = data;
    wire_pool_usage_ret *ret = ret_data;
    g_autoptr(CstPool) pool = cst_api_pool(call->service, &args->pool, error);
    g_autoptr(GArray) points = pool ? cst_pool_usage(pool, args->step, args->since, error) : NULL;

    if (!points || !cst_api_check_max((int)MIN(points->len, G_MAXINT), WIRE_PAGE_MAX, "points",
                                      "WIRE_PAGE_MAX", error))
        return FALSE;
    ret->points.points_val = g_new0(wire_usage_point, points->len + 1);
    for (guint i = 0; i < points->len; i++) {
        const CstUsagePoint *point = &g_array_index(points, CstUsagePoint, i);

        ret->points.points_val[ret->points.points_len++] = (wire_usage_point){
            .time = point->time,
            .capacity = point->capacity,
            .allocation = point->allocation,
            .peak = point->peak,
            .available = point->available,
            .provisioned = point->provisioned,
            .data_size = point->data_size,
            .data_used = point->data_used,
            .metadata_size = point->metadata_size,
            .metadata_used = point->metadata_used,
        };
    }
    return TRUE;
}

static gboolean api_pool_usage_forecast(CstApiCall *call, const void *data, void *ret_data,
                                        GError **error)
{
    wire_pool_usage_forecast_ret *ret = ret_data;
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)data)->pool, error);
    CstUsageForecast forecast;

    G_STATIC_ASSERT(G_N_ELEMENTS(ret->spaces) == CST_USAGE_SPACE_LAST);
    if (!pool || !cst_pool_usage_forecast(pool, &forecast, error))
        return FALSE;
    for (guint i = 0; i < CST_USAGE_SPACE_LAST; i++) {
        const CstForecast *space = &forecast.spaces[i];

        ret->spaces[i] = (wire_forecast){
            .state = space->state,
            .days = space->days,
            .earliest = space->earliest,
            .latest = space->latest,
            .growth = space->growth,
        };
    }
    return TRUE;
}

static gboolean api_pool_promise(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    wire_pool_promise_ret *ret = ret_data;
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)data)->pool, error);
    CstPoolPromise promise;

    if (!pool || !cst_pool_get_promise(pool, &promise, error))
        return FALSE;
    *ret = (wire_pool_promise_ret){
        .promised = promise.promised,
        .volumes = promise.volumes,
        .capacity = promise.capacity,
        .overcommit = promise.limits.overcommit,
        .max_volumes = promise.limits.volumes,
        .quota = promise.limits.quota,
    };
    return TRUE;
}

static gboolean api_pool_usage_sample(CstApiCall *call, const void *data, void *ret, GError **error)
{
    return cst_service_usage_sample(call->service, call->task,
                                    &((wire_pool_usage_sample_ret *)ret)->count, error);
}

static gboolean api_pool_growths(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    wire_pool_growths_ret *ret = ret_data;
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)data)->pool, error);
    g_autofree char *problem = NULL;
    g_autoptr(GPtrArray) growths = pool ? cst_pool_growths(pool, &problem, error) : NULL;

    if (!growths || !cst_api_check_max((int)MIN(growths->len, G_MAXINT), WIRE_LIST_MAX, "spaces",
                                       "WIRE_LIST_MAX", error))
        return FALSE;
    ret->problem = cst_api_opt(g_steal_pointer(&problem));
    ret->growths.growths_val = g_new0(wire_growth, growths->len + 1);
    for (guint i = 0; i < growths->len; i++) {
        CstGrowth *growth = g_ptr_array_index(growths, i);

        ret->growths.growths_val[ret->growths.growths_len++] = (wire_growth){
            .kind = growth->kind,
            .name = cst_api_text(g_steal_pointer(&growth->name)),
            .label = cst_api_text(g_steal_pointer(&growth->label)),
            .size = growth->size,
            .used = growth->used,
            .by_system = growth->by_system,
        };
    }
    return TRUE;
}

/* A sample changes no storage and no definition, and a timer takes one every five minutes. */
const CstProcedure cst_api_usage_procedures[] = {
    CST_OWN_PROCEDURE(POOL_USAGE, QUICK, READ, "cisternPoolUsage", pool_usage_args, pool_usage_ret,
                      api_pool_usage),
    CST_OWN_PROCEDURE(POOL_USAGE_FORECAST, QUICK, READ, "cisternPoolUsageForecast", pool_args,
                      pool_usage_forecast_ret, api_pool_usage_forecast),
    CST_OWN_PROCEDURE(POOL_USAGE_SAMPLE, LONG, WRITE, "cisternPoolUsageSample", void,
                      pool_usage_sample_ret, api_pool_usage_sample, .reads = cst_api_only_reads),
    CST_OWN_PROCEDURE(POOL_PROMISE, LONG, READ, "cisternPoolPromise", pool_args, pool_promise_ret,
                      api_pool_promise),
    CST_OWN_PROCEDURE(POOL_GROWTHS, LONG, READ, "cisternPoolGrowths", pool_args, pool_growths_ret,
                      api_pool_growths),
    {0},
};
