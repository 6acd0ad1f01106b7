/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check_report.h"

#include <inttypes.h>

#include <base/error.h>
#include <model/image_report.h>

#include "commands/volume/volume.h"
#include "output/json.h"
#include "output/table.h"
#include "output/text.h"

/* Errors and leaks that are counted and not listed. */
static uint64_t count_left_out(const CliCheckRow *rows, const CstFindings *findings)
{
    uint64_t counted = 0, listed = 0;

    for (size_t i = 0; i < CLI_CHECK_LISTED; i++)
        counted += rows[i].value;
    for (guint i = 0; i < cst_findings_length(findings); i++)
        listed += cst_findings_get(findings, i)->count;
    return counted - MIN(counted, listed);
}

static void print_findings(CliCtl *ctl, const CstFindings *findings, uint64_t left_out)
{
    for (guint i = 0; i < cst_findings_length(findings); i++) {
        const CstFinding *finding = cst_findings_get(findings, i);
        size_t width;
        g_autofree char *text = cli_table_encode(finding->text, &width);

        cli_print(ctl, "%s: %s\n", finding->kind == CST_FINDING_LEAK ? _("leak") : _("error"),
                  text);
    }
    if (findings && left_out > 0)
        cli_print(ctl, _("and %" PRIu64 " more, which are not listed\n"), left_out);
}

static void add_findings(JsonBuilder *json, const CstFindings *findings, uint64_t left_out)
{
    if (!findings)
        return;
    json_builder_set_member_name(json, "findings");
    json_builder_begin_array(json);
    for (guint i = 0; i < cst_findings_length(findings); i++) {
        const CstFinding *finding = cst_findings_get(findings, i);

        json_builder_begin_object(json);
        cli_json_add_string(json, "kind", finding->kind == CST_FINDING_LEAK ? "leak" : "error");
        cli_json_add_size(json, "count", finding->count);
        cli_json_add_string(json, "text", finding->text);
        json_builder_end_object(json);
    }
    json_builder_end_array(json);
    cli_json_add_size(json, "findings-left-out", left_out);
}

void cli_check_print(CliCtl *ctl, const char *name, const char *format, const CliCheckRow *rows,
                     size_t count, const CstFindings *findings, const GPtrArray *problems)
{
    JsonBuilder *json = ctl->settings.json ? cli_json_begin() : NULL;
    uint64_t left_out = count_left_out(rows, findings);

    if (json) {
        cli_json_add_string(json, "filename", name);
        cli_json_add_string(json, "format", format);
        cli_json_add_size(json, "check-errors", 0);
    }
    print_findings(ctl, findings, left_out); /* the numbers are what stays in sight */
    for (size_t i = 0; i < count; i++) {
        if (json)
            cli_json_add_size(json, rows[i].key, rows[i].value);
        else if (rows[i].value || rows[i].always)
            cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _(rows[i].label), rows[i].value);
    }
    if (json)
        add_findings(json, findings, left_out);
    if (json && problems)
        cli_vol_add_problems(json, problems);
    if (json)
        cli_json_end(ctl->out, json);
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
