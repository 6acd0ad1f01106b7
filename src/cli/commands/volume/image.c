/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for volumes as images: vol-check, vol-flatten, vol-commit, vol-sparsify and vol-chain.
 * The server does the work; this process opens no image.
 */
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>
#include <base/text.h>
#include <base/url.h>

#include "commands/check_report.h"
#include "domains.h"
#include "options.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/table.h"
#include "output/text.h"

typedef struct {
    CstConn *conn;
    const CstVolRef *vol;
    const char *base;
    unsigned flags;
    CstCheckReport *report; /**< borrowed */
    uint64_t given_back;
} Work;

/* --- check ----------------------------------------------------------------------------------- */

static gboolean run_vol_check(CstTask *task, gpointer data, GError **error)
{
    Work *work = data;

    return cst_conn_vol_check(work->conn, work->vol, work->flags, task, work->report, error);
}

static gboolean show_check(CliSheet *sheet, gconstpointer thing, gpointer data, GError **error)
{
    const CliVolArg *arg = thing;
    CliCtl *ctl = sheet->ctl;
    g_autofree char *path = NULL;
    g_autoptr(GPtrArray) problems = NULL;
    g_auto(CstCheckReport) report = {0};
    Work work = {ctl->conn, arg->vol, .flags = *(const unsigned *)data, .report = &report};

    if (work.flags)
        cli_plan(ctl, _("Would check and repair vol %s"), arg->typed);
    path = cst_conn_vol_path(ctl->conn, arg->vol, error);
    if (!path || !cli_run_task(ctl, _("Checking"), run_vol_check, &work, error))
        return FALSE;
    problems = cli_vol_problems(ctl, arg->vol);
    {
        const CliCheckRow rows[] = CLI_CHECK_ROWS(&report);

        cli_check_add(sheet, path, report.format, rows, G_N_ELEMENTS(rows), report.findings,
                      problems);
    }
    if (!ctl->settings.json)
        cli_vol_warn(ctl, arg->typed, problems);
    if (problems->len > 0)
        return cst_fail(error, CST_ERROR_MISMATCH, _("vol %s: %s"), arg->typed,
                        (const char *)g_ptr_array_index(problems, 0));
    return cli_check_judge(arg->typed, report.errors, report.leaks, error);
}

static const CliEach check_each = {
    .list = "volumes", .kind = "volume", .name = cli_vol_arg_name, .show = show_check};

static gboolean cmd_vol_check(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) vols = cli_vols(ctl, args, NULL, error);
    unsigned flags;

    return vols && cli_check_repair(args, &flags, error) &&
           cli_each(ctl, &check_each, vols, &flags, error);
}

static const CliOption check_options[] = {
    VOL,        POOL,         CLI_NAMED("repair", N_("faults to repair: leaks or all")),
    RATE_LIMIT, FURTHER_VOLS, {0},
};

const CliCommand cli_vol_check_command = {
    .name = "vol-check",
    .summary = N_("verify a vol's image"),
    .description = N_("Verify the metadata of a volume's image, and repair it on request."),
    .options = check_options,
    .handler = cmd_vol_check,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- flatten, commit, sparsify --------------------------------------------------------------- */

static gboolean run_vol_flatten(CstTask *task, gpointer data, GError **error)
{
    Work *work = data;

    return cst_conn_vol_flatten(work->conn, work->vol, task, error);
}

static gboolean flatten_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliVolArg *arg = thing;
    Work work = {.conn = ctl->conn, .vol = arg->vol};
    g_autoptr(CstDomainDisk) disk = ctl->settings.json ? cli_vol_running_disk(ctl, arg->vol) : NULL;
    CliFact facts[CLI_DOMAIN_FACTS];

    cli_plan(ctl, _("Would flatten vol %s"), arg->typed);
    if (!cli_run_task(ctl, _("Flattening"), run_vol_flatten, &work, error))
        return cli_failed(ctl, _("Failed to flatten vol %s"), arg->typed);
    cli_done_facts(ctl, "volume", arg->vol->name, facts, cli_domain_facts(disk, facts),
                   _("Vol %s holds all of its content"), arg->typed);
    return TRUE;
}

