/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for jobs: long-running work of any client or process. The number of a job identifies it.
 * job-list and job-info show the same values, in columns and in lines. job-wait exits with the
 * job's own status, so that a script can continue as after the original command.
 */
#include <base/error.h>
#include <base/i18n.h>

#include "commands/commands.h"
#include "core/command.h"
#include "core/ctl.h"
#include "output/each.h"
#include "output/progress.h"
#include "output/report.h"
#include "output/table.h"
#include "output/view.h"

#define JOB(completer) CLI_REQUIRED("job", N_("number of the job"), .complete = completer)

static void complete_job_ids(CliCtl *ctl, GPtrArray *words, gboolean ended)
{
    g_autoptr(GPtrArray) jobs =
        cli_conn(ctl, NULL) ? cst_conn_job_list(ctl->conn, ended, NULL) : NULL;

    g_clear_pointer(&ctl->headline, g_free);
    for (guint i = 0; jobs && i < jobs->len; i++) {
        const CstJobInfo *job = g_ptr_array_index(jobs, i);

        g_ptr_array_add(words,
                        g_strdup_printf("%" G_GUINT64_FORMAT "\t%s %s/%s", job->id, job->kind,
                                        job->pool, job->volume ? job->volume : ""));
    }
}

static void complete_live(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    complete_job_ids(ctl, words, FALSE);
}

static void complete_any(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    complete_job_ids(ctl, words, TRUE);
}

static gboolean job_id_parse(const char *text, uint64_t *ret_id, GError **error)
{
    char *end;

    *ret_id = g_ascii_isdigit(*text) ? g_ascii_strtoull(text, &end, 10) : 0;
    if (*ret_id == 0 || *end)
        return cst_fail(error, CST_ERROR_USAGE, _("'%s' is no number of a job; see job-list"),
                        text);
    return TRUE;
}

static gboolean read_job_id(const CliArgs *args, uint64_t *ret_id, GError **error)
{
    const char *text;

    return cli_args_string(args, "job", &text, error) && job_id_parse(text, ret_id, error);
}

static CstJobInfo *find_job(CliCtl *ctl, const CliArgs *args, GError **error)
{
    uint64_t id;

    return read_job_id(args, &id, error) && cli_conn(ctl, error)
               ? cst_conn_job_info(ctl->conn, id, error)
               : NULL;
}

/* --- list, info ------------------------------------------------------------------------------ */

#define COLUMN(title, key, kind) \
    {                            \
        title, key, kind, "-", 0 \
    }
#define JSON_ONLY(title, key, kind)                  \
    {                                                \
        title, key, kind, NULL, CLI_COLUMN_JSON_ONLY \
    }

static const CliColumn list_columns[] = {
    COLUMN(N_("Id"), "id", CLI_CELL_NUMBER),
    COLUMN(N_("State"), "state", CLI_CELL_WORD),
    COLUMN(N_("Operation"), "operation", CLI_CELL_TEXT),
    COLUMN(N_("Pool"), "pool", CLI_CELL_TEXT),
    COLUMN(N_("Volume"), "volume", CLI_CELL_TEXT),
    COLUMN(N_("Done"), "done", CLI_CELL_SIZE),
    COLUMN(N_("Total"), "total", CLI_CELL_SIZE),
    COLUMN("%", "percent", CLI_CELL_NUMBER),
    COLUMN(N_("Per second"), "rate", CLI_CELL_SIZE),
    COLUMN(N_("Time left"), "seconds_left", CLI_CELL_DURATION),
    COLUMN(N_("Started"), "started", CLI_CELL_TIME),
    JSON_ONLY(N_("Ended"), "ended", CLI_CELL_TIME),
    JSON_ONLY(N_("Rate limit"), "rate_limit", CLI_CELL_SIZE),
    JSON_ONLY(N_("Can cancel"), "can_cancel", CLI_CELL_BOOL),
    JSON_ONLY(N_("User id"), "uid", CLI_CELL_NUMBER),
    JSON_ONLY(N_("Process"), "pid", CLI_CELL_NUMBER),
    JSON_ONLY(N_("Error"), "error", CLI_CELL_TEXT),
    JSON_ONLY(N_("Error code"), "error_code", CLI_CELL_TEXT),
};

