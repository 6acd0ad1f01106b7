/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake server has no history of use, pools without limits, and a group without spaces. */
#include <conn/usage.h>

GArray *cst_conn_pool_usage(CstConn *conn, const CstPoolRef *pool, unsigned step, int64_t since,
                            GError **error)
{
    return g_array_new(FALSE, FALSE, sizeof(CstUsagePoint));
}

gboolean cst_conn_pool_usage_forecast(CstConn *conn, const CstPoolRef *pool,
                                      CstForecast ret_spaces[CST_USAGE_SPACE_LAST], GError **error)
{
    for (int space = 0; space < CST_USAGE_SPACE_LAST; space++)
        ret_spaces[space] = (CstForecast){.state = CST_FORECAST_SHORT};
    return TRUE;
}

gboolean cst_conn_pool_usage_sample(CstConn *conn, guint *ret_count, GError **error)
{
    *ret_count = 0;
    return TRUE;
}

gboolean cst_conn_pool_promise(CstConn *conn, const CstPoolRef *pool, CstPoolPromise *ret_promise,
                               GError **error)
{
    *ret_promise = (CstPoolPromise){.promised = 2048, .volumes = 2, .capacity = 4096};
    return TRUE;
}

/* Only the group, which has a problem. */
GPtrArray *cst_conn_pool_growths(CstConn *conn, const CstPoolRef *pool, char **ret_problem,
                                 GError **error)
{
    GPtrArray *growths = g_ptr_array_new_with_free_func((GDestroyNotify)cst_growth_free);

    g_ptr_array_add(growths, cst_growth_new(CST_GROWTH_GROUP, "vg", "vg"));
    *ret_problem = g_strdup("the group has no space");
    return growths;
}
