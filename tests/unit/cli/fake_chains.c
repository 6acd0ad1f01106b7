/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A pool with two chains, and a volume with two layers that can be merged. */
#include <conn/chains.h>

#include <base/dry_run.h>

static void chain_add(GPtrArray *chains, const char *volume, const char *layers, guint depth,
                      CstChainState state)
{
    CstPoolChain *chain = g_new0(CstPoolChain, 1);

    *chain = (CstPoolChain){g_strdup(volume), g_strsplit(layers, "|", 0), depth,
                            state == CST_CHAIN_OK, state};
    g_ptr_array_add(chains, chain);
}

GPtrArray *cst_conn_pool_chains(CstConn *conn, const CstPoolRef *pool, CstChainLimits *ret_limits,
                                guint *ret_left, GError **error)
{
    GPtrArray *chains = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_chain_free);

    chain_add(chains, "web", "images/web|images/a b|/srv/base\033[2J", 3, CST_CHAIN_FULL);
    chain_add(chains, "db", "images/db|images/x", 2, CST_CHAIN_OK);
    *ret_limits = (CstChainLimits){2, 3};
    *ret_left = 5;
    return chains;
}

static void layer_add(GPtrArray *layers, const char *name, CstLayerState state, const char *problem)
{
    CstMergedLayer *layer = g_new0(CstMergedLayer, 1);

    *layer = (CstMergedLayer){g_strdup(name), state, g_strdup(problem)};
    g_ptr_array_add(layers, layer);
}

gboolean cst_conn_vol_consolidate(CstConn *conn, const CstVolRef *vol, const CstVolConsolidate *how,
                                  gboolean is_plan, CstTask *task, CstConsolidation *ret,
                                  GError **error)
{
    if (!is_plan && !cst_may_change(error))
        return FALSE;
    ret->layers = g_ptr_array_new_with_free_func((GDestroyNotify)cst_merged_layer_free);
    ret->depth = 2;
    if (how->keep > 2)
        return TRUE;
    layer_add(ret->layers, "images/a",
              how->flags & CST_CONSOLIDATE_DELETE ? CST_LAYER_DELETED : CST_LAYER_UNUSED, NULL);
    layer_add(ret->layers, "images/b", CST_LAYER_USED, "it is in another pool");
    ret->base = g_strdup(how->base ? how->base : "images/base");
    ret->bytes = 1 << 20;
    return TRUE;
}