/* The same values, all visible. Absent values at the end are omitted. */
static const CliColumn info_columns[] = {
    COLUMN(N_("Id:"), "id", CLI_CELL_NUMBER),
    COLUMN(N_("State:"), "state", CLI_CELL_WORD),
    COLUMN(N_("Operation:"), "operation", CLI_CELL_TEXT),
    COLUMN(N_("Pool:"), "pool", CLI_CELL_TEXT),
    COLUMN(N_("Volume:"), "volume", CLI_CELL_TEXT),
    COLUMN(N_("Done:"), "done", CLI_CELL_SIZE),
    COLUMN(N_("Total:"), "total", CLI_CELL_SIZE),
    COLUMN(N_("Percent:"), "percent", CLI_CELL_NUMBER),
    COLUMN(N_("Per second:"), "rate", CLI_CELL_SIZE),
    COLUMN(N_("Time left:"), "seconds_left", CLI_CELL_DURATION),
    COLUMN(N_("Started:"), "started", CLI_CELL_TIME),
    {N_("Ended:"), "ended", CLI_CELL_TIME, NULL, 0},
    {N_("Rate limit:"), "rate_limit", CLI_CELL_SIZE, NULL, 0},
    {N_("Can cancel:"), "can_cancel", CLI_CELL_BOOL, NULL, 0},
    {N_("User id:"), "uid", CLI_CELL_NUMBER, NULL, 0},
    {N_("Process:"), "pid", CLI_CELL_NUMBER, NULL, 0},
    {N_("Error:"), "error", CLI_CELL_TEXT, NULL, 0},
    JSON_ONLY(N_("Error code"), "error_code", CLI_CELL_TEXT),
};

static const char *job_state_word(int state)
{
    static const char *const words[] = {N_("running"), N_("waiting"),   N_("done"),
                                        N_("failed"),  N_("cancelled"), N_("interrupted")};

    return state >= 0 && state < (int)G_N_ELEMENTS(words) ? words[state] : N_("unknown");
}

static void job_row_add(CliTable *table, const CstJobInfo *job)
{
    int64_t left = cst_job_seconds_left(job);
    double percent = job->total ? 100.0 * (double)job->done / (double)job->total : 0;

    cli_table_add_number(table, job->id);
    cli_table_add_word(table, job_state_word(job->state));
    cli_table_add_text(table, job->kind);
    cli_table_add_text(table, job->pool);
    cli_table_add_text(table, job->volume);
    cli_table_add_size(table, job->done);
    cli_table_add_known_size(table, job->total > 0, job->total);
    cli_table_add_known_number(table, job->total > 0, (uint64_t)MIN(percent, 100));
    cli_table_add_size(table, job->rate);
    cli_table_add_known_duration(table, left >= 0, (uint64_t)left);
    cli_table_add_time(table, job->started / G_USEC_PER_SEC);
    cli_table_add_time(table, job->ended / G_USEC_PER_SEC);
    cli_table_add_known_size(table, job->limit > 0, job->limit);
    cli_table_add_bool(table, job->can_cancel);
    cli_table_add_number(table, job->uid);
    cli_table_add_known_number(table, job->pid > 0, (uint64_t)job->pid);
    cli_table_add_text(table, job->error);
    cli_table_add_text(table, job->error_word);
}

static gboolean cmd_job_list(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(list_columns, G_N_ELEMENTS(list_columns));
    g_autoptr(GPtrArray) jobs = NULL;
    g_auto(CliView) view = {0};

    if (!cli_view_read(&view, args, list_columns, G_N_ELEMENTS(list_columns), NULL, error) ||
        !cli_conn(ctl, error))
        return FALSE;
    jobs = cst_conn_job_list(ctl->conn, cli_args_has(args, "all"), error);
    if (!jobs)
        return FALSE;
    for (guint i = 0; i < jobs->len; i++)
        job_row_add(table, g_ptr_array_index(jobs, i));
    cli_view_print(ctl, &view, table, "jobs");
    return TRUE;
}

static void complete_job_columns(CliCtl *ctl, const CliArgs *args, GPtrArray *words)
{
    cli_view_complete(list_columns, G_N_ELEMENTS(list_columns), words);
}

static const CliOption list_options[] = {
    CLI_SWITCH("all", N_("list jobs that ended in the last hour, too")),
    CLI_VIEW_OPTIONS(complete_job_columns),
    {0},
};

static const CliCommand list_command = {
    .name = "job-list",
    .summary = N_("list the work that goes on"),
    .description =
        N_("List the operations of all processes and users that have run for more than a moment."),
    .options = list_options,
    .handler = cmd_job_list,
    .flags = CLI_CMD_OURS,
};

static gboolean cmd_job_info(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(info_columns, G_N_ELEMENTS(info_columns));
    g_autoptr(CstJobInfo) job = find_job(ctl, args, error);

    if (!job)
        return FALSE;
    job_row_add(table, job);
    cli_table_print_listing(ctl, table, "job", 15);
    return TRUE;
}

static const CliOption info_options[] = {
    JOB(complete_any),
    {0},
};

static const CliCommand info_command = {
    .name = "job-info",
    .summary = N_("how far a job is, or how it ended"),
    .description = N_("Show the progress, the rate and the result of a job."),
    .options = info_options,
    .handler = cmd_job_info,
    .flags = CLI_CMD_OURS,
};

