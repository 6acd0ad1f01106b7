/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The decisions about the depth of backing chains. */
#include <model/chains.h>

#include <base/i18n.h>

void cst_pool_chain_free(CstPoolChain *chain)
{
    if (!chain)
        return;
    g_free(chain->volume);
    g_strfreev(chain->layers);
    g_free(chain);
}

uint32_t cst_chain_limits_warn(const CstChainLimits *limits)
{
    return limits->warn ? limits->warn : CST_CHAINS_WARN;
}

CstChainState cst_chain_limits_judge(const CstChainLimits *limits, uint32_t depth)
{
    if (limits->refuse && depth >= limits->refuse)
        return CST_CHAIN_FULL;
    return depth >= cst_chain_limits_warn(limits) ? CST_CHAIN_DEEP : CST_CHAIN_OK;
}

const char *cst_chain_state_word(int state)
{
    static const char *const words[] = {N_("ok"), N_("deep"), N_("full")};

    return state >= 0 && state < CST_CHAIN_STATE_LAST ? words[state] : NULL;
}

void cst_merged_layer_free(CstMergedLayer *layer)
{
    if (!layer)
        return;
    g_free(layer->name);
    g_free(layer->problem);
    g_free(layer);
}

const char *cst_layer_state_word(int state)
{
    static const char *const words[] = {N_("used"), N_("unused"), N_("deleted")};

    return state >= 0 && state < CST_LAYER_STATE_LAST ? words[state] : NULL;
}

void cst_consolidation_clear(CstConsolidation *consolidation)
{
    g_clear_pointer(&consolidation->layers, g_ptr_array_unref);
    g_clear_pointer(&consolidation->base, g_free);
}
