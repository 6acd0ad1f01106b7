/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-delete: one volume as virsh does it, or several. All of several are found before the first is
 * deleted, and asked about in one question; one that can't be deleted keeps none of the others.
 *
 * Virsh's second plain word is the pool. A name of a pool has no '/', so a word with one is another
 * volume; so is each further word.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/table.h"
#include "output/text.h"
#include "volume.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    unsigned flags;
} Deletion;

static gboolean run_delete(CstTask *task, gpointer data, GError **error)
{
    const Deletion *deletion = data;

    return cst_conn_vol_delete(deletion->conn, deletion->vol, deletion->flags, task, error);
}

/* --- one -------------------------------------------------------------------------------------- */

static gboolean delete_one(CliCtl *ctl, const CliArgs *args, unsigned flags, GError **error)
{
    const char *name;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    Deletion deletion = {ctl->conn, vol, flags};

    if (!vol)
        return FALSE;
    cli_plan(ctl, _("Would delete vol %s"), name);
    if (!cli_confirm(ctl, error, _("Delete vol %s?"), name))
        return FALSE;
    return cli_outcome(ctl, cli_run_task(ctl, _("Deleting"), run_delete, &deletion, error),
                       "volume", vol->name, _("Vol %s deleted"), _("Failed to delete vol %s"),
                       name);
}

/* --- several ---------------------------------------------------------------------------------- */

static gboolean pool_is_volume(const CliArgs *args)
{
    const char *pool = NULL;

    return cli_args_is_plain(args, "pool") && cli_args_string(args, "pool", &pool, NULL) &&
           strchr(pool, '/');
}

static gboolean is_named(const GPtrArray *vols, const CstVolRef *vol)
{
    for (guint i = 0; i < vols->len; i++) {
        const CstVolRef *other = g_ptr_array_index(vols, i);

        if (g_str_equal(other->pool, vol->pool) && g_str_equal(other->name, vol->name))
            return TRUE;
    }
    return FALSE;
}

/* The volumes that the words name, each once. */
static GPtrArray *find_all(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) vols = g_ptr_array_new_with_free_func((GDestroyNotify)cst_vol_ref_free);
    g_autoptr(GPtrArray) words = cli_args_rest(args);
    const char *pool_option = "pool";
    const char *word;

    if (!cli_conn(ctl, error))
        return NULL;
    if (pool_is_volume(args)) {
        pool_option = NULL;
        if (!cli_args_string(args, "pool", &word, error))
            return NULL;
        g_ptr_array_insert(words, 0, (gpointer)word);
    }
    if (!cli_args_string(args, "vol", &word, error))
        return NULL;
    g_ptr_array_insert(words, 0, (gpointer)word);
    for (guint i = 0; i < words->len; i++) {
        g_autoptr(CstVolRef) vol = NULL;

        word = g_ptr_array_index(words, i);
        if (!*word) {
            cst_fail(error, CST_ERROR_USAGE,
                     _("Failed to get option '%s': Option argument is empty"), "further");
            return NULL;
        }
        vol = cli_vol_named(ctl, args, word, pool_option, error);
        if (!vol)
            return NULL;
        if (!is_named(vols, vol))
            g_ptr_array_add(vols, g_steal_pointer(&vol));
    }
    return g_steal_pointer(&vols);
}

