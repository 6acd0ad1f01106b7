/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* backup-forget, backup-prune, backup-check and backup-unlock: maintenance of a repository. */
#include "backup.h"

#include <inttypes.h>
#include <string.h>

#include <base/error.h>

#include "commands/keep.h"
#include "output/confirm.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/sheet.h"
#include "output/text.h"
#include "seen.h"
#include "snapshots.h"

/* --- backup-forget ---------------------------------------------------------------------------- */

static gboolean read_keep(const CliArgs *args, CstKeep *keep, GStrv *ret_tags, GError **error)
{
    const char *tags;

    if (!cli_keep_read(args, &keep->retention, error) ||
        !cli_args_string(args, "keep-tag", &tags, error))
        return FALSE;
    *ret_tags = tags ? g_strsplit(tags, ",", -1) : NULL;
    keep->tags = (const char *const *)*ret_tags;
    return TRUE;
}

static gboolean keeps_anything(const CstKeep *keep)
{
    return !cst_retention_is_empty(&keep->retention) || keep->tags;
}

/*
 * Return: the reason why each backup is kept: a rule, or because it is not named. NULL elements are
 * removed.
 */
static GPtrArray *forget_decide_backups(CstRepo *repo, const GPtrArray *backups,
                                        const GPtrArray *named, const CstKeep *keep, GError **error)
{
    g_autoptr(GPtrArray) reasons = NULL;

    if ((named->len > 0) == keeps_anything(keep)) {
        cst_fail(error, CST_ERROR_USAGE,
                 _("name backups, or say which to keep (--keep-last 3, --keep-daily 7, …)"));
        return NULL;
    }
    if (named->len == 0)
        return cst_keep_decide(backups, keep, NULL);
    reasons = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < backups->len; i++)
        g_ptr_array_add(reasons, g_strdup(_("not named")));
    for (guint n = 0; n < named->len; n++) {
        g_autoptr(CstBackup) backup = cst_repo_backup(repo, named->pdata[n], error);

        if (!backup)
            return NULL;
        for (guint i = 0; i < backups->len; i++)
            if (strcmp(((CstBackup *)backups->pdata[i])->id, backup->id) == 0)
                g_clear_pointer(&reasons->pdata[i], g_free);
    }
    return g_steal_pointer(&reasons);
}

static const CliColumn columns[] = {
    {N_("Id"), "id", CLI_CELL_TEXT, NULL, 0},
    {N_("Time"), "time", CLI_CELL_TIME, "-", 0},
    {N_("Vols"), "volumes", CLI_CELL_NUMBER, "-", 0},
    {N_("Stays"), "stays", CLI_CELL_BOOL, NULL, 0},
    {N_("Because of"), "reason", CLI_CELL_TEXT, "-", 0},
};

static void print_decision(CliCtl *ctl, const GPtrArray *backups, const GPtrArray *reasons)
{
    g_autoptr(CliTable) table = cli_table_new(columns, G_N_ELEMENTS(columns));

    for (guint i = 0; i < backups->len; i++) {
        const CstBackup *backup = backups->pdata[i];

        cli_table_add_text(table, backup->id);
        cli_table_add_time(table, backup->time_us / G_USEC_PER_SEC);
        cli_table_add_number(table, backup->volumes->len);
        cli_table_add_bool(table, reasons->pdata[i] != NULL);
        cli_table_add_text(table, reasons->pdata[i]);
    }
    cli_table_print(ctl, table, "backups");
}

