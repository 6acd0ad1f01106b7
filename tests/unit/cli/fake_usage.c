/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The fake server has no history of use, and pools without limits. */
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
