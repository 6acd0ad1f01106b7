/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A history of one point, and a forecast that is known for the space of the pool only. */
#include "fake_service.h"

#include <service/extend.h>
#include <service/promise.h>
#include <service/usage.h>

gboolean cst_service_usage_sample(CstService *self, CstTask *task, guint *ret_count, GError **error)
{
    if (!fake_works(error))
        return FALSE;
    fake.mutations++;
    *ret_count = 1;
    return TRUE;
}

GArray *cst_pool_usage(CstPool *pool, unsigned step, int64_t since, GError **error)
{
    const CstUsagePoint point = {since, 1000, 400, 500, 600, 2000, 50, 20, 10, 4};
    GArray *points;

    if (!fake_works(error))
        return NULL;
    points = g_array_new(FALSE, FALSE, sizeof(CstUsagePoint));
    g_array_append_val(points, point);
    return points;
}

gboolean cst_pool_usage_forecast(CstPool *pool, CstUsageForecast *ret_forecast, GError **error)
{
    if (!fake_works(error))
        return FALSE;
    *ret_forecast = (CstUsageForecast){{{CST_FORECAST_KNOWN, 40, 30, 50, 15},
                                        {CST_FORECAST_NO_SIZE, 0, 0, 0, 0},
                                        {CST_FORECAST_FLAT, 0, 0, 0, -3}}};
    return TRUE;
}

gboolean cst_pool_get_promise(CstPool *pool, CstPoolPromise *ret_promise, GError **error)
{
    if (!fake_works(error))
        return FALSE;
    *ret_promise = (CstPoolPromise){2000, 3, 4000, {1500, 10, 5000}};
    return TRUE;
}

GPtrArray *cst_pool_growths(CstPool *pool, char **ret_problem, GError **error)
{
    GPtrArray *growths;

    if (!fake_works(error))
        return NULL;
    growths = g_ptr_array_new_with_free_func((GDestroyNotify)cst_growth_free);
    g_ptr_array_add(growths, cst_growth_new(CST_GROWTH_DATA, "tp", "tp"));
    *ret_problem = g_strdup("full");
    return growths;
}
