/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backup-restore. The volumes of a machine are in restore_machine.c. */
#include "backup.h"

#include <string.h>

#include <base/error.h>

#include "commands/pool/pool.h"
#include "commands/volume/domains.h"
#include "commands/volume/volume.h"
#include "output/each.h"
#include "output/job.h"
#include "output/report.h"
#include "output/text.h"
#include "restore_machine.h"

typedef struct {
    const CliArgs *args;
    CstRepo *repo;
    const char *format;
    gboolean job_runs; /* one job for all volumes has begun */
} RestoreWords;

static gboolean restore_volume(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const RestoreWords *words = data;
    const CstBackupVolume *volume = thing;
    CliRestore how = {.name = volume->name, .format = words->format, .tags = TRUE};
    g_autoptr(CstVolRef) made = NULL;
    g_auto(CliNewVol) place = {0};

    if (!cli_vol_new(ctl, words->args, "newname", "pool", &place, error))
        return FALSE;
    if (!place.pool)
        place.pool = cst_conn_pool_by_name(ctl->conn, volume->pool, error);
    if (!place.pool)
        return FALSE;
    how.pool = place.pool;
    if (place.name)
        how.name = place.name;
    cli_plan(ctl, _("Would restore vol %s in pool %s"), how.name, how.pool->name);
    if (!words->job_runs && !cli_job_begin(ctl, "backup-restore", how.pool->name, how.name, error))
        return FALSE;
    made = cli_restore(ctl, words->repo, volume, &how, error);
    if (!made)
        return cli_failed(ctl, _("Failed to restore vol %s in pool %s"), how.name, how.pool->name);
    cli_done_sized(ctl, "volume", how.name, volume->size, _("Vol %s restored in pool %s"), how.name,
                   how.pool->name);
    return TRUE;
}

static void name_volume(gconstpointer thing, const char **ret_pool, const char **ret_name)
{
    const CstBackupVolume *volume = thing;

    *ret_pool = volume->pool;
    *ret_name = volume->name;
}

static const CliEach restore_each = {
    .list = "volumes", .kind = "volume", .name = name_volume, .run = restore_volume};

/* Return: all volumes of the backup, or its volumes in the pool of option <vol>, borrowed. */
static GPtrArray *all_volumes(const CliArgs *args, const CstBackup *backup, GError **error)
{
    g_autoptr(GPtrArray) volumes = g_ptr_array_new();
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    const char *pool;

    if (!cli_args_string(args, "vol", &pool, error))
        return NULL;
    for (guint i = 0; i < backup->volumes->len; i++) {
        CstBackupVolume *volume = backup->volumes->pdata[i];

        if (pool && strcmp(pool, volume->pool) != 0)
            continue;
        g_ptr_array_add(volumes, volume);
        if (!g_hash_table_add(names, volume->name) && cli_args_has(args, "pool")) {
            cst_fail(error, CST_ERROR_INVALID,
                     _("backup '%.8s' has several volumes '%s', and one pool cannot hold both"),
                     backup->id, volume->name);
            return NULL;
        }
    }
    if (volumes->len == 0) {
        cst_fail(error, CST_ERROR_NO_VOL, _("backup '%.8s' has no volume of pool '%s'"), backup->id,
                 pool);
        return NULL;
    }
    return g_steal_pointer(&volumes);
}

/* Returns the pool of a new volume that does not exist yet, or NULL. */
static CstPoolRef *restore_pool(CliCtl *ctl, const CliArgs *args, const CstBackupVolume *volume)
{
    g_autoptr(CstPoolRef) pool = cli_args_has(args, "pool")
                                     ? cli_pool(ctl, args, "pool", NULL, NULL)
                                     : cst_conn_pool_by_name(ctl->conn, volume->pool, NULL);
    g_autoptr(CstVolRef) existing =
        pool ? cst_conn_vol_by_name(ctl->conn, pool, volume->name, NULL) : NULL;

    return existing ? NULL : g_steal_pointer(&pool);
}

