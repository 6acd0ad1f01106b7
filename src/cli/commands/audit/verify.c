/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* audit-verify: finds changed and removed records of the audit trail. */
#include <base/error.h>
#include <base/i18n.h>
#include <conn/audit.h>

#include "audit.h"
#include "core/args.h"
#include "output/progress.h"
#include "output/sheet.h"

typedef struct {
    CstConn *conn;
    const char *head;
    CstConnAudit audit;
} AuditVerification;

static void verification_print(CliCtl *ctl, const CstConnAudit *audit)
{
    const CliFact facts[] = {
        cli_fact_number("records", N_("Records"), TRUE, audit->records),
        cli_fact_number("first", N_("First"), audit->records > 0, audit->first),
        cli_fact_number("last", N_("Last"), audit->records > 0, audit->last),
        cli_fact_number("repairs", N_("Repairs"), audit->repairs > 0, audit->repairs),
        cli_fact_text("head", N_("Head"), *audit->head ? audit->head : NULL),
    };
    g_auto(CliSheet) sheet = {0};

    cli_sheet_begin(&sheet, ctl);
    cli_sheet_add(&sheet, facts, G_N_ELEMENTS(facts));
    if (audit->problems->len > 0) {
        cli_sheet_begin_list(&sheet, "problems", _("Problems"), "");
        for (guint i = 0; i < audit->problems->len; i++)
            cli_sheet_add_item(&sheet, i, audit->problems->pdata[i]);
        cli_sheet_end_list(&sheet);
    }
    cli_sheet_end(&sheet);
}

static gboolean verification_run(CstTask *task, gpointer data, GError **error)
{
    AuditVerification *verification = data;

    return cst_conn_audit_verify(verification->conn, verification->head, task, &verification->audit,
                                 error);
}

static gboolean cmd_verify(CliCtl *ctl, const CliArgs *args, GError **error)
{
    AuditVerification verification = {0};
    gboolean ok = TRUE;

    if (!cli_args_string(args, "head", &verification.head, error) || !cli_conn(ctl, error))
        return FALSE;
    verification.conn = ctl->conn;
    if (!cli_run_task(ctl, _("Verifying"), verification_run, &verification, error))
        return cli_failed(ctl, "%s", _("Failed to verify the audit trail"));
    verification_print(ctl, &verification.audit);
    if (verification.audit.problems->len > 0)
        ok = cst_fail(error, CST_ERROR_MISMATCH,
                      _("the audit trail is not complete: %u problems; compare it with the journal "
                        "(journalctl CISTERN_AUDIT=1)"),
                      verification.audit.problems->len);
    cst_conn_audit_clear(&verification.audit);
    return ok;
}

static const CliOption verify_options[] = {
    CLI_NAMED("head", N_("hash of a record that must exist, as an earlier audit-verify printed")),
    {0}};

const CliCommand cli_audit_verify_command = {
    .name = "audit-verify",
    .summary = N_("verify the audit trail"),
    .description = N_("Verify the chain of hashes in the audit trail. A record that was changed or "
                      "removed is a problem, and the exit status is 7. Keep the printed head on "
                      "another host: with --head, a later run also finds that records at the end "
                      "were removed and \"head\" was changed."),
    .options = verify_options,
    .handler = cmd_verify,
    .flags = CLI_CMD_OURS,
};
