/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that a call needs until it is answered. Calls wait at the workers until their
 * estimates fit into the budget (workers.h).
 */
#include "procedures.h"

/* Bytes for a listed volume: its row, two copies of its strings, and its part of the reply. */
#define LISTED_COST 640u
#define CALL_COST   4096u

static gboolean lists_volumes(const CstProcedure *procedure)
{
    return procedure->ret_func == (xdrproc_t)xdr_wire_vols_ret ||
           procedure->ret_func == (xdrproc_t)xdr_wire_vol_page_ret ||
           procedure->ret_func == (xdrproc_t)xdr_wire_vol_holders_page_ret ||
           procedure->ret_func == (xdrproc_t)xdr_wire_vol_properties_page_ret ||
           procedure->ret_func == (xdrproc_t)xdr_wire_names;
}

size_t call_cost(const Call *call)
{
    size_t cost = CALL_COST + 2 * call->size;
    CstPoolInfo info = {0};

    /* The first argument of all these procedures is the pool. */
    if (call->api.procedure->run == CST_RUN_LONG && lists_volumes(call->api.procedure)) {
        g_autoptr(CstPool) pool =
            cst_api_pool(call->api.service, (const wire_pool *)call->args, NULL);

        if (pool)
            cst_pool_get_info(pool, &info);
        cost += (size_t)MIN(info.volumes, WIRE_LIST_MAX) * LISTED_COST;
    }
    /* The number of deleted volumes is in no table that is always in memory. */
    if (call->api.procedure->ret_func == (xdrproc_t)xdr_wire_trash_page_ret)
        cost += (size_t)WIRE_PAGE_MAX * LISTED_COST;
    return cost;
}