/* A volume that exists, or whose pool is missing, fails at its turn and needs no space. */
static gboolean restore_volumes_fit(CliCtl *ctl, const GPtrArray *volumes,
                                    const RestoreWords *words, GError **error)
{
    g_autoptr(GPtrArray) pools = g_ptr_array_new_with_free_func((GDestroyNotify)cst_pool_ref_free);
    g_autofree CliRestorePlace *places = g_new0(CliRestorePlace, volumes->len + 1);

    for (guint i = 0; i < volumes->len; i++) {
        CstPoolRef *pool = restore_pool(ctl, words->args, volumes->pdata[i]);

        if (!pool)
            continue;
        places[pools->len] = (CliRestorePlace){volumes->pdata[i], pool};
        g_ptr_array_add(pools, pool);
    }
    return cli_restore_check_room(ctl, words->repo, places, pools->len, error);
}

static gboolean restore_volumes(CliCtl *ctl, const GPtrArray *volumes, RestoreWords *words,
                                GError **error)
{
    g_autoptr(GString) names = g_string_new(NULL);
    const CstBackupVolume *first = volumes->pdata[0];

    if (volumes->len == 1)
        return restore_volume(ctl, first, words, error);
    for (guint i = 0; i < volumes->len; i++)
        g_string_append_printf(names, "%s%s", i > 0 ? ", " : "",
                               ((const CstBackupVolume *)volumes->pdata[i])->name);
    if (cli_args_has(words->args, "detach"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--detach goes with one at a time"));
    if (!cli_conn(ctl, error) || !restore_volumes_fit(ctl, volumes, words, error))
        return FALSE;
    words->job_runs = cli_job_begin(ctl, "backup-restore", first->pool, names->str, error);
    return words->job_runs && cli_each(ctl, &restore_each, volumes, words, error);
}

static gboolean cmd_backup_restore(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(CstBackup) backup = NULL;
    g_autoptr(GPtrArray) volumes = NULL;
    const CstBackupVolume *volume;
    RestoreWords words = {.args = args};

    if (cli_args_has(args, "machine"))
        return cli_restore_machine(ctl, args, error);
    if (cli_args_has(args, "define"))
        return cst_fail(error, CST_ERROR_USAGE, "%s", _("--define needs --machine"));
    if (!cli_args_string(args, "format", &words.format, error) ||
        !cli_args_exclusive(args, "all", "newname", error))
        return FALSE;
    backup = cli_repo_backup(ctl, args, &repo, error);
    words.repo = repo;
    if (backup && cli_args_has(args, "all")) {
        volumes = all_volumes(args, backup, error);
        return volumes && restore_volumes(ctl, volumes, &words, error);
    }
    volume = backup ? cli_backup_volume(args, backup, error) : NULL;
    return volume && restore_volume(ctl, volume, &words, error);
}

static const CliOption restore_options[] = {
    REPO,
    BACKUP,
    BACKUP_VOL,
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("pool of the new vol; default: where the vol was"),
     .complete = cli_complete_active_pools},
    CLI_SWITCH("all", N_("restore all vols of the backup; with a name, all vols of that pool")),
    {.name = "newname",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("name of the new vol, default: that of the backup; with --machine, name of the new "
                "domain"),
     .complete = cli_complete_new_vols,
     .names_pool = "pool"},
    FORMAT,
    {.name = "machine",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("restore all vols of this domain of libvirt, and print its definition"),
     .complete = cli_complete_domains},
    CLI_SWITCH("define", N_("with --machine: define the domain in libvirt of this host")),
    REPO_OPTIONS,
    CLI_NAMED("rate-limit", N_("bytes per second at most, as scaled integer")),
    CLI_DETACH,
    {0},
};

const CliCommand cli_backup_restore_command = {
    .name = "backup-restore",
    .summary = N_("restore a vol from a backup"),
    .description = N_(
        "Create a vol, in any pool and format, with the content of a backup. It appears when it "
        "is complete. With --all, create all vols of the backup, each in its pool. A vol that "
        "fails does not stop the other vols, and the exit status is 8. With --machine, create the "
        "vols of a domain, and print its definition with the paths of the new vols. With "
        "--newname, the new domain can run next to the old one."),
    .options = restore_options,
    .handler = cmd_backup_restore,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_WORKS,
};
