/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor: prints the problems of the storage, and the commands that repair them.
 */
#include <inttypes.h>
#include <string.h>

#include <base/error.h>
#include <base/i18n.h>

#include "commands/commands.h"
#include "commands/pool/pool.h"
#include "commands/volume/volume.h"
#include "output/json.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/text.h"

#include "doctor.h"

/* --- one object ------------------------------------------------------------------------------- */

/* Checks a path, a pool, POOL/VOLUME, or a volume with a name that only one pool has. */
static gboolean object_check(DoctorWork *work, const CliArgs *args, GError **error)
{
    const char *object = work->object;
    g_autoptr(CstPoolRef) pool = NULL;
    g_autoptr(CstVolRef) vol = NULL;
    CstConnDoctorQuery query = {0};

    if (g_path_is_absolute(object)) {
        query.path = object;
        return doctor_check_server(work, &query, error);
    }
    if (!cli_args_has(args, "pool") && !strchr(object, '/'))
        pool = cst_conn_pool_by_name(work->ctl->conn, object, NULL);
    if (!pool) {
        vol = cli_vol_named(work->ctl, args, object, cli_args_has(args, "pool") ? "pool" : NULL,
                            error);
        if (!vol)
            return FALSE;
    }
    query.pool = pool ? pool->name : vol->pool;
    query.volume = pool ? NULL : vol->name;
    return doctor_check_server(work, &query, error);
}

/* --- output ----------------------------------------------------------------------------------- */

/* The numbers of findings by severity, and of muted ones. */
typedef struct {
    guint by_severity[CST_SEVERITY_LAST];
    guint muted;
} DoctorCounts;

static DoctorCounts findings_count(const GPtrArray *findings)
{
    DoctorCounts counts = {0};

    for (guint i = 0; i < findings->len; i++) {
        const CstDoctorFinding *finding = findings->pdata[i];

        if (finding->muted)
            counts.muted++;
        else
            counts.by_severity[finding->severity]++;
    }
    return counts;
}

static void finding_add_json(CliJson *json, const CstDoctorFinding *finding)
{
    g_autofree char *reference = g_strconcat("docs/doctor.md#", finding->id, NULL);
    g_autofree char *muted = finding->muted ? cli_json_time(finding->muted) : NULL;

    cli_json_open(json, NULL, '{');
    cli_json_add_string(json, "id", finding->id);
    cli_json_add_string(json, "severity", cst_severity_word((int)finding->severity));
    cli_json_add_string(json, "object", finding->object);
    cli_json_add_string(json, "evidence", finding->evidence);
    cli_json_add_string(json, "repair", finding->repair);
    cli_json_add_string(json, "reference", reference);
    cli_json_add_string(json, "muted_until", muted);
    cli_json_close(json, '}');
}

static void findings_print_json(CliCtl *ctl, const GPtrArray *findings, const DoctorCounts *counts)
{
    g_auto(CliJson) json = {0};

    cli_json_begin(&json);
    cli_json_open(&json, "findings", '[');
    for (guint i = 0; i < findings->len; i++)
        finding_add_json(&json, findings->pdata[i]);
    cli_json_close(&json, ']');
    cli_json_add_number(&json, "errors", counts->by_severity[CST_SEVERITY_ERROR]);
    cli_json_add_number(&json, "warnings", counts->by_severity[CST_SEVERITY_WARNING]);
    cli_json_add_number(&json, "notes", counts->by_severity[CST_SEVERITY_NOTE]);
    cli_json_add_number(&json, "muted", counts->muted);
    cli_json_end(&json, ctl->out);
}

static const char *severity_title(CstSeverity severity)
{
    static const char *const titles[] = {N_("note"), N_("warning"), N_("error")};

    return _(titles[severity]);
}

