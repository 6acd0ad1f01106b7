/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Procedures for backing chains. POOL_CHAINS reads the tables of the pools. VOL_CONSOLIDATE opens
 * images, also for its plan, and therefore needs WRITE.
 */
#include <service/chains.h>

#include "api_private.h"

static void pool_chain_fill(wire_pool_chain *ret, CstPoolChain *chain)
{
    *ret = (wire_pool_chain){
        .volume = cst_api_text(g_steal_pointer(&chain->volume)),
        .layers = {.layers_val = g_new0(char *, chain->depth + 1)},
        .depth = chain->depth,
        .endless = chain->is_endless != 0,
        .state = chain->state,
    };
    for (uint32_t i = 0; i < MIN(chain->depth, WIRE_CHAIN_MAX); i++)
        ret->layers.layers_val[ret->layers.layers_len++] = cst_api_text(g_strdup(chain->layers[i]));
}

static gboolean api_pool_chains(CstApiCall *call, const void *data, void *ret_data, GError **error)
{
    wire_pool_chains_ret *ret = ret_data;
    g_autoptr(CstPool) pool =
        cst_api_pool(call->service, &((const wire_pool_args *)data)->pool, error);
    CstChainLimits limits;
    guint left;
    g_autoptr(GPtrArray) chains = pool ? cst_pool_chains(pool, &limits, &left, error) : NULL;

    if (!chains || !cst_api_check_max((int)MIN(chains->len, G_MAXINT), WIRE_LIST_MAX, "chains",
                                      "WIRE_LIST_MAX", error))
        return FALSE;
    ret->warn = limits.warn;
    ret->refuse = limits.refuse;
    ret->left = left;
    ret->chains.chains_val = g_new0(wire_pool_chain, chains->len + 1);
    for (guint i = 0; i < chains->len; i++)
        pool_chain_fill(&ret->chains.chains_val[ret->chains.chains_len++],
                        g_ptr_array_index(chains, i));
    return TRUE;
}

static void consolidation_fill(wire_vol_consolidate_ret *ret, CstConsolidation *result)
{
    guint count = MIN(result->layers->len, WIRE_CHAIN_MAX);

    ret->layers.layers_val = g_new0(wire_merged_layer, count + 1);
    for (guint i = 0; i < count; i++) {
        CstMergedLayer *layer = g_ptr_array_index(result->layers, i);

        ret->layers.layers_val[ret->layers.layers_len++] = (wire_merged_layer){
            .name = cst_api_text(g_steal_pointer(&layer->name)),
            .state = layer->state,
            .problem = cst_api_opt(g_steal_pointer(&layer->problem)),
        };
    }
    ret->base = cst_api_opt(g_steal_pointer(&result->base));
    ret->bytes = result->bytes;
    ret->depth = result->depth;
}

static gboolean api_vol_consolidate(CstApiCall *call, const void *data, void *ret, GError **error)
{
    const wire_vol_consolidate_args *args = data;
    const CstVolConsolidate how = {
        .base = cst_api_opt_text(args->base),
        .keep = args->keep,
        .flags = args->flags & ~WIRE_CONSOLIDATE_PLAN,
    };
    g_autoptr(CstPool) pool = cst_api_vol_pool(call->service, &args->vol, error);
    g_auto(CstConsolidation) result = {0};

    if (!pool ||
        !(args->flags & WIRE_CONSOLIDATE_PLAN
              ? cst_vol_consolidate_plan(pool, args->vol.name, &how, call->task, &result, error)
              : cst_vol_consolidate(pool, args->vol.name, &how, call->task, &result, error)))
        return FALSE;
    consolidation_fill(ret, &result);
    return TRUE;
}

static gboolean consolidate_only_reads(const void *args)
{
    return (((const wire_vol_consolidate_args *)args)->flags & WIRE_CONSOLIDATE_PLAN) != 0;
}

const CstProcedure cst_api_chain_procedures[] = {
    CST_OWN_PROCEDURE(POOL_CHAINS, LONG, READ, "cisternPoolChains", pool_args, pool_chains_ret,
                      api_pool_chains),
    CST_OWN_PROCEDURE(VOL_CONSOLIDATE, LONG, WRITE, "cisternVolConsolidate", vol_consolidate_args,
                      vol_consolidate_ret, api_vol_consolidate, .reads = consolidate_only_reads),
    {0},
};
