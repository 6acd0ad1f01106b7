/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "conn_private.h"

GPtrArray *cst_conn_vol_chain(CstConn *conn, const CstVolRef *vol, GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_chain, CST_ACCESS_READ, "cisternVolChain", vol))
        return NULL;
    return result;
}

GPtrArray *cst_conn_vol_holders(CstConn *conn, const CstVolRef *vol, GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_holders, CST_ACCESS_WRITE, "cisternVolHolders", vol))
        return NULL;
    return result;
}

gboolean cst_conn_vol_check(CstConn *conn, const CstVolRef *vol, unsigned repair, CstTask *task,
                            CstCheckReport *ret_report, GError **error)
{
    return CST_DISPATCH(conn, vol_check, CST_ACCESS_WRITE, "cisternVolCheck", vol, repair, task,
                        ret_report);
}

gboolean cst_conn_vol_flatten(CstConn *conn, const CstVolRef *vol, CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, vol_flatten, CST_ACCESS_WRITE, "cisternVolFlatten", vol, task);
}

gboolean cst_conn_vol_commit(CstConn *conn, const CstVolRef *vol, const char *base, unsigned flags,
                             CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, vol_commit, CST_ACCESS_WRITE, "cisternVolCommit", vol, base, flags,
                        task);
}

gboolean cst_conn_vol_sparsify(CstConn *conn, const CstVolRef *vol, CstTask *task,
                               uint64_t *ret_given_back, GError **error)
{
    return CST_DISPATCH(conn, vol_sparsify, CST_ACCESS_WRITE, "cisternVolSparsify", vol, task,
                        ret_given_back);
}

CstVolRef *cst_conn_vol_convert(CstConn *conn, const CstPoolRef *pool, const CstVolRef *source,
                                const CstVolConvert *how, CstTask *task, GError **error)
{
    CstVolRef *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_convert, CST_ACCESS_WRITE, "cisternVolConvert", pool,
                          source, how, task))
        return NULL;
    return result;
}

gboolean cst_conn_vol_rebase(CstConn *conn, const CstVolRef *vol, const CstVolRebase *how,
                             CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, vol_rebase, CST_ACCESS_WRITE, "cisternVolRebase", vol, how, task);
}

gboolean cst_conn_vol_declare(CstConn *conn, const CstVolRef *vol, const CstVolDeclare *how,
                              CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, vol_declare, CST_ACCESS_WRITE, "cisternVolDeclare", vol, how, task);
}

GPtrArray *cst_conn_vol_problems(CstConn *conn, const CstVolRef *vol, GError **error)
{
    GPtrArray *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_problems, CST_ACCESS_READ, "cisternVolProblems", vol))
        return NULL;
    return result;
}

gboolean cst_conn_pool_follow(CstConn *conn, const CstPoolRef *pool, const CstFollow *follow,
                              CstFollow *ret_follow, GError **error)
{
    return CST_DISPATCH(conn, pool_follow, CST_ACCESS_WRITE, "cisternPoolFollow", pool, follow,
                        ret_follow);
}

gboolean cst_conn_vol_compare(CstConn *conn, const CstVolRef *vol, const CstVolRef *other,
                              CstTask *task, CstCompareReport *ret_report, GError **error)
{
    return CST_DISPATCH(conn, vol_compare, CST_ACCESS_WRITE, "cisternVolCompare", vol, other, task,
                        ret_report);
}

gboolean cst_conn_vol_measure(CstConn *conn, const CstVolRef *vol, const char *format,
                              const char *options, CstTask *task, CstMeasureReport *ret_report,
                              GError **error)
{
    return CST_DISPATCH(conn, vol_measure, CST_ACCESS_WRITE, "cisternVolMeasure", vol, format,
                        options, task, ret_report);
}

CstVolMap *cst_conn_vol_map(CstConn *conn, const CstVolRef *vol, uint64_t start, guint limit,
                            CstTask *task, GError **error)
{
    CstVolMap *result = NULL;

    if (!CST_DISPATCH_PTR(conn, result, vol_map, CST_ACCESS_WRITE, "cisternVolMap", vol, start,
                          limit, task))
        return NULL;
    return result;
}

gboolean cst_conn_vol_bitmap(CstConn *conn, const CstVolRef *vol, const CstBitmapChange *change,
                             const CstVolRef *source, CstTask *task, GError **error)
{
    return CST_DISPATCH(conn, vol_bitmap, CST_ACCESS_WRITE, "cisternVolBitmap", vol, change, source,
                        task);
}