static const CliEach flatten_each = {
    .list = "volumes", .kind = "volume", .name = cli_vol_arg_name, .run = flatten_one};

static gboolean cmd_vol_flatten(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) vols = cli_vols(ctl, args, NULL, error);

    return vols && cli_each(ctl, &flatten_each, vols, NULL, error);
}

static const CliOption flatten_options[] = {VOL, POOL, RATE_LIMIT, DETACH, FURTHER_VOLS, {0}};

const CliCommand cli_vol_flatten_command = {
    .name = "vol-flatten",
    .summary = N_("make a vol independent of its backing volumes"),
    .description = N_("Copy the content of the backing volumes into a volume. It is valid at every "
                      "point in time. A running domain may have it as its disk."),
    .options = flatten_options,
    .handler = cmd_vol_flatten,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

static gboolean run_vol_commit(CstTask *task, gpointer data, GError **error)
{
    Work *work = data;

    return cst_conn_vol_commit(work->conn, work->vol, work->base, work->flags, task, error);
}

gboolean cli_vol_layer_path(CliCtl *ctl, const CstVolRef *vol, const char *base, char **ret_path,
                            GError **error)
{
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) found = NULL;

    *ret_path = NULL;
    if (!base || *base == '/' || !strchr(base, '/'))
        return TRUE;
    pool = cst_conn_pool_by_name(ctl->conn, vol->pool, error);
    found = pool ? cli_vol_beside(ctl, pool, base, error) : NULL;
    *ret_path = found ? cst_conn_vol_path(ctl->conn, found, error) : NULL;
    return *ret_path != NULL;
}

/* Tells that the guest has left the volume. @disk: before the commit; NULL: no guest had it. */
static void commit_show_domain(CliCtl *ctl, const CstDomainDisk *disk, const char *name)
{
    g_autofree char *domain = disk ? cst_text_escape(disk->domain) : NULL;
    g_autofree char *target = disk ? cst_text_escape(disk->target) : NULL;

    if (disk && !ctl->settings.dry_run)
        cli_extra(ctl,
                  _("Domain %s uses the backing volume as disk %s now; vol %s has no data of its "
                    "own"),
                  domain, target, name);
}

static gboolean cmd_vol_commit(CliCtl *ctl, const CliArgs *args, GError **error)
{
    const char *name;
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", &name, error);
    g_autofree char *path = NULL;
    const char *base = NULL;
    g_autoptr(CstDomainDisk) disk = NULL;
    CliFact facts[CLI_DOMAIN_FACTS];
    Work work = {.conn = ctl->conn, .vol = vol};

    if (!vol || !cli_args_string(args, "base", &base, error) ||
        !cli_vol_layer_path(ctl, vol, base, &path, error))
        return FALSE;
    work.base = path ? path : base;
    if (cli_args_has(args, "keep"))
        work.flags = CST_VOL_COMMIT_KEEP;
    cli_plan(ctl, _("Would commit vol %s"), name);
    if (!(base ? cli_confirm(ctl, error, _("The images between %s and %s become invalid. Go on?"),
                             name, base)
               : cli_confirm(ctl, error, _("Overwrite the backing volume of vol %s?"), name)))
        return FALSE;
    disk = cli_vol_running_disk(ctl, vol);
    if (!cli_run_task(ctl, _("Committing"), run_vol_commit, &work, error))
        return cli_failed(ctl, _("Failed to commit vol %s"), name);
    cli_done_facts(ctl, "volume", vol->name, facts, cli_domain_facts(disk, facts),
                   _("Vol %s committed"), name);
    commit_show_domain(ctl, disk, name);
    return TRUE;
}

static const CliOption commit_options[] = {
    VOL,
    POOL,
    CLI_NAMED("base", N_("volume further down to commit to")),
    CLI_SWITCH("keep", N_("do not empty the volume afterwards")),
    RATE_LIMIT,
    DETACH,
    {0},
};

const CliCommand cli_vol_commit_command = {
    .name = "vol-commit",
    .summary = N_("write a vol's content into its backing volume"),
    .description =
        N_("Write the content of a volume into its backing volume. A running domain that "
           "has the volume as its disk goes on with the backing volume."),
    .options = commit_options,
    .handler = cmd_vol_commit,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};

