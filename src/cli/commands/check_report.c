/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The output of image-check and vol-check: findings first, then the numbers, which stay visible on
 * the screen. Also derives the exit status. The numbers are passed as rows, because the image
 * engine and a daemon report them in different structs.
 */
#include "check_report.h"

#include <inttypes.h>

#include <base/error.h>
#include <model/image_report.h>

#include "output/text.h"

/* Return: the number of errors and leaks that are counted but not listed. */
static uint64_t count_left_out(const CliCheckRow *rows, const CstFindings *findings)
{
    uint64_t counted = 0, listed = 0;

    for (size_t i = 0; i < CLI_CHECK_LISTED; i++)
        counted += rows[i].value;
    for (guint i = 0; i < cst_findings_length(findings); i++)
        listed += cst_findings_get(findings, i)->count;
    return counted - MIN(counted, listed);
}

/* Print findings in text, before the numbers, which then stay visible. */
static void print_findings(CliSheet *sheet, const CstFindings *findings, uint64_t left_out)
{
    for (guint i = 0; i < cst_findings_length(findings); i++) {
        const CstFinding *finding = cst_findings_get(findings, i);
        const CliFact fact = cli_fact_text(
            NULL, finding->kind == CST_FINDING_LEAK ? N_("leak") : N_("error"), finding->text);

        cli_sheet_add(sheet, &fact, 1);
    }
    if (findings && left_out > 0)
        cli_print(sheet->ctl, _("and %" PRIu64 " more, which are not listed\n"), left_out);
}

/*
 * Add the findings as a list in JSON. A daemon that only counts has no findings, and the list is
 * omitted.
 */
static void add_findings(CliSheet *sheet, const CstFindings *findings, uint64_t left_out)
{
    const CliFact rest = cli_fact_number("findings-left-out", NULL, TRUE, left_out);

    if (!findings || !sheet->json.text)
        return;
    cli_sheet_begin_list(sheet, "findings", NULL, "");
    for (guint i = 0; i < cst_findings_length(findings); i++) {
        const CstFinding *finding = cst_findings_get(findings, i);
        const CliFact facts[] = {
            cli_fact_text("kind", NULL, finding->kind == CST_FINDING_LEAK ? "leak" : "error"),
            cli_fact_number("count", NULL, TRUE, finding->count),
            cli_fact_text("text", NULL, finding->text),
        };

        cli_sheet_begin_item(sheet, i);
        cli_sheet_add(sheet, facts, G_N_ELEMENTS(facts));
        cli_sheet_end_object(sheet);
    }
    cli_sheet_end_list(sheet);
    cli_sheet_add(sheet, &rest, 1);
}

void cli_check_add(CliSheet *sheet, const char *name, const char *format, const CliCheckRow *rows,
                   size_t count, const CstFindings *findings, const GPtrArray *problems)
{
    const CliFact head[] = {
        cli_fact_nullable("filename", NULL, name),
        cli_fact_nullable("format", NULL, format),
        cli_fact_number("check-errors", NULL, TRUE, 0),
    };
    uint64_t left_out = count_left_out(rows, findings);

    cli_sheet_add(sheet, head, G_N_ELEMENTS(head));
    print_findings(sheet, findings, left_out);
    for (size_t i = 0; i < count; i++) {
        gboolean shown = rows[i].value || rows[i].always;
        const CliFact fact =
            cli_fact_number(rows[i].key, shown ? rows[i].label : NULL, TRUE, rows[i].value);

        cli_sheet_add(sheet, &fact, 1);
    }
    add_findings(sheet, findings, left_out);
    if (problems)
        cli_sheet_add_words(sheet, "problems", problems);
}

gboolean cli_check_judge(const char *name, uint64_t errors, uint64_t leaks, GError **error)
{
    if (errors)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' has errors in its metadata: data may be lost, and writing to it "
                          "may lose more; make a copy before --repair all"),
                        name);
    if (leaks)
        return cst_fail(error, CST_ERROR_MISMATCH,
                        _("'%s' takes space that it does not use, which harms no data; --repair "
                          "leaks gives it back"),
                        name);
    return TRUE;
}

gboolean cli_check_repair(const CliArgs *args, unsigned *ret_flags, GError **error)
{
    const char *what = NULL;

    *ret_flags = 0;
    if (!cli_args_string(args, "repair", &what, error))
        return FALSE;
    if (g_strcmp0(what, "leaks") == 0)
        *ret_flags = CST_REPAIR_LEAKS;
    else if (g_strcmp0(what, "all") == 0)
        *ret_flags = CST_REPAIR_LEAKS | CST_REPAIR_ALL;
    else if (what)
        return cst_fail(error, CST_ERROR_USAGE, _("--repair takes leaks or all, not '%s'"), what);
    return TRUE;
}
