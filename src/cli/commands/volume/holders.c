/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vol-holders: the holders of a volume. The pool's technology reports programs that have it open
 * (QEMU's locks, processes, loop devices, device-mapper, mounts, watchers of an RBD image). Jobs of
 * the service and libvirt's domains are listed too. The columns of domains are hidden without
 * domains, so that the list is the same on a host without libvirt.
 */
#include "holders.h"

#include <inttypes.h>
#include <string.h>

#include <base/i18n.h>

#include "domains.h"
#include "options.h"
#include "output/table.h"
#include "output/text.h"
#include "output/view.h"

char *cli_holders_writers(const GPtrArray *holders)
{
    GString *who = g_string_new(NULL);

    for (guint i = 0; holders && i < holders->len; i++) {
        const CstVolHolder *holder = g_ptr_array_index(holders, i);

        if (!holder->reads_only)
            g_string_append_printf(who, "%s%s", who->len > 0 ? ", " : "", holder->what);
    }
    return g_string_free(who, FALSE);
}

char *cli_vol_writers(CliCtl *ctl, const CstVolRef *vol)
{
    g_autoptr(GPtrArray) holders = NULL;

    if (!ctl->settings.quiet && !cli_args_has(ctl->current, "force-share"))
        holders = cst_conn_vol_holders(ctl->conn, vol, NULL);
    return cli_holders_writers(holders);
}

static gboolean works_on(const CstJobInfo *job, const char *pool, const char *volume)
{
    return g_strcmp0(job->pool, pool) == 0 && g_strcmp0(job->volume, volume) == 0;
}

static char *job_text(const CstJobInfo *job)
{
    return g_strdup_printf(_("job %" PRIu64 " (%s) of process %d, user %u"), job->id, job->kind,
                           (int)job->pid, (unsigned)job->uid);
}

static void append_holder_text(GString *text, const char *what)
{
    g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", what);
}

char *cli_vol_holders_text(const GPtrArray *holders, const GPtrArray *jobs, const char *pool,
                           const char *volume)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; holders && i < holders->len; i++)
        append_holder_text(text, ((const CstVolHolder *)holders->pdata[i])->what);
    for (guint i = 0; jobs && i < jobs->len; i++)
        if (works_on(jobs->pdata[i], pool, volume)) {
            g_autofree char *job = job_text(jobs->pdata[i]);

            append_holder_text(text, job);
        }
    return g_string_free(text, text->len == 0);
}

/* --- the command ------------------------------------------------------------------------------ */

#define DOMAIN_COLUMN 3 /* the first column of domains */

static const CliColumn columns[] = {
    {N_("Holder"), "holder", CLI_CELL_TEXT, NULL, 0},
    {N_("Access"), "access", CLI_CELL_WORD, "-", 0},
    {N_("Job"), "job", CLI_CELL_NUMBER, "-", 0},
    {N_("Domain"), "domain", CLI_CELL_TEXT, "-", 0},
    {N_("State"), "state", CLI_CELL_WORD, "-", 0},
    {N_("Target"), "target", CLI_CELL_TEXT, "-", 0},
    {N_("Agent"), "agent", CLI_CELL_WORD, "-", 0},
};

/* Ends the row of a holder that is not a domain. */
static void no_domain_cells_add(CliTable *table)
{
    cli_table_add_text(table, NULL);
    cli_table_add_word(table, NULL);
    cli_table_add_text(table, NULL);
    cli_table_add_word(table, NULL);
}

static void domain_row_add(CliTable *table, const CstDomainDisk *disk)
{
    g_autofree char *text = g_strdup_printf(_("domain '%s'"), disk->domain);

    cli_table_add_text(table, text);
    cli_table_add_word(table, disk->reads_only ? N_("reads") : N_("may write"));
    cli_table_add_known_number(table, FALSE, 0);
    cli_table_add_text(table, disk->domain);
    cli_table_add_word(table, cst_domain_state_word(disk->state));
    cli_table_add_text(table, disk->target);
    cli_table_add_word(table,
                       disk->state == CST_DOMAIN_SAVED ? NULL : cst_domain_agent_word(disk->agent));
}

static void holder_row_add(CliTable *table, const CstVolHolder *holder)
{
    cli_table_add_text(table, holder->what);
    cli_table_add_word(table, holder->reads_only ? N_("reads") : N_("may write"));
    cli_table_add_known_number(table, FALSE, 0);
    no_domain_cells_add(table);
}

static void holder_job_row_add(CliTable *table, const CstJobInfo *job)
{
    g_autofree char *text = job_text(job);

    cli_table_add_text(table, text);
    cli_table_add_word(table, NULL);
    cli_table_add_number(table, job->id);
    no_domain_cells_add(table);
}

static gboolean cmd_holders(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_autoptr(GPtrArray) holders = NULL, jobs = NULL, domains = NULL;
    g_autoptr(CstVolRef) vol = NULL;
    g_auto(CliView) view = {0};

    if (!cli_view_read(&view, args, columns, G_N_ELEMENTS(columns), NULL, error))
        return FALSE;
    vol = cli_vol(ctl, args, "pool", NULL, error);
    if (!vol)
        return FALSE;
    holders = cst_conn_vol_holders(ctl->conn, vol, error);
    jobs = holders ? cst_conn_job_list(ctl->conn, FALSE, error) : NULL;
    if (!jobs)
        return cli_failed(ctl, _("Failed to find the programs that have vol %s open"), vol->name);
    for (guint i = 0; i < holders->len; i++)
        holder_row_add(table, holders->pdata[i]);
    for (guint i = 0; i < jobs->len; i++)
        if (works_on(jobs->pdata[i], vol->pool, vol->name))
            holder_job_row_add(table, jobs->pdata[i]);
    domains = cli_vol_domains(ctl, vol);
    for (guint i = 0; i < domains->len; i++)
        domain_row_add(table, domains->pdata[i]);
    for (guint i = DOMAIN_COLUMN; domains->len == 0 && i < G_N_ELEMENTS(columns); i++)
        cli_view_hide(&view, columns[i].key);
    cli_view_print(ctl, &view, table, "holders");
    return TRUE;
}

static void complete_holder_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(columns, G_N_ELEMENTS(columns), words);
}

static const CliOption holders_options[] = {
    VOL, POOL, CLI_VIEW_OPTIONS(complete_holder_columns), {0}};

const CliCommand cli_vol_holders_command = {
    .name = "vol-holders",
    .summary = N_("list the programs that have a vol open"),
    .description =
        N_("Name everything that has a vol open: machines, other processes, loop devices, device "
           "mapper, mounts, clients of its server as far as they are known, jobs of our own, and "
           "libvirt's domains, also those with a managed save."),
    .options = holders_options,
    .handler = cmd_holders,
    .flags = CLI_CMD_OURS,
};
