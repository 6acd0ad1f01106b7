/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view_report.h"

#include <base/error.h>
#include <base/i18n.h>

static void print_json(CliCtl *ctl, const CstCompareReport *report)
{
    JsonBuilder *json = cli_json_begin();

    json_builder_set_member_name(json, "identical");
    json_builder_add_boolean_value(json, report->same);
    json_builder_set_member_name(json, "same-size");
    json_builder_add_boolean_value(json, report->sizes_same);
    if (!report->same)
        cli_json_add_size(json, "offset", report->offset);
    cli_json_end(ctl->out, json);
}

gboolean cli_compare_judge(CliCtl *ctl, const CstCompareReport *report, gboolean strict,
                           GError **error)
{
    if (ctl->settings.json)
        print_json(ctl, report);
    if (!report->same) {
        g_autofree char *offset = g_strdup_printf("%" G_GUINT64_FORMAT, report->offset);

        return cst_fail(error, CST_ERROR_MISMATCH, _("the images differ, first at offset %s"),
                        offset);
    }
    if (strict && !report->sizes_same)
        return cst_fail(error, CST_ERROR_MISMATCH, "%s", _("the images differ in size"));
    if (!report->sizes_same)
        cli_print(ctl, "%s", _("Warning: Image size mismatch!\n"));
    cli_print(ctl, "%s", _("Images are identical.\n"));
    return TRUE;
}