/* --- wait, cancel, rate ---------------------------------------------------------------------- */

typedef struct {
    CstConn *conn;
    uint64_t id;
    gint64 until; /**< monotonic; 0: no timeout */
    CstJobInfo *job;
} Wait;

static gboolean run_wait(CstTask *task, gpointer data, GError **error)
{
    Wait *wait = data;

    wait->job = cst_conn_job_wait(wait->conn, wait->id, wait->until, task, error);
    return wait->job != NULL;
}

/* The exit status is the job's, so that a script can continue as after the original command. */
static gboolean cmd_wait(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CstJobInfo) job = find_job(ctl, args, error);
    g_autofree char *id = NULL;
    Wait wait = {.conn = ctl->conn};
    int timeout_ms = 0;
    gboolean done;

    if (!job || !cli_args_timeout(args, &timeout_ms, error))
        return FALSE;
    wait.id = job->id;
    if (timeout_ms)
        wait.until = g_get_monotonic_time() + timeout_ms * G_TIME_SPAN_MILLISECOND;
    if (!cli_run_task(ctl, job->kind, run_wait, &wait, error))
        return FALSE;
    done = cst_job_check_done(wait.job, error);
    id = g_strdup_printf("%" G_GUINT64_FORMAT, job->id);
    if (done)
        cli_done(ctl, "job", id, _("Job %s is done"), id);
    cst_job_info_free(wait.job);
    return done || cli_failed(ctl, _("Job %s was not done"), id);
}

static const CliOption wait_options[] = {
    JOB(complete_any),
    CLI_NUMBER("timeout", N_("give up after so many seconds")),
    {0},
};

static const CliCommand wait_command = {
    .name = "job-wait",
    .summary = N_("wait for the end of a job"),
    .description =
        N_("Wait for the end of a job. The exit status is that of the operation itself."),
    .options = wait_options,
    .handler = cmd_wait,
    .flags = CLI_CMD_OURS,
};

static void job_arg_name(gconstpointer thing, const char **ret_pool, const char **ret_name)
{
    *ret_name = thing;
}

static gboolean cancel_one(CliCtl *ctl, gconstpointer thing, gpointer data, GError **error)
{
    const char *text = thing;
    uint64_t id;

    if (!job_id_parse(text, &id, error))
        return FALSE;
    cli_plan(ctl, _("Would cancel job %s"), text);
    return cli_outcome(ctl, cst_conn_job_cancel(ctl->conn, id, error), "job", text,
                       _("Job %s was asked to stop"), _("Failed to cancel job %s"), text);
}

static const CliEach cancel_each = {
    .list = "jobs", .kind = "job", .name = job_arg_name, .run = cancel_one};

static gboolean cmd_cancel(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) ids = cli_each_word(args, "job", error);
    uint64_t id;

    for (guint i = 0; ids && i < ids->len; i++)
        if (!job_id_parse(ids->pdata[i], &id, error))
            return FALSE;
    return ids && cli_conn(ctl, error) && cli_each(ctl, &cancel_each, ids, NULL, error);
}

static const CliOption cancel_options[] = {
    JOB(complete_live),
    CLI_FURTHER(N_("more jobs"), complete_live),
    {0},
};

static const CliCommand cancel_command = {
    .name = "job-cancel",
    .summary = N_("ask a job to stop"),
    .description = N_("Ask a job to stop. Partial results are removed; see job-wait for its end."),
    .options = cancel_options,
    .handler = cmd_cancel,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

static gboolean cmd_rate(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autofree char *text = NULL;
    uint64_t id, limit = 0;

    if (!read_job_id(args, &id, error) || !cli_args_size(args, "rate", 1, &limit, error) ||
        !cli_conn(ctl, error))
        return FALSE;
    text = g_strdup_printf("%" G_GUINT64_FORMAT, id);
    cli_plan(ctl, _("Would change the rate limit of job %s"), text);
    return cli_outcome(ctl, cst_conn_job_set_limit(ctl->conn, id, limit, error), "job", text,
                       _("Rate limit of job %s changed"),
                       _("Failed to change the rate limit of job %s"), text);
}

static const CliOption rate_options[] = {
    JOB(complete_live),
    CLI_REQUIRED("rate", N_("bytes per second, as scaled integer; 0: as fast as it goes"), ),
    {0},
};

static const CliCommand rate_command = {
    .name = "job-rate",
    .summary = N_("limit how fast a job goes"),
    .description = N_("Limit a running job to so many bytes per second."),
    .options = rate_options,
    .handler = cmd_rate,
    .flags = CLI_CMD_MUTATES | CLI_CMD_OURS,
};

const CliCommand *const cli_job_commands[] = {
    &cancel_command, &info_command, &list_command, &rate_command, &wait_command, NULL,
};
