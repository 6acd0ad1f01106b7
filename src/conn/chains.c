/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Typed calls for backing chains. All belong to Cistern's own program. */
#include <conn/chains.h>

#include "conn_private.h"

static CstPoolChain *pool_chain_from_wire(wire_pool_chain *wire)
{
    CstPoolChain *chain = g_new0(CstPoolChain, 1);

    *chain = (CstPoolChain){
        .volume = g_steal_pointer(&wire->volume),
        .layers = g_new0(char *, wire->layers.layers_len + 1),
        .depth = wire->depth,
        .is_endless = wire->endless != 0,
        /* A state of a later version has no word. */
        .state = (CstChainState)MIN(wire->state, CST_CHAIN_STATE_LAST),
    };
    for (u_int i = 0; i < wire->layers.layers_len; i++)
        chain->layers[i] = g_steal_pointer(&wire->layers.layers_val[i]);
    return chain;
}

GPtrArray *cst_conn_pool_chains(CstConn *conn, const CstPoolRef *pool, CstChainLimits *ret_limits,
                                guint *ret_left, GError **error)
{
    wire_pool_args args = {cst_pool_arg(pool)};
    wire_pool_chains_ret ret = {0};
    GPtrArray *chains;

    if (!cst_conn_own_call(conn, WIRE_CISTERN_POOL_CHAINS, &args, &ret, NULL, error))
        return NULL;
    chains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_chain_free);
    for (u_int i = 0; i < ret.chains.chains_len; i++)
        g_ptr_array_add(chains, pool_chain_from_wire(&ret.chains.chains_val[i]));
    *ret_limits = (CstChainLimits){ret.warn, ret.refuse};
    *ret_left = ret.left;
    xdr_free((xdrproc_t)xdr_wire_pool_chains_ret, (char *)&ret);
    return chains;
}

gboolean cst_conn_vol_consolidate(CstConn *conn, const CstVolRef *vol, const CstVolConsolidate *how,
                                  gboolean is_plan, CstTask *task, CstConsolidation *ret,
                                  GError **error)
{
    char *base = (char *)how->base;
    wire_vol_consolidate_args args = {cst_vol_arg(vol), cst_opt_arg(&base), how->keep,
                                      how->flags | (is_plan ? WIRE_CONSOLIDATE_PLAN : 0)};
    wire_vol_consolidate_ret reply = {0};

    if (!cst_conn_own_call(conn, WIRE_CISTERN_VOL_CONSOLIDATE, &args, &reply, task, error))
        return FALSE;
    ret->layers = g_ptr_array_new_with_free_func((GDestroyNotify)cst_merged_layer_free);
    for (u_int i = 0; i < reply.layers.layers_len; i++) {
        wire_merged_layer *wire = &reply.layers.layers_val[i];
        CstMergedLayer *layer = g_new0(CstMergedLayer, 1);

        layer->name = g_steal_pointer(&wire->name);
        layer->state = (CstLayerState)MIN(wire->state, CST_LAYER_STATE_LAST);
        layer->problem = cst_opt_take(wire->problem);
        g_ptr_array_add(ret->layers, layer);
    }
    ret->base = cst_opt_take(reply.base);
    ret->bytes = reply.bytes;
    ret->depth = reply.depth;
    xdr_free((xdrproc_t)xdr_wire_vol_consolidate_ret, (char *)&reply);
    return TRUE;
}
