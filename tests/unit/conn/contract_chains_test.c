/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backing chains: an embedded and a remote provider give the same answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include <conn/chains.h>
#include <model/pool_def.h>

#include "side.h"

static void note_chains(Side *side, const CstPoolRef *pool)
{
    CstChainLimits limits = {0};
    guint left = 99;
    g_autoptr(GPtrArray) chains =
        cst_conn_pool_chains(side->conn, pool, &limits, &left, &side->error);

    outcome(side, "chains", chains != NULL);
    for (guint i = 0; chains && i < chains->len; i++) {
        const CstPoolChain *chain = chains->pdata[i];
        g_autofree char *layers = g_strjoinv(" ", chain->layers);

        note(side, "%s %u %s%s: %s", chain->volume, chain->depth,
             cst_chain_state_word((int)chain->state), chain->is_endless ? " endless" : "", layers);
    }
    note(side, "warn %u, refuse %u, left %u", limits.warn, limits.refuse, left);
}

static void set_limits(Side *side, const CstPoolRef *pool)
{
    g_autofree char *xml = cst_conn_pool_xml(side->conn, pool, 0, &side->error);
    g_autoptr(CstPoolDef) def = cst_pool_def_parse(xml, 0, &side->error);
    g_autofree char *limited = NULL;
    g_autoptr(CstPoolRef) defined = NULL;

    def->chains = (CstChainLimits){2, 4};
    limited = cst_pool_def_format(def, NULL);
    defined = cst_conn_pool_define(side->conn, limited, 0, &side->error);
    outcome(side, "limits", defined != NULL);
}

static CstVolRef *make_volume(Side *side, const CstPoolRef *pool, const char *name,
                              const char *base)
{
    g_autofree char *below =
        base ? g_strdup_printf("<backingStore><path>%s/images/%s</path><format type='qcow2'/>"
                               "</backingStore>",
                               side->root, base)
             : g_strdup("");
    g_autofree char *xml =
        g_strdup_printf("<volume><name>%s</name><capacity>1048576</capacity><target><format "
                        "type='qcow2'/></target>%s</volume>",
                        name, below);
    CstVolRef *vol = cst_conn_vol_create(side->conn, pool, xml, 0, NULL, &side->error);

    outcome(side, name, vol != NULL);
    return vol;
}

static void note_consolidation(Side *side, const CstVolRef *vol, const CstVolConsolidate *how,
                               gboolean is_plan)
{
    g_auto(CstConsolidation) result = {0};

    outcome(side, is_plan ? "plan" : "consolidate",
            cst_conn_vol_consolidate(side->conn, vol, how, is_plan, NULL, &result, &side->error));
    for (guint i = 0; result.layers && i < result.layers->len; i++) {
        const CstMergedLayer *layer = result.layers->pdata[i];

        note(side, "%s %s %s", layer->name, cst_layer_state_word((int)layer->state),
             layer->problem ? layer->problem : "");
    }
    note(side, "base %s, bytes %d, depth %u", result.base ? result.base : "-", (int)result.bytes,
         result.depth);
}

static void play_chains(Side *side)
{
    const CstVolConsolidate whole = {.flags = CST_CONSOLIDATE_DELETE}, wrong = {.base = "nobody"},
                            flags = {.flags = 16};
    g_autoptr(CstPoolRef) pool = make_active_pool(side);
    CstPoolRef nobody = {.name = (char *)"nobody"};
    g_autoptr(CstVolRef) base = make_volume(side, pool, "base", NULL);
    g_autoptr(CstVolRef) one = make_volume(side, pool, "one", "base");
    g_autoptr(CstVolRef) two = make_volume(side, pool, "two", "one");
    g_autoptr(CstVolRef) three = make_volume(side, pool, "three", "two");
    g_autoptr(CstVolRef) four = NULL;

    note_chains(side, pool);
    note_chains(side, &nobody);
    set_limits(side, pool);
    four = make_volume(side, pool, "four", "three");
    note_chains(side, pool);
    note_consolidation(side, three, &whole, TRUE);
    note_consolidation(side, three, &wrong, FALSE);
    note_consolidation(side, three, &flags, FALSE);
    note_consolidation(side, three, &whole, FALSE);
    note_consolidation(side, three, &whole, FALSE);
    note_chains(side, pool);
}

static void chains_are_the_same(void **state)
{
    const char *const must[] = {"three 4 ok: a/three a/two a/one a/base",
                                "warn 0, refuse 0, left 0",
                                "chains: no-pool",
                                "would have 5 images, and the limit of pool 'a' is 4",
                                "three 4 full: a/three a/two a/one a/base",
                                "warn 2, refuse 4, left 0",
                                "a/two unused ",
                                "base a/base, bytes 0, depth 2",
                                "volume 'three' is not based on 'nobody'",
                                "a/two deleted ",
                                "a/one deleted ",
                                "base -, bytes 0, depth 2",
                                "three 2 deep: a/three a/base",
                                NULL};

    compare(play_chains, must);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chains_are_the_same)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
