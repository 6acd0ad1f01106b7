/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "view_report.h"

#include <base/error.h>
#include <base/i18n.h>

#include "output/json.h"
#include "output/text.h"

static void print_json(CliCtl *ctl, const CstCompareReport *report)
{
    JsonBuilder *json = cli_json_begin();

    cli_json_add_bool(json, "identical", report->same);
    cli_json_add_bool(json, "same-size", report->sizes_same);
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

void cli_measure_print(CliCtl *ctl, const CstMeasureReport *report)
{
    JsonBuilder *json;

    cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _("required size"), report->required);
    cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _("fully allocated size"),
              report->fully_allocated);
    if (report->has_bitmaps)
        cli_print(ctl, "%s: %" G_GUINT64_FORMAT "\n", _("bitmaps size"), report->bitmaps);
    if (!ctl->settings.json)
        return;
    json = cli_json_begin();
    cli_json_add_size(json, "required", report->required);
    cli_json_add_size(json, "fully-allocated", report->fully_allocated);
    if (report->has_bitmaps)
        cli_json_add_size(json, "bitmaps", report->bitmaps);
    cli_json_end(ctl->out, json);
}

/* JSON members are qemu-img's; "filename" is ours. */
static const CliColumn map_columns[] = {
    {.title = N_("Offset"), .key = "start", .kind = CLI_CELL_NUMBER},
    {.title = N_("Length"), .key = "length", .kind = CLI_CELL_NUMBER},
    {.title = N_("State"), .key = "state", .kind = CLI_CELL_WORD},
    {.title = N_("Depth"), .key = "depth", .kind = CLI_CELL_NUMBER},
    {.title = N_("File"), .key = "filename", .kind = CLI_CELL_TEXT},
    {.title = "", .key = "present", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "zero", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "data", .kind = CLI_CELL_BOOL, .flags = CLI_COLUMN_JSON_ONLY},
    {.title = "", .key = "offset", .kind = CLI_CELL_NUMBER, .flags = CLI_COLUMN_JSON_ONLY},
};

CliTable *cli_map_table(void)
{
    return cli_table_new(map_columns, G_N_ELEMENTS(map_columns));
}

void cli_map_add(CliTable *table, const CstVolMapRun *run, const char *file)
{
    cli_table_add_number(table, run->start);
    cli_table_add_number(table, run->length);
    cli_table_add_word(table, run->zero ? N_("zero") : run->data ? N_("data") : N_("below"));
    cli_table_add_number(table, run->depth);
    cli_table_add_text(table, file);
    cli_table_add_bool(table, run->present);
    cli_table_add_bool(table, run->zero);
    cli_table_add_bool(table, run->data);
    if (run->has_offset)
        cli_table_add_number(table, run->offset);
    else
        cli_table_add_absent(table);
}