static void findings_print(CliCtl *ctl, const GPtrArray *findings, const DoctorCounts *counts)
{
    for (guint i = 0; i < findings->len; i++) {
        const CstDoctorFinding *finding = findings->pdata[i];

        if (finding->muted)
            continue;
        cli_print(ctl, "%s: %s: %s\n", severity_title(finding->severity), finding->object,
                  finding->evidence);
        if (finding->repair)
            cli_print(ctl, _("    repair: %s\n"), finding->repair);
        cli_print(ctl, _("    see docs/doctor.md#%s\n"), finding->id);
    }
    cli_print(ctl, _("Errors: %u, warnings: %u, notes: %u, muted: %u\n"),
              counts->by_severity[CST_SEVERITY_ERROR], counts->by_severity[CST_SEVERITY_WARNING],
              counts->by_severity[CST_SEVERITY_NOTE], counts->muted);
}

/* --- the command ------------------------------------------------------------------------------ */

static gboolean doctor_work(CstTask *task, gpointer data, GError **error)
{
    DoctorWork *work = data;

    work->task = task;
    return work->object ? object_check(work, work->ctl->current, error)
                        : doctor_check_all(work, error);
}

static gboolean cmd_doctor(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) findings = cst_doctor_findings_new();
    DoctorWork work = {.ctl = ctl, .findings = findings};
    g_autoptr(GPtrArray) mutes = NULL;
    const char *pool = NULL;
    DoctorCounts counts;
    gboolean done;
    guint wrong;

    if (!cli_args_string(args, "object", &work.object, error) ||
        !cli_args_string(args, "pool", &pool, error) ||
        !cli_args_exclusive(args, "object", "all", error) ||
        !doctor_change_mutes(ctl, args, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    if (pool && !work.object)
        return cst_fail(error, CST_ERROR_USAGE,
                        _("--pool belongs to the name of a volume; 'doctor %s' checks the pool"),
                        pool);
    if (!cli_conn(ctl, error))
        return FALSE;
    mutes = cst_conn_doctor_mutes(ctl->conn, error);
    if (!mutes || !cli_run_task(ctl, _("Checking"), doctor_work, &work, error))
        return cli_failed(ctl, "%s", _("Failed to check the storage"));
    doctor_findings_order(findings);
    cst_doctor_findings_mute(findings, mutes, g_get_real_time() / G_USEC_PER_SEC);
    counts = findings_count(findings);
    if (ctl->settings.json)
        findings_print_json(ctl, findings, &counts);
    else
        findings_print(ctl, findings, &counts);
    wrong = counts.by_severity[CST_SEVERITY_ERROR] + counts.by_severity[CST_SEVERITY_WARNING];
    return wrong == 0 ||
           cst_fail(error, CST_ERROR_MISMATCH,
                    ngettext("%u finding needs attention", "%u findings need attention", wrong),
                    wrong);
}

/* Completes the names of checks. */
static void complete_checks(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    for (const CstDoctorRule *rule = cst_doctor_rules(); rule->id; rule++)
        g_ptr_array_add(words, g_strdup(rule->id));
}

static const CliOption doctor_options[] = {
    {.name = "object",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_OFFERED,
     .help = N_("pool, POOL/VOLUME, or absolute path of a disk"),
     .complete = cli_complete_pools},
    CLI_SWITCH("all", N_("the host with all pools, volumes and schedules (default)")),
    {.name = "pool",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("pool name or uuid"),
     .complete = cli_complete_pools},
    {.name = "mute",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("hide the findings of a check: ID or ID:OBJECT"),
     .complete = complete_checks},
    CLI_NAMED("until", N_("end of the mute: a duration, such as 30d, or a time")),
    {.name = "unmute",
     .kind = CLI_OPT_STRING,
     .flags = CLI_OPT_NAMED,
     .help = N_("show the findings of a check again: ID or ID:OBJECT"),
     .complete = complete_checks},
    CLI_SWITCH("mutes", N_("list the mutes")),
    {0},
};

const CliCommand cli_doctor_command = {
    .name = "doctor",
    .summary = N_("find problems of the storage and print their repairs"),
    .description =
        N_("Check the host, a pool, a volume or a path, and print each problem with its evidence "
           "and the command that repairs it. The checks change no storage. The exit status is 7 "
           "if a finding is a warning or an error. A mute hides the findings of a check for some "
           "time, unless they get worse."),
    .options = doctor_options,
    .handler = cmd_doctor,
    .flags = CLI_CMD_OURS | CLI_CMD_MUTATES,
};

const CliCommand *const cli_doctor_commands[] = {&cli_doctor_command, NULL};
