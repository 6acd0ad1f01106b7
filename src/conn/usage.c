/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for the history of the use of pools. All belong to Cistern's own program. */
#include <conn/usage.h>

#include "conn_private.h"

GArray *cst_conn_pool_usage(CstConn *conn, const CstPoolRef *pool, unsigned step, int64_t since,
                            GError **error)
{
    wire_pool_usage_args args = {cst_pool_arg(pool), step, since};
    wire_pool_usage_ret ret = {0};
    GArray *points;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_USAGE, &args, &ret, NULL, error))
        return NULL;
    points = g_array_new(FALSE, FALSE, sizeof(CstUsagePoint));
    for (guint i = 0; i < ret.points.points_len; i++) {
        const wire_usage_point *wire = &ret.points.points_val[i];
        const CstUsagePoint point = {
            .time = wire->time,
            .capacity = wire->capacity,
            .allocation = wire->allocation,
            .peak = wire->peak,
            .available = wire->available,
            .provisioned = wire->provisioned,
            .data_size = wire->data_size,
            .data_used = wire->data_used,
            .metadata_size = wire->metadata_size,
            .metadata_used = wire->metadata_used,
        };

        g_array_append_val(points, point);
    }
    xdr_free((xdrproc_t)xdr_wire_pool_usage_ret, (char *)&ret);
    return points;
}

gboolean cst_conn_pool_usage_forecast(CstConn *conn, const CstPoolRef *pool,
                                      CstForecast ret_spaces[CST_USAGE_SPACE_LAST], GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_usage_forecast_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_USAGE_FORECAST, &args, &ret, NULL, error))
        return FALSE;
    for (guint i = 0; i < CST_USAGE_SPACE_LAST; i++) {
        const wire_forecast *wire = &ret.spaces[i];

        ret_spaces[i] = (CstForecast){
            /* An unknown state of a newer server has no reason. */
            .state = (CstForecastState)MIN(wire->state, CST_FORECAST_STATE_LAST),
            .days = wire->days,
            .earliest = wire->earliest,
            .latest = wire->latest,
            .growth = wire->growth,
        };
    }
    return TRUE;
}

gboolean cst_conn_pool_usage_sample(CstConn *conn, guint *ret_count, GError **error)
{
    wire_pool_usage_sample_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_USAGE_SAMPLE, NULL, &ret, NULL, error))
        return FALSE;
    *ret_count = ret.count;
    return TRUE;
}

gboolean cst_conn_pool_promise(CstConn *conn, const CstPoolRef *pool, CstPoolPromise *ret_promise,
                               GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_promise_ret ret = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_PROMISE, &args, &ret, NULL, error))
        return FALSE;
    *ret_promise = (CstPoolPromise){
        .promised = ret.promised,
        .volumes = ret.volumes,
        .capacity = ret.capacity,
        .limits = {.overcommit = ret.overcommit, .volumes = ret.max_volumes, .quota = ret.quota},
    };
    return TRUE;
}

GPtrArray *cst_conn_pool_growths(CstConn *conn, const CstPoolRef *pool, char **ret_problem,
                                 GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_growths_ret ret = {0};
    GPtrArray *growths;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_GROWTHS, &args, &ret, NULL, error))
        return NULL;
    growths = g_ptr_array_new_with_free_func((GDestroyNotify)cst_growth_free);
    for (guint i = 0; i < ret.growths.growths_len; i++) {
        const wire_growth *wire = &ret.growths.growths_val[i];
        /* An unknown kind of a later version has no word. */
        CstGrowth *growth = cst_growth_new((CstGrowthKind)MIN(wire->kind, CST_GROWTH_LAST),
                                           wire->name, wire->label);

        growth->size = wire->size;
        growth->used = wire->used;
        growth->by_system = wire->by_system != 0;
        g_ptr_array_add(growths, growth);
    }
    *ret_problem = cst_opt_take(ret.problem);
    xdr_free((xdrproc_t)xdr_wire_pool_growths_ret, (char *)&ret);
    return growths;
}
