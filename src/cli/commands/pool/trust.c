/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-trust: shows or sets the follow policy of a pool. The policy applies to references of images
 * that were not declared for a volume (vol-trust).
 */
#include <base/error.h>
#include <base/i18n.h>

#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "pool.h"

static void complete_follow(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (int follow = CST_FOLLOW_POOLS; follow <= CST_FOLLOW_ANYWHERE; follow++)
        g_ptr_array_add(words, g_strdup(cst_follow_name((CstFollow)follow)));
}

static void print_follow(CliCtl *ctl, const char *pool, CstFollow follow)
{
    const CliFact facts[] = {
        cli_fact_text("pool", NULL, pool),
        cli_fact_text("follow", NULL, cst_follow_name(follow)),
    };

    cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
    cli_print(ctl, "%s\n", cst_follow_name(follow));
}

static gboolean cmd_pool_trust(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name, *word = NULL;
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", &name, error);
    CstFollow follow = CST_FOLLOW_POOLS;

    if (!pool || !cli_args_string(args, "follow", &word, error))
        return FALSE;
    if (word && !cst_follow_parse(word, &follow))
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--follow takes pools, none or anywhere, not '%s'"), word);
    if (word)
        cli_plan(ctl, _("Would follow references from volumes of pool %s to: %s"), name, word);
    if (!cst_conn_pool_follow(ctl->conn, pool, word ? &follow : NULL, &follow, error))
        return FALSE;
    if (!word)
        print_follow(ctl, pool->name, follow);
    else
        cli_done(ctl, "pool", pool->name,
                 _("References from volumes of pool %s are followed to: %s"), name, word);
    return TRUE;
}

static const CliOption trust_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    {.name = "follow",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("pools (volumes of active pools), none, or anywhere"),
     .complete = complete_follow},
    {0},
};

const CliCommand cli_pool_trust_command = {
    .name = "pool-trust",
    .summary = N_("say which references of a pool's vols are followed"),
    .description =
        N_("Images of a pool in a directory that only root can write may refer to other images. If "
           "a reference is not declared (vol-trust), it is followed to volumes of active pools, to "
           "none, or anywhere. Without --follow, show the present setting."),
    .options = trust_options,
    .handler = cmd_pool_trust,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
