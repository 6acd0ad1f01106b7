/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vol-move: moves a volume to another pool of the same daemon. */
#include <base/i18n.h>
#include <base/text.h>

#include "domains.h"
#include "options.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    const CstPoolRef *pool;
    CstVolMove how;
} Moving;

static gboolean run_move(CstTask *task, gpointer data, GError **error)
{
    const Moving *moving = data;

    return cst_conn_vol_move(moving->conn, moving->vol, moving->pool, &moving->how, task, error);
}

/* @disk: before the move; NULL: no guest had the volume. */
static void move_show_domain(CliCtl *ctl, const CstDomainDisk *disk)
{
    g_autofree char *domain = disk ? cst_text_escape(disk->domain) : NULL;
    g_autofree char *target = disk ? cst_text_escape(disk->target) : NULL;

    if (disk && !ctl->settings.dry_run)
        cli_extra(ctl, _("Domain %s uses it as disk %s"), domain, target);
}

gboolean cli_vol_move(CliCtl *ctl, const CstVolRef *vol, const char *typed, const CstPoolRef *pool,
                      const CstVolMove *how, GError **error)
{
    g_autoptr(CstDomainDisk) disk = cli_vol_running_disk(ctl, vol);
    Moving moving = {ctl->conn, vol, pool, *how};
    uint64_t size = cli_vol_made_size(ctl, vol);
    CliFact facts[CLI_DOMAIN_FACTS];

    if (disk && ctl->settings.yes)
        moving.how.flags |= CST_VOL_MOVE_TRANSIENT;

    cli_plan(ctl, _("Would move vol %s to pool %s"), typed, pool->name);
    if (!cli_run_task(ctl, _("Moving"), run_move, &moving, error))
        return cli_failed(ctl, _("Failed to move vol %s to pool %s"), typed, pool->name);
    cli_done_with(ctl, "volume", how->name ? how->name : vol->name, size, facts,
                  cli_domain_facts(disk, facts), _("Vol %s moved to pool %s"), typed, pool->name);
    move_show_domain(ctl, disk);
    return TRUE;
}

static gboolean cmd_move(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *typed = "";
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &typed, error);
    g_auto(CliNewVol) place = {0};
    CstVolMove how = {0};

    if (!vol || !cli_args_string(args, "format", &how.format, error) ||
        !cli_vol_new(ctl, args, "name", "newpool", &place, error))
        return FALSE;
    how.name = place.name;
    how.flags = cli_args_has(args, "overwrite") ? CST_VOL_CONVERT_OVERWRITE : 0;
    return cli_vol_move(ctl, vol, typed, place.pool, &how, error);
}

static const CliOption move_options[] = {
    VOL,
    {.name = "newpool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_REQUIRED,
     .help = N_("pool to move it to"),
     .complete = cli_complete_active_pools},
    POOL,
    NEW_NAME("name", CLI_OPT_NAMED, "newpool", N_("its name there; default: the same")),
    FORMAT_OPTION("format", N_("its format there; default: the same, where that pool has it")),
    OVERWRITE,
    CLI_SWITCH("yes", N_("also move the disk of a running domain that has no persistent "
                         "definition")),
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_move_command = {
    .name = "vol-move",
    .summary = N_("move a vol to another pool, or to another format"),
    .description =
        N_("Copy a vol into another pool of any type, and delete it when the copy is "
           "complete and on disk. After an interruption or a kill, the complete vol is "
           "in one of the pools. An image that keeps its format is copied as it is; "
           "else snapshots are copied if both pools support them. The command refuses, "
           "with a list, a vol with overlays or with snapshots that cannot be copied. A "
           "running domain goes on with the copy, and its definitions name it. Within its "
           "pool a vol can get another format, with another name."),
    .options = move_options,
    .handler = cmd_move,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};