static gboolean cmd_forget(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = NULL;
    g_autoptr(GPtrArray) backups = NULL;
    g_autoptr(GPtrArray) named = cli_args_rest(args);
    g_autoptr(GPtrArray) ids = g_ptr_array_new();
    g_autoptr(GPtrArray) forgotten = g_ptr_array_new();
    g_autoptr(GPtrArray) staying = g_ptr_array_new();
    g_autoptr(GPtrArray) reasons = NULL;
    g_auto(GStrv) tags = NULL;
    CstKeep keep = {0};

    if (!read_keep(args, &keep, &tags, error))
        return FALSE;
    repo = cli_repo(ctl, args, error);
    backups = repo ? cst_repo_backups(repo, NULL, error) : NULL;
    if (!backups)
        return FALSE;
    reasons = forget_decide_backups(repo, backups, named, &keep, error);
    if (!reasons)
        return FALSE;
    for (guint i = 0; i < backups->len; i++)
        if (!reasons->pdata[i]) {
            g_ptr_array_add(ids, ((CstBackup *)backups->pdata[i])->id);
            g_ptr_array_add(forgotten, backups->pdata[i]);
        } else {
            g_ptr_array_add(staying, backups->pdata[i]);
        }
    g_ptr_array_add(ids, NULL);
    print_decision(ctl, backups, reasons);
    if (ids->len == 1)
        return TRUE;
    cli_plan(ctl, ngettext("Would forget %u backup", "Would forget %u backups", ids->len - 1),
             ids->len - 1);
    if (!cli_confirm(ctl, error, ngettext("Forget %u backup?", "Forget %u backups?", ids->len - 1),
                     ids->len - 1) ||
        !backup_seen_before_removal(repo, staying, error) ||
        !cst_repo_forget(repo, (const char *const *)ids->pdata, error))
        return FALSE;
    backup_snapshots_forget(ctl, repo, forgotten);
    cli_extra(ctl, ngettext("%u backup forgotten", "%u backups forgotten", ids->len - 1),
              ids->len - 1);
    cli_extra(ctl, "\n");
    return TRUE;
}

static const CliOption forget_options[] = {
    REPO,
    CLI_KEEP_OPTIONS,
    {.name = "keep-tag",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED | CLI_OPT_LIST,
     .help = N_("keep backups with one of these tags, separated by commas")},
    REPO_OPTIONS,
    {.name = "backup", .kind = CLI_OPT_ARGV, .help = N_("ids of backups, or how they begin")},
    {0},
};

const CliCommand cli_backup_forget_command = {
    .name = "backup-forget",
    .summary = N_("drop backups, named or by age"),
    .description = N_("Drop the named backups, or all backups that no --keep option selects, for "
                      "each set of vols and each host. Shows which backups stay and why; --dry-run "
                      "only shows this. backup-prune frees their space."),
    .options = forget_options,
    .handler = cmd_forget,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};

/* --- backup-prune ----------------------------------------------------------------------------- */

typedef struct {
    CstRepo *repo;
    gboolean only_plan;
    CstPruneReport report;
} Prune;

static gboolean run_prune(CstTask *task, gpointer data, GError **error)
{
    Prune *prune = data;

    return cst_repo_prune(prune->repo, prune->only_plan, task, &prune->report, error);
}

static gboolean cmd_prune(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = cli_repo(ctl, args, error);
    Prune prune = {.repo = repo, .only_plan = TRUE};
    g_autofree char *freed = NULL;
    g_autofree char *message = NULL;

    if (!repo)
        return FALSE;
    if (ctl->settings.dry_run && !run_prune(NULL, &prune, error))
        return FALSE;
    freed = cli_size_text(ctl, prune.report.freed_bytes);
    cli_plan(ctl, _("Would free %s"), freed);
    prune.only_plan = FALSE;
    if (!cli_repo_job_begin(ctl, args, "backup-prune", NULL, error) ||
        !cli_run_task(ctl, _("Pruning"), run_prune, &prune, error))
        return FALSE;
    g_free(freed);
    freed = cli_size_text(ctl, prune.report.freed_bytes);
    message = g_strdup_printf(_("%s freed"), freed);
    if (ctl->settings.json) {
        const CliFact facts[] = {
            cli_fact_text("command", NULL, ctl->current->command->name),
            cli_fact_number("freed", NULL, TRUE, prune.report.freed_bytes),
            cli_fact_text("message", NULL, message),
        };

        cli_sheet_print(ctl, facts, G_N_ELEMENTS(facts));
        return TRUE;
    }
    cli_done(ctl, NULL, NULL, "%s", message);
    return TRUE;
}

static const CliOption prune_options[] = {REPO, REPO_OPTIONS, CLI_DETACH, {0}};

const CliCommand cli_backup_prune_command = {
    .name = "backup-prune",
    .summary = N_("free the space that no backup uses"),
    .description = N_("Free the space that no backup of a repository uses any more. The repository "
                      "is locked until the command ends."),
    .options = prune_options,
    .handler = cmd_prune,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS | CLI_CMD_WORKS,
};

/* --- backup-check ----------------------------------------------------------------------------- */

typedef struct {
    CstRepo *repo;
    CstRepoCheck how;
    CstRepoReport report;
} Check;

