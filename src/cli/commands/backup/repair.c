/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup-repair: removes damaged files from a repository, and reports the content that backups have
 * lost.
 */
#include "backup.h"

#include <base/error.h>

#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "seen.h"

typedef struct {
    CstRepo *repo;
    gboolean only_plan;
    CstRepairReport report;
} Repair;

static gboolean run_repair(CstTask *task, gpointer data, GError **error)
{
    Repair *repair = data;

    cst_repair_report_clear(&repair->report);
    return cst_repo_repair(repair->repo, repair->only_plan, task, &repair->report, error);
}

static const CliColumn columns[] = {
    {N_("Backup"), "backup", CLI_CELL_TEXT, NULL, 0},
    {N_("Vol"), "volume", CLI_CELL_TEXT, NULL, 0},
    {N_("Offset"), "offset", CLI_CELL_NUMBER, NULL, 0},
    {N_("Lost"), "lost", CLI_CELL_SIZE, NULL, 0},
};

/* Return: the plan of a dry run, or NULL. The caller frees it. */
static char *repair_plan(const CliCtl *ctl, const CliArgs *args, const CstRepairReport *report)
{
    const char *path = NULL;

    if (!ctl->settings.dry_run || !cli_args_string(args, "repo", &path, NULL))
        return NULL;
    return report->packs > 0 || report->manifests->len > 0
               ? g_strdup_printf(_("Would repair repository %s"), path)
               : g_strdup_printf(
                     _("Would change no file of repository %s, because it has no damage"), path);
}

/*
 * JSON is one document with the plan as a member. In text, cli_print_plan() prints the plan last.
 */
static void print_repair_report(CliCtl *ctl, const CstRepairReport *report, const char *plan)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));
    g_auto(CliSheet) sheet = {0};
    const CliFact facts[] = {
        cli_fact_bool("dry_run", NULL, plan != NULL, TRUE),
        cli_fact_text("plan", NULL, plan),
        cli_fact_number("chunks", N_("damaged chunks"), TRUE, report->chunks),
        cli_fact_number("packs", N_("damaged packs"), TRUE, report->packs),
        cli_fact_number("manifests", N_("damaged manifests"), TRUE, report->manifests->len),
    };

    for (guint i = 0; i < report->losses->len; i++) {
        const CstRepairLoss *loss = report->losses->pdata[i];
        g_autofree char *name = g_strdup_printf("%s/%s", loss->pool, loss->volume);

        cli_table_add_text(table, loss->backup);
        cli_table_add_text(table, name);
        cli_table_add_number(table, loss->offset);
        cli_table_add_size(table, loss->length);
    }
    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
    if (report->losses->len > 0 || ctl->settings.json)
        cli_sheet_add_table(&sheet, "losses", table);
    cli_sheet_end(&sheet);
    if (plan && !ctl->settings.json)
        cli_plan(ctl, "%s", plan);
}

/* A repair removes unreadable manifests, so update the record of seen backups first. */
static gboolean before_repair(const Repair *repair, GError **error)
{
    g_autoptr(GPtrArray) damaged = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) readable = NULL;

    if (repair->only_plan)
        return TRUE;
    readable = cst_repo_backups(repair->repo, damaged, error);
    return readable && backup_seen_before_removal(repair->repo, readable, error);
}

static gboolean cmd_repair(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = cli_repo(ctl, args, error);
    Repair repair = {.repo = repo, .only_plan = ctl->settings.dry_run};
    gboolean done;

    if (!repo || !cli_repo_job_begin(ctl, args, "backup-repair", NULL, error) ||
        !before_repair(&repair, error))
        return FALSE;
    done = cli_run_task(ctl, _("Repairing"), run_repair, &repair, error);
    if (done) {
        g_autofree char *plan = repair_plan(ctl, args, &repair.report);

        print_repair_report(ctl, &repair.report, plan);
    }
    cst_repair_report_clear(&repair.report);
    return done;
}

static const CliOption repair_options[] = {REPO, REPO_OPTIONS, CLI_DETACH, {0}};

const CliCommand cli_backup_repair_command = {
    .name = "backup-repair",
    .summary = N_("drop the damaged parts of a repository"),
    .description = N_("Read all content of a repository, drop the damaged chunks and manifests, "
                      "and report the lost ranges of each vol. The next backup of a vol that still "
                      "has the content stores it again and repairs these backups. The repository "
                      "is locked until the command ends; --dry-run only reports."),
    .options = repair_options,
    .handler = cmd_repair,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_WORKS,
};