static char *names_of(const GPtrArray *vols)
{
    g_autoptr(GString) names = g_string_new(NULL);

    for (guint i = 0; i < vols->len; i++) {
        const CstVolRef *vol = g_ptr_array_index(vols, i);

        g_string_append_printf(names, "%s%s/%s", i ? ", " : "", vol->pool, vol->name);
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static const CliColumn columns[] = {
    {"", "pool", CLI_CELL_TEXT, NULL, 0},
    {"", "volume", CLI_CELL_TEXT, NULL, 0},
    {"", "deleted", CLI_CELL_BOOL, NULL, 0},
    {"", "problem", CLI_CELL_TEXT, NULL, 0},
};

/* What became of @vol, a row of what --json prints and a line for people. */
static void report(CliCtl *ctl, CliTable *table, const CstVolRef *vol, const GError *why)
{
    g_autofree char *problem = why ? cst_error_text(why) : NULL;

    cli_table_add_text(table, vol->pool);
    cli_table_add_text(table, vol->name);
    cli_table_add_bool(table, !why);
    cli_table_add_text(table, problem);
    if (!why)
        cli_extra(ctl, _("Vol %s deleted"), vol->name);
    else if (!ctl->settings.json)
        cli_complain(ctl, _("Failed to delete vol %s: %s"), vol->name, problem);
    if (!why)
        cli_extra(ctl, "\n");
}

/* @error is that of the last one that failed; PARTIAL when others did not. */
static gboolean finish(guint failed, guint count, GError **error, GError *why)
{
    if (failed == 0)
        return TRUE;
    if (failed == count) {
        g_propagate_error(error, why);
        return FALSE;
    }
    g_error_free(why);
    return cst_fail(error, CST_ERROR_PARTIAL, _("%u of %u vols were not deleted"), failed, count);
}

static gboolean delete_each(CliCtl *ctl, const GPtrArray *vols, unsigned flags, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    GError *last = NULL;
    guint failed = 0;

    for (guint i = 0; i < vols->len; i++) {
        Deletion deletion = {ctl->conn, g_ptr_array_index(vols, i), flags};
        g_autoptr(GError) why = NULL;
        gboolean dry;

        cli_run_task(ctl, _("Deleting"), run_delete, &deletion, &why);
        dry = g_error_matches(why, CST_ERROR, CST_ERROR_DRY_RUN);
        if (why && !dry) {
            failed++;
            g_clear_error(&last);
            last = g_error_copy(why);
        }
        if (!dry)
            report(ctl, table, deletion.vol, why);
    }
    if (ctl->settings.json && !ctl->settings.dry_run)
        cli_table_print(ctl, table, "volumes");
    /* Each has been named with its reason. */
    ctl->reported = failed == vols->len && !ctl->settings.json;
    return finish(failed, vols->len, error, last);
}

static gboolean delete_several(CliCtl *ctl, const CliArgs *args, unsigned flags, GError **error)
{
    g_autoptr(GPtrArray) vols = NULL;
    g_autofree char *names = NULL;

    if (cli_args_has(args, "detach"))
        return cst_fail(error, CST_ERROR_USAGE, _("--detach goes with one vol"));
    vols = find_all(ctl, args, error);
    if (!vols)
        return FALSE;
    names = names_of(vols);
    cli_plan(ctl, _("Would delete these vols: %s"), names);
    return cli_confirm(ctl, error, _("Delete these %u vols: %s?"), vols->len, names) &&
           delete_each(ctl, vols, flags, error);
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean cmd_delete(CliCtl *ctl, const CliArgs *args, GError **error)
{
    unsigned flags = cli_args_has(args, "delete-snapshots") ? CST_VOL_DELETE_WITH_SNAPSHOTS : 0;

    return cli_args_has(args, "further") || pool_is_volume(args)
               ? delete_several(ctl, args, flags, error)
               : delete_one(ctl, args, flags, error);
}

static const CliOption delete_options[] = {
    VOL,
    POOL,
    CLI_SWITCH("delete-snapshots", N_("delete snapshots associated with volume (must be supported "
                                      "by storage driver)")),
    DETACH,
    {.name = "further",
     .kind = CLI_OPT_ARGV,
     .help = N_("more vols of the pool, or POOL/VOL"),
     .complete = cli_complete_vols},
    {0},
};

const CliCommand cli_vol_delete_command = {
    .name = "vol-delete",
    .summary = N_("delete a vol"),
    .description = N_("Delete a given vol."),
    .options = delete_options,
    .handler = cmd_delete,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS,
};
