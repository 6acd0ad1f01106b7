/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* notify-test: test messages of the notification rules. */
#include <base/error.h>
#include <base/i18n.h>
#include <conn/events.h>

#include "events.h"
#include "output/progress.h"
#include "output/table.h"

static const CliColumn result_columns[] = {
    {N_("Rule"), "rule", CLI_CELL_TEXT, NULL, 0},
    {N_("Target"), "target", CLI_CELL_TEXT, NULL, 0},
    {N_("Result"), "result", CLI_CELL_WORD, NULL, 0},
    {N_("Problem"), "problem", CLI_CELL_TEXT, "-", 0},
};

typedef struct {
    CstConn *conn;
    const char *rule;
    GPtrArray *results;
} TestTask;

static gboolean run_notify_test(CstTask *task, gpointer data, GError **error)
{
    TestTask *test = data;

    test->results = cst_conn_notify_test(test->conn, test->rule, task, error);
    return test->results != NULL;
}

static gboolean cmd_notify_test(CliCtl *ctl, const CliArgs *args, GError **error)
{
    g_autoptr(CliTable) table = cli_table_new(result_columns, G_N_ELEMENTS(result_columns));
    g_autoptr(GPtrArray) results = NULL;
    TestTask test = {0};
    guint problems = 0;

    if (!cli_args_string(args, "rule", &test.rule, error) || !cli_conn(ctl, error))
        return FALSE;
    test.conn = ctl->conn;
    if (!cli_run_task(ctl, _("Sending"), run_notify_test, &test, error))
        return cli_failed(ctl, "%s", _("Failed to send test messages"));
    results = test.results;
    for (guint i = 0; i < results->len; i++) {
        const CstNotifyResult *result = results->pdata[i];

        cli_table_add_text(table, result->rule);
        cli_table_add_text(table, result->target);
        cli_table_add_word(table, result->problem ? N_("failed") : N_("sent"));
        cli_table_add_text(table, result->problem);
        problems += result->problem != NULL;
    }
    cli_table_print(ctl, table, "results");
    return problems == 0 ||
           cst_fail(error, problems < results->len ? CST_ERROR_PARTIAL : CST_ERROR_UNREACHABLE,
                    _("%u of %u rules could not send"), problems, results->len);
}

static const CliOption notify_options[] = {
    CLI_STRING("rule", N_("name of the rule (default: all)")),
    {0},
};

const CliCommand cli_notify_test_command = {
    .name = "notify-test",
    .summary = N_("send a test message by the notification rules"),
    .description =
        N_("Send a test message by a rule [notify NAME] of cisternd.conf, or by all, and "
           "show whether the targets accept it. Exit status 8: some do not."),
    .options = notify_options,
    .handler = cmd_notify_test,
    .flags = CLI_CMD_OURS,
};
