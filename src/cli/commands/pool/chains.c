/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-chains: shows or sets the limits of the backing chains of a pool. Without an option, shows
 * them and the chains, the deepest first.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <base/url.h>
#include <conn/chains.h>
#include <model/pool_def.h>

#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "pool.h"

#define LABEL_WIDTH 15

/* --- set -------------------------------------------------------------------------------------- */

/* Reads a depth, or "off". An absent option leaves *ret_depth unchanged. */
static gboolean read_depth(const CliArgs *args, const char *option, uint32_t *ret_depth,
                           GError **error)
{
    const char *word;
    guint64 depth = 0;

    if (!cli_args_string(args, option, &word, error))
        return FALSE;
    if (!word)
        return TRUE;
    if (!g_str_equal(word, CLI_SETTING_OFF) &&
        !g_ascii_string_to_unsigned(word, 10, CST_CHAINS_MIN, CST_CHAINS_MAX, &depth, NULL))
        return cst_fail(error, CST_ERROR_USAGE, _("--%s takes a number from %d to %d, or %s"),
                        option, CST_CHAINS_MIN, CST_CHAINS_MAX, CLI_SETTING_OFF);
    *ret_depth = (uint32_t)depth;
    return TRUE;
}

static gboolean set_chains(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                           GError **error)
{
    g_autoptr(CstPoolDef) kept = NULL;

    if (def->chains.refuse && def->chains.warn > def->chains.refuse)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--warn %u must not be above --refuse %u; set both options, or remove "
                          "one (off)"),
                        def->chains.warn, def->chains.refuse);
    cli_plan(ctl, _("Would set the limits of the chains of pool %s"), pool->name);
    kept = cli_pool_define_setting(ctl, pool, def, error);
    if (!kept)
        return cli_failed(ctl, _("Failed to set the limits of the chains of pool %s"), pool->name);
    if (kept->chains.warn != def->chains.warn || kept->chains.refuse != def->chains.refuse)
        return cst_fail(error, CST_ERROR_NO_SUPPORT,
                        _("the server of pool '%s' has no limits of chains"), pool->name);
    cli_done(ctl, "pool", pool->name, _("Limits of the chains of pool %s set"), pool->name);
    return TRUE;
}

/* --- show ------------------------------------------------------------------------------------- */

static const CliColumn setting_columns[] = {
    {N_("Warn:"), "warn", CLI_CELL_NUMBER, N_("off"), 0},
    {N_("Refuse:"), "refuse", CLI_CELL_NUMBER, N_("off"), 0},
    {N_("Not shown:"), "not_shown", CLI_CELL_NUMBER, NULL, 0},
};

static const CliColumn chain_columns[] = {
    {N_("Volume"), NULL, CLI_CELL_TEXT, NULL, 0},
    {N_("Depth"), NULL, CLI_CELL_NUMBER, NULL, 0},
    {N_("State"), NULL, CLI_CELL_WORD, N_("unknown"), 0},
    {N_("Layers"), NULL, CLI_CELL_TEXT, NULL, 0},
};

/* Returns the layers below the volume for the table. The caller frees it. */
static char *layers_text(const CstPoolChain *chain)
{
    GString *text = g_string_new(NULL);

    for (guint i = 1; chain->layers[0] && chain->layers[i]; i++) {
        g_autofree char *shown = cst_reference_shown(chain->layers[i]);

        g_string_append_printf(text, "%s%s", i > 1 ? ", " : "", shown);
    }
    if (chain->is_endless)
        g_string_append_printf(text, " (%s)", _("a loop"));
    return g_string_free(text, FALSE);
}