static gboolean run_vol_sparsify(CstTask *task, gpointer data, GError **error)
{
    Work *work = data;

    return cst_conn_vol_sparsify(work->conn, work->vol, task, &work->given_back, error);
}

static gboolean sparsify_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const CliVolArg *arg = thing;
    g_autofree char *size = NULL;
    Work work = {.conn = ctl->conn, .vol = arg->vol};

    cli_plan(ctl, _("Would sparsify vol %s"), arg->typed);
    if (!cli_run_task(ctl, _("Sparsifying"), run_vol_sparsify, &work, error))
        return cli_failed(ctl, _("Failed to sparsify vol %s"), arg->typed);
    size = cli_size_text(ctl, work.given_back);
    cli_done(ctl, "volume", arg->vol->name, _("Vol %s gave back %s"), arg->typed, size);
    return TRUE;
}

static const CliEach sparsify_each = {
    .list = "volumes", .kind = "volume", .name = cli_vol_arg_name, .run = sparsify_one};

static gboolean cmd_vol_sparsify(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) vols = cli_vols(ctl, args, NULL, error);

    return vols && cli_each(ctl, &sparsify_each, vols, NULL, error);
}

const CliCommand cli_vol_sparsify_command = {
    .name = "vol-sparsify",
    .summary = N_("give a vol's zeroes and unused space back"),
    .description = N_("Turn the zeroes of a volume, and unused space of its image, into holes."),
    .options = flatten_options,
    .handler = cmd_vol_sparsify,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

/* --- chain ----------------------------------------------------------------------------------- */

static const CliColumn chain_columns[] = {
    {N_("Volume"), NULL, CLI_CELL_TEXT, NULL, 0},
    {"", "name", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Pool"), "pool", CLI_CELL_TEXT, "-", 0},
    {"", "self", CLI_CELL_BOOL, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Format"), "format", CLI_CELL_TEXT, "-", 0},
    {N_("Capacity"), "capacity", CLI_CELL_SIZE, "-", 0},
    {N_("Allocation"), "allocation", CLI_CELL_SIZE, "-", 0},
    {"", "path", CLI_CELL_TEXT, NULL, CLI_COLUMN_JSON_ONLY},
    {N_("Problem"), "problem", CLI_CELL_TEXT, "-", 0},
};

/** A star marks the volume of the command line. */
static void chain_row_add(CliTable *table, const CstChainRow *row)
{
    g_autofree char *name = cst_reference_shown(row->name);
    g_autofree char *path = row->path ? cst_reference_shown(row->path) : NULL;
    g_autofree char *marked = g_strdup_printf("%s%s", name, row->self ? " *" : "");
    gboolean known = row->format != NULL;

    cli_table_add_level(table, row->level);
    cli_table_add_text(table, marked);
    cli_table_add_text(table, name);
    cli_table_add_text(table, row->pool);
    cli_table_add_bool(table, row->self);
    cli_table_add_text(table, row->format);
    cli_table_add_known_size(table, known, row->capacity);
    cli_table_add_known_size(table, known, row->allocation);
    cli_table_add_text(table, path);
    cli_table_add_text(table, row->problem);
}

static gboolean cmd_chain(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstVolRef) vol = cli_vol(ctl, args, "pool", NULL, error);
    g_autoptr(GPtrArray) rows = vol ? cst_conn_vol_chain(ctl->conn, vol, error) : NULL;

    g_autoptr(CliTable) table = cli_table_new(chain_columns, G_N_ELEMENTS(chain_columns));

    if (!rows)
        return FALSE;
    for (guint i = 0; i < rows->len; i++)
        chain_row_add(table, g_ptr_array_index(rows, i));
    cli_table_print_tree(ctl, table, "chain");
    return TRUE;
}

static const CliOption chain_options[] = {VOL, POOL, {0}};

const CliCommand cli_vol_chain_command = {
    .name = "vol-chain",
    .summary = N_("backing volumes and overlays of a vol"),
    .description = N_("Show the tree of backing files, overlays, origins and clones of a volume, "
                      "across pools, from the root down. A star marks the volume itself. With "
                      "--json each volume has its overlays in \"children\"."),
    .options = chain_options,
    .handler = cmd_chain,
    .flags = CLI_CMD_OURS,
};
