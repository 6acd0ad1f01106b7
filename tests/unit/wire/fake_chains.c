/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pool with one chain of two images, and a volume with one layer that can be merged. */
#include "fake_service.h"

#include <service/chains.h>

GPtrArray *cst_pool_chains(CstPool *pool, CstChainLimits *ret_limits, guint *ret_left,
                           GError **error)
{
    CstPoolChain *chain;
    GPtrArray *chains;

    if (!fake_works(error))
        return NULL;
    chain = g_new0(CstPoolChain, 1);
    *chain =
        (CstPoolChain){g_strdup("v"), g_strsplit("p/v p/base", " ", 0), 2, FALSE, CST_CHAIN_FULL};
    chains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_chain_free);
    g_ptr_array_add(chains, chain);
    *ret_limits = (CstChainLimits){2, 2};
    *ret_left = 7;
    return chains;
}

static void result_fill(CstConsolidation *ret)
{
    CstMergedLayer *layer = g_new0(CstMergedLayer, 1);

    *layer = (CstMergedLayer){g_strdup("p/middle"), CST_LAYER_UNUSED, NULL};
    ret->layers = g_ptr_array_new_with_free_func((GDestroyNotify)cst_merged_layer_free);
    g_ptr_array_add(ret->layers, layer);
    ret->base = g_strdup("p/base");
    ret->bytes = 65536;
    ret->depth = 2;
}

gboolean cst_vol_consolidate(CstPool *pool, const char *name, const CstVolConsolidate *how,
                             CstTask *task, CstConsolidation *ret, GError **error)
{
    if (!fake_changed(error))
        return FALSE;
    result_fill(ret);
    return TRUE;
}

gboolean cst_vol_consolidate_plan(CstPool *pool, const char *name, const CstVolConsolidate *how,
                                  CstTask *task, CstConsolidation *ret, GError **error)
{
    if (!fake_works(error))
        return FALSE;
    result_fill(ret);
    return TRUE;
}