/* @chains NULL: the pool is not active, so its chains are unknown. */
static void print_text(CliCtl *ctl, const CstChainLimits *limits, const GPtrArray *chains,
                       guint left)
{
    g_autoptr(CliTable) setting = cli_table_new(setting_columns, G_N_ELEMENTS(setting_columns));
    g_autoptr(CliTable) table = cli_table_new(chain_columns, G_N_ELEMENTS(chain_columns));

    cli_table_add_known_number(setting, limits->warn > 0, limits->warn);
    cli_table_add_known_number(setting, limits->refuse > 0, limits->refuse);
    cli_table_add_known_number(setting, left > 0, left);
    cli_table_print_listing(ctl, setting, "chains", LABEL_WIDTH);
    for (guint i = 0; chains && i < chains->len; i++) {
        const CstPoolChain *chain = chains->pdata[i];
        g_autofree char *layers = layers_text(chain);

        cli_table_add_text(table, chain->volume);
        cli_table_add_number(table, chain->depth);
        cli_table_add_word(table, cst_chain_state_word((int)chain->state));
        cli_table_add_text(table, layers);
    }
    if (chains)
        cli_table_print(ctl, table, "chains");
}

static void json_add_depth(CliJson *json, const char *key, uint32_t depth)
{
    if (depth > 0)
        cli_json_add_number(json, key, depth);
    else
        cli_json_add_spelt(json, key, "null");
}

/* A name may have blanks, so the layers are a list of their own. */
static void print_json(CliCtl *ctl, const CstChainLimits *limits, const GPtrArray *chains,
                       guint left)
{
    CliJson json;

    cli_json_begin(&json);
    cli_json_open(&json, "chains", '{');
    json_add_depth(&json, "warn", limits->warn);
    json_add_depth(&json, "refuse", limits->refuse);
    cli_json_add_number(&json, "not_shown", left);
    cli_json_open(&json, "volumes", '[');
    for (guint i = 0; chains && i < chains->len; i++) {
        const CstPoolChain *chain = chains->pdata[i];

        cli_json_open(&json, NULL, '{');
        cli_json_add_string(&json, "volume", chain->volume);
        cli_json_add_number(&json, "depth", chain->depth);
        cli_json_add_string(&json, "state", cst_chain_state_word((int)chain->state));
        cli_json_add_bool(&json, "loop", chain->is_endless);
        cli_json_open(&json, "layers", '[');
        for (char **layer = chain->layers; *layer; layer++)
            cli_json_add_string(&json, NULL, *layer);
        cli_json_close(&json, ']');
        cli_json_close(&json, '}');
    }
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    cli_json_end(&json, ctl->out);
}

static gboolean show_chains(CliCtl *ctl, const CstPoolRef *pool, const CstPoolDef *def,
                            GError **error)
{
    CstPoolInfo info;
    CstChainLimits limits = def->chains;
    guint left = 0;
    g_autoptr(GPtrArray) chains = NULL;

    if (!cst_conn_pool_info(ctl->conn, pool, &info, error))
        return FALSE;
    if (info.state != CST_POOL_INACTIVE) {
        chains = cst_conn_pool_chains(ctl->conn, pool, &limits, &left, error);
        if (!chains)
            return FALSE;
    }
    (ctl->settings.json ? print_json : print_text)(ctl, &limits, chains, left);
    return TRUE;
}

static gboolean cmd_chains(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstPoolDef) def = pool ? cli_pool_definition(ctl, pool, error) : NULL;

    if (!def || !read_depth(args, "warn", &def->chains.warn, error) ||
        !read_depth(args, "refuse", &def->chains.refuse, error))
        return FALSE;
    return cli_args_has(args, "warn") || cli_args_has(args, "refuse")
               ? set_chains(ctl, pool, def, error)
               : show_chains(ctl, pool, def, error);
}

static const CliOption chains_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    {.name = "warn",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("number of images from which on a chain is reported, or off"),
     .complete = cli_complete_off},
    {.name = "refuse",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("greatest number of images of a chain, or off"),
     .complete = cli_complete_off},
    {0},
};

const CliCommand cli_pool_chains_command = {
    .name = "pool-chains",
    .summary = N_("show the backing chains of a pool, or set their limits"),
    .description =
        N_("Set the limits of the depth of backing chains, which counts the images of a chain, "
           "also in other pools. An operation that makes a chain as deep as --warn causes an "
           "event. An operation that would make a chain deeper than --refuse fails before it "
           "changes anything. The setting is a part of the pool's definition, and holds at once. "
           "Existing chains still work. Without an option, show the limits and the chains, the "
           "deepest first, by the vol on top."),
    .options = chains_options,
    .handler = cmd_chains,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
