/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool-trash: shows or sets the number of days for which a pool keeps deleted volumes. The number
 * is an element of the pool's definition, so the command redefines the pool with a changed element.
 * The service applies it at once, even if the pool is active. Another server may drop the element.
 * The command therefore reads the definition again.
 */
#include <base/error.h>
#include <base/i18n.h>
#include <model/pool_def.h>

#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "pool.h"

static gboolean read_days(const char *word, uint32_t *ret_days, GError **error)
{
    guint64 days = 0;

    if (!g_str_equal(word, CLI_SETTING_OFF) &&
        !g_ascii_string_to_unsigned(word, 10, 0, CST_TRASH_DAYS_MAX, &days, NULL))
        return cst_fail(error, CST_ERROR_USAGE, _("--days takes a number from 0 to %d, or %s"),
                        CST_TRASH_DAYS_MAX, CLI_SETTING_OFF);
    *ret_days = (uint32_t)days;
    return TRUE;
}

static void print_days(CliCtl *ctl, const char *pool, uint32_t days)
{
    const CliFact facts[] = {
        cli_fact_text("pool", NULL, pool),
        cli_fact_number("days", NULL, TRUE, days),
    };

    cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
    if (days > 0)
        cli_print(ctl, ngettext("%u day\n", "%u days\n", days), days);
    else
        cli_print(ctl, "%s\n", CLI_SETTING_OFF);
}

static gboolean define_days(CliCtl *ctl, const CstPoolRef *pool, CstPoolDef *def, uint32_t days,
                            GError **error)
{
    g_autoptr(CstPoolDef) kept = NULL;

    def->trash_days = days;
    kept = cli_pool_define_setting(ctl, pool, def, error);
    if (!kept)
        return FALSE;
    return kept->trash_days == days ||
           cst_fail(error, CST_ERROR_NO_SUPPORT, _("the server of pool '%s' has no trash"),
                    pool->name);
}

static gboolean set_days(CliCtl *ctl, const CstPoolRef *pool, CstPoolDef *def, uint32_t days,
                         GError **error)
{
    if (days > 0)
        cli_plan(ctl, _("Would keep deleted vols of pool %s for %u days"), pool->name, days);
    else
        cli_plan(ctl, _("Would not keep deleted vols of pool %s"), pool->name);
    if (!define_days(ctl, pool, def, days, error))
        return cli_failed(ctl, _("Failed to set the trash of pool %s"), pool->name);
    if (days > 0)
        cli_done(ctl, "pool", pool->name,
                 ngettext("Pool %s keeps deleted vols for %u day",
                          "Pool %s keeps deleted vols for %u days", days),
                 pool->name, days);
    else
        cli_done(ctl, "pool", pool->name, _("Pool %s does not keep deleted vols"), pool->name);
    return TRUE;
}

static gboolean cmd_trash(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstPoolRef) pool = cli_pool(ctl, args, "pool", NULL, error);
    g_autoptr(CstPoolDef) def = NULL;
    const char *word;
    uint32_t days = 0;

    if (!pool || !cli_args_string(args, "days", &word, error) ||
        (word && !read_days(word, &days, error)))
        return FALSE;
    def = cli_pool_definition(ctl, pool, error);
    if (!def)
        return FALSE;
    if (word)
        return set_days(ctl, pool, def, days, error);
    print_days(ctl, pool->name, def->trash_days);
    return TRUE;
}

static const CliOption trash_options[] = {
    CLI_POOL_OPTION(cli_complete_pools),
    {.name = "days",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("days for which the pool keeps deleted vols; off or 0: it does not"),
     .complete = cli_complete_off},
    {0},
};

const CliCommand cli_pool_trash_command = {
    .name = "pool-trash",
    .summary = N_("show or set for how long a pool keeps deleted vols"),
    .description =
        N_("Set for how many days the pool keeps vols that are deleted from now on (trash-list, "
           "trash-restore). The setting is a part of the pool's definition, and holds at once. "
           "Vols in the trash keep the time that they were given. Without --days, show it."),
    .options = trash_options,
    .handler = cmd_trash,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