static gboolean run_repo_check(CstTask *task, gpointer data, GError **error)
{
    Check *check = data;

    return cst_repo_check(check->repo, &check->how, task, &check->report, error);
}

static void print_words(CliSheet *sheet, const char *key, const char *label, const GPtrArray *words)
{
    if (words->len == 0 && !sheet->ctl->settings.json)
        return;
    cli_sheet_begin_list(sheet, key, label, "");
    for (guint i = 0; i < words->len; i++)
        cli_sheet_add_item(sheet, i, words->pdata[i]);
    cli_sheet_end_list(sheet);
}

static void print_repo_check(CliCtl *ctl, const CstRepoReport *report)
{
    g_auto(CliSheet) sheet = {0};
    const CliFact facts[] = {
        cli_fact_number("backups", N_("backups"), TRUE, report->backups),
        cli_fact_number("packs", N_("packs"), TRUE, report->packs),
        cli_fact_number("chunks", N_("chunks"), TRUE, report->chunks),
        cli_fact_number("bytes", N_("bytes"), TRUE, report->bytes),
    };

    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
    print_words(&sheet, "notes", _("notes"), report->notes);
    print_words(&sheet, "problems", _("problems"), report->problems);
    cli_sheet_end(&sheet);
}

static gboolean cmd_backup_check(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = cli_repo(ctl, args, error);
    Check check = {.repo = repo, .how = {cli_args_has(args, "read-data")}};
    g_autoptr(GError) why = NULL;
    guint problems;
    gboolean done, seen;

    if (!repo || !cli_repo_job_begin(ctl, args, "backup-check", NULL, error))
        return FALSE;
    seen = backup_seen_check(repo, &why);
    if (!seen && !g_error_matches(why, CST_ERROR, CST_ERROR_STATE)) {
        g_propagate_error(error, g_steal_pointer(&why));
        return FALSE;
    }
    done = cli_run_task(ctl, _("Checking"), run_repo_check, &check, error);
    if (done && !seen)
        g_ptr_array_add(check.report.problems, cst_error_text(why));
    if (done)
        print_repo_check(ctl, &check.report);
    problems = done ? check.report.problems->len : 0;
    cst_repo_report_clear(&check.report);
    return done && (problems == 0 || cst_fail(error, CST_ERROR_MISMATCH,
                                              ngettext("the repository has %u problem",
                                                       "the repository has %u problems", problems),
                                              problems));
}

static const CliOption check_options[] = {
    REPO,
    CLI_SWITCH("read-data", N_("read all content, too: finds any bit that has changed")),
    REPO_OPTIONS,
    CLI_DETACH,
    {0},
};

const CliCommand cli_backup_check_command = {
    .name = "backup-check",
    .summary = N_("check a repository"),
    .description = N_("Check that everything that the backups of a repository need is there and "
                      "sound. Exit status 7 says that something is missing or damaged."),
    .options = check_options,
    .handler = cmd_backup_check,
    .flags = CLI_CMD_OURS | CLI_CMD_WORKS,
};

/* --- backup-unlock ---------------------------------------------------------------------------- */

static gboolean cmd_unlock(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstRepo) repo = cli_repo(ctl, args, error);
    gboolean all = cli_args_has(args, "all");
    guint count = 0;

    if (!repo)
        return FALSE;
    cli_plan(ctl, "%s", _("Would remove the locks of dead processes"));
    if ((all &&
         !cli_confirm(ctl, error, "%s",
                      _("Remove the locks of other hosts, even if their processes still work?"))) ||
        !cst_repo_unlock(repo, all, &count, error))
        return FALSE;
    cli_done(ctl, NULL, NULL, ngettext("%u lock removed", "%u locks removed", count), count);
    return TRUE;
}

static const CliOption unlock_options[] = {
    REPO,
    CLI_SWITCH("all",
               N_("remove the locks of other hosts, too, even if their processes still work")),
    REPO_OPTIONS,
    {0},
};

const CliCommand cli_backup_unlock_command = {
    .name = "backup-unlock",
    .summary = N_("remove locks that were left"),
    .description = N_(
        "Remove the locks that dead processes of this host have left on a repository. With --all, "
        "remove the locks of other hosts, too; the command cannot check their processes."),
    .options = unlock_options,
    .handler = cmd_unlock,
    .flags = CLI_CMD_MUTATES | CLI_CMD_DESTROYS | CLI_CMD_OURS,
};
